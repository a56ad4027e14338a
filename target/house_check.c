/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/house_check.h"
#include "base/log.h"
#include "snapshot/check.h"
#include "snapshot/pin.h"
#include "target/event.h"
#include "target/findings.h"
#include "target/pool_work.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define FINDINGS_KEPT  1000u
#define BUFFER_BYTES   (1u << 20)
#define NICENESS       10
#define REST_LEAST_NS  NSEC_PER_MSEC
#define REST_MOST_NS   (50 * NSEC_PER_MSEC)
#define PERCENT_IF_NOT 25u /* as the pool's own background work */

struct house_check {
	/* home's */
	struct house_pool *hp;
	struct house_job job;
	json_t *result; /* {item, items} */
	void (*started)(void *arg, const struct house_job *job);
	void *started_arg;
	void (*gone)(void *arg);
	void *gone_arg;
	struct call call, stop;

	/* the reactor's */
	struct pool *pool;
	struct pool_request request;
	struct pool_pin pin;
	bool stopped;
	int lost;

	/* the thread's; home's when it is gone */
	struct loop *loop;
	struct loop_task begin, ended;
	struct backstore *view[POOL_DEVICE_MAX];
	unsigned views, closed;
	uint64_t owed_ns; /* of rest */
	unsigned percent;
	struct check_report report;
	json_t *findings, *families;
	unsigned left_out;
	enum check_severity left_out_worst;
	char first[160]; /* finding that is no note */
	int checked;     /* what pool_check_pinned() said */

	/* anybody's */
	atomic_uint_fast64_t done, total; /* pages */
};

/* ---- the end ---- */

void
house_check_free(struct house_check *check)
{
	if (check == NULL)
		return;
	assert(!check->call.running && !check->stop.running);
	json_decref(check->findings);
	json_decref(check->families);
	json_decref(check->result);
	free(check);
}

static const char *
check_problem(int result)
{
	/* clang-format off */
	static const struct {
		int error;
		const char *text;
	} rows[] = {
		{ -ENOSPC,    "given up: the pool needs the space that was "
			      "held for it" },
		{ -ECANCELED, "given up: the pool was closed" },
		{ -ENODEV,    "a device of the pool is missing" },
		{ -ENOENT,    "no label of the pool can be read" },
		{ -ENOMEM,    "given up: there is not enough memory" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (rows[i].error == result)
			return rows[i].text;
	return strerror(-result);
}

static void
check_tell_end(const struct house_check *check)
{
	const struct house_job *job = &check->job;
	const uint64_t *found = check->report.findings;
	bool well = found[CHECK_LEAK] + found[CHECK_DAMAGE] == 0;
	struct house *house = check->hp->house;
	json_t *data = json_pack("{s:s, s:o, s:o}", "pool", job->pool, "damage",
	    json_bytes(found[CHECK_DAMAGE]), "leaks",
	    json_bytes(found[CHECK_LEAK]));

	if (job->result < 0)
		event_tell(house, LOG_WARNING, "pool.check-failed", job->pool,
		    data, "%s: check: %s", job->pool, job->problem);
	else if (well)
		event_tell(house, LOG_NOTICE, "pool.checked", job->pool, data,
		    "%s: checked, no findings", job->pool);
	else
		event_tell(house, LOG_ERR, "pool.check-found", job->pool, data,
		    "%s: checked: %llu findings of damage, %llu of lost "
		    "space; the first: %s",
		    job->pool, (unsigned long long)found[CHECK_DAMAGE],
		    (unsigned long long)found[CHECK_LEAK], check->first);
}

/* It may be the last thing that the pool's end waits for. */
static void
check_gone(struct house_check *check)
{
	void (*gone)(void *arg) = check->gone;

	if (gone == NULL || check->stop.running || check->hp->check == check)
		return;
	check->gone = NULL;
	gone(check->gone_arg);
}

static void
check_end(struct house_check *check, int result)
{
	struct house_job *job = &check->job;
	struct house_pool *hp = check->hp;

	job->ended = true;
	job->ended_unix = (int64_t)time(NULL);
	job->result = result;
	job->stat.done = atomic_load(&check->done) * FMT_BLOCK;
	job->stat.total = atomic_load(&check->total) * FMT_BLOCK;
	if (result == 0)
		job->stat.done = job->stat.total;
	if (result < 0 && job->problem[0] == '\0')
		snprintf(job->problem, sizeof(job->problem), "%s",
		    check_problem(result));
	check_tell_end(check);
	house_check_free(hp->checked);
	hp->checked = check;
	hp->check = NULL;
	check_gone(check);
}

static void
check_started(struct house_check *check)
{
	if (check->started != NULL)
		check->started(check->started_arg, &check->job);
	check->started = NULL;
}

/* ---- letting ---- */

static void
unpin_run(struct call *call)
{
	struct house_check *check =
	    container_of(call, struct house_check, call);

	check->lost = pool_pin_lost(&check->pin);
	pool_unpin(&check->pin);
	call_finish(call, 0);
}

static json_t *
check_answer(const struct house_check *check)
{
	json_t *answer;

	if (check->left_out > 0) {
		char text[64];
		snprintf(text, sizeof(text), "%u more of them are not listed",
		    check->left_out);
		json_array_append_new(check->findings,
		    finding_json(check->left_out_worst, "check.more", text));
	}
	answer =
	    json_pack("{s:i, s:s, s:o, s:O}", "varve", 1, "kind", "pool.check",
		"item", findings_item(&check->report, check->families), "items",
		check->findings);
	assert(answer != NULL);
	return answer;
}

static void
check_loop_free(struct house_check *check)
{
	loop_join(check->loop);
	loop_free(check->loop);
	check->loop = NULL;
}

/* The reactor posts its answers to the loop and wakes it after that.  The last
 * one may have come, and the check have ended, before it was done with that: so
 * the loop stays until the reactor has had another task. */
static void
unpin_done(struct call *call)
{
	struct house_check *check =
	    container_of(call, struct house_check, call);
	int result = check->checked;

	check_loop_free(check);
	if (result == -ECANCELED && check->lost < 0)
		result = check->lost;
	if (result == 0)
		check->result = check_answer(check);
	check_end(check, result);
}

static void
check_unpin(struct house_check *check)
{
	check->call.run = unpin_run;
	check->call.done = unpin_done;
	call_start(&check->call, check->hp->house->home, check->hp->loop);
}

/* ---- checking, on the thread ---- */

static void
on_finding(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	struct house_check *check = arg;

	if (severity != CHECK_NOTE && check->first[0] == '\0')
		snprintf(check->first, sizeof(check->first), "%s", text);
	if (json_array_size(check->findings) < FINDINGS_KEPT) {
		json_array_append_new(
		    check->findings, finding_json(severity, code, text));
		return;
	}
	check->left_out++;
	if (severity > check->left_out_worst)
		check->left_out_worst = severity;
}

static void
on_family(void *arg, const struct check_family *family)
{
	struct house_check *check = arg;

	if (json_array_size(check->families) < FINDINGS_KEPT)
		json_array_append_new(check->families, findings_family(family));
}

static void
on_progress(void *arg, uint64_t pages_done, uint64_t pages_all)
{
	struct house_check *check = arg;

	atomic_store(&check->done, pages_done);
	atomic_store(&check->total, pages_all);
}

/* One READ has come back, most likely.  It took the devices and the reactor
 * that long. */
static void
check_step(void *arg)
{
	struct house_check *check = arg;
	struct timespec before, after, rest = {0};
	uint64_t ns;

	clock_gettime(CLOCK_MONOTONIC, &before);
	loop_turn(check->loop);
	clock_gettime(CLOCK_MONOTONIC, &after);
	ns = (uint64_t)(after.tv_sec - before.tv_sec) * NSEC_PER_SEC +
	     (uint64_t)after.tv_nsec - (uint64_t)before.tv_nsec;
	check->owed_ns += ns * (100 - check->percent) / check->percent;
	if (check->owed_ns < REST_LEAST_NS)
		return;
	if (check->owed_ns > REST_MOST_NS)
		check->owed_ns = REST_MOST_NS;
	rest.tv_nsec = (long)check->owed_ns;
	nanosleep(&rest, NULL);
	check->owed_ns = 0;
}

static void
view_closed(void *arg)
{
	struct house_check *check = arg;

	check->closed++;
}

static void
check_run(struct loop_task *task)
{
	struct house_check *check =
	    container_of(task, struct house_check, begin);

	setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
	check->report = (struct check_report){.finding = on_finding,
	    .progress = on_progress,
	    .family = on_family,
	    .arg = check};
	check->checked = -ENOMEM;
	if (check->views == check->pin.count)
		check->checked = pool_check_pinned(&check->pin, check->view,
		    check_step, check, &check->report);
	for (unsigned i = 0; i < check->views; i++)
		bs_close(check->view[i], view_closed, check);
	while (check->closed < check->views)
		loop_turn(check->loop);
	loop_stop(check->loop);
	loop_post(check->hp->house->home, &check->ended);
}

static void
check_at_home(struct loop_task *task)
{
	struct house_check *check =
	    container_of(task, struct house_check, ended);

	check_unpin(check);
}

/* ---- asked, on the reactor ---- */

static void
views_open(struct house_check *check)
{
	while (check->views < check->pin.count) {
		struct backstore *view =
		    pin_view(&check->pin, check->views, check->loop);
		if (view == NULL)
			return;
		check->view[check->views++] = view;
	}
}

static void
check_pinned(struct pool_request *request, int result)
{
	struct house_check *check =
	    container_of(request, struct house_check, request);

	if (result == 0 && check->stopped) {
		pool_unpin(&check->pin);
		result = -ECANCELED;
	}
	if (result == 0)
		views_open(check);
	call_finish(&check->call, result);
}

static void
pin_run(struct call *call)
{
	struct house_check *check =
	    container_of(call, struct house_check, call);

	check->request = (struct pool_request){.done = check_pinned};
	pool_pin(check->pool, &check->pin, &check->request);
}

/* The pool has nothing pinned: who asked is told so. */
static void
check_failed(struct house_check *check, int result)
{
	snprintf(check->job.problem, sizeof(check->job.problem), "%s",
	    check->request.problem[0] != '\0' ? check->request.problem
					      : check_problem(result));
	check->job.ended = true;
	check->job.result = result;
	check_started(check);
	check_end(check, result);
}

static void
pin_done(struct call *call)
{
	struct house_check *check =
	    container_of(call, struct house_check, call);

	if (call->result < 0) {
		loop_stop(check->loop);
		check_loop_free(check);
		check_failed(check, call->result);
		return;
	}
	check->job.stat.running = true;
	check->begin.run = check_run;
	check->ended.run = check_at_home;
	loop_post(check->loop, &check->begin);
	check_started(check);
}

/* ---- home ---- */

void
house_check_describe(const struct house_pool *hp, struct house_job *ret_job)
{
	*ret_job = (struct house_job){.kind = "check"};
	uuid_copy(ret_job->stat.uuid, hp->uuid);
	memcpy(ret_job->pool, hp->name, sizeof(ret_job->pool));
}

static int
check_loop_new(struct house_check *check)
{
	const struct loop_params params = {.cpu = -1,
	    .name = "varve-check",
	    .entries = 64,
	    .buffer_bytes = BUFFER_BYTES};
	int ret = loop_new(&params, &check->loop);

	if (ret < 0)
		return ret;
	ret = loop_start(check->loop);
	if (ret < 0)
		loop_free(check->loop);
	return ret;
}

void
house_check(struct house_pool *hp,
    void (*started)(void *arg, const struct house_job *job), void *arg)
{
	struct house_check *check = calloc(1, sizeof(*check));
	unsigned percent = hp->house->config->background_percent;
	int ret;

	assert(check != NULL);
	assert(hp->pool != NULL && hp->check == NULL);
	house_check_describe(hp, &check->job);
	check->hp = hp;
	check->pool = hp->pool;
	check->percent = percent > 0 ? percent : PERCENT_IF_NOT;
	check->findings = json_array();
	check->families = json_array();
	check->started = started;
	check->started_arg = arg;
	hp->check = check;
	ret = check_loop_new(check);
	if (ret < 0) {
		check_failed(check, ret);
		return;
	}
	check->call.run = pin_run;
	check->call.done = pin_done;
	call_start(&check->call, hp->house->home, hp->loop);
}

const struct house_job *
house_check_job(struct house_check *check)
{
	struct pool_job_stat *stat = &check->job.stat;

	if (!check->job.ended) {
		stat->done = atomic_load(&check->done) * FMT_BLOCK;
		stat->total = atomic_load(&check->total) * FMT_BLOCK;
	}
	return &check->job;
}

json_t *
house_check_report(const struct house_check *check)
{
	return check->result;
}

/* ---- giving it up ---- */

static void
stop_run(struct call *call)
{
	struct house_check *check =
	    container_of(call, struct house_check, stop);

	check->stopped = true;
	pool_unpin(&check->pin);
	call_finish(call, 0);
}

static void
stop_done(struct call *call)
{
	check_gone(container_of(call, struct house_check, stop));
}

void
house_check_stop(struct house_pool *hp, void (*gone)(void *arg), void *arg)
{
	struct house_check *check = hp->check;

	assert(check != NULL && check->gone == NULL);
	check->gone = gone;
	check->gone_arg = arg;
	check->stop.run = stop_run;
	check->stop.done = stop_done;
	call_start(&check->stop, hp->house->home, hp->loop);
}
