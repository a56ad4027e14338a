/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log where it goes round: groups of records are never divided, whatever
 * is left of the ring; and when it is committed, if nobody asks for it.
 *
 * Not covered: torn, lost and stale blocks, which the simulator has.
 */
#include "snapshot/engine.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/rig.h"
#include <errno.h>

#define MiB    (1ull << 20)
#define LEAF   (FMT_LEAF_CHUNKS * (uint64_t)FMT_CHUNK)
#define ROUNDS 8u

static struct rig rig;

static int
teardown(void **state)
{
	(void)state;
	rig_done(&rig);
	return 0;
}

/* All chunks of one leaf, the last one first: no two are in a row on the disk,
 * so that giving them back takes a record for each. */
static void
write_backwards(struct volume *volume)
{
	struct backstore *bs = volume_open(volume);

	for (uint64_t at = LEAF; at > 0; at -= FMT_CHUNK) {
		assert_int_equal(
		    rig_fill(&rig, bs, at - FMT_CHUNK, 4096, 7), 0);
		assert_int_equal(rig_flush(&rig, bs), 0);
	}
	rig_close_bs(&rig, bs);
}

static uint64_t
blocks_to_the_end(void)
{
	const struct redo *redo = &rig.pool->redo;

	return redo->blocks - redo->head % redo->blocks;
}

/* One commit after the other. */
static void
go_on_to(struct backstore *bs, uint64_t blocks)
{
	for (unsigned i = 0; blocks_to_the_end() != blocks; i++) {
		assert_true(i < 10000);
		assert_int_equal(
		    rig_fill(&rig, bs, i % 64 * FMT_CHUNK, 4096, 1), 0);
		assert_int_equal(
		    rig_unmap(&rig, bs, i % 64 * FMT_CHUNK, FMT_CHUNK), 0);
		assert_int_equal(rig_flush(&rig, bs), 0);
	}
}

/* The deletion of a leaf is one group of more records than a block has. */
static void
a_group_is_not_divided_by_the_end_of_the_ring(void **state)
{
	struct pool_params params = {.name = "tank"};
	struct volume *volume, *other;
	struct backstore *bs;
	char name[] = "a";

	(void)state;
	assert_true(FMT_LEAF_CHUNKS > fmt_log_capacity(FMT_BLOCK));
	rig_init(&rig, 256 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, &params, false), 0);
	assert_int_equal(rig_volume(&rig, "other", 64 * MiB, 512, &other), 0);
	bs = volume_open(other);
	for (unsigned round = 1; round <= ROUNDS; round++, name[0]++) {
		assert_int_equal(rig_volume(&rig, name, LEAF, 512, &volume), 0);
		write_backwards(volume);
		go_on_to(bs, round);
		assert_int_equal(rig_delete(&rig, volume), 0);
		rig_settle_jobs(&rig);
		assert_int_equal(rig_flush(&rig, bs), 0);
		rig_cut(&rig);
		assert_int_equal(rig_open(&rig, false), 0);
		assert_null(volume_find(rig.pool, name));
		bs = volume_open(volume_find(rig.pool, "other"));
		rig_settle_jobs(&rig);
	}
}

/* ---- lazy records ---- */

static bool
all_is_committed(void)
{
	return rig.pool->redo.durable_lsn == rig.pool->redo.next_lsn;
}

/* Each commit flushes the devices: one for what nobody waits for can wait. */
static void
what_a_deletion_gives_back_is_committed_late(void **state)
{
	struct pool_params params = {.name = "tank"};
	struct volume *volume;
	struct backstore *bs;

	(void)state;
	rig_init(&rig, 256 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, &params, false), 0);
	assert_int_equal(rig_volume(&rig, "a", LEAF, 512, &volume), 0);
	write_backwards(volume);
	assert_int_equal(rig_delete(&rig, volume), 0);
	rig_settle_jobs(&rig);
	rig_settle(&rig, NSEC_PER_SEC / 2);
	assert_false(all_is_committed());
	/* blocks, and then the regions that they leave empty */
	rig_settle(&rig, 5 * NSEC_PER_SEC);
	assert_true(all_is_committed());

	/* others are not held up by them */
	assert_int_equal(rig_volume(&rig, "b", LEAF, 512, &volume), 0);
	write_backwards(volume);
	assert_int_equal(rig_delete(&rig, volume), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(rig_volume(&rig, "c", LEAF, 512, &volume), 0);
	bs = volume_open(volume);
	assert_int_equal(rig_fill(&rig, bs, 0, 4096, 1), 0);
	rig_settle(&rig, NSEC_PER_SEC / 2);
	assert_true(all_is_committed());
}

/* The pool has no chunk left but those: the write asks for the commit. */
static void
who_needs_what_was_given_back_gets_it_at_once(void **state)
{
	struct pool_params params = {.name = "tank"};
	struct volume *full, *other;
	struct backstore *bs, *to;
	uint64_t began, at = 0;

	(void)state;
	rig_init(&rig, 128 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, &params, false), 0);
	assert_int_equal(rig_volume(&rig, "full", 128 * MiB, 512, &full), 0);
	assert_int_equal(rig_volume(&rig, "other", 16 * MiB, 512, &other), 0);
	to = volume_open(other);
	bs = volume_open(full);
	while (rig_fill(&rig, bs, at, FMT_CHUNK, 1) == 0)
		at += FMT_CHUNK;
	assert_int_equal(rig_fill(&rig, to, 0, FMT_CHUNK, 2), -ENOSPC);
	rig_close_bs(&rig, bs);
	assert_int_equal(rig_delete(&rig, full), 0);
	rig_settle_jobs(&rig);
	assert_false(all_is_committed());
	began = loop_now(rig.loop);
	assert_int_equal(rig_fill(&rig, to, 0, FMT_CHUNK, 2), 0);
	assert_true(loop_now(rig.loop) - began < NSEC_PER_SEC / 10);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_group_is_not_divided_by_the_end_of_the_ring),
	    TEST(what_a_deletion_gives_back_is_committed_late),
	    TEST(who_needs_what_was_given_back_gets_it_at_once),
	};

	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
