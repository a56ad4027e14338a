/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/pack.h"
#include "backup/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>
#include <zstd.h>

/* Beside the thread that reads and writes: compression is what takes long. */
#define WORKERS 2
#define CHUNK   (128u << 10)

struct pack {
	int fd;
	const char *name;
	ZSTD_CCtx *zstd;
	struct sha256 *sha256;
	uint64_t file_bytes, stream_bytes;
	bool frame_open;
	uint8_t buffer[CHUNK];
};

static json_t *
file_write(struct pack *pack, size_t length)
{
	const uint8_t *at = pack->buffer;

	sha256_add(pack->sha256, at, length);
	pack->file_bytes += length;
	while (length > 0) {
		ssize_t ret = write(pack->fd, at, length);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return backup_write_problem(pack->name, errno);
		at += ret;
		length -= (size_t)ret;
	}
	return NULL;
}

static json_t *
compress(struct pack *pack, ZSTD_inBuffer *in, ZSTD_EndDirective end)
{
	size_t left;

	do {
		ZSTD_outBuffer out = {pack->buffer, sizeof(pack->buffer), 0};
		json_t *problem;
		left = ZSTD_compressStream2(pack->zstd, &out, in, end);
		assert(!ZSTD_isError(left)); /* only memory can be missing */
		problem = out.pos > 0 ? file_write(pack, out.pos) : NULL;
		if (problem != NULL)
			return problem;
	} while (end == ZSTD_e_end ? left > 0 : in->pos < in->size);
	return NULL;
}

json_t *
pack_write(struct pack *pack, const void *data, size_t length)
{
	ZSTD_inBuffer in = {data, length, 0};

	pack->frame_open = true;
	pack->stream_bytes += length;
	return compress(pack, &in, ZSTD_e_continue);
}

json_t *
pack_mark(struct pack *pack, struct pack_mark *ret_mark)
{
	ZSTD_inBuffer in = {NULL, 0, 0};
	json_t *problem = NULL;

	if (pack->frame_open)
		problem = compress(pack, &in, ZSTD_e_end);
	pack->frame_open = false;
	ret_mark->file_bytes = pack->file_bytes;
	ret_mark->stream_bytes = pack->stream_bytes;
	sha256_text(pack->sha256, ret_mark->sha256);
	return problem;
}

uint64_t
pack_file_bytes(const struct pack *pack)
{
	return pack->file_bytes;
}

static json_t *
changed(const struct pack *pack)
{
	return backup_problem(BACKUP_RESUME,
	    "%s is not what was left there to go on with", pack->name);
}

/* The sum of what is there already. */
static json_t *
go_on(struct pack *pack, const struct pack_mark *mark)
{
	char sum[SHA256_TEXT];
	uint64_t left = mark->file_bytes;

	while (left > 0) {
		size_t want = left < CHUNK ? left : CHUNK;
		ssize_t got = read(pack->fd, pack->buffer, want);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return backup_read_problem(pack->name, errno);
		if (got == 0)
			return changed(pack);
		sha256_add(pack->sha256, pack->buffer, (size_t)got);
		left -= (size_t)got;
	}
	sha256_text(pack->sha256, sum);
	if (strcmp(sum, mark->sha256) != 0)
		return changed(pack);
	pack->file_bytes = mark->file_bytes;
	pack->stream_bytes = mark->stream_bytes;
	return NULL;
}

json_t *
pack_new(int fd, const char *name, int level, const struct pack_mark *mark,
    struct pack **ret_pack)
{
	struct pack *pack = calloc(1, sizeof(*pack));
	json_t *problem = NULL;

	assert(pack != NULL);
	pack->fd = fd;
	pack->name = name;
	pack->sha256 = sha256_new();
	pack->zstd = ZSTD_createCCtx();
	assert(pack->zstd != NULL);
	ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_checksumFlag, 1);
	/* a library without threads refuses, and compresses as it is called */
	ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_nbWorkers, WORKERS);
	if (mark != NULL)
		problem = go_on(pack, mark);
	if (problem == NULL && ftruncate(fd, (off_t)pack->file_bytes) < 0)
		problem = backup_write_problem(name, errno);
	if (problem == NULL)
		*ret_pack = pack;
	else
		pack_free(pack);
	return problem;
}

void
pack_free(struct pack *pack)
{
	if (pack == NULL)
		return;
	ZSTD_freeCCtx(pack->zstd);
	sha256_free(pack->sha256);
	free(pack);
}

/* ---- reading ---- */

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
