/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A call to another loop: run() there, then done() at home.  Pools and LUNs
 * are only touched on their own loop; everything else of varved lives on the
 * control loop, its home.  The owner embeds a call and keeps it until done().
 *
 * Calls to one loop run in the order they were started: what was asked about
 * a LUN before it is closed is answered before it is closed.
 */
#ifndef TARGET_CALL_H
#define TARGET_CALL_H

#include "base/loop.h"

struct call {
	/* There: ends in exactly one call_finish, at once or later. */
	void (*run)(struct call *call);
	/* At home; may free or start the call again. */
	void (*done)(struct call *call);
	int result;
	/* call.c's */
	struct loop *home, *away;
	struct loop_task task;
	bool running;
};

/* Fill in run and done first. */
void call_start(struct call *call, struct loop *home, struct loop *away);

/* On the loop that run() was called on. */
void call_finish(struct call *call, int result);

#endif
