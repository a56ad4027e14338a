/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One loop for each test, run on the test's own thread, and a string of what
 * ran on it, in order.
 */
#ifndef TESTS_UNIT_BASE_SUPPORT_ONE_LOOP_H
#define TESTS_UNIT_BASE_SUPPORT_ONE_LOOP_H

#include "base/loop.h"

#define NOTES_MAX 64

struct one_loop {
	struct loop *loop;
	struct loop_task stop_task;   /* stops the loop */
	struct loop_timer stop_timer; /* likewise */
	char notes[NOTES_MAX + 1];
	size_t note_count;
};

extern struct one_loop one;

int one_loop_setup(void **state);       /* 64 submission entries */
int one_loop_setup_small(void **state); /* 4 submission, 16 completion */
int one_loop_teardown(void **state);

void note(char name);

/* Notes its name when run. */
struct named_task {
	struct loop_task task;
	char name;
};
struct named_task named(char name);

/* Runs first on the loop, which the test's last callback stops. */
void run_with(void (*first)(struct loop_task *task));

#define one_loop_test(f)                                                       \
	cmocka_unit_test_setup_teardown(f, one_loop_setup, one_loop_teardown)
#define one_small_loop_test(f)                                                 \
	cmocka_unit_test_setup_teardown(                                       \
	    f, one_loop_setup_small, one_loop_teardown)

#endif
