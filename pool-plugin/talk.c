/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-plugin/talk.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <pthread.h>
#include <string.h>
#include <time.h>

/* Who was silent last, and until when it is left alone.  More than these are
 * waited for each time. */
#define SILENT_MAX 16

static struct {
	pthread_mutex_t lock;
	struct {
		char url[128];
		uint64_t until_ms;
	} silent[SILENT_MAX];
} talks = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t
clock_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- who is silent ---- */

static bool
is_silent(const char *url)
{
	uint64_t now = clock_ms();
	bool found = false;

	pthread_mutex_lock(&talks.lock);
	for (unsigned i = 0; i < SILENT_MAX && !found; i++)
		found = talks.silent[i].until_ms > now &&
			strcmp(talks.silent[i].url, url) == 0;
	pthread_mutex_unlock(&talks.lock);
	return found;
}

/* until_ms 0: it answers again. */
static void
set_silent(const char *url, uint64_t until_ms)
{
	unsigned oldest = 0;

	if (strlen(url) >= sizeof(talks.silent[0].url))
		return;
	pthread_mutex_lock(&talks.lock);
	for (unsigned i = 0; i < SILENT_MAX; i++) {
		if (strcmp(talks.silent[i].url, url) == 0) {
			oldest = i;
			break;
		}
		if (talks.silent[i].until_ms < talks.silent[oldest].until_ms)
			oldest = i;
	}
	if (until_ms > 0 || strcmp(talks.silent[oldest].url, url) == 0) {
		strcpy(talks.silent[oldest].url, url);
		talks.silent[oldest].until_ms = until_ms;
	}
	pthread_mutex_unlock(&talks.lock);
}

static void
note_silence(const struct talk *talk, const json_t *problem)
{
	const char *url = varve_url(talk->varve);

	if (problem == NULL || !talk_is_silence(problem))
		set_silent(url, 0);
	else if (!talk->hasty)
		set_silent(url, clock_ms() + TALK_SILENCE_MS);
}

bool
talk_is_silence(const json_t *problem)
{
	return varve_problem_exit(problem) == VARVE_UNREACHABLE ||
	       strcmp(varve_problem_code(problem), "daemon.protocol") == 0 ||
	       strcmp(varve_problem_code(problem), "daemon.not-allowed") == 0;
}

/* ---- talking ---- */

json_t *
talk_open(struct talk *talk, const char *url, unsigned ms)
{
	json_t *problem;

	*talk = (struct talk){.hasty = ms <= TALK_SHORT_MS && is_silent(url)};
	if (talk->hasty)
		ms = TALK_HASTY_MS;
	talk->deadline_ms = clock_ms() + ms;
	problem = varve_open(url, &talk->varve);
	if (problem == NULL && !talk->hasty)
		varve_set_patience(talk->varve, ms / 4);
	return problem;
}

void
talk_close(struct talk *talk)
{
	varve_close(talk->varve);
	talk->varve = NULL;
}

static json_t *
talk_call(struct talk *talk,
    json_t *(*call)(struct varve *, const char *, const json_t *, json_t **),
    const char *method, json_t *params, json_t **ret_result)
{
	_cleanup_(json_decrefpp) json_t *ours = params;
	uint64_t now = clock_ms();
	json_t *problem;

	varve_set_timeout(talk->varve,
	    now < talk->deadline_ms ? (unsigned)(talk->deadline_ms - now) : 0);
	problem = call(talk->varve, method, ours, ret_result);
	note_silence(talk, problem);
	return problem;
}

json_t *
talk_ask(
    struct talk *talk, const char *method, json_t *params, json_t **ret_result)
{
	return talk_call(talk, varve_ask, method, params, ret_result);
}

json_t *
talk_change(
    struct talk *talk, const char *method, json_t *params, json_t **ret_result)
{
	return talk_call(talk, varve_change, method, params, ret_result);
}
