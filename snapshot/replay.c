/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading the log of a pool that is being opened, and applying it.
 *
 * Pages that a record changes are read on demand; while one is being read,
 * those of the records behind it are asked for too.
 *
 * If the log has a mirror, a block that is not found in one copy is looked for
 * in the other, and reading goes on there.  The log ends where neither has it.
 */
#include "snapshot/engine.h"
#include <stdlib.h>
#include <string.h>

#define WINDOW        (2u << 20)  /* bytes read at once: two blocks at most */
#define PART          (1u << 20)  /* ... by one I/O */
#define PART_BAD      (16u << 10) /* ... where one has failed */
#define AHEAD         64u         /* pages asked for ahead */
#define AHEAD_RECORDS 1024u

enum replay_stage {
	REPLAY_READ,
	REPLAY_BLOCK,
	REPLAY_TAIL,
	REPLAY_WRAP,
	REPLAY_RING, /* the ack ring */
	REPLAY_END,
};

struct replay {
	struct pool *pool;
	enum replay_stage stage;
	uint8_t *window;
	uint64_t window_at, window_bytes; /* block of the ring, what was read */
	uint64_t position;                /* block of the ring */
	uint64_t blocks;                  /* read so far, without wrapping */
	uint64_t seq, incarnation;
	uint32_t prev_crc;
	uint64_t checkpoint_lsn, lsn;
	uint32_t record; /* of the block at position */
	uint64_t applied;
	bool in_group; /* of the ack ring */
	struct batch batch;
	unsigned copies, copy; /* of the log; the one in the window */
	bool tried;            /* the other copy lacks this block */
	bool in_parts;         /* the window is read again, bit by bit */
	bool window_lacks;     /* part of it cannot be read: zeros */
	unsigned lacking;      /* copies whose end cannot be read: bits */
	int error;
	struct waiter *waiter;
	struct list wait; /* the waiter, while reading */
	struct waiter ahead[AHEAD];
	const char *problem;
};

/* ---- reading ---- */

static void window_submit(struct replay *replay);

/* What cannot be read of a mirrored log is nothing: the other copy may have
 * it. */
static void
window_clear_failed(struct replay *replay)
{
	for (unsigned i = 0; i < replay->batch.count; i++) {
		struct batch_io *one = &replay->batch.one[i];
		if (one->io.result == 0)
			continue;
		memset(one->iov.iov_base, 0, one->iov.iov_len);
		replay->window_lacks = true;
	}
}

static void
read_done(struct batch *batch)
{
	struct replay *replay = container_of(batch, struct replay, batch);

	if (batch->error < 0 && replay->copies == 1)
		replay->error = batch->error;
	if (batch->error < 0 && replay->copies > 1) {
		if (!replay->in_parts) {
			replay->in_parts = true;
			window_submit(replay);
			return;
		}
		window_clear_failed(replay);
	}
	waiters_wake(&replay->wait, replay->error);
}

/* Where the copy that is read has this block, and how long it goes on. */
static struct device *
copy_locate(
    struct replay *replay, uint64_t at, uint64_t *ret_offset, uint64_t *ret_run)
{
	struct pool *pool = replay->pool;
	uint64_t address = pool->redo.start + at;
	struct device *device = pool_locate(pool, address, ret_offset, ret_run);

	return replay->copy == 0
		   ? device
		   : mirror_locate_address(pool, address, ret_offset);
}

static void
window_submit(struct replay *replay)
{
	uint64_t done = 0, most = replay->in_parts ? PART_BAD : PART;

	replay->window_lacks = false;
	batch_begin(&replay->batch, read_done);
	while (done < replay->window_bytes) {
		uint64_t offset, run, part = replay->window_bytes - done;
		struct device *device = copy_locate(replay,
		    replay->window_at + done / FMT_BLOCK, &offset, &run);
		if (part > run * FMT_BLOCK)
			part = run * FMT_BLOCK;
		if (part > most)
			part = most;
		if (device != NULL) {
			batch_add(&replay->batch, device->bs, BS_READ, offset,
			    replay->window + done, part, false);
		} else {
			memset(replay->window + done, 0, part);
			replay->window_lacks = true;
		}
		done += part;
	}
	batch_run(&replay->batch);
}

/* Reads the ring from block at, up to bytes or its end. */
static int
window_read(
    struct replay *replay, uint64_t at, uint64_t bytes, struct waiter *waiter)
{
	uint64_t left = (replay->pool->redo.blocks - at) * FMT_BLOCK;

	replay->window_at = at;
	replay->window_bytes = bytes < left ? bytes : left;
	replay->in_parts = false;
	list_add_tail(&replay->wait, &waiter->link);
	window_submit(replay);
	return -EAGAIN;
}

static struct fmt_log_block *
window_block(struct replay *replay, uint64_t position)
{
	uint64_t from = (position - replay->window_at) * FMT_BLOCK;

	return (void *)(replay->window + from);
}

static uint64_t
window_left(const struct replay *replay, uint64_t position)
{
	uint64_t from = (position - replay->window_at) * FMT_BLOCK;

	return from < replay->window_bytes ? replay->window_bytes - from : 0;
}

/* ---- blocks ---- */

static bool
block_ours(const struct replay *replay, const struct fmt_log_block *block)
{
	return memcmp(block->pool_uuid, replay->pool->uuid, 16) == 0 &&
	       (le64_get(&block->incarnation) == replay->incarnation ||
		   engine_breaks.i10_accept_stale);
}

static bool
block_next(struct replay *replay)
{
	struct fmt_log_block *block = window_block(replay, replay->position);

	if (fmt_log_check(block, window_left(replay, replay->position)) != NULL)
		return false;
	if (!block_ours(replay, block))
		return false;
	if (engine_breaks.i10_accept_stale)
		return replay->blocks < replay->pool->redo.blocks;
	return le64_get(&block->seq) == replay->seq &&
	       le32_get(&block->prev_crc) == replay->prev_crc &&
	       replay->blocks + le32_get(&block->length) / FMT_BLOCK <=
		   replay->pool->redo.blocks;
}

/* Is there in the window a whole block that comes after the one missing? */
static bool
window_has_later(struct replay *replay, uint64_t from, uint64_t blocks)
{
	for (uint64_t at = from; at < from + blocks; at++) {
		struct fmt_log_block *block = window_block(replay, at);
		uint64_t left = window_left(replay, at);
		if (left == 0)
			return false;
		if (fmt_log_check(block, left) == NULL &&
		    block_ours(replay, block) &&
		    le64_get(&block->seq) > replay->seq)
			return true;
	}
	return false;
}

static int
stage_tail(struct replay *replay, struct waiter *waiter)
{
	uint64_t blocks = FMT_LOG_BLOCK_MAX / FMT_BLOCK;

	if (engine_breaks.i10_accept_stale) {
		replay->stage = REPLAY_RING;
		return 0;
	}
	if (window_has_later(replay, replay->position, blocks + 1)) {
		replay->problem = "the log is damaged in the middle";
		return -EBADMSG;
	}
	if (replay->window_lacks)
		replay->lacking |= 1u << replay->copy;
	replay->stage = REPLAY_WRAP;
	if (replay->position + blocks < replay->pool->redo.blocks)
		return 0;
	return window_read(replay, 0, FMT_LOG_BLOCK_MAX, waiter);
}

/* Behind the last block, in each copy. */
static int
stage_wrap(struct replay *replay, struct waiter *waiter)
{
	if (replay->window_at == 0 && replay->position != 0 &&
	    window_has_later(replay, 0, 1)) {
		replay->problem = "the log is damaged at its end";
		return -EBADMSG;
	}
	if (replay->copy + 1 < replay->copies) {
		replay->copy++;
		replay->stage = REPLAY_TAIL;
		return window_read(replay, replay->position, WINDOW, waiter);
	}
	if (replay->lacking == (1u << replay->copies) - 1) {
		replay->problem = "neither copy of the log can be read";
		return -EIO;
	}
	replay->stage = REPLAY_RING;
	return 0;
}

/* ---- records ---- */

static void
ahead_ready(struct waiter *waiter, int error)
{
	(void)waiter; /* whoever needs the page sees the error himself */
	(void)error;
}

static void
pages_ahead(
    struct replay *replay, const struct fmt_record *records, uint32_t count)
{
	unsigned free = 0;

	if (count > AHEAD_RECORDS)
		count = AHEAD_RECORDS;
	for (uint32_t i = 0; i < count; i++) {
		while (free < AHEAD && !list_empty(&replay->ahead[free].link))
			free++;
		if (free == AHEAD)
			return;
		apply_prepare(replay->pool, &records[i], &replay->ahead[free]);
	}
}

static int
records_apply(
    struct replay *replay, struct fmt_log_block *block, struct waiter *waiter)
{
	const struct fmt_record *records = (const void *)(block + 1);
	uint64_t first = le64_get(&block->first_lsn);
	uint32_t count = le32_get(&block->count);

	for (; replay->record < count; replay->record++) {
		uint64_t lsn = first + replay->record;
		int result;
		if (lsn < replay->checkpoint_lsn)
			continue;
		result = apply_prepare(
		    replay->pool, &records[replay->record], waiter);
		if (result == -EAGAIN)
			pages_ahead(replay, &records[replay->record + 1],
			    count - replay->record - 1);
		if (result == 0)
			result = apply(
			    replay->pool, &records[replay->record], lsn, true);
		if (result < 0)
			return result;
		replay->applied++;
	}
	if (replay->lsn < first + count)
		replay->lsn = first + count;
	return 0;
}

static int
stage_read(struct replay *replay, struct waiter *waiter)
{
	replay->stage = REPLAY_BLOCK;
	if (replay->window_bytes > 0 && replay->position >= replay->window_at &&
	    (window_left(replay, replay->position) > FMT_LOG_BLOCK_MAX ||
		(window_left(replay, replay->position) > 0 &&
		    replay->window_at + replay->window_bytes / FMT_BLOCK ==
			replay->pool->redo.blocks)))
		return 0;
	return window_read(replay, replay->position, WINDOW, waiter);
}

static int
block_missing(struct replay *replay, struct waiter *waiter)
{
	if (replay->copies > 1 && !replay->tried) {
		replay->tried = true;
		replay->copy ^= 1;
	} else {
		/* the search for a later one wants a window from here on */
		replay->stage = REPLAY_TAIL;
		replay->copy = 0;
	}
	return window_read(replay, replay->position, WINDOW, waiter);
}

static int
stage_block(struct replay *replay, struct waiter *waiter)
{
	struct fmt_log_block *block = window_block(replay, replay->position);
	uint32_t blocks = le32_get(&block->length) / FMT_BLOCK;
	int result;

	if (replay->record == 0 && !block_next(replay))
		return block_missing(replay, waiter);
	if (replay->tried)
		replay->pool->counters.mirror_reads++;
	replay->tried = false;
	result = records_apply(replay, block, waiter);
	if (result == -EBADMSG && replay->problem == NULL)
		replay->problem = "a record of the log contradicts the maps";
	if (result < 0)
		return result;
	replay->record = 0;
	replay->prev_crc = le32_get(&block->crc);
	replay->seq = le64_get(&block->seq) + 1;
	replay->blocks += blocks;
	replay->position =
	    (replay->position + blocks) % replay->pool->redo.blocks;
	replay->stage = REPLAY_READ;
	return 0;
}

/* Is there a whole group of records from lsn on? */
static bool
ring_has_group(const struct replay *replay, uint64_t lsn)
{
	const struct fmt_record *record;

	do
		record =
		    ack_ring_record(replay->pool, replay->incarnation, lsn++);
	while (record != NULL && record->flags & FMT_RECORD_MORE);
	return record != NULL;
}

/* What was acknowledged, but not durable when the last process ended. */
static int
stage_ring(struct replay *replay, struct waiter *waiter)
{
	struct pool *pool = replay->pool;

	while (ack_ring_matches(pool, replay->incarnation) &&
	       (replay->in_group || ring_has_group(replay, replay->lsn))) {
		const struct fmt_record *record =
		    ack_ring_record(pool, replay->incarnation, replay->lsn);
		int result;
		if (record == NULL)
			break;
		result = apply_prepare(pool, record, waiter);
		if (result == 0)
			result = apply(pool, record, replay->lsn, true);
		if (result == -EBADMSG && replay->problem == NULL)
			replay->problem =
			    "a record of the ack ring contradicts the maps";
		if (result < 0)
			return result;
		replay->in_group = record->flags & FMT_RECORD_MORE;
		replay->lsn++;
		replay->applied++;
	}
	replay->stage = REPLAY_END;
	return 0;
}

/* The log goes on behind what was read, in a new life. */
static void
replay_finish(struct replay *replay)
{
	struct redo *redo = &replay->pool->redo;

	redo->tail =
	    (replay->position + redo->blocks - replay->blocks % redo->blocks) %
	    redo->blocks;
	redo->head = redo->tail + replay->blocks;
	redo->seq = replay->seq;
	redo->incarnation = replay->incarnation + 1;
	redo->prev_crc = replay->prev_crc;
	redo->next_lsn = replay->lsn;
	redo->written_lsn = redo->durable_lsn = redo->sealed_lsn = replay->lsn;
}

int
replay_step(struct replay *replay, struct waiter *waiter)
{
	int result = replay->error;

	while (result == 0 && replay->stage != REPLAY_END) {
		switch (replay->stage) {
		case REPLAY_READ: result = stage_read(replay, waiter); break;
		case REPLAY_BLOCK: result = stage_block(replay, waiter); break;
		case REPLAY_TAIL: result = stage_tail(replay, waiter); break;
		case REPLAY_WRAP: result = stage_wrap(replay, waiter); break;
		case REPLAY_RING: result = stage_ring(replay, waiter); break;
		case REPLAY_END: break;
		}
	}
	if (result == 0)
		replay_finish(replay);
	return result;
}

uint64_t
replay_records(const struct replay *replay)
{
	return replay->applied;
}

const char *
replay_problem(const struct replay *replay)
{
	return replay->problem != NULL ? replay->problem
				       : "metadata cannot be read";
}

static bool
log_has_mirror(struct pool *pool)
{
	uint64_t offset;

	for (uint64_t at = 0; at < pool->redo.blocks;
	     at += pool->space.region_blocks)
		if (mirror_locate_address(
			pool, pool->redo.start + at, &offset) != NULL)
			return true;
	return false;
}

struct replay *
replay_new(struct pool *pool)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	const struct fmt_super *super = &pool->super;

	if (replay == NULL)
		return NULL;
	replay->pool = pool;
	replay->window = aligned_alloc(FMT_BLOCK, WINDOW);
	list_init(&replay->wait);
	for (unsigned i = 0; i < AHEAD; i++)
		waiter_init(&replay->ahead[i], ahead_ready);
	if (replay->window == NULL || batch_init(&replay->batch, pool) < 0) {
		replay_free(replay);
		return NULL;
	}
	replay->position = le64_get(&super->log_tail);
	replay->seq = le64_get(&super->log_seq);
	replay->incarnation = le64_get(&super->log_incarnation);
	replay->prev_crc = le32_get(&super->log_prev_crc);
	replay->checkpoint_lsn = le64_get(&super->checkpoint_lsn);
	replay->lsn = replay->checkpoint_lsn;
	replay->copies = log_has_mirror(pool) ? 2 : 1;
	return replay;
}

void
replay_free(struct replay *replay)
{
	batch_free(&replay->batch);
	free(replay->window);
	free(replay);
}
