/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/pool_job.h"
#include "backstores/stores.h"
#include "base/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pool_job *
pool_job_new(enum pool_job_kind kind)
{
	struct pool_job *job = calloc(1, sizeof(*job));

	assert(job != NULL);
	job->kind = kind;
	return job;
}

int
pool_job_add_path(struct pool_job *job, const char *path)
{
	char **paths =
	    reallocarray(job->paths, job->path_count + 1, sizeof(*job->paths));

	if (paths == NULL)
		return -ENOMEM;
	job->paths = paths;
	paths[job->path_count] = strdup(path);
	if (paths[job->path_count] == NULL)
		return -ENOMEM;
	job->path_count++;
	return 0;
}

void
pool_job_free(struct pool_job *job)
{
	if (job == NULL)
		return;
	assert(!job->call.running);
	for (unsigned i = 0; i < job->path_count; i++)
		free(job->paths[i]);
	free(job->paths);
	/* after a close that succeeded nothing is in it that the pool has not;
	 * what could not be made has none */
	ack_file_close(
	    &job->acks, job->kind == POOL_JOB_CREATE ||
			    (job->kind == POOL_JOB_CLOSE && job->result == 0));
	free(job);
}

void
pool_job_add_acks(struct pool_job *job, const char *dir, const char *name)
{
	int ret = ack_file_open(&job->acks, dir, name);

	if (ret < 0)
		log_warn("%s: %s; if varved is killed, writes that are not "
			 "flushed may be lost",
		    job->acks.path, strerror(-ret));
	ack_file_give(&job->acks, &job->limits);
}

struct pool_job *
pool_job_new_close(struct pool_job *opened)
{
	struct pool_job *job = pool_job_new(POOL_JOB_CLOSE);

	job->pool = opened->pool;
	job->acks = opened->acks;
	opened->acks.memory = NULL;
	return job;
}

/* ---- on the reactor ---- */

/* Closes the stores that are still ours, then ends the job. */
static void
stores_close(void *arg)
{
	struct pool_job *job = arg;

	if (job->store_count == 0) {
		call_finish(&job->call, job->result);
		return;
	}
	bs_close(job->stores[--job->store_count], stores_close, job);
}

static void
job_fail(struct pool_job *job, int result)
{
	assert(result < 0);
	job->result = result;
	stores_close(job);
}

static int
stores_open(struct pool_job *job)
{
	for (unsigned i = 0; i < job->path_count; i++) {
		int ret = i < POOL_DEVICE_MAX
			      ? bs_path_open(job->call.away, job->paths[i],
				    false, &job->stores[job->store_count])
			      : -E2BIG;
		if (ret < 0) {
			job->failed_path = job->paths[i];
			return ret;
		}
		job->store_count++;
	}
	return 0;
}

static void grow_next(struct pool_job *job);

static void
job_succeed(struct pool_job *job)
{
	pool_stat_get(job->pool, &job->stat);
	call_finish(&job->call, 0);
}

/* Those that were opened are the pool's now. */
static void
stores_given(struct pool_job *job)
{
	for (unsigned i = 0; i < job->store_count; i++)
		job->opened[job->opened_count++] = job->stores[i];
	job->store_count = 0;
}

static void
request_done(struct pool_request *request, int result)
{
	struct pool_job *job = container_of(request, struct pool_job, request);

	if (job->kind == POOL_JOB_CLOSE) {
		call_finish(&job->call, result);
		return;
	}
	if (result < 0) {
		job_fail(job, result);
		return;
	}
	stores_given(job);
	if (job->kind == POOL_JOB_GROW) {
		grow_next(job);
		return;
	}
	if (job->kind != POOL_JOB_EXTEND)
		job->pool = request->pool;
	job_succeed(job);
}

/* One device at a time: each that was added stays added. */
static void
grow_next(struct pool_job *job)
{
	unsigned next = job->opened_count;
	int ret;

	if (next == job->path_count) {
		job_succeed(job);
		return;
	}
	ret = bs_path_open(
	    job->call.away, job->paths[next], false, &job->stores[0]);
	if (ret < 0) {
		job->failed_path = job->paths[next];
		job_fail(job, ret);
		return;
	}
	job->store_count = 1;
	job->request = (struct pool_request){.done = request_done};
	pool_grow(job->pool, job->stores[0], &job->request);
}

static void extend_next(struct pool_job *job);

static void
extended(void *arg, int result)
{
	struct pool_job *job = arg;

	if (result < 0) {
		job->failed_path = job->opened[job->extended]->name;
		job_fail(job, result);
		return;
	}
	job->extended++;
	extend_next(job);
}

/* A store that has not grown is left alone; one that is smaller now is too, and
 * its pool will say so when it is opened next. */
static void
extend_next(struct pool_job *job)
{
	for (; job->extended < job->opened_count; job->extended++) {
		struct backstore *bs = job->opened[job->extended];
		uint64_t size = job->opened_size[job->extended];
		size -= size % bs->block_size;
		if (size <= bs->size)
			continue;
		bs_resize(bs, size, extended, job);
		return;
	}
	pool_grow(job->pool, NULL, &job->request);
}

static void
job_make(struct pool_job *job)
{
	int ret = stores_open(job);

	if (ret < 0) {
		job_fail(job, ret);
		return;
	}
	if (job->kind == POOL_JOB_OPEN) {
		pool_open(job->call.away, job->stores, job->store_count,
		    &job->limits, false, &job->request);
		return;
	}
	job->params.name = job->name;
	pool_create(job->call.away, job->stores, job->store_count, &job->params,
	    &job->limits, job->force, &job->request);
}

static void
job_run(struct call *call)
{
	struct pool_job *job = container_of(call, struct pool_job, call);

	job->request = (struct pool_request){.done = request_done};
	switch (job->kind) {
	case POOL_JOB_CREATE:
	case POOL_JOB_OPEN: job_make(job); return;
	case POOL_JOB_GROW: grow_next(job); return;
	case POOL_JOB_EXTEND: extend_next(job); return;
	case POOL_JOB_CLOSE: pool_close(job->pool, &job->request); return;
	}
}

static void
job_done(struct call *call)
{
	struct pool_job *job = container_of(call, struct pool_job, call);

	job->result = call->result;
	job->done(job);
}

void
pool_job_start(struct pool_job *job, struct loop *home, struct loop *loop)
{
	job->call.run = job_run;
	job->call.done = job_done;
	call_start(&job->call, home, loop);
}

/* ---- why it failed ---- */

static json_t *
device_fault(const char *what, const char *path, int error)
{
	json_t *fault;

	switch (error) {
	case -ENOENT:
		return fault_new("pool.device-not-found",
		    "%s: there is no file or device %s", what, path);
	case -EBUSY:
	case -EAGAIN:
		return fault_fix(
		    fault_why(fault_new("pool.device-busy", "%s: %s is in use",
				  what, path),
			"it is mounted, or open in another program or "
			"another varved"),
		    "see who has it open:   lsof %s", path);
	case -E2BIG:
		return fault_new("limit.reached",
		    "%s: a pool has %d devices at most", what, POOL_DEVICE_MAX);
	case -ENOSPC:
		return fault_new("pool.no-space",
		    "%s: the file system of %s has no space for it", what,
		    path);
	case -EEXIST:
		return fault_fix(fault_new("pool.device-exists",
				     "%s: %s is there already", what, path),
		    "leave out --size to use it as it is");
	default:
		fault = fault_new(
		    "pool.device", "%s: %s cannot be used", what, path);
		if (error == -EINVAL)
			return fault_why(fault,
			    "it is neither a file nor a block device, or its "
			    "size is not a multiple of its block size");
		fault_why(fault, "%s", strerror(-error));
		if (error == -EACCES || error == -EPERM)
			fault_fix(fault,
			    "let the user varved runs as read and write it");
		return fault;
	}
}

/* clang-format off */
static const struct {
	int error;
	const char *code;
	const char *why; /* when the engine gave no reason */
	const char *fix;
} pool_faults[] = {
	{ -EEXIST,  "pool.device-holds-pool", "a device holds a pool",
	  "varve pool import takes it in; --force overwrites it, with all that is in it" },
	{ -ENOENT,  "pool.no-pool", "no device has a pool's label", NULL },
	{ -ENODEV,  "pool.device-missing", "a device of the pool is missing",
	  "name all devices of the pool" },
	{ -EBADMSG, "pool.damaged", "what is on the devices is damaged",
	  "varve rescue check says what is damaged" },
	{ -EPROTO,  "pool.newer", "a newer varve wrote it",
	  "use that version of varve, or a newer one" },
	{ -EROFS,   "pool.read-only", "this varve may only read it", NULL },
	{ -ENOSPC,  "pool.too-small", "a pool needs 64 MiB at least", NULL },
	{ -EBUSY,   "pool.in-use", "it is in use", NULL },
};
/* clang-format on */

static json_t *
pool_fault(const struct pool_job *job, const char *what)
{
	const char *problem = job->request.problem;
	json_t *fault;

	for (size_t i = 0; i < ARRAY_SIZE(pool_faults); i++) {
		if (pool_faults[i].error != job->result)
			continue;
		fault = fault_new(pool_faults[i].code, "%s", what);
		fault_why(fault, "%s",
		    problem[0] != '\0' ? problem : pool_faults[i].why);
		if (pool_faults[i].fix != NULL)
			fault_fix(fault, "%s", pool_faults[i].fix);
		return fault;
	}
	return fault_why(fault_new("pool.failed", "%s", what), "%s",
	    problem[0] != '\0' ? problem : strerror(-job->result));
}

json_t *
pool_job_fault(const struct pool_job *job, const char *what)
{
	assert(job->result < 0);
	if (job->failed_path != NULL)
		return device_fault(what, job->failed_path, job->result);
	return pool_fault(job, what);
}

json_t *
pool_files_fault(const struct pool_files *files, const char *what)
{
	json_t *fault;

	assert(files->result < 0);
	fault = device_fault(what, files->failed_path, files->result);
	if (files->result == -ENOENT && files->size == 0)
		fault_fix(fault, "to make a file there, say how large: --size");
	return fault;
}
