/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/chunk.h"
#include "base/assert.h"
#include "snapshot/breaks.h"
#include <errno.h>

bool
chunk_exclusive(const struct chunk_rules *rules, uint32_t birth)
{
	return birth > rules->parent_epoch || engine_breaks.i3_ignore_birth;
}

bool
chunk_writable(const struct chunk_rules *rules, uint32_t birth)
{
	return chunk_exclusive(rules, birth) &&
	       (birth > rules->bookmark_epoch ||
		   engine_breaks.i15_ignore_bookmark);
}

bool
chunk_held(const struct chunk *chunk, unsigned i, uint64_t *ret_address,
    uint32_t *ret_birth)
{
	if (chunk->type == FMT_COARSE) {
		*ret_address = chunk->address + i;
		*ret_birth = chunk->birth;
		return true;
	}
	if (chunk->type != FMT_FINE || chunk->block[i].address == 0 ||
	    chunk->block[i].address == FMT_SUB_POISON)
		return false;
	*ret_address = chunk->block[i].address;
	*ret_birth = chunk->block[i].birth;
	return true;
}

unsigned
chunk_held_count(const struct chunk *chunk)
{
	uint64_t address;
	uint32_t birth;
	unsigned count = 0;

	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		count += chunk_held(chunk, i, &address, &birth);
	return count;
}

unsigned
chunk_fragments(const struct chunk *chunk)
{
	uint64_t next = 0;
	unsigned count = 0;

	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS && chunk->type == FMT_FINE;
	     i++) {
		if ((chunk->mask >> i & 1) == 0)
			continue;
		count += chunk->block[i].address != next;
		next = chunk->block[i].address + 1;
	}
	return count;
}

static uint32_t
hole_birth(const struct chunk_rules *rules)
{
	return rules->track && !engine_breaks.i17_no_hole_birth ? rules->epoch
								: 0;
}

static void
chunk_hole(struct chunk *chunk, uint32_t birth)
{
	*chunk = (struct chunk){.type = FMT_HOLE, .birth = birth};
}

static uint16_t
unit_bits(const struct chunk_rules *rules, unsigned block)
{
	return chunk_bits(block - block % rules->unit, rules->unit);
}

/* A COARSE chunk or a hole becomes FINE as it is.  Units of which nothing is
 * valid are given up, with the chunk's birth. */
static void
chunk_refine(struct chunk *chunk, const struct chunk_rules *rules)
{
	struct chunk old = *chunk;

	if (old.type == FMT_FINE)
		return;
	*chunk = (struct chunk){.type = FMT_FINE, .mask = old.mask};
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		chunk->block[i].birth = old.birth;
		if (old.type == FMT_COARSE && old.mask & unit_bits(rules, i))
			chunk->block[i].address = old.address + i;
		else if (engine_breaks.i17_no_hole_birth)
			chunk->block[i].birth = 0;
	}
}

int
chunk_map_coarse(struct chunk *chunk, const struct chunk_rules *rules,
    uint64_t address, uint16_t mask)
{
	if (chunk->type == FMT_COARSE && chunk->address == address) {
		chunk->mask |= mask;
		return chunk_writable(rules, chunk->birth) ? 0 : -EBADMSG;
	}
	if (chunk->type > FMT_FINE)
		return -EBADMSG;
	*chunk = (struct chunk){
	    .type = FMT_COARSE,
	    .mask = mask,
	    .birth = rules->epoch,
	    .address = address,
	};
	return 0;
}

int
chunk_map_fine(struct chunk *chunk, const struct chunk_rules *rules,
    unsigned first, unsigned count, uint64_t address)
{
	if (chunk->type > FMT_FINE || rules->unit == FMT_CHUNK_BLOCKS ||
	    count == 0 || first + count > FMT_CHUNK_BLOCKS ||
	    first % rules->unit != 0 || count % rules->unit != 0)
		return -EBADMSG;
	chunk_refine(chunk, rules);
	for (unsigned i = 0; i < count; i++) {
		chunk->block[first + i].address = address + i;
		chunk->block[first + i].birth = rules->epoch;
	}
	chunk->mask |= chunk_bits(first, count);
	return 0;
}

/* Of a chunk that cannot be divided, or of a unit, only all may go.  But what
 * is ours and new enough forgets each block. */
static uint16_t
unmap_bits(
    const struct chunk *chunk, const struct chunk_rules *rules, uint16_t bits)
{
	uint16_t left, whole = 0;

	bits &= chunk->mask;
	if (rules->unit == 1 ||
	    (chunk->type == FMT_COARSE && chunk_writable(rules, chunk->birth)))
		return bits;
	left = chunk->mask & (uint16_t)~bits;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i += rules->unit)
		if ((left & unit_bits(rules, i)) == 0)
			whole |= unit_bits(rules, i);
	return bits & whole;
}

bool
chunk_unmaps(
    const struct chunk *chunk, const struct chunk_rules *rules, uint16_t bits)
{
	return (chunk->type == FMT_COARSE || chunk->type == FMT_FINE) &&
	       unmap_bits(chunk, rules, bits) != 0;
}

static void
unmap_fine(struct chunk *chunk, const struct chunk_rules *rules, uint16_t bits)
{
	chunk->mask &= (uint16_t)~bits;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		if ((unit_bits(rules, i) & bits) == 0 ||
		    (unit_bits(rules, i) & chunk->mask) != 0)
			continue;
		chunk->block[i].address = 0;
		chunk->block[i].birth = hole_birth(rules);
	}
}

int
chunk_unmap(struct chunk *chunk, const struct chunk_rules *rules, uint16_t bits)
{
	if (chunk->type == FMT_HOLE)
		return 0;
	if (chunk->type != FMT_COARSE && chunk->type != FMT_FINE)
		return -EBADMSG;
	bits = unmap_bits(chunk, rules, bits);
	if (bits == 0)
		return 0;
	if (bits == chunk->mask) {
		chunk_hole(chunk, hole_birth(rules));
	} else if (chunk->type == FMT_COARSE &&
		   chunk_writable(rules, chunk->birth)) {
		chunk->mask &= (uint16_t)~bits;
	} else {
		chunk_refine(chunk, rules);
		unmap_fine(chunk, rules, bits);
	}
	return 0;
}

bool
chunk_same(const struct chunk *a, const struct chunk *b)
{
	if (a->type != b->type || a->mask != b->mask || a->birth != b->birth ||
	    a->address != b->address)
		return false;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS && a->type == FMT_FINE; i++)
		if (a->block[i].address != b->block[i].address ||
		    a->block[i].birth != b->block[i].birth)
			return false;
	return true;
}

void
chunk_dropped(const struct chunk *before, const struct chunk *after,
    void (*drop)(void *arg, uint64_t address, uint32_t birth), void *arg)
{
	uint64_t address, now;
	uint32_t birth, now_birth;

	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		if (!chunk_held(before, i, &address, &birth))
			continue;
		if (chunk_held(after, i, &now, &now_birth) && now == address)
			continue;
		drop(arg, address, birth);
	}
}
