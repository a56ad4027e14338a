/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/thread.h"
#include "base/assert.h"
#include <signal.h>
#include <stdio.h>

static void
signals_of_a_helper(sigset_t *set)
{
	static const int faults[] = {
	    SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP};

	sigfillset(set);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		sigdelset(set, faults[i]);
}

int
thread_start(pthread_t *ret_thread, const char *name, void *(*main)(void *),
    void *argument)
{
	sigset_t blocked, before;
	int ret;

	/* the new thread inherits the mask: it is never without it */
	signals_of_a_helper(&blocked);
	pthread_sigmask(SIG_SETMASK, &blocked, &before);
	ret = pthread_create(ret_thread, NULL, main, argument);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (ret == 0 && name != NULL)
		pthread_setname_np(*ret_thread, name);
	return -ret;
}

void
thread_set_name(const char *name)
{
	char text[16]; /* prctl(2) PR_SET_NAME */

	snprintf(text, sizeof(text), "%s", name);
	pthread_setname_np(pthread_self(), text);
}
