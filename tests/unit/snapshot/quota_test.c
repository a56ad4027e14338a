/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quotas: what quota.h and pool.h promise of them, one claim each.  That no
 * order of requests, writes and power cuts gets around them is the simulator's
 * (tests/sim/quota.c).
 */
#include "base/simloop.h"
#include "tests/unit/snapshot/support/rig.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KiB   1024ull
#define MiB   (1ull << 20)
#define CHUNK 65536ull

static struct rig rig;
static struct volume *volume, *other;
static struct backstore *bs, *other_bs;

static int
setup(void **state)
{
	(void)state;
	rig_init(&rig, 128 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_int_equal(rig_volume(&rig, "web01", 64 * MiB, 512, &volume), 0);
	assert_int_equal(rig_volume(&rig, "db01", 64 * MiB, 512, &other), 0);
	bs = volume_open(volume);
	other_bs = volume_open(other);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_done(&rig);
	return 0;
}

static struct volume_stat
stat_of(struct volume *of)
{
	struct volume_stat stat;

	volume_stat_get(of, &stat);
	return stat;
}

/* What lun show says it holds, which is what is counted. */
static uint64_t
used(void)
{
	struct volume_stat stat = stat_of(volume);
	struct family_stat family;

	family_stat_get(volume, &family);
	assert_int_equal(stat.quota_used, stat.allocated + family.snap_held);
	return stat.quota_used;
}

static void
quota(uint64_t bytes)
{
	assert_int_equal(rig_limits(&rig, volume, bytes, 0), 0);
	assert_int_equal(stat_of(volume).quota, bytes);
}

static int
fill(uint64_t offset, uint64_t length, int byte)
{
	return rig_fill(&rig, bs, offset, length, byte);
}

static struct volume *
snapshot(const char *name)
{
	struct volume *made;

	assert_int_equal(rig_snapshot(&rig, volume, name, &made), 0);
	return made;
}

static void
reopen(void)
{
	assert_int_equal(rig_flush(&rig, bs), 0);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	volume = volume_find(rig.pool, "web01");
	bs = volume_open(volume);
}

/* ---- writes ---- */

static void
a_volume_takes_its_quota_and_no_more(void **state)
{
	(void)state;
	quota(4 * MiB);
	assert_int_equal(fill(0, 4 * MiB, 1), 0);
	assert_int_equal(used(), 4 * MiB);
	assert_int_equal(fill(8 * MiB, 4 * KiB, 1), -ENOSPC);
	assert_int_equal(used(), 4 * MiB);
	/* the others have theirs */
	assert_int_equal(rig_fill(&rig, other_bs, 0, 8 * MiB, 2), 0);
	assert_int_equal(rig_stat(&rig).level, 0);
	assert_int_equal(rig_stat(&rig).allocation_failures, 0);
}

static void
what_fits_of_a_long_write_is_written(void **state)
{
	(void)state;
	quota(MiB + 4 * CHUNK);
	assert_int_equal(fill(0, 4 * MiB, 1), -ENOSPC);
	assert_int_equal(used(), MiB + 4 * CHUNK);
	assert_true(rig_holds(&rig, bs, 0, MiB, 1));
}

static void
a_reached_quota_overwrites_reads_and_trims(void **state)
{
	(void)state;
	quota(2 * MiB);
	assert_int_equal(fill(0, 2 * MiB, 1), 0);
	assert_int_equal(fill(CHUNK, MiB, 2), 0);
	assert_true(rig_holds(&rig, bs, CHUNK, MiB, 2));
	assert_int_equal(rig_unmap(&rig, bs, 0, CHUNK), 0);
	/* what was trimmed can be had at once, at another place */
	assert_int_equal(fill(8 * MiB, CHUNK, 3), 0);
	assert_int_equal(fill(9 * MiB, CHUNK, 3), -ENOSPC);
	assert_int_equal(used(), 2 * MiB);
}

/* ---- snapshots ---- */

static void
what_only_its_snapshots_hold_counts(void **state)
{
	struct volume *a;

	(void)state;
	quota(3 * MiB);
	assert_int_equal(fill(0, 2 * MiB, 1), 0);
	a = snapshot("a");
	assert_int_equal(used(), 2 * MiB); /* a snapshot costs nothing */
	assert_int_equal(fill(0, MiB, 2), 0);
	assert_int_equal(used(), 3 * MiB);
	assert_int_equal(fill(MiB, 4 * KiB, 2), -ENOSPC);
	assert_int_equal(fill(0, MiB, 3), 0); /* in place */
	/* trimming what the snapshot has gives nothing */
	assert_int_equal(rig_unmap(&rig, bs, MiB, MiB), 0);
	assert_int_equal(used(), 3 * MiB);
	assert_int_equal(fill(8 * MiB, 4 * KiB, 2), -ENOSPC);
	assert_int_equal(rig_delete(&rig, a), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(used(), MiB);
	assert_int_equal(fill(8 * MiB, 2 * MiB, 2), 0);
	assert_int_equal(fill(12 * MiB, 4 * KiB, 2), -ENOSPC);
}

static void
a_few_blocks_are_used_to_the_last(void **state)
{
	struct backstore *a;

	(void)state;
	assert_int_equal(fill(0, MiB, 1), 0);
	a = volume_open(snapshot("a"));
	quota(MiB + 12 * KiB);
	assert_int_equal(fill(0, 16 * KiB, 2), -ENOSPC); /* three of four */
	assert_int_equal(used(), MiB + 12 * KiB);
	assert_int_equal(fill(CHUNK, 4 * KiB, 2), -ENOSPC);
	assert_true(rig_holds(&rig, a, 0, MiB, 1));
	rig_close_bs(&rig, a);
}

static void
trimming_a_part_of_what_is_shared_takes_nothing(void **state)
{
	(void)state;
	assert_int_equal(fill(0, 4 * KiB, 1), 0); /* of a chunk of 16 */
	snapshot("a");
	quota(CHUNK);
	assert_int_equal(rig_unmap(&rig, bs, 0, 4 * KiB), 0);
	assert_int_equal(used(), CHUNK);
}

static void
rolling_back_takes_nothing(void **state)
{
	struct volume *a;

	(void)state;
	assert_int_equal(fill(0, MiB, 1), 0);
	a = snapshot("a");
	assert_int_equal(fill(0, MiB, 2), 0);
	quota(2 * MiB);
	assert_int_equal(rig_rollback(&rig, volume, a, "kept"), 0);
	assert_int_equal(used(), 2 * MiB);
	assert_int_equal(fill(4 * MiB, 4 * KiB, 3), -ENOSPC);
	assert_int_equal(rig_delete(&rig, snapshot_find(volume, "kept")), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(used(), MiB);
	assert_int_equal(fill(4 * MiB, MiB, 3), 0);
}

/* A branch on which something deleted still stands goes with the snapshots. */
static void
what_is_being_deleted_hides_nothing(void **state)
{
	struct volume *a;

	(void)state;
	quota(8 * MiB);
	assert_int_equal(fill(0, MiB, 1), 0);
	a = snapshot("a");
	assert_int_equal(fill(0, MiB, 2), 0);
	snapshot("b");
	assert_int_equal(rig_rollback(&rig, volume, a, "kept"), 0);
	assert_int_equal(used(), 2 * MiB);
	assert_int_equal(rig_delete(&rig, snapshot_find(volume, "kept")), 0);
	assert_int_equal(used(), 2 * MiB);
	rig_settle_jobs(&rig);
	assert_int_equal(used(), 2 * MiB);
}

static void
what_a_clone_needs_too_counts_when_the_clone_is_gone(void **state)
{
	struct volume *clone;

	(void)state;
	assert_int_equal(fill(0, MiB, 1), 0);
	assert_int_equal(rig_clone(&rig, snapshot("a"), "clone", &clone), 0);
	quota(2 * MiB);
	assert_int_equal(stat_of(clone).quota, 0);
	assert_int_equal(fill(0, MiB, 2), 0);
	assert_int_equal(used(), MiB); /* the old is the clone's as well */
	assert_int_equal(rig_delete(&rig, clone), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(used(), 2 * MiB);
	assert_int_equal(fill(2 * MiB, 4 * KiB, 2), -ENOSPC);
	assert_int_equal(fill(0, MiB, 3), 0);
}

/* ---- setting ---- */

static void
a_quota_stays(void **state)
{
	(void)state;
	assert_int_equal(fill(0, MiB, 1), 0);
	snapshot("a");
	assert_int_equal(fill(0, CHUNK, 2), 0);
	quota(2 * MiB);
	reopen();
	assert_int_equal(stat_of(volume).quota, 2 * MiB);
	assert_int_equal(used(), MiB + CHUNK);
	assert_int_equal(rig_rename(&rig, volume, "web02"), 0);
	assert_int_equal(rig_resize(&rig, volume, 65 * MiB), 0);
	assert_int_equal(fill(4 * MiB, MiB - CHUNK, 1), 0);
	assert_int_equal(fill(8 * MiB, 4 * KiB, 1), -ENOSPC);
	assert_int_equal(stat_of(volume).quota, 2 * MiB);
}

static void
a_quota_comes_back_from_the_trash(void **state)
{
	(void)state;
	assert_int_equal(fill(0, MiB, 1), 0);
	snapshot("a");
	assert_int_equal(fill(0, MiB, 2), 0);
	quota(2 * MiB);
	rig_close_bs(&rig, bs);
	assert_int_equal(rig_trash(&rig, volume), 0);
	assert_int_equal(rig_restore(&rig, volume, NULL), 0);
	bs = volume_open(volume);
	assert_int_equal(used(), 2 * MiB);
	assert_int_equal(fill(4 * MiB, 4 * KiB, 1), -ENOSPC);
}

static void
a_quota_may_be_less_than_is_held_or_none(void **state)
{
	(void)state;
	assert_int_equal(fill(0, 2 * MiB, 1), 0);
	quota(MiB);
	assert_int_equal(fill(4 * MiB, 4 * KiB, 1), -ENOSPC);
	assert_int_equal(rig_unmap(&rig, bs, 0, MiB), 0);
	assert_int_equal(fill(4 * MiB, 4 * KiB, 1), -ENOSPC);
	assert_int_equal(rig_unmap(&rig, bs, MiB, CHUNK), 0);
	assert_int_equal(fill(4 * MiB, 4 * KiB, 1), 0);
	quota(0);
	assert_int_equal(fill(8 * MiB, 4 * MiB, 1), 0);
}

static void
not_all_can_be_a_quota(void **state)
{
	struct volume *a = snapshot("a");

	(void)state;
	assert_int_equal(rig_limits(&rig, volume, 4097, 0), -EINVAL);
	assert_int_equal(rig_limits(&rig, volume, 1ull << 61, 0), -EINVAL);
	assert_int_equal(rig_limits(&rig, a, MiB, 0), -EINVAL);
	assert_int_equal(stat_of(volume).quota, 0);
}

static void
count_quotas(void *arg, struct pool *pool, enum pool_event what)
{
	unsigned *count = arg;
	struct pool_stat stat;

	if (what != POOL_EVENT_QUOTA)
		return;
	++*count;
	pool_stat_get(pool, &stat);
	assert_string_equal(stat.quota_name, "web01");
}

static void
it_is_told_once_when_it_is_reached(void **state)
{
	unsigned events = 0;

	(void)state;
	pool_on_event(rig.pool, count_quotas, &events);
	quota(MiB);
	assert_int_equal(fill(0, MiB, 1), 0);
	assert_int_equal(events, 0);
	assert_int_equal(fill(MiB, CHUNK, 1), -ENOSPC);
	assert_int_equal(fill(MiB, CHUNK, 1), -ENOSPC);
	assert_int_equal(events, 1);
	assert_int_equal(rig_unmap(&rig, bs, 0, MiB), 0);
	assert_int_equal(fill(0, MiB, 1), 0);
	assert_int_equal(fill(MiB, CHUNK, 1), -ENOSPC);
	assert_int_equal(events, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_volume_takes_its_quota_and_no_more),
	    TEST(what_fits_of_a_long_write_is_written),
	    TEST(a_reached_quota_overwrites_reads_and_trims),
	    TEST(what_only_its_snapshots_hold_counts),
	    TEST(a_few_blocks_are_used_to_the_last),
	    TEST(trimming_a_part_of_what_is_shared_takes_nothing),
	    TEST(rolling_back_takes_nothing),
	    TEST(what_is_being_deleted_hides_nothing),
	    TEST(what_a_clone_needs_too_counts_when_the_clone_is_gone),
	    TEST(a_quota_stays),
	    TEST(a_quota_comes_back_from_the_trash),
	    TEST(a_quota_may_be_less_than_is_held_or_none),
	    TEST(not_all_can_be_a_quota),
	    TEST(it_is_told_once_when_it_is_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
