/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When a policy runs, in words:
 *
 *	hourly             hourly :15          hourly :00,:30
 *	daily              daily 02:00         daily 02:00,14:00
 *	weekly             weekly sun 03:00    weekly sun,wed 03:00
 *	mon..fri 22:00     mon,wed 22:00       sat..mon 22:00
 *	weekdays 22:00     weekends 10:00
 *	monthly            monthly 1,15 04:00  monthly last 04:00
 *	yearly             yearly 12-31 23:00
 *	every 15m          every 4h
 *
 * Several are joined by ";"; an instant of two of them is one.  Large and small
 * letters are alike, and blanks after a comma are none.  What is left out: :00
 * for hourly, 00:00 for the others, monday for weekly, 1 for monthly, 01-01 for
 * yearly.  So every calendar has an instant in every year.
 *
 * A day that a month does not have is its last: "monthly 31" is "monthly last",
 * and "yearly 02-29" runs on 02-28 in other years.
 *
 * Times are local, by the process's TZ, and the clock may be set for summer:
 *  - A time of day that it skips runs at the first instant after the gap; one
 *    that it shows twice runs once, at the first.  So each day has its run.
 *  - A whole day that is skipped runs at the first instant after it, if the
 *    same words do not run on the day after it anyway.
 *  - hourly :15 is whenever the clock shows :15, so also in an hour that comes
 *    again.  (Where the clock is set by half an hour, one interval is of half
 *    an hour and one of one and a half.)
 *  - every 4h counts real time from the day's first instant, so two runs are
 *    never further apart than that: on a day of 23 hours the last interval is
 *    shorter, on one of 25 there is one more.  It has to divide 24 hours, into
 *    minutes.
 */
#ifndef POLICY_CALENDAR_H
#define POLICY_CALENDAR_H

#include <stdint.h>

#define CALENDAR_TEXT_MAX    256 /* with its 0 */
#define CALENDAR_PARTS_MAX   16
#define CALENDAR_TIMES_MAX   96
#define CALENDAR_PROBLEM_MAX 200

enum calendar_kind {
	CALENDAR_CLOCK,  /* times: minutes of the day */
	CALENDAR_HOURLY, /* times: minutes of the hour */
	CALENDAR_EVERY,
};

/* On the days that are in both masks. */
struct calendar_part {
	enum calendar_kind kind;
	uint8_t weekdays;     /* bit 0: Monday */
	uint32_t dates[12];   /* of each month; bit 0: its first */
	unsigned time, times; /* of the calendar's: the first, how many */
	int64_t interval;     /* of every: seconds */
};

struct calendar {
	unsigned parts, times;
	struct calendar_part part[CALENDAR_PARTS_MAX];
	uint16_t time[CALENDAR_TIMES_MAX];
	char problem[CALENDAR_PROBLEM_MAX];
};

/* NULL, or what is wrong with it: a phrase that names the word and says what is
 * allowed, in printable ASCII; it lives as long as *ret_calendar, which then is
 * no calendar. */
const char *calendar_parse(const char *text, struct calendar *ret_calendar);

/* Instants are seconds since 1970.  0: there is none within ten years. */

/* The first after that one, and the newest that is not after it. */
int64_t calendar_next(const struct calendar *calendar, int64_t after);
int64_t calendar_last(const struct calendar *calendar, int64_t at);
/* How many are in (after, until]; it counts no further than to `enough`.  About
 * 25 ns for each, and 1 us a day. */
uint64_t calendar_count(const struct calendar *calendar, int64_t after,
    int64_t until, uint64_t enough);

#endif
