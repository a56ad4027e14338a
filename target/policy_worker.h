/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A process of ours that does a policy's work: `varve-policy`, a client of the
 * control API like any other.  What it says on its standard output is JSON, an
 * object a line.  It outlives an exec of ours, which leaves it our child.
 *
 *	idle     zeroed
 *	running  started or adopted: told() for each line, then done() once
 *	left     policy_worker_leave: nobody looks any more; it goes on
 *
 * On the loop's thread, which has to be the one that all of varved lives as
 * long as: the worker is sent SIGTERM when the thread that started it ends.
 */
#ifndef TARGET_POLICY_WORKER_H
#define TARGET_POLICY_WORKER_H

#include "base/loop.h"
#include <jansson.h>
#include <sys/types.h>

#define POLICY_LINE_MAX (1u << 20) /* a longer one is passed over */

struct policy_worker {
	/* line is the callee's to keep by a reference */
	void (*told)(struct policy_worker *worker, json_t *line);
	/* status: of waitpid(2) */
	void (*done)(struct policy_worker *worker, int status);
	/* policy_worker.c's */
	struct loop *loop;
	pid_t pid;
	int pid_fd, report_fd;
	struct loop_io ended, readable;
	char *line;
	size_t length;
	bool passing_over; /* the rest of a line that is too long */
	bool has_ended, leaving;
};

/* told and done are set.  arguments: with the program's path first, NULL last.
 * 0 or -errno. */
int policy_worker_start(
    struct policy_worker *worker, struct loop *loop, char *const *arguments);
/* One that the varved before us has started; report_fd becomes ours, also on
 * failure. */
int policy_worker_adopt(
    struct policy_worker *worker, struct loop *loop, pid_t pid, int report_fd);
static inline bool
policy_worker_is_running(const struct policy_worker *worker)
{
	return worker->line != NULL;
}
/* Asks it to end, or ends it; done() follows.  Nothing when it does not run. */
void policy_worker_stop(struct policy_worker *worker);
void policy_worker_kill(struct policy_worker *worker);
/* Looks away; it can be freed once policy_worker_is_running() says no. */
void policy_worker_leave(struct policy_worker *worker);

#endif
