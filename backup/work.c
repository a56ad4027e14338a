/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/work.h"
#include "backup/attachment.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <string.h>
#include <time.h>

/* ---- the pump ---- */

json_t *
pump_run(struct pump *pump)
{
	struct piece piece;
	json_t *problem;

	for (;;) {
		problem = pump->source->next(pump->source, &piece);
		if (problem != NULL || piece.length == 0)
			return problem;
		problem = pump->sink->put(pump->sink, &piece);
		if (piece.data != NULL)
			pump->done += piece.length;
		if (problem == NULL && pump->watch != NULL)
			problem = pump->watch->progress(
			    pump->watch, pump->done, pump->total);
		if (problem != NULL)
			return problem;
	}
}

/* ---- layers ---- */

json_t *
layers_open(const struct directory *directory, const struct backup_chain *chain,
    bool whole, struct layers *ret_layers)
{
	_cleanup_(freep) struct merge_layer *layers =
	    calloc(chain->count, sizeof(*layers));
	json_t *problem = NULL;

	*ret_layers = (struct layers){.count = 0};
	ret_layers->streams = calloc(chain->count, sizeof(struct stream *));
	assert(layers != NULL);
	assert(ret_layers->streams != NULL);
	for (unsigned i = 0; i < chain->count && problem == NULL; i++) {
		const struct backup_point *point = chain->list[i];
		problem =
		    stream_open(directory, point, &ret_layers->streams[i]);
		if (problem != NULL)
			break;
		ret_layers->count++;
		ret_layers->data += point->data;
		layers[i] = (struct merge_layer){
		    stream_source(ret_layers->streams[i]), point->size};
	}
	if (problem == NULL)
		ret_layers->merge = merge_new(layers, chain->count, whole);
	else
		layers_close(ret_layers);
	return problem;
}

json_t *
layers_drain(struct layers *layers)
{
	json_t *problem = NULL;

	for (unsigned i = 0; i < layers->count && problem == NULL; i++)
		problem = stream_drain(layers->streams[i]);
	return problem;
}

void
layers_close(struct layers *layers)
{
	for (unsigned i = 0; i < layers->count; i++)
		stream_close(layers->streams[i]);
	free(layers->streams);
	merge_free(layers->merge);
	*layers = (struct layers){.count = 0};
}

/* ---- finding ---- */

json_t *
point_find(const struct directory *directory, const char *at,
    const struct backup_point **ret_point)
{
	const struct backup_points *points = &directory->points;

	if (points->count == 0)
		return backup_problem(
		    BACKUP_EMPTY, "there is no backup in %s", directory->path);
	*ret_point = at == NULL ? &points->list[points->count - 1]
				: backup_points_find(points, at);
	if (*ret_point != NULL)
		return NULL;
	return problem_fix(backup_problem(BACKUP_NOT_FOUND,
			       "%s has no backup %s", directory->path, at),
	    "varve backup list %s", directory->path);
}

json_t *
chain_find(const struct directory *directory, const struct backup_point *point,
    struct backup_chain *ret_chain)
{
	const struct backup_point *missing;

	if (backup_chain_of(&directory->points, point, ret_chain, &missing))
		return NULL;
	free(ret_chain->list);
	*ret_chain = (struct backup_chain){NULL, 0};
	return problem_fix(
	    problem_why(backup_problem(BACKUP_CHAIN,
			    "the backup %s cannot be used", point->name),
		"%s stands on %s, which is not there", missing->name,
		missing->base),
	    "varve backup verify %s", directory->path);
}

/* ---- items ---- */

json_t *
json_seconds(uint64_t unix_seconds)
{
	time_t seconds = (time_t)unix_seconds;
	char text[sizeof("2026-03-01T13:00:00Z") + 16];
	struct tm tm;

	if (gmtime_r(&seconds, &tm) == NULL)
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

uint64_t
seconds_of(const char *text)
{
	struct tm tm = {.tm_year = 0};
	time_t seconds;

	if (strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm) == NULL)
		return 0;
	seconds = timegm(&tm);
	return seconds > 0 ? (uint64_t)seconds : 0;
}

const char *
consistency_of(const json_t *snap)
{
	enum consistency consistency = CONSISTENCY_CRASH;

	consistency_parse(item_text(snap, "consistency"), &consistency);
	return consistency_text(consistency);
}

static const char *
state_of(const struct directory *directory, const struct backup_point *point)
{
	const struct backup_point *missing;
	struct backup_chain chain;
	bool whole =
	    backup_chain_of(&directory->points, point, &chain, &missing);

	free(chain.list);
	return whole ? "whole" : "base missing";
}

static json_t *
text_or_null(const char *text)
{
	return text[0] != '\0' ? json_string_lossy(text) : json_null();
}

json_t *
point_item(const struct directory *directory, const struct backup_point *point)
{
	return json_pack(
	    "{s:s, s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:s, s:s, s:s, "
	    "s:s, s:I, s:I, s:s, s:o, s:o}",
	    "name", point->name, "kind",
	    point->base[0] != '\0' ? "increment" : "full", "base",
	    text_or_null(point->base), "state", state_of(directory, point),
	    "size", (json_int_t)point->size, "data", (json_int_t)point->data,
	    "zero", (json_int_t)point->zero, "file_bytes",
	    (json_int_t)point->file_bytes, "created",
	    json_seconds(point->created), "finished",
	    json_seconds(point->finished), "lun", point->lun, "uuid",
	    point->uuid, "file", point->file, "sha256", point->sha256, "epoch",
	    (json_int_t)point->epoch, "number", (json_int_t)point->number,
	    "consistency", point->consistency, "bookmark",
	    text_or_null(point->bookmark), "full_because",
	    text_or_null(point->full_because));
}
