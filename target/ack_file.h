/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file behind a pool's ack ring (snapshot/ack_ring.h) and its memory of
 * COMPARE AND WRITE (scsi/compare_memory.h): shared memory that outlives
 * varved, so that a varved that is killed loses no acknowledged write, nor
 * which ones it had not acknowledged.  It lies in the run directory, named by
 * the pool's uuid, and is worth nothing after a restart of the machine.
 */
#ifndef TARGET_ACK_FILE_H
#define TARGET_ACK_FILE_H

#include "snapshot/pool.h"
#include "target/scsi/compare_memory.h"
#include <limits.h>

struct ack_file {
	void *memory;   /* NULL: none; the ring, then the memory */
	uint64_t bytes; /* of the ring */
	uint8_t boot_id[16];
	char path[PATH_MAX];
};

/* Opens dir/name.acks, or makes it.  0 or -errno; then the pool can do without,
 * and an acknowledged write that was not flushed may be lost by a kill. */
int ack_file_open(struct ack_file *file, const char *dir, const char *name);
int ack_file_rename(struct ack_file *file, const char *dir, const char *name);
/* No-op if there is none.  forget: takes the file away, too, unless a command
 * in it may come again. */
void ack_file_close(struct ack_file *file, bool forget);

/* Of this start of the machine.  0 or -errno. */
int boot_id_read(uint8_t ret_id[16]);

/* NULL: there is none.  now_ns: of the pool's loop. */
struct compare_memory *ack_file_compares(
    const struct ack_file *file, uint64_t now_ns);

void ack_file_give(const struct ack_file *file, struct pool_limits *limits);

#endif
