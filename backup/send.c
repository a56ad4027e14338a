/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup send: replication by snapshots.
 *
 * A snapshot that was sent whole is there as a snapshot of the same name, and a
 * bookmark of the copy remembers which one it was: "sent-" and its uuid.  (It
 * is marked before it gets its name, so a name without its mark is not ours.)
 * The base of the next is the newest snapshot of the source that has both over
 * there.  A copy that is not what its base is (one that was cut short, or
 * somebody has written to it) is rolled back to it first: so to send again is
 * to resume, at the cost of what the last snapshot had changed.
 */
#include "backup/live.h"
#include "backup/work.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <inttypes.h>
#include <string.h>

#define MARK_PREFIX "sent-"
/* What a snapshot is called until it is marked, and what is undone. */
#define UNFINISHED  "unfinished-send"
#define PART_SUFFIX ".receiving" /* a new copy, until it is whole */
#define REF_ROOM    (2 * POINT_TEXT_MAX)

struct sending {
	const struct backup_send_params *params;
	char lun[REF_ROOM], name[POINT_NAME_MAX];
	char copy[REF_ROOM]; /* as it is called now */
	char tag[2 * REF_ROOM], from_tag[2 * REF_ROOM];
	char uuid[POINT_UUID_MAX];
	const char *consistency;
	uint64_t size, block_size;
	char from[REF_ROOM]; /* of snap.diff; "": everything */
	char base[POINT_NAME_MAX];
	bool is_new; /* the copy is made */
	json_t *snaps, *to_snaps, *to_bookmarks;
	uint64_t data, zero;
	struct initiator_stat stat;
};

/* ---- small steps ---- */

/* Takes params. */
static json_t *
to_change(const struct sending *sending, const char *method, json_t *params)
{
	json_t *result = NULL, *problem;

	assert(params != NULL);
	problem =
	    varve_change(sending->params->to_varve, method, params, &result);
	json_decref(result);
	json_decref(params);
	return problem;
}

static void
mark_of(const char *uuid, char ret_mark[POINT_NAME_MAX])
{
	snprintf(ret_mark, POINT_NAME_MAX, MARK_PREFIX "%.36s", uuid);
}

static const char *
name_behind_at(const json_t *snap)
{
	const char *at = strchr(item_text(snap, "name"), '@');

	return at != NULL ? at + 1 : "";
}

static bool
has_named(const json_t *items, const char *name, bool snaps)
{
	const json_t *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		if (strcmp(
			snaps ? name_behind_at(item) : item_text(item, "name"),
			name) == 0)
			return true;
	}
	return false;
}

/* Are there no differences of the copy? */
static json_t *
is_same(const struct sending *sending, const char *from, const char *to,
    const char *bookmark, bool *ret_same)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	_cleanup_(json_decrefpp) json_t *params =
	    json_pack("{s:s, s:i}", "from", from, "limit", 1);
	json_int_t cursor = 0;
	json_t *problem = NULL;

	if (to != NULL)
		json_object_set_new(params, "to", json_string(to));
	if (bookmark != NULL)
		json_object_set_new(params, "since", json_string(bookmark));
	*ret_same = true;
	while (problem == NULL && cursor >= 0 && *ret_same) {
		json_decref(result);
		result = NULL;
		json_object_set_new(params, "cursor", json_integer(cursor));
		problem = varve_ask(
		    sending->params->to_varve, "snap.diff", params, &result);
		*ret_same =
		    json_array_size(json_object_get(result, "items")) == 0;
		cursor =
		    json_is_integer(json_object_get(result, "cursor"))
			? json_integer_value(json_object_get(result, "cursor"))
			: -1;
	}
	return problem;
}

/* ---- the base ---- */

/* The copy has that snapshot, and it is the one that was sent. */
static json_t *
base_try(struct sending *sending, const json_t *snap, bool *ret_fits)
{
	const char *name = name_behind_at(snap);
	char mark[POINT_NAME_MAX], at[POINT_NAME_MAX + 1];
	json_t *problem;

	*ret_fits = false;
	mark_of(item_text(snap, "uuid"), mark);
	snprintf(at, sizeof(at), "@%s", name);
	if (!has_named(sending->to_snaps, name, true) ||
	    !has_named(sending->to_bookmarks, mark, false))
		return NULL;
	problem = is_same(sending, sending->params->to, at, mark, ret_fits);
	if (problem == NULL && *ret_fits) {
		snprintf(
		    sending->from, REF_ROOM, "%s", item_text(snap, "name"));
		snprintf(sending->base, POINT_NAME_MAX, "%s", name);
	}
	return problem;
}

static json_t *
base_choose(struct sending *sending)
{
	bool found = false;
	json_t *problem = NULL;

	if (sending->is_new)
		return NULL;
	for (size_t i = json_array_size(sending->snaps);
	     i-- > 0 && !found && problem == NULL;)
		problem = base_try(
		    sending, json_array_get(sending->snaps, i), &found);
	if (problem != NULL || found)
		return problem;
	return problem_fix(
	    problem_why(backup_problem(BACKUP_NO_COPY, "%s is no copy of %s",
			    sending->params->to, sending->lun),
		"no snapshot of %s is there that was sent to it", sending->lun),
	    "send to another name, or:   varve lun rename %s %s-old",
	    sending->params->to, sending->params->to);
}

/* ---- looking ---- */

static json_t *
look_at_copy(struct sending *sending)
{
	const struct backup_send_params *params = sending->params;
	_cleanup_(json_decrefpp) json_t *lun = NULL;
	json_t *problem =
	    varve_item(params->to_varve, "lun.show", "lun", params->to, &lun);

	sending->is_new =
	    problem != NULL && varve_problem_exit(problem) == VARVE_NOT_FOUND &&
	    strcmp(varve_problem_code(problem), "lun.not-found") == 0;
	if (sending->is_new) {
		json_decref(problem);
		return NULL;
	}
	if (problem == NULL)
		problem = varve_items(params->to_varve, "snap.list", "of",
		    params->to, &sending->to_snaps);
	if (problem == NULL)
		problem = varve_items(params->to_varve, "bookmark.list", "of",
		    params->to, &sending->to_bookmarks);
	return problem;
}

static json_t *
look(struct sending *sending)
{
	const struct backup_send_params *params = sending->params;
	_cleanup_(json_decrefpp) json_t *snap = NULL, *lun = NULL;
	size_t at = strcspn(params->snap, "@");
	json_t *problem =
	    varve_item(params->varve, "snap.show", "snap", params->snap, &snap);

	snprintf(sending->lun, REF_ROOM, "%.*s", (int)at, params->snap);
	snprintf(sending->name, POINT_NAME_MAX, "%s", params->snap + at + 1);
	if (problem == NULL)
		problem = varve_item(
		    params->varve, "lun.show", "lun", sending->lun, &lun);
	if (problem == NULL)
		problem = varve_items(params->varve, "snap.list", "of",
		    sending->lun, &sending->snaps);
	if (problem == NULL)
		problem = look_at_copy(sending);
	if (problem != NULL)
		return problem;
	snprintf(sending->uuid, POINT_UUID_MAX, "%s", item_text(snap, "uuid"));
	sending->consistency = consistency_of(snap);
	sending->size = item_number(snap, "size");
	sending->block_size = item_number(lun, "block_size");
	snprintf(sending->copy, REF_ROOM, "%s%s", sending->params->to,
	    sending->is_new ? PART_SUFFIX : "");
	snprintf(sending->tag, sizeof(sending->tag), "to %s", params->to);
	snprintf(sending->from_tag, sizeof(sending->from_tag), "from %s to %s",
	    sending->lun, params->to);
	problem = base_choose(sending);
	if (problem == NULL && strcmp(sending->from, params->snap) != 0 &&
	    has_named(sending->to_snaps, sending->name, true))
		return problem_fix(backup_problem(BACKUP_EXISTS,
				       "%s has a snapshot %s already",
				       params->to, sending->name),
		    "varve snap rename %s@%s @ANOTHER-NAME", params->to,
		    sending->name);
	return problem;
}

/* ---- the copy is made what its base is ---- */

static char *
unfinished_of(const struct sending *sending)
{
	char *snap;

	if (asprintf(&snap, "%s@" UNFINISHED, sending->copy) < 0)
		abort();
	return snap;
}

static json_t *
unfinished_delete(const struct sending *sending)
{
	_cleanup_(freep) char *snap = unfinished_of(sending);
	json_t *problem =
	    to_change(sending, "snap.delete", json_pack("{s:s}", "snap", snap));

	if (problem != NULL && varve_problem_exit(problem) == VARVE_NOT_FOUND) {
		json_decref(problem);
		problem = NULL;
	}
	return problem;
}

static json_t *
roll_back(const struct sending *sending)
{
	_cleanup_(freep) char *base = NULL;
	bool same = true;
	json_t *problem;

	if (asprintf(&base, "%s@%s", sending->copy, sending->base) < 0)
		abort();
	problem = is_same(sending, base, NULL, NULL, &same);
	if (problem != NULL || same)
		return problem;
	problem = to_change(sending, "lun.rollback",
	    json_pack("{s:s, s:s}", "snap", base, "keep", UNFINISHED));
	return problem == NULL ? unfinished_delete(sending) : problem;
}

/* One that was cut short was never anybody's copy. */
static json_t *
copy_make(const struct sending *sending)
{
	_cleanup_(json_decrefpp) json_t *item = NULL;
	json_t *problem = varve_item(
	    sending->params->to_varve, "lun.show", "lun", sending->copy, &item);

	if (problem == NULL)
		problem = to_change(sending, "lun.delete",
		    json_pack("{s:s}", "lun", sending->copy));
	else if (varve_problem_exit(problem) == VARVE_NOT_FOUND)
		json_decref(problem), problem = NULL;
	if (problem == NULL)
		problem = to_change(sending, "lun.create",
		    json_pack("{s:s, s:I, s:I}", "name", sending->copy, "size",
			(json_int_t)sending->size, "block_size",
			(json_int_t)sending->block_size));
	return problem;
}

static json_t *
copy_prepare(const struct sending *sending)
{
	_cleanup_(freep) char *size = NULL;
	json_t *problem;

	attachment_clear(sending->params->to_varve, sending->tag);
	if (sending->is_new)
		return copy_make(sending);
	problem = unfinished_delete(sending);
	if (problem == NULL)
		problem = roll_back(sending);
	if (asprintf(&size, "%" PRIu64, sending->size) < 0)
		abort();
	if (problem == NULL)
		problem = to_change(sending, "lun.resize",
		    json_pack("{s:s, s:s, s:b}", "lun", sending->copy, "size",
			size, "shrink", 1));
	return problem;
}

/* ---- sending ---- */

static json_t *
pump_to(struct sending *sending, struct attachment *source,
    struct attachment *target, const struct extents_params *extents)
{
	struct lun_sink sink;
	struct live live;
	struct pump pump = {.source = &live.source,
	    .sink = &sink.sink,
	    .total = sending->data,
	    .watch = sending->params->watch};
	json_t *problem;

	live_init(&live, source, extents);
	lun_sink_init(&sink, target, sending->is_new);
	problem = pump_run(&pump);
	if (problem == NULL)
		problem = lun_sink_finish(&sink);
	live_done(&live);
	initiator_stat_get(attachment_initiator(source), &sending->stat);
	return problem;
}

static json_t *
transfer(struct sending *sending, const struct extents_params *extents)
{
	const struct backup_send_params *params = sending->params;
	struct attachment *source = NULL, *target = NULL;
	json_t *problem =
	    attachment_new(&(struct attachment_params){.varve = params->varve,
			       .name = params->snap,
			       .portal = params->portal,
			       .tag = sending->from_tag},
		&source);

	if (problem == NULL)
		problem = attachment_new(
		    &(struct attachment_params){.varve = params->to_varve,
			.name = sending->copy,
			.portal = params->to_portal,
			.tag = sending->tag},
		    &target);
	if (problem == NULL)
		problem = pump_to(sending, source, target, extents);
	attachment_free(target);
	attachment_free(source);
	return problem;
}

/* Marked, then named: whatever is there in between is done again. */
static json_t *
seal(const struct sending *sending)
{
	_cleanup_(freep) char *snap = unfinished_of(sending), *name = NULL;
	char mark[POINT_NAME_MAX];
	json_t *problem;

	if (asprintf(&name, "@%s", sending->name) < 0)
		abort();
	mark_of(sending->uuid, mark);
	json_decref(to_change(sending, "bookmark.delete",
	    json_pack("{s:s, s:s}", "lun", sending->copy, "name", mark)));
	problem = to_change(sending, "snap.create",
	    json_pack("{s:[s], s:s}", "names", snap, "consistency",
		sending->consistency));
	if (problem == NULL)
		problem = to_change(sending, "bookmark.create",
		    json_pack("{s:s, s:s}", "snap", snap, "name", mark));
	if (problem == NULL)
		problem = to_change(sending, "snap.rename",
		    json_pack("{s:s, s:s}", "snap", snap, "name", name));
	if (problem == NULL && sending->is_new)
		problem = to_change(sending, "lun.rename",
		    json_pack("{s:s, s:s}", "lun", sending->copy, "name",
			sending->params->to));
	return problem;
}

static json_t *
send_all(struct sending *sending)
{
	const struct extents_params extents = {.varve = sending->params->varve,
	    .from = sending->from[0] != '\0' ? sending->from : sending->lun,
	    .to = sending->params->snap};
	json_t *problem =
	    extents_total(&extents, &sending->data, &sending->zero);

	if (problem != NULL || sending->params->dry_run)
		return problem;
	problem = copy_prepare(sending);
	if (problem == NULL)
		problem = transfer(sending, &extents);
	if (problem == NULL)
		problem = seal(sending);
	return problem;
}

static json_t *
answer(const struct sending *sending)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:I}", "name",
	    sending->name, "to", sending->params->to, "kind",
	    sending->base[0] != '\0' ? "increment" : "full", "base",
	    sending->base[0] != '\0' ? json_string(sending->base) : json_null(),
	    "size", (json_int_t)sending->size, "data",
	    (json_int_t)sending->data, "zero", (json_int_t)sending->zero,
	    "read", (json_int_t)sending->stat.bytes);
}

/* Sent before; it may have been killed then, before it had gone. */
static void
clear(const struct sending *sending)
{
	attachment_clear(sending->params->varve, sending->from_tag);
	attachment_clear(sending->params->to_varve, sending->tag);
}

json_t *
backup_send(const struct backup_send_params *params, json_t **ret_item)
{
	struct sending sending = {.params = params};
	json_t *problem = look(&sending);

	if (problem == NULL && strcmp(sending.from, params->snap) != 0)
		problem = send_all(&sending);
	else if (problem == NULL && !params->dry_run)
		clear(&sending);
	if (problem == NULL)
		*ret_item = answer(&sending);
	json_decref(sending.snaps);
	json_decref(sending.to_snaps);
	json_decref(sending.to_bookmarks);
	return problem;
}
