/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The simulator's loop: order, time, chance by seed, and power off. */
#include "base/buf.h"
#include "base/simloop.h"
#include "tests/unit/base/support/cmocka.h"
#include <string.h>

#define EVENTS 8

static struct loop *loop;
static char notes[64];
static size_t note_count;

struct event {
	struct loop_task task;
	struct loop_timer timer;
	char name;
};
static struct event events[EVENTS];

static void
note_task(struct loop_task *task)
{
	notes[note_count++] = container_of(task, struct event, task)->name;
}

static void
note_timer(struct loop_timer *timer)
{
	notes[note_count++] = container_of(timer, struct event, timer)->name;
}

static void
open_loop(uint64_t seed)
{
	assert_int_equal(simloop_new(seed, 1 << 20, &loop), 0);
	memset(notes, 0, sizeof(notes));
	note_count = 0;
	for (unsigned i = 0; i < EVENTS; i++)
		events[i] = (struct event){
		    .task.run = note_task,
		    .timer.expire = note_timer,
		    .name = (char)('a' + i),
		};
}

static void
run_all(void)
{
	while (simloop_step(loop))
		;
}

static void
test_each_queue_keeps_its_order(void **state)
{
	bool posted_first = false, deferred_first = false;

	(void)state;
	for (uint64_t seed = 1; seed <= 32; seed++) {
		open_loop(seed);
		loop_post(loop, &events[0].task);
		loop_defer(loop, &events[2].task);
		loop_post(loop, &events[1].task);
		loop_defer(loop, &events[3].task);
		assert_int_equal(note_count, 0); /* nothing runs inside */
		run_all();
		assert_true(strchr(notes, 'a') < strchr(notes, 'b'));
		assert_true(strchr(notes, 'c') < strchr(notes, 'd'));
		posted_first |= notes[0] == 'a';
		deferred_first |= notes[0] == 'c';
		simloop_free(loop);
	}
	assert_true(posted_first && deferred_first);
}

static void
test_time_moves_to_the_next_timer(void **state)
{
	uint64_t start;

	(void)state;
	open_loop(1);
	start = loop_now(loop);
	assert_true(start > 0);
	loop_timer_arm(loop, &events[0].timer, 3600 * NSEC_PER_SEC);
	loop_timer_arm(loop, &events[1].timer, 5 * NSEC_PER_MSEC);
	loop_post(loop, &events[2].task);
	assert_true(simloop_step(loop));
	assert_int_equal(loop_now(loop), start);
	assert_true(simloop_step(loop));
	assert_true(loop_now(loop) >= start + 5 * NSEC_PER_MSEC);
	assert_true(loop_now(loop) < start + 6 * NSEC_PER_MSEC);
	assert_true(simloop_step(loop));
	assert_true(loop_now(loop) >= start + 3600 * NSEC_PER_SEC);
	assert_string_equal(notes, "cba");
	assert_false(simloop_step(loop));
	simloop_free(loop);
}

static void
test_timers_of_one_instant_come_in_any_order(void **state)
{
	bool first[EVENTS] = {false};

	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++) {
		open_loop(seed);
		for (unsigned i = 0; i < EVENTS; i++)
			loop_timer_arm(loop, &events[i].timer, NSEC_PER_MSEC);
		run_all();
		assert_int_equal(note_count, EVENTS);
		first[notes[0] - 'a'] = true;
		simloop_free(loop);
	}
	for (unsigned i = 0; i < EVENTS; i++)
		assert_true(first[i]);
}

static void
test_the_same_seed_gives_the_same_order(void **state)
{
	char before[sizeof(notes)];

	(void)state;
	for (unsigned run = 0; run < 2; run++) {
		open_loop(5);
		for (unsigned i = 0; i < EVENTS; i++) {
			loop_timer_arm(loop, &events[i].timer, NSEC_PER_MSEC);
			if (i % 2 == 0)
				loop_post(loop, &events[i].task);
			else
				loop_defer(loop, &events[i].task);
		}
		run_all();
		if (run == 0)
			memcpy(before, notes, sizeof(notes));
		simloop_free(loop);
	}
	assert_string_equal(before, notes);
}

static void
test_a_disarmed_timer_does_not_run(void **state)
{
	(void)state;
	open_loop(1);
	loop_timer_arm(loop, &events[0].timer, NSEC_PER_MSEC);
	loop_timer_arm(loop, &events[1].timer, NSEC_PER_MSEC);
	loop_timer_disarm(loop, &events[0].timer);
	loop_timer_disarm(loop, &events[0].timer);
	run_all();
	assert_string_equal(notes, "b");
	simloop_free(loop);
}

static void
test_runs_until_it_is_told_to_stop(void **state)
{
	bool stop = false;

	(void)state;
	open_loop(1);
	loop_post(loop, &events[0].task);
	assert_false(simloop_run_until(loop, &stop)); /* ran out of events */
	stop = true;
	loop_post(loop, &events[1].task);
	assert_true(simloop_run_until(loop, &stop));
	assert_string_equal(notes, "a");
	run_all();
	simloop_free(loop);
}

static void
ready_never(struct buf_waiter *waiter)
{
	(void)waiter;
	fail();
}

static void
test_power_off_forgets_everything(void **state)
{
	struct buf_waiter waiter = {.ready = ready_never};
	uint64_t all;

	(void)state;
	open_loop(1);
	all = buf_pool_free_bytes(loop->bufs);
	assert_non_null(buf_get(loop->bufs, 5000));
	assert_non_null(buf_get(loop->bufs, 1));
	buf_wait(loop->bufs, &waiter);
	loop_post(loop, &events[0].task);
	loop_defer(loop, &events[1].task);
	loop_timer_arm(loop, &events[2].timer, 1);
	simloop_power_off(loop);
	assert_false(simloop_step(loop));
	assert_int_equal(buf_pool_free_bytes(loop->bufs), all);
	assert_false(events[0].task.queued);
	assert_false(loop_timer_armed(&events[2].timer));

	/* and all can be used again */
	void *largest = buf_get(loop->bufs, BUF_MAX);
	assert_non_null(largest);
	buf_put(loop->bufs, largest);
	loop_post(loop, &events[0].task);
	run_all();
	assert_string_equal(notes, "a");
	simloop_free(loop);
}

static void
test_chance_is_even_and_below_its_limit(void **state)
{
	uint64_t random = 1;
	unsigned count[3] = {0};

	(void)state;
	for (unsigned i = 0; i < 3000; i++)
		count[sim_below(&random, 3)]++;
	for (unsigned i = 0; i < 3; i++)
		assert_in_range(count[i], 900, 1100);
	assert_int_equal(sim_below(&random, 1), 0);
	random = 0; /* would stay 0 for ever */
	assert_true(sim_random(&random) != 0);
	assert_true(random != 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_queue_keeps_its_order),
	    cmocka_unit_test(test_time_moves_to_the_next_timer),
	    cmocka_unit_test(test_timers_of_one_instant_come_in_any_order),
	    cmocka_unit_test(test_the_same_seed_gives_the_same_order),
	    cmocka_unit_test(test_a_disarmed_timer_does_not_run),
	    cmocka_unit_test(test_runs_until_it_is_told_to_stop),
	    cmocka_unit_test(test_power_off_forgets_everything),
	    cmocka_unit_test(test_chance_is_even_and_below_its_limit),
	};

	return cmocka_run_group_tests_name("simloop", tests, NULL, NULL);
}
