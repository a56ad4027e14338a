/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backstores at the leaves.  Opening may block (open, ioctl, fallocate):
 * it belongs to start-up and the control path, not to a busy loop.
 */
#ifndef BACKSTORES_STORES_H
#define BACKSTORES_STORES_H

#include "backstores/backstore.h"

struct bs_file_params {
	const char *path;
	uint64_t create_size; /* with create: bytes */
	bool create;          /* O_EXCL: -EEXIST if it is there */
	bool preallocate;     /* with create: no sparse file */
	bool read_only;
	bool page_cache; /* no O_DIRECT even where the file takes it */
	bool no_lock;    /* offline readers of a live store */
};

/* A regular file: O_DIRECT where the file system takes it; FLUSH is
 * fdatasync, FUA is RWF_DSYNC; ZERO with may_unmap punches holes.  Takes an
 * exclusive lock (OFD) unless read_only or no_lock: -EBUSY names no one.
 * Errors of open(2), -EBUSY locked, -EINVAL not a regular file or its size is
 * no multiple of its block size. */
int bs_file_open(struct loop *loop, const struct bs_file_params *params,
    struct backstore **ret_bs);

/* A block device, O_DIRECT, opened exclusively (O_EXCL: -EBUSY if mounted or
 * open by another).  FLUSH only when the device has a volatile write cache. */
int bs_block_open(struct loop *loop, const char *path, bool read_only,
    struct backstore **ret_bs);

/* By what path is: file or block device. */
int bs_path_open(struct loop *loop, const char *path, bool read_only,
    struct backstore **ret_bs);

/* Memory: sparse, no durability; for tests, benchmarks and scratch LUNs. */
int bs_mem_new(struct loop *loop, uint64_t size, uint32_t block_size,
    struct backstore **ret_bs);

#endif
