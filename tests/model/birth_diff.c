/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model of births, deletion and bookmarks: trees of copy-on-write pages
 * whose pointers carry the epoch of their birth, no reference counts, and a
 * dying version that is freed by comparing it with its only child and its
 * parent, leaf by leaf, while its neighbours go on writing.
 *
 * Small enough to hit every corner often: 2 inner pages of 3 leaves of 2
 * chunks of 4 sub-blocks.  A COARSE chunk owns all its sub-blocks whether
 * valid or not.  After every operation what the versions reach must be exactly
 * what is allocated, and every version must read what was written to it; at
 * the end everything is deleted and nothing may be left.
 *
 * Mutations leave one rule out each: nobirth (I4: the parent's epoch is not
 * asked), content (I4: a chunk owns only what is valid), nocursor (I3: a
 * writer does not see how far the deletion of its parent has come), nobm
 * (I15), nopagebm (I16), nohole (I17).
 *
 * Not covered: several threads, crashes (crash.c), detached subtrees.
 */
#include "base/assert.h"
#include "base/list.h"
#include "tests/model/model.h"
#include <stdlib.h>
#include <string.h>

enum {
	INNERS = 2, /* pages below a root */
	LEAVES = 3, /* pages below an inner page */
	CHUNKS = 2, /* entries of a leaf */
	SUBS = 4,   /* sub-blocks of a chunk */
	LEAF_LBAS = CHUNKS * SUBS,
	INNER_LBAS = LEAVES * LEAF_LBAS,
	LEAVES_ALL = INNERS * LEAVES,
	LBAS = LEAVES_ALL * LEAF_LBAS,
	CHILDREN_MAX = 3,
	BOOKMARKS = 3,
	SNAPSHOTS_MAX = 12,
	HEADS_MAX = 5,
	NONE = -1,
	POISON = -1, /* what a freed block holds */
};

enum mutation { M_NONE, NOBIRTH, CONTENT, NOCURSOR, NOBM, NOPAGEBM, NOHOLE };
static const char *const mutations[] = {"none", "nobirth", "content",
    "nocursor", "nobm", "nopagebm", "nohole", NULL};

enum counter {
	C_SNAPSHOTS,
	C_CLONES,
	C_BOOKMARKS,
	C_INTERIOR,
	C_LEAF,
	C_FREED,
	C_REDIRECTS,
	C_BOOKMARK_REDIRECTS,
	C_REBIRTHS,
	C_DIFFS,
	C_BOOKMARK_DIFFS,
	C_OVER_REPORTED,
};
static const char *const counters[] = {"snapshots", "clones", "bookmarks",
    "interior-deletions", "leaf-deletions", "freed", "redirects",
    "bookmark-redirects", "page-rebirths", "diffs", "bookmark-diffs",
    "over-reported", NULL};

/* ---- what is in a page ---- */

/* A sub-block is numbered chunk * SUBS + its place.  A hole has no address;
 * made by UNMAP it has a birth all the same. */
struct sub {
	int address;
	unsigned birth;
};

static const struct sub no_sub = {NONE, 0};

struct entry {
	enum { HOLE, COARSE, FINE } kind;
	int chunk;            /* COARSE */
	unsigned birth;       /* COARSE */
	unsigned mask;        /* COARSE: what has been written */
	struct sub sub[SUBS]; /* FINE */
};

struct page {
	unsigned birth;
	int child[CHILDREN_MAX];    /* root, inner */
	struct entry entry[CHUNKS]; /* leaf */
};

/* ---- versions ---- */

struct bookmark {
	unsigned epoch;
	int content[LBAS];
};

struct version {
	struct list link;
	struct version *parent;
	enum { HEAD, SNAP, DYING, DELETING } kind;
	bool interior; /* DELETING: has one child */
	int root;
	unsigned epoch; /* of a snapshot */
	unsigned id;
	unsigned cursor;   /* DELETING: LBAs done */
	int content[LBAS]; /* what it must read: 0 is a hole */
	struct bookmark bookmark[BOOKMARKS];
	unsigned bookmarks;
};

/* Numbers handed out, most of them again and again. */
struct numbers {
	bool *live;
	int *free;
	unsigned next, free_count, room;
};

struct pool {
	struct model_seed *seed;
	struct list versions;
	struct numbers chunks, pages;
	struct page *page; /* by number */
	bool *sub_live;    /* by sub-block */
	int *data;         /* by sub-block */
	unsigned epoch, last_id;
	int last_value;
};

static bool
broken(const struct pool *pool, enum mutation mutation)
{
	return pool->seed->mutation == (unsigned)mutation;
}

static void
count(struct pool *pool, enum counter counter)
{
	pool->seed->counters->count[counter]++;
}

static void
numbers_init(struct numbers *numbers, unsigned room)
{
	numbers->live = model_alloc(room * sizeof(*numbers->live));
	numbers->free = model_alloc(room * sizeof(*numbers->free));
	numbers->room = room;
}

static int
number_take(struct pool *pool, struct numbers *numbers)
{
	int number;

	if (numbers->free_count > 0 && model_chance(pool->seed, 80)) {
		unsigned i = model_below(pool->seed, numbers->free_count);
		number = numbers->free[i];
		numbers->free[i] = numbers->free[--numbers->free_count];
	} else {
		assert(numbers->next < numbers->room);
		number = (int)numbers->next++;
	}
	numbers->live[number] = true;
	return number;
}

static void
number_give(
    struct pool *pool, struct numbers *numbers, int number, const char *what)
{
	if (!numbers->live[number])
		model_fail(pool->seed, "%s %d freed twice", what, number);
	numbers->live[number] = false;
	numbers->free[numbers->free_count++] = number;
}

/* ---- space ---- */

static int
chunk_take(struct pool *pool)
{
	int chunk = number_take(pool, &pool->chunks);
	for (int i = 0; i < SUBS; i++) {
		assert(!pool->sub_live[chunk * SUBS + i]);
		pool->sub_live[chunk * SUBS + i] = true;
	}
	return chunk;
}

/* Any unused sub-block of a chunk in use, or one of a fresh chunk. */
static int
sub_take(struct pool *pool)
{
	int choice = NONE;
	unsigned seen = 0;

	if (model_chance(pool->seed, 70))
		for (unsigned i = 0; i < pool->chunks.next * SUBS; i++)
			if (pool->chunks.live[i / SUBS] && !pool->sub_live[i] &&
			    model_below(pool->seed, ++seen) == 0)
				choice = (int)i;
	if (choice == NONE)
		choice = number_take(pool, &pool->chunks) * SUBS +
			 (int)model_below(pool->seed, SUBS);
	pool->sub_live[choice] = true;
	return choice;
}

static void
sub_free(struct pool *pool, int address)
{
	if (!pool->sub_live[address])
		model_fail(pool->seed, "sub-block %d freed twice", address);
	pool->sub_live[address] = false;
	pool->data[address] = POISON;

	int chunk = address / SUBS;
	for (int i = 0; i < SUBS; i++)
		if (pool->sub_live[chunk * SUBS + i])
			return;
	number_give(pool, &pool->chunks, chunk, "chunk");
}

static int
page_new(struct pool *pool)
{
	int number = number_take(pool, &pool->pages);
	struct page *page = &pool->page[number];

	*page = (struct page){.birth = pool->epoch};
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		page->child[i] = NONE;
	return number;
}

static void
page_free(struct pool *pool, int number)
{
	number_give(pool, &pool->pages, number, "page");
}

/* ---- reading a tree ---- */

static int
inner_of(const struct pool *pool, const struct version *version, unsigned i)
{
	if (version == NULL || version->root == NONE)
		return NONE;
	return pool->page[version->root].child[i];
}

static int
leaf_of(const struct pool *pool, const struct version *version, unsigned leaf)
{
	int inner = inner_of(pool, version, leaf / LEAVES);
	return inner == NONE ? NONE : pool->page[inner].child[leaf % LEAVES];
}

static const struct entry *
entries_of(const struct pool *pool, int leaf)
{
	static const struct entry holes[CHUNKS];
	return leaf == NONE ? holes : pool->page[leaf].entry;
}

/* Who owns what: a coarse chunk is owned as a whole. */
static struct sub
entry_owns(const struct entry *entry, unsigned i)
{
	if (entry->kind == COARSE)
		return (struct sub){entry->chunk * SUBS + (int)i, entry->birth};
	if (entry->kind == FINE && entry->sub[i].address != NONE)
		return entry->sub[i];
	return no_sub;
}

/* What is read: only what was written. */
static struct sub
entry_holds(const struct entry *entry, unsigned i)
{
	if (entry->kind == COARSE && !(entry->mask >> i & 1))
		return no_sub;
	return entry_owns(entry, i);
}

static unsigned
entry_birth(const struct entry *entry, unsigned i)
{
	if (entry->kind == COARSE)
		return entry->birth;
	return entry->kind == FINE ? entry->sub[i].birth : 0;
}

/* ---- versions and their relations ---- */

static struct version *
version_new(struct pool *pool, struct version *parent, int root)
{
	struct version *version = model_alloc(sizeof(*version));
	version->parent = parent;
	version->root = root;
	version->id = ++pool->last_id;
	list_add_tail(&pool->versions, &version->link);
	return version;
}

static unsigned
children_count(const struct pool *pool, const struct version *parent)
{
	const struct version *v;
	unsigned n = 0;
	list_for_each (v, &pool->versions, link)
		n += v->parent == parent;
	return n;
}

static struct version *
only_child(const struct pool *pool, const struct version *parent)
{
	struct version *v;
	list_for_each (v, &pool->versions, link)
		if (v->parent == parent)
			return v;
	return NULL;
}

static const struct version *
family_of(const struct version *version)
{
	while (version->parent != NULL)
		version = version->parent;
	return version;
}

static unsigned
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
static struct version *
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

static unsigned
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

static void
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

static void
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
static void
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
static void
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

/* ---- family operations ---- */

static void
snapshot_one(struct pool *pool, struct version *head)
{
	struct version *snap = version_new(pool, head->parent, head->root);

	snap->kind = SNAP;
	snap->epoch = pool->epoch;
	memcpy(snap->content, head->content, sizeof(snap->content));
	head->parent = snap;
	count(pool, C_SNAPSHOTS);
}

static void
version_snapshot(struct pool *pool, struct version *head)
{
	snapshot_one(pool, head);
	pool->epoch++;
}

static struct version *
version_clone(struct pool *pool, struct version *snap)
{
	struct version *head = version_new(pool, snap, snap->root);
	memcpy(head->content, snap->content, sizeof(head->content));
	count(pool, C_CLONES);
	return head;
}

/* Of the newest snapshot in the head's line, which may be deleted later. */
static void
version_bookmark(struct pool *pool, struct version *head)
{
	const struct version *snap = head->parent;

	while (snap != NULL && snap->kind != SNAP)
		snap = snap->parent;
	if (snap == NULL)
		return;
	if (head->bookmarks == BOOKMARKS)
		memmove(&head->bookmark[0], &head->bookmark[1],
		    --head->bookmarks * sizeof(head->bookmark[0]));
	struct bookmark *bookmark = &head->bookmark[head->bookmarks++];
	bookmark->epoch = snap->epoch;
	memcpy(bookmark->content, snap->content, sizeof(snap->content));
	count(pool, C_BOOKMARKS);
}

static bool
family_is_deleting(const struct pool *pool, const struct version *family)
{
	const struct version *v;
	list_for_each (v, &pool->versions, link)
		if (v->kind == DELETING && family_of(v) == family)
			return true;
	return false;
}

/* Starts deletions: of versions with at most one child, one per family. */
static void
deletions_schedule(struct pool *pool)
{
	struct version *v;

	list_for_each (v, &pool->versions, link) {
		unsigned children = children_count(pool, v);
		if (v->kind != DYING || children > 1)
			continue;
		if (family_is_deleting(pool, family_of(v)))
			continue;
		v->kind = DELETING;
		v->interior = children == 1;
		v->cursor = 0;
	}
}

static bool
chunk_has_sub(const struct entry *entry, int address)
{
	for (unsigned i = 0; i < SUBS; i++)
		if (entry_owns(entry, i).address == address)
			return true;
	return false;
}

/* I4 for one entry of a leaf. */
static void
deletion_free_entry(struct pool *pool, const struct entry *dying,
    const struct entry *child, unsigned parent)
{
	for (unsigned i = 0; i < SUBS; i++) {
		struct sub sub = broken(pool, CONTENT) ? entry_holds(dying, i)
						       : entry_owns(dying, i);
		if (sub.address == NONE || sub.birth <= parent)
			continue;
		if (chunk_has_sub(child, sub.address))
			continue;
		sub_free(pool, sub.address);
		count(pool, C_FREED);
	}
}

static void
deletion_free_leaf(struct pool *pool, const struct version *dying,
    const struct version *child, unsigned leaf, unsigned parent)
{
	int mine = leaf_of(pool, dying, leaf);
	int its = leaf_of(pool, child, leaf);

	if (mine == NONE || mine == its || pool->page[mine].birth <= parent)
		return;
	for (unsigned c = 0; c < CHUNKS; c++)
		deletion_free_entry(pool, &entries_of(pool, mine)[c],
		    &entries_of(pool, its)[c], parent);
	page_free(pool, mine);
}

static void
deletion_free_page(struct pool *pool, int mine, int its, unsigned parent)
{
	if (mine != NONE && mine != its && pool->page[mine].birth > parent)
		page_free(pool, mine);
}

static void
deletion_finish(struct pool *pool, struct version *dying,
    const struct version *child, unsigned parent)
{
	struct version *v;

	deletion_free_page(
	    pool, dying->root, child == NULL ? NONE : child->root, parent);
	list_for_each (v, &pool->versions, link)
		if (v->parent == dying)
			v->parent = dying->parent;
	count(pool, dying->interior ? C_INTERIOR : C_LEAF);
	list_del(&dying->link);
}

/* One leaf further; inner pages and the root after their last leaf. */
static void
deletion_step(struct pool *pool, struct version *dying)
{
	unsigned leaf = dying->cursor / LEAF_LBAS;
	unsigned parent = broken(pool, NOBIRTH) ? 0 : epoch_of(dying->parent);
	const struct version *child =
	    dying->interior ? only_child(pool, dying) : NULL;

	deletion_free_leaf(pool, dying, child, leaf, parent);
	if ((leaf + 1) % LEAVES == 0)
		deletion_free_page(pool, inner_of(pool, dying, leaf / LEAVES),
		    inner_of(pool, child, leaf / LEAVES), parent);
	dying->cursor += LEAF_LBAS;
	if (dying->cursor == LBAS)
		deletion_finish(pool, dying, child, parent);
}

/* ---- diffs ---- */

static void
diff_verify(struct pool *pool, const int *before, const int *after,
    const bool *reported, const char *what)
{
	for (unsigned lba = 0; lba < LBAS; lba++) {
		bool changed = before[lba] != after[lba];
		if (changed && !reported[lba])
			model_fail(pool->seed, "%s missed lba %u", what, lba);
		if (!changed && reported[lba])
			count(pool, C_OVER_REPORTED);
	}
}

static void
diff_snapshots(
    struct pool *pool, const struct version *a, const struct version *b)
{
	bool reported[LBAS] = {false};

	for (unsigned leaf = 0; leaf < LEAVES_ALL; leaf++) {
		int x = leaf_of(pool, a, leaf), y = leaf_of(pool, b, leaf);
		if (x == y)
			continue;
		for (unsigned i = 0; i < LEAF_LBAS; i++) {
			struct sub p = entry_holds(
			    &entries_of(pool, x)[i / SUBS], i % SUBS);
			struct sub q = entry_holds(
			    &entries_of(pool, y)[i / SUBS], i % SUBS);
			reported[leaf * LEAF_LBAS + i] =
			    p.address != q.address || p.birth != q.birth;
		}
	}
	diff_verify(pool, a->content, b->content, reported, "a diff");
	count(pool, C_DIFFS);
}

static bool
page_is_newer(const struct pool *pool, int number, unsigned epoch)
{
	return number != NONE && pool->page[number].birth > epoch;
}

static void
diff_since(struct pool *pool, const struct version *head,
    const struct bookmark *bookmark)
{
	bool reported[LBAS] = {false};
	unsigned epoch = bookmark->epoch;

	for (unsigned leaf = 0; leaf < LEAVES_ALL; leaf++) {
		int inner = inner_of(pool, head, leaf / LEAVES);
		int page = leaf_of(pool, head, leaf);
		if (!page_is_newer(pool, head->root, epoch) ||
		    !page_is_newer(pool, inner, epoch) ||
		    !page_is_newer(pool, page, epoch))
			continue;
		for (unsigned i = 0; i < LEAF_LBAS; i++)
			reported[leaf * LEAF_LBAS + i] =
			    entry_birth(&entries_of(pool, page)[i / SUBS],
				i % SUBS) > epoch;
	}
	diff_verify(pool, bookmark->content, head->content, reported,
	    "a diff since a bookmark");
	count(pool, C_BOOKMARK_DIFFS);
}

/* ---- what must always hold ---- */

struct reached {
	bool *sub, *page;
};

static void
reach_leaf(const struct pool *pool, struct reached *reached, int leaf)
{
	if (reached->page[leaf])
		return;
	reached->page[leaf] = true;
	for (unsigned c = 0; c < CHUNKS; c++)
		for (unsigned i = 0; i < SUBS; i++) {
			int address =
			    entry_owns(&pool->page[leaf].entry[c], i).address;
			if (address != NONE)
				reached->sub[address] = true;
		}
}

/* A version being deleted still has what lies behind its cursor. */
static void
reach_version(
    const struct pool *pool, const struct version *v, struct reached *reached)
{
	unsigned done = v->kind == DELETING ? v->cursor : 0;

	if (v->root == NONE)
		return;
	reached->page[v->root] = true;
	for (unsigned i = 0; i < INNERS; i++) {
		int inner = inner_of(pool, v, i);
		if (inner != NONE && (i + 1) * INNER_LBAS > done)
			reached->page[inner] = true;
	}
	for (unsigned leaf = 0; leaf < LEAVES_ALL; leaf++) {
		int page = leaf_of(pool, v, leaf);
		if (page != NONE && (leaf + 1) * LEAF_LBAS > done)
			reach_leaf(pool, reached, page);
	}
}

static void
check_space(struct pool *pool)
{
	unsigned subs = pool->chunks.next * SUBS, pages = pool->pages.next;
	struct reached reached = {
	    calloc(subs + 1, sizeof(bool)), calloc(pages + 1, sizeof(bool))};
	const struct version *v;
	int sub = NONE, page = NONE;

	assert(reached.sub != NULL && reached.page != NULL);
	list_for_each (v, &pool->versions, link)
		reach_version(pool, v, &reached);
	for (unsigned i = 0; i < subs; i++)
		if (reached.sub[i] != pool->sub_live[i])
			sub = (int)i;
	for (unsigned i = 0; i < pages; i++)
		if (reached.page[i] != pool->pages.live[i])
			page = (int)i;
	free(reached.sub);
	free(reached.page);
	if (sub != NONE)
		model_fail(pool->seed, "sub-block %d is %s", sub,
		    pool->sub_live[sub] ? "leaked" : "used and free");
	if (page != NONE)
		model_fail(pool->seed, "page %d is %s", page,
		    pool->pages.live[page] ? "leaked" : "used and free");
}

static void
check_content(struct pool *pool, const struct version *v)
{
	for (unsigned lba = 0; lba < LBAS; lba++) {
		int leaf = leaf_of(pool, v, lba / LEAF_LBAS);
		const struct entry *entry =
		    &entries_of(pool, leaf)[lba / SUBS % CHUNKS];
		int address = entry_holds(entry, lba % SUBS).address;
		int got = address == NONE ? 0 : pool->data[address];
		if (got != v->content[lba])
			model_fail(pool->seed,
			    "version %u lba %u reads %d, not %d", v->id, lba,
			    got, v->content[lba]);
	}
}

static void
pool_verify(struct pool *pool)
{
	const struct version *v;

	check_space(pool);
	list_for_each (v, &pool->versions, link)
		if (v->kind == HEAD || v->kind == SNAP)
			check_content(pool, v);
}

/* ---- the random life of a pool ---- */

static void
op_write(struct pool *pool)
{
	version_write(
	    pool, pick(pool, HEAD, NULL), model_below(pool->seed, LBAS));
}

static void
op_unmap(struct pool *pool)
{
	version_unmap(
	    pool, pick(pool, HEAD, NULL), model_below(pool->seed, LBAS));
}

static void
op_recoarsen(struct pool *pool)
{
	version_recoarsen(pool, pick(pool, HEAD, NULL),
	    model_below(pool->seed, LEAVES_ALL),
	    model_below(pool->seed, CHUNKS));
}

static void
op_relocate(struct pool *pool)
{
	version_relocate(
	    pool, pick(pool, HEAD, NULL), model_below(pool->seed, LEAVES_ALL));
}

static void
op_snapshot(struct pool *pool)
{
	version_snapshot(pool, pick(pool, HEAD, NULL));
}

/* Several heads at one instant share one epoch. */
static void
op_group(struct pool *pool)
{
	struct version *v, *tmp;

	list_for_each_safe (v, tmp, &pool->versions, link)
		if (v->kind == HEAD && model_chance(pool->seed, 60))
			snapshot_one(pool, v);
	pool->epoch++;
}

static void
op_clone(struct pool *pool)
{
	version_clone(pool, pick(pool, SNAP, NULL));
}

static void
op_delete_snapshot(struct pool *pool)
{
	pick(pool, SNAP, NULL)->kind = DYING;
}

static void
op_delete_head(struct pool *pool)
{
	pick(pool, HEAD, NULL)->kind = DYING;
}

/* A rollback is a clone that takes the place of the head. */
static void
op_rollback(struct pool *pool)
{
	struct version *snap = pick(pool, SNAP, NULL);
	struct version *head = pick(pool, HEAD, family_of(snap));

	if (head == NULL)
		return;
	version_clone(pool, snap);
	head->kind = DYING;
}

static void
op_bookmark(struct pool *pool)
{
	version_bookmark(pool, pick(pool, HEAD, NULL));
}

static void
op_delete_step(struct pool *pool)
{
	deletions_schedule(pool);
	struct version *dying = pick(pool, DELETING, NULL);
	if (dying != NULL)
		deletion_step(pool, dying);
}

static bool
version_exists(const struct pool *pool, const struct version *version)
{
	const struct version *v;
	list_for_each (v, &pool->versions, link)
		if (v == version)
			return true;
	return false;
}

/* Snapshot, bookmark, and the snapshot goes: the base of the next one. */
static void
op_backup(struct pool *pool)
{
	struct version *head = pick(pool, HEAD, NULL);

	version_snapshot(pool, head);
	struct version *snap = head->parent;
	version_bookmark(pool, head);
	snap->kind = DYING;
	for (unsigned i = 0; i < 400 && version_exists(pool, snap); i++)
		op_delete_step(pool);
}

static void
op_diff_since(struct pool *pool)
{
	const struct version *head = pick(pool, HEAD, NULL);

	for (unsigned i = 0; i < head->bookmarks; i++)
		diff_since(pool, head, &head->bookmark[i]);
}

static void
op_diff(struct pool *pool)
{
	const struct version *a = pick(pool, SNAP, NULL);
	const struct version *b = pick(pool, SNAP, family_of(a));

	if (a != b)
		diff_snapshots(pool, a, b);
}

static bool
always(const struct pool *pool)
{
	(void)pool;
	return true;
}

static bool
may_snapshot(const struct pool *pool)
{
	return count_kind(pool, SNAP) < SNAPSHOTS_MAX;
}

static bool
has_snapshot(const struct pool *pool)
{
	return count_kind(pool, SNAP) > 0;
}

static bool
may_clone(const struct pool *pool)
{
	return has_snapshot(pool) && count_kind(pool, HEAD) < HEADS_MAX;
}

static bool
has_two_heads(const struct pool *pool)
{
	return count_kind(pool, HEAD) > 1;
}

/* The first row whose limit is above the percentage drawn and that may run. */
static const struct {
	unsigned limit;
	bool (*may)(const struct pool *pool);
	void (*run)(struct pool *pool);
} operations[] = {
    {44, always, op_write},
    {51, always, op_unmap},
    {54, always, op_recoarsen},
    {57, always, op_relocate},
    {64, may_snapshot, op_snapshot},
    {65, may_snapshot, op_group},
    {68, may_clone, op_clone},
    {72, has_snapshot, op_delete_snapshot},
    {73, has_two_heads, op_delete_head},
    {74, has_snapshot, op_rollback},
    {75, always, op_bookmark},
    {76, always, op_backup},
    {77, always, op_diff_since},
    {79, has_snapshot, op_diff},
    {100, always, op_delete_step},
};

static void
pool_step(struct pool *pool)
{
	unsigned drawn = model_below(pool->seed, 100);
	unsigned i = 0;

	while (drawn >= operations[i].limit || !operations[i].may(pool))
		i++;
	operations[i].run(pool);
}

/* Deletes everything; nothing may be left. */
static void
pool_drain(struct pool *pool)
{
	struct version *v;

	list_for_each (v, &pool->versions, link)
		if (v->kind != DELETING)
			v->kind = DYING;
	for (unsigned i = 0; !list_empty(&pool->versions); i++) {
		op_delete_step(pool);
		if (i % 7 == 0)
			pool_verify(pool);
	}
	pool_verify(pool);
	if (pool->chunks.free_count != pool->chunks.next)
		model_fail(pool->seed, "chunks left at the end");
}

static struct pool *
pool_new(struct model_seed *seed)
{
	struct pool *pool = model_alloc(sizeof(*pool));
	/* an operation takes at most a path of pages and one chunk */
	unsigned room = 4 * seed->steps + 16;

	pool->seed = seed;
	pool->epoch = 1;
	list_init(&pool->versions);
	numbers_init(&pool->chunks, room);
	numbers_init(&pool->pages, room);
	pool->page = model_alloc(room * sizeof(*pool->page));
	pool->sub_live = model_alloc(room * SUBS * sizeof(bool));
	pool->data = model_alloc(room * SUBS * sizeof(int));
	return pool;
}

static void
birth_run(struct model_seed *seed)
{
	struct pool *pool = pool_new(seed);

	for (unsigned step = 0; step < seed->steps; step++) {
		if (count_kind(pool, HEAD) == 0)
			version_new(pool, NULL, NONE);
		pool_step(pool);
		pool_verify(pool);
	}
	pool_drain(pool);
}

const struct model birth_model = {
    .name = "birth",
    .steps_are = "operations",
    .mutations = mutations,
    .counters = counters,
    .run = birth_run,
    .test_seeds = 300,
    .test_steps = 1500,
    .mutation_seeds = 24,
    .mutation_steps = 1500,
};
