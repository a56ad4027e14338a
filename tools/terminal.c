/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/terminal.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "tools/problem.h"
#include "tools/value.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <termios.h>

#define SECRET_MAX 255 /* RFC 7143 12.1.3: what every initiator can send */

/* ---- confirmation ---- */

json_t *
confirm(const struct api_command *command, const char *object)
{
	_cleanup_(freep) char *line = NULL;
	size_t size = 0;
	ssize_t length;

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return problem_fix(
		    problem_why(problem_new(API_CONFIRM, "confirm.needed",
				    "%s %s %s needs to be confirmed",
				    command->noun, command->verb, object),
			"it cannot be undone, and there is no terminal to ask "
			"on; "
			"nothing was done"),
		    "varve %s %s %s%s%s --yes", command->noun, command->verb,
		    object, command->asks_with != NULL ? " --" : "",
		    command->asks_with != NULL ? command->asks_with : "");
	fprintf(stderr, "This cannot be undone.  Type %s to go on: ", object);
	fflush(stderr);
	length = getline(&line, &size, stdin);
	if (length > 0 && line[length - 1] == '\n')
		line[length - 1] = '\0';
	if (length > 0 && strcmp(line, object) == 0)
		return NULL;
	return problem_why(problem_new(API_CONFIRM, "confirm.refused",
			       "%s %s %s was not confirmed", command->noun,
			       command->verb, object),
	    "what was typed is not '%s'; nothing was done", object);
}

/* ---- secrets ---- */

void
secret_free(char *secret)
{
	if (secret != NULL)
		explicit_bzero(secret, strlen(secret));
	free(secret);
}

static json_t *
unreadable(const char *where, const char *why)
{
	return problem_why(problem_new(API_FAILED, "secret.unreadable",
			       "cannot read a secret from %s", where),
	    "%s", why);
}

/* line may end with a newline, and with the carriage return before it. */
static json_t *
secret_check(const char *where, char *line, char **ret_secret)
{
	size_t length = strcspn(line, "\r\n");

	line[length] = '\0';
	if (length == 0)
		return unreadable(where, "it is empty");
	if (length > SECRET_MAX)
		return unreadable(where, "it has more than 255 bytes");
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)line[i] < 0x20)
			return unreadable(where, "it is not text");
	}
	*ret_secret = strdup(line);
	assert(*ret_secret != NULL);
	return NULL;
}

json_t *
secret_read_file(const char *path, char **ret_secret)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[SECRET_MAX + 3] = "";
	json_t *problem;
	ssize_t length;

	if (fd < 0)
		return unreadable(path, strerror(errno));
	/* not stdio: its buffer would keep the secret */
	length = read(fd, buf, sizeof(buf) - 1);
	if (length < 0)
		return unreadable(path, strerror(errno));
	problem = secret_check(path, buf, ret_secret);
	explicit_bzero(buf, sizeof(buf));
	return problem;
}

static volatile sig_atomic_t interrupted;

static void
on_interrupt(int number)
{
	interrupted = number;
}

/* A read that SIGINT ends.  The echo comes back before the signal does what it
 * did before. */
static ssize_t
read_interruptibly(int fd, char *buf, size_t size, const struct termios *shown)
{
	struct sigaction ours = {.sa_handler = on_interrupt}, before;
	ssize_t length;

	sigaction(SIGINT, &ours, &before);
	length = read(fd, buf, size);
	tcsetattr(fd, TCSAFLUSH, shown);
	sigaction(SIGINT, &before, NULL);
	if (interrupted != 0)
		raise(interrupted);
	return length;
}

/* A line typed on fd without echo. */
static ssize_t
read_hidden(int fd, char *buf, size_t size)
{
	struct termios shown, hidden;

	if (tcgetattr(fd, &shown) < 0)
		return -1;
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)ECHO;
	hidden.c_lflag |= ECHONL;
	if (tcsetattr(fd, TCSAFLUSH, &hidden) < 0)
		return -1;
	return read_interruptibly(fd, buf, size, &shown);
}

static json_t *
secret_ask(const struct api_arg *arg, char **ret_secret)
{
	_cleanup_(closep) int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
	char buf[SECRET_MAX + 3] = "", option[OPTION_NAME_MAX];
	json_t *problem;

	if (fd < 0)
		return problem_fix(
		    problem_new(API_USAGE, "usage.argument",
			"a secret is needed, and there is no terminal to ask "
			"on: %s",
			arg->help),
		    "put it into a file: --%s FILE", value_option(arg, option));
	dprintf(fd, "%s (not shown): ", arg->name);
	if (read_hidden(fd, buf, sizeof(buf) - 1) < 0)
		return unreadable("the terminal", strerror(errno));
	problem = secret_check("the terminal", buf, ret_secret);
	explicit_bzero(buf, sizeof(buf));
	return problem;
}

json_t *
secrets_read(struct invocation *invocation)
{
	for (unsigned i = 0; i < invocation->secret_count; i++) {
		const struct secret_source *source = &invocation->secrets[i];
		char *secret = NULL;
		json_t *value;
		json_t *problem = source->path != NULL
				      ? secret_read_file(source->path, &secret)
				      : secret_ask(source->arg, &secret);
		if (problem != NULL)
			return problem;
		value = json_string(secret);
		secret_free(secret);
		if (value == NULL)
			return unreadable(source->arg->name, "it is not UTF-8");
		json_object_set_new(
		    invocation->params, source->arg->name, value);
	}
	return NULL;
}
