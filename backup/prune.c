/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup merge and backup prune.
 *
 * A backup goes by becoming a part of the next one that is kept: the streams
 * between are laid over one another into one that stands on the base of the
 * first.  The new stream is whole before its manifest takes the place of the
 * old one; only then those that are in it go, the newest first, so that at
 * every instant each backup has what it stands on.
 */
#include "backup/keep.h"
#include "backup/work.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#define MERGED_FILE "merged.rbd-diff.zst"

struct merging {
	struct directory *directory;
	int level;
	struct backup_watch *watch;
};

/* ---- one out of several ---- */

static json_t *
merge_write(struct pump *pump, struct pack *pack, struct layers *layers,
    struct backup_point *point)
{
	struct rbd_diff_head head = {.size = point->size};
	struct stream_sink stream;
	json_t *problem;

	memcpy(head.from, point->base, sizeof(point->base));
	memcpy(head.to, point->name, sizeof(point->name));
	stream_sink_init(&stream, pack);
	pump->sink = &stream.sink;
	problem = stream_begin(&stream, &head);
	if (problem == NULL)
		problem = pump_run(pump);
	if (problem == NULL)
		problem = layers_drain(layers);
	if (problem == NULL)
		problem = stream_end(&stream, point);
	return problem;
}

static json_t *
merge_to(const struct merging *merging, struct layers *layers, int fd,
    struct backup_point *point)
{
	struct pump pump = {.source = merge_source(layers->merge),
	    .total = layers->data,
	    .watch = merging->watch};
	struct pack *pack = NULL;
	json_t *problem =
	    pack_new(fd, MERGED_FILE, merging->level, NULL, &pack);

	if (problem == NULL)
		problem = merge_write(&pump, pack, layers, point);
	pack_free(pack);
	point->finished = (uint64_t)time(NULL);
	if (problem == NULL)
		problem = directory_commit(
		    merging->directory, fd, MERGED_FILE, point);
	return problem;
}

/* The chain becomes its newest, on the base of its oldest. */
static json_t *
merge_chain(const struct merging *merging, const struct backup_chain *chain)
{
	struct directory *directory = merging->directory;
	const struct backup_point *oldest = chain->list[0];
	const struct backup_point *newest = chain->list[chain->count - 1];
	const struct backup_point *base =
	    backup_base_of(&directory->points, oldest);
	struct backup_point point = *newest;
	struct layers layers;
	json_t *problem;
	int fd;

	if (chain->count < 2)
		return NULL;
	memcpy(point.base, oldest->base, sizeof(point.base));
	memcpy(point.base_uuid, oldest->base_uuid, sizeof(point.base_uuid));
	point.base_epoch = oldest->base_epoch;
	memcpy(point.full_because, oldest->full_because,
	    sizeof(point.full_because));
	directory_stream_name(
	    &point, base != NULL ? base->number : 0, point.file);
	problem =
	    layers_open(directory, chain, oldest->base[0] == '\0', &layers);
	if (problem != NULL)
		return problem;
	fd = openat(directory->fd, MERGED_FILE,
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	problem = fd < 0 ? backup_write_problem(MERGED_FILE, errno)
			 : merge_to(merging, &layers, fd, &point);
	layers_close(&layers);
	closep(&fd);
	if (problem == NULL)
		directory_unlink(directory, newest->file);
	else
		directory_unlink(directory, MERGED_FILE);
	return problem;
}

/* ---- which of them go ---- */

/* From `point` back over those that go. */
static void
run_of(const struct backup_points *points, const bool *goes,
    const struct backup_point *point, struct backup_chain *ret_chain)
{
	const struct backup_point *at = point, *base;
	unsigned count = 1;

	for (; (base = backup_base_of(points, at)) != NULL &&
	       goes[base - points->list];
	     count++)
		at = base;
	ret_chain->count = count;
	ret_chain->list = calloc(count, sizeof(*ret_chain->list));
	assert(ret_chain->list != NULL);
	for (at = point; count-- > 0; at = backup_base_of(points, at))
		ret_chain->list[count] = at;
}

static json_t *
merge_runs(const struct merging *merging, const bool *goes)
{
	const struct backup_points *points = &merging->directory->points;
	json_t *problem = NULL;

	for (unsigned i = 0; i < points->count && problem == NULL; i++) {
		struct backup_chain chain;
		if (goes[i])
			continue;
		run_of(points, goes, &points->list[i], &chain);
		problem = merge_chain(merging, &chain);
		free(chain.list);
	}
	return problem;
}

/* goes: for each of the directory's points, by what they were before.  What the
 * others stand on is merged into them first. */
static json_t *
let_go(const struct merging *merging, const bool *goes)
{
	struct backup_points before = merging->directory->points;
	json_t *problem = merge_runs(merging, goes);

	if (problem != NULL)
		return problem;
	for (unsigned i = before.count; i-- > 0;) {
		if (goes[i])
			directory_remove(merging->directory, &before.list[i]);
	}
	return directory_sweep(merging->directory);
}

/* NULL: there is none. */
static const char *
first_damage(const json_t *findings)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(findings, i, finding)
	{
		if (strcmp(
			json_string_value(json_object_get(finding, "severity")),
			"damage") == 0)
			return json_string_value(
			    json_object_get(finding, "what"));
	}
	return NULL;
}

/* What is damaged is not merged away, nor taken for nobody's. */
static json_t *
check_chains(const struct directory *directory)
{
	const char *damage = first_damage(directory->findings);
	struct backup_chain chain;
	json_t *problem = NULL;

	if (damage != NULL)
		return problem_fix(
		    problem_why(backup_problem(BACKUP_DAMAGED,
				    "%s is not as it should be, so nothing is "
				    "removed",
				    directory->path),
			"%s", damage),
		    "varve backup verify %s", directory->path);
	for (unsigned i = 0; i < directory->points.count && problem == NULL;
	     i++) {
		problem =
		    chain_find(directory, &directory->points.list[i], &chain);
		free(chain.list);
	}
	return problem;
}

/* ---- merge ---- */

static json_t *
merge_points(const struct merging *merging,
    const struct backup_merge_params *params, json_t **ret_item)
{
	struct directory *directory = merging->directory;
	const struct backup_points *points = &directory->points;
	_cleanup_(freep) bool *goes = calloc(points->count + 1, sizeof(*goes));
	const struct backup_point *from = NULL, *to = NULL, *at;
	json_t *problem = point_find(directory, params->to, &to);

	assert(goes != NULL);
	if (problem == NULL && params->from != NULL)
		problem = point_find(directory, params->from, &from);
	if (problem != NULL)
		return problem;
	for (at = to; at != NULL && at != from;) {
		at = backup_base_of(points, at);
		if (at != NULL)
			goes[at - points->list] = true;
	}
	if (from != NULL && at != from)
		return backup_problem(BACKUP_BASE,
		    "the backup %s does not stand on %s", params->to,
		    params->from);
	for (unsigned i = 0; i < points->count; i++) {
		at = backup_base_of(points, &points->list[i]);
		if (at != NULL && goes[at - points->list] && !goes[i] &&
		    &points->list[i] != to)
			return backup_problem(BACKUP_NEEDED,
			    "the backup %s stands on %s, which would go",
			    points->list[i].name, at->name);
	}
	if (!params->dry_run)
		problem = let_go(merging, goes);
	if (problem == NULL)
		problem = point_find(directory, params->to, &to);
	if (problem == NULL)
		*ret_item = point_item(directory, to);
	return problem;
}

json_t *
backup_merge(const struct backup_merge_params *params, json_t **ret_item)
{
	struct merging merging = {
	    .level = params->level, .watch = params->watch};
	json_t *problem = directory_open(
	    params->path, DIRECTORY_REMOVE, false, &merging.directory);

	if (problem == NULL)
		problem = check_chains(merging.directory);
	if (problem == NULL)
		problem = merge_points(&merging, params, ret_item);
	directory_close(merging.directory);
	return problem;
}

/* ---- prune ---- */

static json_t *
keeps_item(const struct directory *directory, const struct backup_point *point,
    unsigned kept)
{
	json_t *item = point_item(directory, point), *keeps = json_array();

	for (unsigned r = 0; r < KEEP_REASONS; r++) {
		if (kept >> r & 1)
			json_array_append_new(
			    keeps, json_string(keep_words[r]));
	}
	json_object_set_new(item, "keeps", keeps);
	return item;
}

/* In the order of their snapshots, which numbers need not have.  What stands on
 * another is newer, even if the clock was set back between them. */
static void
order_points(const struct backup_points *points, unsigned *ret_order)
{
	for (unsigned i = 0; i < points->count; i++) {
		const struct backup_point *point = &points->list[i];
		const struct backup_point *base = backup_base_of(points, point);
		unsigned at = i;
		for (; at > 0; at--) {
			const struct backup_point *before =
			    &points->list[ret_order[at - 1]];
			if (before == base || before->created <= point->created)
				break;
			ret_order[at] = ret_order[at - 1];
		}
		ret_order[at] = i;
	}
}

static void
apply_rule(const struct keep_rule *rule, const struct backup_points *points,
    unsigned *ret_kept)
{
	unsigned count = points->count;
	_cleanup_(freep) unsigned *order = calloc(count, sizeof(*order));
	_cleanup_(freep) struct keep_point *ordered =
	    calloc(count, sizeof(*ordered));
	_cleanup_(freep) unsigned *kept = calloc(count, sizeof(*kept));

	assert(order != NULL && ordered != NULL && kept != NULL);
	order_points(points, order);
	for (unsigned i = 0; i < count; i++)
		ordered[i] = (struct keep_point){
		    .when = (int64_t)points->list[order[i]].created,
		    .good = true, /* or check_chains would have ended it */
		};
	keep_apply(rule, ordered, count, kept);
	for (unsigned i = 0; i < count; i++)
		ret_kept[order[i]] = kept[i];
}

static json_t *
prune_points(const struct merging *merging,
    const struct backup_prune_params *params, const struct keep_rule *rule,
    json_t **ret_items)
{
	struct directory *directory = merging->directory;
	const struct backup_points *points = &directory->points;
	unsigned count = points->count;
	_cleanup_(freep) unsigned *kept = calloc(count, sizeof(*kept));
	_cleanup_(freep) bool *goes = calloc(count, sizeof(*goes));
	json_t *items = json_array(), *problem = NULL;

	assert(kept != NULL && goes != NULL);
	apply_rule(rule, points, kept);
	for (unsigned i = 0; i < count; i++) {
		goes[i] = kept[i] == 0;
		json_array_append_new(
		    items, keeps_item(directory, &points->list[i], kept[i]));
	}
	if (!params->dry_run)
		problem = let_go(merging, goes);
	if (problem == NULL)
		*ret_items = items;
	else
		json_decref(items);
	return problem;
}

json_t *
backup_prune(const struct backup_prune_params *params, json_t **ret_items)
{
	struct merging merging = {
	    .level = params->level, .watch = params->watch};
	const struct backup_point *newest;
	struct keep_rule rule;
	json_t *problem;

	if (!keep_parse(params->keep, &rule))
		return problem_fix(
		    backup_problem(BACKUP_RULE, "%s is no rule of what to keep",
			params->keep),
		    "as --keep last=3,daily=7,weekly=4,monthly=12,yearly=5");
	problem = directory_open(
	    params->path, DIRECTORY_REMOVE, false, &merging.directory);
	if (problem == NULL)
		problem = point_find(merging.directory, NULL, &newest);
	if (problem == NULL)
		problem = check_chains(merging.directory);
	if (problem == NULL)
		problem = prune_points(&merging, params, &rule, ret_items);
	directory_close(merging.directory);
	return problem;
}
