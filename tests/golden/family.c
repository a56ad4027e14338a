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
	struct golden_wait wait = golden_wait_new();

	snapshot_create(golden->pool, &volume, 1, &params, &wait.request);
	golden_wait_end(golden, &wait, "snapshot_create");
}

void
golden_hold(struct golden *golden, const char *snap)
{
	struct golden_wait wait = golden_wait_new();

	snapshot_hold(
	    golden->pool, golden_find(golden, snap), true, &wait.request);
	golden_wait_end(golden, &wait, "snapshot_hold");
}

void
golden_clone(struct golden *golden, const char *snap, const char *name)
{
	const struct volume_params params = {.name = name};
	struct golden_wait wait = golden_wait_new();

	volume_clone(
	    golden->pool, golden_find(golden, snap), &params, &wait.request);
	golden_wait_end(golden, &wait, "volume_clone");
}

void
golden_rollback(struct golden *golden, const char *snap, const char *keep)
{
	struct golden_wait wait = golden_wait_new();

	volume_rollback(golden->pool, lun_of(golden, snap),
	    golden_find(golden, snap), keep, &wait.request);
	golden_wait_end(golden, &wait, "volume_rollback");
}

void
golden_bookmark(struct golden *golden, const char *snap, const char *name)
{
	struct golden_wait wait = golden_wait_new();

	bookmark_create(golden->pool, lun_of(golden, snap),
	    golden_find(golden, snap), name, &wait.request);
	golden_wait_end(golden, &wait, "bookmark_create");
}

void
golden_group(struct golden *golden, const char *name, const char *const *luns,
    unsigned count)
{
	struct golden_wait wait = golden_wait_new();
	struct volume *volume[STORY_WORDS];

	for (unsigned i = 0; i < count; i++)
		volume[i] = golden_find(golden, luns[i]);
	group_create(golden->pool, name, volume, count, &wait.request);
	golden_wait_end(golden, &wait, "group_create");
}

void
golden_trash(struct golden *golden, const char *lun)
{
	struct golden_wait wait = golden_wait_new();

	volume_trash(golden->pool, golden_find(golden, lun), &wait.request);
	golden_wait_end(golden, &wait, "volume_trash");
}

void
golden_restore(struct golden *golden, const char *lun)
{
	struct golden_wait wait = golden_wait_new();
	struct volume *volume = NULL;
	struct volume_stat stat;

	while ((volume = trash_next(golden->pool, volume)) != NULL) {
		volume_stat_get(volume, &stat);
		if (strcmp(stat.name, lun) == 0)
			break;
	}
	if (volume == NULL)
		golden_die("no %s in the trash", lun);
	volume_restore(golden->pool, volume, NULL, &wait.request);
	golden_wait_end(golden, &wait, "volume_restore");
}
