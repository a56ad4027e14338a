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
#include "tests/model/birth.h"
#include <stdlib.h>
#include <string.h>

static const char *const mutations[] = {"none", "nobirth", "content",
    "nocursor", "nobm", "nopagebm", "nohole", NULL};

static const char *const counters[] = {"snapshots", "clones", "bookmarks",
    "interior-deletions", "leaf-deletions", "freed", "redirects",
    "bookmark-redirects", "page-rebirths", "diffs", "bookmark-diffs",
    "over-reported", NULL};

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
