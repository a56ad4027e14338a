/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The oracle from inside, for oracle.c and oracle_cut.c.
 */
#ifndef TESTS_SIM_ORACLE_PRIV_H
#define TESTS_SIM_ORACLE_PRIV_H

#include "tests/sim/oracle.h"

#define SECTORS_PER_CELL (ORACLE_CELL_BYTES / SECTOR_BYTES)
#define BLOCK_SECTORS    8u

/* One candidate for what a sector holds.  Candidates live until a process of
 * the simulator ends, unless they are recycled. */
struct candidate {
	struct candidate *next;
	const struct change *change;
	uint64_t stamp;
	struct fate *fate; /* not NULL: it says what the stamp is */
};

/* What a sector was at a cut when that was not certain.  All versions that
 * stem from the snapshot share it: who sees it first settles it for all. */
struct fate {
	struct fate *next; /* of the cut */
	struct cut *cut;
	struct candidate *list;
	bool settled;
	uint64_t stamp;
	const struct candidate *chosen; /* NULL: several would explain it */
};

/* Offsets of a sector that holds the atomic write, and of one that holds
 * something older; NEVER: none was met. */
struct whole {
	uint64_t seen, lacking;
};

struct cut {
	uint64_t time; /* what had ended by then is in it */
	struct fate *fates;
};

/* A list that is NULL says: zeros for certain. */
struct cell {
	struct candidate *all;     /* of each sector, while they share one */
	struct candidate **sector; /* NULL, or SECTORS_PER_CELL: of each */
	uint16_t restless;         /* blocks, see oracle_is_restless() */
};

struct oracle {
	uint64_t serial;
	unsigned refs;
	struct cell **cells;
	size_t cell_count;
	struct change **pending; /* not durable yet */
	size_t pending_count, pending_room;
};

/* What there was before the first write, and what a recovery has shown. */
extern const struct change genesis;

/* ---- oracle.c ---- */
void *must(void *memory); /* not NULL */
struct candidate *candidate_new(const struct change *change, uint64_t stamp,
    struct fate *fate, struct candidate *next);
struct cell *cell_at(const struct oracle *oracle, uint64_t offset);
struct cell *cell_grow(struct oracle *oracle, uint64_t offset);
struct candidate *cell_sector(const struct cell *cell, unsigned sector);
/* Gives each sector a list of its own. */
void cell_split(struct cell *cell);
struct candidate *candidates_copy(const struct candidate *list);
/* By a change that had ended well before time. */
bool replaced_before(const struct candidate *list,
    const struct candidate *candidate, uint64_t time);

/* ---- oracle_cut.c ---- */
bool candidate_may_be(const struct candidate *candidate, uint64_t stamp);
/* A sector that this candidate explains has been seen.  False: the cut holds a
 * write without one that came before it; text says which. */
bool candidate_seen(const struct candidate *candidate, uint64_t stamp,
    char *text, size_t text_max);

#endif
