/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-plugin/share.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <limits.h>
#include <string.h>

/* params of jansson's packing; no memory ends the program, as in libvarve */
#define PARAMS(...) json_pack(__VA_ARGS__)

static const char *
text_of(const json_t *item, const char *member)
{
	const char *text = json_string_value(json_object_get(item, member));

	return text != NULL ? text : "";
}

static uint64_t
bytes_of(const json_t *item, const char *member)
{
	json_int_t value = json_integer_value(json_object_get(item, member));

	return value > 0 ? (uint64_t)value : 0;
}

/* False: it is too long to be one of varved's. */
static bool
take_name(char *to, size_t size, const char *name)
{
	if (name[0] == '\0' || strlen(name) >= size)
		return false;
	strcpy(to, name);
	return true;
}

/* The row of items whose member is text. */
static const json_t *
row_with(const json_t *answer, const char *member, const char *text)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(answer, "items"), i, row)
	{
		if (strcmp(text_of(row, member), text) == 0)
			return row;
	}
	return NULL;
}

/* POOL/NAME */
struct ref {
	char text[SHARE_NAME_MAX + SHARE_VOLUME_MAX];
};

static struct ref
ref_of(const struct share *share, const char *name)
{
	struct ref ref;

	snprintf(ref.text, sizeof(ref.text), "%.63s/%.127s", share->pool, name);
	return ref;
}

/* What follows "POOL/"; NULL: it is of another pool, or too long. */
static const char *
without_pool(const struct share *share, const char *text)
{
	size_t length = strlen(share->pool);

	if (strncmp(text, share->pool, length) != 0 || text[length] != '/' ||
	    strlen(text + length + 1) >= SHARE_VOLUME_MAX)
		return NULL;
	return text + length + 1;
}

static json_t *
not_varved(const char *what)
{
	return problem_new(VARVE_FAILED, "daemon.protocol",
	    "varved's answer makes no sense: %s", what);
}

/* ---- finding the pool and the host ---- */

json_t *
share_find_pool(struct talk *talk, struct share *share,
    struct share_space *ret_space, bool *ret_found)
{
	_cleanup_(json_decrefpp) json_t *answer = NULL;
	json_t *problem = talk_ask(talk, "pool.list", NULL, &answer);
	const json_t *row;

	*ret_found = false;
	if (problem != NULL)
		return problem;
	row = row_with(answer, "iqn", share->iqn);
	if (row == NULL)
		return NULL;
	if (!take_name(share->pool, sizeof(share->pool), text_of(row, "name")))
		return not_varved("a pool's name");
	*ret_found = true;
	ret_space->size = bytes_of(row, "size");
	ret_space->allocated = bytes_of(row, "allocated");
	ret_space->free = bytes_of(row, "free");
	return NULL;
}

json_t *
share_find_host(struct talk *talk, struct share *share)
{
	_cleanup_(json_decrefpp) json_t *answer = NULL;
	json_t *problem = talk_ask(talk, "host.list", NULL, &answer);
	const json_t *row;

	if (problem != NULL)
		return problem;
	row = row_with(answer, "iqn", share->initiator);
	if (row == NULL)
		return problem_fix(
		    problem_new(VARVE_NOT_FOUND, "plugin.host",
			"varved knows no host with the initiator name %s",
			share->initiator),
		    "varve host add NAME --iqn %s --chap-generate",
		    share->initiator);
	if (!take_name(share->host, sizeof(share->host), text_of(row, "name")))
		return not_varved("a host's name");
	return NULL;
}

static json_t *
find_both(struct talk *talk, struct share *share, struct share_space *ret_space)
{
	bool found;
	json_t *problem = share_find_pool(talk, share, ret_space, &found);

	if (problem != NULL)
		return problem;
	if (!found)
		return problem_new(VARVE_NOT_FOUND, "plugin.pool",
		    "varved at %s has no pool with the target %s",
		    varve_url(talk->varve), share->iqn);
	return share_find_host(talk, share);
}

/* ---- volumes ---- */

static bool
is_snapshot(const char *name)
{
	return strchr(name, '@') != NULL;
}

static void
take_volume(
    const struct share *share, const json_t *row, struct share_volume *volume)
{
	const char *parent = without_pool(share, text_of(row, "parent"));

	volume->size = bytes_of(row, "size");
	volume->live = bytes_of(row, "live");
	snprintf(volume->parent, sizeof(volume->parent), "%s",
	    parent != NULL ? parent : "");
}

/* Of an export. */
static bool
take_export(
    const struct share *share, const json_t *row, struct share_volume *volume)
{
	const json_t *number = json_object_get(row, "lun");
	const char *name = without_pool(share, text_of(row, "name"));

	if (strcmp(text_of(row, "iqn"), share->iqn) != 0 || name == NULL ||
	    !json_is_integer(number) || json_integer_value(number) < 0 ||
	    json_integer_value(number) > SHARE_NUMBER_MAX)
		return false;
	*volume = (struct share_volume){
	    .number = (unsigned)json_integer_value(number),
	    .read_only = json_is_true(json_object_get(row, "read_only")) ||
			 is_snapshot(name)};
	return take_name(volume->name, sizeof(volume->name), name);
}

static int
by_number(const void *a, const void *b)
{
	const struct share_volume *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

/* Those that are exported to the host, without their sizes. */
static json_t *
look_exports(
    struct talk *talk, const struct share *share, struct share_view *view)
{
	_cleanup_(json_decrefpp) json_t *answer = NULL;
	json_t *problem = talk_ask(
	    talk, "export.list", PARAMS("{s:s}", "host", share->host), &answer);
	const json_t *items, *row;
	size_t i;

	if (problem != NULL)
		return problem;
	items = json_object_get(answer, "items");
	view->volumes =
	    calloc(json_array_size(items) + 1, sizeof(*view->volumes));
	assert(view->volumes != NULL);
	json_array_foreach(items, i, row)
	{
		if (take_export(share, row, &view->volumes[view->count]))
			view->count++;
	}
	qsort(view->volumes, view->count, sizeof(*view->volumes), by_number);
	return NULL;
}

static bool
has_kind(const struct share_view *view, bool snapshots)
{
	for (size_t i = 0; i < view->count; i++) {
		if (is_snapshot(view->volumes[i].name) == snapshots)
			return true;
	}
	return false;
}

static int
name_is(const void *key, const void *entry)
{
	return strcmp(key, (*(struct share_volume *const *)entry)->name);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp((*(struct share_volume *const *)a)->name,
	    (*(struct share_volume *const *)b)->name);
}

/* Sizes of all of a kind, by one call for the whole pool. */
static json_t *
look_sizes(struct talk *talk, const struct share *share,
    struct share_view *view, const char *method, json_t *params)
{
	_cleanup_(json_decrefpp) json_t *answer = NULL;
	_cleanup_(freep) struct share_volume **sorted =
	    calloc(view->count + 1, sizeof(*sorted));
	json_t *problem = talk_ask(talk, method, params, &answer);
	const json_t *row;
	size_t i;

	if (problem != NULL)
		return problem;
	assert(sorted != NULL);
	for (i = 0; i < view->count; i++)
		sorted[i] = &view->volumes[i];
	qsort(sorted, view->count, sizeof(struct share_volume *), by_name);
	json_array_foreach(json_object_get(answer, "items"), i, row)
	{
		const char *name = without_pool(share, text_of(row, "name"));
		struct share_volume **found =
		    name != NULL ? bsearch(name, sorted, view->count,
				       sizeof(struct share_volume *), name_is)
				 : NULL;
		if (found != NULL)
			take_volume(share, row, *found);
	}
	return NULL;
}

json_t *
share_look(struct talk *talk, struct share *share, struct share_view *ret_view)
{
	struct share_view view = {.count = 0};
	json_t *problem = find_both(talk, share, &view.space);

	if (problem == NULL)
		problem = look_exports(talk, share, &view);
	if (problem == NULL && has_kind(&view, false))
		problem = look_sizes(talk, share, &view, "lun.list",
		    PARAMS("{s:s}", "pool", share->pool));
	if (problem == NULL && has_kind(&view, true))
		problem = look_sizes(talk, share, &view, "snap.list",
		    PARAMS("{s:s}", "of", share->pool));
	if (problem != NULL) {
		share_view_done(&view);
		return problem;
	}
	*ret_view = view;
	return NULL;
}

void
share_view_done(struct share_view *view)
{
	free(view->volumes);
	*view = (struct share_view){.count = 0};
}

json_t *
share_numbers(struct talk *talk, const struct share *share, bool *ret_taken)
{
	_cleanup_(json_decrefpp) json_t *answer = NULL;
	json_t *problem = talk_ask(talk, "export.list", NULL, &answer);
	struct share_volume volume;
	const json_t *row;
	size_t i;

	memset(ret_taken, 0, (SHARE_NUMBER_MAX + 1) * sizeof(*ret_taken));
	if (problem != NULL)
		return problem;
	json_array_foreach(json_object_get(answer, "items"), i, row)
	{
		if (take_export(share, row, &volume))
			ret_taken[volume.number] = true;
	}
	return NULL;
}

json_t *
share_look_volume(
    struct talk *talk, const struct share *share, struct share_volume *volume)
{
	struct ref ref = ref_of(share, volume->name);
	bool snapshot = is_snapshot(volume->name);
	_cleanup_(json_decrefpp) json_t *answer = NULL;
	json_t *problem = talk_ask(talk, snapshot ? "snap.show" : "lun.show",
	    PARAMS("{s:s}", snapshot ? "snap" : "lun", ref.text), &answer);

	if (problem == NULL)
		take_volume(share, json_object_get(answer, "item"), volume);
	return problem;
}

json_t *
share_count_snapshots(struct talk *talk, const struct share *share,
    const char *name, unsigned *ret_count)
{
	struct ref ref = ref_of(share, name);
	_cleanup_(json_decrefpp) json_t *answer = NULL;
	json_t *problem = talk_ask(
	    talk, "lun.show", PARAMS("{s:s}", "lun", ref.text), &answer);

	if (problem == NULL)
		*ret_count = (unsigned)bytes_of(
		    json_object_get(answer, "item"), "snaps");
	return problem;
}

/* ---- making ---- */

/* A change whose answer is of no interest. */
static json_t *
change(struct talk *talk, const char *method, json_t *params)
{
	json_t *answer = NULL;
	json_t *problem = talk_change(talk, method, params, &answer);

	json_decref(answer);
	return problem;
}

json_t *
share_could_create(struct talk *talk, const struct share *share,
    const char *name, uint64_t size)
{
	struct ref ref = ref_of(share, name);

	return change(talk, "lun.create",
	    PARAMS("{s:s, s:I, s:b}", "name", ref.text, "size",
		(json_int_t)size, "dry_run", 1));
}

static json_t *
export_add(struct talk *talk, const struct share *share, const char *name,
    unsigned number)
{
	struct ref ref = ref_of(share, name);

	return change(talk, "export.add",
	    PARAMS("{s:s, s:s, s:I}", "name", ref.text, "host", share->host,
		"lun", (json_int_t)number));
}

/* Exports what was made just now; what cannot be is given back at once. */
static json_t *
export_or_undo(struct talk *talk, const struct share *share, const char *name,
    unsigned number)
{
	json_t *problem = export_add(talk, share, name, number);

	if (problem != NULL)
		json_decref(change(talk, "lun.delete",
		    PARAMS("{s:s, s:b}", "lun", ref_of(share, name).text, "now",
			1)));
	return problem;
}

json_t *
share_create(struct talk *talk, const struct share *share, const char *name,
    unsigned number, uint64_t size, bool reserve)
{
	json_t *params = PARAMS("{s:s, s:I}", "name", ref_of(share, name).text,
	    "size", (json_int_t)size);
	json_t *problem;

	if (reserve)
		json_object_set_new(
		    params, "reserve", json_integer(SHARE_RESERVE_ALL));
	problem = change(talk, "lun.create", params);
	return problem != NULL ? problem
			       : export_or_undo(talk, share, name, number);
}

/* Of the snapshot that a clone of a LUN is made of. */
static struct ref
snapshot_for(const struct share *share, const char *parent, const char *clone)
{
	struct ref ref = ref_of(share, parent);

	if (!is_snapshot(parent)) {
		size_t used = strlen(ref.text);
		snprintf(ref.text + used, sizeof(ref.text) - used, "@for-%.59s",
		    clone);
	}
	return ref;
}

static void
snapshot_remove(struct talk *talk, const char *snapshot)
{
	json_decref(
	    change(talk, "snap.delete", PARAMS("{s:s}", "snap", snapshot)));
}

json_t *
share_clone(struct talk *talk, const struct share *share, const char *parent,
    const char *name, unsigned number, uint64_t size)
{
	struct ref snapshot = snapshot_for(share, parent, name);
	bool own = !is_snapshot(parent);
	json_t *problem = NULL;

	if (own)
		problem = change(talk, "snap.create",
		    PARAMS("{s:[s]}", "names", snapshot.text));
	if (problem != NULL)
		return problem;
	problem = change(talk, "lun.clone",
	    PARAMS("{s:s, s:s, s:I}", "snap", snapshot.text, "name",
		ref_of(share, name).text, "size", (json_int_t)size));
	if (problem == NULL)
		problem = export_or_undo(talk, share, name, number);
	if (problem != NULL && own)
		snapshot_remove(talk, snapshot.text);
	return problem;
}

json_t *
share_resize(struct talk *talk, const struct share *share, const char *name,
    uint64_t size, bool shrink, bool reserve)
{
	struct ref ref = ref_of(share, name);
	char text[24];
	json_t *params, *problem;

	snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	params = PARAMS("{s:s, s:s}", "lun", ref.text, "size", text);
	if (shrink)
		json_object_set_new(params, "shrink", json_true());
	problem = change(talk, "lun.resize", params);
	if (problem != NULL || !reserve)
		return problem;
	return change(talk, "lun.set",
	    PARAMS("{s:s, s:I}", "lun", ref.text, "reserve",
		(json_int_t)SHARE_RESERVE_ALL));
}

/* ---- deleting ---- */

static json_t *
may_delete(struct talk *talk, const struct share *share, const char *name,
    bool with_snapshots, struct share_volume *ret_volume)
{
	struct ref ref = ref_of(share, name);
	_cleanup_(json_decrefpp) json_t *answer = NULL;
	const json_t *item, *host;
	json_t *problem;
	size_t i;

	problem = talk_ask(
	    talk, "lun.show", PARAMS("{s:s}", "lun", ref.text), &answer);
	if (problem != NULL)
		return problem;
	item = json_object_get(answer, "item");
	take_volume(share, item, ret_volume);
	if (bytes_of(item, "snaps") > 0 && !with_snapshots)
		return problem_fix(
		    problem_new(VARVE_CONFLICT, "plugin.snapshots",
			"cannot delete %s: it has snapshots", ref.text),
		    "virsh vol-delete --delete-snapshots");
	json_array_foreach(json_object_get(item, "hosts"), i, host)
	{
		const char *other = json_string_value(host);
		if (other != NULL && strcmp(other, share->host) != 0)
			return problem_fix(
			    problem_new(VARVE_CONFLICT, "plugin.other-hosts",
				"cannot delete %s: it is exported to host %s",
				ref.text, other),
			    "varve export remove %s --host %s", ref.text,
			    other);
	}
	return NULL;
}

json_t *
share_delete(struct talk *talk, const struct share *share, const char *name,
    unsigned number, bool with_snapshots)
{
	struct ref ref = ref_of(share, name);
	struct share_volume volume = {.number = number};
	struct ref made;
	const char *at;
	json_t *problem;

	if (is_snapshot(name))
		return problem_fix(
		    problem_new(VARVE_CONFLICT, "plugin.snapshot",
			"cannot delete %s: it is a snapshot", ref.text),
		    "varve export remove %s --host %s", ref.text, share->host);
	problem = may_delete(talk, share, name, with_snapshots, &volume);
	if (problem == NULL)
		problem = change(talk, "export.remove",
		    PARAMS("{s:s, s:s, s:b}", "name", ref.text, "host",
			share->host, "unused", 1));
	if (problem != NULL)
		return problem;
	problem = change(talk, "lun.delete", PARAMS("{s:s}", "lun", ref.text));
	if (problem != NULL) {
		json_decref(export_add(talk, share, name, number));
		return problem;
	}
	/* the snapshot that was made for it goes with it, if it is that */
	at = strchr(volume.parent, '@');
	if (at != NULL && strncmp(at, "@for-", 5) == 0 &&
	    strncmp(at + 5, name, 59) == 0) {
		made = ref_of(share, volume.parent);
		snapshot_remove(talk, made.text);
	}
	return NULL;
}

/* ---- the names of volumes ---- */

void
share_long_name(
    const struct share_volume *volume, char name[SHARE_LONG_NAME_MAX])
{
	snprintf(name, SHARE_LONG_NAME_MAX, "%s:0:0:%u", volume->name,
	    volume->number);
}

static bool
is_name(const char *text, size_t length)
{
	static const char allowed[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	    "0123456789._-@";

	return length > 0 && length < SHARE_VOLUME_MAX &&
	       strspn(text, allowed) >= length;
}

bool
share_parse_name(const char *text, char name[SHARE_VOLUME_MAX], int *ret_number)
{
	size_t length = strcspn(text, ":");
	unsigned long number;
	char *end;

	*ret_number = -1;
	if (!is_name(text, length))
		return false;
	memcpy(name, text, length);
	name[length] = '\0';
	if (text[length] == '\0')
		return true;
	if (strncmp(text + length, ":0:0:", 5) != 0 || text[length + 5] < '0' ||
	    text[length + 5] > '9')
		return false;
	number = strtoul(text + length + 5, &end, 10);
	*ret_number = (int)number;
	return *end == '\0' && number <= SHARE_NUMBER_MAX;
}
