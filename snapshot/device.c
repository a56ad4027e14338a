/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From pool addresses to devices, and groups of device I/Os with one end.
 */
#include "snapshot/engine.h"
#include <stdlib.h>

struct device *
pool_locate(struct pool *pool, uint64_t address, uint64_t *ret_offset,
    uint64_t *ret_run)
{
	struct space *space = &pool->space;
	uint64_t number = address >> space->region_shift;
	uint64_t block = address & (space->region_blocks - 1);
	const struct region *region = &space->regions[number];

	assert(number < space->count);
	*ret_offset = region->offset + (block << FMT_BLOCK_SHIFT);
	*ret_run = space->region_blocks - block;
	return &pool->device[region->device];
}

struct device *
device_locate(struct pool *pool, uint64_t address, uint64_t *ret_offset)
{
	*ret_offset = address << FMT_BLOCK_SHIFT & (FMT_DEVICE_BYTES_MAX - 1);
	assert(address >> FMT_DEVICE_SHIFT < pool->device_count);
	return &pool->device[address >> FMT_DEVICE_SHIFT];
}

int
batch_init(struct batch *batch, struct pool *pool)
{
	batch->pool = pool;
	batch->one = calloc(BATCH_MAX, sizeof(batch->one[0]));
	return batch->one == NULL ? -ENOMEM : 0;
}

void
batch_free(struct batch *batch)
{
	free(batch->one);
}

void
batch_begin(struct batch *batch, void (*done)(struct batch *batch))
{
	assert(!batch->running);
	batch->running = true;
	batch->count = batch->pending = batch->failed = 0;
	batch->error = 0;
	batch->done = done;
}

static void
batch_end(struct batch *batch)
{
	assert(batch->running);
	batch->running = false;
	batch->done(batch);
}

static void
batch_complete(struct bs_io *io, int result)
{
	struct batch_io *one = container_of(io, struct batch_io, io);
	struct batch *batch = one->batch;

	if (result < 0 && one->flush != NULL &&
	    mirror_survives_flush(batch->pool, one->flush, result))
		result = 0;
	if (result < 0) {
		batch->failed++;
		if (batch->error == 0)
			batch->error = result;
	}
	if (result == 0 && one->flush != NULL &&
	    one->flush->flushed_seq < one->flush_seq)
		one->flush->flushed_seq = one->flush_seq;
	assert(batch->pending > 0);
	if (--batch->pending == 0)
		batch_end(batch);
}

static void
batch_empty(struct loop_task *task)
{
	batch_end(container_of(task, struct batch, task));
}

void
batch_add(struct batch *batch, struct backstore *bs, enum bs_op op,
    uint64_t offset, void *data, uint64_t length, bool fua)
{
	struct batch_io *one = &batch->one[batch->count];
	struct bs_io *io = &one->io;

	assert(batch->count < BATCH_MAX);
	one->batch = batch;
	one->bs = bs;
	one->flush = NULL;
	bs_io_init(io);
	io->op = op;
	io->offset = offset;
	io->length = length;
	io->fua = fua;
	if (data != NULL) {
		one->iov = (struct iovec){data, length};
		io->iov = &one->iov;
		io->iov_count = 1;
	}
	io->complete = batch_complete;
	batch->count++;
}

void
batch_run(struct batch *batch)
{
	batch->pending = batch->count;
	if (batch->count == 0) {
		batch->task.run = batch_empty;
		loop_defer(batch->pool->loop, &batch->task);
		return;
	}
	for (unsigned i = 0; i < batch->count; i++)
		bs_submit(batch->one[i].bs, &batch->one[i].io);
}

void
batch_add_flushes(struct batch *batch)
{
	struct pool *pool = batch->pool;

	for (unsigned i = 0; i < pool->device_count; i++) {
		struct device *device = &pool->device[i];
		struct batch_io *one = &batch->one[batch->count];
		if (!device->bs->volatile_cache ||
		    device->flushed_seq == device->written_seq)
			continue;
		pool->counters.flushes++;
		batch_add(batch, device->bs, BS_FLUSH, 0, NULL, 0, false);
		one->flush = device;
		one->flush_seq = device->written_seq;
	}
}
