/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lun stats, session stats: how long commands took, by what they did.
 */
#include "target/method.h"
#include <errno.h>
#include <stdlib.h>

/* ---- figures ---- */

static json_t *
usec(uint64_t ns)
{
	return json_real((double)ns / 1000);
}

void
latency_item(json_t *item, const struct latency_figures *figures)
{
	json_object_set_new(item, "p50", usec(figures->p50_ns));
	json_object_set_new(item, "p99", usec(figures->p99_ns));
	json_object_set_new(item, "p999", usec(figures->p999_ns));
	json_object_set_new(item, "max", usec(figures->max_ns));
}

/* [end in ns, count] of each that is not empty. */
static json_t *
buckets_json(const struct latency *latency, unsigned classes)
{
	json_t *buckets = json_array();

	for (unsigned b = 0; b < LATENCY_BUCKETS; b++) {
		uint64_t count = 0;
		for (unsigned c = 0; c < LATENCY_CLASSES; c++)
			if ((classes & 1u << c) != 0)
				count += latency->of[c].buckets[b];
		if (count > 0)
			json_array_append_new(
			    buckets, json_pack("[I, I]",
					 (json_int_t)latency_bucket_end(b),
					 (json_int_t)count));
	}
	return buckets;
}

static json_t *
stats_row(const struct latency *latency, const char *name, unsigned classes)
{
	struct latency_figures figures;
	json_t *row = json_pack("{s:s}", "operation", name);

	latency_figures_get(latency, classes, &figures);
	json_object_set_new(row, "count", json_bytes(figures.count));
	json_object_set_new(row, "mean",
	    json_real(figures.count > 0 ? (double)figures.total_ns /
					      (double)figures.count / 1000
					: 0));
	latency_item(row, &figures);
	json_object_set_new(row, "buckets", buckets_json(latency, classes));
	return row;
}

static json_t *
stats_rows(const struct latency *latency)
{
	static const enum latency_class order[] = {LATENCY_READ, LATENCY_WRITE,
	    LATENCY_FLUSH, LATENCY_UNMAP, LATENCY_OTHER};
	json_t *rows = json_array();

	static_assert(ARRAY_SIZE(order) == LATENCY_CLASSES, "a row for each");
	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		json_array_append_new(
		    rows, stats_row(latency, latency_class_names[order[i]],
			      1u << order[i]));
	json_array_append_new(rows, stats_row(latency, "all", LATENCY_ALL));
	return rows;
}

/* The request's own. */
struct stats {
	struct lun *lun;
	struct latency latency;
};

static struct stats *
stats_new(struct request *request)
{
	struct stats *stats = calloc(1, sizeof(*stats));

	assert(stats != NULL);
	assert(request->own == NULL);
	request->own = stats;
	request->own_free = free;
	return stats;
}

/* ---- of a LUN ---- */

static void
lun_look(struct call *call)
{
	struct request *request = container_of(call, struct request, call);
	struct stats *stats = request->own;

	stats->latency = *lun_latency(stats->lun);
	call_finish(call, 0);
}

static void
lun_looked(struct call *call)
{
	struct request *request = container_of(call, struct request, call);
	const struct stats *stats = request->own;

	request_answer_items(request, stats_rows(&stats->latency));
}

/* Nobody is served it: all zeros. */
static void
lun_stats_go(struct request *request)
{
	struct house_lun *hl = house_lun_find(
	    request->house, method_surveyed(request)->volume.uuid);
	struct stats *stats = stats_new(request);

	if (hl == NULL) {
		request_answer_items(request, stats_rows(&stats->latency));
		return;
	}
	stats->lun = hl->lun;
	request->call.run = lun_look;
	request->call.done = lun_looked;
	call_start(&request->call, request->house->home, hl->pool->loop);
}

void
method_lun_stats(struct request *request)
{
	method_survey_version(request, "lun", lun_stats_go);
}

/* ---- of a session ---- */

static void
session_looked(void *arg, int result)
{
	struct request *request = arg;
	const struct stats *stats = request->own;

	if (result == -ENOENT)
		request_fail(request, session_missing(request));
	else if (result < 0)
		request_fail(request,
		    fault_internal("the session is not looked at", result));
	else
		request_answer_items(request, stats_rows(&stats->latency));
}

void
method_session_stats(struct request *request)
{
	json_int_t number = param_int(request->params, "session", 0);
	struct stats *stats = stats_new(request);

	if (number > UINT16_MAX)
		session_looked(request, -ENOENT);
	else
		iscsi_session_latency(request->house->server, (uint16_t)number,
		    &stats->latency, session_looked, request);
}
