/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine opens the pool for writing, which replays the log, and closes it,
 * which ends in a checkpoint.  Below it lie overlays: the devices are only
 * read.
 */
#include "backstores/overlay.h"
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include "snapshot/pool.h"
#include <errno.h>
#include <string.h>

#define CACHE_BYTES (16u << 20)
#define IO_MAX      16u

struct wait {
	struct pool_request request;
	bool done;
	int result;
};

static void
wait_done(struct pool_request *request, int result)
{
	struct wait *wait = container_of(request, struct wait, request);

	wait->result = result;
	wait->done = true;
}

static int
wait_end(struct check *check, struct wait *wait)
{
	while (!wait->done)
		check->step(check->step_arg);
	return wait->result;
}

static int
overlays_open(struct check *check, struct check_recovery *recovery)
{
	unsigned devices = le32_get(&check->super.device_count);

	for (unsigned i = 0; i < devices; i++) {
		unsigned n = recovery->count;
		if (check->device[i] == NULL)
			continue; /* removed */
		recovery->base[n] = check->device[i];
		recovery->overlay[n] = overlay_new(check->device[i]);
		if (recovery->overlay[n] == NULL)
			return -ENOMEM;
		recovery->bs[n] = overlay_open(recovery->overlay[n]);
		recovery->count++;
	}
	return 0;
}

/* -EROFS: this program may not write the pool, so it cannot say what the
 * records mean; that is no fault of the pool. */
static void
recovery_failed(struct check *check, const struct wait *wait)
{
	if (wait->result == -ENOMEM)
		check->error = -ENOMEM;
	else if (wait->result == -EROFS)
		check_find(check, CHECK_NOTE, "log.newer",
		    "the records of the log were not looked at: %s",
		    wait->request.problem);
	else
		check_find(check, CHECK_DAMAGE, "log.recovery",
		    "the log cannot be recovered: %s",
		    wait->request.problem[0] != 0 ? wait->request.problem
						  : strerror(-wait->result));
}

/* It closes its backstores with itself. */
static bool
pool_done(
    struct check *check, struct check_recovery *recovery, struct pool *pool)
{
	struct wait wait = {.request.done = wait_done};
	struct pool_stat stat;

	pool_stat_get(pool, &stat);
	pool_close(pool, &wait.request);
	wait_end(check, &wait);
	assert(wait.result != -EBUSY);
	for (unsigned i = 0; i < recovery->count; i++)
		recovery->bs[i] = NULL;
	if (wait.result == 0)
		return true;
	if (stat.problem[0] != 0)
		memcpy(wait.request.problem, stat.problem,
		    sizeof(wait.request.problem));
	recovery_failed(check, &wait);
	return false;
}

bool
check_recover(struct check *check, struct check_recovery *ret_recovery)
{
	const struct pool_limits limits = {
	    .cache_bytes = CACHE_BYTES, .io_max = IO_MAX};
	struct check_recovery *recovery = ret_recovery;
	struct wait wait = {.request.done = wait_done};

	*recovery = (struct check_recovery){.count = 0};
	if (overlays_open(check, recovery) < 0) {
		check->error = -ENOMEM;
		return false;
	}
	pool_open(recovery->bs[0]->loop, recovery->bs, recovery->count, &limits,
	    false, &wait.request);
	if (wait_end(check, &wait) < 0) {
		recovery_failed(check, &wait);
		return false;
	}
	if (!pool_done(check, recovery, wait.request.pool))
		return false;
	for (unsigned i = 0; i < recovery->count; i++)
		recovery->bs[i] = overlay_open(recovery->overlay[i]);
	return true;
}

static void
closed(void *arg)
{
	*(bool *)arg = true;
}

void
recovery_done(struct check *check, struct check_recovery *recovery)
{
	for (unsigned i = 0; i < recovery->count; i++) {
		bool done = recovery->bs[i] == NULL;
		if (!done)
			bs_close(recovery->bs[i], closed, &done);
		while (!done)
			check->step(check->step_arg);
		overlay_free(recovery->overlay[i]);
	}
}

struct check
check_of_recovered(const struct check *first, struct check_recovery *recovery)
{
	return (struct check){.bs = recovery->bs,
	    .bs_count = recovery->count,
	    .step = first->step,
	    .step_arg = first->step_arg,
	    .report = first->report,
	    .again = true};
}
