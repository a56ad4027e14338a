/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Buffers: one command, many commands, a pool that ran dry, memory of the
 * carrier.
 */
#include "tests/unit/target/scsi/support/rig.h"

static void
eight_mebibytes_come_in_pieces_that_fit(void **state)
{
	struct rig *rig = *state;
	struct scsi_task task;
	void *halves[64];

	scsi_task_init(&task);
	task.loop = rig->loop;
	assert_int_equal(scsi_task_buffers(&task, SCSI_TRANSFER_MAX), 0);
	assert_int_equal(task.iov_count, 8);
	task.phase = SCSI_TASK_COMPLETED;
	scsi_task_release(&task);

	/* no whole mebibyte is free, every second half of one is */
	for (unsigned i = 0; i < 64; i++) {
		halves[i] = buf_get(rig->loop->bufs, BUF_MAX / 2);
		assert_non_null(halves[i]);
	}
	for (unsigned i = 0; i < 64; i++) {
		if ((uintptr_t)halves[i] & (BUF_MAX / 2)) {
			buf_put(rig->loop->bufs, halves[i]);
			halves[i] = NULL;
		}
	}
	assert_null(buf_get(rig->loop->bufs, BUF_MAX));
	assert_int_equal(scsi_task_buffers(&task, SCSI_TRANSFER_MAX), 0);
	assert_int_equal(task.iov_count, SCSI_TASK_IOV_MAX);
	assert_int_equal(
	    bs_iov_length(task.iov, task.iov_count), SCSI_TRANSFER_MAX);
	task.phase = SCSI_TASK_COMPLETED;
	scsi_task_release(&task);
	for (unsigned i = 0; i < 64; i++) {
		if (halves[i] != NULL)
			buf_put(rig->loop->bufs, halves[i]);
	}
}

static void
reads_wait_for_buffers_in_turn(void **state)
{
	struct rig rig;
	static struct cmd cmds[12];

	(void)state;
	rig_open(&rig, &(struct rig_params){.buffers = 4 << 20});
	rig_fill(&rig, 0, 2048, 0x3c);
	for (unsigned i = 0; i < ARRAY_SIZE(cmds); i++) {
		CMD(&cmds[i], &rig, 0x28, 0, BE32(0), 0, BE16(2048), 0);
		assert_true(cmd_begin(&cmds[i]));
		cmd_execute(&cmds[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(cmds); i++) {
		rig_drain(&rig);
		assert_true(cmds[i].done);
		assert_good(&cmds[i]);
		assert_int_equal(cmd_in(&cmds[i])[100], 0x3c);
		cmd_release(&cmds[i]);
	}
	rig_drain(&rig);
	assert_int_equal(buf_pool_free_bytes(rig.loop->bufs), 4 << 20);
	rig_close(&rig);
}

static void
a_read_that_gets_some_of_its_buffers_waits_for_the_rest_of_them(void **state)
{
	struct rig rig;
	struct cmd cmd;
	void *taken[4];

	(void)state;
	rig_open(&rig, &(struct rig_params){.buffers = 4 << 20});
	for (unsigned i = 0; i < 4; i++)
		taken[i] = buf_get(rig.loop->bufs, BUF_MAX);
	CMD(&cmd, &rig, 0x88, 0, BE64(0), BE32(8192), 0, 0);
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(rig.spy->log_count, 0);
		buf_put(rig.loop->bufs, taken[i]);
	}
	rig_drain(&rig);
	assert_good(&cmd);
	cmd_release(&cmd);
	rig_close(&rig);
}

static void
answers_and_verify_wait_for_a_side_buffer(void **state)
{
	struct rig rig;
	struct cmd cmds[3];
	void *all;

	(void)state;
	rig_open(&rig, &(struct rig_params){.buffers = 1 << 20});
	all = buf_get(rig.loop->bufs, BUF_MAX);
	assert_non_null(all);
	CMD(&cmds[0], &rig, 0x12, 0, 0, 0, 96, 0);
	CMD(&cmds[1], &rig, 0x2f, 0, BE32(0), 0, BE16(8), 0);
	CMD(&cmds[2], &rig, 0x9e, 0x12, BE64(0), BE32(24), 0, 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(cmd_begin(&cmds[i]));
		cmd_execute(&cmds[i]);
	}
	rig_drain(&rig);
	for (unsigned i = 0; i < 3; i++)
		assert_false(cmds[i].done);
	buf_put(rig.loop->bufs, all);
	rig_drain(&rig);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(cmds[i].done);
		assert_good(&cmds[i]);
		cmd_release(&cmds[i]);
	}
	assert_int_equal(buf_pool_free_bytes(rig.loop->bufs), 1 << 20);
	rig_close(&rig);
}

static void
borrow(struct cmd *cmd, void *memory, size_t length)
{
	cmd->task.borrowed = true;
	for (size_t at = 0; at < length; at += 4096)
		cmd->task.iov[cmd->task.iov_count++] = (struct iovec){
		    .iov_base = (uint8_t *)memory + at, .iov_len = 4096};
}

static void
memory_of_the_carrier_is_used_in_place(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t memory[16384] __attribute__((aligned(4096)));

	memset(memory, 'l', sizeof(memory));
	CMD(&cmd, rig, 0x8a, 0, BE64(0), BE32(16384 / rig->block_size), 0, 0);
	cmd.task.expected_out = 16384;
	borrow(&cmd, memory, 16384);
	assert_true(cmd_begin(&cmd));
	scsi_task_execute(&cmd.task);
	rig_drain(rig);
	assert_good(&cmd);
	cmd_release(&cmd);
	assert_true(rig_is(rig, 0, 16384 / rig->block_size, 'l'));

	memset(memory, 0, sizeof(memory));
	CMD(&cmd, rig, 0x88, 0, BE64(0), BE32(8192 / rig->block_size), 0, 0);
	cmd.task.expected_in = 16384;
	borrow(&cmd, memory, 16384);
	assert_true(cmd_begin(&cmd));
	scsi_task_execute(&cmd.task);
	rig_drain(rig);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, 8192);
	cmd_release(&cmd);
	assert_int_equal(memory[8191], 'l');
	assert_int_equal(memory[8192], 0);

	CMD(&cmd, rig, 0x12, 1, 0x83, BE16(4096), 0);
	cmd.task.expected_in = 4096;
	borrow(&cmd, memory, 4096);
	assert_true(cmd_begin(&cmd));
	scsi_task_execute(&cmd.task);
	rig_drain(rig);
	assert_good(&cmd);
	assert_int_equal(memory[1], 0x83);
	cmd_release(&cmd);
}

static void
a_parameter_list_in_pieces_is_read_as_one(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t list[24] = {0, 22, 0, 16};

	rig_fill(rig, 0, 8, 'u');
	store_be64(list + 8, 2);
	store_be32(list + 16, 3);
	CMD(&cmd, rig, 0x42, 0, 0, 0, 0, 0, 0, BE16(24), 0);
	cmd.task.expected_out = 24;
	cmd.task.borrowed = true;
	cmd.task.iov[0] = (struct iovec){list, 11};
	cmd.task.iov[1] = (struct iovec){list + 11, 13};
	cmd.task.iov_count = 2;
	assert_true(cmd_begin(&cmd));
	scsi_task_execute(&cmd.task);
	rig_drain(rig);
	assert_good(&cmd);
	cmd_release(&cmd);
	assert_true(rig_is(rig, 0, 2, 'u'));
	assert_true(rig_is(rig, 2, 3, 0));
	assert_true(rig_is(rig, 5, 3, 'u'));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(eight_mebibytes_come_in_pieces_that_fit),
	    cmocka_unit_test(reads_wait_for_buffers_in_turn),
	    cmocka_unit_test(
		a_read_that_gets_some_of_its_buffers_waits_for_the_rest_of_them),
	    cmocka_unit_test(answers_and_verify_wait_for_a_side_buffer),
	    rig_tests(memory_of_the_carrier_is_used_in_place),
	    rig_test(a_parameter_list_in_pieces_is_read_as_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
