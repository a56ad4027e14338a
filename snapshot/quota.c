/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What quotas count, and who is refused.
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
		volume->pool->has_limits = true;
}

void
quota_look(struct volume *volume)
{
	if (volume->quota_blocks != QUOTA_NONE)
		volume->snap_held =
		    losses_snap_held(volume, &volume->snap_base);
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
