/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks for pages.  All META regions are leased as long as the pool is open,
 * and pages take their blocks in the order of the addresses, round and round.
 */
#include "snapshot/engine.h"
#include "snapshot/lease.h"

static void
meta_lease_add(struct pool *pool, struct lease *lease)
{
	struct space *space = &pool->space;

	for (uint32_t i = 0; i < space->region_blocks / 64; i++)
		space->meta_idle +=
		    64 - (unsigned)__builtin_popcountll(lease->busy[i]);
	list_add_tail(&space->meta, &lease->link);
}

static int
meta_grow(struct pool *pool, struct waiter *waiter)
{
	struct space *space = &pool->space;
	struct lease *lease;
	uint32_t mirror;
	int result;

	for (uint64_t i = 0; i < space->count; i++) {
		if (space->regions[i].class != FMT_REGION_FREE)
			continue;
		result = lease_make(pool, i, waiter, &lease);
		if (result < 0)
			return result;
		mirror = space->mirrored ? mirror_pick(pool, i) : NO_REGION;
		region_record(pool, i,
		    mirror == NO_REGION
			? FMT_REGION_META
			: FMT_REGION_META | ((uint64_t)mirror + 1) << 8);
		return 0;
	}
	return -ENOSPC;
}

/* A REGION record that makes it one: at run time meta_grow() has the lease, in
 * recovery it is made here, of bitmap pages that are in memory. */
int
space_meta_begin(struct pool *pool, uint64_t region)
{
	struct lease *lease = pool->space.regions[region].lease;
	int result = 0;

	if (lease == NULL)
		result = lease_make(pool, region, NULL, &lease);
	if (result == 0 && list_empty(&lease->link))
		meta_lease_add(pool, lease);
	return result;
}

/* There would be enough but for a pinned checkpoint.  One more region for the
 * sake of it, which stays one of metadata, is all right while data have plenty.
 */
static bool
meta_takes_pinned(struct pool *pool, uint64_t pages)
{
	const struct space *space = &pool->space;

	return pin_held(pool) > 0 &&
	       space->meta_idle + pin_held(pool) >= pages &&
	       (space->level > 0 || space_spare_regions(pool) == 0);
}

int
space_meta_prepare(struct pool *pool, uint64_t pages, struct waiter *waiter)
{
	while (pool->space.meta_idle < pages) {
		int result = 0;
		if (meta_takes_pinned(pool, pages))
			pin_lose(pool, -ENOSPC);
		else
			result = meta_grow(pool, waiter);
		if (result == -ENOSPC && pin_lose(pool, -ENOSPC))
			result = 0;
		if (result < 0)
			return result;
	}
	return 0;
}

int
space_meta_lease_all(struct pool *pool, struct waiter *waiter)
{
	struct space *space = &pool->space;

	for (uint64_t i = 0; i < space->count; i++) {
		struct region *region = &space->regions[i];
		struct lease *lease;
		if (region->class != FMT_REGION_META || region->lease != NULL)
			continue;
		int result = lease_make(pool, i, waiter, &lease);
		if (result < 0)
			return result;
		meta_lease_add(pool, lease);
	}
	return 0;
}

static bool
meta_search(struct space *space, struct lease *lease, uint32_t *ret_block)
{
	uint32_t words = space->region_blocks / 64;

	for (uint32_t i = lease->cursor / 64; i < words; i++) {
		uint64_t idle = ~lease->busy[i];
		if (i == lease->cursor / 64)
			idle &= ~0ull << lease->cursor % 64;
		if (idle == 0)
			continue;
		*ret_block = i * 64 + (uint32_t)__builtin_ctzll(idle);
		return true;
	}
	return false;
}

/* From the cursor of one lease to its end, then the next one from 0. */
static struct lease *
meta_find(struct space *space, uint32_t *ret_block)
{
	struct lease *lease = space->meta_current;
	struct list *node;

	if (lease != NULL && lease->cursor < space->region_blocks &&
	    meta_search(space, lease, ret_block))
		return lease;
	node = lease != NULL ? &lease->link : &space->meta;
	for (;;) {
		node = node->next;
		if (node == &space->meta)
			continue;
		lease = list_entry(node, struct lease, link);
		lease->cursor = 0;
		if (meta_search(space, lease, ret_block))
			return lease;
	}
}

uint64_t
space_meta_take(struct pool *pool)
{
	struct space *space = &pool->space;
	struct lease *lease;
	uint64_t address;
	uint32_t block;

	if (space->meta_idle == 0)
		return 0;
	lease = meta_find(space, &block);
	space->meta_current = lease;
	lease->cursor = block + 1;
	lease_mark(lease, block, 1, true);
	space->meta_idle--;
	address = region_address(space, lease->region) + block;
	return space_set(pool, address, 1) < 0 ? 0 : address;
}

int
space_meta_free(struct pool *pool, uint64_t address)
{
	struct space *space = &pool->space;
	const struct region *region =
	    &space->regions[region_of(space, address)];

	if (region->class != FMT_REGION_META || region->lease == NULL)
		return -EBADMSG;
	return space_clear(pool, address, 1);
}

void
space_meta_release(struct pool *pool, uint64_t address)
{
	struct space *space = &pool->space;
	struct lease *lease = space->regions[region_of(space, address)].lease;

	assert(lease != NULL);
	lease_mark(lease, region_block(space, address), 1, false);
	space->meta_idle++;
}
