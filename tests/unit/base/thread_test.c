/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/thread.h"
#include "tests/unit/base/support/cmocka.h"
#include <signal.h>

static sigset_t inside;
static char name[16];

static void *
look(void *unused)
{
	(void)unused;
	pthread_sigmask(SIG_SETMASK, NULL, &inside);
	thread_set_name("a-name-that-is-too-long");
	pthread_getname_np(pthread_self(), name, sizeof(name));
	return NULL;
}

static void
a_helper_takes_no_signals_but_its_own_faults(void **state)
{
	pthread_t thread;
	sigset_t ours;

	(void)state;
	assert_int_equal(thread_start(&thread, NULL, look, NULL), 0);
	pthread_join(thread, NULL);
	assert_true(sigismember(&inside, SIGTERM));
	assert_true(sigismember(&inside, SIGHUP));
	assert_false(sigismember(&inside, SIGSEGV));
	assert_false(sigismember(&inside, SIGABRT));
	pthread_sigmask(SIG_SETMASK, NULL, &ours);
	assert_false(sigismember(&ours, SIGTERM));
}

static void
a_name_is_cut_to_what_the_kernel_keeps(void **state)
{
	pthread_t thread;

	(void)state;
	/* it names itself: a name from here might come later */
	assert_int_equal(thread_start(&thread, NULL, look, NULL), 0);
	pthread_join(thread, NULL);
	assert_string_equal(name, "a-name-that-is-");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_helper_takes_no_signals_but_its_own_faults),
	    cmocka_unit_test(a_name_is_cut_to_what_the_kernel_keeps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
