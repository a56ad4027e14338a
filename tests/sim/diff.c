/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Differences: what the engine says that has changed is compared with what
 * reads of both sides show, block by block.
 */
#include "base/zero.h"
#include "tests/sim/family.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK        4096u
#define CHUNK        65536u
#define CELL_BLOCKS  (ORACLE_CELL_BYTES / BLOCK)
#define EXTENTS_MAX  8u
#define SAID_NOTHING 0u
#define SAID(kind)   (1u + (unsigned)(kind))

struct diff_check {
	struct diff_request request; /* first */
	struct diff_extent extents[EXTENTS_MAX];
	struct world *world;
	struct sim_volume *to, *base;
	const struct sim_volume *common; /* from which both descend, or NULL */
	struct oracle *mark;             /* what it marks held; NULL: no mark */
	uint64_t base_size;
	uint8_t *said; /* by block */
	uint64_t blocks, reported_end, asked_from;
	bool answered;
	int result;
};

/* A cell of both sides, as reads show it. */
struct sides {
	uint64_t cell; /* its offset */
	const uint8_t *to, *base;
};

/* ---- asking ---- */

static void
diff_answered(struct pool_request *request, int result)
{
	struct diff_check *d =
	    container_of(request, struct diff_check, request.request);

	d->answered = true;
	d->result = result;
}

static void
diff_ask(struct diff_check *d)
{
	struct world *world = d->world;

	d->answered = false;
	d->asked_from = d->request.offset;
	d->request.extent_max = 1 + (unsigned)below(world, EXTENTS_MAX);
	volume_diff(world->pool, &d->request);
}

void
diff_start(struct world *world, struct sim_volume *to, struct sim_volume *base,
    struct sim_mark *mark)
{
	struct diff_check *d = calloc(1, sizeof(*d));
	uint64_t size = to->size;

	assert(d != NULL);
	control_begin(world, CONTROL_DIFF, to);
	d->world = world;
	d->to = to;
	d->base = base;
	if (base != NULL) {
		d->base_size = base->size;
		d->common = family_common(to, base);
	}
	if (mark != NULL) {
		d->mark = oracle_ref(mark->oracle);
		d->base_size = mark->size;
		d->request.base_epoch = mark->epoch;
	}
	if (size < d->base_size)
		size = d->base_size;
	d->blocks = (size + BLOCK - 1) / BLOCK;
	d->said = calloc(d->blocks + CELL_BLOCKS, 1);
	assert(d->said != NULL);
	world->diff = d;
	to->quiet = !to->is_snapshot;
}

void
diff_now(struct world *world, struct sim_volume *to)
{
	struct diff_check *d = world->diff;

	d->request.request.done = diff_answered;
	d->request.to = to->volume;
	d->request.base = d->base != NULL ? d->base->volume : NULL;
	d->request.extent = d->extents;
	diff_ask(d);
}

/* ---- what there is to compare ---- */

static struct sim_mark *
draw_mark(struct world *world, const struct sim_volume *to)
{
	const struct sim_volume *volume = to->is_snapshot ? to->of : to;
	struct sim_mark *choice = NULL;
	unsigned seen = 0;

	if (volume == NULL)
		return NULL;
	for (struct sim_mark *m = volume->marks; m != NULL; m = m->next)
		if ((m->doubtful || family_descends(to, m->snapshot)) &&
		    below(world, ++seen) == 0)
			choice = m;
	return choice;
}

static bool
start_foreign_diff(struct world *world, struct sim_volume *to)
{
	struct sim_volume *base = family_draw_snapshot(world, 0);

	if (base == NULL || base->family == to->family)
		return false;
	diff_start(world, to, base, NULL);
	world->control_refusal = -EINVAL;
	return true;
}

bool
start_diff(struct world *world)
{
	struct sim_volume *to = chance(world, 600)
				    ? family_draw_snapshot(world, 0)
				    : control_draw_volume(world);
	struct sim_volume *base = NULL;
	struct sim_mark *mark = NULL;

	if (to == NULL)
		return false;
	if (chance(world, 30))
		return start_foreign_diff(world, to);
	if (chance(world, 500))
		mark = draw_mark(world, to);
	if (mark == NULL && chance(world, 800))
		base = family_draw_snapshot(world, to->family);
	if (base != to)
		diff_start(world, to, base, mark);
	return base != to;
}

/* ---- comparing ---- */

static bool
has_zero_sector(const uint8_t *bytes, uint64_t length)
{
	for (uint64_t at = 0; at < length; at += SECTOR_BYTES)
		if (is_zero(bytes + at, SECTOR_BYTES))
			return true;
	return false;
}

/* Certainly another content than the mark's. */
static bool
differs_from_mark(
    const struct diff_check *d, uint64_t offset, const uint8_t *block)
{
	for (uint64_t at = 0; at < BLOCK; at += SECTOR_BYTES)
		if (!oracle_may_hold(d->mark, offset + at, block + at))
			return true;
	return false;
}

static bool
must_be_said(const struct diff_check *d, uint64_t offset, const uint8_t *to,
    const uint8_t *base)
{
	if (offset >= d->to->size)
		return false;
	if (offset >= d->base_size)
		return !is_zero(to, BLOCK);
	return d->mark != NULL ? differs_from_mark(d, offset, to)
			       : memcmp(to, base, BLOCK) != 0;
}

/* May the block lie elsewhere in one of the two?  If it differs.  And if a
 * write to it was in flight at the cut from which both descend: where the data
 * went first, the snapshot has it, but a request that cannot be mapped there
 * any more is made once more, elsewhere.  Then the line that wrote has the
 * second place and all others the first, with the same content.  At no other
 * cut: what both hold came to both from there. */
static bool
block_may_be_new(
    const struct diff_check *d, const struct sides *sides, uint64_t at)
{
	return memcmp(sides->to + at, sides->base + at, BLOCK) != 0 ||
	       (d->common != NULL &&
		   oracle_is_restless(d->common->oracle, sides->cell + at));
}

static unsigned
count_new(const struct diff_check *d, const struct sides *sides, uint64_t at,
    uint64_t length)
{
	unsigned count = 0;

	for (uint64_t end = at + length; at < end; at += BLOCK)
		count += block_may_be_new(d, sides, at);
	return count;
}

/* Blocks of the chunk that were written, or copied with such. */
static unsigned
count_copied(const struct diff_check *d, const struct sides *sides)
{
	uint64_t unit = d->to->cow_unit;
	unsigned count = 0;

	for (uint64_t at = 0; at < CHUNK; at += unit)
		if (count_new(d, sides, at, unit) > 0)
			count += (unsigned)(unit / BLOCK);
	return count;
}

/* What is copied is copied by units; a chunk of which half is new may be put
 * together, then all of it is said to be new; and where zeros are, nobody
 * knows what has been written. */
static bool
may_be_said(const struct diff_check *d, const struct sides *sides, uint64_t at)
{
	uint64_t unit = d->to->cow_unit;

	at -= at % unit;
	return d->mark != NULL || d->to->moved ||
	       count_new(d, sides, at, unit) > 0 ||
	       count_copied(d, sides) >= CHUNK / BLOCK / 2 ||
	       has_zero_sector(sides->to + at, unit);
}

static void
diff_judge(struct diff_check *d, const struct sides *sides, uint64_t at)
{
	struct world *world = d->world;
	const uint8_t *to = sides->to + at, *base = sides->base + at;
	uint64_t offset = sides->cell + at;
	unsigned said = d->said[offset / BLOCK];

	if (said == SAID_NOTHING && must_be_said(d, offset, to, base))
		sim_fail(world,
		    "diff of %s against %s: %" PRIu64 " differs, is not said",
		    d->to->name,
		    d->mark != NULL   ? "a bookmark"
		    : d->base != NULL ? d->base->name
				      : "nothing",
		    offset);
	if (said == SAID(DIFF_ZERO) && !is_zero(to, BLOCK))
		sim_fail(world, "diff of %s: %" PRIu64 " is not zero",
		    d->to->name, offset);
	if (said != SAID_NOTHING && !may_be_said(d, sides, at))
		sim_fail(world,
		    "diff of %s against %s: %" PRIu64 " does not differ",
		    d->to->name, d->base != NULL ? d->base->name : "nothing",
		    offset);
	world->tally->diff_blocks += said != SAID_NOTHING;
}

static bool
read_cell(struct world *world, struct sim_volume *version, uint64_t offset,
    uint8_t *buf)
{
	uint64_t length = ORACLE_CELL_BYTES;

	memset(buf, 0, ORACLE_CELL_BYTES);
	if (version == NULL || offset >= version->size)
		return true;
	if (length > version->size - offset)
		length = version->size - offset;
	return work_read_checked(world, version, offset, length, buf);
}

static bool
is_wanted(const struct diff_check *d, uint64_t cell)
{
	return oracle_knows_cell(d->to->oracle, cell) ||
	       (d->base != NULL && oracle_knows_cell(d->base->oracle, cell)) ||
	       (d->mark != NULL && oracle_knows_cell(d->mark, cell)) ||
	       !is_zero(d->said + cell / BLOCK, CELL_BLOCKS);
}

static bool
diff_compare(struct diff_check *d)
{
	static _Alignas(4096) uint8_t to[ORACLE_CELL_BYTES];
	static _Alignas(4096) uint8_t base[ORACLE_CELL_BYTES];
	uint64_t end = d->blocks * BLOCK;
	struct sides sides = {.to = to, .base = base};

	for (uint64_t cell = 0; cell < end; cell += ORACLE_CELL_BYTES) {
		if (!is_wanted(d, cell))
			continue;
		if (!read_cell(d->world, d->to, cell, to) ||
		    !read_cell(d->world, d->base, cell, base))
			return false;
		sides.cell = cell;
		for (uint64_t at = 0; at < ORACLE_CELL_BYTES; at += BLOCK)
			diff_judge(d, &sides, at);
	}
	return true;
}

/* ---- going on ---- */

static void
diff_take(struct diff_check *d, const struct diff_extent *e)
{
	struct world *world = d->world;

	if (e->offset % BLOCK != 0 || e->length % BLOCK != 0 ||
	    e->length == 0 || e->offset < d->reported_end ||
	    e->offset + e->length > d->blocks * BLOCK ||
	    (e->kind != DIFF_DATA && e->kind != DIFF_ZERO))
		sim_fail(world,
		    "diff: extent of %" PRIu64 " at %" PRIu64 ", kind %d",
		    e->length, e->offset, (int)e->kind);
	d->reported_end = e->offset + e->length;
	memset(
	    d->said + e->offset / BLOCK, (int)SAID(e->kind), e->length / BLOCK);
}

static void
diff_take_all(struct diff_check *d)
{
	if (d->request.extent_count > d->request.extent_max ||
	    (!d->request.end && d->request.offset <= d->asked_from))
		sim_fail(
		    d->world, "diff: no progress at %" PRIu64, d->asked_from);
	for (unsigned i = 0; i < d->request.extent_count; i++)
		diff_take(d, &d->extents[i]);
	if (!d->request.end && d->request.offset < d->reported_end)
		sim_fail(
		    d->world, "diff: goes back to %" PRIu64, d->request.offset);
}

static void
diff_end(struct diff_check *d, int result)
{
	struct world *world = d->world;

	world->diff = NULL;
	if (!d->to->is_snapshot)
		d->to->quiet = false;
	oracle_unref(d->mark);
	free(d->said);
	free(d);
	control_end(world, result);
}

void
diff_step(struct world *world)
{
	struct diff_check *d = world->diff;

	if (!d->answered)
		return;
	d->answered = false;
	if (d->result < 0) {
		diff_end(d, d->result);
		return;
	}
	diff_take_all(d);
	if (!d->request.end)
		diff_ask(d);
	else if (diff_compare(d))
		diff_end(d, 0);
}

void
done_diff(struct world *world, struct sim_volume *to)
{
	(void)to;
	world->tally->diffs++;
}
