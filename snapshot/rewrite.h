/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks that the engine writes anew by itself, one at a time: what a clone
 * shares, so that it stands alone (flatten.c), and what lies in pieces
 * (promote.c).
 *
 * A rewrite is a vio of its own that walks over one chunk:
 *
 *	locked    has the exclusive lock: nothing that needs a map record runs
 *	busy      ... and writes in place wait for that lock, from now on
 *	drained   those that were in flight before have ended
 *	reading   the valid blocks, into a buffer
 *	writing   them, to a fresh chunk
 *	installed by MAP_COARSE and the FREEs of what was ours alone
 *
 * Between reading and installing only what is not a change of the chunk can
 * come: a snapshot, a rollback, a deletion.  Then it gives up, and whoever
 * wanted it looks again.
 */
#ifndef SNAPSHOT_REWRITE_H
#define SNAPSHOT_REWRITE_H

#include "snapshot/volume.h"

/* What is put together looks written, as it lies elsewhere: an increment of a
 * backup reads the rest of the chunk, too.  With half a chunk (engine.md 3.5)
 * a guest with writes of 4 to 64 KiB had 1.23 times read what it had written,
 * so 1.01 to 1.04. */
#define PROMOTE_BLOCKS 14u
#define COLD_BLOCKS    8u /* fewer are not worth the space of a chunk */

enum rewrite_kind {
	REWRITE_SHARED,  /* whatever the parent has too */
	REWRITE_PROMOTE, /* most of it is ours, in pieces; not all */
	REWRITE_COLD,    /* all of it is */
};

struct rewrite {
	struct vio vio;
	struct bs_io io;
	uint8_t *buffer;     /* a chunk */
	bool running, ended; /* ended: and nobody has looked yet */
	bool installed;
	bool leave; /* it is to give up */
	int result;
	enum rewrite_kind kind;
	uint64_t barrier;
	/* as of reading */
	struct chunk before;
	uint32_t parent; /* id */
	uint32_t stamp;
};

/* A chunk that may be worth a rewrite. */
struct candidate {
	uint32_t volume;
	uint64_t chunk, due_ns;
	unsigned looks;
};

#define CANDIDATES 1024u
#define HEATS      4096u

struct candidates {
	struct candidate at[CANDIDATES];
	unsigned head, count;
};

/* All of it that a pool has. */
struct rewriter {
	struct rewrite one;
	struct list flattens; /* the first runs */
	struct candidates promote, cold;
	uint32_t tick;        /* of the clock that says what is cold */
	uint32_t heat[HEATS]; /* when leaves were written last */
	bool turn;            /* of promote.c */
	bool stop;
	struct waiter waiter;
	struct loop_task task;
	struct loop_timer timer; /* between two steps */
	uint64_t began;          /* the one at hand; 0: none */
	struct loop_timer due;   /* for candidates */
	struct list leaving;     /* wait for the running rewrite to end */
	uint64_t done;           /* rewrites, since open */
};

/* A leaf's heat; leaves that share one are hotter than they seem. */
static inline uint32_t *
rewriter_heat_of(
    struct rewriter *rewriter, const struct volume *volume, uint64_t leaf)
{
	return &rewriter->heat[(leaf + volume->id * 0x9e3779b1ull) % HEATS];
}

/* Something at offset is written in place. */
static inline void
rewriter_heat(
    struct rewriter *rewriter, const struct volume *volume, uint64_t offset)
{
	*rewriter_heat_of(rewriter, volume, offset / FMT_LEAF_BYTES) =
	    rewriter->tick;
}

int rewriter_init(struct pool *pool);
void rewriter_done(struct pool *pool);
/* There may be work. */
void rewriter_kick(struct pool *pool);
/* The pool closes: what is asked for ends with -ECANCELED. */
void rewriter_stop(struct pool *pool);
bool rewriter_idle(const struct pool *pool);
/* Nothing of it is to touch the volume any more: 0, -EAGAIN (queued). */
int rewriter_leave(
    struct pool *pool, struct volume *volume, struct waiter *waiter);

/* What a step of a job came to, or a negative errno. */
enum job_step {
	STEP_NONE,    /* there is nothing to do */
	STEP_REWRITE, /* a rewrite runs: its end is the next step */
	STEP_MORE,    /* go on, later */
};

/* ---- one (rewrite.c) ---- */
void rewrite_start(struct pool *pool, struct volume *volume, uint64_t chunk,
    enum rewrite_kind kind);
void vio_rewrite_step(struct vio *vio);
/* Is the chunk still what was read? */
bool rewrite_stands(struct vio *vio, const struct chunk *now);
/* It is installed (0), or not (1 or an error). */
int rewrite_mapped(struct vio *vio, int result);
void rewrite_ended(struct vio *vio);
/* Blocks of the chunk that are ours alone, and others. */
void rewrite_count(const struct chunk *chunk, const struct chunk_rules *rules,
    unsigned *ret_ours, unsigned *ret_shared);

/* ---- flatten.c ---- */
int flatten_step(struct pool *pool, struct waiter *waiter);
/* The first cannot go on. */
void flatten_failed(struct pool *pool, int result);
/* The rewrite that its last step began has ended. */
void flatten_rewritten(struct pool *pool, struct volume *volume, int result);
struct pool_job_stat;
/* The nearest ancestor that is none of the volume's snapshots; NULL: it is
 * whole.  *ret_own: a snapshot of its own that stands between, and is not
 * deleted. */
const struct volume *flatten_ancestor(
    const struct volume *volume, const struct volume **ret_own);
bool flatten_stat(
    const struct pool *pool, unsigned index, struct pool_job_stat *ret_stat);
/* Ends those of volume, or all (NULL). */
void flatten_cancel(struct pool *pool, const struct volume *volume, int error);

/* ---- promote.c ---- */
int promote_step(struct pool *pool);
/* A chunk of volume became after, by a write (not in recovery). */
void promote_note(struct volume *volume, uint64_t chunk,
    const struct chunk *before, const struct chunk *after,
    const struct chunk_rules *rules);
/* What it shared may be its alone now. */
void promote_note_freed(
    struct volume *volume, uint64_t chunk, const struct chunk *now);
void promote_init(struct pool *pool);
void promote_stop(struct pool *pool);

#endif
