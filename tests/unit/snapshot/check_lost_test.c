/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a version has lost of its parents, which check compares on demand: told
 * apart by when it was born, and counted.  Not here: lists that are not well
 * formed (check_broken_family_test.c).
 */
#include "snapshot/check_priv.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/image_kin.h"
#include <string.h>

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
	    L(a_redirected_block_is_lost),
	    L(a_chunk_is_lost_as_a_whole),
	    L(a_map_that_is_gone_has_lost_everything),
	    L(losses_are_told_apart_by_ancestors),
	    L(losses_to_a_deletion_are_counted_behind_its_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
