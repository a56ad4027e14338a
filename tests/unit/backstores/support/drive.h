/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calls a backstore as if it blocked: each function runs the loop, real or
 * simulated, on the test's own thread until what it asked for is done.
 */
#ifndef TESTS_UNIT_BACKSTORES_SUPPORT_DRIVE_H
#define TESTS_UNIT_BACKSTORES_SUPPORT_DRIVE_H

#include "backstores/backstore.h"

struct drive {
	struct loop *loop;
	bool simulated;
	bool done;
	unsigned waiting; /* I/Os */
};

void drive_open_sim(struct drive *drive, uint64_t seed);
void drive_open_real(struct drive *drive);
void drive_close(struct drive *drive);

/* Runs f(arg) on the loop, then the loop until drive_done(). */
void drive_run(struct drive *drive, void (*f)(void *arg), void *arg);
void drive_done(struct drive *drive);

/* Submits all in one turn of the loop and waits for all; results are in
 * io->result.  complete is set here. */
void drive_ios(struct drive *drive, struct backstore *bs, struct bs_io *ios,
    unsigned count);
int drive_io(struct drive *drive, struct backstore *bs, struct bs_io *io);

/* One buffer, or none. */
int drive_read(struct drive *drive, struct backstore *bs, uint64_t offset,
    void *buf, uint64_t length);
int drive_write(struct drive *drive, struct backstore *bs, uint64_t offset,
    const void *buf, uint64_t length, bool fua);
int drive_flush(struct drive *drive, struct backstore *bs);
int drive_zero(struct drive *drive, struct backstore *bs, uint64_t offset,
    uint64_t length, bool may_unmap, bool fua);
int drive_discard(struct drive *drive, struct backstore *bs, uint64_t offset,
    uint64_t length);

int drive_resize(struct drive *drive, struct backstore *bs, uint64_t size);
int drive_reserve(struct drive *drive, struct backstore *bs, uint64_t offset,
    uint64_t length);
void drive_close_store(struct drive *drive, struct backstore *bs);

/* Memory for I/O, aligned to 4096. */
void *drive_memory(uint64_t length);

/* Bytes that depend on where they stand and on a number. */
void pattern_fill(void *buf, uint64_t length, uint64_t offset, uint64_t number);
bool pattern_is(
    const void *buf, uint64_t length, uint64_t offset, uint64_t number);
bool all_zeros(const void *buf, uint64_t length);

#endif
