/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pool on disks that can lose power, driven one call at a time: each call
 * runs the simulated loop until its callback came.
 */
#ifndef TESTS_UNIT_SNAPSHOT_RIG_H
#define TESTS_UNIT_SNAPSHOT_RIG_H

#include "backstores/testing.h"
#include "snapshot/family.h"
#include "snapshot/pin.h"

#define RIG_DISKS 6

struct rig {
	struct loop *loop;
	struct backstore *disk[RIG_DISKS];    /* as the pool is given it */
	struct backstore *platter[RIG_DISKS]; /* NULL: that is the disk */
	unsigned disks;
	struct pool *pool;
	struct pool_limits limits;
	char problem[POOL_PROBLEM_MAX];
};

/* One disk of size bytes; cache: it has a volatile one. */
void rig_init(struct rig *rig, uint64_t size, uint32_t block_size, bool cache);
void rig_done(struct rig *rig);
struct backstore *rig_disk(
    struct rig *rig, uint64_t size, uint32_t block_size, bool cache);

/* A layer that fails what it is told to, until the next cut. */
struct backstore *rig_errors(struct rig *rig, unsigned disk);
/* What a READ of the disk would return, and changing it. */
void rig_peek(struct rig *rig, unsigned disk, uint64_t offset, void *buf,
    uint64_t length);
void rig_poke(struct rig *rig, unsigned disk, uint64_t offset, const void *buf,
    uint64_t length);

int rig_create(struct rig *rig, const struct pool_params *params, bool force);
int rig_open(struct rig *rig, bool read_only);
int rig_close(struct rig *rig);
/* What is not durable is gone, and so is the pool. */
void rig_cut(struct rig *rig);

int rig_volume(struct rig *rig, const char *name, uint64_t size,
    uint32_t block_size, struct volume **ret_volume);
int rig_volume_unit(struct rig *rig, const char *name, uint64_t size,
    uint32_t cow_unit, struct volume **ret_volume);
int rig_delete(struct rig *rig, struct volume *volume);
int rig_resize(struct rig *rig, struct volume *volume, uint64_t size);
int rig_limits(
    struct rig *rig, struct volume *volume, uint64_t quota, uint64_t reserve);
int rig_rename(struct rig *rig, struct volume *volume, const char *name);
int rig_grow(struct rig *rig, struct backstore *bs);
int rig_evacuate(struct rig *rig, unsigned device);
int rig_evacuate_cancel(struct rig *rig, unsigned device);
/* disk is its place in the rig; those behind it move up. */
int rig_device_remove(struct rig *rig, unsigned device, unsigned disk);
int rig_levels(struct rig *rig, unsigned soft, unsigned hard);
int rig_checkpoint(struct rig *rig);
int rig_mirror(struct rig *rig);
int rig_pin(struct rig *rig, struct pool_pin *pin);
int rig_scrub(struct rig *rig);
int rig_snapshot(struct rig *rig, struct volume *volume, const char *name,
    struct volume **ret_snapshot);
int rig_clone(struct rig *rig, struct volume *snapshot, const char *name,
    struct volume **ret_volume);
int rig_rollback(struct rig *rig, struct volume *volume,
    struct volume *snapshot, const char *keep);
int rig_trash(struct rig *rig, struct volume *volume);
int rig_restore(struct rig *rig, struct volume *volume, const char *name);
int rig_hold(struct rig *rig, struct volume *snapshot, bool hold);
int rig_consistency(
    struct rig *rig, struct volume *snapshot, enum consistency consistency);
int rig_erasing(
    struct rig *rig, struct volume *volume, bool erasing, bool exits);
int rig_diff(struct rig *rig, struct diff_request *diff);
int rig_unbookmark(struct rig *rig, struct volume *volume, const char *name);
int rig_bookmark(struct rig *rig, struct volume *volume,
    struct volume *snapshot, const char *name);
/* Runs until nothing is left to do but timers that are far away. */
void rig_settle(struct rig *rig, uint64_t ns);
/* ... and no job: deletions, flattening. */
void rig_settle_jobs(struct rig *rig);

/* Any backstore: a disk, or what a volume was opened as. */
void rig_close_bs(struct rig *rig, struct backstore *bs);
int rig_io(struct rig *rig, struct backstore *bs, enum bs_op op,
    uint64_t offset, void *data, uint64_t length);
int rig_fill(struct rig *rig, struct backstore *bs, uint64_t offset,
    uint64_t length, int byte);
/* Are all bytes there byte?  Asserts that it can be read. */
bool rig_holds(struct rig *rig, struct backstore *bs, uint64_t offset,
    uint64_t length, int byte);
/* ... of a volume or snapshot that nobody has open. */
bool rig_volume_holds(struct rig *rig, struct volume *volume, uint64_t offset,
    uint64_t length, int byte);
int rig_unmap(
    struct rig *rig, struct backstore *bs, uint64_t offset, uint64_t length);
int rig_flush(struct rig *rig, struct backstore *bs);
struct pool_stat rig_stat(struct rig *rig);
/* Mirrors that lie on the device of what they copy. */
unsigned rig_mirrors_beside(const struct rig *rig);
/* Of the newest superblock on the disk. */
uint64_t rig_incompat(struct rig *rig, unsigned disk);

#endif
