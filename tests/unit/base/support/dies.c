/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/base/support/dies.h"
#include "base/assert.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void
child_main(void (*f)(void *), void *argument)
{
	const struct rlimit no_core = {0, 0};
	int null = open("/dev/null", O_WRONLY);

	dup2(null, STDERR_FILENO);
	setrlimit(RLIMIT_CORE, &no_core);
	signal(SIGABRT, SIG_DFL);
	f(argument);
	_exit(0);
}

bool
dies(void (*f)(void *), void *argument)
{
	pid_t child = fork();
	int status = 0;

	assert(child >= 0);
	if (child == 0)
		child_main(f, argument);
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
