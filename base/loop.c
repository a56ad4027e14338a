/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The loop over a real ring.  A turn is
 *
 *	tasks        posted by other threads, then deferred, until none is left
 *	enter        one system call: submit all SQEs, wait if nothing is to do
 *	completions  those that are there now
 *	timers       those that are due now
 *
 * Whatever completions and timers defer thus runs before the loop can block.
 * Time is read after the wait and stands still until the next.
 *
 * Waking: a loop about to block says so in `asleep`, then looks at its inbox a
 * last time.  A sender puts his task into the inbox, then looks at `asleep`.
 * In the one order of all sequentially consistent operations one of the two
 * comes first, so either the loop finds the task or the sender finds the loop
 * asleep and writes to its eventfd; a loop at work costs its senders no system
 * call.  The ring watches the eventfd with one multishot poll.  Nobody reads
 * it: each write is an edge, and 2^64 of them do not happen.
 */
#include "base/loop.h"
#include "base/buf.h"
#include "base/inbox.h"
#include "base/log.h"
#include "base/offload.h"
#include "base/ring.h"
#include "base/thread.h"
#include "base/timer_heap.h"
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define ENTRIES_DEFAULT      1024u
#define BUFFER_BYTES_DEFAULT (64ull << 20)

struct reactor {
	struct loop loop; /* first: see struct loop */
	struct ring ring;
	uint64_t now_ns;
	struct timer_heap timers;
	struct loop_task *deferred, **deferred_end; /* oldest first */
	unsigned in_flight;                         /* struct loop_io */
	unsigned offloaded;                         /* struct loop_work */
	struct offload *offload;
	struct loop_stats stats;
	struct loop_io wake_io;
	int cpu;
	char name[16];
	pthread_t thread;

	/* what other threads and signal handlers touch */
	_Alignas(64) struct inbox inbox;
	atomic_bool asleep;
	atomic_bool stopping;
	int wake_fd;
};

/* The loop whose loop_run() is on this thread's stack. */
static _Thread_local struct loop *current;

static const struct loop_ops reactor_ops;

static struct reactor *
reactor_of(struct loop *loop)
{
	assert(loop->ops == &reactor_ops);
	return container_of(loop, struct reactor, loop);
}

static uint64_t
clock_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

/* ---- Tasks, from here and from other threads ---- */

/* Only atomics and write(2): loop_stop() calls it from signal handlers. */
static void
reactor_wake(struct reactor *r)
{
	const uint64_t one = 1;
	int saved_errno = errno;
	ssize_t ret;

	if (!atomic_load(&r->asleep) || !atomic_exchange(&r->asleep, false))
		return;
	ret = write(r->wake_fd, &one, sizeof(one));
	assert(ret == sizeof(one));
	errno = saved_errno;
}

static void
reactor_post(struct loop *loop, struct loop_task *task)
{
	struct reactor *r = reactor_of(loop);

	assert(!task->queued);
	task->queued = true;
	inbox_push(&r->inbox, task);
	reactor_wake(r);
}

static void
deferred_add(struct reactor *r, struct loop_task *task)
{
	task->next = NULL;
	*r->deferred_end = task;
	r->deferred_end = &task->next;
}

static void
reactor_defer(struct loop *loop, struct loop_task *task)
{
	assert(!task->queued);
	task->queued = true;
	deferred_add(reactor_of(loop), task);
}

static struct loop_task *
deferred_pop(struct reactor *r)
{
	struct loop_task *task = r->deferred;

	if (task == NULL)
		return NULL;
	r->deferred = task->next;
	if (r->deferred == NULL)
		r->deferred_end = &r->deferred;
	return task;
}

/* The inbox is emptied once: a task that posts itself lets the turn end. */
static void
tasks_run(struct reactor *r)
{
	struct loop_task *task = inbox_take(&r->inbox);

	while (task != NULL) {
		struct loop_task *next = task->next;
		deferred_add(r, task);
		r->stats.posts++;
		task = next;
	}
	while ((task = deferred_pop(r)) != NULL) {
		task->queued = false;
		task->run(task);
	}
}

/* ---- Timers ---- */

static uint64_t
reactor_now(struct loop *loop)
{
	return reactor_of(loop)->now_ns;
}

static void
reactor_timer_arm(struct loop *loop, struct loop_timer *timer, uint64_t at_ns)
{
	struct reactor *r = reactor_of(loop);

	/* after now: what is armed in this turn expires in a later one, so a
	 * timer that arms itself with no delay does not hold the loop */
	if (at_ns <= r->now_ns)
		at_ns = r->now_ns + 1;
	timer_heap_arm(&r->timers, timer, at_ns);
}

static void
reactor_timer_disarm(struct loop *loop, struct loop_timer *timer)
{
	timer_heap_disarm(&reactor_of(loop)->timers, timer);
}

static void
timers_run(struct reactor *r)
{
	struct loop_timer *timer;

	while ((timer = timer_heap_pop(&r->timers, r->now_ns)) != NULL) {
		r->stats.timers++;
		timer->expire(timer);
	}
}

/* ---- I/O ---- */

/* What the system calls may say without a mistake of ours: a signal, the
 * timeout, or a kernel short of memory until some of our I/O completes. */
static void
enter_check(int ret)
{
	if (ret >= 0)
		return;
	assert(
	    ret == -EINTR || ret == -ETIME || ret == -EAGAIN || ret == -EBUSY);
}

/* The queue is full in the middle of a turn: completions stay in theirs. */
static struct io_uring_sqe *
sqe_get(struct reactor *r)
{
	struct io_uring_sqe *sqe;

	while ((sqe = io_uring_get_sqe(&r->ring.uring)) == NULL) {
		r->stats.syscalls++;
		enter_check(io_uring_submit(&r->ring.uring));
	}
	r->stats.sqes++;
	return sqe;
}

struct io_uring_sqe *
loop_sqe(struct loop *loop, struct loop_io *io)
{
	struct reactor *r = reactor_of(loop);
	struct io_uring_sqe *sqe;

	assert(loop == current);
	ASSERT_MAGIC(io, LOOP_IO_MAGIC);
	assert(io->done != NULL);
	assert(!io->in_flight);
	sqe = sqe_get(r);
	io->in_flight = true;
	r->in_flight++;
	io_uring_sqe_set_data(sqe, io);
	return sqe;
}

void
loop_cancel(struct loop *loop, struct loop_io *io)
{
	struct io_uring_sqe *sqe;

	assert(loop == current);
	ASSERT_MAGIC(io, LOOP_IO_MAGIC);
	assert(io->in_flight);
	sqe = sqe_get(reactor_of(loop));
	io_uring_prep_cancel(sqe, io, 0);
	/* io's own completion tells all there is to know */
	io_uring_sqe_set_data(sqe, NULL);
}

static void
completion_run(
    struct reactor *r, struct loop_io *io, int result, uint32_t flags)
{
	if (io == NULL) /* of a cancel */
		return;
	ASSERT_MAGIC(io, LOOP_IO_MAGIC);
	assert(io->in_flight);
	if ((flags & IORING_CQE_F_MORE) == 0) {
		assert(r->in_flight > 0);
		r->in_flight--;
		io->in_flight = false;
	}
	io->done(io, result, flags);
}

/* Those there at the start: a kernel that completes as fast as we submit must
 * not keep timers and tasks waiting.  Each leaves the queue before its done(),
 * which may submit. */
static void
completions_run(struct reactor *r)
{
	unsigned ready = io_uring_cq_ready(&r->ring.uring);
	struct io_uring_cqe *cqe;

	r->stats.cqes += ready;
	while (ready-- > 0 && io_uring_peek_cqe(&r->ring.uring, &cqe) == 0) {
		struct loop_io *io = io_uring_cqe_get_data(cqe);
		int result = cqe->res;
		uint32_t flags = cqe->flags;
		io_uring_cqe_seen(&r->ring.uring, cqe);
		completion_run(r, io, result, flags);
	}
}

/* Submits, and waits for a completion or the first timer. */
static int
enter_and_wait(struct reactor *r)
{
	const struct loop_timer *timer = timer_heap_first(&r->timers);
	struct __kernel_timespec ts = {0};
	struct io_uring_cqe *cqe;
	uint64_t now_ns;

	if (timer == NULL)
		return io_uring_submit_and_wait(&r->ring.uring, 1);
	now_ns = clock_now(); /* the turn has taken its time */
	if (timer->at_ns > now_ns) {
		ts.tv_sec = (long long)((timer->at_ns - now_ns) / NSEC_PER_SEC);
		ts.tv_nsec =
		    (long long)((timer->at_ns - now_ns) % NSEC_PER_SEC);
	}
	return io_uring_submit_and_wait_timeout(
	    &r->ring.uring, &cqe, 1, &ts, NULL);
}

/* The one system call of a turn.  A full completion queue needs no care: what
 * did not fit waits in the kernel and follows with the next call. */
static void
reactor_enter(struct reactor *r)
{
	int ret;

	atomic_store(&r->asleep, true);
	if (inbox_empty(&r->inbox) && !atomic_load(&r->stopping))
		ret = enter_and_wait(r);
	else
		ret = io_uring_submit_and_get_events(&r->ring.uring);
	atomic_store(&r->asleep, false);
	enter_check(ret);
	r->stats.syscalls++;
	r->now_ns = clock_now();
}

static void
wake_arm(struct reactor *r)
{
	struct io_uring_sqe *sqe = loop_sqe(&r->loop, &r->wake_io);

	io_uring_prep_poll_multishot(sqe, r->wake_fd, POLLIN);
}

/* The inbox is looked at in every turn; there is only the poll to care for.
 * It ends by itself when the completion queue overflows. */
static void
wake_done(struct loop_io *io, int result, uint32_t flags)
{
	struct reactor *r = container_of(io, struct reactor, wake_io);
	uint64_t count;
	ssize_t ret;

	assert(result >= 0 || result == -ECANCELED || result == -ENOMEM);
	if ((flags & IORING_CQE_F_MORE) != 0)
		return;
	/* a new poll starts with the level, not the edge */
	ret = read(r->wake_fd, &count, sizeof(count));
	assert(ret == sizeof(count) || errno == EAGAIN);
	wake_arm(r);
}

/* ---- Registered files, helper threads, counters ---- */

int
loop_file_register(struct loop *loop, int fd)
{
	assert(loop == current);
	return ring_file_register(&reactor_of(loop)->ring, fd);
}

void
loop_file_unregister(struct loop *loop, int slot)
{
	assert(loop == current);
	ring_file_unregister(&reactor_of(loop)->ring, slot);
}

static void
work_done(struct loop_task *task)
{
	struct loop_work *work = container_of(task, struct loop_work, task);
	struct reactor *r = reactor_of(work->loop);

	assert(r->offloaded > 0);
	r->offloaded--;
	work->done(work);
}

/* No thread can be had: slow is better than not at all. */
static void
work_run_here(struct loop_task *task)
{
	struct loop_work *work = container_of(task, struct loop_work, task);

	work->run(work);
	work_done(task);
}

void
loop_offload(struct loop *loop, struct loop_work *work)
{
	struct reactor *r = reactor_of(loop);

	assert(loop == current);
	assert(work->run != NULL && work->done != NULL);
	work->loop = loop;
	work->task = (struct loop_task){.run = work_done};
	r->offloaded++;
	if (offload_submit(r->offload, work) == 0)
		return;
	work->task.run = work_run_here;
	loop_defer(loop, &work->task);
}

void
loop_stats_get(struct loop *loop, struct loop_stats *ret_stats)
{
	*ret_stats = reactor_of(loop)->stats;
}

/* ---- Life ---- */

static bool
reactor_is_current(struct loop *loop)
{
	return loop == current;
}

static const struct loop_ops reactor_ops = {
    .now = reactor_now,
    .timer_arm = reactor_timer_arm,
    .timer_disarm = reactor_timer_disarm,
    .post = reactor_post,
    .defer = reactor_defer,
    .is_current = reactor_is_current,
};

static void
reactor_settle(const struct reactor *r)
{
	cpu_set_t set;

	if (r->name[0] != '\0')
		thread_set_name(r->name);
	if (r->cpu < 0)
		return;
	CPU_ZERO(&set);
	CPU_SET((unsigned)r->cpu, &set);
	if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
		log_debug(
		    "loop %u: cannot run on CPU %d", r->loop.index, r->cpu);
}

/* What follows the tasks of a turn. */
static void
reactor_events(struct reactor *r)
{
	reactor_enter(r);
	completions_run(r);
	timers_run(r);
	r->stats.turns++;
}

void
loop_run(struct loop *loop)
{
	struct reactor *r = reactor_of(loop);

	assert(current == NULL);
	current = loop;
	reactor_settle(r);
	ring_start(&r->ring);
	if (!r->wake_io.in_flight)
		wake_arm(r);
	r->now_ns = clock_now();
	for (;;) {
		tasks_run(r);
		if (atomic_load(&r->stopping))
			break;
		reactor_events(r);
	}
	atomic_store(&r->stopping, false);
	ring_stop(&r->ring);
	current = NULL;
}

/* In the middle of a turn of loop_run(): each list is taken from one element
 * at a time, so it may be taken from in here too. */
void
loop_turn(struct loop *loop)
{
	struct reactor *r = reactor_of(loop);

	assert(loop == current);
	if (inbox_empty(&r->inbox) && r->deferred == NULL)
		reactor_events(r);
	tasks_run(r);
}

void
loop_stop(struct loop *loop)
{
	struct reactor *r = reactor_of(loop);

	atomic_store(&r->stopping, true);
	reactor_wake(r);
}

static void *
reactor_main(void *argument)
{
	loop_run(argument);
	return NULL;
}

int
loop_start(struct loop *loop)
{
	struct reactor *r = reactor_of(loop);

	return thread_start(&r->thread, r->name, reactor_main, loop);
}

void
loop_join(struct loop *loop)
{
	int ret = pthread_join(reactor_of(loop)->thread, NULL);

	assert(ret == 0);
}

/* The arena is not registered when RLIMIT_MEMLOCK is small: slower, not
 * wrong. */
static int
reactor_buffers(struct reactor *r, uint64_t bytes)
{
	struct buf_pool *bufs =
	    buf_pool_new(bytes > 0 ? bytes : BUFFER_BYTES_DEFAULT);
	int ret;

	if (bufs == NULL)
		return -ENOMEM;
	ret = ring_register_arena(&r->ring, buf_pool_arena(bufs));
	buf_pool_set_registered(bufs, ret == 0);
	r->loop.bufs = bufs;
	log_debug("loop %u: ring flags 0x%x, %u file slots, fixed buffers: %s",
	    r->loop.index, r->ring.uring.flags, r->ring.file_slots,
	    ret == 0 ? "yes" : strerrordesc_np(-ret));
	return 0;
}

static void
reactor_init(struct reactor *r, const struct loop_params *params)
{
	r->loop.ops = &reactor_ops;
	r->loop.index = params->index;
	r->now_ns = clock_now();
	r->deferred_end = &r->deferred;
	r->cpu = params->cpu;
	if (params->name != NULL)
		snprintf(r->name, sizeof(r->name), "%s", params->name);
	loop_io_init(&r->wake_io, wake_done);
}

int
loop_new(const struct loop_params *params, struct loop **ret_loop)
{
	unsigned entries =
	    params->entries > 0 ? params->entries : ENTRIES_DEFAULT;
	struct reactor *r = aligned_alloc(64, sizeof(*r));
	int ret;

	if (r == NULL)
		return -ENOMEM;
	*r = (struct reactor){0};
	reactor_init(r, params);
	ret = ring_open(&r->ring, entries);
	if (ret < 0)
		goto free_reactor;
	r->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = -ENOMEM;
	if (r->wake_fd < 0)
		goto close_ring;
	ret = timer_heap_init(&r->timers);
	if (ret < 0)
		goto close_wake;
	ret = -ENOMEM;
	r->offload = offload_new();
	if (r->offload == NULL)
		goto done_timers;
	ret = reactor_buffers(r, params->buffer_bytes);
	if (ret < 0)
		goto free_offload;
	*ret_loop = &r->loop;
	return 0;

free_offload:
	offload_free(r->offload);
done_timers:
	timer_heap_done(&r->timers);
close_wake:
	close(r->wake_fd);
close_ring:
	ring_close(&r->ring);
free_reactor:
	free(r);
	return ret;
}

void
loop_free(struct loop *loop)
{
	struct reactor *r = reactor_of(loop);

	assert(loop != current);
	assert(r->offloaded == 0);
	/* the wake poll is in flight for as long as the ring lives */
	assert(r->in_flight == (r->wake_io.in_flight ? 1 : 0));
	offload_free(r->offload);
	ring_close(&r->ring);
	buf_pool_free(r->loop.bufs);
	timer_heap_done(&r->timers);
	close(r->wake_fd);
	free(r);
}
