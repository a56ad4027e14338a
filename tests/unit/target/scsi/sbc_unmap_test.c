/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * UNMAP and GET LBA STATUS: exact, checked before it starts, seen in the map.
 */
#include "target/scsi/handlers.h"
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

struct range {
	uint64_t lba;
	uint32_t count;
};

static uint8_t list[8 + 16 * 300];

static void
unmap(struct cmd *cmd, struct rig *rig, const struct range *ranges,
    unsigned count)
{
	uint16_t length = (uint16_t)(8 + 16 * count);

	memset(list, 0, sizeof(list));
	store_be16(list, length - 2);
	store_be16(list + 2, (uint16_t)(16 * count));
	for (unsigned i = 0; i < count; i++) {
		store_be64(list + 8 + 16 * i, ranges[i].lba);
		store_be32(list + 16 + 16 * i, ranges[i].count);
	}
	CMD(cmd, rig, 0x42, 0, 0, 0, 0, 0, 0, BE16(length), 0);
	cmd_out(cmd, list, length);
}

static void
unmapped_blocks_read_as_zeros_and_their_neighbours_stay(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const struct range ranges[] = {{3, 2}, {10, 0}, {20, 16}, {21, 3}};

	rig_fill(rig, 0, 64, 'u');
	unmap(&cmd, rig, ranges, 4);
	run_good(&cmd);
	assert_true(rig_is(rig, 0, 3, 'u'));
	assert_true(rig_is(rig, 3, 2, 0));
	assert_true(rig_is(rig, 5, 15, 'u'));
	assert_true(rig_is(rig, 20, 16, 0));
	assert_true(rig_is(rig, 36, 28, 'u'));
	assert_int_equal(spy_count(rig->spy, BS_ZERO), 3);
	assert_true(spy_find(rig->spy, BS_ZERO, 0)->may_unmap);
}

static void
one_bad_descriptor_and_nothing_is_unmapped(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const struct range ranges[] = {{0, 8}, {rig->blocks - 1, 2}};

	rig_fill(rig, 0, 8, 'u');
	unmap(&cmd, rig, ranges, 2);
	cmd_run(&cmd);
	assert_sense(&cmd, LBA_OUT_OF_RANGE);
	assert_int_equal(cmd_sense(&cmd).information, rig->blocks - 1);
	cmd_release(&cmd);
	assert_true(rig_is(rig, 0, 8, 'u'));
}

static void
empty_lists_and_empty_descriptors_are_good(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	struct range ranges[256] = {{rig->blocks, 0}};

	CMD(&cmd, rig, 0x42, 0, 0, 0, 0, 0, 0, BE16(0), 0);
	run_good(&cmd);
	unmap(&cmd, rig, ranges, 0);
	run_good(&cmd);
	unmap(&cmd, rig, ranges, 256);
	run_good(&cmd);
	assert_int_equal(rig->spy->log_count, 0);
}

static void
lists_that_are_too_short_or_too_long_are_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static const struct range ranges[257];

	CMD(&cmd, rig, 0x42, 0, 0, 0, 0, 0, 0, BE16(7), 0);
	cmd_out(&cmd, list, 7);
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	unmap(&cmd, rig, ranges, 257);
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	unmap(&cmd, rig, ranges, 2);
	cmd.task.expected_out = 24;
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
}

static void
a_descriptor_cut_short_is_ignored(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const struct range ranges[] = {{0, 1}, {1, 1}};

	rig_fill(rig, 0, 2, 'u');
	unmap(&cmd, rig, ranges, 2);
	store_be16(list + 2, 31);
	run_good(&cmd);
	assert_true(rig_is(rig, 0, 1, 0));
	assert_true(rig_is(rig, 1, 1, 'u'));
}

static void
a_descriptor_length_beyond_the_list_reads_no_further(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const struct range ranges[] = {{0, 1}};

	unmap(&cmd, rig, ranges, 1);
	store_be16(list + 2, 0xffff);
	run_good(&cmd);
	assert_int_equal(spy_count(rig->spy, BS_ZERO), 1);
}

static void
anchor_is_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x42, 1, 0, 0, 0, 0, 0, BE16(0), 0);
	run_field(&cmd, 1, 0);
}

static void
a_thick_unit_has_no_unmap(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.thick = true});
	unmap(&cmd, &rig, NULL, 0);
	run_sense(&cmd, INVALID_COMMAND_OPERATION_CODE);
	rig_close(&rig);
}

static void
a_large_unmap_goes_in_steps(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const struct range ranges[] = {{0, 0}, {0, 1u << 20}};

	rig->spy->bs.size = 1ull << 30;
	rig->spy->fail[BS_ZERO] = -ENOSPC; /* the store below is smaller */
	unmap(&cmd, rig, ranges, 2);
	run_sense(&cmd, SPACE_ALLOCATION_FAILED);
	assert_int_equal(spy_count(rig->spy, BS_ZERO), 1);
	assert_int_equal(spy_find(rig->spy, BS_ZERO, 0)->length, SBC_STEP_MAX);
	rig->spy->bs.size = RIG_SIZE;
}

/* ---- GET LBA STATUS ---- */

static void
status(struct cmd *cmd, struct rig *rig, uint64_t lba, uint32_t length)
{
	CMD(cmd, rig, 0x9e, 0x12, BE64(lba), BE32(length), 0, 0);
}

static void
assert_extent(
    const uint8_t *at, uint64_t lba, uint32_t count, unsigned provisioning)
{
	assert_int_equal(load_be64(at), lba);
	assert_int_equal(load_be32(at + 8), count);
	assert_int_equal(at[12], provisioning);
}

static void
lba_status_tells_what_is_mapped(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint32_t n = 4096 / rig->block_size;

	rig_fill(rig, 2 * n, 3 * n, 'm');
	status(&cmd, rig, 1, 1024);
	cmd_run(&cmd);
	assert_good(&cmd);
	const uint8_t *in = cmd_in(&cmd);
	assert_int_equal(cmd.task.in_length, 8 + 3 * 16);
	assert_int_equal(load_be32(in), 4 + 3 * 16);
	assert_extent(in + 8, 1, 2 * n - 1, 1);
	assert_extent(in + 24, 2 * n, 3 * n, 0);
	assert_extent(in + 40, 5 * n, (uint32_t)rig->blocks - 5 * n, 1);
	cmd_release(&cmd);

	status(&cmd, rig, 2 * n, 24);
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, 24);
	assert_extent(cmd_in(&cmd) + 8, 2 * n, 3 * n, 0);
	cmd_release(&cmd);
}

static void
lba_status_beyond_the_end_is_out_of_range(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	status(&cmd, rig, rig->blocks, 24);
	run_sense(&cmd, LBA_OUT_OF_RANGE);
	status(&cmd, rig, UINT64_MAX, 24);
	run_sense(&cmd, LBA_OUT_OF_RANGE);
}

static void
all_of_a_thick_unit_is_mapped(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.thick = true});
	status(&cmd, &rig, 5, 1024);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, 24);
	assert_extent(cmd_in(&cmd) + 8, 5, (uint32_t)rig.blocks - 5, 0);
	cmd_release(&cmd);
	rig_close(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_tests(unmapped_blocks_read_as_zeros_and_their_neighbours_stay),
	    rig_tests(one_bad_descriptor_and_nothing_is_unmapped),
	    rig_test(empty_lists_and_empty_descriptors_are_good),
	    rig_test(lists_that_are_too_short_or_too_long_are_refused),
	    rig_test(a_descriptor_cut_short_is_ignored),
	    rig_test(a_descriptor_length_beyond_the_list_reads_no_further),
	    rig_test(anchor_is_refused),
	    cmocka_unit_test(a_thick_unit_has_no_unmap),
	    rig_test(a_large_unmap_goes_in_steps),
	    rig_tests(lba_status_tells_what_is_mapped),
	    rig_tests(lba_status_beyond_the_end_is_out_of_range),
	    cmocka_unit_test(all_of_a_thick_unit_is_mapped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
