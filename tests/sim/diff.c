/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Differences: what the engine says that has changed is compared with what
 * reads of both sides show, block by block.
 */
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
	struct oracle *mark; /* what it marks held; NULL: no mark */
	uint64_t base_size;
	uint8_t *said; /* by block */
	uint64_t blocks, reported_end, asked_from;
	bool answered;
	int result;
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
	if (base != NULL)
		d->base_size = base->size;
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
is_zero(const uint8_t *bytes, uint64_t length)
{
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

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

/* A chunk of which that much is new may be put together: then all of it is said
 * to be new. */
static bool
half_differs(const uint8_t *to, const uint8_t *base)
{
	unsigned differ = 0;

	for (uint64_t at = 0; at < CHUNK; at += BLOCK)
		differ += memcmp(to + at, base + at, BLOCK) != 0;
	return differ >= CHUNK / BLOCK / 2;
}

/* A write that was in flight at a cut may have been made once more after it,
 * elsewhere: the snapshot has it, and whoever descends from it differs in that
 * block from what is in another line, though both have it. */
static bool
is_restless(const struct diff_check *d)
{
	const struct sim_volume *common =
	    d->base == NULL ? NULL : family_common(d->to, d->base);

	return d->to->restless || (d->base != NULL && d->base->restless) ||
	       (common != NULL && common->restless);
}

/* What is copied is copied by units; and where zeros are, nobody knows what
 * has been written. */
static bool
may_be_said(const struct diff_check *d, uint64_t in_cell, const uint8_t *to,
    const uint8_t *base)
{
	uint64_t unit = d->to->cow_unit, at = in_cell / unit * unit;
	uint64_t chunk = in_cell / CHUNK * CHUNK;

	return d->mark != NULL || d->to->moved || is_restless(d) ||
	       half_differs(to + chunk, base + chunk) ||
	       memcmp(to + at, base + at, unit) != 0 ||
	       has_zero_sector(to + at, unit);
}

static void
diff_judge(struct diff_check *d, uint64_t cell, uint64_t in_cell,
    const uint8_t *to, const uint8_t *base)
{
	struct world *world = d->world;
	uint64_t offset = cell + in_cell;
	unsigned said = d->said[offset / BLOCK];

	if (said == SAID_NOTHING &&
	    must_be_said(d, offset, to + in_cell, base + in_cell))
		sim_fail(world,
		    "diff of %s against %s: %" PRIu64 " differs, is not said",
		    d->to->name,
		    d->mark != NULL   ? "a bookmark"
		    : d->base != NULL ? d->base->name
				      : "nothing",
		    offset);
	if (said == SAID(DIFF_ZERO) && !is_zero(to + in_cell, BLOCK))
		sim_fail(world, "diff of %s: %" PRIu64 " is not zero",
		    d->to->name, offset);
	if (said != SAID_NOTHING && !may_be_said(d, in_cell, to, base))
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

	for (uint64_t cell = 0; cell < end; cell += ORACLE_CELL_BYTES) {
		if (!is_wanted(d, cell))
			continue;
		if (!read_cell(d->world, d->to, cell, to) ||
		    !read_cell(d->world, d->base, cell, base))
			return false;
		for (uint64_t at = 0; at < ORACLE_CELL_BYTES; at += BLOCK)
			diff_judge(d, cell, at, to, base);
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
