/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots, clones, rollback, deletion, trash, bookmarks, differences and
 * their figures, one claim each.  What happens when power goes in the middle
 * is the simulator's (tests/sim).
 */
#include "base/simloop.h"
#include "snapshot/engine.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/web01.h"
#include "tests/waited.h"
#include <errno.h>

/* After which volume and bs are to be found again. */
static void
reopen(bool power_cut)
{
	assert_int_equal(rig_flush(&rig, bs), 0);
	web01_reopen(power_cut);
}

/* ---- snapshots ---- */

static void
a_snapshot_keeps_what_was(void **state)
{
	struct volume *s;

	(void)state;
	fill(bs, 0, MiB, 1);
	s = snapshot(volume, "one");
	fill(bs, 4 * KiB, 4 * KiB, 2);
	fill(bs, CHUNK, CHUNK, 3);
	fill(bs, 512 * KiB + 512, 512, 4);
	assert_int_equal(rig_unmap(&rig, bs, 768 * KiB, 8 * KiB), 0);
	fill(bs, 2 * MiB, 4 * KiB, 5);
	assert_true(rig_volume_holds(&rig, s, 0, MiB, 1));
	assert_true(rig_volume_holds(&rig, s, 2 * MiB, 4 * KiB, 0));
	assert_true(holds(bs, 0, 4 * KiB, 1));
	assert_true(holds(bs, 4 * KiB, 4 * KiB, 2));
	assert_true(holds(bs, CHUNK, CHUNK, 3));
	assert_true(holds(bs, 512 * KiB, 512, 1));
	assert_true(holds(bs, 512 * KiB + 512, 512, 4));
	assert_true(holds(bs, 512 * KiB + 1024, 3 * KiB, 1));
	assert_true(holds(bs, 768 * KiB, 8 * KiB, 0));
	assert_true(holds(bs, 2 * MiB, 4 * KiB, 5));
}

static void
it_is_still_there_after_power_has_gone(void **state)
{
	struct volume *s;

	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	fill(bs, 0, 64 * KiB + 4 * KiB, 2);
	snapshot(volume, "two");
	fill(bs, 8 * KiB, 4 * KiB, 3);
	for (int cut = 1; cut >= 0; cut--) {
		reopen(cut);
		s = snapshot_find(volume, "one");
		assert_non_null(s);
		assert_true(rig_volume_holds(&rig, s, 0, MiB, 1));
		s = snapshot_find(volume, "two");
		assert_non_null(s);
		assert_true(rig_volume_holds(&rig, s, 0, 68 * KiB, 2));
		assert_true(
		    rig_volume_holds(&rig, s, 68 * KiB, MiB - 68 * KiB, 1));
		assert_true(holds(bs, 8 * KiB, 4 * KiB, 3));
		assert_true(holds(bs, 0, 8 * KiB, 2));
	}
	s = snapshot_next(volume, NULL);
	assert_string_equal(stat_of(s).hold ? "" : "one", "one");
	assert_ptr_equal(s, snapshot_find(volume, "one"));
	assert_ptr_equal(
	    snapshot_next(volume, s), snapshot_find(volume, "two"));
	assert_null(snapshot_next(volume, snapshot_find(volume, "two")));
}

/* engine.md 2: 4 KiB is redirected to 4 KiB, nothing is copied. */
static void
one_block_costs_one_block(void **state)
{
	uint64_t before, reads;

	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	before = allocated();
	reads = rig.disk[0]->ops_done[BS_READ];
	for (uint64_t at = 0; at < MiB; at += CHUNK)
		fill(bs, at + 12 * KiB, 4 * KiB, 2);
	assert_int_equal(allocated() - before, 16 * 4 * KiB);
	assert_int_equal(rig.disk[0]->ops_done[BS_READ], reads);
	/* and the second time it is overwritten in place */
	for (uint64_t at = 0; at < MiB; at += CHUNK)
		fill(bs, at + 12 * KiB, 4 * KiB, 3);
	assert_int_equal(allocated() - before, 16 * 4 * KiB);
}

static void
names_are_unique_for_each_volume(void **state)
{
	struct volume *other, *made;

	(void)state;
	snapshot(volume, "one");
	assert_int_equal(rig_snapshot(&rig, volume, "one", &made), -EEXIST);
	assert_int_equal(rig_snapshot(&rig, volume, "-x", &made), -EINVAL);
	assert_int_equal(rig_volume(&rig, "web02", MiB, 512, &other), 0);
	assert_int_equal(rig_snapshot(&rig, other, "one", &made), 0);
	assert_int_equal(rig_rename(&rig, made, "two"), 0);
	assert_non_null(snapshot_find(other, "two"));
	assert_null(snapshot_find(other, "one"));
	assert_non_null(snapshot_find(volume, "one"));
}

static void
a_snapshot_is_not_written(void **state)
{
	struct backstore *store = volume_open(snapshot(volume, "one"));

	(void)state;
	assert_non_null(store);
	assert_true(store->read_only);
	rig_close_bs(&rig, store);
}

/* ---- units ---- */

static void
larger_units_are_copied(void **state)
{
	static const uint32_t units[] = {16384, 65536};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct backstore *store;
		struct volume *s, *of = volume_with_unit(units[i], &store, &s);
		uint64_t before = allocated();

		fill(store, 100 * KiB, 4 * KiB, 2);
		assert_int_equal(allocated() - before, units[i]);
		fill(store, 300 * KiB + 512, 512, 3);
		assert_int_equal(rig_unmap(&rig, store, 500 * KiB, 8 * KiB), 0);
		assert_true(rig_volume_holds(&rig, s, 0, MiB, 1));
		assert_true(holds(store, 0, 100 * KiB, 1));
		assert_true(holds(store, 100 * KiB, 4 * KiB, 2));
		assert_true(holds(store, 104 * KiB, 196 * KiB, 1));
		assert_true(holds(store, 300 * KiB, 512, 1));
		assert_true(holds(store, 300 * KiB + 512, 512, 3));
		assert_true(holds(store, 300 * KiB + 1024, 199 * KiB, 1));
		assert_true(holds(store, 500 * KiB, 8 * KiB, 0));
		assert_true(holds(store, 508 * KiB, 64 * KiB, 1));
		drop(of, store);
	}
}

/* I13: also in chunks of which a snapshot has the rest. */
static void
trim_of_whole_units_takes_no_space(void **state)
{
	static const uint32_t units[] = {4096, 16384, 65536};

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct backstore *store;
		struct volume *s, *of = volume_with_unit(units[i], &store, &s);
		uint64_t before = allocated();

		assert_int_equal(
		    rig_unmap(&rig, store, 3 * units[i], 7 * units[i]), 0);
		assert_int_equal(allocated(), before);
		assert_true(holds(store, 3 * units[i], 7 * units[i], 0));
		assert_true(holds(store, 10 * units[i], 4096, 1));
		assert_true(rig_volume_holds(&rig, s, 0, MiB, 1));
		drop(of, store);
	}
}

/* ... and where parts of blocks have to be merged. */
static void
what_is_ours_is_overwritten_where_it_is(void **state)
{
	struct map_extent first, then;

	(void)state;
	rig_done(&rig);
	web01_make(4096);
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	fill(bs, 4 * KiB, 8 * KiB, 2);
	assert_int_equal(map_lookup(volume, 1, 2, NULL, &first), 0);
	assert_true(first.in_place);
	fill(bs, 4 * KiB, 8 * KiB, 3);
	fill(bs, 8 * KiB + 512, 512, 4);
	assert_int_equal(map_lookup(volume, 1, 2, NULL, &then), 0);
	assert_int_equal(then.address, first.address);
	assert_true(holds(bs, 4 * KiB, 4 * KiB + 512, 3));
	assert_true(holds(bs, 8 * KiB + 512, 512, 4));
	assert_true(holds(bs, 9 * KiB, 3 * KiB, 3));
}

/* ---- clones, rollback ---- */

static void
a_clone_begins_as_its_snapshot_and_goes_its_way(void **state)
{
	struct volume *s, *clone, *second;
	struct backstore *store;

	(void)state;
	fill(bs, 0, MiB, 1);
	s = snapshot(volume, "one");
	fill(bs, 0, 4 * KiB, 2);
	assert_int_equal(rig_clone(&rig, s, "copy", &clone), 0);
	store = volume_open(clone);
	assert_true(holds(store, 0, MiB, 1));
	fill(store, 8 * KiB, 8 * KiB, 3);
	assert_true(holds(bs, 8 * KiB, 8 * KiB, 1));
	assert_true(holds(store, 8 * KiB, 8 * KiB, 3));
	assert_int_equal(rig_snapshot(&rig, clone, "c1", &s), 0);
	assert_int_equal(rig_clone(&rig, s, "copy2", &second), 0);
	assert_true(rig_volume_holds(&rig, second, 8 * KiB, 8 * KiB, 3));
	assert_true(rig_volume_holds(&rig, second, 16 * KiB, 64 * KiB, 1));
	assert_int_equal(rig_clone(&rig, s, "copy", &second), -EEXIST);
	rig_close_bs(&rig, store);
}

static void
a_rollback_keeps_what_it_replaces(void **state)
{
	struct volume *s, *kept;

	(void)state;
	fill(bs, 0, MiB, 1);
	s = snapshot(volume, "one");
	fill(bs, 0, 128 * KiB, 2);
	assert_int_equal(rig_rollback(&rig, volume, s, "before"), 0);
	assert_true(holds(bs, 0, MiB, 1));
	kept = snapshot_find(volume, "before");
	assert_non_null(kept);
	assert_true(rig_volume_holds(&rig, kept, 0, 128 * KiB, 2));
	assert_true(
	    rig_volume_holds(&rig, kept, 128 * KiB, MiB - 128 * KiB, 1));
	fill(bs, 4 * KiB, 4 * KiB, 5);
	assert_true(rig_volume_holds(&rig, s, 0, MiB, 1));
	assert_true(rig_volume_holds(&rig, kept, 0, 128 * KiB, 2));
	/* and forward again */
	assert_int_equal(rig_rollback(&rig, volume, kept, "again"), 0);
	assert_true(holds(bs, 0, 128 * KiB, 2));
	reopen(true);
	assert_true(holds(bs, 0, 128 * KiB, 2));
	assert_true(rig_volume_holds(
	    &rig, snapshot_find(volume, "again"), 4 * KiB, 4 * KiB, 5));
}

/* ---- deletion ---- */

static void
deletion_in_any_order_frees_all(void **state)
{
	static const char orders[][4] = {
	    "abc", "acb", "bac", "bca", "cab", "cba"};

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		uint64_t before = allocated(), all;
		struct volume *s;

		fill(bs, 0, 4 * MiB, 1);
		snapshot(volume, "a");
		fill(bs, MiB, MiB, 2);
		fill(bs, 64 * KiB, 4 * KiB, 2);
		snapshot(volume, "b");
		fill(bs, 2 * MiB, 8 * KiB, 3);
		assert_int_equal(rig_unmap(&rig, bs, 3 * MiB, 100 * KiB), 0);
		snapshot(volume, "c");
		fill(bs, 0, 256 * KiB, 4);
		all = allocated();
		for (unsigned k = 0; k < 3; k++) {
			char name[2] = {orders[i][k], 0};
			uint64_t exclusive, now = allocated();
			s = snapshot_find(volume, name);
			exclusive = stat_of(s).exclusive;
			assert_int_equal(rig_delete(&rig, s), 0);
			assert_null(snapshot_find(volume, name));
			rig_settle_jobs(&rig);
			assert_int_equal(now - allocated(), exclusive);
		}
		assert_true(allocated() < all);
		assert_true(holds(bs, 0, 256 * KiB, 4));
		assert_true(holds(bs, MiB, MiB, 2));
		assert_true(holds(bs, 3 * MiB, 100 * KiB, 0));
		assert_int_equal(rig_unmap(&rig, bs, 0, 64 * MiB), 0);
		rig_settle(&rig, 1000 * 1000 * 1000);
		assert_int_equal(allocated(), before);
	}
}

static void
what_clones_stand_on_stays_until_one_is_left(void **state)
{
	struct volume *s, *one, *two;
	uint64_t before;

	(void)state;
	fill(bs, 0, MiB, 1);
	s = snapshot(volume, "golden");
	assert_int_equal(rig_clone(&rig, s, "one", &one), 0);
	assert_int_equal(rig_clone(&rig, s, "two", &two), 0);
	assert_int_equal(rig_unmap(&rig, bs, 0, 64 * MiB), 0);
	before = allocated();
	assert_int_equal(rig_delete(&rig, s), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(allocated(), before);
	assert_int_equal(rig_delete(&rig, one), 0);
	rig_settle_jobs(&rig);
	assert_true(rig_volume_holds(&rig, two, 0, MiB, 1));
	assert_int_equal(rig_delete(&rig, two), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(allocated(), 0);
}

static void
held_and_open_ones_are_not_deleted(void **state)
{
	struct volume *s = snapshot(volume, "one");
	struct backstore *store = volume_open(s);

	(void)state;
	assert_int_equal(rig_delete(&rig, s), -EBUSY);
	assert_int_equal(rig_trash(&rig, s), -EBUSY);
	rig_close_bs(&rig, store);
	assert_int_equal(rig_hold(&rig, s, true), 0);
	assert_int_equal(rig_delete(&rig, s), -EPERM);
	reopen(true);
	s = snapshot_find(volume, "one");
	assert_true(stat_of(s).hold);
	assert_int_equal(rig_hold(&rig, s, false), 0);
	assert_int_equal(rig_delete(&rig, s), 0);
}

/* As made, as set, over a power cut; nothing but a snapshot has one. */
static void
what_was_frozen_is_remembered(void **state)
{
	struct volume *s, *clone;

	(void)state;
	s = snapshot(volume, "one");
	assert_int_equal(stat_of(s).consistency, CONSISTENCY_CRASH);
	for (unsigned i = CONSISTENCY_COUNT; i-- > 0;) {
		assert_int_equal(rig_hold(&rig, s, i == CONSISTENCY_FS), 0);
		assert_int_equal(
		    rig_consistency(&rig, s, (enum consistency)i), 0);
		assert_int_equal(rig_hold(&rig, s, i != CONSISTENCY_FS), 0);
		reopen(true);
		s = snapshot_find(volume, "one");
		assert_int_equal(stat_of(s).consistency, i);
		assert_int_equal(stat_of(s).hold, i != CONSISTENCY_FS);
	}
	assert_int_equal(rig_consistency(&rig, s, CONSISTENCY_APP), 0);
	assert_int_equal(
	    rig_consistency(&rig, volume, CONSISTENCY_FS), -EINVAL);
	assert_int_equal(rig_clone(&rig, s, "clone", &clone), 0);
	assert_int_equal(stat_of(clone).consistency, CONSISTENCY_CRASH);
	assert_int_equal(rig_rollback(&rig, volume, s, "was"), 0);
	assert_int_equal(stat_of(volume).consistency, CONSISTENCY_CRASH);
	assert_int_equal(stat_of(snapshot_find(volume, "was")).consistency,
	    CONSISTENCY_CRASH);
	assert_int_equal(rig_hold(&rig, s, false), 0);
	assert_int_equal(rig_trash(&rig, s), 0);
	assert_int_equal(rig_restore(&rig, s, "back"), 0);
	reopen(true);
	s = snapshot_find(volume, "back");
	assert_int_equal(stat_of(s).consistency, CONSISTENCY_APP);
}

/* ---- trash ---- */

static void
the_trash_gives_back(void **state)
{
	struct volume *s;

	(void)state;
	fill(bs, 0, MiB, 1);
	s = snapshot(volume, "one");
	assert_int_equal(rig_trash(&rig, s), 0);
	assert_null(snapshot_find(volume, "one"));
	assert_ptr_equal(trash_next(rig.pool, NULL), s);
	snapshot(volume, "one");
	assert_int_equal(rig_restore(&rig, s, NULL), -EEXIST);
	assert_int_equal(rig_restore(&rig, s, "old"), 0);
	assert_true(
	    rig_volume_holds(&rig, snapshot_find(volume, "old"), 0, MiB, 1));
	assert_null(trash_next(rig.pool, NULL));
	assert_int_equal(rig_trash(&rig, volume), -EBUSY);
	rig_close_bs(&rig, bs);
	assert_int_equal(rig_trash(&rig, volume), 0);
	assert_null(volume_find(rig.pool, "web01"));
	assert_int_equal(rig_stat(&rig).volumes, 0);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	volume = trash_next(rig.pool, NULL);
	assert_non_null(volume);
	assert_null(trash_next(rig.pool, volume));
	assert_int_equal(rig_restore(&rig, volume, NULL), 0);
	assert_true(
	    rig_volume_holds(&rig, snapshot_find(volume, "old"), 0, MiB, 1));
	/* for good, with its snapshots */
	assert_int_equal(rig_trash(&rig, volume), 0);
	assert_int_equal(rig_delete(&rig, volume), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(allocated(), 0);
}

/* ---- figures ---- */

static void
figures_say_what_would_be_free(void **state)
{
	struct volume *a, *b;

	(void)state;
	fill(bs, 0, MiB, 1);
	a = snapshot(volume, "a");
	assert_int_equal(stat_of(a).exclusive, 0);
	assert_int_equal(stat_of(volume).snap_held, 0);
	fill(bs, 0, 4 * KiB, 2);
	/* its block, and nothing of what the chunk still shares */
	assert_int_equal(stat_of(a).exclusive, 4 * KiB);
	assert_int_equal(stat_of(volume).snap_held, 4 * KiB);
	assert_int_equal(stat_of(volume).exclusive, 4 * KiB);
	b = snapshot(volume, "b");
	fill(bs, 64 * KiB, 64 * KiB, 3);
	/* the chunk is in both: neither alone would free it */
	assert_int_equal(stat_of(a).exclusive, 4 * KiB);
	assert_int_equal(stat_of(b).exclusive, 0);
	assert_int_equal(stat_of(volume).snap_held, 68 * KiB);
	fill(bs, 0, 4 * KiB, 3);
	assert_int_equal(stat_of(b).exclusive, 4 * KiB);
	assert_int_equal(stat_of(volume).snap_held, 72 * KiB);
	reopen(true);
	a = snapshot_find(volume, "a");
	b = snapshot_find(volume, "b");
	assert_int_equal(stat_of(a).exclusive, 4 * KiB);
	assert_int_equal(stat_of(volume).snap_held, 72 * KiB);
	assert_int_equal(rig_delete(&rig, a), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(stat_of(b).exclusive, 68 * KiB);
	assert_int_equal(stat_of(volume).snap_held, 68 * KiB);
	assert_int_equal(stat_of(volume).live, MiB);
}

/* ---- differences ---- */

static struct diff_extent extents[64];

static struct diff_request
diff(struct volume *to, struct volume *base, uint32_t epoch)
{
	struct diff_request d = {
	    .to = to,
	    .base = base,
	    .base_epoch = epoch,
	    .extent = extents,
	    .extent_max = 64,
	};

	assert_int_equal(rig_diff(&rig, &d), 0);
	assert_true(d.end);
	return d;
}

static void
assert_extent(unsigned i, uint64_t offset, uint64_t length, enum diff_kind kind)
{
	assert_int_equal(extents[i].offset, offset);
	assert_int_equal(extents[i].length, length);
	assert_int_equal(extents[i].kind, kind);
}

static void
a_difference_is_exact(void **state)
{
	struct volume *a, *b;
	struct diff_request d;

	(void)state;
	fill(bs, 0, MiB, 1);
	a = snapshot(volume, "a");
	fill(bs, 8 * KiB, 4 * KiB, 2);
	assert_int_equal(rig_unmap(&rig, bs, 128 * KiB, 72 * KiB), 0);
	fill(bs, 32 * MiB, 12 * KiB, 2);
	b = snapshot(volume, "b");
	d = diff(b, a, 0);
	assert_int_equal(d.extent_count, 3);
	assert_extent(0, 8 * KiB, 4 * KiB, DIFF_DATA);
	assert_extent(1, 128 * KiB, 72 * KiB, DIFF_ZERO);
	assert_extent(2, 32 * MiB, 12 * KiB, DIFF_DATA);
	d = diff(a, b, 0);
	assert_int_equal(d.extent_count, 3);
	assert_extent(1, 128 * KiB, 72 * KiB, DIFF_DATA);
	assert_extent(2, 32 * MiB, 12 * KiB, DIFF_ZERO);
	assert_int_equal(diff(a, a, 0).extent_count, 0);
	assert_int_equal(diff(volume, b, 0).extent_count, 0);
	d = diff(a, NULL, 0);
	assert_int_equal(d.extent_count, 1);
	assert_extent(0, 0, MiB, DIFF_DATA);
}

static void
a_difference_comes_in_pages(void **state)
{
	struct volume *a, *b;
	struct diff_request d = {.extent = extents, .extent_max = 3};
	unsigned found = 0;

	(void)state;
	fill(bs, 0, MiB, 1);
	a = snapshot(volume, "a");
	for (unsigned i = 0; i < 10; i++)
		fill(bs, i * 100 * KiB, 4 * KiB, 2);
	b = snapshot(volume, "b");
	d.to = b;
	d.base = a;
	do {
		assert_int_equal(rig_diff(&rig, &d), 0);
		for (unsigned i = 0; i < d.extent_count; i++)
			assert_int_equal(
			    extents[i].offset, found++ * 100 * KiB);
	} while (!d.end);
	assert_int_equal(found, 10);
}

/* It reads pages, and the pool would go from under it. */
static void
a_pool_is_not_closed_under_a_difference(void **state)
{
	struct waited closing = WAITED(closing), reading = WAITED(reading);
	struct diff_request d = {
	    .request = reading.request,
	    .extent = extents,
	    .extent_max = 64,
	};

	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "a");
	reopen(false);
	d.to = snapshot_find(volume, "a");
	rig_close_bs(&rig, bs);
	volume_diff(rig.pool, &d);
	pool_close(rig.pool, &closing.request);
	simloop_run_until(rig.loop, &closing.done);
	assert_int_equal(closing.result, -EBUSY);
	assert_false(reading.done);
	simloop_run_until(rig.loop, &reading.done);
	assert_int_equal(reading.result, 0);
}

/* ---- bookmarks ---- */

static bool
diff_has(const struct diff_request *d, uint64_t offset)
{
	for (unsigned i = 0; i < d->extent_count; i++)
		if (offset >= extents[i].offset &&
		    offset < extents[i].offset + extents[i].length)
			return true;
	return false;
}

/* I15-I17: when the snapshot is gone, what is older than the bookmark is ours
 * alone, and still nothing that changes may be missed. */
static void
a_bookmark_misses_nothing_without_its_snapshot(void **state)
{
	struct bookmark mark;
	struct volume *s;
	struct diff_request d;

	(void)state;
	fill(bs, 0, 4 * MiB, 1);
	s = snapshot(volume, "one");
	assert_int_equal(rig_bookmark(&rig, volume, s, "monday"), 0);
	assert_int_equal(rig_delete(&rig, s), 0);
	rig_settle_jobs(&rig);
	fill(bs, 8 * KiB, 4 * KiB, 2);
	assert_int_equal(rig_unmap(&rig, bs, MiB, 4 * KiB), 0);
	assert_int_equal(rig_unmap(&rig, bs, 2 * MiB, 128 * KiB), 0);
	fill(bs, 3 * MiB + 512, 512, 2);
	reopen(true);
	assert_true(bookmark_get(volume, 0, &mark));
	assert_string_equal(mark.name, "monday");
	assert_false(bookmark_get(volume, 1, &mark));
	bookmark_get(volume, 0, &mark);
	d = diff(volume, NULL, mark.epoch);
	assert_true(diff_has(&d, 8 * KiB));
	assert_true(diff_has(&d, MiB));
	assert_true(diff_has(&d, 2 * MiB));
	assert_true(diff_has(&d, 2 * MiB + 124 * KiB));
	assert_true(diff_has(&d, 3 * MiB));
	assert_false(diff_has(&d, 512 * KiB));
	assert_true(holds(bs, 8 * KiB, 4 * KiB, 2));
	/* nothing was lost by it either */
	assert_int_equal(allocated(), 4 * MiB - 132 * KiB);
	assert_int_equal(rig_unbookmark(&rig, volume, "monday"), 0);
	assert_int_equal(rig_unbookmark(&rig, volume, "monday"), -ENOENT);
	assert_false(bookmark_get(volume, 0, &mark));
}

static void
a_rollback_drops_newer_bookmarks(void **state)
{
	struct bookmark mark;
	struct volume *a, *b;

	(void)state;
	fill(bs, 0, MiB, 1);
	a = snapshot(volume, "a");
	assert_int_equal(rig_bookmark(&rig, volume, a, "first"), 0);
	fill(bs, 0, MiB, 2);
	b = snapshot(volume, "b");
	assert_int_equal(rig_bookmark(&rig, volume, b, "second"), 0);
	assert_int_equal(rig_rollback(&rig, volume, a, "kept"), 0);
	assert_true(bookmark_get(volume, 0, &mark));
	assert_string_equal(mark.name, "first");
	assert_false(bookmark_get(volume, 1, &mark));
	reopen(true);
	assert_false(bookmark_get(volume, 1, &mark));
}

/* ---- erasure ---- */

static void
what_is_being_erased_says_so_after_a_cut_and_has_no_snapshots(void **state)
{
	struct volume *made;
	bool exits;

	(void)state;
	fill(bs, 0, MiB, 1);
	assert_false(volume_is_erasing(volume, &exits));
	assert_int_equal(rig_erasing(&rig, volume, true, true), 0);
	for (int cut = 1; cut >= 0; cut--) {
		reopen(cut);
		assert_true(volume_is_erasing(volume, &exits));
		assert_true(exits);
		assert_int_equal(
		    rig_snapshot(&rig, volume, "one", &made), -EBUSY);
	}
	assert_int_equal(rig_erasing(&rig, volume, true, false), 0);
	assert_true(volume_is_erasing(volume, &exits));
	assert_false(exits);
	assert_int_equal(rig_erasing(&rig, volume, false, false), 0);
	reopen(true);
	assert_false(volume_is_erasing(volume, &exits));
	assert_int_equal(rig_snapshot(&rig, volume, "one", &made), 0);
}

static void
what_shares_blocks_is_not_erased(void **state)
{
	struct volume *s, *clone;
	bool exits;

	(void)state;
	fill(bs, 0, MiB, 1);
	s = snapshot(volume, "one");
	assert_int_equal(rig_erasing(&rig, volume, true, false), -EBUSY);
	assert_int_equal(rig_clone(&rig, s, "web02", &clone), 0);
	assert_int_equal(rig_erasing(&rig, clone, true, false), -EBUSY);
	assert_int_equal(rig_erasing(&rig, s, true, false), -EBUSY);
	assert_false(volume_is_erasing(volume, &exits));
}

#define TEST(name) WEB01_TEST(name, web01_setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_snapshot_keeps_what_was),
	    TEST(it_is_still_there_after_power_has_gone),
	    TEST(one_block_costs_one_block),
	    TEST(names_are_unique_for_each_volume),
	    TEST(a_snapshot_is_not_written),
	    TEST(larger_units_are_copied),
	    TEST(trim_of_whole_units_takes_no_space),
	    TEST(what_is_ours_is_overwritten_where_it_is),
	    TEST(a_clone_begins_as_its_snapshot_and_goes_its_way),
	    TEST(a_rollback_keeps_what_it_replaces),
	    TEST(deletion_in_any_order_frees_all),
	    TEST(what_clones_stand_on_stays_until_one_is_left),
	    TEST(held_and_open_ones_are_not_deleted),
	    TEST(what_was_frozen_is_remembered),
	    TEST(the_trash_gives_back),
	    TEST(figures_say_what_would_be_free),
	    TEST(a_difference_is_exact),
	    TEST(a_difference_comes_in_pages),
	    TEST(a_pool_is_not_closed_under_a_difference),
	    TEST(a_bookmark_misses_nothing_without_its_snapshot),
	    TEST(a_rollback_drops_newer_bookmarks),
	    TEST(what_is_being_erased_says_so_after_a_cut_and_has_no_snapshots),
	    TEST(what_shares_blocks_is_not_erased),
	};

	return cmocka_run_group_tests_name("family", tests, NULL, NULL);
}
