/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metrics of policies.
 */
#include "target/house_policy.h"
#include "target/metrics.h"
#include <stdlib.h>
#include <time.h>

struct figures {
	const struct state_policy *policy;
	struct state_tally tally;
	bool running;
	int64_t next_unix, begun_unix; /* 0: none */
	int64_t seconds;               /* of the last that ended; -1: none */
};

/* -1: the policy has none. */
typedef int64_t policy_value(const struct figures *f);

static int64_t
or_none(int64_t unix_seconds)
{
	return unix_seconds > 0 ? unix_seconds : -1;
}

static int64_t
get_created(const struct figures *f)
{
	return f->policy->created_unix;
}

static int64_t
get_paused(const struct figures *f)
{
	return f->policy->paused;
}

static int64_t
get_running(const struct figures *f)
{
	return f->running;
}

static int64_t
get_last_run(const struct figures *f)
{
	return or_none(f->begun_unix);
}

static int64_t
get_last_success(const struct figures *f)
{
	return or_none(f->tally.last_unix[RUN_DONE]);
}

static int64_t
get_next_run(const struct figures *f)
{
	return or_none(f->next_unix);
}

static int64_t
get_seconds(const struct figures *f)
{
	return f->seconds;
}

static int64_t
get_missed(const struct figures *f)
{
	return (int64_t)f->tally.missed;
}

/* clang-format off */
#define P(name, type, help, get) { { "varve_policy_" name, type, help }, get }
static const struct {
	struct metric metric;
	policy_value *get;
} policy_values[] = {
	P("created_timestamp_seconds",      METRIC_GAUGE,   "When it was made, in seconds since 1970.", get_created),
	P("paused",                         METRIC_GAUGE,   "1 if it is paused.", get_paused),
	P("running",                        METRIC_GAUGE,   "1 if a run is under way.", get_running),
	P("last_run_timestamp_seconds",     METRIC_GAUGE,   "When the last run began, in seconds since 1970.", get_last_run),
	P("last_success_timestamp_seconds", METRIC_GAUGE,   "When a run last ended with all done, in seconds since 1970.", get_last_success),
	P("next_run_timestamp_seconds",     METRIC_GAUGE,   "When it runs next, in seconds since 1970.", get_next_run),
	P("last_duration_seconds",          METRIC_GAUGE,   "How long the last run took that has ended.", get_seconds),
	P("missed_runs_total",              METRIC_COUNTER, "Times at which it should have run and did not, since it was made.", get_missed),
};
#undef P
/* clang-format on */

static void
figures_of_runs(struct figures *f, struct state *state)
{
	const struct run_query query = {.policy_id = f->policy->id, .limit = 2};
	struct state_run *runs;
	unsigned count;

	f->seconds = -1;
	if (state_runs(state, &query, &runs, &count) < 0)
		return;
	if (count > 0)
		f->begun_unix = runs[0].begun_unix;
	for (unsigned i = 0; i < count && f->seconds < 0; i++) {
		if (runs[i].outcome != RUN_RUNNING)
			f->seconds = runs[i].ended_unix - runs[i].begun_unix;
	}
	state_runs_free(runs, count);
}

static struct figures *
figures_gather(
    struct house *house, const struct state_policy *policies, unsigned count)
{
	struct figures *figures = calloc(count + 1, sizeof(*figures));
	int64_t now = (int64_t)time(NULL);

	assert(figures != NULL);
	for (unsigned i = 0; i < count; i++) {
		struct figures *f = &figures[i];
		f->policy = &policies[i];
		f->running = house_run_of(house, policies[i].id) != NULL;
		f->next_unix = house_policy_next(&policies[i], now);
		if (state_tally(house->state, policies[i].id, &f->tally) < 0)
			f->tally = (struct state_tally){.missed = 0};
		figures_of_runs(f, house->state);
	}
	return figures;
}

static void
values_write(
    struct exposition *e, const struct figures *figures, unsigned count)
{
	for (size_t v = 0; v < ARRAY_SIZE(policy_values); v++) {
		exposition_family(e, &policy_values[v].metric);
		for (unsigned i = 0; i < count; i++) {
			const struct label labels[] = {
			    {"policy", figures[i].policy->name}, {NULL, NULL}};
			int64_t value = policy_values[v].get(&figures[i]);
			if (value >= 0)
				exposition_count(e, labels, (uint64_t)value);
		}
	}
}

static void
outcomes_write(
    struct exposition *e, const struct figures *figures, unsigned count)
{
	exposition_family(
	    e, &(struct metric){"varve_policy_runs_total", METRIC_COUNTER,
		   "Runs that have ended, by their outcome, since the policy "
		   "was made."});
	for (unsigned i = 0; i < count; i++) {
		for (unsigned o = 0; o < RUN_COUNT; o++) {
			const struct label labels[] = {
			    {"policy", figures[i].policy->name},
			    {"outcome", run_outcomes[o]}, {NULL, NULL}};
			if (o != RUN_RUNNING)
				exposition_count(
				    e, labels, figures[i].tally.runs[o]);
		}
	}
}

void
metrics_policies(struct exposition *e, struct house *house)
{
	struct state_policy *policies;
	struct figures *figures;
	unsigned count;

	if (state_policies(house->state, &policies, &count) < 0)
		return;
	figures = figures_gather(house, policies, count);
	values_write(e, figures, count);
	outcomes_write(e, figures, count);
	free(figures);
	state_policies_free(policies, count);
}
