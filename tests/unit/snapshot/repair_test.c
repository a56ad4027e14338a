/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What follows from the trees is made anew from them: after a repair check
 * finds nothing, where nothing else was wrong; and where something was, no more
 * than before, and nothing was freed.
 */
#include "backstores/testing.h"
#include "snapshot/repair.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/image.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct image *image;
static struct repair repair;
static char codes[512]; /* what check finds in the repaired pool */
static struct check_report report;

static void
finding(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	size_t used = strlen(codes);

	(void)arg, (void)severity, (void)text;
	snprintf(codes + used, sizeof(codes) - used, " %s", code);
}

/* Repairs, and checks what came of it. */
static int
repaired(void)
{
	uint64_t ticks = bs_powercut_ticks(image->bs);
	int r = pool_repair(&image->bs, 1, image_step, image->loop, &repair);

	codes[0] = '\0';
	report = (struct check_report){.finding = finding};
	if (r == 0)
		r = pool_check(
		    repair.bs, repair.count, image_step, image->loop, &report);
	assert_int_equal(bs_powercut_ticks(image->bs), ticks);
	return r;
}

static int
setup(void **state)
{
	(void)state;
	image = image_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	repair_done(&repair);
	image_free(image);
	return 0;
}

static int
changes(void *arg, unsigned n, uint64_t offset, const uint8_t *old,
    const uint8_t *new)
{
	assert_int_equal(n, 0);
	assert_int_equal(offset % FMT_BLOCK, 0);
	assert_memory_not_equal(old, new, FMT_BLOCK);
	++*(unsigned *)arg;
	return 0;
}

static void
a_sound_pool_needs_nothing(void **state)
{
	unsigned changed = 0;

	(void)state;
	image_no_log(image);
	image_finish(image);
	assert_int_equal(repaired(), 0);
	assert_string_equal(codes, "");
	assert_int_equal(repair_each(&repair, changes, &changed), 0);
	assert_int_equal(changed, 0);
}

static void
a_leak_is_freed(void **state)
{
	unsigned changed = 0;

	(void)state;
	image_no_log(image);
	image_bits(image, IMAGE_DATA + 100, 3, true);
	image_bits(image, IMAGE_META + 50, 1, true);
	image_finish(image);
	assert_int_equal(repaired(), 0);
	assert_string_equal(codes, "");
	assert_int_equal(report.leaked_blocks, 0);
	assert_int_equal(repair_each(&repair, changes, &changed), 0);
	/* three trees of one page, and a superblock */
	assert_int_equal(changed, 4);
}

static void
what_is_used_is_marked_so(void **state)
{
	(void)state;
	image_no_log(image);
	image_bits(image, IMAGE_DATA + 4, 1, false);
	image_bits(image, IMAGE_META + PAGE_LEAF, 1, false);
	image_finish(image);
	assert_int_equal(repaired(), 0);
	assert_string_equal(codes, "");
}

/* Recovery writes pages where the bitmap says that there is room. */
static void
the_bitmap_is_right_before_the_log_is_applied(void **state)
{
	(void)state;
	for (unsigned n = 0; n < PAGE_COUNT; n++)
		image_bits(image, IMAGE_META + n, 1, false);
	image_bits(image, IMAGE_DATA + 100, 1, true);
	image_finish(image);
	assert_int_equal(repaired(), 0);
	assert_string_equal(codes, "");
	assert_false(repair.log_dropped);
	assert_int_equal(repair.log_records, 1);
	assert_int_equal(report.data_blocks, 3 * FMT_CHUNK_BLOCKS);
}

static void
counters_are_counted_again(void **state)
{
	(void)state;
	image_no_log(image);
	image_count(image);
	le64_set(&image_version(image, 0)->live_blocks, 3);
	le64_set(&image->super[0].data_blocks, 5);
	le32_set(&image->page[PAGE_REGIONS]
		      .regions.region[IMAGE_DATA_REGION]
		      .free_chunks,
	    1);
	image_seal(image);
	image_write(image);
	assert_int_equal(repaired(), 0);
	assert_string_equal(codes, "");
}

static void
a_bitmap_that_cannot_be_read_is_made_from_the_maps(void **state)
{
	static const uint8_t garbage[FMT_BLOCK] = {0x55};

	(void)state;
	image_no_log(image);
	image_finish(image);
	bs_powercut_poke(image->bs, image_page_offset(PAGE_BITMAP), garbage,
	    sizeof(garbage));
	assert_int_equal(repaired(), 0);
	assert_string_equal(codes, "");
	assert_int_equal(report.data_blocks, 2 * FMT_CHUNK_BLOCKS);
}

static void
labels_are_copied_from_a_good_one(void **state)
{
	static const uint8_t zeros[FMT_BLOCK];

	(void)state;
	for (unsigned i = 1; i < FMT_LABELS; i++)
		bs_powercut_poke(image->bs, fmt_label_offset(i, IMAGE_BYTES),
		    zeros, FMT_BLOCK);
	assert_int_equal(repaired(), 0);
	assert_string_equal(codes, "");
}

static void
a_log_that_cannot_be_applied_is_dropped(void **state)
{
	(void)state;
	image_record(image, FMT_FREE, IMAGE_DATA + 200, 1, 0);
	image_finish(image);
	assert_int_equal(repaired(), 0);
	assert_string_equal(codes, "");
	assert_true(repair.log_dropped);
	assert_int_equal(repair.log_records, 2);
	assert_int_equal(report.log_records, 0);
	assert_int_equal(report.data_blocks, 2 * FMT_CHUNK_BLOCKS);
}

/* The newest names a map that is damaged, the one before it a whole one. */
static void
the_superblock_before_serves_if_it_names_no_damage(void **state)
{
	static const uint8_t garbage[FMT_BLOCK] = {0x55};
	struct fmt_super older;

	(void)state;
	image_no_log(image);
	image_finish(image);
	older = image->super[0];
	/* the same pool at gen 6 (slot 0), and at gen 7 with other pages */
	le32_set(&image->page[PAGE_VERSIONS].header.gen, IMAGE_GEN + 1);
	image->super[1] = older;
	le64_set(&image->super[1].gen, IMAGE_GEN + 1);
	le64_set(&image->super[1].versions.ptr.word, IMAGE_META + 40);
	fmt_super_seal(&image->super[1]);
	bs_powercut_poke(image->bs, fmt_super_offset(1), &image->super[1],
	    sizeof(image->super[1]));
	bs_powercut_poke(
	    image->bs, image_page_offset(40), garbage, sizeof(garbage));
	assert_int_equal(repaired(), 0);
	assert_true(repair.older);
	assert_string_equal(codes, " super.copy");
	assert_int_equal(report.volumes, 1);
}

/* A leaf is gone: what it held may be there still. */
static void
nothing_is_freed_while_a_map_is_damaged(void **state)
{
	(void)state;
	image_no_log(image);
	image_bits(image, IMAGE_META + PAGE_MAP_1, 1, false);
	image_finish(image);
	image->page[PAGE_LEAF].leaf.page.reserved[0] = 1; /* not sealed */
	image_write(image);
	assert_int_equal(repaired(), 0);
	assert_non_null(strstr(codes, " meta.page"));
	assert_null(strstr(codes, "bitmap.free"));
	assert_int_equal(report.leaked_blocks, 2 * FMT_CHUNK_BLOCKS);
}

static void
a_region_table_that_is_damaged_is_nothing_to_build_on(void **state)
{
	(void)state;
	image_no_log(image);
	image_bits(image, IMAGE_DATA + 100, 3, true);
	le16_set(&image->page[PAGE_REGIONS].regions.region[20].device, 3);
	image_finish(image);
	assert_int_equal(repaired(), -EBADMSG);
}

static void
a_family_is_repaired_like_a_volume(void **state)
{
	unsigned leaf;

	(void)state;
	image_no_log(image);
	image_bits(image, IMAGE_DATA + 2 * FMT_CHUNK_BLOCKS, 16, false);
	le32_set(&image->super[0].epoch, 10);
	le64_set(&image->super[0].ro_compat, FMT_RO_COMPAT_SNAPSHOTS);
	image_version_add(image, 1, FMT_VERSION_SNAP, 0, 3, "mon");
	image_share_map(image, 1, 0);
	le64_set(&image_version(image, 0)->parent, 2);
	leaf = image_map(image, 0, 5);
	image_coarse(image, leaf, 0, IMAGE_DATA, 0xffff, 1);
	image_coarse(image, leaf, 5, IMAGE_DATA + 16, 3, 1);
	image_coarse(image, leaf, 6, IMAGE_DATA + 64, 3, 6);
	image_count(image);
	image_bits(image, IMAGE_DATA + 64, 2, false);
	le64_set(&image_version(image, 1)->live_blocks, 1);
	image_seal(image);
	image_write(image);
	assert_int_equal(repaired(), 0);
	assert_string_equal(codes, "");
	assert_int_equal(report.snapshots, 1);
}

/* Whatever is wrong: it ends, and what it leaves can be checked. */
static void
it_ends(struct image *scribbled)
{
	(void)scribbled; /* the devices are those of image */
	assert_true(repaired() <= 0);
	repair_done(&repair);
	repair = (struct repair){.count = 0};
}

static void
nothing_on_disk_harms_repair(void **state)
{
	(void)state;
	image_scribble(image, 200, it_ends);
}

static void
a_scan_ends(struct image *scribbled)
{
	struct check_report said = {.finding = NULL};

	(void)scribbled;
	report = (struct check_report){.finding = NULL};
	if (pool_repair_scan(
		&image->bs, 1, image_step, image->loop, &said, &repair) == 0)
		pool_check(
		    repair.bs, repair.count, image_step, image->loop, &report);
	repair_done(&repair);
	repair = (struct repair){.count = 0};
}

static void
nothing_on_disk_harms_a_scan(void **state)
{
	(void)state;
	image_scribble(image, 200, a_scan_ends);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(a_sound_pool_needs_nothing),
	    T(a_leak_is_freed),
	    T(what_is_used_is_marked_so),
	    T(the_bitmap_is_right_before_the_log_is_applied),
	    T(counters_are_counted_again),
	    T(a_bitmap_that_cannot_be_read_is_made_from_the_maps),
	    T(labels_are_copied_from_a_good_one),
	    T(a_log_that_cannot_be_applied_is_dropped),
	    T(the_superblock_before_serves_if_it_names_no_damage),
	    T(nothing_is_freed_while_a_map_is_damaged),
	    T(a_region_table_that_is_damaged_is_nothing_to_build_on),
	    T(a_family_is_repaired_like_a_volume),
	    T(nothing_on_disk_harms_repair),
	    T(nothing_on_disk_harms_a_scan),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
