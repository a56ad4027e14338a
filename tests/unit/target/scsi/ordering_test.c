/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The task set: who waits for whom, under SIMPLE, ORDERED, HEAD OF QUEUE.
 */
#include "tests/unit/target/scsi/support/rig.h"

static void
start(struct cmd *cmd, struct rig *rig, unsigned nexus, uint32_t lba,
    enum scsi_attribute attribute)
{
	CMD(cmd, rig, 0x28, 0, BE32(lba), 0, BE16(1), 0);
	cmd->task.attribute = attribute;
	cmd->task.nexus = rig->nexus[nexus];
	assert_true(cmd_begin(cmd));
	cmd_execute(cmd);
	rig_drain(rig);
}

static bool
at_store(const struct rig *rig, uint32_t lba)
{
	for (unsigned i = 0; i < rig->spy->log_count; i++) {
		if (rig->spy->log[i].offset == (uint64_t)lba * 512)
			return true;
	}
	return false;
}

static void
finish(struct cmd *cmds, unsigned count)
{
	struct rig *rig = cmds[0].rig;

	while (spy_release(rig->spy))
		rig_drain(rig);
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(cmds[i].completions, 1);
		assert_good(&cmds[i]);
		cmd_release(&cmds[i]);
	}
	assert_int_equal(rig->lun->dormant, 0);
	assert_int_equal(rig->lun->barriers, 0);
}

static void
simple_tasks_run_side_by_side(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[3];

	rig->spy->hold = true;
	start(&cmds[0], rig, 0, 10, SCSI_SIMPLE);
	start(&cmds[1], rig, 1, 11, SCSI_UNTAGGED);
	start(&cmds[2], rig, 0, 12, SCSI_SIMPLE);
	assert_int_equal(rig->spy->log_count, 3);
	finish(cmds, 3);
}

static void
ordered_waits_for_all_before_and_holds_all_behind(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[4];

	rig->spy->hold = true;
	start(&cmds[0], rig, 0, 10, SCSI_SIMPLE);
	start(&cmds[1], rig, 1, 11, SCSI_SIMPLE);
	start(&cmds[2], rig, 0, 12, SCSI_ORDERED);
	start(&cmds[3], rig, 1, 13, SCSI_SIMPLE);
	assert_int_equal(rig->spy->log_count, 2);
	spy_release(rig->spy);
	rig_drain(rig);
	assert_false(at_store(rig, 12));
	spy_release(rig->spy);
	rig_drain(rig);
	assert_true(at_store(rig, 12));
	assert_false(at_store(rig, 13));
	spy_release(rig->spy);
	rig_drain(rig);
	assert_true(at_store(rig, 13));
	finish(cmds, 4);
}

static void
head_of_queue_waits_for_nobody_and_holds_what_has_not_started(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[4];

	rig->spy->hold = true;
	start(&cmds[0], rig, 0, 10, SCSI_SIMPLE);
	start(&cmds[1], rig, 0, 11, SCSI_ORDERED);
	start(&cmds[2], rig, 0, 12, SCSI_HEAD_OF_QUEUE);
	start(&cmds[3], rig, 0, 13, SCSI_SIMPLE);
	assert_true(at_store(rig, 12));
	assert_false(at_store(rig, 11));
	spy_release(rig->spy); /* 10 */
	rig_drain(rig);
	assert_false(at_store(rig, 11));
	spy_release(rig->spy); /* 12 */
	rig_drain(rig);
	assert_true(at_store(rig, 11));
	assert_false(at_store(rig, 13));
	finish(cmds, 4);
}

static void
an_ordered_task_waiting_for_its_data_holds_the_others(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[2];
	uint8_t data[512] = {0};

	CMD(&cmds[0], rig, 0x2a, 0, BE32(1), 0, BE16(1), 0);
	cmd_out(&cmds[0], data, 512);
	cmds[0].task.attribute = SCSI_ORDERED;
	assert_true(cmd_begin(&cmds[0]));
	start(&cmds[1], rig, 1, 9, SCSI_SIMPLE);
	assert_int_equal(rig->spy->log_count, 0);
	cmd_execute(&cmds[0]);
	rig_drain(rig);
	assert_int_equal(rig->spy->log[0].op, BS_WRITE);
	finish(cmds, 2);
}

/* What it came in front of may hold the buffers that its data needs. */
static void
a_head_of_queue_task_waiting_for_its_data_holds_nobody(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[4];
	uint8_t data[512] = {0};

	rig->spy->hold = true;
	CMD(&cmds[0], rig, 0x2a, 0, BE32(1), 0, BE16(1), 0);
	cmd_out(&cmds[0], data, 512);
	cmds[0].task.attribute = SCSI_HEAD_OF_QUEUE;
	assert_true(cmd_begin(&cmds[0]));
	start(&cmds[1], rig, 1, 9, SCSI_SIMPLE);
	assert_true(at_store(rig, 9));
	start(&cmds[2], rig, 1, 10, SCSI_ORDERED);
	assert_true(spy_release(rig->spy));
	rig_drain(rig);
	assert_true(at_store(rig, 10));
	/* once it has its data it is before all that have not begun */
	cmd_execute(&cmds[0]);
	rig_drain(rig);
	start(&cmds[3], rig, 1, 11, SCSI_SIMPLE);
	assert_true(scsi_task_is_blocked(&cmds[3].task));
	assert_false(scsi_task_is_blocked(&cmds[0].task));
	assert_true(at_store(rig, 1));
	assert_true(spy_release(rig->spy));
	rig_drain(rig);
	assert_true(cmds[2].done);
	assert_false(at_store(rig, 11));
	finish(cmds, 4);
}

static void
a_dropped_task_lets_the_others_go(void **state)
{
	struct rig *rig = *state;
	struct cmd ordered, cmd;

	CMD(&ordered, rig, 0x28, 0, BE32(1), 0, BE16(1), 0);
	ordered.task.attribute = SCSI_ORDERED;
	assert_true(cmd_begin(&ordered));
	start(&cmd, rig, 1, 9, SCSI_SIMPLE);
	assert_false(cmd.done);
	scsi_task_drop(&ordered.task);
	assert_int_equal(ordered.task.phase, SCSI_TASK_IDLE);
	rig_drain(rig);
	finish(&cmd, 1);
}

static void
many_ordered_tasks_run_one_after_the_other(void **state)
{
	struct rig *rig = *state;
	static struct cmd cmds[200];

	rig->spy->hold = true;
	for (unsigned i = 0; i < ARRAY_SIZE(cmds); i++)
		start(&cmds[i], rig, i % 2, i, SCSI_ORDERED);
	for (unsigned i = 0; i < ARRAY_SIZE(cmds); i++) {
		assert_int_equal(rig->spy->log_count, i + 1);
		assert_int_equal(rig->spy->log[i].offset, i * 512);
		spy_release(rig->spy);
		rig_drain(rig);
	}
	finish(cmds, ARRAY_SIZE(cmds));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(simple_tasks_run_side_by_side),
	    rig_test(ordered_waits_for_all_before_and_holds_all_behind),
	    rig_test(
		head_of_queue_waits_for_nobody_and_holds_what_has_not_started),
	    rig_test(an_ordered_task_waiting_for_its_data_holds_the_others),
	    rig_test(a_head_of_queue_task_waiting_for_its_data_holds_nobody),
	    rig_test(a_dropped_task_lets_the_others_go),
	    rig_test(many_ordered_tasks_run_one_after_the_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
