/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool is checked while it goes on: a checkpoint is pinned, and between any
 * two reads of the check hosts and administrators do what they always do.
 * Whatever the check finds is a fault.
 *
 * Power may go in its midst.  Then the check's memory is left to the end of the
 * process, as the engine's is.
 */
#include "snapshot/check.h"
#include "snapshot/pin.h"
#include "tests/sim/family.h"
#include "tests/waited.h"
#include <errno.h>
#include <setjmp.h>
#include <string.h>

static jmp_buf power_goes;

bool
start_check_online(struct world *world)
{
	if (world->online != ONLINE_NOT)
		return false;
	control_begin(world, CONTROL_CHECK_ONLINE, NULL);
	pool_pin(world->pool, &world->pin, &world->request);
	return true;
}

void
done_check_online(struct world *world, struct sim_volume *volume)
{
	(void)volume;
	world->online = ONLINE_PINNED;
}

static void
online_finding(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	struct world *world = arg;

	if (severity != CHECK_NOTE)
		sim_fail(world, "online check: %s: %s", code, text);
}

/* The world goes on by one event. */
static void
online_step(void *arg)
{
	struct world *world = arg;

	work_step(world);
	if (world->power_failed)
		longjmp(power_goes, 1);
}

static void
online_run(struct world *world)
{
	struct check_report report = {.finding = online_finding, .arg = world};
	struct backstore *view[POOL_DEVICE_MAX];
	int r;

	for (unsigned i = 0; i < world->pin.count; i++)
		view[i] = pin_view(&world->pin, i, world->loop);
	r = pool_check_pinned(&world->pin, view, online_step, world, &report);
	for (unsigned i = 0; i < world->pin.count; i++) {
		bool done = false;
		bs_close(view[i], waited_closed, &done);
		while (!done)
			online_step(world);
	}
	if (r == -ECANCELED && pool_pin_lost(&world->pin) == -ENOSPC)
		world->tally->online_lost++;
	else if (r < 0)
		sim_fail(world, "online check: %s", strerror(-r));
	else
		world->tally->online_checks++;
	pool_unpin(&world->pin);
}

void
online_go_on(struct world *world)
{
	bool spared;

	if (world->online != ONLINE_PINNED)
		return;
	/* it takes longer than power mostly stays */
	spared = chance(world, 700);
	if (spared)
		world_arm(world, 0);
	world->online = ONLINE_CHECKING;
	if (setjmp(power_goes) != 0)
		return;
	if (pool_pin_lost(&world->pin) == 0)
		online_run(world);
	world->online = ONLINE_NOT;
	if (spared)
		world_arm(world, 1 + below(world, world->scenario->cut_ticks));
}
