/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Local days: where they begin and end, and when their clocks show what.
 *
 * Everything follows from one rule: a date and a time of day mean the first
 * instant at which the local clock shows that or something later.  So what the
 * clock skips is the first instant after the gap, what it shows twice is the
 * first, and later dates never come earlier.  A day is from its 00:00 to the
 * next one's; one that the calendar skips (Apia 2011-12-30) is empty.
 *
 * The time zone is the process's (TZ).  Its offset changes at most once within
 * three days, which is so in all of tzdata since 1970.
 */
#ifndef POLICY_DAY_H
#define POLICY_DAY_H

#include <stdbool.h>
#include <stdint.h>

/* Instants: seconds since 1970 UTC. */
struct day {
	int64_t number; /* of the local date: days since 1970-01-01 */
	int64_t start, end;
	int64_t turn; /* the clock is set then; after all days: it is not */
	int64_t before, after; /* local time less UTC, on both sides of turn */
};

struct date {
	unsigned month;   /* from 0 */
	unsigned day;     /* of the month, from 0 */
	unsigned weekday; /* from 0: Monday */
	bool last;        /* day of the month */
};

/* What the clock's date is then. */
int64_t day_number(int64_t instant);
void day_of(int64_t number, struct day *ret_day);
struct date day_date(int64_t number);
/* The instant that so many seconds after 00:00, by the clock, means. */
int64_t day_instant(const struct day *day, int64_t seconds);

#endif
