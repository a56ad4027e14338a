/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One run of a policy, as a client of the control API:
 *
 *	for each set of LUNs: freeze, snapshot, thaw
 *	for each LUN: back it up, then delete what is kept no more: snapshots,
 *	and backups
 *
 * All of it can be done again: a run that was cut short, with the same stamp,
 * finds its snapshots and goes on with the backup.  What fails for one LUN does
 * not stop the others.
 *
 * The report, which the state of varved keeps and policy.history shows:
 *
 *	luns     [{lun, snapshot, consistency, frozen_ms, backup, deleted,
 *	           backups_deleted, problem, notes}]
 *	           backup: null, or {path, name, kind, bytes, read, seconds}
 *	           problem: null, or as the API's errors; the LUN's first
 *	bytes    written into backups
 *	problem  the run's first, or null
 */
#ifndef POLICY_RUN_H
#define POLICY_RUN_H

#include "backup/backup.h"
#include "client/varve.h"
#include <signal.h>

struct policy_run_params {
	struct varve *varve;
	const char *policy;          /* its name */
	const char *stamp;           /* names.h */
	const char *hooks, *records; /* directories: of hooks, quiesce.h's */
	/* Not 0 while a hook freezes and something is frozen: who is to end
	 * then ends at once, and it is thawed by its keeper. */
	volatile sig_atomic_t *frozen;
	/* How far it is; a problem (of the watcher's) ends the run, which then
	 * can be gone on with.  subject: "backup vms/web01". */
	json_t *(*progress)(
	    void *arg, const char *subject, uint64_t done, uint64_t total);
	void *arg;
};

/* VARVE_OK all is done; VARVE_PARTIAL for some LUNs; VARVE_FAILED for none;
 * VARVE_INTERRUPTED the watcher ended it. */
enum varve_exit policy_run(
    const struct policy_run_params *params, json_t **ret_report);

#endif
