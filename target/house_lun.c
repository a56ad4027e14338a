/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * LUN objects: an exported volume opened as a backstore, with a struct lun on
 * it, both on its pool's reactor.
 */
#include "base/log.h"
#include "target/house.h"
#include "target/settings.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct list *
bucket(struct house *house, const uuid_t uuid)
{
	/* random uuids: any two bytes will do */
	return &house->luns[(uuid[14] << 8 | uuid[15]) % HOUSE_LUN_BUCKETS];
}

struct house_lun *
house_lun_find(struct house *house, const uuid_t uuid)
{
	struct house_lun *hl;

	list_for_each (hl, bucket(house, uuid), by_uuid) {
		if (uuid_compare(hl->uuid, uuid) == 0)
			return hl;
	}
	return NULL;
}

/* Snapshots and the trash are found by looking at all of them when the pool
 * does not find them by itself. */
static bool
is_of(struct volume *volume, const uuid_t uuid)
{
	struct volume_stat stat;

	volume_stat_get(volume, &stat);
	return uuid_compare(stat.uuid, uuid) == 0;
}

static struct volume *
snap_find_of(struct volume *volume, const uuid_t uuid)
{
	struct volume *snap = NULL;

	if (is_of(volume, uuid))
		return volume;
	if (volume_is_snapshot(volume))
		return NULL;
	while ((snap = snapshot_next(volume, snap)) != NULL) {
		if (is_of(snap, uuid))
			return snap;
	}
	return NULL;
}

struct volume *
house_volume_find(struct pool *pool, const uuid_t uuid)
{
	struct volume *found = volume_find_uuid(pool, uuid), *volume = NULL;

	while (found == NULL && (volume = volume_next(pool, volume)) != NULL)
		found = snap_find_of(volume, uuid);
	while (found == NULL && (volume = trash_next(pool, volume)) != NULL)
		found = snap_find_of(volume, uuid);
	return found;
}

/* ---- opening ---- */

struct lun_open {
	struct call call;
	struct house_lun *hl;
	struct pool *pool;
	char name[STATE_LUN_NAME_MAX];
	struct registry *registry; /* NULL: nothing was kept */
	json_t *settings;          /* by uuid */
	struct lun_saved saved;
	struct port_groups ports;
	void (*done)(void *arg, int result);
	void *arg;
};

static void
lun_close_unused(void *arg)
{
	struct call *call = arg;

	call_finish(call, -ENOMEM);
}

/* "web01", or "web01@mon" of a snapshot. */
static void
name_look(struct volume *volume, char name[STATE_LUN_NAME_MAX])
{
	struct volume *owner = NULL;
	struct volume_stat stat, lun = {.name = "(deleted)"};

	volume_stat_get(volume, &stat);
	if (volume_is_snapshot(volume))
		owner = snapshot_volume(volume);
	if (owner != NULL)
		volume_stat_get(owner, &lun);
	if (volume_is_snapshot(volume))
		snprintf(
		    name, STATE_LUN_NAME_MAX, "%s@%s", lun.name, stat.name);
	else
		snprintf(name, STATE_LUN_NAME_MAX, "%s", stat.name);
}

/* ---- what SANITIZE keeps in mind ---- */

static void
sanitizing_kept(struct pool_request *request, int result)
{
	struct house_keeping *keeping = request->arg;

	keeping->done(keeping->arg, result);
}

static void
sanitizing(void *arg, bool on, bool exits,
    void (*done)(void *done_arg, int result), void *done_arg)
{
	struct house_lun *hl = arg;
	struct house_keeping *keeping = &hl->keeping;

	keeping->done = done;
	keeping->arg = done_arg;
	keeping->request = (struct pool_request){
	    .done = sanitizing_kept,
	    .arg = keeping,
	};
	volume_set_erasing(
	    keeping->pool, keeping->volume, on, exits, &keeping->request);
}

static const struct lun_keeper keeper = {.registry = house_lun_keep,
    .saved = house_lun_keep,
    .sanitizing = sanitizing};
static const struct lun_keeper keeper_of_snapshot = {
    .registry = house_lun_keep, .saved = house_lun_keep};

static void
lun_open_run(struct call *call)
{
	struct lun_open *open = container_of(call, struct lun_open, call);
	struct house_lun *hl = open->hl;
	struct volume *volume = house_volume_find(open->pool, hl->uuid);

	if (volume == NULL) {
		call_finish(call, -ENOENT);
		return;
	}
	name_look(volume, open->name);
	snprintf(hl->label, sizeof(hl->label), "%s/%s", pool_name(open->pool),
	    open->name);
	hl->bs = volume_open(volume);
	if (hl->bs == NULL) {
		call_finish(call, -EBUSY);
		return;
	}
	struct lun_params params = {.bs = hl->bs,
	    .serial = hl->serial,
	    .label = hl->label,
	    .registry = open->registry,
	    .saved = &open->saved,
	    .ports = &open->ports,
	    .keeper = &keeper,
	    .keeper_arg = hl,
	    .manager = hl->pool->copies,
	    .compares = hl->pool->compares,
	    .background_percent = pool_background(open->pool)};
	settings_params(json_object_get(open->settings, hl->serial), &params);
	if (volume_is_snapshot(volume)) {
		params.read_only = true;
		params.keeper = &keeper_of_snapshot;
	} else {
		hl->keeping.pool = open->pool;
		hl->keeping.volume = volume;
		params.sanitizing =
		    volume_is_erasing(volume, &params.sanitize_exits);
	}
	lun_naa_from_uuid(hl->uuid, params.naa);
	if (lun_new(&params, &hl->lun) < 0)
		bs_close(hl->bs, lun_close_unused, call);
	else
		call_finish(call, 0);
}

/* The pool may have been elsewhere and its LUN renamed there. */
static void
name_learn(struct house *house, const struct lun_open *open)
{
	if (state_begin(house->state) < 0)
		return;
	if (state_lun_renamed(house->state, open->hl->serial, open->name) < 0)
		state_rollback(house->state);
	else
		state_commit(house->state);
}

static bool
name_differs(struct house *house, const struct lun_open *open)
{
	struct state_export *exports;
	unsigned count;
	bool differs = false;

	if (state_exports(house->state, &exports, &count) < 0)
		return false;
	for (unsigned i = 0; i < count && !differs; i++)
		differs = strcmp(exports[i].lun_uuid, open->hl->serial) == 0 &&
			  strcmp(exports[i].lun_name, open->name) != 0;
	free(exports);
	return differs;
}

static void
lun_open_done(struct call *call)
{
	struct lun_open *open = container_of(call, struct lun_open, call);
	struct house_lun *hl = open->hl;
	struct house *house = hl->pool->house;

	if (call->result < 0) {
		free(hl);
	} else {
		list_add_tail(&hl->pool->luns, &hl->link);
		list_add_tail(bucket(house, hl->uuid), &hl->by_uuid);
		hl->sample_ns = loop_now(house->home);
		if (name_differs(house, open))
			name_learn(house, open);
	}
	open->done(open->arg, call->result);
	registry_free(open->registry);
	json_decref(open->settings);
	free(open);
}

static void
lun_open_failed(struct loop_task *task)
{
	struct call *call = container_of(task, struct call, task);
	struct lun_open *open = container_of(call, struct lun_open, call);

	open->done(open->arg, call->result);
	registry_free(open->registry);
	free(open);
}

static void
lun_open_fail(struct lun_open *open, struct house *house, int error)
{
	free(open->hl);
	open->call.result = error;
	open->call.task.run = lun_open_failed;
	loop_defer(house->home, &open->call.task);
}

/* Without what was reserved it would be open to everyone: not served then. */
static int
lun_open_kept(struct lun_open *open)
{
	const struct house_lun *hl = open->hl;
	struct state *state = hl->pool->house->state;
	int ret = state_registry_get(
	    state, hl->pool->id, hl->serial, &open->registry);

	if (ret == 0 || ret == -ENOENT)
		ret = state_saved_get(
		    state, hl->pool->id, hl->serial, &open->saved);
	if (ret == 0)
		ret = state_settings_of(
		    state, hl->pool->id, hl->serial, &open->settings);
	if (ret == -EBADMSG)
		log_error(
		    "LUN %s is not served: what is set of it cannot be read: "
		    "varve health",
		    hl->serial);
	return ret;
}

void
house_lun_open(struct house_pool *hp, const uuid_t uuid,
    void (*done)(void *arg, int result), void *arg)
{
	struct lun_open *open = calloc(1, sizeof(*open));

	assert(hp->pool != NULL);
	assert(house_lun_find(hp->house, uuid) == NULL);
	assert(open != NULL); /* as everywhere on the control path */
	open->done = done;
	open->arg = arg;
	open->pool = hp->pool;
	open->ports = hp->house->ports;
	open->hl = calloc(1, sizeof(*open->hl));
	if (open->hl == NULL) {
		lun_open_fail(open, hp->house, -ENOMEM);
		return;
	}
	open->hl->pool = hp;
	uuid_copy(open->hl->uuid, uuid);
	uuid_unparse_lower(uuid, open->hl->serial);
	int ret = lun_open_kept(open);
	if (ret < 0) {
		lun_open_fail(open, hp->house, ret);
		return;
	}
	open->call.run = lun_open_run;
	open->call.done = lun_open_done;
	call_start(&open->call, hp->house->home, hp->loop);
}

/* ---- closing ---- */

struct lun_close {
	struct call call;
	struct house_lun *hl;
	void (*done)(void *arg);
	void *arg;
};

static void
lun_closed(void *arg)
{
	call_finish(arg, 0);
}

static void
lun_freed(void *arg)
{
	struct call *call = arg;
	struct lun_close *close = container_of(call, struct lun_close, call);

	bs_close(close->hl->bs, lun_closed, call);
}

static void
lun_close_run(struct call *call)
{
	struct lun_close *close = container_of(call, struct lun_close, call);

	lun_free(close->hl->lun, lun_freed, call);
}

static void
lun_close_done(struct call *call)
{
	struct lun_close *close = container_of(call, struct lun_close, call);

	free(close->hl);
	close->done(close->arg);
	free(close);
}

void
house_lun_close(struct house_lun *hl, void (*done)(void *arg), void *arg)
{
	struct lun_close *close = calloc(1, sizeof(*close));
	struct house_pool *hp = hl->pool;

	assert(close != NULL);
	list_del(&hl->link);
	list_del(&hl->by_uuid);
	close->hl = hl;
	close->done = done;
	close->arg = arg;
	close->call.run = lun_close_run;
	close->call.done = lun_close_done;
	call_start(&close->call, hp->house->home, hp->loop);
}

/* ---- all of a pool's ---- */

struct luns_open {
	struct house_pool *hp;
	struct state_export *exports;
	unsigned count, next;
	void (*done)(void *arg);
	void *arg;
	struct loop_task task;
};

static void luns_open_next(struct luns_open *all);

static void
luns_open_one(void *arg, int result)
{
	struct luns_open *all = arg;
	const struct state_export *row = &all->exports[all->next++];

	if (result < 0)
		log_error("%s/%s: exported to %s, but it cannot be served: %s",
		    row->pool, row->lun_name, row->host,
		    result == -ENOENT ? "the pool has no such LUN"
				      : strerror(-result));
	luns_open_next(all);
}

static void
luns_open_next(struct luns_open *all)
{
	for (; all->next < all->count; all->next++) {
		const struct state_export *row = &all->exports[all->next];
		uuid_t uuid;
		if (row->pool_id != all->hp->id ||
		    uuid_parse(row->lun_uuid, uuid) < 0 ||
		    house_lun_find(all->hp->house, uuid) != NULL)
			continue;
		house_lun_open(all->hp, uuid, luns_open_one, all);
		return;
	}
	all->done(all->arg);
	free(all->exports);
	free(all);
}

static void
luns_open_begin(struct loop_task *task)
{
	luns_open_next(container_of(task, struct luns_open, task));
}

void
house_luns_open(struct house_pool *hp, void (*done)(void *arg), void *arg)
{
	struct luns_open *all = calloc(1, sizeof(*all));

	assert(all != NULL);
	all->hp = hp;
	all->done = done;
	all->arg = arg;
	if (state_exports(hp->house->state, &all->exports, &all->count) < 0)
		log_error("%s: its exports cannot be read", hp->name);
	all->task.run = luns_open_begin;
	loop_defer(hp->house->home, &all->task);
}
