/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engine writes anew by itself: flattening, promotion, putting cold
 * chunks together; one claim each.  What else happens meanwhile is tried at
 * every step of the simulated loop, one step after the other.  Not covered:
 * several things at once, which is the simulator's (tests/sim).
 */
#include "base/simloop.h"
#include "snapshot/breaks.h"
#include "snapshot/family.h"
#include "tests/unit/snapshot/support/rig.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define KiB   1024ull
#define MiB   (1ull << 20)
#define CHUNK 65536ull
#define MSEC  1000000ull
#define SEC   (1000 * MSEC)

static struct rig rig;
static struct volume *volume, *clone;
static struct backstore *bs, *copy;

static int
setup_on(uint32_t block_size)
{
	rig_init(&rig, 128 * MiB, block_size, true);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_int_equal(rig_volume(&rig, "web01", 64 * MiB, 512, &volume), 0);
	pool_set_background(rig.pool, 100);
	bs = volume_open(volume);
	assert_non_null(bs);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	return setup_on(512);
}

/* Parts of blocks are read, changed and written. */
static int
setup_4k(void **state)
{
	(void)state;
	return setup_on(4096);
}

static int
teardown(void **state)
{
	(void)state;
	memset(&engine_breaks, 0, sizeof(engine_breaks));
	rig_done(&rig);
	return 0;
}

static void
closed(void *arg)
{
	*(bool *)arg = true;
}

static void
close_bs(struct backstore *store)
{
	bool done = false;

	bs_close(store, closed, &done);
	simloop_run_until(rig.loop, &done);
}

static void
fill(struct backstore *store, uint64_t offset, uint64_t length, int byte)
{
	assert_int_equal(rig_fill(&rig, store, offset, length, byte), 0);
}

static bool
holds(struct backstore *store, uint64_t offset, uint64_t length, int byte)
{
	return rig_holds(&rig, store, offset, length, byte);
}

static struct volume *
snapshot(struct volume *of, const char *name)
{
	struct volume *made;

	assert_int_equal(rig_snapshot(&rig, of, name, &made), 0);
	return made;
}

static void
clone_of(struct volume *s, const char *name)
{
	assert_int_equal(rig_clone(&rig, s, name, &clone), 0);
	copy = volume_open(clone);
	assert_non_null(copy);
}

static struct family_stat
stat_of(struct volume *of)
{
	struct family_stat stat;

	family_stat_get(of, &stat);
	return stat;
}

static uint64_t
allocated(void)
{
	return rig_stat(&rig).allocated;
}

static void
settle_jobs(void)
{
	struct pool_job_stat job;

	for (int i = 0; i < 1000 && pool_job_get(rig.pool, 0, &job); i++)
		rig_settle(&rig, 10 * MSEC);
	assert_false(pool_job_get(rig.pool, 0, &job));
}

/* Takes space until the pool is full to its hard threshold. */
static struct backstore *
ballast(void)
{
	struct backstore *store;
	struct volume *made;

	assert_int_equal(rig_volume(&rig, "ballast", 512 * MiB, 512, &made), 0);
	store = volume_open(made);
	for (uint64_t at = 0; rig_stat(&rig).level < 2; at += 256 * KiB)
		fill(store, at, 256 * KiB, 9);
	return store;
}

/* ---- things that go on by themselves ---- */

struct going {
	struct pool_request request;
	struct bs_io io;
	struct iovec iov;
	uint8_t *data;
	bool done;
	int result;
};

static void
request_done(struct pool_request *request, int result)
{
	struct going *g = container_of(request, struct going, request);

	g->done = true;
	g->result = result;
}

static void
io_done(struct bs_io *io, int result)
{
	struct going *g = container_of(io, struct going, io);

	g->done = true;
	g->result = result;
}

static void
flatten_begin(struct going *g, struct volume *of)
{
	memset(g, 0, sizeof(*g));
	g->request.done = request_done;
	volume_flatten(rig.pool, of, &g->request);
}

static void
io_begin(struct going *g, struct backstore *store, enum bs_op op,
    uint64_t offset, uint64_t length, int byte)
{
	memset(g, 0, sizeof(*g));
	g->data = aligned_alloc(4096, (length + 4095) / 4096 * 4096);
	assert_non_null(g->data);
	memset(g->data, byte, length);
	g->iov = (struct iovec){g->data, length};
	bs_io_init(&g->io);
	g->io.op = op;
	g->io.offset = offset;
	g->io.length = length;
	g->io.may_unmap = op == BS_ZERO;
	if (op == BS_WRITE) {
		g->io.iov = &g->iov;
		g->io.iov_count = 1;
	}
	g->io.complete = io_done;
	bs_submit(store, &g->io);
}

static int
end(struct going *g)
{
	simloop_run_until(rig.loop, &g->done);
	assert_true(g->done);
	free(g->data);
	g->data = NULL;
	return g->result;
}

static int
flatten(struct volume *of)
{
	struct going g;
	int result;

	flatten_begin(&g, of);
	result = end(&g);
	memcpy(rig.problem, g.request.problem, sizeof(rig.problem));
	return result;
}

/* Steps, but not past the end of g.  False: it has ended. */
static bool
steps(unsigned count, const struct going *g)
{
	while (count-- > 0 && !g->done)
		simloop_step(rig.loop);
	return !g->done;
}

/* ---- flattening ---- */

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
	assert_int_equal(flatten(clone), 0);
	assert_null(volume_parent(clone));
	assert_true(holds(copy, 0, 8 * KiB, 1));
	assert_true(holds(copy, 8 * KiB, 4 * KiB, 2));
	assert_true(holds(copy, 12 * KiB, 2 * MiB - 12 * KiB, 1));
	assert_true(holds(copy, 2 * MiB, 100 * KiB, 0));
	assert_true(holds(copy, 2 * MiB + 100 * KiB, 1948 * KiB, 1));
	/* the origin goes, all of it */
	before = allocated();
	assert_int_equal(rig_unmap(&rig, bs, 0, 64 * MiB), 0);
	assert_int_equal(rig_delete(&rig, s), 0);
	settle_jobs();
	assert_int_equal(before - allocated(), 4 * MiB);
	assert_int_equal(allocated(), stat_of(clone).exclusive);
	assert_true(holds(copy, 12 * KiB, 2 * MiB - 12 * KiB, 1));
	close_bs(copy);
	assert_int_equal(rig_delete(&rig, clone), 0);
	settle_jobs();
	assert_int_equal(allocated(), 0);
}

static void
reopen(bool power_cut)
{
	if (power_cut)
		rig_cut(&rig);
	else
		assert_int_equal(rig_close(&rig), 0);
	assert_int_equal(rig_open(&rig, false), 0);
	pool_set_background(rig.pool, 100);
	volume = volume_find(rig.pool, "web01");
	bs = volume_open(volume);
	clone = volume_find(rig.pool, "copy");
	copy = volume_open(clone);
	assert_non_null(copy);
}

static void
what_is_said_to_be_flat_is_so_durably(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	clone_of(snapshot(volume, "golden"), "copy");
	assert_int_equal(flatten(clone), 0);
	for (int cut = 1; cut >= 0; cut--) {
		reopen(cut);
		assert_null(volume_parent(clone));
		assert_true(holds(copy, 0, MiB, 1));
		assert_int_equal(stat_of(clone).exclusive, MiB);
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
	own = snapshot(clone, "tuesday");
	assert_int_equal(flatten(clone), -EBUSY);
	assert_non_null(strstr(rig.problem, "tuesday"));
	assert_int_equal(rig_delete(&rig, own), 0);
	settle_jobs();
	assert_int_equal(flatten(clone), 0);
	assert_null(volume_parent(clone));
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
	assert_int_equal(flatten(clone), 0);
	assert_null(volume_parent(clone));
	assert_int_equal(rig_delete(&rig, s), 0);
	assert_int_equal(rig_delete(&rig, snapshot_find(volume, "empty")), 0);
	settle_jobs();
	assert_int_equal(allocated(), 0);
	assert_int_equal(rig_flush(&rig, copy), 0);
	reopen(true);
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

		assert_int_equal(
		    rig_volume_unit(&rig, "unit", 8 * MiB, units[i], &of), 0);
		store = volume_open(of);
		fill(store, 0, MiB, 1);
		s = snapshot(of, "one");
		clone_of(s, "copy");
		fill(copy, 100 * KiB, 4 * KiB, 2);
		assert_int_equal(flatten(clone), 0);
		assert_null(volume_parent(clone));
		close_bs(store);
		assert_int_equal(rig_delete(&rig, of), 0);
		settle_jobs();
		assert_true(holds(copy, 0, 100 * KiB, 1));
		assert_true(holds(copy, 100 * KiB, 4 * KiB, 2));
		assert_true(holds(copy, 104 * KiB, 920 * KiB, 1));
		close_bs(copy);
		assert_int_equal(rig_delete(&rig, clone), 0);
		settle_jobs();
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
	assert_int_equal(flatten(clone), 0);
	assert_int_equal(flatten(other), 0);
	settle_jobs(); /* with one child left the snapshot goes */
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
	close_bs(copy);
	pool_set_background(rig.pool, 1);
	flatten_begin(&g, clone);
	rig_settle(&rig, 100 * MSEC);
	assert_true(pool_job_get(rig.pool, 0, &job));
	assert_int_equal(job.kind, POOL_JOB_FLATTEN);
	assert_string_equal(job.name, "copy");
	assert_true(job.running);
	assert_in_range(job.done, CHUNK, 8 * MiB);
	assert_int_equal(job.total, 64 * MiB);
	assert_false(g.done);
	assert_int_equal(rig_delete(&rig, clone), 0);
	assert_int_equal(end(&g), -ECANCELED);
	settle_jobs();
	assert_int_equal(allocated(), 8 * MiB);
}

static void
closing_the_pool_cancels_it(void **state)
{
	struct going g;

	(void)state;
	fill(bs, 0, 8 * MiB, 1);
	clone_of(snapshot(volume, "golden"), "copy");
	close_bs(copy);
	close_bs(bs);
	flatten_begin(&g, clone);
	assert_true(steps(100, &g));
	rig_done(&rig);
	assert_true(g.done);
	assert_int_equal(g.result, -ECANCELED);
	setup(NULL); /* for teardown */
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
	assert_int_equal(flatten(clone), -ENOSPC);
	assert_true(rig.problem[0] != 0);
	assert_true(rig_stat(&rig).level < 3);
	assert_non_null(volume_parent(clone));
	assert_true(holds(copy, 0, 8 * MiB, 1));
	assert_int_equal(rig_unmap(&rig, store, 0, 512 * MiB), 0);
	rig_settle(&rig, SEC);
	assert_int_equal(flatten(clone), 0);
	assert_true(holds(copy, 0, 8 * MiB, 1));
}

/* ---- beside others, at every step ---- */

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
	flatten_begin(&g, clone);
	begun = steps(n, &g);
	io_begin(&io, copy, d->op, d->offset, d->length, d->byte);
	assert_int_equal(end(&io), 0);
	assert_int_equal(end(&g), 0);
	*ret_wrong += !holds(copy, d->offset, d->length, d->byte);
	*ret_wrong += !holds(copy, 0, 8 * KiB, 1);
	*ret_wrong += !holds(copy, 32 * KiB, 32 * KiB, 1);
	close_bs(copy);
	assert_int_equal(rig_delete(&rig, clone), 0);
	settle_jobs();
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
	memset(g, 0, sizeof(*g));
	g->request.done = request_done;
	snapshot_create(rig.pool, &clone, 1, &params, &g->request);
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
	clone = volume;
	fill(bs, 0, 64 * KiB, 1);
	for (unsigned n = 0; begun && n < 100; n++) {
		fill(bs, 0, 4 * KiB, 1);
		snprintf(name, sizeof(name), "s%u", n);
		io_begin(&io, bs, BS_WRITE, 512, 512, 2);
		begun = steps(n, &io);
		going_snapshot(&made, name);
		assert_int_equal(end(&made), 0);
		s = snapshot_find(volume, name);
		store = volume_open(s);
		had = holds(store, 512, 512, 2);
		assert_int_equal(end(&io), 0);
		assert_true(holds(store, 512, 512, had ? 2 : 1));
		assert_true(holds(bs, 512, 512, 2));
		close_bs(store);
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
		flatten_begin(&g, clone);
		assert_int_equal(end(&io), 0);
		assert_int_equal(end(&g), 0);
		wrong += !holds(copy, 0, 4 * KiB, 7);
		close_bs(copy);
		assert_int_equal(rig_delete(&rig, clone), 0);
		settle_jobs();
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
		flatten_begin(&g, clone);
		begun = steps(n, &g);
		going_snapshot(&made, "own");
		io_begin(&io, copy, BS_WRITE, 8 * KiB, 4 * KiB, 3);
		assert_int_equal(end(&io), 0);
		assert_int_equal(end(&made), 0);
		end(&g);
		stopped += g.result == -EBUSY;
		own = snapshot_find(clone, "own");
		assert_ptr_equal(volume_parent(clone), own);
		fill(copy, 64 * KiB, 64 * KiB, 4);
		store = volume_open(own);
		assert_true(holds(store, 0, 8 * KiB, 1));
		assert_true(holds(store, 8 * KiB, 4 * KiB, 2) ||
			    holds(store, 8 * KiB, 4 * KiB, 3));
		assert_true(holds(store, 12 * KiB, 244 * KiB, 1));
		close_bs(store);
		assert_true(holds(copy, 8 * KiB, 4 * KiB, 3));
		close_bs(copy);
		assert_int_equal(rig_delete(&rig, clone), 0);
		settle_jobs();
		assert_int_equal(allocated(), 256 * KiB);
	}
	assert_true(stopped > 5);
}

static void
going_rollback(struct going *g, struct volume *to, const char *keep)
{
	memset(g, 0, sizeof(*g));
	g->request.done = request_done;
	volume_rollback(rig.pool, clone, to, keep, &g->request);
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
		flatten_begin(&g, clone);
		begun = steps(n, &g);
		going_rollback(&back, first, "kept");
		assert_int_equal(end(&back), 0);
		assert_int_equal(end(&g), 0);
		wrong += !holds(copy, 0, 64 * KiB, 5);
		close_bs(copy);
		assert_int_equal(rig_delete(&rig, clone), 0);
		settle_jobs();
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
		flatten_begin(&g, clone);
		begun = steps(n * 7, &g);
		reopen(true);
		assert_true(holds(copy, 0, 8 * KiB, 0));
		assert_true(holds(copy, 8 * KiB, 4 * KiB, (int)n));
		assert_true(holds(copy, 64 * KiB, 128 * KiB, 1));
		assert_true(holds(bs, 0, 192 * KiB, 1));
	}
	assert_int_equal(flatten(clone), 0);
	assert_int_equal(rig_unmap(&rig, bs, 0, 64 * MiB), 0);
	assert_int_equal(rig_delete(&rig, snapshot_find(volume, "golden")), 0);
	settle_jobs();
	assert_int_equal(allocated(), stat_of(clone).exclusive);
}

/* ---- promotion ---- */

static void
redirect(unsigned blocks)
{
	for (unsigned i = 0; i < blocks; i++)
		fill(bs, i * 4 * KiB, 4 * KiB, 2);
}

static void
half_a_chunk_redirected_is_put_together(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	redirect(7);
	rig_settle(&rig, 5 * SEC);
	assert_int_equal(stat_of(volume).rewrites, 0);
	fill(bs, 40 * KiB, 4 * KiB, 2);
	assert_int_equal(stat_of(volume).fine_chunks, 1);
	rig_settle(&rig, 5 * SEC);
	assert_int_equal(stat_of(volume).rewrites, 1);
	assert_int_equal(stat_of(volume).fine_chunks, 0);
	assert_int_equal(stat_of(volume).fragments, 0);
	assert_int_equal(allocated(), MiB + 64 * KiB);
	assert_true(holds(bs, 0, 28 * KiB, 2));
	assert_true(holds(bs, 28 * KiB, 12 * KiB, 1));
	assert_true(holds(bs, 40 * KiB, 4 * KiB, 2));
	assert_true(holds(bs, 44 * KiB, MiB - 44 * KiB, 1));
}

/* What a snapshot has got meanwhile would be copied as a whole. */
static void
not_if_a_snapshot_comes_first(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	redirect(8);
	snapshot(volume, "two");
	rig_settle(&rig, 100 * SEC);
	assert_int_equal(stat_of(volume).rewrites, 0);
	redirect(8);
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
	close_bs(store);
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
	settle_jobs();
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
	redirect(9);
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
	redirect(9);
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
	assert_int_equal(stat_of(clone).fragments, 5);
	assert_int_equal(flatten(clone), 0);
	assert_int_equal(stat_of(clone).fine_chunks, 0);
	assert_int_equal(stat_of(clone).fragments, 0);
	assert_int_equal(stat_of(clone).rewrites, 16);
	assert_int_equal(stat_of(volume).fine_chunks, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

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
	    TEST(a_write_in_place_is_not_lost),
	    TEST(without_the_mark_it_would_be),
	    TEST(zeros_in_place_are_not_lost),
	    TEST(a_write_of_a_part_is_not_lost),
	    cmocka_unit_test_setup_teardown(
		a_write_of_a_part_is_not_lost, setup_4k, teardown),
	    cmocka_unit_test_setup_teardown(
		a_snapshot_of_a_part_being_written_does_not_change, setup_4k,
		teardown),
	    TEST(a_write_to_what_is_shared_is_not_lost),
	    TEST(an_unmap_is_not_lost),
	    TEST(a_write_already_in_flight_is_waited_for),
	    TEST(without_the_barrier_it_would_be_lost),
	    TEST(a_snapshot_in_between_stops_it),
	    TEST(a_rollback_in_between_is_not_undone),
	    TEST(what_is_installed_whatever_came_between_would_undo_it),
	    TEST(power_may_go_at_any_step),
	    TEST(half_a_chunk_redirected_is_put_together),
	    TEST(not_if_a_snapshot_comes_first),
	    TEST(volumes_of_whole_chunks_are_left_alone),
	    TEST(cold_chunks_in_pieces_are_put_together),
	    TEST(so_are_those_that_a_snapshot_leaves_behind),
	    TEST(nothing_is_put_together_in_a_full_pool),
	    TEST(a_bookmark_still_misses_nothing),
	    TEST(pieces_are_counted),
	};

	return cmocka_run_group_tests_name("rewrite", tests, NULL, NULL);
}
