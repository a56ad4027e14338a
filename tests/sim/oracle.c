/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/assert.h"
#include "tests/sim/oracle_priv.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct change genesis = {.submitted = 0, .finished = 1, .durable = true};

static struct candidate *recycled;

/* ---- memory ---- */

#define SLAB_BYTES (64u << 10)

/* Memory that nobody gives back.  What is walked all the time stands close
 * together: half of the oracle's time were misses of the cache. */
struct slab {
	uint8_t *next;
	size_t left;
};

void *
must(void *memory)
{
	if (memory == NULL)
		abort();
	return memory;
}

static void *
slab_take(struct slab *slab, size_t bytes)
{
	void *taken;

	if (slab->left < bytes) {
		slab->next = must(malloc(SLAB_BYTES));
		slab->left = SLAB_BYTES;
	}
	taken = slab->next;
	slab->next += bytes;
	slab->left -= bytes;
	return taken;
}

struct oracle *
oracle_new(uint64_t serial)
{
	struct oracle *oracle = must(calloc(1, sizeof(*oracle)));
	oracle->serial = serial;
	oracle->refs = 1;
	return oracle;
}

struct candidate *
candidate_new(const struct change *change, uint64_t stamp, struct fate *fate,
    struct candidate *next)
{
	static struct slab slab;
	struct candidate *candidate = recycled;

	if (candidate != NULL)
		recycled = candidate->next;
	else
		candidate = slab_take(&slab, sizeof(*candidate));
	*candidate = (struct candidate){next, change, stamp, fate};
	return candidate;
}

static void
candidates_drop(struct candidate **list)
{
	while (*list != NULL) {
		struct candidate *first = *list;
		*list = first->next;
		first->next = recycled;
		recycled = first;
	}
}

struct candidate *
candidates_copy(const struct candidate *list)
{
	struct candidate *copy = NULL, **end = &copy;

	for (; list != NULL; list = list->next) {
		*end =
		    candidate_new(list->change, list->stamp, list->fate, NULL);
		end = &(*end)->next;
	}
	return copy;
}

struct oracle *
oracle_ref(struct oracle *oracle)
{
	oracle->refs++;
	return oracle;
}

/* Zeros for certain, from here on. */
static void
cell_clear(struct cell *cell)
{
	for (unsigned i = 0; cell->sector != NULL && i < SECTORS_PER_CELL; i++)
		candidates_drop(&cell->sector[i]);
	candidates_drop(&cell->all);
	free(cell->sector);
	cell->sector = NULL;
}

static void
cell_free(struct cell *cell)
{
	if (cell != NULL)
		cell_clear(cell);
	free(cell);
}

void
oracle_unref(struct oracle *oracle)
{
	if (oracle == NULL || --oracle->refs > 0)
		return;
	for (size_t i = 0; i < oracle->cell_count; i++)
		cell_free(oracle->cells[i]);
	free(oracle->cells);
	free(oracle->pending);
	free(oracle);
}

struct cell *
cell_at(const struct oracle *oracle, uint64_t offset)
{
	uint64_t index = offset / ORACLE_CELL_BYTES;
	return index < oracle->cell_count ? oracle->cells[index] : NULL;
}

struct cell *
cell_grow(struct oracle *oracle, uint64_t offset)
{
	uint64_t index = offset / ORACLE_CELL_BYTES;

	if (index >= oracle->cell_count) {
		size_t count = index + 64;
		oracle->cells = must(
		    realloc(oracle->cells, count * sizeof(oracle->cells[0])));
		memset(oracle->cells + oracle->cell_count, 0,
		    (count - oracle->cell_count) * sizeof(oracle->cells[0]));
		oracle->cell_count = count;
	}
	if (oracle->cells[index] == NULL)
		oracle->cells[index] = must(calloc(1, sizeof(struct cell)));
	return oracle->cells[index];
}

void
cell_split(struct cell *cell)
{
	if (cell->sector != NULL)
		return;
	cell->sector = must(calloc(SECTORS_PER_CELL, sizeof(cell->sector[0])));
	for (unsigned i = 0; i < SECTORS_PER_CELL; i++)
		cell->sector[i] = candidates_copy(cell->all);
	candidates_drop(&cell->all);
}

struct candidate *
cell_sector(const struct cell *cell, unsigned sector)
{
	return cell->sector == NULL ? cell->all : cell->sector[sector];
}

static unsigned
sector_index(uint64_t offset)
{
	return (unsigned)(offset % ORACLE_CELL_BYTES / SECTOR_BYTES);
}

static struct candidate *
sector_at(const struct oracle *oracle, uint64_t offset)
{
	static struct candidate zeros = {NULL, &genesis, 0, NULL};
	const struct cell *cell = cell_at(oracle, offset);
	struct candidate *first =
	    cell == NULL ? NULL : cell_sector(cell, sector_index(offset));
	return first == NULL ? &zeros : first;
}

bool
oracle_knows_cell(const struct oracle *oracle, uint64_t offset)
{
	return cell_at(oracle, offset) != NULL;
}

/* ---- the order of changes ---- */

/* When the last of those began that were durable before time.  It replaced for
 * good what had ended by then. */
static uint64_t
replacing_for_good(const struct candidate *list, uint64_t time)
{
	uint64_t last = 0;

	for (; list != NULL; list = list->next)
		if (list->change->durable && list->change->finished < time &&
		    list->change->submitted > last)
			last = list->change->submitted;
	return last;
}

/* ... that had ended well before time. */
static uint64_t
replacing(const struct candidate *list, uint64_t time)
{
	uint64_t last = 0;

	for (; list != NULL; list = list->next)
		if (!list->change->failed && list->change->finished < time &&
		    list->change->submitted > last)
			last = list->change->submitted;
	return last;
}

bool
replaced_before(const struct candidate *list, const struct candidate *candidate,
    uint64_t time)
{
	return candidate->change->finished < replacing(list, time);
}

/* Keeps lists short where the same sector is written over and over. */
static void
candidates_prune(struct candidate **list, uint64_t oldest_read)
{
	uint64_t last = replacing_for_good(*list, oldest_read);

	for (struct candidate **at = list; *at != NULL;) {
		struct candidate *candidate = *at;
		if (candidate->change->finished >= last) {
			at = &candidate->next;
			continue;
		}
		*at = candidate->next;
		candidate->next = recycled;
		recycled = candidate;
	}
}

static void
candidates_add(
    struct candidate **list, const struct change *change, uint64_t oldest_read)
{
	if (*list == NULL)
		*list = candidate_new(&genesis, 0, NULL, NULL);
	*list = candidate_new(change, change->stamp, NULL, *list);
	candidates_prune(list, oldest_read);
}

static void
cell_change(struct cell *cell, unsigned first, unsigned count,
    const struct change *change, uint64_t oldest_read)
{
	if (cell->sector == NULL && count == SECTORS_PER_CELL) {
		candidates_add(&cell->all, change, oldest_read);
		return;
	}
	cell_split(cell);
	for (unsigned i = first; i < first + count; i++)
		candidates_add(&cell->sector[i], change, oldest_read);
}

struct change *
oracle_submit(struct oracle *oracle, uint64_t offset, uint64_t length,
    uint64_t stamp, uint64_t now, uint64_t oldest_read)
{
	static struct slab slab;
	struct change *change = slab_take(&slab, sizeof(*change));

	assert(offset % SECTOR_BYTES == 0 && length % SECTOR_BYTES == 0);
	*change = (struct change){
	    .submitted = now, .finished = NEVER, .stamp = stamp};
	for (uint64_t end = offset + length, next; offset < end;
	     offset = next) {
		uint64_t cell_end =
		    (offset / ORACLE_CELL_BYTES + 1) * ORACLE_CELL_BYTES;
		next = cell_end < end ? cell_end : end;
		cell_change(cell_grow(oracle, offset), sector_index(offset),
		    (unsigned)((next - offset) / SECTOR_BYTES), change,
		    oldest_read);
	}
	return change;
}

void
oracle_atomic(struct change *change)
{
	change->whole = must(malloc(sizeof(*change->whole)));
	*change->whole = (struct whole){NEVER, NEVER};
}

void
oracle_finish(struct oracle *oracle, struct change *change, uint64_t now,
    bool failed, bool fua)
{
	assert(change->finished == NEVER);
	change->finished = now;
	change->failed = failed;
	change->durable = fua && !failed;
	if (failed || fua)
		return;
	if (oracle->pending_count == oracle->pending_room) {
		oracle->pending_room = 2 * oracle->pending_room + 64;
		oracle->pending = must(realloc(oracle->pending,
		    oracle->pending_room * sizeof(oracle->pending[0])));
	}
	oracle->pending[oracle->pending_count++] = change;
}

void
oracle_flushed(struct oracle *oracle, uint64_t submitted)
{
	size_t kept = 0;

	for (size_t i = 0; i < oracle->pending_count; i++) {
		struct change *change = oracle->pending[i];
		if (change->finished < submitted)
			change->durable = true;
		else
			oracle->pending[kept++] = change;
	}
	oracle->pending_count = kept;
}

void
oracle_recovered(struct oracle *oracle)
{
	oracle->pending_count = 0;
}

void
oracle_cut_off(struct oracle *oracle, uint64_t offset)
{
	uint64_t end = oracle->cell_count * ORACLE_CELL_BYTES;
	struct cell *cell = cell_at(oracle, offset);

	if (cell != NULL && offset % ORACLE_CELL_BYTES != 0) {
		cell_split(cell);
		for (unsigned i = sector_index(offset); i < SECTORS_PER_CELL;
		     i++)
			candidates_drop(&cell->sector[i]);
	}
	offset = (offset + ORACLE_CELL_BYTES - 1) / ORACLE_CELL_BYTES *
		 ORACLE_CELL_BYTES;
	for (; offset < end; offset += ORACLE_CELL_BYTES)
		if ((cell = cell_at(oracle, offset)) != NULL)
			cell_clear(cell);
}

/* ---- contents ---- */

struct stamp {
	uint64_t magic, serial, offset, stamp;
};

#define STAMP_MAGIC 0x706d617473657676ull

void
oracle_fill(const struct oracle *oracle, uint64_t offset, uint64_t length,
    uint64_t stamp, uint8_t *buf)
{
	for (uint64_t done = 0; done < length; done += sizeof(struct stamp)) {
		struct stamp s = {STAMP_MAGIC, oracle->serial,
		    (offset + done) / SECTOR_BYTES * SECTOR_BYTES, stamp};
		memcpy(buf + done, &s, sizeof(s));
	}
}

uint64_t
oracle_stamp(const uint8_t *sector)
{
	struct stamp s;

	memcpy(&s, sector, sizeof(s));
	return s.stamp;
}

/* False: the sector holds neither zeros nor something of this volume's and
 * this place's. */
static bool
sector_decode(const struct oracle *oracle, uint64_t offset,
    const uint8_t *sector, uint64_t *ret_stamp, char *text, size_t text_max)
{
	const size_t unit = sizeof(struct stamp);
	struct stamp s;

	memcpy(&s, sector, unit);
	if (memcmp(sector, sector + unit, SECTOR_BYTES - unit) != 0) {
		snprintf(text, text_max, "sector at %" PRIu64 " is a mixture",
		    offset);
		return false;
	}
	*ret_stamp = s.stamp;
	if (s.magic == 0 && s.serial == 0 && s.offset == 0 && s.stamp == 0)
		return true;
	if (s.magic == STAMP_MAGIC && s.serial == oracle->serial &&
	    s.offset == offset && s.stamp != 0)
		return true;
	snprintf(text, text_max,
	    "volume %" PRIu64 " sector at %" PRIu64 " holds foreign data:"
	    " volume %" PRIu64 " sector at %" PRIu64 " write %" PRIu64
	    " (magic %s)",
	    oracle->serial, offset, s.serial, s.offset, s.stamp,
	    s.magic == STAMP_MAGIC ? "good" : "bad");
	return false;
}

static void
explain(const struct oracle *oracle, uint64_t offset, uint64_t got,
    const struct candidate *list, uint64_t time, char *text, size_t text_max)
{
	int used = snprintf(text, text_max,
	    "volume %" PRIu64 " sector at %" PRIu64 " holds write %" PRIu64
	    " (read from %" PRId64 "), candidates:",
	    oracle->serial, offset, got, (int64_t)time);

	for (; list != NULL && (size_t)used < text_max; list = list->next)
		used += snprintf(text + used, text_max - (size_t)used,
		    " %" PRIu64 "%s(%" PRIu64 "..%" PRId64 "%s%s)",
		    list->fate != NULL ? list->fate->stamp : list->stamp,
		    list->fate == NULL    ? ""
		    : list->fate->settled ? " as seen"
					  : " unseen",
		    list->change->submitted, (int64_t)list->change->finished,
		    list->change->durable ? " durable" : "",
		    list->change->failed ? " failed" : "");
}

/* time: of a read's submission, or NEVER after a power cut.  Returns how many
 * candidates explain what was got, and one of them. */
static unsigned
sector_explained(const struct oracle *oracle, uint64_t offset, uint64_t got,
    uint64_t time, const struct candidate **ret_candidate)
{
	const struct candidate *list = sector_at(oracle, offset), *c;
	uint64_t last = time == NEVER ? replacing_for_good(list, NEVER)
				      : replacing(list, time);
	unsigned count = 0;

	for (c = list; c != NULL; c = c->next) {
		if (c->change->finished < last || !candidate_may_be(c, got))
			continue;
		*ret_candidate = c;
		count++;
	}
	return count;
}

static bool
sector_check(struct oracle *oracle, uint64_t at, uint64_t got, uint64_t time,
    char *text, size_t text_max)
{
	const struct candidate *candidate;
	unsigned count = sector_explained(oracle, at, got, time, &candidate);

	if (count == 1)
		return candidate_seen(candidate, got, text, text_max);
	if (count == 0)
		explain(oracle, at, got, sector_at(oracle, at), time, text,
		    text_max);
	return count > 0;
}

/* Whatever it was that the sector holds, had it ended before that time? */
static bool
sector_is_older(const struct candidate *list, uint64_t got, uint64_t time)
{
	for (; list != NULL; list = list->next)
		if (candidate_may_be(list, got) &&
		    list->change->finished >= time)
			return false;
	return true;
}

static bool
atomics_check(const struct oracle *oracle, uint64_t at, uint64_t got,
    char *text, size_t text_max)
{
	const struct candidate *list = sector_at(oracle, at), *c;

	for (c = list; c != NULL; c = c->next) {
		struct whole *whole = c->change->whole;
		if (whole == NULL || c->fate != NULL)
			continue;
		if (c->stamp == got)
			whole->seen = at;
		else if (sector_is_older(list, got, c->change->submitted))
			whole->lacking = at;
		if (whole->seen == NEVER || whole->lacking == NEVER)
			continue;
		snprintf(text, text_max,
		    "volume %" PRIu64 " has atomic write %" PRIu64
		    " at %" PRIu64 " but not at %" PRIu64,
		    oracle->serial, c->stamp, whole->seen, whole->lacking);
		return false;
	}
	return true;
}

static bool
range_check(struct oracle *oracle, uint64_t offset, uint64_t length,
    const uint8_t *buf, uint64_t time, char *text, size_t text_max)
{
	for (uint64_t done = 0; done < length; done += SECTOR_BYTES) {
		uint64_t at = offset + done, got;
		if (!sector_decode(
			oracle, at, buf + done, &got, text, text_max) ||
		    (time == NEVER &&
			!atomics_check(oracle, at, got, text, text_max)) ||
		    !sector_check(oracle, at, got, time, text, text_max))
			return false;
	}
	return true;
}

bool
oracle_check_read(struct oracle *oracle, uint64_t offset, uint64_t length,
    const uint8_t *buf, uint64_t submitted, char *text, size_t text_max)
{
	return range_check(
	    oracle, offset, length, buf, submitted, text, text_max);
}

static void
candidates_settle(struct candidate **list, uint64_t stamp)
{
	candidates_drop(list);
	if (stamp != 0)
		*list = candidate_new(&genesis, stamp, NULL, NULL);
}

/* The same all over? */
static bool
is_one_stamp(const uint8_t *buf, uint64_t length)
{
	uint64_t stamp = oracle_stamp(buf);

	for (uint64_t done = 0; done < length; done += SECTOR_BYTES)
		if (oracle_stamp(buf + done) != stamp)
			return false;
	return true;
}

/* The cell from that sector on holds what buf shows. */
static void
cell_settle(
    struct cell *cell, unsigned first, uint64_t length, const uint8_t *buf)
{
	if (length == ORACLE_CELL_BYTES && is_one_stamp(buf, length)) {
		cell_clear(cell);
		candidates_settle(&cell->all, oracle_stamp(buf));
		return;
	}
	cell_split(cell);
	for (unsigned i = 0; i < length / SECTOR_BYTES; i++)
		candidates_settle(&cell->sector[first + i],
		    oracle_stamp(buf + i * SECTOR_BYTES));
}

bool
oracle_check_recovered(struct oracle *oracle, uint64_t offset, uint64_t length,
    const uint8_t *buf, char *text, size_t text_max)
{
	struct cell *cell = cell_at(oracle, offset);

	assert(offset % ORACLE_CELL_BYTES + length <= ORACLE_CELL_BYTES);
	if (!range_check(oracle, offset, length, buf, NEVER, text, text_max))
		return false;
	if (cell != NULL)
		cell_settle(cell, sector_index(offset), length, buf);
	return true;
}

bool
oracle_may_be_hole(const struct oracle *oracle, uint64_t offset,
    uint64_t length, uint64_t submitted)
{
	const struct candidate *c;

	for (uint64_t done = 0; done < length; done += SECTOR_BYTES)
		if (sector_explained(oracle, offset + done, 0, submitted, &c) ==
		    0)
			return false;
	return true;
}

bool
oracle_may_hold(
    const struct oracle *oracle, uint64_t offset, const uint8_t *sector)
{
	const struct candidate *c;

	return sector_explained(oracle, offset, oracle_stamp(sector), 0, &c) >
	       0;
}

bool
oracle_is_zero(const struct oracle *oracle, uint64_t offset, uint64_t length)
{
	const struct cell *cell = cell_at(oracle, offset);
	uint64_t end = offset + length;

	assert(offset / ORACLE_CELL_BYTES == (end - 1) / ORACLE_CELL_BYTES);
	if (cell == NULL || cell->sector == NULL)
		return cell == NULL || cell->all == NULL;
	for (; offset < end; offset += SECTOR_BYTES)
		if (cell->sector[sector_index(offset)] != NULL)
			return false;
	return true;
}

/* Does the sector hold data, whichever candidate wins, written since then? */
static bool
sector_is_data(const struct candidate *list, uint64_t since)
{
	for (const struct candidate *c = list; c != NULL; c = c->next)
		if ((candidate_may_be(c, 0) || c->change->submitted < since) &&
		    !replaced_before(list, c, NEVER))
			return false;
	return true;
}

bool
oracle_is_mapped(const struct oracle *oracle, uint64_t offset, uint64_t length,
    uint64_t since)
{
	const uint64_t block = BLOCK_SECTORS * SECTOR_BYTES;
	uint64_t end = offset + length;

	for (offset -= offset % block; offset < end; offset += block) {
		bool data = false;
		for (unsigned i = 0; i < BLOCK_SECTORS; i++)
			data |= sector_is_data(
			    sector_at(oracle, offset + i * SECTOR_BYTES),
			    since);
		if (!data)
			return false;
	}
	return true;
}
