/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Requests about pools and volumes.  Creating, renaming and resizing become
 * durable by a checkpoint: rare, atomic, and nothing to replay.
 */
#include "snapshot/engine.h"
#include "snapshot/reserve.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- checkpoint ---- */

static int
checkpoint_run(struct operation *op)
{
	int result = operation_check(op);

	return result < 0 ? result : operation_checkpoint(op, operation_done);
}

void
pool_checkpoint(struct pool *pool, struct pool_request *request)
{
	operation_queue(pool, operation_new(request, checkpoint_run));
}

/* ---- levels ---- */

struct levels {
	unsigned soft, hard;
};

static int
levels_run(struct operation *op)
{
	struct levels *levels = op->detail;
	struct pool *pool = op->pool;
	int result = operation_check(op);

	if (result < 0)
		return result;
	if (levels->soft == 0)
		levels->soft = pool->soft_percent;
	if (levels->hard == 0)
		levels->hard = pool->hard_percent;
	if (levels->soft > levels->hard || levels->hard > 100) {
		operation_problem(op,
		    "%u%% to warn and %u%% to stop: the first must be at most "
		    "the second, and that 100%%",
		    levels->soft, levels->hard);
		return -EINVAL;
	}
	pool->soft_percent = levels->soft;
	pool->hard_percent = levels->hard;
	pool->needs_write = true;
	space_level(pool);
	return operation_checkpoint(op, operation_done);
}

void
pool_set_levels(struct pool *pool, unsigned soft_percent, unsigned hard_percent,
    struct pool_request *request)
{
	struct operation *op = operation_new(request, levels_run);
	struct levels *levels = calloc(1, sizeof(*levels));

	assert(levels != NULL);
	*levels = (struct levels){soft_percent, hard_percent};
	op->detail = levels;
	op->cleanup = operation_free_detail;
	operation_queue(pool, op);
}

/* ---- create ---- */

static int
params_check(struct operation *op)
{
	struct volume_params *p = &op->params;

	if (p->block_size == 0)
		p->block_size = 512;
	if (p->cow_unit == 0)
		p->cow_unit = FMT_BLOCK;
	if (p->size == 0 || p->size % FMT_BLOCK != 0)
		operation_problem(op, "the size is no multiple of 4 KiB");
	else if (p->block_size != 512 && p->block_size != 4096)
		operation_problem(op, "the block size is not 512 or 4096");
	else if (p->cow_unit != 4096 && p->cow_unit != 16384 &&
		 p->cow_unit != 65536)
		operation_problem(op, "the cow unit is not 4K, 16K or 64K");
	else if (p->size <= FMT_VOLUME_MAX)
		return 0;
	else {
		operation_problem(op, "the size is over 232 TiB");
		return -E2BIG;
	}
	return -EINVAL;
}

static void
record_fill(struct operation *op, struct fmt_version *record)
{
	const struct volume_params *p = &op->params;
	struct pool *pool = op->pool;

	memset(record, 0, sizeof(*record));
	le64_set(&record->id, pool->next_version);
	le64_set(&record->family, pool->next_version);
	record->state = FMT_VERSION_HEAD;
	record->block_shift = p->block_size == 512 ? 9 : 12;
	record->cow_shift = (uint8_t)__builtin_ctz(p->cow_unit);
	record->levels = (uint8_t)fmt_map_levels(p->size);
	le64_set(&record->size, p->size);
	le64_set(&record->quota, p->quota);
	le64_set(&record->reserve, p->reserve);
	memcpy(record->uuid, p->uuid, sizeof(record->uuid));
	le64_set(&record->created_unix, (uint64_t)time(NULL));
	memcpy(record->name, op->name, sizeof(record->name));
	pool->next_version++;
}

static int
create_done(struct operation *op)
{
	op->request->volume = op->volume;
	op->cleanup = NULL;
	return OP_DONE;
}

static int
create_record(struct operation *op)
{
	struct pool *pool = op->pool;
	struct fmt_version_page *table;
	struct page *page;
	int result = version_slot_take(pool, &op->waiter, &op->slot);

	if (result == 0)
		result = version_page_get(pool, op->slot, &op->waiter, &page);
	if (result == 0)
		result = limits_room(op,
		    reserve_lacks(
			pool, NULL, op->params.reserve, op->params.size),
		    "its reservation");
	if (result < 0)
		return result;
	page_dirty(page);
	table = (void *)page->data;
	record_fill(op, &table->version[op->slot % FMT_PAGE_VERSIONS_COUNT]);
	le32_set(&table->page.used, le32_get(&table->page.used) + 1);
	op->volume = volume_new(pool, op->slot, page,
	    &table->version[op->slot % FMT_PAGE_VERSIONS_COUNT]);
	assert(op->volume != NULL);
	version_insert(pool, op->volume);
	version_list(pool, op->volume);
	pool->needs_write = true;
	return operation_checkpoint(op, create_done);
}

static int
create_run(struct operation *op)
{
	struct pool *pool = op->pool;
	int result = operation_check_name(op);

	if (result == 0)
		result = params_check(op);
	if (result == 0)
		result = limits_check(op, &op->params);
	if (result < 0)
		return result;
	if (!version_name_free(pool, NULL, op->name)) {
		operation_problem(op, "%s/%s exists", pool->name, op->name);
		return -EEXIST;
	}
	result = pool->next_version > UINT32_MAX
		     ? -ENOSPC
		     : space_meta_room(pool, 8, false, &op->waiter);
	if (result == -ENOSPC)
		operation_problem(op, "no space for its record");
	if (result < 0)
		return result;
	op->run = create_record;
	return 0;
}

void
volume_create(struct pool *pool, const struct volume_params *params,
    struct pool_request *request)
{
	struct operation *op =
	    operation_on(request, create_run, NULL, params->name);

	op->params = *params;
	if (uuid_is_null(op->params.uuid))
		uuid_generate_random(op->params.uuid);
	operation_queue(pool, op);
}

/* ---- rename ---- */

static int
rename_run(struct operation *op)
{
	int result = operation_check_name(op);

	if (result < 0)
		return result;
	if (!version_name_free(op->pool, op->volume->origin, op->name)) {
		operation_problem(op, "%s exists", op->name);
		return -EEXIST;
	}
	volume_rename_now(op->volume, op->name);
	op->request->volume = op->volume;
	return operation_checkpoint(op, operation_done);
}

void
volume_rename(struct pool *pool, struct volume *volume, const char *name,
    struct pool_request *request)
{
	operation_queue(pool, operation_on(request, rename_run, volume, name));
}

/* ---- resize ---- */

/* Only now may anything be written past the old end. */
static int
resize_done(struct operation *op)
{
	op->volume->bs.size = op->size;
	op->request->volume = op->volume;
	return OP_DONE;
}

static int
resize_now(struct operation *op)
{
	struct volume *volume = op->volume;
	struct pool *pool = op->pool;
	int result = pool_room(pool, FMT_MAP_LEVELS_MAX, &op->waiter);

	op->run = resize_now;
	if (result == 0)
		result = limits_room(op,
		    reserve_lacks(
			pool, volume, reserve_bytes(volume), op->size),
		    "the reservation of that size");
	if (result < 0)
		return result;
	pool->promised += op->size - volume->size;
	volume->size = op->size;
	reserve_look(volume);
	volume_changed(volume);
	pool->needs_write = true;
	result = map_raise(volume, fmt_map_levels(op->size));
	if (result < 0)
		pool_suspect(pool, "the metadata contradict each other");
	return operation_checkpoint(op, resize_done);
}

static void
shrink_discarded(struct bs_io *io, int result)
{
	struct operation *op = container_of(io, struct operation, io);

	if (result < 0) {
		op->volume->bs.size = op->volume->size;
		operation_end(op, result);
		return;
	}
	op->run = resize_now;
	operation_run(op);
}

static int
resize_run(struct operation *op)
{
	struct volume *volume = op->volume;
	int result = operation_check(op);

	if (result < 0)
		return result;
	if (op->size == 0 || op->size % FMT_BLOCK != 0) {
		operation_problem(op, "the size is no multiple of 4 KiB");
		return -EINVAL;
	}
	if (op->size > FMT_VOLUME_MAX) {
		operation_problem(op, "the size is over 232 TiB");
		return -E2BIG;
	}
	if (op->size >= volume->size)
		return resize_now(op);
	if (volume_io_past(volume, op->size)) {
		operation_problem(op, "I/O is in flight past the new end");
		return -EBUSY;
	}
	volume->bs.size = op->size; /* nothing new goes there */
	bs_io_init(&op->io);
	/* what cannot be forgotten block by block is zeroed: it would be seen
	 * again if the volume grew */
	op->io.op = volume->cow_shift == FMT_BLOCK_SHIFT ? BS_DISCARD : BS_ZERO;
	op->io.may_unmap = true;
	op->io.offset = op->size;
	op->io.length = volume->size - op->size;
	if (op->io.op == BS_ZERO) /* whole chunks can be forgotten */
		op->io.length =
		    (volume->size + FMT_CHUNK - 1) / FMT_CHUNK * FMT_CHUNK -
		    op->size;
	op->io.complete = shrink_discarded;
	volume_submit_internal(volume, &op->io);
	return -EAGAIN;
}

void
volume_resize(struct pool *pool, struct volume *volume, uint64_t size,
    struct pool_request *request)
{
	struct operation *op = operation_on(request, resize_run, volume, NULL);

	op->size = size;
	operation_queue(pool, op);
}
