/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which backups a rule keeps: "last=3,daily=7,weekly=4".
 *
 * last=N keeps the N newest; hourly, daily, weekly, monthly and yearly keep the
 * newest of each of the last N hours (days, ...) that have one.  Weeks begin on
 * Monday.  Days are those of the time zone of the process (TZ).  The newest is
 * always kept.
 */
#ifndef BACKUP_KEEP_H
#define BACKUP_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum keep_period {
	KEEP_LAST,
	KEEP_HOURLY,
	KEEP_DAILY,
	KEEP_WEEKLY,
	KEEP_MONTHLY,
	KEEP_YEARLY,
	KEEP_PERIODS
};
extern const char *const keep_words[KEEP_PERIODS];

struct keep_rule {
	unsigned count[KEEP_PERIODS];
};

/* False: it is no rule, or keeps nothing. */
bool keep_parse(const char *text, struct keep_rule *ret_rule);

/* times: seconds since 1970, from the oldest to the newest.  ret_kept: for each
 * the set of 1 << period that keep it; 0: none does.  The newest has KEEP_LAST.
 */
void keep_apply(const struct keep_rule *rule, const uint64_t *times,
    size_t count, unsigned *ret_kept);

#endif
