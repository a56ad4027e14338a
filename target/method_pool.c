/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pool list, show, open, remove.
 */
#include "target/method.h"
#include <stdlib.h>
#include <string.h>

/* ---- the item ---- */

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
	json_object_set_new(item, "set_aside", json_bytes(s->set_aside));
	json_object_set_new(item, "warn_at", json_integer(s->soft_percent));
	json_object_set_new(item, "stop_at", json_integer(s->hard_percent));
	json_object_set_new(
	    item, "level", json_string(house_level_word(s->level)));
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
	    {"snapshot_steps", s->cuts},
	    {"snapshot_step_ns", s->cut_ns},
	    {"snapshot_step_max_ns", s->cut_ns_max},
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

static void
item_family(
    json_t *item, const struct survey_pool *sp, const struct house_pool *hp)
{
	const struct survey_totals *t = &sp->totals;
	int64_t seconds;

	json_object_set_new(item, "luns", json_integer(t->luns));
	json_object_set_new(item, "snaps", json_integer(t->snaps));
	json_object_set_new(item, "snap_held", json_bytes(t->snap_held));
	json_object_set_new(item, "trashed", json_bytes(t->trashed));
	json_object_set_new(item, "full_in",
	    hp != NULL && forecast_full(&hp->forecast, sp->stat.free, &seconds)
		? json_integer(seconds)
		: json_null());
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
		item_family(item, sp, hp);
		item_counters(item, &sp->stat);
	}
	if (hp != NULL)
		item_identity(item, hp);
	if (hp != NULL && sp->open)
		json_object_set_new(item, "leaving", devices_leaving(sp, hp));
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

void
method_pool_list(struct request *request)
{
	method_survey_pools(request, "", list_answer);
}

void
method_pool_answer(struct request *request)
{
	if (request->survey->pool_count == 0)
		request_fail(
		    request, fault_new("pool.not-found", "the pool is gone"));
	else
		request_answer(
		    request, pool_item(request->house, method_pool(request)));
}

void
method_pool_show(struct request *request)
{
	const char *name = param_text(request->params, "pool");
	struct house_pool *hp;

	if (method_find_pool(request, name, &hp))
		method_survey_pools(request, name, method_pool_answer);
}

/* ---- open ---- */

static void
open_published(struct publish_wait *wait)
{
	struct request *request = container_of(wait, struct request, publish);

	method_survey_pools(
	    request, param_text(request->params, "pool"), method_pool_answer);
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
	int ret;

	if (!request_begin(request))
		return;
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
	if (hp->diffs > 0)
		request_fail(request,
		    fault_fix(fault_new("pool.in-use",
				  "cannot remove the pool %s: a client asks "
				  "it for differences",
				  hp->name),
			"when varve snap diff has ended: varve pool remove %s",
			hp->name));
	else if (request->dry_run)
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
		method_survey_pools(request, name, remove_go);
}
