/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reservations: how much a volume is sure to get.
 *
 * A volume with a reservation may come to hold that much of its own, whatever
 * others do.  Its own is what it holds and its parent does not (what it shares
 * with its last snapshot it cannot write over without new space), and what is
 * still to come is set aside:
 *
 *	aside = min(reservation, size) - own - pending, but for rewrites
 *
 * The pool keeps the sum, and gives out space so that
 *
 *	free - pending >= sum of aside, and of the pages that maps need for it
 *
 * stays true (the pages counted twice: they cannot be where data is, and
 * once a map has them they are still set aside): a write gets what is free less
 *what is set aside for others, and what would raise the sum is refused if there
 *is not enough: setting a reservation, growing under one, a snapshot or a
 *rollback of a volume that has one.  (From a snapshot on, nothing is the
 *volume's own.)  Where there is less than was set aside, since the pool lost
 *space, those without get none.
 *
 * What is set aside are blocks, not chunks: where only single ones are left,
 * a volume with a cow unit of 4 KiB makes do with those.  So others cannot have
 * a reservation.
 *
 * Not asked for are the pages that trimming under snapshots takes, since it
 * goes on in a full pool: a region and the maps' part are there for it.
 */
#ifndef SNAPSHOT_RESERVE_H
#define SNAPSHOT_RESERVE_H

#include "snapshot/volume.h"

/* From a record: bytes, 0: none. */
void reserve_set(struct volume *volume, uint64_t bytes);
uint64_t reserve_bytes(const struct volume *volume);
/* Something that aside depends on has changed. */
void reserve_look(struct volume *volume);
/* It is in no list of volumes any more. */
void reserve_end(struct volume *volume);

/* How many of want blocks, a multiple of unit, are there for one for whom so
 * many are set aside. */
uint64_t reserve_ask(
    struct pool *pool, uint64_t aside, uint64_t want, unsigned unit);
/* Blocks set aside for all, maps included. */
uint64_t reserve_total(const struct pool *pool);

/* FREE regions that neither metadata needs nor anybody has been promised. */
uint64_t reserve_spare_regions(struct pool *pool);

/* Blocks that are missing if a volume (NULL: a new one) is to have this. */
uint64_t reserve_lacks(struct pool *pool, const struct volume *volume,
    uint64_t bytes, uint64_t size);
/* ... if nothing of what volumes have is to be their own any more. */
uint64_t reserve_lacks_for_snapshot(
    struct pool *pool, struct volume *const *volumes, unsigned count);

/* ... may a volume get. */
static inline uint64_t
reserve_allows(struct volume *volume, uint64_t want, unsigned unit)
{
	return volume->aside_blocks >= want
		   ? want
		   : reserve_ask(
			 volume->pool, volume->aside_blocks, want, unit);
}

#endif
