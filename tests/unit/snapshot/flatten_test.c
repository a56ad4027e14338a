/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Flattening: a flat clone stands alone, durably; what is flat already, what is
 * refused, how far it is, and what stops it.  Not here: what happens to the
 * clone meanwhile (flatten_beside_test.c).
 */
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/going.h"
#include <errno.h>
#include <string.h>

#define MSEC 1000000ull
#define SEC  (1000 * MSEC)

static void
a_flat_clone_stands_alone(void **state)
{
	struct volume *s;
	uint64_t before;

	(void)state;
	fill(bs, 0, 4 * MiB, 1);
	s = snapshot(volume, "golden");
	clone_of(s, "copy");
	fill(copy, 8 * KiB, 4 * KiB, 2);
	assert_int_equal(rig_unmap(&rig, copy, 2 * MiB, 100 * KiB), 0);
	assert_int_equal(flatten(the_clone), 0);
	assert_null(volume_parent(the_clone));
	assert_true(holds(copy, 0, 8 * KiB, 1));
	assert_true(holds(copy, 8 * KiB, 4 * KiB, 2));
	assert_true(holds(copy, 12 * KiB, 2 * MiB - 12 * KiB, 1));
	assert_true(holds(copy, 2 * MiB, 100 * KiB, 0));
	assert_true(holds(copy, 2 * MiB + 100 * KiB, 1948 * KiB, 1));
	/* the origin goes, all of it */
	before = allocated();
	assert_int_equal(rig_unmap(&rig, bs, 0, 64 * MiB), 0);
	assert_int_equal(rig_delete(&rig, s), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(before - allocated(), 4 * MiB);
	assert_int_equal(allocated(), stat_of(the_clone).exclusive);
	assert_true(holds(copy, 12 * KiB, 2 * MiB - 12 * KiB, 1));
	drop(the_clone, copy);
	assert_int_equal(allocated(), 0);
}

static void
what_is_said_to_be_flat_is_so_durably(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	clone_of(snapshot(volume, "golden"), "copy");
	assert_int_equal(flatten(the_clone), 0);
	for (int cut = 1; cut >= 0; cut--) {
		web01_reopen(cut);
		assert_null(volume_parent(the_clone));
		assert_true(holds(copy, 0, MiB, 1));
		assert_int_equal(stat_of(the_clone).exclusive, MiB);
	}
}

static void
what_shares_nothing_is_flat_at_once(void **state)
{
	uint64_t before;

	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	before = allocated();
	assert_int_equal(flatten(volume), 0);
	assert_int_equal(allocated(), before);
	assert_non_null(volume_parent(volume));
}

static void
snapshots_are_not_flattened_nor_clones_that_have_some(void **state)
{
	struct volume *s, *own;

	(void)state;
	fill(bs, 0, MiB, 1);
	s = snapshot(volume, "golden");
	assert_int_equal(flatten(s), -EINVAL);
	clone_of(s, "copy");
	own = snapshot(the_clone, "tuesday");
	assert_int_equal(flatten(the_clone), -EBUSY);
	assert_non_null(strstr(rig.problem, "tuesday"));
	assert_int_equal(rig_delete(&rig, own), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(flatten(the_clone), 0);
	assert_null(volume_parent(the_clone));
}

/* Nothing is mapped, but the clone has a page of its parent: one of holes that
 * remember when they came to be. */
static void
pages_without_data_become_its_own_too(void **state)
{
	struct volume *s;

	(void)state;
	fill(bs, 0, MiB, 1);
	s = snapshot(volume, "first");
	assert_int_equal(rig_unmap(&rig, bs, 0, 64 * MiB), 0);
	clone_of(snapshot(volume, "empty"), "copy");
	assert_int_equal(flatten(the_clone), 0);
	assert_null(volume_parent(the_clone));
	assert_int_equal(rig_delete(&rig, s), 0);
	assert_int_equal(rig_delete(&rig, snapshot_find(volume, "empty")), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(allocated(), 0);
	assert_int_equal(rig_flush(&rig, copy), 0);
	web01_reopen(true);
	fill(copy, 0, 64 * KiB, 3);
	assert_true(holds(copy, 0, 64 * KiB, 3));
	assert_true(holds(copy, 64 * KiB, MiB, 0));
}

static void
a_clone_with_other_units_is_flattened(void **state)
{
	static const uint32_t units[] = {16384, 65536};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct volume *of, *s;
		struct backstore *store;

		of = volume_with_unit(units[i], &store, &s);
		clone_of(s, "copy");
		fill(copy, 100 * KiB, 4 * KiB, 2);
		assert_int_equal(flatten(the_clone), 0);
		assert_null(volume_parent(the_clone));
		drop(of, store);
		assert_true(holds(copy, 0, 100 * KiB, 1));
		assert_true(holds(copy, 100 * KiB, 4 * KiB, 2));
		assert_true(holds(copy, 104 * KiB, 920 * KiB, 1));
		drop(the_clone, copy);
		assert_int_equal(allocated(), 0);
	}
}

static void
the_clone_of_a_deleted_snapshot_can_be_flattened(void **state)
{
	struct volume *s, *other;

	(void)state;
	fill(bs, 0, MiB, 1);
	s = snapshot(volume, "golden");
	assert_int_equal(rig_clone(&rig, s, "other", &other), 0);
	clone_of(s, "copy");
	assert_int_equal(rig_delete(&rig, s), 0);
	fill(bs, 0, MiB, 2);
	assert_int_equal(allocated(), 2 * MiB);
	assert_int_equal(flatten(the_clone), 0);
	assert_int_equal(flatten(other), 0);
	rig_settle_jobs(&rig); /* with one child left the snapshot goes */
	assert_int_equal(allocated(), 3 * MiB);
	assert_true(holds(copy, 0, MiB, 1));
}

static void
flattening_says_how_far_it_is_and_can_be_stopped(void **state)
{
	struct pool_job_stat job;
	struct going g;

	(void)state;
	fill(bs, 0, 8 * MiB, 1);
	clone_of(snapshot(volume, "golden"), "copy");
	rig_close_bs(&rig, copy);
	pool_set_background(rig.pool, 1);
	flatten_begin(&g, the_clone);
	rig_settle(&rig, 100 * MSEC);
	assert_true(pool_job_get(rig.pool, 0, &job));
	assert_int_equal(job.kind, POOL_JOB_FLATTEN);
	assert_string_equal(job.name, "copy");
	assert_true(job.running);
	assert_in_range(job.done, CHUNK, 8 * MiB);
	assert_int_equal(job.total, 64 * MiB);
	assert_false(g.waited.done);
	assert_int_equal(rig_delete(&rig, the_clone), 0);
	assert_int_equal(going_end(&g), -ECANCELED);
	rig_settle_jobs(&rig);
	assert_int_equal(allocated(), 8 * MiB);
}

static void
closing_the_pool_cancels_it(void **state)
{
	struct going g;

	(void)state;
	fill(bs, 0, 8 * MiB, 1);
	clone_of(snapshot(volume, "golden"), "copy");
	rig_close_bs(&rig, copy);
	rig_close_bs(&rig, bs);
	flatten_begin(&g, the_clone);
	assert_true(going_steps(100, &g));
	rig_done(&rig);
	assert_true(g.waited.done);
	assert_int_equal(g.waited.result, -ECANCELED);
	web01_make(512); /* for teardown */
}

static void
a_pool_that_is_nearly_full_stops_it(void **state)
{
	struct backstore *store;

	(void)state;
	fill(bs, 0, 8 * MiB, 1);
	clone_of(snapshot(volume, "golden"), "copy");
	store = ballast();
	assert_int_equal(rig_unmap(&rig, store, 0, 2 * MiB), 0);
	rig_settle(&rig, SEC);
	assert_int_equal(flatten(the_clone), -ENOSPC);
	assert_true(rig.problem[0] != 0);
	assert_true(rig_stat(&rig).level < 3);
	assert_non_null(volume_parent(the_clone));
	assert_true(holds(copy, 0, 8 * MiB, 1));
	assert_int_equal(rig_unmap(&rig, store, 0, 512 * MiB), 0);
	rig_settle(&rig, SEC);
	assert_int_equal(flatten(the_clone), 0);
	assert_true(holds(copy, 0, 8 * MiB, 1));
}

#define TEST(name) WEB01_TEST(name, web01_setup_eager)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_flat_clone_stands_alone),
	    TEST(what_is_said_to_be_flat_is_so_durably),
	    TEST(what_shares_nothing_is_flat_at_once),
	    TEST(snapshots_are_not_flattened_nor_clones_that_have_some),
	    TEST(pages_without_data_become_its_own_too),
	    TEST(a_clone_with_other_units_is_flattened),
	    TEST(the_clone_of_a_deleted_snapshot_can_be_flattened),
	    TEST(flattening_says_how_far_it_is_and_can_be_stopped),
	    TEST(closing_the_pool_cancels_it),
	    TEST(a_pool_that_is_nearly_full_stops_it),
	};

	return cmocka_run_group_tests_name("flatten", tests, NULL, NULL);
}
