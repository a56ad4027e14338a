/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Check on families of versions made by hand (support/image_kin.h): what is
 * shared as it must be has no findings, counters are those of what is shared,
 * and nothing on disk harms it.  Not here: broken rules
 * (check_broken_family_test.c), lists of losses (check_lost_test.c), families
 * that the engine made (tests/sim).
 */
#include "snapshot/check_priv.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/image_kin.h"
#include <string.h>

static void
is_sound(struct image *image)
{
	struct image_found found;

	assert_int_equal(image_check_again(image, &found), 0);
	if (found.codes[0] != '\0')
		fail_msg("found%s: %s", found.codes, found.text);
	image_free(image);
}

static void
a_family_that_shares_has_no_findings(void **state)
{
	struct image *image = family_new();
	struct image_found found;

	(void)state;
	assert_int_equal(image_check_again(image, &found), 0);
	assert_string_equal(found.codes, "");
	assert_int_equal(found.report.volumes, 2);
	assert_int_equal(found.report.snapshots, 1);
	assert_int_equal(found.report.data_blocks, 16 + 16 + 1 + 16);
	assert_int_equal(found.families, 1);
	assert_int_equal(found.family.volumes, 2);
	assert_int_equal(found.family.snapshots, 1);
	assert_int_equal(found.family.data_blocks, 16 + 16 + 1 + 16);
	assert_int_equal(found.family.map_pages, 4 + 4 + 1);
	assert_string_equal(found.family.name, "disk");
	image_free(image);
}

static void
what_a_deletion_has_passed_belongs_to_the_child(void **state)
{
	(void)state;
	is_sound(merge_new());
}

/* Nothing was written since: the child has the very pages of its parent, also
 * those that lie on both sides of the cursor. */
static void
a_child_may_have_all_pages_of_a_parent_that_is_deleted(void **state)
{
	struct image *image = image_of_families();
	struct fmt_version *dying =
	    image_version_add(image, 1, FMT_VERSION_DELETING, 0, 3, "mon");
	unsigned second = image_leaf(image, PAGE_LEAF, 1, 1);

	(void)state;
	image_coarse(image, second, 9, free_chunk(0), 1, 2);
	image_share_map(image, 1, 0);
	le64_set(&dying->cursor, FMT_LEAF_CHUNKS);
	le64_set(&dying->size, 2 * FMT_LEAF_BYTES);
	le64_set(&image_version(image, 0)->parent, 2);
	le64_set(&image_version(image, 0)->size, 2 * FMT_LEAF_BYTES);
	is_sound(image);
}

static void
a_chunk_may_have_lost_bits_of_its_mask(void **state)
{
	struct image *image = family_new();

	(void)state;
	image_coarse(image, leaf, 5, IMAGE_DATA + FMT_CHUNK_BLOCKS, 1, 1);
	is_sound(image);
}

/* The chunk that is held whole becomes single blocks: those that were valid
 * keep place and birth, the others are holes that keep its birth. */
static void
a_chunk_may_have_become_single_blocks(void **state)
{
	struct image *image = family_new();

	(void)state;
	image_fine(image, leaf, 5, COW, 5);
	for (unsigned n = 0; n < FMT_CHUNK_BLOCKS; n++)
		image_sub(
		    image, leaf, 5, COW, n, n < 2 ? IMAGE_DATA + 16 + n : 0, 1);
	is_sound(image);
}

static void
single_blocks_of_16k_are_four_in_a_row(void **state)
{
	struct image *image = family_new();

	(void)state;
	for (unsigned slot = 0; slot < 3; slot++)
		image_version(image, slot)->cow_shift = 14;
	image_fine(image, leaf, 0, 14, 5);
	memset(
	    image->page[image_link_page(image, &image->page[leaf].leaf.fine[0])]
		.fine.sub,
	    0, sizeof(image->page[0].fine.sub));
	image_bits(image, free_chunk(0), 1, false);
	image_sub(image, leaf, 0, 14, 0, free_chunk(0) + 4, 5);
	image_sub(image, leaf, 0, 14, 2, IMAGE_DATA + 8, 1);
	is_sound(image);
}

static void
holes_with_births_own_nothing(void **state)
{
	struct image *image = family_new();

	(void)state;
	image_sub(image, leaf, 0, COW, 0, 0, 6);
	image_bits(image, free_chunk(0), 1, false);
	le32_set(&image->page[leaf - 1].inner.ptr[9].birth, 8);
	is_sound(image);
}

static void
a_fine_page_may_be_shared(void **state)
{
	struct image *image = family_new();
	unsigned fine;

	(void)state;
	/* both have single blocks in chunk 30, on one page */
	fine = image_fine(image, PAGE_LEAF, 30, COW, 2);
	image_sub(image, PAGE_LEAF, 30, COW, 3, free_chunk(5), 2);
	image_link(image, &image->page[leaf].leaf.fine[1], fine);
	image->page[leaf].leaf.entry[30] =
	    image->page[PAGE_LEAF].leaf.entry[30];
	le64_set(&image_version(image, 0)->size, 4 << 20);
	le64_set(&image_version(image, 1)->size, 4 << 20);
	le64_set(&image_version(image, 2)->size, 4 << 20);
	is_sound(image);
}

static void
trashed_names_may_be_used_again(void **state)
{
	struct image *image = family_new();
	struct fmt_version *second;

	(void)state;
	second = image_version_add(image, 3, FMT_VERSION_SNAP, 2, 4, "mon");
	le32_set(&second->flags, FMT_VERSION_TRASHED);
	le64_set(&image_version(image, 0)->parent, 2);
	is_sound(image);
}

static void
snapshots_of_two_volumes_may_have_one_name(void **state)
{
	struct image *image = family_new();

	(void)state;
	image_version_add(image, 3, FMT_VERSION_SNAP, 2, 4, "mon");
	le64_set(&image_version(image, 3)->origin, 3);
	is_sound(image);
}

static void
bookmarks_and_groups_are_as_the_versions_say(void **state)
{
	struct image *image = family_new();

	(void)state;
	image_bookmark(image, 1, 3, "first");
	image_bookmark(image, 1, 6, "second");
	image_bookmark(image, 3, 3, "first");
	le32_set(&image_version(image, 0)->bookmark_epoch, 6);
	le32_set(&image_version(image, 2)->bookmark_epoch, 3);
	image_group(image, 1);
	le64_set(&image_version(image, 1)->group, 1);
	is_sound(image);
}

/* ---- counters ---- */

static void
counts_are_found(struct image *image)
{
	struct image_found found;

	image_seal(image);
	image_write(image);
	assert_int_equal(image_check(image, &found), 0);
	assert_string_equal(found.codes, " version.counts");
	image_free(image);
}

static void
a_wrong_counter_of_a_snapshot_is_found(void **state)
{
	struct image *image = family_new();

	(void)state;
	image_count(image);
	le64_set(&image_version(image, 1)->live_blocks, 3);
	counts_are_found(image);
}

/* What is shared is counted without being walked again. */
static void
a_wrong_counter_of_a_clone_is_found(void **state)
{
	struct image *image = family_new();

	(void)state;
	image_count(image);
	le64_set(&image_version(image, 2)->held_blocks, 33);
	counts_are_found(image);
}

/* ---- anything at all ---- */

static void
nothing_on_disk_harms_check(void **state)
{
	struct image *(*const make[])(void) = {family_new, merge_new};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(make); i++) {
		struct image *image = make[i]();
		image_bookmark(image, 1, 3, "first");
		image_group(image, 1);
		image_lost(image, 0, (const uint32_t[][2]){{1, 1}}, 1);
		image_count(image);
		image_scribble(image, 2000, image_check_ends);
		image_free(image);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_family_that_shares_has_no_findings),
	    cmocka_unit_test(what_a_deletion_has_passed_belongs_to_the_child),
	    cmocka_unit_test(
		a_child_may_have_all_pages_of_a_parent_that_is_deleted),
	    cmocka_unit_test(a_chunk_may_have_lost_bits_of_its_mask),
	    cmocka_unit_test(a_chunk_may_have_become_single_blocks),
	    cmocka_unit_test(single_blocks_of_16k_are_four_in_a_row),
	    cmocka_unit_test(holes_with_births_own_nothing),
	    cmocka_unit_test(a_fine_page_may_be_shared),
	    cmocka_unit_test(trashed_names_may_be_used_again),
	    cmocka_unit_test(snapshots_of_two_volumes_may_have_one_name),
	    cmocka_unit_test(bookmarks_and_groups_are_as_the_versions_say),
	    cmocka_unit_test(a_wrong_counter_of_a_snapshot_is_found),
	    cmocka_unit_test(a_wrong_counter_of_a_clone_is_found),
	    cmocka_unit_test(nothing_on_disk_harms_check),
	};

	check_losses = false;

	return cmocka_run_group_tests(tests, NULL, NULL);
}
