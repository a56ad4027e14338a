/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * backup create.
 *
 * The base is the newest backup of the directory that the LUN can still be
 * compared with: its snapshot is there, or the bookmark that was left for it.
 *
 * Every mark_bytes of the stream a mark is made: the file holds all until
 * there, and partial.json, a manifest of what is not whole yet, says how much
 * that is. A backup that was cut short goes on from its last mark, with the
 * same snapshot and the same base; what is behind the mark is thrown away.
 */
#include "backup/live.h"
#include "backup/work.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <uuid/uuid.h>

#define REF_MAX (POINT_TEXT_MAX + POINT_NAME_MAX)

struct creation {
	const struct backup_create_params *params;
	struct directory *directory;
	struct backup_point point; /* that is being made */
	char from[REF_MAX];        /* of snap.diff */
	char bookmark[POINT_NAME_MAX];
	uint64_t base_number;
	uint64_t data, zero; /* still to come */
	bool resumed, there; /* went on; was whole before */
	int fd;
	struct pack *pack;
	struct stream_sink stream;
	struct sink sink; /* the stream, with marks */
	uint64_t marked;  /* bytes of data at the last mark */
	bool asked;       /* it is not written yet */
	json_t *snaps, *bookmarks;
	struct initiator_stat stat;
};

/* ---- what is to be backed up ---- */

static void
copy_text(char *to, size_t room, const char *from)
{
	snprintf(to, room, "%s", from);
}

static json_t *
look_up(struct creation *creation)
{
	_cleanup_(json_decrefpp) json_t *snap = NULL, *lun = NULL;
	struct varve *varve = creation->params->varve;
	struct backup_point *point = &creation->point;
	const char *at = strchr(creation->params->snap, '@');
	json_t *problem;

	assert(at != NULL);
	snprintf(point->lun, sizeof(point->lun), "%.*s",
	    (int)(at - creation->params->snap), creation->params->snap);
	copy_text(point->name, sizeof(point->name), at + 1);
	problem = varve_item(
	    varve, "snap.show", "snap", creation->params->snap, &snap);
	if (problem == NULL)
		problem =
		    varve_item(varve, "lun.show", "lun", point->lun, &lun);
	if (problem == NULL)
		problem = varve_items(
		    varve, "snap.list", "of", point->lun, &creation->snaps);
	if (problem == NULL)
		problem = varve_items(varve, "bookmark.list", "of", point->lun,
		    &creation->bookmarks);
	if (problem != NULL)
		return problem;
	copy_text(point->uuid, sizeof(point->uuid), item_text(snap, "uuid"));
	copy_text(
	    point->lun_uuid, sizeof(point->lun_uuid), item_text(lun, "uuid"));
	copy_text(point->consistency, sizeof(point->consistency),
	    consistency_of(snap));
	point->size = item_number(snap, "size");
	point->block_size = item_number(lun, "block_size");
	point->created = seconds_of(item_text(snap, "created"));
	point->epoch = item_number(snap, "epoch");
	return NULL;
}

/* The directory is this LUN's, and has no other backup of that name. */
static json_t *
fits(const struct creation *creation)
{
	const struct backup_points *points = &creation->directory->points;
	const struct backup_point *point = &creation->point, *other;
	const char *path = creation->directory->path;

	if (points->count > 0 &&
	    strcmp(points->list[0].lun_uuid, point->lun_uuid) != 0)
		return problem_fix(
		    problem_why(backup_problem(BACKUP_OTHER_LUN,
				    "%s has the backups of another LUN", path),
			"they are of %s, which has another identity than %s",
			points->list[0].lun, point->lun),
		    "give %s a directory of its own", point->lun);
	other = backup_points_find(points, point->name);
	if (other != NULL && strcmp(other->uuid, point->uuid) != 0)
		return problem_fix(
		    problem_why(
			backup_problem(BACKUP_EXISTS,
			    "%s has a backup %s already", path, point->name),
			"it is of another snapshot that had this name"),
		    "varve snap rename %s @ANOTHER-NAME",
		    creation->params->snap);
	return NULL;
}

/* ---- the base ---- */

static const json_t *
by_uuid(const json_t *items, const char *uuid)
{
	const json_t *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		if (uuid[0] != '\0' &&
		    strcmp(item_text(item, "uuid"), uuid) == 0)
			return item;
	}
	return NULL;
}

static struct extents_params
difference(const struct creation *creation)
{
	return (struct extents_params){
	    .varve = creation->params->varve,
	    .from = creation->from,
	    .to = creation->params->snap,
	    .bookmark = creation->bookmark,
	    .offset = creation->point.covers,
	};
}

/* varved compares them; not every pair can be. */
static json_t *
compares(const struct creation *creation, bool *ret_compares)
{
	struct extents_params params = difference(creation);
	struct extents *extents = extents_new(&params);
	struct extent extent;
	json_t *problem = extents_next(extents, &extent);

	extents_free(extents);
	*ret_compares = problem == NULL;
	if (problem != NULL &&
	    strcmp(varve_problem_code(problem), "snap.other-family") == 0) {
		json_decref(problem);
		problem = NULL;
	}
	return problem;
}

/* All files of its chain are there, as long as they have to be. */
static bool
is_whole(const struct directory *directory, const struct backup_point *point)
{
	const struct backup_point *missing;
	struct backup_chain chain;
	struct stat st;
	bool whole =
	    backup_chain_of(&directory->points, point, &chain, &missing);

	for (unsigned i = 0; i < chain.count && whole; i++)
		whole = fstatat(directory->fd, chain.list[i]->file, &st,
			    AT_SYMLINK_NOFOLLOW) == 0 &&
			(uint64_t)st.st_size == chain.list[i]->file_bytes;
	free(chain.list);
	return whole;
}

static void
base_none(struct creation *creation)
{
	copy_text(creation->from, sizeof(creation->from), creation->point.lun);
	creation->bookmark[0] = '\0';
	creation->base_number = 0;
	creation->point.base[0] = '\0';
	creation->point.base_uuid[0] = '\0';
	creation->point.base_epoch = 0;
}

/* By its snapshot, which is exact, or else by its bookmark. */
static json_t *
base_try(
    struct creation *creation, const struct backup_point *base, bool *ret_fits)
{
	struct backup_point *point = &creation->point;
	const json_t *snap = by_uuid(creation->snaps, base->uuid);
	const json_t *bookmark =
	    by_uuid(creation->bookmarks, base->bookmark_uuid);

	*ret_fits = false;
	if (!is_whole(creation->directory, base) ||
	    (snap == NULL && bookmark == NULL))
		return NULL;
	base_none(creation);
	if (snap != NULL)
		copy_text(creation->from, sizeof(creation->from),
		    item_text(snap, "name"));
	else
		copy_text(creation->bookmark, sizeof(creation->bookmark),
		    item_text(bookmark, "name"));
	creation->base_number = base->number;
	copy_text(point->base, sizeof(point->base), base->name);
	copy_text(point->base_uuid, sizeof(point->base_uuid), base->uuid);
	point->base_epoch = base->epoch;
	return compares(creation, ret_fits);
}

static json_t *
base_auto(struct creation *creation)
{
	const struct backup_points *points = &creation->directory->points;
	bool found = false;

	for (unsigned i = points->count; i-- > 0;) {
		json_t *problem = base_try(creation, &points->list[i], &found);
		if (problem != NULL || found)
			return problem;
	}
	base_none(creation);
	snprintf(creation->point.full_because,
	    sizeof(creation->point.full_because), "%s",
	    points->count == 0
		? "it is the first"
		: "the LUN has no snapshot and no bookmark of a backup that "
		  "is whole");
	return NULL;
}

static json_t *
base_named(struct creation *creation, const char *name)
{
	const struct backup_point *base;
	bool found = false;
	json_t *problem = point_find(creation->directory, name, &base);

	if (problem == NULL)
		problem = base_try(creation, base, &found);
	if (problem != NULL || found)
		return problem;
	return problem_fix(
	    problem_why(backup_problem(BACKUP_BASE,
			    "the backup %s cannot be the base of %s", name,
			    creation->params->snap),
		"%s",
		is_whole(creation->directory, base)
		    ? "the LUN has neither the snapshot it is of nor its "
		      "bookmark, or is of another line now"
		    : "a file that it needs is missing"),
	    "let varve find one: --since auto");
}

static json_t *
base_choose(struct creation *creation)
{
	const char *since = creation->params->since;

	if (since == NULL || strcmp(since, "auto") == 0)
		return base_auto(creation);
	if (strcmp(since, "full") != 0)
		return base_named(creation, since);
	base_none(creation);
	copy_text(creation->point.full_because,
	    sizeof(creation->point.full_because), "it was asked for");
	return NULL;
}

/* ---- what was cut short ---- */

static void
identity_choose(struct creation *creation)
{
	const struct backup_points *points = &creation->directory->points;
	struct backup_point *point = &creation->point;
	uuid_t uuid;

	point->number = 1;
	if (points->count > 0) {
		point->number = points->list[points->count - 1].number + 1;
		copy_text(point->set, sizeof(point->set), points->list[0].set);
		return;
	}
	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, point->set);
}

static bool
is_same(const struct backup_point *a, const struct backup_point *b)
{
	return a->number == b->number && a->size == b->size &&
	       strcmp(a->uuid, b->uuid) == 0 && strcmp(a->name, b->name) == 0 &&
	       strcmp(a->base, b->base) == 0 &&
	       strcmp(a->base_uuid, b->base_uuid) == 0;
}

/* A base that was good for what was cut short and is good now, is taken again,
 * though a better one may be there: the bytes are. */
static json_t *
partial_base(struct creation *creation, const struct backup_point *partial)
{
	const struct backup_point *base;
	bool found = false;

	if (creation->params->since != NULL &&
	    strcmp(creation->params->since, "auto") != 0)
		return NULL;
	base = backup_points_find(
	    &creation->directory->points, partial->base_uuid);
	if (base == NULL || strcmp(partial->uuid, creation->point.uuid) != 0)
		return NULL;
	return base_try(creation, base, &found);
}

static bool
partial_read(struct creation *creation, struct backup_point *ret_partial)
{
	size_t length;
	_cleanup_(freep) char *text =
	    directory_read(creation->directory, PARTIAL_MANIFEST, &length);

	return text != NULL && manifest_read(text, length, ret_partial) == NULL;
}

static void
progress_take(struct creation *creation, const struct backup_point *partial)
{
	struct backup_point *point = &creation->point;

	point->covers = partial->covers;
	point->data = partial->data;
	point->zero = partial->zero;
	point->file_bytes = partial->file_bytes;
	point->stream_bytes = partial->stream_bytes;
	memcpy(point->sha256, partial->sha256, sizeof(point->sha256));
	memcpy(point->set, partial->set, sizeof(point->set));
	creation->resumed = true;
}

static json_t *
plan(struct creation *creation)
{
	struct backup_point partial;
	bool has_partial = partial_read(creation, &partial);
	json_t *problem;

	identity_choose(creation);
	problem = base_choose(creation);
	if (problem == NULL && has_partial &&
	    !is_same(&partial, &creation->point))
		problem = partial_base(creation, &partial);
	if (problem == NULL && has_partial &&
	    is_same(&partial, &creation->point))
		progress_take(creation, &partial);
	directory_stream_name(
	    &creation->point, creation->base_number, creation->point.file);
	return problem;
}

/* ---- the stream ---- */

static json_t *
mark_write(struct creation *creation)
{
	_cleanup_(freep) char *text = manifest_write(&creation->point);

	return directory_write(creation->directory, PARTIAL_MANIFEST, text);
}

static json_t *
mark_make(struct creation *creation)
{
	json_t *problem = stream_stop(&creation->stream, &creation->point);

	return problem == NULL ? mark_write(creation) : problem;
}

/* A mark is asked for, and written when the file has got there; what is read
 * goes on meanwhile. */
static json_t *
mark_turn(struct creation *creation)
{
	struct stream_sink *stream = &creation->stream;

	if (creation->asked) {
		if (!stream_reached(stream, &creation->point))
			return NULL;
		creation->asked = false;
		return mark_write(creation);
	}
	if (stream->data - creation->marked < creation->params->mark_bytes)
		return NULL;
	creation->asked = true;
	creation->marked = stream->data;
	return stream_ask(stream, &creation->point);
}

static json_t *
marking_put(struct sink *sink, const struct piece *piece)
{
	struct creation *creation = container_of(sink, struct creation, sink);
	struct stream_sink *stream = &creation->stream;
	json_t *problem = stream->sink.put(&stream->sink, piece);

	return problem == NULL ? mark_turn(creation) : problem;
}

static json_t *
pack_begin(struct creation *creation)
{
	const struct backup_point *point = &creation->point;
	struct pack_mark mark = {.file_bytes = point->file_bytes,
	    .stream_bytes = point->stream_bytes};

	memcpy(mark.sha256, point->sha256, sizeof(mark.sha256));
	return pack_new(creation->fd, creation->directory->path,
	    creation->params->level, creation->resumed ? &mark : NULL,
	    &creation->pack);
}

static json_t *
begin_anew(struct creation *creation)
{
	struct rbd_diff_head head = {.size = creation->point.size};

	copy_text(head.from, sizeof(head.from), creation->point.base);
	copy_text(head.to, sizeof(head.to), creation->point.name);
	return stream_begin(&creation->stream, &head);
}

/* What cannot be gone on with is begun again. */
static void
forget_partial(struct creation *creation)
{
	struct backup_point *point = &creation->point;

	creation->resumed = false;
	point->covers = point->data = point->zero = 0;
	point->file_bytes = point->stream_bytes = 0;
	point->sha256[0] = '\0';
	directory_unlink(creation->directory, PARTIAL_MANIFEST);
}

static json_t *
stream_open_or_resume(struct creation *creation)
{
	json_t *problem;

	creation->fd = openat(creation->directory->fd, PARTIAL_STREAM,
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (creation->fd < 0)
		return backup_write_problem(creation->directory->path, errno);
	problem = pack_begin(creation);
	if (problem != NULL && creation->resumed) {
		json_decref(problem);
		forget_partial(creation);
		if (lseek(creation->fd, 0, SEEK_SET) < 0)
			return backup_write_problem(
			    creation->directory->path, errno);
		problem = pack_begin(creation);
	}
	if (problem != NULL)
		return problem;
	stream_sink_init(&creation->stream, creation->pack);
	creation->stream.covers = creation->point.covers;
	creation->stream.data = creation->marked = creation->point.data;
	creation->stream.zero = creation->point.zero;
	creation->sink.put = marking_put;
	if (creation->resumed)
		return NULL;
	problem = begin_anew(creation);
	/* what is known from here on is how it is found again */
	return problem == NULL ? mark_make(creation) : problem;
}

static json_t *
read_all(struct creation *creation, struct attachment *attachment)
{
	struct extents_params params = difference(creation);
	struct live live;
	struct pump pump = {.source = &live.source,
	    .sink = &creation->sink,
	    .done = creation->point.data,
	    .total = creation->point.data + creation->data,
	    .watch = creation->params->watch};
	json_t *problem;

	live_init(&live, attachment, &params);
	problem = pump_run(&pump);
	live_done(&live);
	initiator_stat_get(attachment_initiator(attachment), &creation->stat);
	/* what was read until then need not be read again */
	if (problem != NULL && varve_problem_exit(problem) != VARVE_NO_SPACE)
		json_decref(mark_make(creation));
	return problem;
}

/* ---- the end ---- */

static json_t *
change(const struct creation *creation, const char *method, json_t *params,
    json_t **ret_result)
{
	json_t *problem =
	    varve_change(creation->params->varve, method, params, ret_result);

	json_decref(params);
	return problem;
}

/* "backup-5f2a9c01-": of this directory. */
static void
bookmark_prefix(const struct creation *creation, char prefix[24])
{
	snprintf(prefix, 24, "backup-%.8s-", creation->point.set);
}

static void
bookmark_delete(const struct creation *creation, const char *name)
{
	json_t *result = NULL;

	json_decref(change(creation, "bookmark.delete",
	    json_pack("{s:s, s:s}", "lun", creation->point.lun, "name", name),
	    &result));
	json_decref(result);
}

/* The base of the next one, when the snapshot is deleted.  A LUN that takes no
 * more of them is backed up without: the next one needs the snapshot. */
static void
bookmark_leave(struct creation *creation)
{
	_cleanup_(json_decrefpp) json_t *result = NULL, *problem = NULL;
	struct backup_point *point = &creation->point;
	char name[POINT_NAME_MAX], prefix[24];

	bookmark_prefix(creation, prefix);
	snprintf(name, sizeof(name), "%s%" PRIu64, prefix, point->number);
	/* one that was cut short has left it */
	bookmark_delete(creation, name);
	problem = change(creation, "bookmark.create",
	    json_pack(
		"{s:s, s:s}", "snap", creation->params->snap, "name", name),
	    &result);
	if (problem != NULL)
		return;
	copy_text(point->bookmark, sizeof(point->bookmark), name);
	copy_text(point->bookmark_uuid, sizeof(point->bookmark_uuid),
	    item_text(json_object_get(result, "item"), "uuid"));
}

/* Those of older backups of this directory have had their use. */
static void
bookmarks_sweep(const struct creation *creation)
{
	const json_t *item;
	char prefix[24];
	size_t i;

	bookmark_prefix(creation, prefix);
	if (creation->point.bookmark[0] == '\0')
		return;
	json_array_foreach(creation->bookmarks, i, item)
	{
		const char *name = item_text(item, "name");
		if (strncmp(name, prefix, strlen(prefix)) == 0 &&
		    strcmp(name, creation->point.bookmark) != 0)
			bookmark_delete(creation, name);
	}
}

static json_t *
finish(struct creation *creation)
{
	json_t *problem = stream_end(&creation->stream, &creation->point);

	if (problem != NULL)
		return problem;
	bookmark_leave(creation);
	creation->point.finished = (uint64_t)time(NULL);
	problem = directory_commit(creation->directory, creation->fd,
	    PARTIAL_STREAM, &creation->point);
	if (problem != NULL)
		return problem;
	directory_unlink(creation->directory, PARTIAL_MANIFEST);
	bookmarks_sweep(creation);
	return directory_scan(creation->directory);
}

static json_t *
copy(struct creation *creation)
{
	/* the directory is locked: who else has its tag is dead */
	const struct attachment_params params = {
	    .varve = creation->params->varve,
	    .name = creation->params->snap,
	    .portal = creation->params->portal,
	    .tag = creation->point.set};
	struct attachment *attachment = NULL;
	json_t *problem = stream_open_or_resume(creation);

	if (problem == NULL)
		problem = attachment_new(&params, &attachment);
	if (problem == NULL)
		problem = read_all(creation, attachment);
	if (problem == NULL)
		problem = finish(creation);
	attachment_free(attachment);
	return problem;
}

/* ---- the whole ---- */

static json_t *
answer(const struct creation *creation)
{
	const struct backup_point *point = &creation->point;
	json_t *item = point_item(creation->directory, point);
	json_t *notes = json_array();

	json_object_set_new(item, "resumed", json_boolean(creation->resumed));
	json_object_set_new(
	    item, "read", json_integer((json_int_t)creation->stat.bytes));
	json_object_set_new(
	    item, "in_flight", json_integer(creation->stat.most));
	if (creation->there)
		json_array_append_new(notes,
		    json_string("it was backed up before; nothing was read"));
	if (point->full_because[0] != '\0')
		json_array_append_new(
		    notes, json_sprintf("%s is full: %s", point->name,
			       point->full_because));
	if (!creation->there && !creation->params->dry_run &&
	    point->bookmark[0] == '\0')
		json_array_append_new(notes,
		    json_sprintf("no bookmark could be left: keep %s for the "
				 "next one",
			creation->params->snap));
	json_object_set_new(item, "notes", notes);
	return item;
}

static json_t *
there_already(struct creation *creation, const struct backup_point *there,
    json_t **ret_item)
{
	const char *path = creation->directory->path;

	if (!is_whole(creation->directory, there))
		return problem_fix(
		    problem_why(backup_problem(BACKUP_DAMAGED,
				    "%s has a backup of %s that is not whole",
				    path, creation->params->snap),
			"%s, or what it stands on, is missing or was cut off",
			there->file),
		    "varve backup verify %s", path);
	/* it may have been killed when it was whole, and before it had gone */
	if (!creation->params->dry_run)
		attachment_clear(creation->params->varve, there->set);
	creation->point = *there;
	creation->there = true;
	*ret_item = answer(creation);
	return NULL;
}

static json_t *
run(struct creation *creation, json_t **ret_item)
{
	const struct backup_point *there;
	struct extents_params params;
	json_t *problem = look_up(creation);

	if (problem == NULL)
		problem = directory_open(creation->params->path,
		    creation->params->dry_run ? DIRECTORY_PREVIEW
					      : DIRECTORY_ADD,
		    !creation->params->dry_run, &creation->directory);
	if (problem == NULL)
		problem = fits(creation);
	if (problem != NULL)
		return problem;
	there = backup_points_find(
	    &creation->directory->points, creation->point.uuid);
	if (there != NULL)
		return there_already(creation, there, ret_item);
	problem = plan(creation);
	params = difference(creation);
	if (problem == NULL)
		problem =
		    extents_total(&params, &creation->data, &creation->zero);
	if (problem == NULL && creation->params->dry_run) {
		creation->point.data += creation->data;
		creation->point.zero += creation->zero;
	} else if (problem == NULL) {
		problem = copy(creation);
	}
	if (problem == NULL)
		*ret_item = answer(creation);
	return problem;
}

json_t *
backup_create(const struct backup_create_params *params, json_t **ret_item)
{
	struct creation creation = {.params = params, .fd = -1};
	json_t *problem = run(&creation, ret_item);

	pack_free(creation.pack);
	closep(&creation.fd);
	directory_close(creation.directory);
	json_decref(creation.snaps);
	json_decref(creation.bookmarks);
	return problem;
}
