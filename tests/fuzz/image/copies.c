/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The second copies of metadata and log.  What is mended is mended in the first
 * copy, and then becomes the same in the second, so that an edit is in both
 * and all that is behind it is tried; edits that are meant for one copy come
 * after that.  The places are those of the base: what an input makes of the
 * table of regions does not count.
 */
#include "tests/fuzz/image/image.h"
#include <string.h>

#define HEAD_BLOCKS ((uint32_t)(FMT_DEVICE_HEAD / FMT_BLOCK))

static struct where
place_where(unsigned device, uint32_t number)
{
	assert(device < f.now->disks);
	assert(number < REGIONS_MAX);
	return (struct where){.disk = (uint8_t)device,
	    .block = HEAD_BLOCKS + number * f.now->region_blocks};
}

static const uint8_t *
where_read(const struct where *where, uint32_t block)
{
	return block_read(f.now->disk[where->disk], where->block + block);
}

static void
copies_add(const struct fmt_region *region)
{
	struct image *image = f.now;
	unsigned device = le16_get(&region->device);
	uint32_t number = le32_get(&region->device_region);
	unsigned other_device = le16_get(&region->mirror_device);
	uint32_t other_number = le32_get(&region->mirror_region);
	struct where first = place_where(device, number);
	struct where second = place_where(other_device, other_number);

	assert(le32_get(&region->mirror_gen) != 0);
	assert(image->disks == 1 || device != other_device);
	for (uint32_t i = 0; i < image->region_blocks; i++)
		assert(memcmp(where_read(&first, i), where_read(&second, i),
			   FMT_BLOCK) == 0);
	image->second[device][number] = second;
	image->first[other_device][other_number] = first;
}

void
copies_record(const struct fmt_region *region, uint64_t count)
{
	assert(count <= REGIONS_MAX);
	for (uint64_t r = 0; r < count; r++)
		if (region[r].class == FMT_REGION_META ||
		    region[r].class == FMT_REGION_LOG)
			copies_add(&region[r]);
}

static bool
copies_other(const struct where (*places)[REGIONS_MAX],
    const struct where *where, struct where *ret_other)
{
	uint32_t per = f.now->region_blocks, number;

	if (where->block < HEAD_BLOCKS)
		return false;
	number = (where->block - HEAD_BLOCKS) / per;
	if (number >= REGIONS_MAX || places[where->disk][number].block == 0)
		return false;
	*ret_other = places[where->disk][number];
	ret_other->block += (where->block - HEAD_BLOCKS) % per;
	return true;
}

bool
copies_second(const struct where *where, struct where *ret_second)
{
	return copies_other(f.now->second, where, ret_second);
}

static void
copy_block(const struct where *from, const struct where *to)
{
	uint8_t *block = block_edit(f.now->disk[to->disk], to->block);

	if (block != NULL)
		memcpy(block, block_read(f.now->disk[from->disk], from->block),
		    FMT_BLOCK);
}

/* What was reached by way of the second copy alone goes to the first. */
void
copies_level(void)
{
	struct where where, other;

	for (unsigned n = 0; block_touched(n, &where); n++)
		if (copies_other(f.now->second, &where, &other))
			copy_block(&where, &other);
		else if (copies_other(f.now->first, &where, &other) &&
			 !block_is_touched(&other))
			copy_block(&where, &other);
}
