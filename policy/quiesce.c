/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The worker's side, and recovery.
 */
#include "policy/quiesce.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/consistency.h"
#include "policy/keeper.h"
#include "policy/quiesce_problem.h"
#include "policy/thaw.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <uuid/uuid.h>

#define RECORD_SUFFIX ".json"
#define NEW_SUFFIX    ".new" /* one that was not made to its end */

struct quiesce {
	struct quiesce_params params; /* numbers and directory alone */
	char *directory;
	char id[FREEZE_ID_MAX];
	pid_t keeper;
	int fd;
	enum consistency level;
	int64_t began;
};

/* ---- recovery ---- */

static json_t *
not_thawed(const char *path, const char *why)
{
	return problem_why(quiesce_problem(QUIESCE_NOT_THAWED,
			       "what %s says is not thawed yet", path),
	    "%s", why);
}

/* One try.  0: there is nothing to thaw any more; or, with *ret_problem,
 * -EAGAIN: another process has it; -EBADMSG: nobody can know what it is; -EIO:
 * it is frozen still. */
static int
recover_try(const char *directory, const char *id, json_t **ret_problem)
{
	_cleanup_(freep) char *path = NULL, *why = NULL;
	struct freeze_record record;
	int ret = freeze_record_take(&record, directory, id, false);

	if (asprintf(&path, "%s/%s" RECORD_SUFFIX, directory, id) < 0)
		abort();
	*ret_problem = NULL;
	if (ret == -EBADMSG)
		*ret_problem = quiesce_problem(
		    QUIESCE_RECORD, "%s cannot be read as a record", path);
	else if (ret < 0 && ret != -ENOENT)
		*ret_problem = not_thawed(path, "another process is at it");
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	freeze_record_group_end(&record);
	if (thaw_try(&record, &why) == THAW_FAILED)
		*ret_problem = not_thawed(path, why);
	else
		freeze_record_remove(&record);
	freeze_record_done(&record);
	return *ret_problem == NULL ? 0 : -EIO;
}

/* Takes problem. */
static void
first_keep(json_t **first, json_t *problem)
{
	if (*first == NULL)
		*first = problem;
	else
		json_decref(problem);
}

static bool
ends_with(const char *name, const char *suffix)
{
	size_t length = strlen(name), end = strlen(suffix);

	return length > end && strcmp(name + length - end, suffix) == 0;
}

/* Locked while it is being made. */
static void
new_sweep(const char *directory, const char *name)
{
	_cleanup_(freep) char *path = NULL;
	_cleanup_(closep) int fd = -1;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		abort();
	fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
		unlink(path);
}

static void
name_take(const char *directory, const char *name, json_t *ids)
{
	size_t length = strlen(name) - strlen(RECORD_SUFFIX);

	if (name[0] == '.' && ends_with(name, NEW_SUFFIX))
		new_sweep(directory, name);
	if (name[0] != '.' && ends_with(name, RECORD_SUFFIX) &&
	    length < FREEZE_ID_MAX)
		json_array_append_new(ids, json_stringn(name, length));
}

/* The ids of what is recorded. */
static json_t *
records_find(const char *directory, json_t **ret_ids)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;

	*ret_ids = json_array();
	if (dir == NULL && errno == ENOENT)
		return NULL;
	if (dir == NULL)
		return problem_why(quiesce_problem(QUIESCE_RECORD,
				       "%s cannot be read", directory),
		    "%s", strerror(errno));
	while ((entry = readdir(dir)) != NULL)
		name_take(directory, entry->d_name, *ret_ids);
	closedir(dir);
	return NULL;
}

/* Each once: those that are still to be seen to stay in ids; the first problem
 * of these. */
static json_t *
recover_round(const char *directory, json_t *ids, json_t **lasting)
{
	json_t *first = NULL;

	for (size_t i = json_array_size(ids); i-- > 0;) {
		const char *id = json_string_value(json_array_get(ids, i));
		json_t *problem;
		int ret = recover_try(directory, id, &problem);
		bool again = ret == -EIO || ret == -EAGAIN;
		if (!again)
			json_array_remove(ids, i);
		first_keep(again ? &first : lasting, problem);
	}
	return first;
}

json_t *
quiesce_recover(const char *directory)
{
	_cleanup_(json_decrefpp) json_t *ids = NULL;
	int64_t end = hook_now() + THAW_PATIENCE_MS;
	json_t *problem = records_find(directory, &ids);

	for (unsigned tries = 0; json_array_size(ids) > 0; tries++) {
		json_t *passing = recover_round(directory, ids, &problem);
		if (json_array_size(ids) > 0 && hook_now() >= end) {
			first_keep(&problem, passing);
			break;
		}
		json_decref(passing);
		if (json_array_size(ids) > 0)
			thaw_pause(tries);
	}
	return problem;
}

/* ---- the keeper ---- */

/* NULL: it is gone. */
static json_t *
listen_to(const struct quiesce *quiesce)
{
	char text[KEEPER_MESSAGE_MAX];
	ssize_t got;

	do
		got = recv(quiesce->fd, text, sizeof(text), 0);
	while (got < 0 && errno == EINTR);
	return got > 0 ? json_loadb(text, (size_t)got, 0, NULL) : NULL;
}

static void
quiesce_end(struct quiesce *quiesce)
{
	if (quiesce->fd >= 0)
		close(quiesce->fd);
	free(quiesce->directory);
	free(quiesce);
}

static void
reap(const struct quiesce *quiesce)
{
	while (waitpid(quiesce->keeper, NULL, 0) < 0 && errno == EINTR)
		;
}

/* It was killed.  Its deputy thaws, or we do. */
static json_t *
outlive(const struct quiesce *quiesce)
{
	int64_t end = hook_now() + quiesce->params.thaw_ms;
	json_t *problem;

	reap(quiesce);
	for (unsigned tries = 0;; tries++) {
		int ret =
		    recover_try(quiesce->directory, quiesce->id, &problem);
		if (ret == 0 || hook_now() >= end)
			return problem;
		json_decref(problem);
		thaw_pause(tries);
	}
}

/* ---- freeze ---- */

static json_t *
start(struct quiesce *quiesce, const struct quiesce_params *params)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return quiesce_problem(QUIESCE_NOT_FROZEN,
		    "no process can be made: %s", strerror(errno));
	quiesce->fd = fds[0];
	quiesce->keeper = keeper_fork(params, quiesce->id, fds[1]);
	close(fds[1]);
	if (quiesce->keeper < 0)
		return quiesce_problem(QUIESCE_NOT_FROZEN,
		    "no process can be made: %s", strerror(errno));
	return NULL;
}

static json_t *
keeper_lost(const struct quiesce *quiesce)
{
	json_t *problem = outlive(quiesce);

	return problem != NULL
		   ? problem
		   : quiesce_problem(QUIESCE_NOT_FROZEN,
			 "what was to thaw was killed; it is thawed");
}

/* Takes answer. */
static json_t *
freeze_end(struct quiesce *quiesce, json_t *answer)
{
	const char *word =
	    json_string_value(json_object_get(answer, "consistency"));
	json_t *problem = json_object_get(answer, "problem");

	if (answer == NULL)
		return keeper_lost(quiesce);
	if (problem != NULL) {
		json_incref(problem);
		/* else it goes on by itself */
		if (strcmp(varve_problem_code(problem), "quiesce.not-thawed") !=
		    0)
			reap(quiesce);
	} else if (word == NULL || !consistency_parse(word, &quiesce->level)) {
		abort();
	}
	json_decref(answer);
	return problem;
}

json_t *
quiesce_freeze(const struct quiesce_params *params, struct quiesce **ret)
{
	struct quiesce *quiesce = calloc(1, sizeof(*quiesce));
	char path[PATH_MAX];
	uuid_t uuid;
	json_t *problem = hook_check(params->hook, path);

	assert(quiesce != NULL);
	assert(json_is_object(params->about));
	quiesce->params = *params;
	if (params->budget_ms == 0)
		quiesce->params.budget_ms = QUIESCE_BUDGET_MS;
	if (params->thaw_ms == 0)
		quiesce->params.thaw_ms = QUIESCE_THAW_MS;
	quiesce->directory = strdup(params->directory);
	quiesce->fd = -1;
	quiesce->began = hook_now();
	uuid_generate_random(uuid);
	uuid_unparse_lower(uuid, quiesce->id);
	if (problem == NULL)
		problem = start(quiesce, &quiesce->params);
	if (problem == NULL)
		problem = freeze_end(quiesce, listen_to(quiesce));
	*ret = problem == NULL ? quiesce : NULL;
	if (problem != NULL)
		quiesce_end(quiesce);
	return problem;
}

/* ---- thaw ---- */

json_t *
quiesce_thaw(struct quiesce *quiesce, struct quiesce_result *ret_result)
{
	_cleanup_(json_decrefpp) json_t *answer = NULL;
	json_t *problem;

	*ret_result = (struct quiesce_result){.held = false};
	/* one that is gone has nobody who hears */
	send(quiesce->fd, "t", 1, MSG_NOSIGNAL);
	answer = listen_to(quiesce);
	problem = json_incref(json_object_get(answer, "problem"));
	if (answer == NULL)
		problem = outlive(quiesce);
	else if (problem == NULL)
		reap(quiesce);
	ret_result->held = json_is_true(json_object_get(answer, "held"));
	ret_result->frozen_ms = answer != NULL
				    ? (unsigned)json_integer_value(
					  json_object_get(answer, "frozen_ms"))
				    : (unsigned)(hook_now() - quiesce->began);
	ret_result->consistency = consistency_text(
	    ret_result->held ? quiesce->level : CONSISTENCY_CRASH);
	quiesce_end(quiesce);
	return problem;
}
