/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/policy/support/scene.h"
#include "base/assert.h"
#include "client/problem.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

struct scene scene;

void
path_in(const struct scene *s, const char *name, char ret_path[PATH_MAX + 64])
{
	snprintf(ret_path, PATH_MAX + 64, "%s/%s", s->directory, name);
}

void
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

void
drop(const struct scene *s, const char *name)
{
	char path[PATH_MAX + 64];

	path_in(s, name, path);
	unlink(path);
}

bool
is_there(const struct scene *s, const char *name)
{
	char path[PATH_MAX + 64];

	path_in(s, name, path);
	return access(path, F_OK) == 0;
}

/* All scenes are in it. */
static char top[] = "/tmp/varve-quiesce-XXXXXX";

int
top_make(void **state)
{
	(void)state;
	return mkdtemp(top) != NULL ? 0 : -1;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

int
top_remove(void **state)
{
	(void)state;
	return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void
scene_new(struct scene *s)
{
	char template[sizeof(top) + 8];

	snprintf(template, sizeof(template), "%s/XXXXXX", top);
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

int
set_up(void **state)
{
	(void)state;
	scene_new(&scene);
	return 0;
}

int
tear_down(void **state)
{
	(void)state;
	json_decref(scene.about);
	return 0;
}

struct quiesce_params
params_of(const struct scene *s)
{
	return (struct quiesce_params){.hook = s->hook,
	    .directory = s->records,
	    .about = s->about,
	    .budget_ms = s->budget_ms,
	    .thaw_ms = s->thaw_ms};
}

/* ---- waiting ---- */

void
rest(void)
{
	const struct timespec pause = {.tv_nsec = 5000000};

	nanosleep(&pause, NULL);
}

unsigned
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

unsigned
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

bool
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

bool
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

void
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

void
worker_family(struct worker *worker)
{
	worker->keeper = child_find(worker->pid, "varve-keeper");
	worker->deputy = child_find(worker->keeper, "varve-deputy");
}

void
worker_hear(const struct worker *worker, char ret_line[64])
{
	size_t length = 0;

	while (length < 63 && read(worker->from, ret_line + length, 1) == 1 &&
	       ret_line[length] != '\n')
		length++;
	ret_line[length] = '\0';
}

void
worker_go(const struct worker *worker)
{
	if (write(worker->to, "g", 1) < 0)
		MUST(errno == EPIPE);
}

void
worker_end(const struct worker *worker)
{
	close(worker->to);
	close(worker->from);
	waitpid(worker->pid, NULL, 0);
}
