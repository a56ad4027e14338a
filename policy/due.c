/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/due.h"
#include "base/assert.h"
#include <stdbool.h>

/* Instants up to there are settled; a time that lies in the future says nothing
 * if there is another. */
static int64_t
settled(const struct due_past *past, int64_t now)
{
	if (past->scheduled == 0 || past->scheduled > now)
		return past->since;
	if (past->since > now || past->since < past->scheduled)
		return past->scheduled;
	return past->since;
}

/* The clock was set back over at most one instant. */
static bool
set_back_little(const struct calendar *calendar, int64_t now, int64_t then)
{
	if (then <= now)
		return false;
	return calendar_next(calendar, calendar_next(calendar, now)) > then;
}

void
due_find(const struct calendar *calendar, const struct due_past *past,
    int64_t now, struct due *ret_due)
{
	int64_t done = settled(past, now);
	int64_t future = past->scheduled > now ? past->scheduled : done;
	int64_t last = calendar_last(calendar, now);

	*ret_due = (struct due){0};
	if (set_back_little(calendar, now, future)) {
		ret_due->next = calendar_next(calendar, future);
		return;
	}
	ret_due->next = calendar_next(calendar, now);
	if (last == 0 || (done <= now && last <= done))
		return;
	ret_due->at = last;
	if (future <= now)
		ret_due->missed =
		    calendar_count(calendar, done, last - 1, DUE_MISSED_MAX);
}
