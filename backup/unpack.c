/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/pack.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>
#include <zstd.h>

#define CHUNK (128u << 10)

struct unpack_state {
	int fd;
	ZSTD_DCtx *zstd;
	ZSTD_inBuffer in;
	struct sha256 *sha256;
	uint64_t file_bytes, stream_bytes;
	size_t frame_left; /* 0: between two frames */
	bool more;         /* there may be output without input */
	uint8_t buffer[CHUNK];
};

/* More of the file: 1, 0: there is no more, negative errno. */
static int
refill(struct unpack_state *state)
{
	ssize_t got;

	do {
		got = read(state->fd, state->buffer, sizeof(state->buffer));
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	sha256_add(state->sha256, state->buffer, (size_t)got);
	state->file_bytes += (uint64_t)got;
	state->in = (ZSTD_inBuffer){state->buffer, (size_t)got, 0};
	return got > 0;
}

static ssize_t
unpack_read(struct bytes *bytes, void *to, size_t length)
{
	struct unpack_state *state =
	    container_of(bytes, struct unpack, bytes)->state;
	ZSTD_outBuffer out = {to, length, 0};

	while (out.pos == 0) {
		if (state->in.pos == state->in.size && !state->more) {
			int ret = refill(state);
			if (ret < 0)
				return ret;
			if (ret == 0)
				return state->frame_left == 0 ? 0 : -EBADMSG;
		}
		state->frame_left =
		    ZSTD_decompressStream(state->zstd, &out, &state->in);
		if (ZSTD_isError(state->frame_left))
			return -EBADMSG;
		state->more = out.pos == out.size && state->frame_left != 0;
	}
	state->stream_bytes += out.pos;
	return (ssize_t)out.pos;
}

void
unpack_init(struct unpack *unpack, int fd)
{
	struct unpack_state *state = calloc(1, sizeof(*state));

	assert(state != NULL);
	state->fd = fd;
	state->zstd = ZSTD_createDCtx();
	assert(state->zstd != NULL);
	state->sha256 = sha256_new();
	*unpack = (struct unpack){.bytes.read = unpack_read, .state = state};
}

void
unpack_done(struct unpack *unpack)
{
	ZSTD_freeDCtx(unpack->state->zstd);
	sha256_free(unpack->state->sha256);
	free(unpack->state);
}

void
unpack_mark(const struct unpack *unpack, struct pack_mark *ret_mark)
{
	const struct unpack_state *state = unpack->state;

	ret_mark->file_bytes = state->file_bytes;
	ret_mark->stream_bytes = state->stream_bytes;
	sha256_text(state->sha256, ret_mark->sha256);
}
