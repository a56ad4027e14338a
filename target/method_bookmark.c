/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bookmarks: bases of later differences that hold no data.
 */
#include "target/change.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the item ---- */

static json_t *
bookmark_item(const struct survey_pool *sp, const struct survey_bookmark *found)
{
	const struct bookmark *b = &found->bookmark;
	char uuid[STATE_UUID_TEXT];

	uuid_unparse_lower(b->uuid, uuid);
	return json_pack("{s:s, s:o, s:o, s:I, s:s}", "name", b->name, "lun",
	    json_textf("%s/%s", sp->name, found->lun), "created",
	    json_time((int64_t)b->created_unix), "epoch", (json_int_t)b->epoch,
	    "uuid", uuid);
}

/* Of the LUN that was surveyed, or NULL. */
static const struct survey_bookmark *
bookmark_find(const struct request *request, const char *name)
{
	const struct survey_pool *sp = method_pool(request);

	for (unsigned i = 0; i < sp->bookmark_count; i++) {
		if (strcmp(sp->bookmarks[i].bookmark.name, name) == 0)
			return &sp->bookmarks[i];
	}
	return NULL;
}

static void
pool_items(const struct request *request, const struct survey_pool *sp,
    const struct exports *exports, json_t *items)
{
	(void)request, (void)exports;
	for (unsigned i = 0; i < sp->bookmark_count; i++)
		json_array_append_new(
		    items, bookmark_item(sp, &sp->bookmarks[i]));
}

static void
list_answer(struct request *request)
{
	request_answer_items(request, method_list(request, NULL, pool_items));
}

void
method_bookmark_list(struct request *request)
{
	method_survey_of(request, "of", SURVEY_BOOKMARKS, list_answer);
}

/* ---- changes ---- */

static int
create_run(struct change *change, struct volume *volume)
{
	struct volume *snap = house_volume_find(change->pool, change->other);

	if (snap == NULL)
		return -ENOENT;
	bookmark_create(
	    change->pool, volume, snap, change->name, &change->pool_request);
	return CHANGE_STARTED;
}

static int
delete_run(struct change *change, struct volume *volume)
{
	bookmark_delete(
	    change->pool, volume, change->name, &change->pool_request);
	return CHANGE_STARTED;
}

/* clang-format off */
static const struct change_fault create_faults[] = {
	{ -EEXIST, "bookmark.exists",   "the LUN has a bookmark of that name already" },
	{ -ENOENT, "snap.not-found",    "it was deleted meanwhile" },
	{ -EINVAL, "snap.other-family", "the LUN was rolled back to before the snapshot" },
	{ 0, NULL, NULL },
};

static const struct change_fault delete_faults[] = {
	{ -ENOENT, "bookmark.not-found", "it was deleted meanwhile" },
	{ 0, NULL, NULL },
};
/* clang-format on */

static const struct change_op op_create = {
    .run = create_run, .faults = create_faults};
static const struct change_op op_delete = {
    .run = delete_run, .faults = delete_faults};

/* ---- create ---- */

static void
create_looked(struct request *request)
{
	const struct survey_bookmark *found =
	    bookmark_find(request, param_text(request->params, "name"));

	request_answer(request, found != NULL
				    ? bookmark_item(method_pool(request), found)
				    : json_incref(request->item));
}

static void
create_answer(struct request *request)
{
	method_survey_of(request, "snap", SURVEY_BOOKMARKS, create_looked);
}

static void
create_go(struct request *request)
{
	const char *name = param_text(request->params, "name");
	struct ref ref = method_ref(request, "snap");
	const struct survey_lun *snap = method_snap_find(request, ref.snap);
	struct change *change;

	if (snap == NULL) {
		request_fail(
		    request, snap_missing(ref.pool, ref.lun, ref.snap));
		return;
	}
	if (bookmark_find(request, name) != NULL) {
		request_fail(request, fault_new("bookmark.exists",
					  "%s/%s has a bookmark %s already",
					  ref.pool, ref.lun, name));
		return;
	}
	request->item = json_pack("{s:s, s:o}", "name", name, "lun",
	    json_textf("%s/%s", ref.pool, ref.lun));
	if (request->dry_run) {
		request_answer(request, json_incref(request->item));
		return;
	}
	change = change_new(request, &op_create, "cannot mark %s",
	    param_text(request->params, "snap"));
	uuid_copy(change->uuid, method_lun(request)->volume.uuid);
	uuid_copy(change->other, snap->volume.uuid);
	snprintf(change->name, sizeof(change->name), "%s", name);
	change_start(request, method_house_pool(request), create_answer);
}

void
method_bookmark_create(struct request *request)
{
	method_survey_of(
	    request, "snap", SURVEY_SNAPS | SURVEY_BOOKMARKS, create_go);
}

/* ---- delete ---- */

static void
delete_answer(struct request *request)
{
	request_answer(request, json_incref(request->item));
}

static void
delete_go(struct request *request)
{
	const char *name = param_text(request->params, "name");
	const struct survey_bookmark *found = bookmark_find(request, name);
	struct change *change;

	if (found == NULL) {
		request_fail(request,
		    fault_fix(
			fault_new("bookmark.not-found", "%s has no bookmark %s",
			    param_text(request->params, "lun"), name),
			"varve bookmark list %s",
			param_text(request->params, "lun")));
		return;
	}
	request->item = bookmark_item(method_pool(request), found);
	if (request->dry_run) {
		delete_answer(request);
		return;
	}
	change = change_new(request, &op_delete, "cannot delete the bookmark");
	uuid_copy(change->uuid, method_lun(request)->volume.uuid);
	snprintf(change->name, sizeof(change->name), "%s", name);
	change_start(request, method_house_pool(request), delete_answer);
}

void
method_bookmark_delete(struct request *request)
{
	method_survey_of(request, "lun", SURVEY_BOOKMARKS, delete_go);
}
