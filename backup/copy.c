/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/copy.h"
#include "backup/live.h"
#include "backup/problem.h"
#include "backup/words.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <inttypes.h>
#include <string.h>

#define MARK_PREFIX "sent-"
#define PART_PREFIX "part-"
/* What is undone; and what is marked and has no name yet. */
#define UNFINISHED  "unfinished-send"
#define PART_SUFFIX ".receiving" /* a new copy, until it is whole */
#define NAME_ROOM   (2 * POINT_TEXT_MAX)
#define UNIT        4096       /* of a LUN */
#define MARK_MIN    (1u << 20) /* bytes of data between two marks */

struct copy {
	struct receiver receiver;
	const struct copy_params *params;
	const struct offer *offer;
	struct agreed agreed;
	char name[NAME_ROOM]; /* as it is called now */
	char tag[2 * NAME_ROOM];
	bool is_new;                   /* the copy is made */
	char part[POINT_NAME_MAX];     /* the newest of it; "": none */
	uint64_t covered;              /* up to there it is what is sent */
	uint64_t since_mark;           /* bytes of data */
	json_t *snaps, *bookmarks;     /* of the copy */
	struct attachment *attachment; /* to write it */
	struct lun_sink sink;
};

/* ---- small steps ---- */

/* Takes params. */
static json_t *
change(const struct copy *copy, const char *method, json_t *params)
{
	json_t *result = NULL, *problem;

	assert(params != NULL);
	problem = varve_change(copy->params->varve, method, params, &result);
	json_decref(result);
	json_decref(params);
	return problem;
}

/* That there is no such thing is as good. */
static json_t *
unless_missing(json_t *problem)
{
	if (problem == NULL || varve_problem_exit(problem) != VARVE_NOT_FOUND)
		return problem;
	json_decref(problem);
	return NULL;
}

static char *
snap_of(const struct copy *copy, const char *name)
{
	char *snap;

	if (asprintf(&snap, "%s@%s", copy->name, name) < 0)
		abort();
	return snap;
}

static json_t *
snap_delete(const struct copy *copy, const char *name)
{
	_cleanup_(freep) char *snap = snap_of(copy, name);

	return unless_missing(
	    change(copy, "snap.delete", json_pack("{s:s}", "snap", snap)));
}

static json_t *
snap_rename(const struct copy *copy, const char *from, const char *to)
{
	_cleanup_(freep) char *snap = snap_of(copy, from), *name = NULL;

	if (asprintf(&name, "@%s", to) < 0)
		abort();
	return change(copy, "snap.rename",
	    json_pack("{s:s, s:s}", "snap", snap, "name", name));
}

const char *
snap_name(const json_t *snap)
{
	const char *at = strchr(item_text(snap, "name"), '@');

	return at != NULL ? at + 1 : "";
}

static const json_t *
snap_named(const struct copy *copy, const char *name)
{
	const json_t *snap;
	size_t i;

	json_array_foreach(copy->snaps, i, snap)
	{
		if (strcmp(snap_name(snap), name) == 0)
			return snap;
	}
	return NULL;
}

static bool
has_bookmark(const struct copy *copy, const char *name)
{
	const json_t *bookmark;
	size_t i;

	json_array_foreach(copy->bookmarks, i, bookmark)
	{
		if (strcmp(item_text(bookmark, "name"), name) == 0)
			return true;
	}
	return false;
}

static void
mark_of(const char *uuid, char ret_mark[POINT_NAME_MAX])
{
	snprintf(ret_mark, POINT_NAME_MAX, MARK_PREFIX "%.36s", uuid);
}

/* ---- is one thing what another is? ---- */

struct comparison {
	const char *from, *to; /* points of the copy; to NULL: it itself */
	const char *bookmark;  /* the first point instead; or NULL */
	uint64_t offset;       /* what lies before it is not compared */
	uint64_t zeros_from;   /* what has become zeros there is the same */
};

static bool
page_is_same(const json_t *result, const struct comparison *comparison)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(result, "items"), i, item)
	{
		if (strcmp(item_text(item, "kind"), "zero") != 0 ||
		    item_number(item, "offset") < comparison->zeros_from)
			return false;
	}
	return true;
}

static json_t *
is_same(const struct copy *copy, const struct comparison *comparison,
    bool *ret_same)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	_cleanup_(json_decrefpp) json_t *params =
	    json_pack("{s:s}", "from", comparison->from);
	json_t *cursor = json_integer((json_int_t)comparison->offset);
	json_t *problem = NULL;

	if (comparison->to != NULL)
		json_object_set_new(params, "to", json_string(comparison->to));
	if (comparison->bookmark != NULL)
		json_object_set_new(
		    params, "since", json_string(comparison->bookmark));
	json_incref(cursor);
	*ret_same = true;
	while (problem == NULL && json_is_integer(cursor) && *ret_same) {
		json_object_set(params, "cursor", cursor);
		json_decref(cursor);
		json_decref(result);
		result = NULL;
		problem = varve_ask(
		    copy->params->varve, "snap.diff", params, &result);
		*ret_same = page_is_same(result, comparison);
		cursor = json_incref(json_object_get(result, "cursor"));
	}
	json_decref(cursor);
	return problem;
}

/* ---- the base ---- */

/* The copy has that snapshot, and it is the one that was sent. */
static json_t *
base_try(struct copy *copy, const struct offer_snap *snap, bool *ret_fits)
{
	char mark[POINT_NAME_MAX], at[POINT_NAME_MAX + 1];
	const struct comparison comparison = {.from = copy->name,
	    .to = at,
	    .bookmark = mark,
	    .zeros_from = UINT64_MAX};
	json_t *problem;

	*ret_fits = false;
	mark_of(snap->uuid, mark);
	snprintf(at, sizeof(at), "@%s", snap->name);
	if (snap_named(copy, snap->name) == NULL || !has_bookmark(copy, mark))
		return NULL;
	problem = is_same(copy, &comparison, ret_fits);
	if (problem == NULL && *ret_fits)
		copy->agreed.base = *snap;
	return problem;
}

static json_t *
no_copy(const struct copy *copy)
{
	const char *to = copy->params->to;

	return problem_fix(
	    problem_why(backup_problem(BACKUP_NO_COPY, "%s is no copy of %s",
			    to, copy->offer->lun),
		"no snapshot of %s is there that was sent to it",
		copy->offer->lun),
	    "send to another name, or:   varve lun rename %s %s-old", to, to);
}

/* Who sends without being answered has said what he stands on. */
static json_t *
base_given(struct copy *copy)
{
	const struct offer *offer = copy->offer;
	bool fits = copy->is_new && offer->since[0] == '\0';
	json_t *problem = NULL;

	if (!copy->is_new && offer->since[0] != '\0')
		problem =
		    base_try(copy, offer_find(offer, offer->since), &fits);
	if (problem != NULL || fits)
		return problem;
	if (offer->since[0] == '\0')
		return problem_fix(backup_problem(BACKUP_EXISTS,
				       "%s is there, and all of %s is sent",
				       copy->params->to, offer->lun),
		    "send what has changed: --since SNAP");
	return problem_fix(
	    backup_problem(BACKUP_BASE, "%s has not been sent the snapshot %s",
		copy->params->to, offer_find(offer, offer->since)->name),
	    "varve snap list %s", copy->params->to);
}

static json_t *
base_choose(struct copy *copy)
{
	bool found = false;
	json_t *problem = NULL;

	if (copy->offer->one_way)
		return base_given(copy);
	if (copy->is_new)
		return NULL;
	for (size_t i = copy->offer->count;
	     i-- > 0 && !found && problem == NULL;)
		problem = base_try(copy, &copy->offer->snaps[i], &found);
	return problem != NULL || found ? problem : no_copy(copy);
}

/* ---- one that was cut short ---- */

/* "part-UUID-OFFSET" of what is sent; where it goes on, or 0. */
static uint64_t
part_offset(const struct copy *copy, const char *name)
{
	const char *uuid = copy->offer->snap.uuid;
	size_t prefix = strlen(PART_PREFIX), length = strlen(uuid);
	char *end = NULL;
	uint64_t offset;

	if (strncmp(name, PART_PREFIX, prefix) != 0 ||
	    strncmp(name + prefix, uuid, length) != 0 ||
	    name[prefix + length] != '-')
		return 0;
	offset = strtoull(&name[prefix + length + 1], &end, 10);
	return *end == '\0' && offset % UNIT == 0 && offset <= copy->offer->size
		   ? offset
		   : 0;
}

/* From its offset on it has to be what the base is. */
static json_t *
part_try(struct copy *copy, const char *name, bool *ret_fits)
{
	const char *base = copy->agreed.base.name;
	_cleanup_(freep) char *from =
	    base[0] != '\0' ? snap_of(copy, base) : strdup(copy->name);
	_cleanup_(freep) char *to = snap_of(copy, name);
	const struct comparison comparison = {.from = from,
	    .to = to,
	    .offset = part_offset(copy, name),
	    .zeros_from = base[0] != '\0'
			      ? item_number(snap_named(copy, base), "size")
			      : 0};

	*ret_fits =
	    item_number(snap_named(copy, name), "size") == copy->offer->size;
	return *ret_fits ? is_same(copy, &comparison, ret_fits) : NULL;
}

static json_t *
part_choose(struct copy *copy)
{
	const json_t *snap;
	json_t *problem = NULL;
	size_t i;

	json_array_foreach(copy->snaps, i, snap)
	{
		const char *name = snap_name(snap);
		uint64_t offset = part_offset(copy, name);
		bool fits = false;
		if (offset <= copy->agreed.offset)
			continue;
		problem = part_try(copy, name, &fits);
		if (problem != NULL)
			return problem;
		if (!fits)
			continue;
		copy->agreed.offset = offset;
		copy->agreed.resumed = true;
		snprintf(copy->part, sizeof(copy->part), "%s", name);
	}
	return NULL;
}

/* ---- looking ---- */

static json_t *
find(struct copy *copy, const char *suffix, bool *ret_found)
{
	_cleanup_(json_decrefpp) json_t *lun = NULL;
	json_t *problem;

	snprintf(copy->name, NAME_ROOM, "%s%s", copy->params->to, suffix);
	problem = varve_item(
	    copy->params->varve, "lun.show", "lun", copy->name, &lun);
	*ret_found = problem == NULL;
	if (problem == NULL ||
	    strcmp(varve_problem_code(problem), "lun.not-found") != 0)
		return problem;
	json_decref(problem);
	return NULL;
}

static json_t *
look(struct copy *copy)
{
	struct varve *varve = copy->params->varve;
	bool found;
	json_t *problem = find(copy, "", &found);

	copy->is_new = !found;
	if (problem == NULL && !found)
		problem = find(copy, PART_SUFFIX, &found);
	if (problem != NULL || !found)
		return problem;
	problem =
	    varve_items(varve, "snap.list", "of", copy->name, &copy->snaps);
	if (problem == NULL)
		problem = varve_items(
		    varve, "bookmark.list", "of", copy->name, &copy->bookmarks);
	return problem;
}

static json_t *
take_name(const struct copy *copy)
{
	return change(copy, "lun.rename",
	    json_pack(
		"{s:s, s:s}", "lun", copy->name, "name", copy->params->to));
}

/* It was sent before; or its name is another's. */
static json_t *
there_try(struct copy *copy)
{
	const struct offer_snap *snap = &copy->offer->snap;
	json_t *problem;

	if (snap_named(copy, snap->name) == NULL)
		return NULL;
	problem = base_try(copy, snap, &copy->agreed.there);
	if (problem != NULL || copy->agreed.there || copy->is_new)
		return problem;
	return problem_fix(
	    backup_problem(BACKUP_EXISTS, "%s has a snapshot %s already",
		copy->params->to, snap->name),
	    "varve snap rename %s@%s @ANOTHER-NAME", copy->params->to,
	    snap->name);
}

/* ---- the copy is made what its base is ---- */

static json_t *
roll_back(const struct copy *copy)
{
	_cleanup_(freep) char *to = snap_of(
	    copy, copy->part[0] != '\0' ? copy->part : copy->agreed.base.name);
	const struct comparison comparison = {
	    .from = to, .zeros_from = UINT64_MAX};
	bool same = true;
	json_t *problem = is_same(copy, &comparison, &same);

	if (problem != NULL || same)
		return problem;
	problem = change(copy, "lun.rollback",
	    json_pack("{s:s, s:s}", "snap", to, "keep", UNFINISHED));
	return problem == NULL ? snap_delete(copy, UNFINISHED) : problem;
}

/* What is there of it has no mark: it was never anybody's copy. */
static json_t *
make_anew(const struct copy *copy)
{
	json_t *problem = unless_missing(
	    change(copy, "lun.delete", json_pack("{s:s}", "lun", copy->name)));

	if (problem == NULL)
		problem = change(copy, "lun.create",
		    json_pack("{s:s, s:I, s:I}", "name", copy->name, "size",
			(json_int_t)copy->offer->size, "block_size",
			(json_int_t)copy->offer->block_size));
	return problem;
}

static json_t *
resize(const struct copy *copy)
{
	_cleanup_(freep) char *size = NULL;

	if (asprintf(&size, "%" PRIu64, copy->offer->size) < 0)
		abort();
	return change(copy, "lun.resize",
	    json_pack("{s:s, s:s, s:b}", "lun", copy->name, "size", size,
		"shrink", 1));
}

/* Of what is sent, but the one that is gone on with; and of what was never
 * ended. */
static json_t *
parts_sweep(const struct copy *copy)
{
	json_t *problem = NULL;
	const json_t *snap;
	size_t i;

	json_array_foreach(copy->snaps, i, snap)
	{
		const char *name = snap_name(snap);
		if (problem == NULL &&
		    strncmp(name, PART_PREFIX, strlen(PART_PREFIX)) == 0 &&
		    strcmp(name, copy->part) != 0)
			problem = snap_delete(copy, name);
	}
	return problem;
}

static json_t *
attach(struct copy *copy)
{
	json_t *problem = attachment_new(
	    &(struct attachment_params){.varve = copy->params->varve,
		.name = copy->name,
		.portal = copy->params->portal,
		.tag = copy->tag},
	    &copy->attachment);

	if (problem == NULL)
		lun_sink_init(&copy->sink, copy->attachment, copy->is_new);
	return problem;
}

static json_t *
prepare(struct copy *copy)
{
	bool anew = copy->is_new && copy->part[0] == '\0';
	json_t *problem = NULL;

	if (anew)
		problem = make_anew(copy);
	else
		problem = snap_delete(copy, UNFINISHED);
	if (problem == NULL && !anew)
		problem = roll_back(copy);
	if (problem == NULL && !anew)
		problem = parts_sweep(copy);
	if (problem == NULL && !anew)
		problem = resize(copy);
	copy->covered = copy->agreed.offset;
	return problem == NULL ? attach(copy) : problem;
}

static json_t *
copy_agree(struct receiver *receiver, const struct offer *offer,
    struct agreed *ret_agreed)
{
	struct copy *copy = container_of(receiver, struct copy, receiver);
	json_t *problem;

	copy->offer = offer;
	/* who looks while another writes would see what is not so any more */
	if (!offer->dry_run)
		attachment_clear(copy->params->varve, copy->tag);
	problem = look(copy);
	if (problem == NULL)
		problem = there_try(copy);
	if (problem == NULL && !copy->agreed.there)
		problem = base_choose(copy);
	if (problem == NULL && !copy->agreed.there)
		problem = part_choose(copy);
	*ret_agreed = copy->agreed;
	if (problem != NULL || offer->dry_run)
		return problem;
	if (!copy->agreed.there)
		return prepare(copy);
	return copy->is_new ? take_name(copy) : NULL;
}

/* ---- receiving ---- */

/* A snapshot that says how far it is takes the place of the one before. */
static json_t *
mark_make(struct copy *copy)
{
	_cleanup_(freep) char *snap = snap_of(copy, UNFINISHED);
	char part[POINT_NAME_MAX], before[POINT_NAME_MAX];
	json_t *problem = lun_sink_finish(&copy->sink);

	snprintf(part, sizeof(part), PART_PREFIX "%.36s-%" PRIu64,
	    copy->offer->snap.uuid, copy->covered);
	copy->since_mark = 0;
	if (problem != NULL || strcmp(part, copy->part) == 0)
		return problem;
	problem = change(copy, "snap.create",
	    json_pack("{s:[s], s:s}", "names", snap, "consistency",
		consistency_text(copy->offer->consistency)));
	/* still the one who writes: nobody else had when it was made */
	if (problem == NULL)
		problem =
		    initiator_flush(attachment_initiator(copy->attachment));
	if (problem == NULL)
		problem = snap_rename(copy, UNFINISHED, part);
	if (problem != NULL)
		return problem;
	memcpy(before, copy->part, sizeof(before));
	memcpy(copy->part, part, sizeof(part));
	return before[0] != '\0' ? snap_delete(copy, before) : NULL;
}

/* "Cannot write" is not why. */
static json_t *
explain(const struct copy *copy, json_t *problem)
{
	if (problem == NULL || copy->attachment == NULL ||
	    !attachment_is_lost(copy->attachment))
		return problem;
	json_decref(problem);
	return problem_why(
	    backup_problem(BACKUP_BUSY, "%s is being sent to by another",
		copy->params->to),
	    "the last to begin goes on, and goes on from where this one was");
}

static json_t *
copy_put(struct sink *sink, const struct piece *whole)
{
	struct copy *copy = container_of(sink, struct copy, receiver.sink);
	struct piece piece = *whole;
	json_t *problem;

	if (piece.offset < copy->covered)
		piece_skip_to(&piece, copy->covered);
	if (piece.length == 0)
		return NULL;
	if (piece_end(&piece) % UNIT != 0)
		return backup_problem(BACKUP_DAMAGED,
		    "what ends at %" PRIu64
		    " does not fit into blocks of a LUN",
		    piece_end(&piece));
	problem = copy->sink.sink.put(&copy->sink.sink, &piece);
	if (problem != NULL)
		return explain(copy, problem);
	copy->covered = piece_end(&piece);
	if (piece.data != NULL)
		copy->since_mark += piece.length;
	return NULL;
}

static json_t *
copy_mark(struct receiver *receiver)
{
	struct copy *copy = container_of(receiver, struct copy, receiver);

	/* whoever asks for it all the time */
	if (copy->since_mark < MARK_MIN)
		return NULL;
	return explain(copy, mark_make(copy));
}

/* Marked, then named: whatever is there in between is done again. */
static json_t *
seal(struct copy *copy)
{
	_cleanup_(freep) char *snap = snap_of(copy, copy->part);
	char mark[POINT_NAME_MAX];
	json_t *problem;

	mark_of(copy->offer->snap.uuid, mark);
	json_decref(change(copy, "bookmark.delete",
	    json_pack("{s:s, s:s}", "lun", copy->name, "name", mark)));
	problem = change(copy, "bookmark.create",
	    json_pack("{s:s, s:s}", "snap", snap, "name", mark));
	if (problem == NULL)
		problem = snap_rename(copy, copy->part, copy->offer->snap.name);
	return problem == NULL && copy->is_new ? take_name(copy) : problem;
}

static json_t *
copy_finish(struct receiver *receiver)
{
	struct copy *copy = container_of(receiver, struct copy, receiver);
	json_t *problem;

	copy->covered = copy->offer->size;
	problem = explain(copy, mark_make(copy));
	if (problem != NULL)
		return problem;
	/* a LUN that is renamed has nobody on it */
	attachment_free(copy->attachment);
	copy->attachment = NULL;
	return seal(copy);
}

/* ---- life ---- */

static void
copy_free(struct receiver *receiver)
{
	struct copy *copy = container_of(receiver, struct copy, receiver);

	attachment_free(copy->attachment);
	json_decref(copy->snaps);
	json_decref(copy->bookmarks);
	free(copy);
}

struct receiver *
copy_new(const struct copy_params *params)
{
	struct copy *copy = calloc(1, sizeof(*copy));

	assert(copy != NULL);
	copy->receiver = (struct receiver){.sink.put = copy_put,
	    .agree = copy_agree,
	    .finish = copy_finish,
	    .mark = copy_mark,
	    .free = copy_free};
	copy->params = params;
	snprintf(copy->tag, sizeof(copy->tag), "to %s", params->to);
	return &copy->receiver;
}
