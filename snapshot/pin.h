/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pinned checkpoint: what its superblock names stays on the devices as it is
 * while the pool goes on, so that it can be checked beside.
 *
 * Pages that later checkpoints give up are free when those are durable, as
 * ever; but not while they are the pinned one's.  They are kept busy until the
 * pin goes, in memory only: power that goes meanwhile takes the pin with it and
 * leaves nothing behind.  What was allocated after the pin is no page of it and
 * goes its usual way, so no more is held back than the checkpoint has pages.
 *
 * The pool comes first.  Where the pages held back would make metadata take
 * space that data could have, or a change or a checkpoint wait for space, the
 * pin is lost at once (-ENOSPC), and so it is when the pool is closed
 * (-ECANCELED).  Who reads is told by his next READ.
 *
 * Only pages of metadata are held: not the log, and not the data.
 */
#ifndef SNAPSHOT_PIN_H
#define SNAPSHOT_PIN_H

#include "snapshot/format.h"
#include "snapshot/pool.h"

/* The caller's, until pool_unpin(). */
struct pool_pin {
	struct fmt_super super; /* of the checkpoint */
	unsigned count;         /* of its devices, in their order */
	/* pin.c's */
	struct backstore *bs[POOL_DEVICE_MAX]; /* the pool's; gone when lost */
	struct pool *pool; /* NULL: it is not pinned any more */
	int lost;
};

/* Makes a checkpoint, unless the pool takes none any more (it is suspect, or
 * only read: then the newest durable one), and pins it.  -EBUSY: one is pinned;
 * -ENOMEM; or the checkpoint failed. */
void pool_pin(
    struct pool *pool, struct pool_pin *pin, struct pool_request *request);

/* On the pool's loop.  0, or what it was lost for: then what was read since it
 * was not may be anything. */
int pool_pin_lost(const struct pool_pin *pin);

/* On the pool's loop, while it is not lost: the n-th device, to be read from
 * loop; a READ ends in -ECANCELED once the pin is lost.  The pin outlives it.
 * NULL: no memory. */
struct backstore *pin_view(struct pool_pin *pin, unsigned n, struct loop *loop);

/* On the pool's loop, also of one that is lost.  Cost: the pages held back. */
void pool_unpin(struct pool_pin *pin);

/* ---- the engine's ---- */

/* One at most, pool->held; NULL: none is pinned. */
struct held;

/* The block is free as of the durable checkpoint.  True: it stays busy. */
bool pin_hold(struct pool *pool, uint64_t address);
/* Blocks that are held back. */
uint64_t pin_held(const struct pool *pool);
/* The pool needs what is held back.  True: something was. */
bool pin_lose(struct pool *pool, int error);

#endif
