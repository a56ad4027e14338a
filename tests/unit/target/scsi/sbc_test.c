/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * READ, WRITE, SYNCHRONIZE CACHE, PRE-FETCH: data, ranges, residuals, FUA,
 * errors.  Not here: what the other block commands do with the same helpers.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

static void
what_is_written_is_read_by_every_length_of_cdb(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t data[8192];
	const uint32_t n = 2;

	for (unsigned i = 0; i < 4; i++) {
		memset(data, 'a' + (int)i, sizeof(data));
		switch (i) {
		case 0: CMD(&cmd, rig, 0x0a, 0, BE16(16), n, 0); break;
		case 1: CMD(&cmd, rig, 0x2a, 0, BE32(16), 0, BE16(n), 0); break;
		case 2: CMD(&cmd, rig, 0xaa, 0, BE32(16), BE32(n), 0, 0); break;
		case 3: CMD(&cmd, rig, 0x8a, 0, BE64(16), BE32(n), 0, 0); break;
		}
		cmd_out(&cmd, data, n * rig->block_size);
		run_good(&cmd);

		switch (i) {
		case 0: CMD(&cmd, rig, 0x08, 0, BE16(16), n, 0); break;
		case 1: CMD(&cmd, rig, 0x28, 0, BE32(16), 0, BE16(n), 0); break;
		case 2: CMD(&cmd, rig, 0xa8, 0, BE32(16), BE32(n), 0, 0); break;
		case 3: CMD(&cmd, rig, 0x88, 0, BE64(16), BE32(n), 0, 0); break;
		}
		cmd_run(&cmd);
		assert_good(&cmd);
		assert_int_equal(cmd.task.in_length, n * rig->block_size);
		assert_memory_equal(cmd_in(&cmd), data, n * rig->block_size);
		cmd_release(&cmd);
	}
}

static void
the_largest_transfer_goes_through_in_one_io(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint32_t n = SCSI_TRANSFER_MAX / rig->block_size;

	rig_fill(rig, 8, n, 0x5a);
	assert_int_equal(spy_count(rig->spy, BS_WRITE), 1);
	assert_true(rig_is(rig, 8, n, 0x5a));
	assert_int_equal(spy_count(rig->spy, BS_READ), 1);

	CMD(&cmd, rig, 0x88, 0, BE64(0), BE32(n + 1), 0, 0);
	run_field(&cmd, 10, -1);
	CMD(&cmd, rig, 0xaa, 0, BE32(0), BE32(n + 1), 0, 0);
	run_field(&cmd, 6, -1);
}

static void
a_transfer_is_cut_to_what_the_store_takes(void **state)
{
	struct rig *rig = *state;
	uint32_t n = SCSI_TRANSFER_MAX / rig->block_size;

	rig->spy->bs.max_io = 1 << 20;
	rig_fill(rig, 1, n, 0x77);
	assert_int_equal(spy_count(rig->spy, BS_WRITE), 8);
	assert_int_equal(spy_find(rig->spy, BS_WRITE, 3)->offset,
	    rig->block_size + (3 << 20));
	assert_true(rig_is(rig, 1, n, 0x77));
	assert_int_equal(spy_count(rig->spy, BS_READ), 8);
}

static void
zero_length_is_a_no_op(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x28, 0, BE32(0), 0, BE16(0), 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0x2a, 0, BE32(0), 0, BE16(0), 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0x2a, 0, BE32(rig->blocks), 0, BE16(0), 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0x28, 0, BE32(rig->blocks + 1), 0, BE16(0), 0);
	run_sense(&cmd, LBA_OUT_OF_RANGE);
	assert_int_equal(rig->spy->log_count, 0);
}

static void
read_6_of_length_0_reads_256_blocks(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x08, 0x01, 0, 0, 0, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, 256 * 512);
	assert_int_equal(spy_find(rig->spy, BS_READ, 0)->offset, 0x10000 * 512);
	cmd_release(&cmd);
}

static void
beyond_the_end_is_out_of_range_and_says_where(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint64_t wrong[] = {
	    rig->blocks - 1, rig->blocks, 1ull << 63, UINT64_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		CMD(&cmd, rig, 0x88, 0, BE64(wrong[i]), BE32(2), 0, 0);
		run_sense(&cmd, LBA_OUT_OF_RANGE);
		CMD(&cmd, rig, 0x8a, 0, BE64(wrong[i]), BE32(2), 0, 0);
		cmd_out(&cmd, NULL, 2 * rig->block_size);
		run_sense(&cmd, LBA_OUT_OF_RANGE);
		CMD(&cmd, rig, 0x91, 0, BE64(wrong[i]), BE32(2), 0, 0);
		run_sense(&cmd, LBA_OUT_OF_RANGE);
	}
	CMD(&cmd, rig, 0x88, 0, BE64(rig->blocks), BE32(1), 0, 0);
	cmd_run(&cmd);
	assert_true(cmd_sense(&cmd).information_valid);
	assert_int_equal(cmd_sense(&cmd).information, rig->blocks);
	cmd_release(&cmd);
	assert_int_equal(rig->spy->log_count, 0);
}

static void
a_unit_that_shrinks_before_execute_is_out_of_range(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x88, 0, BE64(rig->blocks - 1), BE32(1), 0, 0);
	assert_true(cmd_begin(&cmd));
	rig->spy->bs.size /= 2;
	cmd_execute(&cmd);
	rig_drain(rig);
	assert_sense(&cmd, LBA_OUT_OF_RANGE);
	cmd_release(&cmd);
}

static void
a_read_gives_what_the_initiator_takes_and_tells_the_rest(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint64_t takes[] = {0, 200, rig->block_size, 10000};

	for (unsigned i = 0; i < ARRAY_SIZE(takes); i++) {
		CMD(&cmd, rig, 0x28, 0, BE32(0), 0, BE16(2), 0);
		cmd.task.expected_in = takes[i];
		cmd_run(&cmd);
		assert_good(&cmd);
		uint64_t all = 2 * rig->block_size;
		assert_int_equal(cmd.task.in_full, all);
		assert_int_equal(
		    cmd.task.in_length, takes[i] < all ? takes[i] : all);
		cmd_release(&cmd);
	}
}

static void
a_write_of_less_than_it_says_writes_the_whole_blocks_of_it(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t data[16384];
	uint32_t bs = rig->block_size;

	rig_fill(rig, 0, 2, 'a');
	memset(data, 'b', sizeof(data));
	CMD(&cmd, rig, 0x2a, 0, BE32(0), 0, BE16(2), 0);
	cmd_out(&cmd, data, bs);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.data_length, bs);
	assert_int_equal(cmd.task.out_full, 2 * bs);
	cmd_release(&cmd);
	assert_true(rig_is(rig, 0, 1, 'b'));
	assert_true(rig_is(rig, 1, 1, 'a'));

	CMD(&cmd, rig, 0x2a, 0, BE32(1), 0, BE16(1), 0);
	cmd_out(&cmd, data, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.data_length, 0);
	assert_int_equal(cmd.task.out_full, bs);
	cmd_release(&cmd);
	assert_true(rig_is(rig, 1, 1, 'a'));
}

static void
part_of_a_block_is_refused_and_nothing_is_written(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t data[200] = {0};

	CMD(&cmd, rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, sizeof(data));
	assert_false(cmd_begin(&cmd));
	assert_sense(&cmd, INVALID_FIELD_IN_COMMAND_IU);
	assert_int_equal(cmd.task.out_full, rig->block_size);
	cmd_release(&cmd);
	assert_int_equal(rig->spy->log_count, 0);
}

static void
a_write_of_more_than_it_says_uses_what_it_says(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t data[16384];

	rig_fill(rig, 0, 2, 'a');
	memset(data, 'b', sizeof(data));
	CMD(&cmd, rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, sizeof(data));
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.data_length, rig->block_size);
	cmd_release(&cmd);
	assert_true(rig_is(rig, 1, 1, 'a'));
}

static void
a_read_sent_as_a_write_is_good_and_moves_nothing(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t data[512] = {0};

	CMD(&cmd, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, sizeof(data));
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.data_length, 0);
	assert_int_equal(cmd.task.in_length, 0);
	assert_int_equal(cmd.task.in_full, 512);
	cmd_release(&cmd);
}

static void
fua_goes_down_with_the_write(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t data[512] = {0};

	CMD(&cmd, rig, 0x2a, 0x08, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, sizeof(data));
	run_good(&cmd);
	CMD(&cmd, rig, 0x8a, 0x10, BE64(0), BE32(1), 0, 0);
	cmd_out(&cmd, data, sizeof(data));
	run_good(&cmd);
	assert_true(spy_find(rig->spy, BS_WRITE, 0)->fua);
	assert_false(spy_find(rig->spy, BS_WRITE, 1)->fua);
}

static void
the_lba_of_write_6_is_no_fua_bit(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t data[512] = {0};

	rig->spy->bs.size = RIG_SIZE;
	CMD(&cmd, rig, 0x0a, 0x01, 0xff, 0xff, 1, 0);
	cmd_out(&cmd, data, sizeof(data));
	run_good(&cmd);
	assert_false(spy_find(rig->spy, BS_WRITE, 0)->fua);
}

static void
without_a_write_cache_every_write_is_durable(void **state)
{
	struct rig rig;
	struct cmd cmd;
	uint8_t data[512] = {1};

	(void)state;
	rig_open(&rig, &(struct rig_params){
			   .write_through = true, .volatile_cache = true});
	rig_fill(&rig, 0, 1, 'x');
	assert_true(spy_find(rig.spy, BS_WRITE, 0)->fua);
	CMD(&cmd, &rig, 0x93, 0, BE64(0), BE32(4), 0, 0);
	cmd_out(&cmd, data, sizeof(data));
	run_good(&cmd);
	assert_true(spy_find(rig.spy, BS_WRITE, 1)->fua);
	rig_close(&rig);
}

static void
a_read_with_fua_flushes_first(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.volatile_cache = true});
	CMD(&cmd, &rig, 0x28, 0x08, BE32(0), 0, BE16(1), 0);
	run_good(&cmd);
	assert_int_equal(rig.spy->log_count, 2);
	assert_int_equal(rig.spy->log[0].op, BS_FLUSH);
	assert_int_equal(rig.spy->log[1].op, BS_READ);
	rig_close(&rig);
}

static void
synchronize_cache_waits_for_the_flush_unless_immed(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.volatile_cache = true});
	rig.spy->hold = true;
	CMD(&cmd, &rig, 0x35, 0, BE32(0), 0, BE16(0), 0);
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(&rig);
	assert_false(cmd.done);
	spy_release(rig.spy);
	rig_drain(&rig);
	assert_true(cmd.done);
	assert_good(&cmd);
	cmd_release(&cmd);

	CMD(&cmd, &rig, 0x91, 0x02, BE64(3), BE32(5), 0, 0);
	run_good(&cmd);
	CMD(&cmd, &rig, 0x91, 0x02, BE64(3), BE32(5), 0, 0);
	run_good(&cmd);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 2);
	spy_release_all(rig.spy);
	rig_drain(&rig);
	/* the second came too late for the flush under way */
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 3);
	rig_close(&rig);
}

static void
a_failed_flush_is_told_and_stays_failed(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.volatile_cache = true});
	rig.spy->fail[BS_FLUSH] = -EIO;
	CMD(&cmd, &rig, 0x35, 0, BE32(0), 0, BE16(0), 0);
	run_sense(&cmd, WRITE_ERROR);
	rig.spy->fail[BS_FLUSH] = 0;
	CMD(&cmd, &rig, 0x35, 0, BE32(0), 0, BE16(0), 0);
	run_sense(&cmd, WRITE_ERROR);
	rig_close(&rig);
}

static void
errors_of_the_store_become_sense(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	static uint8_t data[4096];

	rig->spy->fail[BS_READ] = -ENODATA;
	CMD(&cmd, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	cmd_run(&cmd);
	assert_sense(&cmd, UNRECOVERED_READ_ERROR);
	assert_int_equal(cmd.task.in_length, 0);
	cmd_release(&cmd);

	rig->spy->fail[BS_WRITE] = -EIO;
	CMD(&cmd, rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, rig->block_size);
	run_sense(&cmd, WRITE_ERROR);

	rig->spy->fail[BS_WRITE] = -ENOSPC;
	CMD(&cmd, rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, rig->block_size);
	run_sense(&cmd, SPACE_ALLOCATION_FAILED);

	rig->spy->fail[BS_WRITE] = -ENOMEM;
	CMD(&cmd, rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, rig->block_size);
	assert_int_equal(cmd_run(&cmd), SCSI_BUSY);
	cmd_release(&cmd);
}

static void
pre_fetch_checks_its_range(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x34, 0x02, BE32(0), 3, BE16(1), 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0x90, 0, BE64(rig->blocks), BE32(1), 0, 0);
	run_sense(&cmd, LBA_OUT_OF_RANGE);
}

static void
reads_and_writes_are_counted(void **state)
{
	struct rig *rig = *state;
	struct lun_stat stat;

	rig_fill(rig, 0, 4, 1);
	rig_is(rig, 0, 2, 1);
	lun_stat_get(rig->lun, &stat);
	assert_int_equal(stat.writes, 1);
	assert_int_equal(stat.write_bytes, 2048);
	assert_int_equal(stat.reads, 1);
	assert_int_equal(stat.read_bytes, 1024);
	assert_int_equal(stat.nexuses, 2);
	assert_int_equal(stat.tasks, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_tests(what_is_written_is_read_by_every_length_of_cdb),
	    rig_tests(the_largest_transfer_goes_through_in_one_io),
	    rig_tests(a_transfer_is_cut_to_what_the_store_takes),
	    rig_tests(zero_length_is_a_no_op),
	    rig_test(read_6_of_length_0_reads_256_blocks),
	    rig_tests(beyond_the_end_is_out_of_range_and_says_where),
	    rig_tests(a_unit_that_shrinks_before_execute_is_out_of_range),
	    rig_tests(a_read_gives_what_the_initiator_takes_and_tells_the_rest),
	    rig_tests(
		a_write_of_less_than_it_says_writes_the_whole_blocks_of_it),
	    rig_tests(part_of_a_block_is_refused_and_nothing_is_written),
	    rig_tests(a_write_of_more_than_it_says_uses_what_it_says),
	    rig_test(a_read_sent_as_a_write_is_good_and_moves_nothing),
	    rig_test(fua_goes_down_with_the_write),
	    rig_test(the_lba_of_write_6_is_no_fua_bit),
	    cmocka_unit_test(without_a_write_cache_every_write_is_durable),
	    cmocka_unit_test(a_read_with_fua_flushes_first),
	    cmocka_unit_test(
		synchronize_cache_waits_for_the_flush_unless_immed),
	    cmocka_unit_test(a_failed_flush_is_told_and_stays_failed),
	    rig_tests(errors_of_the_store_become_sense),
	    rig_test(pre_fetch_checks_its_range),
	    rig_test(reads_and_writes_are_counted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
