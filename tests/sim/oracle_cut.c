/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cuts: what snapshots hold, and what is settled when somebody looks.
 */
#include "base/assert.h"
#include "tests/sim/oracle_priv.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cut *
cut_new(uint64_t called)
{
	struct cut *cut = must(calloc(1, sizeof(*cut)));

	cut->time = called;
	return cut;
}

/* ---- looking ---- */

static bool
fate_may_be(const struct fate *fate, uint64_t stamp)
{
	if (fate->settled)
		return fate->stamp == stamp;
	for (const struct candidate *c = fate->list; c != NULL; c = c->next)
		if (candidate_may_be(c, stamp) &&
		    !replaced_before(fate->list, c, fate->cut->time))
			return true;
	return false;
}

bool
candidate_may_be(const struct candidate *candidate, uint64_t stamp)
{
	return candidate->fate == NULL ? candidate->stamp == stamp
				       : fate_may_be(candidate->fate, stamp);
}

/* The write at this time is in the cut: is all that came before it? */
static bool
cut_raise(struct cut *cut, uint64_t time, char *text, size_t text_max)
{
	if (time <= cut->time)
		return true;
	cut->time = time;
	for (const struct fate *f = cut->fates; f != NULL; f = f->next) {
		if (f->chosen == NULL ||
		    !replaced_before(f->list, f->chosen, time))
			continue;
		snprintf(text, text_max,
		    "the cut holds a write begun at %" PRIu64
		    ", but not what had replaced write %" PRIu64
		    " by then (%" PRIu64 "..%" PRId64 ")",
		    time, f->stamp, f->chosen->change->submitted,
		    (int64_t)f->chosen->change->finished);
		return false;
	}
	return true;
}

static const struct candidate *
fate_choose(const struct fate *fate, uint64_t stamp)
{
	const struct candidate *choice = NULL;

	for (const struct candidate *c = fate->list; c != NULL; c = c->next) {
		if (!candidate_may_be(c, stamp) ||
		    replaced_before(fate->list, c, fate->cut->time))
			continue;
		if (choice != NULL)
			return NULL;
		choice = c;
	}
	return choice;
}

bool
candidate_seen(const struct candidate *candidate, uint64_t stamp, char *text,
    size_t text_max)
{
	struct fate *fate = candidate->fate;

	if (fate == NULL || fate->settled)
		return true;
	fate->chosen = fate_choose(fate, stamp);
	fate->settled = true;
	fate->stamp = stamp;
	if (fate->chosen == NULL)
		return true;
	return candidate_seen(fate->chosen, stamp, text, text_max) &&
	       cut_raise(
		   fate->cut, fate->chosen->change->submitted, text, text_max);
}

/* ---- cutting ---- */

static struct fate *
fate_new(const struct candidate *list, struct cut *cut)
{
	struct fate *fate = must(calloc(1, sizeof(*fate)));

	fate->cut = cut;
	fate->list = candidates_copy(list);
	fate->next = cut->fates;
	cut->fates = fate;
	return fate;
}

/* The only candidate that is left at that time, or NULL. */
static const struct candidate *
only_candidate(const struct candidate *list, uint64_t time)
{
	const struct candidate *only = NULL;

	for (const struct candidate *c = list; c != NULL; c = c->next) {
		if (replaced_before(list, c, time))
			continue;
		if (only != NULL)
			return NULL;
		only = c;
	}
	return only;
}

/* NULL: zeros for certain. */
static struct candidate *
sector_cut(const struct candidate *list, struct cut *cut)
{
	const struct candidate *only = only_candidate(list, cut->time);
	uint64_t stamp;

	if (list == NULL)
		return NULL;
	if (only == NULL)
		return candidate_new(&genesis, 0, fate_new(list, cut), NULL);
	if (only->fate != NULL && !only->fate->settled)
		return candidate_new(&genesis, 0, only->fate, NULL);
	stamp = only->fate != NULL ? only->fate->stamp : only->stamp;
	return stamp == 0 ? NULL : candidate_new(&genesis, stamp, NULL, NULL);
}

/* Is it the same for all sectors with this list?  Each has a fate of its own.
 */
static bool
is_certain(const struct candidate *list, uint64_t time)
{
	return list == NULL || only_candidate(list, time) != NULL;
}

static void
cell_cut(const struct cell *from, struct cell *to, struct cut *cut)
{
	if (from->sector == NULL && is_certain(from->all, cut->time)) {
		to->all = sector_cut(from->all, cut);
		return;
	}
	cell_split(to);
	for (unsigned i = 0; i < SECTORS_PER_CELL; i++)
		to->sector[i] = sector_cut(cell_sector(from, i), cut);
}

/* No write is left out: those that may have been in flight are still there
 * (work_oldest_read()). */
static uint16_t
cell_restless(const struct cell *cell, const struct cut *cut)
{
	uint16_t restless = 0;

	static_assert(SECTORS_PER_CELL / BLOCK_SECTORS == 16);
	for (unsigned k = 0; k < SECTORS_PER_CELL; k++)
		for (const struct candidate *c = cell_sector(cell, k);
		     c != NULL; c = c->next)
			if (c->change->finished > cut->time)
				restless |= (uint16_t)(1u << k / BLOCK_SECTORS);
	return restless;
}

bool
oracle_is_restless(const struct oracle *snapshot, uint64_t offset)
{
	const struct cell *cell = cell_at(snapshot, offset);
	uint64_t sector = offset % ORACLE_CELL_BYTES / SECTOR_BYTES;

	return cell != NULL && cell->restless >> sector / BLOCK_SECTORS & 1;
}

struct oracle *
oracle_snapshot(const struct oracle *volume, struct cut *cut)
{
	struct oracle *snapshot = oracle_new(volume->serial);

	for (size_t i = 0; i < volume->cell_count; i++) {
		const struct cell *from = volume->cells[i];
		struct cell *to;
		if (from == NULL)
			continue;
		to = cell_grow(snapshot, i * ORACLE_CELL_BYTES);
		cell_cut(from, to, cut);
		to->restless = cell_restless(from, cut);
	}
	return snapshot;
}

/* Nothing changes a snapshot: all of it had ended long before. */
struct oracle *
oracle_clone(const struct oracle *snapshot)
{
	return oracle_snapshot(snapshot, cut_new(NEVER));
}
