/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a document says of policies.  An entry is what policy.create is told.
 */
#include "target/method_policy.h"
#include "target/plan_part.h"
#include <stdlib.h>
#include <string.h>

/* Parameters that name whom a policy covers, by enum member_kind. */
static const char *const covers[MEMBER_COUNT] = {
    [MEMBER_LUN] = "luns", [MEMBER_GROUP] = "group", [MEMBER_POOL] = "pool"};

/* ---- what is, as a document ---- */

static json_t *
member_name(const struct state_member *member)
{
	switch (member->kind) {
	case MEMBER_GROUP:
		return json_textf("%s/%s", member->pool, member->what);
	case MEMBER_POOL: return json_text(member->pool);
	case MEMBER_LUN:
	case MEMBER_COUNT: break;
	}
	return json_textf("%s/%s", member->pool, member->lun_name);
}

static void
members_document(json_t *entry, const struct state_member *rows, unsigned count,
    int64_t policy_id)
{
	for (unsigned i = 0; i < count; i++) {
		const char *name = covers[rows[i].kind];
		if (rows[i].policy_id != policy_id)
			continue;
		if (json_object_get(entry, name) == NULL)
			json_object_set_new(entry, name, json_array());
		json_array_append_new(
		    json_object_get(entry, name), member_name(&rows[i]));
	}
}

json_t *
plan_policies_document(struct house *house)
{
	struct state_policy *policies;
	struct state_member *rows;
	unsigned count, row_count;
	json_t *array = json_array();

	if (state_members(house->state, 0, &rows, &row_count) < 0) {
		json_decref(array);
		return NULL;
	}
	if (state_policies(house->state, &policies, &count) < 0) {
		free(rows);
		json_decref(array);
		return NULL;
	}
	for (unsigned i = 0; i < count; i++) {
		json_t *entry = json_pack("{s:s}", "name", policies[i].name);
		json_object_update(entry, policies[i].definition);
		json_object_set_new(entry, "paused",
		    json_string(policies[i].paused ? "yes" : "no"));
		members_document(entry, rows, row_count, policies[i].id);
		json_array_append_new(array, entry);
	}
	free(rows);
	state_policies_free(policies, count);
	return array;
}

/* ---- steps ---- */

static bool
is_cover(const char *member)
{
	for (size_t i = 0; i < ARRAY_SIZE(covers); i++) {
		if (strcmp(covers[i], member) == 0)
			return true;
	}
	return false;
}

static bool
says_none(const json_t *value)
{
	return json_is_string(value) &&
	       strcmp(json_string_value(value), "none") == 0;
}

/* What the entry says and differs; what it says nothing of stays. */
static void
set_step(struct plan *plan, const json_t *entry, const json_t *before)
{
	const char *name = plan_text(entry, "name"), *member;
	json_t *params = json_pack("{s:s}", "policy", name), *value;
	char *text;

	json_object_foreach((json_t *)(uintptr_t)entry, member, value)
	{
		json_t *had = json_object_get(before, member);
		if (strcmp(member, "name") != 0 && !is_cover(member) &&
		    !json_equal(value, had) &&
		    !(had == NULL && says_none(value)))
			json_object_set(params, member, value);
	}
	if (json_object_size(params) == 1) {
		json_decref(params);
		return;
	}
	text = json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS);
	assert(text != NULL);
	plan_step(plan, "policy.set", name, params, "%s", text);
	free(text);
}

static void
cover_step(struct plan *plan, const char *method, const char *name,
    const json_t *one, const json_t *other, const char *detail)
{
	json_t *params = json_pack("{s:s}", "policy", name);

	for (size_t i = 0; i < ARRAY_SIZE(covers); i++) {
		json_t *rest = plan_beside(one, other, covers[i]);
		if (rest != NULL)
			json_object_set_new(params, covers[i], rest);
	}
	if (json_object_size(params) > 1)
		plan_step(plan, method, name, params, "%s", detail);
	else
		json_decref(params);
}

void
plan_policies(struct plan *plan)
{
	const json_t *have = json_object_get(plan->have, "policies"), *entry;
	size_t i;

	json_array_foreach(json_object_get(plan->want, "policies"), i, entry)
	{
		const char *name = plan_text(entry, "name");
		const json_t *before = plan_entry(have, entry);
		if (before == NULL) {
			plan_step(plan, "policy.create", name,
			    json_copy((json_t *)(uintptr_t)entry),
			    "%s, keep %s", plan_text(entry, "at"),
			    plan_text(entry, "keep"));
			continue;
		}
		/* out first: what then is backed up into one directory may be
		 * one LUN alone */
		cover_step(plan, "policy.remove", name, before, entry,
		    "what it is not to cover");
		set_step(plan, entry, before);
		cover_step(plan, "policy.add", name, entry, before,
		    "what it is to cover");
	}
}

void
plan_policies_prune(struct plan *plan)
{
	const json_t *want = json_object_get(plan->want, "policies"), *entry;
	size_t i;

	json_array_foreach(json_object_get(plan->have, "policies"), i, entry)
	{
		const char *name = plan_text(entry, "name");
		if (plan_entry(want, entry) == NULL)
			plan_step(plan, "policy.delete", name,
			    json_pack("{s:s}", "policy", name),
			    "it is not in the document");
	}
}
