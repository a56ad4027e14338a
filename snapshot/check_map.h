/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside of check: the walk through one version's map, beside those of the
 * versions it may share with.
 *
 * Everything in the map carries its birth.  What was born after the epoch of
 * the effective parent is the version's own: it must not have been met before.
 * All else must be in that parent, at the same place, and was walked there.
 * The effective parent of a place is the parent; but where that is being
 *deleted and the place ends at or below its cursor, it is the parent's parent.
 *So the walk goes down up to three trees at once:
 *
 *	the version, its parent, and its parent's parent (only if the parent is
 *	being deleted)
 *
 * Subtrees that are shared as a whole are skipped.  A page that is shared, but
 * lies on both sides of the parent's cursor or of the version's end, is walked
 * again; there is at most one of each on a level.
 */
#ifndef SNAPSHOT_CHECK_MAP_H
#define SNAPSHOT_CHECK_MAP_H

#include "snapshot/check_priv.h"

enum { BESIDES = 2 };

/* A page of another version at the same place. */
struct beside {
	enum { BESIDE_NOTHING, BESIDE_PAGE, BESIDE_UNKNOWN } state;
	struct fmt_ptr ptr;
	const uint8_t *page; /* once it was read */
};

struct place {
	unsigned level;
	uint64_t index;
	struct fmt_ptr ptr;
	uint32_t bound; /* no birth below may be later */
	bool again;     /* not ours, and walked before */
	struct beside beside[BESIDES];
};

struct map_walk {
	struct check_walk walk; /* first */
	struct check_version *version;
	const struct check_version *other[BESIDES]; /* NULL: none */
	struct check_losses losses;
	/* pages at hand: the version's, and those beside it */
	uint8_t *page[FMT_LEVELS_MAX][1 + BESIDES];
	uint8_t *fine[1 + BESIDES];
	struct chunk *chunk, *chunk_beside; /* of the leaf at hand */
	char what[FMT_NAME + 32];
};

/* A decoded entry. */
struct chunk {
	uint8_t type;
	uint16_t mask;
	uint32_t birth;
	uint64_t address; /* COARSE */
	struct {
		uint64_t address; /* 0: none; all ones: unreadable */
		uint32_t birth;
	} block[FMT_CHUNK_BLOCKS]; /* that it holds; holes keep births */
};

/* Which of the others is the effective parent. */
unsigned map_parent_of(const struct map_walk *map, const struct place *place);
/* Its epoch, 0 when there is none. */
uint32_t map_parent_epoch(const struct map_walk *map, unsigned which);

/* Reads a page beside, unless it is the same one as ours. */
void map_read_beside(struct map_walk *map, struct beside *beside,
    unsigned level, uint64_t index, const struct fmt_ptr *ours,
    const uint8_t *our_page, uint8_t *buf);

/* The pointer's birth and generation, or a finding. */
bool map_verify_ptr(struct check_walk *walk, const struct place *place);

/* ---- check_leaf.c ---- */
struct check_sum check_leaf(struct map_walk *map, const struct place *place,
    const uint8_t *page, unsigned which);
/* All that a leaf of the parent holds is lost to the version. */
void check_leaf_lost(
    struct map_walk *map, const struct beside *beside, uint64_t index);

#endif
