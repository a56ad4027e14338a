/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/upgrade.h"
#include "base/log.h"
#include "target/spawn.h"
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define SELF           "/proc/self/exe"
#define CHECK_LIMIT_MS 10000

void
upgrade_init(struct upgrade *upgrade, char **arguments)
{
	ssize_t length =
	    readlink(SELF, upgrade->path, sizeof(upgrade->path) - 1);

	upgrade->path[length > 0 ? length : 0] = '\0';
	upgrade->arguments = arguments;
}

static char **
with_check(char **arguments)
{
	static char check[] = "--check-config";
	unsigned count = 0;
	char **more;

	while (arguments[count] != NULL)
		count++;
	more = calloc(count + 2, sizeof(*more));
	assert(more != NULL);
	memcpy(more, arguments, count * sizeof(*more));
	more[count] = check;
	return more;
}

/* Its status of waitpid; -1: it did not end. */
static int
check_wait(pid_t pid)
{
	struct pollfd ended = {.fd = pidfd_open(pid, 0), .events = POLLIN};
	bool in_time = ended.fd >= 0 && poll(&ended, 1, CHECK_LIMIT_MS) == 1;
	int status;

	if (ended.fd >= 0)
		close(ended.fd);
	if (!in_time)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0)
		assert(errno == EINTR);
	return in_time ? status : -1;
}

int
upgrade_check(
    const struct upgrade *upgrade, char ret_problem[UPGRADE_PROBLEM_MAX])
{
	char **arguments = with_check(upgrade->arguments);
	pid_t pid = 0;
	/* what it says is of interest where ours is */
	int ret = spawn(upgrade->path, arguments, STDERR_FILENO, &pid);
	int status = 0;

	free(arguments);
	if (ret == 0)
		status = check_wait(pid);
	if (ret < 0)
		snprintf(ret_problem, UPGRADE_PROBLEM_MAX,
		    "it cannot be run: %s", strerror(-ret));
	else if (status != 0)
		snprintf(ret_problem, UPGRADE_PROBLEM_MAX, "%s",
		    status == -1 ? "--check-config does not end"
				 : "--check-config fails");
	return ret < 0 ? ret : status == 0 ? 0 : -EINVAL;
}

int
upgrade_exec(const struct upgrade *upgrade, const struct handover *handover)
{
	int ret = handover_send(handover);

	if (ret < 0)
		return ret;
	execv(upgrade->path, upgrade->arguments);
	log_error(
	    "%s: %s; this one is run anew", upgrade->path, strerror(errno));
	execv(SELF, upgrade->arguments);
	return -errno;
}
