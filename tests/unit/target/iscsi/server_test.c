/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims about what is asked of the server when there is no memory for the
 * question.  Not covered: answers (tests/wire, tests/unit/target).
 */
#include "target/iscsi/reactor.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/base/support/sanitized.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

static struct iscsi_server server;
static int result_of_latency, result_of_drop;
static unsigned lists;

static void
looked(void *arg, int result)
{
	*(int *)arg = result;
}

static void
listed(void *arg, const struct iscsi_session_info *infos, unsigned count)
{
	*(unsigned *)arg += infos == NULL && count == 0;
}

/* ---- No memory ---- */

static struct rlimit before;
static void *hoard;

/* The heap must not grow, and what is free in it is taken. */
static void
memory_is_used_up(void)
{
	struct rlimit none;
	void **piece;

	getrlimit(RLIMIT_AS, &before);
	none = (struct rlimit){1, before.rlim_max};
	setrlimit(RLIMIT_AS, &none);
	while ((piece = malloc(sizeof(*piece))) != NULL) {
		*piece = hoard;
		hoard = piece;
	}
}

static void
memory_is_given_back(void)
{
	setrlimit(RLIMIT_AS, &before);
	while (hoard != NULL) {
		void *piece = hoard;
		hoard = *(void **)piece;
		free(piece);
	}
}

static void
who_asks_without_memory_is_told(void **state)
{
	struct latency latency;

	(void)state;
#ifdef SANITIZED
	skip(); /* sanitizers map memory of their own */
#endif
	memory_is_used_up();
	iscsi_session_latency(&server, 1, &latency, looked, &result_of_latency);
	iscsi_session_drop(&server, 1, looked, &result_of_drop);
	iscsi_sessions_list(&server, listed, &lists);
	memory_is_given_back();
	assert_int_equal(result_of_latency, -ENOMEM);
	assert_int_equal(result_of_drop, -ENOMEM);
	assert_int_equal(lists, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(who_asks_without_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
