/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * COMPARE AND WRITE and ORWRITE: what they do to the medium, and that nothing
 * comes between what they read and what they write.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

#define MOST 255u /* blocks of COMPARE AND WRITE */

static uint8_t data[2 * MOST * 4096];

/* The expected blocks are of one byte, the new ones of another. */
static void
compare_and_write(struct cmd *cmd, struct rig *rig, unsigned flags,
    uint64_t lba, unsigned count, int expected, int new)
{
	size_t half = (size_t)count * rig->block_size;

	memset(data, expected, half);
	memset(data + half, new, half);
	CMD(cmd, rig, 0x89, (uint8_t)flags, BE64(lba), 0, 0, 0, (uint8_t)count,
	    0, 0);
	cmd_out(cmd, data, 2 * half);
}

static void
orwrite(struct cmd *cmd, struct rig *rig, uint64_t lba, uint32_t count,
    const void *bits)
{
	CMD(cmd, rig, 0x8b, 0, BE64(lba), BE32(count), 0, 0);
	cmd_out(cmd, bits, (uint64_t)count * rig->block_size);
}

/* ---- COMPARE AND WRITE ---- */

static void
equal_blocks_are_written(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig_fill(rig, 0, 2 * MOST, 'a');
	compare_and_write(&cmd, rig, 0, 7, MOST, 'a', 'b');
	run_good(&cmd);
	assert_true(rig_is(rig, 0, 7, 'a'));
	assert_true(rig_is(rig, 7, MOST, 'b'));
	assert_true(rig_is(rig, 7 + MOST, MOST - 7, 'a'));
}

static void
a_byte_that_differs_leaves_all_as_it_is(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const size_t wrong[] = {0, 300, 100000, MOST * 512 - 1};

	rig_fill(rig, 0, MOST, 'a');
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		compare_and_write(&cmd, rig, 0, 0, MOST, 'a', 'b');
		data[wrong[i]] = 'x';
		cmd_run(&cmd);
		assert_sense(&cmd, MISCOMPARE_DURING_VERIFY);
		/* SBC-3 5.2: the offset in Data-Out */
		assert_true(cmd_sense(&cmd).information_valid);
		assert_int_equal(cmd_sense(&cmd).information, wrong[i]);
		cmd_release(&cmd);
		assert_true(rig_is(rig, 0, MOST, 'a'));
	}
}

static void
fua_writes_to_the_medium(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig_fill(rig, 0, 1, 'a');
	spy_forget(rig->spy);
	compare_and_write(&cmd, rig, 0x08, 0, 1, 'a', 'b');
	run_good(&cmd);
	assert_true(spy_find(rig->spy, BS_WRITE, 0)->fua);
	spy_forget(rig->spy);
	compare_and_write(&cmd, rig, 0x10, 0, 1, 'b', 'c');
	run_good(&cmd);
	assert_false(spy_find(rig->spy, BS_WRITE, 0)->fua);
}

static void
data_out_of_another_length_is_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig_fill(rig, 0, 2, 'a');
	compare_and_write(&cmd, rig, 0, 0, 2, 'a', 'b');
	cmd_out(&cmd, data, 3 * rig->block_size);
	run_sense(&cmd, INVALID_FIELD_IN_COMMAND_IU);
	compare_and_write(&cmd, rig, 0, 0, 2, 'a', 'b');
	cmd_out(&cmd, data, 5 * rig->block_size);
	run_sense(&cmd, INVALID_FIELD_IN_COMMAND_IU);
	assert_true(rig_is(rig, 0, 2, 'a'));
}

static void
nothing_is_compared_with_nothing(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	compare_and_write(&cmd, rig, 0, 0, 0, 'a', 'b');
	run_good(&cmd);
	compare_and_write(&cmd, rig, 0, rig->blocks, 0, 'a', 'b');
	run_good(&cmd);
	compare_and_write(&cmd, rig, 0, 0, 0, 'a', 'b');
	cmd_out(&cmd, data, 512 * 512);
	run_field(&cmd, 13, -1);
	compare_and_write(&cmd, rig, 0, rig->blocks, 1, 'a', 'b');
	run_sense(&cmd, LBA_OUT_OF_RANGE);
	compare_and_write(&cmd, rig, 0x20, 0, 1, 'a', 'b');
	run_field(&cmd, 1, 5);
}

static void
errors_of_the_medium_are_told(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig_fill(rig, 0, 1, 'a');
	rig->spy->fail[BS_READ] = -ENODATA;
	compare_and_write(&cmd, rig, 0, 0, 1, 'a', 'b');
	run_sense(&cmd, UNRECOVERED_READ_ERROR);
	rig->spy->fail[BS_READ] = 0;
	rig->spy->fail[BS_WRITE] = -ENOSPC;
	compare_and_write(&cmd, rig, 0, 0, 1, 'a', 'b');
	run_sense(&cmd, SPACE_ALLOCATION_FAILED);
	rig->spy->fail[BS_WRITE] = 0;
	assert_true(rig_is(rig, 0, 1, 'a'));
}

static void
a_read_only_unit_is_not_written(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.read_only = true});
	compare_and_write(&cmd, &rig, 0, 0, 1, 0, 'b');
	run_sense(&cmd, WRITE_PROTECTED);
	orwrite(&cmd, &rig, 0, 1, data);
	run_sense(&cmd, WRITE_PROTECTED);
	rig_close(&rig);
}

/* ---- ORWRITE ---- */

static void
bits_are_added(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint32_t n = (1 << 20) / rig->block_size;

	rig_fill(rig, 0, n + 2, 0x41);
	memset(data, 0x0a, 1 << 20);
	orwrite(&cmd, rig, 1, n, data);
	run_good(&cmd);
	assert_true(rig_is(rig, 0, 1, 0x41));
	assert_true(rig_is(rig, 1, n, 0x4b));
	assert_true(rig_is(rig, 1 + n, 1, 0x41));
	orwrite(&cmd, rig, 0, 0, data);
	run_good(&cmd);
}

/* ---- nothing comes between ---- */

static void
write_one(struct cmd *cmd, struct rig *rig, enum scsi_attribute attribute)
{
	static uint8_t block[4096];

	memset(block, 'w', sizeof(block));
	CMD(cmd, rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(cmd, block, rig->block_size);
	cmd->task.attribute = attribute;
	cmd->task.nexus = rig->nexus[1];
	assert_true(cmd_begin(cmd));
	cmd_execute(cmd);
	rig_drain(rig);
}

static void
a_write_waits(struct rig *rig, enum scsi_attribute attribute)
{
	struct cmd cmd, write;

	rig_fill(rig, 0, 1, 'a');
	spy_forget(rig->spy);
	compare_and_write(&cmd, rig, 0, 0, 1, 'a', 'b');
	rig->spy->hold = true;
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(rig);
	write_one(&write, rig, attribute);
	assert_int_equal(spy_count(rig->spy, BS_READ), 1);
	assert_int_equal(spy_count(rig->spy, BS_WRITE), 0);
	while (spy_release(rig->spy))
		rig_drain(rig);
	rig->spy->hold = false;
	assert_good(&cmd);
	assert_good(&write);
	cmd_release(&cmd);
	cmd_release(&write);
	assert_true(rig_is(rig, 0, 1, 'w'));
	assert_int_equal(rig->lun->barriers, 0);
	assert_int_equal(rig->lun->dormant, 0);
}

static void
writes_of_any_attribute_wait_for_it(void **state)
{
	a_write_waits(*state, SCSI_SIMPLE);
	a_write_waits(*state, SCSI_ORDERED);
	a_write_waits(*state, SCSI_HEAD_OF_QUEUE);
}

static void
it_waits_for_writes(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd, write;

	rig_fill(rig, 0, 1, 'a');
	spy_forget(rig->spy);
	rig->spy->hold = true;
	write_one(&write, rig, SCSI_SIMPLE);
	compare_and_write(&cmd, rig, 0, 0, 1, 'a', 'b');
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(rig);
	assert_int_equal(spy_count(rig->spy, BS_READ), 0);
	while (spy_release(rig->spy))
		rig_drain(rig);
	rig->spy->hold = false;
	assert_sense(&cmd, MISCOMPARE_DURING_VERIFY);
	cmd_release(&cmd);
	cmd_release(&write);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_tests(equal_blocks_are_written),
	    rig_test(a_byte_that_differs_leaves_all_as_it_is),
	    rig_tests(fua_writes_to_the_medium),
	    rig_tests(data_out_of_another_length_is_refused),
	    rig_test(nothing_is_compared_with_nothing),
	    rig_test(errors_of_the_medium_are_told),
	    cmocka_unit_test(a_read_only_unit_is_not_written),
	    rig_tests(bits_are_added),
	    rig_tests(writes_of_any_attribute_wait_for_it),
	    rig_test(it_waits_for_writes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
