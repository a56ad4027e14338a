/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/frames.h"
#include "backup/note.h"
#include "base/assert.h"
#include "base/endian.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define WORKERS_MAX 8
#define CHUNK       (128u << 10)

/* ---- in ---- */

struct frames_out {
	int fd;
	ZSTD_CCtx *zstd;
	struct sha256 *sha256;
	uint64_t file_bytes, stream_bytes;
	bool frame_open;
	uint8_t buffer[CHUNK];
};

static int
compress(struct frames_out *out, ZSTD_inBuffer *in, ZSTD_EndDirective end)
{
	size_t left;

	do {
		ZSTD_outBuffer to = {out->buffer, sizeof(out->buffer), 0};
		int ret;
		left = ZSTD_compressStream2(out->zstd, &to, in, end);
		assert(!ZSTD_isError(left)); /* only memory can be missing */
		sha256_add(out->sha256, out->buffer, to.pos);
		out->file_bytes += to.pos;
		ret = fd_write(out->fd, out->buffer, to.pos);
		if (ret < 0)
			return ret;
	} while (end == ZSTD_e_end ? left > 0 : in->pos < in->size);
	return 0;
}

int
frames_write(struct frames_out *out, const void *data, size_t length)
{
	ZSTD_inBuffer in = {data, length, 0};

	out->frame_open = true;
	out->stream_bytes += length;
	return compress(out, &in, ZSTD_e_continue);
}

int
frames_mark(struct frames_out *out, struct pack_mark *ret_mark)
{
	ZSTD_inBuffer in = {NULL, 0, 0};
	int ret = 0;

	if (out->frame_open)
		ret = compress(out, &in, ZSTD_e_end);
	out->frame_open = false;
	ret_mark->file_bytes = out->file_bytes;
	ret_mark->stream_bytes = out->stream_bytes;
	sha256_text(out->sha256, ret_mark->sha256);
	return ret;
}

struct frames_out *
frames_out_new(int fd, int level)
{
	struct frames_out *out = calloc(1, sizeof(*out));
	long workers = sysconf(_SC_NPROCESSORS_ONLN);

	assert(out != NULL);
	out->fd = fd;
	out->sha256 = sha256_new();
	out->zstd = ZSTD_createCCtx();
	assert(out->zstd != NULL);
	ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_checksumFlag, 1);
	if (workers < 1)
		workers = 1;
	if (workers > WORKERS_MAX)
		workers = WORKERS_MAX;
	/* a library without threads refuses, and compresses as it is called */
	ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_nbWorkers, (int)workers);
	return out;
}

void
frames_out_free(struct frames_out *out)
{
	if (out == NULL)
		return;
	ZSTD_freeCCtx(out->zstd);
	sha256_free(out->sha256);
	free(out);
}

/* ---- out ---- */

struct frames_in_state {
	struct fd_bytes fd;
	ZSTD_DCtx *zstd;
	ZSTD_inBuffer in;
	struct sha256 *sha256;
	uint64_t file_bytes, stream_bytes;
	size_t frame_left; /* 0: between two frames */
	bool more;         /* there may be output without input */
	uint8_t buffer[CHUNK];
};

/* More of the pipe, behind what is left: 1, 0: there is no more, negative
 * errno. */
static int
refill(struct frames_in_state *state)
{
	size_t left = state->in.size - state->in.pos;
	ssize_t got;

	memmove(state->buffer, state->buffer + state->in.pos, left);
	got = state->fd.bytes.read(
	    &state->fd.bytes, state->buffer + left, CHUNK - left);
	if (got < 0)
		return (int)got;
	state->in = (ZSTD_inBuffer){state->buffer, left + (size_t)got, 0};
	return got > 0;
}

/* Is what comes next, between two frames, a note?  1, 0, or negative errno. */
static int
note_is_next(struct frames_in_state *state)
{
	if (state->frame_left != 0)
		return 0;
	while (state->in.size - state->in.pos < sizeof(uint32_t)) {
		int ret = refill(state);
		if (ret <= 0)
			return ret < 0 ? ret : -EPIPE;
	}
	return load_le32(state->buffer + state->in.pos) == NOTE_MAGIC;
}

static int
decompress(struct frames_in_state *state, ZSTD_outBuffer *out)
{
	size_t before;
	int ret;

	if (state->in.pos == state->in.size && !state->more) {
		ret = refill(state);
		if (ret <= 0)
			return ret < 0 ? ret : -EPIPE;
	}
	before = state->in.pos;
	state->frame_left = ZSTD_decompressStream(state->zstd, out, &state->in);
	if (ZSTD_isError(state->frame_left))
		return -EBADMSG;
	sha256_add(
	    state->sha256, state->buffer + before, state->in.pos - before);
	state->file_bytes += state->in.pos - before;
	state->more = out->pos == out->size && state->frame_left != 0;
	return 0;
}

static ssize_t
frames_read(struct bytes *bytes, void *to, size_t length)
{
	struct frames_in_state *state =
	    container_of(bytes, struct frames_in, bytes)->state;
	ZSTD_outBuffer out = {to, length, 0};
	int ret;

	while (out.pos == 0) {
		ret = note_is_next(state);
		if (ret != 0)
			return ret < 0 ? ret : 0;
		ret = decompress(state, &out);
		if (ret < 0)
			return ret;
	}
	state->stream_bytes += out.pos;
	return (ssize_t)out.pos;
}

static ssize_t
raw_read(struct bytes *bytes, void *to, size_t length)
{
	struct frames_in_state *state =
	    container_of(bytes, struct frames_in, raw)->state;
	size_t left = state->in.size - state->in.pos;

	if (left == 0) {
		int ret = refill(state);
		if (ret <= 0)
			return ret;
		left = state->in.size;
	}
	if (length > left)
		length = left;
	memcpy(to, state->buffer + state->in.pos, length);
	state->in.pos += length;
	return (ssize_t)length;
}

void
frames_in_init(struct frames_in *in, int fd)
{
	struct frames_in_state *state = calloc(1, sizeof(*state));

	assert(state != NULL);
	fd_bytes_init(&state->fd, fd);
	state->zstd = ZSTD_createDCtx();
	assert(state->zstd != NULL);
	state->sha256 = sha256_new();
	*in = (struct frames_in){
	    .bytes.read = frames_read, .raw.read = raw_read, .state = state};
}

void
frames_in_done(struct frames_in *in)
{
	ZSTD_freeDCtx(in->state->zstd);
	sha256_free(in->state->sha256);
	free(in->state);
}

void
frames_in_mark(const struct frames_in *in, struct pack_mark *ret_mark)
{
	const struct frames_in_state *state = in->state;

	ret_mark->file_bytes = state->file_bytes;
	ret_mark->stream_bytes = state->stream_bytes;
	sha256_text(state->sha256, ret_mark->sha256);
}
