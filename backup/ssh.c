/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/ssh.h"
#include "backup/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define END_MS  10000
#define LOOK_MS 20
#define ALIVE   "ServerAliveInterval=30"

/* ---- what is run ---- */

/* For a POSIX shell: in '', where each ' is '\''. */
static char *
quoted(const char *text)
{
	char *result = malloc(4 * strlen(text) + 3), *at = result;

	assert(result != NULL);
	*at++ = '\'';
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			at = stpcpy(at, "'\\''");
		else
			*at++ = *text;
	}
	strcpy(at, "'");
	return result;
}

/* What the shell there gets. */
static char *
remote_command(const struct ssh_params *params, const char *to)
{
	_cleanup_(freep) char *copy = quoted(to);
	char *command;

	if (asprintf(&command, "%s backup receive --answer -- %s",
		params->varve, copy) < 0)
		abort();
	return command;
}

static void
child_run(const struct ssh_params *params, const char *remote)
{
	_cleanup_(freep) char *script = NULL;

	signal(SIGPIPE, SIG_DFL);
	if (params->command == NULL) {
		execlp("ssh", "ssh", "-T", "-o", ALIVE, "--", params->host,
		    remote, (char *)NULL);
	} else if (asprintf(&script, "%s \"$@\"", params->command) > 0) {
		execl("/bin/sh", "sh", "-c", script, "sh", "--", params->host,
		    remote, (char *)NULL);
	}
	fprintf(stderr, "%s: %s\n", params->command != NULL ? "/bin/sh" : "ssh",
	    strerror(errno));
	_exit(127);
}

/* ---- life ---- */

static json_t *
host_check(const char *host)
{
	/* ssh would take it for an option */
	if (host[0] != '\0' && host[0] != '-')
		return NULL;
	return problem_why(
	    backup_problem(BACKUP_HOST, "cannot send to \"%s\"", host),
	    "that is the name of no machine");
}

/* The child's ends become its standard input and output. */
static void
ends_take(int in, int out)
{
	if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
		_exit(127);
}

json_t *
ssh_start(const struct ssh_params *params, const char *to, struct ssh *ret_ssh)
{
	_cleanup_(freep) char *remote = remote_command(params, to);
	json_t *problem = host_check(params->host);
	int down[2], up[2], ret;

	if (problem != NULL)
		return problem;
	ret = pipe2(down, O_CLOEXEC);
	assert(ret == 0);
	ret = pipe2(up, O_CLOEXEC);
	assert(ret == 0);
	*ret_ssh = (struct ssh){.pid = fork(), .out = down[1], .in = up[0]};
	assert(ret_ssh->pid >= 0);
	if (ret_ssh->pid == 0) {
		ends_take(down[0], up[1]);
		child_run(params, remote);
	}
	close(down[0]);
	close(up[1]);
	return NULL;
}

int
ssh_end(struct ssh *ssh)
{
	pid_t ended = 0;
	int status;

	closep(&ssh->in);
	ssh->in = -1;
	for (int ms = 0; ended == 0 && ms < END_MS; ms += LOOK_MS) {
		ended = waitpid(ssh->pid, &status, WNOHANG);
		if (ended == 0)
			usleep(LOOK_MS * 1000);
	}
	if (ended == 0) {
		kill(ssh->pid, SIGTERM);
		ended = waitpid(ssh->pid, &status, 0);
	}
	return ended == ssh->pid && WIFEXITED(status) ? WEXITSTATUS(status)
						      : -1;
}
