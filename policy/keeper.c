/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/keeper.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/consistency.h"
#include "policy/quiesce_problem.h"
#include "policy/thaw.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct keeper {
	const struct quiesce_params *params;
	struct freeze_record record;
	int fd; /* the worker */
	pid_t deputy;
	int64_t began;      /* the freeze */
	int64_t thaw_began; /* 0: not yet */
	bool held;          /* until the worker wanted it thawed */
	json_t *problem;    /* why it was not frozen */
	bool answered;      /* what the worker waits for now */
};

/* ---- a process that is left alone ---- */

/* What the worker has open is not held open: who reads its output waits for
 * its end. */
static void
descriptors_drop(int *fd)
{
	int nothing = open("/dev/null", O_RDWR);

	assert(nothing >= 0);
	for (int i = 0; i <= 2; i++)
		dup2(nothing, i);
	if (*fd >= 0) {
		dup2(*fd, 3);
		*fd = 3;
	}
	close_range(*fd >= 0 ? 4 : 3, ~0u, 0);
	if (*fd >= 0)
		fcntl(*fd, F_SETFD, FD_CLOEXEC);
}

static void
stand_alone(const char *name, int *fd)
{
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, name);
	prctl(PR_SET_PDEATHSIG, 0);
	descriptors_drop(fd);
	if (chdir("/") < 0)
		abort();
}

/* ---- the deputy ---- */

static void __attribute__((noreturn))
deputy_live(const char *directory, const char *id)
{
	struct freeze_record record;
	int none = -1;

	stand_alone("varve-deputy", &none);
	if (freeze_record_take(&record, directory, id, true) < 0)
		_exit(0);
	freeze_record_group_end(&record);
	thaw_until(&record, THAW_PATIENCE_MS, NULL, NULL);
	_exit(0);
}

static int
deputy_fork(struct keeper *keeper)
{
	keeper->deputy = fork();
	if (keeper->deputy < 0)
		return -errno;
	if (keeper->deputy == 0)
		deputy_live(keeper->record.directory, keeper->record.id);
	return 0;
}

/* ---- answers ---- */

/* Takes answer.  A worker that is gone needs none. */
static void
say(struct keeper *keeper, json_t *answer)
{
	_cleanup_(freep) char *text = json_dumps(answer, JSON_COMPACT);

	assert(text != NULL);
	assert(strlen(text) < KEEPER_MESSAGE_MAX);
	if (send(keeper->fd, text, strlen(text), MSG_NOSIGNAL) < 0)
		assert(errno == EPIPE || errno == ECONNRESET);
	json_decref(answer);
	keeper->answered = true;
}

static json_t *
not_frozen(const struct keeper *keeper, const char *why)
{
	return problem_why(
	    quiesce_problem(QUIESCE_NOT_FROZEN, "%s has not frozen",
		json_string_value(
		    json_object_get(keeper->record.json, "hook"))),
	    "%s", why);
}

static unsigned
frozen_ms(const struct keeper *keeper)
{
	return (unsigned)(hook_now() - keeper->began);
}

/* ---- thawing ---- */

/* What is not thawed after a while is nothing that the worker waits for. */
static void
thaw_failed(void *arg, const char *why)
{
	struct keeper *keeper = arg;
	json_t *problem;

	if (keeper->answered ||
	    hook_now() - keeper->thaw_began < keeper->params->thaw_ms)
		return;
	problem = problem_why(
	    quiesce_problem(QUIESCE_NOT_THAWED, "%s has not thawed yet",
		json_string_value(
		    json_object_get(keeper->record.json, "hook"))),
	    "%s%s%s",
	    keeper->problem != NULL ? varve_problem_why(keeper->problem) : "",
	    keeper->problem != NULL ? "; then " : "", why);
	say(keeper, json_pack("{s:o, s:i}", "problem", problem, "frozen_ms",
			(int)frozen_ms(keeper)));
}

static void
thaw_told(struct keeper *keeper, enum thaw_end thawed)
{
	if (keeper->answered || thawed == THAW_FAILED)
		return;
	if (keeper->problem != NULL)
		say(keeper, json_pack("{s:O}", "problem", keeper->problem));
	else
		say(keeper, json_pack("{s:b, s:i}", "held",
				keeper->held && thawed == THAW_HELD,
				"frozen_ms", (int)frozen_ms(keeper)));
}

/* The deputy ends when the lock is free and the record gone; what is not thawed
 * is its to go on with. */
static void __attribute__((noreturn)) thaw_and_end(struct keeper *keeper)
{
	enum thaw_end thawed;

	keeper->thaw_began = hook_now();
	thawed =
	    thaw_until(&keeper->record, THAW_PATIENCE_MS, thaw_failed, keeper);
	freeze_record_done(&keeper->record);
	if (thawed != THAW_FAILED)
		waitpid(keeper->deputy, NULL, 0);
	thaw_told(keeper, thawed);
	_exit(0);
}

/* ---- freezing ---- */

static void __attribute__((noreturn))
refuse(struct keeper *keeper, json_t *problem)
{
	say(keeper, json_pack("{s:o}", "problem", problem));
	_exit(0);
}

static bool
is_frozen(const struct hook_result *result)
{
	enum consistency level;

	return result->end == HOOK_EXITED && result->status == 0 &&
	       consistency_parse(result->word, &level) &&
	       level != CONSISTENCY_CRASH;
}

/* It may have frozen some of it, and what it has started may go on. */
static void __attribute__((noreturn)) freeze_failed(
    struct keeper *keeper, const struct hook_result *result, const char *why)
{
	keeper->problem = not_frozen(
	    keeper, why != NULL ? why : "it said neither fs nor app");
	if (result->end == HOOK_NEVER) {
		freeze_record_remove(&keeper->record);
		freeze_record_done(&keeper->record);
		waitpid(keeper->deputy, NULL, 0);
		refuse(keeper, keeper->problem);
	}
	freeze_record_group_end(&keeper->record);
	thaw_and_end(keeper);
}

static void
freeze(struct keeper *keeper)
{
	_cleanup_(freep) char *why = NULL;
	struct hook_result result;

	keeper->began = hook_now();
	freeze_hook_run(&keeper->record, "freeze", keeper->params->budget_ms,
	    keeper->fd, &result, &why);
	if (!is_frozen(&result))
		freeze_failed(keeper, &result, why);
	say(keeper, json_pack("{s:s}", "consistency", result.word));
	keeper->answered = false;
}

/* True: the worker wants it thawed; false: it is gone, or the budget is over.
 */
static bool
frozen_wait(const struct keeper *keeper)
{
	struct pollfd poll_fd = {.fd = keeper->fd, .events = POLLIN};
	int64_t left = keeper->began + keeper->params->budget_ms - hook_now();
	char byte;

	return left > 0 && poll(&poll_fd, 1, (int)left) == 1 &&
	       recv(keeper->fd, &byte, 1, MSG_DONTWAIT) == 1;
}

static json_t *
record_of(const struct quiesce_params *params)
{
	return json_pack("{s:s, s:O, s:i}", "hook", params->hook, "about",
	    params->about, "thaw_ms", (int)params->thaw_ms);
}

static void __attribute__((noreturn))
keeper_live(const struct quiesce_params *params, const char *id, int fd)
{
	struct keeper keeper = {.params = params, .fd = fd};
	json_t *problem;

	stand_alone("varve-keeper", &keeper.fd);
	problem = freeze_record_new(
	    &keeper.record, params->directory, id, record_of(params));
	if (problem != NULL)
		refuse(&keeper, problem);
	if (deputy_fork(&keeper) < 0) {
		freeze_record_remove(&keeper.record);
		refuse(&keeper, not_frozen(&keeper, "no process can be made"));
	}
	freeze(&keeper);
	keeper.held = frozen_wait(&keeper);
	thaw_and_end(&keeper);
}

pid_t
keeper_fork(const struct quiesce_params *params, const char *id, int fd)
{
	pid_t pid = fork();

	if (pid == 0)
		keeper_live(params, id, fd);
	return pid;
}
