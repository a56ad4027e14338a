/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/call.h"

static void
call_at_home(struct loop_task *task)
{
	struct call *call = container_of(task, struct call, task);

	assert(call->running);
	call->running = false;
	call->done(call);
}

static void
call_away(struct loop_task *task)
{
	struct call *call = container_of(task, struct call, task);

	call->run(call);
}

void
call_start(struct call *call, struct loop *home, struct loop *away)
{
	assert(!call->running);
	assert(call->run != NULL && call->done != NULL);
	call->running = true;
	call->result = 0;
	call->home = home;
	call->away = away;
	call->task = (struct loop_task){.run = call_away};
	loop_post(away, &call->task);
}

void
call_finish(struct call *call, int result)
{
	assert(loop_is_current(call->away));
	call->result = result;
	call->task = (struct loop_task){.run = call_at_home};
	loop_post(call->home, &call->task);
}
