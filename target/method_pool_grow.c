/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool grow: by devices, by files that are made, by what its devices have
 * grown.
 */
#include "target/method.h"
#include "target/pool_work.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct growth {
	struct pool_files files;
	struct pool_work *work;
	struct pool_work *look; /* EXTEND: the paths whose sizes are asked */
	int64_t pool_id;
	char what[128];
};

static void
growth_free(void *own)
{
	struct growth *growth = own;

	pool_work_free(growth->look);
	pool_work_free(growth->work);
	free(growth);
}

/* Devices that came to be the pool's. */
static unsigned
growth_added(const struct growth *growth)
{
	return growth->work->kind == POOL_WORK_GROW ? growth->work->opened_count
						    : 0;
}

/* What was added is the pool's now, whatever became of the rest. */
static int
growth_write(struct state *state, const struct growth *growth)
{
	int ret = 0;

	for (unsigned i = 0; i < growth_added(growth) && ret == 0; i++)
		ret = state_pool_add_device(
		    state, growth->pool_id, growth->work->paths[i]);
	return ret;
}

static void
growth_finish(struct request *request, struct growth *growth)
{
	struct house_pool *hp =
	    house_pool_by_id(request->house, growth->pool_id);
	int ret = state_begin(request->house->state);

	assert(hp != NULL);
	if (ret == 0) {
		ret = growth_write(request->house->state, growth);
		if (ret < 0)
			state_rollback(request->house->state);
	}
	if (ret < 0) {
		request_fail(request,
		    fault_fix(fault_internal("the pool has grown, but its new "
					     "devices are not remembered",
				  ret),
			"varve pool remove, then varve pool import with all "
			"devices"));
		return;
	}
	for (unsigned i = 0; i < growth_added(growth); i++) {
		ret = house_pool_add_device(hp, growth->work->paths[i]);
		assert(ret == 0);
		hp->stores[hp->device_count - 1] = growth->work->opened[i];
	}
	request->item = json_pack("{s:s}", "name", hp->name);
	if (!request_commit(request, request->item))
		return;
	if (growth->work->result < 0)
		request_fail(
		    request, pool_work_fault(growth->work, growth->what));
	else
		method_survey_pools(request, hp->name, method_pool_answer);
}

static void
growth_done(struct pool_work *work)
{
	struct request *request = work->arg;
	struct growth *growth = request->own;

	/* files made for devices that did not come to be the pool's */
	while (growth->files.made > growth_added(growth))
		unlink(work->paths[--growth->files.made]);
	if (work->result < 0 && growth_added(growth) == 0)
		request_fail(request, pool_work_fault(work, growth->what));
	else
		growth_finish(request, growth);
}

static void
growth_start(struct request *request, struct growth *growth)
{
	struct house_pool *hp =
	    house_pool_by_id(request->house, growth->pool_id);

	assert(hp != NULL && hp->pool != NULL);
	if (request->dry_run) {
		request_answer(request, json_pack("{s:s}", "name", hp->name));
		return;
	}
	growth->work->pool = hp->pool;
	growth->work->done = growth_done;
	growth->work->arg = request;
	pool_work_start(growth->work, request->house->home, hp->loop);
}

static void
growth_prepared(struct pool_files *files)
{
	struct request *request = files->arg;
	struct growth *growth = request->own;

	if (files->result < 0)
		request_fail(request, pool_files_fault(files, growth->what));
	else
		growth_start(request, growth);
}

/* ---- by what its devices have grown, or are to grow ---- */

static void
extend_start(struct request *request, struct growth *growth)
{
	struct house_pool *hp =
	    house_pool_by_id(request->house, growth->pool_id);
	struct pool_work *work = growth->work;

	assert(hp != NULL && hp->device_count <= POOL_DEVICE_MAX);
	work->opened_count = hp->device_count;
	memcpy(work->opened, hp->stores, sizeof(work->opened));
	memcpy(
	    work->opened_size, growth->files.sizes, sizeof(work->opened_size));
	growth_start(request, growth);
}

static void
extend_looked(struct pool_files *files)
{
	struct request *request = files->arg;
	struct growth *growth = request->own;

	if (files->result < 0)
		request_fail(request, pool_files_fault(files, growth->what));
	else
		extend_start(request, growth);
}

static void
extend_look(
    struct request *request, struct growth *growth, struct house_pool *hp)
{
	growth->look = pool_work_new(POOL_WORK_EXTEND);
	for (unsigned i = 0; i < hp->device_count; i++) {
		int ret = pool_work_add_path(growth->look, hp->devices[i]);
		assert(ret == 0);
	}
	growth->files.work = growth->look;
	growth->files.done = extend_looked;
	growth->files.arg = request;
	pool_files_prepare(&growth->files, request->house->home);
}

static void
extend_file(struct request *request, struct growth *growth,
    struct house_pool *hp, uint64_t size)
{
	if (hp->device_count != 1) {
		request_fail(request,
		    fault_fix(fault_new("request.argument",
				  "%s: --size alone is for a pool of one file",
				  growth->what),
			"name files to add, or grow its devices and leave out "
			"--size"));
		return;
	}
	if (size < hp->stores[0]->size) {
		request_fail(request, fault_new("request.argument",
					  "%s: %s is larger than that already",
					  growth->what, hp->devices[0]));
		return;
	}
	growth->files.sizes[0] = size;
	extend_start(request, growth);
}

/* ---- the method ---- */

/* Of what is to be added, that which the pool has already: NULL: none. */
static const char *
own_device(const struct house_pool *hp, const json_t *paths)
{
	for (size_t i = 0; i < json_array_size(paths); i++)
		for (unsigned n = 0; n < hp->device_count; n++) {
			const char *path =
			    json_string_value(json_array_get(paths, i));
			if (strcmp(hp->devices[n], path) == 0)
				return path;
		}
	return NULL;
}

static json_t *
own_device_fault(const struct house_pool *hp, const char *path)
{
	json_t *fault = fault_new("pool.device-exists",
	    "cannot grow the pool %s: it has %s already", hp->name, path);

	return fault_fix(fault,
	    "make it larger (truncate -s SIZE %s), then: varve pool grow %s",
	    path, hp->name);
}

static struct growth *
growth_new(
    struct request *request, const struct house_pool *hp, const json_t *paths)
{
	struct growth *growth = calloc(1, sizeof(*growth));

	assert(growth != NULL);
	growth->work = pool_work_new(
	    json_array_size(paths) > 0 ? POOL_WORK_GROW : POOL_WORK_EXTEND);
	growth->pool_id = hp->id;
	snprintf(growth->what, sizeof(growth->what), "cannot grow the pool %s",
	    hp->name);
	for (size_t i = 0; i < json_array_size(paths); i++) {
		int ret = pool_work_add_path(
		    growth->work, json_string_value(json_array_get(paths, i)));
		assert(ret == 0);
	}
	request->own = growth;
	request->own_free = growth_free;
	return growth;
}

void
method_pool_grow(struct request *request)
{
	uint64_t size = (uint64_t)param_int(request->params, "size", 0);
	const json_t *paths = json_object_get(request->params, "devices");
	struct growth *growth;
	struct house_pool *hp;
	const char *own;

	if (!method_find_open_pool(
		request, param_text(request->params, "pool"), &hp))
		return;
	own = own_device(hp, paths);
	if (own != NULL && size > 0 && hp->device_count == 1 &&
	    json_array_size(paths) == 1) {
		paths = NULL; /* the only file grows */
	} else if (own != NULL) {
		request_fail(request, own_device_fault(hp, own));
		return;
	}
	growth = growth_new(request, hp, paths);
	if (growth->work->kind == POOL_WORK_EXTEND && size > 0) {
		extend_file(request, growth, hp, size);
	} else if (growth->work->kind == POOL_WORK_EXTEND) {
		extend_look(request, growth, hp);
	} else {
		growth->files.work = growth->work;
		growth->files.size = size;
		growth->files.preallocate =
		    param_flag(request->params, "preallocate");
		growth->files.dry_run = request->dry_run;
		growth->files.done = growth_prepared;
		growth->files.arg = request;
		pool_files_prepare(&growth->files, request->house->home);
	}
}
