/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small tables of records, all pages of which are in memory: bookmarks, groups
 * and losses.  A record is changed in its page at once and becomes durable by
 * the next checkpoint.  A record of zeros is a free slot.
 */
#include "snapshot/engine.h"
#include <stdlib.h>
#include <string.h>

static void
table_init(struct pool *pool, unsigned which, struct tree *tree,
    enum fmt_page_type type, const struct fmt_root *root)
{
	struct table *table = &pool->table[which];
	bool lost = which == TABLE_LOST;

	tree_init(tree, pool, type, root->levels == 0 ? 1 : root->levels);
	tree->root = root->ptr;
	table->tree = tree;
	table->slots = (uint32_t)le64_get(&root->count);
	table->per_page = lost ? FMT_PAGE_LOST_COUNT : FMT_PAGE_BOOKMARKS_COUNT;
	table->bytes =
	    lost ? sizeof(struct fmt_lost) : sizeof(struct fmt_bookmark);
}

_Static_assert(FMT_PAGE_GROUPS_COUNT == FMT_PAGE_BOOKMARKS_COUNT, "groups");

void
tables_init(struct pool *pool, const struct fmt_super *super)
{
	table_init(pool, TABLE_BOOKMARKS, &pool->bookmarks, FMT_PAGE_BOOKMARKS,
	    &super->bookmarks);
	table_init(
	    pool, TABLE_GROUPS, &pool->groups, FMT_PAGE_GROUPS, &super->groups);
	table_init(pool, TABLE_LOST, &pool->lost, FMT_PAGE_LOST, &super->lost);
}

void
tables_done(struct pool *pool)
{
	for (unsigned i = 0; i < TABLES; i++)
		free(pool->table[i].page);
}

static uint32_t
pages_for(const struct table *table, uint32_t slots)
{
	return (slots + table->per_page - 1) / table->per_page;
}

static int
table_room(struct table *table, uint32_t pages)
{
	uint32_t room = table->room * 2 + 16;
	struct page **grown;

	if (pages <= table->room)
		return 0;
	if (room < pages)
		room = pages;
	grown = realloc(table->page, room * sizeof(grown[0]));
	if (grown == NULL)
		return -ENOMEM;
	table->page = grown;
	table->room = room;
	return 0;
}

int
table_reach(struct table *table, uint32_t slots, struct waiter *waiter)
{
	uint32_t pages = pages_for(table, slots);
	int result = table_room(table, pages);

	if (result < 0)
		return result;
	if (pages > 0)
		tree_raise(table->tree, fmt_tree_levels(pages));
	while (table->pages < pages) {
		struct page *page;
		result = page_get(
		    table->tree, 0, table->pages, true, waiter, &page, NULL);
		if (result < 0)
			return result;
		page_pin(page);
		table->page[table->pages++] = page;
	}
	if (table->slots < slots)
		table->slots = slots;
	return 0;
}

void *
table_at(const struct table *table, uint32_t slot)
{
	return table->page[slot / table->per_page]->data +
	       sizeof(struct fmt_page) +
	       (size_t)(slot % table->per_page) * table->bytes;
}

bool
table_used(const struct table *table, uint32_t slot)
{
	static const struct fmt_bookmark none;

	return memcmp(table_at(table, slot), &none, table->bytes) != 0;
}

void *
table_change(struct table *table, uint32_t slot)
{
	page_dirty(table->page[slot / table->per_page]);
	table->tree->pool->needs_write = true;
	return table_at(table, slot);
}

static void
used_add(struct table *table, uint32_t slot, int32_t count)
{
	struct fmt_page *header =
	    page_header(table->page[slot / table->per_page]);

	le32_set(&header->used,
	    (uint32_t)((int32_t)le32_get(&header->used) + count));
}

void *
table_take(struct table *table, uint32_t slot)
{
	void *record = table_change(table, slot);

	used_add(table, slot, 1);
	return record;
}

void
table_drop(struct table *table, uint32_t slot)
{
	memset(table_change(table, slot), 0, table->bytes);
	used_add(table, slot, -1);
}

int
tables_load(struct pool *pool, struct waiter *waiter)
{
	uint64_t room = pool->space.count << pool->space.region_shift;

	for (unsigned i = 0; i < TABLES; i++) {
		struct table *table = &pool->table[i];
		int result;
		if (table->slots > TABLE_SLOTS_MAX ||
		    pages_for(table, table->slots) > room ||
		    (table->slots > 0 &&
			fmt_tree_levels(pages_for(table, table->slots)) >
			    table->tree->levels))
			return -EBADMSG;
		result = table_reach(table, table->slots, waiter);
		if (result < 0)
			return result;
	}
	return 0;
}
