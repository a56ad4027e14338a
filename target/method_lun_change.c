/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lun create, resize, rename, delete: a check at home against a survey, one
 * call to the pool's loop, then the audit row.
 */
#include "base/size.h"
#include "target/method.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LUN_UNIT     4096ull
#define LUN_SIZE_MAX (232ull << 40)

/* ---- what changes a volume: one call to its pool's loop ---- */

struct lun_change {
	struct request *request;
	struct pool_request pool_request;
	enum { LUN_CREATE, LUN_RESIZE, LUN_RENAME, LUN_DELETE } kind;
	struct pool *pool;
	uuid_t uuid;                  /* of an existing volume */
	char name[POOL_NAME_MAX + 1]; /* CREATE, RENAME */
	uint64_t size;                /* CREATE, RESIZE */
	uint32_t block_size;
	struct lun *lun;         /* RESIZE: served */
	char what[256];          /* "cannot create vms/web01" */
	struct volume_stat stat; /* CREATE: as it came to be */
	void (*then)(struct request *request);
};

static void
change_free(void *own)
{
	free(own);
}

static void
change_end(struct pool_request *pool_request, int result)
{
	struct lun_change *change =
	    container_of(pool_request, struct lun_change, pool_request);

	if (result == 0 && change->kind == LUN_CREATE)
		volume_stat_get(pool_request->volume, &change->stat);
	if (result == 0 && change->lun != NULL)
		lun_capacity_changed(change->lun);
	call_finish(&change->request->call, result);
}

static void
change_run(struct call *call)
{
	struct request *request = container_of(call, struct request, call);
	struct lun_change *change = request->own;
	struct pool_request *pr = &change->pool_request;
	struct volume *volume = NULL;

	*pr = (struct pool_request){.done = change_end};
	if (change->kind != LUN_CREATE) {
		volume = volume_find_uuid(change->pool, change->uuid);
		if (volume == NULL) {
			call_finish(call, -ENOENT);
			return;
		}
	}
	const struct volume_params params = {.name = change->name,
	    .size = change->size,
	    .block_size = change->block_size};
	switch (change->kind) {
	case LUN_CREATE: volume_create(change->pool, &params, pr); return;
	case LUN_RESIZE:
		volume_resize(change->pool, volume, change->size, pr);
		return;
	case LUN_RENAME:
		volume_rename(change->pool, volume, change->name, pr);
		return;
	case LUN_DELETE: volume_delete(change->pool, volume, pr); return;
	}
}

/* clang-format off */
static const struct {
	int error;
	const char *code, *why;
} change_faults[] = {
	{ -EEXIST, "lun.exists",     "there is a LUN of that name already" },
	{ -ENOENT, "lun.not-found",  "it was deleted meanwhile" },
	{ -EBUSY,  "lun.in-use",     "it has I/O in flight" },
	{ -ENOSPC, "pool.no-space",  "the pool has no room for it" },
	{ -E2BIG,  "lun.size",       "a LUN has 232 TiB at most" },
	{ -EINVAL, "lun.size",       "the pool does not take these values" },
	{ -EROFS,  "pool.read-only", "the pool takes no changes in its state" },
};
/* clang-format on */

static json_t *
change_fault(const struct lun_change *change, int error)
{
	const char *problem = change->pool_request.problem;

	for (size_t i = 0; i < ARRAY_SIZE(change_faults); i++) {
		if (change_faults[i].error == error)
			return fault_why(fault_new(change_faults[i].code, "%s",
					     change->what),
			    "%s",
			    problem[0] != '\0' ? problem
					       : change_faults[i].why);
	}
	return fault_why(fault_new("pool.failed", "%s", change->what), "%s",
	    problem[0] != '\0' ? problem : strerror(-error));
}

/* The change is in the pool; now its row of the audit log, and what the state
 * has of the LUN. */
static void
change_done(struct call *call)
{
	struct request *request = container_of(call, struct request, call);
	struct lun_change *change = request->own;
	struct state *state = request->house->state;
	int ret;

	if (call->result < 0) {
		request_fail(request, change_fault(change, call->result));
		return;
	}
	ret = state_begin(state);
	if (ret < 0) {
		request_fail(
		    request, fault_internal("the change is not logged", ret));
		return;
	}
	if (change->kind == LUN_RENAME) {
		char uuid[STATE_UUID_TEXT];
		uuid_unparse_lower(change->uuid, uuid);
		ret = state_lun_renamed(state, uuid, change->name);
	}
	if (ret < 0) {
		request_state_failed(request, ret);
		return;
	}
	request->item = json_pack("{s:s}", "name", change->name);
	if (request_commit(request, request->item))
		change->then(request);
}

static struct lun_change *
change_new(struct request *request, int kind)
{
	struct lun_change *change = calloc(1, sizeof(*change));

	assert(change != NULL);
	change->request = request;
	change->kind = kind;
	request->own = change;
	request->own_free = change_free;
	return change;
}

static void
change_start(struct request *request, struct house_pool *hp,
    void (*then)(struct request *request))
{
	struct lun_change *change = request->own;

	change->pool = hp->pool;
	change->then = then;
	request->call.run = change_run;
	request->call.done = change_done;
	call_start(&request->call, request->house->home, hp->loop);
}

static void
survey_only(struct request *request, const char *pool, const char *lun)
{
	survey_free(request->survey);
	request->survey = survey_new(request->house);
	snprintf(request->survey->only_pool, PARAM_NAME_MAX, "%s", pool);
	snprintf(request->survey->only_lun, PARAM_NAME_MAX, "%s", lun);
}

static void
look_done(struct survey *survey)
{
	struct request *request = survey->arg;

	if (survey->error == 0 && survey->pool_count == 1 &&
	    survey->pools[0].lun_count == 1)
		method_lun_answer(request);
	else
		request_answer(request, json_incref(request->item));
}

/* What the LUN is like after the change. */
static void
look_and_answer(struct request *request, const char *pool, const char *lun)
{
	survey_only(request, pool, lun);
	survey_run(request->survey, look_done, request);
}

static bool
size_check(struct request *request, uint64_t size)
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
create_answer(struct request *request)
{
	char pool[PARAM_NAME_MAX], lun[PARAM_NAME_MAX];

	param_lun_split(param_text(request->params, "name"), pool, lun);
	look_and_answer(request, pool, lun);
}

static void
create_surveyed(struct survey *survey)
{
	struct request *request = survey->arg;
	struct lun_change *change = request->own;
	const char *name = param_text(request->params, "name");
	struct house_pool *hp =
	    house_pool_find(request->house, survey->only_pool);

	if (survey->error < 0) {
		request_fail(request,
		    fault_internal("no memory to look", survey->error));
	} else if (survey->pools[0].lun_count > 0) {
		request_fail(request,
		    fault_new("lun.exists", "there is a LUN %s already", name));
	} else if (request->dry_run) {
		request_answer(
		    request, json_pack("{s:s, s:I, s:i}", "name", name, "size",
				 (json_int_t)change->size, "block_size",
				 change->block_size));
	} else {
		assert(hp != NULL && hp->pool != NULL);
		change_start(request, hp, create_answer);
	}
}

void
method_lun_create(struct request *request)
{
	const char *name = param_text(request->params, "name");
	json_int_t block = param_int(request->params, "block_size", 512);
	uint64_t size = (uint64_t)param_int(request->params, "size", 0);
	char pool[PARAM_NAME_MAX], lun[PARAM_NAME_MAX];
	struct lun_change *change;
	struct house_pool *hp;

	param_lun_split(name, pool, lun);
	if (!method_find_open_pool(request, pool, &hp) ||
	    !size_check(request, size))
		return;
	if (block != 512 && block != 4096) {
		request_fail(request, fault_new("request.argument",
					  "block_size has to be 512 or 4096"));
		return;
	}
	change = change_new(request, LUN_CREATE);
	change->size = size;
	change->block_size = (uint32_t)block;
	snprintf(change->name, sizeof(change->name), "%s", lun);
	snprintf(change->what, sizeof(change->what), "cannot create %s", name);
	survey_only(request, pool, lun);
	survey_run(request->survey, create_surveyed, request);
}

/* ---- resize ---- */

static void
same_answer(struct request *request)
{
	const struct survey *survey = request->survey;
	char pool[PARAM_NAME_MAX], lun[PARAM_NAME_MAX];

	snprintf(pool, sizeof(pool), "%s", survey->only_pool);
	snprintf(lun, sizeof(lun), "%s", survey->only_lun);
	look_and_answer(request, pool, lun);
}

/* NULL: no session has it. */
static json_t *
session_fault(struct request *request, const char *code, const char *doing,
    const char *why)
{
	const struct survey_lun *sl = method_lun(request);
	struct exports exports;
	json_t *fault = NULL;
	unsigned count;

	if (state_exports(
		request->house->state, &exports.rows, &exports.count) < 0)
		return fault_internal("the state cannot be read", -EIO);
	for (unsigned i = 0; i < exports.count && fault == NULL; i++) {
		const struct state_export *row = &exports.rows[i];
		const struct iscsi_session_info *info;
		if (!export_is_of_lun(row, sl->volume.uuid))
			continue;
		info = survey_sessions_of(
		    request->survey, row->host, row->iqn, &count);
		if (count == 0)
			continue;
		fault = in_use_fault(code, doing, info, count, why);
		fault_fix(fault,
		    "or take it away from the host:   varve export remove "
		    "%s/%s --host %s --force",
		    row->pool, row->lun_name, row->host);
	}
	free(exports.rows);
	return fault;
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
	return session_fault(request, "lun.in-use", doing,
	    "a guest that has the disk open would lose what lies past the new "
	    "end");
}

static void
resize_go(struct request *request)
{
	struct survey_lun *sl = method_lun(request);
	struct lun_change *change = change_new(request, LUN_RESIZE);
	struct house_pool *hp =
	    house_pool_find(request->house, request->survey->only_pool);
	struct house_lun *hl = house_lun_find(request->house, sl->volume.uuid);
	json_t *fault = NULL;
	uint64_t size;
	bool grows;

	param_resize(param_text(request->params, "size"), &grows, &size);
	if (grows)
		size = size > LUN_SIZE_MAX ? size : size + sl->volume.size;
	if (!size_check(request, size))
		return;
	if (size < sl->volume.size)
		fault = shrink_fault(request, size);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	sl->volume.size = size;
	if (request->dry_run) {
		method_lun_answer(request);
		return;
	}
	change->size = size;
	uuid_copy(change->uuid, sl->volume.uuid);
	change->lun = hl != NULL ? hl->lun : NULL;
	snprintf(change->name, sizeof(change->name), "%s", sl->volume.name);
	snprintf(change->what, sizeof(change->what), "cannot resize %s",
	    param_text(request->params, "lun"));
	assert(hp != NULL && hp->pool != NULL);
	change_start(request, hp, same_answer);
}

void
method_lun_resize(struct request *request)
{
	method_survey_lun(request, "lun", resize_go);
}

/* ---- rename ---- */

static void
rename_answer(struct request *request)
{
	char pool[PARAM_NAME_MAX], lun[PARAM_NAME_MAX];

	param_lun_split(param_text(request->params, "name"), pool, lun);
	look_and_answer(request, pool, lun);
}

static void
rename_go(struct request *request)
{
	struct survey_lun *sl = method_lun(request);
	struct lun_change *change = change_new(request, LUN_RENAME);
	struct house_pool *hp =
	    house_pool_find(request->house, request->survey->only_pool);
	char pool[PARAM_NAME_MAX], lun[PARAM_NAME_MAX];

	param_lun_split(param_text(request->params, "name"), pool, lun);
	if (request->dry_run) {
		snprintf(sl->volume.name, sizeof(sl->volume.name), "%s", lun);
		method_lun_answer(request);
		return;
	}
	uuid_copy(change->uuid, sl->volume.uuid);
	snprintf(change->name, sizeof(change->name), "%s", lun);
	snprintf(change->what, sizeof(change->what), "cannot rename %s",
	    param_text(request->params, "lun"));
	assert(hp != NULL && hp->pool != NULL);
	change_start(request, hp, rename_answer);
}

void
method_lun_rename(struct request *request)
{
	char pool[PARAM_NAME_MAX], lun[PARAM_NAME_MAX], other[PARAM_NAME_MAX];

	param_lun_split(param_text(request->params, "lun"), pool, lun);
	param_lun_split(param_text(request->params, "name"), other, lun);
	if (strcmp(pool, other) != 0)
		request_fail(
		    request, fault_new("lun.other-pool",
				 "cannot rename %s to %s: that is another pool",
				 param_text(request->params, "lun"),
				 param_text(request->params, "name")));
	else
		method_survey_lun(request, "lun", rename_go);
}

/* ---- delete ---- */

static json_t *
exported_fault(struct request *request)
{
	const struct survey_lun *sl = method_lun(request);
	struct exports exports;
	json_t *fault = NULL;

	if (state_exports(
		request->house->state, &exports.rows, &exports.count) < 0)
		return fault_internal("the state cannot be read", -EIO);
	for (unsigned i = 0; i < exports.count; i++) {
		const struct state_export *row = &exports.rows[i];
		if (!export_is_of_lun(row, sl->volume.uuid))
			continue;
		if (fault == NULL)
			fault = fault_why(
			    fault_new("lun.exported",
				"cannot delete %s/%s: it is exported to host "
				"%s",
				row->pool, row->lun_name, row->host),
			    "a host that is away may come back for it");
		fault_fix(fault, "varve export remove %s/%s --host %s",
		    row->pool, row->lun_name, row->host);
	}
	free(exports.rows);
	return fault;
}

static void
delete_go(struct request *request)
{
	struct survey_lun *sl = method_lun(request);
	struct house_pool *hp =
	    house_pool_find(request->house, request->survey->only_pool);
	struct lun_change *change;
	char doing[160];
	json_t *fault;

	snprintf(doing, sizeof(doing), "delete %s",
	    param_text(request->params, "lun"));
	fault = session_fault(request, "lun.in-use", doing,
	    "a guest that has the disk open would lose it");
	if (fault == NULL)
		fault = exported_fault(request);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	if (request->dry_run) {
		method_lun_answer(request);
		return;
	}
	change = change_new(request, LUN_DELETE);
	uuid_copy(change->uuid, sl->volume.uuid);
	snprintf(change->name, sizeof(change->name), "%s", sl->volume.name);
	snprintf(change->what, sizeof(change->what), "cannot %s", doing);
	assert(hp != NULL && hp->pool != NULL);
	/* answered with what it was */
	change_start(request, hp, method_lun_answer);
}

void
method_lun_delete(struct request *request)
{
	method_survey_lun(request, "lun", delete_go);
}
