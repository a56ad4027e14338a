/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * varve-policy: does what policies ask for, started by varved alone.
 *
 *	varve-policy run POLICY --stamp STAMP ...   one run (policy/run.h)
 *	varve-policy thaw ...                       what a run that was killed
 *	                                            has left frozen
 *
 * It says on standard output, an object a line: {"progress": {name, done,
 * total}} and at last {"report": ...}.
 */
#include "base/assert.h"
#include "client/problem.h"
#include "policy/quiesce.h"
#include "policy/run.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define RESTART_MS   60000u /* a restart of varved is waited for */
#define SHOW_SECONDS 1
#define LOCK_TRIES   600 /* 100 ms each */

struct work {
	const char *verb, *policy, *stamp, *connect, *hooks, *records;
	pid_t parent;
	time_t shown;
};

static volatile sig_atomic_t interrupted, frozen;

static void
interrupt(int signal_number)
{
	(void)signal_number;
	if (frozen)
		_exit(VARVE_INTERRUPTED);
	interrupted = 1;
}

/* Takes value. */
static void
say(const char *member, json_t *value)
{
	json_t *line = json_pack("{s:o}", member, value);

	json_dumpf(line, stdout, JSON_COMPACT);
	fputc('\n', stdout);
	fflush(stdout);
	json_decref(line);
}

static json_t *
progress(void *arg, const char *subject, uint64_t done, uint64_t total)
{
	struct work *work = arg;
	struct timespec now;

	if (interrupted)
		return problem_new(
		    VARVE_FAILED, "backup.interrupted", "it was cut short");
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec < work->shown + SHOW_SECONDS)
		return NULL;
	work->shown = now.tv_sec;
	say("progress", json_pack("{s:s, s:I, s:I}", "name", subject, "done",
			    (json_int_t)done, "total", (json_int_t)total));
	return NULL;
}

/* ---- verbs ---- */

/* A worker of a varved that was killed may be on its way out still. */
static json_t *
lock_take(const struct work *work)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	char path[PATH_MAX + 64];
	int fd, tries = LOCK_TRIES;

	if (mkdir(work->records, 0700) < 0 && errno != EEXIST)
		return problem_new(VARVE_FAILED, "policy.worker", "%s: %s",
		    work->records, strerror(errno));
	snprintf(
	    path, sizeof(path), "%s/.%s.lock", work->records, work->policy);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return problem_new(VARVE_FAILED, "policy.worker", "%s: %s",
		    path, strerror(errno));
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (interrupted || tries-- == 0)
			return problem_new(VARVE_CONFLICT, "policy.running",
			    "another worker of the policy %s does not end",
			    work->policy);
		nanosleep(&pause, NULL);
	}
	return NULL; /* until this process ends */
}

static int
run(struct work *work)
{
	struct policy_run_params params = {.policy = work->policy,
	    .stamp = work->stamp,
	    .hooks = work->hooks,
	    .records = work->records,
	    .frozen = &frozen,
	    .progress = progress,
	    .arg = work};
	json_t *report = NULL;
	json_t *problem = lock_take(work);
	enum varve_exit status;

	if (problem == NULL)
		problem = varve_open(work->connect, &params.varve);
	if (problem != NULL) {
		say("report", json_pack("{s:[], s:i, s:o}", "luns", "bytes", 0,
				  "problem", problem));
		return interrupted ? VARVE_INTERRUPTED : VARVE_FAILED;
	}
	varve_set_patience(params.varve, RESTART_MS);
	status = policy_run(&params, &report);
	varve_close(params.varve);
	say("report", report);
	return (int)status;
}

static int
thaw(const struct work *work)
{
	json_t *problem = quiesce_recover(work->records);

	if (problem == NULL)
		return VARVE_OK;
	say("problem", problem);
	return VARVE_FAILED;
}

/* ---- start ---- */

static bool
arguments_read(struct work *work, int count, char **arguments)
{
	static const struct option options[] = {
	    {"stamp", required_argument, NULL, 's'},
	    {"connect", required_argument, NULL, 'c'},
	    {"hooks", required_argument, NULL, 'h'},
	    {"records", required_argument, NULL, 'r'},
	    {"parent", required_argument, NULL, 'p'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	while (
	    (option = getopt_long(count, arguments, "", options, NULL)) != -1) {
		switch (option) {
		case 's': work->stamp = optarg; break;
		case 'c': work->connect = optarg; break;
		case 'h': work->hooks = optarg; break;
		case 'r': work->records = optarg; break;
		case 'p': work->parent = (pid_t)atol(optarg); break;
		default: return false;
		}
	}
	work->verb = arguments[optind];
	if (work->verb == NULL || work->connect == NULL ||
	    work->hooks == NULL || work->records == NULL)
		return false;
	work->policy = arguments[optind + 1];
	if (strcmp(work->verb, "thaw") == 0)
		return work->policy == NULL;
	return strcmp(work->verb, "run") == 0 && work->policy != NULL &&
	       work->stamp != NULL && arguments[optind + 2] == NULL;
}

/* A run ends with the varved that wants it: two of them would do the same. */
static bool
die_with(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	return parent == 0 || getppid() == parent;
}

int
main(int count, char **arguments)
{
	const struct sigaction action = {.sa_handler = interrupt};
	struct work work = {.verb = NULL};

	if (!arguments_read(&work, count, arguments)) {
		fprintf(stderr,
		    "varve-policy is started by varved: see man varve, policy "
		    "run\n");
		return VARVE_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(work.verb, "thaw") == 0)
		return thaw(&work);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	if (!die_with(work.parent))
		return VARVE_INTERRUPTED;
	return run(&work);
}
