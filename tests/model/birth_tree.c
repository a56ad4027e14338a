/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trees of the model: reading them, who owns what of them (I3), and changing
 * them with all that births and bookmarks ask for (I15, I16, I17).
 */
#include "tests/model/birth.h"

/* ---- reading a tree ---- */

int
inner_of(const struct pool *pool, const struct version *version, unsigned i)
{
	if (version == NULL || version->root == NONE)
		return NONE;
	return pool->page[version->root].child[i];
}

int
leaf_of(const struct pool *pool, const struct version *version, unsigned leaf)
{
	int inner = inner_of(pool, version, leaf / LEAVES);
	return inner == NONE ? NONE : pool->page[inner].child[leaf % LEAVES];
}

const struct entry *
entries_of(const struct pool *pool, int leaf)
{
	static const struct entry holes[CHUNKS];
	return leaf == NONE ? holes : pool->page[leaf].entry;
}

/* Who owns what: a coarse chunk is owned as a whole. */
struct sub
entry_owns(const struct entry *entry, unsigned i)
{
	if (entry->kind == COARSE)
		return (struct sub){entry->chunk * SUBS + (int)i, entry->birth};
	if (entry->kind == FINE && entry->sub[i].address != NONE)
		return entry->sub[i];
	return no_sub;
}

/* What is read: only what was written. */
struct sub
entry_holds(const struct entry *entry, unsigned i)
{
	if (entry->kind == COARSE && !(entry->mask >> i & 1))
		return no_sub;
	return entry_owns(entry, i);
}

unsigned
entry_birth(const struct entry *entry, unsigned i)
{
	if (entry->kind == COARSE)
		return entry->birth;
	return entry->kind == FINE ? entry->sub[i].birth : 0;
}

/* ---- versions and their relations ---- */

struct version *
version_new(struct pool *pool, struct version *parent, int root)
{
	struct version *version = model_alloc(sizeof(*version));
	version->parent = parent;
	version->root = root;
	version->id = ++pool->last_id;
	list_add_tail(&pool->versions, &version->link);
	return version;
}

unsigned
children_count(const struct pool *pool, const struct version *parent)
{
	const struct version *v;
	unsigned n = 0;
	list_for_each (v, &pool->versions, link)
		n += v->parent == parent;
	return n;
}

struct version *
only_child(const struct pool *pool, const struct version *parent)
{
	struct version *v;
	list_for_each (v, &pool->versions, link)
		if (v->parent == parent)
			return v;
	return NULL;
}

const struct version *
family_of(const struct version *version)
{
	while (version->parent != NULL)
		version = version->parent;
	return version;
}

unsigned
epoch_of(const struct version *version)
{
	return version == NULL ? 0 : version->epoch;
}

/* I3: from which epoch on head owns what ends at LBA end. */
static unsigned
parent_epoch(const struct pool *pool, const struct version *head, unsigned end)
{
	const struct version *parent = head->parent;

	if (parent != NULL && parent->kind == DELETING && parent->interior &&
	    end <= parent->cursor && !broken(pool, NOCURSOR))
		return epoch_of(parent->parent);
	return epoch_of(parent);
}

static unsigned
newest_bookmark(const struct pool *pool, const struct version *head)
{
	unsigned newest = 0;

	if (broken(pool, NOBM))
		return 0;
	for (unsigned i = 0; i < head->bookmarks; i++)
		if (head->bookmark[i].epoch > newest)
			newest = head->bookmark[i].epoch;
	return newest;
}

/* A random version of this kind, or NULL. */
struct version *
pick(struct pool *pool, int kind, const struct version *family)
{
	struct version *v, *choice = NULL;
	unsigned seen = 0;

	list_for_each (v, &pool->versions, link) {
		if ((int)v->kind != kind)
			continue;
		if (family != NULL && family_of(v) != family)
			continue;
		if (model_below(pool->seed, ++seen) == 0)
			choice = v;
	}
	return choice;
}

unsigned
count_kind(const struct pool *pool, int kind)
{
	const struct version *v;
	unsigned n = 0;
	list_for_each (v, &pool->versions, link)
		n += (int)v->kind == kind;
	return n;
}

/* ---- changing a tree ---- */

/* A page the head may write, in place of number: a fresh one, a copy, or the
 * same; an exclusive one no newer than a bookmark is born again (I16). */
static int
page_own(struct pool *pool, int number, unsigned parent, unsigned bookmark)
{
	if (number == NONE)
		return page_new(pool);

	struct page *page = &pool->page[number];
	if (page->birth > parent) {
		if (page->birth <= bookmark && !broken(pool, NOPAGEBM)) {
			page->birth = pool->epoch;
			count(pool, C_REBIRTHS);
		}
		return number;
	}
	int copy = page_new(pool);
	pool->page[copy] = *page;
	pool->page[copy].birth = pool->epoch;
	return copy;
}

/* Makes the path to a leaf writable; returns the leaf. */
static struct page *
path_own(struct pool *pool, struct version *head, unsigned leaf)
{
	unsigned bookmark = newest_bookmark(pool, head);
	unsigned i = leaf / LEAVES;

	head->root = page_own(
	    pool, head->root, parent_epoch(pool, head, LBAS), bookmark);
	int *inner = &pool->page[head->root].child[i];
	*inner = page_own(pool, *inner,
	    parent_epoch(pool, head, (i + 1) * INNER_LBAS), bookmark);
	int *page = &pool->page[*inner].child[leaf % LEAVES];
	*page = page_own(pool, *page,
	    parent_epoch(pool, head, (leaf + 1) * LEAF_LBAS), bookmark);
	return &pool->page[*page];
}

/* Turns an entry FINE.  An exclusive chunk gives up what it never used; an
 * unused sub-block keeps the chunk's birth (I17). */
static void
entry_refine(struct pool *pool, struct entry *entry, unsigned parent)
{
	struct entry old = *entry;

	if (old.kind == FINE)
		return;
	entry->kind = FINE;
	for (unsigned i = 0; i < SUBS; i++) {
		entry->sub[i] = entry_holds(&old, i);
		if (old.kind != COARSE || old.mask >> i & 1)
			continue;
		entry->sub[i].birth = old.birth;
		if (old.birth > parent)
			sub_free(pool, old.chunk * SUBS + (int)i);
	}
}

static int
write_fine(struct pool *pool, struct entry *entry, unsigned i, unsigned parent,
    unsigned limit)
{
	entry_refine(pool, entry, parent);
	struct sub old = entry->sub[i];
	if (old.address != NONE && old.birth > limit)
		return old.address;

	entry->sub[i] = (struct sub){sub_take(pool), pool->epoch};
	count(pool, C_REDIRECTS);
	if (old.address != NONE && old.birth > parent) {
		sub_free(pool, old.address);
		count(pool, C_BOOKMARK_REDIRECTS);
	}
	return entry->sub[i].address;
}

/* Where the write goes, the entry changed to suit. */
static int
write_place(struct pool *pool, struct entry *entry, unsigned i, unsigned parent,
    unsigned bookmark)
{
	unsigned limit = parent > bookmark ? parent : bookmark; /* I15 */

	if (entry->kind == HOLE)
		*entry = (struct entry){.kind = COARSE,
		    .chunk = chunk_take(pool),
		    .birth = pool->epoch};
	if (entry->kind == COARSE && entry->birth > limit) {
		entry->mask |= 1u << i;
		return entry->chunk * SUBS + (int)i;
	}
	return write_fine(pool, entry, i, parent, limit);
}

void
version_write(struct pool *pool, struct version *head, unsigned lba)
{
	unsigned leaf = lba / LEAF_LBAS;
	struct page *page = path_own(pool, head, leaf);
	int place = write_place(pool, &page->entry[lba / SUBS % CHUNKS],
	    lba % SUBS, parent_epoch(pool, head, (leaf + 1) * LEAF_LBAS),
	    newest_bookmark(pool, head));

	pool->data[place] = ++pool->last_value;
	head->content[lba] = pool->last_value;
}

/* A hole that is remembered: I17. */
static struct sub
hole_now(const struct pool *pool)
{
	return broken(pool, NOHOLE) ? no_sub : (struct sub){NONE, pool->epoch};
}

static void
unmap_coarse(struct pool *pool, struct entry *entry, unsigned i)
{
	entry->mask &= ~(1u << i);
	if (entry->mask != 0)
		return;
	for (int k = 0; k < SUBS; k++)
		sub_free(pool, entry->chunk * SUBS + k);
	*entry = (struct entry){.kind = FINE};
	for (unsigned k = 0; k < SUBS; k++)
		entry->sub[k] = hole_now(pool);
}

void
version_unmap(struct pool *pool, struct version *head, unsigned lba)
{
	unsigned leaf = lba / LEAF_LBAS, i = lba % SUBS;

	head->content[lba] = 0;
	if (leaf_of(pool, head, leaf) == NONE)
		return;
	struct page *page = path_own(pool, head, leaf);
	struct entry *entry = &page->entry[lba / SUBS % CHUNKS];
	unsigned parent = parent_epoch(pool, head, (leaf + 1) * LEAF_LBAS);
	unsigned bookmark = newest_bookmark(pool, head);

	if (entry->kind == HOLE)
		return;
	if (entry->kind == COARSE && entry->birth > parent &&
	    entry->birth > bookmark) {
		unmap_coarse(pool, entry, i);
		return;
	}
	entry_refine(pool, entry, parent);
	struct sub old = entry->sub[i];
	entry->sub[i] = hole_now(pool);
	if (old.address != NONE && old.birth > parent)
		sub_free(pool, old.address);
}

static bool
entry_is_worth_recoarsening(const struct entry *entry)
{
	if (entry->kind != FINE)
		return false;
	for (unsigned i = 0; i < SUBS; i++)
		if (entry->sub[i].address != NONE)
			return true;
	return false;
}

/* Moves a FINE entry into a fresh chunk.  It is newer than any bookmark then:
 * over-reported, never missed. */
void
version_recoarsen(
    struct pool *pool, struct version *head, unsigned leaf, unsigned chunk)
{
	int number = leaf_of(pool, head, leaf);
	if (!entry_is_worth_recoarsening(&entries_of(pool, number)[chunk]))
		return;
	struct entry *entry = &path_own(pool, head, leaf)->entry[chunk];
	unsigned parent = parent_epoch(pool, head, (leaf + 1) * LEAF_LBAS);
	struct entry old = *entry;

	*entry = (struct entry){
	    .kind = COARSE, .chunk = chunk_take(pool), .birth = pool->epoch};
	for (unsigned i = 0; i < SUBS; i++) {
		if (old.sub[i].address == NONE)
			continue;
		entry->mask |= 1u << i;
		pool->data[entry->chunk * SUBS + (int)i] =
		    pool->data[old.sub[i].address];
		if (old.sub[i].birth > parent)
			sub_free(pool, old.sub[i].address);
	}
}

/* A checkpoint writes an exclusive dirty page to another address. */
void
version_relocate(struct pool *pool, struct version *head, unsigned leaf)
{
	if (leaf_of(pool, head, leaf) == NONE)
		return;
	path_own(pool, head, leaf);
	int inner = inner_of(pool, head, leaf / LEAVES);
	int *child = &pool->page[inner].child[leaf % LEAVES];
	int moved = number_take(pool, &pool->pages);
	pool->page[moved] = pool->page[*child];
	page_free(pool, *child);
	*child = moved;
}
