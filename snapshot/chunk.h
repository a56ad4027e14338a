/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One chunk of a map: 16 blocks in one of the forms of format.h, and what each
 * change makes of it.  Pure: no page, no pool.  Whoever builds the records of
 * a change and whoever applies them ask the same functions, so what is freed
 * and what is forgotten cannot differ.
 */
#ifndef SNAPSHOT_CHUNK_H
#define SNAPSHOT_CHUNK_H

#include "snapshot/format.h"

struct chunk {
	uint8_t type;     /* enum fmt_entry_type */
	uint16_t mask;    /* which blocks have data */
	uint32_t birth;   /* HOLE (0: none), COARSE */
	uint64_t address; /* COARSE */
	struct chunk_block {
		uint64_t address; /* 0: hole; or FMT_SUB_POISON */
		uint32_t birth;
	} block[FMT_CHUNK_BLOCKS]; /* FINE */
};

/* What may be done to a chunk of a volume, as of now. */
struct chunk_rules {
	uint32_t epoch;
	uint32_t parent_epoch; /* older blocks and chunks are shared (I3) */
	uint32_t bookmark_epoch;
	unsigned unit; /* blocks that are mapped together: 1, 4, 16 */
	bool track;    /* holes keep a birth (I17) */
};

/* May what is born then be freed when it is dropped? */
bool chunk_exclusive(const struct chunk_rules *rules, uint32_t birth);
/* ... and be overwritten in place (I3, I15)? */
bool chunk_writable(const struct chunk_rules *rules, uint32_t birth);

static inline uint16_t
chunk_bits(unsigned first, unsigned count)
{
	return (uint16_t)(((1u << count) - 1) << first);
}

/* Block i as it is held: a COARSE chunk holds all 16.  False: holds none. */
bool chunk_held(const struct chunk *chunk, unsigned i, uint64_t *ret_address,
    uint32_t *ret_birth);
unsigned chunk_held_count(const struct chunk *chunk);
/* Of a FINE one: how many runs of addresses its data makes; else 0. */
unsigned chunk_fragments(const struct chunk *chunk);

/* The changes: of MAP_COARSE, MAP_FINE and UNMAP in format.h.  0, or -EBADMSG:
 * the chunk is not what such a change may meet. */
int chunk_map_coarse(struct chunk *chunk, const struct chunk_rules *rules,
    uint64_t address, uint16_t mask);
int chunk_map_fine(struct chunk *chunk, const struct chunk_rules *rules,
    unsigned first, unsigned count, uint64_t address);
int chunk_unmap(
    struct chunk *chunk, const struct chunk_rules *rules, uint16_t bits);

/* Does UNMAP of bits change anything?  What it cannot forget, because a unit
 * is mapped as a whole, it leaves. */
bool chunk_unmaps(
    const struct chunk *chunk, const struct chunk_rules *rules, uint16_t bits);

/* Are they alike in all that counts? */
bool chunk_same(const struct chunk *a, const struct chunk *b);

/* Each block that before holds and after does not. */
void chunk_dropped(const struct chunk *before, const struct chunk *after,
    void (*drop)(void *arg, uint64_t address, uint32_t birth), void *arg);

#endif
