/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies a window of a region, up to 1 MiB, from one place to another.
 */
#ifndef SNAPSHOT_WINDOW_H
#define SNAPSHOT_WINDOW_H

#include "backstores/backstore.h"

#define WINDOW_BYTES (1u << 20)

struct device;

struct window {
	void (*done)(struct window *window, int result);
	struct device *from, *to;
	uint64_t from_offset, to_offset;
	uint32_t length;
	bool skip_bad;    /* leave out blocks that cannot be read */
	uint64_t skipped; /* so many were, since window_init */
	/* the copy's own */
	uint32_t at, part; /* bytes */
	uint8_t *buffer;
	struct bs_io io;
	struct iovec iov;
};

int window_init(struct window *window, void (*done)(struct window *, int));
void window_free(struct window *window);
/* from, to and so on are set.  done once, later: what was copied is durable. */
void window_copy(struct window *window);

#endif
