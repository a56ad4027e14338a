/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Check on families of versions made by hand: what is shared as it must be has
 * no findings, and each broken rule is found by its code, once.
 *
 * Two families.  The first, small one is what most claims change:
 *
 *	version 2 (snapshot mon, epoch 3)   chunks 0 and 5, born in epoch 1
 *	  version 1 (volume disk)           chunk 0: its block 0 redirected, the
 *	                                    others shared; chunk 5 shared; chunk
 *	                                    6 its own; chunk 8 unmapped
 *	  version 3 (volume clone)          all of mon
 *
 * The other one has a snapshot that is being deleted:
 *
 *	version 2 (snapshot, epoch 2)       chunk 0
 *	  version 3 (deleted, epoch 4)      leaf 0 dealt with, leaf 1 its own
 *	    version 1 (volume)              leaf 0: chunk 1 was version 3's,
 *chunk 0 is version 2's; leaf 1 shared
 *
 * Not here: families that the engine made (tests/sim).
 */
#include "snapshot/check_priv.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/image.h"
#include <stdio.h>
#include <string.h>

enum { EPOCH = 10, COW = 12 };

/* Addresses for data that the image does not use itself. */
static uint64_t
free_chunk(unsigned n)
{
	return IMAGE_DATA + (4 + n) * FMT_CHUNK_BLOCKS;
}

static unsigned leaf;   /* of version 1 */
static unsigned leaf_1; /* ... its second, in the family with a deletion */

static struct image *
image_of_families(void)
{
	struct image *image = image_new();

	image_no_log(image);
	image_bits(image, IMAGE_DATA + 2 * FMT_CHUNK_BLOCKS, 16, false);
	le32_set(&image->super[0].epoch, EPOCH);
	le64_set(&image->super[0].ro_compat, FMT_RO_COMPAT_SNAPSHOTS);
	return image;
}

static struct image *
family_new(void)
{
	struct image *image = image_of_families();

	image_version_add(image, 1, FMT_VERSION_SNAP, 0, 3, "mon");
	image_share_map(image, 1, 0);
	image_version_add(image, 2, FMT_VERSION_HEAD, 2, 0, "clone");
	image_share_map(image, 2, 0);
	le64_set(&image_version(image, 0)->parent, 2);
	leaf = image_map(image, 0, 5);
	image_fine(image, leaf, 0, COW, 5);
	image_sub(image, leaf, 0, COW, 0, free_chunk(0), 5);
	for (unsigned n = 1; n < FMT_CHUNK_BLOCKS; n++)
		image_sub(image, leaf, 0, COW, n, IMAGE_DATA + n, 1);
	image_coarse(image, leaf, 5, IMAGE_DATA + FMT_CHUNK_BLOCKS, 3, 1);
	image_coarse(image, leaf, 6, free_chunk(1), 0xff, 6);
	image_hole(image, leaf, 8, 7);
	return image;
}

static struct image *
merge_new(void)
{
	struct image *image = image_of_families();
	struct fmt_version *dying;
	unsigned old, freed;

	image_version_add(image, 1, FMT_VERSION_SNAP, 0, 2, "sun");
	image_share_map(image, 1, 0);
	image_hole(image, PAGE_LEAF, 5, 0);
	image_bits(image, IMAGE_DATA + FMT_CHUNK_BLOCKS, 16, false);
	dying = image_version_add(image, 2, FMT_VERSION_DELETING, 2, 4, "mon");
	le64_set(&dying->cursor, FMT_LEAF_CHUNKS);
	freed = image_map(image, 2, 3);
	image_bits(image, IMAGE_META + freed, 1, false);
	memset(&image->page[freed], 0x5a, FMT_BLOCK);
	image->page[freed].header.type = FMT_PAGE_MAP;
	image->page[freed].header.level = 0;
	old = image_leaf(image, freed, 1, 3);
	image_coarse(image, old, 7, free_chunk(2), 0xffff, 3);

	le64_set(&image_version(image, 0)->parent, 3);
	leaf = image_map(image, 0, 5);
	image_coarse(image, leaf, 0, IMAGE_DATA, 0xffff, 1);
	image_coarse(image, leaf, 1, free_chunk(3), 1, 3);
	image_link(image, &image->page[leaf - 1].inner.ptr[1], old);
	le64_set(&image_version(image, 0)->size, 2 * FMT_LEAF_BYTES);
	le64_set(&image_version(image, 2)->size, 2 * FMT_LEAF_BYTES);
	leaf_1 = old;
	return image;
}

/* ---- sound ones ---- */

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

/* ---- sharing ---- */

static void
page_of_the_parents_time(struct image *image)
{
	le32_set(&image->page[leaf].header.birth, 2);
}

static void
chunk_at_another_address(struct image *image)
{
	image_coarse(image, leaf, 5, free_chunk(3), 3, 1);
}

static void
chunk_of_another_birth(struct image *image)
{
	image_coarse(image, leaf, 5, IMAGE_DATA + FMT_CHUNK_BLOCKS, 3, 2);
}

static void
chunk_with_more_in_its_mask(struct image *image)
{
	image_coarse(image, leaf, 5, IMAGE_DATA + FMT_CHUNK_BLOCKS, 7, 1);
}

static void
chunk_that_the_parent_does_not_have(struct image *image)
{
	image_coarse(image, leaf, 7, free_chunk(3), 3, 3);
}

static void
block_of_another_birth(struct image *image)
{
	image_sub(image, leaf, 0, COW, 2, IMAGE_DATA + 2, 2);
}

static void
block_of_another_place(struct image *image)
{
	image_sub(image, leaf, 0, COW, 2, IMAGE_DATA + 3, 1);
}

static void
block_that_was_never_valid(struct image *image)
{
	image_fine(image, leaf, 5, COW, 5);
	image_sub(image, leaf, 5, COW, 2, IMAGE_DATA + 16 + 2, 1);
}

static void
own_chunk_in_two_children(struct image *image)
{
	unsigned other = image_map(image, 2, 6);

	image_coarse(image, other, 6, free_chunk(1), 0xff, 6);
}

static void
own_block_twice(struct image *image)
{
	image_sub(image, leaf, 0, COW, 1, free_chunk(0), 5);
}

static void
own_page_in_two_children(struct image *image)
{
	image_share_map(image, 2, 0);
}

static void
fine_page_of_the_parents_time(struct image *image)
{
	unsigned fine = image_link_page(image, &image->page[leaf].leaf.fine[0]);

	le32_set(&image->page[fine].header.birth, 1);
}

/* ---- births ---- */

static void
snapshot_with_a_younger_chunk(struct image *image)
{
	image_coarse(image, PAGE_LEAF, 9, free_chunk(3), 1, 4);
}

static void
snapshot_with_a_younger_page(struct image *image)
{
	le32_set(&image->page[PAGE_LEAF].header.birth, 4);
}

static void
hole_of_the_future(struct image *image)
{
	image_hole(image, leaf, 8, EPOCH + 1);
}

static void
single_hole_of_the_future(struct image *image)
{
	image_bits(image, free_chunk(0), 1, false);
	image_sub(image, leaf, 0, COW, 0, 0, EPOCH + 1);
}

static void
single_block_without_birth(struct image *image)
{
	image_sub(image, leaf, 0, COW, 0, free_chunk(0), 0);
}

static void
hole_pointer_of_the_future(struct image *image)
{
	le32_set(&image->page[leaf - 1].inner.ptr[9].birth, EPOCH + 1);
}

/* ---- single blocks ---- */

static void
mask_without_its_block(struct image *image)
{
	le64_set(&image->page[leaf].leaf.entry[0].word,
	    fmt_entry_word(FMT_FINE, 0, 0x7fff));
}

static void
single_blocks_that_are_none(struct image *image)
{
	image_fine(image, leaf, 7, COW, 5);
}

static void
single_blocks_in_a_map_of_chunks(struct image *image)
{
	for (unsigned slot = 0; slot < 3; slot++)
		image_version(image, slot)->cow_shift = 16;
}

static void
shared_data_beyond_the_end(struct image *image)
{
	le64_set(&image_version(image, 2)->size, 4 * FMT_CHUNK);
}

/* ---- the tree of versions ---- */

static struct fmt_version *
third(struct image *image, enum fmt_version_state state, uint64_t parent,
    uint32_t epoch)
{
	return image_version_add(image, 3, state, parent, epoch, "third");
}

static void
snapshot_without_epoch(struct image *image)
{
	third(image, FMT_VERSION_SNAP, 0, 0);
}

static void
snapshot_of_the_future(struct image *image)
{
	third(image, FMT_VERSION_SNAP, 0, EPOCH);
}

static void
volume_with_an_epoch(struct image *image)
{
	third(image, FMT_VERSION_HEAD, 0, 3);
}

static void
dying_volume_with_an_epoch(struct image *image)
{
	third(image, FMT_VERSION_DYING, 0, 3);
}

static void
snapshot_as_old_as_its_parent(struct image *image)
{
	third(image, FMT_VERSION_SNAP, 2, 3);
}

static void
volume_as_a_parent(struct image *image)
{
	third(image, FMT_VERSION_HEAD, 3, 0);
}

static void
parent_of_another_family(struct image *image)
{
	le64_set(&third(image, FMT_VERSION_HEAD, 2, 0)->family, 4);
}

static void
parent_with_another_copy_unit(struct image *image)
{
	third(image, FMT_VERSION_HEAD, 2, 0)->cow_shift = 16;
}

static void
parent_that_is_gone(struct image *image)
{
	le64_set(&image->super[0].next_version, 10);
	third(image, FMT_VERSION_HEAD, 9, 0);
}

static void
parents_of_each_other(struct image *image)
{
	third(image, FMT_VERSION_SNAP, 5, 5);
	image_version_add(image, 4, FMT_VERSION_SNAP, 4, 6, "fourth");
}

static void
deletion_with_two_children(struct image *image)
{
	image_version(image, 1)->state = FMT_VERSION_DELETING;
}

static void
two_deletions_in_a_family(struct image *image)
{
	third(image, FMT_VERSION_DELETING, 2, 5);
	image_version_add(image, 4, FMT_VERSION_DELETING, 4, 6, "fourth");
	image_version_add(image, 5, FMT_VERSION_HEAD, 5, 0, "fifth");
}

static void
two_snapshots_of_one_name(struct image *image)
{
	image_version_add(image, 3, FMT_VERSION_SNAP, 2, 4, "mon");
}

static void
group_that_is_none(struct image *image)
{
	image_group(image, 1);
	le64_set(&image_version(image, 1)->group, 2);
}

static void
two_groups_of_one_id(struct image *image)
{
	image_group(image, 1);
	image_group(image, 1);
}

static void
group_of_the_future(struct image *image)
{
	image_group(image, 1);
	le64_set(&image->super[0].next_group, 1);
}

/* ---- bookmarks ---- */

static void
bookmark_of_a_snapshot(struct image *image)
{
	image_bookmark(image, 2, 3, "first");
}

static void
bookmark_of_the_future(struct image *image)
{
	image_bookmark(image, 1, EPOCH, "first");
}

static void
two_bookmarks_of_one_name(struct image *image)
{
	image_bookmark(image, 1, 3, "first");
	image_bookmark(image, 1, 2, "first");
	le32_set(&image_version(image, 0)->bookmark_epoch, 3);
}

static void
volume_that_forgot_its_bookmark(struct image *image)
{
	image_bookmark(image, 1, 3, "first");
	image_bookmark(image, 1, 4, "second");
	le32_set(&image_version(image, 0)->bookmark_epoch, 3);
}

static void
bookmark_beyond_the_slots(struct image *image)
{
	image_bookmark(image, 1, 3, "first");
	le64_set(&image->super[0].bookmarks.count, 0);
}

/* ---- losses ---- */

static void
losses_told_twice(struct image *image)
{
	image_lost(image, 0, (const uint32_t[][2]){{1, 1}, {1, 1}}, 2);
}

static void
losses_of_nobody(struct image *image)
{
	image_lost(image, 0, (const uint32_t[][2]){{1, 1}}, 1);
	le64_set(&image_version(image, 0)->account, 99);
}

static void
losses_born_after_the_parent(struct image *image)
{
	image_lost(image, 0, (const uint32_t[][2]){{4, 1}}, 1);
}

static void
losses_without_a_parent(struct image *image)
{
	image_lost(image, 1, (const uint32_t[][2]){{1, 1}}, 1);
}

struct broken {
	const char *what;
	void (*change)(struct image *image);
	const char *damage;
};

#define CASE(change, damage)                                                   \
	{                                                                      \
#change, change, " " damage                                    \
	}
static const struct broken cases[] = {
    CASE(page_of_the_parents_time, "map.shared"),
    CASE(chunk_at_another_address, "map.shared"),
    CASE(chunk_of_another_birth, "map.shared"),
    CASE(chunk_with_more_in_its_mask, "map.shared"),
    CASE(chunk_that_the_parent_does_not_have, "map.shared"),
    CASE(block_of_another_birth, "map.shared"),
    CASE(block_of_another_place, "map.shared"),
    CASE(block_that_was_never_valid, "map.shared"),
    CASE(fine_page_of_the_parents_time, "map.shared"),
    CASE(own_chunk_in_two_children, "data.double"),
    CASE(own_block_twice, "data.double"),
    CASE(own_page_in_two_children, "meta.double"),
    CASE(snapshot_with_a_younger_chunk, "map.entry"),
    CASE(snapshot_with_a_younger_page, "meta.birth"),
    CASE(hole_of_the_future, "map.entry"),
    CASE(single_hole_of_the_future, "map.entry"),
    CASE(single_block_without_birth, "map.entry"),
    CASE(hole_pointer_of_the_future, "meta.pointer"),
    CASE(mask_without_its_block, "map.entry"),
    CASE(single_blocks_that_are_none, "map.entry"),
    CASE(single_blocks_in_a_map_of_chunks, "map.entry"),
    CASE(shared_data_beyond_the_end, "map.beyond"),
    CASE(snapshot_without_epoch, "version.record"),
    CASE(snapshot_of_the_future, "version.record"),
    CASE(volume_with_an_epoch, "version.record"),
    CASE(dying_volume_with_an_epoch, "version.record"),
    CASE(snapshot_as_old_as_its_parent, "version.family"),
    CASE(volume_as_a_parent, "version.family"),
    CASE(parent_of_another_family, "version.family"),
    CASE(parent_with_another_copy_unit, "version.family"),
    CASE(parent_that_is_gone, "version.parent"),
    CASE(parents_of_each_other, "version.family"),
    CASE(deletion_with_two_children, "version.deleting"),
    CASE(two_deletions_in_a_family, "version.deleting"),
    CASE(two_snapshots_of_one_name, "version.name"),
    CASE(group_that_is_none, "version.group"),
    CASE(two_groups_of_one_id, "group.double"),
    CASE(group_of_the_future, "group.record"),
    CASE(bookmark_of_a_snapshot, "bookmark.record"),
    CASE(bookmark_of_the_future, "bookmark.record"),
    CASE(two_bookmarks_of_one_name, "bookmark.name"),
    CASE(volume_that_forgot_its_bookmark, "bookmark.epoch"),
    CASE(bookmark_beyond_the_slots, "bookmark.record"),
    CASE(losses_told_twice, "lost.record"),
    CASE(losses_of_nobody, "lost.record"),
    CASE(losses_born_after_the_parent, "lost.record"),
    CASE(losses_without_a_parent, "lost.record"),
};

static void
broken_is_found(const struct broken *broken, struct image *image)
{
	struct image_found found;

	broken->change(image);
	assert_int_equal(image_check_again(image, &found), 0);
	if (strcmp(found.damage, broken->damage) != 0)
		fail_msg("%s: expected%s, found%s: %s", broken->what,
		    broken->damage, found.damage, found.text);
	image_free(image);
}

static void
each_broken_rule_is_found_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		broken_is_found(&cases[i], family_new());
}

/* ---- the family with a deletion ---- */

static void
older_than_the_parents_parent(struct image *image)
{
	image_coarse(image, leaf, 2, free_chunk(4), 1, 2);
}

static void
leaf_as_old_as_the_parents_parent(struct image *image)
{
	le32_set(&image->page[leaf].header.birth, 2);
}

static void
block_behind_the_cursor(struct image *image)
{
	unsigned second = image_leaf(image, leaf, 1, 6);

	image_coarse(image, second, 7, free_chunk(2), 0xffff, 3);
	image_coarse(image, second, 8, free_chunk(4), 0xffff, 3);
}

static void
block_before_the_cursor_in_both(struct image *image)
{
	image_coarse(image, leaf_1, 9, free_chunk(3), 1, 3);
}

static void
cursor_in_the_middle_of_a_leaf(struct image *image)
{
	le64_set(&image_version(image, 2)->cursor, FMT_LEAF_CHUNKS + 8);
}

static const struct broken merge_cases[] = {
    CASE(cursor_in_the_middle_of_a_leaf, "map.entry"),
    CASE(older_than_the_parents_parent, "map.shared"),
    CASE(leaf_as_old_as_the_parents_parent, "map.shared"),
    CASE(block_behind_the_cursor, "map.shared"),
    CASE(block_before_the_cursor_in_both, "data.double"),
};
#undef CASE

static void
each_broken_rule_of_a_deletion_is_found_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(merge_cases); i++)
		broken_is_found(&merge_cases[i], merge_new());
}

static void
it_ends(struct image *image)
{
	struct image_found found;

	assert_true(image_check(image, &found) <= 0);
}

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
		image_scribble(image, 2000, it_ends);
		image_free(image);
	}
}

/* ---- counters ---- */

static void
a_wrong_counter_of_a_snapshot_is_found(void **state)
{
	struct image *image = family_new();
	struct image_found found;

	(void)state;
	image_count(image);
	le64_set(&image_version(image, 1)->live_blocks, 3);
	image_seal(image);
	image_write(image);
	assert_int_equal(image_check(image, &found), 0);
	assert_string_equal(found.codes, " version.counts");
	image_free(image);
}

/* What is shared is counted without being walked again. */
static void
a_wrong_counter_of_a_clone_is_found(void **state)
{
	struct image *image = family_new();
	struct image_found found;

	(void)state;
	image_count(image);
	le64_set(&image_version(image, 2)->held_blocks, 33);
	image_seal(image);
	image_write(image);
	assert_int_equal(image_check(image, &found), 0);
	assert_string_equal(found.codes, " version.counts");
	image_free(image);
}

/* ---- losses, which are compared on demand ---- */

static int
count_losses(void **state)
{
	(void)state;
	check_losses = true;
	return 0;
}

static int
count_no_losses(void **state)
{
	(void)state;
	check_losses = false;
	return 0;
}

static void
losses_are(struct image *image, const uint32_t (*pair)[2], unsigned n,
    const char *codes)
{
	struct image_found found;

	if (n > 0)
		image_lost(image, 0, pair, n);
	assert_int_equal(image_check_again(image, &found), 0);
	if (strcmp(found.codes, codes) != 0)
		fail_msg(
		    "expected%s, found%s: %s", codes, found.codes, found.text);
	image_free(image);
}

#define PAIRS(...)                                                             \
	(const uint32_t[][2])                                                  \
	{                                                                      \
		__VA_ARGS__                                                    \
	}

static void
a_redirected_block_is_lost(void **state)
{
	(void)state;
	losses_are(family_new(), PAIRS({1, 1}), 1, "");
	losses_are(family_new(), PAIRS({3, 1}), 1, "");
	losses_are(family_new(), NULL, 0, " lost.counts");
	losses_are(family_new(), PAIRS({1, 2}), 1, " lost.counts");
	losses_are(family_new(), PAIRS({1, 1}, {3, 1}), 2, " lost.counts");
}

/* Chunk 5 is held whole by the snapshot, though two blocks of it are valid. */
static void
a_chunk_is_lost_as_a_whole(void **state)
{
	struct image *image = family_new();

	(void)state;
	image_hole(image, leaf, 5, 8);
	losses_are(image, PAIRS({1, 17}), 1, "");
}

static void
a_map_that_is_gone_has_lost_everything(void **state)
{
	struct image *image = family_new();
	struct fmt_version *clone = image_version(image, 2);

	(void)state;
	image_unlink(image, &clone->root);
	image_lost(image, 2, PAIRS({1, 32}), 1);
	losses_are(image, PAIRS({1, 1}), 1, "");
}

/* A snapshot between: what was born before the older one, and what after it,
 * are told apart. */
static struct image *
chain_new(void)
{
	struct image *image = family_new();
	unsigned middle;

	image_version_add(image, 3, FMT_VERSION_SNAP, 2, 5, "tue");
	middle = image_map(image, 3, 4);
	image_coarse(image, middle, 0, IMAGE_DATA, 0xffff, 1);
	image_coarse(image, middle, 5, IMAGE_DATA + FMT_CHUNK_BLOCKS, 3, 1);
	image_coarse(image, middle, 6, free_chunk(5), 0xffff, 4);
	le64_set(&image_version(image, 0)->parent, 4);
	image_version(image, 0)->root = (struct fmt_ptr){0};
	leaf = image_map(image, 0, 6);
	image_coarse(image, leaf, 5, IMAGE_DATA + FMT_CHUNK_BLOCKS, 3, 1);
	image_coarse(image, leaf, 6, free_chunk(1), 0xff, 6);
	return image;
}

static void
forget_old_map(struct image *image)
{
	/* pages and the block of the map that version 1 had before */
	for (unsigned n = PAGE_COUNT; n < PAGE_COUNT + 5; n++)
		image_bits(image, IMAGE_META + n, 1, false);
	image_bits(image, free_chunk(0), 1, false);
}

static void
losses_are_told_apart_by_ancestors(void **state)
{
	struct image *image = chain_new();

	(void)state;
	forget_old_map(image);
	losses_are(image, PAIRS({2, 16}, {5, 16}), 2, "");
	image = chain_new();
	forget_old_map(image);
	losses_are(image, PAIRS({5, 32}), 1, " lost.counts");
}

/* Chunk 7 of leaf 1 is all that the dying parent still has to itself; what it
 * had from its own parent cannot be told any more. */
static void
losses_to_a_deletion_are_counted_behind_its_cursor(void **state)
{
	struct image *image = merge_new();
	unsigned second;

	(void)state;
	second = image_leaf(image, leaf, 1, 6);
	image_hole(image, second, 7, 6);
	image_hole(image, leaf, 0, 6);
	image_lost(image, 2, PAIRS({1, 3}), 1);
	losses_are(image, PAIRS({1, 77}, {4, 16}), 2, "");
}

#define L(f) cmocka_unit_test_setup_teardown(f, count_losses, count_no_losses)

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
	    cmocka_unit_test(each_broken_rule_is_found_once),
	    cmocka_unit_test(each_broken_rule_of_a_deletion_is_found_once),
	    cmocka_unit_test(a_wrong_counter_of_a_snapshot_is_found),
	    cmocka_unit_test(a_wrong_counter_of_a_clone_is_found),
	    cmocka_unit_test(nothing_on_disk_harms_check),
	    L(a_redirected_block_is_lost),
	    L(a_chunk_is_lost_as_a_whole),
	    L(a_map_that_is_gone_has_lost_everything),
	    L(losses_are_told_apart_by_ancestors),
	    L(losses_to_a_deletion_are_counted_behind_its_cursor),
	};

	check_losses = false;

	return cmocka_run_group_tests(tests, NULL, NULL);
}
