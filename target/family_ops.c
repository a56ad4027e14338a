/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/family_ops.h"
#include <errno.h>

static int
trash_run(struct change *change, struct volume *volume)
{
	volume_trash(change->pool, volume, &change->pool_request);
	return CHANGE_STARTED;
}

const struct change_op op_trash = {.run = trash_run};

/* A LUN's snapshots first: each is a version of its own, and without their LUN
 * they would have no name to be deleted by.  True: it was the last. */
static bool
delete_next(struct change *change, struct volume *volume)
{
	struct volume *snap = NULL;

	if (!volume_is_snapshot(volume))
		snap = snapshot_next(volume, NULL);
	change_delete(change, snap != NULL ? snap : volume);
	return snap == NULL;
}

static int
delete_all_run(struct change *change, struct volume *volume)
{
	if (volume == NULL || change->flag)
		return CHANGE_DONE;
	change->flag = delete_next(change, volume);
	return CHANGE_STARTED;
}

const struct change_op op_delete_all = {.run = delete_all_run, .repeats = true};

static bool
is_held(struct volume *volume)
{
	struct family_stat stat;
	struct volume *snap = NULL;

	family_stat_get(volume, &stat);
	if (stat.hold)
		return true;
	if (volume_is_snapshot(volume))
		return false;
	while ((snap = snapshot_next(volume, snap)) != NULL) {
		family_stat_get(snap, &stat);
		if (stat.hold)
			return true;
	}
	return false;
}

static int
delete_each_run(struct change *change, struct volume *volume)
{
	(void)volume;
	for (unsigned i = 0; i < change->uuid_count; i++) {
		struct volume *one = change_volume(change, i);
		if (one == NULL || is_held(one))
			continue;
		delete_next(change, one);
		return CHANGE_STARTED;
	}
	return CHANGE_DONE;
}

const struct change_op op_delete_each = {
    .run = delete_each_run, .repeats = true};
