/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Families of the model: snapshots, clones, bookmarks, and deletion by
 * comparing a dying version with its only child and its parent (I4).
 */
#include "tests/model/birth.h"
#include <string.h>

/* ---- family operations ---- */

void
snapshot_one(struct pool *pool, struct version *head)
{
	struct version *snap = version_new(pool, head->parent, head->root);

	snap->kind = SNAP;
	snap->epoch = pool->epoch;
	memcpy(snap->content, head->content, sizeof(snap->content));
	head->parent = snap;
	count(pool, C_SNAPSHOTS);
}

void
version_snapshot(struct pool *pool, struct version *head)
{
	snapshot_one(pool, head);
	pool->epoch++;
}

struct version *
version_clone(struct pool *pool, struct version *snap)
{
	struct version *head = version_new(pool, snap, snap->root);
	memcpy(head->content, snap->content, sizeof(head->content));
	count(pool, C_CLONES);
	return head;
}

/* Of the newest snapshot in the head's line, which may be deleted later. */
void
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
void
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
void
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
