/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool create, import, list, show, grow, open, remove.
 */
#include "base/log.h"
#include "target/method.h"
#include "target/pool_job.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the item ---- */

static const char *const level_words[] = {"normal", "warn", "stop", "full"};

static const char *
state_word(const struct survey_pool *sp)
{
	static const char *const words[] = {
	    [POOL_ONLINE] = "online",
	    [POOL_READ_ONLY] = "read-only",
	    [POOL_SUSPECT] = "suspect",
	};

	return sp->open ? words[sp->stat.state] : "not open";
}

static void
item_space(json_t *item, const struct pool_stat *s)
{
	uint64_t usable = s->size - s->metadata - s->reserved;

	if (s->metadata + s->reserved > s->size)
		usable = s->size;
	json_object_set_new(item, "size", json_bytes(s->size));
	json_object_set_new(item, "free", json_bytes(s->free));
	json_object_set_new(item, "allocated", json_bytes(s->allocated));
	json_object_set_new(item, "used",
	    json_integer(usable > 0 && s->free < usable
			     ? (json_int_t)(100 * (double)(usable - s->free) /
					    (double)usable)
			     : 0));
	json_object_set_new(item, "promised", json_bytes(s->promised));
	json_object_set_new(item, "metadata", json_bytes(s->metadata));
	json_object_set_new(item, "reserved", json_bytes(s->reserved));
	json_object_set_new(item, "luns", json_integer(s->volumes));
	json_object_set_new(item, "warn_at", json_integer(s->soft_percent));
	json_object_set_new(item, "stop_at", json_integer(s->hard_percent));
	json_object_set_new(
	    item, "level", json_string(level_words[s->level & 3]));
}

static void
item_counters(json_t *item, const struct pool_stat *s)
{
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {
	    {"epoch", s->epoch},
	    {"commits", s->commits},
	    {"checkpoints", s->checkpoints},
	    {"log_size", s->log_bytes},
	    {"log_used", s->log_used},
	    {"pages_cached", s->pages_cached},
	    {"pages_dirty", s->pages_dirty},
	    {"cache_hits", s->cache_hits},
	    {"cache_misses", s->cache_misses},
	    {"replayed", s->replayed_records},
	    {"open_time", s->open_ns / NSEC_PER_USEC},
	    {"allocation_failures", s->allocation_failures},
	};

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		json_object_set_new(
		    item, counters[i].name, json_bytes(counters[i].value));
}

static void
item_identity(json_t *item, struct house_pool *hp)
{
	struct state_target target;
	char uuid[STATE_UUID_TEXT];
	json_t *devices = json_array();

	uuid_unparse_lower(hp->uuid, uuid);
	json_object_set_new(item, "uuid", json_string(uuid));
	for (unsigned i = 0; i < hp->device_count; i++)
		json_array_append_new(devices, json_text(hp->devices[i]));
	json_object_set_new(item, "devices", devices);
	json_object_set_new(
	    item, "reactor", json_integer(house_pool_reactor(hp)));
	if (state_target_find(hp->house->state, hp->id, "", &target) == 0)
		json_object_set_new(item, "iqn", json_text(target.iqn));
}

json_t *
pool_item(struct house *house, const struct survey_pool *sp)
{
	struct house_pool *hp = house_pool_by_id(house, sp->id);
	const char *problem = sp->open ? sp->stat.problem : sp->problem;
	json_t *item = json_pack("{s:s, s:s}", "name", sp->name, "state",
	    hp != NULL && hp->opening ? "opening" : state_word(sp));

	json_object_set_new(item, "problem",
	    problem[0] != '\0' ? json_text(problem) : json_null());
	if (sp->open) {
		item_space(item, &sp->stat);
		item_counters(item, &sp->stat);
	}
	if (hp != NULL)
		item_identity(item, hp);
	return item;
}

/* ---- list, show ---- */

static void
list_answer(struct request *request)
{
	json_t *items = json_array();

	for (unsigned i = 0; i < request->survey->pool_count; i++)
		json_array_append_new(items,
		    pool_item(request->house, &request->survey->pools[i]));
	request_answer_items(request, items);
}

static void survey_pools_only(struct request *request, const char *only,
    void (*next)(struct request *request));

void
method_pool_list(struct request *request)
{
	survey_pools_only(request, "", list_answer);
}

static void
show_answer(struct request *request)
{
	if (request->survey->pool_count == 0)
		request_fail(
		    request, fault_new("pool.not-found", "the pool is gone"));
	else
		request_answer(
		    request, pool_item(request->house, method_pool(request)));
}

static void
surveyed(struct survey *survey)
{
	struct request *request = survey->arg;

	if (survey->error < 0)
		request_fail(request,
		    fault_internal("no memory to look", survey->error));
	else
		request->next(request);
}

static void
survey_pools_only(struct request *request, const char *only,
    void (*next)(struct request *request))
{
	survey_free(request->survey);
	request->survey = survey_new(request->house);
	request->survey->without_luns = true;
	request->survey->without_sessions = true;
	snprintf(request->survey->only_pool, sizeof(request->survey->only_pool),
	    "%s", only);
	request->next = next;
	survey_run(request->survey, surveyed, request);
}

void
method_pool_show(struct request *request)
{
	const char *name = param_text(request->params, "pool");
	struct house_pool *hp;

	if (method_find_pool(request, name, &hp))
		survey_pools_only(request, name, show_answer);
}

/* ---- create, import: a pool that becomes known ---- */

struct arrival {
	struct pool_files files;
	struct pool_job *job;
	struct loop *loop;
	struct house_pool *hp;
	char what[128]; /* "cannot create the pool vms" */
	json_t *fault;
};

static void
arrival_free(void *own)
{
	struct arrival *arrival = own;

	pool_job_free(arrival->job);
	json_decref(arrival->fault);
	free(arrival);
}

static struct arrival *
arrival_new(struct request *request, enum pool_job_kind kind)
{
	struct arrival *arrival = calloc(1, sizeof(*arrival));
	const json_t *paths = json_object_get(request->params, "devices");

	assert(arrival != NULL);
	arrival->job = pool_job_new(kind);
	arrival->job->limits = request->house->config->pool;
	arrival->job->arg = request;
	for (size_t i = 0; i < json_array_size(paths); i++) {
		int ret = pool_job_add_path(
		    arrival->job, json_string_value(json_array_get(paths, i)));
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
	const struct pool_job *job = arrival->job;
	struct house_pool *hp;

	list_for_each (hp, &request->house->pools, link) {
		for (unsigned d = 0; d < hp->device_count; d++) {
			for (unsigned i = 0; i < job->path_count; i++) {
				if (strcmp(hp->devices[d], job->paths[i]) != 0)
					continue;
				request_fail(
				    request, fault_new("pool.device-busy",
						 "%s: %s is of the pool %s",
						 arrival->what, job->paths[i],
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
	const struct pool_job *job = arrival->job;
	int ret;

	snprintf(row->name, sizeof(row->name), "%s", job->stat.name);
	uuid_unparse_lower(job->stat.uuid, row->uuid);
	row->device_count = job->path_count;
	for (unsigned i = 0; i < job->path_count; i++)
		row->devices[i] = job->paths[i];
	ret = state_pool_add(state, row);
	return ret < 0 ? ret : target_make(state, row);
}

static void
arrival_closed(struct pool_job *job)
{
	struct request *request = job->arg;
	struct arrival *arrival = request->own;
	json_t *fault = arrival->fault;

	pool_job_free(job);
	arrival->fault = NULL;
	request_fail(request, fault);
}

/* Opened, but not to be kept: closes it, then fails. */
static void
arrival_reject(struct request *request, json_t *fault)
{
	struct arrival *arrival = request->own;
	struct pool_job *job = pool_job_new(POOL_JOB_CLOSE);

	arrival->fault = fault;
	job->pool = arrival->job->pool;
	job->done = arrival_closed;
	job->arg = request;
	pool_job_start(job, request->house->home, arrival->loop);
}

static void
arrival_answer(struct request *request)
{
	if (request->survey->pool_count == 0)
		request_fail(
		    request, fault_new("pool.not-found", "the pool is gone"));
	else
		request_answer(
		    request, pool_item(request->house, method_pool(request)));
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
	house_pool_opened(arrival->hp, arrival->job->pool);
	if (request_commit(request, item))
		survey_pools_only(request, row.name, arrival_answer);
}

static void
arrival_opened(struct pool_job *job)
{
	struct request *request = job->arg;
	struct arrival *arrival = request->own;
	const char *name = job->stat.name;

	if (job->result < 0) {
		pool_files_undo(&arrival->files);
		request_fail(request, pool_job_fault(job, arrival->what));
	} else if (house_pool_find(request->house, name) != NULL) {
		arrival_reject(
		    request, fault_new("pool.exists",
				 "%s: a pool of the name %s is here already",
				 arrival->what, name));
	} else if (house_pool_by_uuid(request->house, job->stat.uuid) != NULL) {
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
	struct request *request = files->arg;
	struct arrival *arrival = request->own;

	if (files->result < 0) {
		request_fail(request, pool_files_fault(files, arrival->what));
		return;
	}
	if (request->dry_run) {
		request_answer(request,
		    json_pack("{s:s*, s:I}", "name",
			arrival->job->name[0] != '\0' ? arrival->job->name
						      : NULL,
			"size", (json_int_t)files->bytes));
		return;
	}
	arrival->job->done = arrival_opened;
	pool_job_start(arrival->job, request->house->home, arrival->loop);
}

static void
arrival_prepare(struct request *request, struct arrival *arrival)
{
	struct pool_files *files = &arrival->files;

	if (!devices_are_free(request, arrival))
		return;
	files->job = arrival->job;
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
	if (warn > stop) {
		request_fail(request,
		    fault_new("request.argument",
			"warn_at (%u%%) has to be at most stop_at (%u%%)", warn,
			stop));
		return;
	}
	arrival = arrival_new(request, POOL_JOB_CREATE);
	snprintf(arrival->what, sizeof(arrival->what),
	    "cannot create the pool %s", name);
	snprintf(arrival->job->name, sizeof(arrival->job->name), "%s", name);
	arrival->job->params.soft_percent = warn;
	arrival->job->params.hard_percent = stop;
	arrival->job->force = param_flag(request->params, "force");
	arrival_prepare(request, arrival);
}

void
method_pool_import(struct request *request)
{
	struct arrival *arrival = arrival_new(request, POOL_JOB_OPEN);

	snprintf(
	    arrival->what, sizeof(arrival->what), "cannot import the pool");
	arrival_prepare(request, arrival);
}

/* ---- grow ---- */

struct growth {
	struct pool_files files;
	struct pool_job *job;
	int64_t pool_id;
	uint64_t size;
	struct loop_work work; /* the pool's file made longer */
	int result;
	char what[128];
};

static void
growth_free(void *own)
{
	struct growth *growth = own;

	pool_job_free(growth->job);
	free(growth);
}

/* What was added is the pool's now, whatever became of the rest. */
static int
growth_write(struct state *state, const struct growth *growth)
{
	int ret = 0;

	for (unsigned i = 0; i < growth->job->grown && ret == 0; i++)
		ret = state_pool_add_device(
		    state, growth->pool_id, growth->job->paths[i]);
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
	for (unsigned i = 0; i < growth->job->grown; i++) {
		ret = house_pool_add_device(hp, growth->job->paths[i]);
		assert(ret == 0);
	}
	request->item = json_pack("{s:s}", "name", hp->name);
	if (!request_commit(request, request->item))
		return;
	if (growth->job->result < 0)
		request_fail(
		    request, pool_job_fault(growth->job, growth->what));
	else
		survey_pools_only(request, hp->name, arrival_answer);
}

static void
growth_done(struct pool_job *job)
{
	struct request *request = job->arg;
	struct growth *growth = request->own;

	/* files made for devices that did not come to be the pool's */
	while (growth->files.made > job->grown)
		unlink(job->paths[--growth->files.made]);
	if (job->result < 0 && job->grown == 0)
		request_fail(request, pool_job_fault(job, growth->what));
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
	growth->job->pool = hp->pool;
	growth->job->done = growth_done;
	growth->job->arg = request;
	pool_job_start(growth->job, request->house->home, hp->loop);
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

static void
longer_run(struct loop_work *work)
{
	struct growth *growth = container_of(work, struct growth, work);

	growth->result =
	    pool_file_grow(growth->files.failed_path, growth->size);
}

static void
longer_done(struct loop_work *work)
{
	struct growth *growth = container_of(work, struct growth, work);
	struct request *request = growth->files.arg;

	if (growth->result < 0)
		request_fail(request,
		    fault_why(fault_new("pool.device", "%s: %s cannot grow",
				  growth->what, growth->files.failed_path),
			"%s",
			growth->result == -EINVAL
			    ? "it is no file, or is larger already"
			    : strerror(-growth->result)));
	else
		growth_start(request, growth);
}

static void
growth_longer(
    struct request *request, struct growth *growth, struct house_pool *hp)
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
	if (request->dry_run) {
		growth_start(request, growth);
		return;
	}
	growth->files.failed_path = hp->devices[0];
	growth->files.arg = request;
	growth->work =
	    (struct loop_work){.run = longer_run, .done = longer_done};
	loop_offload(request->house->home, &growth->work);
}

static struct growth *
growth_new(struct request *request, const struct house_pool *hp)
{
	struct growth *growth = calloc(1, sizeof(*growth));
	const json_t *paths = json_object_get(request->params, "devices");

	assert(growth != NULL);
	growth->job = pool_job_new(POOL_JOB_GROW);
	growth->pool_id = hp->id;
	growth->size = (uint64_t)param_int(request->params, "size", 0);
	snprintf(growth->what, sizeof(growth->what), "cannot grow the pool %s",
	    hp->name);
	for (size_t i = 0; i < json_array_size(paths); i++) {
		int ret = pool_job_add_path(
		    growth->job, json_string_value(json_array_get(paths, i)));
		assert(ret == 0);
	}
	request->own = growth;
	request->own_free = growth_free;
	return growth;
}

void
method_pool_grow(struct request *request)
{
	struct growth *growth;
	struct house_pool *hp;

	if (!method_find_open_pool(
		request, param_text(request->params, "pool"), &hp))
		return;
	growth = growth_new(request, hp);
	if (growth->job->path_count == 0 && growth->size > 0) {
		growth_longer(request, growth, hp);
	} else if (growth->job->path_count == 0) {
		growth_start(request, growth);
	} else {
		growth->files.job = growth->job;
		growth->files.size = growth->size;
		growth->files.preallocate =
		    param_flag(request->params, "preallocate");
		growth->files.dry_run = request->dry_run;
		growth->files.done = growth_prepared;
		growth->files.arg = request;
		pool_files_prepare(&growth->files, request->house->home);
	}
}

/* ---- open ---- */

static void
open_published(struct publish_wait *wait)
{
	struct request *request = container_of(wait, struct request, publish);

	survey_pools_only(
	    request, param_text(request->params, "pool"), arrival_answer);
}

static void
open_done(void *arg)
{
	struct request *request = arg;
	struct house_pool *hp = house_pool_find(
	    request->house, param_text(request->params, "pool"));
	int ret;

	assert(hp != NULL);
	if (hp->pool == NULL) {
		request_fail(request,
		    fault_fix(
			fault_why(fault_new("pool.failed",
				      "the pool %s does not open", hp->name),
			    "%s", hp->problem),
			"with varved off:   varve rescue check %s",
			hp->devices[0]));
		return;
	}
	ret = state_begin(request->house->state);
	request->item = json_pack("{s:s}", "name", hp->name);
	if (ret < 0) {
		request_fail(request, fault_internal("no audit row", ret));
		return;
	}
	if (!request_commit(request, request->item))
		return;
	request->publish.done = open_published;
	house_publish(request->house, &request->publish);
}

void
method_pool_open(struct request *request)
{
	const char *name = param_text(request->params, "pool");
	struct house_pool *hp;

	if (!method_find_pool(request, name, &hp))
		return;
	if (hp->pool != NULL || hp->opening)
		request_fail(request, fault_new("pool.is-open",
					  "the pool %s is open already", name));
	else if (request->dry_run)
		request_answer(request, json_pack("{s:s}", "name", name));
	else
		house_pool_open(hp, open_done, request);
}

/* ---- remove ---- */

static void
remove_write(struct request *request, struct house_pool *hp)
{
	struct house *house = request->house;
	int ret = state_begin(house->state);

	if (ret < 0) {
		request_fail(
		    request, fault_internal("the state is not written", ret));
		return;
	}
	ret = state_pool_remove(house->state, hp->id);
	if (ret < 0) {
		request_state_failed(request, ret);
		return;
	}
	if (!request_commit(request, request->item))
		return;
	house_pool_forget(hp);
	request_publish_and_answer(request);
}

static void
remove_closed(void *arg)
{
	struct request *request = arg;
	struct house_pool *hp = house_pool_find(
	    request->house, param_text(request->params, "pool"));

	assert(hp != NULL);
	remove_write(request, hp);
}

static bool
remove_is_free(struct request *request, const struct house_pool *hp)
{
	struct exports exports;
	json_t *fault = NULL;
	unsigned count = 0;

	if (!method_exports(request, &exports))
		return false;
	for (unsigned i = 0; i < exports.count; i++) {
		const struct state_export *row = &exports.rows[i];
		if (row->pool_id != hp->id)
			continue;
		if (fault == NULL)
			fault = fault_new("pool.in-use",
			    "cannot remove the pool %s: LUNs of it are "
			    "exported",
			    hp->name);
		if (count++ < 4)
			fault_fix(fault, "varve export remove %s/%s --host %s",
			    row->pool, row->lun_name, row->host);
	}
	free(exports.rows);
	if (fault != NULL)
		request_fail(request, fault);
	return fault == NULL;
}

static void
remove_go(struct request *request)
{
	struct house_pool *hp = house_pool_find(
	    request->house, param_text(request->params, "pool"));

	assert(hp != NULL);
	request->item = pool_item(request->house, method_pool(request));
	if (request->dry_run)
		request_answer(request, json_incref(request->item));
	else if (hp->pool != NULL)
		house_pool_close(hp, remove_closed, request);
	else
		remove_write(request, hp);
}

void
method_pool_remove(struct request *request)
{
	const char *name = param_text(request->params, "pool");
	struct house_pool *hp;

	if (!method_find_pool(request, name, &hp))
		return;
	if (hp->opening) {
		request_fail(request,
		    fault_new("pool.not-open",
			"varved is opening the pool %s; try again", name));
		return;
	}
	if (remove_is_free(request, hp))
		survey_pools_only(request, name, remove_go);
}
