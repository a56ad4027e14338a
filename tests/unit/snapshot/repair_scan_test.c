/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A page of metadata that is gone in all copies is made anew by a scan, or what
 * it held reads as an error: never as zeros, and never as something else
 * without a word.  The pools are those that the engine makes, and the engine
 * reads what comes of them.  Not here: what a repair does without a scan
 * (repair_test.c), and pages at random (repair_scan_any_test.c).
 */
#include "tests/unit/snapshot/support/scan.h"

/* ---- inner pages ---- */

static void
an_inner_page_is_made_of_its_children(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	fill(bs, 20 * MiB, MiB, 2);
	rig_close_bs(&rig, bs);
	for (uint8_t level = 1; level < FMT_MAP_LEVELS_MIN; level++) {
		lose(FMT_PAGE_MAP, level, 0);
		is_repaired();
		nothing_is_lost();
	}
}

static bool
was_said(const char *code)
{
	return strstr(said, code) != NULL;
}

static unsigned
blocks_lost(const struct held *like)
{
	const struct held *now = held_find(after, after_count, like);
	unsigned lost = 0;

	assert_non_null(now);
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (now->block[i] != LOST)
			assert_int_equal(now->block[i], like->block[i]);
		lost += now->block[i] == LOST;
	}
	return lost;
}

/* The one of a snapshot, of which its volume has only a part. */
static void
it_is_made_of_what_its_clone_and_its_parent_share(void **state)
{
	(void)state;
	fill(bs, 0, 2 * MiB, 1);
	fill(bs, 20 * MiB, MiB, 2);
	snapshot(volume, "one");
	fill(bs, MiB, 64 * KiB, 3);
	snapshot(volume, "two");
	fill(bs, 30 * MiB, 64 * KiB, 4);
	rig_close_bs(&rig, bs);
	for (uint8_t level = 1; level < FMT_MAP_LEVELS_MIN; level++)
		for (unsigned n = 0; n < 3; n++) {
			lose_nth(FMT_PAGE_MAP, level, 0, n);
			is_repaired();
			nothing_is_lost();
		}
}

/* Of leaf 1 nothing is left: whether that page was all there was below, the
 * counts do not say any more. */
static void
what_nothing_proves_reads_as_an_error(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	fill(bs, 20 * MiB, MiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_MAP, 0, 1);
	lose(FMT_PAGE_MAP, 1, 0);
	is_repaired();
	assert_true(was_said("scan.lost"));
	assert_int_equal(blocks_lost(&before[0]), BLOCKS - FMT_LEAF_BLOCKS);
}

/* ---- leaves and fine pages ---- */

static void
a_leaf_without_an_older_copy_reads_as_an_error(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	fill(bs, 20 * MiB, MiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_MAP, 0, 0);
	is_repaired();
	assert_true(was_said("scan.lost"));
	assert_false(was_said("scan.older"));
	assert_int_equal(blocks_lost(&before[0]), FMT_LEAF_BLOCKS);
}

/* Chunk 1 was written in place since then, chunk 2 was not there. */
static void
an_older_leaf_serves_where_its_blocks_are_its_own_yet(void **state)
{
	(void)state;
	fill(bs, 0, 128 * KiB, 1);
	assert_int_equal(rig_checkpoint(&rig), 0);
	fill(bs, 64 * KiB, 64 * KiB, 2);
	fill(bs, 192 * KiB, 64 * KiB, 3);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_MAP, 0, 0);
	is_repaired();
	assert_true(was_said("scan.older"));
	assert_true(was_said("scan.lost"));
	assert_int_equal(
	    blocks_lost(&before[0]), FMT_LEAF_BLOCKS - 2 * FMT_CHUNK_BLOCKS);
}

/* The counts say that nothing is missing. */
static void
an_older_leaf_that_has_all_there_is_is_taken_whole(void **state)
{
	(void)state;
	fill(bs, 0, 128 * KiB, 1);
	fill(bs, MiB, 64 * KiB, 1);
	assert_int_equal(rig_checkpoint(&rig), 0);
	assert_int_equal(rig_unmap(&rig, bs, MiB, 64 * KiB), 0);
	assert_int_equal(rig_checkpoint(&rig), 0);
	fill(bs, MiB, 64 * KiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_MAP, 0, 0);
	is_repaired();
	assert_true(was_said("scan.older"));
}

/* What the volume shares with its snapshot, the snapshot has. */
static void
a_leaf_of_a_snapshot_has_what_its_volume_shares(void **state)
{
	unsigned lost;

	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	fill(bs, 64 * KiB, 64 * KiB, 2);
	fill(bs, 128 * KiB, 4 * KiB, 3);
	rig_close_bs(&rig, bs);
	lose_nth(FMT_PAGE_MAP, 0, 0, 1);
	is_repaired();
	assert_true(was_said("scan.lost"));
	assert_int_equal(blocks_lost(&before[0]), 0);
	lost = blocks_lost(&before[1]);
	assert_true(lost >= FMT_CHUNK_BLOCKS + 1);
	for (unsigned i = 0; i < 256; i++)
		if (i / 16 != 1 && i != 32)
			assert_int_equal(
			    held_find(after, after_count, &before[1])->block[i],
			    1);
}

/* The leaf says which blocks there are, so holes stay holes; but not which of
 * them are the snapshot's yet. */
static void
a_fine_page_loses_no_more_than_the_blocks_in_it(void **state)
{
	(void)state;
	fill(bs, 0, 32 * KiB, 1);
	snapshot(volume, "one");
	fill(bs, 4 * KiB, 8 * KiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_FINE, 0, 0);
	is_repaired();
	assert_int_equal(blocks_lost(&before[0]), 8);
	assert_int_equal(blocks_lost(&before[1]), 0);
}

static void
an_older_fine_page_has_what_was_not_redirected_since(void **state)
{
	(void)state;
	fill(bs, 0, 64 * KiB, 1);
	snapshot(volume, "one");
	fill(bs, 4 * KiB, 8 * KiB, 2);
	assert_int_equal(rig_checkpoint(&rig), 0);
	fill(bs, 64 * KiB - 4 * KiB, 4 * KiB, 3);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_FINE, 0, 0);
	is_repaired();
	assert_true(was_said("scan.older"));
	/* which of the snapshot's was redirected cannot be told */
	assert_int_equal(blocks_lost(&before[0]), 14);
	assert_int_equal(blocks_lost(&before[1]), 0);
}

/* ---- tables ---- */

/* The records have changed since the copy: the roots are found. */
static void
a_page_of_versions_is_an_older_one_with_new_roots(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	assert_int_equal(rig_checkpoint(&rig), 0);
	fill(bs, 2 * MiB, MiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_VERSIONS, 0, 0);
	is_repaired();
	assert_true(was_said("scan.older version table"));
	nothing_is_lost();
}

static void
a_page_of_regions_is_an_older_one_with_what_is_in_use(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	assert_int_equal(rig_checkpoint(&rig), 0);
	fill(bs, 2 * MiB, 8 * MiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_REGIONS, 0, 0);
	is_repaired();
	assert_true(was_said("scan.older region map"));
	nothing_is_lost();
}

/* More versions than a page has room for, more regions too. */
static void
inner_pages_of_tables_are_made_of_their_children(void **state)
{
	char name[16];

	web01_teardown(state);
	scan_pool_make(200 * MiB);
	fill(bs, 0, MiB, 1);
	rig_close_bs(&rig, bs);
	for (unsigned n = 0; n < 2 * FMT_PAGE_VERSIONS_COUNT; n++) {
		struct volume *empty;
		snprintf(name, sizeof(name), "v%u", n);
		assert_int_equal(rig_volume(&rig, name, MiB, 512, &empty), 0);
	}
	for (unsigned n = 0; n < 2 * FMT_PAGE_VERSIONS_COUNT - 2; n++) {
		snprintf(name, sizeof(name), "v%u", n);
		assert_int_equal(
		    rig_delete(&rig, volume_find(rig.pool, name)), 0);
	}
	rig_settle_jobs(&rig);
	lose(FMT_PAGE_VERSIONS, 1, 0);
	is_repaired();
	nothing_is_lost();
	lose(FMT_PAGE_REGIONS, 1, 0);
	is_repaired();
	nothing_is_lost();
}

static void
losses_are_counted_again(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	snapshot(volume, "one");
	fill(bs, 0, 512 * KiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_LOST, 0, 0);
	is_repaired();
	nothing_is_lost();
}

static void
bookmarks_that_are_gone_are_forgotten(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	assert_int_equal(
	    rig_bookmark(&rig, volume, snapshot(volume, "one"), "mark"), 0);
	fill(bs, 0, 512 * KiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_BOOKMARKS, 0, 0);
	is_repaired();
	assert_true(was_said("table of bookmarks"));
	nothing_is_lost();
}

/* ---- superblocks ---- */

static void
supers_lose(void)
{
	static const uint8_t zeros[FMT_BLOCK];

	held_all(before, &before_count);
	assert_int_equal(rig_close(&rig), 0);
	for (unsigned slot = 0; slot < FMT_SUPER_SLOTS; slot++)
		rig_poke(&rig, 0, fmt_super_offset(slot), zeros, FMT_BLOCK);
}

static void
a_superblock_is_made_of_the_newest_roots(void **state)
{
	(void)state;
	fill(bs, 0, MiB, 1);
	fill(bs, 20 * MiB, MiB, 2);
	snapshot(volume, "one");
	fill(bs, 4 * KiB, 64 * KiB, 3);
	rig_close_bs(&rig, bs);
	supers_lose();
	is_repaired();
	nothing_is_lost();
	assert_non_null(strstr(said, "scan.super no superblock was left"));
	/* and it goes on */
	bs = volume_open(volume_find(rig.pool, "web01"));
	fill(bs, 8 * MiB, MiB, 4);
	snapshot(volume_find(rig.pool, "web01"), "two");
	fill(bs, 8 * MiB, 64 * KiB, 5);
	rig_close_bs(&rig, bs);
	held_all(before, &before_count);
	assert_int_equal(rig_close(&rig), 0);
	assert_int_equal(scan_repair(), 0);
	assert_string_equal(said, "");
	reopen();
	nothing_is_lost();
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scan_setup, web01_teardown)
	const struct CMUnitTest tests[] = {
	    T(an_inner_page_is_made_of_its_children),
	    T(it_is_made_of_what_its_clone_and_its_parent_share),
	    T(what_nothing_proves_reads_as_an_error),
	    T(a_leaf_without_an_older_copy_reads_as_an_error),
	    T(an_older_leaf_serves_where_its_blocks_are_its_own_yet),
	    T(an_older_leaf_that_has_all_there_is_is_taken_whole),
	    T(a_leaf_of_a_snapshot_has_what_its_volume_shares),
	    T(a_fine_page_loses_no_more_than_the_blocks_in_it),
	    T(an_older_fine_page_has_what_was_not_redirected_since),
	    T(a_page_of_versions_is_an_older_one_with_new_roots),
	    T(a_page_of_regions_is_an_older_one_with_what_is_in_use),
	    T(inner_pages_of_tables_are_made_of_their_children),
	    T(losses_are_counted_again),
	    T(bookmarks_that_are_gone_are_forgotten),
	    T(a_superblock_is_made_of_the_newest_roots),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
