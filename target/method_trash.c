/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The trash: what was deleted and can come back.
 */
#include "target/change.h"
#include "target/family_ops.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the item ---- */

json_t *
trash_item(const struct house *house, const struct survey_pool *sp,
    const struct survey_lun *sl)
{
	const struct family_stat *f = &sl->family;
	unsigned keep = house->config->trash_seconds;
	int64_t deleted = (int64_t)f->deleted_unix;
	char uuid[STATE_UUID_TEXT];

	uuid_unparse_lower(sl->volume.uuid, uuid);
	return json_pack("{s:o, s:s, s:o, s:o, s:i, s:o, s:o, s:s}", "name",
	    version_name(sp, sl), "kind", sl->is_snapshot ? "snap" : "lun",
	    "size", json_bytes(sl->volume.size), "held_space",
	    json_bytes(survey_freed(sl)), "snaps", (int)f->snapshots, "deleted",
	    json_time(deleted), "expires",
	    keep > 0 ? json_time(deleted + keep) : json_null(), "uuid", uuid);
}

static void
pool_items(const struct request *request, const struct survey_pool *sp,
    const struct exports *exports, json_t *items)
{
	(void)exports;
	for (unsigned i = 0; i < sp->trash_count; i++)
		json_array_append_new(
		    items, trash_item(request->house, sp, &sp->trash[i]));
}

static void
list_answer(struct request *request)
{
	request_answer_items(request, method_list(request, NULL, pool_items));
}

void
method_trash_list(struct request *request)
{
	method_survey_of(request, "pool", SURVEY_TRASH, list_answer);
}

/* ---- finding ---- */

static bool
is_called(
    const struct survey_pool *sp, const struct survey_lun *sl, const char *text)
{
	uuid_t uuid;
	json_t *name;
	bool same;

	if (strchr(text, '/') == NULL)
		return uuid_parse(text, uuid) == 0 &&
		       uuid_compare(uuid, sl->volume.uuid) == 0;
	name = version_name(sp, sl);
	same = strcmp(json_string_value(name), text) == 0;
	json_decref(name);
	return same;
}

static json_t *
ambiguous_fault(
    const char *text, const struct survey_lun *a, const struct survey_lun *b)
{
	char one[STATE_UUID_TEXT], other[STATE_UUID_TEXT];

	uuid_unparse_lower(a->volume.uuid, one);
	uuid_unparse_lower(b->volume.uuid, other);
	return fault_fix(
	    fault_fix(fault_new("trash.ambiguous",
			  "the trash has more than one %s", text),
		"varve trash list -o name,deleted,uuid   says which is which"),
	    "then by uuid: %s, %s", one, other);
}

/* The one that the parameter names; fails the request and says false. */
static bool
trash_take(struct request *request, const struct survey_pool **ret_sp,
    struct survey_lun **ret_sl)
{
	const char *text = param_text(request->params, "name");
	const struct survey *survey = request->survey;
	json_t *fault = NULL;

	*ret_sl = NULL;
	for (unsigned p = 0; p < survey->pool_count; p++) {
		const struct survey_pool *sp = &survey->pools[p];
		for (unsigned i = 0; i < sp->trash_count; i++) {
			struct survey_lun *sl = &sp->trash[i];
			if (!is_called(sp, sl, text))
				continue;
			if (*ret_sl != NULL && fault == NULL)
				fault = ambiguous_fault(text, *ret_sl, sl);
			*ret_sp = sp;
			*ret_sl = sl;
		}
	}
	if (*ret_sl == NULL)
		fault = fault_fix(
		    fault_new("trash.not-found", "the trash has no %s", text),
		    "varve trash list");
	if (fault != NULL)
		request_fail(request, fault);
	return fault == NULL;
}

static void
kept_answer(struct request *request)
{
	request_answer(request, json_incref(request->item));
}

static void
kept_items_answer(struct request *request)
{
	request_answer_items(request, json_incref(request->item));
}

/* ---- restore ---- */

static int
restore_run(struct change *change, struct volume *volume)
{
	volume_restore(change->pool, volume, change->flag ? change->name : NULL,
	    &change->pool_request);
	return CHANGE_STARTED;
}

/* clang-format off */
static const struct change_fault restore_faults[] = {
	{ -EEXIST, "trash.taken",     "its name is taken meanwhile; --as gives another" },
	{ -ENOENT, "trash.not-found", "it was deleted for good meanwhile" },
	{ 0, NULL, NULL },
};
/* clang-format on */

static const struct change_op op_restore = {
    .run = restore_run, .faults = restore_faults};

static json_t *
restore_check(const struct request *request, const struct survey_pool *sp,
    const struct survey_lun *sl)
{
	const char *name = sl->volume.name;

	if (sl->is_snapshot && sl->of[0] == '\0')
		return fault_new("trash.orphan",
		    "cannot restore the snapshot %s: its LUN is gone", name);
	if (!sl->is_snapshot &&
	    survey_lun_find(request->survey, sp->name, name) != NULL)
		return fault_fix(fault_new("trash.taken",
				     "cannot restore it: there is a LUN %s/%s",
				     sp->name, name),
		    "varve trash restore %s --as OTHER-NAME",
		    param_text(request->params, "name"));
	return NULL;
}

static void
restore_go(struct request *request)
{
	const char *as = param_text(request->params, "as");
	const struct survey_pool *sp;
	struct survey_lun *sl;
	struct change *change;
	json_t *fault;

	if (!trash_take(request, &sp, &sl))
		return;
	if (as != NULL)
		snprintf(sl->volume.name, sizeof(sl->volume.name), "%s", as);
	fault = restore_check(request, sp, sl);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	request->item = trash_item(request->house, sp, sl);
	json_object_del(request->item, "expires");
	if (request->dry_run) {
		kept_answer(request);
		return;
	}
	change = change_new(request, &op_restore, "cannot restore %s",
	    param_text(request->params, "name"));
	uuid_copy(change->uuid, sl->volume.uuid);
	memcpy(change->name, sl->volume.name, sizeof(change->name));
	change->flag = as != NULL;
	change_start(
	    request, house_pool_find(request->house, sp->name), kept_answer);
}

void
method_trash_restore(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_TRASH, restore_go);
}

/* ---- delete, empty ---- */

static void
delete_go(struct request *request)
{
	const struct survey_pool *sp;
	struct survey_lun *sl;
	struct change *change;

	if (!trash_take(request, &sp, &sl))
		return;
	request->item = trash_item(request->house, sp, sl);
	if (request->dry_run) {
		kept_answer(request);
		return;
	}
	change = change_new(request, &op_delete_all, "cannot delete %s",
	    param_text(request->params, "name"));
	uuid_copy(change->uuid, sl->volume.uuid);
	change_start(
	    request, house_pool_find(request->house, sp->name), kept_answer);
}

void
method_trash_delete(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_TRASH, delete_go);
}

static void
empty_go(struct request *request)
{
	const struct survey_pool *sp = method_pool(request);
	struct change *change;

	request->item = method_list(request, NULL, pool_items);
	if (request->dry_run) {
		kept_items_answer(request);
		return;
	}
	change = change_new(
	    request, &op_delete_each, "cannot empty the trash of %s", sp->name);
	change->uuids = calloc(sp->trash_count + 1, sizeof(uuid_t));
	assert(change->uuids != NULL);
	for (unsigned i = 0; i < sp->trash_count; i++)
		uuid_copy(change->uuids[change->uuid_count++],
		    sp->trash[i].volume.uuid);
	change_start(request, method_house_pool(request), kept_items_answer);
}

void
method_trash_empty(struct request *request)
{
	method_survey_of(request, "pool", SURVEY_TRASH, empty_go);
}
