/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which commands are refused before they start, for every row of the opcode
 * table: reserved bits, unit attention, reservation, stopped unit, write
 * protection, no unit.  What a command does once it begins is its file's test.
 */
#include "target/scsi/handlers.h"
#include "tests/unit/target/scsi/support/rig.h"

/* A CDB of this row with nothing set that need not be. */
static void
cmd_of(struct cmd *cmd, struct rig *rig, const struct scsi_op *op)
{
	uint8_t cdb[16] = {op->opcode};

	if (op->flags & OP_ACTION)
		cdb[1] = op->action;
	if (op->answer == report_tmf)
		cdb[9] = 4;
	if (op->run == sbc_write_same)
		cdb[op->length - (op->length == 10 ? 2 : 3)] = 1;
	if (op->answer == mode_sense)
		cdb[2] = 0x3f;
	if (op->run == pr_out) {
		cdb[2] = 0x01; /* write exclusive */
		cdb[8] = 24;
	}
	if (op->answer == log_sense)
		cdb[2] = 0x40;
	if (op->run == sanitize_overwrite)
		cdb[8] = 8;
	if (op->run == buffer_write)
		cdb[1] = 0x0a; /* to the echo buffer */
	cmd_init(cmd, rig, cdb, op->length);
	/* what WRITE SAME wants of it; COMPARE AND WRITE of nothing, none */
	if (op->run != sbc_compare_and_write)
		cmd->task.expected_out = rig->block_size;
}

static void
drop_or_release(struct cmd *cmd)
{
	if (cmd->began)
		scsi_task_drop(&cmd->task);
	else
		cmd_release(cmd);
}

static void
every_bit_outside_a_mask_is_refused_and_pointed_at(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	unsigned refused = 0;

	for (unsigned i = 0; i < scsi_op_count; i++) {
		const struct scsi_op *op = &scsi_ops[i];
		for (unsigned bit = 8; bit < 8u * op->length; bit++) {
			bool action = (op->flags & OP_ACTION) && bit / 8 == 1 &&
				      bit % 8 < 5;
			uint8_t set = (uint8_t)(1 << bit % 8);
			if (action || (op->mask[bit / 8] & set))
				continue;
			cmd_of(&cmd, rig, op);
			cmd.task.cdb[bit / 8] |= set;
			run_field(&cmd, bit / 8, bit % 8);
			refused++;
		}
	}
	assert_true(refused > 1000);
}

static void
every_row_begins_when_nothing_is_wrong(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (unsigned i = 0; i < scsi_op_count; i++) {
		cmd_of(&cmd, rig, &scsi_ops[i]);
		cmd_begin(&cmd);
		if (!cmd.began)
			print_error("%s\n", scsi_ops[i].name);
		assert_true(cmd.began);
		assert_ptr_equal(cmd.task.op, &scsi_ops[i]);
		scsi_task_drop(&cmd.task);
	}
	assert_int_equal(rig->lun->task_count, 0);
}

static void
a_cdb_that_is_too_short_is_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (unsigned i = 0; i < scsi_op_count; i++) {
		cmd_of(&cmd, rig, &scsi_ops[i]);
		cmd.task.cdb_length--;
		run_field(&cmd, cmd.task.cdb_length, -1);
	}
}

static void
what_is_not_in_the_table_is_no_operation_code(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	bool known;

	for (unsigned code = 0; code < 256; code++) {
		known = false;
		if (scsi_op_find((uint8_t)code, 0x1f, &known) != NULL || known)
			continue;
		CMD(&cmd, rig, (uint8_t)code, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		    0, 0, 0, 0);
		run_sense(&cmd, INVALID_COMMAND_OPERATION_CODE);
	}
	CMD(&cmd, rig, 0x9e, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	run_field(&cmd, 1, 4);
}

static void
a_unit_attention_stops_every_command_but_three(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	unsigned exempt = 0;

	for (unsigned i = 0; i < scsi_op_count; i++) {
		attention_set_lun(rig->lun, ATTENTION_MODE, NULL);
		cmd_of(&cmd, rig, &scsi_ops[i]);
		if (cmd_begin(&cmd)) {
			uint8_t code = scsi_ops[i].opcode;
			assert_true(
			    code == 0x03 || code == 0x12 || code == 0xa0);
			exempt++;
		} else {
			assert_sense(&cmd, MODE_PARAMETERS_CHANGED);
		}
		drop_or_release(&cmd);
	}
	assert_int_equal(exempt, 3);
}

static void
a_unit_attention_comes_before_an_unknown_command(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	attention_set_lun(rig->lun, ATTENTION_MODE, NULL);
	CMD(&cmd, rig, 0xff, 0);
	run_sense(&cmd, MODE_PARAMETERS_CHANGED);
	CMD(&cmd, rig, 0xff, 0);
	run_sense(&cmd, INVALID_COMMAND_OPERATION_CODE);
}

static void
a_reservation_stops_the_other_nexus(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x16, 0, 0, 0, 0, 0);
	run_good(&cmd);
	for (unsigned i = 0; i < scsi_op_count; i++) {
		const struct scsi_op *op = &scsi_ops[i];
		cmd_of(&cmd, rig, op);
		cmd.task.nexus = rig->nexus[1];
		if (cmd_begin(&cmd))
			assert_true(op->flags & OP_RESERVED);
		else
			assert_int_equal(
			    cmd.task.status, SCSI_RESERVATION_CONFLICT);
		drop_or_release(&cmd);
		cmd_of(&cmd, rig, op);
		/* SPC-2 5.5.1: persistent ones conflict with one's own */
		assert_int_equal(cmd_begin(&cmd), !(op->flags & OP_PERSISTENT));
		drop_or_release(&cmd);
	}
}

static void
a_stopped_unit_moves_no_blocks(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x1b, 0, 0, 0, 0x04, 0);
	run_good(&cmd);
	for (unsigned i = 0; i < scsi_op_count; i++) {
		const struct scsi_op *op = &scsi_ops[i];
		cmd_of(&cmd, rig, op);
		if (cmd_begin(&cmd))
			assert_true(op->flags & OP_STOPPED);
		else
			assert_sense(&cmd, LUN_NOT_READY_STOPPED);
		drop_or_release(&cmd);
	}
}

static void
assert_write_protected(struct rig *rig, bool software)
{
	struct cmd cmd;

	for (unsigned i = 0; i < scsi_op_count; i++) {
		const struct scsi_op *op = &scsi_ops[i];
		cmd_of(&cmd, rig, op);
		cmd_begin(&cmd);
		if (!(op->flags & OP_WRITE))
			assert_true(cmd.began);
		else if (software)
			assert_sense(&cmd, SOFTWARE_WRITE_PROTECTED);
		else
			assert_sense(&cmd, WRITE_PROTECTED);
		drop_or_release(&cmd);
	}
}

static void
a_read_only_unit_mapping_or_mode_refuses_media_writes(void **state)
{
	struct rig rig;

	(void)state;
	rig_open(&rig, &(struct rig_params){.read_only = true});
	assert_write_protected(&rig, false);
	rig_close(&rig);

	rig_open(&rig, &(struct rig_params){0});
	assert_int_equal(
	    scsi_nexus_unmap(rig.nexus[0], 0, false, NULL, NULL), 0);
	assert_int_equal(
	    scsi_nexus_map(rig.nexus[0], 0, rig.lun, true, false), 0);
	rig_clear_attentions(&rig);
	assert_write_protected(&rig, false);
	rig_close(&rig);

	rig_open(&rig, &(struct rig_params){0});
	rig.lun->mode.software_protect = true;
	assert_write_protected(&rig, true);
	rig_close(&rig);
}

static void
where_no_unit_is_three_commands_answer(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (unsigned i = 0; i < scsi_op_count; i++) {
		const struct scsi_op *op = &scsi_ops[i];
		cmd_of(&cmd, rig, op);
		cmd.task.lun_field[1] = 7;
		cmd_run(&cmd);
		if (op->flags & OP_ANY_LUN)
			assert_good(&cmd);
		else
			assert_sense(&cmd, LOGICAL_UNIT_NOT_SUPPORTED);
		cmd_release(&cmd);
	}
}

static void
an_aca_task_without_aca_is_a_message_error(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0, 0, 0, 0, 0, 0);
	cmd.task.attribute = SCSI_ACA;
	run_sense(&cmd, INVALID_MESSAGE_ERROR);
}

static void
a_full_task_set_says_so(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->lun->task_count += LUN_TASKS_MAX;
	CMD(&cmd, rig, 0, 0, 0, 0, 0, 0);
	assert_int_equal(cmd_run(&cmd), SCSI_TASK_SET_FULL);
	cmd_release(&cmd);
	rig->lun->task_count -= LUN_TASKS_MAX;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(every_bit_outside_a_mask_is_refused_and_pointed_at),
	    rig_test(every_row_begins_when_nothing_is_wrong),
	    rig_test(a_cdb_that_is_too_short_is_refused),
	    rig_test(what_is_not_in_the_table_is_no_operation_code),
	    rig_test(a_unit_attention_stops_every_command_but_three),
	    rig_test(a_unit_attention_comes_before_an_unknown_command),
	    rig_test(a_reservation_stops_the_other_nexus),
	    rig_test(a_stopped_unit_moves_no_blocks),
	    cmocka_unit_test(
		a_read_only_unit_mapping_or_mode_refuses_media_writes),
	    rig_test(where_no_unit_is_three_commands_answer),
	    rig_test(an_aca_task_without_aca_is_a_message_error),
	    rig_test(a_full_task_set_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
