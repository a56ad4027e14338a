/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * job list, show: what goes on in pools, and what has ended.  The id of a job
 * is what it does and whom to, so it is the same after a restart.
 */
#include "target/house_check.h"
#include "target/method_policy.h"
#include <stdlib.h>
#include <string.h>

static const char *
job_kind(const struct house_job *job)
{
	static const char *const kinds[] = {
	    [POOL_JOB_DELETE] = "delete",
	    [POOL_JOB_FLATTEN] = "flatten",
	    [POOL_JOB_MIRROR] = "mirror",
	    [POOL_JOB_SCRUB] = "scrub",
	    [POOL_JOB_EVACUATE] = "evacuate",
	};

	assert(job->stat.kind < ARRAY_SIZE(kinds));
	return job->kind != NULL ? job->kind : kinds[job->stat.kind];
}

void
job_id(const struct house_job *job, char id[JOB_ID_MAX])
{
	char uuid[STATE_UUID_TEXT];

	uuid_unparse_lower(job->stat.uuid, uuid);
	snprintf(id, JOB_ID_MAX, "%s-%.8s", job_kind(job), uuid);
}

/* What it works on: a LUN or snapshot, or all of a pool. */
static json_t *
job_name(const struct house_job *job)
{
	bool volume =
	    job->kind == NULL && (job->stat.kind == POOL_JOB_DELETE ||
				     job->stat.kind == POOL_JOB_FLATTEN);

	return volume ? json_textf("%s/%s", job->pool, job->stat.name)
		      : json_text(job->pool);
}

static const char *
job_state(const struct house_job *job)
{
	if (job->ended)
		return job->result < 0 ? "failed" : "done";
	return job->stat.running ? "running" : "waiting";
}

json_t *
job_item(const struct house_job *job)
{
	const struct pool_job_stat *stat = &job->stat;
	int percent =
	    stat->total > 0
		? (int)(100 * (double)stat->done / (double)stat->total)
		: 0;
	char id[JOB_ID_MAX];

	job_id(job, id);
	return json_pack(
	    "{s:s, s:s, s:o, s:s, s:i, s:o, s:o, s:o, s:s, s:o, s:o}", "job",
	    id, "kind", job_kind(job), "name", job_name(job), "state",
	    job_state(job), "percent", percent, "done", json_bytes(stat->done),
	    "total", json_bytes(stat->total), "freed", json_bytes(stat->freed),
	    "pool", job->pool, "ended", json_time(job->ended_unix), "problem",
	    job->problem[0] != '\0' ? json_text(job->problem) : json_null());
}

static bool
is_told(const struct survey *survey, const struct house_job *job)
{
	for (unsigned p = 0; p < survey->pool_count; p++) {
		const struct survey_pool *sp = &survey->pools[p];
		for (unsigned i = 0; i < sp->job_count; i++) {
			if (sp->jobs[i].kind == job->stat.kind &&
			    uuid_compare(sp->jobs[i].uuid, job->stat.uuid) == 0)
				return true;
		}
	}
	return false;
}

static bool
is_of_pool(const struct survey *survey, const struct house_job *job)
{
	return survey->only_pool[0] == '\0' ||
	       strcmp(survey->only_pool, job->pool) == 0;
}

static void
pools_jobs(const struct survey *survey, json_t *items)
{
	for (unsigned p = 0; p < survey->pool_count; p++) {
		const struct survey_pool *sp = &survey->pools[p];
		for (unsigned i = 0; i < sp->job_count; i++) {
			struct house_job job = {.stat = sp->jobs[i]};
			memcpy(job.pool, sp->name, sizeof(job.pool));
			json_array_append_new(items, job_item(&job));
		}
	}
}

/* Its findings go with it: job show has one of these, job list many. */
static void
check_jobs(const struct request *request, bool with_report, json_t *items)
{
	const struct survey *survey = request->survey;
	struct house_pool *hp;

	list_for_each (hp, &request->house->pools, link) {
		struct house_check *check =
		    hp->check != NULL ? hp->check : hp->checked;
		json_t *item, *report;
		if (check == NULL ||
		    (survey->only_pool[0] != '\0' &&
			strcmp(survey->only_pool, hp->name) != 0))
			continue;
		item = job_item(house_check_job(check));
		report = house_check_report(check);
		if (with_report && report != NULL)
			json_object_set(item, "report", report);
		json_array_append_new(items, item);
	}
}

/* From those that run to those that ended long ago. */
static json_t *
items_of(const struct request *request, bool with_report)
{
	const struct survey *survey = request->survey;
	const struct house_job *job;
	json_t *items = json_array();

	pools_jobs(survey, items);
	check_jobs(request, with_report, items);
	if (survey->only_pool[0] == '\0')
		policy_jobs(request, items);
	for (unsigned i = 0; (job = house_job_asked(request->house, i)) != NULL;
	     i++) {
		if (is_of_pool(survey, job) && !is_told(survey, job))
			json_array_append_new(items, job_item(job));
	}
	for (unsigned i = 0; (job = house_job_ended(request->house, i)) != NULL;
	     i++) {
		if (is_of_pool(survey, job))
			json_array_append_new(items, job_item(job));
	}
	return items;
}

static void
list_answer(struct request *request)
{
	request_answer_items(request, items_of(request, false));
}

void
method_job_list(struct request *request)
{
	method_survey_of(request, "pool", SURVEY_JOBS, list_answer);
}

static void
show_answer(struct request *request)
{
	const char *id = param_text(request->params, "job");
	json_t *items = items_of(request, true), *item, *found = NULL;
	size_t i;

	json_array_foreach(items, i, item)
	{
		const char *its =
		    json_string_value(json_object_get(item, "job"));
		if (found == NULL && strcmp(its, id) == 0)
			found = json_incref(item);
	}
	json_decref(items);
	if (found == NULL)
		found = policy_job(request, id);
	if (found != NULL)
		request_answer(request, found);
	else
		request_fail(request, fault_fix(fault_new("job.not-found",
						    "there is no job %s", id),
					  "varve job list"));
}

void
method_job_show(struct request *request)
{
	method_survey_also(request, "", "", SURVEY_JOBS, show_answer);
}
