/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The maps of all versions, parents before their children.  check_map.h says
 * how one is walked.
 */
#include "base/assert.h"
#include "snapshot/check_map.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct check_sum nothing = {.known = true};
static const struct check_sum unknown = {.known = false};

static struct check_sum visit(struct map_walk *map, struct place *place);

/* ---- where a place is ---- */

static uint64_t
chunk_begin(const struct place *place)
{
	return place->index * level_reach(place->level) * FMT_LEAF_CHUNKS;
}

static uint64_t
chunk_end(const struct place *place)
{
	return (place->index + 1) * level_reach(place->level) * FMT_LEAF_CHUNKS;
}

static uint64_t
version_chunks(const struct check_version *version)
{
	return (version->size + FMT_CHUNK - 1) / FMT_CHUNK;
}

/* Has the version, which is being deleted, given it up? */
static bool
is_given_up(const struct check_version *version, const struct place *place)
{
	return version->state == FMT_VERSION_DELETING &&
	       chunk_end(place) <= version->cursor;
}

unsigned
map_parent_of(const struct map_walk *map, const struct place *place)
{
	return map->other[0] != NULL && is_given_up(map->other[0], place);
}

uint32_t
map_parent_epoch(const struct map_walk *map, unsigned which)
{
	return map->other[which] == NULL ? 0 : map->other[which]->epoch;
}

/* Does all of it have the same effective parent? */
static bool
is_uniform(const struct map_walk *map, const struct place *place)
{
	const struct check_version *parent = map->other[0];

	return parent == NULL || parent->state != FMT_VERSION_DELETING ||
	       chunk_begin(place) >= parent->cursor ||
	       chunk_end(place) <= parent->cursor;
}

/* ---- the pages beside ---- */

void
map_read_beside(struct map_walk *map, struct beside *beside, unsigned level,
    uint64_t index, const struct fmt_ptr *ours, const uint8_t *our_page,
    uint8_t *buf)
{
	beside->page = NULL;
	if (beside->state != BESIDE_PAGE)
		return;
	if (ours != NULL && memcmp(&beside->ptr, ours, sizeof(*ours)) == 0)
		beside->page = our_page;
	else if (walk_read_again(&map->walk, &beside->ptr, level, index, buf))
		beside->page = buf;
	else
		beside->state = BESIDE_UNKNOWN;
}

static struct beside
beside_of_ptr(const struct fmt_ptr *ptr)
{
	struct beside beside = {.state = BESIDE_PAGE, .ptr = *ptr};

	if (fmt_ptr_address(ptr) == 0)
		beside.state = BESIDE_NOTHING;
	return beside;
}

/* Of a page's child; a map with fewer levels begins at the left. */
static struct beside
beside_child(const struct check_version *other, const struct beside *beside,
    const struct place *child)
{
	if (other == NULL)
		return (struct beside){.state = BESIDE_NOTHING};
	if (child->level + 1 == other->levels && child->index == 0)
		return beside_of_ptr(&other->root);
	if (beside->page == NULL)
		return (struct beside){.state = beside->state};
	return beside_of_ptr(
	    &((const struct fmt_inner *)(const void *)beside->page)
		 ->ptr[child->index % FMT_FANOUT]);
}

/* At our root; a map with more levels has what we have at its left. */
static struct beside
beside_root(struct map_walk *map, unsigned which, unsigned level)
{
	const struct check_version *other = map->other[which];
	struct beside beside = {.state = BESIDE_NOTHING};

	if (other == NULL || other->levels - 1u < level)
		return beside;
	beside = beside_of_ptr(&other->root);
	for (unsigned at = other->levels - 1u; at > level; at--) {
		map_read_beside(
		    map, &beside, at, 0, NULL, NULL, map->page[at][1 + which]);
		if (beside.page == NULL)
			return beside;
		beside = beside_of_ptr(
		    &((const struct fmt_inner *)(const void *)beside.page)
			 ->ptr[0]);
	}
	return beside;
}

/* ---- what the version does not have ---- */

/* Everything that the parent holds here is lost. */
static void
visit_lost(
    struct map_walk *map, struct beside *beside, unsigned level, uint64_t index)
{
	const struct place place = {.level = level, .index = index};
	const struct fmt_inner *inner;

	if (map->other[0] == NULL || is_given_up(map->other[0], &place))
		return;
	map_read_beside(
	    map, beside, level, index, NULL, NULL, map->page[level][1]);
	if (beside->page == NULL || map->walk.check->error < 0)
		return;
	if (level == 0) {
		check_leaf_lost(map, beside, index);
		return;
	}
	inner = (const void *)beside->page;
	for (unsigned i = 0; i < FMT_FANOUT; i++) {
		struct beside child = beside_of_ptr(&inner->ptr[i]);
		visit_lost(map, &child, level - 1, index * FMT_FANOUT + i);
	}
}

/* A pointer that remembers when it became a hole, or never was anything. */
static struct check_sum
visit_hole(struct map_walk *map, struct place *place)
{
	if (le32_get(&place->ptr.birth) > place->bound)
		check_find(map->walk.check, CHECK_DAMAGE, "meta.pointer",
		    "%s: a hole that is too young (level %u, index %llu)",
		    map->what, place->level, (unsigned long long)place->index);
	visit_lost(map, &place->beside[0], place->level, place->index);
	return nothing;
}

/* ---- what it has ---- */

static struct check_sum
visit_children(struct map_walk *map, const struct place *place,
    const struct fmt_inner *inner)
{
	static const struct fmt_ptr none;
	struct check_sum sum = nothing;
	unsigned used = 0;

	for (unsigned i = 0; i < FMT_FANOUT; i++) {
		struct place child = {.level = place->level - 1,
		    .index = place->index * FMT_FANOUT + i,
		    .ptr = inner->ptr[i],
		    .bound = place->bound};
		bool empty = memcmp(&child.ptr, &none, sizeof(none)) == 0;
		used += !empty;
		for (unsigned k = 0; k < BESIDES; k++)
			child.beside[k] = beside_child(
			    map->other[k], &place->beside[k], &child);
		sum_add(&sum, visit(map, &child));
	}
	if (!place->again)
		walk_check_used(&map->walk, (const uint8_t *)inner, used);
	return sum;
}

static struct check_sum
visit_page(struct map_walk *map, struct place *place, unsigned which)
{
	const uint8_t *page = map->page[place->level][0];
	struct check_sum sum;

	for (unsigned k = 0; k < BESIDES; k++)
		map_read_beside(map, &place->beside[k], place->level,
		    place->index, &place->ptr, page,
		    map->page[place->level][1 + k]);
	if (place->level == 0)
		sum = check_leaf(map, place, page, which);
	else
		sum = visit_children(map, place, (const void *)page);
	/* what the version gave up is missing in it */
	if (sum.known && chunk_begin(place) >= map->version->cursor &&
	    !sums_put(
		&map->walk.check->sums, fmt_ptr_address(&place->ptr), sum))
		map->walk.check->error = -ENOMEM;
	return sum;
}

/* A subtree that is the parent's too, and as a whole. */
static struct check_sum
shared_sum(struct map_walk *map, const struct place *place)
{
	struct check_sum sum =
	    sums_get(&map->walk.check->sums, fmt_ptr_address(&place->ptr));

	if (sum.live > 0 && map->version->state != FMT_VERSION_DELETING &&
	    chunk_begin(place) >= version_chunks(map->version))
		check_find(map->walk.check, CHECK_DAMAGE, "map.beyond",
		    "%s: data beyond the end, shared with its parent (level"
		    " %u, index %llu)",
		    map->what, place->level, (unsigned long long)place->index);
	return sum;
}

static struct check_sum
visit_shared(struct map_walk *map, struct place *place, unsigned which)
{
	const struct beside *beside = &place->beside[which];
	uint64_t end = version_chunks(map->version);

	if (beside->state == BESIDE_UNKNOWN)
		return unknown;
	if (beside->state == BESIDE_NOTHING ||
	    memcmp(&beside->ptr, &place->ptr, sizeof(place->ptr)) != 0) {
		check_find(map->walk.check, CHECK_DAMAGE, "map.shared",
		    "%s: page at %llu (level %u, index %llu) is as old as its"
		    " parent, which has another one",
		    map->what, (unsigned long long)fmt_ptr_address(&place->ptr),
		    place->level, (unsigned long long)place->index);
		return unknown;
	}
	if (is_uniform(map, place) &&
	    (chunk_end(place) <= end || chunk_begin(place) >= end ||
		map->version->size >= map->other[which]->size))
		return shared_sum(map, place);
	if (!walk_read_again(&map->walk, &place->ptr, place->level,
		place->index, map->page[place->level][0]))
		return unknown;
	place->again = true;
	if (place->bound > map->other[which]->epoch)
		place->bound = map->other[which]->epoch;
	return visit_page(map, place, which);
}

bool
map_verify_ptr(struct check_walk *walk, const struct place *place)
{
	if (!walk_verify_ptr(walk, &place->ptr, place->level, place->index))
		return false;
	if (le32_get(&place->ptr.birth) <= place->bound)
		return true;
	check_find(walk->check, CHECK_DAMAGE, "meta.birth",
	    "%s: page at %llu (level %u, index %llu) was born after what it is"
	    " part of",
	    walk->what, (unsigned long long)fmt_ptr_address(&place->ptr),
	    place->level, (unsigned long long)place->index);
	return false;
}

/* Goes down at most FMT_LEVELS_MAX times: each call is one level lower. */
static struct check_sum
visit(struct map_walk *map, struct place *place)
{
	unsigned which = map_parent_of(map, place);

	if (map->walk.check->error < 0)
		return unknown;
	if (is_given_up(map->version, place))
		return nothing;
	if (fmt_ptr_address(&place->ptr) == 0)
		return visit_hole(map, place);
	if (!map_verify_ptr(&map->walk, place))
		return unknown;
	if (le32_get(&place->ptr.birth) <= map_parent_epoch(map, which))
		return visit_shared(map, place, which);
	if (!walk_read_page(&map->walk, &place->ptr, place->level, place->index,
		map->page[place->level][0]))
		return unknown;
	return visit_page(map, place, which);
}

/* ---- one version ---- */

static void
verify_counts(struct map_walk *map, struct check_sum sum)
{
	const struct check_version *version = map->version;

	if (version->state == FMT_VERSION_DELETING || !sum.known)
		return;
	if (version->live != sum.live || version->held != sum.held)
		check_find(map->walk.check, CHECK_DAMAGE, "version.counts",
		    "%s: %llu blocks mapped and %llu held, recorded are %llu"
		    " and %llu",
		    map->what, (unsigned long long)sum.live,
		    (unsigned long long)sum.held,
		    (unsigned long long)version->live,
		    (unsigned long long)version->held);
}

static const char *
state_name(const struct check_version *version)
{
	static const char *const names[FMT_VERSION_STATE_COUNT] = {
	    [FMT_VERSION_HEAD] = "volume",
	    [FMT_VERSION_SNAP] = "snapshot",
	    [FMT_VERSION_ZOMBIE] = "deleted snapshot",
	    [FMT_VERSION_DYING] = "deleted volume",
	    [FMT_VERSION_DELETING] = "deleted version",
	};

	return names[version->state];
}

static void
map_begin(struct map_walk *map, struct check_version *version)
{
	map->version = version;
	map->other[0] = version->parent;
	map->other[1] = NULL;
	if (version->parent != NULL &&
	    version->parent->state == FMT_VERSION_DELETING)
		map->other[1] = version->parent->parent;
	map->walk.family = version->family;
	map->walk.version = version;
	map->losses.count = 0;
	snprintf(map->what, sizeof(map->what), "%s %llu (%s)",
	    state_name(version), (unsigned long long)version->id,
	    version->name);
}

static void
check_map(struct map_walk *map, struct check_version *version)
{
	struct check *check = map->walk.check;
	struct place root = {.level = version->levels - 1u,
	    .ptr = version->root,
	    .bound = check_is_frozen(version) ? version->epoch
					      : le32_get(&check->super.epoch)};
	struct check_sum sum;

	map_begin(map, version);
	for (unsigned k = 0; k < BESIDES; k++)
		root.beside[k] = beside_root(map, k, root.level);
	sum = visit(map, &root);
	version->sum = sum;
	if (check->error < 0)
		return;
	verify_counts(map, sum);
	check_lost(check, version, sum.known ? &map->losses : NULL);
}

/* ---- all of them ---- */

static int
compare_order(const void *a, const void *b)
{
	const struct check_version *const *x = a, *const *y = b;

	if ((*x)->family != (*y)->family)
		return (*x)->family < (*y)->family ? -1 : 1;
	if ((*x)->depth != (*y)->depth)
		return (*x)->depth < (*y)->depth ? -1 : 1;
	return (*x)->id < (*y)->id ? -1 : 1;
}

static void
family_count(struct check_family *family, const struct check_version *version)
{
	if (version->state == FMT_VERSION_HEAD)
		family->volumes++;
	else if (version->state == FMT_VERSION_SNAP)
		family->snapshots++;
	else
		family->hidden++;
	if (version->state == FMT_VERSION_HEAD && family->name[0] == '\0')
		memcpy(family->name, version->name, sizeof(family->name));
}

static void
family_end(struct check *check, const struct check_family *family)
{
	struct check_report *report = check->report;
	struct check_family *room = check_grow(check, check->family,
	    check->family_count, &check->family_room, sizeof(*room));

	report->volumes += family->volumes;
	report->snapshots += family->snapshots;
	report->hidden += family->hidden;
	if (room == NULL)
		return;
	check->family = room;
	check->family[check->family_count++] = *family;
}

static void
check_family(
    struct map_walk *map, struct check_version **version, uint32_t count)
{
	struct check *check = map->walk.check;
	uint64_t blocks = check->report->data_blocks;
	uint64_t pages = check->report->pages;
	struct check_family family = {.id = version[0]->family};

	for (uint32_t i = 0; i < count && check->error == 0; i++) {
		check_map(map, version[i]);
		family_count(&family, version[i]);
	}
	family.data_blocks = check->report->data_blocks - blocks;
	family.map_pages = check->report->pages - pages;
	family_end(check, &family);
}

static void
families_walk(struct map_walk *map, struct check_version **order)
{
	struct check *check = map->walk.check;
	uint32_t count = check->version_count, end;

	for (uint32_t i = 0; i < count; i++)
		order[i] = &check->version[i];
	qsort(order, count, sizeof(order[0]), compare_order);
	for (uint32_t i = 0; i < count && check->error == 0; i = end) {
		end = i + 1;
		while (end < count && order[end]->family == order[i]->family)
			end++;
		check_family(map, &order[i], end - i);
	}
}

#define PAGES ((FMT_LEVELS_MAX + 1) * (1 + BESIDES))

static void
map_pages(struct map_walk *map, uint8_t *pages)
{
	for (unsigned k = 0; k < 1 + BESIDES; k++) {
		for (unsigned level = 0; level < FMT_LEVELS_MAX; level++) {
			map->page[level][k] = pages;
			pages += FMT_BLOCK;
		}
		map->fine[k] = pages;
		pages += FMT_BLOCK;
	}
}

void
check_families(struct check *check)
{
	struct map_walk map = {
	    .walk = {.check = check, .what = map.what, .type = FMT_PAGE_MAP}};
	uint8_t *pages = aligned_alloc(FMT_BLOCK, PAGES * FMT_BLOCK);
	struct check_version **order =
	    calloc(check->version_count + 1u, sizeof(order[0]));

	map.chunk = calloc(FMT_LEAF_CHUNKS, sizeof(*map.chunk));
	map.chunk_beside = calloc(FMT_LEAF_CHUNKS, sizeof(*map.chunk));
	if (pages == NULL || order == NULL || map.chunk == NULL ||
	    map.chunk_beside == NULL) {
		check->error = -ENOMEM;
	} else {
		map_pages(&map, pages);
		families_walk(&map, order);
	}
	free(pages);
	free(order);
	free(map.chunk);
	free(map.chunk_beside);
	free(map.losses.loss);
}
