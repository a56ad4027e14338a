/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Figures of families and of background work.
 */
#include "snapshot/engine.h"
#include "snapshot/family.h"
#include "snapshot/rewrite.h"
#include <string.h>

void
family_stat_get(struct volume *volume, struct family_stat *ret_stat)
{
	const struct volume *snapshot, *own;

	*ret_stat = (struct family_stat){
	    .live = volume->live_blocks * FMT_BLOCK,
	    .created_unix = volume->created_unix,
	    .deleted_unix = volume->deleted_unix,
	    .epoch = volume->epoch,
	    .children = volume_child_count(volume),
	    .hold = volume->flags & FMT_VERSION_HOLD,
	    .consistency = (volume->flags & FMT_VERSION_CONSISTENCY) >>
			   FMT_VERSION_CONSISTENCY_SHIFT,
	    .fine_chunks = volume->fine_chunks,
	    .fragments = volume->fragments,
	    .rewrites = volume->rewrites,
	    .trashed = volume->flags & FMT_VERSION_TRASHED,
	    .is_clone = flatten_ancestor(volume, &own) != NULL,
	};
	list_for_each (snapshot, &volume->snapshots, link)
		ret_stat->snapshots++;
	losses_stat(volume, ret_stat);
}

/* ---- background work ---- */

static bool
job_is_due(const struct pool *pool, const struct volume *volume)
{
	return volume == pool->delete_job.volume ||
	       list_empty(&volume->children) ||
	       volume_only_child(volume) != NULL;
}

bool
pool_job_get(struct pool *pool, unsigned index, struct pool_job_stat *ret_stat)
{
	const struct volume *volume;

	list_for_each (volume, &pool->dying, link) {
		/* what waits for its clones is no work */
		if (!job_is_due(pool, volume) || index-- > 0)
			continue;
		*ret_stat = (struct pool_job_stat){
		    .kind = POOL_JOB_DELETE,
		    .running = volume == pool->delete_job.volume,
		    .total = volume->size,
		    .freed = pool->delete_job.freed * FMT_BLOCK,
		};
		if (volume->state == FMT_VERSION_DELETING)
			ret_stat->done = volume->cursor * FMT_CHUNK;
		if (ret_stat->done > volume->size)
			ret_stat->done = volume->size;
		memcpy(ret_stat->uuid, volume->uuid, sizeof(ret_stat->uuid));
		memcpy(ret_stat->name, volume->name, sizeof(ret_stat->name));
		return true;
	}
	if (mirror_fill_stat(pool, ret_stat) && index-- == 0)
		return true;
	if (scrub_stat(pool, ret_stat) && index-- == 0)
		return true;
	if (evacuate_stat(pool, ret_stat) && index-- == 0)
		return true;
	return flatten_stat(pool, index, ret_stat);
}

uint64_t
background_rest(const struct pool *pool, uint64_t began, uint64_t least)
{
	unsigned percent = pool->background_percent;
	uint64_t took = loop_now(pool->loop) - began;

	if (took > BACKGROUND_STEP_MAX)
		took = BACKGROUND_STEP_MAX;
	if (took < least)
		took = least;
	return took * (100 - percent) / percent;
}

void
pool_set_background(struct pool *pool, unsigned percent)
{
	pool->background_percent = percent == 0    ? BACKGROUND_PERCENT
				   : percent > 100 ? 100
						   : percent;
}

unsigned
pool_background(const struct pool *pool)
{
	return pool->background_percent;
}
