/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The reactor: one thread, one io_uring, timers, deferred calls and messages
 * from other threads.  It blocks in the kernel when there is nothing to do.
 *
 * Everything above base/ sees time and deferral only through this header, so
 * the simulator (tests/sim) can put a seeded scheduler and a fake clock behind
 * the same struct loop.  Only the leaf backstores and the sockets use
 * loop_sqe(), which exists on a real ring alone.
 *
 * Every function must be called on the loop's own thread unless it says "any
 * thread".  No callback is ever run from inside the call that caused it:
 * completions, timers, tasks and deferred calls run from the loop.
 */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include "base/assert.h"
#include "base/list.h"
#include <stdbool.h>
#include <stdint.h>

struct io_uring_sqe;
struct loop;
struct buf_pool;

#define NSEC_PER_SEC  1000000000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_USEC 1000ull

/* A call to be made later.  The owner embeds it; it may be queued once at a
 * time and may be freed or queued again from inside run(). */
struct loop_task {
	void (*run)(struct loop_task *task);
	struct loop_task *next; /* the loop's */
	bool queued;            /* the loop's */
};

/* A one-shot timer.  Disarmed when zeroed with expire set. */
struct loop_timer {
	void (*expire)(struct loop_timer *timer);
	uint64_t at_ns;      /* the loop's: absolute loop_now() time */
	uint32_t heap_index; /* the loop's: 0 = not armed */
};

#define LOOP_IO_MAGIC 0x10010c0du

/* One kernel I/O in flight.  result is the CQE's res: a count or a negative
 * errno; flags are the CQE's.  With IORING_CQE_F_MORE set another call of
 * done() follows for the same io. */
struct loop_io {
	uint32_t magic;
	bool in_flight; /* the loop's */
	void (*done)(struct loop_io *io, int result, uint32_t flags);
};

static inline void
loop_io_init(struct loop_io *io, void (*done)(struct loop_io *, int, uint32_t))
{
	io->magic = LOOP_IO_MAGIC;
	io->in_flight = false;
	io->done = done;
}

/* What differs between a real loop and the simulator's. */
struct loop_ops {
	uint64_t (*now)(struct loop *loop);
	void (*timer_arm)(
	    struct loop *loop, struct loop_timer *timer, uint64_t at_ns);
	void (*timer_disarm)(struct loop *loop, struct loop_timer *timer);
	void (*post)(struct loop *loop, struct loop_task *task);
	void (*defer)(struct loop *loop, struct loop_task *task);
	bool (*is_current)(struct loop *loop);
};

/* The first member of every loop implementation. */
struct loop {
	const struct loop_ops *ops;
	struct buf_pool *bufs; /* the loop's data buffers, see base/buf.h */
	unsigned index;        /* 0, 1, ... as created; for logs */
};

/* Monotonic nanoseconds; read once per turn of the loop, so cheap. */
static inline uint64_t
loop_now(struct loop *loop)
{
	return loop->ops->now(loop);
}

/* Arms or re-arms: expire() runs once, not before delay_ns from now and not in
 * this turn of the loop. */
static inline void
loop_timer_arm(struct loop *loop, struct loop_timer *timer, uint64_t delay_ns)
{
	assert(timer->expire != NULL);
	loop->ops->timer_arm(loop, timer, loop_now(loop) + delay_ns);
}

/* No-op when not armed.  After it, expire() does not run. */
static inline void
loop_timer_disarm(struct loop *loop, struct loop_timer *timer)
{
	loop->ops->timer_disarm(loop, timer);
}

static inline bool
loop_timer_armed(const struct loop_timer *timer)
{
	return timer->heap_index != 0;
}

/* Any thread.  Tasks of one sender run in the order they were posted. */
static inline void
loop_post(struct loop *loop, struct loop_task *task)
{
	assert(task->run != NULL);
	loop->ops->post(loop, task);
}

/* Runs task in this turn of the loop, after the current callback returned. */
static inline void
loop_defer(struct loop *loop, struct loop_task *task)
{
	assert(task->run != NULL);
	loop->ops->defer(loop, task);
}

/* Any thread. */
static inline bool
loop_is_current(struct loop *loop)
{
	return loop->ops->is_current(loop);
}

/* ---- The real loop (base/loop.c) ---- */

struct loop_params {
	unsigned index;
	unsigned entries;      /* submission queue, a power of two; 0: 1024 */
	uint64_t buffer_bytes; /* data buffers, registered; 0: 64 MiB */
	const char *name;      /* thread name, at most 15 characters */
	int cpu;               /* pin to this CPU, or -1 */
};

/* Makes a loop.  Its ring is made here, but enabled by the thread that calls
 * loop_run(), as SINGLE_ISSUER demands; flags the kernel lacks are left out one
 * by one.  0, -ENOMEM, -ENOSYS (no io_uring, or older than Linux 5.13),
 * -EPERM (io_uring disabled by sysctl or seccomp). */
int loop_new(const struct loop_params *params, struct loop **ret_loop);

/* Runs on the calling thread until loop_stop(); again only on the same one. */
void loop_run(struct loop *loop);

/* From a callback of loop, for a tool that has nothing else on it: lets the
 * loop go on until something has happened, then returns.  Callbacks run inside
 * this call, so the caller must be ready for its own. */
void loop_turn(struct loop *loop);

/* Starts a thread that calls loop_run(); loop_join() waits for its end. */
int loop_start(struct loop *loop);
void loop_join(struct loop *loop);

/* Any thread, async-signal-safe.  The tasks of this turn still run; one posted
 * later waits for the next loop_run(), if there is one. */
void loop_stop(struct loop *loop);

/* After loop_run() returned, and when no thread posts any more.  Asserts that
 * no I/O and no work is in flight and that all buffers came back; disarms the
 * timers. */
void loop_free(struct loop *loop);

/* An SQE whose completion calls io->done().  Never NULL: a full queue is
 * submitted first.  Valid until the callback returns; submitted at the end of
 * the loop's turn, in one system call with all others. */
struct io_uring_sqe *loop_sqe(struct loop *loop, struct loop_io *io);

/* Asks the kernel to cancel io; done() is still called exactly once, with
 * -ECANCELED or its true result. */
void loop_cancel(struct loop *loop, struct loop_io *io);

/* Registered file slots: use the slot with IOSQE_FIXED_FILE.
 * slot >= 0, or -ENFILE when the table is full (use the plain fd then). */
int loop_file_register(struct loop *loop, int fd);
void loop_file_unregister(struct loop *loop, int slot);

/* Work that blocks (fallocate, punch hole, open): run(work) on a helper
 * thread, then done(work) on the loop. */
struct loop_work {
	void (*run)(struct loop_work *work);
	void (*done)(struct loop_work *work);
	struct loop *loop;      /* the loop's */
	struct loop_task task;  /* the loop's */
	struct loop_work *next; /* the loop's */
};
void loop_offload(struct loop *loop, struct loop_work *work);

/* Counters since start, for varve top and the bench. */
struct loop_stats {
	uint64_t turns, syscalls, sqes, cqes, posts, timers;
};
void loop_stats_get(struct loop *loop, struct loop_stats *ret_stats);

#endif
