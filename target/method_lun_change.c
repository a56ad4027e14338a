/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lun create, resize, rename: a check at home against a survey, then the
 * change.
 */
#include "base/size.h"
#include "target/change.h"
#include "target/lun_change.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LUN_SIZE_MAX (232ull << 40)

/* ---- what is done to a volume, on its pool's loop ---- */

static int
create_run(struct change *change, struct volume *volume)
{
	const struct volume_params params = {.name = change->name,
	    .size = change->size,
	    .quota = change->quota,
	    .reserve = change->reserve,
	    .block_size = change->block_size};

	(void)volume;
	volume_create(change->pool, &params, &change->pool_request);
	return CHANGE_STARTED;
}

static int
resize_run(struct change *change, struct volume *volume)
{
	volume_resize(
	    change->pool, volume, change->size, &change->pool_request);
	return CHANGE_STARTED;
}

static int
rename_record(struct state *state, const struct change *change)
{
	char uuid[STATE_UUID_TEXT];
	int ret;

	uuid_unparse_lower(change->uuid, uuid);
	ret = state_lun_renamed(state, uuid, change->name);
	if (ret < 0)
		return ret;
	return state_lun_snaps_renamed(
	    state, change->pool_id, change->old_name, change->name);
}

static const struct change_op op_create = {
    .run = create_run, .record = lun_settings_record};
static const struct change_op op_resize = {.run = resize_run};
static const struct change_op op_rename = {
    .run = change_rename, .record = rename_record};

bool
lun_size_check(struct request *request, uint64_t size)
{
	if (size % LUN_UNIT == 0 && size >= LUN_UNIT && size <= LUN_SIZE_MAX)
		return true;
	request_fail(request,
	    fault_why(fault_new("lun.size", "a LUN cannot have %llu bytes",
			  (unsigned long long)size),
		"its size is a multiple of 4 KiB from 4 KiB to 232 TiB"));
	return false;
}

/* ---- create ---- */

static void
create_surveyed(struct request *request)
{
	const char *name = param_text(request->params, "name");
	struct ref ref = method_ref(request, "name");
	struct lun_space limits;
	struct change *change;
	json_t *settings, *fault;
	char doing[REF_TEXT_MAX + 8];

	if (method_pool(request)->lun_count > 0) {
		request_fail(request,
		    fault_new("lun.exists", "there is a LUN %s already", name));
		return;
	}
	snprintf(doing, sizeof(doing), "create %s", name);
	if (!lun_serial_check(request, doing))
		return;
	fault = settings_change(NULL, request->params, &settings);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	change = change_new(request, &op_create, "cannot create %s", name);
	limits = lun_space_asked(request, (struct lun_space){0, 0});
	change->size = (uint64_t)param_int(request->params, "size", 0);
	change->quota = limits.quota;
	change->reserve = limits.reserve;
	change->block_size =
	    (uint32_t)param_int(request->params, "block_size", 512);
	memcpy(change->name, ref.lun, sizeof(change->name));
	change->settings = settings;
	if (request->dry_run)
		request_answer(
		    request, json_pack("{s:s, s:I, s:i}", "name", name, "size",
				 (json_int_t)change->size, "block_size",
				 (int)change->block_size));
	else
		change_start(
		    request, method_house_pool(request), method_named_answer);
}

void
method_lun_create(struct request *request)
{
	json_int_t block = param_int(request->params, "block_size", 512);
	uint64_t size = (uint64_t)param_int(request->params, "size", 0);
	struct lun_space limits =
	    lun_space_asked(request, (struct lun_space){0, 0});
	struct ref ref = method_ref(request, "name");
	struct house_pool *hp;
	struct survey *survey;

	if (!method_find_open_pool(request, ref.pool, &hp) ||
	    !lun_size_check(request, size) ||
	    !lun_space_check(request, size, limits))
		return;
	if (block != 512 && block != 4096) {
		request_fail(request, fault_new("request.argument",
					  "block_size has to be 512 or 4096"));
		return;
	}
	survey = method_survey_new(request);
	memcpy(survey->only_pool, ref.pool, sizeof(survey->only_pool));
	memcpy(survey->only_lun, ref.lun, sizeof(survey->only_lun));
	method_survey_run(request, create_surveyed);
}

/* ---- resize ---- */

static void
same_answer(struct request *request)
{
	method_look_at(request, "lun");
}

static json_t *
shrink_fault(struct request *request, uint64_t size)
{
	const char *name = param_text(request->params, "lun");
	char before[SIZE_TEXT_MAX], after[SIZE_TEXT_MAX], doing[160];

	size_format(method_lun(request)->volume.size, before);
	size_format(size, after);
	if (!param_flag(request->params, "shrink"))
		return fault_fix(
		    fault_why(fault_new("lun.shrink",
				  "cannot make %s smaller, from %s to %s", name,
				  before, after),
			"what lies past the new end is thrown away"),
		    "when the file system in it is smaller already:   varve "
		    "lun resize %s %s --shrink",
		    name, after);
	snprintf(doing, sizeof(doing), "shrink %s", name);
	return session_fault(request, method_lun(request), doing,
	    "a guest that has the disk open would lose what lies past the new "
	    "end",
	    NULL);
}

static void
resize_start(struct request *request, uint64_t size)
{
	const struct survey_lun *sl = method_lun(request);
	struct house_lun *hl = house_lun_find(request->house, sl->volume.uuid);
	struct change *change = change_new(request, &op_resize,
	    "cannot resize %s", param_text(request->params, "lun"));

	change->size = size;
	uuid_copy(change->uuid, sl->volume.uuid);
	change->lun = hl != NULL ? hl->lun : NULL;
	memcpy(change->name, sl->volume.name, sizeof(change->name));
	change_start(request, method_house_pool(request), same_answer);
}

static void
resize_go(struct request *request)
{
	struct survey_lun *sl = method_lun(request);
	json_t *fault = NULL;
	uint64_t size;
	bool grows;

	param_resize(param_text(request->params, "size"), &grows, &size);
	if (grows)
		size = size > LUN_SIZE_MAX ? size : size + sl->volume.size;
	if (!lun_size_check(request, size))
		return;
	if (size < sl->volume.size)
		fault = shrink_fault(request, size);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	sl->volume.size = size;
	if (request->dry_run)
		method_lun_answer(request);
	else
		resize_start(request, size);
}

void
method_lun_resize(struct request *request)
{
	method_survey_lun(request, "lun", resize_go);
}

/* ---- rename ---- */

static void
rename_go(struct request *request)
{
	struct survey_lun *sl = method_lun(request);
	struct ref ref = method_ref(request, "name");
	struct change *change;

	if (request->dry_run) {
		memcpy(sl->volume.name, ref.lun, sizeof(sl->volume.name));
		method_lun_answer(request);
		return;
	}
	change = change_new(request, &op_rename, "cannot rename %s",
	    param_text(request->params, "lun"));
	uuid_copy(change->uuid, sl->volume.uuid);
	memcpy(change->name, ref.lun, sizeof(change->name));
	memcpy(change->old_name, sl->volume.name, sizeof(change->old_name));
	change_start(request, method_house_pool(request), method_named_answer);
}

void
method_lun_rename(struct request *request)
{
	struct ref from = method_ref(request, "lun");
	struct ref to = method_ref(request, "name");

	if (strcmp(from.pool, to.pool) != 0)
		request_fail(
		    request, fault_new("lun.other-pool",
				 "cannot rename %s to %s: that is another pool",
				 param_text(request->params, "lun"),
				 param_text(request->params, "name")));
	else
		method_survey_lun(request, "lun", rename_go);
}
