/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy create, list, show, set, add, remove, delete.
 */
#include "target/method_policy.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the item ---- */

static const char *
state_word(const struct house *house, const struct state_policy *policy,
    const struct state_run *last)
{
	if (house_run_of(house, policy->id) != NULL)
		return "running";
	if (policy->paused)
		return "paused";
	if (last != NULL && last->outcome != RUN_DONE &&
	    last->outcome != RUN_RUNNING)
		return "failing";
	return "waiting";
}

static void
item_runs(
    json_t *item, const struct house *house, const struct state_policy *policy)
{
	const struct run_query query = {
	    .policy_id = policy->id, .limit = 1, .bare = true};
	struct state_run *last = NULL;
	struct state_tally tally;
	unsigned count = 0;

	if (state_runs(house->state, &query, &last, &count) < 0 ||
	    state_tally(house->state, policy->id, &tally) < 0)
		tally = (struct state_tally){.missed = 0};
	json_object_set_new(item, "state",
	    json_string(state_word(house, policy, count > 0 ? last : NULL)));
	json_object_set_new(
	    item, "last", json_time(count > 0 ? last->begun_unix : 0));
	json_object_set_new(item, "outcome",
	    count > 0 ? json_string(run_outcomes[last->outcome]) : json_null());
	json_object_set_new(
	    item, "last_good", json_time(tally.last_unix[RUN_DONE]));
	state_runs_free(last, count);
}

static json_t *
members_list(const struct members *members)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < members->count; i++)
		json_array_append_new(
		    list, policy_member_text(&members->rows[i]));
	return list;
}

static json_t *
luns_of(const json_t *sets)
{
	json_t *luns = json_array();
	const json_t *set;
	size_t i;

	json_array_foreach(sets, i, set)
	    json_array_extend(luns, json_object_get(set, "luns"));
	return luns;
}

json_t *
policy_item(const struct request *request, const struct state_policy *policy,
    const struct members *members)
{
	json_t *item = json_object();
	json_t *sets = policy_sets(request->survey, members);

	json_object_set_new(item, "name", json_text(policy->name));
	definition_item(item, policy->definition);
	json_object_set_new(item, "members", members_list(members));
	json_object_set_new(item, "luns", luns_of(sets));
	json_object_set_new(item, "sets", sets);
	json_object_set_new(item, "paused", json_boolean(policy->paused));
	json_object_set_new(item, "next",
	    json_time(house_policy_next(policy, (int64_t)time(NULL))));
	json_object_set_new(item, "created", json_time(policy->created_unix));
	item_runs(item, request->house, policy);
	return item;
}

/* ---- list, show ---- */

static struct members
members_of(const struct members *all, int64_t policy_id)
{
	struct members members = {
	    calloc(all->count + 1, sizeof(*all->rows)), 0};

	assert(members.rows != NULL);
	for (unsigned i = 0; i < all->count; i++) {
		if (all->rows[i].policy_id == policy_id)
			members.rows[members.count++] = all->rows[i];
	}
	return members;
}

static void
list_answer(struct request *request)
{
	json_t *items = json_array();
	struct state_policy *policies;
	struct members all;
	unsigned count;
	int ret;

	if (!policy_members(request, 0, &all)) {
		json_decref(items);
		return;
	}
	ret = state_policies(request->house->state, &policies, &count);
	for (unsigned i = 0; i < count; i++) {
		struct members members = members_of(&all, policies[i].id);
		json_array_append_new(
		    items, policy_item(request, &policies[i], &members));
		free(members.rows);
	}
	free(all.rows);
	state_policies_free(policies, count);
	method_answer_read(request, items, ret);
}

void
method_policy_list(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, list_answer);
}

bool
policy_find(struct request *request, struct state_policy *ret_policy)
{
	const char *name = param_text(request->params, "policy");
	int ret = state_policy_find(request->house->state, name, ret_policy);

	if (ret == 0)
		return true;
	request_fail(request,
	    ret == -ENOENT ? fault_fix(fault_new("policy.not-found",
					   "there is no policy %s", name),
				 "varve policy list")
			   : fault_internal("the state cannot be read", ret));
	return false;
}

static void
show_answer(struct request *request)
{
	struct state_policy policy;
	struct members members;
	json_t *item;

	if (!policy_find(request, &policy))
		return;
	if (policy_members(request, policy.id, &members)) {
		item = policy_item(request, &policy, &members);
		free(members.rows);
		request_answer(request, item);
	}
	json_decref(policy.definition);
}

void
method_policy_show(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, show_answer);
}

/* ---- changes ---- */

/* What a change makes of a policy. */
struct policy_change {
	struct state_policy policy;
	struct members named; /* to come in, or to go */
	int (*write)(struct state *state, struct policy_change *change);
};

static void
change_free(void *own)
{
	struct policy_change *change = own;

	json_decref(change->policy.definition);
	free(change->named.rows);
	free(change);
}

static struct policy_change *
policy_change_new(struct request *request)
{
	struct policy_change *change = calloc(1, sizeof(*change));

	assert(change != NULL);
	request->own = change;
	request->own_free = change_free;
	return change;
}

static int
members_write(struct state *state, const struct policy_change *change,
    int (*write)(struct state *state, const struct state_member *member))
{
	int ret = 0;

	for (unsigned i = 0; i < change->named.count && ret == 0; i++) {
		struct state_member *member = &change->named.rows[i];
		member->policy_id = change->policy.id;
		ret = write(state, member);
		/* what is there, or is not, is as it should be */
		if (ret == -EEXIST || ret == -ENOENT)
			ret = 0;
	}
	return ret;
}

/* One directory for the backups of several LUNs would be refused by the second
 * of them, at night. */
static json_t *
check_directory(
    const struct policy_change *change, const struct members *members)
{
	bool one = members->count == 0 ||
		   (members->count == 1 && members->rows[0].kind == MEMBER_LUN);

	if (one || !definition_is_of_one(change->policy.definition))
		return NULL;
	return fault_fix(
	    fault_why(fault_new("policy.backup-to",
			  "the policy %s would back up several LUNs into one "
			  "directory",
			  change->policy.name),
		"a directory has the backups of one LUN"),
	    "--backup-to %s/{lun}",
	    param_text(change->policy.definition, "backup_to"));
}

static json_t *
write_fault(const struct policy_change *change, int error)
{
	if (error != -EEXIST)
		return fault_internal("the change could not be written", error);
	return fault_fix(
	    fault_new("policy.exists", "there is a policy %s already",
		change->policy.name),
	    "varve policy set %s changes it", change->policy.name);
}

/* Writes, looks at what it has become, and keeps that or takes it back. */
static void
change_go(struct request *request)
{
	struct policy_change *change = request->own;
	struct state *state = request->house->state;
	struct members members = {NULL, 0};
	json_t *fault = NULL, *item;
	int ret;

	if (!request_begin(request))
		return;
	ret = change->write(state, change);
	if (ret == 0)
		ret = state_members(
		    state, change->policy.id, &members.rows, &members.count);
	fault = ret < 0 ? write_fault(change, ret)
			: check_directory(change, &members);
	if (fault != NULL) {
		free(members.rows);
		state_rollback(state);
		request_fail(request, fault);
		return;
	}
	item = policy_item(request, &change->policy, &members);
	free(members.rows);
	if (request->dry_run) {
		state_rollback(state);
		request_answer(request, item);
		return;
	}
	request->item = item;
	if (!request_commit(request, item))
		return;
	house_policies_look(request->house);
	request_answer(request, json_incref(item));
}

static bool
says_paused(const struct request *request, const char *word)
{
	const char *paused = param_text(request->params, "paused");

	return paused != NULL && strcmp(paused, word) == 0;
}

/* ---- create ---- */

static int
create_write(struct state *state, struct policy_change *change)
{
	int ret = state_policy_add(state, &change->policy);

	return ret < 0 ? ret : members_write(state, change, state_member_add);
}

static json_t *
create_take(const struct request *request, struct policy_change *change)
{
	const char *name = param_text(request->params, "name");
	json_t *fault;

	if (strlen(name) > POLICY_NAME_MAX)
		return fault_why(
		    fault_new("policy.name", "%s is too long", name),
		    "a policy's name has %d characters at most, as its "
		    "snapshots are called by it",
		    POLICY_NAME_MAX);
	snprintf(change->policy.name, sizeof(change->policy.name), "%s", name);
	fault = definition_change(
	    NULL, request->params, &change->policy.definition);
	return fault != NULL
		   ? fault
		   : policy_members_named(request, NULL, &change->named);
}

static void
create_go(struct request *request)
{
	struct policy_change *change = policy_change_new(request);
	json_t *fault = create_take(request, change);

	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	change->policy.created_unix = change->policy.since_unix =
	    (int64_t)time(NULL);
	change->policy.paused = says_paused(request, "yes");
	change->write = create_write;
	change_go(request);
}

void
method_policy_create(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, create_go);
}

/* ---- set ---- */

static int
set_write(struct state *state, struct policy_change *change)
{
	return state_policy_update(state, &change->policy);
}

/* What was due while it was paused, or by another schedule, is not caught up
 * with. */
static json_t *
set_take(const struct request *request, struct policy_change *change)
{
	json_t *before = change->policy.definition, *after = NULL;
	json_t *fault = definition_change(before, request->params, &after);

	if (fault != NULL)
		return fault;
	change->policy.definition = after;
	if ((change->policy.paused && says_paused(request, "no")) ||
	    !json_equal(
		json_object_get(before, "at"), json_object_get(after, "at")))
		change->policy.since_unix = (int64_t)time(NULL);
	json_decref(before);
	if (says_paused(request, "yes"))
		change->policy.paused = true;
	if (says_paused(request, "no"))
		change->policy.paused = false;
	return NULL;
}

static void
set_go(struct request *request)
{
	struct policy_change *change = policy_change_new(request);
	json_t *fault;

	if (!policy_find(request, &change->policy))
		return;
	fault = set_take(request, change);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	change->write = set_write;
	change_go(request);
}

void
method_policy_set(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, set_go);
}

/* ---- add, remove ---- */

static int
add_write(struct state *state, struct policy_change *change)
{
	return members_write(state, change, state_member_add);
}

static int
remove_write(struct state *state, struct policy_change *change)
{
	return members_write(state, change, state_member_remove);
}

static void
members_go(struct request *request)
{
	struct policy_change *change = policy_change_new(request);
	bool adds = strcmp(request->command->verb, "add") == 0;
	struct members kept = {NULL, 0};
	json_t *fault;

	if (!policy_find(request, &change->policy) ||
	    (!adds && !policy_members(request, change->policy.id, &kept)))
		return;
	fault = policy_members_named(request, &kept, &change->named);
	free(kept.rows);
	if (fault == NULL && change->named.count == 0)
		fault = fault_fix(
		    fault_new("request.argument", "nothing is named to %s",
			request->command->verb),
		    "LUNs, --group GROUP, or --pool POOL");
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	change->write = adds ? add_write : remove_write;
	change_go(request);
}

void
method_policy_add(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, members_go);
}

void
method_policy_remove(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, members_go);
}

/* ---- delete ---- */

static void
delete_go(struct request *request)
{
	struct policy_change *change = policy_change_new(request);
	struct state *state = request->house->state;
	struct members members;
	int ret;

	if (!policy_find(request, &change->policy))
		return;
	if (house_run_of(request->house, change->policy.id) != NULL) {
		request_fail(request,
		    fault_fix(fault_new("policy.running",
				  "cannot delete the policy %s: it runs",
				  change->policy.name),
			"varve job list; then again"));
		return;
	}
	if (!policy_members(request, change->policy.id, &members))
		return;
	request->item = policy_item(request, &change->policy, &members);
	free(members.rows);
	if (request->dry_run) {
		request_answer(request, json_incref(request->item));
		return;
	}
	if (!request_begin(request))
		return;
	ret = state_policy_remove(state, change->policy.id);
	if (ret < 0)
		request_state_failed(request, ret);
	else if (request_commit(request, request->item))
		request_answer(request, json_incref(request->item));
}

void
method_policy_delete(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, delete_go);
}
