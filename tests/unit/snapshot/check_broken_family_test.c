/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each rule of families of versions, broken by itself in one that is sound
 * (support/image_kin.h), is found by its code, and once.  Not here: lists of
 * losses that are well formed and wrong (check_lost_test.c).
 */
#include "snapshot/check_priv.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/image_kin.h"
#include <string.h>

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
snapshot_with_a_quota(struct image *image)
{
	le64_set(&third(image, FMT_VERSION_SNAP, 0, 3)->quota, FMT_CHUNK);
}

static void
quota_of_half_a_block(struct image *image)
{
	le64_set(&third(image, FMT_VERSION_HEAD, 0, 0)->quota, 2048);
}

static void
snapshot_of_unknown_consistency(struct image *image)
{
	le32_set(&third(image, FMT_VERSION_SNAP, 0, 3)->flags,
	    FMT_VERSION_CONSISTENCY);
}

static void
volume_with_a_consistency(struct image *image)
{
	le32_set(&third(image, FMT_VERSION_HEAD, 0, 0)->flags,
	    1u << FMT_VERSION_CONSISTENCY_SHIFT);
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
    CASE(snapshot_with_a_quota, "version.record"),
    CASE(quota_of_half_a_block, "version.record"),
    CASE(snapshot_of_unknown_consistency, "version.record"),
    CASE(volume_with_a_consistency, "version.record"),
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_broken_rule_is_found_once),
	    cmocka_unit_test(each_broken_rule_of_a_deletion_is_found_once),
	};

	check_losses = false;

	return cmocka_run_group_tests(tests, NULL, NULL);
}
