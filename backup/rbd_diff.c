/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/rbd_diff.h"
#include "base/assert.h"
#include "base/endian.h"
#include <errno.h>
#include <string.h>

#define MAGIC        "rbd diff v1\n"
#define MAGIC_LENGTH (sizeof(MAGIC) - 1)

/* ---- writing ---- */

static size_t
write_name(char type, const char *name, uint8_t *to)
{
	size_t length = strlen(name);

	if (length == 0)
		return 0;
	assert(length <= RBD_DIFF_NAME_MAX);
	to[0] = (uint8_t)type;
	store_le32(&to[1], (uint32_t)length);
	memcpy(&to[5], name, length);
	return 5 + length;
}

size_t
rbd_diff_write_head(
    const struct rbd_diff_head *head, uint8_t to[RBD_DIFF_HEAD_MAX])
{
	size_t length = MAGIC_LENGTH;

	memcpy(to, MAGIC, MAGIC_LENGTH);
	length += write_name('f', head->from, &to[length]);
	length += write_name('t', head->to, &to[length]);
	to[length] = 's';
	store_le64(&to[length + 1], head->size);
	return length + 9;
}

size_t
rbd_diff_write_record(
    const struct piece *piece, uint8_t to[RBD_DIFF_RECORD_MAX])
{
	assert(piece->length > 0);
	to[0] = piece->data != NULL ? 'w' : 'z';
	store_le64(&to[1], piece->offset);
	store_le64(&to[9], piece->length);
	return RBD_DIFF_RECORD_MAX;
}

size_t
rbd_diff_write_end(uint8_t to[RBD_DIFF_RECORD_MAX])
{
	to[0] = 'e';
	return 1;
}

/* ---- reading ---- */

static int
wrong(struct rbd_diff *diff, const char *what)
{
	diff->wrong = what;
	return -EBADMSG;
}

static int
take(struct rbd_diff *diff, void *to, size_t length)
{
	uint8_t *at = to;

	while (length > 0) {
		ssize_t got = diff->bytes->read(diff->bytes, at, length);
		if (got < 0)
			return (int)got;
		if (got == 0)
			return wrong(diff, "it ends too early");
		at += got;
		length -= (size_t)got;
		diff->position += (uint64_t)got;
	}
	return 0;
}

static int
take_name(struct rbd_diff *diff, char *name)
{
	uint8_t raw[4];
	uint32_t length;
	int ret = take(diff, raw, sizeof(raw));

	if (ret < 0)
		return ret;
	length = load_le32(raw);
	if (name[0] != '\0')
		return wrong(diff, "a snapshot is named twice");
	if (length == 0 || length > RBD_DIFF_NAME_MAX)
		return wrong(diff, "a snapshot's name is too long, or empty");
	ret = take(diff, name, length);
	if (ret < 0)
		return ret;
	name[length] = '\0';
	return strlen(name) == length
		   ? 0
		   : wrong(diff, "a snapshot's name has a zero in it");
}

static int
take_size(struct rbd_diff *diff, bool *has_size)
{
	uint8_t raw[8];
	int ret = take(diff, raw, sizeof(raw));

	if (ret < 0)
		return ret;
	if (*has_size)
		return wrong(diff, "the size is said twice");
	*has_size = true;
	diff->head.size = load_le64(raw);
	return diff->head.size < IMAGE_MAX
		   ? 0
		   : wrong(diff, "the image is too large");
}

int
rbd_diff_open(struct rbd_diff *diff, struct bytes *bytes)
{
	char magic[MAGIC_LENGTH];
	bool has_size = false;
	int ret;

	memset(diff, 0, offsetof(struct rbd_diff, buffer));
	diff->bytes = bytes;
	ret = take(diff, magic, sizeof(magic));
	if (ret == 0 && memcmp(magic, MAGIC, sizeof(magic)) != 0)
		ret = wrong(diff, "it is no RBD difference of version 1");
	while (ret == 0) {
		ret = take(diff, &diff->first, 1);
		if (ret < 0)
			return ret;
		if (diff->first == 'f')
			ret = take_name(diff, diff->head.from);
		else if (diff->first == 't')
			ret = take_name(diff, diff->head.to);
		else if (diff->first == 's')
			ret = take_size(diff, &has_size);
		else
			break;
	}
	if (ret == 0 && !has_size)
		ret = wrong(diff, "it does not say the image's size");
	return ret;
}

/* Is anything behind the end? */
static int
take_end(struct rbd_diff *diff)
{
	uint8_t byte;
	ssize_t got = diff->bytes->read(diff->bytes, &byte, 1);

	if (got < 0)
		return (int)got;
	if (got > 0)
		return wrong(diff, "something follows its end");
	diff->end = true;
	return 0;
}

static int
take_extent(struct rbd_diff *diff, struct piece *piece)
{
	uint8_t raw[16];
	int ret = take(diff, raw, sizeof(raw));

	if (ret < 0)
		return ret;
	piece->offset = load_le64(raw);
	piece->length = load_le64(&raw[8]);
	if (piece->length == 0)
		return wrong(diff, "a record is of no length");
	if (piece->length > diff->head.size ||
	    piece->offset > diff->head.size - piece->length)
		return wrong(diff, "a record lies outside of the image");
	if (piece->offset < diff->written)
		return wrong(diff, "records are not in order");
	diff->written = piece->offset;
	return 0;
}

/* From diff->written on, as much as fits. */
static int
take_data(struct rbd_diff *diff, struct piece *piece)
{
	size_t length = diff->left < PIECE_MAX ? diff->left : PIECE_MAX;
	int ret = take(diff, diff->buffer, length);

	if (ret < 0)
		return ret;
	*piece = (struct piece){diff->written, length, diff->buffer};
	diff->left -= length;
	diff->written += length;
	diff->data += length;
	return 1;
}

int
rbd_diff_next(struct rbd_diff *diff, struct piece *ret_piece)
{
	uint8_t type = diff->first;
	int ret = 0;

	*ret_piece = (struct piece){.length = 0};
	if (diff->end)
		return 0;
	if (diff->left > 0)
		return take_data(diff, ret_piece);
	diff->first = 0;
	if (type == 0)
		ret = take(diff, &type, 1);
	if (ret < 0)
		return ret;
	if (type == 'e')
		return take_end(diff);
	if (type != 'w' && type != 'z')
		return wrong(diff, "a record is of no type that is known here");
	ret = take_extent(diff, ret_piece);
	if (ret < 0)
		return ret;
	if (type == 'w') {
		diff->left = ret_piece->length;
		return take_data(diff, ret_piece);
	}
	diff->written += ret_piece->length;
	diff->zero += ret_piece->length;
	return 1;
}
