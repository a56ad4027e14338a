/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ceph's format of RBD differences, version 1 (doc/dev/rbd-diff of Ceph's
 * manual); all integers are little endian:
 *
 *	"rbd diff v1\n"
 *	'f' length:32 name      the snapshot it is from; absent: from nothing
 *	't' length:32 name      the snapshot it leads to
 *	's' size:64             the image's size there
 *	'w' offset:64 length:64 data...
 *	'z' offset:64 length:64 zeros
 *	'e'                     the end
 *
 * f, t and s come first, in any order, each once; w and z follow.  Here they
 * are read and written in rising order without overlap, which is what rbd
 * export-diff makes and what rbd merge-diff wants.
 */
#ifndef BACKUP_RBD_DIFF_H
#define BACKUP_RBD_DIFF_H

#include "backup/piece.h"
#include <sys/types.h>

#define RBD_DIFF_NAME_MAX 255

/* ---- writing ---- */

struct rbd_diff_head {
	char from[RBD_DIFF_NAME_MAX + 1]; /* "": nothing */
	char to[RBD_DIFF_NAME_MAX + 1];   /* "": none */
	uint64_t size;
};

/* Both say how long it is. */
#define RBD_DIFF_HEAD_MAX   (12 + 2 * (5 + RBD_DIFF_NAME_MAX) + 9)
#define RBD_DIFF_RECORD_MAX 17
size_t rbd_diff_write_head(
    const struct rbd_diff_head *head, uint8_t to[RBD_DIFF_HEAD_MAX]);
/* w or z; the data of w follow it. */
size_t rbd_diff_write_record(
    const struct piece *piece, uint8_t to[RBD_DIFF_RECORD_MAX]);
size_t rbd_diff_write_end(uint8_t to[RBD_DIFF_RECORD_MAX]);

/* ---- reading ---- */

/* Where the bytes come from: up to length of them; 0 at their end; negative
 * errno. */
struct bytes {
	ssize_t (*read)(struct bytes *bytes, void *to, size_t length);
};

struct rbd_diff {
	struct bytes *bytes;
	struct rbd_diff_head head;
	const char *wrong;   /* of -EBADMSG: a phrase */
	uint64_t data, zero; /* bytes so far */
	uint64_t position,
	    written;   /* in the stream; up to there in the image */
	uint64_t left; /* of the w record that is being read */
	bool end;
	uint8_t first; /* type of the first record behind the head */
	uint8_t buffer[PIECE_MAX];
};

/* Reads the head.  0; -EBADMSG; an error of bytes.  bytes outlives it. */
int rbd_diff_open(struct rbd_diff *diff, struct bytes *bytes);
/* 1: a piece, data in diff's buffer; 0: the end, and nothing is behind it;
 * -EBADMSG; an error of bytes. */
int rbd_diff_next(struct rbd_diff *diff, struct piece *ret_piece);

#endif
