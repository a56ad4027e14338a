/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Two pools as the engine makes them: one on one device, and one on two with
 * trees of several levels and a deletion under way.  Both hold volumes small
 * and huge, chunks whole and in part, holes, and records of the log behind the
 * checkpoint.
 */
#include "tests/fuzz/image/image.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- by the engine ---- */

static void
pool_make(struct image *image, const struct pool_params *params,
    struct pool **ret_pool)
{
	struct pool_limits limits = {.cache_bytes = MiB, .io_max = 16};
	struct waited made = WAITED(made);
	struct backstore *bs[DISKS];

	for (unsigned i = 0; i < image->disks; i++)
		bs[i] = &image->disk[i]->bs;
	pool_create(
	    f.loop, bs, image->disks, params, &limits, true, &made.request);
	if (waited_wait(&made) < 0) {
		fprintf(stderr, "pool_create: %s\n", made.request.problem);
		abort();
	}
	*ret_pool = made.request.pool;
}

static struct volume *
volume_make(
    struct pool *pool, const char *name, uint64_t size, uint32_t block_size)
{
	struct waited made = WAITED(made);
	struct volume_params params = {
	    .name = name, .size = size, .block_size = block_size};

	memset(params.uuid, name[0], sizeof(params.uuid));
	volume_create(pool, &params, &made.request);
	assert(waited_wait(&made) == 0);
	return made.request.volume;
}

static void
checkpoint_make(struct pool *pool)
{
	struct waited made = WAITED(made);

	pool_checkpoint(pool, &made.request);
	assert(waited_wait(&made) == 0);
}

/* A volume with data at both ends, being deleted: a huge one takes as long as
 * anybody looks, a small one is gone. */
static void
volume_delete_begin(struct pool *pool, uint64_t size)
{
	struct waited gone = WAITED(gone);
	struct volume *volume = volume_make(pool, "d", size, 4096);
	struct backstore *bs = volume_open(volume);

	submit(bs, BS_WRITE, 0, 128 << 10, false);
	submit(bs, BS_WRITE, size - (64 << 10), 64 << 10, false);
	drain();
	volume_done(bs);
	volume_delete(pool, volume, &gone.request);
	assert(waited_wait(&gone) == 0);
	checkpoint_make(pool);
	checkpoint_make(pool);
}

static void
volumes_fill(struct pool *pool, uint64_t deleted)
{
	struct backstore *a =
	    volume_open(volume_make(pool, "a", 16 * MiB, 512));
	struct backstore *b =
	    volume_open(volume_make(pool, "b", 1024 * MiB, 0));
	struct backstore *c =
	    volume_open(volume_make(pool, "c", FMT_VOLUME_MAX, 4096));

	submit(a, BS_WRITE, 0, 192 << 10, false);
	submit(a, BS_WRITE, MiB + 8192, 4096, false);
	submit(a, BS_WRITE, 2 * MiB + 512, 512, false);
	submit(b, BS_WRITE, 0, 64 << 10, false);
	submit(b, BS_WRITE, 16 * MiB, 128 << 10, false);
	submit(c, BS_WRITE, FMT_VOLUME_MAX - (64 << 10), 64 << 10, false);
	drain();
	submit(a, BS_DISCARD, 16 << 10, 16 << 10, false);
	submit(b, BS_DISCARD, 64 << 10, 16 * MiB, false);
	drain();
	volume_delete_begin(pool, deleted);

	submit(a, BS_WRITE, 4 * MiB, 128 << 10, false);
	submit(a, BS_DISCARD, 64 << 10, 64 << 10, false);
	submit(b, BS_WRITE, 32 * MiB, 4096, false);
	drain();
	submit(b, BS_FLUSH, 0, 0, false);
	drain();
	submit(b, BS_WRITE, 33 * MiB, 64 << 10, true);
	submit(c, BS_WRITE, 0, 4096, true);
	drain();
	volume_done(a);
	volume_done(b);
	volume_done(c);
}

/* ---- made the same in every process ---- */

static void
super_calm(struct fmt_super *super)
{
	le64_set(&super->created_unix, 0);
	le64_set(&super->written_unix, 0);
	le64_set(&super->log_incarnation, 7);
	for (unsigned i = 0; i < DISKS; i++)
		memset(super->device[i].uuid, 0x11 + (int)i, 16);
}

/* Takes out what the engine drew at random or read from a clock. */
static void
base_calm(struct image *image)
{
	for (unsigned d = 0; d < image->disks; d++) {
		for (unsigned n = 0; n < FMT_SUPER_SLOTS; n++)
			super_calm(super_at(d, n));
		for (unsigned n = 0; n < FMT_LABELS; n++) {
			struct fmt_label *label =
			    (void *)block_edit(image->disk[d],
				fmt_label_offset(n, image->disk[d]->base_size) /
				    FMT_BLOCK);
			memset(label->device_uuid, 0x11 + (int)d, 16);
		}
	}
	mend_record();
	for (unsigned i = 0; i < image->count[KIND_VERSIONS]; i++) {
		struct where where = image->where[KIND_VERSIONS][i];
		struct fmt_version_page *page =
		    (void *)block_edit(image->disk[where.disk], where.block);
		for (unsigned n = 0; n < FMT_PAGE_VERSIONS_COUNT; n++)
			le64_set(&page->version[n].created_unix, 0);
	}
}

static void
base_make(unsigned number, const uint64_t *sizes, uint64_t region_bytes)
{
	struct image *image = &f.image[number];
	struct pool_params params = {
	    .name = "fuzz", .region_bytes = region_bytes};
	struct waited gone = WAITED(gone);
	struct pool *pool;

	f.now = image;
	f.steps = 0;
	memset(params.uuid, 0x77 + (int)number, sizeof(params.uuid));
	assert(simloop_new(number, MiB, &f.loop) == 0);
	for (; sizes[image->disks] != 0; image->disks++) {
		struct disk *disk = calloc(1, sizeof(*disk));
		assert(disk != NULL);
		disk->base_size = sizes[image->disks];
		disk_reset(disk, image->disks, 512);
		image->disk[image->disks] = disk;
	}
	pool_make(image, &params, &pool);
	volumes_fill(pool, number == 0 ? 64 * MiB : FMT_VOLUME_MAX / 2);
	base_calm(image);
	mend(true);
	copies_level();
	for (unsigned i = 0; i < image->disks; i++)
		disk_keep(image->disk[i]);
	pool_close(pool, &gone.request);
	waited_wait(&gone); /* it may see what was calmed */
	arena_reset();
	simloop_free(f.loop);
}

void
base_init(void)
{
	static const uint64_t one[] = {64 * MiB, 0};
	static const uint64_t two[] = {100 * MiB, 60 * MiB, 0};

	arena_init();
	for (unsigned i = 0; i < SLOTS; i++) {
		f.slots[i].data = aligned_alloc(FMT_BLOCK, SLOT_BYTES);
		assert(f.slots[i].data != NULL);
		memset(f.slots[i].data, 0xd0 + (int)i, SLOT_BYTES);
	}
	base_make(0, one, 0);
	base_make(1, two, MiB);
}
