/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks in pieces: how they are counted, and when the engine puts them
 * together by itself: mostly redirected, cold, or left behind by a snapshot.
 * Not covered: I/O meanwhile, which is the simulator's (tests/sim); the steps
 * of a rewrite are those of flatten_beside_test.c.
 */
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/going.h"

#define SEC 1000000000ull

/* ---- promotion ---- */

static void
redirect(unsigned blocks)
{
	for (unsigned i = 0; i < blocks; i++)
		fill(bs, i * 4 * KiB, 4 * KiB, 2);
}

static void
most_of_a_chunk_redirected_is_put_together(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	redirect(13);
	rig_settle(&rig, 5 * SEC);
	assert_int_equal(stat_of(volume).rewrites, 0);
	fill(bs, 56 * KiB, 4 * KiB, 2);
	assert_int_equal(stat_of(volume).fine_chunks, 1);
	rig_settle(&rig, 5 * SEC);
	assert_int_equal(stat_of(volume).rewrites, 1);
	assert_int_equal(stat_of(volume).fine_chunks, 0);
	assert_int_equal(stat_of(volume).fragments, 0);
	assert_int_equal(allocated(), MiB + 64 * KiB);
	assert_true(holds(bs, 0, 52 * KiB, 2));
	assert_true(holds(bs, 52 * KiB, 4 * KiB, 1));
	assert_true(holds(bs, 56 * KiB, 4 * KiB, 2));
	assert_true(holds(bs, 60 * KiB, MiB - 60 * KiB, 1));
}

/* What a snapshot has got meanwhile would be copied as a whole. */
static void
not_if_a_snapshot_comes_first(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	redirect(14);
	snapshot(volume, "two");
	rig_settle(&rig, 100 * SEC);
	assert_int_equal(stat_of(volume).rewrites, 0);
	redirect(14);
	rig_settle(&rig, 5 * SEC);
	assert_int_equal(stat_of(volume).rewrites, 1);
}

static void
volumes_of_whole_chunks_are_left_alone(void **state)
{
	struct backstore *store;
	struct volume *of;

	(void)state;
	assert_int_equal(rig_volume_unit(&rig, "unit", 8 * MiB, 65536, &of), 0);
	store = volume_open(of);
	fill(store, 0, MiB, 1);
	snapshot(of, "one");
	for (unsigned i = 0; i < 16; i++)
		fill(store, i * 4 * KiB, 4 * KiB, 2);
	rig_settle(&rig, 100 * SEC);
	assert_int_equal(stat_of(of).rewrites, 0);
	rig_close_bs(&rig, store);
}

static void
cold_chunks_in_pieces_are_put_together(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	for (unsigned i = 16; i-- > 0;)
		fill(bs, i * 4 * KiB, 4 * KiB, 2);
	assert_int_equal(stat_of(volume).fine_chunks, 1);
	assert_true(stat_of(volume).fragments > 1);
	/* as long as it is written it stays so */
	for (unsigned i = 0; i < 10; i++) {
		rig_settle(&rig, 10 * SEC);
		fill(bs, 0, 4 * KiB, 3);
	}
	assert_int_equal(stat_of(volume).rewrites, 0);
	rig_settle(&rig, 200 * SEC);
	assert_int_equal(stat_of(volume).rewrites, 1);
	assert_int_equal(stat_of(volume).fine_chunks, 0);
	assert_int_equal(allocated(), MiB + 64 * KiB);
	assert_true(holds(bs, 0, 4 * KiB, 3));
	assert_true(holds(bs, 4 * KiB, 60 * KiB, 2));
}

/* What a snapshot shared is the volume's alone when it has gone. */
static void
so_are_those_that_a_snapshot_leaves_behind(void **state)
{
	struct volume *s;

	(void)state;
	fill(bs, 0, MiB, 1);
	s = snapshot(volume, "one");
	redirect(3);
	assert_int_equal(rig_delete(&rig, s), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(allocated(), MiB);
	rig_settle(&rig, 200 * SEC);
	assert_int_equal(stat_of(volume).rewrites, 1);
	assert_int_equal(stat_of(volume).fine_chunks, 0);
	assert_int_equal(allocated(), MiB);
	assert_true(holds(bs, 0, 12 * KiB, 2));
	assert_true(holds(bs, 12 * KiB, MiB - 12 * KiB, 1));
}

static void
nothing_is_put_together_in_a_full_pool(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	redirect(14);
	ballast();
	rig_settle(&rig, 100 * SEC);
	assert_int_equal(stat_of(volume).rewrites, 0);
	assert_true(holds(bs, 0, 36 * KiB, 2));
}

static struct diff_extent extents[64];

/* It may report too much, not too little. */
static void
a_bookmark_still_misses_nothing(void **state)
{
	struct bookmark mark;
	struct diff_request d = {.extent = extents, .extent_max = 64};
	struct volume *s;

	(void)state;
	fill(bs, 0, MiB, 1);
	s = snapshot(volume, "one");
	assert_int_equal(rig_bookmark(&rig, volume, s, "monday"), 0);
	redirect(14);
	rig_settle(&rig, 5 * SEC);
	assert_int_equal(stat_of(volume).rewrites, 1);
	assert_true(bookmark_get(volume, 0, &mark));
	d.to = volume;
	d.base_epoch = mark.epoch;
	assert_int_equal(rig_diff(&rig, &d), 0);
	assert_int_equal(d.extent_count, 1);
	assert_int_equal(extents[0].offset, 0);
	assert_int_equal(extents[0].length, 64 * KiB);
}

/* ---- figures ---- */

static void
pieces_are_counted(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	assert_int_equal(stat_of(volume).fine_chunks, 0);
	assert_int_equal(stat_of(volume).fragments, 0);
	snapshot(volume, "one");
	fill(bs, 8 * KiB, 4 * KiB, 2);
	assert_int_equal(stat_of(volume).fine_chunks, 1);
	assert_int_equal(stat_of(volume).fragments, 3);
	fill(bs, 64 * KiB, 4 * KiB, 2);
	assert_int_equal(stat_of(volume).fine_chunks, 2);
	assert_int_equal(stat_of(volume).fragments, 5);
	assert_int_equal(rig_flush(&rig, bs), 0);
	assert_int_equal(rig_close(&rig), 0);
	assert_int_equal(rig_open(&rig, false), 0);
	volume = volume_find(rig.pool, "web01");
	assert_int_equal(stat_of(volume).fine_chunks, 2);
	assert_int_equal(stat_of(volume).fragments, 5);
	clone_of(snapshot(volume, "two"), "copy");
	assert_int_equal(stat_of(the_clone).fragments, 5);
	assert_int_equal(flatten(the_clone), 0);
	assert_int_equal(stat_of(the_clone).fine_chunks, 0);
	assert_int_equal(stat_of(the_clone).fragments, 0);
	assert_int_equal(stat_of(the_clone).rewrites, 16);
	assert_int_equal(stat_of(volume).fine_chunks, 2);
}

#define TEST(name) WEB01_TEST(name, web01_setup_eager)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(most_of_a_chunk_redirected_is_put_together),
	    TEST(not_if_a_snapshot_comes_first),
	    TEST(volumes_of_whole_chunks_are_left_alone),
	    TEST(cold_chunks_in_pieces_are_put_together),
	    TEST(so_are_those_that_a_snapshot_leaves_behind),
	    TEST(nothing_is_put_together_in_a_full_pool),
	    TEST(a_bookmark_still_misses_nothing),
	    TEST(pieces_are_counted),
	};

	return cmocka_run_group_tests_name("promote", tests, NULL, NULL);
}
