/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/hook.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "policy/quiesce_problem.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KILL_MS     1000
#define READ_BYTES  65536u
#define DRAIN_READS 16u /* after the end: what a pipe can hold, and more */

int64_t
hook_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- may it be run? ---- */

static bool
is_ours(const struct stat *st)
{
	return st->st_uid == 0 || st->st_uid == geteuid();
}

/* Nobody else can put another in its place: with the sticky bit only its owner
 * can. */
static bool
directory_is_safe(const struct stat *st)
{
	return is_ours(st) && ((st->st_mode & (S_IWGRP | S_IWOTH)) == 0 ||
				  (st->st_mode & S_ISVTX) != 0);
}

/* NULL, or what is wrong. */
static const char *
program_wrong(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return strerror(errno);
	if (!S_ISREG(st.st_mode))
		return "it is no file";
	if (!is_ours(&st))
		return "it is neither root's nor varved's user's";
	if ((st.st_mode & (S_IWGRP | S_IWOTH)) != 0)
		return "others than its owner can change it";
	return access(path, X_OK) == 0 ? NULL : "it cannot be run";
}

static const char *
directories_wrong(const char *path)
{
	char up[PATH_MAX];
	struct stat st;

	snprintf(up, sizeof(up), "%s", path);
	do {
		/* in place, and so at its beginning */
		if (stat(dirname(up), &st) < 0)
			return strerror(errno);
		if (!directory_is_safe(&st))
			return "others can change a directory that it is in";
	} while (strcmp(up, "/") != 0);
	return NULL;
}

json_t *
hook_check(const char *path, char ret_path[PATH_MAX])
{
	const char *wrong;

	if (realpath(path, ret_path) == NULL)
		wrong = strerror(errno);
	else
		wrong = program_wrong(ret_path);
	if (wrong == NULL)
		wrong = directories_wrong(ret_path);
	if (wrong == NULL)
		return NULL;
	return problem_fix(problem_why(quiesce_problem(QUIESCE_HOOK,
					   "the hook %s is not run", path),
			       "%s", wrong),
	    "chown root and chmod 755 %s", path);
}

/* ---- what it prints ---- */

struct catch
{
	int fd;    /* -1: at its end */
	bool last; /* keeps the end, else the beginning */
	char text[HOOK_SAID_MAX];
	size_t length;
};

static void
catch_add(struct catch *catch, const char *data, size_t length)
{
	size_t room = sizeof(catch->text) - 1, drop = 0;

	if (catch->last && length > room) {
		data += length - room;
		length = room;
	}
	if (catch->last && catch->length + length > room)
		drop = catch->length + length - room;
	else if (length > room - catch->length)
		length = room - catch->length;
	memmove(catch->text, catch->text + drop, catch->length - drop);
	memcpy(catch->text + catch->length - drop, data, length);
	catch->length += length - drop;
	catch->text[catch->length] = '\0';
}

/* True: there may be more. */
static bool
catch_read(struct catch *catch)
{
	char data[READ_BYTES];
	ssize_t got = catch->fd < 0 ? 0 : read(catch->fd, data, sizeof(data));

	if (got > 0) {
		catch_add(catch, data, (size_t)got);
		return true;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	if (catch->fd >= 0)
		close(catch->fd);
	catch->fd = -1;
	return false;
}

static void
catch_end(struct catch *catch)
{
	for (unsigned i = 0; i < DRAIN_READS && catch_read(catch); i++)
		;
	if (catch->fd >= 0)
		close(catch->fd);
	catch->fd = -1;
}

static void
word_take(const struct catch *out, char ret_word[HOOK_WORD_MAX])
{
	size_t from = strspn(out->text, " \t\r\n");
	size_t length = strcspn(out->text + from, " \t\r\n");

	if (length >= HOOK_WORD_MAX)
		length = 0;
	snprintf(
	    ret_word, HOOK_WORD_MAX, "%.*s", (int)length, out->text + from);
}

static void
said_take(const struct catch *err, char ret_said[HOOK_SAID_MAX])
{
	size_t end = err->length;

	while (end > 0 && (unsigned char)err->text[end - 1] <= ' ')
		end--;
	for (size_t i = 0; i < end; i++) {
		unsigned char c = (unsigned char)err->text[i];
		ret_said[i] = c < ' ' || c == 0x7f ? ' ' : (char)c;
	}
	ret_said[end] = '\0';
}

/* ---- its process ---- */

struct process {
	pid_t pid;
	int pidfd;
	struct catch out, err;
};

/* What the child does with: made before the fork, because another thread of
 * the parent may have held a lock then. */
struct birth {
	const char *path;
	char *arguments[3];
	char **environment;
	int stdio[3];
	int go[2];    /* read: it may begin; closed: it may not */
	int error[2]; /* written: errno; closed: it has begun */
};

static void __attribute__((noreturn)) child(const struct birth *birth)
{
	sigset_t none;
	char go;
	int error;

	sigemptyset(&none);
	setsid();
	close(birth->go[1]);
	if (read(birth->go[0], &go, 1) != 1)
		_exit(127);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	umask(077);
	/* error[1] is above them: descriptors 0 to 2 are taken here */
	if (chdir("/") == 0 && dup2(birth->stdio[0], 0) == 0 &&
	    dup2(birth->stdio[1], 1) == 1 && dup2(birth->stdio[2], 2) == 2)
		execve(birth->path, birth->arguments, birth->environment);
	error = errno;
	if (write(birth->error[1], &error, sizeof(error)) < 0)
		_exit(126);
	_exit(127);
}

static char **
environment_make(const struct hook_run *run)
{
	char **all;
	size_t count = 0, own = 0, at = 0;

	while (environ[count] != NULL)
		count++;
	while (run->environment[own] != NULL)
		own++;
	all = calloc(count + own + 1, sizeof(all[0]));
	assert(all != NULL);
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], "VARVE_", 6) != 0)
			all[at++] = environ[i];
	for (size_t i = 0; i < own; i++)
		all[at++] = (char *)(uintptr_t)run->environment[i];
	return all;
}

/* A file, so that nobody has to write while the hook does not read. */
static int
input_make(const char *text)
{
	int fd = memfd_create("about", MFD_CLOEXEC);
	size_t length = strlen(text);

	if (fd < 0)
		return -errno;
	if (write(fd, text, length) != (ssize_t)length ||
	    lseek(fd, 0, SEEK_SET) < 0) {
		close(fd);
		return -EIO;
	}
	return fd;
}

static void
close_all(int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* 0 or -errno: it has not begun. */
static int
go(const struct hook_run *run, struct process *process, struct birth *birth)
{
	int error = 0;

	if (run->begins != NULL)
		run->begins(run->arg, process->pid);
	if (write(birth->go[1], "g", 1) != 1)
		return -EIO;
	close(birth->error[1]);
	birth->error[1] = -1;
	while (
	    read(birth->error[0], &error, sizeof(error)) < 0 && errno == EINTR)
		;
	return -error;
}

static int
process_fork(
    const struct hook_run *run, struct process *process, struct birth *birth)
{
	int ret;

	process->pid = fork();
	if (process->pid < 0)
		return -errno;
	if (process->pid == 0)
		child(birth);
	process->pidfd = pidfd_open(process->pid, 0);
	ret = process->pidfd < 0 ? -errno : go(run, process, birth);
	if (ret < 0) {
		kill(process->pid, SIGKILL);
		waitpid(process->pid, NULL, 0);
	}
	return ret;
}

static int
process_start(const struct hook_run *run, struct process *process)
{
	struct birth birth = {.path = run->path,
	    .arguments = {(char *)(uintptr_t)run->path,
		(char *)(uintptr_t)run->verb, NULL},
	    .stdio = {-1, -1, -1},
	    .go = {-1, -1},
	    .error = {-1, -1}};
	int out[2] = {-1, -1}, err[2] = {-1, -1}, ret = 0;

	birth.stdio[0] = input_make(run->about);
	if (birth.stdio[0] < 0 || pipe2(out, O_CLOEXEC) < 0 ||
	    pipe2(err, O_CLOEXEC) < 0 || pipe2(birth.go, O_CLOEXEC) < 0 ||
	    pipe2(birth.error, O_CLOEXEC) < 0)
		ret = -errno;
	birth.stdio[1] = out[1];
	birth.stdio[2] = err[1];
	birth.environment = environment_make(run);
	if (ret == 0)
		ret = process_fork(run, process, &birth);
	free(birth.environment);
	close_all(birth.stdio, 3);
	close_all(birth.go, 2);
	close_all(birth.error, 2);
	process->out.fd = out[0];
	process->err.fd = err[0];
	if (ret == 0 && (fcntl(out[0], F_SETFL, O_NONBLOCK) < 0 ||
			    fcntl(err[0], F_SETFL, O_NONBLOCK) < 0))
		abort();
	return ret;
}

/* ---- until its end ---- */

static bool
is_over(const struct process *process, int patience_ms)
{
	struct pollfd poll_fd = {.fd = process->pidfd, .events = POLLIN};

	return poll(&poll_fd, 1, patience_ms) == 1;
}

/* HOOK_EXITED: it has ended by itself. */
static enum hook_end
wait_for(const struct hook_run *run, struct process *process)
{
	int64_t deadline = hook_now() + run->limit_ms;

	for (;;) {
		struct pollfd fds[] = {
		    {.fd = process->pidfd, .events = POLLIN},
		    {.fd = run->watch_fd, .events = POLLIN},
		    {.fd = process->out.fd, .events = POLLIN},
		    {.fd = process->err.fd, .events = POLLIN},
		};
		int64_t left = deadline - hook_now();
		if (is_over(process, 0))
			return HOOK_EXITED;
		if (left <= 0)
			return HOOK_LATE;
		if (poll(fds, ARRAY_SIZE(fds), (int)left) <= 0)
			continue;
		if (fds[1].revents != 0)
			return HOOK_LEFT;
		if (fds[2].revents != 0)
			catch_read(&process->out);
		if (fds[3].revents != 0)
			catch_read(&process->err);
	}
}

static void
process_end(struct process *process, struct hook_result *result)
{
	int status;

	if (result->end != HOOK_EXITED)
		kill(-process->pid, SIGKILL);
	/* it may hang in the kernel: then nobody waits for it any more */
	if (!is_over(process, KILL_MS))
		return;
	while (waitpid(process->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (result->end == HOOK_EXITED && WIFSIGNALED(status)) {
		result->end = HOOK_SIGNAL;
		result->status = WTERMSIG(status);
	} else if (result->end == HOOK_EXITED) {
		result->status = WEXITSTATUS(status);
	}
}

void
hook_run(const struct hook_run *run, struct hook_result *ret_result)
{
	struct process process = {
	    .pidfd = -1, .out = {.fd = -1}, .err = {.fd = -1, .last = true}};
	int ret = process_start(run, &process);

	*ret_result = (struct hook_result){.end = HOOK_NEVER, .status = -ret};
	if (ret == 0) {
		ret_result->end = wait_for(run, &process);
		process_end(&process, ret_result);
	}
	catch_end(&process.out);
	catch_end(&process.err);
	word_take(&process.out, ret_result->word);
	said_take(&process.err, ret_result->said);
	if (process.pidfd >= 0)
		close(process.pidfd);
}

char *
hook_describe(const struct hook_run *run, const struct hook_result *result)
{
	const char *said = result->said;
	char *text = NULL;
	int ret = -1;

	switch (result->end) {
	case HOOK_EXITED:
		ret = asprintf(&text, "it ended with status %d%s%s",
		    result->status, said[0] != '\0' ? ": " : "", said);
		break;
	case HOOK_SIGNAL:
		ret = asprintf(&text, "it was killed by signal %d%s%s",
		    result->status, said[0] != '\0' ? ": " : "", said);
		break;
	case HOOK_LATE:
		ret = asprintf(&text, "it took longer than %u ms%s%s",
		    run->limit_ms, said[0] != '\0' ? ": " : "", said);
		break;
	case HOOK_LEFT: ret = asprintf(&text, "who wanted it is gone"); break;
	case HOOK_NEVER:
		ret = asprintf(
		    &text, "it cannot be run: %s", strerror(result->status));
		break;
	}
	if (ret < 0)
		abort();
	return text;
}
