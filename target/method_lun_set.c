/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lun set: limits of space, which the pool has, and settings, which the state
 * has.  What is set is written first, then taken up by the unit if it is
 * served.
 */
#include "base/size.h"
#include "target/lun_change.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- limits of space ---- */

struct lun_space
lun_space_asked(const struct request *request, struct lun_space otherwise)
{
	return (struct lun_space){
	    (uint64_t)param_int(
		request->params, "quota", (json_int_t)otherwise.quota),
	    (uint64_t)param_int(
		request->params, "reserve", (json_int_t)otherwise.reserve),
	};
}

static bool
limit_check(
    struct request *request, uint64_t bytes, const char *code, const char *what)
{
	if (bytes % LUN_UNIT == 0 && bytes <= API_ALL)
		return true;
	request_fail(
	    request, fault_why(fault_new(code, "a %s cannot be %llu bytes",
				   what, (unsigned long long)bytes),
			 "it is a multiple of 4 KiB up to 1 EiB"));
	return false;
}

bool
lun_space_check(struct request *request, uint64_t size, struct lun_space limits)
{
	char quota[SIZE_TEXT_MAX];

	if (!limit_check(request, limits.quota, "lun.quota", "quota") ||
	    !limit_check(request, limits.reserve, "lun.reserve", "reservation"))
		return false;
	if (limits.quota == 0 || limits.reserve <= limits.quota ||
	    size <= limits.quota)
		return true;
	request_fail(request,
	    fault_fix(fault_new("lun.reserve",
			  "the reservation is over the quota of %s",
			  size_format(limits.quota, quota)),
		"a LUN gets no more than its quota: reserve up to that, or "
		"raise it"));
	return false;
}

/* ---- settings ---- */

bool
lun_serial_check(struct request *request, const char *doing)
{
	const struct survey_pool *sp = method_pool(request);
	const struct survey_lun *owner = &sp->serial_owner;
	json_t *fault, *name;

	if (!sp->serial_taken)
		return true;
	name = version_name(sp, owner);
	fault = fault_why(fault_new("lun.serial", "cannot %s", doing),
	    "%s%s has the serial number %s", json_string_value(name),
	    owner->family.trashed ? " in the trash" : "",
	    param_text(request->params, "serial"));
	json_decref(name);
	request_fail(request, fault);
	return false;
}

/* What the administrator says is newer than what a host has saved (MODE SELECT
 * with SP), also if it is what he said before. */
static int
said_record(struct state *state, const struct change *change, const char *uuid)
{
	int ret = 0;

	if (change->cache_said)
		ret = state_saved_forget(
		    state, change->pool_id, uuid, LUN_CACHE_SAVED);
	if (change->protect_said && ret == 0)
		ret = state_saved_forget(
		    state, change->pool_id, uuid, LUN_PROTECT_SAVED);
	return ret;
}

int
lun_settings_record(struct state *state, const struct change *change)
{
	const bool made = uuid_is_null(change->uuid);
	char uuid[STATE_UUID_TEXT];
	int ret;

	if (change->settings == NULL)
		return 0;
	uuid_unparse_lower(made ? change->stat.uuid : change->uuid, uuid);
	ret = said_record(state, change, uuid);
	if (ret < 0)
		return ret;
	return state_settings_put(
	    state, change->pool_id, uuid, change->settings);
}

/* ---- the unit that is served ---- */

struct set_unit {
	struct request *request;
	struct lun *lun;
	struct lun_params params;
	struct lun_setting setting;
};

static void
unit_look(struct request *request)
{
	method_look_at(request, "lun");
}

static void
unit_set_done(struct lun_setting *setting, int result)
{
	struct set_unit *unit = container_of(setting, struct set_unit, setting);

	call_finish(&unit->request->call, result);
}

static void
unit_set_run(struct call *call)
{
	struct request *request = container_of(call, struct request, call);
	struct change *change = request->own;
	struct set_unit *unit = change->unit;
	int ret = lun_set(unit->lun, &unit->params, &unit->setting);

	if (ret < 0)
		call_finish(call, ret);
}

static void
unit_set_ended(struct call *call)
{
	struct request *request = container_of(call, struct request, call);

	if (call->result < 0)
		request_fail(request,
		    fault_why(fault_new("pool.failed",
				  "%s is set, but what was in its cache may "
				  "not be on the medium",
				  param_text(request->params, "lun")),
			"%s", strerror(-call->result)));
	else
		unit_look(request);
}

static void
unit_set(struct request *request)
{
	struct change *change = request->own;
	struct house_lun *hl = house_lun_find(request->house, change->uuid);
	struct set_unit *unit;

	if (change->settings == NULL || hl == NULL) {
		unit_look(request);
		return;
	}
	unit = calloc(1, sizeof(*unit));
	assert(unit != NULL);
	change->unit = unit;
	unit->request = request;
	unit->lun = hl->lun;
	unit->params.serial = hl->serial;
	unit->setting.done = unit_set_done;
	unit->setting.cache_said = change->cache_said;
	unit->setting.protect_said = change->protect_said;
	settings_params(change->settings, &unit->params);
	request->call.run = unit_set_run;
	request->call.done = unit_set_ended;
	call_start(&request->call, request->house->home, hl->pool->loop);
}

/* ---- the change ---- */

static int
set_run(struct change *change, struct volume *volume)
{
	if (change->quota == VOLUME_LIMIT_AS_IT_IS &&
	    change->reserve == VOLUME_LIMIT_AS_IT_IS)
		return CHANGE_DONE;
	volume_set_limits(change->pool, volume, change->quota, change->reserve,
	    &change->pool_request);
	return CHANGE_STARTED;
}

static const struct change_op op_set = {
    .run = set_run, .record = lun_settings_record};

/* What would hurt whoever has the LUN open. */
static json_t *
settings_session_fault(
    struct request *request, const json_t *before, const json_t *after)
{
	const char *name = param_text(request->params, "lun");
	const char *read_only = param_text(after, "read_only");
	char doing[REF_TEXT_MAX + 40];

	if (settings_differ(before, after, "serial")) {
		snprintf(doing, sizeof(doing), "change the serial number of %s",
		    name);
		return session_fault(request, method_lun(request), doing,
		    "a host that has the disk open knows it by that number",
		    NULL);
	}
	if (settings_differ(before, after, "read_only") && read_only != NULL &&
	    strcmp(read_only, "on") == 0) {
		snprintf(doing, sizeof(doing), "write protect %s", name);
		return session_fault(request, method_lun(request), doing,
		    "a guest that has the disk open would lose what it has "
		    "not written yet",
		    NULL);
	}
	return NULL;
}

static void
set_dry(struct request *request, struct lun_space limits, json_t *settings)
{
	struct survey_lun *sl = method_lun(request);
	struct volume_stat *v = &sl->volume;
	char uuid[STATE_UUID_TEXT];

	v->quota = limits.quota;
	v->reserve = limits.reserve;
	v->quota_used = v->allocated + sl->family.snap_held;
	uuid_unparse_lower(v->uuid, uuid);
	json_object_set_new(method_pool(request)->settings, uuid, settings);
	method_lun_answer(request);
}

static void
set_start(struct request *request, json_t *settings)
{
	const struct volume_stat *v = &method_lun(request)->volume;
	struct lun_space limits = lun_space_asked(request,
	    (struct lun_space){VOLUME_LIMIT_AS_IT_IS, VOLUME_LIMIT_AS_IT_IS});
	struct change *change = change_new(request, &op_set, "cannot set %s",
	    param_text(request->params, "lun"));

	change->quota = limits.quota;
	change->reserve = limits.reserve;
	uuid_copy(change->uuid, v->uuid);
	memcpy(change->name, v->name, sizeof(change->name));
	change->cache_said =
	    json_object_get(request->params, "write_cache") != NULL;
	change->protect_said =
	    json_object_get(request->params, "read_only") != NULL;
	if (settings_asked(request->params))
		change->settings = settings;
	else
		json_decref(settings);
	change_start(request, method_house_pool(request), unit_set);
}

json_t *
lun_settings_fault(const struct request *request, const struct survey_lun *sl)
{
	const struct survey_pool *sp = method_pool(request);
	char uuid[STATE_UUID_TEXT];

	if (!json_is_null(survey_settings(sp, sl)))
		return NULL;
	uuid_unparse_lower(sl->volume.uuid, uuid);
	return fault_fix(
	    fault_new("lun.settings", "what is set of %s/%s cannot be read",
		sp->name, sl->volume.name),
	    SETTINGS_RESCUE, request->house->config->state_dir, uuid);
}

static void
set_go(struct request *request)
{
	struct survey_lun *sl = method_lun(request);
	const struct volume_stat *v = &sl->volume;
	struct lun_space limits =
	    lun_space_asked(request, (struct lun_space){v->quota, v->reserve});
	json_t *before = survey_settings(method_pool(request), sl);
	json_t *after, *fault;
	char doing[REF_TEXT_MAX + 8];

	snprintf(
	    doing, sizeof(doing), "set %s", param_text(request->params, "lun"));
	if (!lun_space_check(request, v->size, limits) ||
	    !lun_serial_check(request, doing))
		return;
	/* to write over them would forget a serial number that hosts know */
	fault = lun_settings_fault(request, sl);
	if (fault == NULL)
		fault = settings_change(before, request->params, &after);
	if (fault == NULL) {
		fault = settings_session_fault(request, before, after);
		if (fault != NULL)
			json_decref(after);
	}
	if (fault != NULL)
		request_fail(request, fault);
	else if (request->dry_run)
		set_dry(request, limits, after);
	else
		set_start(request, after);
}

void
method_lun_set(struct request *request)
{
	const char *name = param_text(request->params, "lun");

	if (json_object_get(request->params, "quota") != NULL ||
	    json_object_get(request->params, "reserve") != NULL ||
	    settings_asked(request->params))
		method_survey_lun(request, "lun", set_go);
	else
		request_fail(request,
		    fault_fix(fault_new("request.argument",
				  "lun.set needs something to set"),
			"varve lun set %s --quota SIZE, --iops N, ...: varve "
			"lun set --help has them all",
			name));
}
