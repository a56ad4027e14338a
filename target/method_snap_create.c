/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snap create: of one LUN, of several at one instant, of a group.
 */
#include "target/change.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What is asked for: LUNs of one pool, each once, and one name. */
struct wanted {
	char pool[REF_NAME_MAX], snap[REF_NAME_MAX];
	char luns[PARAM_REPEAT_MAX][REF_NAME_MAX];
	unsigned count;
};

/* ---- what is asked for ---- */

static bool
same_or_first(char *taken, const char *given)
{
	if (taken[0] == '\0')
		memcpy(taken, given, REF_NAME_MAX);
	return strcmp(taken, given) == 0;
}

static bool
has_lun(const struct wanted *wanted, const char *lun)
{
	for (unsigned i = 0; i < wanted->count; i++) {
		if (strcmp(wanted->luns[i], lun) == 0)
			return true;
	}
	return false;
}

static json_t *
names_fault(const char *what)
{
	return fault_fix(
	    fault_why(
		fault_new("snap.names", "cannot make snapshots: %s", what),
		"LUNs of one pool, or a group, and one name for all"),
	    "varve snap create POOL/LUN... @NAME, or --group GROUP @NAME");
}

static json_t *
wanted_take(struct wanted *wanted, const char *text)
{
	struct ref ref;

	ref_parse(text, &ref);
	if (ref.snap[0] != '\0' && !same_or_first(wanted->snap, ref.snap))
		return names_fault("two names are given");
	if (ref.lun[0] == '\0')
		return NULL;
	if (!same_or_first(wanted->pool, ref.pool))
		return fault_why(
		    fault_new("snap.other-pool",
			"cannot make snapshots: %s is not in the pool %s", text,
			wanted->pool),
		    "one instant is that of one pool");
	if (!has_lun(wanted, ref.lun))
		memcpy(wanted->luns[wanted->count++], ref.lun, REF_NAME_MAX);
	return NULL;
}

static json_t *
wanted_read(const struct request *request, struct wanted *wanted)
{
	const json_t *names = json_object_get(request->params, "names");
	const json_t *name;
	json_t *fault = NULL;
	size_t i;

	*wanted = (struct wanted){.count = 0};
	json_array_foreach(names, i, name)
	{
		fault = wanted_take(wanted, json_string_value(name));
		if (fault != NULL)
			return fault;
	}
	if (wanted->snap[0] == '\0')
		return names_fault("no name is given");
	if ((param_text(request->params, "group") != NULL) ==
	    (wanted->count > 0))
		return names_fault(wanted->count > 0
				       ? "LUNs and a group are given"
				       : "neither LUNs nor a group are given");
	return NULL;
}

/* ---- the change ---- */

static int
create_run(struct change *change, struct volume *volume)
{
	const struct snapshot_params params = {.name = change->name,
	    .hold = change->flag,
	    .consistency = change->consistency};
	struct volume *volumes[SNAPSHOT_VOLUMES_MAX];

	(void)volume;
	for (unsigned i = 0; i < change->uuid_count; i++) {
		volumes[i] = change_volume(change, i);
		if (volumes[i] == NULL)
			return -ENOENT;
	}
	snapshot_create(change->pool, volumes, change->uuid_count, &params,
	    &change->pool_request);
	return CHANGE_STARTED;
}

/* clang-format off */
static const struct change_fault create_faults[] = {
	{ -EEXIST, "snap.exists",   "a LUN has a snapshot of that name already" },
	{ -ENOENT, "lun.not-found", "a LUN was deleted meanwhile" },
	{ -ENOSPC, "pool.no-space", "the pool has no room for its record" },
	{ 0, NULL, NULL },
};
/* clang-format on */

static const struct change_op op_create = {
    .run = create_run, .faults = create_faults};

/* ---- the answer ---- */

static bool
is_one_of(const struct change *change, const struct survey_pool *sp,
    const struct survey_lun *snap)
{
	for (unsigned i = 0; i < sp->lun_count; i++) {
		if (strcmp(sp->luns[i].volume.name, snap->of) != 0)
			continue;
		for (unsigned u = 0; u < change->uuid_count; u++) {
			if (uuid_compare(
				change->uuids[u], sp->luns[i].volume.uuid) == 0)
				return true;
		}
	}
	return false;
}

static void
create_looked(struct request *request)
{
	const struct survey_pool *sp = method_pool(request);
	struct exports exports;
	json_t *items;

	if (!method_exports(request, &exports))
		return;
	items = json_array();
	for (unsigned i = 0; i < sp->snap_count; i++) {
		if (is_one_of(request->own, sp, &sp->snaps[i]))
			json_array_append_new(
			    items, snap_item(sp, &sp->snaps[i], &exports));
	}
	free(exports.rows);
	request_answer_items(request, items);
}

static void
create_answer(struct request *request)
{
	const struct change *change = request->own;
	char pool[REF_NAME_MAX];
	struct survey *survey;

	memcpy(pool, change->lun_name, sizeof(pool));
	survey = method_survey_new(request);
	memcpy(survey->only_pool, pool, sizeof(pool));
	memcpy(survey->only_snap, change->name, sizeof(change->name));
	survey->also = SURVEY_SNAPS;
	method_survey_run(request, create_looked);
}

/* ---- check and go ---- */

/* The LUNs by their identity, in the order of their names. */
static json_t *
luns_take(struct request *request, const struct survey_pool *sp,
    const struct wanted *wanted, const char *group)
{
	struct change *change = request->own;

	change->uuids = calloc(sp->lun_count + 1, sizeof(uuid_t));
	assert(change->uuids != NULL);
	for (unsigned i = 0; i < sp->lun_count; i++) {
		const struct survey_lun *sl = &sp->luns[i];
		if (group != NULL ? strcmp(sl->group, group) != 0
				  : !has_lun(wanted, sl->volume.name))
			continue;
		uuid_copy(change->uuids[change->uuid_count++], sl->volume.uuid);
	}
	if (change->uuid_count > SNAPSHOT_VOLUMES_MAX)
		return fault_new("limit.reached",
		    "a snapshot is of %u LUNs at most", SNAPSHOT_VOLUMES_MAX);
	if (group != NULL && change->uuid_count == 0)
		return fault_new(
		    "group.empty", "the group %s has no LUN", group);
	for (unsigned i = 0; i < wanted->count; i++) {
		if (survey_lun_find(
			request->survey, sp->name, wanted->luns[i]) == NULL)
			return fault_fix(
			    fault_new("lun.not-found", "there is no LUN %s/%s",
				sp->name, wanted->luns[i]),
			    "varve lun list %s", sp->name);
	}
	return NULL;
}

static json_t *
name_is_free(const struct request *request, const struct survey_pool *sp)
{
	for (unsigned i = 0; i < sp->snap_count; i++) {
		if (is_one_of(request->own, sp, &sp->snaps[i]))
			return fault_fix(
			    fault_new("snap.exists",
				"%s/%s has a snapshot %s already", sp->name,
				sp->snaps[i].of, sp->snaps[i].volume.name),
			    "varve snap list %s/%s", sp->name, sp->snaps[i].of);
	}
	return NULL;
}

/* What it will be called, of each LUN. */
static json_t *
items_planned(const struct request *request, const struct survey_pool *sp)
{
	const struct change *change = request->own;
	json_t *items = json_array();

	for (unsigned i = 0; i < sp->lun_count; i++) {
		const struct volume_stat *v = &sp->luns[i].volume;
		for (unsigned u = 0; u < change->uuid_count; u++) {
			if (uuid_compare(change->uuids[u], v->uuid) != 0)
				continue;
			json_array_append_new(items,
			    json_pack("{s:o, s:o, s:o, s:b, s:s}", "name",
				json_textf("%s/%s@%s", sp->name, v->name,
				    change->name),
				"size", json_bytes(v->size), "live",
				json_bytes(v->live), "hold", change->flag,
				"consistency",
				consistency_text(change->consistency)));
		}
	}
	return items;
}

static void
create_of(struct request *request, const struct survey_pool *sp,
    const struct wanted *wanted, const char *group)
{
	struct change *change = change_new(
	    request, &op_create, "cannot make the snapshot %s", wanted->snap);
	struct house_pool *hp = house_pool_find(request->house, sp->name);
	json_t *fault;

	memcpy(change->name, wanted->snap, sizeof(change->name));
	memcpy(change->lun_name, sp->name, sizeof(change->lun_name));
	change->flag = param_flag(request->params, "hold");
	change->consistency = param_consistency(request->params, "consistency");
	fault = luns_take(request, sp, wanted, group);
	if (fault == NULL)
		fault = name_is_free(request, sp);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	request->item = items_planned(request, sp);
	if (request->dry_run)
		request_answer_items(request, json_incref(request->item));
	else
		change_start(request, hp, create_answer);
}

static void
create_go(struct request *request)
{
	const char *group_text = param_text(request->params, "group");
	const struct survey_pool *sp = &request->survey->pools[0];
	const char *group = NULL;
	struct wanted wanted;
	json_t *fault = wanted_read(request, &wanted);

	if (fault == NULL && group_text != NULL)
		fault = group_find(request->survey, group_text, &sp, &group);
	if (fault != NULL)
		request_fail(request, fault);
	else
		create_of(request, sp, &wanted, group);
}

void
method_snap_create(struct request *request)
{
	struct wanted wanted;
	json_t *fault = wanted_read(request, &wanted);
	struct house_pool *hp;
	struct survey *survey;

	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	if (wanted.count > 0 &&
	    !method_find_open_pool(request, wanted.pool, &hp))
		return;
	survey = method_survey_new(request);
	memcpy(survey->only_pool, wanted.pool, sizeof(survey->only_pool));
	memcpy(survey->only_snap, wanted.snap, sizeof(survey->only_snap));
	survey->also = SURVEY_SNAPS | SURVEY_GROUPS;
	method_survey_run(request, create_go);
}
