/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The redo log while the pool is open: records of changes already applied,
 * made durable in groups.
 *
 * A commit is: take what is pending; flush each device that has a volatile
 * cache and was written since its last flush, all in parallel; write the
 * records as one or more log blocks with FUA, one after the other; wake those
 * who waited when the records were taken.  One commit runs at a time.  If the
 * ring has no room it waits for a checkpoint, which needs none.  A block goes
 * to the mirror of the log too, and both have it when the commit is done.
 */
#ifndef SNAPSHOT_REDO_H
#define SNAPSHOT_REDO_H

#include "backstores/backstore.h"
#include "snapshot/batch.h"
#include "snapshot/mirror.h"
#include "snapshot/page.h"

/* Address space for records not yet written; touched as needed. */
#define REDO_PENDING_MAX (4u << 20)
/* So many pending records start a commit by themselves: 64 KiB. */
#define REDO_COMMIT_RECORDS 2700u

enum redo_state { REDO_IDLE, REDO_FLUSHING, REDO_WRITING, REDO_NO_ROOM };

struct redo {
	uint64_t start;      /* address */
	uint64_t blocks;     /* of the ring */
	uint64_t head, tail; /* blocks, counted without wrapping */
	uint64_t seq, incarnation;
	uint32_t prev_crc;

	struct fmt_record *pending; /* a ring of REDO_PENDING_MAX */
	uint64_t next_lsn;          /* of the next record */
	uint64_t written_lsn;       /* records below it were given to a block */
	uint64_t durable_lsn;       /* records below it are durable */
	uint64_t sealed_lsn;        /* the running commit ends here */
	uint64_t soon_lsn;          /* behind the last that is not lazy */

	enum redo_state state;
	struct list waiting; /* for the next commit */
	struct list sealed;  /* for the running one */
	struct batch batch;
	bool wanted;
	bool closed;     /* until the checkpoint after recovery */
	uint8_t *buffer; /* one log block */
	struct mirror_write write;
	struct iovec iov;
	struct loop_timer timer;
	struct loop_task task;
	uint64_t commits;
};

int redo_init(struct pool *pool);
void redo_done(struct pool *pool);

/* Appends a group of records, already applied; returns the lsn after them. */
uint64_t redo_append(
    struct pool *pool, const struct fmt_record *records, unsigned count);

/* Wakes waiter when all records there are now, and all data written till now,
 * are durable. */
void redo_flush(struct pool *pool, struct waiter *waiter);

/* Starts a commit if anything is pending. */
void redo_kick(struct pool *pool);

/* The checkpoint that covers all records below lsn is durable, and reading
 * will start at tail. */
void redo_checkpointed(struct pool *pool, uint64_t lsn, uint64_t tail);

/* Fails all waiters: the pool is suspect. */
void redo_fail(struct pool *pool, int error);

/* A record that is pending, or not long durable. */
static inline struct fmt_record *
redo_record(const struct redo *redo, uint64_t lsn)
{
	return &redo->pending[lsn % REDO_PENDING_MAX];
}

static inline uint64_t
redo_used_blocks(const struct redo *redo)
{
	return redo->head - redo->tail;
}

static inline uint64_t
redo_pending_count(const struct redo *redo)
{
	return redo->next_lsn - redo->written_lsn;
}

#endif
