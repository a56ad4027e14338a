/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a policy is to do now, from its calendar, what it has done, and the
 * time.  Nothing is remembered between two looks but struct due_past, which the
 * caller keeps on disk, so a restart changes nothing.
 *
 * The newest instant that has come since the run before, or since the policy is
 * in force, is due; those before it were missed and are not made up for one by
 * one: after a month off, a nightly policy runs once and has missed 29.
 *
 * A clock that was set back has made the past lie in the future.
 *  - By little: at most one instant lies between now and then.  It is taken for
 *    done, and the one after it is next: the night is not run twice because a
 *    clock was corrected.  At most two intervals are then without a run.
 *  - By more: the old future is not waited for.  The newest instant before now
 *    is due at once, and all goes on from there.  What of it was run in the
 *    time that the clock had been before is not known any more, so that is one
 *    run that may have been made already, and no more.
 * A clock that is set forward is as a host that was off: one run; the instants
 * in between count as missed.
 */
#ifndef POLICY_DUE_H
#define POLICY_DUE_H

#include "policy/calendar.h"

#define DUE_MISSED_MAX 1000000 /* more are not counted */

/* Seconds since 1970. */
struct due_past {
	int64_t since;     /* the policy is in force since */
	int64_t scheduled; /* due.at of the run that was begun last, even if
			    * one before it had a later one; 0: there was
			    * none */
};

struct due {
	int64_t at;      /* the instant whose run is due now; 0: none */
	uint64_t missed; /* instants before it that have had none, and will have
			  * none */
	int64_t next;    /* look again then, at the latest; 0: never */
};

void due_find(const struct calendar *calendar, const struct due_past *past,
    int64_t now, struct due *ret_due);

#endif
