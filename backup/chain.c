/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/chain.h"
#include "base/assert.h"
#include <stdlib.h>
#include <string.h>

void
backup_points_free(struct backup_points *points)
{
	free(points->list);
	*points = (struct backup_points){NULL, 0};
}

void
backup_points_add(
    struct backup_points *points, const struct backup_point *point)
{
	unsigned at = points->count;

	points->list = reallocarray(
	    points->list, points->count + 1, sizeof(*points->list));
	assert(points->list != NULL);
	for (; at > 0 && points->list[at - 1].number > point->number; at--)
		points->list[at] = points->list[at - 1];
	points->list[at] = *point;
	points->count++;
}

const struct backup_point *
backup_points_find(const struct backup_points *points, const char *name_or_uuid)
{
	for (unsigned i = points->count; i-- > 0;) {
		const struct backup_point *point = &points->list[i];
		if (strcmp(point->name, name_or_uuid) == 0 ||
		    strcmp(point->uuid, name_or_uuid) == 0)
			return point;
	}
	return NULL;
}

bool
backup_points_clash(
    const struct backup_points *points, const struct backup_point *point)
{
	for (unsigned i = 0; i < points->count; i++) {
		const struct backup_point *other = &points->list[i];
		if (other != point &&
		    (other->number == point->number ||
			strcmp(other->uuid, point->uuid) == 0))
			return true;
	}
	return false;
}

/* Numbers rise along a chain, so it ends. */
const struct backup_point *
backup_base_of(
    const struct backup_points *points, const struct backup_point *point)
{
	if (point->base_uuid[0] == '\0')
		return NULL;
	for (unsigned i = points->count; i-- > 0;) {
		const struct backup_point *base = &points->list[i];
		if (base->number < point->number &&
		    strcmp(base->uuid, point->base_uuid) == 0)
			return base;
	}
	return NULL;
}

bool
backup_chain_of(const struct backup_points *points,
    const struct backup_point *point, struct backup_chain *ret_chain,
    const struct backup_point **ret_missing)
{
	const struct backup_point *base, *at = point;
	unsigned count = 1;

	while ((base = backup_base_of(points, at)) != NULL) {
		assert(base->number < at->number);
		at = base;
		count++;
	}
	*ret_missing = at->base_uuid[0] != '\0' ? at : NULL;
	ret_chain->count = count;
	ret_chain->list = calloc(count, sizeof(*ret_chain->list));
	assert(ret_chain->list != NULL);
	for (at = point; count-- > 0; at = backup_base_of(points, at))
		ret_chain->list[count] = at;
	return *ret_missing == NULL;
}
