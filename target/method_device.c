/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * device list, evacuate, remove: the devices of a pool, one by one.
 *
 * A path and the pool's own number of a device meet in the store that both
 * know: hp->stores at home, pool_device_stat.bs on the reactor.
 */
#include "target/change.h"
#include <errno.h>
#include <string.h>

/* ---- the item ---- */

static const char *const state_words[] = {
    [POOL_DEVICE_MEMBER] = "in use",
    [POOL_DEVICE_EVACUATING] = "evacuating",
    [POOL_DEVICE_EMPTY] = "empty",
    [POOL_DEVICE_MISSING] = "missing",
    [POOL_DEVICE_REMOVED] = "removed",
};

/* What the pool says of that store: NULL: it is no device of it. */
static const struct pool_device_stat *
device_of(const struct survey_pool *sp, const struct backstore *store,
    unsigned *ret_number)
{
	for (unsigned i = 0; i < sp->device_count; i++) {
		if (store == NULL || sp->devices[i].bs != store)
			continue;
		*ret_number = i;
		return &sp->devices[i];
	}
	return NULL;
}

static json_t *
stat_item(const char *pool, const char *path,
    const struct pool_device_stat *stat, unsigned number)
{
	return json_pack("{s:o, s:s, s:o, s:o, s:o, s:s, s:i, s:n}", "device",
	    path != NULL ? json_text(path) : json_null(), "state",
	    state_words[stat->state], "size", json_bytes(stat->size), "used",
	    json_bytes(stat->used), "stuck", json_bytes(stat->stuck), "pool",
	    pool, "number", (int)number, "job");
}

static json_t *
device_item(
    const struct survey_pool *sp, const struct house_pool *hp, unsigned index)
{
	unsigned number;
	const struct pool_device_stat *stat =
	    device_of(sp, hp->stores[index], &number);

	if (stat != NULL)
		return stat_item(sp->name, hp->devices[index], stat, number);
	return json_pack("{s:o, s:s, s:n, s:n, s:n, s:s, s:n, s:n}", "device",
	    json_text(hp->devices[index]), "state", "no member", "size", "used",
	    "stuck", "pool", sp->name, "number", "job");
}

json_t *
devices_leaving(const struct survey_pool *sp, const struct house_pool *hp)
{
	json_t *paths = json_array();

	for (unsigned i = 0; i < hp->device_count; i++) {
		unsigned number;
		const struct pool_device_stat *stat =
		    device_of(sp, hp->stores[i], &number);
		if (stat != NULL && (stat->state == POOL_DEVICE_EVACUATING ||
					stat->state == POOL_DEVICE_EMPTY))
			json_array_append_new(paths, json_text(hp->devices[i]));
	}
	return paths;
}

/* ---- list ---- */

static void
list_answer(struct request *request)
{
	const struct survey_pool *sp = method_pool(request);
	const struct house_pool *hp = method_house_pool(request);
	json_t *items = json_array();

	for (unsigned i = 0; i < hp->device_count; i++)
		json_array_append_new(items, device_item(sp, hp, i));
	for (unsigned i = 0; i < sp->device_count; i++)
		if (sp->devices[i].state == POOL_DEVICE_MISSING)
			json_array_append_new(items,
			    stat_item(sp->name, NULL, &sp->devices[i], i));
	request_answer_items(request, items);
}

void
method_device_list(struct request *request)
{
	const char *name = param_text(request->params, "pool");
	struct house_pool *hp;

	if (method_find_open_pool(request, name, &hp))
		method_survey_pools(request, name, list_answer);
}

/* ---- what evacuate and remove share ---- */

static int
path_index(const struct request *request, const struct house_pool *hp)
{
	const char *path = param_text(request->params, "device");

	for (unsigned i = 0; i < hp->device_count; i++) {
		if (strcmp(hp->devices[i], path) == 0)
			return (int)i;
	}
	return -1;
}

/* The device that is named, which exists when next is called. */
static void
device_survey(struct request *request, void (*next)(struct request *request))
{
	const char *name = param_text(request->params, "pool");
	struct house_pool *hp;

	if (!method_find_open_pool(request, name, &hp))
		return;
	if (path_index(request, hp) >= 0)
		method_survey_pools(request, name, next);
	else
		request_fail(request,
		    fault_fix(fault_new("pool.device-unknown",
				  "the pool %s has no device %s", name,
				  param_text(request->params, "device")),
			"varve device list %s", name));
}

static json_t *
item_now(struct request *request)
{
	const struct house_pool *hp = method_house_pool(request);
	int index = path_index(request, hp);

	assert(index >= 0);
	return device_item(method_pool(request), hp, (unsigned)index);
}

/* -1: the pool does not know it. */
static int
change_number(const struct change *change)
{
	struct pool_device_stat stat;

	for (unsigned i = 0; pool_device_get(change->pool, i, &stat); i++) {
		if (stat.bs == change->store)
			return (int)i;
	}
	return -1;
}

static struct change *
device_change(
    struct request *request, const struct change_op *op, const char *what)
{
	const struct house_pool *hp = method_house_pool(request);
	struct change *change =
	    change_new(request, op, "cannot %s %s of the pool %s", what,
		param_text(request->params, "device"), hp->name);

	change->path = param_text(request->params, "device");
	change->store = hp->stores[path_index(request, hp)];
	change->flag = param_flag(request->params, "cancel");
	memcpy(change->name, hp->name, sizeof(change->name));
	return change;
}

/* ---- evacuate ---- */

static int
evacuate_run(struct change *change, struct volume *volume)
{
	int number = change_number(change);

	(void)volume;
	if (number < 0)
		return -ENOENT;
	if (change->flag)
		pool_evacuate_cancel(
		    change->pool, (unsigned)number, &change->pool_request);
	else
		pool_evacuate(
		    change->pool, (unsigned)number, &change->pool_request);
	return CHANGE_STARTED;
}

/* clang-format off */
static const struct change_fault evacuate_faults[] = {
	{ -ENOENT, "pool.device-unknown", "the pool does not know it" },
	{ -EBUSY,  "pool.device-only",    "it is the only device of the pool" },
	{ -EINVAL, "pool.device-staying", "it is not being emptied" },
	{ 0, NULL, NULL },
};
/* clang-format on */

static const struct change_op op_evacuate = {
    .run = evacuate_run, .faults = evacuate_faults};

static void
evacuate_answer(struct request *request)
{
	struct house_job job = {.stat.kind = POOL_JOB_EVACUATE};
	json_t *item = item_now(request);
	char id[JOB_ID_MAX];

	uuid_copy(job.stat.uuid, method_house_pool(request)->uuid);
	job_id(&job, id);
	if (!request->dry_run && !param_flag(request->params, "cancel") &&
	    strcmp(json_string_value(json_object_get(item, "state")),
		"evacuating") == 0)
		json_object_set_new(item, "job", json_string(id));
	request_answer(request, item);
}

static void
evacuate_look(struct request *request)
{
	method_survey_pools(
	    request, param_text(request->params, "pool"), evacuate_answer);
}

static void
evacuate_go(struct request *request)
{
	if (request->dry_run) {
		evacuate_answer(request);
		return;
	}
	device_change(request, &op_evacuate,
	    param_flag(request->params, "cancel") ? "keep" : "empty");
	change_start(request, method_house_pool(request), evacuate_look);
}

void
method_device_evacuate(struct request *request)
{
	device_survey(request, evacuate_go);
}

/* ---- remove ---- */

/* What the pool does not know (any more) is only forgotten here. */
static int
remove_run(struct change *change, struct volume *volume)
{
	int number = change_number(change);

	(void)volume;
	if (number < 0)
		return CHANGE_DONE;
	pool_device_remove(
	    change->pool, (unsigned)number, &change->pool_request);
	return CHANGE_STARTED;
}

/* The pool has closed it, whatever becomes of the row: without that it is no
 * member when varved starts again. */
static int
remove_record(struct state *state, const struct change *change)
{
	struct request *request = change->request;
	struct house_pool *hp =
	    house_pool_by_id(request->house, change->pool_id);

	house_pool_remove_device(hp, (unsigned)path_index(request, hp));
	return state_pool_remove_device(state, change->pool_id, change->path);
}

/* clang-format off */
static const struct change_fault remove_faults[] = {
	{ -ENOENT,      "pool.device-unknown",   "the pool does not know it" },
	{ -EBUSY,       "pool.device-not-empty", "something is on it" },
	{ -EINPROGRESS, "pool.checking",         "the pool is being checked" },
	{ 0, NULL, NULL },
};
/* clang-format on */

static const struct change_op op_remove = {
    .run = remove_run, .record = remove_record, .faults = remove_faults};

static void
remove_answer(struct request *request)
{
	request_answer(request, json_incref(request->item));
}

/* NULL: it may go. */
static json_t *
remove_check(struct request *request, const json_t *item)
{
	const char *pool = param_text(request->params, "pool");
	const char *path = param_text(request->params, "device");
	json_int_t used = json_integer_value(json_object_get(item, "used"));

	if (used == 0)
		return NULL;
	return fault_fix(
	    fault_why(fault_new("pool.device-not-empty",
			  "cannot remove %s of the pool %s", path, pool),
		"%lld MiB are on it", (long long)used >> 20),
	    "varve device evacuate %s %s", pool, path);
}

static void
remove_go(struct request *request)
{
	json_t *item = item_now(request);
	json_t *fault = remove_check(request, item);

	if (fault != NULL) {
		json_decref(item);
		request_fail(request, fault);
		return;
	}
	json_object_set_new(item, "state", json_string("removed"));
	request->item = item;
	if (request->dry_run) {
		remove_answer(request);
		return;
	}
	device_change(request, &op_remove, "remove");
	change_start(request, method_house_pool(request), remove_answer);
}

void
method_device_remove(struct request *request)
{
	device_survey(request, remove_go);
}
