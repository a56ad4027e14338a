/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/base/support/one_loop.h"
#include <string.h>

struct one_loop one;

void
note(char name)
{
	assert(one.note_count < NOTES_MAX);
	one.notes[one.note_count++] = name;
}

static void
named_run(struct loop_task *task)
{
	assert(loop_is_current(one.loop));
	note(container_of(task, struct named_task, task)->name);
}

struct named_task
named(char name)
{
	return (struct named_task){{.run = named_run}, name};
}

static void
stop_run(struct loop_task *task)
{
	(void)task;
	loop_stop(one.loop);
}

static void
stop_expire(struct loop_timer *timer)
{
	(void)timer;
	loop_stop(one.loop);
}

void
run_with(void (*first)(struct loop_task *task))
{
	struct loop_task task = {.run = first};

	loop_post(one.loop, &task);
	loop_run(one.loop);
}

static int
one_loop_new(unsigned entries)
{
	struct loop_params params = {
	    .index = 7, .entries = entries, .buffer_bytes = 1, .cpu = -1};

	memset(&one, 0, sizeof(one));
	one.stop_task.run = stop_run;
	one.stop_timer.expire = stop_expire;
	return loop_new(&params, &one.loop);
}

int
one_loop_setup(void **state)
{
	(void)state;
	return one_loop_new(64);
}

int
one_loop_setup_small(void **state)
{
	(void)state;
	return one_loop_new(4);
}

int
one_loop_teardown(void **state)
{
	(void)state;
	loop_free(one.loop);
	return 0;
}
