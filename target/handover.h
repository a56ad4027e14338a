/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a varved leaves open for the one that takes its place by exec: files by
 * name, told in an environment variable.  On the home thread.
 */
#ifndef TARGET_HANDOVER_H
#define TARGET_HANDOVER_H

#include <stdbool.h>

#define HANDOVER_NAME_MAX 40 /* with the NUL; no '=' and no space */

struct handover {
	struct handed {
		char name[HANDOVER_NAME_MAX];
		int fd;
	} * files;
	unsigned count;
};

/* What the one before has left, out of the environment; what is there is no
 * list of open files: nothing.  Before threads are made. */
void handover_receive(struct handover *handover);
/* The file is the caller's from now on; -1: there is none of that name. */
int handover_find(struct handover *handover, const char *name);
/* A second descriptor of the file: fd stays the caller's.  0 or -errno. */
int handover_add(struct handover *handover, const char *name, int fd);
/* Into the environment, and exec leaves them open. */
int handover_send(const struct handover *handover);
/* Closes all that nobody has taken; it can be used again. */
void handover_drop(struct handover *handover);

#endif
