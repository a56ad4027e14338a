/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/thaw.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "client/problem.h"
#include "policy/quiesce.h"
#include <string.h>
#include <time.h>

#define STATUS_BROKEN 3 /* of HOOK thaw */
#define PAUSE_MS      100u
#define PAUSE_MAX_MS  10000u

/* ---- the hook ---- */

static void
text_add(char **text, const char *more)
{
	char *longer;

	if (asprintf(
		&longer, "%s%s%s", *text, **text != '\0' ? " " : "", more) < 0)
		abort();
	free(*text);
	*text = longer;
}

/* "vms/db01 vms/db02": names have no spaces. */
static char *
names_of(const json_t *about)
{
	char *names = strdup("");
	const json_t *lun;
	size_t i;

	assert(names != NULL);
	json_array_foreach(json_object_get(about, "luns"), i, lun)
	{
		const char *name =
		    json_string_value(json_object_get(lun, "name"));
		if (name != NULL)
			text_add(&names, name);
	}
	return names;
}

static char *
variable(const char *name, const char *value)
{
	char *text;

	if (asprintf(&text, "%s=%s", name, value != NULL ? value : "") < 0)
		abort();
	return text;
}

static const char *
member(const json_t *about, const char *name)
{
	return json_string_value(json_object_get(about, name));
}

static void
begins(void *arg, pid_t session)
{
	freeze_record_group(arg, session);
}

void
freeze_hook_run(const struct freeze_record *record, const char *verb,
    unsigned limit_ms, int watch_fd, struct hook_result *ret_result,
    char **ret_why)
{
	const json_t *about = json_object_get(record->json, "about");
	_cleanup_(freep) char *names = names_of(about);
	_cleanup_(freep) char *state = freeze_record_state(record);
	_cleanup_(freep) char *text = json_dumps(about, JSON_COMPACT);
	_cleanup_(freep) char *policy =
	    variable("VARVE_POLICY", member(about, "policy"));
	_cleanup_(freep) char *snapshot =
	    variable("VARVE_SNAPSHOT", member(about, "snapshot"));
	_cleanup_(freep) char *luns = variable("VARVE_LUNS", names);
	_cleanup_(freep) char *place = variable("VARVE_STATE", state);
	_cleanup_(freep) char *hook =
	    variable("VARVE_HOOK", member(record->json, "hook"));
	_cleanup_(freep) char *limit = NULL;
	const char *environment[7] = {policy, snapshot, luns, place, hook};
	char path[PATH_MAX];
	struct hook_run run = {.path = path,
	    .verb = verb,
	    .about = text,
	    .environment = environment,
	    .limit_ms = limit_ms,
	    .watch_fd = watch_fd,
	    .begins = begins,
	    .arg = (void *)(uintptr_t)record};
	json_t *problem = hook_check(member(record->json, "hook"), path);

	if (asprintf(&limit, "VARVE_LIMIT_MS=%u", limit_ms) < 0)
		abort();
	environment[5] = limit;
	*ret_result = (struct hook_result){.end = HOOK_NEVER};
	*ret_why = NULL;
	if (problem != NULL) {
		*ret_why = strdup(varve_problem_why(problem));
		json_decref(problem);
		return;
	}
	hook_run(&run, ret_result);
	if (ret_result->end != HOOK_EXITED || ret_result->status != 0)
		*ret_why = hook_describe(&run, ret_result);
}

/* ---- thawing ---- */

static unsigned
limit_of(const struct freeze_record *record)
{
	json_int_t ms =
	    json_integer_value(json_object_get(record->json, "thaw_ms"));

	return ms > 0 && ms <= THAW_PATIENCE_MS ? (unsigned)ms
						: QUIESCE_THAW_MS;
}

enum thaw_end
thaw_try(const struct freeze_record *record, char **ret_why)
{
	struct hook_result result;

	freeze_hook_run(record, "thaw", limit_of(record), -1, &result, ret_why);
	if (result.end != HOOK_EXITED ||
	    (result.status != 0 && result.status != STATUS_BROKEN))
		return THAW_FAILED;
	free(*ret_why);
	*ret_why = NULL;
	return result.status == 0 ? THAW_HELD : THAW_BROKEN;
}

void
thaw_pause(unsigned tries)
{
	unsigned ms = tries < 8 ? PAUSE_MS << tries : PAUSE_MAX_MS;
	struct timespec pause;

	if (ms > PAUSE_MAX_MS)
		ms = PAUSE_MAX_MS;
	pause.tv_sec = ms / 1000;
	pause.tv_nsec = (long)(ms % 1000) * 1000000;
	while (nanosleep(&pause, &pause) < 0)
		;
}

enum thaw_end
thaw_until(const struct freeze_record *record, int64_t patience_ms,
    void (*failed)(void *arg, const char *why), void *arg)
{
	int64_t end = hook_now() + patience_ms;

	for (unsigned tries = 0;; tries++) {
		_cleanup_(freep) char *why = NULL;
		enum thaw_end thawed = thaw_try(record, &why);
		if (thawed != THAW_FAILED) {
			freeze_record_remove(record);
			return thawed;
		}
		if (failed != NULL)
			failed(arg, why);
		if (hook_now() >= end)
			return THAW_FAILED;
		thaw_pause(tries);
	}
}
