/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What backups are made of: pieces of an image, in rising order and without
 * overlap.  Every copy is from a source to a sink: a snapshot that is read, a
 * file of a backup, several of these laid over one another; a file of a backup,
 * a raw image, a LUN.
 *
 * What no piece says is, in a full image, zeros; in a difference, unchanged.
 */
#ifndef BACKUP_PIECE_H
#define BACKUP_PIECE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most data in one piece; zeros may be as many as they like. */
#define PIECE_MAX (256u << 10)
/* An image is smaller than that (off_t). */
#define IMAGE_MAX (1ull << 62)

struct piece {
	uint64_t offset, length; /* bytes; length 0: the end */
	const uint8_t *data;     /* NULL: zeros */
};

struct source {
	/* The next piece, whose data stay until the next call; or length 0,
	 * again and again.  A problem ends it. */
	json_t *(*next)(struct source *source, struct piece *ret_piece);
};

struct sink {
	/* The data are the caller's again when it returns. */
	json_t *(*put)(struct sink *sink, const struct piece *piece);
};

static inline uint64_t
piece_end(const struct piece *piece)
{
	return piece->offset + piece->length;
}

/* What is left of it at and behind offset, which is not before it. */
static inline void
piece_skip_to(struct piece *piece, uint64_t offset)
{
	uint64_t skip = offset - piece->offset;

	if (skip > piece->length)
		skip = piece->length;
	piece->offset += skip;
	piece->length -= skip;
	if (piece->data != NULL)
		piece->data += skip;
}

#endif
