/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A store that may be written without changing the one below: what is written
 * is kept in memory, and everything else is read from below.  So the engine can
 * recover a pool, or mend it, and what came of it can be looked at before a
 * byte of the device has changed.
 *
 *	overlay_new    below stays the caller's, and is only read
 *	overlay_open   a backstore; closing it forgets nothing, and it may be
 *	               opened again, once at a time
 *	overlay_free   forgets
 *
 * Memory: 4 KiB and a little for each block that was written, a little for each
 * that was zeroed or discarded.  Without it, -ENOMEM.  FLUSH and FUA have
 * nothing to do.  It is of fixed size and not thin: EXTENTS says that all is
 * data.
 */
#ifndef BACKSTORES_OVERLAY_H
#define BACKSTORES_OVERLAY_H

#include "backstores/backstore.h"

struct overlay;

/* NULL: no memory. */
struct overlay *overlay_new(struct backstore *below);
/* Has the name of the store below. */
struct backstore *overlay_open(struct overlay *overlay);
void overlay_free(struct overlay *overlay);

/* Calls each() with the offset of every block of 4 KiB that was changed, in
 * ascending order; not 0 ends it and is returned.  -ENOMEM. */
int overlay_each(struct overlay *overlay,
    int (*each)(void *arg, uint64_t offset), void *arg);

#endif
