/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/pool_work.h"
#include "backstores/stores.h"
#include "base/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pool_work *
pool_work_new(enum pool_work_kind kind)
{
	struct pool_work *work = calloc(1, sizeof(*work));

	assert(work != NULL);
	work->kind = kind;
	return work;
}

int
pool_work_add_path(struct pool_work *work, const char *path)
{
	char **paths = reallocarray(
	    work->paths, work->path_count + 1, sizeof(*work->paths));

	if (paths == NULL)
		return -ENOMEM;
	work->paths = paths;
	paths[work->path_count] = strdup(path);
	if (paths[work->path_count] == NULL)
		return -ENOMEM;
	work->path_count++;
	return 0;
}

void
pool_work_free(struct pool_work *work)
{
	if (work == NULL)
		return;
	assert(!work->call.running);
	for (unsigned i = 0; i < work->path_count; i++)
		free(work->paths[i]);
	free(work->paths);
	/* after a close that succeeded nothing is in it that the pool has not;
	 * what could not be made has none */
	ack_file_close(&work->acks,
	    work->kind == POOL_WORK_CREATE ||
		(work->kind == POOL_WORK_CLOSE && work->result == 0));
	free(work);
}

void
pool_work_add_acks(struct pool_work *work, const char *dir, const char *name)
{
	int ret = ack_file_open(&work->acks, dir, name);

	if (ret < 0)
		log_warn("%s: %s; if varved is killed, writes that are not "
			 "flushed may be lost",
		    work->acks.path, strerror(-ret));
	ack_file_give(&work->acks, &work->limits);
}

struct pool_work *
pool_work_new_close(struct pool_work *opened)
{
	struct pool_work *work = pool_work_new(POOL_WORK_CLOSE);

	work->pool = opened->pool;
	work->acks = opened->acks;
	opened->acks.memory = NULL;
	return work;
}

/* ---- on the reactor ---- */

/* Closes the stores that are still ours, then ends the work. */
static void
stores_close(void *arg)
{
	struct pool_work *work = arg;

	if (work->store_count == 0) {
		call_finish(&work->call, work->result);
		return;
	}
	bs_close(work->stores[--work->store_count], stores_close, work);
}

static void
job_fail(struct pool_work *work, int result)
{
	assert(result < 0);
	work->result = result;
	stores_close(work);
}

static int
stores_open(struct pool_work *work)
{
	for (unsigned i = 0; i < work->path_count; i++) {
		int ret = i < POOL_DEVICE_MAX
			      ? bs_path_open(work->call.away, work->paths[i],
				    false, &work->stores[work->store_count])
			      : -E2BIG;
		if (ret < 0) {
			work->failed_path = work->paths[i];
			return ret;
		}
		work->store_count++;
	}
	return 0;
}

static void grow_next(struct pool_work *work);

static void
job_succeed(struct pool_work *work)
{
	pool_stat_get(work->pool, &work->stat);
	call_finish(&work->call, 0);
}

/* Those that were opened are the pool's now. */
static void
stores_given(struct pool_work *work)
{
	for (unsigned i = 0; i < work->store_count; i++)
		work->opened[work->opened_count++] = work->stores[i];
	work->store_count = 0;
}

static void
request_done(struct pool_request *request, int result)
{
	struct pool_work *work =
	    container_of(request, struct pool_work, request);

	if (work->kind == POOL_WORK_CLOSE) {
		call_finish(&work->call, result);
		return;
	}
	if (result < 0) {
		job_fail(work, result);
		return;
	}
	stores_given(work);
	if (work->kind == POOL_WORK_GROW) {
		grow_next(work);
		return;
	}
	if (work->kind != POOL_WORK_EXTEND)
		work->pool = request->pool;
	job_succeed(work);
}

/* One device at a time: each that was added stays added. */
static void
grow_next(struct pool_work *work)
{
	unsigned next = work->opened_count;
	int ret;

	if (next == work->path_count) {
		job_succeed(work);
		return;
	}
	ret = bs_path_open(
	    work->call.away, work->paths[next], false, &work->stores[0]);
	if (ret < 0) {
		work->failed_path = work->paths[next];
		job_fail(work, ret);
		return;
	}
	work->store_count = 1;
	work->request = (struct pool_request){.done = request_done};
	pool_grow(work->pool, work->stores[0], &work->request);
}

static void extend_next(struct pool_work *work);

static void
extended(void *arg, int result)
{
	struct pool_work *work = arg;

	if (result < 0) {
		work->failed_path = work->opened[work->extended]->name;
		job_fail(work, result);
		return;
	}
	work->extended++;
	extend_next(work);
}

/* A store that has not grown is left alone; one that is smaller now is too, and
 * its pool will say so when it is opened next. */
static void
extend_next(struct pool_work *work)
{
	for (; work->extended < work->opened_count; work->extended++) {
		struct backstore *bs = work->opened[work->extended];
		uint64_t size = work->opened_size[work->extended];
		size -= size % bs->block_size;
		if (size <= bs->size)
			continue;
		bs_resize(bs, size, extended, work);
		return;
	}
	pool_grow(work->pool, NULL, &work->request);
}

static void
job_make(struct pool_work *work)
{
	int ret = stores_open(work);

	if (ret < 0) {
		job_fail(work, ret);
		return;
	}
	if (work->kind == POOL_WORK_OPEN) {
		pool_open(work->call.away, work->stores, work->store_count,
		    &work->limits, false, &work->request);
		return;
	}
	work->params.name = work->name;
	pool_create(work->call.away, work->stores, work->store_count,
	    &work->params, &work->limits, work->force, &work->request);
}

static void
job_run(struct call *call)
{
	struct pool_work *work = container_of(call, struct pool_work, call);

	work->request = (struct pool_request){.done = request_done};
	switch (work->kind) {
	case POOL_WORK_CREATE:
	case POOL_WORK_OPEN: job_make(work); return;
	case POOL_WORK_GROW: grow_next(work); return;
	case POOL_WORK_EXTEND: extend_next(work); return;
	case POOL_WORK_CLOSE: pool_close(work->pool, &work->request); return;
	}
}

static void
job_done(struct call *call)
{
	struct pool_work *work = container_of(call, struct pool_work, call);

	work->result = call->result;
	work->done(work);
}

void
pool_work_start(struct pool_work *work, struct loop *home, struct loop *loop)
{
	work->call.run = job_run;
	work->call.done = job_done;
	call_start(&work->call, home, loop);
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
pool_fault(const struct pool_work *work, const char *what)
{
	const char *problem = work->request.problem;
	json_t *fault;

	for (size_t i = 0; i < ARRAY_SIZE(pool_faults); i++) {
		if (pool_faults[i].error != work->result)
			continue;
		fault = fault_new(pool_faults[i].code, "%s", what);
		fault_why(fault, "%s",
		    problem[0] != '\0' ? problem : pool_faults[i].why);
		if (pool_faults[i].fix != NULL)
			fault_fix(fault, "%s", pool_faults[i].fix);
		return fault;
	}
	return fault_why(fault_new("pool.failed", "%s", what), "%s",
	    problem[0] != '\0' ? problem : strerror(-work->result));
}

json_t *
pool_work_fault(const struct pool_work *work, const char *what)
{
	assert(work->result < 0);
	if (work->failed_path != NULL)
		return device_fault(what, work->failed_path, work->result);
	return pool_fault(work, what);
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
