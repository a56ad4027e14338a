/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes through a pipe: zstd frames, and notes between them (note.h).  A
 * file has pack.h, whose threads write it wherever there is something to write.
 */
#ifndef BACKUP_FRAMES_H
#define BACKUP_FRAMES_H

#include "backup/pack.h"

/* ---- in at one end ---- */

struct frames_out;

/* Writes to fd, which stays the caller's. */
struct frames_out *frames_out_new(int fd, int level);
void frames_out_free(struct frames_out *out); /* NULL is nothing */
/* 0 or negative errno. */
int frames_write(struct frames_out *out, const void *data, size_t length);
/* Ends a frame: all so far is in the pipe, and that is what it sums up to. */
int frames_mark(struct frames_out *out, struct pack_mark *ret_mark);

/* ---- out at the other ---- */

struct frames_in {
	/* What was compressed.  0 where a note stands between two frames; goes
	 * on when that was taken from raw.  -EBADMSG: it is damaged; -EPIPE: it
	 * ends; errors of read(2). */
	struct bytes bytes;
	struct bytes raw; /* what comes next as it is; between frames */
	struct frames_in_state *state;
};

/* fd stays the caller's. */
void frames_in_init(struct frames_in *in, int fd);
void frames_in_done(struct frames_in *in);
/* Of what was unpacked so far. */
void frames_in_mark(const struct frames_in *in, struct pack_mark *ret_mark);

#endif
