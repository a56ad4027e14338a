/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quotas and reservations: setting them, and counting anew what they go by
 * when families change.
 */
#include "base/size.h"
#include "snapshot/engine.h"
#include "snapshot/quota.h"
#include "snapshot/reserve.h"

void
limits_look(struct pool *pool)
{
	struct volume *volume;

	pool->limits_stale = false;
	list_for_each (volume, &pool->volumes, link) {
		quota_look(volume);
		reserve_look(volume);
	}
}

int
limits_check(struct operation *op, const struct volume_params *p)
{
	uint64_t quota = p->quota, reserve = p->reserve;

	if (quota % FMT_BLOCK != 0 || quota > FMT_LIMIT_MAX)
		operation_problem(
		    op, "a quota is a multiple of 4 KiB up to 1 EiB");
	else if (reserve % FMT_BLOCK != 0 || reserve > FMT_LIMIT_MAX)
		operation_problem(
		    op, "a reservation is a multiple of 4 KiB up to 1 EiB");
	else if (reserve != 0 && p->cow_unit != FMT_BLOCK)
		operation_problem(
		    op, "only volumes with a cow unit of 4K have reservations");
	else if (reserve != 0 && quota != 0 && reserve > quota &&
		 p->size > quota)
		operation_problem(op, "the reservation is over the quota");
	else
		return 0;
	return -EINVAL;
}

int
limits_room(struct operation *op, uint64_t lacks, const char *for_what)
{
	char missing[SIZE_TEXT_MAX], free[SIZE_TEXT_MAX], aside[SIZE_TEXT_MAX];
	struct pool *pool = op->pool;

	if (lacks == 0)
		return 0;
	operation_problem(op,
	    "%s has %s too little for %s: %s are free, %s of that set aside"
	    " already",
	    pool->name, size_format(lacks * FMT_BLOCK, missing), for_what,
	    size_format(space_free_bytes(pool), free),
	    size_format(reserve_total(pool) * FMT_BLOCK, aside));
	return -ENOSPC;
}

/* ---- from outside ---- */

static int
set_run(struct operation *op)
{
	struct volume *volume = op->volume;
	struct volume_params *p = &op->params;
	int result = operation_check(op);

	if (result < 0)
		return result;
	if (volume->state != FMT_VERSION_HEAD) {
		operation_problem(op, "%s is no volume", volume->name);
		return -EINVAL;
	}
	p->size = volume->size;
	p->cow_unit = 1u << volume->cow_shift;
	if (p->quota == VOLUME_LIMIT_AS_IT_IS)
		p->quota = quota_bytes(volume);
	if (p->reserve == VOLUME_LIMIT_AS_IT_IS)
		p->reserve = reserve_bytes(volume);
	result = limits_check(op, p);
	if (result == 0)
		result = limits_room(op,
		    reserve_lacks(op->pool, volume, p->reserve, p->size),
		    "this reservation");
	if (result < 0)
		return result;
	quota_set(volume, p->quota);
	quota_look(volume);
	reserve_set(volume, p->reserve);
	reserve_look(volume);
	volume_changed(volume);
	op->pool->needs_write = true;
	op->request->volume = volume;
	return operation_checkpoint(op, operation_done);
}

void
volume_set_limits(struct pool *pool, struct volume *volume, uint64_t quota,
    uint64_t reserve, struct pool_request *request)
{
	struct operation *op = operation_on(request, set_run, volume, NULL);

	op->params.quota = quota;
	op->params.reserve = reserve;
	operation_queue(pool, op);
}
