/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool set: where a pool warns, and where it stops.
 */
#include "target/change.h"
#include <errno.h>
#include <string.h>

static int
set_run(struct change *change, struct volume *volume)
{
	(void)volume;
	pool_set_levels(change->pool, change->warn_at, change->stop_at,
	    &change->pool_request);
	return CHANGE_STARTED;
}

/* clang-format off */
static const struct change_fault set_faults[] = {
	{ -EINVAL, "request.argument", "the percentages do not fit" },
	{ 0, NULL, NULL },
};
/* clang-format on */

static const struct change_op op_set = {.run = set_run, .faults = set_faults};

bool
method_levels_fit(struct request *request, unsigned warn_at, unsigned stop_at)
{
	if (warn_at <= stop_at)
		return true;
	request_fail(request,
	    fault_fix(fault_new("request.argument",
			  "warn_at (%u%%) has to be at most stop_at (%u%%)",
			  warn_at, stop_at),
		"give both: --warn-at %u%% --stop-at %u%%", stop_at, warn_at));
	return false;
}

static void
set_answer(struct request *request)
{
	method_survey_pools(
	    request, param_text(request->params, "pool"), method_pool_answer);
}

/* What is not given stays as it is. */
static void
set_go(struct request *request)
{
	struct survey_pool *sp = method_pool(request);
	struct pool_stat *stat = &sp->stat;
	struct change *change;

	stat->soft_percent =
	    (unsigned)param_int(request->params, "warn_at", stat->soft_percent);
	stat->hard_percent =
	    (unsigned)param_int(request->params, "stop_at", stat->hard_percent);
	if (!method_levels_fit(request, stat->soft_percent, stat->hard_percent))
		return;
	if (request->dry_run) {
		method_pool_answer(request);
		return;
	}
	change =
	    change_new(request, &op_set, "cannot set the pool %s", sp->name);
	change->warn_at = stat->soft_percent;
	change->stop_at = stat->hard_percent;
	memcpy(change->name, sp->name, sizeof(change->name));
	change_start(request, method_house_pool(request), set_answer);
}

void
method_pool_set(struct request *request)
{
	const char *name = param_text(request->params, "pool");
	struct house_pool *hp;

	if (!method_find_open_pool(request, name, &hp))
		return;
	if (json_object_get(request->params, "warn_at") == NULL &&
	    json_object_get(request->params, "stop_at") == NULL)
		request_fail(request,
		    fault_fix(fault_new("request.argument",
				  "pool.set needs warn_at, stop_at or both"),
			"varve pool set %s --warn-at 80%% --stop-at 95%%",
			name));
	else
		method_survey_pools(request, name, set_go);
}
