/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/job.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "tools/findings.h"
#include "tools/problem.h"
#include "tools/progress.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define LOOK_MS 500

struct follow {
	struct cli *cli;
	const char *id;
	json_t *result; /* the newest answer of job.show */
	bool seen;      /* it was there once */
	bool terminal;  /* standard error is one */
	double started, done_first;
};

static volatile sig_atomic_t interrupted;

static void
interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

/* ---- how far it is ---- */

static double
number_of(const json_t *item, const char *member)
{
	return json_number_value(json_object_get(item, member));
}

static const char *
text_of(const json_t *item, const char *member)
{
	const char *text = json_string_value(json_object_get(item, member));

	return text != NULL ? text : "";
}

void
job_line(const json_t *item, double bytes_per_second, char line[JOB_LINE_MAX])
{
	char first[PROGRESS_LINE_MAX];

	progress_line(text_of(item, "name"), number_of(item, "done"),
	    number_of(item, "total"), bytes_per_second, first);
	snprintf(
	    line, JOB_LINE_MAX, "%s  job %.48s", first, text_of(item, "job"));
}

static void
progress_json(const json_t *item)
{
	json_t *line = json_pack("{s:i, s:s, s:O}", "varve", 1, "kind",
	    "job.progress", "item", item);

	json_dumpf(line, stdout, JSON_COMPACT);
	fputc('\n', stdout);
	fflush(stdout);
	json_decref(line);
}

static void
progress(struct follow *follow)
{
	const struct globals *globals = &follow->cli->invocation.globals;
	const json_t *item = json_object_get(follow->result, "item");
	double seconds = progress_now() - follow->started, rate = 0;
	char line[JOB_LINE_MAX];

	if (globals->json) {
		progress_json(item);
		return;
	}
	if (globals->quiet || !follow->terminal)
		return;
	if (seconds > 0)
		rate = (number_of(item, "done") - follow->done_first) / seconds;
	job_line(item, rate, line);
	progress_show(line);
}

/* ---- until it ends ---- */

/* One that was there and is not any more gave back what it had to. */
static void
vanished(struct follow *follow)
{
	json_t *item = json_object_get(follow->result, "item");

	json_object_set_new(item, "state", json_string("done"));
	json_object_set_new(item, "percent", json_integer(100));
	json_object_set(item, "done", json_object_get(item, "total"));
}

static json_t *
look(struct follow *follow)
{
	json_t *params = json_pack("{s:s}", "job", follow->id);
	json_t *result = NULL;
	json_t *problem = cli_call(follow->cli, "job.show", params, &result);

	json_decref(params);
	if (problem != NULL && follow->seen &&
	    strcmp(varve_problem_code(problem), "job.not-found") == 0) {
		json_decref(problem);
		vanished(follow);
		return NULL;
	}
	if (problem != NULL)
		return problem;
	json_decref(follow->result);
	follow->result = result;
	if (!follow->seen)
		follow->done_first =
		    number_of(json_object_get(result, "item"), "done");
	follow->seen = true;
	return NULL;
}

static bool
has_state(const struct follow *follow, const char *state)
{
	const json_t *item = json_object_get(follow->result, "item");

	return strcmp(text_of(item, "state"), state) == 0;
}

static bool
time_is_over(const struct follow *follow)
{
	unsigned ms = follow->cli->invocation.globals.timeout_ms;

	return ms > 0 &&
	       (progress_now() - follow->started) * 1000 >= (double)ms;
}

static json_t *
still_running(const struct follow *follow)
{
	return problem_fix(problem_new(API_RUNNING, "job.running",
			       "the job %s still runs", follow->id),
	    "varve job watch %s", follow->id);
}

static json_t *
until_end(struct follow *follow)
{
	const struct timespec pause = {
	    .tv_nsec = LOOK_MS % 1000 * 1000000, .tv_sec = LOOK_MS / 1000};
	json_t *problem;

	for (;;) {
		problem = look(follow);
		if (problem != NULL || interrupted)
			return problem;
		if (has_state(follow, "done") || has_state(follow, "failed"))
			return NULL;
		progress(follow);
		if (time_is_over(follow))
			return still_running(follow);
		nanosleep(&pause, NULL);
		if (interrupted)
			return NULL;
	}
}

/* A check's report says more than the job, unless columns of that are wanted.
 */
static json_t *
ended(struct follow *follow, enum api_exit *ret_exit)
{
	const json_t *item = json_object_get(follow->result, "item");
	const json_t *report = json_object_get(item, "report");

	if (has_state(follow, "failed"))
		return problem_why(
		    problem_new(API_FAILED, "job.failed",
			"the job %s failed: %s %s", follow->id,
			text_of(item, "kind"), text_of(item, "name")),
		    "%s", text_of(item, "problem"));
	if (report != NULL && follow->cli->invocation.globals.columns == NULL)
		findings_show_checked(follow->cli, report, ret_exit);
	else
		cli_show(follow->cli, follow->result);
	return NULL;
}

json_t *
job_follow(struct cli *cli, const char *id, enum api_exit *ret_exit)
{
	struct follow follow = {.cli = cli,
	    .id = id,
	    .terminal = isatty(STDERR_FILENO),
	    .started = progress_now()};
	const struct sigaction action = {.sa_handler = interrupt};
	struct sigaction before;
	json_t *problem;

	interrupted = 0;
	sigaction(SIGINT, &action, &before);
	problem = until_end(&follow);
	sigaction(SIGINT, &before, NULL);
	if (follow.terminal && follow.seen && !cli->invocation.globals.json &&
	    !cli->invocation.globals.quiet)
		progress_show("");
	if (interrupted) {
		json_decref(problem);
		problem = NULL;
		fprintf(stderr, "the job goes on: varve job watch %s\n", id);
		*ret_exit = API_INTERRUPTED;
	} else if (problem == NULL) {
		problem = ended(&follow, ret_exit);
	}
	json_decref(follow.result);
	return problem;
}
