/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/snapshot/support/image_kin.h"
#include <string.h>

uint64_t
free_chunk(unsigned n)
{
	return IMAGE_DATA + (4 + n) * FMT_CHUNK_BLOCKS;
}

unsigned leaf, leaf_1;

struct image *
image_of_families(void)
{
	struct image *image = image_new();

	image_no_log(image);
	image_bits(image, IMAGE_DATA + 2 * FMT_CHUNK_BLOCKS, 16, false);
	le32_set(&image->super[0].epoch, EPOCH);
	le64_set(&image->super[0].ro_compat, FMT_RO_COMPAT_SNAPSHOTS);
	return image;
}

struct image *
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

struct image *
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
