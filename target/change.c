/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/change.h"
#include "base/log.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void
change_free(void *own)
{
	struct change *change = own;

	free(change->uuids);
	free(change->gone);
	free(change->unit);
	json_decref(change->settings);
	free(change);
}

struct change *
change_new(
    struct request *request, const struct change_op *op, const char *what, ...)
{
	struct change *change = calloc(1, sizeof(*change));
	va_list args;

	assert(change != NULL);
	assert(request->own == NULL);
	change->request = request;
	change->op = op;
	va_start(args, what);
	vsnprintf(change->what, sizeof(change->what), what, args);
	va_end(args);
	request->own = change;
	request->own_free = change_free;
	return change;
}

/* ---- on the pool's loop ---- */

struct volume *
change_volume(const struct change *change, unsigned i)
{
	assert(i < change->uuid_count);
	if (uuid_is_null(change->uuids[i]))
		return NULL;
	return house_volume_find(change->pool, change->uuids[i]);
}

int
change_rename(struct change *change, struct volume *volume)
{
	volume_rename(
	    change->pool, volume, change->name, &change->pool_request);
	return CHANGE_STARTED;
}

int
change_delete(struct change *change, struct volume *volume)
{
	const size_t count = change->gone_count + 1;
	struct volume_stat stat;

	change->gone = reallocarray(change->gone, count, sizeof(uuid_t));
	assert(change->gone != NULL);
	volume_stat_get(volume, &stat);
	uuid_copy(change->gone[change->gone_count], stat.uuid);
	change->deleting = true;
	volume_delete(change->pool, volume, &change->pool_request);
	return CHANGE_STARTED;
}

static void change_go(struct change *change);

static void
change_end(struct pool_request *pool_request, int result)
{
	struct change *change =
	    container_of(pool_request, struct change, pool_request);

	if (result == 0 && change->deleting)
		change->gone_count++;
	change->deleting = false;
	if (result == 0 && change->op->repeats) {
		change->step++;
		change_go(change);
		return;
	}
	if (result == 0 && pool_request->volume != NULL && !change->op->repeats)
		volume_stat_get(pool_request->volume, &change->stat);
	if (change->lun != NULL) {
		lun_data_changed(change->lun);
		if (result == 0)
			lun_capacity_changed(change->lun);
	}
	call_finish(&change->request->call, result);
}

static void
change_go(struct change *change)
{
	struct volume *volume = NULL;
	int ret;

	change->pool_request = (struct pool_request){.done = change_end};
	if (!uuid_is_null(change->uuid)) {
		volume = house_volume_find(change->pool, change->uuid);
		if (volume == NULL && change->step == 0) {
			call_finish(&change->request->call, -ENOENT);
			return;
		}
	}
	ret = change->op->run(change, volume);
	if (ret != CHANGE_STARTED)
		call_finish(&change->request->call, ret < 0 ? ret : 0);
}

static void
change_run(struct call *call)
{
	struct request *request = container_of(call, struct request, call);

	change_go(request->own);
}

/* ---- at home ---- */

/* clang-format off */
static const struct change_fault common_faults[] = {
	{ -ENOENT, "lun.not-found",  "it was deleted meanwhile" },
	{ -EEXIST, "lun.exists",     "there is a LUN of that name already" },
	{ -EBUSY,  "lun.in-use",     "it has I/O in flight, or is open" },
	{ -EPERM,  "snap.held",      "a snapshot of it is held" },
	{ -ENOSPC, "pool.no-space",  "the pool has no room for it" },
	{ -E2BIG,  "lun.size",       "a LUN has 232 TiB at most" },
	{ -EINVAL, "lun.size",       "the pool does not take these values" },
	{ -EROFS,  "pool.read-only", "the pool takes no changes in its state" },
	{ 0, NULL, NULL },
};
/* clang-format on */

static const struct change_fault *
fault_find(const struct change_fault *faults, int error)
{
	for (; faults != NULL && faults->error != 0; faults++) {
		if (faults->error == error)
			return faults;
	}
	return NULL;
}

static json_t *
change_fault(const struct change *change, int error)
{
	const char *problem = change->pool_request.problem;
	const struct change_fault *found =
	    fault_find(change->op->faults, error);

	if (found == NULL)
		found = fault_find(common_faults, error);
	if (found == NULL)
		return fault_why(fault_new("pool.failed", "%s", change->what),
		    "%s", problem[0] != '\0' ? problem : strerror(-error));
	return fault_why(fault_new(found->code, "%s", change->what), "%s",
	    problem[0] != '\0' ? problem : found->why);
}

static int
gone_forget(struct state *state, const struct change *change)
{
	char uuid[STATE_UUID_TEXT];
	int ret = 0;

	for (unsigned i = 0; i < change->gone_count && ret == 0; i++) {
		uuid_unparse_lower(change->gone[i], uuid);
		ret = state_lun_forget(state, change->pool_id, uuid);
	}
	return ret;
}

/* It failed half-way: what it deleted before is gone all the same. */
static void
change_failed(struct request *request, const struct change *change, int error)
{
	struct state *state = request->house->state;
	int ret = 0;

	if (change->gone_count > 0 && (ret = state_begin(state)) == 0) {
		ret = gone_forget(state, change);
		if (ret < 0)
			state_rollback(state);
		else
			ret = state_commit(state);
	}
	if (ret < 0)
		log_error("%s: what was set of LUNs that are gone stays: %s",
		    change->what, strerror(-ret));
	request_fail(request, change_fault(change, error));
}

/* The change is in the pool; now its row of the audit log, and what the state
 * has of it. */
static void
change_done(struct call *call)
{
	struct request *request = container_of(call, struct request, call);
	struct change *change = request->own;
	struct state *state = request->house->state;
	int ret;

	if (call->result < 0) {
		change_failed(request, change, call->result);
		return;
	}
	ret = state_begin(state);
	if (ret < 0) {
		request_fail(
		    request, fault_internal("the change is not logged", ret));
		return;
	}
	ret = gone_forget(state, change);
	if (ret == 0 && change->op->record != NULL)
		ret = change->op->record(state, change);
	if (ret < 0) {
		request_state_failed(request, ret);
		return;
	}
	if (request->item == NULL)
		request->item = json_pack("{s:s}", "name", change->name);
	if (request_commit(request, request->item))
		change->then(request);
}

void
change_start(struct request *request, struct house_pool *hp,
    void (*then)(struct request *request))
{
	struct change *change = request->own;

	assert(hp != NULL && hp->pool != NULL);
	change->pool = hp->pool;
	change->pool_id = hp->id;
	change->then = then;
	request->call.run = change_run;
	request->call.done = change_done;
	call_start(&request->call, request->house->home, hp->loop);
}
