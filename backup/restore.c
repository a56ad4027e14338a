/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup restore, and snap read: an image to where it is wanted.  A target gets
 * its name when all of it is there and every stream was found to be what was
 * written, so one that was cut short is not taken for whole; the same command
 * begins again.
 */
#include "backup/image.h"
#include "backup/live.h"
#include "backup/work.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <string.h>

/* What a LUN is called until it is whole. */
#define PART_SUFFIX ".restoring"

static bool
is_path(const char *to)
{
	return to[0] == '/' || strcmp(to, "-") == 0;
}

/* ---- to an image ---- */

static json_t *
to_image(struct pump *pump, const char *path, uint64_t size, bool overwrite,
    json_t *(*check)(void *arg), void *arg)
{
	struct image *image = NULL;
	json_t *problem = image_new(path, size, overwrite, &image);

	if (problem == NULL) {
		pump->sink = image_sink(image);
		problem = pump_run(pump);
	}
	if (problem == NULL)
		problem = check(arg);
	if (problem == NULL)
		problem = image_finish(image);
	image_free(image);
	return problem;
}

/* ---- to a LUN ---- */

/* Takes params. */
static json_t *
change(struct varve *varve, const char *method, json_t *params)
{
	json_t *result = NULL, *problem;

	assert(params != NULL);
	problem = varve_change(varve, method, params, &result);
	json_decref(result);
	json_decref(params);
	return problem;
}

/* The LUN by the name it has until it is whole; what was left of one that was
 * cut short goes to the trash. */
static json_t *
lun_make(struct varve *varve, const char *to, const char *part,
    const struct backup_point *point)
{
	_cleanup_(json_decrefpp) json_t *item = NULL;
	json_t *problem = varve_item(varve, "lun.show", "lun", to, &item);

	if (problem == NULL)
		return problem_fix(backup_problem(BACKUP_TARGET_EXISTS,
				       "there is a LUN %s", to),
		    "varve lun rename %s %s-old", to, to);
	if (varve_problem_exit(problem) != VARVE_NOT_FOUND)
		return problem;
	json_decref(problem);
	attachment_clear(varve, part);
	problem = varve_item(varve, "lun.show", "lun", part, &item);
	if (problem == NULL)
		problem = change(
		    varve, "lun.delete", json_pack("{s:s}", "lun", part));
	else if (varve_problem_exit(problem) == VARVE_NOT_FOUND)
		json_decref(problem), problem = NULL;
	if (problem == NULL)
		problem = change(varve, "lun.create",
		    json_pack("{s:s, s:I, s:I}", "name", part, "size",
			(json_int_t)point->size, "block_size",
			(json_int_t)point->block_size));
	return problem;
}

static json_t *
lun_fill(struct pump *pump, const struct backup_restore_params *params,
    const char *part, struct layers *layers)
{
	const struct attachment_params lun = {.varve = params->varve,
	    .name = part,
	    .portal = params->portal,
	    .tag = part};
	struct attachment *attachment = NULL;
	struct lun_sink sink;
	json_t *problem = attachment_new(&lun, &attachment);

	if (problem == NULL) {
		lun_sink_init(&sink, attachment, true);
		pump->sink = &sink.sink;
		problem = pump_run(pump);
	}
	if (problem == NULL)
		problem = lun_sink_finish(&sink);
	if (problem == NULL)
		problem = layers_drain(layers);
	attachment_free(attachment);
	return problem;
}

static json_t *
to_lun(struct pump *pump, const struct backup_restore_params *params,
    const struct backup_point *point, struct layers *layers)
{
	char part[2 * POINT_TEXT_MAX];
	json_t *problem;

	if (params->varve == NULL || strchr(params->to, '/') == NULL)
		return problem_fix(
		    backup_problem(BACKUP_NO_TARGET,
			"%s is neither POOL/LUN, nor a path with a / before "
			"all else, nor -",
			params->to),
		    "--to /PATH");
	snprintf(part, sizeof(part), "%s" PART_SUFFIX, params->to);
	problem = lun_make(params->varve, params->to, part, point);
	if (problem == NULL)
		problem = lun_fill(pump, params, part, layers);
	if (problem == NULL)
		problem = change(params->varve, "lun.rename",
		    json_pack("{s:s, s:s}", "lun", part, "name", params->to));
	return problem;
}

/* ---- restore ---- */

static json_t *
drain(void *layers)
{
	return layers_drain(layers);
}

static json_t *
restore_chain(const struct backup_restore_params *params,
    const struct directory *directory, const struct backup_chain *chain)
{
	const struct backup_point *point = chain->list[chain->count - 1];
	struct layers layers;
	json_t *problem = layers_open(directory, chain, true, &layers);
	struct pump pump = {.watch = params->watch};

	if (problem != NULL)
		return problem;
	pump.source = merge_source(layers.merge);
	pump.total = layers.data;
	if (is_path(params->to))
		problem = to_image(&pump, params->to, point->size,
		    params->overwrite, drain, &layers);
	else
		problem = to_lun(&pump, params, point, &layers);
	layers_close(&layers);
	return problem;
}

json_t *
backup_restore(const struct backup_restore_params *params, json_t **ret_item)
{
	struct backup_chain chain = {NULL, 0};
	struct directory *directory = NULL;
	const struct backup_point *point;
	json_t *problem =
	    directory_open(params->path, DIRECTORY_READ, false, &directory);

	if (problem == NULL)
		problem = point_find(directory, params->at, &point);
	if (problem == NULL)
		problem = chain_find(directory, point, &chain);
	if (problem == NULL && !params->dry_run)
		problem = restore_chain(params, directory, &chain);
	if (problem == NULL) {
		*ret_item = point_item(directory, point);
		json_object_set_new(
		    *ret_item, "to", json_string_lossy(params->to));
		json_object_set_new(
		    *ret_item, "streams", json_integer(chain.count));
	}
	free(chain.list);
	directory_close(directory);
	return problem;
}

/* ---- snap read ---- */

static json_t *
nothing_to_check(void *arg)
{
	(void)arg;
	return NULL;
}

static json_t *
read_attached(const struct backup_read_params *params, const char *lun,
    struct attachment *attachment, uint64_t size)
{
	const struct extents_params extents = {
	    .varve = params->varve, .from = lun, .to = params->snap};
	struct live live;
	struct pump pump = {.source = &live.source, .watch = params->watch};
	uint64_t zero;
	json_t *problem = extents_total(&extents, &pump.total, &zero);

	if (problem != NULL)
		return problem;
	live_init(&live, attachment, &extents);
	problem = to_image(
	    &pump, params->to, size, params->overwrite, nothing_to_check, NULL);
	live_done(&live);
	return problem;
}

/* Many may read it to standard output; to one path, one. */
static char *
read_tag(const struct backup_read_params *params)
{
	char *tag;

	if (strcmp(params->to, "-") == 0)
		return NULL;
	if (asprintf(&tag, "%s to %s", params->snap, params->to) < 0)
		abort();
	return tag;
}

json_t *
backup_read(const struct backup_read_params *params, json_t **ret_item)
{
	_cleanup_(freep) char *tag = read_tag(params);
	const struct attachment_params snap = {.varve = params->varve,
	    .name = params->snap,
	    .portal = params->portal,
	    .tag = tag};
	struct attachment *attachment = NULL;
	_cleanup_(freep) char *lun =
	    strndup(params->snap, strcspn(params->snap, "@"));
	json_t *problem = varve_item(
	    params->varve, "snap.show", "snap", params->snap, ret_item);

	if (problem != NULL)
		return problem;
	problem = attachment_new(&snap, &attachment);
	if (problem == NULL)
		problem = read_attached(
		    params, lun, attachment, item_number(*ret_item, "size"));
	attachment_free(attachment);
	if (problem != NULL) {
		json_decref(*ret_item);
		*ret_item = NULL;
	}
	return problem;
}
