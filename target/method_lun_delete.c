/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lun delete: into the trash, or for good, with its snapshots.
 */
#include "target/change.h"
#include "target/family_ops.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static json_t *
snap_check(
    struct request *request, const struct survey_lun *snap, const char *doing)
{
	json_t *name = version_name(method_pool(request), snap);
	json_t *fault =
	    held_fault(snap, "lun.held", doing, json_string_value(name));

	json_decref(name);
	if (fault != NULL)
		return fault;
	return exported_fault(request, snap, "lun.exported", doing);
}

static json_t *
delete_check(struct request *request, const char *doing)
{
	const struct survey_pool *sp = method_pool(request);
	const struct survey_lun *sl = method_lun(request);
	json_t *fault = session_fault(request, sl, doing,
	    "a guest that has the disk open would lose it", NULL);

	if (fault == NULL)
		fault = exported_fault(request, sl, "lun.exported", doing);
	for (unsigned i = 0; i < sp->snap_count && fault == NULL; i++)
		fault = snap_check(request, &sp->snaps[i], doing);
	return fault;
}

/* What it was, and how it comes back. */
static void
delete_answer(struct request *request)
{
	const struct survey_lun *sl = method_lun(request);
	unsigned days = request->house->config->trash_seconds / 86400;
	const struct exports none = {NULL, 0};
	json_t *item =
	    lun_item(request->survey, method_pool(request), sl, &none);
	json_t *notes = json_array();

	if (!param_flag(request->params, "now"))
		json_array_append_new(notes,
		    json_textf("it is in the trash; to bring it back:   varve "
			       "trash restore %s",
			param_text(request->params, "lun")));
	if (!param_flag(request->params, "now") && days > 0)
		json_array_append_new(notes,
		    json_textf("after %u days it is deleted for good", days));
	json_object_set_new(item, "notes", notes);
	request_answer(request, item);
}

static void
delete_go(struct request *request)
{
	const struct survey_lun *sl = method_lun(request);
	bool now = param_flag(request->params, "now");
	struct change *change;
	char doing[REF_TEXT_MAX + 16];
	json_t *fault;

	snprintf(doing, sizeof(doing), "delete %s",
	    param_text(request->params, "lun"));
	fault = delete_check(request, doing);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	if (request->dry_run) {
		method_lun_answer(request);
		return;
	}
	change = change_new(
	    request, now ? &op_delete_all : &op_trash, "cannot %s", doing);
	uuid_copy(change->uuid, sl->volume.uuid);
	memcpy(change->name, sl->volume.name, sizeof(change->name));
	change_start(request, method_house_pool(request), delete_answer);
}

void
method_lun_delete(struct request *request)
{
	method_survey_of(request, "lun", SURVEY_SNAPS, delete_go);
}
