/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A volume's data, over iSCSI with libiscsi, at any offset and length.  Waits
 * for each command, but for no answer longer than DISK_TIMEOUT_S, and never
 * logs in again by itself: an error is an error.  Serves one thread at a time.
 *
 * Problems are plugin.disk, and say what failed.
 */
#ifndef POOL_PLUGIN_DISK_H
#define POOL_PLUGIN_DISK_H

#include "client/problem.h"
#include <stdbool.h>
#include <stdint.h>

#define DISK_TIMEOUT_S 5
/* The most that disk_read and disk_write take at once. */
#define DISK_PIECE_MAX (1u << 20)

struct disk_address {
	const char *portal, *iqn, *initiator;
	const char *user, *secret; /* of CHAP; NULL: without */
	unsigned number;
};

struct disk;

json_t *disk_open(const struct disk_address *address, struct disk **ret_disk);
/* NULL is allowed. */
void disk_close(struct disk *disk);

uint64_t disk_size(const struct disk *disk);

/* length: up to DISK_PIECE_MAX, and within disk_size.  A write of part of a
 * block reads the rest of it first. */
json_t *disk_read(
    struct disk *disk, uint64_t offset, void *data, uint32_t length);
json_t *disk_write(
    struct disk *disk, uint64_t offset, const void *data, uint32_t length);
/* Waits until poll(2) has events for fd, and answers the target meanwhile,
 * which drops a session that is silent for long.  That the session is lost is
 * the next command's to say. */
void disk_wait(struct disk *disk, int fd, short events);
/* What was written is durable then. */
json_t *disk_flush(struct disk *disk);

/* Unmaps all of it: as much as the disk deems fit (UNMAP); or so that all of it
 * reads as zeros (WRITE SAME). */
json_t *disk_wipe(struct disk *disk, bool zeros);

static inline void
disk_closep(struct disk **disk)
{
	disk_close(*disk);
}

#endif
