/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Directed tests of snapshots: situations that random seeds meet seldom.
 */
#include "snapshot/engine.h"
#include "tests/sim/directed.h"
#include "tests/sim/family.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK      4096u
#define CHUNK      (64 * KiB)
#define LEAF_BYTES (243 * CHUNK)
#define LEAVES     5u

/* ---- what they are made of ---- */

static void
wait(struct world *world)
{
	if (!control_wait(world))
		sim_fail(world, "power failed though nobody cut it");
}

static struct sim_volume *
snap(struct world *world, struct sim_volume *volume)
{
	struct sim_volume *snapshot = family_snapshot(world, &volume, 1, false);

	wait(world);
	return snapshot;
}

static void
drop(struct world *world, struct sim_volume *snapshot)
{
	family_delete_snapshot(world, snapshot);
	wait(world);
}

static struct sim_volume *
clone(struct world *world, struct sim_volume *snapshot)
{
	struct sim_volume *volume = family_clone(world, snapshot);

	wait(world);
	return volume;
}

/* What the volume was is kept: the newest snapshot. */
static struct sim_volume *
roll(
    struct world *world, struct sim_volume *volume, struct sim_volume *snapshot)
{
	struct sim_volume *s = world->snapshots;

	family_rollback(world, volume, snapshot);
	wait(world);
	while (s->next != NULL)
		s = s->next;
	return s;
}

static struct sim_mark *
mark(
    struct world *world, struct sim_volume *volume, struct sim_volume *snapshot)
{
	struct sim_mark *m;

	family_mark(world, volume, snapshot);
	wait(world);
	for (m = volume->marks; m->next != NULL;)
		m = m->next;
	return m;
}

static void
compare(struct world *world, struct sim_volume *to, struct sim_volume *base,
    struct sim_mark *m)
{
	diff_start(world, to, base, m);
	wait(world);
}

static void
unmap(struct world *world, struct sim_volume *volume, uint64_t offset,
    uint64_t length)
{
	work_submit(world, volume, BS_ZERO, offset, length, false, true);
	wait(world);
}

/* Does not wait. */
static void
begin_write(struct world *world, struct sim_volume *volume, uint64_t offset,
    uint64_t length)
{
	work_submit(world, volume, BS_WRITE, offset, length, false, false);
}

/* Until no deletion runs or waits for its turn. */
static void
wait_for_jobs(struct world *world)
{
	struct pool_job_stat stat;

	for (unsigned i = 0; pool_job_get(world->pool, 0, &stat); i++)
		if (!world_step(world) || i == 2000000)
			sim_fail(world, "a deletion does not end");
}

/* Closes, checks, opens, and reads everything; then a power cut, and again. */
static void
all_is_well(struct world *world)
{
	struct sim_volume *v = NULL;

	if (!world_reopen(world)) /* power may fail while opening, as ever */
		life_survive(world);
	world_arm(world, 0);
	life_survive(world);
	world_arm(world, 0);
	while ((v = version_next(world, v)) != NULL)
		if (v->state == PRESENT)
			volume_bring_up(world, v);
}

/* ... and in the end nothing is left. */
static void
all_is_well_to_the_end(struct world *world)
{
	all_is_well(world);
	world_empty(world);
	if (!world_reopen(world))
		life_survive(world);
}

/* One block in each of the first chunks of every leaf, moved by shift. */
static void
write_leaves(struct world *world, struct sim_volume *volume, uint64_t shift)
{
	for (unsigned leaf = 0; leaf < LEAVES; leaf++)
		for (unsigned chunk = 0; chunk < 3; chunk++)
			begin_write(world, volume,
			    leaf * LEAF_BYTES + chunk * CHUNK + shift, BLOCK);
}

/* ---- frozen ---- */

/* I3: what a snapshot shares is not overwritten. */
static void
a_snapshot_does_not_change(struct world *world)
{
	struct sim_volume *volume = directed_begin(world);

	begin_write(world, volume, 0, 2 * CHUNK);
	wait(world);
	snap(world, volume);
	directed_write(world, volume, 0);
	begin_write(world, volume, CHUNK, CHUNK);
	begin_write(world, volume, 2 * BLOCK + 512, 512);
	wait(world);
	unmap(world, volume, 4 * BLOCK, BLOCK);
	all_is_well_to_the_end(world);
}

/* ---- the cursor ---- */

static bool
job_is_in_the_middle(struct world *world)
{
	struct pool_job_stat stat;

	return pool_job_get(world->pool, 0, &stat) && stat.done > 0 &&
	       stat.done < stat.total;
}

/* The parent is deleted; half way through the head is overwritten below and
 * above the cursor: below, what was the parent's is the head's own and must be
 * freed when it is redirected or overwritten in place; above it is shared. */
static void
overwrite_beside_the_cursor(struct world *world, bool cut)
{
	struct sim_volume *volume = directed_begin(world), *parent;

	write_leaves(world, volume, 0);
	wait(world);
	snap(world, volume);
	write_leaves(world, volume, 0);
	write_leaves(world, volume, BLOCK);
	wait(world);
	parent = snap(world, volume);
	write_leaves(world, volume, BLOCK);
	wait(world);
	pool_set_background(world->pool, 1);
	drop(world, parent);
	for (unsigned i = 0; !job_is_in_the_middle(world); i++)
		if (!world_step(world) || i == 1000000)
			sim_fail(world, "the deletion has no middle");
	write_leaves(world, volume, 0);
	write_leaves(world, volume, 2 * BLOCK);
	if (cut)
		life_survive(world);
	else
		wait(world);
	wait_for_jobs(world);
	all_is_well_to_the_end(world);
}

static void
the_cursor_decides(struct world *world)
{
	overwrite_beside_the_cursor(world, false);
}

static void
the_cursor_decides_after_a_cut(struct world *world)
{
	overwrite_beside_the_cursor(world, true);
}

/* ---- bookmarks ---- */

/* A volume with data everywhere, marked; the snapshot is gone. */
static struct sim_mark *
marked_and_dropped(struct world *world, struct sim_volume **ret_volume)
{
	struct sim_volume *volume = directed_begin(world), *snapshot;
	struct sim_mark *m;

	write_leaves(world, volume, 0);
	begin_write(world, volume, 8 * CHUNK, 2 * CHUNK);
	wait(world);
	snapshot = snap(world, volume);
	m = mark(world, volume, snapshot);
	drop(world, snapshot);
	wait_for_jobs(world);
	*ret_volume = volume;
	return m;
}

/* I15: what the mark remembers is not overwritten in place, as the birth would
 * not tell. */
static void
a_mark_sees_overwrites(struct world *world)
{
	struct sim_volume *volume;
	struct sim_mark *m = marked_and_dropped(world, &volume);

	directed_write(world, volume, 0);
	begin_write(world, volume, CHUNK + 512, 512);
	begin_write(world, volume, 8 * CHUNK, CHUNK);
	begin_write(world, volume, 9 * CHUNK + BLOCK, 2 * BLOCK);
	wait(world);
	compare(world, volume, NULL, m);
	all_is_well(world);
	compare(world, volume, NULL, volume->marks);
	all_is_well_to_the_end(world);
}

/* I16: new births in old pages: the page must be seen to be new.  The cut
 * between makes the pages come from the disk. */
static void
a_mark_sees_old_pages(struct world *world)
{
	struct sim_volume *volume;

	marked_and_dropped(world, &volume);
	all_is_well(world);
	directed_write(world, volume, LEAF_BYTES + BLOCK);
	directed_write(world, volume, 3 * LEAF_BYTES + 20 * CHUNK);
	compare(world, volume, NULL, volume->marks);
	all_is_well(world);
	compare(world, volume, NULL, volume->marks);
	all_is_well_to_the_end(world);
}

/* I17: holes have births: of a block, of a chunk, of leaves at once. */
static void
a_mark_sees_holes(struct world *world)
{
	struct sim_volume *volume;
	struct sim_mark *m = marked_and_dropped(world, &volume);

	unmap(world, volume, 8 * CHUNK + BLOCK, BLOCK);
	unmap(world, volume, 9 * CHUNK, CHUNK);
	unmap(world, volume, 0, BLOCK);
	unmap(world, volume, LEAF_BYTES, 2 * LEAF_BYTES);
	compare(world, volume, NULL, m);
	all_is_well(world);
	compare(world, volume, NULL, volume->marks);
	/* written once, unmapped again */
	directed_write(world, volume, 9 * CHUNK);
	unmap(world, volume, 9 * CHUNK, BLOCK);
	compare(world, volume, NULL, volume->marks);
	all_is_well_to_the_end(world);
}

/* Below a mark, a chunk that becomes fine leaves its birth to what it had not
 * used, and those blocks are marked, too, when they are written. */
static void
a_mark_sees_what_was_unused(struct world *world)
{
	struct sim_volume *volume;
	struct sim_mark *m = marked_and_dropped(world, &volume);

	directed_write(world, volume, 0);
	directed_write(world, volume, 5 * BLOCK);
	unmap(world, volume, 5 * BLOCK, BLOCK);
	directed_write(world, volume, 6 * BLOCK);
	compare(world, volume, NULL, m);
	all_is_well_to_the_end(world);
}

/* Rolled back to another branch, the volume does not descend from what is
 * marked any more: the mark is dropped, or the difference is right. */
static void
a_mark_of_another_branch(struct world *world)
{
	struct sim_volume *volume = directed_begin(world);
	struct sim_volume *first, *second, *third;

	write_leaves(world, volume, 0);
	wait(world);
	first = snap(world, volume);
	write_leaves(world, volume, 0);
	wait(world);
	second = snap(world, volume);
	roll(world, volume, first);
	directed_write(world, volume, 5 * CHUNK);
	third = snap(world, volume);
	roll(world, volume, second);
	mark(world, volume, second);
	roll(world, volume, third);
	if (volume->marks != NULL)
		compare(world, volume, NULL, volume->marks);
	all_is_well_to_the_end(world);
}

/* ---- writes in flight at the cut ---- */

/* What is written now does not get to the disk until it is released; the log
 * and the metadata lie before the data, and their second copies behind. */
static void
hold_data(struct world *world)
{
	const struct space *space = &world->pool->space;
	uint64_t bytes = (uint64_t)space->region_blocks * FMT_BLOCK;
	uint64_t first = UINT64_MAX, end = 0;

	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		if (region->class != FMT_REGION_DATA)
			continue;
		if (region->offset < first)
			first = region->offset;
		if (region->offset + bytes > end)
			end = region->offset + bytes;
	}
	assert(first < end);
	disk_shell_hold(world->disk[0].top, BS_WRITE, first, end - first);
}

static struct sim_volume *
volume_with_a_chunk(struct world *world)
{
	struct sim_volume *volume = directed_begin(world);

	snap(world, volume); /* the pool's first needs a superblock */
	begin_write(world, volume, 0, CHUNK);
	directed_write(world, volume, CHUNK);
	return volume;
}

static void
release_and_finish(struct world *world)
{
	disk_shell_release(world->disk[0].top);
	wait(world);
	all_is_well_to_the_end(world);
}

/* A write in place is on its way when the snapshot is asked for: that is not
 * reported before the write has ended, or it would still change. */
static void
a_cut_waits_for_writes(struct world *world)
{
	struct sim_volume *volume = volume_with_a_chunk(world), *snapshot;
	uint8_t *buf = aligned_alloc(BLOCK, CHUNK);

	assert(buf != NULL);
	hold_data(world);
	begin_write(world, volume, BLOCK, BLOCK);
	directed_run_for(world, 200);
	snapshot = family_snapshot(world, &volume, 1, false);
	directed_run_for(world, 4000);
	if (snapshot->state == PRESENT) /* too early: look, before it changes */
		work_read_checked(world, snapshot, 0, CHUNK, buf);
	free(buf);
	release_and_finish(world);
}

/* ... and a write of a part of that block waits, too: it reads what is there,
 * which is shared now, and writes it elsewhere. */
static void
a_part_waits_for_writes(struct world *world)
{
	struct sim_volume *volume = volume_with_a_chunk(world);

	hold_data(world);
	begin_write(world, volume, BLOCK, BLOCK);
	directed_run_for(world, 200);
	family_snapshot(world, &volume, 1, false);
	directed_run_for(world, 400);
	begin_write(world, volume, BLOCK + 4 * 512, 512);
	directed_run_for(world, 2000);
	release_and_finish(world);
}

/* Writes that need a place are on their way at the cut: into a hole, and into
 * a chunk that has room for it, which is shared when they end. */
static void
an_allocation_over_the_cut(struct world *world, bool cut)
{
	struct sim_volume *volume = volume_with_a_chunk(world), *snapshot;

	hold_data(world);
	begin_write(world, volume, CHUNK + 5 * BLOCK, BLOCK);
	begin_write(world, volume, CHUNK + 7 * BLOCK + 512, 1024);
	begin_write(world, volume, 3 * CHUNK, BLOCK);
	directed_run_for(world, 200);
	snapshot = family_snapshot(world, &volume, 1, false);
	directed_run_for(world, 1000);
	disk_shell_release(world->disk[0].top);
	wait(world);
	if (cut) {
		life_survive(world);
		volume_bring_up(world, volume);
	}
	begin_write(world, volume, CHUNK + 5 * BLOCK, BLOCK);
	begin_write(world, volume, CHUNK + 9 * BLOCK, BLOCK);
	begin_write(world, volume, 3 * CHUNK + BLOCK, BLOCK);
	wait(world);
	compare(world, volume, snapshot, NULL);
	drop(world, snap(world, volume));
	directed_write(world, volume, CHUNK + 5 * BLOCK);
	drop(world, snapshot);
	wait_for_jobs(world);
	all_is_well_to_the_end(world);
}

static void
an_allocation_over_the_cut_stays(struct world *world)
{
	an_allocation_over_the_cut(world, false);
}

static void
an_allocation_over_the_cut_and_a_crash(struct world *world)
{
	an_allocation_over_the_cut(world, true);
}

/* The mark of that snapshot must see the write, too, if it is not in it. */
static void
an_allocation_over_the_cut_is_marked(struct world *world)
{
	struct sim_volume *volume = volume_with_a_chunk(world), *snapshot;
	struct sim_mark *m;

	hold_data(world);
	begin_write(world, volume, CHUNK + 5 * BLOCK, BLOCK);
	begin_write(world, volume, 3 * CHUNK, BLOCK);
	directed_run_for(world, 200);
	snapshot = family_snapshot(world, &volume, 1, false);
	directed_run_for(world, 1000);
	disk_shell_release(world->disk[0].top);
	wait(world);
	compare(world, volume, snapshot, NULL);
	m = mark(world, volume, snapshot);
	drop(world, snapshot);
	wait_for_jobs(world);
	compare(world, volume, NULL, m);
	all_is_well_to_the_end(world);
}

/* ---- checkpoints ---- */

/* The snapshot is made while a checkpoint is on its way: after the freeze,
 * before its superblock. */
static void
a_snapshot_during_a_checkpoint(struct world *world)
{
	struct sim_volume *volume = directed_begin(world);

	write_leaves(world, volume, 0);
	wait(world);
	directed_hold_superblocks(world);
	checkpoint_start(world->pool);
	directed_run_for(world, 2000);
	write_leaves(world, volume, BLOCK);
	family_snapshot(world, &volume, 1, false);
	directed_run_for(world, 2000);
	write_leaves(world, volume, 0);
	directed_run_for(world, 500);
	disk_shell_release(world->disk[0].top);
	wait(world);
	directed_write(world, volume, 0);
	all_is_well_to_the_end(world);
}

/* Power goes when the superblock has not got to the disk: the log alone knows
 * of the snapshot. */
static void
a_cut_before_the_checkpoint(struct world *world)
{
	struct sim_volume *volume = directed_begin(world), *snapshot;

	write_leaves(world, volume, 0);
	directed_flush(world, volume);
	snap(world, volume); /* the pool's first needs a superblock */
	directed_write(world, volume, 0);
	directed_hold_superblocks(world);
	snapshot = snap(world, volume);
	write_leaves(world, volume, 0);
	write_leaves(world, volume, BLOCK);
	directed_flush(world, volume);
	checkpoint_start(world->pool);
	directed_run_for(world, 2000);
	life_survive(world);
	volume_bring_up(world, volume);
	if (snapshot->state != PRESENT)
		sim_fail(world, "a snapshot that was reported is gone");
	all_is_well_to_the_end(world);
}

/* ---- many ---- */

#define MANY 1000u

static void
a_thousand_snapshots(struct world *world)
{
	struct sim_volume *volume = directed_begin(world), *s;

	begin_write(world, volume, 0, CHUNK);
	wait(world);
	for (unsigned i = 0; i < MANY; i++) {
		begin_write(world, volume, below(world, 16) * BLOCK, BLOCK);
		snap(world, volume);
	}
	wait(world);
	all_is_well(world);
	for (s = world->snapshots; s != NULL; s = s->next)
		if (chance(world, 500))
			drop(world, s);
	wait_for_jobs(world);
	all_is_well_to_the_end(world);
}

/* ---- rollback ---- */

static void
what_a_rollback_kept_is_deleted(struct world *world)
{
	struct sim_volume *volume = directed_begin(world), *first, *keep;

	write_leaves(world, volume, 0);
	wait(world);
	first = snap(world, volume);
	write_leaves(world, volume, 0);
	write_leaves(world, volume, BLOCK);
	wait(world);
	keep = roll(world, volume, first);
	compare(world, volume, first, NULL);
	compare(world, keep, first, NULL);
	directed_write(world, volume, 0);
	drop(world, keep);
	wait_for_jobs(world);
	all_is_well(world);
	keep = roll(world, volume, first);
	drop(world, first);
	drop(world, keep);
	wait_for_jobs(world);
	all_is_well_to_the_end(world);
}

/* ---- orders ---- */

#define CHAIN     4u
#define DELETABLE (CHAIN + 3)

/* Four snapshots, the volume, a clone of the second and one of the third. */
static void
chain_make(struct world *world, struct sim_volume *versions[DELETABLE])
{
	struct sim_volume *volume = directed_volume(world);

	for (unsigned i = 0; i < CHAIN; i++) {
		begin_write(world, volume, i * BLOCK, 3 * BLOCK);
		begin_write(world, volume, (i + 1) * CHUNK, CHUNK);
		begin_write(world, volume, LEAF_BYTES + i * BLOCK, 2 * BLOCK);
		versions[i] = snap(world, volume);
		wait(world);
	}
	begin_write(world, volume, 2 * BLOCK, 4 * BLOCK);
	versions[CHAIN] = volume;
	for (unsigned i = 1; i < 3; i++) {
		struct sim_volume *c = clone(world, versions[i]);
		volume_bring_up(world, c);
		begin_write(world, c, 0, 2 * BLOCK);
		begin_write(world, c, 2 * CHUNK, CHUNK);
		begin_write(world, c, LEAF_BYTES + CHUNK, BLOCK);
		wait(world);
		versions[CHAIN + i] = c;
	}
}

static void
shuffle(struct world *world, struct sim_volume *versions[], unsigned count)
{
	for (unsigned i = count; i > 1; i--) {
		unsigned k = (unsigned)below(world, i);
		struct sim_volume *v = versions[k];
		versions[k] = versions[i - 1];
		versions[i - 1] = v;
	}
}

static void
pool_is_empty(struct world *world, uint64_t free_at_start)
{
	struct pool_stat stat;

	control_checkpoint(world);
	wait(world);
	pool_stat_get(world->pool, &stat);
	if (stat.allocated != 0 || stat.free < free_at_start)
		sim_fail(world,
		    "%" PRIu64 " bytes allocated, %" PRIu64
		    " free, at the start %" PRIu64,
		    stat.allocated, stat.free, free_at_start);
}

static void
any_order_of_deletion(struct world *world)
{
	struct sim_volume *versions[DELETABLE];
	struct pool_stat stat;

	if (!world_create(world))
		sim_fail(world, "power failed though nobody cut it");
	pool_stat_get(world->pool, &stat);
	for (unsigned round = 0; round < 60; round++) {
		chain_make(world, versions);
		shuffle(world, versions, DELETABLE);
		for (unsigned i = 0; i < DELETABLE; i++) {
			if (versions[i]->state == ABSENT)
				continue; /* went with the volume */
			if (versions[i]->is_snapshot)
				drop(world, versions[i]);
			else
				control_delete(world, versions[i]);
			wait(world);
			if (chance(world, 300))
				wait_for_jobs(world);
			if (chance(world, 30))
				all_is_well(world);
		}
		wait_for_jobs(world);
		pool_is_empty(world, stat.free);
	}
	all_is_well(world);
}

/* ---- sizes ---- */

/* What a shrink cuts off in the middle of a unit reads as zeros when the volume
 * grows again. */
static void
a_unit_cut_in_two(struct world *world)
{
	struct sim_volume *volume = directed_begin(world);

	begin_write(world, volume, 0, CHUNK);
	begin_write(world, volume, 5 * CHUNK, CHUNK);
	wait(world);
	snap(world, volume);
	begin_write(world, volume, 5 * CHUNK + BLOCK, BLOCK);
	wait(world);
	control_resize(world, volume, 5 * CHUNK + 6 * BLOCK);
	wait(world);
	all_is_well(world);
	begin_write(world, volume, 5 * CHUNK + 5 * BLOCK, BLOCK);
	wait(world);
	control_resize(world, volume, 8 * CHUNK);
	wait(world);
	all_is_well_to_the_end(world);
}

/* ---- figures ---- */

static uint64_t
allocated(struct world *world)
{
	struct pool_stat stat;

	pool_stat_get(world->pool, &stat);
	return stat.allocated;
}

static void
exclusive_check(struct world *world, struct sim_volume *version)
{
	uint64_t before = allocated(world), after;
	struct family_stat stat;

	family_stat_get(version->volume, &stat);
	if (version->is_snapshot)
		drop(world, version);
	else
		control_delete(world, version);
	wait(world);
	wait_for_jobs(world);
	after = allocated(world);
	if (before - after != stat.exclusive)
		sim_fail(world,
		    "%s: %" PRIu64 " bytes exclusive, %" PRIu64 " freed",
		    version->name, stat.exclusive, before - after);
}

/* What is said to be freed if a snapshot alone went is freed when it goes. */
static void
exclusive_is_what_gets_free(struct world *world)
{
	struct sim_volume *versions[DELETABLE];

	if (!world_create(world))
		sim_fail(world, "power failed though nobody cut it");
	for (unsigned i = 0; i < DELETABLE; i++) {
		chain_make(world, versions);
		if (versions[i] != versions[CHAIN]) /* has snapshots */
			exclusive_check(world, versions[i]);
		world_empty(world);
	}
	chain_make(world, versions);
	for (unsigned i = 0; i < CHAIN; i++) /* the oldest first */
		exclusive_check(world, versions[i]);
}

/* ---- pinned ---- */

/* Pages are taken in the order of their addresses: so many checkpoints go round
 * all that are idle, and would come to those of the pinned one. */
static void
what_is_pinned_stays(struct world *world)
{
	struct sim_volume *volume = directed_begin(world);

	write_leaves(world, volume, 0);
	wait(world);
	snap(world, volume);
	start_check_online(world);
	wait(world);
	for (unsigned i = 0; i < 400; i++) {
		directed_write(world, volume, (uint64_t)i * 2 * BLOCK);
		control_checkpoint(world);
		wait(world);
	}
	online_go_on(world);
	world_arm(world, 0);
	all_is_well_to_the_end(world);
}

/* clang-format off */
const struct directed directed_family_tests[] = {
    {"frozen", a_snapshot_does_not_change, 0},
    {"frozen-16k", a_snapshot_does_not_change, 16384},
    {"frozen-64k", a_snapshot_does_not_change, 65536},
    {"cursor", the_cursor_decides, 0},
    {"cursor-16k", the_cursor_decides, 16384},
    {"cursor-64k", the_cursor_decides, 65536},
    {"cursor-and-cut", the_cursor_decides_after_a_cut, 0},
    {"mark-overwrites", a_mark_sees_overwrites, 0},
    {"mark-overwrites-64k", a_mark_sees_overwrites, 65536},
    {"mark-pages", a_mark_sees_old_pages, 0},
    {"mark-holes", a_mark_sees_holes, 0},
    {"mark-holes-16k", a_mark_sees_holes, 16384},
    {"mark-holes-64k", a_mark_sees_holes, 65536},
    {"mark-unused", a_mark_sees_what_was_unused, 0},
    {"mark-branch", a_mark_of_another_branch, 0},
    {"cut-waits", a_cut_waits_for_writes, 0},
    {"part-waits", a_part_waits_for_writes, 0},
    {"part-waits-16k", a_part_waits_for_writes, 16384},
    {"part-waits-64k", a_part_waits_for_writes, 65536},
    {"allocation-over-cut", an_allocation_over_the_cut_stays, 0},
    {"allocation-over-cut-16k", an_allocation_over_the_cut_stays, 16384},
    {"allocation-over-cut-64k", an_allocation_over_the_cut_stays, 65536},
    {"allocation-over-cut-crash", an_allocation_over_the_cut_and_a_crash, 0},
    {"allocation-marked", an_allocation_over_the_cut_is_marked, 0},
    {"snapshot-in-checkpoint", a_snapshot_during_a_checkpoint, 0},
    {"cut-before-checkpoint", a_cut_before_the_checkpoint, 0},
    {"thousand", a_thousand_snapshots, 0},
    {"rollback-kept", what_a_rollback_kept_is_deleted, 0},
    {"orders", any_order_of_deletion, 0},
    {"orders-16k", any_order_of_deletion, 16384},
    {"orders-64k", any_order_of_deletion, 65536},
    {"unit-cut", a_unit_cut_in_two, 0},
    {"unit-cut-16k", a_unit_cut_in_two, 16384},
    {"unit-cut-64k", a_unit_cut_in_two, 65536},
    {"exclusive", exclusive_is_what_gets_free, 0},
    {"exclusive-16k", exclusive_is_what_gets_free, 16384},
    {"exclusive-64k", exclusive_is_what_gets_free, 65536},
    {"pinned", what_is_pinned_stays, 0},
    {NULL, NULL, 0},
};
/* clang-format on */
