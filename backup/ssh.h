/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * varve backup receive on another machine, with both ends of its pipe here.
 */
#ifndef BACKUP_SSH_H
#define BACKUP_SSH_H

#include <jansson.h>
#include <sys/types.h>

struct ssh_params {
	const char *host; /* as ssh takes it: HOST, USER@HOST, ssh://... */
	/* Run by sh in place of ssh, with -- HOST COMMAND behind it; NULL: ssh
	 */
	const char *command;
	const char *varve; /* the program there, as the shell there has it */
};

struct ssh {
	pid_t pid;
	int out, in; /* to it, and from it */
};

/* Starts it; it says nothing yet.  Of its standard error nothing is hidden.
 *   backup.host */
json_t *ssh_start(
    const struct ssh_params *params, const char *to, struct ssh *ret_ssh);
/* Closes `in` and waits; out was closed.  What it ended with: an exit status,
 * or -1.  Who does not end when nobody listens to him is ended. */
int ssh_end(struct ssh *ssh);

#endif
