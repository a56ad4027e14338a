/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/attachment.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "policy/run_priv.h"
#include <stdarg.h>
#include <string.h>

/* ---- what steps share ---- */

const char *
run_text(const struct running *running, const char *member)
{
	return json_string_value(json_object_get(running->policy, member));
}

bool
run_ok(struct running *running, json_t *item, json_t *problem)
{
	if (problem == NULL)
		return true;
	if (strcmp(varve_problem_code(problem), "backup.interrupted") == 0)
		running->interrupted = true;
	if (!json_is_object(json_object_get(item, "problem")))
		json_object_set(item, "problem", problem);
	json_decref(problem);
	return false;
}

void
run_note(json_t *item, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	json_array_append_new(
	    json_object_get(item, "notes"), json_vsprintf(format, args));
	va_end(args);
}

json_t *
run_change(const struct running *running, const char *method, json_t *params,
    json_t **ret_item)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem =
	    varve_change(running->params->varve, method, params, &result);

	json_decref(params);
	if (problem == NULL && ret_item != NULL)
		*ret_item = json_incref(json_object_get(result, "item"));
	return problem;
}

/* ---- the LUNs ---- */

static json_t *
item_new(const char *lun)
{
	json_t *item =
	    json_pack("{s:s, s:n, s:n, s:n, s:n, s:[], s:i, s:n, s:[]}", "lun",
		lun, "snapshot", "consistency", "frozen_ms", "backup",
		"deleted", "backups_deleted", 0, "problem", "notes");

	assert(item != NULL);
	return item;
}

static void
lun_run(struct running *running, const struct run_lun *lun)
{
	if (lun->has_snap && run_text(running, "backup_to") != NULL)
		run_backup(running, lun);
	if (!running->interrupted)
		run_prune(running, lun);
	if (!running->interrupted && run_text(running, "backup_to") != NULL)
		run_prune_backups(running, lun);
}

/* The snapshots of all sets first: they are wanted near the time that was set.
 */
static void
sets_run(struct running *running, json_t *items)
{
	const json_t *sets = json_object_get(running->policy, "sets");
	const json_t *set, *names, *name;
	struct run_lun *luns = NULL;
	size_t count = 0, first, s, i;

	json_array_foreach(sets, s, set)
	{
		names = json_object_get(set, "luns");
		first = count;
		count += json_array_size(names);
		luns = reallocarray(luns, count + 1, sizeof(*luns));
		assert(luns != NULL);
		json_array_foreach(names, i, name)
		{
			luns[first + i] =
			    (struct run_lun){.name = json_string_value(name)};
			luns[first + i].item = item_new(luns[first + i].name);
			json_array_append_new(items, luns[first + i].item);
		}
		if (!running->interrupted)
			run_snapshots(running,
			    json_string_value(json_object_get(set, "group")),
			    &luns[first], count - first);
	}
	for (i = 0; i < count && !running->interrupted; i++)
		lun_run(running, &luns[i]);
	free(luns);
}

/* ---- the report ---- */

static enum varve_exit
outcome(const struct running *running, const json_t *items, size_t failed)
{
	if (running->interrupted)
		return VARVE_INTERRUPTED;
	if (failed == 0)
		return VARVE_OK;
	return failed < json_array_size(items) ? VARVE_PARTIAL : VARVE_FAILED;
}

/* Takes items. */
static enum varve_exit
report_make(const struct running *running, json_t *items, json_t **ret_report)
{
	json_t *first = NULL, *item;
	json_int_t bytes = 0;
	size_t failed = 0, i;

	json_array_foreach(items, i, item)
	{
		json_t *problem = json_object_get(item, "problem");
		json_t *backup = json_object_get(item, "backup");
		bytes += json_integer_value(json_object_get(backup, "bytes"));
		if (!json_is_object(problem))
			continue;
		failed++;
		if (first == NULL)
			first = problem;
	}
	*ret_report = json_pack("{s:o, s:I, s:O?}", "luns", items, "bytes",
	    bytes, "problem", first);
	if (first == NULL)
		json_object_set_new(*ret_report, "problem", json_null());
	return outcome(running, items, failed);
}

static json_t *
covers_nothing(const char *policy)
{
	return problem_fix(
	    problem_new(VARVE_CONFLICT, "policy.covers-nothing",
		"the policy %s covers no LUN that there is", policy),
	    "varve policy add %s POOL/LUN", policy);
}

static json_t *
policy_read(struct running *running, json_t **ret_policy)
{
	const struct policy_run_params *params = running->params;
	json_t *problem = varve_item(
	    params->varve, "policy.show", "policy", params->policy, ret_policy);

	if (problem != NULL)
		return problem;
	running->policy = *ret_policy;
	if (json_array_size(json_object_get(*ret_policy, "sets")) == 0)
		return covers_nothing(params->policy);
	return NULL;
}

enum varve_exit
policy_run(const struct policy_run_params *params, json_t **ret_report)
{
	_cleanup_(json_decrefpp) json_t *policy = NULL;
	struct running running = {.params = params};
	json_t *problem = policy_read(&running, &policy), *items;

	if (problem != NULL) {
		*ret_report = json_pack(
		    "{s:[], s:i, s:o}", "luns", "bytes", 0, "problem", problem);
		return VARVE_FAILED;
	}
	snprintf(running.snap, sizeof(running.snap), "%s-%s", params->policy,
	    params->stamp);
	items = json_array();
	sets_run(&running, items);
	return report_make(&running, items, ret_report);
}
