/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/belt.h"
#include "backup/pack.h"
#include "base/assert.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

/* Small, and few: a chain of a year is read all at once. */
#define CHUNK   (128u << 10)
#define PARCELS 4

enum { READ, TAKE, STAGES };

struct parcel {
	ssize_t got; /* 0: there is no more; negative errno */
	uint8_t data[CHUNK];
};

struct unpack_state {
	int fd;
	struct belt *belt;
	struct parcel parcels[PARCELS];

	ZSTD_DCtx *zstd; /* of the caller's thread, as these */
	struct parcel *taken;
	ZSTD_inBuffer in;
	uint64_t stream_bytes;
	size_t frame_left; /* 0: between two frames */
	bool more;         /* there may be output without input */

	pthread_mutex_t mutex; /* of what has been read, below */
	struct sha256 *sha256;
	uint64_t file_bytes;
};

/* Reads and sums what the caller will want next. */
static void
work_read(void *arg, unsigned thread, void *argument)
{
	struct unpack_state *state = arg;
	struct parcel *parcel = argument;

	(void)thread;
	do {
		parcel->got =
		    read(state->fd, parcel->data, sizeof(parcel->data));
	} while (parcel->got < 0 && errno == EINTR);
	if (parcel->got < 0)
		parcel->got = -errno;
	if (parcel->got <= 0)
		return;
	pthread_mutex_lock(&state->mutex);
	sha256_add(state->sha256, parcel->data, (size_t)parcel->got);
	state->file_bytes += (uint64_t)parcel->got;
	pthread_mutex_unlock(&state->mutex);
}

/* More of the file: 1, 0: there is no more, negative errno. */
static int
refill(struct unpack_state *state)
{
	if (state->taken != NULL)
		belt_pass(state->belt, TAKE, state->taken);
	state->taken = belt_take(state->belt, TAKE);
	assert(state->taken != NULL); /* nobody stops it */
	if (state->taken->got <= 0)
		return (int)state->taken->got;
	state->in =
	    (ZSTD_inBuffer){state->taken->data, (size_t)state->taken->got, 0};
	return 1;
}

static ssize_t
unpack_read(struct bytes *bytes, void *to, size_t length)
{
	struct unpack_state *state =
	    container_of(bytes, struct unpack, bytes)->state;
	ZSTD_outBuffer out = {to, length, 0};

	if (state->belt == NULL)
		return -EAGAIN;
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
	static const struct belt_stage stages[STAGES] = {
	    [READ] = {"varve-unpack", 1, 0, work_read},
	    [TAKE] = {.threads = 0},
	};
	struct unpack_state *state = calloc(1, sizeof(*state));
	struct belt_params params = {.stages = stages,
	    .stage_count = STAGES,
	    .parcel_size = sizeof(state->parcels[0]),
	    .parcel_count = PARCELS,
	    .arg = state};

	assert(state != NULL);
	state->fd = fd;
	state->zstd = ZSTD_createDCtx();
	assert(state->zstd != NULL);
	state->sha256 = sha256_new();
	pthread_mutex_init(&state->mutex, NULL);
	params.parcels = state->parcels;
	state->belt = belt_new(&params);
	*unpack = (struct unpack){.bytes.read = unpack_read, .state = state};
}

void
unpack_done(struct unpack *unpack)
{
	struct unpack_state *state = unpack->state;

	belt_free(state->belt);
	ZSTD_freeDCtx(state->zstd);
	sha256_free(state->sha256);
	pthread_mutex_destroy(&state->mutex);
	free(state);
}

void
unpack_mark(const struct unpack *unpack, struct pack_mark *ret_mark)
{
	struct unpack_state *state = unpack->state;

	pthread_mutex_lock(&state->mutex);
	ret_mark->file_bytes = state->file_bytes;
	sha256_text(state->sha256, ret_mark->sha256);
	pthread_mutex_unlock(&state->mutex);
	ret_mark->stream_bytes = state->stream_bytes;
}
