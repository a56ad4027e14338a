/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/day.h"
#include "base/assert.h"
#include <stddef.h>
#include <time.h>

#define DAY 86400

static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

/* Of local time from UTC, in seconds. */
static int64_t
offset_at(int64_t instant)
{
	time_t seconds = (time_t)instant;
	struct tm tm = {0};

	localtime_r(&seconds, &tm);
	return tm.tm_gmtoff;
}

int64_t
day_number(int64_t instant)
{
	return floor_div(instant + offset_at(instant), DAY);
}

/* The first instant after low, and at most high, that has another offset. */
static int64_t
turn_between(int64_t low, int64_t high)
{
	int64_t offset = offset_at(low);

	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;
		if (offset_at(middle) == offset)
			low = middle;
		else
			high = middle;
	}
	return high;
}

int64_t
day_instant(const struct day *day, int64_t seconds)
{
	int64_t local = day->number * DAY + seconds;

	if (local - day->before < day->turn)
		return local - day->before;
	if (local - day->after < day->turn)
		return day->turn;
	return local - day->after;
}

void
day_of(int64_t number, struct day *ret_day)
{
	/* no offset is more than a day */
	int64_t low = (number - 1) * DAY, high = (number + 2) * DAY;

	*ret_day = (struct day){.number = number,
	    .before = offset_at(low),
	    .after = offset_at(high),
	    .turn = INT64_MAX};
	if (ret_day->before != ret_day->after)
		ret_day->turn = turn_between(low, high);
	ret_day->start = day_instant(ret_day, 0);
	ret_day->end = day_instant(ret_day, DAY);
	assert(ret_day->start <= ret_day->end);
}

struct date
day_date(int64_t number)
{
	time_t midnight = (time_t)(number * DAY), tomorrow = midnight + DAY;
	struct tm tm = {0}, next = {0};

	gmtime_r(&midnight, &tm);
	gmtime_r(&tomorrow, &next);
	return (struct date){
	    .month = (unsigned)tm.tm_mon,
	    .day = (unsigned)tm.tm_mday - 1,
	    .weekday = (unsigned)(tm.tm_wday + 6) % 7,
	    .last = next.tm_mday == 1,
	};
}
