/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reservations: what reserve.h and pool.h promise of them, one claim each.
 * That no order of requests, writes and power cuts gets around them is the
 * simulator's (tests/sim/reserve.c).
 */
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
#define ALL   (1ull << 60)

static struct rig rig;
static struct volume *volume, *other;
static struct backstore *bs, *other_bs;

static int
setup(void **state)
{
	(void)state;
	rig_init(&rig, 128 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_int_equal(rig_volume(&rig, "web01", 32 * MiB, 512, &volume), 0);
	assert_int_equal(rig_volume(&rig, "db01", 512 * MiB, 512, &other), 0);
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

static int
reserve(uint64_t bytes)
{
	return rig_limits(&rig, volume, VOLUME_LIMIT_AS_IT_IS, bytes);
}

static uint64_t
aside(void)
{
	struct volume_stat stat;

	volume_stat_get(volume, &stat);
	return stat.set_aside;
}

static int
fill_bs(struct backstore *to, uint64_t offset, uint64_t length, int byte)
{
	int result = 0;

	for (uint64_t at = 0; at < length && result == 0; at += CHUNK)
		result = rig_fill(&rig, to, offset + at,
		    length - at < CHUNK ? length - at : CHUNK, byte);
	return result;
}

static int
fill(uint64_t offset, uint64_t length, int byte)
{
	return fill_bs(bs, offset, length, byte);
}

static bool
holds(struct backstore *in, uint64_t offset, uint64_t length, int byte)
{
	bool same = true;

	for (uint64_t at = 0; at < length && same; at += MiB)
		same = rig_holds(&rig, in, offset + at,
		    length - at < MiB ? length - at : MiB, byte);
	return same;
}

/* The other volume writes until it gets no more. */
static void
fill_the_pool(void)
{
	assert_int_equal(fill_bs(other_bs, 0, 512 * MiB, 9), -ENOSPC);
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
	other = volume_find(rig.pool, "db01");
	bs = volume_open(volume);
	other_bs = volume_open(other);
}

/* Single blocks, in an order that no window likes. */
static void
scatter(int byte)
{
	unsigned blocks = 32 * MiB / 4096;

	for (unsigned i = 0; i < blocks; i++)
		assert_int_equal(
		    fill((uint64_t)i * 4099 % blocks * 4096, 4096, byte), 0);
	assert_true(holds(bs, 0, 32 * MiB, byte));
}

/* ---- others ---- */

static void
others_do_not_get_what_is_set_aside(void **state)
{
	(void)state;
	assert_int_equal(reserve(ALL), 0);
	assert_int_equal(aside(), 32 * MiB);
	fill_the_pool();
	assert_true(rig_stat(&rig).free >= 32 * MiB);
	assert_int_equal(fill(0, 32 * MiB, 1), 0);
	assert_int_equal(aside(), 0);
	assert_true(holds(bs, 0, 32 * MiB, 1));
}

static void
small_writes_get_it_too(void **state)
{
	(void)state;
	assert_int_equal(reserve(ALL), 0);
	fill_the_pool();
	scatter(1);
}

static void
a_part_can_be_reserved(void **state)
{
	(void)state;
	assert_int_equal(reserve(8 * MiB), 0);
	assert_int_equal(fill(0, 6 * MiB, 1), 0);
	assert_int_equal(aside(), 2 * MiB);
	fill_the_pool();
	assert_int_equal(fill(6 * MiB, 2 * MiB, 1), 0);
	fill_the_pool();
	assert_int_equal(fill(0, 8 * MiB, 2), 0);
	assert_true(holds(bs, 0, 8 * MiB, 2));
}

static void
what_it_trims_is_set_aside_again(void **state)
{
	(void)state;
	assert_int_equal(reserve(ALL), 0);
	assert_int_equal(fill(0, 32 * MiB, 1), 0);
	fill_the_pool();
	assert_int_equal(rig_unmap(&rig, bs, 4 * MiB, 8 * MiB), 0);
	assert_int_equal(aside(), 8 * MiB);
	fill_the_pool();
	assert_int_equal(fill(4 * MiB, 8 * MiB, 2), 0);
	assert_true(holds(bs, 4 * MiB, 8 * MiB, 2));
}

/* ---- snapshots ---- */

static void
a_snapshot_has_it_set_aside_anew(void **state)
{
	struct backstore *a;

	(void)state;
	assert_int_equal(reserve(ALL), 0);
	assert_int_equal(fill(0, 32 * MiB, 1), 0);
	a = volume_open(snapshot("a"));
	assert_int_equal(aside(), 32 * MiB);
	fill_the_pool();
	scatter(2);
	assert_int_equal(aside(), 0);
	assert_true(holds(a, 0, 32 * MiB, 1));
	rig_close_bs(&rig, a);
}

static void
a_snapshot_that_takes_too_much_is_refused(void **state)
{
	struct volume *made;

	(void)state;
	assert_int_equal(reserve(ALL), 0);
	assert_int_equal(fill(0, 32 * MiB, 1), 0);
	fill_the_pool();
	assert_int_equal(rig_snapshot(&rig, volume, "a", &made), -ENOSPC);
	assert_non_null(strstr(rig.problem, "set aside"));
	assert_int_equal(aside(), 0);
	assert_int_equal(fill(0, 32 * MiB, 2), 0);
	/* one without a reservation costs nothing */
	assert_int_equal(rig_snapshot(&rig, other, "a", &made), 0);
}

static void
deleting_the_snapshot_gives_it_back(void **state)
{
	struct volume *a;

	(void)state;
	assert_int_equal(reserve(ALL), 0);
	assert_int_equal(fill(0, 32 * MiB, 1), 0);
	a = snapshot("a");
	assert_int_equal(fill(0, 4 * MiB, 2), 0);
	assert_int_equal(aside(), 28 * MiB);
	assert_int_equal(rig_delete(&rig, a), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(aside(), 0);
}

static void
rolling_back_sets_it_aside(void **state)
{
	struct volume *a;

	(void)state;
	assert_int_equal(fill(0, 32 * MiB, 1), 0);
	a = snapshot("a");
	assert_int_equal(fill(0, 32 * MiB, 2), 0);
	assert_int_equal(reserve(24 * MiB), 0);
	assert_int_equal(aside(), 0);
	fill_the_pool();
	assert_int_equal(rig_rollback(&rig, volume, a, "kept"), -ENOSPC);
	assert_int_equal(rig_unmap(&rig, other_bs, 0, 512 * MiB), 0);
	assert_int_equal(rig_rollback(&rig, volume, a, "kept"), 0);
	assert_int_equal(aside(), 24 * MiB);
	fill_the_pool();
	assert_int_equal(fill(0, 24 * MiB, 3), 0);
}

static void
a_clone_has_none(void **state)
{
	struct volume *clone;
	struct volume_stat stat;

	(void)state;
	assert_int_equal(reserve(ALL), 0);
	assert_int_equal(fill(0, MiB, 1), 0);
	assert_int_equal(rig_clone(&rig, snapshot("a"), "clone", &clone), 0);
	volume_stat_get(clone, &stat);
	assert_int_equal(stat.reserve, 0);
	assert_int_equal(stat.set_aside, 0);
}

/* ---- setting ---- */

static void
more_than_there_is_cannot_be_reserved(void **state)
{
	struct volume_stat stat;

	(void)state;
	assert_int_equal(rig_limits(&rig, other, 0, ALL), -ENOSPC);
	assert_int_equal(rig_limits(&rig, other, 0, 200 * MiB), -ENOSPC);
	assert_int_equal(rig_limits(&rig, other, 0, 64 * MiB), 0);
	assert_int_equal(rig_limits(&rig, other, 0, 65 * MiB), 0);
	assert_int_equal(rig_limits(&rig, other, 0, 512 * MiB), -ENOSPC);
	volume_stat_get(other, &stat);
	assert_int_equal(stat.reserve, 65 * MiB);
	fill_the_pool();
	assert_int_equal(reserve(MiB), -ENOSPC);
	assert_int_equal(aside(), 0);
}

static void
growing_grows_it(void **state)
{
	(void)state;
	assert_int_equal(reserve(ALL), 0);
	assert_int_equal(rig_resize(&rig, volume, 512 * MiB), -ENOSPC);
	assert_int_equal(aside(), 32 * MiB);
	assert_int_equal(rig_resize(&rig, volume, 40 * MiB), 0);
	assert_int_equal(aside(), 40 * MiB);
	assert_int_equal(rig_resize(&rig, volume, 8 * MiB), 0);
	assert_int_equal(aside(), 8 * MiB);
	assert_int_equal(reserve(4 * MiB), 0);
	assert_int_equal(rig_resize(&rig, volume, 512 * MiB), 0);
	assert_int_equal(aside(), 4 * MiB);
}

static void
it_stays(void **state)
{
	(void)state;
	assert_int_equal(reserve(ALL), 0);
	assert_int_equal(fill(0, 8 * MiB, 1), 0);
	snapshot("a");
	assert_int_equal(fill(0, MiB, 2), 0);
	reopen();
	assert_int_equal(aside(), 31 * MiB);
	assert_int_equal(rig_rename(&rig, volume, "web02"), 0);
	assert_int_equal(aside(), 31 * MiB);
	fill_the_pool();
	scatter(3);
}

static void
it_is_set_to_none(void **state)
{
	(void)state;
	assert_int_equal(reserve(ALL), 0);
	assert_int_equal(reserve(0), 0);
	assert_int_equal(aside(), 0);
	assert_int_equal(rig_stat(&rig).set_aside, 0);
	fill_the_pool();
	assert_int_equal(fill(0, CHUNK, 1), -ENOSPC);
}

static void
the_trash_gives_it_up(void **state)
{
	struct volume_stat stat;

	(void)state;
	assert_int_equal(reserve(ALL), 0);
	rig_close_bs(&rig, bs);
	assert_int_equal(rig_trash(&rig, volume), 0);
	assert_int_equal(rig_stat(&rig).set_aside, 0);
	assert_int_equal(rig_restore(&rig, volume, NULL), 0);
	volume_stat_get(volume, &stat);
	assert_int_equal(stat.reserve, 0);
}

static void
deletion_gives_it_up(void **state)
{
	(void)state;
	assert_int_equal(reserve(ALL), 0);
	rig_close_bs(&rig, bs);
	assert_int_equal(rig_delete(&rig, volume), 0);
	assert_int_equal(rig_stat(&rig).set_aside, 0);
	rig_settle_jobs(&rig);
	fill_the_pool();
	assert_true(rig_stat(&rig).free < MiB);
}

static void
not_all_can_be_a_reservation(void **state)
{
	struct volume *a = snapshot("a"), *coarse;

	(void)state;
	assert_int_equal(reserve(4097), -EINVAL);
	assert_int_equal(reserve(1ull << 61), -EINVAL);
	assert_int_equal(rig_limits(&rig, a, 0, MiB), -EINVAL);
	assert_int_equal(rig_limits(&rig, volume, MiB, 2 * MiB), -EINVAL);
	assert_int_equal(rig_limits(&rig, volume, 64 * MiB, ALL), 0);
	assert_int_equal(rig_volume_unit(&rig, "big", MiB, 65536, &coarse), 0);
	assert_int_equal(rig_limits(&rig, coarse, 0, MiB), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(others_do_not_get_what_is_set_aside),
	    TEST(small_writes_get_it_too),
	    TEST(a_part_can_be_reserved),
	    TEST(what_it_trims_is_set_aside_again),
	    TEST(a_snapshot_has_it_set_aside_anew),
	    TEST(a_snapshot_that_takes_too_much_is_refused),
	    TEST(deleting_the_snapshot_gives_it_back),
	    TEST(rolling_back_sets_it_aside),
	    TEST(a_clone_has_none),
	    TEST(more_than_there_is_cannot_be_reserved),
	    TEST(growing_grows_it),
	    TEST(it_stays),
	    TEST(it_is_set_to_none),
	    TEST(the_trash_gives_it_up),
	    TEST(deletion_gives_it_up),
	    TEST(not_all_can_be_a_reservation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
