/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leases, for those who hand out blocks: space_data.c (chunks), space_holes.c
 * (single blocks), space_meta.c (pages).  What a lease is stands in space.h.
 */
#ifndef SNAPSHOT_LEASE_H
#define SNAPSHOT_LEASE_H

#include "snapshot/space.h"

/* Leases region: 0, -EAGAIN (queued; space->making is what is there so far) or
 * an error.  -EBADMSG: bitmap and counters contradict, the pool is suspect. */
int lease_make(struct pool *pool, uint64_t region, struct waiter *waiter,
    struct lease **ret_lease);
void lease_free(struct pool *pool, struct lease *lease);
/* No more is taken from *lease (or NULL), which is NULL then; it goes when its
 * last reservation does. */
void lease_retire(struct pool *pool, struct lease **lease);
/* run blocks of what was reserved are installed or given back. */
void lease_settle(struct pool *pool, struct lease *lease, uint32_t run);
/* Blocks of the region, marked busy or idle. */
void lease_mark(struct lease *lease, uint32_t block, uint32_t run, bool busy);
/* The lease of the region that is waited for, if it is one for data. */
bool lease_is_making_data(const struct pool *pool);

/* Logs that the region is of that class (and has that mirror) from now on. */
void region_record(struct pool *pool, uint64_t region, uint64_t class);
/* A DATA region with nothing in it can serve metadata again. */
void region_check_empty(struct pool *pool, uint64_t region);

static inline uint64_t
region_of(const struct space *space, uint64_t address)
{
	return address >> space->region_shift;
}

static inline uint64_t
region_address(const struct space *space, uint64_t region)
{
	return region << space->region_shift;
}

/* Which block of its region. */
static inline uint32_t
region_block(const struct space *space, uint64_t address)
{
	return (uint32_t)(address & (space->region_blocks - 1));
}

/* Makes busy in the lease what is in quarantine (quarantine.c). */
void quarantine_mark(struct space *space, struct lease *lease);

#endif
