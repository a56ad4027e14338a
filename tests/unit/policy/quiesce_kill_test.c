/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whoever of those that freeze and thaw is killed, alone and together, at each
 * step: what is frozen is thawed.
 */
#include "base/assert.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/policy/support/scene.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

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

int
main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(whoever_is_killed_it_is_thawed),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, top_make, top_remove);
}
