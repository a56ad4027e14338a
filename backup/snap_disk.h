/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A snapshot as a disk that NBD serves: read over iSCSI with many commands in
 * flight, and mapped by what varved says of it, some thousand extents at a
 * time.
 */
#ifndef BACKUP_SNAP_DISK_H
#define BACKUP_SNAP_DISK_H

#include "backup/attachment.h"
#include "backup/extents.h"
#include "backup/nbd.h"

struct snap_map {
	struct extents_params params;
	/* What is known of begin to end. */
	struct extent *extents;
	unsigned count;
	uint64_t begin, end;
};

struct snap_read {
	uint64_t offset;
	uint32_t length;
	uint8_t *to;
	uint64_t asked, got, end; /* in whole units: up to there */
};

struct snap_disk {
	struct nbd_disk disk;
	struct initiator *initiator;
	struct snap_read reads[NBD_READS_MAX]; /* in a circle */
	unsigned first, count;
	unsigned asking; /* the first, from `first`, not all asked for */
	bool broken;     /* nothing is read any more */
	struct snap_map maps[2]; /* by enum nbd_map */
};

/* params: by enum nbd_map; what they name outlives it, as initiator does. */
void snap_disk_init(struct snap_disk *snap, struct initiator *initiator,
    uint64_t size, const struct extents_params params[2]);
void snap_disk_done(struct snap_disk *snap);

#endif
