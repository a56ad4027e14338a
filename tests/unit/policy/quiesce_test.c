/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Freezing and thawing by a hook: when all goes well, what a hook may do wrong,
 * and what is found later.  Who may be killed is the matter of
 * quiesce_kill_test.c; that guests are really frozen, that of tests/libvirt.
 */
#include "base/assert.h"
#include "base/cleanup.h"
#include "client/problem.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/policy/support/scene.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

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
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, top_make, top_remove);
}
