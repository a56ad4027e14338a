/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The forms of entries: FINE, POISON, holes with a birth.  They are put into
 * the pages in memory by hand.  How runs of blocks are found is seen through
 * EXTENTS and the number of device reads.
 */
#include "base/simloop.h"
#include "snapshot/engine.h"
#include "tests/unit/snapshot/support/rig.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MiB   (1ull << 20)
#define CHUNK 65536ull

static struct rig rig;
static struct volume *volume;
static struct backstore *bs;
static struct page *leaf;
static uint64_t address; /* of chunk 0, whose block i holds bytes i + 1 */

static int
setup(void **state)
{
	(void)state;
	rig_init(&rig, 64 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_int_equal(rig_volume(&rig, "web01", 64 * MiB, 512, &volume), 0);
	bs = volume_open(volume);
	for (int i = 0; i < 16; i++)
		assert_int_equal(
		    rig_fill(&rig, bs, (uint64_t)i * 4096, 4096, i + 1), 0);
	assert_int_equal(map_leaf_get(volume, 0, NULL, &leaf, NULL), 0);
	assert_non_null(leaf);
	assert_true(leaf->dirty);
	address = fmt_word_address(le64_get(&page_leaf(leaf)->entry[0].word));
	return 0;
}

/* The pool is left by a cut: what was put in by hand must not be written. */
static int
teardown(void **state)
{
	(void)state;
	rig_cut(&rig);
	rig_done(&rig);
	return 0;
}

static void
entry_set(unsigned chunk, enum fmt_entry_type type, uint64_t to, uint16_t mask)
{
	struct fmt_entry *entry = &page_leaf(leaf)->entry[chunk];

	le64_set(&entry->word, fmt_entry_word(type, to, mask));
	le32_set(&entry->birth, rig.pool->epoch);
}

static void
sub_set(struct page *page, unsigned at, uint64_t to)
{
	struct fmt_fine *fine = (void *)page->data;

	store_le32(fine->sub[at].address, (uint32_t)to);
	fine->sub[at].address[4] = (uint8_t)(to >> 32);
	le32_set(&fine->sub[at].birth, rig.pool->epoch);
}

static struct page *
fine_page(unsigned slot)
{
	struct page *page = map_fine_dirty(volume, leaf, 0, slot);

	assert_non_null(page);
	return page;
}

static void
fine_chunks_are_read_block_by_block(void **state)
{
	struct page *page = fine_page(1); /* chunks 27 .. 53 */
	uint64_t at = 30 * CHUNK;

	(void)state;
	entry_set(30, FMT_FINE, 0, 0x000b);
	sub_set(page, 3 * 16 + 0, address + 7);
	sub_set(page, 3 * 16 + 1, address + 8);
	sub_set(page, 3 * 16 + 3, address + 2);
	assert_true(rig_holds(&rig, bs, at, 4096, 8));
	assert_true(rig_holds(&rig, bs, at + 4096, 4096, 9));
	assert_true(rig_holds(&rig, bs, at + 8192, 4096, 0));
	assert_true(rig_holds(&rig, bs, at + 12288, 4096, 3));
	assert_true(rig_holds(&rig, bs, at + 16384, 12 * 4096, 0));
}

static void
fine_units_of_16k_are_four_blocks_in_a_row(void **state)
{
	struct page *page = fine_page(0); /* chunks 0 .. 80 */
	uint64_t at = 40 * CHUNK;

	(void)state;
	volume->cow_shift = 14;
	entry_set(40, FMT_FINE, 0, 0x00f0);
	sub_set(page, 40 * 4 + 1, address + 4);
	assert_true(rig_holds(&rig, bs, at, 4 * 4096, 0));
	for (int i = 0; i < 4; i++)
		assert_true(rig_holds(
		    &rig, bs, at + (uint64_t)(4 + i) * 4096, 4096, 5 + i));
	assert_true(rig_holds(&rig, bs, at + 8 * 4096, 8 * 4096, 0));
}

static void
fine_blocks_of_our_own_are_written_in_place(void **state)
{
	struct page *page = fine_page(1);
	uint64_t at = 30 * CHUNK;

	(void)state;
	entry_set(30, FMT_FINE, 0, 0x0001);
	sub_set(page, 3 * 16, address + 7);
	assert_int_equal(rig_fill(&rig, bs, at, 4096, 99), 0);
	assert_true(rig_holds(&rig, bs, 7 * 4096, 4096, 99));
	/* a new one joins the chunk */
	assert_int_equal(rig_fill(&rig, bs, at + 4096, 4096, 98), 0);
	assert_true(rig_holds(&rig, bs, at + 4096, 4096, 98));
	assert_true(rig_holds(&rig, bs, at, 4096, 99));
}

static void
poison_is_an_error_and_never_zeros(void **state)
{
	static uint8_t data[4096] __attribute__((aligned(4096)));
	struct page *page = fine_page(1);

	(void)state;
	entry_set(50, FMT_POISON, 0, 0);
	assert_int_equal(
	    rig_io(&rig, bs, BS_READ, 50 * CHUNK, data, 4096), -ENODATA);
	entry_set(30, FMT_FINE, 0, 0x0001);
	sub_set(page, 3 * 16, FMT_SUB_POISON);
	assert_int_equal(
	    rig_io(&rig, bs, BS_READ, 30 * CHUNK, data, 4096), -ENODATA);
	assert_true(rig_holds(&rig, bs, 30 * CHUNK + 4096, 4096, 0));
}

static void
unknown_entries_are_damage(void **state)
{
	static uint8_t data[4096] __attribute__((aligned(4096)));

	(void)state;
	entry_set(60, (enum fmt_entry_type)9, address, 0xffff);
	assert_int_equal(
	    rig_io(&rig, bs, BS_READ, 60 * CHUNK, data, 4096), -ENODATA);
	/* an address outside of data space is never followed */
	entry_set(61, FMT_COARSE, 16, 0xffff);
	assert_int_equal(
	    rig_io(&rig, bs, BS_READ, 61 * CHUNK, data, 4096), -ENODATA);
	assert_int_equal(rig_fill(&rig, bs, 61 * CHUNK, 4096, 1), -ENODATA);
}

static void
a_hole_with_a_birth_is_a_hole(void **state)
{
	(void)state;
	entry_set(70, FMT_HOLE, 0, 0);
	assert_true(rig_holds(&rig, bs, 70 * CHUNK, CHUNK, 0));
	assert_int_equal(rig_fill(&rig, bs, 70 * CHUNK, 4096, 5), 0);
	assert_true(rig_holds(&rig, bs, 70 * CHUNK, 4096, 5));
}

/* What lies in a row is one device I/O, across chunks. */
static void
a_sequential_megabyte_is_read_at_once(void **state)
{
	uint64_t before;

	(void)state;
	assert_int_equal(rig_fill(&rig, bs, 4 * MiB, MiB, 6), 0);
	before = rig.disk[0]->ops_done[BS_READ];
	assert_true(rig_holds(&rig, bs, 4 * MiB, MiB, 6));
	assert_true(rig.disk[0]->ops_done[BS_READ] - before <= 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(fine_chunks_are_read_block_by_block),
	    TEST(fine_units_of_16k_are_four_blocks_in_a_row),
	    TEST(fine_blocks_of_our_own_are_written_in_place),
	    TEST(poison_is_an_error_and_never_zeros),
	    TEST(unknown_entries_are_damage),
	    TEST(a_hole_with_a_birth_is_a_hole),
	    TEST(a_sequential_megabyte_is_read_at_once),
	};

	return cmocka_run_group_tests_name("map", tests, NULL, NULL);
}
