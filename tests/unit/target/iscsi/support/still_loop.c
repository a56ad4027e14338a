/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/target/iscsi/support/still_loop.h"

static void
task_is_queued(struct loop *loop, struct loop_task *task)
{
	(void)loop;
	task->queued = true;
}

static void
timer_is_not_there(struct loop *loop, struct loop_timer *timer)
{
	(void)loop;
	(void)timer;
}

const struct loop_ops still_loop_ops = {.defer = task_is_queued,
    .post = task_is_queued,
    .timer_disarm = timer_is_not_there};
