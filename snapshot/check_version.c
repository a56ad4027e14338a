/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of versions: each record by itself.  How they go together is the
 * matter of check_tree.c.
 */
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include "snapshot/pool.h"
#include <stdlib.h>
#include <string.h>

bool
check_has_snapshots(const struct check *check)
{
	return le64_get(&check->super.ro_compat) & FMT_RO_COMPAT_SNAPSHOTS;
}

static bool
version_is_snapshot(const struct fmt_version *v)
{
	return le64_get(&v->parent) != 0 || le32_get(&v->epoch) != 0 ||
	       v->state == FMT_VERSION_SNAP || v->state == FMT_VERSION_ZOMBIE;
}

/* What state and epoch say of each other: NULL, or what is wrong. */
static const char *
version_verify_epoch(const struct check *check, const struct fmt_version *v)
{
	uint32_t epoch = le32_get(&v->epoch);

	if (epoch >= le32_get(&check->super.epoch))
		return "epoch of the future";
	if (v->state == FMT_VERSION_HEAD || v->state == FMT_VERSION_DYING)
		return epoch == 0 ? NULL : "a volume with an epoch";
	if (v->state == FMT_VERSION_SNAP || v->state == FMT_VERSION_ZOMBIE)
		return epoch != 0 ? NULL : "a snapshot without an epoch";
	return NULL; /* DELETING: it was the one or the other */
}

static const char *
version_verify_map(const struct fmt_version *v)
{
	uint64_t size = le64_get(&v->size);

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
	return NULL;
}

static const char *
version_verify_limits(const struct fmt_version *v)
{
	uint64_t quota = le64_get(&v->quota), reserve = le64_get(&v->reserve);

	if (quota % FMT_BLOCK != 0 || quota > FMT_LIMIT_MAX)
		return "impossible quota";
	if (reserve % FMT_BLOCK != 0 || reserve > FMT_LIMIT_MAX)
		return "impossible reservation";
	if (reserve != 0 && v->cow_shift != FMT_BLOCK_SHIFT)
		return "a reservation that needs chunks";
	if ((quota != 0 || reserve != 0) &&
	    (v->state == FMT_VERSION_SNAP || v->state == FMT_VERSION_ZOMBIE))
		return "a snapshot with a quota or reservation";
	return NULL;
}

/* NULL: right in itself. */
static const char *
version_verify(const struct check *check, const struct fmt_version *v)
{
	const char *wrong;

	if (le64_get(&v->id) == 0 ||
	    le64_get(&v->id) >= le64_get(&check->super.next_version))
		return "impossible id";
	if (v->state >= FMT_VERSION_STATE_COUNT)
		return "impossible state";
	if (version_is_snapshot(v) && !check_has_snapshots(check))
		return "a snapshot in a pool without snapshots";
	wrong = version_verify_map(v);
	if (wrong == NULL)
		wrong = version_verify_epoch(check, v);
	if (wrong == NULL)
		wrong = version_verify_limits(v);
	if (wrong == NULL &&
	    !fmt_consistency_sane(v->state, le32_get(&v->flags)))
		wrong = "impossible consistency";
	if (wrong != NULL)
		return wrong;
	if (memchr(v->name, 0, sizeof(v->name)) == NULL)
		return "a name without end";
	if ((v->state == FMT_VERSION_HEAD || v->state == FMT_VERSION_SNAP) &&
	    !pool_name_valid(v->name))
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
	    .parent_id = le64_get(&v->parent),
	    .origin = le64_get(&v->origin),
	    .group = le64_get(&v->group),
	    .root = v->root,
	    .state = v->state,
	    .levels = v->levels,
	    .cow_shift = v->cow_shift,
	    .epoch = le32_get(&v->epoch),
	    .bookmark_epoch = le32_get(&v->bookmark_epoch),
	    .flags = le32_get(&v->flags),
	    .size = le64_get(&v->size),
	    .cursor = le64_get(&v->cursor),
	    .live = le64_get(&v->live_blocks),
	    .held = le64_get(&v->held_blocks),
	    .account = le64_get(&v->account) != 0
			   ? (uint32_t)le64_get(&v->account)
			   : (uint32_t)le64_get(&v->id),
	};
	memcpy(version->uuid, v->uuid, sizeof(version->uuid));
	memcpy(version->name, v->name, sizeof(version->name));
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
		uint64_t slot = index * FMT_PAGE_VERSIONS_COUNT + i;
		const char *wrong;

		if (memcmp(v, &nothing, sizeof(nothing)) == 0)
			continue;
		used++;
		wrong = v->state == FMT_VERSION_NONE
			    ? "an unused slot with contents"
			    : version_verify(walk->check, v);
		if (slot >= slots)
			wrong = "beyond the slots that the superblock knows";
		if (wrong == NULL)
			version_take(walk->check, v);
		else
			check_find(walk->check, CHECK_DAMAGE, "version.record",
			    "version in slot %llu: %s",
			    (unsigned long long)slot, wrong);
	}
	walk_check_used(walk, page, used);
}

static int
version_compare_id(const void *a, const void *b)
{
	const struct check_version *x = a, *y = b;
	return (x->id > y->id) - (x->id < y->id);
}

struct check_version *
check_version_find(const struct check *check, uint64_t id)
{
	struct check_version key = {.id = id};

	if (check->version_count == 0)
		return NULL;
	return bsearch(&key, check->version, check->version_count, sizeof(key),
	    version_compare_id);
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
check_table(struct check_walk *walk, const struct fmt_root *root,
    unsigned per_page, const char *code)
{
	uint64_t slots = le64_get(&root->count);

	walk->count = slots / per_page + (slots % per_page != 0);
	if (slots > FMT_VERSIONS_MAX ||
	    slots > walk->check->blocks * per_page ||
	    (root->levels > 0 && fmt_tree_levels(walk->count) > root->levels))
		check_find(walk->check, CHECK_DAMAGE, code,
		    "%s: %llu slots are more than it can hold", walk->what,
		    (unsigned long long)slots);
	walk_root(walk, &root->ptr, root->levels);
}

void
check_versions(struct check *check)
{
	struct check_walk walk = {.check = check,
	    .what = "version table",
	    .type = FMT_PAGE_VERSIONS,
	    .leaf = versions_leaf};

	check_table(&walk, &check->super.versions, FMT_PAGE_VERSIONS_COUNT,
	    "version.count");
	if (check->version_count == 0 || check->error < 0)
		return;
	qsort(check->version, check->version_count, sizeof(check->version[0]),
	    version_compare_id);
	versions_verify_ids(check);
}
