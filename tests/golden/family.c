/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The steps that version 0.2 has brought.
 */
#include "tests/golden/golden.h"
#include <string.h>

static struct volume *
lun_of(struct golden *golden, const char *snap)
{
	return snapshot_volume(golden_find(golden, snap));
}

void
golden_snap(struct golden *golden, const char *lun, const char *name)
{
	const struct snapshot_params params = {.name = name};
	struct volume *volume = golden_find(golden, lun);

	GOLDEN_ASK(golden, snapshot_create, golden->pool, &volume, 1, &params);
}

void
golden_hold(struct golden *golden, const char *snap)
{
	GOLDEN_ASK(golden, snapshot_hold, golden->pool,
	    golden_find(golden, snap), true);
}

void
golden_clone(struct golden *golden, const char *snap, const char *name)
{
	const struct volume_params params = {.name = name};

	GOLDEN_ASK(golden, volume_clone, golden->pool,
	    golden_find(golden, snap), &params);
}

void
golden_rollback(struct golden *golden, const char *snap, const char *keep)
{
	GOLDEN_ASK(golden, volume_rollback, golden->pool, lun_of(golden, snap),
	    golden_find(golden, snap), keep);
}

void
golden_bookmark(struct golden *golden, const char *snap, const char *name)
{
	GOLDEN_ASK(golden, bookmark_create, golden->pool, lun_of(golden, snap),
	    golden_find(golden, snap), name);
}

void
golden_group(struct golden *golden, const char *name, const char *const *luns,
    unsigned count)
{
	struct volume *volume[STORY_WORDS];

	for (unsigned i = 0; i < count; i++)
		volume[i] = golden_find(golden, luns[i]);
	GOLDEN_ASK(golden, group_create, golden->pool, name, volume, count);
}

void
golden_trash(struct golden *golden, const char *lun)
{
	GOLDEN_ASK(
	    golden, volume_trash, golden->pool, golden_find(golden, lun));
}

void
golden_restore(struct golden *golden, const char *lun)
{
	struct volume *volume = NULL;
	struct volume_stat stat;

	while ((volume = trash_next(golden->pool, volume)) != NULL) {
		volume_stat_get(volume, &stat);
		if (strcmp(stat.name, lun) == 0)
			break;
	}
	if (volume == NULL)
		golden_die("no %s in the trash", lun);
	GOLDEN_ASK(golden, volume_restore, golden->pool, volume, NULL);
}
