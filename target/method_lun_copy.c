/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lun clone, rollback, flatten: LUNs of snapshots.
 */
#include "base/size.h"
#include "target/change.h"
#include <errno.h>
#include <string.h>
#include <time.h>

/* ---- clone ---- */

static int
clone_run(struct change *change, struct volume *volume)
{
	const struct volume_params params = {
	    .name = change->name, .size = change->size};

	volume_clone(change->pool, volume, &params, &change->pool_request);
	return CHANGE_STARTED;
}

/* clang-format off */
static const struct change_fault clone_faults[] = {
	{ -ENOENT, "snap.not-found", "it was deleted meanwhile" },
	{ 0, NULL, NULL },
};
/* clang-format on */

static const struct change_op op_clone = {
    .run = clone_run, .faults = clone_faults};

static json_t *
clone_check(struct request *request, const struct ref *to, uint64_t size)
{
	const struct survey_lun *snap = method_surveyed(request);
	char asked[SIZE_TEXT_MAX], least[SIZE_TEXT_MAX];

	if (survey_lun_find(request->survey, to->pool, to->lun) != NULL)
		return fault_new("lun.exists", "there is a LUN %s already",
		    param_text(request->params, "name"));
	if (size >= snap->volume.size)
		return NULL;
	return fault_why(
	    fault_new("lun.size", "a clone of %s cannot have %s",
		param_text(request->params, "snap"), size_format(size, asked)),
	    "it is not smaller than its snapshot, which has %s",
	    size_format(snap->volume.size, least));
}

static void
clone_go(struct request *request)
{
	const struct survey_lun *snap = method_surveyed(request);
	struct ref to = method_ref(request, "name");
	uint64_t size = (uint64_t)param_int(
	    request->params, "size", (json_int_t)snap->volume.size);
	json_t *fault = clone_check(request, &to, size);
	struct change *change;

	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	if (request->dry_run) {
		request_answer(
		    request, json_pack("{s:s, s:I, s:s, s:i}", "name",
				 param_text(request->params, "name"), "size",
				 (json_int_t)size, "parent",
				 param_text(request->params, "snap"),
				 "block_size", (int)snap->volume.block_size));
		return;
	}
	change = change_new(request, &op_clone, "cannot clone %s",
	    param_text(request->params, "snap"));
	uuid_copy(change->uuid, snap->volume.uuid);
	memcpy(change->name, to.lun, sizeof(change->name));
	change->size = size > snap->volume.size ? size : 0;
	change_start(request, method_house_pool(request), method_named_answer);
}

void
method_lun_clone(struct request *request)
{
	struct ref from = method_ref(request, "snap");
	struct ref to = method_ref(request, "name");
	json_int_t size = param_int(request->params, "size", 4096);

	if (strcmp(from.pool, to.pool) != 0)
		request_fail(request,
		    fault_why(fault_new("snap.other-pool",
				  "cannot clone %s as %s: that is another pool",
				  param_text(request->params, "snap"),
				  param_text(request->params, "name")),
			"a clone shares its snapshot's space"));
	else if (lun_size_check(request, (uint64_t)size))
		method_survey_version(request, "snap", clone_go);
}

/* ---- rollback ---- */

static int
rollback_run(struct change *change, struct volume *volume)
{
	struct volume *snap = house_volume_find(change->pool, change->other);

	if (snap == NULL)
		return -ENOENT;
	if (change->lun != NULL)
		lun_data_changing(change->lun);
	volume_rollback(
	    change->pool, volume, snap, change->name, &change->pool_request);
	return CHANGE_STARTED;
}

/* clang-format off */
static const struct change_fault rollback_faults[] = {
	{ -EEXIST, "snap.exists",       "it has a snapshot by the name to keep it under" },
	{ -ENOENT, "snap.not-found",    "it was deleted meanwhile" },
	{ -EINVAL, "snap.other-family", "the snapshot is not of its family" },
	{ 0, NULL, NULL },
};
/* clang-format on */

static const struct change_op op_rollback = {
    .run = rollback_run, .faults = rollback_faults};

/* What it was is kept under a name that says when. */
static void
keep_name(const struct request *request, char name[REF_NAME_MAX])
{
	const char *asked = param_text(request->params, "keep");
	time_t now = time(NULL);
	struct tm tm;

	if (asked != NULL)
		snprintf(name, REF_NAME_MAX, "%s", asked);
	else if (localtime_r(&now, &tm) == NULL ||
		 strftime(name, REF_NAME_MAX, "pre-rollback-%Y%m%d-%H%M%S",
		     &tm) == 0)
		snprintf(name, REF_NAME_MAX, "pre-rollback");
}

static void
kept_set(json_t *item, const char *pool, const char *lun, const char *keep)
{
	json_object_set_new(
	    item, "kept", json_textf("%s/%s@%s", pool, lun, keep));
	json_object_set_new(item, "notes",
	    json_pack("[o]", json_textf("what it was is kept as %s/%s@%s", pool,
				 lun, keep)));
}

static void
rollback_looked(struct survey *survey)
{
	struct request *request = survey->arg;
	const struct change *change = request->own;
	json_t *item;

	if (survey->error < 0 || survey->pools[0].lun_count != 1) {
		request_answer(request, json_incref(request->item));
		return;
	}
	item = method_lun_item(request);
	if (item == NULL)
		return;
	json_object_set_new(item, "kept",
	    json_textf(
		"%s/%s@%s", survey->only_pool, survey->only_lun, change->name));
	request_answer(request, item);
}

static void
rollback_answer(struct request *request)
{
	struct ref ref = method_ref(request, "snap");
	struct survey *survey = method_survey_new(request);

	memcpy(survey->only_pool, ref.pool, sizeof(survey->only_pool));
	memcpy(survey->only_lun, ref.lun, sizeof(survey->only_lun));
	survey_run(survey, rollback_looked, request);
}

static json_t *
rollback_check(struct request *request, const struct ref *ref, const char *keep)
{
	const struct survey_lun *snap = method_snap_find(request, ref->snap);
	char doing[REF_TEXT_MAX + 16], other_way[3 * REF_TEXT_MAX];

	if (snap == NULL)
		return snap_missing(ref->pool, ref->lun, ref->snap);
	if (method_snap_find(request, keep) != NULL)
		return fault_fix(
		    fault_new("snap.exists", "%s/%s has a snapshot %s already",
			ref->pool, ref->lun, keep),
		    "another name for what it is now: --keep NAME");
	snprintf(doing, sizeof(doing), "roll back %s/%s", ref->pool, ref->lun);
	snprintf(other_way, sizeof(other_way),
	    "or roll back into a new LUN:   varve lun clone %s/%s@%s "
	    "%s/%s-old",
	    ref->pool, ref->lun, ref->snap, ref->pool, ref->lun);
	return session_fault(request, method_lun(request), doing,
	    "a guest that has the disk open keeps the old blocks in its cache "
	    "and would damage the rolled-back data",
	    other_way);
}

static void
rollback_dry(struct request *request, const struct ref *ref, const char *keep)
{
	const struct survey_lun *snap = method_snap_find(request, ref->snap);
	json_t *item = json_pack("{s:o, s:I, s:I}", "name",
	    json_textf("%s/%s", ref->pool, ref->lun), "size",
	    (json_int_t)snap->volume.size, "live",
	    (json_int_t)snap->volume.live);

	kept_set(item, ref->pool, ref->lun, keep);
	request_answer(request, item);
}

static void
rollback_go(struct request *request)
{
	struct ref ref = method_ref(request, "snap");
	const struct survey_lun *sl = method_lun(request);
	struct house_lun *hl = house_lun_find(request->house, sl->volume.uuid);
	char keep[REF_NAME_MAX];
	struct change *change;
	json_t *fault;

	keep_name(request, keep);
	fault = rollback_check(request, &ref, keep);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	if (request->dry_run) {
		rollback_dry(request, &ref, keep);
		return;
	}
	change = change_new(request, &op_rollback, "cannot roll back to %s",
	    param_text(request->params, "snap"));
	uuid_copy(change->uuid, sl->volume.uuid);
	uuid_copy(
	    change->other, method_snap_find(request, ref.snap)->volume.uuid);
	memcpy(change->name, keep, sizeof(change->name));
	change->lun = hl != NULL ? hl->lun : NULL;
	change_start(request, method_house_pool(request), rollback_answer);
}

void
method_lun_rollback(struct request *request)
{
	method_survey_of(request, "snap", SURVEY_SNAPS, rollback_go);
}

/* ---- flatten ---- */

static void
flatten_started(void *arg, const struct house_job *job)
{
	struct request *request = arg;

	request_answer(request, job_item(job));
}

/* What it shares with its own snapshots it may go on sharing, and nobody knows
 * how much that is. */
static json_t *
flatten_room(const struct survey_pool *sp, const struct survey_lun *sl)
{
	char need[SIZE_TEXT_MAX], have[SIZE_TEXT_MAX];
	const struct family_stat *f = &sl->family;

	if (f->snapshots > 0 || f->live <= f->exclusive ||
	    f->live - f->exclusive <= sp->stat.free)
		return NULL;
	return fault_fix(
	    fault_why(fault_new("pool.no-space",
			  "cannot flatten %s/%s: the pool has no room",
			  sp->name, sl->volume.name),
		"it shares %s, which it would have by itself, and %s are free",
		size_format(f->live - f->exclusive, need),
		size_format(sp->stat.free, have)),
	    "varve pool grow %s DEVICE", sp->name);
}

static json_t *
flatten_check(const struct request *request, const struct survey_lun *sl)
{
	const char *name = param_text(request->params, "lun");

	if (house_is_flattening(request->house, sl->volume.uuid))
		return fault_fix(fault_new("lun.flattening",
				     "%s is being flattened already", name),
		    "varve job list");
	if (!sl->family.is_clone)
		return fault_new(
		    "lun.not-clone", "cannot flatten %s: it is no clone", name);
	return flatten_room(method_pool(request), sl);
}

/* It is asked for until it is done, also after a restart: so the state has
 * it. */
static void
flatten_start(struct request *request, const struct house_job *job)
{
	struct state *state = request->house->state;
	struct house_pool *hp = method_house_pool(request);
	int ret = state_begin(state);

	if (ret == 0) {
		ret = state_flatten_add(state, hp->id, job->stat.uuid);
		if (ret < 0)
			state_rollback(state);
	}
	if (ret < 0)
		request_fail(
		    request, fault_internal("the job is not written", ret));
	else if (request_commit(request, request->item))
		house_flatten(hp, job->stat.uuid, flatten_started, request);
}

static void
flatten_go(struct request *request)
{
	const struct survey_lun *sl = method_lun(request);
	json_t *fault = flatten_check(request, sl);
	struct house_job job = {.stat.kind = POOL_JOB_FLATTEN};

	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	uuid_copy(job.stat.uuid, sl->volume.uuid);
	memcpy(job.stat.name, sl->volume.name, sizeof(job.stat.name));
	memcpy(job.pool, method_pool(request)->name, sizeof(job.pool));
	job.stat.total = sl->volume.size;
	request->item = job_item(&job);
	if (request->dry_run)
		request_answer(request, json_incref(request->item));
	else
		flatten_start(request, &job);
}

void
method_lun_flatten(struct request *request)
{
	method_survey_of(request, "lun", 0, flatten_go);
}
