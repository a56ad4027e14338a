/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mirrors of metadata: see mirror.h.
 */
#include "snapshot/mirror.h"
#include "snapshot/engine.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- where ---- */

struct device *
mirror_locate_address(struct pool *pool, uint64_t address, uint64_t *ret_offset)
{
	struct space *space = &pool->space;
	const struct region *region =
	    &space->regions[address >> space->region_shift];
	uint64_t block = address & (space->region_blocks - 1);

	if (region->mirror == NO_REGION || !region_may_have_mirror(region) ||
	    region->mirror_state != MIRROR_WHOLE)
		return NULL;
	region = &space->regions[region->mirror];
	*ret_offset = region->offset + (block << FMT_BLOCK_SHIFT);
	return &pool->device[region->device];
}

struct device *
mirror_locate(struct pool *pool, struct page *page, uint64_t *ret_offset)
{
	uint64_t address;

	if (!page->tree->physical)
		return mirror_locate_address(pool, page->address, ret_offset);
	/* the region table is not there yet: its pointers say it */
	address = fmt_ptr_mirror(page_pointer(page));
	if (address == 0 || !device_address_exists(pool, address))
		return NULL;
	return device_locate(pool, address, ret_offset);
}

static uint64_t
free_on(const struct pool *pool, unsigned device)
{
	const struct space *space = &pool->space;
	uint64_t count = 0;

	for (uint64_t i = 0; i < space->count; i++)
		if (space->regions[i].class == FMT_REGION_FREE &&
		    space->regions[i].device == device)
			count++;
	return count;
}

/* Another device with room; the one that has most. */
static unsigned
mirror_device(struct pool *pool, uint64_t region)
{
	unsigned own = pool->space.regions[region].device, best = own;
	uint64_t most = 0;

	for (unsigned i = 0; i < pool->device_count; i++) {
		uint64_t count = i == own ? 0 : free_on(pool, i);
		if (count <= most)
			continue;
		most = count;
		best = i;
	}
	return best;
}

uint32_t
mirror_pick(struct pool *pool, uint64_t number)
{
	struct space *space = &pool->space;
	unsigned device = mirror_device(pool, number);
	uint64_t own = space->regions[number].offset, far = 0;
	uint32_t best = NO_REGION;

	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		uint64_t distance = region->offset > own ? region->offset - own
							 : own - region->offset;
		if (region->class != FMT_REGION_FREE || i == number ||
		    region->device != device || distance < far)
			continue;
		far = distance;
		best = (uint32_t)i;
	}
	return best;
}

/* ---- trouble ---- */

static void
mirror_trouble(
    struct pool *pool, uint64_t number, const struct device *device, int error)
{
	pool->counters.mirror_errors++;
	pool_trouble(pool,
	    "%s: writing metadata failed (%s): region %" PRIu64
	    " has no second copy until it is filled anew",
	    device->bs->name, strerror(-error), number);
	checkpoint_again(pool);
}

/* Where the region moves.  From the exchange on this may be what the durable
 * table names, so there must be another copy. */
static bool
twin_failed(struct pool *pool, struct region *region, int error)
{
	return move_twin_failed(pool, pool->move.region, error) == 0 ||
	       (region->mirror != NO_REGION &&
		   region->mirror_state == MIRROR_WHOLE);
}

static bool
mirror_is_there(const struct pool *pool, const struct region *region,
    const struct device *device, uint64_t base)
{
	if (region->mirror == NO_REGION)
		return false;
	region = &pool->space.regions[region->mirror];
	return &pool->device[region->device] == device &&
	       region->offset == base;
}

/* A write to the copy of a region that lies there failed.  True: the other one
 * has it all. */
static bool
copy_failed(struct pool *pool, uint64_t number, struct device *device,
    uint64_t base, int error)
{
	struct space *space = &pool->space;
	struct region *region = &space->regions[number];
	bool first =
	    &pool->device[region->device] == device && region->offset == base;

	if (move_is_twin(pool, number, (unsigned)(device - pool->device), base))
		return twin_failed(pool, region, error);
	if (!first && !mirror_is_there(pool, region, device, base))
		return true; /* it moved away */
	if (region->mirror == NO_REGION)
		return false;
	if (region->mirror_state == MIRROR_BAD)
		return !first;
	if (first && region->mirror_state != MIRROR_WHOLE)
		return false;
	if (first)
		region_places_exchange(pool, number, region->mirror);
	if (pool->move.region == number || pool->move.region == region->mirror)
		move_leave(pool);
	region->mirror_state = MIRROR_BAD;
	regions_touch(pool);
	region_store(pool, number);
	region_store(pool, region->mirror);
	mirror_trouble(pool, number, device, error);
	return true;
}

static bool
region_is_on(
    const struct pool *pool, const struct region *region, unsigned device)
{
	return region->device == device ||
	       (region->mirror != NO_REGION &&
		   pool->space.regions[region->mirror].device == device);
}

/* Are all first copies elsewhere, or whole there? */
static bool
device_is_dispensable(const struct pool *pool, unsigned device)
{
	const struct space *space = &pool->space;

	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		if (!region_may_have_mirror(region) || region->device != device)
			continue;
		if (region->mirror == NO_REGION ||
		    region->mirror_state != MIRROR_WHOLE ||
		    space->regions[region->mirror].device == device)
			return false;
	}
	return true;
}

/* The one region that moves may have been written there, too. */
static bool
move_survives(struct pool *pool, struct device *device, int error)
{
	struct space *space = &pool->space;
	const struct region *region, *twin;
	uint32_t number = pool->move.region;

	if (number == NO_REGION)
		return true;
	region = &space->regions[number];
	twin = &space->regions[pool->move.target];
	if (&pool->device[twin->device] != device)
		return true;
	if (region->class == FMT_REGION_MIRROR)
		number = region->mirror;
	return copy_failed(pool, number, device, twin->offset, error);
}

bool
mirror_survives_flush(struct pool *pool, struct device *device, int error)
{
	struct space *space = &pool->space;
	unsigned index = (unsigned)(device - pool->device);

	if (device->data_seq > device->flushed_seq || pool->read_only ||
	    pool->state != POOL_ONLINE || space->regions == NULL ||
	    !device_is_dispensable(pool, index))
		return false;
	if (!move_survives(pool, device, error))
		return false;
	for (uint64_t i = 0; i < space->count; i++) {
		struct region *region = &space->regions[i];
		if (!region_may_have_mirror(region) ||
		    !region_is_on(pool, region, index) ||
		    region->mirror == NO_REGION)
			continue;
		if (region->device == index)
			copy_failed(pool, i, device, region->offset, error);
		else
			copy_failed(pool, i, device,
			    space->regions[region->mirror].offset, error);
	}
	return true;
}

/* ---- writing ---- */

/* 0: all copies that count have it. */
static int
write_outcome(struct mirror_write *write)
{
	int error = 0;
	unsigned good = 0;

	for (unsigned n = 0; n < write->copies; n++) {
		int result = write->io[n].result;
		good += result == 0;
		if (error == 0)
			error = result;
	}
	for (unsigned n = 0; n < write->copies; n++)
		if (write->io[n].result < 0 &&
		    (good == 0 || !copy_failed(write->pool, write->region,
				      write->device[n], write->base[n],
				      write->io[n].result)))
			return error;
	return 0;
}

static void
write_complete(struct bs_io *io, int result)
{
	struct mirror_write *write = io->priv;
	unsigned copy = (unsigned)(io - write->io);

	if (result == 0 && !io->fua)
		write->device[copy]->written_seq++;
	assert(write->pending > 0);
	if (--write->pending > 0)
		return;
	result = write_outcome(write);
	barrier_leave(&write->pool->places, write->place);
	write->done(write, result);
}

static void
copy_prepare(struct mirror_write *write, unsigned copy, uint64_t offset,
    const struct iovec *iov, unsigned iov_count, uint64_t length, bool fua)
{
	struct bs_io *io = &write->io[copy];

	bs_io_init(io);
	io->op = BS_WRITE;
	io->fua = fua;
	io->offset = offset;
	io->length = length;
	io->iov = iov;
	io->iov_count = iov_count;
	io->complete = write_complete;
	io->priv = write;
}

static void
copy_add(struct mirror_write *write, uint32_t number)
{
	const struct region *region = &write->pool->space.regions[number];
	unsigned n = write->copies++;

	assert(n < MIRROR_COPIES);
	write->device[n] = &write->pool->device[region->device];
	write->base[n] = region->offset;
}

/* The region, its mirror if that is written, and where one of them moves. */
static void
copies_find(struct mirror_write *write, uint32_t number)
{
	struct pool *pool = write->pool;
	const struct region *region = &pool->space.regions[number];
	uint32_t twin = move_twin(pool, number);

	copy_add(write, number);
	if (region->mirror != NO_REGION && region->mirror_state != MIRROR_BAD) {
		copy_add(write, region->mirror);
		if (twin == NO_REGION)
			twin = move_twin(pool, region->mirror);
	}
	if (twin != NO_REGION)
		copy_add(write, twin);
}

void
mirror_write(struct mirror_write *write, struct pool *pool, uint64_t address,
    const struct iovec *iov, unsigned iov_count, uint64_t length, bool fua)
{
	struct space *space = &pool->space;
	uint64_t number = address >> space->region_shift;
	uint64_t within = (address & (space->region_blocks - 1)) * FMT_BLOCK;

	assert(write->pending == 0);
	assert(within + length <= (uint64_t)space->region_blocks * FMT_BLOCK);
	write->pool = pool;
	write->region = number;
	write->copies = 0;
	copies_find(write, (uint32_t)number);
	for (unsigned n = 0; n < write->copies; n++)
		copy_prepare(write, n, write->base[n] + within, iov, iov_count,
		    length, fua);
	write->pending = write->copies;
	write->place = barrier_enter(&pool->places);
	for (unsigned n = 0; n < write->copies; n++)
		bs_submit(write->device[n]->bs, &write->io[n]);
}

/* ---- what keeps checkpoints out ---- */

bool
meta_hold_try(struct pool *pool)
{
	if (pool->checkpoint.state > CKPT_PREPARE)
		return false;
	pool->meta_holds++;
	return true;
}

void
meta_hold_drop(struct pool *pool)
{
	assert(pool->meta_holds > 0);
	if (--pool->meta_holds == 0)
		checkpoint_unheld(pool);
}

/* ---- mending ---- */

struct mend {
	struct pool *pool;
	unsigned place; /* its side in pool->places */
	struct bs_io io;
	struct iovec iov;
	uint8_t *data;
};

static void
mend_free(struct mend *mend)
{
	if (mend != NULL)
		free(mend->data);
	free(mend);
}

/* Failed: then it stays as bad as it was, and the next who reads it sees. */
static void
mend_complete(struct bs_io *io, int result)
{
	struct mend *mend = container_of(io, struct mend, io);
	struct pool *pool = mend->pool;

	if (result == 0)
		pool->counters.mends++;
	pool->mends--;
	barrier_leave(&pool->places, mend->place);
	mend_free(mend);
	checkpoint_unheld(pool);
}

void
mirror_mend(
    struct pool *pool, struct device *device, uint64_t offset, const void *data)
{
	struct mend *mend;

	pool->counters.mirror_reads++;
	if (!pool->may_mend || pool->state != POOL_ONLINE || device->missing)
		return;
	mend = calloc(1, sizeof(*mend));
	if (mend != NULL)
		mend->data = aligned_alloc(FMT_BLOCK, FMT_BLOCK);
	if (mend == NULL || mend->data == NULL) {
		mend_free(mend);
		return;
	}
	memcpy(mend->data, data, FMT_BLOCK);
	mend->pool = pool;
	mend->iov = (struct iovec){mend->data, FMT_BLOCK};
	bs_io_init(&mend->io);
	mend->io.op = BS_WRITE;
	mend->io.fua = true;
	mend->io.offset = offset;
	mend->io.length = FMT_BLOCK;
	mend->io.iov = &mend->iov;
	mend->io.iov_count = 1;
	mend->io.complete = mend_complete;
	pool->mends++;
	mend->place = barrier_enter(&pool->places);
	bs_submit(device->bs, &mend->io);
}
