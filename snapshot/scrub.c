/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scrub: all metadata is read from the devices, in both copies, and what is bad
 * or old in one is written anew from the other.
 *
 * It goes over the META regions by address, a window at a time, with
 * checkpoints kept out so that nobody writes there, and looks at the blocks in
 * use that are not about to be written.  Equal blocks with a right sum are
 * good.  Of two that differ, the one with the right sum is; of two right ones
 * the newer.  A page of the bitmap has no sum in itself: when blocks differ,
 * its pointer is looked for first, and names it.  At the end all pages of the
 * bitmap are read by their pointers, which is what finds one that is bad in its
 * only copy, or in both.
 *
 * Under load it waits, though not for ever.
 */
#include "base/crc32c.h"
#include "snapshot/engine.h"
#include "snapshot/family.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCRUB_BLOCKS (WINDOW_BYTES / FMT_BLOCK)
#define BUSY_IO      8u /* so many volume I/Os in flight are load */
#define BUSY_NS      (10 * NSEC_PER_MSEC)
#define BUSY_TURNS   100u
#define RETRY_NS     (2 * NSEC_PER_MSEC)

static void scrub_judge(struct pool *pool);

static uint64_t
ceil_div(uint64_t a, uint64_t b)
{
	return (a + b - 1) / b;
}

static void
scrub_later(struct pool *pool, uint64_t ns)
{
	loop_timer_arm(pool->loop, &pool->scrub.timer, ns);
}

static bool
scrub_stops(const struct pool *pool)
{
	return pool->scrub.stop || pool->state != POOL_ONLINE;
}

static void
scrub_end(struct pool *pool)
{
	struct scrub_job *job = &pool->scrub;

	if (!scrub_stops(pool))
		pool->counters.scrubs++;
	job->running = false;
	free(job->buffer[0]);
	free(job->buffer[1]);
	job->buffer[0] = job->buffer[1] = NULL;
}

/* ---- which blocks ---- */

static bool
block_counts(struct pool *pool, uint64_t address)
{
	struct page *bits =
	    page_find(&pool->bitmap, 0, address / FMT_BITMAP_BLOCKS);
	struct page *page = page_find(&pool->map_pages, 0, address);
	uint64_t bit = address % FMT_BITMAP_BLOCKS;

	if (bits == NULL || !bits->loaded ||
	    (bits->data[bit / 8] >> bit % 8 & 1) == 0)
		return false;
	return page == NULL || !(page->dirty || page->frozen);
}

/* The first block at or behind job->block that counts, or false. */
static bool
scrub_seek(struct pool *pool)
{
	struct scrub_job *job = &pool->scrub;
	struct space *space = &pool->space;
	uint64_t end = space->count << space->region_shift;

	while (job->block < end) {
		uint64_t number = job->block >> space->region_shift;
		if (space->regions[number].class != FMT_REGION_META)
			job->block = (number + 1) << space->region_shift;
		else if (block_counts(pool, job->block))
			return true;
		else
			job->block++;
	}
	return false;
}

/* ---- one block ---- */

static void
block_mend(struct pool *pool, uint64_t address, unsigned bad)
{
	struct scrub_job *job = &pool->scrub;
	const uint8_t *good =
	    job->buffer[bad ^ 1] + (address - job->block) * FMT_BLOCK;
	uint64_t within = (address - job->block) * FMT_BLOCK;

	mirror_mend(pool, job->device[bad], job->offset[bad] + within, good);
}

static void
block_bad(struct pool *pool)
{
	pool->counters.scrub_bad++;
	pool_trouble(pool, "scrub: metadata is bad in all its copies");
}

/* Two of which none, one, or both are right. */
static void
block_settle(
    struct pool *pool, uint64_t address, bool right0, bool right1, bool newer1)
{
	if (!right0 && !right1)
		block_bad(pool);
	else if (right0 && right1)
		block_mend(pool, address, newer1 ? 0 : 1);
	else
		block_mend(pool, address, right0 ? 1 : 0);
}

static bool
ptr_is(const struct fmt_ptr *ptr, uint64_t address)
{
	return fmt_ptr_address(ptr) == address;
}

/* The pointer to a page of the bitmap at address, if that is one: 0, -EAGAIN
 * (queued), or an error. */
static int
raw_pointer(struct pool *pool, uint64_t address, const struct fmt_ptr **ret_ptr)
{
	struct scrub_job *job = &pool->scrub;
	struct tree *tree = &pool->bitmap;
	uint64_t pages =
	    ceil_div(ceil_div(pool->space.count << pool->space.region_shift,
			 FMT_BITMAP_BLOCKS),
		FMT_FANOUT);

	*ret_ptr = NULL;
	if (tree->levels == 1) {
		if (ptr_is(&tree->root, address))
			*ret_ptr = &tree->root;
		return 0;
	}
	for (; job->inner < pages; job->inner++) {
		const struct fmt_inner *inner;
		struct page *page;
		int result = page_get(
		    tree, 1, job->inner, false, &job->waiter, &page, NULL);
		if (result < 0)
			return result;
		inner = page != NULL ? (const void *)page->data : NULL;
		for (unsigned i = 0; page != NULL && i < FMT_FANOUT; i++)
			if (ptr_is(&inner->ptr[i], address)) {
				*ret_ptr = &inner->ptr[i];
				return 0;
			}
	}
	return 0;
}

static int
block_differs(struct pool *pool, uint64_t address, const uint8_t *const copy[2])
{
	const struct fmt_ptr *raw;
	const struct fmt_page *head[2] = {
	    (const void *)copy[0], (const void *)copy[1]};
	int result = raw_pointer(pool, address, &raw);

	if (result < 0)
		return result;
	pool->scrub.inner = 0;
	if (raw != NULL)
		block_settle(pool, address,
		    crc32c(copy[0], FMT_BLOCK) == le32_get(&raw->gen),
		    crc32c(copy[1], FMT_BLOCK) == le32_get(&raw->gen), false);
	else
		block_settle(pool, address,
		    fmt_page_check_sum(copy[0], pool->tag) == NULL,
		    fmt_page_check_sum(copy[1], pool->tag) == NULL,
		    (int32_t)(le32_get(&head[1]->gen) -
			      le32_get(&head[0]->gen)) > 0);
	return 0;
}

static int
block_judge(struct pool *pool, uint64_t address)
{
	struct scrub_job *job = &pool->scrub;
	uint64_t within = (address - job->block) * FMT_BLOCK;
	const uint8_t *copy[2] = {
	    job->buffer[0] + within, job->buffer[1] + within};
	const struct fmt_page *head = (const void *)copy[0];

	pool->counters.scrub_pages++;
	if (job->copies == 2 && memcmp(copy[0], copy[1], FMT_BLOCK) != 0)
		return block_differs(pool, address, copy);
	/* without the magic it may be a page of the bitmap: those come last */
	if (le32_get(&head->magic) == FMT_PAGE_MAGIC &&
	    fmt_page_check_sum(copy[0], pool->tag) != NULL)
		block_bad(pool);
	return 0;
}

/* ---- one window ---- */

static void
window_end(struct pool *pool)
{
	struct scrub_job *job = &pool->scrub;

	meta_hold_drop(pool);
	job->block += job->count;
	if (scrub_stops(pool))
		scrub_end(pool);
	else
		scrub_later(pool, background_rest(pool, job->began, 0));
}

static void
scrub_judge(struct pool *pool)
{
	struct scrub_job *job = &pool->scrub;

	for (; job->judged < job->count; job->judged++) {
		uint64_t address = job->block + job->judged;
		int result = 0;
		if (!scrub_stops(pool) && block_counts(pool, address))
			result = block_judge(pool, address);
		if (result == -EAGAIN)
			return; /* the hold goes on */
		if (result < 0)
			block_bad(pool);
	}
	window_end(pool);
}

static void
copy_was_read(struct bs_io *io, int result)
{
	struct pool *pool = io->priv;
	struct scrub_job *job = &pool->scrub;
	unsigned copy = io == &job->io[0] ? 0 : 1;

	job->failed |= result < 0;
	if (result < 0) /* nothing with a right sum */
		memset(job->buffer[copy], 0xff, job->iov[copy].iov_len);
	if (--job->pending > 0)
		return;
	if (job->failed && job->count > 1) {
		job->single = job->count; /* again, block by block */
		job->count = 0;
	}
	scrub_judge(pool);
}

static void
copy_read(struct pool *pool, unsigned copy)
{
	struct scrub_job *job = &pool->scrub;
	struct bs_io *io = &job->io[copy];

	job->iov[copy] =
	    (struct iovec){job->buffer[copy], (uint64_t)job->count * FMT_BLOCK};
	bs_io_init(io);
	io->op = BS_READ;
	io->offset = job->offset[copy];
	io->length = job->iov[copy].iov_len;
	io->iov = &job->iov[copy];
	io->iov_count = 1;
	io->complete = copy_was_read;
	io->priv = pool;
	bs_submit(job->device[copy]->bs, io);
}

static void
window_begin(struct pool *pool)
{
	struct scrub_job *job = &pool->scrub;
	uint64_t run;

	job->began = loop_now(pool->loop);
	job->device[0] = pool_locate(pool, job->block, &job->offset[0], &run);
	job->device[1] =
	    mirror_locate_address(pool, job->block, &job->offset[1]);
	job->copies = job->device[1] != NULL ? 2 : 1;
	job->count = run < SCRUB_BLOCKS ? (unsigned)run : SCRUB_BLOCKS;
	if (job->single > 0) {
		job->single--;
		job->count = 1;
	}
	job->judged = 0;
	job->inner = 0;
	job->failed = false;
	job->pending = job->copies;
	for (unsigned copy = 0; copy < job->copies; copy++)
		copy_read(pool, copy);
}

/* ---- the bitmap ---- */

/* Those that are in memory were verified when they were read. */
static void
scrub_bitmap(struct pool *pool)
{
	struct scrub_job *job = &pool->scrub;
	uint64_t pages = ceil_div(
	    pool->space.count << pool->space.region_shift, FMT_BITMAP_BLOCKS);

	for (; job->raw < pages; job->raw++) {
		struct page *page;
		int result = page_get(&pool->bitmap, 0, job->raw, false,
		    &job->waiter, &page, NULL);
		if (result == -EAGAIN)
			return;
		if (result < 0)
			block_bad(pool);
	}
	scrub_end(pool);
}

/* ---- the job ---- */

static void
scrub_step(struct pool *pool)
{
	struct scrub_job *job = &pool->scrub;

	if (scrub_stops(pool)) {
		scrub_end(pool);
		return;
	}
	if (!scrub_seek(pool)) {
		job->in_bitmap = true;
		scrub_bitmap(pool);
		return;
	}
	if (pool->vio.active >= BUSY_IO && job->busy_turns++ < BUSY_TURNS) {
		scrub_later(pool, BUSY_NS);
		return;
	}
	if (!meta_hold_try(pool)) {
		scrub_later(pool, RETRY_NS);
		return;
	}
	job->busy_turns = 0;
	window_begin(pool);
}

static void
scrub_expired(struct loop_timer *timer)
{
	scrub_step(container_of(timer, struct pool, scrub.timer));
}

/* A page of the bitmap has come, or cannot be read. */
static void
scrub_ready(struct waiter *waiter, int error)
{
	struct pool *pool = container_of(waiter, struct pool, scrub.waiter);
	struct scrub_job *job = &pool->scrub;

	if (error < 0)
		block_bad(pool);
	if (!job->in_bitmap) {
		job->inner += error < 0;
		scrub_judge(pool);
	} else if (scrub_stops(pool)) {
		scrub_end(pool);
	} else {
		job->raw += error < 0;
		scrub_bitmap(pool);
	}
}

static int
scrub_start(struct pool *pool)
{
	struct scrub_job *job = &pool->scrub;

	for (unsigned i = 0; i < 2; i++) {
		job->buffer[i] = aligned_alloc(FMT_BLOCK, WINDOW_BYTES);
		if (job->buffer[i] == NULL) {
			scrub_end(pool);
			return -ENOMEM;
		}
	}
	job->running = true;
	job->in_bitmap = false;
	job->block = job->raw = job->single = job->busy_turns = 0;
	job->timer.expire = scrub_expired;
	waiter_init(&job->waiter, scrub_ready);
	scrub_later(pool, 0);
	return OP_DONE;
}

void
scrub_stop(struct pool *pool)
{
	struct scrub_job *job = &pool->scrub;

	job->stop = true;
	if (!loop_timer_armed(&job->timer))
		return;
	loop_timer_disarm(pool->loop, &job->timer);
	scrub_end(pool);
}

bool
scrub_stat(const struct pool *pool, struct pool_job_stat *ret_stat)
{
	const struct space *space = &pool->space;

	if (!pool->scrub.running)
		return false;
	*ret_stat = (struct pool_job_stat){
	    .kind = POOL_JOB_SCRUB,
	    .running = true,
	    .done = pool->scrub.block * FMT_BLOCK,
	    .total = (space->count << space->region_shift) * FMT_BLOCK,
	};
	uuid_copy(ret_stat->uuid, pool->uuid);
	snprintf(ret_stat->name, sizeof(ret_stat->name), "%s", pool->name);
	return true;
}

static int
scrub_run(struct operation *op)
{
	int result = operation_check(op);

	if (result < 0)
		return result;
	if (op->pool->scrub.running) {
		operation_problem(op, "a scrub is under way");
		return -EBUSY;
	}
	return scrub_start(op->pool);
}

void
pool_scrub(struct pool *pool, struct pool_request *request)
{
	operation_queue(pool, operation_new(request, scrub_run));
}
