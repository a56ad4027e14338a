/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Armed timers, the earliest first: a binary heap in an array.  A timer knows
 * its own place (heap_index, from 1), so arming again and disarming need no
 * search: O(log n).  The array is address space reserved at the start, of
 * which the system backs what has been used: nothing is allocated later.
 *
 * Shared by the real loop and the simulator's.
 */
#ifndef BASE_TIMER_HEAP_H
#define BASE_TIMER_HEAP_H

#include "base/loop.h"

/* Far above one timer per connection and per command of a loop. */
#define TIMER_HEAP_MAX (1u << 20)

struct timer_heap {
	struct loop_timer **slots; /* 1 .. count */
	uint32_t count;
};

int timer_heap_init(struct timer_heap *heap);  /* 0 or -ENOMEM */
void timer_heap_done(struct timer_heap *heap); /* disarms those left */

/* Arms the timer, or moves it if it is armed. */
void timer_heap_arm(
    struct timer_heap *heap, struct loop_timer *timer, uint64_t at_ns);

/* No-op when not armed. */
void timer_heap_disarm(struct timer_heap *heap, struct loop_timer *timer);

/* The earliest, or NULL. */
static inline struct loop_timer *
timer_heap_first(const struct timer_heap *heap)
{
	return heap->count > 0 ? heap->slots[1] : NULL;
}

/* Removes and returns one that is due at now, or NULL. */
struct loop_timer *timer_heap_pop(struct timer_heap *heap, uint64_t now_ns);

#endif
