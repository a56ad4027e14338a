/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whom a policy covers: LUNs by their identity, groups and pools by name, so
 * that what joins them later is covered too.
 */
#include "target/method_policy.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool
policy_members(
    struct request *request, int64_t policy_id, struct members *ret_members)
{
	int ret = state_members(request->house->state, policy_id,
	    &ret_members->rows, &ret_members->count);

	if (ret < 0)
		request_fail(
		    request, fault_internal("the state cannot be read", ret));
	return ret == 0;
}

json_t *
policy_member_text(const struct state_member *member)
{
	switch (member->kind) {
	case MEMBER_GROUP:
		return json_textf("group %s/%s", member->pool, member->what);
	case MEMBER_POOL: return json_textf("pool %s", member->pool);
	case MEMBER_LUN:
	case MEMBER_COUNT: break;
	}
	return json_textf("%s/%s", member->pool, member->lun_name);
}

/* ---- named by parameters ---- */

static struct state_member *
member_grow(struct members *members)
{
	members->rows = reallocarray(
	    members->rows, members->count + 1, sizeof(*members->rows));
	assert(members->rows != NULL);
	return &members->rows[members->count++];
}

static struct state_member *
member_add(struct members *members, const struct survey_pool *sp,
    enum member_kind kind)
{
	struct state_member *member = member_grow(members);

	*member = (struct state_member){.kind = kind, .pool_id = sp->id};
	memcpy(member->pool, sp->name, sizeof(member->pool));
	return member;
}

static const struct survey_pool *
pool_named(const struct survey *survey, const char *name)
{
	for (unsigned i = 0; i < survey->pool_count; i++) {
		if (strcmp(survey->pools[i].name, name) == 0)
			return &survey->pools[i];
	}
	return NULL;
}

static json_t *
lun_named(
    const struct survey *survey, const char *text, struct members *members)
{
	char pool[PARAM_NAME_MAX], name[PARAM_NAME_MAX];
	const struct survey_lun *sl;
	struct state_member *member;

	param_lun_split(text, pool, name);
	sl = survey_lun_find(survey, pool, name);
	if (sl == NULL)
		return fault_fix(
		    fault_new("lun.not-found", "there is no LUN %s", text),
		    "varve lun list");
	member = member_add(members, pool_named(survey, pool), MEMBER_LUN);
	uuid_unparse_lower(sl->volume.uuid, member->what);
	snprintf(member->lun_name, sizeof(member->lun_name), "%s", name);
	return NULL;
}

static json_t *
group_named(
    const struct survey *survey, const char *text, struct members *members)
{
	const struct survey_pool *sp;
	struct state_member *member;
	const char *name;
	json_t *fault = group_find(survey, text, &sp, &name);

	if (fault != NULL)
		return fault;
	member = member_add(members, sp, MEMBER_GROUP);
	snprintf(member->what, sizeof(member->what), "%s", name);
	return NULL;
}

static json_t *
whole_pool_named(
    const struct survey *survey, const char *text, struct members *members)
{
	const struct survey_pool *sp = pool_named(survey, text);

	if (sp == NULL)
		return fault_fix(
		    fault_new("pool.not-found", "there is no pool %s", text),
		    "varve pool list");
	member_add(members, sp, MEMBER_POOL);
	return NULL;
}

/* "vms/web01", a LUN that is in the trash; "vms/shop" or "shop", a group that
 * nobody is in any more. */
static bool
kept_named(const struct members *kept, enum member_kind kind, const char *text,
    struct members *members)
{
	for (unsigned i = 0; kept != NULL && i < kept->count; i++) {
		const struct state_member *row = &kept->rows[i];
		const char *name =
		    kind == MEMBER_LUN ? row->lun_name : row->what;
		size_t pool = strlen(row->pool);
		bool named = strncmp(text, row->pool, pool) == 0 &&
			     text[pool] == '/' &&
			     strcmp(text + pool + 1, name) == 0;

		if (row->kind != kind ||
		    (!named &&
			(kind != MEMBER_GROUP || strcmp(text, name) != 0)))
			continue;
		*member_grow(members) = *row;
		return true;
	}
	return false;
}

json_t *
policy_members_named(const struct request *request, const struct members *kept,
    struct members *ret_members)
{
	static const struct {
		const char *name;
		json_t *(*take)(const struct survey *survey, const char *text,
		    struct members *members);
		enum member_kind kind;
	} kinds[] = {
	    {"luns", lun_named, MEMBER_LUN},
	    {"group", group_named, MEMBER_GROUP},
	    {"pool", whole_pool_named, MEMBER_POOL},
	};
	const json_t *one;
	size_t i;

	*ret_members = (struct members){NULL, 0};
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		json_array_foreach(
		    json_object_get(request->params, kinds[k].name), i, one)
		{
			const char *text = json_string_value(one);
			json_t *fault =
			    kinds[k].take(request->survey, text, ret_members);
			if (fault != NULL && kept_named(kept, kinds[k].kind,
						 text, ret_members)) {
				json_decref(fault);
				fault = NULL;
			}
			if (fault == NULL)
				continue;
			free(ret_members->rows);
			*ret_members = (struct members){NULL, 0};
			return fault;
		}
	}
	return NULL;
}

/* ---- what they come to ---- */

struct sets {
	json_t *list;
	json_t *seen; /* object: names of LUNs */
};

/* Takes group. */
static json_t *
set_new(json_t *group)
{
	return json_pack("{s:o, s:[]}", "group", group, "luns");
}

static void
set_add(struct sets *sets, json_t *set, json_t *name)
{
	const char *text = json_string_value(name);

	if (json_object_get(sets->seen, text) == NULL) {
		json_object_set_new(sets->seen, text, json_true());
		json_array_append(json_object_get(set, "luns"), name);
	}
	json_decref(name);
}

/* Takes set; one without LUNs is none. */
static void
set_keep(struct sets *sets, json_t *set)
{
	if (json_array_size(json_object_get(set, "luns")) > 0)
		json_array_append(sets->list, set);
	json_decref(set);
}

static void
group_add(struct sets *sets, const struct survey_pool *sp, const char *group)
{
	json_t *set = set_new(json_textf("%s/%s", sp->name, group));

	for (unsigned i = 0; i < sp->lun_count; i++) {
		if (strcmp(sp->luns[i].group, group) == 0)
			set_add(sets, set, version_name(sp, &sp->luns[i]));
	}
	set_keep(sets, set);
}

static void
lun_add(struct sets *sets, const struct survey_pool *sp,
    const struct survey_lun *sl)
{
	json_t *set = set_new(json_null());

	set_add(sets, set, version_name(sp, sl));
	set_keep(sets, set);
}

/* What a restore or a copy is still being written into: it gets its name, and
 * is covered, when it is whole. */
static bool
is_in_the_making(const struct survey_lun *sl)
{
	static const char *const suffixes[] = {".restoring", ".receiving"};
	const char *name = sl->volume.name;
	size_t length = strlen(name);

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t end = strlen(suffixes[i]);
		if (length > end &&
		    strcmp(name + length - end, suffixes[i]) == 0)
			return true;
	}
	return false;
}

static bool
is_covered(const struct survey_lun *sl, const struct state_member *member,
    const uuid_t uuid)
{
	if (member->kind == MEMBER_POOL)
		return !is_in_the_making(sl);
	return uuid_compare(sl->volume.uuid, uuid) == 0;
}

/* Groups first: who is in one is frozen with it. */
static void
member_sets(struct sets *sets, const struct survey *survey,
    const struct state_member *member)
{
	const struct survey_pool *sp = pool_named(survey, member->pool);
	uuid_t uuid;

	uuid_clear(uuid);
	if (member->kind == MEMBER_GROUP && sp != NULL) {
		group_add(sets, sp, member->what);
		return;
	}
	if (member->kind == MEMBER_LUN && uuid_parse(member->what, uuid) < 0)
		return;
	for (unsigned i = 0; sp != NULL && i < sp->lun_count; i++) {
		if (is_covered(&sp->luns[i], member, uuid))
			lun_add(sets, sp, &sp->luns[i]);
	}
	if (member->kind == MEMBER_LUN && (sp == NULL || !sp->open)) {
		/* the worker is told why it cannot be reached */
		json_t *set = set_new(json_null());
		set_add(sets, set, policy_member_text(member));
		set_keep(sets, set);
	}
}

json_t *
policy_sets(const struct survey *survey, const struct members *members)
{
	static const enum member_kind order[] = {
	    MEMBER_GROUP, MEMBER_LUN, MEMBER_POOL};
	struct sets sets = {json_array(), json_object()};

	for (size_t o = 0; o < ARRAY_SIZE(order); o++) {
		for (unsigned i = 0; i < members->count; i++) {
			if (members->rows[i].kind == order[o])
				member_sets(&sets, survey, &members->rows[i]);
		}
	}
	json_decref(sets.seen);
	return sets.list;
}
