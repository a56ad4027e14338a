/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running a hook: with varved's rights, under a time limit, and whatever it
 * prints.
 *
 * It runs in a session of its own, so that it can be ended with all that it has
 * started and that has not left it.  When it has exited, nobody waits for what
 * it started, though that may have its output open still.
 */
#ifndef POLICY_HOOK_H
#define POLICY_HOOK_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HOOK_WORD_MAX 16 /* with its 0 */
#define HOOK_SAID_MAX 512

struct hook_run {
	const char *path; /* that hook_check() gave */
	const char *verb;
	const char *about; /* its standard input */
	/* NAME=VALUE, beside this process's own; ends with NULL */
	const char *const *environment;
	unsigned limit_ms;
	int watch_fd; /* when it is readable the hook is killed; -1: none */
	/* The process is there and has not begun: its session is pid. */
	void (*begins)(void *arg, pid_t pid);
	void *arg;
};

enum hook_end {
	HOOK_EXITED, /* status: what it said by it */
	HOOK_SIGNAL, /* status: the signal that ended it */
	HOOK_LATE,
	HOOK_LEFT,  /* watch_fd */
	HOOK_NEVER, /* it did not begin; status: errno */
};

struct hook_result {
	enum hook_end end;
	int status;
	char word[HOOK_WORD_MAX]; /* the first on its standard output, if it is
				   * as short as that */
	char said[HOOK_SAID_MAX]; /* the end of its standard error, printable */
};

/* May it be run?  NULL, and its path without links; or why not.  A program that
 * others than root and this user could change would give them their rights. */
json_t *hook_check(const char *path, char ret_path[PATH_MAX]);

/* Blocks until it has ended, or is killed. */
void hook_run(const struct hook_run *run, struct hook_result *ret_result);

/* "it ended with status 3: no such domain" */
char *hook_describe(const struct hook_run *run,
    const struct hook_result *result); /* to be freed */

/* Milliseconds of a clock that nobody sets. */
int64_t hook_now(void);

#endif
