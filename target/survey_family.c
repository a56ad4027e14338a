/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The part of a survey that looks at snapshots, the trash, groups, bookmarks
 * and jobs.
 */
#include "target/survey.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Room for one more element; arrays double when their count is a power of
 * two. */
static int
grow(void *array, unsigned count, size_t size)
{
	void **at = array, *larger;
	size_t room = count > 0 ? 2 * (size_t)count : 1;

	if ((count & (count - 1)) != 0)
		return 0;
	larger = reallocarray(*at, room, size);
	if (larger == NULL)
		return -ENOMEM;
	*at = larger;
	return 0;
}

/* Blocks that a LUN and its snapshots share are exclusive to none of them. */
uint64_t
survey_freed(const struct survey_lun *sl)
{
	const struct family_stat *f = &sl->family;

	if (sl->is_snapshot || sl->parent[0] != '\0')
		return f->exclusive + f->snap_held;
	return f->live + f->snap_held;
}

/* ---- what each LUN has ---- */

static int
snap_take(struct survey_pool *sp, struct volume *snap)
{
	int ret = grow(&sp->snaps, sp->snap_count, sizeof(*sp->snaps));

	if (ret == 0)
		survey_look(sp, snap, &sp->snaps[sp->snap_count++]);
	return ret;
}

static int
snaps_look_of(struct survey_pool *sp, struct volume *volume)
{
	const char *only = sp->survey->only_snap;
	struct volume *snap = NULL;
	int ret = 0;

	if (only[0] != '\0') {
		snap = snapshot_find(volume, only);
		return snap != NULL ? snap_take(sp, snap) : 0;
	}
	while (ret == 0 && (snap = snapshot_next(volume, snap)) != NULL)
		ret = snap_take(sp, snap);
	return ret;
}

static int
bookmarks_look_of(struct survey_pool *sp, struct volume *volume)
{
	struct survey_bookmark found;
	struct volume_stat stat;
	int ret;

	volume_stat_get(volume, &stat);
	snprintf(found.lun, sizeof(found.lun), "%s", stat.name);
	for (unsigned i = 0; bookmark_get(volume, i, &found.bookmark); i++) {
		ret = grow(
		    &sp->bookmarks, sp->bookmark_count, sizeof(*sp->bookmarks));
		if (ret < 0)
			return ret;
		sp->bookmarks[sp->bookmark_count++] = found;
	}
	return 0;
}

static int
totals_look_of(struct survey_pool *sp, struct volume *volume)
{
	struct family_stat stat;

	family_stat_get(volume, &stat);
	sp->totals.luns++;
	sp->totals.snaps += stat.snapshots;
	sp->totals.snap_held += stat.snap_held;
	return 0;
}

static bool
is_wanted(const struct survey_pool *sp, struct volume *volume)
{
	const char *only = sp->survey->only_lun;

	return only[0] == '\0' || volume_find(sp->pool, only) == volume;
}

/* ---- what the pool has ---- */

static int
trash_look(struct survey_pool *sp)
{
	struct volume *volume = NULL;

	while ((volume = trash_next(sp->pool, volume)) != NULL) {
		int ret = grow(&sp->trash, sp->trash_count, sizeof(*sp->trash));
		if (ret < 0)
			return ret;
		survey_look(sp, volume, &sp->trash[sp->trash_count++]);
	}
	return 0;
}

static int
trash_total(struct survey_pool *sp)
{
	struct volume *volume = NULL;
	struct survey_lun sl;

	while ((volume = trash_next(sp->pool, volume)) != NULL) {
		survey_look(sp, volume, &sl);
		sp->totals.trashed += survey_freed(&sl);
	}
	return 0;
}

static int
groups_look(struct survey_pool *sp)
{
	const char *name;

	for (unsigned i = 0; (name = group_name(sp->pool, i)) != NULL; i++) {
		int ret =
		    grow(&sp->groups, sp->group_count, sizeof(*sp->groups));
		if (ret < 0)
			return ret;
		snprintf(
		    sp->groups[sp->group_count++], REF_NAME_MAX, "%s", name);
	}
	return 0;
}

static int
jobs_look(struct survey_pool *sp)
{
	struct pool_job_stat job;

	for (unsigned i = 0; pool_job_get(sp->pool, i, &job); i++) {
		int ret = grow(&sp->jobs, sp->job_count, sizeof(*sp->jobs));
		if (ret < 0)
			return ret;
		sp->jobs[sp->job_count++] = job;
	}
	return 0;
}

static int
devices_look(struct survey_pool *sp)
{
	struct pool_device_stat device;

	for (unsigned i = 0; pool_device_get(sp->pool, i, &device); i++) {
		int ret =
		    grow(&sp->devices, sp->device_count, sizeof(*sp->devices));
		if (ret < 0)
			return ret;
		sp->devices[sp->device_count++] = device;
	}
	return 0;
}

/* clang-format off */
static const struct {
	unsigned flag;
	int (*lun)(struct survey_pool *sp, struct volume *volume);
	int (*pool)(struct survey_pool *sp);
} looks[] = {
	{ SURVEY_SNAPS,     snaps_look_of,     NULL },
	{ SURVEY_BOOKMARKS, bookmarks_look_of, NULL },
	{ SURVEY_TOTALS,    totals_look_of,    trash_total },
	{ SURVEY_TRASH,     NULL,              trash_look },
	{ SURVEY_GROUPS,    NULL,              groups_look },
	{ SURVEY_JOBS,      NULL,              jobs_look },
	{ SURVEY_DEVICES,   NULL,              devices_look },
};
/* clang-format on */

static int
each_lun(struct survey_pool *sp,
    int (*look)(struct survey_pool *sp, struct volume *volume))
{
	struct volume *volume = NULL;
	int ret = 0;

	while (ret == 0 && (volume = volume_next(sp->pool, volume)) != NULL) {
		if (is_wanted(sp, volume))
			ret = look(sp, volume);
	}
	return ret;
}

int
survey_look_family(struct survey_pool *sp)
{
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(looks) && ret == 0; i++) {
		if ((sp->survey->also & looks[i].flag) == 0)
			continue;
		if (looks[i].lun != NULL)
			ret = each_lun(sp, looks[i].lun);
		if (ret == 0 && looks[i].pool != NULL)
			ret = looks[i].pool(sp);
	}
	return ret;
}
