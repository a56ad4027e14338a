/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commits: see redo.h.
 */
#include "snapshot/redo.h"
#include "snapshot/engine.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Each commit flushes the devices; those of lazy records alone come so many
 * times more seldom. */
#define LAZY 10u

static void commit_write(struct pool *pool);

/* ---- when ---- */

/* What a deletion gives back: whoever needs the space asks for the commit. */
static bool
is_lazy(const struct fmt_record *record)
{
	switch (record->type) {
	case FMT_FREE:
	case FMT_DELSTEP: return true;
	case FMT_REGION: return le64_get(&record->b) == FMT_REGION_FREE;
	default: return false;
	}
}

static bool
are_lazy(const struct fmt_record *records, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		if (!is_lazy(&records[i]))
			return false;
	return true;
}

static void
commit_later(struct pool *pool)
{
	struct redo *redo = &pool->redo;
	uint64_t ns = pool->limits.commit_interval_ns;

	if (redo->soon_lsn <= redo->durable_lsn)
		ns *= LAZY;
	if (loop_timer_armed(&redo->timer) &&
	    redo->timer.at_ns <= loop_now(pool->loop) + ns)
		return;
	loop_timer_arm(pool->loop, &redo->timer, ns);
}

/* ---- one commit ---- */

static void
commit_end(struct pool *pool)
{
	struct redo *redo = &pool->redo;
	struct list sealed;

	redo->state = REDO_IDLE;
	redo->commits++;
	if (redo->durable_lsn < redo->sealed_lsn)
		redo->durable_lsn = redo->sealed_lsn;
	ack_ring_fill(pool);
	list_init(&sealed);
	list_splice_tail(&sealed, &redo->sealed);
	waiters_wake(&sealed, 0);
	quarantine_release(pool);
	if (!list_empty(&redo->waiting) || redo->wanted ||
	    redo_pending_count(redo) >= REDO_COMMIT_RECORDS)
		redo_kick(pool);
	else if (redo_pending_count(redo) > 0)
		commit_later(pool);
}

static void
block_written(struct mirror_write *write, int result)
{
	struct pool *pool = write->pool;

	if (pool->redo.state != REDO_WRITING)
		return; /* failed meanwhile */
	if (result < 0) {
		pool_suspect(
		    pool, "writing the log failed: %s", strerror(-result));
		return;
	}
	commit_write(pool);
}

/* Records of the group that comes next. */
static uint64_t
group_count(const struct redo *redo)
{
	uint64_t lsn = redo->written_lsn;

	while (lsn + 1 < redo->sealed_lsn &&
	       redo_record(redo, lsn)->flags & FMT_RECORD_MORE)
		lsn++;
	return lsn + 1 - redo->written_lsn;
}

/* As many records as go into length bytes, without dividing a group. */
static unsigned
block_fill(struct redo *redo, uint32_t length)
{
	struct fmt_record *to =
	    (void *)(redo->buffer + sizeof(struct fmt_log_block));
	uint64_t left = redo->sealed_lsn - redo->written_lsn;
	unsigned count = fmt_log_capacity(length);

	if (count > left)
		count = (unsigned)left;
	if (engine_breaks.i11_group_torn)
		count = (count + 1) / 2;
	while (count > 0 && !engine_breaks.i11_group_torn &&
	       redo_record(redo, redo->written_lsn + count - 1)->flags &
		   FMT_RECORD_MORE)
		count--;
	for (unsigned i = 0; i < count; i++) {
		unsigned from =
		    engine_breaks.i11_record_order ? count - 1 - i : i;
		to[i] = *redo_record(redo, redo->written_lsn + from);
	}
	return count;
}

/* One without records fills the end of the ring where a group has no room. */
static void
block_seal(struct pool *pool, uint32_t length)
{
	struct redo *redo = &pool->redo;
	struct fmt_log_block *block = (void *)redo->buffer;
	unsigned count;

	memset(redo->buffer, 0, length);
	count = block_fill(redo, length);
	le32_set(&block->magic, FMT_LOG_MAGIC);
	le32_set(&block->length, length);
	le32_set(&block->count, count);
	le64_set(&block->seq, redo->seq);
	le64_set(&block->incarnation, redo->incarnation);
	le32_set(&block->prev_crc, redo->prev_crc);
	le64_set(&block->first_lsn, redo->written_lsn);
	memcpy(block->pool_uuid, pool->uuid, sizeof(block->pool_uuid));
	fmt_log_seal(block);
	redo->prev_crc = le32_get(&block->crc);
	redo->seq++;
	redo->written_lsn += count;
}

static uint64_t
blocks_for(uint64_t records)
{
	uint64_t bytes =
	    sizeof(struct fmt_log_block) + records * sizeof(struct fmt_record);

	return (bytes + FMT_BLOCK - 1) / FMT_BLOCK;
}

/* Bytes of the next block: what is sealed needs, what a block, the ring up to
 * its end, the region and the free part of the ring allow.  0: no room for the
 * group that comes next. */
static uint32_t
block_length(struct pool *pool, uint64_t run)
{
	struct redo *redo = &pool->redo;
	uint64_t blocks = blocks_for(redo->sealed_lsn - redo->written_lsn);
	uint64_t to_end = redo->blocks - redo->head % redo->blocks;
	uint64_t free = redo->blocks - redo_used_blocks(redo);
	uint64_t least = blocks_for(group_count(redo));

	assert(least <= FMT_LOG_BLOCK_MAX / FMT_BLOCK);
	if (least > free && !engine_breaks.i11_group_torn)
		return 0;
	if (blocks > FMT_LOG_BLOCK_MAX / FMT_BLOCK)
		blocks = FMT_LOG_BLOCK_MAX / FMT_BLOCK;
	if (blocks > run)
		blocks = run;
	if (blocks > to_end)
		blocks = to_end;
	if (blocks > free)
		blocks = free;
	return (uint32_t)(blocks * FMT_BLOCK);
}

static void
commit_write(struct pool *pool)
{
	struct redo *redo = &pool->redo;
	uint64_t offset, run;
	uint64_t address;
	uint32_t length;

	if (pool->state != POOL_ONLINE)
		return; /* redo_fail comes */
	if (redo->written_lsn >= redo->sealed_lsn) {
		commit_end(pool);
		return;
	}
	address = redo->start + redo->head % redo->blocks;
	pool_locate(pool, address, &offset, &run);
	length = block_length(pool, run);
	if (length == 0) {
		redo->state = REDO_NO_ROOM;
		checkpoint_start(pool);
		return;
	}
	redo->state = REDO_WRITING;
	block_seal(pool, length);
	redo->head += length / FMT_BLOCK;
	redo->iov = (struct iovec){redo->buffer, length};
	redo->write.done = block_written;
	mirror_write(&redo->write, pool, address, &redo->iov, 1, length, true);
}

static void
commit_flushed(struct batch *batch)
{
	struct pool *pool = batch->pool;

	if (pool->redo.state != REDO_FLUSHING)
		return;
	if (batch->error < 0) {
		pool_suspect(pool, "flushing a device failed: %s",
		    strerror(-batch->error));
		return;
	}
	commit_write(pool);
}

static void
commit_begin(struct loop_task *task)
{
	struct pool *pool = container_of(task, struct pool, redo.task);
	struct redo *redo = &pool->redo;

	if (redo->state != REDO_IDLE || redo->closed ||
	    pool->state != POOL_ONLINE)
		return;
	redo->wanted = false;
	loop_timer_disarm(pool->loop, &redo->timer);
	if (list_empty(&redo->waiting) && redo_pending_count(redo) == 0)
		return;
	redo->state = REDO_FLUSHING;
	redo->sealed_lsn = redo->next_lsn;
	list_splice_tail(&redo->sealed, &redo->waiting);
	batch_begin(&redo->batch, commit_flushed);
	if (!engine_breaks.i6_no_data_flush)
		batch_add_flushes(&redo->batch);
	batch_run(&redo->batch);
}

void
redo_kick(struct pool *pool)
{
	struct redo *redo = &pool->redo;

	redo->wanted = true;
	if (redo->state == REDO_IDLE && !redo->closed && !redo->task.queued)
		loop_defer(pool->loop, &redo->task);
}

static void
timer_expired(struct loop_timer *timer)
{
	redo_kick(container_of(timer, struct pool, redo.timer));
}

/* ---- callers ---- */

uint64_t
redo_append(struct pool *pool, const struct fmt_record *records, unsigned count)
{
	struct redo *redo = &pool->redo;

	assert(redo_pending_count(redo) + count <= REDO_PENDING_MAX);
	for (unsigned i = 0; i < count; i++)
		*redo_record(redo, redo->next_lsn++) = records[i];
	if (!are_lazy(records, count))
		redo->soon_lsn = redo->next_lsn;
	ack_ring_fill(pool);
	pool->needs_write = true;
	if (redo_pending_count(redo) >= REDO_COMMIT_RECORDS)
		redo_kick(pool);
	else
		commit_later(pool);
	if (!loop_timer_armed(&pool->checkpoint.idle))
		loop_timer_arm(pool->loop, &pool->checkpoint.idle,
		    pool->limits.idle_checkpoint_ns);
	return redo->next_lsn;
}

void
redo_flush(struct pool *pool, struct waiter *waiter)
{
	assert(list_empty(&waiter->link));
	list_add_tail(&pool->redo.waiting, &waiter->link);
	pool_wake_suspect(pool);
	redo_kick(pool);
}

void
redo_checkpointed(struct pool *pool, uint64_t lsn, uint64_t tail)
{
	struct redo *redo = &pool->redo;

	redo->tail = tail;
	if (redo->durable_lsn < lsn)
		redo->durable_lsn = lsn;
	if (redo->written_lsn < lsn)
		redo->written_lsn = lsn;
	if (redo->closed) {
		redo->closed = false;
		ack_ring_begin(pool);
		redo_kick(pool);
	}
	ack_ring_fill(pool);
	if (redo->state == REDO_NO_ROOM)
		commit_write(pool);
	quarantine_release(pool);
}

void
redo_fail(struct pool *pool, int error)
{
	struct redo *redo = &pool->redo;
	struct list waiters;

	redo->state = REDO_IDLE;
	loop_timer_disarm(pool->loop, &redo->timer);
	list_init(&waiters);
	list_splice_tail(&waiters, &redo->sealed);
	list_splice_tail(&waiters, &redo->waiting);
	waiters_wake(&waiters, error);
}

/* ---- life ---- */

int
redo_init(struct pool *pool)
{
	struct redo *redo = &pool->redo;

	list_init(&redo->waiting);
	list_init(&redo->sealed);
	redo->timer.expire = timer_expired;
	redo->task.run = commit_begin;
	redo->pending = mmap(NULL, REDO_PENDING_MAX * sizeof(redo->pending[0]),
	    PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
	    -1, 0);
	if (redo->pending == MAP_FAILED) {
		redo->pending = NULL;
		return -ENOMEM;
	}
	redo->buffer = aligned_alloc(FMT_BLOCK, FMT_LOG_BLOCK_MAX);
	if (redo->buffer == NULL)
		return -ENOMEM;
	return batch_init(&redo->batch, pool);
}

void
redo_done(struct pool *pool)
{
	struct redo *redo = &pool->redo;

	loop_timer_disarm(pool->loop, &redo->timer);
	if (redo->pending != NULL)
		munmap(
		    redo->pending, REDO_PENDING_MAX * sizeof(redo->pending[0]));
	free(redo->buffer);
	batch_free(&redo->batch);
}
