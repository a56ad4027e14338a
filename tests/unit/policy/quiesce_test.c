/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Freezing and thawing with a hook that freezes nothing but says all that it
 * does: what it may do wrong, and who may be killed, alone and together, at
 * each step.  That guests are really frozen is the matter of tests/libvirt.
 */
#include "base/assert.h"
#include "base/cleanup.h"
#include "client/problem.h"
#include "policy/quiesce.h"
#include "tests/unit/base/support/cmocka.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define PATIENCE_MS 60000u /* only catches hangs */

/*
 * In the directory it is in:
 *	log         a line for each step
 *	frozen      is there while it is frozen
 *	stop-STEP   who comes to that step first stays there, while held-STEP is
 *	            there
 *	do-VERB     what else it does then, in shell
 */
static const char hook_text[] =
    "#!/bin/sh\n"
    "cd \"${0%/*}\" || exit 9\n"
    "step() {\n"
    "	echo $1 >>log\n"
    "	if mv stop-$1 held-$1 2>/dev/null; then\n"
    "		while [ -e held-$1 ]; do sleep 0.01; done\n"
    "	fi\n"
    "}\n"
    "case $1 in\n"
    "freeze)\n"
    "	step freeze-begin\n"
    "	if [ -e do-freeze ]; then . ./do-freeze; fi\n"
    "	touch frozen\n"
    "	step freeze-end\n"
    "	echo fs;;\n"
    "thaw)\n"
    "	step thaw-begin\n"
    "	if [ -e do-thaw ]; then . ./do-thaw; fi\n"
    "	had=3\n"
    "	if [ -e frozen ]; then had=0; fi\n"
    "	rm -f frozen\n"
    "	step thaw-end\n"
    "	exit $had;;\n"
    "esac\n";

/* ---- a scene: a hook in a directory, and records in another ---- */

struct scene {
	char directory[PATH_MAX], hook[PATH_MAX + 16], records[PATH_MAX + 16];
	json_t *about;
	unsigned budget_ms, thaw_ms;
};

static struct scene scene;

static void
path_in(const struct scene *s, const char *name, char ret_path[PATH_MAX + 64])
{
	snprintf(ret_path, PATH_MAX + 64, "%s/%s", s->directory, name);
}

static void
put(const struct scene *s, const char *name, const char *text)
{
	char path[PATH_MAX + 64];
	FILE *file;

	path_in(s, name, path);
	file = fopen(path, "w");
	assert(file != NULL);
	fputs(text, file);
	fclose(file);
}

static void
drop(const struct scene *s, const char *name)
{
	char path[PATH_MAX + 64];

	path_in(s, name, path);
	unlink(path);
}

static bool
is_there(const struct scene *s, const char *name)
{
	char path[PATH_MAX + 64];

	path_in(s, name, path);
	return access(path, F_OK) == 0;
}

static void
scene_new(struct scene *s)
{
	char template[] = "quiesce-XXXXXX";

	*s = (struct scene){.budget_ms = PATIENCE_MS, .thaw_ms = PATIENCE_MS};
	if (mkdtemp(template) == NULL ||
	    realpath(template, s->directory) == NULL)
		abort();
	snprintf(s->hook, sizeof(s->hook), "%s/hook", s->directory);
	snprintf(s->records, sizeof(s->records), "%s/records", s->directory);
	put(s, "hook", hook_text);
	if (chmod(s->hook, 0755) < 0)
		abort();
	s->about = json_pack("{s:s, s:s, s:[{s:s}, {s:s}]}", "policy",
	    "nightly", "snapshot", "tue", "luns", "name", "vms/db01", "name",
	    "vms/db02");
}

static int
set_up(void **state)
{
	(void)state;
	scene_new(&scene);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	json_decref(scene.about);
	return 0;
}

static struct quiesce_params
params_of(const struct scene *s)
{
	return (struct quiesce_params){.hook = s->hook,
	    .directory = s->records,
	    .about = s->about,
	    .budget_ms = s->budget_ms,
	    .thaw_ms = s->thaw_ms};
}

/* ---- waiting ---- */

static void
rest(void)
{
	const struct timespec pause = {.tv_nsec = 5000000};

	nanosleep(&pause, NULL);
}

#define WAIT_FOR(condition)                                                    \
	do {                                                                   \
		for (unsigned ms_ = 0; !(condition); ms_ += 5) {               \
			if (ms_ > PATIENCE_MS) {                               \
				fprintf(stderr, "%s:%d: never: %s\n",          \
				    __FILE__, __LINE__, #condition);           \
				abort();                                       \
			}                                                      \
			rest();                                                \
		}                                                              \
	} while (0)

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition)) {                                            \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__,       \
			    __LINE__, #condition);                             \
			abort();                                               \
		}                                                              \
	} while (0)

/* Names in the directory of records that end so. */
static unsigned
records_count(const struct scene *s, const char *end)
{
	DIR *directory = opendir(s->records);
	const struct dirent *entry;
	unsigned count = 0;

	while (directory != NULL && (entry = readdir(directory)) != NULL) {
		size_t length = strlen(entry->d_name);
		count += entry->d_name[length - 1] != '.' &&
			 length >= strlen(end) &&
			 strcmp(entry->d_name + length - strlen(end), end) == 0;
	}
	if (directory != NULL)
		closedir(directory);
	return count;
}

static unsigned
log_count(const struct scene *s, const char *step)
{
	char path[PATH_MAX + 64], line[64];
	unsigned count = 0;
	FILE *file;

	path_in(s, "log", path);
	file = fopen(path, "r");
	while (file != NULL && fgets(line, sizeof(line), file) != NULL)
		count += strncmp(line, step, strlen(step)) == 0;
	if (file != NULL)
		fclose(file);
	return count;
}

/* ---- processes ---- */

/* True: visit said so of one. */
static bool
each_process(bool (*visit)(pid_t pid, void *arg), void *arg)
{
	DIR *directory = opendir("/proc");
	const struct dirent *entry;
	bool found = false;

	while (!found && (entry = readdir(directory)) != NULL) {
		pid_t pid = (pid_t)atol(entry->d_name);
		found = pid > 0 && visit(pid, arg);
	}
	closedir(directory);
	return found;
}

static bool
is_of_scene(pid_t pid, void *arg)
{
	const struct scene *s = arg;
	char path[64], text[4096];
	ssize_t got;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	got = fd < 0 ? -1 : read(fd, text, sizeof(text));
	if (fd >= 0)
		close(fd);
	return got > 0 &&
	       memmem(text, (size_t)got, s->hook, strlen(s->hook)) != NULL;
}

static bool
hook_runs(struct scene *s)
{
	return each_process(is_of_scene, s);
}

struct search {
	pid_t parent, found;
	const char *name;
};

static bool
is_child(pid_t pid, void *arg)
{
	struct search *search = arg;
	char path[64], name[64] = "";
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (file == NULL)
		return false;
	if (fscanf(file, "%*d (%63[^)]) %*c %d", name, &parent) != 2)
		parent = 0;
	fclose(file);
	if (parent != search->parent || strcmp(name, search->name) != 0)
		return false;
	search->found = pid;
	return true;
}

/* Also when nobody has asked for its status. */
static bool
is_dead(pid_t pid)
{
	char path[64], state = 'Z';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	if (file == NULL)
		return true;
	if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
		state = 'Z';
	fclose(file);
	return state == 'Z';
}

static pid_t
child_find(pid_t parent, const char *name)
{
	struct search search = {.parent = parent, .name = name};

	WAIT_FOR(each_process(is_child, &search));
	return search.found;
}

/* ---- a worker ---- */

struct worker {
	pid_t pid, keeper, deputy;
	int to, from;
};

static void __attribute__((noreturn))
worker_live(const struct scene *s, int to, int from)
{
	struct quiesce_params params = params_of(s);
	struct quiesce *quiesce;
	struct quiesce_result result;
	json_t *problem = quiesce_freeze(&params, &quiesce);
	char byte;

	if (problem != NULL) {
		dprintf(from, "%s\n", varve_problem_code(problem));
		_exit(0);
	}
	dprintf(from, "frozen\n");
	if (read(to, &byte, 1) < 0)
		abort();
	problem = quiesce_thaw(quiesce, &result);
	dprintf(from, "%s %s\n", result.held ? "held" : "not held",
	    problem != NULL ? varve_problem_code(problem) : result.consistency);
	_exit(0);
}

static void
worker_start(const struct scene *s, struct worker *worker)
{
	int to[2], from[2];

	if (pipe2(to, O_CLOEXEC) < 0 || pipe2(from, O_CLOEXEC) < 0)
		abort();
	*worker = (struct worker){.to = to[1], .from = from[0]};
	worker->pid = fork();
	if (worker->pid == 0) {
		close(to[1]);
		close(from[0]);
		worker_live(s, to[0], from[1]);
	}
	close(to[0]);
	close(from[1]);
}

static void
worker_family(struct worker *worker)
{
	worker->keeper = child_find(worker->pid, "varve-keeper");
	worker->deputy = child_find(worker->keeper, "varve-deputy");
}

/* What it says next; "": it has ended. */
static void
worker_hear(const struct worker *worker, char ret_line[64])
{
	size_t length = 0;

	while (length < 63 && read(worker->from, ret_line + length, 1) == 1 &&
	       ret_line[length] != '\n')
		length++;
	ret_line[length] = '\0';
}

static void
worker_go(const struct worker *worker)
{
	if (write(worker->to, "g", 1) < 0)
		MUST(errno == EPIPE);
}

static void
worker_end(const struct worker *worker)
{
	close(worker->to);
	close(worker->from);
	waitpid(worker->pid, NULL, 0);
}

/* ---- kills ---- */

enum { WORKER = 1, KEEPER = 2, DEPUTY = 4, ALL = 7 };

static const char *const steps[] = {
    "freeze-begin", "freeze-end", "frozen", "thaw-begin", "thaw-end"};

static bool
is_freezing(const char *step)
{
	return strncmp(step, "freeze-", 7) == 0;
}

static void
come_to(struct scene *s, struct worker *worker, const char *step)
{
	char file[64], line[64];

	snprintf(file, sizeof(file), "stop-%s", step);
	put(s, file, "");
	worker_start(s, worker);
	snprintf(file, sizeof(file), "held-%s", step);
	if (!is_freezing(step)) {
		worker_hear(worker, line);
		MUST(strcmp(line, "frozen") == 0);
	}
	if (strncmp(step, "thaw-", 5) == 0)
		worker_go(worker);
	if (strcmp(step, "frozen") != 0)
		WAIT_FOR(is_there(s, file));
	worker_family(worker);
}

/* All of them at one instant. */
static void
kill_them(const struct worker *worker, unsigned who)
{
	const pid_t pids[] = {worker->pid, worker->keeper, worker->deputy};
	static const int signals[] = {SIGSTOP, SIGKILL};

	for (unsigned n = 0; n < ARRAY_SIZE(signals); n++)
		for (unsigned i = 0; i < ARRAY_SIZE(pids); i++)
			if ((who & 1u << i) != 0)
				kill(pids[i], signals[n]);
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++)
		if ((who & 1u << i) != 0)
			WAIT_FOR(is_dead(pids[i]));
}

/* What the worker is told, if it lives. */
static const char *
expected(const char *step, unsigned who)
{
	if ((who & KEEPER) == 0)
		return "held fs";
	return is_freezing(step) ? "quiesce.not-frozen" : "not held crash";
}

static void
worker_tells(struct worker *worker, const char *step, unsigned who)
{
	char line[64];

	worker_go(worker);
	if (is_freezing(step) && (who & KEEPER) == 0) {
		worker_hear(worker, line);
		MUST(strcmp(line, "frozen") == 0);
	}
	worker_hear(worker, line);
	if (strcmp(line, expected(step, who)) != 0)
		fprintf(stderr, "%s\n", line);
	MUST(strcmp(line, expected(step, who)) == 0);
}

static void
kill_case(const char *step, unsigned who)
{
	struct scene s;
	struct worker worker;
	char held[64];

	scene_new(&s);
	come_to(&s, &worker, step);
	kill_them(&worker, who);
	snprintf(held, sizeof(held), "held-%s", step);
	/* the hook of a keeper that lives goes on, unless nobody wants the
	 * freeze any more; what a dead one has left hangs to the end */
	if ((who & KEEPER) == 0 && !(is_freezing(step) && (who & WORKER) != 0))
		drop(&s, held);
	if ((who & WORKER) == 0)
		worker_tells(&worker, step, who);
	worker_end(&worker);
	if (who == ALL) {
		MUST(records_count(&s, ".json") == 1);
		MUST(quiesce_recover(s.records) == NULL);
	}
	WAIT_FOR(records_count(&s, ".json") == 0);
	WAIT_FOR(!hook_runs(&s));
	MUST(!is_there(&s, "frozen"));
	MUST(log_count(&s, "thaw-end") > 0);
	WAIT_FOR(records_count(&s, "") == 0);
	MUST(quiesce_recover(s.records) == NULL);
	json_decref(s.about);
}

/* Each in a process of its own, which aborts if it fails; those of one step at
 * once. */
static void
whoever_is_killed_it_is_thawed(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		pid_t pids[ALL + 1];
		for (unsigned who = 1; who <= ALL; who++) {
			pids[who] = fork();
			if (pids[who] != 0)
				continue;
			kill_case(steps[i], who);
			_exit(0);
		}
		for (unsigned who = 1; who <= ALL; who++) {
			int status;
			waitpid(pids[who], &status, 0);
			if (status != 0)
				fail_msg("at %s, of %u", steps[i], who);
		}
	}
}

/* ---- a freeze that goes well ---- */

static struct quiesce *
frozen(void)
{
	struct quiesce_params params = params_of(&scene);
	struct quiesce *quiesce;
	json_t *problem = quiesce_freeze(&params, &quiesce);

	if (problem != NULL)
		fail_msg("%s: %s", varve_problem_what(problem),
		    varve_problem_why(problem));
	return quiesce;
}

static struct quiesce_result
thawed(struct quiesce *quiesce)
{
	struct quiesce_result result;
	json_t *problem = quiesce_thaw(quiesce, &result);

	if (problem != NULL)
		fail_msg("%s: %s", varve_problem_what(problem),
		    varve_problem_why(problem));
	assert_int_equal(records_count(&scene, ""), 0);
	return result;
}

/* Nothing is frozen, nothing left; the problem's why. */
static char *
refused(const char *code)
{
	struct quiesce_params params = params_of(&scene);
	struct quiesce *quiesce;
	json_t *problem = quiesce_freeze(&params, &quiesce);
	char *why;

	assert_non_null(problem);
	assert_null(quiesce);
	assert_string_equal(varve_problem_code(problem), code);
	why = strdup(varve_problem_why(problem));
	json_decref(problem);
	assert_false(is_there(&scene, "frozen"));
	assert_int_equal(records_count(&scene, ""), 0);
	WAIT_FOR(!hook_runs(&scene));
	return why;
}

static void
assert_says(char *why, const char *part)
{
	if (strstr(why, part) == NULL)
		fail_msg("%s", why);
	free(why);
}

static void
what_is_frozen_is_thawed(void **state)
{
	struct quiesce *quiesce = frozen();
	struct quiesce_result result;

	(void)state;
	assert_true(is_there(&scene, "frozen"));
	assert_int_equal(records_count(&scene, ".json"), 1);
	result = thawed(quiesce);
	assert_false(is_there(&scene, "frozen"));
	assert_true(result.held);
	assert_string_equal(result.consistency, "fs");
	assert_int_equal(log_count(&scene, ""), 4);
}

static void
the_hook_knows_what_it_is_about(void **state)
{
	char path[PATH_MAX + 64];
	json_t *heard;

	(void)state;
	put(&scene, "do-freeze",
	    "test \"$VARVE_POLICY $VARVE_SNAPSHOT $VARVE_LUNS\" = "
	    "'nightly tue vms/db01 vms/db02' || exit 1\n"
	    "test $VARVE_LIMIT_MS = 60000 || exit 1\n"
	    "test \"$VARVE_HOOK\" -ef \"$0\" || exit 1\n"
	    "test -z \"$VARVE_OTHER\" || exit 1\n"
	    "echo 17 >\"$VARVE_STATE\"\n"
	    "cat >about\n"
	    "echo ' app'\n");
	put(&scene, "do-thaw",
	    "test \"$(cat \"$VARVE_STATE\")\" = 17 || exit 1\n");
	setenv("VARVE_OTHER", "x", 1);
	assert_string_equal(thawed(frozen()).consistency, "app");
	path_in(&scene, "about", path);
	heard = json_load_file(path, 0, NULL);
	assert_true(json_equal(heard, scene.about));
	json_decref(heard);
}

static void
a_thaw_is_tried_again(void **state)
{
	(void)state;
	put(&scene, "do-thaw",
	    "if [ ! -e once ]; then touch once; exit 1; fi\n");
	assert_true(thawed(frozen()).held);
	assert_int_equal(log_count(&scene, "thaw-begin"), 2);
}

static void
what_was_thawed_before_was_not_held(void **state)
{
	struct quiesce *quiesce = frozen();
	struct quiesce_result result;

	(void)state;
	drop(&scene, "frozen");
	result = thawed(quiesce);
	assert_false(result.held);
	assert_string_equal(result.consistency, "crash");
}

static void
the_end_of_the_budget_thaws(void **state)
{
	struct quiesce *quiesce;
	struct quiesce_result result;

	(void)state;
	scene.budget_ms = 1000;
	quiesce = frozen();
	WAIT_FOR(!is_there(&scene, "frozen"));
	result = thawed(quiesce);
	assert_false(result.held);
	assert_true(result.frozen_ms >= 1000);
}

/* A worker that hangs, as if the snapshot were never made. */
static void
who_reads_the_worker_does_not_wait_for_its_keeper(void **state)
{
	struct worker worker;
	char line[64];

	(void)state;
	put(&scene, "stop-thaw-begin", "");
	worker_start(&scene, &worker);
	worker_hear(&worker, line);
	assert_string_equal(line, "frozen");
	worker_family(&worker);
	kill(worker.pid, SIGKILL);
	/* while its keeper is there still */
	worker_hear(&worker, line);
	assert_string_equal(line, "");
	WAIT_FOR(is_there(&scene, "held-thaw-begin"));
	assert_int_equal(kill(worker.keeper, SIGTERM), 0);
	assert_int_equal(kill(worker.keeper, SIGHUP), 0);
	assert_int_equal(kill(worker.deputy, SIGINT), 0);
	drop(&scene, "held-thaw-begin");
	WAIT_FOR(!is_there(&scene, "frozen"));
	WAIT_FOR(records_count(&scene, "") == 0);
	worker_end(&worker);
}

/* ---- hooks that do not do what they should ---- */

static void
one_that_fails_to_freeze_says_why(void **state)
{
	(void)state;
	put(&scene, "do-freeze",
	    "touch frozen\nprintf 'no such\\n\\033[2J domain\\n' >&2\nexit "
	    "7\n");
	assert_says(refused("quiesce.not-frozen"),
	    "it ended with status 7: no such  [2J domain");
	/* of what it had frozen before it failed */
	assert_int_equal(log_count(&scene, "thaw-end"), 1);
}

static void
one_that_hangs_in_freeze_is_killed(void **state)
{
	static const char *const hangs[] = {"sleep 1000\n",
	    "trap '' TERM HUP INT\nwhile :; do sleep 1000; done\n",
	    "while :; do echo fs; echo fs >&2; done\n", "kill -STOP $$\n"};

	(void)state;
	scene.budget_ms = 300;
	for (size_t i = 0; i < ARRAY_SIZE(hangs); i++) {
		put(&scene, "do-freeze", hangs[i]);
		assert_says(refused("quiesce.not-frozen"),
		    "it took longer than 300 ms");
	}
}

static void
one_that_hangs_in_thaw_is_run_again(void **state)
{
	struct quiesce_result result;
	json_t *problem;

	(void)state;
	scene.thaw_ms = 200;
	put(&scene, "do-thaw", "trap '' TERM\nsleep 1000\n");
	problem = quiesce_thaw(frozen(), &result);
	assert_string_equal(varve_problem_code(problem), "quiesce.not-thawed");
	assert_non_null(strstr(varve_problem_why(problem), "200 ms"));
	json_decref(problem);
	assert_false(result.held);
	assert_true(is_there(&scene, "frozen"));
	drop(&scene, "do-thaw");
	WAIT_FOR(!is_there(&scene, "frozen"));
	WAIT_FOR(records_count(&scene, "") == 0);
}

/* It failed to freeze, and fails to thaw. */
static void
one_that_does_nothing_is_not_waited_for(void **state)
{
	struct quiesce_params params;
	struct quiesce *quiesce;
	json_t *problem;

	(void)state;
	scene.thaw_ms = 200;
	put(&scene, "do-freeze", "touch frozen\nexit 1\n");
	put(&scene, "do-thaw", "exit 1\n");
	params = params_of(&scene);
	problem = quiesce_freeze(&params, &quiesce);
	assert_string_equal(varve_problem_code(problem), "quiesce.not-thawed");
	json_decref(problem);
	assert_null(quiesce);
	drop(&scene, "do-thaw");
	WAIT_FOR(!is_there(&scene, "frozen"));
	WAIT_FOR(records_count(&scene, "") == 0);
}

static void
what_a_hook_leaves_running_is_not_waited_for(void **state)
{
	(void)state;
	put(&scene, "do-freeze", "sleep 1000 &\necho $! >\"$VARVE_STATE\"\n");
	put(&scene, "do-thaw", "kill $(cat \"$VARVE_STATE\")\n");
	assert_true(thawed(frozen()).held);
	WAIT_FOR(!hook_runs(&scene));
}

static void
what_it_prints_does_no_harm(void **state)
{
	(void)state;
	put(&scene, "do-freeze", "echo fs\nhead -c 1000000 /dev/zero\n");
	assert_string_equal(thawed(frozen()).consistency, "fs");
	put(&scene, "do-freeze",
	    "head -c 1073741824 /dev/zero; head -c 1000000 /dev/zero >&2\n");
	assert_says(refused("quiesce.not-frozen"), "neither fs nor app");
	put(&scene, "do-freeze", "head -c 100000 /dev/urandom >&2\nexit 1\n");
	assert_says(refused("quiesce.not-frozen"), "status 1");
	put(&scene, "do-freeze", "echo crash\n");
	assert_says(refused("quiesce.not-frozen"), "neither fs nor app");
	put(&scene, "do-freeze", "echo fsandmorethanthat\n");
	assert_says(refused("quiesce.not-frozen"), "neither fs nor app");
}

static void
what_is_no_program_is_not_run(void **state)
{
	(void)state;
	assert_int_equal(chmod(scene.hook, 0644), 0);
	assert_says(refused("quiesce.hook"), "it cannot be run");
	put(&scene, "hook", "\001\002\003");
	assert_int_equal(chmod(scene.hook, 0755), 0);
	assert_says(refused("quiesce.not-frozen"), "Exec format error");
	put(&scene, "hook", "#!/no/such/shell\n");
	assert_says(refused("quiesce.not-frozen"), "No such file");
	drop(&scene, "hook");
	assert_says(refused("quiesce.hook"), "No such file");
	assert_int_equal(mkdir(scene.hook, 0755), 0);
	assert_says(refused("quiesce.hook"), "it is no file");
	assert_int_equal(log_count(&scene, ""), 0);
}

static void
what_others_can_change_is_not_run(void **state)
{
	(void)state;
	assert_int_equal(chmod(scene.hook, 0757), 0);
	assert_says(refused("quiesce.hook"), "others than its owner");
	assert_int_equal(chmod(scene.hook, 0775), 0);
	assert_says(refused("quiesce.hook"), "others than its owner");
	assert_int_equal(chmod(scene.hook, 0755), 0);
	assert_int_equal(chmod(scene.directory, 0777), 0);
	assert_says(refused("quiesce.hook"), "a directory");
	assert_int_equal(chmod(scene.directory, 01777), 0);
	assert_true(thawed(frozen()).held);
	assert_int_equal(chmod(scene.directory, 0755), 0);
	if (geteuid() != 0)
		return;
	assert_int_equal(chown(scene.hook, 65534, 65534), 0);
	assert_says(refused("quiesce.hook"), "neither root's");
}

static void
without_a_record_nothing_is_frozen(void **state)
{
	(void)state;
	put(&scene, "records", "");
	assert_says(refused("quiesce.record"), "Not a directory");
	assert_int_equal(log_count(&scene, ""), 0);
}

/* ---- recovery ---- */

static void
recovery_waits_for_who_has_it_frozen(void **state)
{
	struct quiesce *quiesce = frozen();
	struct pollfd ended = {.events = POLLIN};
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0)
		_exit(quiesce_recover(scene.records) != NULL);
	ended.fd = pidfd_open(pid, 0);
	assert_int_equal(poll(&ended, 1, 300), 0);
	assert_true(thawed(quiesce).held);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(log_count(&scene, "thaw-begin"), 1);
	close(ended.fd);
}

static void
record_make(const char *name)
{
	char path[PATH_MAX + 64];
	json_t *json = json_pack("{s:i, s:s, s:O, s:i}", "varve_quiesce", 1,
	    "hook", scene.hook, "about", scene.about, "thaw_ms", 1000);

	mkdir(scene.records, 0700);
	snprintf(path, sizeof(path), "%s/%s", scene.records, name);
	assert_int_equal(json_dump_file(json, path, 0), 0);
	json_decref(json);
}

static void
many_recover_at_once(void **state)
{
	pid_t pids[6];
	int status;

	(void)state;
	record_make("00000000-0000-4000-8000-000000000001.json");
	record_make("00000000-0000-4000-8000-000000000002.json");
	record_make(".00000000-0000-4000-8000-000000000003.new");
	put(&scene, "frozen", "");
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++) {
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(quiesce_recover(scene.records) != NULL);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(pids); i++) {
		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	assert_int_equal(log_count(&scene, "thaw-begin"), 2);
	assert_int_equal(records_count(&scene, ""), 0);
	assert_false(is_there(&scene, "frozen"));
}

/* One that nobody can read does not keep others from being thawed; a session
 * of before the machine's start, or of somebody else, is not killed. */
static void
records_of_any_kind_are_survived(void **state)
{
	json_t *problem;
	char text[64];
	pid_t other;

	(void)state;
	record_make("00000000-0000-4000-8000-000000000001.json");
	put(&scene, "records/.00000000-0000-4000-8000-000000000001.group",
	    "1 1\n");
	record_make("00000000-0000-4000-8000-000000000002.json");
	other = fork();
	if (other == 0) {
		setsid();
		for (;;)
			pause();
	}
	snprintf(text, sizeof(text), "%d 1 %s\n", (int)other,
	    "00000000-0000-4000-8000-00000000000b");
	put(&scene, "records/.00000000-0000-4000-8000-000000000002.group",
	    text);
	put(&scene, "records/garbage.json", "{\"varve_quiesce\": 1}");
	put(&scene, "frozen", "");
	problem = quiesce_recover(scene.records);
	assert_string_equal(varve_problem_code(problem), "quiesce.record");
	json_decref(problem);
	assert_int_equal(log_count(&scene, "thaw-begin"), 2);
	assert_int_equal(records_count(&scene, ""), 1);
	assert_int_equal(kill(other, 0), 0);
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
}

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(what_is_frozen_is_thawed),
	    TEST(the_hook_knows_what_it_is_about),
	    TEST(a_thaw_is_tried_again),
	    TEST(what_was_thawed_before_was_not_held),
	    TEST(the_end_of_the_budget_thaws),
	    TEST(who_reads_the_worker_does_not_wait_for_its_keeper),
	    TEST(one_that_fails_to_freeze_says_why),
	    TEST(one_that_hangs_in_freeze_is_killed),
	    TEST(one_that_hangs_in_thaw_is_run_again),
	    TEST(one_that_does_nothing_is_not_waited_for),
	    TEST(what_a_hook_leaves_running_is_not_waited_for),
	    TEST(what_it_prints_does_no_harm),
	    TEST(what_is_no_program_is_not_run),
	    TEST(what_others_can_change_is_not_run),
	    TEST(without_a_record_nothing_is_frozen),
	    TEST(recovery_waits_for_who_has_it_frozen),
	    TEST(many_recover_at_once),
	    TEST(records_of_any_kind_are_survived),
	    TEST(whoever_is_killed_it_is_thawed),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
