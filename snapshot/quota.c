/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Setting quotas, and what they count.
 */
#include "snapshot/quota.h"
#include "snapshot/engine.h"
#include <string.h>

uint64_t
quota_bytes(const struct volume *volume)
{
	return volume->quota_blocks == QUOTA_NONE
		   ? 0
		   : volume->quota_blocks * FMT_BLOCK;
}

void
quota_set(struct volume *volume, uint64_t bytes)
{
	volume->quota_blocks = bytes == 0 ? QUOTA_NONE : bytes / FMT_BLOCK;
	volume->quota_reached = false;
	volume->snap_held = 0;
	volume->snap_base = UINT32_MAX;
	if (bytes != 0)
		volume->pool->has_quotas = true;
}

void
quota_look(struct volume *volume)
{
	if (volume->quota_blocks != QUOTA_NONE)
		volume->snap_held =
		    losses_snap_held(volume, &volume->snap_base);
}

void
quotas_look(struct pool *pool)
{
	struct volume *volume;

	pool->quotas_stale = false;
	list_for_each (volume, &pool->volumes, link)
		quota_look(volume);
}

static void
quota_tell(struct volume *volume)
{
	struct pool *pool = volume->pool;

	if (volume->quota_reached)
		return;
	volume->quota_reached = true;
	memcpy(pool->quota_name, volume->name, sizeof(pool->quota_name));
	pool_event_send(pool, POOL_EVENT_QUOTA);
}

uint64_t
quota_ask(struct volume *volume, uint64_t want, unsigned unit)
{
	uint64_t quota = volume->quota_blocks, used = quota_used(volume);
	uint64_t left = used < quota ? quota - used : 0;

	if (left >= quota / 16 + want)
		volume->quota_reached = false; /* the next time is news */
	if (left < want)
		want = left / unit * unit;
	if (want == 0)
		quota_tell(volume);
	return want;
}

/* ---- from outside ---- */

static int
set_run(struct operation *op)
{
	struct volume *volume = op->volume;
	int result = operation_check(op);

	if (result < 0)
		return result;
	if (volume->state != FMT_VERSION_HEAD) {
		operation_problem(op, "%s is no volume", volume->name);
		return -EINVAL;
	}
	if (op->size % FMT_BLOCK != 0 || op->size > FMT_QUOTA_MAX) {
		operation_problem(
		    op, "a quota is a multiple of 4 KiB up to 1 EiB");
		return -EINVAL;
	}
	quota_set(volume, op->size);
	quota_look(volume);
	volume_changed(volume);
	op->pool->needs_write = true;
	op->request->volume = volume;
	return operation_checkpoint(op, operation_done);
}

void
volume_set_quota(struct pool *pool, struct volume *volume, uint64_t bytes,
    struct pool_request *request)
{
	struct operation *op = operation_on(request, set_run, volume, NULL);

	op->size = bytes;
	operation_queue(pool, op);
}
