/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checkpoints: the trees as of one record, written to fresh addresses, and a
 * superblock that names them.
 *
 *	prepare  wait until enough metadata blocks are leased
 *	freeze   in one go: every dirty page gets its new address, which goes
 *into its parent; that dirties pages of the bitmap and the region table, which
 *get theirs, until none is left.  A page in which nothing is used is dropped
 *instead.  Then all belong to the checkpoint, and a page changed later is
 *copied first. write    pages in runs of addresses, sums computed on the way
 *	flush    devices with a volatile cache
 *	super    with FUA, to the slot that does not hold the newest one
 *	end      addresses given up become free, unless they are pinned; the
 *		 log is cut
 *
 * Reads and in-place overwrites never wait for any of it; changes of maps only
 * when pool_room() says that too many pages are dirty or the log is near full.
 */
#include "base/crc32c.h"
#include "snapshot/engine.h"
#include <stdlib.h>
#include <string.h>

static void checkpoint_next(struct pool *pool);

/* ---- freeze ---- */

static void *
array_grow(void *array, unsigned *room, size_t size)
{
	*room = *room * 2 + 1024;
	array = realloc(array, *room * size);
	assert(array != NULL);
	return array;
}

static void
item_add(struct checkpoint *ckpt, struct page *page)
{
	if (ckpt->item_count == ckpt->item_room)
		ckpt->items = array_grow(
		    ckpt->items, &ckpt->item_room, sizeof(ckpt->items[0]));
	ckpt->items[ckpt->item_count++] =
	    (struct checkpoint_item){.page = page, .address = page->address};
}

void
checkpoint_give_up(struct pool *pool, uint64_t address)
{
	struct checkpoint *ckpt = &pool->checkpoint;

	if (ckpt->given_up_count == ckpt->given_up_room)
		ckpt->given_up = array_grow(ckpt->given_up,
		    &ckpt->given_up_room, sizeof(ckpt->given_up[0]));
	ckpt->given_up[ckpt->given_up_count++] = address;
}

/* What was given up since the last freeze goes with this one. */
static void
old_take(struct checkpoint *ckpt)
{
	uint64_t *array = ckpt->old;
	unsigned room = ckpt->old_room;

	ckpt->old = ckpt->given_up;
	ckpt->old_room = ckpt->given_up_room;
	ckpt->old_count = ckpt->given_up_count;
	ckpt->given_up = array;
	ckpt->given_up_room = room;
	ckpt->given_up_count = 0;
}

static void
old_add(struct pool *pool, uint64_t address)
{
	struct checkpoint *ckpt = &pool->checkpoint;

	if (address == 0)
		return;
	if (ckpt->old_count == ckpt->old_room)
		ckpt->old = array_grow(
		    ckpt->old, &ckpt->old_room, sizeof(ckpt->old[0]));
	ckpt->old[ckpt->old_count++] = address;
	if (space_meta_free(pool, address) < 0)
		ckpt->error = -EBADMSG;
}

static bool
page_raw(const struct page *page)
{
	return page->tree->raw && page->level == 0;
}

static uint64_t
pointer_address(struct pool *pool, const struct page *page)
{
	uint64_t offset, run;
	struct device *device;

	if (!page->tree->physical)
		return page->address;
	device = pool_locate(pool, page->address, &offset, &run);
	return fmt_device_address((unsigned)(device - pool->device), offset);
}

static void
pointer_store_mirror(
    struct pool *pool, const struct page *page, struct fmt_ptr *ptr)
{
	uint64_t offset;
	struct device *device =
	    mirror_locate_address(pool, page->address, &offset);

	if (device != NULL)
		fmt_ptr_set_mirror(
		    ptr, fmt_device_address(
			     (unsigned)(device - pool->device), offset));
}

/* Writes the pointer to page into its parent, or zeros. */
static void
pointer_store(struct pool *pool, struct page *page)
{
	struct fmt_ptr *ptr = page_pointer(page);
	bool was = fmt_ptr_address(ptr) != 0, is = page->address != 0;
	uint32_t gen = (uint32_t)pool->gen;

	if (page->parent != NULL) {
		struct fmt_page *up = page_header(page->parent);
		assert(page->parent->dirty);
		le32_set(&up->used, le32_get(&up->used) - was + is);
	}
	memset(ptr, 0, sizeof(*ptr));
	if (!is)
		return;
	if (page_raw(page))
		fmt_ptr_set(ptr, page->address, gen, 0); /* sum: raw_sums */
	else
		fmt_ptr_set(ptr, pointer_address(pool, page),
		    le32_get(&page_header(page)->birth), gen);
	if (page->tree->physical)
		pointer_store_mirror(pool, page, ptr);
}

/* Takes a page off its dirty list and gives it a new place.  It stays marked
 * dirty until all have theirs, so that changes go on in the same buffer. */
static void
page_place(struct pool *pool, struct page *page)
{
	struct checkpoint *ckpt = &pool->checkpoint;
	uint64_t old = page->address;

	list_del(&page->link);
	if (old == 0)
		pool->cache.dirty_new--;
	if (!page_raw(page) && le32_get(&page_header(page)->used) == 0) {
		page->address = 0;
		old_add(pool, old);
		list_add_tail(&ckpt->dropped, &page->link);
	} else {
		if (old == 0 || !engine_breaks.i8_overwrite_pages) {
			page->address = space_meta_take(pool);
			if (page->address == 0)
				ckpt->error = -EBADMSG;
			old_add(pool, old);
		}
		item_add(ckpt, page);
	}
	pointer_store(pool, page);
}

/* Pages of maps have their places.  They come first, so that their runs of
 * addresses are not broken by others. */
static void
place_maps(struct pool *pool)
{
	struct list *node;

	while ((node = list_pop(&pool->cache.dirty_maps)) != NULL)
		item_add(
		    &pool->checkpoint, list_entry(node, struct page, link));
	pool->cache.dirty_map_count = 0;
}

static void
place_all(struct pool *pool)
{
	struct cache *cache = &pool->cache;
	unsigned level = 0;

	place_maps(pool);

	/* level by level; but the bitmap and the region table, all the time */
	while (level < ARRAY_SIZE(cache->dirty)) {
		struct page *page =
		    list_first(&cache->dirty[level], struct page, link);
		if (page == NULL) {
			level++;
			continue;
		}
		page_place(pool, page);
		level = 0;
	}
}

static void
raw_sums(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;

	for (unsigned i = 0; i < ckpt->item_count; i++) {
		struct page *page = ckpt->items[i].page;
		if (page_raw(page))
			le32_set(&page_pointer(page)->gen,
			    crc32c(page->data, FMT_BLOCK));
	}
}

/* From here on the pages belong to the checkpoint. */
static void
hand_over(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;
	struct cache *cache = &pool->cache;
	struct list *node;

	for (unsigned i = 0; i < ckpt->item_count; i++) {
		struct checkpoint_item *item = &ckpt->items[i];
		struct page *page = item->page;
		item->data = page->data;
		if (!page_raw(page) && page->lsn != 0)
			le64_set(&page_header(page)->lsn, page->lsn);
		page->dirty = false;
		page->frozen = true;
		cache->frozen_count++;
	}
	while ((node = list_pop(&ckpt->dropped)) != NULL)
		list_entry(node, struct page, link)->dirty = false;
	cache->dirty_count = 0;
	assert(cache->dirty_new == 0);
}

/* As if all of the log were free already, and the next block were laid over
 * the oldest one. */
static void
break_log(struct redo *redo)
{
	redo->head += redo->blocks - redo_used_blocks(redo);
	redo->tail = redo->head;
}

static void
freeze(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;

	ckpt->item_count = ckpt->next_item = ckpt->items_done = 0;
	old_take(ckpt);
	ckpt->error = 0;
	list_splice_tail(&ckpt->frozen, &ckpt->waiting);
	volumes_store(pool);
	place_all(pool);
	if (ckpt->error < 0) {
		/* what was placed stays dirty, so it stays in memory */
		pool_suspect(pool, "the metadata contradict each other");
		return;
	}
	raw_sums(pool);
	hand_over(pool);
	ckpt->writing = true;
	if (engine_breaks.i10_truncate_early)
		break_log(&pool->redo);
	ckpt->lsn = pool->redo.next_lsn;
	ckpt->tail = pool->redo.head;
	super_fill(pool, &ckpt->super);
	pool->needs_write = false;
	loop_timer_disarm(pool->loop, &ckpt->idle);
}

/* ---- writing ---- */

static void
item_written(struct pool *pool, struct checkpoint_item *item)
{
	struct page *page = item->page;

	if (page->data != item->data) {
		cache_buffer_put(&pool->cache, item->data);
		return;
	}
	page->frozen = false;
	pool->cache.frozen_count--;
}

static void
write_complete(struct mirror_write *mirror, int result)
{
	struct checkpoint_write *write =
	    container_of(mirror, struct checkpoint_write, mirror);
	struct pool *pool = mirror->pool;
	struct checkpoint *ckpt = &pool->checkpoint;

	ckpt->writes--;
	if (result < 0) {
		pool_suspect(
		    pool, "writing metadata failed: %s", strerror(-result));
		ckpt->error = result;
		return;
	}
	for (unsigned i = 0; i < write->count; i++)
		item_written(pool, &ckpt->items[write->first + i]);
	ckpt->items_done += write->count;
	checkpoint_next(pool);
}

static void
item_seal(struct pool *pool, struct checkpoint_item *item)
{
	struct fmt_page *header = (void *)item->data;

	if (page_raw(item->page))
		return;
	le32_set(&header->gen, (uint32_t)pool->gen);
	fmt_page_seal(item->data);
}

static void
write_submit(struct pool *pool, struct checkpoint_write *write)
{
	struct checkpoint *ckpt = &pool->checkpoint;
	struct checkpoint_item *item = &ckpt->items[ckpt->next_item];
	unsigned left = ckpt->item_count - ckpt->next_item, count = 0;
	uint64_t offset, run;

	pool_locate(pool, item->address, &offset, &run);
	while (count < left && count < CKPT_RUN && count < run &&
	       item[count].address == item[0].address + count) {
		item_seal(pool, &item[count]);
		write->iov[count] = (struct iovec){item[count].data, FMT_BLOCK};
		count++;
	}
	write->first = ckpt->next_item;
	write->count = count;
	ckpt->next_item += count;
	ckpt->writes++;
	write->mirror.done = write_complete;
	mirror_write(&write->mirror, pool, item->address, write->iov, count,
	    (uint64_t)count * FMT_BLOCK, false);
}

static void
write_pages(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;

	for (unsigned i = 0; i < CKPT_WRITES; i++)
		if (ckpt->write[i].mirror.pending == 0 &&
		    ckpt->next_item < ckpt->item_count)
			write_submit(pool, &ckpt->write[i]);
}

/* ---- flush, superblock, end ---- */

static void
step_done(struct batch *batch)
{
	struct pool *pool = batch->pool;

	if (pool->checkpoint.error < 0)
		return;
	if (batch->error < 0) {
		pool->checkpoint.error = batch->error;
		pool_suspect(pool, "writing a checkpoint failed: %s",
		    strerror(-batch->error));
		return;
	}
	checkpoint_next(pool);
}

/* One device that has the superblock is enough to find it. */
static void
super_done(struct batch *batch)
{
	if (batch->failed > 0 && batch->failed < batch->count) {
		pool_trouble(batch->pool,
		    "writing the superblock to a device failed: %s",
		    strerror(-batch->error));
		batch->error = 0;
	}
	step_done(batch);
}

static void
flush_begin(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;

	batch_begin(&ckpt->batch, step_done);
	batch_add_flushes(&ckpt->batch);
	batch_run(&ckpt->batch);
}

static void
super_begin(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;
	unsigned slot = engine_breaks.i9_single_slot ? 0 : pool->gen % 2;

	fmt_super_seal(&ckpt->super);
	assert(fmt_super_check(&ckpt->super) == NULL);
	memcpy(ckpt->block, &ckpt->super, FMT_BLOCK);
	batch_begin(&ckpt->batch, super_done);
	for (unsigned i = 0, n = 0;
	     i < pool->device_count && n < FMT_SUPER_DEVICES; i++) {
		if (device_is_removed(&pool->device[i]))
			continue;
		n++;
		batch_add(&ckpt->batch, pool->device[i].bs, BS_WRITE,
		    fmt_super_offset(slot), ckpt->block, FMT_BLOCK, true);
	}
	batch_run(&ckpt->batch);
}

static void
finish(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;
	struct list frozen;

	ckpt->state = CKPT_IDLE;
	ckpt->done_count++;
	ckpt->writing = false;
	pool->super = ckpt->super;
	pool->gen++;
	for (unsigned i = 0; i < ckpt->old_count; i++)
		if (!pin_hold(pool, ckpt->old[i]))
			space_meta_release(pool, ckpt->old[i]);
	redo_checkpointed(pool, ckpt->lsn, ckpt->tail);
	list_init(&frozen);
	list_splice_tail(&frozen, &ckpt->frozen);
	if (ckpt->again || !list_empty(&ckpt->waiting)) {
		ckpt->again = false;
		checkpoint_start(pool);
	}
	cache_trim(&pool->cache);
	pool_wake_room(pool, 0);
	waiters_wake(&frozen, 0);
}

static enum checkpoint_state
state_after(enum checkpoint_state state)
{
	static const enum checkpoint_state right[] = {
	    [CKPT_PREPARE] = CKPT_WRITE,
	    [CKPT_WRITE] = CKPT_FLUSH,
	    [CKPT_FLUSH] = CKPT_SUPER,
	    [CKPT_SUPER] = CKPT_IDLE,
	};
	static const enum checkpoint_state broken[] = {
	    [CKPT_PREPARE] = CKPT_SUPER,
	    [CKPT_SUPER] = CKPT_WRITE,
	    [CKPT_WRITE] = CKPT_FLUSH,
	    [CKPT_FLUSH] = CKPT_IDLE,
	};

	return engine_breaks.i9_super_first ? broken[state] : right[state];
}

/* Something ended: go on with the step or to the next one. */
static void
checkpoint_next(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;

	if (ckpt->error < 0)
		return;
	if (ckpt->state != CKPT_WRITE || ckpt->items_done == ckpt->item_count)
		ckpt->state = state_after(ckpt->state);
	/* a pool that has not changed has no pages to write */
	if (ckpt->state == CKPT_WRITE && ckpt->item_count == 0)
		ckpt->state = state_after(ckpt->state);
	if (ckpt->state == CKPT_WRITE)
		write_pages(pool);
	else if (ckpt->state == CKPT_FLUSH)
		flush_begin(pool);
	else if (ckpt->state == CKPT_SUPER)
		super_begin(pool);
	else
		finish(pool);
}

/* ---- beginning ---- */

/* Pages that the freeze itself may dirty: those of the bitmap and the region
 * table that describe META regions, those of the version table, and what is
 * above them. */
static uint64_t
freeze_pages(const struct pool *pool)
{
	const struct space *space = &pool->space;
	uint64_t meta = space->class_count[FMT_REGION_META] + 1;
	uint64_t each = 1 + space->region_blocks / FMT_BITMAP_BLOCKS;

	return meta * (each + 2) + pool->changed_count + 32;
}

/* Blocks that must be leased, so that all that is dirty finds a place, and all
 * that becomes dirty until the next checkpoint too. */
uint64_t
checkpoint_needs(const struct pool *pool)
{
	const struct cache *cache = &pool->cache;

	return cache->dirty_count - cache->dirty_map_count + freeze_pages(pool);
}

static void
prepare(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;
	uint64_t needs = checkpoint_needs(pool);
	int result;

	if (pool->state != POOL_ONLINE)
		return;
	result =
	    space_meta_prepare(pool, needs + pool->dirty_limit, &ckpt->waiter);
	if (result == -ENOSPC && pool->space.meta_idle >= needs)
		result = 0; /* less may become dirty until the next one */
	if (result == -EAGAIN)
		return;
	if (result < 0) {
		ckpt->error = result;
		pool_suspect(
		    pool, "no space for a checkpoint: %s", strerror(-result));
		return;
	}
	if (pool->meta_holds > 0 || pool->mends > 0) {
		ckpt->held = true;
		return;
	}
	freeze(pool);
	checkpoint_next(pool);
}

static void
prepare_ready(struct waiter *waiter, int error)
{
	struct pool *pool =
	    container_of(waiter, struct pool, checkpoint.waiter);

	if (error < 0) {
		pool->checkpoint.error = error;
		pool_suspect(
		    pool, "reading a bitmap failed: %s", strerror(-error));
		return;
	}
	prepare(pool);
}

static void
checkpoint_begin(struct loop_task *task)
{
	struct pool *pool = container_of(task, struct pool, checkpoint.task);

	if (pool->state == POOL_ONLINE)
		prepare(pool);
}

void
checkpoint_unheld(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;

	if (!ckpt->held || pool->meta_holds > 0 || pool->mends > 0)
		return;
	ckpt->held = false;
	ckpt->task.run = checkpoint_begin;
	loop_defer(pool->loop, &ckpt->task);
}

void
checkpoint_start(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;

	if (pool->state != POOL_ONLINE || pool->read_only)
		return;
	if (ckpt->state != CKPT_IDLE) {
		if (ckpt->state != CKPT_PREPARE)
			ckpt->again |= !list_empty(&ckpt->waiting);
		return;
	}
	ckpt->state = CKPT_PREPARE;
	ckpt->task.run = checkpoint_begin;
	loop_defer(pool->loop, &ckpt->task);
}

void
checkpoint_again(struct pool *pool)
{
	pool->needs_write = true;
	if (pool->checkpoint.state > CKPT_PREPARE)
		pool->checkpoint.again = true;
	else
		checkpoint_start(pool);
}

void
checkpoint_wait(struct pool *pool, struct waiter *waiter)
{
	assert(list_empty(&waiter->link));
	list_add_tail(&pool->checkpoint.waiting, &waiter->link);
	pool_wake_suspect(pool);
	checkpoint_start(pool);
}

void
checkpoint_fail(struct pool *pool, int error)
{
	struct checkpoint *ckpt = &pool->checkpoint;
	struct list waiters;

	loop_timer_disarm(pool->loop, &ckpt->idle);
	ckpt->error = error;
	list_init(&waiters);
	list_splice_tail(&waiters, &ckpt->frozen);
	list_splice_tail(&waiters, &ckpt->waiting);
	waiters_wake(&waiters, error);
}

static void
idle_expired(struct loop_timer *timer)
{
	checkpoint_start(container_of(timer, struct pool, checkpoint.idle));
}

int
checkpoint_init(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;

	list_init(&ckpt->waiting);
	list_init(&ckpt->frozen);
	list_init(&ckpt->dropped);
	waiter_init(&ckpt->waiter, prepare_ready);
	ckpt->idle.expire = idle_expired;
	ckpt->block = aligned_alloc(FMT_BLOCK, FMT_BLOCK);
	if (ckpt->block == NULL)
		return -ENOMEM;
	return batch_init(&ckpt->batch, pool);
}

void
checkpoint_done(struct pool *pool)
{
	struct checkpoint *ckpt = &pool->checkpoint;

	loop_timer_disarm(pool->loop, &ckpt->idle);
	free(ckpt->items);
	free(ckpt->old);
	free(ckpt->given_up);
	free(ckpt->block);
	batch_free(&ckpt->batch);
}
