/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/policy_worker.h"
#include "base/log.h"
#include "target/spawn.h"
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- what it says ---- */

static void
line_take(struct policy_worker *worker, size_t length)
{
	json_t *line = json_loadb(worker->line, length, 0, NULL);

	if (json_is_object(line))
		worker->told(worker, line);
	else if (length > 0)
		log_warn("a policy's worker (pid %d) says what is no JSON",
		    (int)worker->pid);
	json_decref(line);
}

static void
lines_take(struct policy_worker *worker)
{
	char *end;

	while ((end = memchr(worker->line, '\n', worker->length)) != NULL) {
		size_t length = (size_t)(end - worker->line);
		if (!worker->passing_over)
			line_take(worker, length);
		worker->passing_over = false;
		worker->length -= length + 1;
		memmove(worker->line, end + 1, worker->length);
	}
	if (worker->length == POLICY_LINE_MAX) {
		worker->passing_over = true;
		worker->length = 0;
	}
}

/* All there is now.  False: no more will come. */
static bool
report_read(struct policy_worker *worker)
{
	for (;;) {
		ssize_t n =
		    read(worker->report_fd, worker->line + worker->length,
			POLICY_LINE_MAX - worker->length);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		worker->length += (size_t)n;
		lines_take(worker);
	}
}

/* ---- its end ---- */

static int
reap(struct policy_worker *worker)
{
	int status = 0;

	while (waitpid(worker->pid, &status, 0) < 0) {
		if (errno == EINTR)
			continue;
		log_error("waitpid %d: %s", (int)worker->pid, strerror(errno));
		return 0;
	}
	return status;
}

static void
worker_close(struct policy_worker *worker)
{
	close(worker->pid_fd);
	close(worker->report_fd);
	free(worker->line);
	worker->line = NULL;
}

/* Once the kernel looks at neither any more. */
static void
worker_finish(struct policy_worker *worker)
{
	int status;

	if (worker->ended.in_flight || worker->readable.in_flight)
		return;
	if (!worker->has_ended) {
		if (worker->leaving)
			worker_close(worker);
		return;
	}
	/* what it said last; a child of its own may have the pipe still */
	report_read(worker);
	status = reap(worker);
	worker_close(worker);
	worker->done(worker, status);
}

static void
watch(struct policy_worker *worker, struct loop_io *io, int fd)
{
	io_uring_prep_poll_add(loop_sqe(worker->loop, io), fd, POLLIN);
}

static void
ended_came(struct loop_io *io, int result, uint32_t flags)
{
	struct policy_worker *worker =
	    container_of(io, struct policy_worker, ended);

	(void)flags;
	if (result < 0 && !worker->leaving) {
		watch(worker, io, worker->pid_fd);
		return;
	}
	worker->has_ended = result >= 0;
	if (worker->readable.in_flight)
		loop_cancel(worker->loop, &worker->readable);
	worker_finish(worker);
}

static void
readable_came(struct loop_io *io, int result, uint32_t flags)
{
	struct policy_worker *worker =
	    container_of(io, struct policy_worker, readable);
	bool more = result != -ECANCELED && report_read(worker);

	(void)flags;
	if (more && !worker->has_ended && !worker->leaving)
		watch(worker, io, worker->report_fd);
	worker_finish(worker);
}

/* ---- start ---- */

int
policy_worker_adopt(
    struct policy_worker *worker, struct loop *loop, pid_t pid, int report_fd)
{
	int pid_fd = pidfd_open(pid, 0);

	if (pid_fd < 0) {
		int error = errno;
		close(report_fd);
		return -error;
	}
	fcntl(report_fd, F_SETFL, O_NONBLOCK);
	worker->loop = loop;
	worker->pid = pid;
	worker->pid_fd = pid_fd;
	worker->report_fd = report_fd;
	worker->line = malloc(POLICY_LINE_MAX);
	assert(worker->line != NULL);
	worker->length = 0;
	worker->passing_over = worker->has_ended = worker->leaving = false;
	loop_io_init(&worker->ended, ended_came);
	loop_io_init(&worker->readable, readable_came);
	watch(worker, &worker->ended, pid_fd);
	watch(worker, &worker->readable, report_fd);
	return 0;
}

int
policy_worker_start(
    struct policy_worker *worker, struct loop *loop, char *const *arguments)
{
	int ends[2], ret;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	ret = spawn(arguments[0], arguments, ends[1], &pid);
	close(ends[1]);
	if (ret < 0) {
		close(ends[0]);
		return ret;
	}
	ret = policy_worker_adopt(worker, loop, pid, ends[0]);
	if (ret < 0) {
		kill(pid, SIGKILL);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	return ret;
}

void
policy_worker_stop(struct policy_worker *worker)
{
	if (policy_worker_is_running(worker))
		kill(worker->pid, SIGTERM);
}

void
policy_worker_kill(struct policy_worker *worker)
{
	if (policy_worker_is_running(worker))
		kill(worker->pid, SIGKILL);
}

void
policy_worker_leave(struct policy_worker *worker)
{
	if (!policy_worker_is_running(worker))
		return;
	worker->leaving = true;
	loop_cancel(worker->loop, &worker->ended);
	if (worker->readable.in_flight)
		loop_cancel(worker->loop, &worker->readable);
}
