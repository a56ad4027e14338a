/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each change makes of a chunk, by the rules of who owns it.  What pages
 * and records make of that is not here.
 */
#include "snapshot/chunk.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Epoch 9; what was born up to 5 is the parent's, up to 7 a bookmark's. */
static const struct chunk_rules rules = {
    .epoch = 9,
    .parent_epoch = 5,
    .bookmark_epoch = 7,
    .unit = 1,
    .track = true,
};

static struct chunk
coarse(uint32_t birth, uint16_t mask)
{
	return (struct chunk){
	    .type = FMT_COARSE, .address = 160, .birth = birth, .mask = mask};
}

struct dropped {
	unsigned count;
	uint64_t first;
};

static void
drop(void *arg, uint64_t address, uint32_t birth)
{
	struct dropped *dropped = arg;

	(void)birth;
	if (dropped->count++ == 0)
		dropped->first = address;
}

static struct dropped
dropped_between(const struct chunk *before, const struct chunk *after)
{
	struct dropped dropped = {0, 0};

	chunk_dropped(before, after, drop, &dropped);
	return dropped;
}

static void
births_say_whose_it_is(void **state)
{
	(void)state;
	assert_false(chunk_exclusive(&rules, 5));
	assert_true(chunk_exclusive(&rules, 6));
	assert_false(chunk_writable(&rules, 6));
	assert_false(chunk_writable(&rules, 7));
	assert_true(chunk_writable(&rules, 8));
}

static void
a_shared_chunk_becomes_fine_and_gives_up_what_is_not_valid(void **state)
{
	struct chunk before = coarse(3, 0x00ff), after = before;
	struct dropped dropped;

	(void)state;
	assert_int_equal(chunk_map_fine(&after, &rules, 2, 1, 777), 0);
	assert_int_equal(after.type, FMT_FINE);
	assert_int_equal(after.mask, 0x00ff);
	assert_int_equal(after.block[2].address, 777);
	assert_int_equal(after.block[2].birth, 9);
	assert_int_equal(after.block[3].address, 163);
	assert_int_equal(after.block[3].birth, 3);
	/* I17: what it never used is a hole as old as the chunk */
	assert_int_equal(after.block[12].address, 0);
	assert_int_equal(after.block[12].birth, 3);
	dropped = dropped_between(&before, &after);
	assert_int_equal(dropped.count, 1 + 8);
	assert_int_equal(dropped.first, 162);
}

static void
a_chunk_of_ours_takes_more_bits(void **state)
{
	struct chunk chunk = coarse(8, 1);

	(void)state;
	assert_int_equal(chunk_map_coarse(&chunk, &rules, 160, 0x10), 0);
	assert_int_equal(chunk.mask, 0x11);
	assert_int_equal(chunk.birth, 8);
	/* a shared one does not: it must be elsewhere */
	chunk = coarse(3, 1);
	assert_int_equal(chunk_map_coarse(&chunk, &rules, 160, 0x10), -EBADMSG);
	chunk = coarse(3, 1);
	assert_int_equal(chunk_map_coarse(&chunk, &rules, 320, 0xffff), 0);
	assert_int_equal(chunk.birth, 9);
}

static void
unmap_forgets_blocks_and_remembers_when(void **state)
{
	struct chunk chunk = coarse(8, 0xffff);

	(void)state;
	assert_int_equal(chunk_unmap(&chunk, &rules, 0x0f), 0);
	assert_int_equal(chunk.type, FMT_COARSE);
	assert_int_equal(chunk.mask, 0xfff0);
	assert_int_equal(chunk_unmap(&chunk, &rules, 0xffff), 0);
	assert_int_equal(chunk.type, FMT_HOLE);
	assert_int_equal(chunk.birth, 9);
	chunk = coarse(6, 0xffff); /* ours, but remembered by the bookmark */
	assert_int_equal(chunk_unmap(&chunk, &rules, 0x0f), 0);
	assert_int_equal(chunk.type, FMT_FINE);
	assert_int_equal(chunk.block[0].birth, 9);
	assert_int_equal(chunk.block[4].birth, 6);
}

static void
a_unit_is_forgotten_as_a_whole(void **state)
{
	struct chunk_rules four = rules;
	struct chunk chunk = coarse(3, 0xffff);

	(void)state;
	four.unit = 4;
	assert_false(chunk_unmaps(&chunk, &four, 0x0007));
	assert_true(chunk_unmaps(&chunk, &four, 0x000f));
	assert_int_equal(chunk_unmap(&chunk, &four, 0x003f), 0);
	assert_int_equal(chunk.mask, 0xfff0);
	assert_int_equal(chunk.block[4].address, 164);
	assert_int_equal(chunk_map_fine(&chunk, &four, 2, 2, 800), -EBADMSG);
	four.unit = 16;
	chunk = coarse(3, 0xffff);
	assert_false(chunk_unmaps(&chunk, &four, 0x7fff));
	assert_true(chunk_unmaps(&chunk, &four, 0xffff));
}

static void
poison_is_not_changed(void **state)
{
	struct chunk chunk = {.type = FMT_POISON};

	(void)state;
	assert_int_equal(chunk_unmap(&chunk, &rules, 1), -EBADMSG);
	assert_int_equal(chunk_map_fine(&chunk, &rules, 0, 1, 5), -EBADMSG);
	assert_int_equal(chunk_map_coarse(&chunk, &rules, 16, 1), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(births_say_whose_it_is),
	    cmocka_unit_test(
		a_shared_chunk_becomes_fine_and_gives_up_what_is_not_valid),
	    cmocka_unit_test(a_chunk_of_ours_takes_more_bits),
	    cmocka_unit_test(unmap_forgets_blocks_and_remembers_when),
	    cmocka_unit_test(a_unit_is_forgotten_as_a_whole),
	    cmocka_unit_test(poison_is_not_changed),
	};

	return cmocka_run_group_tests_name("chunk", tests, NULL, NULL);
}
