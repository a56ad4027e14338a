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

void
method_answer_read(struct request *request, json_t *items, int error)
{
	if (error == 0) {
		request_answer_items(request, items);
		return;
	}
	json_decref(items);
	request_fail(
	    request, fault_internal("the state cannot be read", error));
}

/* ---- surveys ---- */

static void
surveyed(struct survey *survey)
{
	struct request *request = survey->arg;

	if (survey->error < 0)
		request_fail(request,
		    fault_internal("cannot look at what is", survey->error));
	else
		request->next(request);
}

struct survey *
method_survey_new(struct request *request)
{
	survey_free(request->survey);
	request->survey = survey_new(request->house);
	request->survey->serial = param_text(request->params, "serial");
	return request->survey;
}

void
method_survey_run(
    struct request *request, void (*next)(struct request *request))
{
	request->next = next;
	survey_run(request->survey, surveyed, request);
}

void
method_survey(struct request *request, void (*next)(struct request *request))
{
	method_survey_new(request);
	method_survey_run(request, next);
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

	if (sp->lun_count == 1)
		return &sp->luns[0];
	for (unsigned i = 0; i < sp->lun_count; i++) {
		if (strcmp(sp->luns[i].volume.name,
			request->survey->only_lun) == 0)
			return &sp->luns[i];
	}
	assert(!"a LUN that was surveyed");
	return NULL;
}

void
method_survey_pools(struct request *request, const char *only,
    void (*next)(struct request *request))
{
	struct survey *survey = method_survey_new(request);

	survey->without_luns = true;
	survey->also = SURVEY_TOTALS | SURVEY_DEVICES;
	snprintf(survey->only_pool, sizeof(survey->only_pool), "%s", only);
	request->next = next;
	survey_run(survey, surveyed, request);
}

static json_t *
lun_missing(const struct survey *survey)
{
	return fault_fix(fault_new("lun.not-found", "there is no LUN %s/%s",
			     survey->only_pool, survey->only_lun),
	    "varve lun list %s", survey->only_pool);
}

static void
lun_surveyed(struct survey *survey)
{
	struct request *request = survey->arg;

	if (survey->error == 0 &&
	    (survey->pool_count == 0 || survey->pools[0].lun_count == 0))
		request_fail(request, lun_missing(survey));
	else
		surveyed(survey);
}

struct ref
method_ref(const struct request *request, const char *parameter)
{
	const char *text = param_text(request->params, parameter);
	struct ref ref = {.pool = ""};

	if (text != NULL)
		ref_parse(text, &ref);
	return ref;
}

void
method_survey_lun(struct request *request, const char *parameter,
    void (*next)(struct request *request))
{
	struct ref ref = method_ref(request, parameter);
	struct house_pool *hp;

	if (!method_find_open_pool(request, ref.pool, &hp))
		return;
	struct survey *survey = method_survey_new(request);
	snprintf(survey->only_pool, sizeof(survey->only_pool), "%s", ref.pool);
	snprintf(survey->only_lun, sizeof(survey->only_lun), "%s", ref.lun);
	request->next = next;
	survey_run(survey, lun_surveyed, request);
}

/* ---- snapshots ---- */

json_t *
snap_missing(const char *pool, const char *lun, const char *snap)
{
	return fault_fix(fault_new("snap.not-found",
			     "there is no snapshot %s/%s@%s", pool, lun, snap),
	    "varve snap list %s/%s", pool, lun);
}

struct survey_lun *
method_snap_find(const struct request *request, const char *snap)
{
	struct survey_pool *sp = method_pool(request);

	for (unsigned i = 0; i < sp->snap_count; i++) {
		if (strcmp(sp->snaps[i].of, request->survey->only_lun) == 0 &&
		    strcmp(sp->snaps[i].volume.name, snap) == 0)
			return &sp->snaps[i];
	}
	return NULL;
}

static bool
lun_is_there(const struct survey *survey)
{
	return survey->only_lun[0] == '\0' ||
	       survey_lun_find(survey, survey->only_pool, survey->only_lun) !=
		   NULL;
}

static void
version_surveyed(struct survey *survey)
{
	struct request *request = survey->arg;

	if (survey->error == 0 && !lun_is_there(survey))
		request_fail(request, lun_missing(survey));
	else if (survey->error == 0 && survey->only_snap[0] != '\0' &&
		 method_pool(request)->snap_count == 0)
		request_fail(request, snap_missing(survey->only_pool,
					  survey->only_lun, survey->only_snap));
	else
		surveyed(survey);
}

static void
survey_ref(struct request *request, const struct ref *ref, unsigned also)
{
	struct survey *survey = method_survey_new(request);

	snprintf(survey->only_pool, sizeof(survey->only_pool), "%s", ref->pool);
	snprintf(survey->only_lun, sizeof(survey->only_lun), "%s", ref->lun);
	snprintf(survey->only_snap, sizeof(survey->only_snap), "%s", ref->snap);
	survey->also = also;
}

void
method_survey_version(struct request *request, const char *parameter,
    void (*next)(struct request *request))
{
	struct ref ref = method_ref(request, parameter);
	struct house_pool *hp;

	if (!method_find_open_pool(request, ref.pool, &hp))
		return;
	survey_ref(request, &ref, ref.snap[0] != '\0' ? SURVEY_SNAPS : 0);
	request->next = next;
	survey_run(request->survey, version_surveyed, request);
}

void
method_survey_also(struct request *request, const char *pool, const char *lun,
    unsigned also, void (*next)(struct request *request))
{
	struct house_pool *hp;
	struct ref ref = {.pool = ""};

	snprintf(ref.pool, sizeof(ref.pool), "%s", pool);
	snprintf(ref.lun, sizeof(ref.lun), "%s", lun);
	if (pool[0] != '\0' && !method_find_open_pool(request, pool, &hp))
		return;
	survey_ref(request, &ref, also);
	request->next = next;
	survey_run(request->survey, version_surveyed, request);
}

void
method_survey_of(struct request *request, const char *parameter, unsigned also,
    void (*next)(struct request *request))
{
	struct ref ref = method_ref(request, parameter);

	method_survey_also(request, ref.pool, ref.lun, also, next);
}

struct survey_lun *
method_surveyed(const struct request *request)
{
	struct survey_pool *sp = method_pool(request);

	if (request->survey->only_snap[0] == '\0')
		return method_lun(request);
	assert(sp->snap_count == 1);
	return &sp->snaps[0];
}

struct house_pool *
method_house_pool(const struct request *request)
{
	struct house_pool *hp =
	    house_pool_find(request->house, request->survey->only_pool);

	assert(hp != NULL && hp->pool != NULL);
	return hp;
}

json_t *
version_name(const struct survey_pool *sp, const struct survey_lun *sl)
{
	if (!sl->is_snapshot)
		return json_textf("%s/%s", sp->name, sl->volume.name);
	return json_textf("%s/%s@%s", sp->name,
	    sl->of[0] != '\0' ? sl->of : "(deleted)", sl->volume.name);
}

/* ---- what it is like after a change ---- */

static void
looked(struct survey *survey)
{
	struct request *request = survey->arg;
	bool snap = survey->only_snap[0] != '\0';

	if (survey->error == 0 && survey->pool_count == 1 && snap &&
	    survey->pools[0].snap_count == 1)
		method_snap_answer(request);
	else if (survey->error == 0 && survey->pool_count == 1 && !snap &&
		 survey->pools[0].lun_count == 1)
		method_lun_answer(request);
	else
		request_answer(request, json_incref(request->item));
}

void
method_look(struct request *request, const struct ref *ref)
{
	survey_ref(request, ref, ref->snap[0] != '\0' ? SURVEY_SNAPS : 0);
	survey_run(request->survey, looked, request);
}

void
method_look_at(struct request *request, const char *parameter)
{
	struct ref ref = method_ref(request, parameter);

	method_look(request, &ref);
}

void
method_named_answer(struct request *request)
{
	method_look_at(request, "name");
}

/* ---- lists ---- */

json_t *
method_list(const struct request *request, const struct exports *exports,
    method_pool_items *add)
{
	const struct survey *survey = request->survey;
	json_t *items = json_array();

	for (unsigned i = 0; i < survey->pool_count; i++)
		add(request, &survey->pools[i], exports, items);
	return items;
}

void
method_answer_list(struct request *request, method_pool_items *add)
{
	struct exports exports;
	json_t *items;

	if (!method_exports(request, &exports))
		return;
	items = method_list(request, &exports, add);
	free(exports.rows);
	request_answer_items(request, items);
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
