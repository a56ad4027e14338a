/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * REPORT LUNS, REPORT SUPPORTED OPERATION CODES, REPORT SUPPORTED TASK
 * MANAGEMENT FUNCTIONS.
 */
#include "tests/unit/target/scsi/support/rig.h"

static void
luns(struct cmd *cmd, struct rig *rig, uint8_t select, uint32_t length)
{
	CMD(cmd, rig, 0xa0, 0, select, 0, 0, 0, BE32(length), 0, 0);
	cmd_run(cmd);
	assert_good(cmd);
}

static void
luns_are_listed_in_both_address_forms(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const unsigned numbers[] = {0, 255, 256, LUN_NUMBER_MAX};
	const uint16_t forms[] = {0x0000, 0x00ff, 0x4100, 0x7fff};

	for (unsigned i = 1; i < 4; i++)
		assert_int_equal(scsi_nexus_map(rig->nexus[0], numbers[i],
				     rig->lun, false, false),
		    0);
	luns(&cmd, rig, 0, 1024);
	assert_int_equal(cmd.task.in_length, 8 + 4 * 8);
	assert_int_equal(load_be32(cmd_in(&cmd)), 32);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(load_be64(cmd_in(&cmd) + 8 + 8 * i),
		    (uint64_t)forms[i] << 48);
	cmd_release(&cmd);

	luns(&cmd, rig, 2, 16);
	assert_int_equal(cmd.task.in_length, 16);
	assert_int_equal(load_be32(cmd_in(&cmd)), 32);
	cmd_release(&cmd);
	luns(&cmd, rig, 1, 1024); /* well known units: none */
	assert_int_equal(cmd.task.in_length, 8);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0xa0, 0, 3, 0, 0, 0, BE32(16), 0, 0);
	run_field(&cmd, 2, -1);
}

static void
a_list_longer_than_a_small_buffer_is_whole(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (unsigned i = 1; i < 2000; i++)
		assert_int_equal(
		    scsi_nexus_map(rig->nexus[0], i, rig->lun, false, false),
		    0);
	luns(&cmd, rig, 2, 1 << 20);
	assert_int_equal(cmd.task.in_length, 8 + 2000 * 8);
	assert_int_equal(load_be16(cmd_in(&cmd) + 8 + 8 * 1999), 0x4000 | 1999);
	cmd_release(&cmd);
}

static void
codes(struct cmd *cmd, struct rig *rig, uint8_t options, uint8_t opcode,
    uint16_t action)
{
	CMD(cmd, rig, 0xa3, 0x0c, options, opcode, BE16(action), BE32(65536), 0,
	    0);
	cmd_run(cmd);
}

static void
every_command_is_listed_with_and_without_timeouts(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (unsigned rctd = 0; rctd < 2; rctd++) {
		unsigned size = rctd ? 20 : 8;
		codes(&cmd, rig, (uint8_t)(rctd << 7), 0, 0);
		assert_good(&cmd);
		const uint8_t *in = cmd_in(&cmd);
		assert_int_equal(load_be32(in) + 4, cmd.task.in_length);
		assert_int_equal(load_be32(in), size * scsi_op_count);
		for (unsigned i = 0; i < scsi_op_count; i++) {
			const uint8_t *d = in + 4 + size * i;
			bool action = scsi_ops[i].flags & OP_ACTION;
			assert_int_equal(d[0], scsi_ops[i].opcode);
			assert_int_equal(load_be16(d + 2), scsi_ops[i].action);
			assert_int_equal(d[5], (action ? 1 : 0) | rctd << 1);
			assert_int_equal(load_be16(d + 6), scsi_ops[i].length);
			if (rctd)
				assert_int_equal(load_be16(d + 8), 10);
		}
		cmd_release(&cmd);
	}
}

static void
one_command_is_told_with_its_usage(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (unsigned i = 0; i < scsi_op_count; i++) {
		const struct scsi_op *op = &scsi_ops[i];
		bool action = op->flags & OP_ACTION;
		codes(&cmd, rig, action ? 1 : 2, op->opcode, op->action);
		assert_sense(&cmd, INVALID_FIELD_IN_CDB);
		cmd_release(&cmd);
		for (uint8_t options = action ? 2 : 1; options <= 3;
		     options += action ? 1 : 2) {
			codes(
			    &cmd, rig, 0x80 | options, op->opcode, op->action);
			assert_good(&cmd);
			const uint8_t *in = cmd_in(&cmd);
			assert_int_equal(in[1], 0x83);
			assert_int_equal(load_be16(in + 2), op->length);
			assert_memory_equal(in + 4, op->mask, op->length);
			assert_int_equal(
			    cmd.task.in_length, 4u + op->length + 12u);
			cmd_release(&cmd);
		}
	}
}

static void
what_is_not_there_is_not_supported(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (uint8_t options = 1; options <= 3; options++) {
		codes(&cmd, rig, options, 0xff, 0);
		assert_good(&cmd);
		assert_int_equal(cmd.task.in_length, 4);
		assert_int_equal(cmd_in(&cmd)[1], 1);
		cmd_release(&cmd);
	}
	codes(&cmd, rig, 2, 0x9e, 0x1f);
	assert_good(&cmd);
	assert_int_equal(cmd_in(&cmd)[1], 1);
	cmd_release(&cmd);
	rig->spy->bs.thin = false;
	codes(&cmd, rig, 1, 0x42, 0);
	assert_good(&cmd);
	assert_int_equal(cmd_in(&cmd)[1], 1);
	cmd_release(&cmd);
	codes(&cmd, rig, 4, 0x42, 0);
	assert_sense(&cmd, INVALID_FIELD_IN_CDB);
	cmd_release(&cmd);
}

static void
task_management_functions_are_those_that_work(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0xa3, 0x0d, 0, 0, 0, 0, BE32(64), 0, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, 4);
	assert_int_equal(cmd_in(&cmd)[0], 0xde);
	assert_int_equal(cmd_in(&cmd)[1], 0x07);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0xa3, 0x0d, 0x80, 0, 0, 0, BE32(64), 0, 0);
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, 16);
	assert_int_equal(cmd_in(&cmd)[3], 12);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0xa3, 0x0d, 0, 0, 0, 0, BE32(3), 0, 0);
	run_field(&cmd, 6, -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(luns_are_listed_in_both_address_forms),
	    rig_test(a_list_longer_than_a_small_buffer_is_whole),
	    rig_test(every_command_is_listed_with_and_without_timeouts),
	    rig_test(one_command_is_told_with_its_usage),
	    rig_test(what_is_not_there_is_not_supported),
	    rig_test(task_management_functions_are_those_that_work),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
