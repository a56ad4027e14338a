/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tasks, time and waking of the real loop.  I/O is in loop_io_test.c, the
 * order of many timers in loop_timer_test.c, setup on older kernels in
 * ring_test.c.
 */
#include "base/loop.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/base/support/dies.h"
#include "tests/unit/base/support/one_loop.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static struct named_task a, b, c;
static struct loop_timer timer_a, timer_b;

static void
name_tasks(void)
{
	a = named('a');
	b = named('b');
	c = named('c');
}

static struct loop_stats
stats(void)
{
	struct loop_stats s;

	loop_stats_get(one.loop, &s);
	return s;
}

/* ---- tasks ---- */

static void
tasks_posted_before_the_run_are_run_in_order(void **state)
{
	(void)state;
	name_tasks();
	loop_post(one.loop, &a.task);
	loop_post(one.loop, &b.task);
	loop_post(one.loop, &one.stop_task);
	assert_false(loop_is_current(one.loop));
	loop_run(one.loop);
	assert_false(loop_is_current(one.loop));
	assert_string_equal(one.notes, "ab");
	assert_false(a.task.queued);
	assert_int_equal(stats().posts, 3);
}

static void
a_stopped_loop_can_run_again(void **state)
{
	(void)state;
	name_tasks();
	for (int i = 0; i < 3; i++) {
		loop_post(one.loop, &a.task);
		loop_post(one.loop, &one.stop_task);
		loop_run(one.loop);
	}
	assert_string_equal(one.notes, "aaa");
}

static void
defers_then_notes(struct loop_task *task)
{
	(void)task;
	loop_defer(one.loop, &a.task);
	loop_defer(one.loop, &b.task);
	note('1');
}

static void
a_deferred_task_runs_after_its_caller_not_inside(void **state)
{
	(void)state;
	name_tasks();
	loop_post(one.loop, &one.stop_task);
	run_with(defers_then_notes);
	assert_string_equal(one.notes, "1ab");
}

/* A timer's expire() defers; nothing else is there to end the wait. */
static void
expire_defers_twice(struct loop_timer *timer)
{
	(void)timer;
	note('t');
	loop_defer(one.loop, &a.task);
	loop_defer(one.loop, &one.stop_task);
}

static void
arms_timer_a(struct loop_task *task)
{
	(void)task;
	loop_timer_arm(one.loop, &timer_a, NSEC_PER_MSEC);
}

static void
what_a_timer_defers_runs_before_the_loop_blocks(void **state)
{
	(void)state;
	name_tasks();
	timer_a = (struct loop_timer){.expire = expire_defers_twice};
	run_with(arms_timer_a);
	assert_string_equal(one.notes, "ta");
	assert_int_equal(stats().turns, 1);
}

static int laps;

static void
lap_run(struct loop_task *task)
{
	if (++laps < 100)
		loop_post(one.loop, task);
	else
		loop_stop(one.loop);
}

static void
a_task_that_posts_itself_gets_a_turn_each_time(void **state)
{
	(void)state;
	laps = 0;
	run_with(lap_run);
	assert_int_equal(laps, 100);
	assert_int_equal(stats().turns, 99);
	assert_int_equal(stats().syscalls, 99);
	/* and a loop at work was not woken: no completion of the eventfd */
	assert_int_equal(stats().cqes, 0);
}

static void
posts_a_twice(void *unused)
{
	(void)unused;
	loop_post(one.loop, &a.task);
	loop_post(one.loop, &a.task);
}

static void
a_task_is_queued_only_once(void **state)
{
	(void)state;
	name_tasks();
	assert_true(dies(posts_a_twice, NULL));
}

/* ---- the thread ---- */

static cpu_set_t seen_cpus;
static char seen_name[16];

static void
looks_at_its_thread(struct loop_task *task)
{
	(void)task;
	pthread_getaffinity_np(pthread_self(), sizeof(seen_cpus), &seen_cpus);
	pthread_getname_np(pthread_self(), seen_name, sizeof(seen_name));
	loop_stop(one.loop);
}

static void
run_on_cpu(int cpu)
{
	struct loop_params params = {
	    .name = "varve-0", .buffer_bytes = 1, .cpu = cpu};
	struct loop_task task = {.run = looks_at_its_thread};

	assert_int_equal(loop_new(&params, &one.loop), 0);
	loop_post(one.loop, &task);
	assert_int_equal(loop_start(one.loop), 0);
	loop_join(one.loop);
	loop_free(one.loop);
}

static void
a_started_loop_has_its_name_and_its_cpu(void **state)
{
	cpu_set_t ours;
	int cpu = 0;

	(void)state;
	sched_getaffinity(0, sizeof(ours), &ours);
	while (!CPU_ISSET(cpu, &ours))
		cpu++;
	run_on_cpu(cpu);
	assert_string_equal(seen_name, "varve-0");
	assert_int_equal(CPU_COUNT(&seen_cpus), 1);
	assert_true(CPU_ISSET(cpu, &seen_cpus));
}

static void
a_cpu_that_is_not_there_leaves_the_loop_anywhere(void **state)
{
	cpu_set_t ours;

	(void)state;
	sched_getaffinity(0, sizeof(ours), &ours);
	run_on_cpu(CPU_SETSIZE - 1);
	assert_true(CPU_EQUAL(&seen_cpus, &ours));
}

static void
a_loop_without_memory_for_its_buffers_is_not_made(void **state)
{
	struct loop_params params = {.buffer_bytes = 1ull << 47, .cpu = -1};

	(void)state;
	assert_int_equal(loop_new(&params, &one.loop), -ENOMEM);
}

/* ---- time ---- */

static uint64_t armed_at;
static unsigned expired;

static void
expire_checks_delay(struct loop_timer *timer)
{
	assert_false(loop_timer_armed(timer));
	assert_true(loop_now(one.loop) >= armed_at + 5 * NSEC_PER_MSEC);
	loop_stop(one.loop);
	expired++;
}

static void
arms_5_ms(struct loop_task *task)
{
	(void)task;
	armed_at = loop_now(one.loop);
	loop_timer_arm(one.loop, &timer_a, 5 * NSEC_PER_MSEC);
	assert_true(loop_timer_armed(&timer_a));
}

static void
a_timer_does_not_expire_early(void **state)
{
	(void)state;
	expired = 0;
	timer_a = (struct loop_timer){.expire = expire_checks_delay};
	run_with(arms_5_ms);
	assert_int_equal(expired, 1);
	assert_int_equal(stats().timers, 1);
}

static void
expire_rearms(struct loop_timer *timer)
{
	note('r');
	if (++expired == 3)
		loop_stop(one.loop);
	else
		loop_timer_arm(one.loop, timer, 0);
}

static void
a_timer_armed_in_its_own_expire_waits_for_the_next_turn(void **state)
{
	(void)state;
	expired = 0;
	timer_a = (struct loop_timer){.expire = expire_rearms};
	run_with(arms_timer_a);
	assert_string_equal(one.notes, "rrr");
	assert_true(stats().turns >= 3);
}

static void
expire_disarms_b(struct loop_timer *timer)
{
	(void)timer;
	note('a');
	loop_timer_disarm(one.loop, &timer_b);
	loop_timer_arm(one.loop, &one.stop_timer, NSEC_PER_MSEC);
}

static void
expire_notes_b(struct loop_timer *timer)
{
	(void)timer;
	note('b');
}

/* Both are due in the same turn when the task has slept past them. */
static void
arms_a_and_b_and_oversleeps(struct loop_task *task)
{
	(void)task;
	loop_timer_arm(one.loop, &timer_a, 1);
	loop_timer_arm(one.loop, &timer_b, 2);
	usleep(1000);
}

static void
a_timer_disarmed_when_already_due_does_not_expire(void **state)
{
	(void)state;
	timer_a = (struct loop_timer){.expire = expire_disarms_b};
	timer_b = (struct loop_timer){.expire = expire_notes_b};
	run_with(arms_a_and_b_and_oversleeps);
	assert_string_equal(one.notes, "a");
	loop_timer_disarm(one.loop, &timer_b); /* a no-op by now */
}

static uint64_t
thread_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void
arms_stop_in_200_ms(struct loop_task *task)
{
	(void)task;
	loop_timer_arm(one.loop, &one.stop_timer, 200 * NSEC_PER_MSEC);
}

static void
an_idle_loop_blocks_in_one_system_call(void **state)
{
	uint64_t before = thread_cpu_ns();

	(void)state;
	run_with(arms_stop_in_200_ms);
	assert_true(thread_cpu_ns() - before < 20 * NSEC_PER_MSEC);
	assert_int_equal(stats().syscalls, 1);
}

/* ---- waking ---- */

#define SENDERS 4
#define LETTERS 5000

struct letter {
	struct loop_task task;
	unsigned sender, number;
};

static struct letter letters[SENDERS][LETTERS];
static unsigned next_number[SENDERS], letters_read;

static void
letter_run(struct loop_task *task)
{
	struct letter *letter = container_of(task, struct letter, task);

	assert_int_equal(letter->number, next_number[letter->sender]);
	next_number[letter->sender]++;
	if (++letters_read == SENDERS * LETTERS)
		loop_stop(one.loop);
}

static void *
sender_main(void *argument)
{
	unsigned sender = (unsigned)(uintptr_t)argument;

	for (unsigned i = 0; i < LETTERS; i++) {
		letters[sender][i] =
		    (struct letter){{.run = letter_run}, sender, i};
		loop_post(one.loop, &letters[sender][i].task);
		if (i % 1000 == 0) /* let the loop fall asleep */
			usleep(500);
	}
	return NULL;
}

static void
posts_of_each_sender_arrive_in_order(void **state)
{
	pthread_t threads[SENDERS];

	(void)state;
	letters_read = 0;
	memset(next_number, 0, sizeof(next_number));
	for (uintptr_t i = 0; i < SENDERS; i++)
		assert_int_equal(0,
		    pthread_create(&threads[i], NULL, sender_main, (void *)i));
	loop_run(one.loop);
	for (unsigned i = 0; i < SENDERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(letters_read, SENDERS * LETTERS);
	assert_int_equal(stats().posts, SENDERS * LETTERS);
}

#define ROUNDS 5000

/* One ball, thrown between two loops: each throw finds the other asleep, or
 * about to be.  A wake-up that gets lost hangs here until the alarm. */
static struct {
	struct loop_task task;
	struct loop *loops[2];
	unsigned throws;
} ball;

static void
ball_run(struct loop_task *task)
{
	if (++ball.throws < 2 * ROUNDS) {
		loop_post(ball.loops[ball.throws % 2], task);
		return;
	}
	loop_stop(ball.loops[0]);
	loop_stop(ball.loops[1]);
}

static void
no_wake_up_is_lost_between_two_loops(void **state)
{
	struct loop_params params = {
	    .name = "ball", .buffer_bytes = 1, .entries = 8, .cpu = -1};

	(void)state;
	memset(&ball, 0, sizeof(ball));
	ball.task.run = ball_run;
	alarm(60);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(loop_new(&params, &ball.loops[i]), 0);
		assert_int_equal(loop_start(ball.loops[i]), 0);
	}
	loop_post(ball.loops[0], &ball.task);
	for (int i = 0; i < 2; i++)
		loop_join(ball.loops[i]);
	alarm(0);
	assert_int_equal(ball.throws, 2 * ROUNDS);
	for (int i = 0; i < 2; i++)
		loop_free(ball.loops[i]);
}

/* ---- signals ---- */

static volatile sig_atomic_t signals_seen;

static void
on_signal_stop(int number)
{
	(void)number;
	signals_seen++;
	loop_stop(one.loop);
}

static void
on_signal_count(int number)
{
	(void)number;
	signals_seen++;
}

static void
alarm_in_10_ms(void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler};
	struct itimerval in_10_ms = {.it_value = {.tv_usec = 10000}};

	signals_seen = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &in_10_ms, NULL);
}

static void
a_signal_handler_can_stop_a_blocked_loop(void **state)
{
	(void)state;
	alarm_in_10_ms(on_signal_stop);
	loop_run(one.loop);
	signal(SIGALRM, SIG_DFL);
	assert_int_equal(signals_seen, 1);
}

static void
raises(struct loop_task *task)
{
	(void)task;
	raise(SIGALRM);
	note('r');
}

static void
a_signal_handler_can_stop_a_working_loop(void **state)
{
	(void)state;
	signal(SIGALRM, on_signal_stop);
	run_with(raises);
	signal(SIGALRM, SIG_DFL);
	assert_string_equal(one.notes, "r");
	assert_int_equal(stats().syscalls, 0);
}

static void
a_signal_that_is_only_counted_does_not_end_the_wait(void **state)
{
	(void)state;
	alarm_in_10_ms(on_signal_count);
	run_with(arms_stop_in_200_ms);
	signal(SIGALRM, SIG_DFL);
	assert_int_equal(signals_seen, 1);
	assert_int_equal(stats().timers, 1);
}

/* ---- turns from inside a callback ---- */

static bool timer_a_expired;

static void
note_timer_a(struct loop_timer *timer)
{
	(void)timer;
	timer_a_expired = true;
}

static void
wait_here_for_timer_a(struct loop_task *task)
{
	(void)task;
	timer_a.expire = note_timer_a;
	loop_timer_arm(one.loop, &timer_a, 2 * NSEC_PER_MSEC);
	loop_post(one.loop, &a.task);
	while (!timer_a_expired)
		loop_turn(one.loop);
	loop_stop(one.loop);
}

static void
a_turn_from_inside_a_callback_runs_tasks_and_blocks_for_timers(void **state)
{
	struct loop_task waiter = {.run = wait_here_for_timer_a};

	(void)state;
	name_tasks();
	timer_a_expired = false;
	loop_post(one.loop, &waiter);
	loop_run(one.loop);
	assert_true(timer_a_expired);
	assert_string_equal(one.notes, "a");
	/* it slept, it did not spin */
	assert_true(stats().syscalls < 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    one_loop_test(tasks_posted_before_the_run_are_run_in_order),
	    one_loop_test(a_stopped_loop_can_run_again),
	    one_loop_test(a_deferred_task_runs_after_its_caller_not_inside),
	    one_loop_test(what_a_timer_defers_runs_before_the_loop_blocks),
	    one_loop_test(a_task_that_posts_itself_gets_a_turn_each_time),
	    one_loop_test(a_task_is_queued_only_once),
	    cmocka_unit_test(a_started_loop_has_its_name_and_its_cpu),
	    cmocka_unit_test(a_cpu_that_is_not_there_leaves_the_loop_anywhere),
	    cmocka_unit_test(a_loop_without_memory_for_its_buffers_is_not_made),
	    one_loop_test(a_timer_does_not_expire_early),
	    one_loop_test(
		a_timer_armed_in_its_own_expire_waits_for_the_next_turn),
	    one_loop_test(a_timer_disarmed_when_already_due_does_not_expire),
	    one_loop_test(an_idle_loop_blocks_in_one_system_call),
	    one_loop_test(posts_of_each_sender_arrive_in_order),
	    cmocka_unit_test(no_wake_up_is_lost_between_two_loops),
	    one_loop_test(a_signal_handler_can_stop_a_blocked_loop),
	    one_loop_test(a_signal_handler_can_stop_a_working_loop),
	    one_loop_test(a_signal_that_is_only_counted_does_not_end_the_wait),
	    one_loop_test(
		a_turn_from_inside_a_callback_runs_tasks_and_blocks_for_timers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
