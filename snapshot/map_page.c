/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/map_page.h"
#include "base/log.h"
#include "snapshot/engine.h"
#include <string.h>

/* ---- places ---- */

struct fmt_ptr *
map_pointer(
    struct volume *volume, struct page *parent, unsigned level, uint64_t index)
{
	if (parent == NULL)
		return &volume->map.root;
	if (level == LEVEL_FINE)
		return &page_leaf(parent)->fine[index % FMT_LEAF_FINE];
	return &((struct fmt_inner *)(void *)parent->data)
		    ->ptr[index % FMT_FANOUT];
}

uint64_t
map_index_on(unsigned level, uint64_t leaf)
{
	while (level-- > 0)
		leaf /= FMT_FANOUT;
	return leaf;
}

static bool
ptr_is_zero(const struct fmt_ptr *ptr)
{
	return fmt_ptr_address(ptr) == 0 && le32_get(&ptr->birth) == 0;
}

static struct leaf_hint *
hint_of(const struct volume *volume, uint64_t leaf)
{
	return &volume->pool
		    ->hints[(leaf + volume->id * 0x9e3779b1ull) % LEAF_HINTS];
}

static struct page *
hint_get(const struct volume *volume, uint64_t leaf)
{
	const struct leaf_hint *hint = hint_of(volume, leaf);

	if (hint->version != volume->id || hint->leaf != leaf ||
	    hint->stamp != volume->map.stamp ||
	    hint->page->tree != &volume->pool->map_pages ||
	    hint->page->index != hint->address || !hint->page->loaded)
		return NULL;
	hint->page->hot = true;
	return hint->page;
}

static void
hint_set(const struct volume *volume, uint64_t leaf, struct page *page)
{
	*hint_of(volume, leaf) = (struct leaf_hint){
	    .page = page,
	    .leaf = leaf,
	    .address = page->index,
	    .version = volume->id,
	    .stamp = volume->map.stamp,
	};
}

static void
hint_clear(const struct volume *volume, uint64_t leaf)
{
	struct leaf_hint *hint = hint_of(volume, leaf);

	if (hint->version == volume->id && hint->leaf == leaf)
		hint->version = 0;
}

/* ---- reading ---- */

static struct fmt_expect
page_expect(const struct volume *volume, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index)
{
	return (struct fmt_expect){
	    .type = level == LEVEL_FINE ? FMT_PAGE_FINE : FMT_PAGE_MAP,
	    .level = level == LEVEL_FINE ? 0 : (uint8_t)level,
	    .family = volume->map.family,
	    .index = index,
	    .pool = volume->pool->tag,
	    .birth = le32_get(&ptr->birth),
	    .gen = le32_get(&ptr->gen),
	};
}

static bool
page_is_meant(const struct volume *volume, struct page *page,
    const struct fmt_ptr *ptr, unsigned level, uint64_t index)
{
	struct fmt_expect expect = page_expect(volume, ptr, level, index);
	const char *wrong = engine_breaks.i14_trust_pages
				? NULL
				: fmt_page_check_place(page->data, &expect);

	if (wrong != NULL)
		log_debug("pool %s: page %llu of level %u at %llu: %s",
		    volume->pool->name, (unsigned long long)index, level,
		    (unsigned long long)page->address, wrong);
	return wrong == NULL;
}

static bool
address_exists(const struct pool *pool, uint64_t address)
{
	const struct space *space = &pool->space;

	return address >> space->region_shift < space->count &&
	       space->regions[address >> space->region_shift].class ==
		   FMT_REGION_META;
}

static struct page *
map_page_load(
    struct pool *pool, uint64_t address, const struct fmt_expect *expect)
{
	struct page *page = cache_page_new(
	    &pool->cache, &pool->map_pages, 0, address, NULL, true);

	pool->cache.misses++;
	page->address = address;
	page->expect = *expect;
	page_pin(page); /* until page_read_done */
	cache_read(pool, page);
	return page;
}

static int
map_page_read(struct pool *pool, uint64_t address,
    const struct fmt_expect *expect, struct waiter *waiter)
{
	if (!address_exists(pool, address))
		return -EBADMSG;
	return page_wait(map_page_load(pool, address, expect), waiter);
}

void
map_page_ahead(struct volume *volume, const struct fmt_ptr *ptr, unsigned level,
    uint64_t index)
{
	struct pool *pool = volume->pool;
	uint64_t address = fmt_ptr_address(ptr);
	struct fmt_expect expect;

	if (address == 0 || !address_exists(pool, address) ||
	    page_find(&pool->map_pages, 0, address) != NULL)
		return;
	expect = page_expect(volume, ptr, level, index);
	map_page_load(pool, address, &expect);
}

int
map_page_get(struct volume *volume, const struct fmt_ptr *ptr, unsigned level,
    uint64_t index, struct waiter *waiter, struct page **ret_page)
{
	struct pool *pool = volume->pool;
	uint64_t address = fmt_ptr_address(ptr);
	struct page *page = page_find(&pool->map_pages, 0, address);
	struct fmt_expect expect;

	*ret_page = NULL;
	if (page == NULL) {
		expect = page_expect(volume, ptr, level, index);
		return map_page_read(pool, address, &expect, waiter);
	}
	if (!page->loaded)
		return page_wait(page, waiter);
	if (!page_is_meant(volume, page, ptr, level, index))
		return -EBADMSG;
	page->hot = true;
	*ret_page = page;
	return 0;
}

int
map_pointer_at(struct volume *volume, unsigned level, uint64_t index,
    struct waiter *waiter, const struct fmt_ptr **ret_ptr)
{
	struct page *page = NULL;
	const struct fmt_ptr *ptr;

	*ret_ptr = NULL;
	if (level >= volume->map.levels ||
	    map_index_on(volume->map.levels - 1u - level, index) != 0)
		return 0;
	for (unsigned up = volume->map.levels - 1u; up > level; up--) {
		uint64_t up_index = map_index_on(up - level, index);
		int result;
		ptr = map_pointer(volume, page, up, up_index);
		if (fmt_ptr_address(ptr) == 0) {
			*ret_ptr = ptr;
			return 0;
		}
		result = map_page_get(volume, ptr, up, up_index, waiter, &page);
		if (result < 0)
			return result;
	}
	*ret_ptr = map_pointer(volume, page, level, index);
	return 0;
}

int
map_path_get(struct volume *volume, uint64_t leaf, struct waiter *waiter,
    struct page **ret_leaf, unsigned *ret_gap)
{
	struct page *page = NULL;
	unsigned level = volume->map.levels;

	*ret_leaf = NULL;
	if (map_index_on(level, leaf) != 0)
		return -EBADMSG;
	while (level-- > 0) {
		uint64_t index = map_index_on(level, leaf);
		const struct fmt_ptr *ptr =
		    map_pointer(volume, page, level, index);
		int result;
		if (fmt_ptr_address(ptr) == 0) {
			if (ret_gap != NULL)
				*ret_gap = level;
			return 0;
		}
		result = map_page_get(volume, ptr, level, index, waiter, &page);
		if (result < 0)
			return result;
	}
	*ret_leaf = page;
	hint_set(volume, leaf, page);
	return 0;
}

int
map_leaf_get(struct volume *volume, uint64_t leaf, struct waiter *waiter,
    struct page **ret_leaf, unsigned *ret_gap)
{
	volume->pool->cache.hits++;
	*ret_leaf = hint_get(volume, leaf);
	if (*ret_leaf != NULL)
		return 0;
	return map_path_get(volume, leaf, waiter, ret_leaf, ret_gap);
}

int
map_fine_get(struct volume *volume, struct page *leaf, uint64_t index,
    unsigned slot, struct waiter *waiter, struct page **ret_page)
{
	const struct fmt_ptr *ptr = &page_leaf(leaf)->fine[slot];

	*ret_page = NULL;
	if (fmt_ptr_address(ptr) == 0)
		return 0;
	return map_page_get(volume, ptr, LEVEL_FINE,
	    index * FMT_LEAF_FINE + slot, waiter, ret_page);
}

/* ---- changing ---- */

/* A clean page that nobody can mean any more may still be in memory under an
 * address that is free again. */
static uint64_t
address_take(struct pool *pool)
{
	struct page *stale;
	uint64_t address;

	while ((address = space_meta_take(pool)) != 0) {
		stale = page_find(&pool->map_pages, 0, address);
		if (stale == NULL)
			return address;
		if (page_evictable(stale)) {
			cache_page_drop(&pool->cache, stale);
			return address;
		}
		map_page_free(pool, address); /* being read: not now */
	}
	return 0;
}

static void
page_becomes_dirty(struct pool *pool, struct page *page)
{
	struct cache *cache = &pool->cache;

	page->loaded = page->dirty = true;
	page->address = page->index;
	cache->dirty_count++;
	cache->dirty_map_count++;
	list_add_tail(&cache->dirty_maps, &page->link);
	le32_set(&page_header(page)->gen, pool_dirty_gen(pool));
}

static void
page_leaves_dirty(struct pool *pool, struct page *page)
{
	struct cache *cache = &pool->cache;

	assert(page->dirty);
	page->dirty = false;
	cache->dirty_count--;
	cache->dirty_map_count--;
	list_del(&page->link);
}

int
map_page_free(struct pool *pool, uint64_t address)
{
	struct page *page = page_find(&pool->map_pages, 0, address);
	int result = space_meta_free(pool, address);

	if (result < 0)
		return result;
	checkpoint_give_up(pool, address);
	if (page == NULL)
		return 0;
	if (page->dirty)
		page_leaves_dirty(pool, page);
	page->hot = false;
	if (page_evictable(page))
		cache_page_drop(&pool->cache, page);
	return 0;
}

/* What lies below a hole that remembers its birth are holes of that birth. */
static void
page_fill_holes(struct page *page, unsigned level, uint32_t birth)
{
	struct fmt_inner *inner = (void *)page->data;
	struct fmt_leaf *leaf = page_leaf(page);

	if (birth == 0 || level == LEVEL_FINE)
		return;
	for (unsigned i = 0; level > 0 && i < FMT_FANOUT; i++)
		le32_set(&inner->ptr[i].birth, birth);
	for (unsigned i = 0; level == 0 && i < FMT_LEAF_CHUNKS; i++)
		le32_set(&leaf->entry[i].birth, birth);
	le32_set(
	    &page_header(page)->used, level > 0 ? FMT_FANOUT : FMT_LEAF_CHUNKS);
}

static struct page *
map_page_make(struct volume *volume, unsigned level, uint64_t index,
    const struct fmt_ptr *hole)
{
	struct pool *pool = volume->pool;
	uint64_t address = address_take(pool);
	struct fmt_page *header;
	struct page *page;

	if (address == 0)
		return NULL;
	page = cache_page_new(
	    &pool->cache, &pool->map_pages, 0, address, NULL, false);
	memset(page->data, 0, FMT_BLOCK);
	header = page_header(page);
	le32_set(&header->magic, FMT_PAGE_MAGIC);
	header->type = level == LEVEL_FINE ? FMT_PAGE_FINE : FMT_PAGE_MAP;
	header->level = level == LEVEL_FINE ? 0 : (uint8_t)level;
	le32_set(&header->birth, pool->epoch);
	le64_set(&header->family, volume->map.family);
	le64_set(&header->version, volume->id);
	le64_set(&header->index, index);
	le64_set(&header->pool, pool->tag);
	page_fill_holes(page, level, le32_get(&hole->birth));
	page_becomes_dirty(pool, page);
	return page;
}

static struct page *
map_page_copy(struct volume *volume, struct page *old)
{
	struct pool *pool = volume->pool;
	uint64_t address = address_take(pool);
	struct page *page;

	if (address == 0)
		return NULL;
	page = cache_page_new(
	    &pool->cache, &pool->map_pages, 0, address, NULL, false);
	memcpy(page->data, old->data, FMT_BLOCK);
	page->lsn = old->lsn;
	page_becomes_dirty(pool, page);
	return page;
}

/* A page that may be changed in place of this one; it itself if it may. */
static struct page *
map_page_writable(
    struct volume *volume, struct page *page, const struct chunk_rules *rules)
{
	uint32_t birth = le32_get(&page_header(page)->birth);
	bool ours =
	    birth > rules->parent_epoch || engine_breaks.i2_change_frozen;
	bool again = !ours || (birth <= rules->bookmark_epoch &&
				  !engine_breaks.i16_no_rebirth);
	struct page *old = page;

	if (engine_breaks.i8_overwrite_pages && ours && !page->dirty &&
	    !page->frozen) {
		page_becomes_dirty(volume->pool, page);
	} else if (!page->dirty || !ours) {
		page = map_page_copy(volume, old);
		if (page == NULL ||
		    (ours && map_page_free(volume->pool, old->index) < 0))
			return NULL;
	}
	if (again)
		le32_set(&page_header(page)->birth, rules->epoch);
	return page;
}

/* The page that ptr, which may be changed, points to: made if there is none. */
static struct page *
pointer_dirty(struct volume *volume, struct page *parent, unsigned level,
    uint64_t index, const struct chunk_rules *rules)
{
	struct fmt_ptr *ptr = map_pointer(volume, parent, level, index);
	uint64_t address = fmt_ptr_address(ptr);
	struct page *page;

	if (address == 0) {
		page = map_page_make(volume, level, index, ptr);
	} else {
		page = page_find(&volume->pool->map_pages, 0, address);
		assert(page != NULL);
		assert(page->loaded);
		page = map_page_writable(volume, page, rules);
	}
	if (page == NULL)
		return NULL;
	if (parent != NULL && ptr_is_zero(ptr))
		le32_set(&page_header(parent)->used,
		    le32_get(&page_header(parent)->used) + 1);
	fmt_ptr_set(ptr, page->index, le32_get(&page_header(page)->birth),
	    le32_get(&page_header(page)->gen));
	return page;
}

static void
rules_of(const struct volume *volume, unsigned level, uint64_t index,
    struct chunk_rules *rules)
{
	uint64_t last_leaf = index;

	if (level == LEVEL_FINE)
		last_leaf = index / FMT_LEAF_FINE;
	else
		while (level-- > 0)
			last_leaf = last_leaf * FMT_FANOUT + FMT_FANOUT - 1;
	map_rules(volume, last_leaf, rules);
}

/* Pages that are dirty and ours have nothing above them that is not. */
static bool
page_is_ready(const struct volume *volume, struct page *page, unsigned level,
    uint64_t index)
{
	struct chunk_rules rules;

	if (page == NULL || !page->dirty)
		return false;
	rules_of(volume, level, index, &rules);
	return chunk_writable(&rules, le32_get(&page_header(page)->birth));
}

struct page *
map_leaf_dirty(struct volume *volume, uint64_t leaf)
{
	struct page *page = hint_get(volume, leaf);
	unsigned level = volume->map.levels;

	if (page_is_ready(volume, page, 0, leaf))
		return page;
	page = NULL;
	while (level-- > 0) {
		uint64_t index = map_index_on(level, leaf);
		struct chunk_rules rules;
		rules_of(volume, level, index, &rules);
		page = pointer_dirty(volume, page, level, index, &rules);
		if (page == NULL)
			return NULL;
	}
	hint_set(volume, leaf, page);
	volume_changed(volume);
	return page;
}

int
map_page_own(struct volume *volume, unsigned level, uint64_t index)
{
	const struct fmt_ptr *ptr;
	struct page *page = NULL;
	int result = map_pointer_at(volume, level, index, NULL, &ptr);

	if (result < 0 || ptr == NULL || fmt_ptr_address(ptr) == 0)
		return -EBADMSG;
	if (level == 0)
		return map_leaf_dirty(volume, index) == NULL ? -EBADMSG : 0;
	for (unsigned up = volume->map.levels; up-- > level;) {
		uint64_t at = map_index_on(up - level, index);
		struct chunk_rules rules;
		rules_of(volume, up, at, &rules);
		page = pointer_dirty(volume, page, up, at, &rules);
		if (page == NULL)
			return -EBADMSG;
	}
	volume_changed(volume);
	return 0;
}

struct page *
map_fine_dirty(
    struct volume *volume, struct page *leaf, uint64_t index, unsigned slot)
{
	struct chunk_rules rules;

	index = index * FMT_LEAF_FINE + slot;
	rules_of(volume, LEVEL_FINE, index, &rules);
	return pointer_dirty(volume, leaf, LEVEL_FINE, index, &rules);
}

/* ---- dropping ---- */

static void
pointer_clear(struct volume *volume, struct page *parent, unsigned level,
    uint64_t index, uint32_t birth)
{
	struct fmt_ptr *ptr = map_pointer(volume, parent, level, index);

	map_page_free(volume->pool, fmt_ptr_address(ptr));
	fmt_ptr_set(ptr, 0, parent == NULL ? 0 : birth, 0);
	if (parent != NULL && ptr_is_zero(ptr))
		le32_set(&page_header(parent)->used,
		    le32_get(&page_header(parent)->used) - 1);
}

void
map_fine_drop(struct volume *volume, struct page *leaf, unsigned slot)
{
	pointer_clear(volume, leaf, LEVEL_FINE, slot, 0);
}

static struct page *
path_page(struct volume *volume, unsigned level, uint64_t leaf)
{
	struct page *page = NULL;

	for (unsigned up = volume->map.levels; up-- > level;)
		page = page_find(&volume->pool->map_pages, 0,
		    fmt_ptr_address(
			map_pointer(volume, page, up, map_index_on(up, leaf))));
	return page;
}

void
map_leaf_drop(struct volume *volume, uint64_t leaf, uint32_t birth)
{
	hint_clear(volume, leaf);
	for (unsigned level = 0; level < volume->map.levels; level++) {
		struct page *parent = level + 1u < volume->map.levels
					  ? path_page(volume, level + 1, leaf)
					  : NULL;
		pointer_clear(
		    volume, parent, level, map_index_on(level, leaf), birth);
		if (parent == NULL || le32_get(&page_header(parent)->used) != 0)
			break;
	}
	volume_changed(volume);
}

/* ---- more levels ---- */

int
map_raise(struct volume *volume, unsigned levels)
{
	static const struct fmt_ptr nothing;

	while (volume->map.levels < levels) {
		struct fmt_ptr root = volume->map.root;
		struct page *page;
		volume->map.levels++;
		volume_changed(volume);
		if (fmt_ptr_address(&root) == 0)
			continue;
		page =
		    map_page_make(volume, volume->map.levels - 1u, 0, &nothing);
		if (page == NULL)
			return -EBADMSG;
		*map_pointer(volume, page, volume->map.levels - 2u, 0) = root;
		le32_set(&page_header(page)->used, 1);
		fmt_ptr_set(&volume->map.root, page->index,
		    le32_get(&page_header(page)->birth),
		    le32_get(&page_header(page)->gen));
	}
	return 0;
}
