/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Differences laid over one another: where several say something, the newest is
 * right.  What an older one says past the end of the image as it was at any
 * time since is forgotten: that was cut off, and is zeros if the image grew
 * again.
 *
 * Pure: no input or output of its own, memory for each of the layers only.
 */
#ifndef BACKUP_MERGE_H
#define BACKUP_MERGE_H

#include "backup/piece.h"

struct merge_layer {
	struct source *source; /* the caller's */
	uint64_t size;         /* of the image it leads to */
};

struct merge;

/* From the oldest to the newest, one at least.  whole: the oldest is from
 * nothing, so zeros need not be said where no older layer says anything. */
struct merge *merge_new(
    const struct merge_layer *layers, unsigned count, bool whole);
void merge_free(struct merge *merge); /* NULL is nothing */
struct source *merge_source(struct merge *merge);

#endif
