/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Groups: names for sets of LUNs of one pool.
 */
#include "target/change.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- finding ---- */

static bool
has_group(const struct survey_pool *sp, const char *name)
{
	for (unsigned i = 0; i < sp->group_count; i++) {
		if (strcmp(sp->groups[i], name) == 0)
			return true;
	}
	return false;
}

json_t *
group_find(const struct survey *survey, const char *text,
    const struct survey_pool **ret_sp, const char **ret_name)
{
	const struct survey_pool *found = NULL;
	const char *slash = strchr(text, '/');
	const char *name = slash != NULL ? slash + 1 : text;

	for (unsigned i = 0; i < survey->pool_count; i++) {
		const struct survey_pool *sp = &survey->pools[i];
		size_t length = slash != NULL ? (size_t)(slash - text) : 0;
		if (slash != NULL && (strncmp(sp->name, text, length) != 0 ||
					 sp->name[length] != '\0'))
			continue;
		if (!has_group(sp, name))
			continue;
		if (found != NULL)
			return fault_fix(fault_new("group.ambiguous",
					     "two pools have a group %s", name),
			    "%s/%s, or %s/%s", found->name, name, sp->name,
			    name);
		found = sp;
	}
	if (found == NULL)
		return fault_fix(
		    fault_new("group.not-found", "there is no group %s", text),
		    "varve group list");
	*ret_sp = found;
	*ret_name = name;
	return NULL;
}

/* ---- the item ---- */

static json_t *
group_item(const struct survey_pool *sp, const char *name)
{
	json_t *luns = json_array();

	for (unsigned i = 0; i < sp->lun_count; i++) {
		if (strcmp(sp->luns[i].group, name) == 0)
			json_array_append_new(
			    luns, version_name(sp, &sp->luns[i]));
	}
	return json_pack(
	    "{s:s, s:s, s:o}", "name", name, "pool", sp->name, "luns", luns);
}

static void
pool_items(const struct request *request, const struct survey_pool *sp,
    const struct exports *exports, json_t *items)
{
	(void)request, (void)exports;
	for (unsigned i = 0; i < sp->group_count; i++)
		json_array_append_new(items, group_item(sp, sp->groups[i]));
}

static void
list_answer(struct request *request)
{
	request_answer_items(request, method_list(request, NULL, pool_items));
}

void
method_group_list(struct request *request)
{
	method_survey_of(request, "pool", SURVEY_GROUPS, list_answer);
}

/* The group that the parameter names; fails the request and says false. */
static bool
group_take(struct request *request, const struct survey_pool **ret_sp,
    const char **ret_name)
{
	json_t *fault = group_find(request->survey,
	    param_text(request->params, "group"), ret_sp, ret_name);

	if (fault != NULL)
		request_fail(request, fault);
	return fault == NULL;
}

static void
show_answer(struct request *request)
{
	const struct survey_pool *sp;
	const char *name;

	if (group_take(request, &sp, &name))
		request_answer(request, group_item(sp, name));
}

void
method_group_show(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, show_answer);
}

/* ---- changes ---- */

static int
create_run(struct change *change, struct volume *volume)
{
	struct volume *volumes[PARAM_REPEAT_MAX];

	(void)volume;
	for (unsigned i = 0; i < change->uuid_count; i++) {
		volumes[i] = change_volume(change, i);
		if (volumes[i] == NULL)
			return -ENOENT;
	}
	group_create(change->pool, change->name, volumes, change->uuid_count,
	    &change->pool_request);
	return CHANGE_STARTED;
}

static int
delete_run(struct change *change, struct volume *volume)
{
	(void)volume;
	group_delete(change->pool, change->name, &change->pool_request);
	return CHANGE_STARTED;
}

/* One LUN after the other: change->flag says in or out. */
static int
members_run(struct change *change, struct volume *volume)
{
	(void)volume;
	if (change->step == change->uuid_count)
		return CHANGE_DONE;
	volume = change_volume(change, change->step);
	if (volume == NULL)
		return -ENOENT;
	group_set_member(change->pool, change->name, volume, change->flag,
	    &change->pool_request);
	return CHANGE_STARTED;
}

/* clang-format off */
static const struct change_fault group_faults[] = {
	{ -EEXIST, "group.exists",    "there is a group of that name already" },
	{ -EBUSY,  "lun.in-group",    "a LUN is in a group already" },
	{ -ENOENT, "group.not-found", "it was deleted meanwhile" },
	{ 0, NULL, NULL },
};
/* clang-format on */

static const struct change_op op_create = {
    .run = create_run, .faults = group_faults};
static const struct change_op op_delete = {
    .run = delete_run, .faults = group_faults};
static const struct change_op op_members = {
    .run = members_run, .repeats = true, .faults = group_faults};

/* ---- LUNs of a change ---- */

static json_t *
member_check(const struct survey_pool *sp, const struct survey_lun *sl,
    const char *group, bool in)
{
	if (in && sl->group[0] != '\0')
		return fault_fix(
		    fault_new("lun.in-group", "%s/%s is in the group %s",
			sp->name, sl->volume.name, sl->group),
		    "varve group remove %s %s/%s", sl->group, sp->name,
		    sl->volume.name);
	if (!in && strcmp(sl->group, group) != 0)
		return fault_fix(fault_new("group.not-member",
				     "%s/%s is not in the group %s", sp->name,
				     sl->volume.name, group),
		    "varve group show %s", group);
	return NULL;
}

static json_t *
lun_take(struct change *change, const struct survey *survey,
    const struct survey_pool *sp, const char *text)
{
	const struct survey_lun *sl;
	struct ref ref;
	json_t *fault;

	ref_parse(text, &ref);
	if (strcmp(ref.pool, sp->name) != 0)
		return fault_new("group.other-pool",
		    "%s is not in the pool %s, where the group lies", text,
		    sp->name);
	sl = survey_lun_find(survey, ref.pool, ref.lun);
	if (sl == NULL)
		return fault_fix(
		    fault_new("lun.not-found", "there is no LUN %s", text),
		    "varve lun list %s", sp->name);
	for (unsigned i = 0; i < change->uuid_count; i++) {
		if (uuid_compare(change->uuids[i], sl->volume.uuid) == 0)
			return NULL; /* named twice */
	}
	fault = member_check(sp, sl, change->name, change->flag);
	if (fault == NULL)
		uuid_copy(change->uuids[change->uuid_count++], sl->volume.uuid);
	return fault;
}

static json_t *
luns_take(const struct request *request, const struct survey_pool *sp)
{
	const json_t *luns = json_object_get(request->params, "luns"), *lun;
	struct change *change = request->own;
	json_t *fault = NULL;
	size_t i;

	change->uuids = calloc(json_array_size(luns), sizeof(uuid_t));
	assert(change->uuids != NULL);
	json_array_foreach(luns, i, lun)
	{
		fault = lun_take(
		    change, request->survey, sp, json_string_value(lun));
		if (fault != NULL)
			return fault;
	}
	return NULL;
}

/* ---- the answer to a change ---- */

static void
changed_looked(struct request *request)
{
	const struct change *change = request->own;

	if (request->survey->pool_count == 1 &&
	    has_group(method_pool(request), change->name))
		request_answer(
		    request, group_item(method_pool(request), change->name));
	else
		request_answer(request, json_incref(request->item));
}

static void
changed_answer(struct request *request)
{
	const struct change *change = request->own;
	struct survey *survey = method_survey_new(request);

	memcpy(survey->only_pool, change->lun_name, sizeof(change->lun_name));
	survey->also = SURVEY_GROUPS;
	method_survey_run(request, changed_looked);
}

static void
change_go(struct request *request, const struct survey_pool *sp)
{
	if (request->dry_run)
		request_answer(request, json_incref(request->item));
	else
		change_start(request, house_pool_find(request->house, sp->name),
		    changed_answer);
}

/* ... of the LUNs that the request names. */
static void
change_luns_go(struct request *request, const struct survey_pool *sp)
{
	json_t *fault = luns_take(request, sp);

	if (fault != NULL)
		request_fail(request, fault);
	else
		change_go(request, sp);
}

static struct change *
change_of(struct request *request, const struct change_op *op,
    const struct survey_pool *sp, const char *name)
{
	struct change *change = change_new(request, op,
	    "cannot %s the group %s", request->command->verb, name);

	snprintf(change->name, sizeof(change->name), "%s", name);
	memcpy(change->lun_name, sp->name, sizeof(change->lun_name));
	request->item = group_item(sp, name);
	return change;
}

/* ---- create ---- */

static json_t *
name_is_free(const struct survey *survey, const char *name)
{
	for (unsigned i = 0; i < survey->pool_count; i++) {
		if (has_group(&survey->pools[i], name))
			return fault_fix(
			    fault_new("group.exists",
				"there is a group %s already", name),
			    "varve group show %s/%s", survey->pools[i].name,
			    name);
	}
	return NULL;
}

static void
create_go(struct request *request)
{
	const json_t *luns = json_object_get(request->params, "luns");
	const char *name = param_text(request->params, "name");
	const struct survey *survey = request->survey;
	const struct survey_pool *sp = NULL;
	json_t *fault = name_is_free(survey, name);
	struct ref ref;

	ref_parse(json_string_value(json_array_get(luns, 0)), &ref);
	for (unsigned i = 0; i < survey->pool_count; i++) {
		if (strcmp(survey->pools[i].name, ref.pool) == 0)
			sp = &survey->pools[i];
	}
	if (fault == NULL && sp == NULL)
		fault = fault_new("pool.not-found", "the pool is gone");
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	change_of(request, &op_create, sp, name)->flag = true;
	change_luns_go(request, sp);
}

void
method_group_create(struct request *request)
{
	const json_t *luns = json_object_get(request->params, "luns");
	struct house_pool *hp;
	struct ref ref;

	ref_parse(json_string_value(json_array_get(luns, 0)), &ref);
	if (method_find_open_pool(request, ref.pool, &hp))
		method_survey_also(request, "", "", SURVEY_GROUPS, create_go);
}

/* ---- add, remove, delete ---- */

static void
members_go(struct request *request)
{
	const struct survey_pool *sp;
	const char *name;

	if (!group_take(request, &sp, &name))
		return;
	change_of(request, &op_members, sp, name)->flag =
	    strcmp(request->command->verb, "add") == 0;
	change_luns_go(request, sp);
}

void
method_group_add(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, members_go);
}

void
method_group_remove(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, members_go);
}

static void
delete_go(struct request *request)
{
	const struct survey_pool *sp;
	const char *name;

	if (!group_take(request, &sp, &name))
		return;
	change_of(request, &op_delete, sp, name);
	change_go(request, sp);
}

void
method_group_delete(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, delete_go);
}
