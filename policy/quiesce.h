/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Freezing who writes to LUNs while a snapshot of them is made.
 *
 * A hook does it: a program of the administrator's
 *(docs/man/varve-quiesce.7.scd is its contract), run as "HOOK freeze" and "HOOK
 *thaw".  What is frozen is thawed, whatever dies:
 *
 *	worker    who calls this and makes the snapshot
 *	keeper    forked before the freeze, in a session of its own and deaf to
 *	          signals.  It runs the hook, and thaws when it is asked to,
 *	          when the budget is over, or when the worker is gone.
 *	deputy    forked by the keeper, likewise.  It waits for the lock of the
 *	          record, gets it when the keeper is gone, and thaws if the
 *	          record is there still.
 *	record    a file that says what is frozen by what; durable before the
 *	          freeze, removed after a thaw that has succeeded.
 *
 * Without keeper and deputy, the worker thaws when it comes to it.  When all
 * three have died, quiesce_recover() finds the record.  The record's lock sees
 * to it that one process at a time thaws.  A thaw that fails or hangs is tried
 * again, for ten minutes by each of them.
 */
#ifndef POLICY_QUIESCE_H
#define POLICY_QUIESCE_H

#include <jansson.h>
#include <stdbool.h>

#define QUIESCE_BUDGET_MS 10000u
#define QUIESCE_THAW_MS   30000u

struct quiesce_params {
	const char *hook;      /* path of the program */
	const char *directory; /* of the records; its last part is made */
	/* An object for the hook: policy, snapshot, luns: [{name, uuid, naa,
	 * serial, exports: [{iqn, lun, host}]}].  Must have policy, snapshot
	 * and the names, which are in its environment, too. */
	json_t *about;
	unsigned budget_ms; /* from when the hook begins to freeze until it
			     * begins to thaw; 0: 10 s */
	unsigned thaw_ms;   /* one try, and how long quiesce_thaw waits for
			     * one to succeed; 0: 30 s */
};

struct quiesce_result {
	/* Frozen until quiesce_thaw was called: else a snapshot that was made
	 * meanwhile is crash consistent. */
	bool held;
	unsigned frozen_ms;      /* since the hook began to freeze */
	const char *consistency; /* fs or app; crash, if it was not held */
};

struct quiesce;

/* NULL: frozen, *ret to be given to quiesce_thaw.  Or why it is not: then
 * nothing is frozen any more, or, if the problem's why says so, is still being
 * thawed.  Blocks for the budget, and longer if the thaw after a freeze that
 * failed takes longer. */
json_t *quiesce_freeze(
    const struct quiesce_params *params, struct quiesce **ret);

/* Ends quiesce.  NULL: thawed, *ret_result says how it went.  A problem: it is
 * not thawed yet; it goes on being tried when this has returned, also when the
 * caller ends. */
json_t *quiesce_thaw(
    struct quiesce *quiesce, struct quiesce_result *ret_result);

/* Thaws whatever is recorded in that directory, or waits for who does: when it
 * returns NULL nothing is frozen that was when it was called.  Else the first
 * problem, after ten minutes of trying.  May run any number of times at once.
 * Not for who has something frozen. */
json_t *quiesce_recover(const char *directory);

#endif
