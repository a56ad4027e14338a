/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A group of I/Os to devices that run at once and end together.
 */
#ifndef SNAPSHOT_BATCH_H
#define SNAPSHOT_BATCH_H

#include "backstores/backstore.h"

struct device;
struct pool;

struct batch_io {
	struct batch *batch;
	struct device *flush; /* the device, and what the flush covers */
	uint64_t flush_seq;
	struct backstore *bs;
	struct bs_io io;
	struct iovec iov;
};

struct batch {
	struct pool *pool;
	bool running;
	unsigned count, pending;
	unsigned failed;
	int error; /* the first */
	void (*done)(struct batch *batch);
	struct batch_io *one; /* BATCH_MAX */
	struct loop_task task;
};
#define BATCH_MAX 256u

int batch_init(struct batch *batch, struct pool *pool);
void batch_free(struct batch *batch);
/* Between begin and run: adds I/O.  done is called later, never from run. */
void batch_begin(struct batch *batch, void (*done)(struct batch *batch));
void batch_add(struct batch *batch, struct backstore *bs, enum bs_op op,
    uint64_t offset, void *data, uint64_t length, bool fua);
void batch_run(struct batch *batch);
/* Flushes for all devices that need one; marks them as not written. */
void batch_add_flushes(struct batch *batch);

#endif
