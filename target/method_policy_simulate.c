/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy simulate: what a policy will make and keep, from what there is.
 */
#include "policy/names.h"
#include "policy/simulate.h"
#include "target/method_policy.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define UNTIL_SECONDS (30 * 86400)
#define ITEMS_MAX     100000

struct simulation {
	struct calendar calendar;
	struct keep_rule rule;
	char lun[REF_TEXT_MAX]; /* "": from nothing */
	char pool[REF_NAME_MAX];
	char policy[POLICY_NAME_MAX + 1];
	struct keep_point *points; /* that are there, and their names */
	char (*names)[REF_NAME_MAX];
	size_t count;
};

static void
simulation_free(void *own)
{
	struct simulation *simulation = own;

	free(simulation->points);
	free(simulation->names);
	free(simulation);
}

/* ---- the answer ---- */

static json_t *
keeps_of(unsigned kept)
{
	json_t *keeps = json_array();

	for (unsigned reason = 0; reason < KEEP_REASONS; reason++) {
		if (kept >> reason & 1)
			json_array_append_new(
			    keeps, json_string(keep_words[reason]));
	}
	return keeps;
}

static json_t *
point_name(const struct simulation *simulation, size_t index)
{
	if (index >= simulation->count)
		return json_null();
	return json_textf("%s@%s", simulation->lun, simulation->names[index]);
}

static json_t *
items_of(const struct simulation *simulation, const struct simulate *result,
    bool all)
{
	json_t *items = json_array();

	for (size_t i = 0; i < result->count; i++) {
		const struct simulate_point *point = &result->points[i];
		if (!all && point->gone != 0 && point->made)
			continue;
		json_array_append_new(items,
		    json_pack("{s:o, s:o, s:o, s:o}", "at",
			json_time(point->when), "name",
			point_name(simulation, i), "keeps",
			keeps_of(point->kept), "goes", json_time(point->gone)));
	}
	return items;
}

static json_t *
too_long(void)
{
	return fault_fix(fault_new("request.argument",
			     "that would be more than %d snapshots", ITEMS_MAX),
	    "a sooner --until");
}

static void
simulate(struct request *request)
{
	const struct simulation *simulation = request->own;
	int64_t now = (int64_t)time(NULL);
	int64_t ahead = param_int(request->params, "until", UNTIL_SECONDS);
	int64_t until = ahead < INT64_MAX - now ? now + ahead : INT64_MAX;
	bool all = param_flag(request->params, "all");
	struct simulate result;
	json_t *items = NULL;
	int ret = -E2BIG;

	if (calendar_count(&simulation->calendar, now, until, ITEMS_MAX + 1) <=
	    ITEMS_MAX)
		ret = simulate_run(&simulation->calendar, &simulation->rule,
		    simulation->points, simulation->count, now, until, &result);
	if (ret == -E2BIG) {
		request_fail(request, too_long());
		return;
	}
	items = items_of(simulation, &result, all);
	simulate_done(&result);
	request_answer_items(request, items);
}

/* ---- what is there ---- */

static void
point_add(struct simulation *simulation, const struct survey_lun *sl)
{
	struct keep_point *point = &simulation->points[simulation->count];

	if (!policy_snap_is_of(simulation->policy, sl->volume.name))
		return;
	*point = (struct keep_point){.when = (int64_t)sl->volume.created_unix,
	    .good = true,
	    .held = sl->family.hold};
	snprintf(simulation->names[simulation->count++], REF_NAME_MAX, "%s",
	    sl->volume.name);
}

/* From the oldest, as the survey has them. */
static void
points_looked(struct request *request)
{
	struct simulation *simulation = request->own;
	const struct survey_pool *sp = method_pool(request);

	simulation->points =
	    calloc(sp->snap_count + 1, sizeof(*simulation->points));
	simulation->names =
	    calloc(sp->snap_count + 1, sizeof(*simulation->names));
	assert(simulation->points != NULL && simulation->names != NULL);
	for (unsigned i = 0; i < sp->snap_count; i++)
		point_add(simulation, &sp->snaps[i]);
	simulate(request);
}

/* ---- what is asked for ---- */

static json_t *
definition_asked(struct request *request, struct simulation *simulation,
    const struct state_policy *policy)
{
	json_t *definition = NULL;
	json_t *fault =
	    definition_change(policy->definition, request->params, &definition);

	if (fault != NULL)
		return fault;
	if (!definition_calendar(definition, &simulation->calendar) ||
	    !definition_keep(definition, &simulation->rule))
		fault = fault_new("policy.schedule",
		    "the schedule of the policy %s is of another varve",
		    policy->name);
	json_decref(definition);
	return fault;
}

/* The LUN that was named, or the first that it covers and that can be looked
 * at. */
static void
lun_choose(const struct request *request, struct simulation *simulation,
    const struct members *members)
{
	const char *named = param_text(request->params, "lun");
	json_t *sets = policy_sets(request->survey, members);
	const char *first = json_string_value(json_array_get(
	    json_object_get(json_array_get(sets, 0), "luns"), 0));
	char lun[PARAM_NAME_MAX];

	if (named == NULL)
		named = first;
	if (named != NULL) {
		snprintf(simulation->lun, sizeof(simulation->lun), "%s", named);
		param_lun_split(named, simulation->pool, lun);
	}
	json_decref(sets);
}

static void
simulate_go(struct request *request)
{
	struct simulation *simulation = calloc(1, sizeof(*simulation));
	struct state_policy policy;
	struct house_pool *hp;
	struct members members;
	json_t *fault;

	assert(simulation != NULL);
	request->own = simulation;
	request->own_free = simulation_free;
	if (!policy_find(request, &policy))
		return;
	memcpy(simulation->policy, policy.name, sizeof(policy.name));
	fault = definition_asked(request, simulation, &policy);
	json_decref(policy.definition);
	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	if (!policy_members(request, policy.id, &members))
		return;
	lun_choose(request, simulation, &members);
	free(members.rows);
	hp = house_pool_find(request->house, simulation->pool);
	if (param_text(request->params, "lun") == NULL &&
	    (hp == NULL || hp->pool == NULL))
		simulate(request);
	else
		method_survey_also(request, simulation->pool,
		    strchr(simulation->lun, '/') + 1, SURVEY_SNAPS,
		    points_looked);
}

void
method_policy_simulate(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_GROUPS, simulate_go);
}
