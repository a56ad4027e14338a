/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup verify and backup list.
 *
 * Every byte of every stream is read, unpacked and held against its manifest;
 * every manifest against its own sum.  Deep: what a backup restores to is
 * compared with the snapshot that it is of, byte by byte, where that is there
 * still.
 */
#include "backup/compare.h"
#include "backup/live.h"
#include "backup/work.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <inttypes.h>
#include <string.h>

struct verification {
	const struct backup_verify_params *params;
	struct directory *directory;
	json_t *findings;
	struct pump pump; /* counts what is read */
};

/* A problem of one backup is a finding, and the next is looked at; one of the
 * watcher's, or of what is asked, ends it all. */
static json_t *
as_finding(struct verification *verification, json_t *problem)
{
	const char *code = varve_problem_code(problem);

	if (problem == NULL || (strncmp(code, "backup.", 7) != 0 ||
				   strcmp(code, "backup.lun-io") == 0))
		return problem;
	finding_add(verification->findings, "damage", code, "%s: %s",
	    varve_problem_what(problem), varve_problem_why(problem));
	json_decref(problem);
	return NULL;
}

/* ---- one stream ---- */

static json_t *
forget_piece(struct sink *sink, const struct piece *piece)
{
	(void)sink, (void)piece;
	return NULL;
}

static json_t *
verify_stream(
    struct verification *verification, const struct backup_point *point)
{
	struct sink nowhere = {.put = forget_piece};
	struct stream_source *stream = NULL;
	json_t *problem = stream_open(verification->directory, point, &stream);

	if (problem == NULL) {
		verification->pump.source = stream_source(stream);
		verification->pump.sink = &nowhere;
		problem = pump_run(&verification->pump);
	}
	stream_close(stream);
	return as_finding(verification, problem);
}

/* ---- against the snapshot ---- */

static json_t *
compare_attached(struct verification *verification,
    const struct backup_point *point, const struct backup_chain *chain,
    struct attachment *attachment, const char *snap)
{
	const struct extents_params extents = {
	    .varve = verification->params->varve,
	    .from = point->lun,
	    .to = snap};
	struct layers layers;
	struct live live;
	uint64_t where;
	json_t *problem =
	    layers_open(verification->directory, chain, true, &layers);

	if (problem != NULL)
		return problem;
	live_init(&live, attachment, &extents);
	problem =
	    compare_images(merge_source(layers.merge), &live.source, &where);
	live_done(&live);
	layers_close(&layers);
	if (problem == NULL && where != IMAGE_MAX)
		problem = problem_why(
		    backup_problem(BACKUP_DIFFERS,
			"the backup %s is not what its snapshot holds",
			point->name),
		    "they differ at or close behind byte %" PRIu64, where);
	return problem;
}

/* NULL: it is gone. */
static char *
live_name(struct verification *verification, const struct backup_point *point)
{
	_cleanup_(json_decrefpp) json_t *snaps = NULL;
	const json_t *snap;
	size_t i;

	json_decref(varve_items(verification->params->varve, "snap.list", "of",
	    point->lun, &snaps));
	json_array_foreach(snaps, i, snap)
	{
		if (strcmp(item_text(snap, "uuid"), point->uuid) == 0)
			return strdup(item_text(snap, "name"));
	}
	return NULL;
}

static json_t *
verify_deep(struct verification *verification, const struct backup_point *point)
{
	const struct backup_verify_params *params = verification->params;
	_cleanup_(freep) char *snap = live_name(verification, point);
	struct attachment *attachment = NULL;
	struct backup_chain chain;
	json_t *problem;

	if (snap == NULL) {
		finding_add(verification->findings, "note",
		    "backup.no-snapshot",
		    "%s: its snapshot is gone, so it was not compared",
		    point->name);
		return NULL;
	}
	problem = chain_find(verification->directory, point, &chain);
	if (problem != NULL)
		return as_finding(verification, problem);
	problem = attachment_new(
	    &(struct attachment_params){
		.varve = params->varve, .name = snap, .portal = params->portal},
	    &attachment);
	if (problem == NULL)
		problem = compare_attached(
		    verification, point, &chain, attachment, snap);
	attachment_free(attachment);
	free(chain.list);
	return as_finding(verification, problem);
}

/* ---- all of them ---- */

static json_t *
verify_chain(
    struct verification *verification, const struct backup_point *point)
{
	const struct backup_point *base =
	    backup_base_of(&verification->directory->points, point);

	if (point->base[0] != '\0' && base == NULL)
		finding_add(verification->findings, "damage", "backup.chain",
		    "%s: it stands on %s, which is not there", point->name,
		    point->base);
	if (point->covers != point->size)
		finding_add(verification->findings, "damage", "backup.chain",
		    "%s: it was cut short", point->name);
	return NULL;
}

static bool
is_wanted(const struct backup_chain *chain, const struct backup_point *point)
{
	if (chain->list == NULL)
		return true;
	for (unsigned i = 0; i < chain->count; i++) {
		if (chain->list[i] == point)
			return true;
	}
	return false;
}

static json_t *
verify_each(struct verification *verification, const struct backup_chain *chain,
    const struct backup_point *at,
    json_t *(*verify)(
	struct verification *verification, const struct backup_point *point))
{
	const struct backup_points *points = &verification->directory->points;
	json_t *problem = NULL;

	for (unsigned i = 0; i < points->count && problem == NULL; i++) {
		const struct backup_point *point = &points->list[i];
		if (at != NULL ? point == at : is_wanted(chain, point))
			problem = verify(verification, point);
	}
	return problem;
}

static json_t *
verify_all(struct verification *verification)
{
	const struct backup_verify_params *params = verification->params;
	const struct backup_points *points = &verification->directory->points;
	struct backup_chain chain = {NULL, 0};
	const struct backup_point *at = NULL, *missing;
	json_t *problem = NULL;

	/* damaged manifests leave none, and that is the finding */
	if (params->at != NULL ||
	    json_array_size(verification->directory->findings) == 0)
		problem = point_find(verification->directory, params->at, &at);
	if (problem != NULL)
		return problem;
	if (params->at != NULL)
		backup_chain_of(points, at, &chain, &missing);
	else
		at = NULL;
	for (unsigned i = 0; i < points->count; i++)
		verification->pump.total += is_wanted(&chain, &points->list[i])
						? points->list[i].data
						: 0;
	problem = verify_each(verification, &chain, NULL, verify_chain);
	if (problem == NULL)
		problem =
		    verify_each(verification, &chain, NULL, verify_stream);
	if (problem == NULL && params->deep)
		problem = verify_each(verification, &chain, at, verify_deep);
	free(chain.list);
	return problem;
}

json_t *
backup_verify(const struct backup_verify_params *params, json_t **ret_items)
{
	struct verification verification = {
	    .params = params, .pump.watch = params->watch};
	json_t *problem = directory_open(
	    params->path, DIRECTORY_READ, false, &verification.directory);

	if (problem != NULL)
		return problem;
	verification.findings =
	    json_deep_copy(verification.directory->findings);
	problem = verify_all(&verification);
	if (problem == NULL)
		*ret_items = verification.findings;
	else
		json_decref(verification.findings);
	directory_close(verification.directory);
	return problem;
}

json_t *
backup_list(const char *path, json_t **ret_items)
{
	struct directory *directory = NULL;
	json_t *problem =
	    directory_open(path, DIRECTORY_LOOK, false, &directory);

	if (problem != NULL)
		return problem;
	*ret_items = json_array();
	for (unsigned i = 0; i < directory->points.count; i++)
		json_array_append_new(*ret_items,
		    point_item(directory, &directory->points.list[i]));
	directory_close(directory);
	return NULL;
}
