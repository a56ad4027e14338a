/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pages of maps in memory.  The versions of a family share pages, so a
 * page is known by its address alone, and a version is a root pointer.
 *
 * A page gets its address when it becomes dirty, not when it is written: the
 * pointer to it, in as many pages as share it, never has to be corrected.  To
 * change a page is to have, from the root down, pages that belong to the
 * version alone and are not written yet; each that is not so is copied to a
 * new address first:
 *
 *	shared with the parent   the copy is born now; the old page stays
 *	ours, but written        the copy keeps its birth; the old page is
 *	                         given up with the next checkpoint
 *	ours, but remembered by  ... and is born again (I16)
 *	a bookmark
 *
 * So dirty pages are never frozen and changed at once, and a page is frozen
 * without being copied.
 */
#ifndef SNAPSHOT_MAP_PAGE_H
#define SNAPSHOT_MAP_PAGE_H

#include "snapshot/chunk.h"
#include "snapshot/page.h"

struct volume;

#define LEVEL_FINE 255u /* below level 0 */

struct map {
	struct fmt_ptr root;
	uint8_t levels;
	uint64_t family;
	uint32_t stamp; /* +1 when the map is replaced, not changed */
};

/* Where a leaf of a version was found last. */
struct leaf_hint {
	struct page *page;
	uint64_t leaf, address;
	uint32_t version, stamp;
};
#define LEAF_HINTS (1u << 15)

/* Pages of a level are numbered from 0: which of them leads to a leaf. */
uint64_t map_index_on(unsigned level, uint64_t leaf);
/* The pointer to a page in its parent, NULL: in the version. */
struct fmt_ptr *map_pointer(
    struct volume *volume, struct page *parent, unsigned level, uint64_t index);

/* The pointer to that page, found from the root: 0, -EAGAIN (queued), or an
 * error.  NULL: the map does not reach there; a hole: it, or what is above it,
 * is one. */
int map_pointer_at(struct volume *volume, unsigned level, uint64_t index,
    struct waiter *waiter, const struct fmt_ptr **ret_ptr);

/* The page that ptr, found in volume's map at that place, means: 0, -EAGAIN
 * (queued), -EBADMSG, -EIO. */
int map_page_get(struct volume *volume, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index, struct waiter *waiter,
    struct page **ret_page);

/* Begins to read it, if it is not in memory; nobody waits. */
void map_page_ahead(struct volume *volume, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index);

/* Leaf number leaf.  0: *ret_leaf, or NULL: the map has nothing there, from
 * level *ret_gap (may be NULL) down.  Once it is 0 all pages from the root to
 * the leaf are in memory, until the next read of a page. */
int map_leaf_get(struct volume *volume, uint64_t leaf, struct waiter *waiter,
    struct page **ret_leaf, unsigned *ret_gap);
/* As that, but all pages above it are in memory too. */
int map_path_get(struct volume *volume, uint64_t leaf, struct waiter *waiter,
    struct page **ret_leaf, unsigned *ret_gap);
/* Slot 0..8 of a leaf; *ret_page is NULL if there is none. */
int map_fine_get(struct volume *volume, struct page *leaf, uint64_t index,
    unsigned slot, struct waiter *waiter, struct page **ret_page);

/* The leaf, to be changed; made if there is none.  map_path_get() has said 0.
 * NULL: no address for a new page, which only damage can bring about. */
struct page *map_leaf_dirty(struct volume *volume, uint64_t leaf);
/* The page of that level and index, and those above it, to be changed.  They
 * are in memory.  -EBADMSG: there is none. */
int map_page_own(struct volume *volume, unsigned level, uint64_t index);
/* A fine page of a leaf that may be changed. */
struct page *map_fine_dirty(
    struct volume *volume, struct page *leaf, uint64_t index, unsigned slot);
/* It has nothing in it any more. */
void map_fine_drop(struct volume *volume, struct page *leaf, unsigned slot);
/* Nor has the leaf, which was just changed: a hole of that birth (0: none). */
void map_leaf_drop(struct volume *volume, uint64_t leaf, uint32_t birth);
/* Adds levels on top.  The root page is in memory.  -EBADMSG as above. */
int map_raise(struct volume *volume, unsigned levels);

/* The page at ptr is nobody's any more.  -EBADMSG: it was free. */
int map_page_free(struct pool *pool, uint64_t address);

/* Slots of a leaf's fine pages, by cow_shift; chunks each holds. */
static inline unsigned
fine_page_chunks(unsigned cow_shift)
{
	return 27u << (cow_shift - FMT_BLOCK_SHIFT);
}

/* ---- chunks in pages (map_chunk.c) ---- */

/* The rules for what lies in that leaf, as of now. */
void map_rules(
    const struct volume *volume, uint64_t leaf, struct chunk_rules *ret_rules);
/* Reads a chunk; its fine page is in memory.  -EBADMSG: it is not right. */
int map_chunk_load(struct volume *volume, struct page *leaf, uint64_t chunk,
    struct chunk *ret_chunk);
/* Writes it back into a leaf that map_leaf_dirty() gave. */
int map_chunk_store(struct volume *volume, struct page *leaf, uint64_t chunk,
    const struct chunk *chunk_now);
/* Makes ready for reading and changing chunks [first, first + count) of one
 * leaf: 0: all their pages are in memory, -EAGAIN (queued), or an error. */
int map_chunks_get(struct volume *volume, uint64_t first, uint64_t count,
    struct waiter *waiter, struct page **ret_leaf);

#endif
