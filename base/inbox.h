/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tasks on their way to a loop from any thread.  Senders push onto a stack
 * with one compare-and-swap; the loop takes the whole stack with one exchange
 * and turns it round.  No locks, no ABA (nobody pops single elements), and the
 * tasks of each sender come out in the order he sent them.
 */
#ifndef BASE_INBOX_H
#define BASE_INBOX_H

#include "base/loop.h"
#include <stdatomic.h>
#include <stddef.h>

struct inbox {
	_Atomic(struct loop_task *) newest;
};

/* Sequentially consistent, as is inbox_empty(): see loop_post() in loop.c. */
static inline void
inbox_push(struct inbox *inbox, struct loop_task *task)
{
	struct loop_task *newest = atomic_load(&inbox->newest);

	do
		task->next = newest;
	while (!atomic_compare_exchange_weak(&inbox->newest, &newest, task));
}

static inline bool
inbox_empty(struct inbox *inbox)
{
	return atomic_load(&inbox->newest) == NULL;
}

/* The loop's thread only.  All tasks, oldest first, linked by next. */
static inline struct loop_task *
inbox_take(struct inbox *inbox)
{
	struct loop_task *task, *oldest = NULL;

	if (inbox_empty(inbox))
		return NULL;
	task = atomic_exchange(&inbox->newest, NULL);
	while (task != NULL) {
		struct loop_task *next = task->next;
		task->next = oldest;
		oldest = task;
		task = next;
	}
	return oldest;
}

#endif
