/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The model of births, from inside; birth_diff.c says what it models.
 */
#ifndef TESTS_MODEL_BIRTH_H
#define TESTS_MODEL_BIRTH_H

#include "base/assert.h"
#include "base/list.h"
#include "tests/model/model.h"
#include <stdbool.h>

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

static inline bool
broken(const struct pool *pool, enum mutation mutation)
{
	return pool->seed->mutation == (unsigned)mutation;
}

static inline void
count(struct pool *pool, enum counter counter)
{
	pool->seed->counters->count[counter]++;
}

/* ---- birth_space.c: numbers and sub-blocks ---- */
int number_take(struct pool *pool, struct numbers *numbers);
int chunk_take(struct pool *pool);
int sub_take(struct pool *pool);
void sub_free(struct pool *pool, int address);
int page_new(struct pool *pool);
void page_free(struct pool *pool, int number);
void numbers_init(struct numbers *numbers, unsigned room);

/* ---- birth_tree.c: trees and versions ---- */
int inner_of(
    const struct pool *pool, const struct version *version, unsigned i);
int leaf_of(
    const struct pool *pool, const struct version *version, unsigned leaf);
const struct entry *entries_of(const struct pool *pool, int leaf);
struct sub entry_owns(const struct entry *entry, unsigned i);
struct sub entry_holds(const struct entry *entry, unsigned i);
struct version *version_new(
    struct pool *pool, struct version *parent, int root);
unsigned children_count(const struct pool *pool, const struct version *parent);
struct version *only_child(
    const struct pool *pool, const struct version *parent);
const struct version *family_of(const struct version *version);
unsigned epoch_of(const struct version *version);
unsigned entry_birth(const struct entry *entry, unsigned i);
struct version *pick(struct pool *pool, int kind, const struct version *family);
unsigned count_kind(const struct pool *pool, int kind);
void version_write(struct pool *pool, struct version *head, unsigned lba);
void version_unmap(struct pool *pool, struct version *head, unsigned lba);
void version_recoarsen(
    struct pool *pool, struct version *head, unsigned leaf, unsigned chunk);
void version_relocate(struct pool *pool, struct version *head, unsigned leaf);

/* ---- birth_delete.c: families ---- */
void snapshot_one(struct pool *pool, struct version *head);
void version_snapshot(struct pool *pool, struct version *head);
struct version *version_clone(struct pool *pool, struct version *snap);
void version_bookmark(struct pool *pool, struct version *head);
void deletions_schedule(struct pool *pool);
void deletion_step(struct pool *pool, struct version *dying);

#endif
