/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The heap of timers, against a plain array of what is armed. */
#include "base/timer_heap.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/base/support/dies.h"
#include <stdlib.h>
#include <string.h>

#define TIMERS 200

static struct timer_heap heap;
static struct loop_timer timers[TIMERS];

static int
setup(void **state)
{
	(void)state;
	memset(timers, 0, sizeof(timers));
	return timer_heap_init(&heap);
}

static int
teardown(void **state)
{
	(void)state;
	timer_heap_done(&heap);
	return 0;
}

static void
timers_come_out_in_order_of_time(void **state)
{
	(void)state;
	for (unsigned i = 0; i < TIMERS; i++) /* 7 and 200 share no factor */
		timer_heap_arm(&heap, &timers[i], 7 * i % TIMERS);
	for (uint64_t at = 0; at < TIMERS; at++)
		assert_int_equal(timer_heap_pop(&heap, TIMERS)->at_ns, at);
	assert_null(timer_heap_pop(&heap, UINT64_MAX));
}

static void
a_timer_is_not_due_before_its_time(void **state)
{
	(void)state;
	timer_heap_arm(&heap, &timers[0], 100);
	assert_null(timer_heap_pop(&heap, 99));
	assert_true(loop_timer_armed(&timers[0]));
	assert_ptr_equal(timer_heap_first(&heap), &timers[0]);
	assert_ptr_equal(timer_heap_pop(&heap, 100), &timers[0]);
	assert_false(loop_timer_armed(&timers[0]));
	assert_null(timer_heap_first(&heap));
}

static void
arming_an_armed_timer_moves_it(void **state)
{
	(void)state;
	timer_heap_arm(&heap, &timers[0], 10);
	timer_heap_arm(&heap, &timers[1], 20);
	timer_heap_arm(&heap, &timers[0], 30);
	assert_int_equal(heap.count, 2);
	assert_ptr_equal(timer_heap_pop(&heap, 99), &timers[1]);
	timer_heap_arm(&heap, &timers[1], 40);
	timer_heap_arm(&heap, &timers[1], 5);
	assert_ptr_equal(timer_heap_pop(&heap, 99), &timers[1]);
	assert_ptr_equal(timer_heap_pop(&heap, 99), &timers[0]);
}

static void
disarming_twice_is_harmless(void **state)
{
	(void)state;
	timer_heap_arm(&heap, &timers[0], 10);
	timer_heap_disarm(&heap, &timers[0]);
	timer_heap_disarm(&heap, &timers[0]);
	assert_int_equal(heap.count, 0);
}

static void
heap_done_disarms_what_is_left(void **state)
{
	struct timer_heap other;

	(void)state;
	assert_int_equal(timer_heap_init(&other), 0);
	timer_heap_arm(&other, &timers[0], 10);
	timer_heap_done(&other);
	assert_false(loop_timer_armed(&timers[0]));
}

static void
heap_check_all(void)
{
	unsigned armed = 0;

	for (unsigned i = 0; i < TIMERS; i++) {
		uint32_t index = timers[i].heap_index;
		if (index == 0)
			continue;
		armed++;
		assert_ptr_equal(heap.slots[index], &timers[i]);
		if (index > 1)
			assert_true(
			    heap.slots[index / 2]->at_ns <= timers[i].at_ns);
	}
	assert_int_equal(armed, heap.count);
}

static void
any_mix_of_arm_move_and_disarm_keeps_the_heap(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (unsigned step = 0; step < 20000; step++) {
		struct loop_timer *timer =
		    &timers[(unsigned)rand_r(&seed) % TIMERS];
		if (rand_r(&seed) % 3 == 0)
			timer_heap_disarm(&heap, timer);
		else
			timer_heap_arm(
			    &heap, timer, (uint64_t)rand_r(&seed) % 1000);
		heap_check_all();
	}
}

static void
disarm_in_the_wrong_heap(void *unused)
{
	struct timer_heap other;

	(void)unused;
	if (timer_heap_init(&other) < 0)
		return;
	timer_heap_arm(&other, &timers[0], 10);
	timer_heap_disarm(&heap, &timers[0]);
}

static void
a_timer_of_another_loop_is_noticed(void **state)
{
	(void)state;
	assert_true(dies(disarm_in_the_wrong_heap, NULL));
}

#define heap_test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    heap_test(timers_come_out_in_order_of_time),
	    heap_test(a_timer_is_not_due_before_its_time),
	    heap_test(arming_an_armed_timer_moves_it),
	    heap_test(disarming_twice_is_harmless),
	    heap_test(heap_done_disarms_what_is_left),
	    heap_test(any_mix_of_arm_move_and_disarm_keeps_the_heap),
	    heap_test(a_timer_of_another_loop_is_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
