/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trees: finding, reading and making pages, and marking them dirty.
 */
#include "base/crc32c.h"
#include "base/log.h"
#include "snapshot/engine.h"
#include <string.h>

void
waiters_wake(struct list *waiters, int error)
{
	struct list now, *node;

	list_init(&now);
	list_splice_tail(&now, waiters);
	while ((node = list_pop(&now)) != NULL) {
		struct waiter *waiter = list_entry(node, struct waiter, link);
		waiter->ready(waiter, error);
	}
}

void
tree_init(struct tree *tree, struct pool *pool, enum fmt_page_type type,
    unsigned levels)
{
	*tree = (struct tree){
	    .pool = pool,
	    .id = ++pool->cache.next_tree,
	    .type = (uint8_t)type,
	    .levels = (uint8_t)levels,
	    .raw = type == FMT_PAGE_BITMAP,
	    .physical = type == FMT_PAGE_REGIONS,
	};
}

/* ---- places ---- */

static struct fmt_ptr *
pointer_in(struct page *parent, uint64_t index)
{
	return &((struct fmt_inner *)(void *)parent->data)
		    ->ptr[index % FMT_FANOUT];
}

struct fmt_ptr *
page_pointer(struct page *child)
{
	if (child->parent == NULL)
		return &child->tree->root;
	return pointer_in(child->parent, child->index);
}

/* ---- making ---- */

static bool
page_is_raw(const struct page *page)
{
	return page->tree->raw && page->level == 0;
}

static void
page_format(struct page *page)
{
	struct fmt_page *header = page_header(page);
	struct tree *tree = page->tree;

	memset(page->data, 0, FMT_BLOCK);
	if (page_is_raw(page))
		return;
	le32_set(&header->magic, FMT_PAGE_MAGIC);
	header->type = tree->type;
	header->level = page->level;
	le32_set(&header->birth, tree->pool->epoch);
	le64_set(&header->family, tree->family);
	le64_set(&header->version, tree->version);
	le64_set(&header->index, page->index);
	le64_set(&header->pool, tree->pool->tag);
}

/* ---- reading ---- */

static const char *
page_verify(struct page *page)
{
	const struct fmt_ptr *ptr;

	/* asked again whenever it is found: it may be meant to be two things */
	if (page->tree->flat)
		return fmt_page_check(page->data, &page->expect);
	ptr = page_pointer(page);
	struct fmt_expect expect = {
	    .type = page->tree->type,
	    .level = page->level,
	    .family = page->tree->family,
	    .index = page->index,
	    .pool = page->tree->pool->tag,
	    .birth = le32_get(&ptr->birth),
	    .gen = le32_get(&ptr->gen),
	};

	if (fmt_ptr_mirror(ptr) != 0) /* stands where the birth was */
		expect.birth = le32_get(&page_header(page)->birth);
	if (!page_is_raw(page))
		return fmt_page_check(page->data, &expect);
	if (crc32c(page->data, FMT_BLOCK) != le32_get(&ptr->gen))
		return "wrong checksum";
	return NULL;
}

int
page_judge(struct page *page, int error)
{
	const char *wrong;

	assert(!page->loaded);
	if (error < 0)
		return error;
	wrong = page_verify(page);
	if (wrong == NULL || engine_breaks.i14_trust_pages)
		return 0;
	log_debug("pool %s: page %llu of level %u at %llu: %s",
	    page->tree->pool->name, (unsigned long long)page->index,
	    page->level, (unsigned long long)page->address, wrong);
	return -EBADMSG;
}

/* Called by the cache when the read of a page ended, and was judged. */
void
page_read_done(struct page *page, int error)
{
	struct list waiters;

	assert(!page->loaded);
	list_init(&waiters);
	list_splice_tail(&waiters, &page->waiters);
	page_unpin(page);
	if (error == 0) {
		page->loaded = true;
		/* it may be newer than the newest durable superblock */
		page->lsn =
		    page_is_raw(page) ? 0 : le64_get(&page_header(page)->lsn);
	} else {
		cache_page_drop(&page->tree->pool->cache, page);
	}
	waiters_wake(&waiters, error);
}

bool
device_address_exists(const struct pool *pool, uint64_t address)
{
	uint64_t device = address >> FMT_DEVICE_SHIFT;

	return device < pool->device_count &&
	       (address << FMT_BLOCK_SHIFT) % FMT_DEVICE_BYTES_MAX <
		   pool->device[device].size - FMT_DEVICE_TAIL;
}

static bool
address_exists(const struct tree *tree, uint64_t address)
{
	struct pool *pool = tree->pool;

	if (!tree->physical)
		return address < pool->space.count
				     << pool->space.region_shift &&
		       pool->space.regions[address >> pool->space.region_shift]
			       .class
			   == FMT_REGION_META;
	return device_address_exists(pool, address);
}

static int
page_load(struct tree *tree, unsigned level, uint64_t index,
    struct page *parent, const struct fmt_ptr *ptr, struct page **ret_page)
{
	struct pool *pool = tree->pool;
	uint64_t address = fmt_ptr_address(ptr);
	struct page *page;

	if (!address_exists(tree, address))
		return -EBADMSG;
	page = cache_page_new(&pool->cache, tree, level, index, parent, true);
	page->address = address;
	page_pin(page); /* until page_read_done */
	cache_read(pool, page);
	*ret_page = page;
	return 0;
}

static struct page *
page_make(
    struct tree *tree, unsigned level, uint64_t index, struct page *parent)
{
	struct page *page = cache_page_new(
	    &tree->pool->cache, tree, level, index, parent, false);

	page->loaded = true;
	page_format(page);
	return page;
}

int
page_wait(struct page *page, struct waiter *waiter)
{
	assert(list_empty(&waiter->link));
	list_add_tail(&page->waiters, &waiter->link);
	return -EAGAIN;
}

/* The page is not in memory: by its pointer, found through its parent. */
static int
page_get_miss(struct tree *tree, unsigned level, uint64_t index, bool create,
    struct waiter *waiter, struct page **ret_page, unsigned *ret_gap)
{
	struct page *parent = NULL;
	const struct fmt_ptr *ptr = &tree->root;
	int result;

	if (level + 1u < tree->levels) {
		result = page_get(tree, level + 1, index / FMT_FANOUT, create,
		    waiter, &parent, ret_gap);
		if (result < 0 || parent == NULL)
			return result;
		ptr = pointer_in(parent, index);
	} else if (index != 0) {
		return -EBADMSG;
	}
	if (fmt_ptr_address(ptr) == 0) {
		if (create)
			*ret_page = page_make(tree, level, index, parent);
		else if (ret_gap != NULL)
			*ret_gap = level;
		return 0;
	}
	result = page_load(tree, level, index, parent, ptr, ret_page);
	if (result < 0)
		return result;
	result = page_wait(*ret_page, waiter);
	*ret_page = NULL;
	return result;
}

int
page_get(struct tree *tree, unsigned level, uint64_t index, bool create,
    struct waiter *waiter, struct page **ret_page, unsigned *ret_gap)
{
	struct page *page = page_find(tree, level, index);

	*ret_page = NULL;
	if (page == NULL) {
		tree->pool->cache.misses++;
		return page_get_miss(
		    tree, level, index, create, waiter, ret_page, ret_gap);
	}
	if (!page->loaded)
		return page_wait(page, waiter);
	page->hot = true;
	*ret_page = page;
	return 0;
}

/* ---- changing ---- */

void
page_dirty_slow(struct page *page)
{
	struct cache *cache = &page->tree->pool->cache;

	assert(page->loaded);
	assert(!page->dirty);
	assert(!page->tree->flat);
	if (page->frozen) {
		/* the old buffer now belongs to the checkpoint alone */
		uint8_t *data = cache_buffer_get(cache);
		memcpy(data, page->data, FMT_BLOCK);
		page->data = data;
		page->frozen = false;
		cache->frozen_count--;
	}
	page->dirty = true;
	cache->dirty_count++;
	if (page->address == 0)
		cache->dirty_new++;
	list_add_tail(&cache->dirty[page->level], &page->link);
	if (page->parent != NULL)
		page_dirty(page->parent);
}

/* ---- whole trees ---- */

void
tree_drop(struct tree *tree)
{
	cache_drop_tree(&tree->pool->cache, tree);
	assert(tree->pages == 0);
	tree->top = NULL;
}

/* The old root becomes child 0 of a new page on top of it.  The keys of the
 * pages in memory stay as they are. */
void
tree_raise(struct tree *tree, unsigned levels)
{
	while (tree->levels < levels) {
		struct page *old = tree->top, *page;
		struct fmt_ptr root = tree->root;

		tree->levels++;
		tree->top = NULL;
		memset(&tree->root, 0, sizeof(tree->root));
		if (old == NULL && fmt_ptr_address(&root) == 0)
			continue;
		page = page_make(tree, tree->levels - 1u, 0, NULL);
		*pointer_in(page, 0) = root;
		if (fmt_ptr_address(&root) != 0)
			le32_set(&page_header(page)->used, 1);
		if (old != NULL) {
			old->parent = page;
			page->kids++;
		}
		page_dirty(page);
	}
}
