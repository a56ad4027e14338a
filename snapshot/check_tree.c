/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree of versions.  A parent that cannot be one is reported and then left
 * out: its child's map is walked as if it had none.
 */
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool
check_is_frozen(const struct check_version *version)
{
	return version->epoch != 0;
}

/* ---- parents ---- */

/* A parent that would be one: NULL, or what is wrong. */
static const char *
parent_verify(const struct check_version *v, const struct check_version *parent)
{
	if (parent->family != v->family)
		return "is of another family";
	if (parent->cow_shift != v->cow_shift)
		return "has another copy unit";
	if (!check_is_frozen(parent))
		return "is a volume";
	if (check_is_frozen(v) && v->epoch <= parent->epoch)
		return "is not older";
	return NULL;
}

static void
link_parent(struct check *check, struct check_version *v)
{
	struct check_version *parent = check_version_find(check, v->parent_id);
	const char *wrong;

	if (v->parent_id == 0)
		return;
	if (parent == NULL) {
		check_find(check, CHECK_DAMAGE, "version.parent",
		    "version %llu: parent %llu does not exist",
		    (unsigned long long)v->id,
		    (unsigned long long)v->parent_id);
		return;
	}
	if (parent == v) {
		check_find(check, CHECK_DAMAGE, "version.cycle",
		    "version %llu is its own parent",
		    (unsigned long long)v->id);
		return;
	}
	wrong = parent_verify(v, parent);
	if (wrong != NULL) {
		check_find(check, CHECK_DAMAGE, "version.family",
		    "version %llu: its parent %llu %s",
		    (unsigned long long)v->id, (unsigned long long)parent->id,
		    wrong);
		return;
	}
	v->parent = parent;
	parent->children++;
}

/* Chains of parents end: each is a snapshot, and older than its child.  Goes up
 * to the first whose depth is known, so each version is met twice at most. */
static void
version_find_depth(struct check_version *first)
{
	struct check_version *at = first;
	uint32_t path = 0;

	for (; at != NULL && at->depth == 0; at = at->parent)
		path++;
	path += at == NULL ? 0 : at->depth;
	for (at = first; at != NULL && at->depth == 0; at = at->parent)
		at->depth = path--;
}

static void
verify_children(struct check *check, const struct check_version *v)
{
	if (v->state == FMT_VERSION_DELETING && v->children > 1)
		check_find(check, CHECK_DAMAGE, "version.deleting",
		    "version %llu is being deleted, but has %u children",
		    (unsigned long long)v->id, v->children);
}

/* ---- equal among their kind ---- */

struct kind {
	bool (*is)(const struct check_version *version);
	int (*compare)(const void *a, const void *b);
	const char *code, *what;
};

static bool
is_head(const struct check_version *v)
{
	return v->state == FMT_VERSION_HEAD;
}

static bool
is_shown_head(const struct check_version *v)
{
	return is_head(v) && !(v->flags & FMT_VERSION_TRASHED);
}

static bool
is_shown_snap(const struct check_version *v)
{
	return v->state == FMT_VERSION_SNAP &&
	       !(v->flags & FMT_VERSION_TRASHED);
}

static bool
is_merged(const struct check_version *v)
{
	return v->state == FMT_VERSION_DELETING && v->children > 0;
}

static int
compare_name(const void *a, const void *b)
{
	const struct check_version *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static int
compare_origin_name(const void *a, const void *b)
{
	const struct check_version *const *x = a, *const *y = b;

	if ((*x)->origin != (*y)->origin)
		return (*x)->origin < (*y)->origin ? -1 : 1;
	return compare_name(a, b);
}

static int
compare_uuid(const void *a, const void *b)
{
	const struct check_version *const *x = a, *const *y = b;
	return memcmp((*x)->uuid, (*y)->uuid, sizeof((*x)->uuid));
}

static int
compare_family(const void *a, const void *b)
{
	const struct check_version *const *x = a, *const *y = b;
	return ((*x)->family > (*y)->family) - ((*x)->family < (*y)->family);
}

static const struct kind kinds[] = {
    {is_shown_head, compare_name, "version.name",
	"volumes %llu and %llu have the same name"},
    {is_shown_snap, compare_origin_name, "version.name",
	"snapshots %llu and %llu of one volume have the same name"},
    {is_head, compare_uuid, "version.uuid",
	"volumes %llu and %llu have the same uuid"},
    {is_merged, compare_family, "version.deleting",
	"versions %llu and %llu of one family are being deleted from between"
	" others"},
};

/* Two that are equal lie side by side when sorted by that. */
static void
verify_unique(struct check *check, const struct kind *kind)
{
	const struct check_version **sorted =
	    calloc(check->version_count, sizeof(*sorted));
	uint32_t count = 0;

	if (sorted == NULL) {
		check->error = -ENOMEM;
		return;
	}
	for (uint32_t i = 0; i < check->version_count; i++)
		if (kind->is(&check->version[i]))
			sorted[count++] = &check->version[i];
	qsort(sorted, count, sizeof(*sorted), kind->compare);
	for (uint32_t i = 1; i < count; i++)
		if (kind->compare(&sorted[i - 1], &sorted[i]) == 0)
			check_find(check, CHECK_DAMAGE, kind->code, kind->what,
			    (unsigned long long)sorted[i - 1]->id,
			    (unsigned long long)sorted[i]->id);
	free(sorted);
}

/* ---- what else a record refers to ---- */

/* They are in the order of their volumes. */
static uint32_t
newest_bookmark(const struct check *check, uint64_t volume)
{
	uint32_t first = 0, end = check->bookmark_count, newest = 0;

	while (first < end) {
		uint32_t middle = first + (end - first) / 2;
		if (check->bookmark[middle].volume < volume)
			first = middle + 1;
		else
			end = middle;
	}
	for (; first < check->bookmark_count; first++) {
		const struct check_bookmark *b = &check->bookmark[first];
		if (b->volume != volume)
			break;
		if (b->epoch > newest)
			newest = b->epoch;
	}
	return newest;
}

static int
compare_group(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;
	return (*x > *y) - (*x < *y);
}

static bool
group_exists(const struct check *check, uint64_t id)
{
	return check->group_count > 0 &&
	       bsearch(&id, check->group, check->group_count, sizeof(id),
		   compare_group) != NULL;
}

static void
verify_references(struct check *check, const struct check_version *v)
{
	uint32_t newest = is_head(v) ? newest_bookmark(check, v->id) : 0;

	if (v->group != 0 && !group_exists(check, v->group))
		check_find(check, CHECK_DAMAGE, "version.group",
		    "version %llu: group %llu does not exist",
		    (unsigned long long)v->id, (unsigned long long)v->group);
	if (is_head(v) && v->bookmark_epoch != newest)
		check_find(check, CHECK_DAMAGE, "bookmark.epoch",
		    "volume %llu: its newest bookmark is of epoch %u, recorded"
		    " is %u",
		    (unsigned long long)v->id, newest, v->bookmark_epoch);
}

void
check_version_tree(struct check *check)
{
	if (check->version_count == 0)
		return;
	for (uint32_t i = 0; i < check->version_count; i++)
		link_parent(check, &check->version[i]);
	for (uint32_t i = 0; i < check->version_count; i++)
		version_find_depth(&check->version[i]);
	for (uint32_t i = 0; i < check->version_count; i++) {
		verify_children(check, &check->version[i]);
		verify_references(check, &check->version[i]);
	}
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (check->error == 0)
			verify_unique(check, &kinds[i]);
}
