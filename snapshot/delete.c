/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deletion of volumes, in the background: what they hold is unmapped a slice
 * at a time, each slice with a DELSTEP record for the cursor; pages in which
 * nothing is left go at the next checkpoint; then the record goes.
 *
 * A crash resumes at the cursor, and would be right from 0 too: what is
 * unmapped already is skipped by whole subtrees.
 */
#include "base/log.h"
#include "snapshot/engine.h"
#include <string.h>

#define SLICE (16ull << 30)

static void delete_next(struct pool *pool);

static void
delete_failed(struct pool *pool, int error)
{
	struct delete_job *job = &pool->delete_job;

	log_debug("pool %s: deletion of version %u stops: %s", pool->name,
	    job->volume->id, strerror(-error));
	list_del(&job->volume->link);
	list_add_tail(&pool->stuck, &job->volume->link);
	job->volume = NULL;
	delete_next(pool);
}

static void
delete_checkpointed(struct waiter *waiter, int error)
{
	struct pool *pool =
	    container_of(waiter, struct pool, delete_job.waiter);
	struct volume *volume = pool->delete_job.volume;

	if (error < 0 || pool->delete_job.stop) {
		pool->delete_job.volume = NULL;
		return;
	}
	pool->delete_job.volume = NULL;
	version_remove(pool, volume);
	checkpoint_start(pool);
	delete_next(pool);
}

static void
delete_step(struct pool *pool)
{
	struct delete_job *job = &pool->delete_job;
	struct volume *volume = job->volume;
	uint64_t from = volume->cursor * FMT_CHUNK;
	uint64_t end = volume->size;

	if (from >= end) {
		checkpoint_wait(pool, &job->waiter);
		return;
	}
	bs_io_init(&job->io);
	job->io.op = BS_DISCARD;
	job->io.offset = from;
	job->io.length = end - from < SLICE ? end - from : SLICE;
	job->io.complete = job->complete;
	volume_submit_internal(volume, &job->io);
}

static void
delete_discarded(struct bs_io *io, int result)
{
	struct pool *pool = container_of(io, struct pool, delete_job.io);
	struct delete_job *job = &pool->delete_job;
	struct fmt_record record = {.type = FMT_DELSTEP};

	if (pool->state != POOL_ONLINE || job->stop) {
		job->volume = NULL;
		return;
	}
	if (result < 0) {
		delete_failed(pool, result);
		return;
	}
	le32_set(&record.volume, job->volume->id);
	le64_set(
	    &record.a, (io->offset + io->length + FMT_CHUNK - 1) / FMT_CHUNK);
	pool_record(pool, &record, 1);
	delete_step(pool);
}

static void
delete_next(struct pool *pool)
{
	struct delete_job *job = &pool->delete_job;
	struct volume *volume;

	if (job->volume != NULL || job->stop || pool->state != POOL_ONLINE)
		return;
	list_for_each (volume, &pool->dying, link) {
		if (!volume->deletion_durable)
			continue;
		job->volume = volume;
		delete_step(pool);
		return;
	}
}

void
delete_jobs_start(struct pool *pool)
{
	struct delete_job *job = &pool->delete_job;

	if (job->volume != NULL)
		return;
	job->complete = delete_discarded;
	waiter_init(&job->waiter, delete_checkpointed);
	job->stop = false;
	delete_next(pool);
}

void
delete_jobs_stop(struct pool *pool)
{
	pool->delete_job.stop = true;
}
