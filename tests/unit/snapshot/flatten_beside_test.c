/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What else happens to a clone that is being flattened, tried at every step of
 * the simulated loop, one step after the other: nothing is lost, and nothing
 * undone.  Where a rule of the engine sees to that, it is broken, and the test
 * has to see it.  Not covered: several things at once, which is the simulator's
 * (tests/sim).
 */
#include "base/simloop.h"
#include "snapshot/breaks.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/going.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct during {
	enum bs_op op;
	uint64_t offset, length;
	int byte;
};

/* A clone whose first chunk has a block of its own (2, at 8 KiB); flattened,
 * with an I/O at step n.  False: it ended before.  *ret_wrong counts when what
 * is read afterwards is not what was written. */
static bool
flatten_with(
    struct volume *s, const struct during *d, unsigned n, unsigned *ret_wrong)
{
	struct going g, io;
	bool begun;

	clone_of(s, "copy");
	fill(copy, 8 * KiB, 4 * KiB, 2);
	flatten_begin(&g, the_clone);
	begun = going_steps(n, &g);
	io_begin(&io, copy, d->op, d->offset, d->length, d->byte);
	assert_int_equal(going_end(&io), 0);
	assert_int_equal(going_end(&g), 0);
	*ret_wrong += !holds(copy, d->offset, d->length, d->byte);
	*ret_wrong += !holds(copy, 0, 8 * KiB, 1);
	*ret_wrong += !holds(copy, 32 * KiB, 32 * KiB, 1);
	drop(the_clone, copy);
	return begun;
}

/* How many of all possible steps go wrong. */
static unsigned
flatten_at_every_step(const struct during *d)
{
	struct volume *s;
	unsigned wrong = 0, n = 0;

	fill(bs, 0, 64 * KiB, 1);
	s = snapshot(volume, "golden");
	while (flatten_with(s, d, n, &wrong) && n < 1000)
		n++;
	assert_in_range(n, 10, 900);
	assert_int_equal(allocated(), 64 * KiB);
	return wrong;
}

static const struct during overwrite = {BS_WRITE, 8 * KiB, 4 * KiB, 7};

static void
a_write_in_place_is_not_lost(void **state)
{
	(void)state;
	assert_int_equal(flatten_at_every_step(&overwrite), 0);
}

/* BUSY: else it goes to a block that has been read. */
static void
without_the_mark_it_would_be(void **state)
{
	(void)state;
	engine_breaks.busy_ignored = true;
	assert_true(flatten_at_every_step(&overwrite) > 0);
}

static void
zeros_in_place_are_not_lost(void **state)
{
	struct during d = {BS_ZERO, 8 * KiB, 4 * KiB, 0};

	(void)state;
	assert_int_equal(flatten_at_every_step(&d), 0);
}

static void
a_write_of_a_part_is_not_lost(void **state)
{
	struct during d = {BS_WRITE, 8 * KiB + 512, 512, 7};

	(void)state;
	assert_int_equal(flatten_at_every_step(&d), 0);
}

static void
a_write_to_what_is_shared_is_not_lost(void **state)
{
	struct during d = {BS_WRITE, 12 * KiB, 20 * KiB, 7};

	(void)state;
	assert_int_equal(flatten_at_every_step(&d), 0);
}

static void
an_unmap_is_not_lost(void **state)
{
	struct during d = {BS_DISCARD, 8 * KiB, 16 * KiB, 0};

	(void)state;
	assert_int_equal(flatten_at_every_step(&d), 0);
}

static void
going_snapshot(struct going *g, const char *name)
{
	static struct snapshot_params params;

	params = (struct snapshot_params){.name = name};
	going_init(g);
	snapshot_create(rig.pool, &the_clone, 1, &params, &g->waited.request);
}

/* A snapshot between the reading and the writing of a block of which a part is
 * written has the part, or has it not; it does not change any more. */
static void
a_snapshot_of_a_part_being_written_does_not_change(void **state)
{
	struct volume *s;
	struct backstore *store;
	struct going made, io;
	char name[16];
	bool begun = true, had;

	(void)state;
	the_clone = volume;
	fill(bs, 0, 64 * KiB, 1);
	for (unsigned n = 0; begun && n < 100; n++) {
		fill(bs, 0, 4 * KiB, 1);
		snprintf(name, sizeof(name), "s%u", n);
		io_begin(&io, bs, BS_WRITE, 512, 512, 2);
		begun = going_steps(n, &io);
		going_snapshot(&made, name);
		assert_int_equal(going_end(&made), 0);
		s = snapshot_find(volume, name);
		store = volume_open(s);
		had = holds(store, 512, 512, 2);
		assert_int_equal(going_end(&io), 0);
		assert_true(holds(store, 512, 512, had ? 2 : 1));
		assert_true(holds(bs, 512, 512, 2));
		rig_close_bs(&rig, store);
	}
}

/* The disk takes its time: what was submitted before the rewrite lands after
 * its reading, unless it waits. */
static unsigned
flatten_behind_writes(void)
{
	unsigned wrong = 0;
	struct volume *s;
	struct going g, io;

	fill(bs, 0, 64 * KiB, 1);
	s = snapshot(volume, "golden");
	for (unsigned i = 0; i < 50; i++) {
		clone_of(s, "copy");
		fill(copy, 0, 4 * KiB, 2); /* is read first */
		io_begin(&io, copy, BS_WRITE, 0, 4 * KiB, 7);
		flatten_begin(&g, the_clone);
		assert_int_equal(going_end(&io), 0);
		assert_int_equal(going_end(&g), 0);
		wrong += !holds(copy, 0, 4 * KiB, 7);
		drop(the_clone, copy);
	}
	return wrong;
}

static void
a_write_already_in_flight_is_waited_for(void **state)
{
	(void)state;
	assert_int_equal(flatten_behind_writes(), 0);
}

static void
without_the_barrier_it_would_be_lost(void **state)
{
	(void)state;
	engine_breaks.rewrite_no_barrier = true;
	assert_true(flatten_behind_writes() > 0);
}

/* It comes before a rewrite is installed, or after; never is what it holds
 * changed, and never is the clone cut from it. */
static void
a_snapshot_in_between_stops_it(void **state)
{
	struct volume *s, *own;
	struct backstore *store;
	struct going g, made, io;
	unsigned n = 0, stopped = 0;
	bool begun = true;

	(void)state;
	fill(bs, 0, 256 * KiB, 1);
	s = snapshot(volume, "golden");
	for (; begun && n < 1000; n += 3) {
		clone_of(s, "copy");
		fill(copy, 8 * KiB, 4 * KiB, 2);
		flatten_begin(&g, the_clone);
		begun = going_steps(n, &g);
		going_snapshot(&made, "own");
		io_begin(&io, copy, BS_WRITE, 8 * KiB, 4 * KiB, 3);
		assert_int_equal(going_end(&io), 0);
		assert_int_equal(going_end(&made), 0);
		going_end(&g);
		stopped += g.waited.result == -EBUSY;
		own = snapshot_find(the_clone, "own");
		assert_ptr_equal(volume_parent(the_clone), own);
		fill(copy, 64 * KiB, 64 * KiB, 4);
		store = volume_open(own);
		assert_true(holds(store, 0, 8 * KiB, 1));
		assert_true(holds(store, 8 * KiB, 4 * KiB, 2) ||
			    holds(store, 8 * KiB, 4 * KiB, 3));
		assert_true(holds(store, 12 * KiB, 244 * KiB, 1));
		rig_close_bs(&rig, store);
		assert_true(holds(copy, 8 * KiB, 4 * KiB, 3));
		drop(the_clone, copy);
		assert_int_equal(allocated(), 256 * KiB);
	}
	assert_true(stopped > 5);
}

static void
going_rollback(struct going *g, struct volume *to, const char *keep)
{
	going_init(g);
	volume_rollback(rig.pool, the_clone, to, keep, &g->waited.request);
}

/* Back to another snapshot of the family: what was read is of no use. */
static unsigned
flatten_with_rollbacks(void)
{
	struct volume *first, *s;
	struct going g, back;
	unsigned n = 0, wrong = 0;
	bool begun = true;

	fill(bs, 0, 64 * KiB, 5);
	first = snapshot(volume, "first");
	fill(bs, 0, 64 * KiB, 1);
	s = snapshot(volume, "golden");
	for (; begun && n < 1000; n++) {
		clone_of(s, "copy");
		flatten_begin(&g, the_clone);
		begun = going_steps(n, &g);
		going_rollback(&back, first, "kept");
		assert_int_equal(going_end(&back), 0);
		assert_int_equal(going_end(&g), 0);
		wrong += !holds(copy, 0, 64 * KiB, 5);
		drop(the_clone, copy);
	}
	return wrong;
}

static void
a_rollback_in_between_is_not_undone(void **state)
{
	(void)state;
	assert_int_equal(flatten_with_rollbacks(), 0);
}

static void
what_is_installed_whatever_came_between_would_undo_it(void **state)
{
	(void)state;
	engine_breaks.rewrite_stale = true;
	assert_true(flatten_with_rollbacks() > 0);
}

/* Before its records are durable, between them, and after. */
static void
power_may_go_at_any_step(void **state)
{
	struct going g;
	bool begun = true;

	(void)state;
	fill(bs, 0, 192 * KiB, 1);
	clone_of(snapshot(volume, "golden"), "copy");
	for (unsigned n = 0; begun && n < 60; n++) {
		assert_int_equal(rig_unmap(&rig, copy, 0, 64 * KiB), 0);
		fill(copy, 8 * KiB, 4 * KiB, (int)n);
		assert_int_equal(rig_flush(&rig, copy), 0);
		flatten_begin(&g, the_clone);
		begun = going_steps(n * 7, &g);
		web01_reopen(true);
		assert_true(holds(copy, 0, 8 * KiB, 0));
		assert_true(holds(copy, 8 * KiB, 4 * KiB, (int)n));
		assert_true(holds(copy, 64 * KiB, 128 * KiB, 1));
		assert_true(holds(bs, 0, 192 * KiB, 1));
	}
	assert_int_equal(flatten(the_clone), 0);
	assert_int_equal(rig_unmap(&rig, bs, 0, 64 * MiB), 0);
	assert_int_equal(rig_delete(&rig, snapshot_find(volume, "golden")), 0);
	rig_settle_jobs(&rig);
	assert_int_equal(allocated(), stat_of(the_clone).exclusive);
}

#define TEST(name) WEB01_TEST(name, web01_setup_eager)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_write_in_place_is_not_lost),
	    TEST(without_the_mark_it_would_be),
	    TEST(zeros_in_place_are_not_lost),
	    TEST(a_write_of_a_part_is_not_lost),
	    WEB01_TEST(a_write_of_a_part_is_not_lost, web01_setup_eager_4k),
	    WEB01_TEST(a_snapshot_of_a_part_being_written_does_not_change,
		web01_setup_eager_4k),
	    TEST(a_write_to_what_is_shared_is_not_lost),
	    TEST(an_unmap_is_not_lost),
	    TEST(a_write_already_in_flight_is_waited_for),
	    TEST(without_the_barrier_it_would_be_lost),
	    TEST(a_snapshot_in_between_stops_it),
	    TEST(a_rollback_in_between_is_not_undone),
	    TEST(what_is_installed_whatever_came_between_would_undo_it),
	    TEST(power_may_go_at_any_step),
	};

	return cmocka_run_group_tests_name(
	    "flatten beside others", tests, NULL, NULL);
}
