/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/timer_heap.h"
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>

/* slot 0 is never used, so that 0 can say "not armed" */
#define HEAP_BYTES ((TIMER_HEAP_MAX + 1) * sizeof(struct loop_timer *))

int
timer_heap_init(struct timer_heap *heap)
{
	void *slots = mmap(NULL, HEAP_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (slots == MAP_FAILED)
		return -ENOMEM;
	heap->slots = slots;
	heap->count = 0;
	return 0;
}

void
timer_heap_done(struct timer_heap *heap)
{
	for (uint32_t i = 1; i <= heap->count; i++)
		heap->slots[i]->heap_index = 0;
	munmap(heap->slots, HEAP_BYTES);
	heap->slots = NULL;
	heap->count = 0;
}

static void
heap_place(struct timer_heap *heap, uint32_t index, struct loop_timer *timer)
{
	heap->slots[index] = timer;
	timer->heap_index = index;
}

/* Puts timer at index or as far above it as it belongs. */
static void
heap_rise(struct timer_heap *heap, uint32_t index, struct loop_timer *timer)
{
	while (index > 1 && timer->at_ns < heap->slots[index / 2]->at_ns) {
		heap_place(heap, index, heap->slots[index / 2]);
		index /= 2;
	}
	heap_place(heap, index, timer);
}

/* Puts timer at index or as far below it as it belongs. */
static void
heap_sink(struct timer_heap *heap, uint32_t index, struct loop_timer *timer)
{
	struct loop_timer **slots = heap->slots;
	uint32_t child;

	while ((child = 2 * index) <= heap->count) {
		if (child < heap->count &&
		    slots[child + 1]->at_ns < slots[child]->at_ns)
			child++;
		if (timer->at_ns <= slots[child]->at_ns)
			break;
		heap_place(heap, index, slots[child]);
		index = child;
	}
	heap_place(heap, index, timer);
}

static void
heap_settle(struct timer_heap *heap, uint32_t index, struct loop_timer *timer)
{
	if (index > 1 && timer->at_ns < heap->slots[index / 2]->at_ns)
		heap_rise(heap, index, timer);
	else
		heap_sink(heap, index, timer);
}

static void
heap_check(const struct timer_heap *heap, const struct loop_timer *timer)
{
	assert(timer->heap_index <= heap->count);
	assert(heap->slots[timer->heap_index] == timer);
}

void
timer_heap_arm(
    struct timer_heap *heap, struct loop_timer *timer, uint64_t at_ns)
{
	timer->at_ns = at_ns;
	if (loop_timer_armed(timer)) {
		heap_check(heap, timer);
		heap_settle(heap, timer->heap_index, timer);
		return;
	}
	assert(heap->count < TIMER_HEAP_MAX);
	heap->count++;
	heap_rise(heap, heap->count, timer);
}

void
timer_heap_disarm(struct timer_heap *heap, struct loop_timer *timer)
{
	uint32_t index = timer->heap_index;
	struct loop_timer *last;

	if (!loop_timer_armed(timer))
		return;
	heap_check(heap, timer);
	last = heap->slots[heap->count];
	heap->count--;
	timer->heap_index = 0;
	if (last != timer)
		heap_settle(heap, index, last);
}

struct loop_timer *
timer_heap_pop(struct timer_heap *heap, uint64_t now_ns)
{
	struct loop_timer *timer = timer_heap_first(heap);

	if (timer == NULL || timer->at_ns > now_ns)
		return NULL;
	timer_heap_disarm(heap, timer);
	return timer;
}
