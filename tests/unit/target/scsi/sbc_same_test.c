/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * WRITE SAME: patterns are written, zeros give space back, limits are kept.
 */
#include "target/scsi/handlers.h"
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

static void
same(struct cmd *cmd, struct rig *rig, uint8_t flags, uint64_t lba,
    uint32_t count, const void *block, uint64_t length)
{
	CMD(cmd, rig, 0x93, flags, BE64(lba), BE32(count), 0, 0);
	cmd_out(cmd, block, length);
}

static void
a_pattern_is_written_to_every_block_and_no_other(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t block[4096], data[4096];
	uint32_t n = (3 << 20) / rig->block_size + 1;

	for (unsigned i = 0; i < rig->block_size; i++)
		block[i] = (uint8_t)(i * 3 + 1);
	same(&cmd, rig, 0, 7, n, block, rig->block_size);
	run_good(&cmd);
	for (uint32_t i = 0; i < n; i += 97) {
		rig_read(rig, 7 + i, data, 1);
		assert_memory_equal(data, block, rig->block_size);
	}
	rig_read(rig, 7 + n - 1, data, 1);
	assert_memory_equal(data, block, rig->block_size);
	assert_true(rig_is(rig, 6, 1, 0));
	assert_true(rig_is(rig, 7 + n, 1, 0));
	assert_int_equal(spy_count(rig->spy, BS_ZERO), 0);
}

static void
zeros_give_space_back(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t block[4096];

	rig_fill(rig, 0, 32, 'x');
	memset(block, 0, sizeof(block));
	same(&cmd, rig, 0x08, 3, 20, block, rig->block_size);
	run_good(&cmd);
	assert_int_equal(spy_count(rig->spy, BS_ZERO), 1);
	assert_true(spy_find(rig->spy, BS_ZERO, 0)->may_unmap);
	assert_true(rig_is(rig, 2, 1, 'x'));
	assert_true(rig_is(rig, 3, 20, 0));
	assert_true(rig_is(rig, 23, 1, 'x'));
}

static void
unmap_of_a_pattern_writes_it(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t block[4096];

	memset(block, 'p', sizeof(block));
	same(&cmd, rig, 0x08, 0, 4, block, rig->block_size);
	run_good(&cmd);
	assert_true(rig_is(rig, 0, 4, 'p'));
}

static void
ndob_and_unmap_without_data_mean_zeros(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig_fill(rig, 0, 8, 'x');
	same(&cmd, rig, 0x01, 0, 4, NULL, 0);
	run_good(&cmd);
	same(&cmd, rig, 0x08, 4, 4, NULL, 0);
	run_good(&cmd);
	assert_true(rig_is(rig, 0, 8, 0));
	same(&cmd, rig, 0x00, 0, 4, NULL, 0);
	run_sense(&cmd, INVALID_FIELD_IN_COMMAND_IU);
}

static void
any_other_length_than_a_block_is_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t data[8192];

	same(&cmd, rig, 0x08, 0, 1, data, rig->block_size / 2);
	run_sense(&cmd, INVALID_FIELD_IN_COMMAND_IU);
	same(&cmd, rig, 0x08, 0, 1, data, rig->block_size * 2);
	run_sense(&cmd, INVALID_FIELD_IN_COMMAND_IU);
	assert_int_equal(rig->spy->log_count, 0);
}

static void
no_length_is_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t block[4096];

	CMD(&cmd, rig, 0x41, 0x08, BE32(rig->blocks - 4), 0, BE16(0), 0);
	cmd_out(&cmd, block, rig->block_size);
	run_field(&cmd, 7, -1);
	same(&cmd, rig, 0, 0, 0, block, rig->block_size);
	run_field(&cmd, 10, -1);
	same(&cmd, rig, 0, rig->blocks + 1, 0, block, rig->block_size);
	run_sense(&cmd, LBA_OUT_OF_RANGE);
	assert_int_equal(rig->spy->log_count, 0);
}

static void
more_than_block_limits_say_is_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t block[512];
	uint32_t most = SBC_WRITE_SAME_MAX;

	same(&cmd, rig, 0, 0, most + 1, block, 512);
	run_field(&cmd, 10, -1);
	same(&cmd, rig, 0, 0, 0, block, 512);
	run_field(&cmd, 10, -1);
	assert_int_equal(rig->spy->log_count, 0);
}

static void
anchor_is_refused_with_its_bit(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t block[512];

	same(&cmd, rig, 0x10, 0, 1, block, 512);
	run_field(&cmd, 1, 4);
	same(&cmd, rig, 0x18, 0, 1, block, 512);
	run_field(&cmd, 1, 4);
}

static void
a_thick_unit_has_no_unmap_bit_and_still_writes_zeros(void **state)
{
	struct rig rig;
	struct cmd cmd;
	static uint8_t block[512];

	(void)state;
	rig_open(&rig, &(struct rig_params){.thick = true});
	rig_fill(&rig, 0, 4, 'x');
	same(&cmd, &rig, 0x08, 0, 4, block, 512);
	run_field(&cmd, 1, 3);
	same(&cmd, &rig, 0x00, 0, 4, block, 512);
	run_good(&cmd);
	assert_true(rig_is(&rig, 0, 4, 0));
	assert_false(spy_find(rig.spy, BS_ZERO, 0)->may_unmap);
	rig_close(&rig);
}

static void
no_space_for_a_pattern_is_told(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t block[4096];

	memset(block, 1, sizeof(block));
	rig->spy->fail[BS_WRITE] = -ENOSPC;
	rig->spy->fail_skip = 1;
	same(&cmd, rig, 0, 0, (2 << 20) / rig->block_size, block,
	    rig->block_size);
	run_sense(&cmd, SPACE_ALLOCATION_FAILED);
	assert_int_equal(spy_count(rig->spy, BS_WRITE), 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_tests(a_pattern_is_written_to_every_block_and_no_other),
	    rig_tests(zeros_give_space_back),
	    rig_tests(unmap_of_a_pattern_writes_it),
	    rig_tests(ndob_and_unmap_without_data_mean_zeros),
	    rig_tests(any_other_length_than_a_block_is_refused),
	    rig_tests(no_length_is_refused),
	    rig_test(more_than_block_limits_say_is_refused),
	    rig_test(anchor_is_refused_with_its_bit),
	    cmocka_unit_test(
		a_thick_unit_has_no_unmap_bit_and_still_writes_zeros),
	    rig_tests(no_space_for_a_pattern_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
