/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A note: a JSON object in the middle of a stream of zstd frames.  It is a
 * skippable frame (RFC 8878, 3.1.2), so that what goes through a pipe is, to
 * unzstd, the stream alone:
 *
 *	magic:32 (0x184d2a56)  length:32  text        little endian
 *
 * Every note has the member "varve_pipe", the version of what is said.
 */
#ifndef BACKUP_NOTE_H
#define BACKUP_NOTE_H

#include "backup/rbd_diff.h"
#include <jansson.h>

#define NOTE_MAGIC   0x184d2a56u
#define NOTE_VERSION 1
/* One that says it is longer is none. */
#define NOTE_TEXT_MAX (1u << 20)

/* Takes note.  0 or negative errno. */
int note_write(int fd, json_t *note);

/* 0; -EBADMSG: that is no note; -EPROTO: one of another version; -ENODATA: the
 * bytes end before it; -EPIPE: in it; an error of bytes. */
int note_read(struct bytes *bytes, json_t **ret_note);

/* Bytes of a file descriptor, which stays the caller's. */
struct fd_bytes {
	struct bytes bytes;
	int fd;
};
void fd_bytes_init(struct fd_bytes *bytes, int fd);
/* All of it: 0 or negative errno. */
int fd_write(int fd, const void *data, size_t length);

#endif
