/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Maps.  Each leaf is taken as the checkpoint has it, compared with what its
 * version's record says of it, then changed by the records of the log that
 * concern it, and what it maps then is marked as seen.
 *
 * The walk goes through a map in ascending order of leaves, and so do the
 * records (check_log_index), some of which are for leaves that the checkpoint
 * does not have.
 */
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chunk {
	uint8_t type;
	uint16_t mask;
	uint32_t birth;
	uint64_t address; /* COARSE */
	struct {
		uint64_t address;
		uint32_t birth;
	} sub[FMT_CHUNK_BLOCKS]; /* FINE */
};

/* The walk through one map, and the records that wait for it. */
struct map {
	struct check_walk walk; /* first */
	uint32_t index;         /* of the version */
	uint32_t event, wipe;   /* the next ones */
	uint32_t *heap;         /* wipes begun, the latest record on top */
	uint32_t heap_count;
	struct chunk *chunk; /* FMT_LEAF_CHUNKS: the leaf at hand */
	char what[FMT_NAME + 32];
};

static struct map *
map_of(struct check_walk *walk)
{
	return container_of(walk, struct map, walk);
}

/* ---- a leaf of the checkpoint ---- */

static void
entry_damaged(struct map *map, uint64_t chunk, const char *what)
{
	check_find(map->walk.check, CHECK_DAMAGE, "map.entry",
	    "%s: chunk %llu: %s", map->what, (unsigned long long)chunk, what);
}

/* Blocks of one sub-entry, by the copy unit of the version. */
static unsigned
sub_blocks(const struct map *map)
{
	return 1u << (map->walk.version->cow_shift - FMT_BLOCK_SHIFT);
}

/* Chunks whose sub-entries one fine page holds. */
static unsigned
fine_page_chunks(const struct map *map)
{
	return 27 * sub_blocks(map);
}

static void
load_subs(struct map *map, unsigned first, const struct fmt_fine *fine)
{
	unsigned unit = sub_blocks(map), n = 0, used = 0;

	for (unsigned c = first;
	     c < first + fine_page_chunks(map) && c < FMT_LEAF_CHUNKS; c++)
		for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i += unit, n++) {
			uint64_t address = fmt_sub_address(&fine->sub[n]);
			uint32_t birth = le32_get(&fine->sub[n].birth);
			used += address != 0 || birth != 0;
			if (map->chunk[c].type != FMT_FINE || address == 0 ||
			    address == FMT_SUB_POISON)
				continue;
			for (unsigned k = 0; k < unit; k++) {
				map->chunk[c].sub[i + k].address = address + k;
				map->chunk[c].sub[i + k].birth = birth;
			}
		}
	walk_check_used(&map->walk, (const uint8_t *)fine, used);
}

/* True if there was such a page. */
static bool
load_fine(
    struct map *map, uint64_t leaf, unsigned slot, const struct fmt_ptr *ptr)
{
	struct check *check = map->walk.check;
	struct check_walk fine = map->walk;
	uint8_t *buf = check->buffer[FMT_LEVELS_MAX];
	unsigned first = slot * fine_page_chunks(map);

	if (fmt_ptr_address(ptr) == 0)
		return false;
	if (map->walk.version->cow_shift == FMT_CHUNK_SHIFT ||
	    first >= FMT_LEAF_CHUNKS) {
		entry_damaged(map, leaf * FMT_LEAF_CHUNKS,
		    "a fine page where none can be");
		return true;
	}
	fine.type = FMT_PAGE_FINE;
	if (walk_read_page(&fine, ptr, 0, leaf * FMT_LEAF_FINE + slot, buf))
		load_subs(map, first, (const void *)buf);
	return true;
}

static bool
birth_is_sane(const struct map *map, uint32_t birth)
{
	return birth >= 1 && birth <= le32_get(&map->walk.check->super.epoch);
}

static bool
load_entry(
    struct map *map, uint64_t leaf, unsigned c, const struct fmt_entry *entry)
{
	uint64_t word = le64_get(&entry->word);
	struct chunk *chunk = &map->chunk[c];
	const char *wrong = NULL;

	*chunk = (struct chunk){.type = (uint8_t)fmt_word_type(word),
	    .mask = fmt_word_mask(word),
	    .birth = le32_get(&entry->birth),
	    .address = fmt_word_address(word)};
	if (chunk->type > FMT_POISON || chunk->type == FMT_COMPRESSED)
		wrong = "impossible type";
	else if (chunk->type == FMT_FINE &&
		 !check_has_snapshots(map->walk.check))
		wrong = "single blocks in a pool without snapshots";
	else if (chunk->type == FMT_COARSE && chunk->mask == 0)
		wrong = "a chunk of which nothing is valid";
	else if (chunk->type == FMT_COARSE && !birth_is_sane(map, chunk->birth))
		wrong = "impossible birth";
	else if (chunk->type == FMT_HOLE && word != 0)
		wrong = "a hole with contents";
	if (wrong != NULL) {
		entry_damaged(map, leaf * FMT_LEAF_CHUNKS + c, wrong);
		*chunk = (struct chunk){.type = FMT_HOLE};
	}
	return word != 0 || le32_get(&entry->birth) != 0;
}

static void
load_leaf(struct map *map, uint64_t index, const uint8_t *page)
{
	const struct fmt_leaf *leaf = (const void *)page;
	unsigned used = 0;

	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++)
		used += load_entry(map, index, c, &leaf->entry[c]);
	for (unsigned slot = 0; slot < FMT_LEAF_FINE; slot++)
		used += load_fine(map, index, slot, &leaf->fine[slot]);
	walk_check_used(&map->walk, page, used);
}

static unsigned
chunk_held(const struct chunk *chunk)
{
	unsigned held = 0;

	if (chunk->type == FMT_COARSE)
		return FMT_CHUNK_BLOCKS;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		held += chunk->type == FMT_FINE && chunk->sub[i].address != 0;
	return held;
}

static void
count_leaf(struct map *map)
{
	struct check_version *version = map->walk.version;

	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++) {
		const struct chunk *chunk = &map->chunk[c];
		unsigned held = chunk_held(chunk);
		version->held_seen += held;
		version->live_seen +=
		    chunk->type == FMT_COARSE
			? (unsigned)__builtin_popcount(chunk->mask)
			: held;
	}
}

/* ---- records applied to a leaf ---- */

/* Makes the chunk FINE as it is, so that single blocks can change. */
static void
chunk_refine(struct chunk *chunk)
{
	struct chunk old = *chunk;

	if (old.type == FMT_FINE)
		return;
	*chunk = (struct chunk){.type = FMT_FINE};
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		if (old.type != FMT_COARSE || !(old.mask >> i & 1))
			continue;
		chunk->sub[i].address = old.address + i;
		chunk->sub[i].birth = old.birth;
	}
}

static void
chunk_unmap(struct chunk *chunk, unsigned i)
{
	if (chunk->type == FMT_COARSE) {
		chunk->mask &= (uint16_t) ~(1u << i);
		if (chunk->mask == 0)
			*chunk = (struct chunk){.type = FMT_HOLE};
	} else if (chunk->type == FMT_FINE) {
		chunk->sub[i].address = 0;
	}
}

static void
apply_coarse(struct map *map, const struct check_record *record)
{
	struct chunk *chunk = &map->chunk[record->a % FMT_LEAF_CHUNKS];

	if (chunk->type == FMT_COARSE && chunk->address == record->b) {
		chunk->mask |= record->mask;
		return;
	}
	*chunk = (struct chunk){.type = FMT_COARSE,
	    .address = record->b,
	    .mask = record->mask,
	    .birth = le32_get(&map->walk.check->super.epoch)};
}

/* MAP_FINE or UNMAP: the blocks of the run that lie in this leaf. */
static void
apply_run(struct map *map, uint64_t leaf, const struct check_record *record)
{
	uint64_t at = record->a, begin = leaf * FMT_LEAF_BLOCKS;
	uint64_t end =
	    at + (record->type == FMT_UNMAP ? record->b
					    : record->b >> FMT_ADDRESS_BITS);

	if (at < begin)
		at = begin;
	if (end > begin + FMT_LEAF_BLOCKS)
		end = begin + FMT_LEAF_BLOCKS;
	for (; at < end; at++) {
		struct chunk *chunk =
		    &map->chunk[(at - begin) / FMT_CHUNK_BLOCKS];
		unsigned i = at % FMT_CHUNK_BLOCKS;
		if (record->type == FMT_UNMAP) {
			chunk_unmap(chunk, i);
			continue;
		}
		chunk_refine(chunk);
		chunk->sub[i].address =
		    (record->b & FMT_ADDRESS_MASK) + (at - record->a);
		chunk->sub[i].birth = le32_get(&map->walk.check->super.epoch);
	}
}

/* ---- which records ---- */

static uint32_t
wipe_record(const struct map *map, uint32_t heap_index)
{
	return map->walk.check->wipe[map->heap[heap_index]].record;
}

static void
heap_swap(struct map *map, uint32_t i, uint32_t k)
{
	uint32_t wipe = map->heap[i];
	map->heap[i] = map->heap[k];
	map->heap[k] = wipe;
}

static void
heap_push(struct map *map, uint32_t wipe)
{
	uint32_t i = map->heap_count++;

	map->heap[i] = wipe;
	while (i > 0 && wipe_record(map, i) > wipe_record(map, (i - 1) / 2)) {
		heap_swap(map, i, (i - 1) / 2);
		i = (i - 1) / 2;
	}
}

static void
heap_pop(struct map *map)
{
	uint32_t i = 0, best = 0;

	heap_swap(map, 0, --map->heap_count);
	do {
		i = best;
		for (uint32_t k = 2 * i + 1; k <= 2 * i + 2; k++)
			if (k < map->heap_count &&
			    wipe_record(map, k) > wipe_record(map, best))
				best = k;
		heap_swap(map, i, best);
	} while (best != i);
}

/* The number of records up to and with the last that emptied the leaf, which
 * is at or behind the last one asked for; 0: none did. */
static uint32_t
records_wiped(struct map *map, uint64_t leaf)
{
	const struct check *check = map->walk.check;

	for (; map->wipe < check->wipe_count; map->wipe++) {
		const struct check_wipe *wipe = &check->wipe[map->wipe];
		if (wipe->version != map->index || wipe->leaf > leaf)
			break;
		heap_push(map, map->wipe);
	}
	while (
	    map->heap_count > 0 && check->wipe[map->heap[0]].leaf_end <= leaf)
		heap_pop(map);
	return map->heap_count == 0 ? 0 : wipe_record(map, 0) + 1;
}

static void
apply_records(struct map *map, uint64_t leaf)
{
	const struct check *check = map->walk.check;
	uint32_t wiped = records_wiped(map, leaf);

	if (wiped > 0)
		memset(map->chunk, 0, FMT_LEAF_CHUNKS * sizeof(*map->chunk));
	for (; map->event < check->event_count; map->event++) {
		const struct check_event *event = &check->event[map->event];
		if (event->version != map->index || event->leaf != leaf)
			break;
		if (event->record < wiped)
			continue;
		if (check->record[event->record].type == FMT_MAP_COARSE)
			apply_coarse(map, &check->record[event->record]);
		else
			apply_run(map, leaf, &check->record[event->record]);
	}
}

/* ---- what is mapped then ---- */

static void
claim(struct map *map, uint64_t chunk, uint64_t address, unsigned run)
{
	struct check *check = map->walk.check;
	bool twice = false;

	if (!check_range_is(check, address, run, FMT_REGION_DATA)) {
		entry_damaged(map, chunk, "maps what is not for data");
		return;
	}
	for (unsigned i = 0; i < run; i++) {
		if (bits_get(&check->seen, address + i))
			twice = true;
		else
			check->report->data_blocks++;
		if (!bits_put(&check->seen, address + i, true))
			check->error = -ENOMEM;
	}
	/* versions of one family share blocks */
	if (twice && !check->has_families)
		check_find(check, CHECK_DAMAGE, "data.double",
		    "%s: chunk %llu: block %llu is used twice", map->what,
		    (unsigned long long)chunk, (unsigned long long)address);
}

static void
claim_subs(struct map *map, uint64_t index, const struct chunk *chunk)
{
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++) {
		if (chunk->sub[i].address == 0)
			continue;
		claim(map, index, chunk->sub[i].address, 1);
		if (!birth_is_sane(map, chunk->sub[i].birth))
			entry_damaged(map, index, "impossible birth");
	}
}

static uint16_t
chunk_valid(const struct chunk *chunk)
{
	unsigned mask = 0;

	if (chunk->type == FMT_COARSE)
		return chunk->mask;
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		if (chunk->type == FMT_FINE && chunk->sub[i].address != 0)
			mask |= 1u << i;
	return (uint16_t)mask;
}

static void
check_end(struct map *map, uint64_t index, const struct chunk *chunk)
{
	uint64_t blocks = map->walk.version->size_now / FMT_BLOCK;
	uint64_t first = index * FMT_CHUNK_BLOCKS;
	unsigned inside = first >= blocks ? 0
			  : blocks - first < FMT_CHUNK_BLOCKS
			      ? (unsigned)(blocks - first)
			      : FMT_CHUNK_BLOCKS;

	if (chunk_valid(chunk) >> inside != 0)
		check_find(map->walk.check, CHECK_DAMAGE, "map.beyond",
		    "%s: chunk %llu: data beyond the end", map->what,
		    (unsigned long long)index);
}

static void
claim_leaf(struct map *map, uint64_t leaf)
{
	const struct check_version *version = map->walk.version;
	bool dying = version->state_now == FMT_VERSION_DELETING;

	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++) {
		const struct chunk *chunk = &map->chunk[c];
		uint64_t index = leaf * FMT_LEAF_CHUNKS + c;
		if (dying && index < version->cursor_now)
			continue;
		if (chunk->type == FMT_COARSE &&
		    chunk->address % FMT_CHUNK_BLOCKS != 0)
			entry_damaged(map, index, "not at a chunk's address");
		else if (chunk->type == FMT_COARSE)
			claim(map, index, chunk->address, FMT_CHUNK_BLOCKS);
		else if (chunk->type == FMT_FINE)
			claim_subs(map, index, chunk);
		if (!dying)
			check_end(map, index, chunk);
	}
}

/* ---- all leaves ---- */

/* Leaves before this one that only the log knows. */
static void
leaves_of_log(struct map *map, uint64_t before)
{
	const struct check *check = map->walk.check;

	while (map->event < check->event_count) {
		const struct check_event *event = &check->event[map->event];
		if (event->version != map->index || event->leaf >= before)
			return;
		memset(map->chunk, 0, FMT_LEAF_CHUNKS * sizeof(*map->chunk));
		uint64_t leaf = event->leaf;
		apply_records(map, leaf);
		claim_leaf(map, leaf);
	}
}

static void
map_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	struct map *map = map_of(walk);

	leaves_of_log(map, index);
	load_leaf(map, index, page);
	count_leaf(map);
	apply_records(map, index);
	claim_leaf(map, index);
}

/* Pages that a deletion has left behind are free. */
static bool
map_done(const struct check_walk *walk, uint64_t end)
{
	const struct check_version *version = walk->version;

	return version->state == FMT_VERSION_DELETING &&
	       end * FMT_LEAF_CHUNKS <= version->cursor;
}

static void
verify_counts(struct map *map)
{
	const struct check_version *version = map->walk.version;

	if (version->state != FMT_VERSION_HEAD || map->walk.check->has_families)
		return;
	if (version->live != version->live_seen ||
	    version->held != version->held_seen)
		check_find(map->walk.check, CHECK_DAMAGE, "version.counts",
		    "%s: %llu blocks mapped and %llu held, recorded are %llu"
		    " and %llu",
		    map->what, (unsigned long long)version->live_seen,
		    (unsigned long long)version->held_seen,
		    (unsigned long long)version->live,
		    (unsigned long long)version->held);
}

static void
check_map(struct map *map, uint32_t index)
{
	struct check *check = map->walk.check;
	struct check_version *version = &check->version[index];

	map->index = index;
	map->heap_count = 0;
	map->walk.version = version;
	map->walk.family = version->family;
	map->walk.shared = check->has_families;
	map->walk.count =
	    (fmt_map_chunks(version->levels) + FMT_LEAF_CHUNKS - 1) /
	    FMT_LEAF_CHUNKS;
	snprintf(map->what, sizeof(map->what), "map of volume %llu (%s)",
	    (unsigned long long)version->id, version->name);
	walk_root(&map->walk, &version->root, version->levels);
	leaves_of_log(map, UINT64_MAX);
	while (map->wipe < check->wipe_count &&
	       check->wipe[map->wipe].version == index)
		map->wipe++;
	if (check->error == 0)
		verify_counts(map);
	if (version->state_now == FMT_VERSION_HEAD)
		check->report->volumes++;
}

void
check_maps(struct check *check)
{
	struct map map = {.walk = {.check = check,
			      .what = map.what,
			      .type = FMT_PAGE_MAP,
			      .leaf = map_leaf,
			      .done = map_done}};

	map.chunk = calloc(FMT_LEAF_CHUNKS, sizeof(*map.chunk));
	map.heap = calloc(check->wipe_count + 1, sizeof(*map.heap));
	if (map.chunk == NULL || map.heap == NULL)
		check->error = -ENOMEM;
	for (uint32_t i = 0; i < check->version_count && check->error == 0; i++)
		check_map(&map, i);
	free(map.chunk);
	free(map.heap);
}
