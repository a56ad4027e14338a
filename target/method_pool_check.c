/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool check: a job.  What it finds is part of job show, once it has ended.
 */
#include "target/house_check.h"
#include "target/method.h"
#include <string.h>

static void
check_started(void *arg, const struct house_job *job)
{
	struct request *request = arg;

	if (job->ended)
		request_fail(request,
		    fault_why(fault_new("pool.failed",
				  "cannot check the pool %s", job->pool),
			"%s", job->problem));
	else
		request_answer(request, json_incref(request->item));
}

/* It changes nothing that the state has, but is written down like all that is
 * asked for. */
static void
check_start(struct request *request, struct house_pool *hp)
{
	int ret = state_begin(request->house->state);

	if (ret < 0)
		request_fail(request, fault_internal("no audit row", ret));
	else if (request_commit(request, request->item))
		house_check(hp, check_started, request);
}

void
method_pool_check(struct request *request)
{
	const char *name = param_text(request->params, "pool");
	struct house_pool *hp;
	struct house_job job;

	if (!method_find_open_pool(request, name, &hp))
		return;
	if (hp->check != NULL) {
		request_fail(request,
		    fault_fix(fault_new("pool.checking",
				  "the pool %s is being checked already", name),
			"varve job list %s", name));
		return;
	}
	house_check_describe(hp, &job);
	request->item = job_item(&job);
	if (request->dry_run)
		request_answer(request, json_incref(request->item));
	else
		check_start(request, hp);
}
