/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The map of one version from left to right: runs of blocks that lie side by
 * side are read at once, and one by one when that fails.
 */
#include "snapshot/extract.h"
#include "base/assert.h"
#include "base/zero.h"
#include "snapshot/check_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct extraction {
	struct check *check;
	struct extract *extract;
	const struct check_version *version;
	struct check_walk walk;
	uint8_t *page[FMT_LEVELS_MAX];
	uint8_t *fine;
	unsigned fine_slot; /* what is in it; FMT_LEAF_FINE: nothing */
	bool fine_right;
	uint8_t *data; /* of a chunk */
	int error;
};

/* ---- telling ---- */

static void
damaged(
    struct extraction *e, uint64_t offset, uint64_t length, const char *what)
{
	struct extract *extract = e->extract;

	if (offset >= extract->size)
		return;
	if (length > extract->size - offset)
		length = extract->size - offset;
	extract->damaged_bytes += length;
	extract->damaged(extract->arg, offset, length, what);
}

/* Blocks of zeros between others are left out. */
static void
give(struct extraction *e, uint64_t offset, const uint8_t *data, unsigned run)
{
	struct extract *extract = e->extract;
	unsigned first = 0, end;

	for (; first < run && e->error == 0; first = end + 1) {
		for (end = first; end < run; end++)
			if (is_zero(data + (size_t)end * FMT_BLOCK, FMT_BLOCK))
				break;
		if (end == first)
			continue;
		uint64_t length = (uint64_t)(end - first) * FMT_BLOCK;
		extract->data_bytes += length;
		e->error = extract->data(extract->arg,
		    offset + (uint64_t)first * FMT_BLOCK,
		    data + (size_t)first * FMT_BLOCK, length);
	}
}

/* ---- blocks ---- */

static int
blocks_read(struct extraction *e, uint64_t address, unsigned run)
{
	const struct check *check = e->check;
	uint32_t per = le32_get(&check->super.region_blocks);
	const struct check_region *region = &check->region[address / per];
	uint64_t block = (uint64_t)region->device_region * per + address % per;

	return check_read(e->check, check->device[region->device],
	    FMT_DEVICE_HEAD + block * FMT_BLOCK, e->data, run * FMT_BLOCK);
}

static void
take_run(struct extraction *e, uint64_t offset, uint64_t address, unsigned run)
{
	if (!check_range_is(e->check, address, run, FMT_REGION_DATA)) {
		damaged(e, offset, (uint64_t)run * FMT_BLOCK,
		    "mapped to what is not for data");
		return;
	}
	if (blocks_read(e, address, run) == 0) {
		give(e, offset, e->data, run);
		return;
	}
	for (unsigned i = 0; i < run && e->error == 0; i++) {
		uint64_t at = offset + (uint64_t)i * FMT_BLOCK;
		if (blocks_read(e, address + i, 1) == 0)
			give(e, at, e->data, 1);
		else
			damaged(e, at, FMT_BLOCK, "cannot be read");
	}
}

/* How many from the first on are holes, unreadable, or side by side in one
 * region. */
static unsigned
run_length(const struct extraction *e, const uint64_t *address, unsigned first)
{
	uint32_t per = le32_get(&e->check->super.region_blocks);
	bool same = address[first] == 0 || address[first] == FMT_SUB_POISON;
	unsigned run = 1;

	while (first + run < FMT_CHUNK_BLOCKS) {
		uint64_t next = address[first + run];
		if (next != address[first] + (same ? 0 : run))
			break;
		if (!same && next % per == 0)
			break;
		run++;
	}
	return run;
}

static void
take_chunk(struct extraction *e, uint64_t chunk, const uint64_t *address)
{
	uint64_t left = e->extract->size - chunk * FMT_CHUNK;
	unsigned count = FMT_CHUNK_BLOCKS, run;

	if (left < FMT_CHUNK)
		count = (unsigned)(left / FMT_BLOCK);
	for (unsigned i = 0; i < count && e->error == 0; i += run) {
		uint64_t offset = chunk * FMT_CHUNK + (uint64_t)i * FMT_BLOCK;
		run = run_length(e, address, i);
		if (run > count - i)
			run = count - i;
		if (address[i] == FMT_SUB_POISON)
			damaged(e, offset, (uint64_t)run * FMT_BLOCK,
			    "marked as unreadable");
		else if (address[i] != 0)
			take_run(e, offset, address[i], run);
	}
}

/* ---- leaves ---- */

/* NULL: it cannot be read. */
static const struct fmt_fine *
fine_get(struct extraction *e, const struct fmt_leaf *leaf, unsigned slot)
{
	struct check_walk walk = e->walk;
	uint64_t index = le64_get(&leaf->page.index) * FMT_LEAF_FINE + slot;

	if (slot >= FMT_LEAF_FINE)
		return NULL;
	walk.type = FMT_PAGE_FINE;
	if (e->fine_slot != slot)
		e->fine_right = fmt_ptr_address(&leaf->fine[slot]) != 0 &&
				walk_read_again(&walk, &leaf->fine[slot], 0,
				    index, e->fine);
	e->fine_slot = slot;
	return e->fine_right ? (const void *)e->fine : NULL;
}

static bool
fine_addresses(struct extraction *e, const struct fmt_leaf *leaf, unsigned c,
    uint64_t address[FMT_CHUNK_BLOCKS])
{
	unsigned unit = 1u << (e->version->cow_shift - FMT_BLOCK_SHIFT);
	unsigned per = 27 * unit, subs = FMT_CHUNK_BLOCKS / unit;
	const struct fmt_fine *fine = fine_get(e, leaf, c / per);
	uint16_t mask = fmt_word_mask(le64_get(&leaf->entry[c].word));

	if (unit == FMT_CHUNK_BLOCKS || fine == NULL)
		return false;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		if (!(mask >> i & 1))
			continue;
		address[i] =
		    fmt_sub_address(&fine->sub[c % per * subs + i / unit]);
		if (address[i] != 0 && address[i] != FMT_SUB_POISON)
			address[i] += i % unit;
	}
	return true;
}

static void
take_entry(struct extraction *e, const struct fmt_leaf *leaf, uint64_t chunk,
    unsigned c)
{
	uint64_t word = le64_get(&leaf->entry[c].word);
	uint64_t address[FMT_CHUNK_BLOCKS] = {0};
	unsigned type = fmt_word_type(word);
	bool right = true;

	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		if (type == FMT_POISON)
			address[i] = FMT_SUB_POISON;
		else if (type == FMT_COARSE && fmt_word_mask(word) >> i & 1)
			address[i] = fmt_word_address(word) + i;
	}
	if (type == FMT_FINE)
		right = fine_addresses(e, leaf, c, address);
	else if (type > FMT_POISON || type == FMT_COMPRESSED)
		right = false;
	if (right)
		take_chunk(e, chunk, address);
	else
		damaged(e, chunk * FMT_CHUNK, FMT_CHUNK,
		    "its entry in the map is damaged");
}

static void
take_leaf(struct extraction *e, uint64_t index, const struct fmt_leaf *leaf)
{
	e->fine_slot = FMT_LEAF_FINE;
	for (unsigned c = 0; c < FMT_LEAF_CHUNKS && e->error == 0; c++) {
		uint64_t chunk = index * FMT_LEAF_CHUNKS + c;
		if (chunk * FMT_CHUNK >= e->extract->size)
			return;
		if (fmt_word_type(le64_get(&leaf->entry[c].word)) != FMT_HOLE)
			take_entry(e, leaf, chunk, c);
	}
}

/* Goes down at most FMT_LEVELS_MAX times: each call is one level lower.  A page
 * is right at one place alone, so none is met twice. */
static void
take_page(struct extraction *e, const struct fmt_ptr *ptr, unsigned level,
    uint64_t index)
{
	uint64_t bytes = level_reach(level) * FMT_LEAF_BYTES;
	const struct fmt_inner *inner = (const void *)e->page[level];

	if (e->error < 0 || fmt_ptr_address(ptr) == 0 ||
	    index * bytes >= e->extract->size)
		return;
	if (!walk_read_again(&e->walk, ptr, level, index, e->page[level])) {
		damaged(
		    e, index * bytes, bytes, "a page of its map is damaged");
		return;
	}
	if (level == 0) {
		take_leaf(e, index, (const void *)e->page[0]);
		return;
	}
	for (unsigned i = 0; i < FMT_FANOUT; i++)
		take_page(e, &inner->ptr[i], level - 1, index * FMT_FANOUT + i);
}

/* ---- which version ---- */

/* What is shown wins over what is in the trash. */
static const struct check_version *
version_named(const struct check *check, enum fmt_version_state state,
    uint64_t origin, const char *name)
{
	const struct check_version *best = NULL;

	for (uint32_t i = 0; i < check->version_count; i++) {
		const struct check_version *v = &check->version[i];
		if (v->state != state || strcmp(v->name, name) != 0 ||
		    (state == FMT_VERSION_SNAP && v->origin != origin))
			continue;
		if (best == NULL || (best->flags & FMT_VERSION_TRASHED))
			best = v;
	}
	return best;
}

static const struct check_version *
version_wanted(const struct check *check, const struct extract *extract)
{
	const struct check_version *volume;

	if (strcmp(check->super.name, extract->pool) != 0)
		return NULL;
	volume = version_named(check, FMT_VERSION_HEAD, 0, extract->volume);
	if (volume == NULL || extract->snapshot == NULL)
		return volume;
	return version_named(
	    check, FMT_VERSION_SNAP, volume->id, extract->snapshot);
}

/* ---- all of it ---- */

#define PAGES (FMT_LEVELS_MAX + 1 + FMT_CHUNK_BLOCKS)

static int
version_take(struct check *check, struct extract *extract)
{
	struct extraction e = {.check = check,
	    .extract = extract,
	    .version = version_wanted(check, extract),
	    .walk = {.check = check, .type = FMT_PAGE_MAP}};
	uint8_t *pages;

	if (e.version == NULL)
		return -ESRCH;
	pages = aligned_alloc(FMT_BLOCK, PAGES * FMT_BLOCK);
	if (pages == NULL)
		return -ENOMEM;
	for (unsigned level = 0; level < FMT_LEVELS_MAX; level++)
		e.page[level] = pages + (size_t)level * FMT_BLOCK;
	e.fine = pages + (size_t)FMT_LEVELS_MAX * FMT_BLOCK;
	e.data = e.fine + FMT_BLOCK;
	e.walk.family = e.version->family;
	extract->size = e.version->size;
	e.error = extract->begin(extract->arg, extract->size);
	take_page(&e, &e.version->root, e.version->levels - 1u, 0);
	free(pages);
	return e.error;
}

static int
recovered_take(struct check *first, struct check_recovery *recovery,
    struct extract *extract)
{
	struct check check = check_of_recovered(first, recovery);
	int r = check_open(&check);

	if (r == 0)
		r = version_take(&check, extract);
	check_done(&check);
	return r;
}

int
pool_extract(struct backstore **bs, unsigned count, void (*step)(void *arg),
    void *step_arg, struct check_report *report, struct extract *extract)
{
	struct check_recovery recovery = {.count = 0};
	struct check check = {.bs = bs,
	    .bs_count = count,
	    .step = step,
	    .step_arg = step_arg,
	    .report = report};
	bool recovered = false;
	int r = check_open(&check);

	assert(count > 0);
	extract->size = extract->data_bytes = extract->damaged_bytes = 0;
	if (r == 0 && !extract->no_log && check_log(&check))
		recovered = check_recover(&check, &recovery);
	if (r == 0)
		r = check.error;
	if (r == 0)
		r = recovered ? recovered_take(&check, &recovery, extract)
			      : version_take(&check, extract);
	recovery_done(&check, &recovery);
	check_done(&check);
	return r;
}
