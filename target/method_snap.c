/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snap list, show, rename, set, hold, release, delete.
 */
#include "target/change.h"
#include "target/family_ops.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the item ---- */

static json_t *
clones_of(const struct survey_pool *sp, const struct survey_lun *snap)
{
	json_t *clones = json_array();

	for (unsigned i = 0; i < sp->lun_count; i++) {
		const struct survey_lun *sl = &sp->luns[i];
		if (sl->parent[0] != '\0' &&
		    uuid_compare(sl->parent_uuid, snap->volume.uuid) == 0)
			json_array_append_new(clones, version_name(sp, sl));
	}
	return clones;
}

static json_t *
hosts_of(const struct survey_lun *snap, const struct exports *exports)
{
	json_t *hosts = json_array();

	for (unsigned i = 0; i < exports->count; i++) {
		if (export_is_of_lun(&exports->rows[i], snap->volume.uuid))
			json_array_append_new(
			    hosts, json_text(exports->rows[i].host));
	}
	return hosts;
}

json_t *
snap_item(const struct survey_pool *sp, const struct survey_lun *sl,
    const struct exports *exports)
{
	const struct volume_stat *v = &sl->volume;
	const struct family_stat *f = &sl->family;
	json_t *item = json_object(), *hosts = hosts_of(sl, exports);
	bool held = f->hold || json_array_size(hosts) > 0;

	json_object_set_new(item, "name", version_name(sp, sl));
	json_object_set_new(item, "size", json_bytes(v->size));
	json_object_set_new(item, "live", json_bytes(f->live));
	json_object_set_new(item, "exclusive", json_bytes(f->exclusive));
	json_object_set_new(item, "clones", clones_of(sp, sl));
	json_object_set_new(item, "children", json_integer(f->children));
	json_object_set_new(item, "held", json_boolean(held));
	json_object_set_new(item, "hold", json_boolean(f->hold));
	json_object_set_new(
	    item, "consistency", json_string(consistency_text(f->consistency)));
	json_object_set_new(item, "hosts", hosts);
	json_object_set_new(item, "epoch", json_integer(f->epoch));
	version_identity(item, v);
	return item;
}

/* ---- list, show ---- */

static void
pool_items(const struct request *request, const struct survey_pool *sp,
    const struct exports *exports, json_t *items)
{
	(void)request;
	for (unsigned i = 0; i < sp->snap_count; i++)
		json_array_append_new(
		    items, snap_item(sp, &sp->snaps[i], exports));
}

static void
list_answer(struct request *request)
{
	method_answer_list(request, pool_items);
}

void
method_snap_list(struct request *request)
{
	method_survey_of(request, "of", SURVEY_SNAPS, list_answer);
}

void
method_snap_answer(struct request *request)
{
	struct exports exports;
	json_t *item;

	if (!method_exports(request, &exports))
		return;
	item =
	    snap_item(method_pool(request), method_surveyed(request), &exports);
	free(exports.rows);
	request_answer(request, item);
}

void
method_snap_show(struct request *request)
{
	method_survey_version(request, "snap", method_snap_answer);
}

/* ---- changes ---- */

/* clang-format off */
static const struct change_fault snap_faults[] = {
	{ -ENOENT, "snap.not-found", "it was deleted meanwhile" },
	{ -EEXIST, "snap.exists",    "the LUN has a snapshot of that name already" },
	{ -EBUSY,  "snap.in-use",    "it is open" },
	{ -EPERM,  "snap.held",      "it is held" },
	{ 0, NULL, NULL },
};
/* clang-format on */

static int
rename_record(struct state *state, const struct change *change)
{
	char uuid[STATE_UUID_TEXT], name[STATE_LUN_NAME_MAX];

	uuid_unparse_lower(change->uuid, uuid);
	snprintf(name, sizeof(name), "%s@%s", change->lun_name, change->name);
	return state_lun_renamed(state, uuid, name);
}

static int
hold_run(struct change *change, struct volume *volume)
{
	snapshot_hold(
	    change->pool, volume, change->flag, &change->pool_request);
	return CHANGE_STARTED;
}

static int
consistency_run(struct change *change, struct volume *volume)
{
	snapshot_set_consistency(
	    change->pool, volume, change->consistency, &change->pool_request);
	return CHANGE_STARTED;
}

static int
delete_run(struct change *change, struct volume *volume)
{
	if (!change->flag)
		return change_delete(change, volume);
	volume_trash(change->pool, volume, &change->pool_request);
	return CHANGE_STARTED;
}

static const struct change_op op_rename = {
    .run = change_rename, .record = rename_record, .faults = snap_faults};
static const struct change_op op_hold = {
    .run = hold_run, .faults = snap_faults};
static const struct change_op op_consistency = {
    .run = consistency_run, .faults = snap_faults};
static const struct change_op op_delete = {
    .run = delete_run, .faults = snap_faults};

/* Of the snapshot that was surveyed. */
static struct change *
snap_change(
    struct request *request, const struct change_op *op, const char *doing)
{
	const struct survey_lun *sl = method_surveyed(request);
	struct change *change = change_new(request, op, "cannot %s", doing);

	uuid_copy(change->uuid, sl->volume.uuid);
	memcpy(change->name, sl->volume.name, sizeof(change->name));
	memcpy(change->lun_name, sl->of, sizeof(change->lun_name));
	return change;
}

/* ---- rename ---- */

static struct ref
renamed(const struct request *request)
{
	struct ref from = method_ref(request, "snap");
	struct ref to = method_ref(request, "name");

	memcpy(from.snap, to.snap, sizeof(from.snap));
	return from;
}

static void
rename_answer(struct request *request)
{
	struct ref ref = renamed(request);

	method_look(request, &ref);
}

static void
rename_go(struct request *request)
{
	struct ref from = method_ref(request, "snap"), to = renamed(request);
	struct survey_lun *snap = method_snap_find(request, from.snap);
	struct change *change;

	if (snap == NULL) {
		request_fail(
		    request, snap_missing(from.pool, from.lun, from.snap));
		return;
	}
	if (method_snap_find(request, to.snap) != NULL) {
		request_fail(request,
		    fault_new("snap.exists", "%s/%s has a snapshot %s already",
			to.pool, to.lun, to.snap));
		return;
	}
	/* from here on the survey is of this one */
	memcpy(request->survey->only_snap, from.snap, sizeof(from.snap));
	method_pool(request)->snaps[0] = *snap;
	method_pool(request)->snap_count = 1;
	change = snap_change(request, &op_rename, "rename the snapshot");
	memcpy(change->name, to.snap, sizeof(change->name));
	if (request->dry_run) {
		memcpy(method_surveyed(request)->volume.name, to.snap,
		    sizeof(to.snap));
		method_snap_answer(request);
		return;
	}
	change_start(request, method_house_pool(request), rename_answer);
}

void
method_snap_rename(struct request *request)
{
	struct ref from = method_ref(request, "snap");
	struct ref to = method_ref(request, "name");

	if (to.pool[0] != '\0' &&
	    (strcmp(from.pool, to.pool) != 0 || strcmp(from.lun, to.lun) != 0))
		request_fail(request,
		    fault_why(fault_new("request.argument",
				  "cannot rename %s to %s: that is another LUN",
				  param_text(request->params, "snap"),
				  param_text(request->params, "name")),
			"a snapshot stays with the LUN it was taken of"));
	else
		method_survey_of(request, "snap", SURVEY_SNAPS, rename_go);
}

/* ---- hold, release ---- */

static void
same_answer(struct request *request)
{
	method_look_at(request, "snap");
}

/* "hold vms/web01@tue" */
static struct change *
verb_change(struct request *request, const struct change_op *op)
{
	char doing[REF_TEXT_MAX + 16];

	snprintf(doing, sizeof(doing), "%s %s", request->command->verb,
	    param_text(request->params, "snap"));
	return snap_change(request, op, doing);
}

static void
hold_go(struct request *request)
{
	bool hold = strcmp(request->command->verb, "hold") == 0;
	struct change *change;

	if (request->dry_run) {
		method_surveyed(request)->family.hold = hold;
		method_snap_answer(request);
		return;
	}
	change = verb_change(request, &op_hold);
	change->flag = hold;
	change_start(request, method_house_pool(request), same_answer);
}

void
method_snap_hold(struct request *request)
{
	method_survey_version(request, "snap", hold_go);
}

void
method_snap_release(struct request *request)
{
	method_survey_version(request, "snap", hold_go);
}

/* ---- set ---- */

static void
set_go(struct request *request)
{
	enum consistency consistency =
	    param_consistency(request->params, "consistency");
	struct change *change;

	if (request->dry_run) {
		method_surveyed(request)->family.consistency = consistency;
		method_snap_answer(request);
		return;
	}
	change = verb_change(request, &op_consistency);
	change->consistency = consistency;
	change_start(request, method_house_pool(request), same_answer);
}

void
method_snap_set(struct request *request)
{
	method_survey_version(request, "snap", set_go);
}

/* ---- delete ---- */

static json_t *
delete_check(struct request *request, const char *doing)
{
	const struct survey_lun *snap = method_surveyed(request);
	json_t *fault = session_fault(request, snap, doing,
	    "a host that reads it would lose it under its hands", NULL);

	if (fault == NULL)
		fault = exported_fault(request, snap, "snap.exported", doing);
	if (fault == NULL)
		fault = held_fault(snap, "snap.held", doing,
		    param_text(request->params, "snap"));
	return fault;
}

static void
delete_go(struct request *request)
{
	struct change *change;
	char doing[REF_TEXT_MAX + 16];
	json_t *fault;

	snprintf(doing, sizeof(doing), "delete %s",
	    param_text(request->params, "snap"));
	fault = delete_check(request, doing);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	if (request->dry_run) {
		method_snap_answer(request);
		return;
	}
	change = snap_change(request, &op_delete, doing);
	change->flag = param_flag(request->params, "trash");
	/* answered with what it was */
	change_start(request, method_house_pool(request), method_snap_answer);
}

void
method_snap_delete(struct request *request)
{
	method_survey_version(request, "snap", delete_go);
}
