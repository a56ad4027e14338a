/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The simulator's disk: that it keeps what it must, and that it really does
 * lose, tear and reorder what it may.  A disk that is too kind would let every
 * engine pass.
 */
#include "backstores/testing.h"
#include "base/simloop.h"
#include "tests/unit/backstores/support/contract.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MIB    (1024 * 1024ull)
#define BLOCK  4096u
#define SECTOR 512u

static int
make(struct contract *c)
{
	const struct bs_powercut_params params = {
	    .size = 8 * MIB,
	    .block_size = 512,
	    .seed = 1,
	    .volatile_cache = true,
	    .keep_percent = 50,
	    .latency_min_ns = 1000,
	    .latency_max_ns = 1000000,
	};

	return bs_powercut_new(c->drive.loop, &params, &c->bs);
}

static const struct contract_store powercut_store = {
    .name = "powercut", .simulated = true, .make = make};

/* ---- directed ---- */

static struct drive drive;
static struct backstore *disk;

static void
open_disk(uint64_t seed, bool volatile_cache, unsigned keep_percent)
{
	const struct bs_powercut_params params = {
	    .size = MIB,
	    .block_size = BLOCK,
	    .seed = seed,
	    .volatile_cache = volatile_cache,
	    .keep_percent = keep_percent,
	    .latency_min_ns = 1000,
	    .latency_max_ns = 1000000,
	};

	drive_open_sim(&drive, seed);
	assert_int_equal(bs_powercut_new(drive.loop, &params, &disk), 0);
}

static void
close_disk(void)
{
	drive_close_store(&drive, disk);
	drive_close(&drive);
}

static void
cut_and_reboot(void)
{
	bs_powercut_cut(disk);
	simloop_power_off(drive.loop);
	bs_powercut_attach(disk, drive.loop);
}

static void
put(unsigned block, uint8_t value, bool fua)
{
	uint8_t buf[BLOCK];

	memset(buf, value, BLOCK);
	assert_int_equal(
	    drive_write(&drive, disk, (uint64_t)block * BLOCK, buf, BLOCK, fua),
	    0);
}

/* Sectors of the block that hold the value. */
static unsigned
sectors_of(unsigned block, uint8_t value)
{
	uint8_t buf[BLOCK];
	unsigned count = 0;

	bs_powercut_peek(disk, (uint64_t)block * BLOCK, buf, BLOCK);
	for (unsigned at = 0; at < BLOCK; at += SECTOR) {
		for (unsigned i = 1; i < SECTOR; i++) /* none is mixed */
			assert_int_equal(buf[at + i], buf[at]);
		if (buf[at] == value)
			count++;
	}
	return count;
}

static void
test_what_was_flushed_survives(void **state)
{
	(void)state;
	open_disk(1, true, 0);
	put(3, 'a', false);
	assert_int_equal(drive_flush(&drive, disk), 0);
	cut_and_reboot();
	assert_int_equal(sectors_of(3, 'a'), 8);
	close_disk();
}

static void
test_a_completed_fua_write_survives(void **state)
{
	(void)state;
	open_disk(2, true, 0);
	put(3, 'a', false); /* an older version must not come back */
	put(3, 'b', true);
	put(4, 'c', false);
	cut_and_reboot();
	assert_int_equal(sectors_of(3, 'b'), 8);
	assert_int_equal(sectors_of(4, 0), 8);
	close_disk();
}

static void
test_without_a_volatile_cache_completed_is_durable(void **state)
{
	(void)state;
	open_disk(3, false, 0);
	assert_false(disk->volatile_cache);
	put(3, 'a', false);
	assert_int_equal(
	    drive_zero(&drive, disk, 3 * BLOCK, BLOCK, true, false), 0);
	put(4, 'b', false);
	cut_and_reboot();
	assert_int_equal(sectors_of(3, 0), 8);
	assert_int_equal(sectors_of(4, 'b'), 8);
	close_disk();
}

static void
test_keeping_all_loses_nothing_that_completed(void **state)
{
	(void)state;
	open_disk(4, true, 100);
	put(3, 'a', false);
	put(3, 'b', false);
	cut_and_reboot();
	assert_int_equal(sectors_of(3, 'b'), 8);
	close_disk();
}

/* Outcomes of one block after two unflushed writes over a flushed one. */
struct outcomes {
	unsigned old, first, second, torn;
};

static void
one_outcome(uint64_t seed, struct outcomes *outcomes)
{
	open_disk(seed, true, 50);
	put(3, 'o', false);
	assert_int_equal(drive_flush(&drive, disk), 0);
	put(3, '1', false);
	put(3, '2', false);
	cut_and_reboot();
	assert_int_equal(
	    sectors_of(3, 'o') + sectors_of(3, '1') + sectors_of(3, '2'), 8);
	if (sectors_of(3, 'o') == 8)
		outcomes->old++;
	else if (sectors_of(3, '1') == 8)
		outcomes->first++;
	else if (sectors_of(3, '2') == 8)
		outcomes->second++;
	else
		outcomes->torn++;
	close_disk();
}

static void
test_unflushed_writes_end_in_every_way(void **state)
{
	struct outcomes outcomes = {0};

	(void)state;
	for (uint64_t seed = 1; seed <= 400; seed++)
		one_outcome(seed, &outcomes);
	assert_true(outcomes.old > 40);
	assert_true(outcomes.first > 40);
	assert_true(outcomes.second > 40);
	assert_true(outcomes.torn > 40);
}

static void
test_later_writes_may_survive_earlier_ones(void **state)
{
	unsigned reordered = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 100; seed++) {
		open_disk(seed, true, 50);
		put(3, 'a', false);
		put(9, 'b', false);
		cut_and_reboot();
		if (sectors_of(3, 0) == 8 && sectors_of(9, 'b') == 8)
			reordered++;
		close_disk();
	}
	assert_true(reordered > 5);
}

/* ---- several in flight ---- */

#define FLIGHTS 4

static struct bs_io flights[FLIGHTS];
static struct iovec flight_iov[FLIGHTS];
static uint8_t flight_data[FLIGHTS][BLOCK];
static char order[FLIGHTS + 1];
static unsigned completed;

static void
flight_complete(struct bs_io *io, int result)
{
	assert_int_equal(result, 0);
	order[completed++] = (char)('0' + (io - flights));
}

/* WRITE of '0' + index to block index. */
static void
flight_submit(unsigned index, enum bs_op op, bool fua)
{
	struct bs_io *io = &flights[index];

	bs_io_init(io);
	io->op = op;
	io->complete = flight_complete;
	if (op == BS_WRITE) {
		memset(flight_data[index], '0' + (int)index, BLOCK);
		flight_iov[index] = (struct iovec){flight_data[index], BLOCK};
		io->offset = (uint64_t)index * BLOCK;
		io->length = BLOCK;
		io->iov = &flight_iov[index];
		io->iov_count = 1;
		io->fua = fua;
	}
	bs_submit(disk, io);
}

static void
forget_flights(void)
{
	completed = 0;
	memset(order, 0, sizeof(order));
}

static void
test_completions_come_in_any_order(void **state)
{
	bool seen_first[FLIGHTS] = {false};

	(void)state;
	for (uint64_t seed = 1; seed <= 64; seed++) {
		open_disk(seed, true, 50);
		forget_flights();
		for (unsigned i = 0; i < FLIGHTS; i++)
			flight_submit(i, BS_WRITE, false);
		assert_int_equal(completed, 0);
		while (simloop_step(drive.loop))
			;
		assert_int_equal(completed, FLIGHTS);
		seen_first[order[0] - '0'] = true;
		close_disk();
	}
	for (unsigned i = 0; i < FLIGHTS; i++)
		assert_true(seen_first[i]);
}

static void
test_the_same_seed_gives_the_same_run(void **state)
{
	char first[FLIGHTS + 1];

	(void)state;
	for (unsigned run = 0; run < 2; run++) {
		open_disk(77, true, 50);
		forget_flights();
		for (unsigned i = 0; i < FLIGHTS; i++)
			flight_submit(i, BS_WRITE, false);
		while (simloop_step(drive.loop))
			;
		if (run == 0)
			memcpy(first, order, sizeof(first));
		close_disk();
	}
	assert_string_equal(first, order);
}

static void
test_a_fua_write_in_flight_is_absent_torn_or_whole(void **state)
{
	unsigned whole = 0, absent = 0;
	const unsigned seeds = 200;

	(void)state;
	for (uint64_t seed = 1; seed <= seeds; seed++) {
		open_disk(seed, true, 50);
		forget_flights();
		flight_submit(1, BS_WRITE, true);
		cut_and_reboot();
		assert_int_equal(completed, 0);
		whole += sectors_of(1, '1') == 8;
		absent += sectors_of(1, 0) == 8;
		close_disk();
	}
	assert_true(whole > 20);
	assert_true(absent > 20);
	assert_true(whole + absent < seeds - 20); /* the rest is torn */
}

static void
test_a_flush_covers_only_what_completed_before_it(void **state)
{
	(void)state;
	open_disk(5, true, 0);
	forget_flights();
	put(0, '0', false);
	flight_submit(1, BS_WRITE, false); /* in flight with the flush */
	flight_submit(2, BS_FLUSH, false);
	while (completed < 2)
		assert_true(simloop_step(drive.loop));
	cut_and_reboot();
	assert_int_equal(sectors_of(0, '0'), 8);
	assert_int_equal(sectors_of(1, '1'), 0);
	close_disk();
}

static void
test_a_flush_in_flight_promises_nothing(void **state)
{
	(void)state;
	open_disk(6, true, 0);
	forget_flights();
	put(0, '0', false);
	flight_submit(2, BS_FLUSH, false);
	cut_and_reboot();
	assert_int_equal(completed, 0);
	assert_int_equal(sectors_of(0, 0), 8);
	close_disk();
}

/* ---- arming ---- */

static void
hook(void *arg)
{
	++*(unsigned *)arg;
}

static void
test_the_armed_cut_comes_at_its_moment(void **state)
{
	unsigned called = 0;

	(void)state;
	open_disk(7, true, 100);
	forget_flights();
	put(0, 'x', false);
	assert_int_equal(bs_powercut_ticks(disk), 1);
	bs_powercut_arm(disk, 2, hook, &called);
	flight_submit(0, BS_WRITE, false);
	assert_int_equal(called, 0);
	flight_submit(1, BS_WRITE, false);
	assert_int_equal(called, 1);
	flight_submit(2, BS_WRITE, false); /* after it: never happened */
	while (simloop_step(drive.loop))
		;
	assert_int_equal(completed, 0);
	assert_int_equal(bs_powercut_ticks(disk), 3);
	cut_and_reboot();
	/* keep 100: those in flight at that moment are there */
	assert_int_equal(sectors_of(0, '0'), 8);
	assert_int_equal(sectors_of(1, '1'), 8);
	assert_int_equal(sectors_of(2, 0), 8);
	assert_int_equal(disk->in_flight, 0);
	/* and the disk works again */
	put(2, 'y', true);
	assert_int_equal(sectors_of(2, 'y'), 8);
	assert_int_equal(called, 1);
	close_disk();
}

/* ---- faults ---- */

static void
test_a_dropped_write_completes_and_changes_nothing(void **state)
{
	(void)state;
	open_disk(8, true, 100);
	put(0, 'a', false);
	bs_powercut_drop_next_write(disk);
	put(0, 'b', true);
	assert_int_equal(sectors_of(0, 'a'), 8);
	put(0, 'c', false);
	assert_int_equal(sectors_of(0, 'c'), 8);
	close_disk();
}

static void
test_flips_and_pokes_reach_every_copy(void **state)
{
	uint8_t byte;

	(void)state;
	for (unsigned keep = 0; keep <= 100; keep += 100) {
		open_disk(9, true, keep);
		put(0, 0x10, true);
		put(0, 0x30, false);
		bs_powercut_flip_bit(disk, 1000 * 8 + 1);
		bs_powercut_poke(disk, 510, "poke", 4);
		cut_and_reboot();
		bs_powercut_peek(disk, 1000, &byte, 1);
		assert_int_equal(byte, keep == 0 ? 0x12 : 0x32);
		char poked[4];
		bs_powercut_peek(disk, 510, poked, 4);
		assert_memory_equal(poked, "poke", 4);
		close_disk();
	}
}

static void
test_a_new_size_survives(void **state)
{
	(void)state;
	open_disk(10, true, 0);
	put(0, 'a', true);
	put(255, 'b', false); /* the last, unflushed */
	assert_int_equal(drive_resize(&drive, disk, 255 * BLOCK), 0);
	assert_int_equal(drive_resize(&drive, disk, 2 * MIB), 0);
	assert_int_equal(sectors_of(255, 0), 8);
	put(300, 'c', false);
	assert_int_equal(drive_flush(&drive, disk), 0);
	cut_and_reboot();
	assert_int_equal(disk->size, 2 * MIB);
	assert_int_equal(sectors_of(0, 'a'), 8);
	assert_int_equal(sectors_of(255, 0), 8);
	assert_int_equal(sectors_of(300, 'c'), 8);
	close_disk();
}

static void
test_refuses_nonsense(void **state)
{
	struct bs_powercut_params params = {.size = MIB, .block_size = 1024};
	struct backstore *bs;

	(void)state;
	drive_open_sim(&drive, 1);
	assert_int_equal(bs_powercut_new(drive.loop, &params, &bs), -EINVAL);
	params.block_size = 4096;
	params.keep_percent = 101;
	assert_int_equal(bs_powercut_new(drive.loop, &params, &bs), -EINVAL);
	drive_close(&drive);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_was_flushed_survives),
	    cmocka_unit_test(test_a_completed_fua_write_survives),
	    cmocka_unit_test(
		test_without_a_volatile_cache_completed_is_durable),
	    cmocka_unit_test(test_keeping_all_loses_nothing_that_completed),
	    cmocka_unit_test(test_unflushed_writes_end_in_every_way),
	    cmocka_unit_test(test_later_writes_may_survive_earlier_ones),
	    cmocka_unit_test(test_completions_come_in_any_order),
	    cmocka_unit_test(test_the_same_seed_gives_the_same_run),
	    cmocka_unit_test(
		test_a_fua_write_in_flight_is_absent_torn_or_whole),
	    cmocka_unit_test(test_a_flush_covers_only_what_completed_before_it),
	    cmocka_unit_test(test_a_flush_in_flight_promises_nothing),
	    cmocka_unit_test(test_the_armed_cut_comes_at_its_moment),
	    cmocka_unit_test(
		test_a_dropped_write_completes_and_changes_nothing),
	    cmocka_unit_test(test_flips_and_pokes_reach_every_copy),
	    cmocka_unit_test(test_a_new_size_survives),
	    cmocka_unit_test(test_refuses_nonsense),
	};

	return cmocka_run_group_tests_name("powercut", tests, NULL, NULL) +
	       contract_run(&powercut_store);
}
