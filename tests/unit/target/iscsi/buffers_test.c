/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims about when a connection that holds all it may stops receiving for
 * data that has come already, and when it must not.  Not covered: that what
 * waits goes on, and what it is told that is refused (tests/wire).
 */
#include "target/iscsi/reactor.h"
#include "target/iscsi/task.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/target/iscsi/support/still_loop.h"
#include <errno.h>

#define LIMIT 65536u

static struct loop loop = {.ops = &still_loop_ops};
static struct iscsi_server server = {.limits.data_bytes = LIMIT};
static struct iscsi_conn conn;
static struct iscsi_task holder, task;

static int
setup(void **state)
{
	(void)state;
	conn = (struct iscsi_conn){
	    .server = &server, .loop = &loop, .data_bytes = LIMIT};
	holder = (struct iscsi_task){.conn = &conn, .held = LIMIT};
	task = (struct iscsi_task){.conn = &conn,
	    .scsi.data_length = 512,
	    .state = ISCSI_TASK_RECEIVING};
	iscsi_buffers_init(&conn);
	list_init(&conn.tasks);
	list_add_tail(&conn.tasks, &holder.link);
	list_add_tail(&conn.tasks, &task.link);
	return 0;
}

static void
is_refused(void)
{
	assert_int_equal(iscsi_buffers_now(&task), -EBUSY);
	assert_false(task.stalled);
	assert_true(list_empty(&conn.buffer_queue));
}

static void
what_executes_is_waited_for(void **state)
{
	(void)state;
	assert_int_equal(iscsi_buffers_now(&task), -EAGAIN);
	assert_true(task.stalled);
	assert_ptr_equal(conn.buffer_queue.next, &task.wait);
}

static void
what_waits_for_the_limits_of_its_unit_is_not(void **state)
{
	(void)state;
	holder.scsi.throttled = true;
	is_refused();
}

static void
nor_what_waits_for_its_turn(void **state)
{
	(void)state;
	holder.scsi.dormant = true;
	is_refused();
}

/* It holds nothing that would be of use. */
static void
unless_it_holds_nothing(void **state)
{
	(void)state;
	task.scsi.dormant = true;
	assert_int_equal(iscsi_buffers_now(&task), -EAGAIN);
}

static void
while_data_is_awaited_nothing_is_waited_for(void **state)
{
	(void)state;
	conn.awaiting = 1;
	is_refused();
}

static void
nor_for_what_was_held_before_its_turn(void **state)
{
	(void)state;
	conn.rx.pdu.replayed = true;
	is_refused();
}

#define test(f) cmocka_unit_test_setup(f, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    test(what_executes_is_waited_for),
	    test(what_waits_for_the_limits_of_its_unit_is_not),
	    test(nor_what_waits_for_its_turn),
	    test(unless_it_holds_nothing),
	    test(while_data_is_awaited_nothing_is_waited_for),
	    test(nor_for_what_was_held_before_its_turn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
