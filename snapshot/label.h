/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading and writing what lies at the ends of devices: labels, superblocks.
 */
#ifndef SNAPSHOT_LABEL_H
#define SNAPSHOT_LABEL_H

#include "snapshot/engine.h"

struct labels {
	struct backstore *bs[POOL_DEVICE_MAX];
	unsigned count;
	struct batch batch;
	uint8_t *blocks; /* FMT_LABELS of 4 KiB per device */
	int error;       /* of the last read or write */
	struct list waiting;
};

struct labels *labels_new(struct backstore **bs, unsigned count);
void labels_free(struct labels *labels); /* NULL: nothing */

/* Each wakes waiter when done, always without error: see labels->error. */
void labels_read(struct labels *labels, struct waiter *waiter);
void labels_read_supers(struct labels *labels, struct waiter *waiter);
void labels_wipe_supers(struct labels *labels, struct waiter *waiter);
/* All copies of the labels of all devices. */
void labels_wipe(struct labels *labels, struct waiter *waiter);
/* Slot 0 of each device, to all four places, and made durable. */
void labels_write(struct labels *labels, struct pool *pool, unsigned first,
    unsigned count, struct waiter *waiter);

/* The label (superblock) n of device i, as read. */
void *labels_slot(struct labels *labels, unsigned i, unsigned n);
/* The newest right label of device i, or NULL. */
const struct fmt_label *labels_best(struct labels *labels, unsigned i);

#endif
