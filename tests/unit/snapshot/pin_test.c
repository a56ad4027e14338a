/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pinned checkpoint: it can be checked while its pool goes on, what is wrong
 * with it is found, and the pool comes first.
 *
 * Not covered: power cuts at every moment, which the simulator has; checking
 * from another thread, which varved's tests have.
 */
#include "base/simloop.h"
#include "snapshot/check.h"
#include "snapshot/engine.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/rig.h"
#include "tests/waited.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MiB      (1ull << 20)
#define VOLUME   (32 * MiB)
#define BUSY_MAX 400

static struct rig rig;
static struct pool_pin pin;

/* The hosts and administrators that go on while something is checked. */
struct busy {
	struct volume *volume;
	struct backstore *bs;
	uint64_t random;
	unsigned turns, most; /* with something done in each of them */
	unsigned snapshots;
	uint64_t held_most;
};

static struct busy busy;

/* What a check has found. */
struct found {
	unsigned count;
	char code[64];
};

static int
setup(void **state)
{
	struct pool_params params = {.name = "tank", .no_mirror = true};

	(void)state;
	memset(&pin, 0, sizeof(pin));
	memset(&busy, 0, sizeof(busy));
	memset(&engine_breaks, 0, sizeof(engine_breaks));
	busy.random = 11;
	busy.most = BUSY_MAX;
	rig_init(&rig, 128 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, &params, false), 0);
	assert_int_equal(
	    rig_volume(&rig, "disk", VOLUME, 512, &busy.volume), 0);
	busy.bs = volume_open(busy.volume);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (rig.pool != NULL && busy.bs != NULL)
		rig_close_bs(&rig, busy.bs);
	memset(&engine_breaks, 0, sizeof(engine_breaks));
	rig_done(&rig);
	return 0;
}

/* ---- what goes on ---- */

static void
busy_write(uint64_t offset, uint64_t length)
{
	int byte = (int)sim_below(&busy.random, 255) + 1;

	assert_int_equal(rig_fill(&rig, busy.bs, offset, length, byte), 0);
}

static void
busy_anywhere(void)
{
	busy_write(4096 * sim_below(&busy.random, VOLUME / 4096), 4096);
}

static void
busy_snapshot(void)
{
	struct volume *snapshot;
	char name[32];

	snprintf(name, sizeof(name), "s%u", busy.snapshots++);
	assert_int_equal(rig_snapshot(&rig, busy.volume, name, &snapshot), 0);
}

static void
busy_delete(void)
{
	struct volume *snapshot = snapshot_next(busy.volume, NULL);

	if (snapshot != NULL)
		assert_int_equal(rig_delete(&rig, snapshot), 0);
}

static void
busy_turn(void)
{
	switch (sim_below(&busy.random, 12)) {
	case 0: busy_snapshot(); break;
	case 1: busy_delete(); break;
	case 2: assert_int_equal(rig_checkpoint(&rig), 0); break;
	case 3:
		assert_int_equal(
		    rig_unmap(&rig, busy.bs,
			65536 * sim_below(&busy.random, VOLUME / 65536), 65536),
		    0);
		break;
	default: busy_anywhere();
	}
}

/* Leaves a pool in which the checker has something to read. */
static void
busy_before(void)
{
	for (unsigned i = 0; i < 300; i++)
		busy_turn();
}

static void
step_busy(void *arg)
{
	(void)arg;
	if (busy.turns < busy.most && sim_below(&busy.random, 2) == 0) {
		busy.turns++;
		busy_turn();
	} else {
		simloop_step(rig.loop);
	}
	if (pin_held(rig.pool) > busy.held_most)
		busy.held_most = pin_held(rig.pool);
}

static void
step_quiet(void *arg)
{
	(void)arg;
	simloop_step(rig.loop);
}

/* ---- checking ---- */

static void
find(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	struct found *found = arg;

	if (severity == CHECK_NOTE)
		return;
	if (found->count++ == 0)
		snprintf(found->code, sizeof(found->code), "%s", code);
	if (getenv("PIN_TEST_SHOWS") != NULL)
		print_message("%s: %s\n", code, text);
}

/* Of what is pinned; the pin stays. */
static int
check(void (*step)(void *arg), struct found *found)
{
	struct check_report report = {.finding = find, .arg = found};
	struct backstore *view[RIG_DISKS];
	int result;

	*found = (struct found){.count = 0};
	for (unsigned i = 0; i < pin.count; i++) {
		view[i] = pin_view(&pin, i, rig.loop);
		assert_non_null(view[i]);
	}
	result = pool_check_pinned(&pin, view, step, NULL, &report);
	for (unsigned i = 0; i < pin.count; i++)
		rig_close_bs(&rig, view[i]);
	return result;
}

/* Of what power leaves on the disks. */
static void
expect_sound_disks(void)
{
	struct found found = {.count = 0};
	struct check_report report = {.finding = find, .arg = &found};

	assert_int_equal(
	    pool_check(rig.disk, rig.disks, step_quiet, NULL, &report), 0);
	assert_int_equal(found.count, 0);
}

static bool
block_is_busy(uint64_t address)
{
	const struct space *space = &rig.pool->space;
	const struct region *region =
	    &space->regions[address >> space->region_shift];
	uint64_t block = address & (space->region_blocks - 1);

	return region->lease->busy[block / 64] >> block % 64 & 1;
}

/* ---- sound ---- */

static void
a_pool_is_checked_while_it_goes_on(void **state)
{
	struct found found;
	uint64_t checkpoints;

	(void)state;
	busy_before();
	assert_int_equal(rig_pin(&rig, &pin), 0);
	checkpoints = rig_stat(&rig).checkpoints;
	assert_int_equal(check(step_busy, &found), 0);
	assert_int_equal(found.count, 0);
	assert_int_equal(pool_pin_lost(&pin), 0);
	/* it did go on, over what is pinned */
	assert_true(rig_stat(&rig).checkpoints >= checkpoints + 3);
	assert_true(busy.held_most > 0);
	pool_unpin(&pin);
}

static void
each_moment_can_be_pinned(void **state)
{
	struct found found;

	(void)state;
	busy.most = 60;
	for (unsigned i = 0; i < 12; i++) {
		for (unsigned n = 0; n < 40; n++)
			busy_turn();
		busy.turns = 0;
		assert_int_equal(rig_pin(&rig, &pin), 0);
		assert_int_equal(check(step_busy, &found), 0);
		assert_int_equal(found.count, 0);
		pool_unpin(&pin);
	}
}

static void
what_is_held_back_is_free_afterwards(void **state)
{
	uint64_t address, held, idle;

	(void)state;
	busy_before();
	assert_int_equal(rig_pin(&rig, &pin), 0);
	address = fmt_ptr_address(&pin.super.versions.ptr);
	for (unsigned i = 0; i < 100; i++)
		busy_turn();
	assert_int_equal(rig_checkpoint(&rig), 0);
	held = pin_held(rig.pool);
	idle = rig.pool->space.meta_idle;
	assert_true(held > 0);
	assert_true(block_is_busy(address));
	pool_unpin(&pin);
	assert_int_equal(rig.pool->space.meta_idle, idle + held);
	assert_int_equal(pin_held(rig.pool), 0);
	assert_false(block_is_busy(address));
	pool_unpin(&pin); /* once more does nothing */
	assert_int_equal(rig.pool->space.meta_idle, idle + held);
}

/* However long it takes: a page that came and went is nobody's. */
static void
no_more_is_held_than_the_checkpoint_has(void **state)
{
	uint64_t pages;

	(void)state;
	busy_before();
	assert_int_equal(rig_pin(&rig, &pin), 0);
	pages = le64_get(&pin.super.meta_blocks);
	for (unsigned i = 0; i < 3000; i++)
		busy_turn();
	assert_int_equal(pool_pin_lost(&pin), 0);
	/* beside its own, a few that were just taken or given up */
	assert_in_range(pin_held(rig.pool), 1, 2 * pages);
	pool_unpin(&pin);
}

static void
a_power_cut_leaves_no_pin(void **state)
{
	(void)state;
	busy_before();
	assert_int_equal(rig_pin(&rig, &pin), 0);
	for (unsigned i = 0; i < 200; i++)
		busy_turn();
	assert_true(pin_held(rig.pool) > 0);
	assert_int_equal(rig_flush(&rig, busy.bs), 0);
	rig_cut(&rig);
	expect_sound_disks();
	assert_int_equal(rig_open(&rig, false), 0);
	assert_int_equal(pin_held(rig.pool), 0);
	busy.bs = NULL;
}

/* ---- not sound ---- */

/* Without the rule the check would see what is not there any more. */
static void
the_check_would_notice_if_nothing_were_held(void **state)
{
	struct found found;
	unsigned noticed = 0;

	(void)state;
	engine_breaks.pin_ignored = true;
	for (unsigned i = 0; i < 8; i++) {
		for (unsigned n = 0; n < 40; n++)
			busy_turn();
		busy.turns = 0;
		assert_int_equal(rig_pin(&rig, &pin), 0);
		check(step_busy, &found);
		noticed += found.count > 0;
		pool_unpin(&pin);
	}
	assert_true(noticed > 0);
}

static void
damage_is_found(void **state)
{
	uint64_t offset, run, address;
	struct found found;
	uint8_t byte;

	(void)state;
	busy_before();
	assert_int_equal(rig_pin(&rig, &pin), 0);
	address = fmt_ptr_address(&pin.super.versions.ptr);
	pool_locate(rig.pool, address, &offset, &run);
	rig_peek(&rig, 0, offset + 100, &byte, 1);
	byte ^= 1;
	rig_poke(&rig, 0, offset + 100, &byte, 1);
	assert_int_equal(check(step_busy, &found), 0);
	assert_true(found.count > 0);
	assert_string_equal(found.code, "meta.page");
	pool_unpin(&pin);
}

/* ---- the pool comes first ---- */

static void
one_checkpoint_is_pinned_at_a_time(void **state)
{
	struct pool_pin other;

	(void)state;
	assert_int_equal(rig_pin(&rig, &pin), 0);
	assert_int_equal(rig_pin(&rig, &other), -EBUSY);
	pool_unpin(&other);
	assert_int_equal(pool_pin_lost(&pin), 0);
	pool_unpin(&pin);
	assert_int_equal(rig_pin(&rig, &pin), 0);
	pool_unpin(&pin);
}

/* Until nothing more can be written anew. */
static void
fill_the_pool(void)
{
	struct volume *volume;
	struct backstore *bs;
	uint64_t at = 0;

	assert_int_equal(
	    rig_volume(&rig, "ballast", 256 * MiB, 512, &volume), 0);
	bs = volume_open(volume);
	while (rig_fill(&rig, bs, at, 65536, 9) == 0)
		at += 65536;
	rig_close_bs(&rig, bs);
}

/* A map of many pages. */
static struct backstore *
make_sparse(void)
{
	struct volume *volume;
	struct backstore *bs;

	assert_int_equal(
	    rig_volume(&rig, "sparse", 1024 * MiB, 512, &volume), 0);
	bs = volume_open(volume);
	for (unsigned i = 0; i < 40; i++)
		assert_int_equal(rig_fill(&rig, bs, i * 16 * MiB, 4096, 1), 0);
	return bs;
}

/* Pins, and gives that map up; then the next checkpoint finds fewer pages idle
 * than it wants, though not if it takes those. */
static void
pin_when_short(struct backstore *sparse)
{
	struct space *space = &rig.pool->space;
	uint64_t wanted;

	assert_int_equal(rig_pin(&rig, &pin), 0);
	assert_int_equal(rig_unmap(&rig, sparse, 0, 1024 * MiB), 0);
	assert_int_equal(rig_checkpoint(&rig), 0);
	assert_true(pin_held(rig.pool) > 40);
	wanted = checkpoint_needs(rig.pool) + rig.pool->dirty_limit;
	while (space->meta_idle > wanted - 10)
		assert_int_not_equal(space_meta_take(rig.pool), 0);
	assert_int_equal(rig_rename(&rig, busy.volume, "renamed"), 0);
	assert_int_equal(rig_stat(&rig).state, POOL_ONLINE);
	rig_close_bs(&rig, sparse);
}

static void
the_pool_takes_what_it_needs(void **state)
{
	struct backstore *sparse;
	uint64_t regions;

	(void)state;
	busy_write(0, 2 * MiB);
	sparse = make_sparse();
	fill_the_pool();
	regions = rig.pool->space.class_count[FMT_REGION_META];
	pin_when_short(sparse);
	assert_int_equal(pool_pin_lost(&pin), -ENOSPC);
	assert_int_equal(pin_held(rig.pool), 0);
	assert_int_equal(rig.pool->space.class_count[FMT_REGION_META], regions);
	busy_write(0, 2 * MiB);
	pool_unpin(&pin);
}

static void
metadata_grow_where_there_is_plenty(void **state)
{
	struct backstore *sparse;
	uint64_t regions;

	(void)state;
	busy_write(0, 2 * MiB);
	sparse = make_sparse();
	regions = rig.pool->space.class_count[FMT_REGION_META];
	pin_when_short(sparse);
	assert_int_equal(pool_pin_lost(&pin), 0);
	assert_int_equal(
	    rig.pool->space.class_count[FMT_REGION_META], regions + 1);
	pool_unpin(&pin);
}

static unsigned turns_to_loss;

static void
step_until_lost(void *arg)
{
	(void)arg;
	if (turns_to_loss > 0 && --turns_to_loss == 0)
		pin_lose(rig.pool, -ENOSPC);
	step_busy(NULL);
}

/* What was read before is true, and all after it is not looked at. */
static void
a_check_whose_pin_is_lost_says_so(void **state)
{
	struct found found;

	(void)state;
	busy_before();
	for (turns_to_loss = 1; turns_to_loss < 200;) {
		unsigned turns = turns_to_loss;
		busy.turns = 0;
		busy.most = 100;
		assert_int_equal(rig_pin(&rig, &pin), 0);
		assert_int_equal(check(step_until_lost, &found), -ECANCELED);
		assert_int_equal(found.count, 0);
		assert_int_equal(pool_pin_lost(&pin), -ENOSPC);
		pool_unpin(&pin);
		turns_to_loss = turns + 13;
	}
}

static void
closing_the_pool_ends_it(void **state)
{
	struct waited waited = WAITED(waited);
	uint8_t *buf = aligned_alloc(4096, 4096);
	struct backstore *view;

	(void)state;
	busy_write(0, 65536);
	assert_int_equal(rig_pin(&rig, &pin), 0);
	view = pin_view(&pin, 0, rig.loop);
	assert_int_equal(rig_io(&rig, view, BS_READ, 0, buf, 4096), 0);
	rig_close_bs(&rig, busy.bs);
	busy.bs = NULL;
	pool_close(rig.pool, &waited.request);
	simloop_run_until(rig.loop, &waited.done);
	assert_int_equal(waited.result, 0);
	rig.pool = NULL;
	rig.disks = 0;
	assert_int_equal(pool_pin_lost(&pin), -ECANCELED);
	assert_int_equal(rig_io(&rig, view, BS_READ, 0, buf, 4096), -ECANCELED);
	rig_close_bs(&rig, view);
	pool_unpin(&pin);
	free(buf);
}

/* ---- pools that take no checkpoint ---- */

static void
a_suspect_pool_can_be_checked(void **state)
{
	const struct bs_error_rule rule = {
	    .op = BS_FLUSH, .count = 0, .error = -EIO};
	struct backstore *errors;
	struct found found;

	(void)state;
	busy_before();
	assert_int_equal(rig_checkpoint(&rig), 0);
	assert_int_equal(rig_flush(&rig, busy.bs), 0);
	rig_cut(&rig);
	errors = rig_errors(&rig, 0);
	assert_int_equal(rig_open(&rig, false), 0);
	busy.volume = volume_find(rig.pool, "disk");
	busy.bs = volume_open(busy.volume);
	busy_write(0, 4096);
	bs_error_add(errors, &rule);
	assert_int_equal(rig_flush(&rig, busy.bs), -EIO);
	assert_int_equal(rig_stat(&rig).state, POOL_SUSPECT);
	assert_int_equal(rig_pin(&rig, &pin), 0);
	assert_int_equal(check(step_quiet, &found), 0);
	assert_int_equal(found.count, 0);
	pool_unpin(&pin);
}

static void
a_pool_open_for_reading_can_be_checked(void **state)
{
	struct found found;

	(void)state;
	busy_before();
	assert_int_equal(rig_flush(&rig, busy.bs), 0);
	rig_cut(&rig);
	busy.bs = NULL;
	assert_int_equal(rig_open(&rig, true), 0);
	assert_int_equal(rig_pin(&rig, &pin), 0);
	assert_int_equal(check(step_quiet, &found), 0);
	assert_int_equal(found.count, 0);
	pool_unpin(&pin);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_pool_is_checked_while_it_goes_on),
	    TEST(each_moment_can_be_pinned),
	    TEST(what_is_held_back_is_free_afterwards),
	    TEST(no_more_is_held_than_the_checkpoint_has),
	    TEST(a_power_cut_leaves_no_pin),
	    TEST(the_check_would_notice_if_nothing_were_held),
	    TEST(damage_is_found),
	    TEST(one_checkpoint_is_pinned_at_a_time),
	    TEST(the_pool_takes_what_it_needs),
	    TEST(metadata_grow_where_there_is_plenty),
	    TEST(a_check_whose_pin_is_lost_says_so),
	    TEST(closing_the_pool_ends_it),
	    TEST(a_suspect_pool_can_be_checked),
	    TEST(a_pool_open_for_reading_can_be_checked),
	};

	return cmocka_run_group_tests_name("pin", tests, NULL, NULL);
}
