/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims about who is let into a session.  Not covered: all that can be had
 * over the wire (tests/wire).
 */
#include "target/iscsi/login.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/session.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/target/iscsi/support/still_loop.h"

static void
nothing_is_run(struct loop_task *task)
{
	(void)task;
}

static void
nobody_joins_a_session_that_could_not_be_opened(void **state)
{
	struct loop loop = {.ops = &still_loop_ops};
	struct iscsi_server server = {0};
	struct iscsi_login login = {.cid = 2};
	struct iscsi_session *session;
	struct iscsi_conn conn = {
	    .server = &server,
	    .fd = -1,
	    .state = ISCSI_CONN_MOVING,
	    .loop = &loop,
	    .closing.run = nothing_is_run,
	    .login = &login,
	};

	(void)state;
	session = iscsi_session_new(&server);
	assert_non_null(session);
	session->state = ISCSI_SESSION_ACTIVE;
	session->params.value[ISCSI_KEY_MaxConnections] = 2;
	list_init(&conn.link);
	conn.session = session;
	iscsi_session_join(session, &conn);
	assert_int_equal(conn.state, ISCSI_CONN_CLOSING);
	list_del(&conn.link);
	iscsi_session_free(session);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nobody_joins_a_session_that_could_not_be_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
