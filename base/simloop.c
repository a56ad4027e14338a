/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Three kinds of events wait here: calls deferred, tasks posted, timers.  Each
 * of the two queues keeps its order, as on a real loop; which of them goes
 * first is drawn, as it is by chance there.  Timers run when no task is left,
 * in the order of their time.  A random share of a microsecond is added to
 * each, so that timers armed for the same instant come in any order: a timer
 * promises "not before", and nothing between two timers of one instant.
 */
#include "base/simloop.h"
#include "base/buf.h"
#include "base/timer_heap.h"
#include <errno.h>
#include <stdlib.h>

#define TIE_BREAK_NS 1000

struct task_queue {
	struct loop_task *first, **last_next;
};

struct simloop {
	struct loop loop; /* first */
	uint64_t random;
	uint64_t now_ns;
	struct task_queue deferred, posted;
	struct timer_heap timers;
};

static inline struct simloop *
simloop_of(struct loop *loop)
{
	return container_of(loop, struct simloop, loop);
}

/* xorshift64* (Vigna 2016): period 2^64 - 1, the state is never 0. */
uint64_t
sim_random(uint64_t *state)
{
	uint64_t x = *state;

	if (x == 0)
		x = 0x9e3779b97f4a7c15ull;
	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	*state = x;
	return x * 0x2545f4914f6cdd1dull;
}

uint64_t
sim_below(uint64_t *state, uint64_t limit)
{
	assert(limit > 0);
	/* the high bits of a product: no bias that a test could notice */
	return (uint64_t)(((unsigned __int128)sim_random(state) * limit) >> 64);
}

/* ---- queues ---- */

static void
queue_init(struct task_queue *queue)
{
	queue->first = NULL;
	queue->last_next = &queue->first;
}

static void
queue_push(struct task_queue *queue, struct loop_task *task)
{
	assert(!task->queued);
	task->queued = true;
	task->next = NULL;
	*queue->last_next = task;
	queue->last_next = &task->next;
}

static struct loop_task *
queue_pop(struct task_queue *queue)
{
	struct loop_task *task = queue->first;

	if (task == NULL)
		return NULL;
	queue->first = task->next;
	if (queue->first == NULL)
		queue->last_next = &queue->first;
	task->next = NULL;
	task->queued = false;
	return task;
}

/* ---- the loop's operations ---- */

static uint64_t
simloop_now(struct loop *loop)
{
	return simloop_of(loop)->now_ns;
}

static void
simloop_timer_arm(struct loop *loop, struct loop_timer *timer, uint64_t at_ns)
{
	struct simloop *sim = simloop_of(loop);

	timer_heap_arm(
	    &sim->timers, timer, at_ns + sim_below(&sim->random, TIE_BREAK_NS));
}

static void
simloop_timer_disarm(struct loop *loop, struct loop_timer *timer)
{
	timer_heap_disarm(&simloop_of(loop)->timers, timer);
}

static void
simloop_post(struct loop *loop, struct loop_task *task)
{
	queue_push(&simloop_of(loop)->posted, task);
}

static void
simloop_defer(struct loop *loop, struct loop_task *task)
{
	queue_push(&simloop_of(loop)->deferred, task);
}

/* One thread runs everything. */
static bool
simloop_is_current(struct loop *loop)
{
	(void)loop;
	return true;
}

static const struct loop_ops simloop_ops = {
    .now = simloop_now,
    .timer_arm = simloop_timer_arm,
    .timer_disarm = simloop_timer_disarm,
    .post = simloop_post,
    .defer = simloop_defer,
    .is_current = simloop_is_current,
};

/* ---- running ---- */

static struct loop_task *
next_task(struct simloop *sim)
{
	struct task_queue *queue = &sim->deferred, *other = &sim->posted;

	if (sim->posted.first != NULL && sim_below(&sim->random, 2) == 0) {
		queue = &sim->posted;
		other = &sim->deferred;
	}
	if (queue->first == NULL)
		queue = other;
	return queue_pop(queue);
}

bool
simloop_step(struct loop *loop)
{
	struct simloop *sim = simloop_of(loop);
	struct loop_task *task = next_task(sim);
	struct loop_timer *timer;

	if (task != NULL) {
		task->run(task);
		return true;
	}
	timer = timer_heap_pop(&sim->timers, UINT64_MAX);
	if (timer == NULL)
		return false;
	if (timer->at_ns > sim->now_ns)
		sim->now_ns = timer->at_ns;
	timer->expire(timer);
	return true;
}

bool
simloop_run_until(struct loop *loop, const bool *stop)
{
	while (!*stop)
		if (!simloop_step(loop))
			return false;
	return true;
}

void
simloop_power_off(struct loop *loop)
{
	struct simloop *sim = simloop_of(loop);

	while (queue_pop(&sim->deferred) != NULL)
		;
	while (queue_pop(&sim->posted) != NULL)
		;
	while (timer_heap_pop(&sim->timers, UINT64_MAX) != NULL)
		;
	buf_pool_reset(loop->bufs);
}

void
simloop_power_on(struct loop *loop, uint64_t seed)
{
	struct simloop *sim = simloop_of(loop);

	assert(sim->deferred.first == NULL);
	assert(sim->posted.first == NULL);
	assert(sim->timers.count == 0);
	sim->random = seed * 0x9e3779b97f4a7c15ull + 1; /* 1, 2, 3 ... differ */
	sim->now_ns = NSEC_PER_SEC; /* a clock that shows 0 hides errors */
}

/* ---- life ---- */

int
simloop_new(uint64_t seed, uint64_t bytes, struct loop **ret_loop)
{
	struct simloop *sim = calloc(1, sizeof(*sim));

	if (sim == NULL)
		return -ENOMEM;
	sim->loop.ops = &simloop_ops;
	queue_init(&sim->deferred);
	queue_init(&sim->posted);
	if (timer_heap_init(&sim->timers) < 0)
		goto no_timers;
	sim->loop.bufs = buf_pool_new(bytes);
	if (sim->loop.bufs == NULL)
		goto no_buffers;
	simloop_power_on(&sim->loop, seed);
	*ret_loop = &sim->loop;
	return 0;

no_buffers:
	timer_heap_done(&sim->timers);
no_timers:
	free(sim);
	return -ENOMEM;
}

void
simloop_free(struct loop *loop)
{
	struct simloop *sim = simloop_of(loop);

	assert(sim->deferred.first == NULL);
	assert(sim->posted.first == NULL);
	timer_heap_done(&sim->timers);
	buf_pool_free(loop->bufs);
	free(sim);
}
