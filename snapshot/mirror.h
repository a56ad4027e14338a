/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Second copies of metadata.  A region of class META or LOG may have a mirror,
 * a region of class MIRROR whose place on a device holds the same blocks; on
 * another device if there is one with room, else far away on the same.
 *
 *	whole    written with every write, read when the first copy is bad
 *	filling  written with every write, not read: mirror_fill.c copies what
 *	         was there before
 *	bad      a write to it failed: neither, until it is filled anew
 *
 * When a write to the first copy fails, and the mirror is whole, the two
 * regions change places: what comes first is always right.  So one write that
 * succeeded is enough, and the pool stays online and says what it lacks.
 */
#ifndef SNAPSHOT_MIRROR_H
#define SNAPSHOT_MIRROR_H

#include "backstores/backstore.h"

struct device;
struct page;
struct pool;

/* The region, its mirror, and where one of both moves (move.h). */
#define MIRROR_COPIES 3u

/* A write to one region of metadata, in all its copies. */
struct mirror_write {
	struct pool *pool;
	void (*done)(struct mirror_write *write, int result);
	uint64_t region;
	unsigned pending; /* 0: not in flight */
	unsigned copies;
	unsigned place; /* its side in pool->places */
	struct device *device[MIRROR_COPIES];
	uint64_t base[MIRROR_COPIES]; /* where the region lies on it */
	struct bs_io io[MIRROR_COPIES];
};

/* Writes length bytes at address, which lie in one region.  done once, later:
 * 0 when they are in all copies that count. */
void mirror_write(struct mirror_write *write, struct pool *pool,
    uint64_t address, const struct iovec *iov, unsigned iov_count,
    uint64_t length, bool fua);

/* Where the mirror of a page that is being read lies: NULL: it has none. */
struct device *mirror_locate(
    struct pool *pool, struct page *page, uint64_t *ret_offset);
/* Where the mirror of an address lies, if it can be read. */
struct device *mirror_locate_address(
    struct pool *pool, uint64_t address, uint64_t *ret_offset);

/* Writes one block anew where it was found bad, in the background.  Nothing if
 * the pool is only read. */
void mirror_mend(struct pool *pool, struct device *device, uint64_t offset,
    const void *data);

/* A flush of device failed, and nothing but metadata was written to it since
 * the last one: true: all that it holds is elsewhere, and it is marked so. */
bool mirror_survives_flush(struct pool *pool, struct device *device, int error);

/* The region that a new META region of this number gets as its mirror, or
 * NO_REGION. */
uint32_t mirror_pick(struct pool *pool, uint64_t region);

/* Gives all regions of metadata their mirrors, in the background. */
void mirror_fill_start(struct pool *pool);
void mirror_fill_stop(struct pool *pool);
struct pool_job_stat;
bool mirror_fill_stat(const struct pool *pool, struct pool_job_stat *ret_stat);
bool mirrors_are_whole(const struct pool *pool);

/* Work on metadata that no checkpoint may come into: none begins to write
 * pages while one of these is held, and none is given while one does. */
bool meta_hold_try(struct pool *pool);
void meta_hold_drop(struct pool *pool);

#endif
