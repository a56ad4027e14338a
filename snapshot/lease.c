/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/lease.h"
#include "snapshot/engine.h"
#include <inttypes.h>
#include <stdlib.h>

void
lease_mark(struct lease *lease, uint32_t block, uint32_t run, bool busy)
{
	for (; run > 0; run--, block++) {
		uint64_t bit = 1ull << (block % 64);
		if (busy)
			lease->busy[block / 64] |= bit;
		else
			lease->busy[block / 64] &= ~bit;
	}
}

/* False: the bitmap and the counters of the region contradict each other.  Who
 * trusted the counters would search for space that is not there. */
static bool
lease_fill(struct pool *pool, struct lease *lease)
{
	struct space *space = &pool->space;
	const struct region *region = &space->regions[lease->region];
	uint64_t first = region_address(space, lease->region);
	uint32_t free_blocks = 0, free_chunks = 0;

	for (uint32_t block = 0; block < space->region_blocks; block += 64) {
		uint64_t at = first + block;
		const uint8_t *data =
		    lease->bitmap[block / FMT_BITMAP_BLOCKS]->data;
		uint64_t word = load_le64(data + at % FMT_BITMAP_BLOCKS / 8);
		lease->busy[block / 64] = word;
		free_blocks += (unsigned)__builtin_popcountll(~word);
		for (unsigned i = 0; i < 64; i += FMT_CHUNK_BLOCKS)
			free_chunks += (word >> i & 0xffff) == 0;
	}
	quarantine_mark(space, lease);
	return free_blocks == region->free_blocks &&
	       free_chunks == region->free_chunks;
}

static unsigned
lease_pages(const struct space *space)
{
	return space->region_blocks <= FMT_BITMAP_BLOCKS
		   ? 1
		   : space->region_blocks / FMT_BITMAP_BLOCKS;
}

void
lease_free(struct pool *pool, struct lease *lease)
{
	struct space *space = &pool->space;

	assert(lease->reserved == 0);
	for (unsigned i = 0; i < lease_pages(space); i++)
		if (lease->bitmap[i] != NULL)
			page_unpin(lease->bitmap[i]);
	if (space->regions[lease->region].lease == lease)
		space->regions[lease->region].lease = NULL;
	list_del(&lease->link);
	free(lease);
}

/* Goes on with space->making until its bitmap is there. */
int
lease_make(struct pool *pool, uint64_t region, struct waiter *waiter,
    struct lease **ret_lease)
{
	struct space *space = &pool->space;
	struct lease *lease = space->making;
	uint64_t first = region << space->region_shift;

	if (lease == NULL || lease->region != region) {
		if (lease != NULL)
			lease_free(pool, lease);
		lease = calloc(1, sizeof(*lease) + space->region_blocks / 8);
		space->making = lease;
		if (lease == NULL)
			return -ENOMEM;
		list_init(&lease->link);
		lease->region = (uint32_t)region;
	}
	for (unsigned i = 0; i < lease_pages(space); i++) {
		if (lease->bitmap[i] != NULL)
			continue;
		int result =
		    space_bitmap(pool, first + (uint64_t)i * FMT_BITMAP_BLOCKS,
			true, waiter, &lease->bitmap[i]);
		if (result < 0)
			return result;
		page_pin(lease->bitmap[i]);
	}
	space->making = NULL;
	if (!lease_fill(pool, lease)) {
		lease_free(pool, lease);
		pool_suspect(pool,
		    "region %" PRIu64 ": bitmap and counters contradict",
		    region);
		return -EBADMSG;
	}
	space->regions[region].lease = lease;
	*ret_lease = lease;
	return 0;
}

void
region_record(struct pool *pool, uint64_t region, uint64_t class)
{
	struct fmt_record record = {.type = FMT_REGION};

	le64_set(&record.a, region);
	le64_set(&record.b, class);
	pool_record(pool, &record, 1);
}

void
region_check_empty(struct pool *pool, uint64_t number)
{
	struct space *space = &pool->space;
	struct region *region = &space->regions[number];

	if (region->class == FMT_REGION_DATA && region->lease == NULL &&
	    region->quarantined == 0 && pool->move.region != number &&
	    region->free_blocks == space->region_blocks &&
	    (space->making == NULL || space->making->region != number) &&
	    pool->state == POOL_ONLINE)
		region_record(pool, number,
		    space_is_leaving(pool, region) ? FMT_REGION_EVACUATING
						   : FMT_REGION_FREE);
}

bool
lease_is_making_data(const struct pool *pool)
{
	const struct lease *lease = pool->space.making;
	const struct region *region;

	if (lease == NULL)
		return false;
	region = &pool->space.regions[lease->region];
	return region->class == FMT_REGION_DATA &&
	       !space_is_leaving(pool, region);
}

void
lease_retire(struct pool *pool, struct lease **ret_lease)
{
	struct lease *lease = *ret_lease;
	uint64_t region;

	if (lease == NULL)
		return;
	*ret_lease = NULL;
	region = lease->region;
	if (lease->reserved > 0) {
		list_add_tail(&pool->space.retired, &lease->link);
		return;
	}
	lease_free(pool, lease);
	region_check_empty(pool, region);
}

void
lease_settle(struct pool *pool, struct lease *lease, uint32_t run)
{
	struct space *space = &pool->space;
	uint64_t region = lease->region;

	assert(lease->reserved >= run);
	lease->reserved -= run;
	if (lease->reserved == 0 && lease != space->data &&
	    lease != space->fine) {
		lease_free(pool, lease);
		region_check_empty(pool, region);
	}
}
