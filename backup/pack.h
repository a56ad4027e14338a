/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file of a stream: zstd frames, one behind the other, as unzstd takes
 * them, with the SHA-256 of the file made as it is written.
 *
 * Who writes hands over, and does not wait: compressing, summing and writing
 * are done by other threads (belt.h), a frame for every MiB or so, and
 * their problems come with a later call.
 *
 * A mark ends a frame.  A file that was cut off there, with what the mark says,
 * can be gone on with: that is how a backup that was killed resumes.
 */
#ifndef BACKUP_PACK_H
#define BACKUP_PACK_H

#include "backup/rbd_diff.h"
#include "backup/sha256.h"

struct pack_mark {
	uint64_t file_bytes, stream_bytes;
	char sha256[SHA256_TEXT]; /* of the file until there */
};

struct pack;

/* Writes to fd, which stays the caller's; name is for problems.  level:
 * as of backup_create_params.  mark: where to go on; NULL: from the beginning.
 * What the file has until there is read and has to be what the mark says; what
 * it has behind goes. backup.resume   it is not */
json_t *pack_new(int fd, const char *name, int level,
    const struct pack_mark *mark, struct pack **ret_pack);
/* What is not in the file by then need not get there.  NULL is nothing. */
void pack_free(struct pack *pack);

/* Copies data. */
json_t *pack_write(struct pack *pack, const void *data, size_t length);
/* Waits: everything written so far is in the file. */
json_t *pack_mark(struct pack *pack, struct pack_mark *ret_mark);
/* The same, but without waiting: pack_reached() says when.  One at a time. */
json_t *pack_ask(struct pack *pack);
/* Is all until there in the file?  Says so once. */
bool pack_reached(struct pack *pack, struct pack_mark *ret_mark);

/* ---- reading (unpack.c) ---- */

struct unpack {
	struct bytes bytes;
	struct unpack_state *state;
};

/* Reads fd from where it stands, in a thread of its own; fd stays the caller's.
 * Errors of its bytes: -EBADMSG what is compressed is damaged, -EAGAIN there
 * are no more threads to be had, -EIO and others of read(2). */
void unpack_init(struct unpack *unpack, int fd);
void unpack_done(struct unpack *unpack);
/* Of what was read so far, which may be ahead of the bytes: all of the file at
 * their end. */
void unpack_mark(const struct unpack *unpack, struct pack_mark *ret_mark);

#endif
