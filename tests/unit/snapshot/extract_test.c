/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a volume and its snapshot hold, extracted from a pool made by hand: with
 * single blocks, with a log, and with damage, which costs what it hits.
 */
#include "backstores/testing.h"
#include "snapshot/extract.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/image.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIZE (1u << 20)

/* Each block that was given, by its first byte; 0: a hole; '!': damaged. */
struct got {
	char block[SIZE / FMT_BLOCK];
	uint64_t size;
	int error; /* to return from data() */
	struct check_report report;
	struct extract extract;
};

static struct image *image;
static struct got got;

static int
begin(void *arg, uint64_t size)
{
	(void)arg;
	got.size = size;
	return 0;
}

static int
data(void *arg, uint64_t offset, const uint8_t *bytes, uint64_t length)
{
	(void)arg;
	for (uint64_t at = 0; at < length && offset + at < SIZE;
	     at += FMT_BLOCK)
		got.block[(offset + at) / FMT_BLOCK] = (char)bytes[at];
	return got.error;
}

static void
damaged(void *arg, uint64_t offset, uint64_t length, const char *what)
{
	(void)arg;
	assert_non_null(what);
	for (uint64_t at = 0; at < length && offset + at < SIZE;
	     at += FMT_BLOCK)
		got.block[(offset + at) / FMT_BLOCK] = '!';
}

static int
extract(const char *volume, const char *snapshot, bool no_log)
{
	got = (struct got){.error = got.error};
	got.extract = (struct extract){.pool = "test",
	    .volume = volume,
	    .snapshot = snapshot,
	    .no_log = no_log,
	    .begin = begin,
	    .data = data,
	    .damaged = damaged};
	return pool_extract(
	    &image->bs, 1, image_step, image->loop, &got.report, &got.extract);
}

/* The block at an address holds this byte everywhere. */
static void
put(uint64_t address, char byte)
{
	char block[FMT_BLOCK];

	memset(block, byte, sizeof(block));
	bs_powercut_poke(image->bs, FMT_DEVICE_HEAD + address * FMT_BLOCK,
	    block, sizeof(block));
}

static bool
chunk_is(unsigned chunk, const char *blocks)
{
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		char want = blocks[i] == '.' ? '\0' : blocks[i];
		if (got.block[chunk * FMT_CHUNK_BLOCKS + i] != want)
			return false;
	}
	return true;
}

/* Chunk 0 is full but for a block of zeros, 5 has two blocks, 7 is logged. */
static int
setup(void **state)
{
	(void)state;
	got.error = 0;
	image = image_new();
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		put(IMAGE_DATA + i, i == 9 ? '\0' : (char)('a' + i));
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		put(IMAGE_DATA + 16 + i, 'x');
	put(IMAGE_DATA + 32, 'L');
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	image_free(image);
	return 0;
}

static void
a_volume_is_extracted_with_what_is_in_the_log(void **state)
{
	(void)state;
	assert_int_equal(extract("disk", NULL, false), 0);
	assert_int_equal(got.size, SIZE);
	assert_true(chunk_is(0, "abcdefghi.klmnop"));
	assert_true(chunk_is(1, "................"));
	assert_true(chunk_is(5, "xx.............."));
	assert_true(chunk_is(7, "L..............."));
	assert_int_equal(got.extract.data_bytes, 18 * FMT_BLOCK);
	assert_int_equal(got.extract.damaged_bytes, 0);
}

static void
the_checkpoint_alone_is_what_was_asked_for(void **state)
{
	(void)state;
	assert_int_equal(extract("disk", NULL, true), 0);
	assert_true(chunk_is(0, "abcdefghi.klmnop"));
	assert_true(chunk_is(7, "................"));
}

static void
a_log_that_cannot_be_recovered_is_left_out(void **state)
{
	(void)state;
	image_record(image, FMT_FREE, IMAGE_DATA + 200, 1, 0);
	image_finish(image);
	assert_int_equal(extract("disk", NULL, false), 0);
	assert_true(chunk_is(5, "xx.............."));
	assert_true(chunk_is(7, "................"));
	assert_int_equal(got.report.findings[CHECK_DAMAGE], 1);
}

/* As the snapshot was; and the volume with a block redirected since. */
static void
snapshot_made(void)
{
	unsigned leaf;

	image_no_log(image);
	le32_set(&image->super[0].epoch, 10);
	le64_set(&image->super[0].ro_compat, FMT_RO_COMPAT_SNAPSHOTS);
	image_version_add(image, 1, FMT_VERSION_SNAP, 0, 3, "mon");
	image_share_map(image, 1, 0);
	le64_set(&image_version(image, 0)->parent, 2);
	leaf = image_map(image, 0, 5);
	image_fine(image, leaf, 0, 12, 5);
	for (unsigned n = 1; n < 4; n++)
		image_sub(image, leaf, 0, 12, n, IMAGE_DATA + n, 1);
	image_sub(image, leaf, 0, 12, 0, IMAGE_DATA + 100, 5);
	image_sub(image, leaf, 0, 12, 5, FMT_SUB_POISON, 5);
	image_bits(image, IMAGE_DATA + 100, 1, true);
	put(IMAGE_DATA + 100, 'N');
	image_finish(image);
}

static void
a_snapshot_is_extracted_as_it_was(void **state)
{
	(void)state;
	snapshot_made();
	assert_int_equal(extract("disk", "mon", false), 0);
	assert_true(chunk_is(0, "abcdefghi.klmnop"));
	assert_int_equal(extract("disk", NULL, false), 0);
	assert_true(chunk_is(0, "Nbcd.!.........."));
	assert_int_equal(got.extract.damaged_bytes, FMT_BLOCK);
}

static void
what_is_not_there_is_said(void **state)
{
	(void)state;
	snapshot_made();
	assert_int_equal(extract("other", NULL, false), -ESRCH);
	assert_int_equal(extract("disk", "tue", false), -ESRCH);
	assert_int_equal(extract("mon", NULL, false), -ESRCH);
}

static void
a_damaged_leaf_costs_its_range(void **state)
{
	(void)state;
	image->page[PAGE_LEAF].leaf.page.reserved[0] = 1;
	image_write(image);
	assert_int_equal(extract("disk", NULL, true), 0);
	assert_int_equal(got.extract.damaged_bytes, SIZE);
	assert_int_equal(got.extract.data_bytes, 0);
}

static void
a_damaged_entry_costs_its_chunk(void **state)
{
	(void)state;
	image_no_log(image);
	le64_set(&image->page[PAGE_LEAF].leaf.entry[5].word,
	    fmt_entry_word(FMT_COARSE, IMAGE_META, 0xf));
	le64_set(&image->page[PAGE_LEAF].leaf.entry[6].word,
	    fmt_entry_word(9, IMAGE_DATA, 0xf));
	image_finish(image);
	assert_int_equal(extract("disk", NULL, false), 0);
	assert_true(chunk_is(0, "abcdefghi.klmnop"));
	assert_true(chunk_is(5, "!!!!............"));
	assert_true(chunk_is(6, "!!!!!!!!!!!!!!!!"));
}

static void
a_file_that_cannot_be_written_ends_it(void **state)
{
	(void)state;
	got.error = -ENOSPC;
	assert_int_equal(extract("disk", NULL, true), -ENOSPC);
	assert_int_equal(got.extract.data_bytes, 9 * FMT_BLOCK);
}

static void
it_ends(struct image *scribbled)
{
	(void)scribbled; /* the device is that of image */
	extract("disk", NULL, true);
	extract("disk", "mon", false);
}

static void
nothing_on_disk_harms_it(void **state)
{
	(void)state;
	snapshot_made();
	image_scribble(image, 300, it_ends);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_volume_is_extracted_with_what_is_in_the_log),
	    T(the_checkpoint_alone_is_what_was_asked_for),
	    T(a_log_that_cannot_be_recovered_is_left_out),
	    T(a_snapshot_is_extracted_as_it_was),
	    T(what_is_not_there_is_said),
	    T(a_damaged_leaf_costs_its_range),
	    T(a_damaged_entry_costs_its_chunk),
	    T(a_file_that_cannot_be_written_ends_it),
	    T(nothing_on_disk_harms_it),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
