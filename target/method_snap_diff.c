/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snap diff: a page of it at a time.  Everything is found anew for each page,
 * on the pool's loop: a client that pages slowly keeps nothing from being
 * deleted.
 */
#include "target/method.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_DEFAULT 1000
#define LIMIT_MAX     65536

struct diff {
	struct diff_request diff;
	struct call *call;
	struct house_pool *hp; /* stays while it has diffs */
	struct pool *pool;
	struct ref from, to;
	char since[REF_NAME_MAX]; /* "": no bookmark */
	const char *missing;      /* code of the error -ENOENT */
};

static void
diff_free(void *own)
{
	struct diff *diff = own;

	free(diff->diff.extent);
	free(diff);
}

/* ---- on the pool's loop ---- */

static struct volume *
lun_find(struct diff *diff, const struct ref *ref)
{
	struct volume *volume = volume_find(diff->pool, ref->lun);

	if (volume == NULL)
		diff->missing = "lun.not-found";
	return volume;
}

static struct volume *
snap_find(struct diff *diff, struct volume *volume, const char *name)
{
	struct volume *snap =
	    volume != NULL ? snapshot_find(volume, name) : NULL;

	if (volume != NULL && snap == NULL)
		diff->missing = "snap.not-found";
	return snap;
}

static bool
bookmark_find(struct diff *diff, struct volume *volume)
{
	struct bookmark bookmark;

	for (unsigned i = 0; bookmark_get(volume, i, &bookmark); i++) {
		if (strcmp(bookmark.name, diff->since) == 0) {
			diff->diff.base_epoch = bookmark.epoch;
			return true;
		}
	}
	diff->missing = "bookmark.not-found";
	return false;
}

/* Both points. */
static bool
points_find(struct diff *diff)
{
	struct diff_request *request = &diff->diff;
	struct volume *volume = lun_find(diff, &diff->from), *other = volume;

	if (volume == NULL)
		return false;
	if (diff->from.snap[0] != '\0') {
		request->base = snap_find(diff, volume, diff->from.snap);
		if (request->base == NULL)
			return false;
	}
	if (diff->to.lun[0] != '\0')
		other = lun_find(diff, &diff->to);
	request->to = other;
	if (diff->to.snap[0] != '\0')
		request->to = snap_find(diff, other, diff->to.snap);
	return request->to != NULL &&
	       (diff->since[0] == '\0' || bookmark_find(diff, volume));
}

static void
diff_found(struct pool_request *pool_request, int result)
{
	struct diff *diff =
	    container_of(pool_request, struct diff, diff.request);

	call_finish(diff->call, result);
}

static void
diff_run(struct call *call)
{
	struct request *request = container_of(call, struct request, call);
	struct diff *diff = request->own;

	diff->diff.request = (struct pool_request){.done = diff_found};
	if (points_find(diff))
		volume_diff(diff->pool, &diff->diff);
	else
		call_finish(call, -ENOENT);
}

/* ---- at home ---- */

static json_t *
missing_fault(const struct request *request, const struct diff *diff)
{
	const struct ref *at = strcmp(diff->missing, "snap.not-found") == 0 &&
				       diff->diff.base == NULL &&
				       diff->from.snap[0] != '\0'
				   ? &diff->from
				   : &diff->to;
	const char *lun = at->lun[0] != '\0' ? at->lun : diff->from.lun;

	if (strcmp(diff->missing, "lun.not-found") == 0)
		return fault_fix(
		    fault_new(diff->missing, "there is no such LUN: %s",
			param_text(request->params, "from")),
		    "varve lun list %s", diff->from.pool);
	if (strcmp(diff->missing, "bookmark.not-found") == 0)
		return fault_fix(
		    fault_new(diff->missing, "%s/%s has no bookmark %s",
			diff->from.pool, diff->from.lun, diff->since),
		    "varve bookmark list %s/%s", diff->from.pool,
		    diff->from.lun);
	return snap_missing(diff->from.pool, lun, at->snap);
}

static json_t *
diff_fault(const struct request *request, const struct diff *diff, int error)
{
	const char *problem = diff->diff.request.problem;
	json_t *fault;

	if (error == -ENOENT && diff->missing != NULL)
		return missing_fault(request, diff);
	fault =
	    fault_new(error == -EINVAL ? "snap.other-family" : "pool.failed",
		"cannot tell what differs from %s",
		param_text(request->params, "from"));
	return fault_why(
	    fault, "%s", problem[0] != '\0' ? problem : strerror(-error));
}

static json_t *
extent_item(const struct diff_extent *extent)
{
	return json_pack("{s:I, s:I, s:s}", "offset",
	    (json_int_t)extent->offset, "length", (json_int_t)extent->length,
	    "kind", extent->kind == DIFF_DATA ? "data" : "zero");
}

static void
diff_done(struct call *call)
{
	struct request *request = container_of(call, struct request, call);
	const struct diff *diff = request->own;
	json_t *items;

	assert(diff->hp->diffs > 0);
	diff->hp->diffs--;
	if (call->result < 0) {
		request_fail(request, diff_fault(request, diff, call->result));
		return;
	}
	items = json_array();
	for (unsigned i = 0; i < diff->diff.extent_count; i++)
		json_array_append_new(
		    items, extent_item(&diff->diff.extent[i]));
	request->cursor = diff->diff.end
			      ? json_null()
			      : json_integer((json_int_t)diff->diff.offset);
	request_answer_items(request, items);
}

static json_t *
diff_check(const struct request *request, const struct diff *diff)
{
	json_int_t limit = param_int(request->params, "limit", 1);

	if (limit < 1 || limit > LIMIT_MAX)
		return fault_new("request.argument",
		    "limit has to be from 1 to %d", LIMIT_MAX);
	if (diff->since[0] != '\0' && diff->from.snap[0] != '\0')
		return fault_fix(
		    fault_new("request.argument",
			"the first point is a snapshot or a bookmark, not "
			"both"),
		    "varve snap diff %s/%s @SNAP --since %s", diff->from.pool,
		    diff->from.lun, diff->since);
	if (diff->to.pool[0] != '\0' &&
	    strcmp(diff->to.pool, diff->from.pool) != 0)
		return fault_new("snap.other-family",
		    "%s and %s lie in different pools",
		    param_text(request->params, "from"),
		    param_text(request->params, "to"));
	return NULL;
}

static struct diff *
diff_new(struct request *request)
{
	const char *since = param_text(request->params, "since");
	struct diff *diff = calloc(1, sizeof(*diff));

	assert(diff != NULL);
	request->own = diff;
	request->own_free = diff_free;
	diff->call = &request->call;
	diff->from = method_ref(request, "from");
	diff->to = method_ref(request, "to");
	snprintf(
	    diff->since, sizeof(diff->since), "%s", since != NULL ? since : "");
	diff->diff.offset = (uint64_t)param_int(request->params, "cursor", 0);
	return diff;
}

void
method_snap_diff(struct request *request)
{
	json_int_t limit = param_int(request->params, "limit", LIMIT_DEFAULT);
	struct diff *diff = diff_new(request);
	json_t *fault = diff_check(request, diff);
	struct house_pool *hp;

	if (fault != NULL) {
		request_fail(request, fault);
		return;
	}
	if (!method_find_open_pool(request, diff->from.pool, &hp))
		return;
	diff->pool = hp->pool;
	diff->hp = hp;
	hp->diffs++;
	diff->diff.extent_max = (unsigned)limit;
	diff->diff.extent = calloc((size_t)limit, sizeof(struct diff_extent));
	assert(diff->diff.extent != NULL);
	request->call.run = diff_run;
	request->call.done = diff_done;
	call_start(&request->call, request->house->home, hp->loop);
}
