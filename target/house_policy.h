/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policies: which run is due, and the workers that run.  The clock is looked at
 * every minute, so that one that was set, and a machine that slept, are
 * noticed.
 *
 * A run is tried again when it has not reached all it should, RUN_ATTEMPTS
 * times in all; the worker goes on where it was.  One that was cut short, by a
 * restart of varved too, is tried again at once, and after some times later: a
 * worker that always crashes must not do so all day.
 */
#ifndef TARGET_HOUSE_POLICY_H
#define TARGET_HOUSE_POLICY_H

#include "target/house.h"
#include "target/state_policy.h"

#define RUNS_AT_ONCE      4
#define RUN_ATTEMPTS      3
#define RUN_AT_ONCE       3  /* attempts that follow each other at once */
#define RUN_RESTARTS      20 /* attempts of what was cut short */
#define RUN_RETRY_SECONDS 300

struct house_run; /* a run whose worker runs */

void house_policies_start(struct house *house);
/* A policy was made or changed, or the clock was: looks at once. */
void house_policies_look(struct house *house);
/* Workers are asked to end, or with a bequest are left to who comes. */
void house_policies_stop(struct house *house);
bool house_policies_stopped(struct house *house);
void house_policies_free(struct house *house);

/* NULL: it does not run. */
const struct house_run *house_run_of(
    const struct house *house, int64_t policy_id);
const struct house_run *house_run_at(
    const struct house *house, unsigned index); /* NULL: no more */
const struct state_run *house_run_row(const struct house_run *run);
/* What its worker said last of how far it is: {name, done, total}, or NULL. */
const json_t *house_run_progress(const struct house_run *run);

/* Now, though nothing is due; run gets its row.  -EBUSY: it runs; -EAGAIN: as
 * many run as may; others: the worker cannot be started. */
int house_run_begin(struct house *house, const struct state_policy *policy,
    const struct house_run **ret_run);

/* When the next one is due, as of now; 0: never. */
int64_t house_policy_next(const struct state_policy *policy, int64_t now);

#endif
