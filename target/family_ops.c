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
	volume_delete(
	    change->pool, snap != NULL ? snap : volume, &change->pool_request);
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

static int
delete_all_record(struct state *state, const struct change *change)
{
	char uuid[STATE_UUID_TEXT];

	uuid_unparse_lower(change->uuid, uuid);
	return state_settings_forget(state, change->pool_id, uuid);
}

const struct change_op op_delete_all = {
    .run = delete_all_run, .repeats = true, .record = delete_all_record};

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
		if (delete_next(change, one))
			uuid_clear(change->uuids[i]);
		return CHANGE_STARTED;
	}
	return CHANGE_DONE;
}

/* Of those that were asked for, what is gone. */
static int
delete_each_record(struct state *state, const struct change *change)
{
	const struct survey_pool *sp = method_pool(change->request);
	char uuid[STATE_UUID_TEXT];
	int ret = 0;

	assert(sp->trash_count == change->uuid_count);
	for (unsigned i = 0; i < change->uuid_count && ret == 0; i++) {
		if (!uuid_is_null(change->uuids[i]))
			continue;
		uuid_unparse_lower(sp->trash[i].volume.uuid, uuid);
		ret = state_settings_forget(state, change->pool_id, uuid);
	}
	return ret;
}

const struct change_op op_delete_each = {
    .run = delete_each_run, .repeats = true, .record = delete_each_record};
