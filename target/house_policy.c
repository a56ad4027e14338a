/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/house_policy.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "policy/due.h"
#include "policy/names.h"
#include "target/policy_definition.h"
#include "target/policy_event.h"
#include "target/policy_worker.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOOK_SECONDS  60
#define FIRST_SECONDS 1
#define END_SECONDS   10 /* that a worker gets to end by itself */

struct house_run {
	struct list link;
	struct policies *policies;
	struct policy_worker worker;
	struct state_run row;
	json_t *progress;
};

struct policies {
	struct house *house;
	struct loop_timer timer;
	struct list runs;
	unsigned count;
	struct policy_worker thaw; /* what dead workers have left frozen */
	bool thaw_again, stopping;
};

/* ---- the worker's command line ---- */

/* "--connect unix:/run/varve/varve.sock" and where hooks and records are. */
struct command {
	char socket[PATH_MAX + 8], hooks[PATH_MAX], records[PATH_MAX + 16];
	char parent[24], stamp[POLICY_STAMP_MAX];
	char *arguments[16];
	unsigned count;
};

static void
command_add(struct command *command, const char *option, char *value)
{
	assert(command->count + 3 <= ARRAY_SIZE(command->arguments));
	command->arguments[command->count++] = (char *)(uintptr_t)option;
	if (value != NULL)
		command->arguments[command->count++] = value;
	command->arguments[command->count] = NULL;
}

static void
command_make(struct command *command, const struct config *config,
    const char *verb, char *policy)
{
	command->count = 0;
	snprintf(command->socket, sizeof(command->socket), "unix:%s",
	    config->socket_path);
	snprintf(
	    command->hooks, sizeof(command->hooks), "%s", config->quiesce_dir);
	snprintf(command->records, sizeof(command->records), "%s/quiesce",
	    config->state_dir);
	snprintf(command->parent, sizeof(command->parent), "%d", (int)getpid());
	command_add(command, config->policy_program, NULL);
	command_add(command, verb, policy);
	command_add(command, "--connect", command->socket);
	command_add(command, "--hooks", command->hooks);
	command_add(command, "--records", command->records);
	command_add(command, "--parent", command->parent);
}

/* ---- thawing ---- */

static void
thaw_told(struct policy_worker *worker, json_t *line)
{
	struct policies *policies = container_of(worker, struct policies, thaw);

	policy_tell_frozen(
	    policies->house, fault_what(json_object_get(line, "problem")));
}

static void thaw_start(struct policies *policies);

static void
thaw_done(struct policy_worker *worker, int status)
{
	struct policies *policies = container_of(worker, struct policies, thaw);

	if (status != 0)
		policy_tell_frozen(policies->house, NULL);
	if (policies->thaw_again && !policies->stopping)
		thaw_start(policies);
}

static bool
has_records(const struct config *config)
{
	char path[PATH_MAX + 16];
	struct dirent *entry;
	bool any = false;
	DIR *directory;

	snprintf(path, sizeof(path), "%s/quiesce", config->state_dir);
	directory = opendir(path);
	while (directory != NULL && (entry = readdir(directory)) != NULL)
		any = any || entry->d_name[0] != '.';
	if (directory != NULL)
		closedir(directory);
	return any;
}

/* Of what dies in the midst of a freeze a record is left. */
static void
thaw_start(struct policies *policies)
{
	struct command command;
	int ret;

	policies->thaw_again = policy_worker_is_running(&policies->thaw);
	if (policies->thaw_again || !has_records(policies->house->config))
		return;
	command_make(&command, policies->house->config, "thaw", NULL);
	policies->thaw.told = thaw_told;
	policies->thaw.done = thaw_done;
	ret = policy_worker_start(
	    &policies->thaw, policies->house->home, command.arguments);
	if (ret < 0)
		log_error("%s: %s", command.arguments[0], strerror(-ret));
}

/* ---- the end of a run ---- */

/* By its exit status (policy/run.h), unless it did not come so far. */
static enum run_outcome
outcome_of(int status)
{
	if (!WIFEXITED(status))
		return RUN_INTERRUPTED;
	switch (WEXITSTATUS(status)) {
	case API_OK: return RUN_DONE;
	case API_PARTIAL: return RUN_PARTIAL;
	case API_INTERRUPTED: return RUN_INTERRUPTED;
	default: return RUN_FAILED;
	}
}

static void
run_free(struct house_run *run)
{
	list_del(&run->link);
	run->policies->count--;
	json_decref(run->progress);
	json_decref(run->row.report);
	free(run);
}

static void
run_keep(struct house *house, struct state_run *row)
{
	int ret;

	row->ended_unix = (int64_t)time(NULL);
	ret = state_run_end(house->state, row);
	/* its policy may have been deleted meanwhile */
	if (ret < 0)
		log_warn("policy %s: run %" PRId64 ": its end is not kept",
		    row->policy, row->id);
	policy_tell_ended(house, row);
}

static void
run_done(struct policy_worker *worker, int status)
{
	struct house_run *run = container_of(worker, struct house_run, worker);
	struct policies *policies = run->policies;

	run->row.outcome = outcome_of(status);
	run_keep(policies->house, &run->row);
	run_free(run);
	if (policies->stopping)
		return;
	thaw_start(policies);
	house_policies_look(policies->house);
}

static void
run_told(struct policy_worker *worker, json_t *line)
{
	struct house_run *run = container_of(worker, struct house_run, worker);
	json_t *progress = json_object_get(line, "progress");
	json_t *report = json_object_get(line, "report");

	if (json_is_object(progress)) {
		json_decref(run->progress);
		run->progress = json_incref(progress);
	}
	if (json_is_object(report)) {
		json_decref(run->row.report);
		run->row.report = json_incref(report);
	}
}

/* ---- the start of a run ---- */

static struct house_run *
run_new(struct policies *policies, const struct state_run *row)
{
	struct house_run *run = calloc(1, sizeof(*run));

	assert(run != NULL);
	run->policies = policies;
	run->row = *row;
	run->worker.told = run_told;
	run->worker.done = run_done;
	list_add_tail(&policies->runs, &run->link);
	policies->count++;
	return run;
}

/* The row is there first: what was begun is known, whatever comes. */
static int
run_start(struct policies *policies, struct state_run *row,
    struct house_run **ret_run)
{
	struct house *house = policies->house;
	struct house_run *run;
	struct command command;
	int ret;

	row->begun_unix = (int64_t)time(NULL);
	row->outcome = RUN_RUNNING;
	if (row->attempt == 1)
		row->stamp_unix = row->begun_unix;
	ret = state_run_begin(house->state, row);
	if (ret < 0)
		return ret;
	run = run_new(policies, row);
	command_make(&command, house->config, "run", run->row.policy);
	policy_stamp(row->stamp_unix, command.stamp);
	command_add(&command, "--stamp", command.stamp);
	ret = policy_worker_start(&run->worker, house->home, command.arguments);
	if (ret < 0) {
		run->row.outcome = RUN_FAILED;
		run->row.report = json_pack("{s:{s:s, s:o}}", "problem", "code",
		    "policy.worker", "what",
		    json_textf("%s: %s", command.arguments[0], strerror(-ret)));
		run_keep(house, &run->row);
		run_free(run);
		return ret;
	}
	run->row.pid = run->worker.pid;
	policy_tell_begun(house, row);
	if (state_run_started(house->state, row->id, run->row.pid) < 0)
		log_warn(
		    "policy %s: the pid of its run is not kept", row->policy);
	*ret_run = run;
	return 0;
}

/* ---- what is due ---- */

int64_t
house_policy_next(const struct state_policy *policy, int64_t now)
{
	const struct due_past past = {
	    .since = policy->since_unix, .scheduled = policy->scheduled_unix};
	struct calendar calendar;
	struct due due;

	if (policy->paused ||
	    !definition_calendar(policy->definition, &calendar))
		return 0;
	due_find(&calendar, &past, now, &due);
	return due.at != 0 ? due.at : due.next;
}

/* Seconds until a run that did not reach all is tried again; -1: it is not. */
static int64_t
retry_after(const struct state_run *last)
{
	if (last->scheduled_unix == 0)
		return -1; /* somebody asked for it, and saw what came of it */
	if (last->outcome == RUN_INTERRUPTED && last->attempt < RUN_RESTARTS)
		return last->attempt < RUN_AT_ONCE ? 0 : RUN_RETRY_SECONDS;
	if ((last->outcome == RUN_FAILED || last->outcome == RUN_PARTIAL) &&
	    last->attempt < RUN_ATTEMPTS)
		return (int64_t)RUN_RETRY_SECONDS << (last->attempt - 1);
	return -1;
}

/* When; 0: never.  A clock that was set back does not put it off. */
static int64_t
retry_at(const struct state_run *last, int64_t now)
{
	int64_t seconds = retry_after(last);

	if (seconds < 0)
		return 0;
	return last->ended_unix > now ? now : last->ended_unix + seconds;
}

static void
sooner(int64_t *at, int64_t other)
{
	if (other != 0 && other < *at)
		*at = other;
}

/* The run that is due now: its row, but for what run_start fills in.  False:
 * none is; *next: when to look again. */
static bool
run_due(struct policies *policies, const struct state_policy *policy,
    int64_t now, struct state_run *ret_row, int64_t *next)
{
	const struct due_past past = {
	    .since = policy->since_unix, .scheduled = policy->scheduled_unix};
	const struct run_query query = {
	    .policy_id = policy->id, .limit = 1, .bare = true};
	struct state_run *last = NULL;
	struct calendar calendar;
	int64_t retry = 0;
	struct due due;
	unsigned count;

	if (policy->paused ||
	    !definition_calendar(policy->definition, &calendar) ||
	    state_runs(policies->house->state, &query, &last, &count) < 0)
		return false;
	*ret_row = (struct state_run){.policy_id = policy->id, .attempt = 1};
	memcpy(ret_row->policy, policy->name, sizeof(ret_row->policy));
	due_find(&calendar, &past, now, &due);
	ret_row->scheduled_unix = due.at;
	ret_row->missed = due.missed;
	if (due.at == 0 && count > 0)
		retry = retry_at(&last[0], now);
	if (retry != 0 && retry <= now) {
		ret_row->scheduled_unix = last[0].scheduled_unix;
		ret_row->stamp_unix = last[0].stamp_unix;
		ret_row->attempt = last[0].attempt + 1;
	}
	state_runs_free(last, count);
	sooner(next, due.next);
	sooner(next, retry);
	return ret_row->scheduled_unix != 0;
}

static void
policy_look(struct policies *policies, const struct state_policy *policy,
    int64_t now, int64_t *next)
{
	struct house_run *run;
	struct state_run row;
	int ret;

	if (policies->count >= RUNS_AT_ONCE ||
	    house_run_of(policies->house, policy->id) != NULL ||
	    !run_due(policies, policy, now, &row, next))
		return;
	if (row.missed > 0)
		policy_tell_missed(policies->house, &row);
	ret = run_start(policies, &row, &run);
	if (ret < 0)
		log_error("policy %s: %s", policy->name, strerror(-ret));
}

static void
look(struct loop_timer *timer)
{
	struct policies *policies = container_of(timer, struct policies, timer);
	int64_t now = (int64_t)time(NULL), next = now + LOOK_SECONDS;
	struct state_policy *list;
	unsigned count;

	/* a hook that did not thaw may have been mended */
	thaw_start(policies);
	if (state_policies(policies->house->state, &list, &count) < 0) {
		list = NULL;
		count = 0;
	}
	for (unsigned i = 0; i < count; i++)
		policy_look(policies, &list[i], now, &next);
	state_policies_free(list, count);
	loop_timer_arm(policies->house->home, timer,
	    (uint64_t)(next > now ? next - now : 1) * NSEC_PER_SEC);
}

void
house_policies_look(struct house *house)
{
	struct policies *policies = house->policies;

	if (policies == NULL || policies->stopping)
		return;
	loop_timer_disarm(house->home, &policies->timer);
	loop_timer_arm(house->home, &policies->timer, 0);
}

/* ---- runs, for others ---- */

int
house_run_begin(struct house *house, const struct state_policy *policy,
    const struct house_run **ret_run)
{
	struct policies *policies = house->policies;
	struct state_run row = {.policy_id = policy->id, .attempt = 1};
	struct house_run *run;
	int ret;

	if (house_run_of(house, policy->id) != NULL)
		return -EBUSY;
	if (policies->count >= RUNS_AT_ONCE || policies->stopping)
		return -EAGAIN;
	memcpy(row.policy, policy->name, sizeof(row.policy));
	ret = run_start(policies, &row, &run);
	if (ret == 0)
		*ret_run = run;
	return ret;
}

const struct house_run *
house_run_of(const struct house *house, int64_t policy_id)
{
	const struct house_run *run;

	list_for_each (run, &house->policies->runs, link) {
		if (run->row.policy_id == policy_id)
			return run;
	}
	return NULL;
}

const struct house_run *
house_run_at(const struct house *house, unsigned index)
{
	const struct house_run *run;

	list_for_each (run, &house->policies->runs, link) {
		if (index-- == 0)
			return run;
	}
	return NULL;
}

const struct state_run *
house_run_row(const struct house_run *run)
{
	return &run->row;
}

const json_t *
house_run_progress(const struct house_run *run)
{
	return run->progress;
}

/* ---- start and stop ---- */

static void
handed_name(int64_t id, char ret_name[HANDOVER_NAME_MAX])
{
	snprintf(ret_name, HANDOVER_NAME_MAX, "policy-run-%" PRId64, id);
}

/* Those that were running when varved ended.  After an exec they still do. */
static void
runs_adopt(struct policies *policies)
{
	struct house *house = policies->house;
	const struct run_query query = {.running = true};
	struct state_run *rows;
	unsigned count;

	if (state_runs(house->state, &query, &rows, &count) < 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		char name[HANDOVER_NAME_MAX];
		struct house_run *run;
		int fd, ret = -ECHILD;

		handed_name(rows[i].id, name);
		fd = handover_find(&house->inherited, name);
		run = run_new(policies, &rows[i]);
		rows[i].report = NULL;
		if (fd >= 0)
			ret = policy_worker_adopt(
			    &run->worker, house->home, rows[i].pid, fd);
		if (ret == 0)
			continue;
		run->row.outcome = RUN_INTERRUPTED;
		run_keep(house, &run->row);
		run_free(run);
	}
	state_runs_free(rows, count);
}

void
house_policies_start(struct house *house)
{
	struct policies *policies = calloc(1, sizeof(*policies));

	assert(policies != NULL);
	policies->house = house;
	policies->timer.expire = look;
	list_init(&policies->runs);
	house->policies = policies;
	runs_adopt(policies);
	thaw_start(policies);
	loop_timer_arm(
	    house->home, &policies->timer, FIRST_SECONDS * NSEC_PER_SEC);
}

static void
run_bequeath(struct handover *bequest, struct house_run *run)
{
	char name[HANDOVER_NAME_MAX];

	handed_name(run->row.id, name);
	if (handover_add(bequest, name, run->worker.report_fd) == 0)
		policy_worker_leave(&run->worker);
	else
		policy_worker_stop(&run->worker);
}

static void
patience_over(struct loop_timer *timer)
{
	struct policies *policies = container_of(timer, struct policies, timer);
	struct house_run *run;

	list_for_each (run, &policies->runs, link)
		policy_worker_kill(&run->worker);
}

void
house_policies_stop(struct house *house)
{
	struct policies *policies = house->policies;
	struct house_run *run, *next;

	policies->stopping = true;
	loop_timer_disarm(house->home, &policies->timer);
	list_for_each_safe (run, next, &policies->runs, link) {
		if (house->bequest != NULL)
			run_bequeath(house->bequest, run);
		else
			policy_worker_stop(&run->worker);
	}
	/* a thaw goes on by itself */
	policy_worker_leave(&policies->thaw);
	policies->timer.expire = patience_over;
	loop_timer_arm(
	    house->home, &policies->timer, END_SECONDS * NSEC_PER_SEC);
}

bool
house_policies_stopped(struct house *house)
{
	struct policies *policies = house->policies;
	const struct house_run *run;

	list_for_each (run, &policies->runs, link) {
		if (policy_worker_is_running(&run->worker))
			return false;
	}
	if (policy_worker_is_running(&policies->thaw))
		return false;
	loop_timer_disarm(house->home, &policies->timer);
	return true;
}

void
house_policies_free(struct house *house)
{
	struct house_run *run;

	if (house->policies == NULL)
		return;
	while ((run = list_first(
		    &house->policies->runs, struct house_run, link)) != NULL)
		run_free(run);
	free(house->policies);
	house->policies = NULL;
}
