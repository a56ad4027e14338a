/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Check finds what is wrong, calls it by its name, and finds nothing where
 * nothing is wrong.  Images are made by hand (support/image.h), so a mistake
 * that check and engine share does not hide.
 *
 * Not here: images that the engine made and power cuts left (tests/sim), and
 * images of random bytes (tests/fuzz).
 */
#include "backstores/testing.h"
#include "base/simloop.h"
#include "tests/unit/snapshot/support/image.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* ---- the image as it is ---- */

static void
a_sound_pool_has_no_findings(void **state)
{
	struct image *image = image_new();
	struct image_found found;

	(void)state;
	assert_int_equal(image_check(image, &found), 0);
	assert_string_equal(found.codes, "");
	assert_string_equal(found.report.pool, "test");
	assert_int_equal(found.report.volumes, 1);
	assert_true(found.report.pages >= PAGE_COUNT);
	assert_int_equal(found.report.data_blocks, 3 * FMT_CHUNK_BLOCKS);
	assert_int_equal(found.report.log_records, 1);
	image_free(image);
}

/* ---- what is wrong with it, and what that is called ---- */

static struct fmt_entry *
entry(struct image *image, unsigned chunk)
{
	return &image->page[PAGE_LEAF].leaf.entry[chunk];
}

static struct fmt_version *
version(struct image *image, unsigned n)
{
	return image_version(image, n);
}

static void
leak(struct image *image)
{
	image_bits(image, IMAGE_DATA + 100, 3, true);
}

static void
used_but_free(struct image *image)
{
	image_bits(image, IMAGE_DATA + 4, 1, false);
}

static void
meta_leak(struct image *image)
{
	image_bits(image, IMAGE_META + 50, 1, true);
}

static void
bit_in_free_region(struct image *image)
{
	image_bits(
	    image, (IMAGE_DATA_REGION + 1) * IMAGE_REGION_BLOCKS, 1, true);
}

static void
bit_beyond_the_end(struct image *image)
{
	image_bits(image, IMAGE_REGIONS * IMAGE_REGION_BLOCKS, 1, true);
}

static void
chunk_used_twice(struct image *image)
{
	le64_set(
	    &entry(image, 9)->word, fmt_entry_word(FMT_COARSE, IMAGE_DATA, 1));
	le32_set(&entry(image, 9)->birth, 1);
}

static void
chunk_in_metadata(struct image *image)
{
	le64_set(&entry(image, 5)->word,
	    fmt_entry_word(FMT_COARSE, IMAGE_META + 64, 3));
}

static void
chunk_not_aligned(struct image *image)
{
	le64_set(&entry(image, 5)->word,
	    fmt_entry_word(FMT_COARSE, IMAGE_DATA + 17, 3));
}

static void
chunk_of_nothing(struct image *image)
{
	le64_set(&entry(image, 5)->word,
	    fmt_entry_word(FMT_COARSE, IMAGE_DATA + 16, 0));
}

static void
entry_of_unknown_type(struct image *image)
{
	le64_set(&entry(image, 5)->word, fmt_entry_word(9, IMAGE_DATA + 16, 3));
}

static void
birth_in_the_future(struct image *image)
{
	le32_set(&entry(image, 5)->birth, IMAGE_EPOCH + 1);
}

static void
page_born_in_the_future(struct image *image)
{
	le32_set(&image->page[PAGE_LEAF].header.birth, IMAGE_EPOCH + 1);
}

static void
page_of_the_future(struct image *image)
{
	le32_set(&image->page[PAGE_LEAF].header.gen, IMAGE_GEN + 1);
}

static void
page_of_another_volume(struct image *image)
{
	le64_set(&image->page[PAGE_LEAF].header.family, 77);
}

static void
page_of_another_place(struct image *image)
{
	le64_set(&image->page[PAGE_MAP_1].header.index, 1);
}

static void
page_of_another_level(struct image *image)
{
	image->page[PAGE_MAP_2].header.level = 1;
}

static void
data_beyond_the_end(struct image *image)
{
	le64_set(&version(image, 0)->size, 5 * FMT_CHUNK + 4096);
}

static void
superblock_in_the_wrong_slot(struct image *image)
{
	le64_set(&image->super[0].gen, IMAGE_GEN + 1);
}

static void
two_volumes_of_one_name(struct image *image)
{
	struct fmt_version *second = version(image, 1);

	*second = *version(image, 0);
	le64_set(&second->id, 2);
	le64_set(&second->family, 2);
	second->root = (struct fmt_ptr){0};
	le64_set(&second->live_blocks, 0);
	le64_set(&second->held_blocks, 0);
	second->uuid[0] = 2;
	le64_set(&image->super[0].next_version, 3);
}

static void
two_volumes_of_one_uuid(struct image *image)
{
	two_volumes_of_one_name(image);
	version(image, 1)->name[0] = 'x';
	version(image, 1)->uuid[0] = 1;
}

static void
two_versions_of_one_id(struct image *image)
{
	two_volumes_of_one_uuid(image);
	version(image, 1)->uuid[0] = 2;
	le64_set(&version(image, 1)->id, 1);
}

static void
volume_id_of_the_future(struct image *image)
{
	le64_set(&image->super[0].next_version, IMAGE_VOLUME);
}

static void
volume_name_with_a_slash(struct image *image)
{
	version(image, 0)->name[1] = '/';
}

static void
with_snapshots(struct image *image)
{
	le64_set(&image->super[0].ro_compat, FMT_RO_COMPAT_SNAPSHOTS);
}

static void
parent_missing(struct image *image)
{
	with_snapshots(image);
	le64_set(&version(image, 0)->parent, 5);
}

static void
parent_of_itself(struct image *image)
{
	with_snapshots(image);
	le64_set(&version(image, 0)->parent, IMAGE_VOLUME);
}

static void
snapshot_in_a_pool_without(struct image *image)
{
	version(image, 0)->state = FMT_VERSION_SNAP;
}

static void
single_blocks_in_a_pool_without(struct image *image)
{
	struct fmt_entry *entry = &image->page[PAGE_LEAF].leaf.entry[0];

	le64_set(&entry->word, fmt_entry_word(FMT_FINE, 0, 1));
}

static void
volume_beyond_the_slots(struct image *image)
{
	le64_set(&image->super[0].versions.count, 0);
}

static void
more_slots_than_the_table_has(struct image *image)
{
	le64_set(&image->super[0].versions.count, FMT_PAGE_VERSIONS_COUNT + 1);
}

static void
record_beyond_the_map(struct image *image)
{
	uint64_t chunks = fmt_map_chunks(version(image, 0)->levels);

	image_record(image, FMT_UNMAP, chunks * FMT_CHUNK_BLOCKS, 1, 0);
}

static void
record_that_maps_nothing(struct image *image)
{
	image_record(
	    image, FMT_MAP_COARSE, 9, IMAGE_DATA + 9 * FMT_CHUNK_BLOCKS, 0);
}

static void
unmap_of_two_leaves(struct image *image)
{
	image_record(image, FMT_UNMAP, 100, FMT_LEAF_BLOCKS, 0);
}

static void
volume_deleted_twice(struct image *image)
{
	image_record(image, FMT_DELETE, 0, 0, 0);
	image_record(image, FMT_DELETE, 0, 0, 0);
}

static void
cursor_without_deletion(struct image *image)
{
	le64_set(&version(image, 0)->cursor, 3);
}

static void
region_on_no_device(struct image *image)
{
	le16_set(&image->page[PAGE_REGIONS].regions.region[20].device, 3);
}

static void
regions_in_one_place(struct image *image)
{
	le32_set(
	    &image->page[PAGE_REGIONS].regions.region[20].device_region, 21);
}

static void
record_of_unknown_type(struct image *image)
{
	image_record(image, 60, 0, 0, 0);
}

static void
record_of_unknown_volume(struct image *image)
{
	image_record(image, FMT_UNMAP, 0, 1, 0);
	le32_set(&image->log.record[1].volume, 9);
}

static void
record_that_frees_what_is_free(struct image *image)
{
	image_record(image, FMT_FREE, IMAGE_DATA + 200, 1, 0);
}

static void
record_outside_the_pool(struct image *image)
{
	image_record(image, FMT_FREE, FMT_ADDRESS_MASK, UINT64_MAX, 0);
}

static void
unmap_without_free(struct image *image)
{
	image_record(image, FMT_UNMAP, 0, FMT_CHUNK_BLOCKS, 0);
}

static void
free_without_unmap(struct image *image)
{
	image_record(image, FMT_FREE, IMAGE_DATA, FMT_CHUNK_BLOCKS, 0);
}

static void
log_ends_inside_a_group(struct image *image)
{
	image->log.record[0].flags = FMT_RECORD_MORE;
}

/* Changes before everything is counted and sealed: consistent, and wrong. */
static const struct {
	const char *what;
	void (*change)(struct image *image);
	const char *code;
} cases[] = {
#define CASE(change, code)                                                     \
	{                                                                      \
#change, change, code                                          \
	}
    CASE(leak, "bitmap.leak"),
    CASE(used_but_free, "bitmap.free"),
    CASE(meta_leak, "bitmap.leak"),
    CASE(bit_in_free_region, "bitmap.class"),
    CASE(bit_beyond_the_end, "bitmap.beyond"),
    CASE(chunk_used_twice, "data.double"),
    CASE(chunk_in_metadata, "map.entry"),
    CASE(chunk_not_aligned, "map.entry"),
    CASE(chunk_of_nothing, "map.entry"),
    CASE(entry_of_unknown_type, "map.entry"),
    CASE(birth_in_the_future, "map.entry"),
    CASE(page_born_in_the_future, "meta.pointer"),
    CASE(page_of_the_future, "meta.pointer"),
    CASE(page_of_another_volume, "meta.page"),
    CASE(page_of_another_place, "meta.page"),
    CASE(page_of_another_level, "meta.page"),
    CASE(data_beyond_the_end, "map.beyond"),
    CASE(superblock_in_the_wrong_slot, "super.slot"),
    CASE(two_volumes_of_one_name, "version.name"),
    CASE(two_volumes_of_one_uuid, "version.uuid"),
    CASE(two_versions_of_one_id, "version.double"),
    CASE(volume_id_of_the_future, "version.record"),
    CASE(volume_name_with_a_slash, "version.record"),
    CASE(cursor_without_deletion, "version.record"),
    CASE(snapshot_in_a_pool_without, "version.record"),
    CASE(single_blocks_in_a_pool_without, "map.entry"),
    CASE(volume_beyond_the_slots, "version.record"),
    CASE(more_slots_than_the_table_has, "version.count"),
    CASE(record_beyond_the_map, "log.recovery"),
    CASE(record_that_maps_nothing, "log.recovery"),
    CASE(unmap_of_two_leaves, "log.recovery"),
    CASE(volume_deleted_twice, "log.recovery"),
    CASE(parent_missing, "version.parent"),
    CASE(parent_of_itself, "version.cycle"),
    CASE(region_on_no_device, "region.entry"),
    CASE(regions_in_one_place, "region.double"),
    CASE(record_of_unknown_type, "log.recovery"),
    CASE(record_of_unknown_volume, "log.recovery"),
    CASE(record_that_frees_what_is_free, "log.recovery"),
    CASE(record_outside_the_pool, "log.recovery"),
    CASE(unmap_without_free, "bitmap.leak"),
    CASE(free_without_unmap, "bitmap.free"),
    CASE(log_ends_inside_a_group, "log.group"),
#undef CASE
};

static void
each_damage_is_found_by_its_code(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct image *image = image_new();
		struct image_found found;

		cases[i].change(image);
		assert_int_equal(image_check_again(image, &found), 0);
		if (strstr(found.codes, cases[i].code) == NULL)
			fail_msg("%s: expected %s, found%s", cases[i].what,
			    cases[i].code, found.codes);
		image_free(image);
	}
}

/* ---- counters that were not counted again ---- */

static void
count_used_entries(struct image *image)
{
	le32_set(&image->page[PAGE_LEAF].header.used, 9);
}

static void
count_free_blocks(struct image *image)
{
	le32_set(&image->page[PAGE_REGIONS]
		      .regions.region[IMAGE_DATA_REGION]
		      .free_blocks,
	    1);
}

static void
count_volume(struct image *image)
{
	le64_set(&version(image, 0)->live_blocks, 3);
}

static void
count_pool(struct image *image)
{
	le64_set(&image->super[0].data_blocks, 3);
}

static const struct {
	void (*change)(struct image *image);
	const char *code;
} counter_cases[] = {
    {count_used_entries, " meta.used"},
    {count_free_blocks, " region.counts"},
    {count_volume, " version.counts"},
    {count_pool, " super.counts"},
};

static void
each_wrong_counter_is_the_only_finding(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(counter_cases); i++) {
		struct image *image = image_new();
		struct image_found found;

		counter_cases[i].change(image);
		image_no_log(image);
		image_seal(image);
		image_write(image);
		assert_int_equal(image_check(image, &found), 0);
		assert_string_equal(found.codes, counter_cases[i].code);
		image_free(image);
	}
}

/* ---- the log ---- */

/* UNMAP of blocks that a later record maps again leaves the later mapping. */
static void
records_are_applied_in_their_order(void **state)
{
	struct image *image = image_new();
	struct image_found found;
	uint64_t again = IMAGE_DATA + 3 * FMT_CHUNK_BLOCKS;

	(void)state;
	image_record(image, FMT_UNMAP, 0, 16 * FMT_CHUNK_BLOCKS, 0);
	image_record(image, FMT_FREE, IMAGE_DATA, 3 * FMT_CHUNK_BLOCKS, 0);
	image_record(image, FMT_MAP_COARSE, 5, again, 1);
	image_record(image, FMT_UNMAP, 4 * FMT_LEAF_BLOCKS, FMT_LEAF_BLOCKS, 0);
	image_seal(image);
	image_write(image);
	assert_int_equal(image_check(image, &found), 0);
	assert_string_equal(found.codes, "");
	assert_int_equal(found.report.data_blocks, FMT_CHUNK_BLOCKS);
	image_free(image);
}

/* Whole leaves that are unmapped, also those the log mapped before. */
static void
a_wide_unmap_empties_a_whole_leaf(void **state)
{
	struct image *image = image_new();
	struct image_found found;

	(void)state;
	image_record(image, FMT_UNMAP, 0, FMT_LEAF_BLOCKS, 0);
	image_record(image, FMT_FREE, IMAGE_DATA, 3 * FMT_CHUNK_BLOCKS, 0);
	image_seal(image);
	image_write(image);
	assert_int_equal(image_check(image, &found), 0);
	assert_string_equal(found.codes, "");
	assert_int_equal(found.report.data_blocks, 0);
	image_free(image);
}

static void
records_before_the_checkpoint_are_skipped(void **state)
{
	struct image *image = image_new();
	struct image_found found;

	(void)state;
	le64_set(&image->super[0].checkpoint_lsn, 101);
	image_seal(image);
	image_write(image);
	assert_int_equal(image_check(image, &found), 0);
	assert_string_equal(found.codes, "");
	assert_int_equal(found.report.data_blocks, 2 * FMT_CHUNK_BLOCKS);
	image_free(image);
}

static void
a_torn_log_block_ends_the_log(void **state)
{
	struct image *image = image_new();
	struct image_found found;

	(void)state;
	image->log.bytes[FMT_BLOCK - 1] = 1; /* not sealed again */
	image_write(image);
	assert_int_equal(image_check(image, &found), 0);
	assert_string_equal(found.codes, "");
	assert_int_equal(found.report.log_records, 0);
	image_free(image);
}

static void
a_block_behind_a_torn_one_is_damage(void **state)
{
	struct image *image = image_new();
	struct image_found found;

	(void)state;
	le64_set(&image->log.head.seq, 41);
	fmt_log_seal(&image->log.head);
	bs_powercut_poke(
	    image->bs, FMT_DEVICE_HEAD + 3 * FMT_BLOCK, &image->log, FMT_BLOCK);
	le64_set(&image->log.head.seq, 40);
	image->log.bytes[FMT_BLOCK - 1] = 1;
	bs_powercut_poke(image->bs, FMT_DEVICE_HEAD, &image->log, FMT_BLOCK);
	assert_int_equal(image_check(image, &found), 0);
	assert_string_equal(found.codes, " log.hole");
	image_free(image);
}

static void
recovery_changes_nothing_on_disk(void **state)
{
	struct image *image = image_new();
	uint64_t ticks = bs_powercut_ticks(image->bs);
	struct image_found found;

	(void)state;
	image_record(image, FMT_UNMAP, 0, 16, 0);
	image_record(image, FMT_FREE, IMAGE_DATA, 16, 0);
	assert_int_equal(image_check_again(image, &found), 0);
	assert_string_equal(found.codes, "");
	assert_int_equal(found.report.log_records, 3);
	assert_int_equal(found.report.data_blocks, 2 * FMT_CHUNK_BLOCKS);
	assert_int_equal(bs_powercut_ticks(image->bs), ticks);
	assert_int_equal(image_check(image, &found), 0);
	assert_int_equal(found.report.log_records, 3);
	image_free(image);
}

/* What the log frees is a leak of the checkpoint only; and what recovery does
 * not get to is told of the checkpoint. */
static void
leaks_are_told_of_the_state_that_counts(void **state)
{
	struct image *image = image_new();
	struct image_found found;

	(void)state;
	image_bits(image, IMAGE_DATA + 100, 3, true);
	image_record(image, FMT_FREE, IMAGE_DATA + 100, 2, 0);
	assert_int_equal(image_check_again(image, &found), 0);
	assert_string_equal(found.codes, " bitmap.leak");
	assert_int_equal(found.report.leaked_blocks, 1);
	image_record(image, FMT_FREE, IMAGE_DATA + 200, 1, 0);
	assert_int_equal(image_check_again(image, &found), 0);
	assert_string_equal(found.codes, " log.recovery bitmap.leak");
	assert_int_equal(found.report.leaked_blocks, 3);
	image_free(image);
}

/* ---- copies ---- */

static void
one_good_copy_is_enough(void **state)
{
	struct image *image = image_new();
	static const uint8_t zeros[FMT_BLOCK];
	struct image_found found;

	(void)state;
	bs_powercut_poke(image->bs, fmt_super_offset(1), zeros, FMT_BLOCK);
	for (unsigned i = 1; i < FMT_LABELS; i++)
		bs_powercut_poke(image->bs, fmt_label_offset(i, IMAGE_BYTES),
		    zeros, FMT_BLOCK);
	assert_int_equal(image_check(image, &found), 0);
	assert_string_equal(found.codes, " label.copy super.copy");
	assert_int_equal(found.report.findings[CHECK_NOTE], 2);
	image_free(image);
}

static void
no_label_is_no_pool(void **state)
{
	struct image *image = image_new();
	struct image_found found;

	(void)state;
	for (unsigned i = 0; i < FMT_LABELS; i++)
		image->label[i].reserved[0] = 1; /* not sealed again */
	image_write(image);
	assert_int_equal(image_check(image, &found), -ENOENT);
	image_free(image);
}

static void
no_superblock_cannot_be_checked(void **state)
{
	struct image *image = image_new();
	struct image_found found;

	(void)state;
	image->super[0].reserved3[0] = image->super[1].reserved3[0] = 1;
	image_write(image);
	assert_int_equal(image_check(image, &found), -EBADMSG);
	image_free(image);
}

static void
the_older_superblock_serves_when_the_newest_is_torn(void **state)
{
	struct image *image = image_new();
	struct image_found found;

	(void)state;
	image->super[0].reserved3[0] = 1;
	image_write(image);
	/* it names pages of a later generation than itself */
	assert_int_equal(image_check(image, &found), 0);
	assert_non_null(strstr(found.codes, "super.copy"));
	assert_non_null(strstr(found.codes, "meta.pointer"));
	image_free(image);
}

static void
a_newer_format_is_refused(void **state)
{
	struct image *image = image_new();
	struct image_found found;

	(void)state;
	le64_set(&image->super[0].incompat, 1ull << 63);
	image_seal(image);
	image_write(image);
	assert_int_equal(image_check(image, &found), -EPROTO);
	image_free(image);
}

static void
a_missing_device_is_said(void **state)
{
	struct image *image = image_new();
	struct image_found found;

	(void)state;
	le32_set(&image->super[0].device_count, 2);
	image_seal(image);
	image_write(image);
	assert_int_equal(image_check(image, &found), -ENODEV);
	image_free(image);
}

/* ---- anything at all ---- */

static void
nothing_on_disk_harms_check(void **state)
{
	struct image *image = image_new();

	(void)state;
	image_scribble(image, 1000, image_check_ends);
	image_free(image);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_sound_pool_has_no_findings),
	    cmocka_unit_test(each_damage_is_found_by_its_code),
	    cmocka_unit_test(each_wrong_counter_is_the_only_finding),
	    cmocka_unit_test(records_are_applied_in_their_order),
	    cmocka_unit_test(a_wide_unmap_empties_a_whole_leaf),
	    cmocka_unit_test(records_before_the_checkpoint_are_skipped),
	    cmocka_unit_test(a_torn_log_block_ends_the_log),
	    cmocka_unit_test(a_block_behind_a_torn_one_is_damage),
	    cmocka_unit_test(recovery_changes_nothing_on_disk),
	    cmocka_unit_test(leaks_are_told_of_the_state_that_counts),
	    cmocka_unit_test(one_good_copy_is_enough),
	    cmocka_unit_test(no_label_is_no_pool),
	    cmocka_unit_test(no_superblock_cannot_be_checked),
	    cmocka_unit_test(
		the_older_superblock_serves_when_the_newest_is_torn),
	    cmocka_unit_test(a_newer_format_is_refused),
	    cmocka_unit_test(a_missing_device_is_said),
	    cmocka_unit_test(nothing_on_disk_harms_check),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
