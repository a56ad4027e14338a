/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a calendar and a rule will keep: the future run through, point by point.
 */
#ifndef POLICY_SIMULATE_H
#define POLICY_SIMULATE_H

#include "backup/keep.h"
#include "policy/calendar.h"

#define SIMULATE_MAX 1000000 /* points that are made */

/* Times: seconds since 1970. */
struct simulate_point {
	int64_t when;
	int64_t gone;  /* it is removed then; 0: it is still there */
	unsigned kept; /* at the end: 1 << enum keep_reason; 0: it is gone, or
			* it would go at the next run */
	bool made;     /* there was none when it began */
};

struct simulate {
	struct simulate_point *points; /* those that there were, then those
					* made, in order */
	size_t count;
	size_t most; /* were there at once: one was made, none removed yet */
};

/* points: those that there are, in the order in which they were made.  Each
 * instant in (now, until] makes a good one, then what the rule does not keep is
 * removed.  simulate_done it, whatever is returned.
 *   -E2BIG  that would make more than SIMULATE_MAX points
 * About 2 us a point. */
int simulate_run(const struct calendar *calendar, const struct keep_rule *rule,
    const struct keep_point *points, size_t count, int64_t now, int64_t until,
    struct simulate *ret_simulate);
void simulate_done(struct simulate *simulate);

#endif
