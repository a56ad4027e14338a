/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One region on its way to another place.
 *
 * The place it goes to is that of a region with nothing in it, the target,
 * which is EVACUATING meanwhile.  When all is copied the two exchange their
 * places in the table of regions.  No address changes, so maps, leases and the
 * quarantine never notice: the target's number is then at the old place.
 *
 *	begin     every write to the region goes to both places, and is done
 *	          when both have it
 *	copy      a window at a time.  DATA: writes of hosts into the window
 *	          wait for it (the gate), and it waits for those before it (the
 *	          barrier pool->places), so that a copy never lays what is old
 *	          over what is new.  META: checkpoints are kept out (meta_hold),
 *	          nobody else writes there.  LOG: nothing is copied, since
 *	          reading begins behind what the new place lacks, once the
 *	          checkpoint below is durable
 *	exchange  with the gate over all the region, so that no write is in
 *	          flight and reads see one place or the other, never less
 *	commit    a checkpoint that has the exchange.  Writes go on to both
 *	          places until it is durable.  So whenever power goes, the table
 *	          that counts, the old or the new one, names a place that has
 *	          every write which was acknowledged
 *	drain     what may have looked up the old place ends: then nobody reads
 *	          or writes there, and it may be used again; so too when the
 *	          copy is given up, for the place it went to
 *
 * Why both places and not a gate over the last checkpoint: that takes as long
 * as the devices do to write all dirty metadata, and hosts would wait for it
 * once per region.  And why not a record in the log, instead of a checkpoint:
 * the log moves too, and the table of regions must be right before the log can
 * be read.
 *
 * Writes that overlap go to both places in the same order (seg.c).
 *
 * A write that fails at the new place spoils the copy: the region stays where
 * it is.  From the exchange on a write that fails at either place fails, but
 * of metadata if the other copy has it.
 *
 * After a crash an unfinished copy is forgotten: its target is FREE again.
 */
#ifndef SNAPSHOT_MOVE_H
#define SNAPSHOT_MOVE_H

#include "base/loop.h"
#include "snapshot/page.h"
#include "snapshot/space.h"
#include "snapshot/window.h"

struct seg;

struct move {
	uint32_t region; /* NO_REGION: none is under way */
	uint32_t target; /* NO_REGION: none, and nothing uses its old place */
	bool exchanged;
	bool spoiled;            /* the new place lacks something */
	bool unneeded;           /* asked to leave the region where it is */
	uint64_t at;             /* bytes that are copied */
	uint64_t gate, gate_end; /* addresses that writes of data wait for */
	/* struct seg, by moving: waiting for the gate; written to both places;
	 * waiting since they overlap one of these */
	struct list gated, flying, overlapping;
	uint64_t barrier, began;
	void (*step)(struct pool *pool); /* what comes when the wait ends */
	struct window window;
	struct waiter waiter;
	struct loop_timer timer;
	int result;
	/* 0: the region is at its new place, durably; -ECANCELED: given up;
	 * -ENOSPC: of the file system; -EIO: it cannot be read, or the pool
	 * is not online any more */
	void (*done)(struct pool *pool, int result);
};

void move_init(struct pool *pool);
/* target is FREE, and no other move is under way.  done once, later.
 * -ENOMEM: nothing has begun. */
int move_begin(struct pool *pool, uint32_t region, uint32_t target,
    void (*done)(struct pool *pool, int result));
/* It ends soon: given up, unless the places are exchanged already. */
void move_leave(struct pool *pool);
/* The pool closes: no done comes any more if this says true. */
bool move_stop(struct pool *pool);

/* May such a region be moved now?  Of metadata only what is whole. */
bool move_is_possible(const struct pool *pool, uint32_t region);

/* A write to the region failed at its other place: what becomes of it. */
int move_twin_failed(struct pool *pool, uint64_t region, int error);
/* Is that the other place of the region, or of its mirror? */
bool move_is_twin(
    const struct pool *pool, uint64_t region, unsigned device, uint64_t base);

#endif
