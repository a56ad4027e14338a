/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims about the end of a connection that depend on which deferred call was
 * asked for first.  Not covered: all that can be had over the wire.
 */
#include "target/iscsi/conn.h"
#include "target/iscsi/reactor.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/target/iscsi/support/still_loop.h"
#include <sys/socket.h>
#include <unistd.h>

static void
task_runs(struct loop_task *task)
{
	assert_true(task->queued);
	task->queued = false;
	task->run(task);
}

static void
what_a_logout_deferred_before_it_closed_does_not_keep_it(void **state)
{
	struct loop loop = {.ops = &still_loop_ops};
	struct iscsi_reactor reactor = {.loop = &loop};
	struct iscsi_server server = {.reactors = &reactor, .conn_count = 1};
	struct iscsi_conn *conn;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	conn = iscsi_conn_new(&server, pair[0], 1);
	assert_non_null(conn);
	conn->loop = &loop;
	conn->state = ISCSI_CONN_FULL;
	conn->logout.own = true;
	iscsi_conn_closing_step(conn);
	loop_defer(&loop, &conn->tx.kick);
	iscsi_conn_close(conn, "lost");
	task_runs(&conn->closing);
	conn->tx.kick.queued = false; /* it does nothing any more */
	task_runs(&conn->closing);
	assert_int_equal(conn->state, ISCSI_CONN_GONE);
	task_runs(&conn->move);
	assert_int_equal(server.conn_count, 0);
	close(pair[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		what_a_logout_deferred_before_it_closed_does_not_keep_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
