/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The method table, and what methods of several nouns do.
 */
#include "target/method.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	void (*run)(struct request *request);
} methods[] = {
#define METHOD_ROW(name, function) {name, function},
    METHODS(METHOD_ROW)
#undef METHOD_ROW
};

void (*method_find(const char *method))(struct request *request)
{
	for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
		if (strcmp(methods[i].name, method) == 0)
			return methods[i].run;
	}
	return NULL;
}

/* ---- finding ---- */

bool
method_find_pool(
    struct request *request, const char *name, struct house_pool **ret_hp)
{
	*ret_hp = house_pool_find(request->house, name);
	if (*ret_hp != NULL)
		return true;
	request_fail(request,
	    fault_fix(fault_new("pool.not-found", "there is no pool %s", name),
		"varve pool list"));
	return false;
}

bool
method_find_open_pool(
    struct request *request, const char *name, struct house_pool **ret_hp)
{
	if (!method_find_pool(request, name, ret_hp))
		return false;
	if ((*ret_hp)->pool != NULL)
		return true;
	request_fail(request,
	    fault_fix(fault_why(fault_new("pool.not-open",
				    "the pool %s is not open", name),
			  "%s",
			  (*ret_hp)->opening ? "varved is opening it"
					     : (*ret_hp)->problem),
		"varve health; when mended: varve pool open %s", name));
	return false;
}

bool
method_find_host(
    struct request *request, const char *name, struct state_host *ret_host)
{
	int ret = state_host_find(request->house->state, name, ret_host);

	if (ret == 0)
		return true;
	request_fail(request,
	    ret == -ENOENT ? fault_fix(fault_new("host.not-found",
					   "there is no host %s", name),
				 "varve host list")
			   : fault_internal("the state cannot be read", ret));
	return false;
}

/* ---- surveys ---- */

static void
surveyed(struct survey *survey)
{
	struct request *request = survey->arg;

	if (survey->error < 0)
		request_fail(request,
		    fault_internal("no memory to look", survey->error));
	else
		request->next(request);
}

static struct survey *
survey_of(struct request *request)
{
	survey_free(request->survey);
	request->survey = survey_new(request->house);
	return request->survey;
}

void
method_survey(struct request *request, void (*next)(struct request *request))
{
	request->next = next;
	survey_run(survey_of(request), surveyed, request);
}

struct survey_pool *
method_pool(const struct request *request)
{
	assert(request->survey->pool_count == 1);
	return &request->survey->pools[0];
}

struct survey_lun *
method_lun(const struct request *request)
{
	struct survey_pool *sp = method_pool(request);

	assert(sp->lun_count == 1);
	return &sp->luns[0];
}

void
method_survey_pools(struct request *request, const char *only,
    void (*next)(struct request *request))
{
	struct survey *survey = survey_of(request);

	survey->without_luns = true;
	snprintf(survey->only_pool, sizeof(survey->only_pool), "%s", only);
	request->next = next;
	survey_run(survey, surveyed, request);
}

static void
lun_surveyed(struct survey *survey)
{
	struct request *request = survey->arg;

	if (survey->error == 0 &&
	    (survey->pool_count == 0 || survey->pools[0].lun_count == 0)) {
		request_fail(request,
		    fault_fix(
			fault_new("lun.not-found", "there is no LUN %s/%s",
			    survey->only_pool, survey->only_lun),
			"varve lun list %s", survey->only_pool));
		return;
	}
	surveyed(survey);
}

void
method_survey_lun(struct request *request, const char *parameter,
    void (*next)(struct request *request))
{
	const char *name = param_text(request->params, parameter);
	char pool[PARAM_NAME_MAX], lun[PARAM_NAME_MAX];
	struct house_pool *hp;

	param_lun_split(name, pool, lun);
	if (!method_find_open_pool(request, pool, &hp))
		return;
	struct survey *survey = survey_of(request);
	snprintf(survey->only_pool, sizeof(survey->only_pool), "%s", pool);
	snprintf(survey->only_lun, sizeof(survey->only_lun), "%s", lun);
	request->next = next;
	survey_run(survey, lun_surveyed, request);
}

/* ---- exports ---- */

bool
method_exports(struct request *request, struct exports *ret_exports)
{
	int ret = state_exports(
	    request->house->state, &ret_exports->rows, &ret_exports->count);

	if (ret < 0)
		request_fail(
		    request, fault_internal("the state cannot be read", ret));
	return ret == 0;
}

bool
export_is_of_lun(const struct state_export *row, const uuid_t uuid)
{
	uuid_t theirs;

	return uuid_parse(row->lun_uuid, theirs) == 0 &&
	       uuid_compare(theirs, uuid) == 0;
}

/* ---- in use ---- */

json_t *
in_use_fault(const char *code, const char *doing,
    const struct iscsi_session_info *info, unsigned sessions, const char *why)
{
	json_t *fault;

	if (sessions > 1)
		fault = fault_new(code,
		    "cannot %s: it is in use by host %s (%s, session %u and "
		    "%u more)",
		    doing, info->host, info->peer, info->tsih, sessions - 1);
	else
		fault = fault_new(code,
		    "cannot %s: it is in use by host %s (%s, session %u)",
		    doing, info->host, info->peer, info->tsih);
	fault_why(fault, "%s", why);
	return fault_fix(fault,
	    "stop the VM or log out on %s:   iscsiadm -m node -T %s -u",
	    info->host, info->target);
}
