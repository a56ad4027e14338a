/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/pack.h"
#include "backup/belt.h"
#include "backup/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <zstd.h>

/* A frame holds that much of the stream: at the quick levels a larger one makes
 * the file 1 or 2 % smaller, at the slow ones 5 % and more. */
#define FRAME_QUICK (1u << 20)
#define FRAME_SLOW  (4u << 20)
#define QUICK_MAX   3
/* So many are filled, compressed, summed and written at a time. */
#define PARCELS_QUICK 24
#define PARCELS_SLOW  12
/* Of the file: the kernel is told to write it to the disk, so that there is
 * little left to do at the end. */
#define WRITE_BEHIND (8u << 20)
/* Stores what it is given, within frames. */
#define LEVEL_STORE (-(1 << 17))

/* Of PACK_LEVEL_AUTO, by how many frames wait to be compressed.  On a real
 * file system each takes about two thirds of the time of the one before. */
static const int auto_levels[] = {3, 1, -5, -50, -1000, LEVEL_STORE};

enum { FILL, COMPRESS, SUM, WRITE, STAGES };

struct parcel {
	uint8_t *in, *out;
	size_t in_length, out_length;
	bool asked; /* a mark, behind it */
	struct pack_mark mark;
};

struct pack {
	int fd;
	const char *name;
	int level;
	size_t frame;
	unsigned parcel_count;
	struct belt *belt;
	struct parcel parcels[PARCELS_QUICK];

	struct parcel *filling; /* of the caller's thread, as these */
	uint64_t stream_bytes;

	ZSTD_CCtx *zstd[BELT_THREADS_MAX]; /* one for each of that stage */
	struct sha256 *sha256;             /* of the stage that sums */
	uint64_t file_bytes, begun;        /* of that which writes; begun: what
					    * the kernel has been told of */

	pthread_mutex_t mutex; /* of all below */
	int error;             /* of writing */
	bool is_reached;
	struct pack_mark reached;
};

/* ---- the stages ---- */

static int
level_now(struct pack *pack)
{
	if (pack->level != PACK_LEVEL_AUTO)
		return pack->level;
	return auto_levels[belt_waiting(pack->belt, COMPRESS) *
			   ARRAY_SIZE(auto_levels) / PARCELS_QUICK];
}

static void
work_compress(void *arg, unsigned thread, void *argument)
{
	struct pack *pack = arg;
	struct parcel *parcel = argument;
	ZSTD_CCtx *zstd = pack->zstd[thread];
	size_t length = 0;

	if (parcel->in_length > 0) {
		ZSTD_CCtx_setParameter(
		    zstd, ZSTD_c_compressionLevel, level_now(pack));
		length = ZSTD_compress2(zstd, parcel->out,
		    ZSTD_compressBound(pack->frame), parcel->in,
		    parcel->in_length);
		assert(!ZSTD_isError(length)); /* only memory can be missing */
	}
	parcel->out_length = length;
}

static void
work_sum(void *arg, unsigned thread, void *argument)
{
	struct pack *pack = arg;
	struct parcel *parcel = argument;

	(void)thread;
	sha256_add(pack->sha256, parcel->out, parcel->out_length);
	if (parcel->asked)
		sha256_text(pack->sha256, parcel->mark.sha256);
}

static int
file_write(struct pack *pack, const uint8_t *at, size_t length)
{
	while (length > 0) {
		ssize_t ret = write(pack->fd, at, length);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return -errno;
		at += ret;
		length -= (size_t)ret;
		pack->file_bytes += (uint64_t)ret;
	}
	/* what is no file of a disk refuses, and needs none of it */
	if (pack->file_bytes - pack->begun >= WRITE_BEHIND) {
		sync_file_range(pack->fd, (off_t)pack->begun,
		    (off_t)(pack->file_bytes - pack->begun),
		    SYNC_FILE_RANGE_WRITE);
		pack->begun = pack->file_bytes;
	}
	return 0;
}

static void
work_write(void *arg, unsigned thread, void *argument)
{
	struct pack *pack = arg;
	struct parcel *parcel = argument;
	int ret = file_write(pack, parcel->out, parcel->out_length);

	(void)thread;
	pthread_mutex_lock(&pack->mutex);
	pack->error = -ret;
	if (ret == 0 && parcel->asked) {
		parcel->mark.file_bytes = pack->file_bytes;
		pack->reached = parcel->mark;
		pack->is_reached = true;
	}
	pthread_mutex_unlock(&pack->mutex);
	if (ret < 0)
		belt_stop(pack->belt);
}

/* ---- the caller's side ---- */

/* Why the belt was stopped: nothing else stops it. */
static json_t *
stopped(struct pack *pack)
{
	int error;

	pthread_mutex_lock(&pack->mutex);
	error = pack->error;
	pthread_mutex_unlock(&pack->mutex);
	assert(error != 0);
	return backup_write_problem(pack->name, error);
}

/* There is one to fill. */
static json_t *
filling_begin(struct pack *pack)
{
	if (pack->filling != NULL)
		return NULL;
	pack->filling = belt_take(pack->belt, FILL);
	if (pack->filling == NULL)
		return stopped(pack);
	pack->filling->in_length = 0;
	pack->filling->asked = false;
	return NULL;
}

static void
filling_end(struct pack *pack)
{
	pack->filling->mark.stream_bytes = pack->stream_bytes;
	belt_pass(pack->belt, FILL, pack->filling);
	pack->filling = NULL;
}

json_t *
pack_write(struct pack *pack, const void *data, size_t length)
{
	const uint8_t *from = data;

	while (length > 0) {
		json_t *problem = filling_begin(pack);
		struct parcel *parcel = pack->filling;
		size_t part;
		if (problem != NULL)
			return problem;
		part = pack->frame - parcel->in_length;
		if (part > length)
			part = length;
		memcpy(&parcel->in[parcel->in_length], from, part);
		parcel->in_length += part;
		pack->stream_bytes += part;
		from += part;
		length -= part;
		if (parcel->in_length == pack->frame)
			filling_end(pack);
	}
	return NULL;
}

json_t *
pack_ask(struct pack *pack)
{
	json_t *problem = filling_begin(pack);

	if (problem != NULL)
		return problem;
	pthread_mutex_lock(&pack->mutex);
	pack->is_reached = false;
	pthread_mutex_unlock(&pack->mutex);
	pack->filling->asked = true;
	filling_end(pack);
	return NULL;
}

bool
pack_reached(struct pack *pack, struct pack_mark *ret_mark)
{
	bool is_reached;

	pthread_mutex_lock(&pack->mutex);
	is_reached = pack->is_reached;
	*ret_mark = pack->reached;
	pack->is_reached = false;
	pthread_mutex_unlock(&pack->mutex);
	return is_reached;
}

json_t *
pack_mark(struct pack *pack, struct pack_mark *ret_mark)
{
	json_t *problem = pack_ask(pack);
	bool is_reached;

	if (problem != NULL)
		return problem;
	if (!belt_drain(pack->belt))
		return stopped(pack);
	is_reached = pack_reached(pack, ret_mark);
	assert(is_reached);
	return NULL;
}

/* ---- in and out ---- */

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
	uint8_t *buffer = pack->parcels[0].in;

	while (left > 0) {
		size_t want = left < pack->frame ? left : pack->frame;
		ssize_t got = read(pack->fd, buffer, want);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return backup_read_problem(pack->name, errno);
		if (got == 0)
			return changed(pack);
		sha256_add(pack->sha256, buffer, (size_t)got);
		left -= (size_t)got;
	}
	sha256_text(pack->sha256, sum);
	if (strcmp(sum, mark->sha256) != 0)
		return changed(pack);
	pack->file_bytes = pack->begun = mark->file_bytes;
	pack->stream_bytes = mark->stream_bytes;
	return NULL;
}

static unsigned
processors(void)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);

	if (count < 1)
		return 1;
	return count < BELT_THREADS_MAX ? (unsigned)count : BELT_THREADS_MAX;
}

static void
compressors_new(struct pack *pack, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		pack->zstd[i] = ZSTD_createCCtx();
		assert(pack->zstd[i] != NULL);
		ZSTD_CCtx_setParameter(pack->zstd[i], ZSTD_c_checksumFlag, 1);
	}
}

static void
parcels_new(struct pack *pack)
{
	for (unsigned i = 0; i < pack->parcel_count; i++) {
		pack->parcels[i].in = malloc(pack->frame);
		pack->parcels[i].out = malloc(ZSTD_compressBound(pack->frame));
		assert(pack->parcels[i].in != NULL);
		assert(pack->parcels[i].out != NULL);
	}
}

static json_t *
belt_begin(struct pack *pack)
{
	const struct belt_stage stages[STAGES] = {
	    [FILL] = {.threads = 0},
	    [COMPRESS] = {"varve-zstd", processors(), work_compress},
	    [SUM] = {"varve-sha256", 1, work_sum},
	    [WRITE] = {"varve-write", 1, work_write},
	};
	const struct belt_params params = {.stages = stages,
	    .stage_count = STAGES,
	    .parcels = pack->parcels,
	    .parcel_size = sizeof(pack->parcels[0]),
	    .parcel_count = pack->parcel_count,
	    .arg = pack};

	compressors_new(pack, stages[COMPRESS].threads);
	pack->belt = belt_new(&params);
	return pack->belt != NULL ? NULL
				  : backup_write_problem(pack->name, EAGAIN);
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
	pack->level = level;
	pack->frame = level <= QUICK_MAX ? FRAME_QUICK : FRAME_SLOW;
	pack->parcel_count = level <= QUICK_MAX ? PARCELS_QUICK : PARCELS_SLOW;
	pack->sha256 = sha256_new();
	pthread_mutex_init(&pack->mutex, NULL);
	parcels_new(pack);
	if (mark != NULL)
		problem = go_on(pack, mark);
	if (problem == NULL && ftruncate(fd, (off_t)pack->file_bytes) < 0)
		problem = backup_write_problem(name, errno);
	if (problem == NULL)
		problem = belt_begin(pack);
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
	belt_free(pack->belt);
	for (unsigned i = 0; i < pack->parcel_count; i++) {
		free(pack->parcels[i].in);
		free(pack->parcels[i].out);
	}
	for (unsigned i = 0; i < BELT_THREADS_MAX; i++)
		ZSTD_freeCCtx(pack->zstd[i]);
	sha256_free(pack->sha256);
	pthread_mutex_destroy(&pack->mutex);
	free(pack);
}
