/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where pages live in memory: slabs of 1 MiB that are mapped as needed, a hash
 * by (tree, level, index), CLOCK to find a clean page to give up, and the
 * reads of pages from the devices.
 *
 * The limit is for clean pages.  Dirty and frozen ones are bounded by
 * pool_room() and may go over it for a while.
 */
#include "snapshot/engine.h"
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct page_load {
	struct list link;
	struct pool *pool;
	struct page *page;
	unsigned place; /* its side in pool->places */
	bool mirror;    /* the second copy is being read */
	int error; /* ... since this came of the first, which lies there: */
	struct device *device;
	uint64_t offset;
	struct bs_io io;
	struct iovec iov;
};

/* ---- hash ---- */

static inline uint64_t
page_hash(const struct tree *tree, unsigned level, uint64_t index)
{
	uint64_t key =
	    index * 0x9e3779b97f4a7c15ull ^
	    ((uint64_t)tree->id << 8 | level) * 0xff51afd7ed558ccdull;

	return key ^ key >> 32;
}

struct page *
page_find(struct tree *tree, unsigned level, uint64_t index)
{
	struct cache *cache = &tree->pool->cache;
	struct page *page =
	    cache->hash[page_hash(tree, level, index) & cache->hash_mask];

	while (page != NULL && (page->index != index || page->tree != tree ||
				   page->level != level))
		page = page->hash_next;
	return page;
}

static struct page **
hash_place(struct cache *cache, struct page *page)
{
	struct page **place =
	    &cache->hash[page_hash(page->tree, page->level, page->index) &
			 cache->hash_mask];

	while (*place != NULL && *place != page)
		place = &(*place)->hash_next;
	return place;
}

/* ---- memory ---- */

static void *
map_memory(uint64_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* Metadata cannot be refused memory half way through a change: what the
 * limits allow must be there. */
static void
cache_grow(struct cache *cache)
{
	struct page *pages = calloc(CACHE_SLAB, sizeof(*pages));
	uint8_t *data = map_memory((uint64_t)CACHE_SLAB * FMT_BLOCK);

	assert(cache->slabs < CACHE_SLABS);
	assert(pages != NULL);
	assert(data != NULL);
	cache->slab[cache->slabs] = pages;
	cache->slab_data[cache->slabs++] = data;
	for (unsigned i = 0; i < CACHE_SLAB; i++) {
		pages[i].data = data + (uint64_t)i * FMT_BLOCK;
		list_init(&pages[i].waiters);
		list_add_tail(&cache->free, &pages[i].link);
	}
}

bool
page_evictable(const struct page *page)
{
	return page->tree != NULL && page->loaded && page->pins == 0 &&
	       page->kids == 0 && !page->dirty && !page->frozen;
}

/* One step of the hand; true: a page went to the free list. */
static bool
clock_step(struct cache *cache)
{
	uint64_t at = cache->hand++ % ((uint64_t)cache->slabs * CACHE_SLAB);
	struct page *page = &cache->slab[at / CACHE_SLAB][at % CACHE_SLAB];

	if (!page_evictable(page))
		return false;
	if (page->hot) {
		page->hot = false;
		return false;
	}
	cache_page_drop(cache, page);
	return true;
}

static struct page *
page_struct_get(struct cache *cache, bool for_read)
{
	unsigned steps = 512;

	while (for_read && cache->count >= cache->limit && steps-- > 0)
		if (clock_step(cache))
			break;
	if (list_empty(&cache->free))
		cache_grow(cache);
	return list_entry(list_pop(&cache->free), struct page, link);
}

void
cache_trim(struct cache *cache)
{
	uint64_t steps = 4 * (cache->count - cache->limit);

	if (cache->count <= cache->limit)
		return;
	while (cache->count > cache->limit && steps-- > 0)
		clock_step(cache);
}

struct page *
cache_page_new(struct cache *cache, struct tree *tree, unsigned level,
    uint64_t index, struct page *parent, bool for_read)
{
	struct page *page, **place;

	/* the parent must not be what is evicted to make room */
	if (parent != NULL)
		parent->kids++;
	page = page_struct_get(cache, for_read);
	page->tree = tree;
	page->level = (uint8_t)level;
	page->index = index;
	page->parent = parent;
	page->address = 0;
	page->lsn = 0;
	page->pins = page->kids = 0;
	page->loaded = page->dirty = page->frozen = false;
	page->hot = true;
	page->hash_next = NULL;
	place = hash_place(cache, page);
	assert(*place == NULL);
	*place = page;
	cache->count++;
	tree->pages++;
	if (parent == NULL && !tree->flat)
		tree->top = page;
	return page;
}

void
cache_page_drop(struct cache *cache, struct page *page)
{
	struct page **place = hash_place(cache, page);

	assert(*place == page);
	assert(page->pins == 0);
	assert(page->kids == 0);
	assert(!page->dirty);
	assert(!page->frozen);
	*place = page->hash_next;
	if (page->parent != NULL)
		page->parent->kids--;
	else if (!page->tree->flat)
		page->tree->top = NULL;
	page->tree->pages--;
	page->tree = NULL;
	cache->count--;
	list_add_head(&cache->free, &page->link);
}

/* Children first: a page goes when the round before took its last child. */
void
cache_drop_tree(struct cache *cache, struct tree *tree)
{
	uint64_t all = (uint64_t)cache->slabs * CACHE_SLAB;

	for (unsigned round = 0; tree->pages > 0; round++) {
		assert(round <= FMT_LEVELS_MAX + 1);
		for (uint64_t i = 0; i < all; i++) {
			struct page *page =
			    &cache->slab[i / CACHE_SLAB][i % CACHE_SLAB];
			if (page->tree == tree && page_evictable(page))
				cache_page_drop(cache, page);
		}
	}
}

uint8_t *
cache_buffer_get(struct cache *cache)
{
	if (cache->spare_count == 0) {
		uint8_t *buffer = map_memory((uint64_t)CACHE_SLAB * FMT_BLOCK);

		assert(buffer != NULL);
		assert(cache->spare_maps < CACHE_SLABS);
		cache->spare_map[cache->spare_maps++] = buffer;
		for (unsigned i = 0; i < CACHE_SLAB; i++)
			cache_buffer_put(
			    cache, buffer + (uint64_t)i * FMT_BLOCK);
	}
	return cache->spare[--cache->spare_count];
}

void
cache_buffer_put(struct cache *cache, uint8_t *buffer)
{
	if (cache->spare_count == cache->spare_room) {
		uint32_t room = cache->spare_room * 2 + CACHE_SLAB;

		cache->spare =
		    realloc(cache->spare, room * sizeof(cache->spare[0]));
		assert(cache->spare != NULL);
		cache->spare_room = room;
	}
	cache->spare[cache->spare_count++] = buffer;
}

/* ---- reading ---- */

static void load_next(struct pool *pool);
static void load_complete(struct bs_io *io, int result);

static void
load_submit(struct page_load *load, struct device *device, uint64_t offset)
{
	load->iov = (struct iovec){load->page->data, FMT_BLOCK};
	bs_io_init(&load->io);
	load->io.op = BS_READ;
	load->io.offset = offset;
	load->io.length = FMT_BLOCK;
	load->io.iov = &load->iov;
	load->io.iov_count = 1;
	load->io.complete = load_complete;
	bs_submit(device->bs, &load->io);
}

/* The first copy is bad or cannot be read: is there another? */
static bool
load_mirror(struct page_load *load, int error)
{
	uint64_t offset;
	struct device *device = mirror_locate(load->pool, load->page, &offset);

	if (device == NULL)
		return false;
	load->mirror = true;
	load->error = error;
	load_submit(load, device, offset);
	return true;
}

static void
load_complete(struct bs_io *io, int result)
{
	struct page_load *load = container_of(io, struct page_load, io);
	struct pool *pool = load->pool;
	struct page *page = load->page;

	result = page_judge(page, result);
	if (result < 0 && !load->mirror && load_mirror(load, result))
		return;
	if (result == 0 && load->mirror)
		mirror_mend(pool, load->device, load->offset, page->data);
	if (result < 0 && load->mirror)
		result = load->error;
	barrier_leave(&pool->places, load->place);
	load->page = NULL;
	list_add_tail(&pool->cache.loads_free, &load->link);
	page_read_done(page, result);
	load_next(pool);
}

static void
load_begin(struct pool *pool, struct page_load *load, struct page *page)
{
	uint64_t run;

	load->pool = pool;
	load->page = page;
	load->mirror = false;
	load->place = barrier_enter(&pool->places);
	if (page->tree->physical)
		load->device =
		    device_locate(pool, page->address, &load->offset);
	else
		load->device =
		    pool_locate(pool, page->address, &load->offset, &run);
	load_submit(load, load->device, load->offset);
}

/* Pages whose read waits for a struct page_load are linked by page->link. */
static void
load_next(struct pool *pool)
{
	struct cache *cache = &pool->cache;

	while (!list_empty(&cache->loads_waiting) &&
	       !list_empty(&cache->loads_free)) {
		struct page *page = list_entry(
		    list_pop(&cache->loads_waiting), struct page, link);
		struct page_load *load = list_entry(
		    list_pop(&cache->loads_free), struct page_load, link);
		load_begin(pool, load, page);
	}
}

void
cache_read(struct pool *pool, struct page *page)
{
	list_add_tail(&pool->cache.loads_waiting, &page->link);
	load_next(pool);
}

/* ---- life ---- */

int
cache_init(struct pool *pool, uint64_t bytes)
{
	struct cache *cache = &pool->cache;
	uint64_t buckets = 1024;

	cache->limit = bytes / FMT_BLOCK;
	while (buckets < cache->limit * 2)
		buckets *= 2;
	cache->hash = map_memory(buckets * sizeof(cache->hash[0]));
	cache->hash_mask = buckets - 1;
	cache->loads = calloc(CACHE_LOADS, sizeof(cache->loads[0]));
	list_init(&cache->free);
	list_init(&cache->loads_free);
	list_init(&cache->loads_waiting);
	list_init(&cache->dirty_maps);
	for (unsigned i = 0; i < ARRAY_SIZE(cache->dirty); i++)
		list_init(&cache->dirty[i]);
	if (cache->hash == NULL || cache->loads == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < CACHE_LOADS; i++)
		list_add_tail(&cache->loads_free, &cache->loads[i].link);
	return 0;
}

/* Buffers swap between pages and spares, so memory is given back by what was
 * mapped: the slabs know theirs, and a spare mapping starts at each multiple
 * noted in spare_map. */
void
cache_done(struct pool *pool)
{
	struct cache *cache = &pool->cache;

	for (unsigned i = 0; i < cache->slabs; i++) {
		free(cache->slab[i]);
		munmap(cache->slab_data[i], (uint64_t)CACHE_SLAB * FMT_BLOCK);
	}
	for (unsigned i = 0; i < cache->spare_maps; i++)
		munmap(cache->spare_map[i], (uint64_t)CACHE_SLAB * FMT_BLOCK);
	if (cache->hash != NULL)
		munmap(cache->hash,
		    (cache->hash_mask + 1) * sizeof(cache->hash[0]));
	free(cache->spare);
	free(cache->loads);
}
