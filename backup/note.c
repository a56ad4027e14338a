/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/note.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/endian.h"
#include <errno.h>
#include <string.h>

#define HEAD 8

/* ---- writing ---- */

int
fd_write(int fd, const void *data, size_t length)
{
	const uint8_t *at = data;

	while (length > 0) {
		ssize_t put = write(fd, at, length);
		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		at += put;
		length -= (size_t)put;
	}
	return 0;
}

int
note_write(int fd, json_t *note)
{
	_cleanup_(freep) char *text = NULL;
	uint8_t head[HEAD];
	int ret;

	json_object_set_new(note, "varve_pipe", json_integer(NOTE_VERSION));
	text = json_dumps(note, JSON_COMPACT | JSON_SORT_KEYS);
	assert(text != NULL);
	assert(strlen(text) <= NOTE_TEXT_MAX);
	json_decref(note);
	store_le32(head, NOTE_MAGIC);
	store_le32(&head[4], (uint32_t)strlen(text));
	ret = fd_write(fd, head, sizeof(head));
	return ret < 0 ? ret : fd_write(fd, text, strlen(text));
}

/* ---- reading ---- */

/* All of it; 0, -ENODATA: none of it, -EPIPE: a part, or an error of bytes. */
static int
take(struct bytes *bytes, void *to, size_t length)
{
	size_t got = 0;

	while (got < length) {
		ssize_t ret =
		    bytes->read(bytes, (uint8_t *)to + got, length - got);
		if (ret < 0)
			return (int)ret;
		if (ret == 0)
			return got == 0 ? -ENODATA : -EPIPE;
		got += (size_t)ret;
	}
	return 0;
}

static int
parse(const char *text, size_t length, json_t **ret_note)
{
	json_t *note = json_loadb(text, length, JSON_REJECT_DUPLICATES, NULL);
	const json_t *version = json_object_get(note, "varve_pipe");
	int ret = 0;

	if (!json_is_integer(version))
		ret = -EBADMSG;
	else if (json_integer_value(version) != NOTE_VERSION)
		ret = -EPROTO;
	if (ret == 0)
		*ret_note = note;
	else
		json_decref(note);
	return ret;
}

int
note_read(struct bytes *bytes, json_t **ret_note)
{
	_cleanup_(freep) char *text = NULL;
	uint8_t head[HEAD];
	uint32_t length;
	int ret = take(bytes, head, sizeof(head));

	if (ret < 0)
		return ret;
	length = load_le32(&head[4]);
	if (load_le32(head) != NOTE_MAGIC || length == 0 ||
	    length > NOTE_TEXT_MAX)
		return -EBADMSG;
	text = malloc(length);
	assert(text != NULL);
	ret = take(bytes, text, length);
	if (ret < 0)
		return ret == -ENODATA ? -EPIPE : ret;
	return parse(text, length, ret_note);
}

/* ---- of a file descriptor ---- */

static ssize_t
fd_read(struct bytes *bytes, void *to, size_t length)
{
	int fd = container_of(bytes, struct fd_bytes, bytes)->fd;
	ssize_t got;

	do {
		got = read(fd, to, length);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

void
fd_bytes_init(struct fd_bytes *bytes, int fd)
{
	*bytes = (struct fd_bytes){.bytes.read = fd_read, .fd = fd};
}
