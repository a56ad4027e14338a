/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/pack.h"
#include "backup/backup.h"
#include "backup/belt.h"
#include "backup/problem.h"
#include "backup/zstd_frame.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <zstd.h>

/* A frame holds that much of the stream: at the quick levels a larger one makes
 * the file 1 or 2 % smaller, at the slow ones 5 % and more. */
#define STREAM_QUICK (1u << 20)
#define STREAM_SLOW  (4u << 20)
#define QUICK_MAX    3
/* So many are filled, compressed, summed and written at a time. */
#define PARCELS_QUICK 24
#define PARCELS_SLOW  12
/* With one write at a time a disk waits more than it writes. */
#define WRITERS 4
/* Who compresses leaves the processors to the others: the sum, above all, is
 * made by one thread alone. */
#define COMPRESS_NICE 5
/* Frames begin there, so that they go to the disk from where they are
 * (O_DIRECT), and what others have in memory stays there. */
#define ALIGN 4096u
/* Space that is there already can be written to by several at once.  It grows
 * with the file. */
#define RESERVE_MAX (64u << 20)

/* Of BACKUP_LEVEL_AUTO: each takes about two thirds of the time of the one
 * before.  When there is little of that, what is gained has to be worth it: to
 * sum and to write a GiB takes 1 s of a processor, level -50 as much, level
 * -1000 half of it (measured with files of /usr). */
#define LEVEL_STORE INT_MIN /* as it is */
static const struct {
	int level;
	unsigned worth; /* it has to become less than that, in 32nds */
} auto_levels[] = {
    {3, 31},
    {1, 31},
    {-5, 28},
    {-50, 24},
    {-1000, 16},
    {LEVEL_STORE, 0},
};
#define HASTE_ONE  1024u /* from one level to the next */
#define AVERAGE_OF 16
#define WORTH      31 /* of a level that was asked for */
/* What it will become is known by a look at a 32nd of it. */
#define SAMPLES      4
#define SAMPLE_BYTES (8u << 10)

enum { FILL, COMPRESS, SUM, WRITE, NOTE, STAGES };

struct parcel {
	uint8_t *in, *out; /* blocks of zstd_frame.h; what they become */
	size_t in_length;
	uint8_t *file; /* what is written: one of both */
	size_t file_length;
	uint64_t file_offset;
	bool asked; /* for a mark, behind it */
	struct pack_mark mark;
};

struct pack {
	int fd;
	const char *name;
	int level;
	size_t most; /* of the stream in a parcel */
	unsigned parcel_count;
	struct belt *belt;
	struct parcel parcels[PARCELS_QUICK];

	struct parcel *filling; /* of the caller's thread, as these */
	uint64_t stream_bytes;

	ZSTD_CCtx *zstd[BELT_THREADS_MAX]; /* one for each of that stage */
	struct sha256 *sha256; /* of the stage that sums, as these */
	uint64_t file_bytes, reserved;

	pthread_mutex_t mutex; /* of all below */
	unsigned haste;        /* of BACKUP_LEVEL_AUTO, in 1 / HASTE_ONE */
	int error;             /* of writing */
	bool is_reached;
	struct pack_mark reached;
};

/* ---- the stages ---- */

/* Who reads waits when no parcel is free.  So the more of those that are not on
 * their way out wait to be compressed, the quicker that has to be; and when
 * none does, something else is the slowest, and there is time.
 *
 * What that says is taken as an average over many parcels.  It goes up and down
 * with every turn of the processors, and some at a high level and some at none
 * cost more, and become less small, than all at one between. */
static unsigned
haste_now(struct pack *pack)
{
	unsigned waiting = belt_waiting(pack->belt, COMPRESS);
	unsigned vacant = belt_waiting(pack->belt, FILL);
	unsigned haste = HASTE_ONE * ARRAY_SIZE(auto_levels) * waiting /
			 (waiting + vacant + 1);

	pthread_mutex_lock(&pack->mutex);
	pack->haste = (pack->haste * (AVERAGE_OF - 1) + haste) / AVERAGE_OF;
	haste = pack->haste / HASTE_ONE;
	pthread_mutex_unlock(&pack->mutex);
	return haste;
}

/* Of a parcel, to its `out`: how long it has become. */
static size_t
compress(const struct pack *pack, ZSTD_CCtx *zstd, struct parcel *parcel)
{
	ZSTD_outBuffer out = {parcel->out, ZSTD_compressBound(pack->most), 0};
	size_t left = parcel->in_length, at = 0, ret;

	ZSTD_CCtx_setPledgedSrcSize(zstd, left);
	do {
		size_t part;
		const uint8_t *data = frame_data(parcel->in, at, &part);
		ZSTD_inBuffer in = {data, part < left ? part : left, 0};
		ret = ZSTD_compressStream2(zstd, &out, &in,
		    in.size == left ? ZSTD_e_end : ZSTD_e_continue);
		assert(!ZSTD_isError(ret)); /* only memory can be missing */
		assert(in.pos == in.size);
		at += in.size;
		left -= in.size;
	} while (left > 0);
	assert(ret == 0);
	return out.pos;
}

static bool
is_worth_it(size_t length, size_t before, unsigned worth)
{
	return length < before / 32 * worth;
}

/* By samples from all over a parcel, at the level that the compressor has. */
static bool
looks_worth_it(const struct pack *pack, ZSTD_CCtx *zstd, struct parcel *parcel,
    unsigned worth)
{
	size_t before = 0, after = 0;

	if (parcel->in_length < 2 * SAMPLES * SAMPLE_BYTES)
		return true;
	for (size_t i = 0; i < SAMPLES; i++) {
		size_t at = parcel->in_length / SAMPLES * i, part, length;
		const uint8_t *data = frame_data(parcel->in, at, &part);
		if (part > SAMPLE_BYTES)
			part = SAMPLE_BYTES;
		length = ZSTD_compress2(zstd, parcel->out,
		    ZSTD_compressBound(pack->most), data, part);
		assert(!ZSTD_isError(length));
		before += part;
		after += length;
	}
	return is_worth_it(after, before, worth);
}

/* Gives the compressor its level; false: the parcel stays as it is. */
static bool
level_choose(struct pack *pack, ZSTD_CCtx *zstd, struct parcel *parcel)
{
	bool is_auto = pack->level == BACKUP_LEVEL_AUTO;
	unsigned haste = is_auto ? haste_now(pack) : 0;
	int level = is_auto ? auto_levels[haste].level : pack->level;

	if (level == LEVEL_STORE)
		return false;
	ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
	return !is_auto ||
	       looks_worth_it(pack, zstd, parcel, auto_levels[haste].worth);
}

static void
work_compress(void *arg, unsigned thread, void *argument)
{
	struct pack *pack = arg;
	struct parcel *parcel = argument;
	ZSTD_CCtx *zstd = pack->zstd[thread];

	parcel->file = parcel->out;
	parcel->file_length = 0;
	if (parcel->in_length == 0)
		return;
	if (level_choose(pack, zstd, parcel))
		parcel->file_length = compress(pack, zstd, parcel);
	/* what has hardly become less is read without work as it is */
	if (parcel->file_length == 0 ||
	    !is_worth_it(parcel->file_length, parcel->in_length, WORTH)) {
		parcel->file = parcel->in;
		parcel->file_length =
		    frame_store(parcel->in, parcel->in_length);
	}
	parcel->file_length += frame_pad(
	    &parcel->file[parcel->file_length], parcel->file_length, ALIGN);
}

/* Who has no space, or cannot reserve it, is told by the writes. */
static void
reserve(struct pack *pack)
{
	uint64_t more = pack->file_bytes;

	if (pack->file_bytes <= pack->reserved)
		return;
	if (more > RESERVE_MAX)
		more = RESERVE_MAX;
	if (fallocate(pack->fd, 0, (off_t)pack->reserved,
		(off_t)(pack->file_bytes - pack->reserved + more)) == 0)
		pack->reserved = pack->file_bytes + more;
	else
		pack->reserved = UINT64_MAX;
}

static void
work_sum(void *arg, unsigned thread, void *argument)
{
	struct pack *pack = arg;
	struct parcel *parcel = argument;

	(void)thread;
	sha256_add(pack->sha256, parcel->file, parcel->file_length);
	parcel->file_offset = pack->file_bytes;
	pack->file_bytes += parcel->file_length;
	reserve(pack);
	if (!parcel->asked)
		return;
	parcel->mark.file_bytes = pack->file_bytes;
	sha256_text(pack->sha256, parcel->mark.sha256);
}

static bool
is_direct(int fd)
{
	return (fcntl(fd, F_GETFL) & O_DIRECT) != 0;
}

/* What cannot be written past the memory of the kernel is written by it. */
static bool
was_direct(int fd)
{
	return is_direct(fd) &&
	       fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_DIRECT) == 0;
}

static int
file_write(int fd, const uint8_t *at, size_t length, uint64_t offset)
{
	while (length > 0) {
		ssize_t ret = pwrite(fd, at, length, (off_t)offset);
		if (ret < 0 &&
		    (errno == EINTR || (errno == EINVAL && was_direct(fd))))
			continue;
		if (ret < 0)
			return -errno;
		/* begun now, there is little left to do at the end; what is no
		 * file of a disk refuses */
		if (!is_direct(fd))
			sync_file_range(
			    fd, (off_t)offset, ret, SYNC_FILE_RANGE_WRITE);
		at += ret;
		offset += (uint64_t)ret;
		length -= (size_t)ret;
	}
	return 0;
}

static void
work_write(void *arg, unsigned thread, void *argument)
{
	struct pack *pack = arg;
	struct parcel *parcel = argument;
	int ret = file_write(
	    pack->fd, parcel->file, parcel->file_length, parcel->file_offset);

	(void)thread;
	if (ret == 0)
		return;
	pthread_mutex_lock(&pack->mutex);
	pack->error = -ret;
	pthread_mutex_unlock(&pack->mutex);
	belt_stop(pack->belt);
}

/* All that is before it in the file has been written as well. */
static void
work_note(void *arg, unsigned thread, void *argument)
{
	struct pack *pack = arg;
	const struct parcel *parcel = argument;

	(void)thread;
	if (!parcel->asked)
		return;
	pthread_mutex_lock(&pack->mutex);
	pack->reached = parcel->mark;
	pack->is_reached = true;
	pthread_mutex_unlock(&pack->mutex);
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
		uint8_t *to;
		if (problem != NULL)
			return problem;
		to = frame_data(parcel->in, parcel->in_length, &part);
		if (part > length)
			part = length;
		memcpy(to, from, part);
		parcel->in_length += part;
		pack->stream_bytes += part;
		from += part;
		length -= part;
		if (parcel->in_length == pack->most)
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
	/* what was reserved and not needed */
	if (ftruncate(pack->fd, (off_t)pack->file_bytes) < 0)
		return backup_write_problem(pack->name, errno);
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
		size_t want = left < pack->most ? left : pack->most;
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
	pack->file_bytes = pack->reserved = mark->file_bytes;
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

static uint8_t *
room_new(size_t size)
{
	/* what pads it is less than two times ALIGN */
	uint8_t *room =
	    aligned_alloc(ALIGN, (size + 3 * ALIGN - 1) / ALIGN * ALIGN);

	assert(room != NULL);
	return room;
}

static void
parcels_new(struct pack *pack)
{
	for (unsigned i = 0; i < pack->parcel_count; i++) {
		pack->parcels[i].in = room_new(FRAME_ROOM(pack->most));
		pack->parcels[i].out = room_new(ZSTD_compressBound(pack->most));
	}
}

/* From the first byte on or not at all: what was begun otherwise is gone on
 * with so. */
static void
direct_begin(const struct pack *pack)
{
	if (pack->file_bytes % ALIGN == 0)
		fcntl(pack->fd, F_SETFL, fcntl(pack->fd, F_GETFL) | O_DIRECT);
}

static json_t *
belt_begin(struct pack *pack)
{
	const struct belt_stage stages[STAGES] = {
	    [FILL] = {.threads = 0},
	    [COMPRESS] = {"varve-zstd", processors(), COMPRESS_NICE,
		work_compress},
	    [SUM] = {"varve-sha256", 1, 0, work_sum},
	    [WRITE] = {"varve-write", WRITERS, 0, work_write},
	    [NOTE] = {"varve-note", 1, 0, work_note},
	};
	const struct belt_params params = {.stages = stages,
	    .stage_count = STAGES,
	    .parcels = pack->parcels,
	    .parcel_size = sizeof(pack->parcels[0]),
	    .parcel_count = pack->parcel_count,
	    .arg = pack};

	direct_begin(pack);
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
	pack->most = level <= QUICK_MAX ? STREAM_QUICK : STREAM_SLOW;
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
	was_direct(pack->fd);
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
