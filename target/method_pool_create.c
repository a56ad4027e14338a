/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool create, import: a pool that becomes known.
 */
#include "target/method.h"
#include "target/pool_work.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct arrival {
	struct pool_files files;
	struct pool_work *work;
	struct loop *loop;
	struct house_pool *hp;
	char what[128]; /* "cannot create the pool vms" */
	json_t *fault;
};

static void
arrival_free(void *own)
{
	struct arrival *arrival = own;

	pool_work_free(arrival->work);
	json_decref(arrival->fault);
	free(arrival);
}

static struct arrival *
arrival_new(struct request *request, enum pool_work_kind kind)
{
	struct arrival *arrival = calloc(1, sizeof(*arrival));
	const json_t *paths = json_object_get(request->params, "devices");

	assert(arrival != NULL);
	arrival->work = pool_work_new(kind);
	arrival->work->limits = request->house->config->pool;
	arrival->work->arg = request;
	for (size_t i = 0; i < json_array_size(paths); i++) {
		int ret = pool_work_add_path(
		    arrival->work, json_string_value(json_array_get(paths, i)));
		assert(ret == 0);
	}
	arrival->loop = house_next_reactor(request->house);
	request->own = arrival;
	request->own_free = arrival_free;
	return arrival;
}

/* A device that another pool of ours has: the open would say only "busy". */
static bool
devices_are_free(struct request *request, const struct arrival *arrival)
{
	const struct pool_work *work = arrival->work;
	struct house_pool *hp;

	list_for_each (hp, &request->house->pools, link) {
		for (unsigned d = 0; d < hp->device_count; d++) {
			for (unsigned i = 0; i < work->path_count; i++) {
				if (strcmp(hp->devices[d], work->paths[i]) != 0)
					continue;
				request_fail(
				    request, fault_new("pool.device-busy",
						 "%s: %s is of the pool %s",
						 arrival->what, work->paths[i],
						 hp->name));
				return false;
			}
		}
	}
	return true;
}

static int
target_name_base(struct state *state, char base[NAMING_IQN_MAX + 1])
{
	char hostname[HOST_NAME_MAX + 1] = "";
	int ret = state_meta_get(state, "iqn-base", base, NAMING_IQN_MAX + 1);

	if (ret != -ENOENT)
		return ret;
	if (gethostname(hostname, sizeof(hostname) - 1) < 0)
		return -errno;
	/* what this server calls itself from now on */
	naming_base(hostname, base);
	return state_meta_set(state, "iqn-base", base);
}

static int
target_make(struct state *state, const struct state_pool *pool)
{
	struct state_target target = {.pool_id = pool->id};
	char base[NAMING_IQN_MAX + 1];
	int ret = target_name_base(state, base);

	snprintf(target.alias, sizeof(target.alias), "%s", pool->name);
	for (unsigned copy = 1; ret == 0; copy++) {
		naming_target(base, pool->name, NULL, copy, target.iqn);
		ret = state_target_add(state, &target);
		if (ret != -EEXIST)
			return ret;
		ret = 0;
	}
	return ret;
}

static int
arrival_write(
    struct state *state, struct arrival *arrival, struct state_pool *row)
{
	const struct pool_work *work = arrival->work;
	int ret;

	snprintf(row->name, sizeof(row->name), "%s", work->stat.name);
	uuid_unparse_lower(work->stat.uuid, row->uuid);
	row->device_count = work->path_count;
	for (unsigned i = 0; i < work->path_count; i++)
		row->devices[i] = work->paths[i];
	ret = state_pool_add(state, row);
	return ret < 0 ? ret : target_make(state, row);
}

static void
arrival_closed(struct pool_work *work)
{
	struct request *request = work->arg;
	struct arrival *arrival = request->own;
	json_t *fault = arrival->fault;

	pool_work_free(work);
	arrival->fault = NULL;
	request_fail(request, fault);
}

/* Opened, but not to be kept: closes it, then fails. */
static void
arrival_reject(struct request *request, json_t *fault)
{
	struct arrival *arrival = request->own;
	struct pool_work *work = pool_work_new_close(arrival->work);

	arrival->fault = fault;
	work->done = arrival_closed;
	work->arg = request;
	pool_work_start(work, request->house->home, arrival->loop);
}

static void
arrival_keep(struct request *request, struct arrival *arrival)
{
	struct house *house = request->house;
	struct state_pool row = {.id = 0};
	json_t *item;
	int ret = state_begin(house->state);

	if (ret == 0) {
		ret = arrival_write(house->state, arrival, &row);
		if (ret < 0)
			state_rollback(house->state);
	}
	if (ret < 0) {
		arrival_reject(request,
		    fault_internal("the pool could not be remembered", ret));
		return;
	}
	item = json_pack("{s:s, s:s}", "name", row.name, "uuid", row.uuid);
	request->item = item;
	arrival->hp = house_pool_add(house, &row, arrival->loop);
	assert(arrival->hp != NULL);
	house_pool_opened(arrival->hp, arrival->work);
	if (request_commit(request, item))
		method_survey_pools(request, row.name, method_pool_answer);
}

static void
arrival_opened(struct pool_work *work)
{
	struct request *request = work->arg;
	struct arrival *arrival = request->own;
	const char *name = work->stat.name;

	if (work->result < 0) {
		pool_files_undo(&arrival->files);
		request_fail(request, pool_work_fault(work, arrival->what));
	} else if (house_pool_find(request->house, name) != NULL) {
		arrival_reject(
		    request, fault_new("pool.exists",
				 "%s: a pool of the name %s is here already",
				 arrival->what, name));
	} else if (house_pool_by_uuid(request->house, work->stat.uuid) !=
		   NULL) {
		arrival_reject(
		    request, fault_new("pool.exists", "%s: it is here already",
				 arrival->what));
	} else {
		arrival_keep(request, arrival);
	}
}

static void
arrival_prepared(struct pool_files *files)
{
	static unsigned arrivals;
	char acks[32];
	struct request *request = files->arg;
	struct arrival *arrival = request->own;

	if (files->result < 0) {
		request_fail(request, pool_files_fault(files, arrival->what));
		return;
	}
	if (request->dry_run) {
		request_answer(request,
		    json_pack("{s:s*, s:I}", "name",
			arrival->work->name[0] != '\0' ? arrival->work->name
						       : NULL,
			"size", (json_int_t)files->bytes));
		return;
	}
	arrival->work->done = arrival_opened;
	snprintf(acks, sizeof(acks), "arriving-%u", ++arrivals);
	pool_work_add_acks(
	    arrival->work, request->house->config->run_dir, acks);
	pool_work_start(arrival->work, request->house->home, arrival->loop);
}

static void
arrival_prepare(struct request *request, struct arrival *arrival)
{
	struct pool_files *files = &arrival->files;

	if (!devices_are_free(request, arrival))
		return;
	files->work = arrival->work;
	files->size = (uint64_t)param_int(request->params, "size", 0);
	files->preallocate = param_flag(request->params, "preallocate");
	files->dry_run = request->dry_run;
	files->done = arrival_prepared;
	files->arg = request;
	pool_files_prepare(files, request->house->home);
}

void
method_pool_create(struct request *request)
{
	const char *name = param_text(request->params, "name");
	unsigned warn = (unsigned)param_int(request->params, "warn_at", 80);
	unsigned stop = (unsigned)param_int(request->params, "stop_at", 95);
	struct arrival *arrival;

	if (house_pool_find(request->house, name) != NULL) {
		request_fail(request, fault_new("pool.exists",
					  "there is a pool %s already", name));
		return;
	}
	if (!method_levels_fit(request, warn, stop))
		return;
	arrival = arrival_new(request, POOL_WORK_CREATE);
	snprintf(arrival->what, sizeof(arrival->what),
	    "cannot create the pool %s", name);
	snprintf(arrival->work->name, sizeof(arrival->work->name), "%s", name);
	arrival->work->params.soft_percent = warn;
	arrival->work->params.hard_percent = stop;
	arrival->work->force = param_flag(request->params, "force");
	arrival_prepare(request, arrival);
}

void
method_pool_import(struct request *request)
{
	struct arrival *arrival = arrival_new(request, POOL_WORK_OPEN);

	snprintf(
	    arrival->what, sizeof(arrival->what), "cannot import the pool");
	arrival_prepare(request, arrival);
}
