/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What falls due without anybody asking.  Deletions are made as requests like
 * any client's, in the name of varved itself: they wait for their turn, are
 * checked, logged and audited.
 *
 *	resting   the timer is armed
 *	looking   a survey of the pools runs
 *	working   the requests that it led to run, one after the other
 *
 * Beside that the kernel's target is looked at: somebody else may have changed
 * it.
 */
#include "base/log.h"
#include "target/house_tcmu.h"
#include "target/method.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUND_SECONDS 60
#define FIRST_SECONDS 1

struct keeping {
	struct house *house;
	struct loop_timer timer;
	int64_t due_unix; /* something falls due then; 0: nobody said */
	bool busy;
	struct survey *survey;
	json_t *work; /* [{method, params}] */
	size_t next;
};

static void
keeping_rest(struct keeping *keeping)
{
	int64_t now = (int64_t)time(NULL), seconds = ROUND_SECONDS;

	keeping->busy = false;
	if (keeping->due_unix > 0 && keeping->due_unix - now < seconds)
		seconds = keeping->due_unix - now;
	if (seconds < 1)
		seconds = 1;
	loop_timer_arm(keeping->house->home, &keeping->timer,
	    (uint64_t)seconds * NSEC_PER_SEC);
}

static void
due_at(struct keeping *keeping, int64_t at)
{
	if (keeping->due_unix == 0 || at < keeping->due_unix)
		keeping->due_unix = at;
}

/* ---- working ---- */

static void keeping_next(struct keeping *keeping);

static void
request_done(struct request *request, json_t *result, json_t *fault)
{
	struct keeping *keeping = request->arg;

	(void)result;
	if (fault != NULL)
		log_warn("%s by varved: %s", request->command->method,
		    fault_what(fault));
	keeping->next++;
	keeping_next(keeping);
}

static void
keeping_end(struct keeping *keeping)
{
	json_decref(keeping->work);
	keeping->work = NULL;
	keeping->next = 0;
	if (keeping->house->stopping)
		keeping->busy = false;
	else
		keeping_rest(keeping);
}

static void
keeping_next(struct keeping *keeping)
{
	const struct caller caller = {
	    .role = ROLE_WRITE, .uid = geteuid(), .pid = getpid()};
	const json_t *one;
	struct request *request;
	json_t *fault;

	for (;; keeping->next++) {
		one = json_array_get(keeping->work, keeping->next);
		if (one == NULL || keeping->house->stopping) {
			keeping_end(keeping);
			return;
		}
		fault = request_new(keeping->house,
		    json_string_value(json_object_get(one, "method")),
		    json_incref(json_object_get(one, "params")), &caller,
		    &request);
		if (fault == NULL)
			break;
		log_warn("by varved: %s", fault_what(fault));
		json_decref(fault);
	}
	request->answered = request_done;
	request->arg = keeping;
	request_start(request);
}

/* ---- what is due ---- */

static void
trash_due(struct keeping *keeping, const struct survey_lun *sl, int64_t now)
{
	unsigned keep = keeping->house->config->trash_seconds;
	int64_t due = (int64_t)sl->family.deleted_unix + keep;
	char uuid[STATE_UUID_TEXT];

	if (keep == 0 || sl->family.hold)
		return;
	if (due > now) {
		due_at(keeping, due);
		return;
	}
	uuid_unparse_lower(sl->volume.uuid, uuid);
	json_array_append_new(
	    keeping->work, json_pack("{s:s, s:{s:s}}", "method", "trash.delete",
			       "params", "name", uuid));
}

/* Has it a LUN that stays for now? */
static bool
has_luns(const struct state_host *host, const struct state_export *rows,
    unsigned count, int64_t now)
{
	for (unsigned i = 0; i < count; i++) {
		if (rows[i].host_id == host->id &&
		    (rows[i].expires_unix == 0 || rows[i].expires_unix > now))
			return true;
	}
	return false;
}

/* What has a LUN is looked at again with each round. */
static void
hosts_due(struct keeping *keeping, const struct state_export *rows,
    unsigned count, int64_t now)
{
	struct state_host *hosts;
	unsigned host_count;

	if (state_hosts(keeping->house->state, &hosts, &host_count) < 0)
		return;
	for (unsigned i = 0; i < host_count; i++) {
		const struct state_host *host = &hosts[i];
		if (host->expires_unix > now)
			due_at(keeping, host->expires_unix);
		else if (host->expires_unix > 0 &&
			 !has_luns(host, rows, count, now))
			json_array_append_new(keeping->work,
			    json_pack("{s:s, s:{s:s}}", "method", "host.remove",
				"params", "host", host->name));
	}
	state_hosts_free(hosts, host_count);
}

/* ... and the hosts that had them. */
static void
exports_due(struct keeping *keeping, int64_t now)
{
	struct state_export *rows;
	unsigned count;

	if (state_exports(keeping->house->state, &rows, &count) < 0)
		return;
	for (unsigned i = 0; i < count; i++) {
		const struct state_export *row = &rows[i];
		if (row->expires_unix == 0)
			continue;
		if (row->expires_unix > now) {
			due_at(keeping, row->expires_unix);
			continue;
		}
		json_array_append_new(keeping->work,
		    json_pack("{s:s, s:{s:o, s:s, s:b}}", "method",
			"export.remove", "params", "name",
			json_textf("%s/%s", row->pool, row->lun_name), "host",
			row->host, "force", 1));
	}
	hosts_due(keeping, rows, count, now);
	free(rows);
}

static void
sample_due(struct keeping *keeping, const struct survey_pool *sp, int64_t now)
{
	struct house_pool *hp = house_pool_by_id(keeping->house, sp->id);
	struct forecast *forecast = hp != NULL ? &hp->forecast : NULL;
	int64_t last = 0;

	if (forecast == NULL || !sp->open)
		return;
	if (forecast->count > 0)
		last = forecast->samples[forecast->count - 1].at;
	if (now >= last && now - last < FORECAST_INTERVAL_SECONDS)
		return;
	forecast_add(forecast, now, sp->stat.allocated);
	if (state_sample_add(
		keeping->house->state, hp->id, now, sp->stat.allocated) < 0)
		log_error("%s: its sample of space is not kept", hp->name);
}

static void
keeping_looked(struct survey *survey)
{
	struct keeping *keeping = survey->arg;
	int64_t now = (int64_t)time(NULL);

	keeping->house->pending--;
	keeping->work = json_array();
	keeping->due_unix = 0;
	for (unsigned i = 0; i < survey->pool_count && survey->error == 0;
	     i++) {
		const struct survey_pool *sp = &survey->pools[i];
		for (unsigned t = 0; t < sp->trash_count; t++)
			trash_due(keeping, &sp->trash[t], now);
		sample_due(keeping, sp, now);
	}
	exports_due(keeping, now);
	survey_free(survey);
	keeping->survey = NULL;
	keeping_next(keeping);
}

static void
keeping_round(struct loop_timer *timer)
{
	struct keeping *keeping = container_of(timer, struct keeping, timer);
	struct survey *survey = survey_new(keeping->house);

	house_tcmu_mend(keeping->house->tcmu);
	keeping->busy = true;
	keeping->survey = survey;
	survey->without_luns = true;
	survey->without_sessions = true;
	survey->also = SURVEY_TRASH;
	keeping->house->pending++; /* a stop waits for it */
	survey_run(survey, keeping_looked, keeping);
}

/* ---- start and stop ---- */

void
house_keeping_start(struct house *house)
{
	struct keeping *keeping = calloc(1, sizeof(*keeping));

	assert(keeping != NULL);
	keeping->house = house;
	keeping->timer.expire = keeping_round;
	house->keeping = keeping;
	loop_timer_arm(
	    house->home, &keeping->timer, FIRST_SECONDS * NSEC_PER_SEC);
}

void
house_keeping_at(struct house *house, int64_t unix_seconds)
{
	struct keeping *keeping = house->keeping;

	if (keeping == NULL)
		return;
	due_at(keeping, unix_seconds);
	if (keeping->busy || house->stopping)
		return;
	loop_timer_disarm(house->home, &keeping->timer);
	keeping_rest(keeping);
}

void
house_keeping_stop(struct house *house)
{
	if (house->keeping != NULL)
		loop_timer_disarm(house->home, &house->keeping->timer);
}
