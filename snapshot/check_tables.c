/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables of regions and of versions.
 */
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include "snapshot/pool.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- regions ---- */

/* Where the superblock says the log is, for regions that cannot be read. */
static bool
region_holds_log(const struct check *check, uint64_t r)
{
	const struct fmt_super *super = &check->super;
	uint64_t per = le32_get(&super->region_blocks);
	uint64_t start = le64_get(&super->log_start);
	uint64_t end = start + le64_get(&super->log_blocks);

	return (r + 1) * per > start && r * per < end;
}

static bool
region_place_is_sane(
    const struct check *check, unsigned device, uint32_t device_region)
{
	return device < le32_get(&check->super.device_count) &&
	       device_region < le64_get(&check->super.device[device].regions);
}

static bool
region_is_sane(
    const struct check *check, uint64_t r, const struct fmt_region *region)
{
	unsigned mirror = le16_get(&region->mirror_device);

	if (region->class >= FMT_REGION_CLASS_COUNT)
		return false;
	if (region->class == FMT_REGION_LOG && !region_holds_log(check, r))
		return false;
	if (region->class != FMT_REGION_LOG && region_holds_log(check, r))
		return false;
	if (mirror != FMT_NO_DEVICE && !region_place_is_sane(check, mirror,
					   le32_get(&region->mirror_region)))
		return false;
	return region_place_is_sane(
	    check, le16_get(&region->device), le32_get(&region->device_region));
}

static void
region_take(struct check *check, uint64_t r, const struct fmt_region *on_disk)
{
	struct check_region *region = &check->region[r];

	if (!region_is_sane(check, r, on_disk)) {
		check_find(check, CHECK_DAMAGE, "region.entry",
		    "region %llu: impossible class or place",
		    (unsigned long long)r);
		return;
	}
	region->class = region->class_now = on_disk->class;
	region->device = le16_get(&on_disk->device);
	region->mirror = le16_get(&on_disk->mirror_device);
	region->device_region = le32_get(&on_disk->device_region);
	region->mirror_region = le32_get(&on_disk->mirror_region);
	region->free_blocks = le32_get(&on_disk->free_blocks);
	region->free_chunks = le32_get(&on_disk->free_chunks);
}

static void
regions_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	static const struct fmt_region nothing;
	const struct fmt_region_page *p = (const void *)page;
	uint64_t count = le64_get(&walk->check->super.region_count);
	unsigned used = 0;

	for (unsigned i = 0; i < FMT_PAGE_REGIONS_COUNT; i++) {
		uint64_t r = index * FMT_PAGE_REGIONS_COUNT + i;
		if (memcmp(&p->region[i], &nothing, sizeof(nothing)) != 0)
			used++;
		if (r < count)
			region_take(walk->check, r, &p->region[i]);
	}
	walk_check_used(walk, page, used);
}

void
check_region_page_keep(struct check *check, uint64_t address)
{
	uint64_t *room = check_grow(check, check->region_page,
	    check->region_page_count, &check->region_page_room, sizeof(*room));

	if (room == NULL)
		return;
	check->region_page = room;
	check->region_page[check->region_page_count++] = address;
}

/* Which region is the n-th of a device: 1 + its number, or 0. */
struct places {
	uint32_t *region;
	uint64_t first[FMT_DEVICE_MAX]; /* index of the device's region 0 */
};

static int
places_init(struct check *check, struct places *places)
{
	uint64_t total = 0;

	for (uint32_t d = 0; d < le32_get(&check->super.device_count); d++) {
		places->first[d] = total;
		total += le64_get(&check->super.device[d].regions);
	}
	places->region = calloc(total, sizeof(*places->region));
	return places->region == NULL ? -ENOMEM : 0;
}

/* Each place on a device belongs to one region. */
static void
places_fill(struct check *check, struct places *places)
{
	uint64_t count = le64_get(&check->super.region_count);

	for (uint64_t r = 0; r < count; r++) {
		const struct check_region *region = &check->region[r];
		uint32_t *place =
		    &places->region[places->first[region->device] +
				    region->device_region];
		if (*place != 0)
			check_find(check, CHECK_DAMAGE, "region.double",
			    "regions %u and %llu lie in the same place",
			    *place - 1, (unsigned long long)r);
		*place = (uint32_t)r + 1;
	}
}

/* The tree's own pages, now that their places have addresses. */
static void
places_claim_pages(
    struct check *check, struct check_walk *walk, const struct places *places)
{
	uint32_t per = le32_get(&check->super.region_blocks);
	const uint64_t head = FMT_DEVICE_HEAD / FMT_BLOCK;

	for (uint32_t i = 0; i < check->region_page_count; i++) {
		uint64_t device = check->region_page[i] >> FMT_DEVICE_SHIFT;
		uint64_t block =
		    check->region_page[i] & ((1ull << FMT_DEVICE_SHIFT) - 1);
		uint64_t n = block < head ? UINT64_MAX : (block - head) / per;
		uint32_t region = 0;

		if (device < le32_get(&check->super.device_count) &&
		    n < le64_get(&check->super.device[device].regions))
			region = places->region[places->first[device] + n];
		if (region == 0)
			check_find(check, CHECK_DAMAGE, "region.page",
			    "a page of the region map lies in no region");
		else
			walk_claim_page(walk,
			    (uint64_t)(region - 1) * per + (block - head) % per,
			    0, i);
	}
}

static void
regions_verify_places(struct check *check, struct check_walk *walk)
{
	struct places places;

	if (places_init(check, &places) < 0) {
		check->error = -ENOMEM;
		return;
	}
	places_fill(check, &places);
	places_claim_pages(check, walk, &places);
	free(places.region);
}

void
check_regions(struct check *check)
{
	const struct fmt_root *root = &check->super.regions;
	uint64_t count = le64_get(&check->super.region_count);
	struct check_walk walk = {.check = check,
	    .what = "region map",
	    .type = FMT_PAGE_REGIONS,
	    .by_device = true,
	    .count =
		(count + FMT_PAGE_REGIONS_COUNT - 1) / FMT_PAGE_REGIONS_COUNT,
	    .leaf = regions_leaf};

	for (uint64_t r = 0; r < count; r++)
		check->region[r].mirror = FMT_NO_DEVICE;
	if (le64_get(&root->count) != count)
		check_find(check, CHECK_DAMAGE, "region.count",
		    "the region map is for %llu of %llu regions",
		    (unsigned long long)le64_get(&root->count),
		    (unsigned long long)count);
	walk_root(&walk, &root->ptr, root->levels);
	if (check->error == 0)
		regions_verify_places(check, &walk);
}

/* ---- versions ---- */

static bool
version_is_snapshot(const struct fmt_version *v)
{
	return le64_get(&v->parent) != 0 ||
	       (v->state != FMT_VERSION_HEAD &&
		   v->state != FMT_VERSION_DELETING);
}

bool
check_has_snapshots(const struct check *check)
{
	return le64_get(&check->super.ro_compat) & FMT_RO_COMPAT_SNAPSHOTS;
}

/* NULL: right in itself. */
static const char *
version_verify(const struct check *check, const struct fmt_version *v)
{
	uint64_t size = le64_get(&v->size);

	if (le64_get(&v->id) == 0 ||
	    le64_get(&v->id) >= le64_get(&check->super.next_version))
		return "impossible id";
	if (v->state >= FMT_VERSION_STATE_COUNT)
		return "impossible state";
	if (version_is_snapshot(v) && !check_has_snapshots(check))
		return "a snapshot in a pool without snapshots";
	if (size == 0 || size % FMT_BLOCK != 0 || size > FMT_VOLUME_MAX)
		return "impossible size";
	if (v->levels < fmt_map_levels(size) || v->levels > FMT_MAP_LEVELS_MAX)
		return "impossible number of levels";
	if (v->block_shift != 9 && v->block_shift != 12)
		return "impossible block size";
	if (v->cow_shift != 12 && v->cow_shift != 14 && v->cow_shift != 16)
		return "impossible copy unit";
	if (le64_get(&v->live_blocks) > le64_get(&v->held_blocks))
		return "more blocks mapped than held";
	if (le64_get(&v->cursor) != 0 && v->state != FMT_VERSION_DELETING)
		return "a cursor, but it is not being deleted";
	if (le32_get(&v->epoch) >= le32_get(&check->super.epoch))
		return "epoch of the future";
	if (memchr(v->name, 0, sizeof(v->name)) == NULL ||
	    (v->state == FMT_VERSION_HEAD && !pool_name_valid(v->name)))
		return "impossible name";
	return NULL;
}

static void
version_take(struct check *check, const struct fmt_version *v)
{
	void *room = check_grow(check, check->version, check->version_count,
	    &check->version_room, sizeof(check->version[0]));
	if (room == NULL)
		return;
	check->version = room;
	struct check_version *version = &check->version[check->version_count++];
	*version = (struct check_version){
	    .id = le64_get(&v->id),
	    .family = le64_get(&v->family),
	    .parent = le64_get(&v->parent),
	    .root = v->root,
	    .state = v->state,
	    .state_now = v->state,
	    .levels = v->levels,
	    .levels_now = v->levels,
	    .cow_shift = v->cow_shift,
	    .epoch = le32_get(&v->epoch),
	    .size = le64_get(&v->size),
	    .size_now = le64_get(&v->size),
	    .cursor = le64_get(&v->cursor),
	    .cursor_now = le64_get(&v->cursor),
	    .live = le64_get(&v->live_blocks),
	    .held = le64_get(&v->held_blocks),
	};
	memcpy(version->uuid, v->uuid, sizeof(version->uuid));
	memcpy(version->name, v->name, sizeof(version->name));
	version->name[FMT_NAME - 1] = '\0';
}

static void
versions_leaf(struct check_walk *walk, uint64_t index, const uint8_t *page)
{
	static const struct fmt_version nothing;
	const struct fmt_version_page *p = (const void *)page;
	uint64_t slots = le64_get(&walk->check->super.versions.count);
	unsigned used = 0;

	for (unsigned i = 0; i < FMT_PAGE_VERSIONS_COUNT; i++) {
		const struct fmt_version *v = &p->version[i];
		const char *wrong;

		if (memcmp(v, &nothing, sizeof(nothing)) == 0)
			continue;
		used++;
		wrong = v->state == FMT_VERSION_NONE
			    ? "an unused slot with contents"
			    : version_verify(walk->check, v);
		if (index * FMT_PAGE_VERSIONS_COUNT + i >= slots)
			wrong = "beyond the slots that the superblock knows";
		if (wrong == NULL)
			version_take(walk->check, v);
		else
			check_find(walk->check, CHECK_DAMAGE, "version.record",
			    "version in slot %llu: %s",
			    (unsigned long long)index *
				    FMT_PAGE_VERSIONS_COUNT +
				i,
			    wrong);
	}
	walk_check_used(walk, page, used);
}

static int
version_compare_id(const void *a, const void *b)
{
	const struct check_version *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

static int
version_compare_name(const void *a, const void *b)
{
	const struct check_version *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static int
version_compare_uuid(const void *a, const void *b)
{
	const struct check_version *const *x = a, *const *y = b;
	return memcmp((*x)->uuid, (*y)->uuid, sizeof((*x)->uuid));
}

uint32_t
check_version_find(const struct check *check, uint64_t id)
{
	struct check_version key = {.id = id};
	const struct check_version *found =
	    check->version_count == 0
		? NULL
		: bsearch(&key, check->version, check->version_count,
		      sizeof(key), version_compare_id);

	return found == NULL ? UINT32_MAX : (uint32_t)(found - check->version);
}

/* Two that are equal lie side by side when sorted by that. */
static void
versions_verify_unique(struct check *check,
    int (*compare)(const void *, const void *), const char *code,
    const char *what)
{
	const struct check_version **sorted =
	    calloc(check->version_count, sizeof(*sorted));
	uint32_t count = 0;

	if (sorted == NULL) {
		check->error = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < check->version_count; i++)
		if (check->version[i].state == FMT_VERSION_HEAD)
			sorted[count++] = &check->version[i];
	qsort(sorted, count, sizeof(*sorted), compare);
	for (uint32_t i = 1; i < count; i++)
		if (compare(&sorted[i - 1], &sorted[i]) == 0)
			check_find(check, CHECK_DAMAGE, code,
			    "volumes %llu and %llu have the same %s",
			    (unsigned long long)sorted[i - 1]->id,
			    (unsigned long long)sorted[i]->id, what);
	free(sorted);
}

/* Follows the chain of parents from v until one that is known to end well.
 * Each version is walked through twice at most, whatever the chains are. */
enum chain { UNKNOWN, ON_PATH, ENDS };

static void
version_verify_chain(struct check *check, uint32_t first, uint8_t *chain)
{
	uint32_t at = first;

	while (at != UINT32_MAX && chain[at] == UNKNOWN) {
		const struct check_version *v = &check->version[at];
		chain[at] = ON_PATH;
		at = check_version_find(check, v->parent);
		if (at == UINT32_MAX && v->parent != 0)
			check_find(check, CHECK_DAMAGE, "version.parent",
			    "version %llu: parent %llu does not exist",
			    (unsigned long long)v->id,
			    (unsigned long long)v->parent);
	}
	if (at != UINT32_MAX && chain[at] == ON_PATH)
		check_find(check, CHECK_DAMAGE, "version.cycle",
		    "version %llu is its own ancestor",
		    (unsigned long long)check->version[at].id);
	for (at = first; at != UINT32_MAX && chain[at] == ON_PATH;
	     at = check_version_find(check, check->version[at].parent))
		chain[at] = ENDS;
}

static void
versions_verify_chains(struct check *check)
{
	uint8_t *chain = calloc(check->version_count, 1);

	if (chain == NULL) {
		check->error = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < check->version_count; i++)
		version_verify_chain(check, i, chain);
	free(chain);
}

static void
versions_verify_families(struct check *check)
{
	for (uint32_t i = 0; i < check->version_count; i++) {
		const struct check_version *v = &check->version[i];
		uint32_t parent = check_version_find(check, v->parent);

		if (v->parent != 0)
			check->has_families = true;
		if (parent != UINT32_MAX &&
		    check->version[parent].family != v->family)
			check_find(check, CHECK_DAMAGE, "version.family",
			    "version %llu and its parent differ in family",
			    (unsigned long long)v->id);
	}
}

static void
versions_verify_ids(struct check *check)
{
	for (uint32_t i = 1; i < check->version_count; i++)
		if (check->version[i - 1].id == check->version[i].id)
			check_find(check, CHECK_DAMAGE, "version.double",
			    "two versions have the id %llu",
			    (unsigned long long)check->version[i].id);
}

void
check_versions(struct check *check)
{
	const struct fmt_root *root = &check->super.versions;
	uint64_t slots = le64_get(&root->count);
	struct check_walk walk = {.check = check,
	    .what = "version table",
	    .type = FMT_PAGE_VERSIONS,
	    .count = slots / FMT_PAGE_VERSIONS_COUNT +
		     (slots % FMT_PAGE_VERSIONS_COUNT != 0),
	    .leaf = versions_leaf};

	if (slots > FMT_VERSIONS_MAX ||
	    slots > check->blocks * FMT_PAGE_VERSIONS_COUNT ||
	    fmt_tree_levels(walk.count) > root->levels)
		check_find(check, CHECK_DAMAGE, "version.count",
		    "%llu slots for versions are more than their table can "
		    "hold",
		    (unsigned long long)slots);
	walk_root(&walk, &root->ptr, root->levels);
	if (check->version_count == 0 || check->error < 0)
		return;
	qsort(check->version, check->version_count, sizeof(check->version[0]),
	    version_compare_id);
	versions_verify_ids(check);
	versions_verify_unique(
	    check, version_compare_name, "version.name", "name");
	versions_verify_unique(
	    check, version_compare_uuid, "version.uuid", "uuid");
	versions_verify_families(check);
	versions_verify_chains(check);
}
