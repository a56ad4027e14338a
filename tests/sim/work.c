/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hosts: many I/Os in flight on several volumes, each one known to the
 * oracle of its volume before it is submitted and checked when it completes.
 */
#include "tests/sim/sim.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK       4096u
#define LEAF_BYTES  (243 * 64 * KiB) /* what one leaf of the map covers */
#define PLACE_BYTES (256 * KiB)
#define STUCK_STEPS 400000u

/* ---- results ---- */

static bool
is_write(enum bs_op op)
{
	return op == BS_WRITE || op == BS_ZERO;
}

/* UNMAP gives space back; but zeros for a part of what is shared go elsewhere.
 */
static bool
needs_space(const struct slot *slot)
{
	const struct bs_io *io = &slot->io;
	uint64_t unit = slot->volume->cow_unit;

	if (io->op == BS_WRITE)
		return true;
	if (io->op != BS_ZERO)
		return false;
	/* a snapshot that is not done yet may have it already */
	if (slot->volume->parent == NULL &&
	    slot->volume->cut_called <= slot->volume->cut_done)
		return false;
	return !io->may_unmap || io->offset % unit != 0 ||
	       io->length % unit != 0;
}

/* A write that needed no space when it was submitted, and whose blocks nobody
 * has unmapped since, is never refused for want of it (I13). */
static void
check_full(struct world *world, const struct slot *slot)
{
	world->tally->full++;
	if (world->scenario->fault == FAULT_HOST_FULL)
		return;
	if (!world->scenario->may_fill || !needs_space(slot))
		sim_fail(world,
		    "out of space: op %d, %" PRIu64 " bytes at %" PRIu64
		    " of volume %" PRIu64,
		    (int)slot->io.op, slot->io.length, slot->io.offset,
		    slot->volume->serial);
	reserve_check(world, slot);
	if (slot->mapped && slot->volume->last_unmap < slot->submitted &&
	    slot->volume->cut_called < slot->submitted)
		sim_fail(world,
		    "no space to overwrite %" PRIu64 " bytes at %" PRIu64
		    " of volume %" PRIu64,
		    slot->io.length, slot->io.offset, slot->volume->serial);
}

static void
check_error(struct world *world, const struct slot *slot, int result)
{
	struct pool_stat stat;

	if (result == -ENOSPC) {
		check_full(world, slot);
		return;
	}
	world->tally->errors++;
	if (world->scenario->fault == FAULT_NONE)
		sim_fail(world, "I/O (op %d, %" PRIu64 " at %" PRIu64 "): %s",
		    (int)slot->io.op, slot->io.length, slot->io.offset,
		    strerror(-result));
	pool_stat_get(world->pool, &stat);
	if (stat.state != POOL_ONLINE)
		world->in_trouble = true;
}

static void
check_read(struct world *world, const struct slot *slot)
{
	char text[400];

	if (!oracle_check_read(slot->volume->oracle, slot->io.offset,
		slot->io.length, slot->buf, slot->submitted, text,
		sizeof(text)))
		sim_fail(world, "read of %s: %s", slot->volume->name, text);
}

static void
check_extents(struct world *world, const struct slot *slot)
{
	for (unsigned i = 0; i < slot->io.extent_count; i++) {
		const struct bs_extent *e = &slot->extents[i];
		if (e->kind != BS_EXTENT_HOLE)
			continue;
		if (!oracle_may_be_hole(slot->volume->oracle, e->offset,
			e->length, slot->submitted))
			sim_fail(world,
			    "volume %" PRIu64 ": %" PRIu64 " bytes at %" PRIu64
			    " are said to be a hole",
			    slot->volume->serial, e->length, e->offset);
	}
}

static void
check_success(struct world *world, const struct slot *slot)
{
	if (slot->io.op == BS_READ)
		check_read(world, slot);
	else if (slot->io.op == BS_EXTENTS)
		check_extents(world, slot);
	else if (slot->io.op == BS_FLUSH)
		oracle_flushed(slot->volume->oracle, slot->submitted);
}

/* With VARVE_SIM_WATCH=VOLUME:OFFSET in the environment: what happens to that
 * byte.  For whoever looks for the cause of a failed seed. */
static void
watch(const struct slot *slot, const char *what, int result)
{
	static const char *const names[BS_OP_COUNT] = {
	    "read", "write", "flush", "zero", "discard", "extents"};
	const char *wanted = getenv("VARVE_SIM_WATCH");
	const struct bs_io *io = &slot->io;
	unsigned long long serial, offset;

	if (wanted == NULL ||
	    sscanf(wanted, "%llu:%llu", &serial, &offset) != 2 ||
	    serial != slot->volume->serial)
		return;
	if (io->op != BS_FLUSH &&
	    (offset < io->offset || offset >= io->offset + io->length))
		return;
	printf("  %" PRIu64 ": %s %s%s%s of %" PRIu64 " at %" PRIu64
	       " (from %" PRIu64 "), stamp %" PRIu64 ", result %d\n",
	    slot->world->clock, what, names[io->op], io->fua ? " fua" : "",
	    io->may_unmap ? " unmap" : "", io->length, io->offset,
	    slot->submitted, slot->change == NULL ? 0 : slot->change->stamp,
	    result);
}

static void
slot_complete(struct bs_io *io, int result)
{
	struct slot *slot = container_of(io, struct slot, io);
	struct world *world = slot->world;

	world->clock++;
	watch(slot, "end of", result);
	world->progress++;
	if (slot->change != NULL)
		oracle_finish(slot->volume->oracle, slot->change, world->clock,
		    result < 0, io->fua);
	if (result < 0)
		check_error(world, slot, result);
	else
		check_success(world, slot);
	slot->volume->in_flight--;
	slot->volume = NULL;
	world->in_flight--;
}

/* ---- submitting ---- */

static struct slot *
slot_take(struct world *world)
{
	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		struct slot *slot = &world->slot[i];
		if (slot->volume != NULL)
			continue;
		if (slot->buf == NULL)
			slot->buf = aligned_alloc(BLOCK, IO_BYTES_MAX);
		assert(slot->buf != NULL);
		bs_io_init(&slot->io);
		slot->world = world;
		slot->change = NULL;
		slot->io.complete = slot_complete;
		return slot;
	}
	return NULL;
}

/* One element, or several that meet at any multiple of the alignment. */
static void
slot_iov(struct slot *slot)
{
	struct bs_io *io = &slot->io;
	uint64_t align = slot->volume->bs->mem_align, from = 0;
	unsigned i = 0;

	if (align < SECTOR_BYTES)
		align = SECTOR_BYTES;
	while (i + 1 < ARRAY_SIZE(slot->iov) && from + align < io->length &&
	       chance(slot->world, 400)) {
		uint64_t units = (io->length - from) / align;
		uint64_t length = align * (1 + below(slot->world, units));
		if (length >= io->length - from)
			break;
		slot->iov[i++] = (struct iovec){slot->buf + from, length};
		from += length;
	}
	slot->iov[i++] = (struct iovec){slot->buf + from, io->length - from};
	io->iov = slot->iov;
	io->iov_count = i;
}

uint64_t
work_oldest_read(const struct world *world)
{
	uint64_t oldest = NEVER;

	for (unsigned i = 0; i < SLOTS_MAX; i++) {
		const struct slot *slot = &world->slot[i];
		if (slot->volume == NULL || slot->submitted >= oldest)
			continue;
		if (slot->io.op == BS_READ || slot->io.op == BS_EXTENTS)
			oldest = slot->submitted;
	}
	/* a snapshot is a kind of read */
	if (world->control != CONTROL_COUNT && world->control_started < oldest)
		oldest = world->control_started;
	return oldest;
}

static void
slot_prepare_write(struct slot *slot)
{
	struct world *world = slot->world;
	struct sim_volume *volume = slot->volume;
	struct bs_io *io = &slot->io;
	uint64_t stamp = io->op == BS_ZERO ? 0 : ++world->stamp;

	/* while a cut is under way nobody knows what is shared; an atomic
	 * write always goes to other blocks */
	slot->mapped = io->op == BS_WRITE && world->scenario->may_fill &&
		       !io->atomic && volume->cut_called <= volume->cut_done &&
		       oracle_is_mapped(volume->oracle, io->offset, io->length,
			   volume->cut_done);
	slot->change = oracle_submit(volume->oracle, io->offset, io->length,
	    stamp, world->clock, work_oldest_read(world));
	if (io->atomic)
		oracle_atomic(slot->change);
	if (io->op == BS_ZERO)
		volume->last_unmap = world->clock;
	else
		oracle_fill(
		    volume->oracle, io->offset, io->length, stamp, slot->buf);
}

static struct slot *
slot_begin(struct world *world, struct sim_volume *volume, enum bs_op op,
    uint64_t offset, uint64_t length)
{
	struct slot *slot = slot_take(world);

	assert(slot != NULL);
	slot->volume = volume;
	slot->submitted = ++world->clock;
	slot->io.op = op;
	if (op != BS_FLUSH) {
		slot->io.offset = offset;
		slot->io.length = length;
	}
	return slot;
}

static const struct slot *
slot_submit(struct slot *slot)
{
	struct world *world = slot->world;
	struct bs_io *io = &slot->io;

	if (io->op == BS_EXTENTS) {
		io->extents = slot->extents;
		io->extent_max = ARRAY_SIZE(slot->extents);
	}
	if (io->op == BS_READ || io->op == BS_WRITE) {
		assert(io->length <= IO_BYTES_MAX);
		slot_iov(slot);
	}
	if (is_write(io->op))
		slot_prepare_write(slot);
	else if (io->op == BS_FLUSH)
		world->tally->flushes++;
	world->tally->ios++;
	world->in_flight++;
	slot->volume->in_flight++;
	watch(slot, "begin of", 0);
	bs_submit(slot->volume->bs, io);
	return slot;
}

const struct slot *
work_submit(struct world *world, struct sim_volume *volume, enum bs_op op,
    uint64_t offset, uint64_t length, bool fua, bool may_unmap)
{
	struct slot *slot = slot_begin(world, volume, op, offset, length);

	slot->io.fua = fua;
	slot->io.may_unmap = may_unmap;
	return slot_submit(slot);
}

const struct slot *
work_submit_atomic(struct world *world, struct sim_volume *volume,
    uint64_t offset, uint64_t length, bool fua)
{
	struct slot *slot = slot_begin(world, volume, BS_WRITE, offset, length);

	slot->io.fua = fua;
	slot->io.atomic = true;
	return slot_submit(slot);
}

/* ---- one I/O, waited for ---- */

struct waited_io {
	struct bs_io io; /* first */
	bool done;
	int result;
};

static void
waited_io_complete(struct bs_io *io, int result)
{
	struct waited_io *waited = container_of(io, struct waited_io, io);

	waited->done = true;
	waited->result = result;
}

static bool
waited_io_run(
    struct world *world, struct sim_volume *volume, struct waited_io *waited)
{
	waited->io.complete = waited_io_complete;
	bs_submit(volume->bs, &waited->io);
	if (!world_run_until(world, &waited->done))
		return false;
	if (waited->result < 0)
		sim_fail(world, "volume %" PRIu64 " at %" PRIu64 ": %s",
		    volume->serial, waited->io.offset,
		    strerror(-waited->result));
	return true;
}

bool
work_read(struct world *world, struct sim_volume *volume, uint64_t offset,
    uint64_t length, uint8_t *buf)
{
	struct iovec iov = {buf, length};
	struct waited_io *waited = calloc(1, sizeof(*waited));

	assert(waited != NULL);
	bs_io_init(&waited->io);
	waited->io.op = BS_READ;
	waited->io.offset = offset;
	waited->io.length = length;
	waited->io.iov = &iov;
	waited->io.iov_count = 1;
	bool up = waited_io_run(world, volume, waited);
	free(waited);
	return up;
}

bool
work_read_checked(struct world *world, struct sim_volume *volume,
    uint64_t offset, uint64_t length, uint8_t *buf)
{
	uint64_t now = ++world->clock;
	char text[400];

	volume_bring_up(world, volume);
	if (!work_read(world, volume, offset, length, buf))
		return false;
	if (!oracle_check_read(
		volume->oracle, offset, length, buf, now, text, sizeof(text)))
		sim_fail(world, "read of %s: %s", volume->name, text);
	return true;
}

bool
work_extents(struct world *world, struct sim_volume *volume, uint64_t offset,
    struct bs_extent *extents, unsigned max, unsigned *ret_count)
{
	struct waited_io *waited = calloc(1, sizeof(*waited));

	assert(waited != NULL);
	bs_io_init(&waited->io);
	waited->io.op = BS_EXTENTS;
	waited->io.offset = offset;
	waited->io.length = volume->size - offset;
	waited->io.extents = extents;
	waited->io.extent_max = max;
	bool up = waited_io_run(world, volume, waited);
	*ret_count = waited->io.extent_count;
	free(waited);
	return up;
}

bool
volume_bring_up(struct world *world, struct sim_volume *volume)
{
	assert(volume->state == PRESENT);
	if (volume->bs != NULL)
		return true;
	volume->bs = volume_open(volume->volume);
	if (volume->bs == NULL)
		sim_fail(world, "volume %s does not open", volume->name);
	if (volume->bs->size != volume->size)
		sim_fail(
		    world, "volume %s opens with another size", volume->name);
	return true;
}

/* ---- at random ---- */

/* I/O stays clear of what a shrink is about to cut off. */
static uint64_t
usable_size(const struct sim_volume *volume)
{
	if (volume->new_size != 0 && volume->new_size < volume->size)
		return volume->new_size;
	return volume->bs->size;
}

/* Hosts come back to the same few places, where things happen: the start, the
 * border of two leaves, the middle, the end. */
static uint64_t
pick_place(struct world *world, uint64_t size)
{
	const uint64_t place[] = {0, LEAF_BYTES - PLACE_BYTES / 2,
	    size / 2 / BLOCK * BLOCK, 2 * LEAF_BYTES - PLACE_BYTES / 2,
	    size - PLACE_BYTES};
	uint64_t at;

	if (size <= PLACE_BYTES)
		return 0;
	if (world->scenario->spread)
		return below(world, (size - PLACE_BYTES) / BLOCK + 1) * BLOCK;
	at = place[below(world, ARRAY_SIZE(place))];
	return at <= size - PLACE_BYTES ? at : 0;
}

struct range {
	uint64_t offset, length;
};

/* A range of whole units in one of the places. */
static struct range
pick_range(struct world *world, uint64_t size, uint64_t unit, uint64_t max)
{
	uint64_t base = pick_place(world, size) / unit * unit;
	uint64_t span = size - base;

	if (span > PLACE_BYTES)
		span = PLACE_BYTES;
	uint64_t units = span / unit;
	if (units == 0)
		return (struct range){0, size < unit ? size : unit};
	uint64_t length = 1 + below(world, max / unit);
	if (length > units)
		length = units;
	return (struct range){
	    base + unit * below(world, units - length + 1), length * unit};
}

static struct range
pick_sub(struct world *world, const struct sim_volume *volume, uint64_t size)
{
	uint64_t unit = volume->bs->block_size;

	if (unit == BLOCK || chance(world, 300))
		return pick_range(world, size, unit, 4 * BLOCK);
	/* inside one block */
	struct range range = pick_range(world, size, BLOCK, BLOCK);
	uint64_t sectors = BLOCK / unit, first = below(world, sectors);
	return (struct range){range.offset + first * unit,
	    unit * (1 + below(world, sectors - first))};
}

static void
work_write(struct world *world, struct sim_volume *volume, struct range range)
{
	bool fua = below(world, 100) < world->scenario->fua_percent;

	work_submit(
	    world, volume, BS_WRITE, range.offset, range.length, fua, false);
}

static void
work_atomic(struct world *world, struct sim_volume *volume)
{
	struct range range = pick_range(
	    world, usable_size(volume), volume->bs->atomic_unit, IO_BYTES_MAX);

	if (range.length % volume->bs->atomic_unit != 0)
		return; /* a volume smaller than its unit */
	work_submit_atomic(world, volume, range.offset, range.length,
	    below(world, 100) < world->scenario->fua_percent);
}

#define WIDE_BYTES (40 * MiB)

static struct range
wide_range(struct world *world, uint64_t size)
{
	uint64_t length = size < WIDE_BYTES ? size : WIDE_BYTES;
	uint64_t offset = below(world, size - length + 1) / BLOCK * BLOCK;

	return (struct range){offset, length - below(world, 4) * BLOCK};
}

static void
work_zero(struct world *world, struct sim_volume *volume, bool may_unmap)
{
	uint64_t size = usable_size(volume);
	uint64_t unit = chance(world, 300) ? volume->bs->block_size : BLOCK;
	struct range range = pick_range(world, size, unit, PLACE_BYTES);

	if (may_unmap && chance(world, 50)) /* leaves at once */
		range = wide_range(world, size);
	if (range.length == 0 || range.length > size)
		return;
	work_submit(world, volume, BS_ZERO, range.offset, range.length,
	    below(world, 100) < world->scenario->fua_percent, may_unmap);
}

static void
work_one(struct world *world, struct sim_volume *volume, enum work work)
{
	uint64_t size = usable_size(volume);
	struct range range = pick_range(world, size, BLOCK, IO_BYTES_MAX);

	switch (work) {
	case WORK_BLOCK:
		work_write(
		    world, volume, pick_range(world, size, BLOCK, BLOCK));
		break;
	case WORK_SUB:
		work_write(world, volume, pick_sub(world, volume, size));
		break;
	case WORK_CHUNK:
		work_write(
		    world, volume, pick_range(world, size, 64 * KiB, 64 * KiB));
		break;
	case WORK_LONG: work_write(world, volume, range); break;
	case WORK_UNMAP: work_zero(world, volume, true); break;
	case WORK_ZERO: work_zero(world, volume, false); break;
	case WORK_FLUSH:
		work_submit(world, volume, BS_FLUSH, 0, 0, false, false);
		break;
	case WORK_READ:
		if (chance(world, 400))
			range = pick_sub(world, volume, size);
		work_submit(world, volume, BS_READ, range.offset, range.length,
		    false, false);
		break;
	case WORK_EXTENTS:
		if (chance(world, 400))
			range = pick_sub(world, volume, size);
		work_submit(world, volume, BS_EXTENTS, range.offset,
		    size - range.offset, false, false);
		break;
	case WORK_ATOMIC: work_atomic(world, volume); break;
	case WORK_COUNT: break;
	}
}

static enum work
draw_work(struct world *world)
{
	const unsigned *weight = world->scenario->work;
	unsigned total = 0, i = 0;

	for (unsigned k = 0; k < WORK_COUNT; k++)
		total += weight[k];
	uint64_t drawn = below(world, total);
	while (drawn >= weight[i])
		drawn -= weight[i++];
	return (enum work)i;
}

static struct sim_volume *
draw_version(struct world *world, bool snapshot)
{
	struct sim_volume *v = NULL, *choice = NULL;
	unsigned seen = 0;

	while ((v = version_next(world, v)) != NULL) {
		if (v->state != PRESENT || v->quiet || v->ballast ||
		    v->is_snapshot != snapshot)
			continue;
		if (below(world, ++seen) == 0)
			choice = v;
	}
	return choice;
}

/* Snapshots are read only. */
static void
work_maybe_look(struct world *world)
{
	struct sim_volume *snapshot;

	if (world->snapshots == NULL || !chance(world, 100))
		return;
	snapshot = draw_version(world, true);
	if (snapshot == NULL)
		return;
	volume_bring_up(world, snapshot);
	work_one(
	    world, snapshot, chance(world, 850) ? WORK_READ : WORK_EXTENTS);
}

static void
work_maybe_submit(struct world *world)
{
	struct sim_volume *volume;

	if (world->in_flight >= world->scenario->depth || chance(world, 400))
		return;
	work_maybe_look(world);
	volume = draw_version(world, false);
	if (volume == NULL || world->in_flight >= world->scenario->depth)
		return;
	volume_bring_up(world, volume);
	work_one(world, volume, draw_work(world));
}

/* ---- faults ---- */

static void
fault_add(struct world *world, struct disk *disk)
{
	static const enum bs_op ops[] = {BS_READ, BS_WRITE, BS_WRITE, BS_FLUSH};
	bool host_full = world->scenario->fault == FAULT_HOST_FULL;
	struct bs_error_rule rule = {
	    .op = host_full ? BS_WRITE : ops[below(world, ARRAY_SIZE(ops))],
	    .skip = (unsigned)below(world, 20),
	    .count = 1 + (unsigned)below(world, 3),
	    .error = host_full ? -ENOSPC : -EIO,
	};
	bs_error_add(disk->error, &rule);
}

static void
work_maybe_fault(struct world *world)
{
	if (world->scenario->fault == FAULT_NONE || !chance(world, 3))
		return;
	fault_add(world, &world->disk[below(world, world->disks)]);
}

static void
faults_clear(struct world *world)
{
	for (unsigned i = 0; i < world->disks; i++)
		if (world->disk[i].error != NULL)
			bs_error_clear(world->disk[i].error);
}

/* ---- rounds ---- */

static bool
world_is_busy(const struct world *world)
{
	return world->in_flight > 0 || world->control != CONTROL_COUNT;
}

bool
work_drain(struct world *world)
{
	uint64_t progress = world->progress;
	unsigned steps = 0;

	world->draining = true;
	while (world_is_busy(world)) {
		if (world->power_failed)
			return false;
		control_step(world);
		if (!world_is_busy(world))
			break;
		if (!world_step(world) && !world->power_failed)
			sim_fail(
			    world, "%u I/Os never completed", world->in_flight);
		if (world->progress != progress)
			steps = 0;
		progress = world->progress;
		if (++steps == STUCK_STEPS)
			sim_fail(world, "%u I/Os are stuck", world->in_flight);
	}
	world->draining = false;
	return !world->power_failed;
}

/* In a suspect pool nothing more can be promised: power goes. */
static bool
round_is_over(struct world *world)
{
	return world->power_failed || world->in_trouble;
}

void
work_step(struct world *world)
{
	world->tally->steps++;
	work_maybe_fault(world);
	if (!world->reopen_wanted)
		work_maybe_submit(world);
	if (world->scenario->ordered)
		order_step(world);
	if (world->power_failed) /* while it read */
		return;
	control_step(world);
	if (!world_step(world) && world_is_busy(world) && !world->power_failed)
		sim_fail(world, "a completion was lost");
}

void
work_round(struct world *world, unsigned steps)
{
	if (world->scenario->background > 0)
		pool_set_background(world->pool, world->scenario->background);
	for (unsigned i = 0; i < steps && !round_is_over(world); i++) {
		work_step(world);
		if (!world->power_failed)
			online_go_on(world);
		if (world->power_failed)
			return;
		if (!world->reopen_wanted || world_is_busy(world))
			continue;
		world->reopen_wanted = false;
		faults_clear(world);
		world_reopen(world);
	}
}
