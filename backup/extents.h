/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snap.diff from its first page to its last, with what is adjacent joined: the
 * same extents come out wherever pages end.
 */
#ifndef BACKUP_EXTENTS_H
#define BACKUP_EXTENTS_H

#include "client/varve.h"
#include <stdbool.h>
#include <stdint.h>

struct extent {
	uint64_t offset, length; /* bytes; length 0: the end */
	bool data;               /* else zeros */
};

struct extents_params {
	struct varve *varve;  /* outlives it */
	const char *from;     /* POOL/LUN, or POOL/LUN@SNAP */
	const char *to;       /* POOL/LUN@SNAP */
	const char *bookmark; /* NULL or "": none */
	uint64_t offset;      /* where to begin */
};

struct extents;

struct extents *extents_new(const struct extents_params *params);
void extents_free(struct extents *extents); /* NULL is nothing */
json_t *extents_next(struct extents *extents, struct extent *ret_extent);

/* Walks them all. */
json_t *extents_total(const struct extents_params *params, uint64_t *ret_data,
    uint64_t *ret_zero);

#endif
