/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * WRITE ATOMIC(16): what is refused, what reaches the store, and who waits for
 * whom.  That a power cut leaves all or nothing is for the simulator.
 */
#include "tests/unit/target/scsi/support/rig.h"

#define UNIT RIG_ATOMIC_UNIT
#define MOST RIG_ATOMIC_MAX

static uint8_t data[2 * MOST];

static uint32_t
blocks(const struct rig *rig, uint32_t bytes)
{
	return bytes / rig->block_size;
}

static void
write_atomic(struct cmd *cmd, struct rig *rig, unsigned flags, uint64_t lba,
    uint32_t count, int byte)
{
	memset(data, byte, sizeof(data));
	CMD(cmd, rig, 0x9c, (uint8_t)flags, BE64(lba), 0, 0, BE16(count), 0, 0);
	cmd_out(cmd, data, (uint64_t)count * rig->block_size);
}

static void
it_is_one_atomic_write_of_the_store(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint32_t unit = blocks(rig, UNIT), most = blocks(rig, MOST);

	write_atomic(&cmd, rig, 0, 3 * unit, most, 'x');
	run_good(&cmd);
	assert_int_equal(spy_count(rig->spy, BS_WRITE), 1);
	assert_true(spy_find(rig->spy, BS_WRITE, 0)->atomic);
	assert_false(spy_find(rig->spy, BS_WRITE, 0)->fua);
	assert_true(rig_is(rig, 3 * unit, most, 'x'));
	spy_forget(rig->spy);
	write_atomic(&cmd, rig, 0x18, 0, unit, 'y'); /* DPO, FUA */
	run_good(&cmd);
	assert_true(spy_find(rig->spy, BS_WRITE, 0)->fua);
}

static void
limits_are_kept(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint32_t unit = blocks(rig, UNIT), most = blocks(rig, MOST);

	write_atomic(&cmd, rig, 0, 0, most + unit, 'x');
	run_field(&cmd, 12, -1);
	write_atomic(&cmd, rig, 0, rig->blocks, unit, 'x');
	run_sense(&cmd, LBA_OUT_OF_RANGE);
	write_atomic(&cmd, rig, 0, rig->blocks, 0, 'x');
	run_good(&cmd);
	write_atomic(&cmd, rig, 0x20, 0, unit, 'x'); /* WRPROTECT */
	run_field(&cmd, 1, 5);
	write_atomic(&cmd, rig, 0, 0, unit, 'x');
	cmd.task.cdb[11] = 8; /* ATOMIC BOUNDARY: VPD B0h has none */
	run_field(&cmd, 11, 3);
	assert_int_equal(spy_count(rig->spy, BS_WRITE), 0);
}

static void
alignment_and_granularity_are_kept(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	write_atomic(&cmd, rig, 0, 1, 8, 'x');
	run_field(&cmd, 2, -1);
	write_atomic(&cmd, rig, 0, 0, 9, 'x');
	run_field(&cmd, 12, -1);
	assert_int_equal(spy_count(rig->spy, BS_WRITE), 0);
}

static void
less_data_than_the_cdb_says_is_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	write_atomic(&cmd, rig, 0, 0, 16, 'x');
	cmd_out(&cmd, data, 8 * 512);
	run_sense(&cmd, INVALID_FIELD_IN_COMMAND_IU);
	assert_int_equal(spy_count(rig->spy, BS_WRITE), 0);
}

static void
a_store_that_cannot_has_no_such_command(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->spy->bs.atomic_max = 0;
	write_atomic(&cmd, rig, 0, 0, 8, 'x');
	run_sense(&cmd, INVALID_COMMAND_OPERATION_CODE);
}

static const uint8_t *
block_limits(struct rig *rig)
{
	struct cmd cmd;

	CMD(&cmd, rig, 0x12, 1, 0xb0, BE16(255), 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	const uint8_t *in = cmd_in(&cmd);
	cmd_release(&cmd);
	return in;
}

static void
vpd_b0_tells_the_limits(void **state)
{
	struct rig *rig = *state;
	const uint8_t *in = block_limits(rig);

	assert_int_equal(load_be32(&in[44]), blocks(rig, MOST));
	assert_int_equal(
	    load_be32(&in[48]), rig->block_size == UNIT ? 0 : UNIT / 512);
	assert_int_equal(
	    load_be32(&in[52]), rig->block_size == UNIT ? 0 : UNIT / 512);
	assert_int_equal(load_be32(&in[56]), 0); /* with atomic boundary */
	assert_int_equal(load_be32(&in[60]), 0);
	rig->spy->bs.atomic_max = 0;
	in = block_limits(rig);
	assert_int_equal(load_be32(&in[44]), 0);
}

/* ---- who waits ---- */

static void
begin(struct cmd *cmd, enum scsi_attribute attribute)
{
	cmd->task.attribute = attribute;
	assert_true(cmd_begin(cmd));
	cmd_execute(cmd);
	rig_drain(cmd->rig);
}

static void
begin_read(
    struct cmd *cmd, struct rig *rig, uint32_t lba, enum scsi_attribute how)
{
	CMD(cmd, rig, 0x28, 0, BE32(lba), 0, BE16(2), 0);
	cmd->task.nexus = rig->nexus[1];
	begin(cmd, how);
}

static void
release_all(struct rig *rig)
{
	while (spy_release(rig->spy))
		rig_drain(rig);
	rig->spy->hold = false;
}

static void
who_reads_its_blocks_waits_and_who_reads_others_does_not(void **state)
{
	static const enum scsi_attribute hows[] = {
	    SCSI_SIMPLE, SCSI_HEAD_OF_QUEUE};
	struct rig *rig = *state;
	struct cmd cmd, same, other;

	for (unsigned i = 0; i < ARRAY_SIZE(hows); i++) {
		spy_forget(rig->spy);
		rig->spy->hold = true;
		write_atomic(&cmd, rig, 0, 8, 8, 'x');
		begin(&cmd, SCSI_SIMPLE);
		begin_read(&same, rig, 15, hows[i]);
		assert_int_equal(spy_count(rig->spy, BS_READ), 0);
		/* one that waits holds up no other */
		begin_read(&other, rig, 16, SCSI_HEAD_OF_QUEUE);
		assert_int_equal(spy_count(rig->spy, BS_READ), 1);
		release_all(rig);
		assert_int_equal(spy_count(rig->spy, BS_READ), 2);
		cmd_release(&cmd);
		cmd_release(&same);
		cmd_release(&other);
	}
	assert_int_equal(rig->lun->barriers, 0);
	assert_int_equal(rig->lun->dormant, 0);
}

static void
it_waits_for_those_of_its_blocks(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd, read;

	rig->spy->hold = true;
	begin_read(&read, rig, 7, SCSI_SIMPLE);
	write_atomic(&cmd, rig, 0, 8, 8, 'x');
	begin(&cmd, SCSI_HEAD_OF_QUEUE);
	assert_int_equal(spy_count(rig->spy, BS_WRITE), 0);
	release_all(rig);
	assert_int_equal(spy_count(rig->spy, BS_WRITE), 1);
	assert_good(&cmd);
	cmd_release(&cmd);
	cmd_release(&read);
}

static void
unmap_anywhere_waits(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd, unmap, inquiry;
	const uint8_t list[24] = {0, 22, 0, 16, [15] = 99, [19] = 8};

	rig->spy->hold = true;
	write_atomic(&cmd, rig, 0, 8, 8, 'x');
	begin(&cmd, SCSI_SIMPLE);
	CMD(&unmap, rig, 0x42, 0, 0, 0, 0, 0, 0, BE16(24), 0);
	cmd_out(&unmap, list, 24);
	begin(&unmap, SCSI_SIMPLE);
	assert_int_equal(spy_count(rig->spy, BS_ZERO), 0);
	CMD(&inquiry, rig, 0x12, 0, 0, BE16(96), 0);
	begin(&inquiry, SCSI_SIMPLE);
	assert_true(inquiry.done);
	release_all(rig);
	assert_int_equal(spy_count(rig->spy, BS_ZERO), 1);
	cmd_release(&cmd);
	cmd_release(&unmap);
	cmd_release(&inquiry);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_tests(it_is_one_atomic_write_of_the_store),
	    rig_tests(limits_are_kept),
	    rig_test(alignment_and_granularity_are_kept),
	    rig_test(less_data_than_the_cdb_says_is_refused),
	    rig_test(a_store_that_cannot_has_no_such_command),
	    rig_tests(vpd_b0_tells_the_limits),
	    rig_test(who_reads_its_blocks_waits_and_who_reads_others_does_not),
	    rig_test(it_waits_for_those_of_its_blocks),
	    rig_test(unmap_anywhere_waits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
