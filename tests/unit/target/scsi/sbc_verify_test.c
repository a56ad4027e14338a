/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * VERIFY and WRITE AND VERIFY against the medium: what differs is found, in
 * whatever piece it is.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

static void
verify(struct cmd *cmd, struct rig *rig, unsigned bytchk, uint64_t lba,
    uint32_t count, const void *data, uint64_t length)
{
	CMD(cmd, rig, 0x8f, (uint8_t)(bytchk << 1), BE64(lba), BE32(count), 0,
	    0);
	cmd_out(cmd, data, length);
}

static void
equal_data_verifies_in_many_pieces(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t data[1 << 20];
	uint32_t n = sizeof(data) / rig->block_size;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 512);
	rig_write(rig, 3, data, n);
	verify(&cmd, rig, 1, 3, n, data, sizeof(data));
	run_good(&cmd);
	assert_int_equal(spy_count(rig->spy, BS_READ), 4);
}

static void
one_byte_that_differs_is_a_miscompare_at_its_block(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t data[1 << 20];
	uint32_t n = sizeof(data) / rig->block_size;
	const size_t wrong[] = {0, 300000, sizeof(data) - 1};

	rig_fill(rig, 0, n, 'v');
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		memset(data, 'v', sizeof(data));
		data[wrong[i]] ^= 1;
		verify(&cmd, rig, 1, 0, n, data, sizeof(data));
		cmd_run(&cmd);
		assert_sense(&cmd, MISCOMPARE_DURING_VERIFY);
		assert_int_equal(
		    cmd_sense(&cmd).information, wrong[i] / rig->block_size);
		cmd_release(&cmd);
	}
}

static void
without_bytchk_data_is_ignored(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t data[4096];

	verify(&cmd, rig, 0, 0, 1, data, rig->block_size);
	data[0] = 9;
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.data_length, 0);
	cmd_release(&cmd);
	assert_int_equal(spy_count(rig->spy, BS_READ), 1);
}

static void
without_bytchk_a_bad_block_is_found(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->spy->fail[BS_READ] = -ENODATA;
	verify(&cmd, rig, 0, 0, 8, NULL, 0);
	run_sense(&cmd, UNRECOVERED_READ_ERROR);
}

static void
one_block_is_compared_with_each(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t block[4096];
	uint32_t n = (1 << 20) / rig->block_size;

	memset(block, 's', sizeof(block));
	rig_fill(rig, 0, n, 's');
	verify(&cmd, rig, 3, 0, n, block, rig->block_size);
	run_good(&cmd);
	rig_fill(rig, n - 1, 1, 't');
	verify(&cmd, rig, 3, 0, n, block, rig->block_size);
	cmd_run(&cmd);
	assert_sense(&cmd, MISCOMPARE_DURING_VERIFY);
	assert_int_equal(cmd_sense(&cmd).information, n - 1);
	cmd_release(&cmd);
	verify(&cmd, rig, 3, 0, n, block, 100);
	run_sense(&cmd, INVALID_FIELD_IN_COMMAND_IU);
}

static void
bytchk_2_is_reserved(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x2f, 0x04, BE32(0), 0, BE16(1), 0);
	run_field(&cmd, 1, 2);
	CMD(&cmd, rig, 0xaf, 0x14, BE32(0), BE32(1), 0, 0);
	run_field(&cmd, 1, 2);
}

static void
write_and_verify_writes_durably_and_reads_back(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t data[8192];

	memset(data, 'w', sizeof(data));
	for (unsigned i = 0; i < 3; i++) {
		spy_forget(rig->spy);
		if (i == 0)
			CMD(&cmd, rig, 0x2e, 0x02, BE32(4), 0, BE16(2), 0);
		else if (i == 1)
			CMD(&cmd, rig, 0xae, 0x00, BE32(4), BE32(2), 0, 0);
		else
			CMD(&cmd, rig, 0x8e, 0x12, BE64(4), BE32(2), 0, 0);
		cmd_out(&cmd, data, 2 * rig->block_size);
		run_good(&cmd);
		assert_true(spy_find(rig->spy, BS_WRITE, 0)->fua);
		assert_int_equal(spy_count(rig->spy, BS_READ), 1);
	}
	assert_true(rig_is(rig, 4, 2, 'w'));
	CMD(&cmd, rig, 0x2e, 0x04, BE32(4), 0, BE16(2), 0);
	run_field(&cmd, 1, 2);
}

static void
write_and_verify_of_nothing_is_good(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x2e, 0x02, BE32(0), 0, BE16(0), 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0x2e, 0x02, BE32(0), 0, BE16(1), 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.out_full, 512);
	cmd_release(&cmd);
	assert_int_equal(rig->spy->log_count, 0);
}

static void
verify_looks_at_the_medium_not_at_the_cache(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.volatile_cache = true});
	verify(&cmd, &rig, 0, 0, 1, NULL, 0);
	run_good(&cmd);
	assert_int_equal(rig.spy->log[0].op, BS_FLUSH);
	rig_close(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_tests(equal_data_verifies_in_many_pieces),
	    rig_tests(one_byte_that_differs_is_a_miscompare_at_its_block),
	    rig_tests(without_bytchk_data_is_ignored),
	    rig_tests(without_bytchk_a_bad_block_is_found),
	    rig_tests(one_block_is_compared_with_each),
	    rig_test(bytchk_2_is_reserved),
	    rig_tests(write_and_verify_writes_durably_and_reads_back),
	    rig_test(write_and_verify_of_nothing_is_good),
	    cmocka_unit_test(verify_looks_at_the_medium_not_at_the_cache),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
