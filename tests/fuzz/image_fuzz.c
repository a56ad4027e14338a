/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hostile pool images.  The engine makes two pools once, with data, holes and
 * records of the log; an input edits their metadata, the sums and links are
 * made right again, and then the image is checked, opened, used, closed and
 * checked once more.  Whatever the edits are: no assertion, no memory error,
 * no request without an end, no endless walk.
 *
 * The first byte of an input:
 *
 *	bit 0    the pool of one device, or of two with trees of several levels
 *	bits 1-2 what is mended: 0, 1 everything (sums, links, what a page says
 *	         of its own place); 2 sums alone; 3 nothing
 *	bit 3    open for reading only
 *	bit 4    devices of 512 or 4096 byte blocks
 *	bit 5    devices in reverse order
 *	bit 6    an edit says in which copies it is made
 *
 * The second is the seed of the scheduler.  The rest is edits, each of a byte
 * (bits 0-2 what, bits 3-4 how) and its arguments; what is left over is not an
 * edit.  See edits[].
 *
 * Metadata and the log have two copies.  An edit is made in both before they
 * are mended; with bit 6 of the first byte, bits 5-7 of an edit say more:
 *
 *	bits 5-6 0 in both, before; after mending: 1 in the first, 2 in the
 *	         second, 3 in both
 *	bit 7    the sums of the blocks that it edits are made right again
 *
 * IMAGE_FUZZ_VERBOSE=1 in the environment tells what happens.
 */
#include "snapshot/check.h"
#include "tests/fuzz/image/image.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define VOLUMES_MAX 6u /* that are used */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct fuzz f;

/* The last check says that it could not look at the records of the log. */
static bool log_unseen;

/* What happens, for whoever looks into one input. */
#define tell(...)                                                              \
	do {                                                                   \
		if (f.verbose)                                                 \
			fprintf(stderr, __VA_ARGS__);                          \
	} while (0)

static void
finding(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	(void)arg;
	assert(code[0] != 0);
	assert(text[0] != 0);
	if (strcmp(code, "log.newer") == 0)
		log_unseen = true;
	tell("%u %s: %s\n", severity, code, text);
}

static int
check(struct backstore **bs, unsigned count, struct check_report *report)
{
	int result;

	*report = (struct check_report){.finding = finding};
	f.steps = 0;
	log_unseen = false;
	result = pool_check(bs, count, step, NULL, report);
	tell("check: %d, %" PRIu64 " records\n", result, report->log_records);
	return result;
}

/* Nothing is wrong with it. */
static bool
sound(int result, const struct check_report *report)
{
	return result == 0 && report->findings[CHECK_DAMAGE] == 0 &&
	       report->findings[CHECK_LEAK] == 0;
}

static void
use_reads(struct backstore *bs)
{
	uint64_t some = sim_random(&f.random);

	submit(bs, BS_EXTENTS, 0, bs->size, false);
	submit(bs, BS_READ, 0, SLOT_BYTES, false);
	submit(bs, BS_READ, 1 * MiB, SLOT_BYTES, false);
	submit(bs, BS_READ, 16 * MiB - (64 << 10), SLOT_BYTES, false);
	submit(bs, BS_READ, bs->size - bs->block_size, bs->block_size, false);
	submit(bs, BS_READ, some % bs->size, 4096, false);
	submit(bs, BS_EXTENTS, some % bs->size, bs->size, false);
}

static void
use_writes(struct backstore *bs)
{
	uint64_t some = sim_random(&f.random);

	submit(bs, BS_WRITE, 16 << 10, 128 << 10, false);
	submit(bs, BS_WRITE, 1024, 512, false);
	submit(bs, BS_WRITE, 3 * MiB + 512, 9 << 10, true);
	submit(bs, BS_DISCARD, 32 << 10, 2 * MiB, false);
	submit(bs, BS_ZERO, 4 * MiB, 64 << 10, some & 1);
	submit(bs, BS_WRITE, some % bs->size, 64 << 10, false);
	submit(bs, BS_FLUSH, 0, 0, false);
	submit(bs, BS_DISCARD, 5 * MiB + 512, 8 << 10, false);
	submit(bs, BS_ZERO, MiB + 512, 9 << 10, true);
	submit(bs, BS_ZERO, 2 * MiB + 512, 9 << 10, false);
	submit(bs, BS_DISCARD, bs->size / 2, bs->size, false);
}

static void
use_volume(struct pool *pool, struct volume *volume)
{
	struct volume_stat stat;
	struct backstore *bs = volume_open(volume);

	volume_stat_get(volume, &stat);
	assert(volume_find(pool, stat.name) != NULL);
	assert(volume_find_uuid(pool, stat.uuid) != NULL);
	if (bs == NULL)
		return;
	assert(bs->size == stat.size);
	use_reads(bs);
	use_writes(bs);
	use_reads(bs);
	drain();
	volume_done(bs);
}

/* Requests one after the other, whatever comes of those before. */
static void
use_requests(struct pool *pool)
{
	static const struct volume_params params = {
	    .name = "new", .size = 8 * MiB};
	struct volume *volume = volume_next(pool, NULL);
	struct waited w[5];
	struct volume_stat stat;

	for (unsigned i = 0; i < ARRAY_SIZE(w); i++)
		w[i] = (struct waited)WAITED(w[i]);
	volume_create(pool, &params, &w[0].request);
	waited_wait(&w[0]);
	pool_checkpoint(pool, &w[1].request);
	waited_wait(&w[1]);
	if (volume != NULL) {
		volume_stat_get(volume, &stat);
		volume_resize(pool, volume,
		    stat.size > 4 * MiB ? 4 * MiB : 9 * MiB, &w[2].request);
		waited_wait(&w[2]);
		volume_rename(pool, volume, "renamed", &w[3].request);
		waited_wait(&w[3]);
		volume_delete(pool, volume, &w[4].request);
		waited_wait(&w[4]);
	}
}

static void
use_grow(struct pool *pool)
{
	struct waited w = WAITED(w);

	pool_grow(pool, NULL, &w.request);
	waited_wait(&w);
}

enum outcome {
	REFUSED, /* it does not open, and nothing was written */
	NEWER,   /* nor this, for this version must not write it */
	SUSPECT, /* what contradicts itself was found on the way */
	HEALTHY,
};

static enum outcome
use(struct backstore **bs, unsigned count, bool read_only)
{
	struct pool_limits limits = {.cache_bytes = MiB, .io_max = 16};
	struct waited w = WAITED(w);
	struct volume *volume = NULL;
	struct pool_stat stat;
	struct pool *pool;
	int result;

	f.steps = 0;
	pool_open(f.loop, bs, count, &limits, read_only, &w.request);
	result = waited_wait(&w);
	tell("open: %d %s\n", result, w.request.problem);
	if (result < 0) {
		assert(w.request.problem[0] != 0);
		return result == -EROFS ? NEWER : REFUSED;
	}
	pool = w.request.pool;
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		volume = volume_next(pool, volume);
		if (volume == NULL)
			break;
		use_volume(pool, volume);
	}
	use_requests(pool);
	use_grow(pool);
	volume = volume_next(pool, NULL);
	if (volume != NULL)
		use_volume(pool, volume);
	pool_stat_get(pool, &stat);
	tell("state: %d %s\n", stat.state, stat.problem);
	w = (struct waited)WAITED(w);
	pool_close(pool, &w.request);
	assert(waited_wait(&w) != -EBUSY);
	return stat.state == POOL_SUSPECT ? SUSPECT : HEALTHY;
}

/* Whoever trusts the check may trust the pool, but for what it says that it
 * has not looked at. */
static void
play_sound(struct backstore **bs, unsigned count, bool read_only)
{
	struct check_report report;
	enum outcome outcome = use(bs, count, read_only);

	assert(outcome == HEALTHY || outcome == NEWER || log_unseen);
	assert(sound(check(bs, count, &report), &report));
}

static void
play(uint8_t flags)
{
	struct backstore *bs[DISKS];
	struct check_report report;
	unsigned count = f.now->disks;

	for (unsigned i = 0; i < count; i++)
		bs[flags & 32 ? count - 1 - i : i] = &f.now->disk[i]->bs;
	if (sound(check(bs, count, &report), &report))
		play_sound(bs, count, flags & 8);
	else if (use(bs, count, flags & 8) > NEWER)
		check(bs, count, &report);
}

/* Takes away all of one copy that is in use: 1, 2; 0: nothing. */
static void
lose_copy(unsigned copy)
{
	static const enum kind kinds[] = {KIND_PAGE, KIND_BITMAP, KIND_LOG};
	struct where where;

	for (unsigned k = 0; k < ARRAY_SIZE(kinds); k++)
		for (unsigned i = 0; i < f.now->count[kinds[k]]; i++) {
			where = f.now->where[kinds[k]][i];
			if (copy == 0 ||
			    (copy == 2 && !copies_second(&where, &where)))
				continue;
			memset(block_edit(f.now->disk[where.disk], where.block),
			    0xee, FMT_BLOCK);
		}
}

/* The images themselves are right, and stay so, and so are their two copies
 * each alone: what the edits change is all that is wrong. */
static void
play_base(unsigned number, unsigned lost)
{
	struct backstore *bs[DISKS];
	struct check_report report;

	f.now = &f.image[number];
	assert(simloop_new(1, MiB, &f.loop) == 0);
	for (unsigned i = 0; i < f.now->disks; i++) {
		disk_reset(f.now->disk[i], i, 512);
		bs[i] = &f.now->disk[i]->bs;
	}
	lose_copy(lost);
	assert(sound(check(bs, f.now->disks, &report), &report));
	if (lost == 0)
		f.now->log_records = report.log_records;
	assert(report.log_records == f.now->log_records);
	play_sound(bs, f.now->disks, false);
	simloop_free(f.loop);
	arena_reset();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t flags;

	if (f.now == NULL) {
		f.verbose = getenv("IMAGE_FUZZ_VERBOSE") != NULL;
		base_init();
		for (unsigned i = 0; i < 6; i++)
			play_base(i / 3, i % 3);
	}
	if (size < 2)
		return 0;
	f.at = data;
	f.end = data + size;
	flags = (uint8_t)take(1);
	f.now = &f.image[flags & 1];
	f.random = take(1) + 1;
	assert(simloop_new(f.random, MiB, &f.loop) == 0);
	for (unsigned i = 0; i < f.now->disks; i++)
		disk_reset(f.now->disk[i], i, flags & 16 ? 4096 : 512);
	edit_early(flags & 64);
	if ((flags >> 1 & 3) < 3)
		mend((flags >> 1 & 3) < 2);
	copies_level();
	edit_late();
	play(flags);
	simloop_free(f.loop);
	arena_reset();
	return 0;
}
