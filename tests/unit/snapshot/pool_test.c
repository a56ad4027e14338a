/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What pool.h promises, case by case.  Power cuts at every point and random
 * work are tests/sim's; here each test is one claim.
 */
#include "tests/unit/snapshot/support/rig.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MiB (1ull << 20)
#define GiB (1ull << 30)
#define TiB (1ull << 40)

static struct rig rig;

static int
teardown(void **state)
{
	(void)state;
	rig_done(&rig);
	return 0;
}

static struct backstore *
pool_and_volume(uint64_t disk, uint64_t size, uint32_t block_size)
{
	struct volume *volume;

	rig_init(&rig, disk, 512, true);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_int_equal(
	    rig_volume(&rig, "web01", size, block_size, &volume), 0);
	return volume_open(volume);
}

/* ---- life of pools ---- */

static void
a_pool_is_not_written_over_without_force(void **state)
{
	(void)state;
	rig_init(&rig, 64 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	rig_close(&rig);
	assert_int_equal(rig_create(&rig, NULL, false), -EEXIST);
	assert_non_null(strstr(rig.problem, "tank"));
	assert_int_equal(rig_create(&rig, NULL, true), 0);
}

static void
a_pool_has_a_valid_name_and_64_mib(void **state)
{
	struct pool_params params = {.name = "-tank"};

	(void)state;
	rig_init(&rig, 63 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, &params, false), -EINVAL);
	assert_int_equal(rig_create(&rig, NULL, false), -ENOSPC);
}

static void
a_gib_keeps_nine_tenths_for_data(void **state)
{
	(void)state;
	rig_init(&rig, GiB, 512, true);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_true(rig_stat(&rig).free >= GiB / 10 * 9);
}

static void
an_empty_disk_holds_no_pool(void **state)
{
	(void)state;
	rig_init(&rig, 64 * MiB, 512, true);
	assert_int_equal(rig_open(&rig, false), -ENOENT);
}

static void
a_pool_without_a_disk_does_not_open(void **state)
{
	(void)state;
	rig_init(&rig, 64 * MiB, 512, true);
	struct pool_params params = {.name = "tank", .no_mirror = true};

	rig.disk[rig.disks++] = rig_disk(&rig, 64 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, &params, false), 0);
	rig_close(&rig);
	rig.disks = 1;
	assert_int_equal(rig_open(&rig, false), -ENODEV);
	rig.disks = 2;
	/* in any order */
	struct backstore *first = rig.disk[0];
	rig.disk[0] = rig.disk[1];
	rig.disk[1] = first;
	assert_int_equal(rig_open(&rig, false), 0);
}

static void
one_damaged_superblock_does_no_harm(void **state)
{
	(void)state;
	rig_init(&rig, 64 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	rig_close(&rig);
	bs_powercut_flip_bit(rig.disk[0], ((128ull << 10) + 99) * 8);
	assert_int_equal(rig_open(&rig, false), 0);
	rig_close(&rig);
	bs_powercut_flip_bit(rig.disk[0], ((128ull << 10) + 99) * 8);
	bs_powercut_flip_bit(rig.disk[0], ((192ull << 10) + 99) * 8);
	assert_int_equal(rig_open(&rig, false), -EBADMSG);
}

static void
a_pool_for_reading_refuses_writes(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, MiB, 512);
	struct volume *volume;

	(void)state;
	assert_int_equal(rig_fill(&rig, bs, 0, 4096, 7), 0);
	assert_int_equal(rig_flush(&rig, bs), 0);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, true), 0);
	assert_int_equal(rig_stat(&rig).state, POOL_READ_ONLY);
	bs = volume_open(volume_find(rig.pool, "web01"));
	assert_true(rig_holds(&rig, bs, 0, 4096, 7));
	assert_int_equal(rig_fill(&rig, bs, 0, 4096, 8), -EROFS);
	assert_int_equal(rig_volume(&rig, "x", MiB, 512, &volume), -EROFS);
}

/* ---- volumes ---- */

static void
a_name_is_given_once(void **state)
{
	struct volume *volume, *other;

	(void)state;
	rig_init(&rig, 64 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_int_equal(rig_volume(&rig, "b", MiB, 0, &volume), 0);
	assert_int_equal(rig_volume(&rig, "b", MiB, 0, &other), -EEXIST);
	assert_int_equal(rig_volume(&rig, "a", MiB, 0, &other), 0);
	assert_ptr_equal(volume_next(rig.pool, NULL), other);
	assert_int_equal(rig_rename(&rig, other, "b"), -EEXIST);
	assert_int_equal(rig_rename(&rig, other, "c"), 0);
	assert_ptr_equal(volume_next(rig.pool, NULL), volume);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	assert_non_null(volume_find(rig.pool, "c"));
	assert_null(volume_find(rig.pool, "a"));
}

static void
a_volume_has_a_legal_size(void **state)
{
	struct volume *volume;

	(void)state;
	rig_init(&rig, 64 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_int_equal(rig_volume(&rig, "a", 4095, 0, &volume), -EINVAL);
	assert_int_equal(rig_volume(&rig, "a", 0, 0, &volume), -EINVAL);
	assert_int_equal(
	    rig_volume(&rig, "a", 232 * TiB + 4096, 0, &volume), -E2BIG);
	assert_int_equal(rig_volume(&rig, "a", MiB, 1024, &volume), -EINVAL);
	assert_int_equal(rig_volume(&rig, "a", 4096, 0, &volume), 0);
}

/* Linux sends no longer requests than what is optimal. */
static void
a_mib_at_once_is_optimal(void **state)
{
	(void)state;
	struct backstore *bs = pool_and_volume(128 * MiB, 16 * MiB, 512);

	assert_int_equal(bs->optimal_io, MiB);
	assert_true(bs->optimal_io <= bs->max_io);
}

static void
the_largest_volume_works_at_both_ends(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, 232 * TiB, 4096);

	(void)state;
	assert_int_equal(rig_fill(&rig, bs, 0, 4096, 1), 0);
	assert_int_equal(rig_fill(&rig, bs, 232 * TiB - 8192, 8192, 2), 0);
	assert_int_equal(rig_flush(&rig, bs), 0);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	bs = volume_open(volume_find(rig.pool, "web01"));
	assert_true(rig_holds(&rig, bs, 0, 4096, 1));
	assert_true(rig_holds(&rig, bs, 232 * TiB - 8192, 8192, 2));
	assert_true(rig_holds(&rig, bs, 100 * TiB, 65536, 0));
	/* and is emptied without walking over what is not there */
	assert_int_equal(rig_unmap(&rig, bs, 0, 232 * TiB), 0);
	assert_true(rig_holds(&rig, bs, 232 * TiB - 8192, 8192, 0));
	assert_int_equal(rig_stat(&rig).allocated, 0);
}

static void
an_enlarged_volume_gets_another_level(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, MiB, 512);
	struct volume *volume = volume_find(rig.pool, "web01");

	(void)state;
	assert_int_equal(rig_fill(&rig, bs, 0, 65536, 3), 0);
	assert_int_equal(rig_resize(&rig, volume, 232 * TiB), 0);
	assert_int_equal(bs->size, 232 * TiB);
	assert_true(rig_holds(&rig, bs, 0, 65536, 3));
	assert_int_equal(rig_fill(&rig, bs, 232 * TiB - 512, 512, 4), 0);
	assert_int_equal(rig_checkpoint(&rig), 0);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	bs = volume_open(volume_find(rig.pool, "web01"));
	assert_true(rig_holds(&rig, bs, 0, 65536, 3));
	assert_true(rig_holds(&rig, bs, 232 * TiB - 512, 512, 4));
	assert_true(rig_holds(&rig, bs, 232 * TiB - 4096, 3584, 0));
}

static void
what_a_shrink_cuts_off_does_not_come_back(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, 4 * MiB, 512);
	struct volume *volume = volume_find(rig.pool, "web01");

	(void)state;
	assert_int_equal(rig_fill(&rig, bs, 0, 4 * MiB, 5), 0);
	assert_int_equal(rig_resize(&rig, volume, MiB + 4096), 0);
	assert_int_equal(rig_stat(&rig).allocated, MiB + 65536);
	assert_int_equal(rig_resize(&rig, volume, 4 * MiB), 0);
	assert_true(rig_holds(&rig, bs, 0, MiB + 4096, 5));
	assert_true(rig_holds(&rig, bs, MiB + 4096, 3 * MiB - 4096, 0));
}

static void
a_deleted_volume_gives_its_space_back(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, 16 * MiB, 512);
	struct volume *volume = volume_find(rig.pool, "web01");
	uint64_t before = rig_stat(&rig).free;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(rig_fill(&rig, bs, i * MiB, MiB, 6), 0);
	assert_int_equal(rig_delete(&rig, volume), -EBUSY);
	rig_checkpoint(&rig);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	volume = volume_find(rig.pool, "web01");
	assert_int_equal(rig_delete(&rig, volume), 0);
	assert_null(volume_find(rig.pool, "web01"));
	/* the name is free at once, and a cut does not stop the deletion */
	assert_int_equal(rig_volume(&rig, "web01", MiB, 512, &volume), 0);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	rig_settle(&rig, NSEC_PER_SEC);
	assert_int_equal(rig_stat(&rig).allocated, 0);
	assert_true(rig_stat(&rig).free >= before);
	assert_int_equal(rig_stat(&rig).volumes, 1);
}

/* ---- data ---- */

static void
holes_read_as_zeros_and_hold_nothing(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, GiB, 512);

	(void)state;
	assert_true(rig_holds(&rig, bs, 0, MiB, 0));
	assert_int_equal(rig_stat(&rig).allocated, 0);
	/* parts of a block: the rest is zeros */
	assert_int_equal(rig_fill(&rig, bs, 100 * MiB + 1024, 1536, 9), 0);
	assert_true(rig_holds(&rig, bs, 100 * MiB, 1024, 0));
	assert_true(rig_holds(&rig, bs, 100 * MiB + 1024, 1536, 9));
	assert_true(rig_holds(&rig, bs, 100 * MiB + 2560, 62976, 0));
}

static void
a_flushed_write_survives_a_cut(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, 32 * MiB, 512);

	(void)state;
	assert_int_equal(rig_fill(&rig, bs, 4096, 3 * MiB, 1), 0);
	assert_int_equal(rig_fill(&rig, bs, 16 * MiB + 512, 9 * 512, 2), 0);
	assert_int_equal(rig_flush(&rig, bs), 0);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	assert_true(rig_stat(&rig).replayed_records > 0);
	bs = volume_open(volume_find(rig.pool, "web01"));
	assert_true(rig_holds(&rig, bs, 0, 4096, 0));
	assert_true(rig_holds(&rig, bs, 4096, 3 * MiB, 1));
	assert_true(rig_holds(&rig, bs, 16 * MiB, 512, 0));
	assert_true(rig_holds(&rig, bs, 16 * MiB + 512, 9 * 512, 2));
}

static void
unmap_is_exact_to_a_block(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, 32 * MiB, 512);
	struct volume *volume = volume_find(rig.pool, "web01");
	struct volume_stat stat;

	(void)state;
	assert_int_equal(rig_fill(&rig, bs, 0, 256 << 10, 3), 0);
	assert_int_equal(rig_unmap(&rig, bs, 4096 + 512, (64 << 10) + 4096), 0);
	assert_true(rig_holds(&rig, bs, 0, 4608, 3));
	assert_true(rig_holds(&rig, bs, 4608, (64 << 10) + 4096, 0));
	assert_true(rig_holds(&rig, bs, (64 << 10) + 8704, 4096, 3));
	volume_stat_get(volume, &stat);
	/* 16 whole blocks went, parts of two are zeroed */
	assert_int_equal(stat.live, (256 << 10) - (64 << 10));
	assert_int_equal(stat.allocated, 256 << 10);
	assert_int_equal(rig_unmap(&rig, bs, 0, 128 << 10), 0);
	volume_stat_get(volume, &stat);
	assert_int_equal(stat.live, 128 << 10);
	assert_int_equal(stat.allocated, 128 << 10);
	rig_checkpoint(&rig);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	volume_stat_get(volume_find(rig.pool, "web01"), &stat);
	assert_int_equal(stat.live, 128 << 10);
}

static void
io_ended(struct bs_io *io, int result)
{
	(void)result; /* it is in io */
	assert(!io->in_flight);
}

static void
extents_tell_data_from_holes(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, GiB, 512);
	struct bs_extent extents[4];
	struct bs_io io;

	(void)state;
	assert_int_equal(rig_fill(&rig, bs, 8192, 4096, 1), 0);
	bs_io_init(&io);
	io.op = BS_EXTENTS;
	io.length = GiB;
	io.extents = extents;
	io.extent_max = 4;
	io.complete = io_ended;
	bs_submit(bs, &io);
	rig_settle(&rig, NSEC_PER_MSEC);
	assert_false(io.in_flight);
	assert_int_equal(io.result, 0);
	assert_int_equal(io.extent_count, 3);
	assert_int_equal(extents[0].kind, BS_EXTENT_HOLE);
	assert_int_equal(extents[0].length, 8192);
	assert_int_equal(extents[1].kind, BS_EXTENT_DATA);
	assert_int_equal(extents[1].length, 4096);
	assert_int_equal(extents[2].kind, BS_EXTENT_HOLE);
	assert_int_equal(extents[2].offset + extents[2].length, GiB);
}

/* Two first writes of parts of one block, in flight together. */
static void
parts_of_one_block_do_not_lose_each_other(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, MiB, 512);
	uint8_t *data = aligned_alloc(4096, 4096);
	struct iovec iov[2] = {{data, 512}, {data + 512, 1024}};
	struct bs_io io[2];

	(void)state;
	memset(data, 1, 512);
	memset(data + 512, 2, 1024);
	for (unsigned i = 0; i < 2; i++) {
		bs_io_init(&io[i]);
		io[i].op = BS_WRITE;
		io[i].offset = 8192 + i * 1024;
		io[i].length = iov[i].iov_len;
		io[i].iov = &iov[i];
		io[i].iov_count = 1;
		io[i].complete = io_ended;
		bs_submit(bs, &io[i]);
	}
	rig_settle(&rig, 10 * NSEC_PER_MSEC);
	assert_int_equal(io[0].result, 0);
	assert_int_equal(io[1].result, 0);
	assert_true(rig_holds(&rig, bs, 8192, 512, 1));
	assert_true(rig_holds(&rig, bs, 8704, 512, 0));
	assert_true(rig_holds(&rig, bs, 9216, 1024, 2));
	assert_true(rig_holds(&rig, bs, 10240, 2048, 0));
	assert_int_equal(rig_stat(&rig).allocated, 65536);
	free(data);
}

/* ---- the full pool ---- */

static uint64_t
fill_up(struct backstore *bs)
{
	uint64_t at = 0;
	int result;

	while ((result = rig_fill(&rig, bs, at, MiB, 1)) == 0)
		at += MiB;
	assert_int_equal(result, -ENOSPC);
	return at;
}

static void
a_full_pool_overwrites_reads_unmaps_and_deletes(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, GiB, 512);
	uint64_t full = fill_up(bs);
	struct pool_stat stat = rig_stat(&rig);

	(void)state;
	assert_int_equal(stat.level, 3);
	assert_true(stat.allocation_failures > 0);
	assert_int_equal(rig_fill(&rig, bs, 5 * MiB, MiB, 2), 0);
	assert_int_equal(rig_flush(&rig, bs), 0);
	assert_true(rig_holds(&rig, bs, 5 * MiB, MiB, 2));
	assert_int_equal(rig_unmap(&rig, bs, 0, 2 * MiB), 0);
	assert_true(rig_holds(&rig, bs, 0, 2 * MiB, 0));
	/* what was freed can be used, after the wait for its commit */
	assert_int_equal(rig_fill(&rig, bs, full + 8 * MiB, MiB, 3), 0);
	assert_true(rig_holds(&rig, bs, full + 8 * MiB, MiB, 3));
	assert_int_equal(rig_checkpoint(&rig), 0);
}

static void
a_pool_grows_by_a_disk_and_by_larger_disks(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, GiB, 512);
	uint64_t full = fill_up(bs), free;

	(void)state;
	rig.disk[rig.disks++] = rig_disk(&rig, 128 * MiB, 512, true);
	assert_int_equal(rig_grow(&rig, rig.disk[1]), 0);
	free = rig_stat(&rig).free;
	assert_true(free > 100 * MiB);
	assert_int_equal(rig_stat(&rig).devices, 2);
	assert_int_equal(rig_fill(&rig, bs, full, 8 * MiB, 4), 0);
	assert_int_equal(rig_flush(&rig, bs), 0);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	bs = volume_open(volume_find(rig.pool, "web01"));
	assert_true(rig_holds(&rig, bs, full, 8 * MiB, 4));
	assert_true(rig_holds(&rig, bs, 0, MiB, 1));
	assert_int_equal(rig_grow(&rig, NULL), 0); /* nothing new: fine */
}

static void
count_levels(void *arg, struct pool *pool, enum pool_event what)
{
	unsigned *count = arg;

	(void)pool;
	*count += what == POOL_EVENT_LEVEL;
}

static void
levels_are_set_at_once_and_stay(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, GiB, 512);
	unsigned events = 0;

	(void)state;
	pool_on_event(rig.pool, count_levels, &events);
	assert_int_equal(rig_fill(&rig, bs, 0, 8 * MiB, 1), 0);
	assert_int_equal(rig_fill(&rig, bs, 8 * MiB, 8 * MiB, 1), 0);
	assert_int_equal(rig_stat(&rig).level, 0);
	assert_int_equal(rig_levels(&rig, 10, 90), 0);
	assert_int_equal(rig_stat(&rig).level, 1);
	assert_int_equal(events, 1);
	assert_int_equal(rig_levels(&rig, 0, 20), 0); /* 0: as it is */
	assert_int_equal(rig_stat(&rig).soft_percent, 10);
	assert_int_equal(rig_stat(&rig).level, 2);
	assert_int_equal(rig_levels(&rig, 21, 0), -EINVAL);
	assert_int_equal(rig_levels(&rig, 10, 101), -EINVAL);
	assert_int_equal(rig_stat(&rig).hard_percent, 20);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	assert_int_equal(rig_stat(&rig).soft_percent, 10);
	assert_int_equal(rig_stat(&rig).hard_percent, 20);
	assert_int_equal(rig_levels(&rig, 80, 95), 0);
	assert_int_equal(rig_stat(&rig).level, 0);
	rig_close(&rig);
	assert_int_equal(rig_open(&rig, true), 0);
	assert_int_equal(rig_levels(&rig, 1, 2), -EROFS);
}

/* ---- trouble ---- */

static void
damaged_maps_never_read_as_zeros(void **state)
{
	struct backstore *bs = pool_and_volume(64 * MiB, GiB, 512);
	static uint8_t page[4096], data[4096] __attribute__((aligned(4096)));
	unsigned hit = 0;

	(void)state;
	assert_int_equal(rig_fill(&rig, bs, 0, 65536, 1), 0);
	rig_close(&rig);
	/* flip a bit in every leaf of a map */
	for (uint64_t at = MiB; at < 64 * MiB; at += 4096) {
		bs_powercut_peek(rig.disk[0], at, page, sizeof(page));
		if (memcmp(&page[4], "VrvP", 4) != 0 || page[8] != 1 ||
		    page[9] != 0)
			continue;
		bs_powercut_flip_bit(rig.disk[0], (at + 300) * 8);
		hit++;
	}
	assert_true(hit > 0);
	assert_int_equal(rig_open(&rig, false), 0);
	bs = volume_open(volume_find(rig.pool, "web01"));
	assert_int_equal(
	    rig_io(&rig, bs, BS_READ, 0, data, sizeof(data)), -ENODATA);
	assert_int_equal(rig_fill(&rig, bs, 0, 4096, 1), -ENODATA);
	assert_true(rig_holds(&rig, bs, 512 * MiB, 4096, 0));
}

static void
a_failed_flush_makes_the_pool_suspect(void **state)
{
	struct bs_error_rule rule = {.op = BS_FLUSH, .error = -EIO, .count = 1};
	struct backstore *bs, *error;
	struct volume *volume;

	(void)state;
	rig_init(&rig, 64 * MiB, 512, true);
	assert_int_equal(bs_error_new(rig.disk[0], &error), 0);
	rig.disk[0] = error;
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_int_equal(rig_volume(&rig, "web01", MiB, 512, &volume), 0);
	bs = volume_open(volume);
	assert_int_equal(rig_fill(&rig, bs, 0, 4096, 1), 0);
	bs_error_add(error, &rule);
	assert_int_equal(rig_flush(&rig, bs), -EIO);
	assert_int_equal(rig_stat(&rig).state, POOL_SUSPECT);
	/* never retried and acknowledged */
	assert_int_equal(rig_flush(&rig, bs), -EIO);
	assert_int_equal(rig_fill(&rig, bs, 0, 4096, 2), -EIO);
	assert_true(rig_holds(&rig, bs, 0, 4096, 1));
}

static void
the_hosts_full_file_system_fails_that_write_alone(void **state)
{
	struct bs_error_rule rule = {
	    .op = BS_WRITE, .error = -ENOSPC, .count = 1};
	struct backstore *bs, *error;
	struct volume *volume;

	(void)state;
	rig_init(&rig, 64 * MiB, 512, true);
	assert_int_equal(bs_error_new(rig.disk[0], &error), 0);
	rig.disk[0] = error;
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_int_equal(rig_volume(&rig, "web01", MiB, 512, &volume), 0);
	bs = volume_open(volume);
	bs_error_add(error, &rule);
	assert_int_equal(rig_fill(&rig, bs, 0, 4096, 1), -ENOSPC);
	assert_true(rig_stat(&rig).host_full);
	assert_int_equal(rig_stat(&rig).state, POOL_ONLINE);
	assert_int_equal(rig_stat(&rig).allocated, 0);
	assert_true(rig_holds(&rig, bs, 0, 4096, 0));
	assert_int_equal(rig_fill(&rig, bs, 0, 4096, 2), 0);
	assert_true(rig_holds(&rig, bs, 0, 4096, 2));
}

/* ---- a killed process ---- */

static void
ring_set(void *ring, uint8_t boot)
{
	rig.limits.ack_ring = ring;
	rig.limits.ack_ring_bytes = 64 << 10;
	memset(rig.limits.boot_id, boot, sizeof(rig.limits.boot_id));
}

static struct backstore *
pool_with_ring(void *ring)
{
	struct volume *volume;

	rig_init(&rig, 64 * MiB, 512, false); /* completed is kept */
	ring_set(ring, 1);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_int_equal(rig_volume(&rig, "web01", GiB, 512, &volume), 0);
	return volume_open(volume);
}

static void
a_kill_loses_nothing_acknowledged(void **state)
{
	void *ring = aligned_alloc(4096, 64 << 10);
	struct backstore *bs = pool_with_ring(ring);

	(void)state;
	assert_int_equal(rig_fill(&rig, bs, 0, MiB, 1), 0);
	assert_int_equal(rig_flush(&rig, bs), 0);
	assert_int_equal(rig_fill(&rig, bs, 8 * MiB, 65536, 2), 0);
	assert_int_equal(rig_unmap(&rig, bs, 0, 512 << 10), 0);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	bs = volume_open(volume_find(rig.pool, "web01"));
	assert_true(rig_holds(&rig, bs, 8 * MiB, 65536, 2));
	assert_true(rig_holds(&rig, bs, 0, 512 << 10, 0));
	assert_true(rig_holds(&rig, bs, 512 << 10, 512 << 10, 1));
	rig_cut(&rig);
	free(ring);
	rig.limits.ack_ring = NULL;
}

static void
the_ring_of_another_boot_does_not_count(void **state)
{
	void *ring = aligned_alloc(4096, 64 << 10);
	struct backstore *bs = pool_with_ring(ring);

	(void)state;
	assert_int_equal(rig_fill(&rig, bs, 8 * MiB, 65536, 2), 0);
	rig_cut(&rig);
	ring_set(ring, 2);
	assert_int_equal(rig_open(&rig, false), 0);
	bs = volume_open(volume_find(rig.pool, "web01"));
	assert_true(rig_holds(&rig, bs, 8 * MiB, 65536, 0));
	rig_cut(&rig);
	free(ring);
	rig.limits.ack_ring = NULL;
}

/* 2046 records fit: a burst of first writes goes round it several times. */
static void
a_full_ring_makes_writes_wait_for_the_commit(void **state)
{
	void *ring = aligned_alloc(4096, 64 << 10);
	struct backstore *bs = pool_with_ring(ring);
	uint64_t chunk = 0;

	(void)state;
	for (unsigned round = 0; round < 10; round++) {
		for (; chunk < (round + 1) * 500; chunk++)
			assert_int_equal(
			    rig_fill(&rig, bs,
				chunk % 300 * 65536 + chunk / 300 % 16 * 4096,
				4096, (int)(chunk % 251)),
			    0);
		rig_cut(&rig);
		assert_int_equal(rig_open(&rig, false), 0);
		bs = volume_open(volume_find(rig.pool, "web01"));
		for (uint64_t i = 0; i < chunk && i < 4800; i += 37)
			assert_true(rig_holds(&rig, bs,
			    i % 300 * 65536 + i / 300 % 16 * 4096, 4096,
			    (int)((i + (i + 4800 < chunk ? 4800 : 0)) % 251)));
	}
	rig_cut(&rig);
	free(ring);
	rig.limits.ack_ring = NULL;
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_pool_is_not_written_over_without_force),
	    TEST(a_pool_has_a_valid_name_and_64_mib),
	    TEST(a_gib_keeps_nine_tenths_for_data),
	    TEST(an_empty_disk_holds_no_pool),
	    TEST(a_pool_without_a_disk_does_not_open),
	    TEST(one_damaged_superblock_does_no_harm),
	    TEST(a_pool_for_reading_refuses_writes),
	    TEST(a_name_is_given_once),
	    TEST(a_volume_has_a_legal_size),
	    TEST(a_mib_at_once_is_optimal),
	    TEST(the_largest_volume_works_at_both_ends),
	    TEST(an_enlarged_volume_gets_another_level),
	    TEST(what_a_shrink_cuts_off_does_not_come_back),
	    TEST(a_deleted_volume_gives_its_space_back),
	    TEST(holes_read_as_zeros_and_hold_nothing),
	    TEST(a_flushed_write_survives_a_cut),
	    TEST(unmap_is_exact_to_a_block),
	    TEST(extents_tell_data_from_holes),
	    TEST(parts_of_one_block_do_not_lose_each_other),
	    TEST(a_full_pool_overwrites_reads_unmaps_and_deletes),
	    TEST(a_pool_grows_by_a_disk_and_by_larger_disks),
	    TEST(levels_are_set_at_once_and_stay),
	    TEST(damaged_maps_never_read_as_zeros),
	    TEST(a_failed_flush_makes_the_pool_suspect),
	    TEST(the_hosts_full_file_system_fails_that_write_alone),
	    TEST(a_kill_loses_nothing_acknowledged),
	    TEST(the_ring_of_another_boot_does_not_count),
	    TEST(a_full_ring_makes_writes_wait_for_the_commit),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}
