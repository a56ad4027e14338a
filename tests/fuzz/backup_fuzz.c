/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files of a backup, as somebody else may have left them: an input that begins
 * with { is a manifest, one that begins as zstd does is a file of a stream, and
 * anything else is a stream that was unpacked.
 *
 * What is read must hold: a manifest that is taken is written and taken again;
 * pieces lie in the image, in order, and a stream laid over itself is itself.
 */
#include "backup/manifest.h"
#include "backup/merge.h"
#include "backup/pack.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define UNPACKED_MAX (16u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- manifests ---- */

static void
manifest(const char *text, size_t length)
{
	struct backup_point point, again;
	_cleanup_(freep) char *copy = NULL;

	if (manifest_read(text, length, &point) != NULL)
		return;
	assert(strchr(point.file, '/') == NULL);
	assert(strchr(point.name, '/') == NULL);
	copy = manifest_write(&point);
	assert(manifest_read(copy, strlen(copy), &again) == NULL);
	assert(strcmp(again.uuid, point.uuid) == 0);
}

/* ---- streams ---- */

struct memory {
	struct bytes bytes;
	const uint8_t *data;
	size_t length, at;
};

static ssize_t
memory_read(struct bytes *bytes, void *to, size_t length)
{
	struct memory *memory = container_of(bytes, struct memory, bytes);

	if (length > memory->length - memory->at)
		length = memory->length - memory->at;
	memcpy(to, memory->data + memory->at, length);
	memory->at += length;
	return (ssize_t)length;
}

/* Bytes as a source; it ends where they are wrong. */
struct stream {
	struct source source;
	struct memory memory;
	struct rbd_diff diff;
	bool open;
};

static json_t *
stream_next(struct source *source, struct piece *ret_piece)
{
	struct stream *stream = container_of(source, struct stream, source);

	if (stream->open && rbd_diff_next(&stream->diff, ret_piece) > 0)
		return NULL;
	stream->open = false;
	*ret_piece = (struct piece){.length = 0};
	return NULL;
}

static void
stream_init(struct stream *stream, const uint8_t *data, size_t size)
{
	stream->source.next = stream_next;
	stream->memory = (struct memory){
	    .bytes.read = memory_read, .data = data, .length = size};
	stream->open = rbd_diff_open(&stream->diff, &stream->memory.bytes) == 0;
}

static struct stream layers[2], alone;

static uint64_t
bytes_of(struct source *source, uint64_t image)
{
	uint64_t sum = 0, at = 0;
	struct piece piece;

	for (;;) {
		json_t *problem = source->next(source, &piece);
		assert(problem == NULL);
		if (piece.length == 0)
			return sum;
		assert(piece.offset >= at);
		at = piece_end(&piece);
		assert(at <= image);
		assert(piece.data == NULL || piece.length <= PIECE_MAX);
		for (uint64_t i = 0; piece.data != NULL && i < piece.length;
		     i++)
			sum += piece.data[i] * (piece.offset + i + 1);
	}
}

static void
stream(const uint8_t *data, size_t size)
{
	struct merge_layer both[2];
	struct merge *merge;
	uint64_t image;

	stream_init(&alone, data, size);
	image = alone.diff.head.size;
	for (unsigned i = 0; i < 2; i++) {
		stream_init(&layers[i], data, size);
		both[i] = (struct merge_layer){&layers[i].source, image};
	}
	merge = merge_new(both, 2, true);
	assert(bytes_of(merge_source(merge), image) ==
	       bytes_of(&alone.source, image));
	merge_free(merge);
}

static void
file(const uint8_t *data, size_t size)
{
	static uint8_t unpacked[UNPACKED_MAX];
	_cleanup_(closep) int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct unpack unpack;
	size_t length = 0;
	ssize_t got;

	assert(fd >= 0);
	assert(write(fd, data, size) == (ssize_t)size);
	assert(lseek(fd, 0, SEEK_SET) == 0);
	unpack_init(&unpack, fd);
	do {
		got = unpack.bytes.read(&unpack.bytes, &unpacked[length],
		    sizeof(unpacked) - length);
		length += got > 0 ? (size_t)got : 0;
	} while (got > 0 && length < sizeof(unpacked));
	unpack_done(&unpack);
	stream(unpacked, length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd};

	if (size > 0 && data[0] == '{')
		manifest((const char *)data, size);
	else if (size >= sizeof(zstd) && memcmp(data, zstd, sizeof(zstd)) == 0)
		file(data, size);
	else
		stream(data, size);
	return 0;
}
