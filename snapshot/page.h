/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages of the trees in memory: a bounded cache over the metadata on disk.
 *
 *	absent    not in memory; page_get reads it, or finds it does not exist
 *	loading   being read; whoever wants it waits
 *	clean     equal to what is at page->address; may be evicted (CLOCK) when
 *	          nobody has it pinned and none of its children is in memory
 *	new       clean, address 0: an empty page that no pointer names yet
 *	dirty     changed since the last freeze, and so are all its ancestors;
 *	          stays until a checkpoint has written it
 *	frozen    handed to the running checkpoint and not yet written; the next
 *	          change copies it first, so the checkpoint never waits
 *
 * Every page of a table in memory has its ancestors in memory.
 *
 * The pages of maps are another matter (map_page.h): versions share them, so
 * they are known by their address and by nothing else.
 */
#ifndef SNAPSHOT_PAGE_H
#define SNAPSHOT_PAGE_H

#include "base/list.h"
#include "snapshot/format.h"

struct pool;
struct page;

/* Waits for a page, for room, for a lock: ready() is called once, later, from
 * the loop; then try again, or fail with error. */
struct waiter {
	struct list link; /* initialised by waiter_init; empty: not waiting */
	void (*ready)(struct waiter *waiter, int error);
};

static inline void
waiter_init(
    struct waiter *waiter, void (*ready)(struct waiter *waiter, int error))
{
	list_init(&waiter->link);
	waiter->ready = ready;
}

/* Calls all that wait now, not those that wait again. */
void waiters_wake(struct list *waiters, int error);

struct tree {
	struct pool *pool;
	uint32_t id; /* in memory only: the page cache's key */
	uint8_t type;
	uint8_t levels;
	bool raw;      /* level 0 pages have no header */
	bool physical; /* pointers name devices: the tree of regions */
	bool flat;     /* no tree: pages of maps, index is the address */
	uint64_t family, version;
	struct fmt_ptr root; /* as of the last freeze */
	struct page *top;    /* the root page, when in memory */
	unsigned pages;      /* in memory */
};

struct page {
	struct page *hash_next;
	struct tree *tree;
	uint64_t index;
	uint8_t *data;
	uint8_t level;
	bool loaded, dirty, frozen, hot;
	uint32_t pins, kids;
	struct page *parent;
	uint64_t address;
	uint64_t lsn;     /* of the newest record in it */
	struct list link; /* dirty list or free list */
	struct list waiters;
	struct fmt_expect expect; /* of a map, while it is read */
};

#define CACHE_SLAB  256u
#define CACHE_SLABS 65536u
#define CACHE_LOADS 128u

struct page_load;

struct cache {
	struct page **hash;
	uint64_t hash_mask;
	struct page *slab[CACHE_SLABS];
	uint8_t *slab_data[CACHE_SLABS];
	uint32_t slabs;
	uint64_t limit; /* pages, clean ones over it are evicted */
	uint64_t count, dirty_count, dirty_new, frozen_count;
	uint64_t hand;
	struct list free;
	struct list dirty[FMT_LEVELS_MAX]; /* pages of tables, by level */
	struct list dirty_maps;            /* pages of maps, as they came */
	uint64_t dirty_map_count;
	uint8_t **spare; /* buffers without a page */
	uint32_t spare_count, spare_room;
	uint8_t *spare_map[CACHE_SLABS];
	uint32_t spare_maps;
	struct page_load *loads;
	struct list loads_free, loads_waiting;
	uint32_t next_tree;
	uint64_t hits, misses;
};

int cache_init(struct pool *pool, uint64_t bytes);
void cache_done(struct pool *pool);

void tree_init(struct tree *tree, struct pool *pool, enum fmt_page_type type,
    unsigned levels);
/* Forgets all its pages: none may be pinned, dirty, frozen or loading. */
void tree_drop(struct tree *tree);
/* Adds levels on top; the old root becomes the first child. */
void tree_raise(struct tree *tree, unsigned levels);

/* In memory, maybe still being read; or NULL. */
struct page *page_find(struct tree *tree, unsigned level, uint64_t index);

/* Finds or reads a page.  0: *ret_page, or NULL if the tree has nothing there
 * and create is false; then *ret_gap (may be NULL) is the level from which
 * down there is nothing.  -EAGAIN: waiter is queued.  Not pinned. */
int page_get(struct tree *tree, unsigned level, uint64_t index, bool create,
    struct waiter *waiter, struct page **ret_page, unsigned *ret_gap);

static inline void
page_pin(struct page *page)
{
	page->pins++;
}

static inline void
page_unpin(struct page *page)
{
	assert(page->pins > 0);
	page->pins--;
}

/* Call before each change of page->data, every time: it may move the data. */
void page_dirty_slow(struct page *page);

static inline void
page_dirty(struct page *page)
{
	if (!page->dirty)
		page_dirty_slow(page);
}

/* The pointer to child in its parent page, or in the tree. */
struct fmt_ptr *page_pointer(struct page *child);

/* ---- between page.c and cache.c ---- */
/* A page struct in the hash, not loaded, contents undefined.  Only one that is
 * to be read may take the place of another: what is in memory stays until the
 * next read or cache_trim(). */
struct page *cache_page_new(struct cache *cache, struct tree *tree,
    unsigned level, uint64_t index, struct page *parent, bool for_read);
/* Gives up clean pages over the limit. */
void cache_trim(struct cache *cache);
/* Takes it out of memory: clean, not pinned, without kids. */
void cache_page_drop(struct cache *cache, struct page *page);
void cache_drop_tree(struct cache *cache, struct tree *tree);
void cache_read(struct pool *pool, struct page *page);
/* Is what was read (error) the page that is meant?  0, -EBADMSG, error. */
int page_judge(struct page *page, int error);
void page_read_done(struct page *page, int error);
int page_wait(struct page *page, struct waiter *waiter);
bool page_evictable(const struct page *page);

uint8_t *cache_buffer_get(struct cache *cache);
void cache_buffer_put(struct cache *cache, uint8_t *buffer);

static inline struct fmt_page *
page_header(struct page *page)
{
	return (struct fmt_page *)(void *)page->data;
}

static inline struct fmt_leaf *
page_leaf(struct page *page)
{
	return (struct fmt_leaf *)(void *)page->data;
}

#endif
