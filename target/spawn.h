/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program as a child of ours: with no signal blocked, though ours are, with
 * nothing on standard input, and our standard error.
 */
#ifndef TARGET_SPAWN_H
#define TARGET_SPAWN_H

#include <sys/types.h>

/* out_fd becomes its standard output, and stays the caller's.  0 or -errno. */
int spawn(const char *path, char *const *arguments, int out_fd, pid_t *ret_pid);

#endif
