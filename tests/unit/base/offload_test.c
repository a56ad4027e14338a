/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Work on helper threads, through the real loop. */
#include "base/offload.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/base/support/one_loop.h"
#include "tests/unit/base/support/sanitized.h"
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/resource.h>

#define WORKS 100

struct traced_work {
	struct loop_work work;
	pthread_t ran_on;
	bool ran;
};

static struct traced_work works[WORKS];
static unsigned done_count, wanted;
static pthread_barrier_t barrier;

static void
traced_run(struct loop_work *work)
{
	struct traced_work *traced =
	    container_of(work, struct traced_work, work);

	traced->ran_on = pthread_self();
	traced->ran = true;
}

static void
traced_done(struct loop_work *work)
{
	struct traced_work *traced =
	    container_of(work, struct traced_work, work);

	assert_true(traced->ran);
	assert_true(loop_is_current(one.loop));
	if (++done_count == wanted)
		loop_stop(one.loop);
}

static void
works_init(unsigned count, void (*run)(struct loop_work *))
{
	memset(works, 0, sizeof(works));
	done_count = 0;
	wanted = count;
	for (unsigned i = 0; i < count; i++) {
		works[i].work.run = run;
		works[i].work.done = traced_done;
	}
}

static void
offloads_all(struct loop_task *task)
{
	(void)task;
	for (unsigned i = 0; i < wanted; i++)
		loop_offload(one.loop, &works[i].work);
}

static void
work_runs_elsewhere_and_is_done_on_the_loop(void **state)
{
	(void)state;
	works_init(WORKS, traced_run);
	run_with(offloads_all);
	assert_int_equal(done_count, WORKS);
	for (unsigned i = 0; i < WORKS; i++)
		assert_false(pthread_equal(works[i].ran_on, pthread_self()));
}

/* Returns only when all four are inside. */
static void
meets_the_others(struct loop_work *work)
{
	pthread_barrier_wait(&barrier);
	traced_run(work);
}

static void
four_works_run_at_the_same_time(void **state)
{
	(void)state;
	pthread_barrier_init(&barrier, NULL, OFFLOAD_THREADS_MAX);
	works_init(OFFLOAD_THREADS_MAX, meets_the_others);
	run_with(offloads_all);
	assert_int_equal(done_count, OFFLOAD_THREADS_MAX);
	pthread_barrier_destroy(&barrier);
}

static sem_t may_end;

static void
waits_for_the_timer(struct loop_work *work)
{
	sem_wait(&may_end);
	traced_run(work);
}

static void
expire_ends_the_work(struct loop_timer *timer)
{
	(void)timer;
	assert_int_equal(done_count, 0);
	sem_post(&may_end);
}

static struct loop_timer timer = {.expire = expire_ends_the_work};

static void
offloads_and_arms(struct loop_task *task)
{
	offloads_all(task);
	loop_timer_arm(one.loop, &timer, NSEC_PER_MSEC);
}

static void
the_loop_goes_on_while_work_blocks(void **state)
{
	(void)state;
	sem_init(&may_end, 0, 0);
	works_init(1, waits_for_the_timer);
	run_with(offloads_and_arms);
	assert_int_equal(done_count, 1);
	sem_destroy(&may_end);
}

static struct rlimit memory_before;

/* A new thread needs a stack, which this forbids to map. */
static void
offloads_without_memory(struct loop_task *task)
{
	struct rlimit none;

	getrlimit(RLIMIT_AS, &memory_before);
	none = (struct rlimit){1, memory_before.rlim_max};
	setrlimit(RLIMIT_AS, &none);
	offloads_all(task);
	setrlimit(RLIMIT_AS, &memory_before);
	assert_false(works[0].ran); /* not from inside loop_offload() */
}

/* First of the tests: later ones leave stacks to be used again. */
static void
without_any_thread_the_loop_does_the_work(void **state)
{
	(void)state;
#ifdef SANITIZED
	skip(); /* sanitizers map memory of their own */
#endif
	works_init(3, traced_run);
	run_with(offloads_without_memory);
	assert_int_equal(done_count, 3);
	assert_true(pthread_equal(works[0].ran_on, pthread_self()));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    one_loop_test(without_any_thread_the_loop_does_the_work),
	    one_loop_test(work_runs_elsewhere_and_is_done_on_the_loop),
	    one_loop_test(four_works_run_at_the_same_time),
	    one_loop_test(the_loop_goes_on_while_work_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
