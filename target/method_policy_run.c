/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy run, history; and runs as jobs.
 */
#include "target/method_policy.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define JOB_PREFIX    "policy-"
#define HISTORY_LIMIT 30

/* ---- runs as jobs ---- */

void
policy_job_id(int64_t run_id, char ret_id[JOB_ID_MAX])
{
	snprintf(ret_id, JOB_ID_MAX, JOB_PREFIX "%" PRId64, run_id);
}

static const char *
job_state(const struct state_run *run)
{
	if (run->outcome == RUN_RUNNING)
		return "running";
	return run->outcome == RUN_DONE ? "done" : "failed";
}

/* A phrase; null: all is well. */
static json_t *
run_problem(const struct state_run *run)
{
	const json_t *problem = json_object_get(run->report, "problem");

	if (json_is_object(problem)) {
		const char *why =
		    json_string_value(json_object_get(problem, "why"));
		return json_textf("%s%s%s", fault_what(problem),
		    why != NULL && why[0] != '\0' ? ": " : "",
		    why != NULL ? why : "");
	}
	if (run->outcome == RUN_INTERRUPTED)
		return json_string("it was cut short");
	if (run->outcome == RUN_DONE || run->outcome == RUN_RUNNING)
		return json_null();
	return json_string("its worker did not say why");
}

static json_int_t
count_of(const json_t *progress, const char *member)
{
	json_int_t count =
	    json_integer_value(json_object_get(progress, member));

	return count > 0 ? count : 0;
}

/* What a run and its job have both. */
static void
run_figures(const struct state_run *run, json_t *item)
{
	bool ended = run->ended_unix > 0 && run->ended_unix >= run->begun_unix;

	json_object_set_new(item, "policy", json_text(run->policy));
	json_object_set_new(item, "run", json_integer(run->id));
	json_object_set_new(
	    item, "outcome", json_string(run_outcomes[run->outcome]));
	json_object_set_new(item, "seconds",
	    ended ? json_integer(run->ended_unix - run->begun_unix)
		  : json_null());
	json_object_set_new(
	    item, "bytes", json_integer(count_of(run->report, "bytes")));
}

static json_t *
job_of_run(const struct state_run *run, const json_t *progress)
{
	json_int_t done = count_of(progress, "done");
	json_int_t total = count_of(progress, "total");
	char id[JOB_ID_MAX];
	int percent = 0;
	json_t *item;

	policy_job_id(run->id, id);
	if (run->outcome == RUN_DONE)
		percent = 100;
	else if (total > 0 && done <= total)
		percent = (int)(100 * (double)done / (double)total);
	item = json_pack(
	    "{s:s, s:s, s:o, s:s, s:i, s:I, s:I, s:i, s:n, s:o, s:o}", "job",
	    id, "kind", "policy", "name",
	    progress != NULL ? json_incref(json_object_get(progress, "name"))
			     : json_text(run->policy),
	    "state", job_state(run), "percent", percent, "done", done, "total",
	    total, "freed", 0, "pool", "ended", json_time(run->ended_unix),
	    "problem", run_problem(run));
	run_figures(run, item);
	return item;
}

/* The newest of each policy. */
static void
ended_jobs(const struct request *request, json_t *items)
{
	struct state *state = request->house->state;
	struct state_policy *policies;
	unsigned count;

	if (state_policies(state, &policies, &count) < 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		const struct run_query query = {
		    .policy_id = policies[i].id, .limit = 1};
		struct state_run *last;
		unsigned runs;

		if (state_runs(state, &query, &last, &runs) < 0)
			continue;
		if (runs > 0 && last->outcome != RUN_RUNNING)
			json_array_append_new(items, job_of_run(last, NULL));
		state_runs_free(last, runs);
	}
	state_policies_free(policies, count);
}

void
policy_jobs(const struct request *request, json_t *items)
{
	const struct house_run *run;

	for (unsigned i = 0; (run = house_run_at(request->house, i)) != NULL;
	     i++)
		json_array_append_new(items,
		    job_of_run(house_run_row(run), house_run_progress(run)));
	ended_jobs(request, items);
}

json_t *
policy_job(const struct request *request, const char *id)
{
	struct run_query query = {.limit = 1};
	const struct house_run *run;
	struct state_run *rows;
	json_t *job = NULL;
	unsigned count;
	char *end;

	if (strncmp(id, JOB_PREFIX, strlen(JOB_PREFIX)) != 0)
		return NULL;
	query.id = strtoll(id + strlen(JOB_PREFIX), &end, 10);
	if (*end != '\0' || query.id <= 0)
		return NULL;
	for (unsigned i = 0; (run = house_run_at(request->house, i)) != NULL;
	     i++) {
		if (house_run_row(run)->id == query.id)
			return job_of_run(
			    house_run_row(run), house_run_progress(run));
	}
	if (state_runs(request->house->state, &query, &rows, &count) < 0)
		return NULL;
	if (count > 0)
		job = job_of_run(&rows[0], NULL);
	state_runs_free(rows, count);
	return job;
}

/* ---- run ---- */

static json_t *
begin_fault(const struct state_policy *policy, int error)
{
	if (error == -EBUSY)
		return fault_fix(
		    fault_new("policy.running", "the policy %s runs already",
			policy->name),
		    "varve job list");
	if (error == -EAGAIN)
		return fault_fix(
		    fault_new("policy.running",
			"%d policies run already, which is as many as may",
			RUNS_AT_ONCE),
		    "varve job list");
	return fault_internal("the policy's worker cannot be started", error);
}

static void
run_begin(struct request *request, const struct state_policy *policy)
{
	const struct house_run *run = NULL;
	int ret = house_run_begin(request->house, policy, &run);

	if (ret < 0) {
		request_fail(request, begin_fault(policy, ret));
		return;
	}
	/* with what it began a repeated request is answered */
	request->item = job_of_run(house_run_row(run), NULL);
	if (!request_begin(request))
		return;
	if (request_commit(request, request->item))
		request_answer(request, json_incref(request->item));
}

void
method_policy_run(struct request *request)
{
	struct state_policy policy;

	if (!policy_find(request, &policy))
		return;
	if (request->dry_run)
		request_answer(
		    request, json_pack("{s:s, s:n, s:n, s:n, s:n, s:n, s:n}",
				 "policy", policy.name, "run", "job", "outcome",
				 "seconds", "bytes", "problem"));
	else
		run_begin(request, &policy);
	json_decref(policy.definition);
}

/* ---- history ---- */

static json_t *
history_item(const struct state_run *run)
{
	json_t *luns = json_object_get(run->report, "luns");
	json_t *item = json_pack("{s:o, s:o, s:o, s:i, s:I}", "scheduled",
	    json_time(run->scheduled_unix), "begun", json_time(run->begun_unix),
	    "ended", json_time(run->ended_unix), "attempt", (int)run->attempt,
	    "missed", (json_int_t)run->missed);

	run_figures(run, item);
	json_object_set_new(item, "problem", run_problem(run));
	json_object_set_new(item, "luns",
	    json_is_array(luns) ? json_incref(luns) : json_array());
	return item;
}

static void
history_answer(struct request *request, int64_t policy_id)
{
	const struct run_query query = {.policy_id = policy_id,
	    .limit =
		(unsigned)param_int(request->params, "limit", HISTORY_LIMIT)};
	json_t *items = json_array();
	struct state_run *runs;
	unsigned count;
	int ret = state_runs(request->house->state, &query, &runs, &count);

	for (unsigned i = 0; i < count; i++)
		json_array_append_new(items, history_item(&runs[i]));
	state_runs_free(runs, count);
	method_answer_read(request, items, ret);
}

void
method_policy_history(struct request *request)
{
	struct state_policy policy = {.id = 0};

	if (param_text(request->params, "policy") != NULL &&
	    !policy_find(request, &policy))
		return;
	json_decref(policy.definition);
	history_answer(request, policy.id);
}
