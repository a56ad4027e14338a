/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Flattening: asked of the pool until it is done.  The state keeps what is
 * asked for, so that it goes on after a restart, or when its pool comes back.
 *
 *	asked    in house.flattens; its request is the pool's
 *	ended    done or failed: in house.flattened, for job list and job watch;
 *	         the state forgets it.  Ended because its pool is closed: gone,
 *	         and the state keeps it.
 */
#include "base/log.h"
#include "target/event.h"
#include "target/house.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FLATTENED_KEPT 64u

struct flatten {
	struct list link;
	struct call call; /* asks */
	struct house *house;
	struct pool *pool;
	int64_t pool_id;
	struct pool_request request;
	struct loop_task ended;
	int result; /* the request's */
	struct house_job job;
	void (*started)(void *arg, const struct house_job *job);
	void *arg;
};

/* ---- ended ---- */

static void
flatten_forget(struct flatten *flatten)
{
	list_del(&flatten->link);
	free(flatten);
}

static void
state_forget(struct flatten *flatten)
{
	struct state *state = flatten->house->state;
	int ret = state_begin(state);

	if (ret == 0) {
		ret = state_flatten_remove(
		    state, flatten->pool_id, flatten->job.stat.uuid);
		if (ret < 0)
			state_rollback(state);
		else
			ret = state_commit(state);
	}
	if (ret < 0)
		log_error("%s/%s: flattened, but that is not remembered",
		    flatten->job.pool, flatten->job.stat.name);
}

static void
flatten_tell(struct house *house, const struct house_job *job)
{
	char lun[2 * POOL_NAME_MAX + 2];
	json_t *data;

	snprintf(lun, sizeof(lun), "%s/%s", job->pool, job->stat.name);
	data = json_pack("{s:s, s:s}", "pool", job->pool, "lun", lun);
	if (job->result == 0)
		event_tell(house, LOG_NOTICE, "lun.flattened", lun, data,
		    "%s: flattened", lun);
	else
		event_tell(house, LOG_ERR, "lun.flatten-failed", lun, data,
		    "%s: flattening failed: %s", lun, job->problem);
}

static void
flatten_keep(struct flatten *flatten)
{
	struct house *house = flatten->house;

	list_del(&flatten->link);
	list_add_tail(&house->flattened, &flatten->link);
	if (++house->flattened_count <= FLATTENED_KEPT)
		return;
	house->flattened_count--;
	flatten_forget(list_first(&house->flattened, struct flatten, link));
}

static void
flatten_ended(struct flatten *flatten, int result)
{
	struct house_job *job = &flatten->job;

	if (result == -ECANCELED) {
		flatten_forget(flatten);
		return;
	}
	job->ended = true;
	job->ended_unix = (int64_t)time(NULL);
	job->result = result;
	if (result == 0)
		job->stat.done = job->stat.total;
	if (result < 0 && job->problem[0] == '\0')
		snprintf(job->problem, sizeof(job->problem), "%s",
		    strerror(-result));
	flatten_tell(flatten->house, job);
	state_forget(flatten);
	flatten_keep(flatten);
}

static void
flatten_at_home(struct loop_task *task)
{
	struct flatten *flatten = container_of(task, struct flatten, ended);

	snprintf(flatten->job.problem, sizeof(flatten->job.problem), "%s",
	    flatten->result < 0 ? flatten->request.problem : "");
	flatten_ended(flatten, flatten->result);
}

/* On the pool's reactor: the job itself is the home's, which may be looking. */
static void
flatten_done(struct pool_request *request, int result)
{
	struct flatten *flatten =
	    container_of(request, struct flatten, request);

	flatten->result = result;
	flatten->ended.run = flatten_at_home;
	loop_post(flatten->house->home, &flatten->ended);
}

/* ---- asked ---- */

static void
job_look(struct flatten *flatten)
{
	struct pool_job_stat *stat = &flatten->job.stat;
	struct pool_job_stat found;

	for (unsigned i = 0; pool_job_get(flatten->pool, i, &found); i++) {
		if (found.kind == POOL_JOB_FLATTEN &&
		    uuid_compare(found.uuid, stat->uuid) == 0)
			*stat = found;
	}
}

static void
flatten_run(struct call *call)
{
	struct flatten *flatten = container_of(call, struct flatten, call);
	struct pool_job_stat *stat = &flatten->job.stat;
	struct volume *volume = house_volume_find(flatten->pool, stat->uuid);
	struct volume_stat v;

	if (volume == NULL) {
		call_finish(call, -ENOENT);
		return;
	}
	volume_stat_get(volume, &v);
	memcpy(stat->name, v.name, sizeof(stat->name));
	stat->total = v.size;
	flatten->request = (struct pool_request){.done = flatten_done};
	volume_flatten(flatten->pool, volume, &flatten->request);
	job_look(flatten);
	call_finish(call, 0);
}

static void
flatten_asked(struct call *call)
{
	struct flatten *flatten = container_of(call, struct flatten, call);

	if (flatten->started != NULL)
		flatten->started(flatten->arg, &flatten->job);
	if (call->result < 0)
		flatten_ended(flatten, call->result);
}

void
house_flatten(struct house_pool *hp, const uuid_t uuid,
    void (*started)(void *arg, const struct house_job *job), void *arg)
{
	struct flatten *flatten = calloc(1, sizeof(*flatten));

	assert(flatten != NULL);
	assert(hp->pool != NULL);
	flatten->house = hp->house;
	flatten->pool = hp->pool;
	flatten->pool_id = hp->id;
	flatten->started = started;
	flatten->arg = arg;
	flatten->job.stat.kind = POOL_JOB_FLATTEN;
	uuid_copy(flatten->job.stat.uuid, uuid);
	memcpy(flatten->job.pool, hp->name, sizeof(flatten->job.pool));
	list_add_tail(&hp->house->flattens, &flatten->link);
	flatten->call.run = flatten_run;
	flatten->call.done = flatten_asked;
	call_start(&flatten->call, hp->house->home, hp->loop);
}

void
house_flattens_resume(struct house_pool *hp)
{
	uuid_t *uuids;
	unsigned count;

	if (state_flattens(hp->house->state, hp->id, &uuids, &count) < 0) {
		log_error(
		    "%s: what was being flattened is not known", hp->name);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		house_flatten(hp, uuids[i], NULL, NULL);
	free(uuids);
}

const struct house_job *
house_job_asked(struct house *house, unsigned index)
{
	struct flatten *flatten;

	list_for_each (flatten, &house->flattens, link) {
		/* until it was asked for it is the reactor's */
		if (!flatten->call.running && index-- == 0)
			return &flatten->job;
	}
	return NULL;
}

bool
house_is_flattening(struct house *house, const uuid_t uuid)
{
	struct flatten *flatten;

	list_for_each (flatten, &house->flattens, link) {
		if (uuid_compare(flatten->job.stat.uuid, uuid) == 0)
			return true;
	}
	return false;
}

const struct house_job *
house_job_ended(struct house *house, unsigned index)
{
	struct list *node = house->flattened.prev;

	for (; node != &house->flattened; node = node->prev) {
		if (index-- == 0)
			return &list_entry(node, struct flatten, link)->job;
	}
	return NULL;
}

void
house_jobs_free(struct house *house)
{
	struct flatten *flatten;

	assert(list_empty(&house->flattens));
	while ((flatten = list_first(
		    &house->flattened, struct flatten, link)) != NULL)
		flatten_forget(flatten);
}
