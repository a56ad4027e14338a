/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Instants are found day by day: those of a local day lie from its start to its
 * end, both included, and days follow one another.
 */
#include "policy/calendar.h"
#include "base/assert.h"
#include "policy/day.h"
#include <stdbool.h>

#define DAYS_MAX 3660
/* the end of the year 9999 */
#define INSTANT_MAX INT64_C(253402300799)
#define NONE        INT64_MAX

/* ---- within a day ---- */

static bool
part_has_date(const struct calendar_part *part, int64_t number)
{
	struct date date = day_date(number);
	uint32_t dates = part->dates[date.month] >> date.day;

	if (!(part->weekdays >> date.weekday & 1))
		return false;
	return date.last ? dates != 0 : dates & 1;
}

/* The first of those seconds after low and before high at which a clock that
 * is offset ahead of UTC shows that minute of the hour. */
static int64_t
hour_next(int64_t low, int64_t high, int64_t offset, int64_t minute)
{
	int64_t past = (low + offset - minute * 60) % 3600;
	int64_t next = low + 3600 - (past < 0 ? past + 3600 : past);

	return next < high ? next : NONE;
}

static int64_t
least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t
most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t
hourly_next(const struct day *day, int64_t minute, int64_t after)
{
	int64_t turn = most(least(day->turn, day->end), day->start);
	int64_t next =
	    hour_next(most(after, day->start - 1), turn, day->before, minute);

	if (next != NONE)
		return next;
	return hour_next(most(after, turn - 1), day->end, day->after, minute);
}

static int64_t
every_next(const struct day *day, int64_t interval, int64_t after)
{
	int64_t next = day->start;

	if (after >= next)
		next += ((after - next) / interval + 1) * interval;
	return next < day->end ? next : NONE;
}

static int64_t
clock_next(const struct calendar_part *part, const struct day *day,
    int64_t minute, int64_t after)
{
	int64_t next = day_instant(day, minute * 60);

	if (next <= after)
		return NONE;
	if (day->start == day->end && part_has_date(part, day->number + 1))
		return NONE;
	return next;
}

static int64_t
part_next(const struct calendar *calendar, const struct calendar_part *part,
    const struct day *day, int64_t after)
{
	int64_t next = NONE;

	if (part->kind == CALENDAR_EVERY)
		return every_next(day, part->interval, after);
	for (unsigned i = part->time; i < part->time + part->times; i++) {
		int64_t minute = calendar->time[i];
		next = least(next, part->kind == CALENDAR_HOURLY
				       ? hourly_next(day, minute, after)
				       : clock_next(part, day, minute, after));
	}
	return next;
}

/* The parts that have the date of a day, and the day. */
struct look {
	const struct calendar *calendar;
	struct day day;
	const struct calendar_part *part[CALENDAR_PARTS_MAX];
	unsigned parts;
};

/* False: none has. */
static bool
look_at(struct look *look, int64_t number)
{
	look->parts = 0;
	for (unsigned i = 0; i < look->calendar->parts; i++) {
		const struct calendar_part *part = &look->calendar->part[i];
		if (part_has_date(part, number))
			look->part[look->parts++] = part;
	}
	if (look->parts > 0)
		day_of(number, &look->day);
	return look->parts > 0;
}

/* NONE: there is none after that on this day. */
static int64_t
look_next(const struct look *look, int64_t after)
{
	int64_t next = NONE;

	for (unsigned i = 0; i < look->parts; i++)
		next = least(next, part_next(look->calendar, look->part[i],
				       &look->day, after));
	return next;
}

/* ---- over all days ---- */

static int64_t
within(int64_t instant)
{
	return most(0, least(instant, INSTANT_MAX));
}

/* All instants of days before that of `after` are not after it: those days end
 * when, or before, the clock first shows its date. */
int64_t
calendar_next(const struct calendar *calendar, int64_t after)
{
	struct look look = {.calendar = calendar};
	int64_t number;

	after = within(after);
	number = day_number(after);
	for (int64_t last = number + DAYS_MAX; number <= last; number++) {
		int64_t next =
		    look_at(&look, number) ? look_next(&look, after) : NONE;
		if (next != NONE)
			return next;
	}
	return 0;
}

/* Where a clock is set back over midnight, the day after has begun before. */
int64_t
calendar_last(const struct calendar *calendar, int64_t at)
{
	struct look look = {.calendar = calendar};
	int64_t number;

	at = within(at);
	number = day_number(at) + 1;
	for (int64_t first = number - DAYS_MAX; number >= first; number--) {
		int64_t last = 0, next;
		if (!look_at(&look, number))
			continue;
		next = look_next(&look, look.day.start - 1);
		while (next <= at) {
			last = next;
			next = look_next(&look, next);
		}
		if (last > 0)
			return last;
	}
	return 0;
}

uint64_t
calendar_count(const struct calendar *calendar, int64_t after, int64_t until,
    uint64_t enough)
{
	struct look look = {.calendar = calendar};
	int64_t number, last;
	uint64_t count = 0;

	after = within(after);
	until = within(until);
	last = day_number(until) + 1;
	for (number = day_number(after); number <= last && count < enough;
	     number++) {
		int64_t next;
		if (!look_at(&look, number))
			continue;
		while (count < enough &&
		       (next = look_next(&look, after)) <= until) {
			count++;
			after = next;
		}
	}
	return count;
}
