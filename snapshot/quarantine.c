/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quarantine: what is freed and may not be used again yet, until the record
 * that frees it is durable and every I/O that may have looked it up has ended
 * (I7).
 */
#include "snapshot/engine.h"
#include "snapshot/lease.h"
#include <stdlib.h>

void
quarantine_mark(struct space *space, struct lease *lease)
{
	uint64_t first = region_address(space, lease->region);
	uint64_t last = first + space->region_blocks;

	if (space->regions[lease->region].quarantined == 0)
		return;
	if (engine_breaks.i7_reuse_undurable &&
	    engine_breaks.i7_reuse_in_flight)
		return;
	for (uint64_t i = space->q_tail; i != space->q_head; i++) {
		const struct quarantine_entry *q =
		    &space->quarantine[i & (space->q_size - 1)];
		uint64_t from = q->address > first ? q->address : first;
		uint64_t to = q->address + q->run;
		if (to > last)
			to = last;
		if (from < to)
			lease_mark(lease, (uint32_t)(from - first),
			    (uint32_t)(to - from), true);
	}
}

static int
quarantine_grow(struct space *space)
{
	uint64_t size = space->q_size == 0 ? 1024 : space->q_size * 2;
	struct quarantine_entry *entries = calloc(size, sizeof(*entries));

	if (entries == NULL)
		return -ENOMEM;
	for (uint64_t i = space->q_tail; i != space->q_head; i++)
		entries[i & (size - 1)] =
		    space->quarantine[i & (space->q_size - 1)];
	free(space->quarantine);
	space->quarantine = entries;
	space->q_size = size;
	return 0;
}

void
quarantine_add(struct pool *pool, uint64_t address, uint32_t run, uint64_t lsn)
{
	struct space *space = &pool->space;
	int result = 0;

	/* A freed block that nobody remembers is free after the next open. */
	if (space->q_head - space->q_tail == space->q_size)
		result = quarantine_grow(space);
	assert(result == 0);
	space->quarantine[space->q_head++ & (space->q_size - 1)] =
	    (struct quarantine_entry){
		.address = address,
		.run = run,
		.lsn = lsn,
		.grace = space->grace,
	    };
	space->regions[region_of(space, address)].quarantined += run;
}

static void
quarantine_give_back(struct pool *pool, const struct quarantine_entry *q)
{
	struct space *space = &pool->space;
	uint64_t number = region_of(space, q->address);
	struct region *region = &space->regions[number];

	assert(region->quarantined >= q->run);
	region->quarantined -= q->run;
	if (region->lease != NULL)
		lease_mark(region->lease, region_block(space, q->address),
		    q->run, false);
	region_check_empty(pool, number);
}

/* An I/O began in grace n holds back what was freed in n: it may have looked
 * it up before.  The number moves on when the one before it has drained. */
static bool
quarantine_over(struct pool *pool, const struct quarantine_entry *q)
{
	struct space *space = &pool->space;
	uint32_t age;

	if (q->lsn >= pool->redo.durable_lsn &&
	    !engine_breaks.i7_reuse_undurable)
		return false;
	if (engine_breaks.i7_reuse_in_flight)
		return true;
	if (space->grace_io[(space->grace - 1) & 1] == 0 &&
	    q->grace == space->grace)
		space->grace++;
	age = space->grace - q->grace;
	return age >= 2 || (age == 1 && space->grace_io[q->grace & 1] == 0);
}

void
quarantine_release(struct pool *pool)
{
	struct space *space = &pool->space;
	bool any = false;

	if (space->releasing)
		return; /* region_check_empty came by */
	space->releasing = true;
	while (space->q_tail != space->q_head) {
		struct quarantine_entry q =
		    space->quarantine[space->q_tail & (space->q_size - 1)];
		if (!quarantine_over(pool, &q))
			break;
		space->q_tail++;
		quarantine_give_back(pool, &q);
		any = true;
	}
	space->releasing = false;
	if (!any)
		return;
	space_level(pool);
	waiters_wake(&space->waiting, 0);
}

static void
release_task(struct loop_task *task)
{
	quarantine_release(container_of(task, struct pool, space.task));
}

void
quarantine_release_later(struct pool *pool)
{
	if (pool->space.task.queued)
		return;
	pool->space.task.run = release_task;
	loop_defer(pool->loop, &pool->space.task);
}
