/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "oracle.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define DAY 1440

/* ---- calendars ---- */

static const char *const day_names[7] = {
    "mon", "tue", "wed", "thu", "fri", "sat", "sun"};

static unsigned
below(unsigned n)
{
	return (unsigned)random() % n;
}

static void __attribute__((format(printf, 2, 3)))
say(struct oracle_calendar *calendar, const char *format, ...)
{
	size_t length = strlen(calendar->text);
	va_list args;

	va_start(args, format);
	vsnprintf(&calendar->text[length], sizeof(calendar->text) - length,
	    format, args);
	va_end(args);
}

static void
all_weekdays(struct oracle_part *part)
{
	for (unsigned i = 0; i < 7; i++)
		part->weekday[i] = true;
}

static void
all_dates(struct oracle_part *part)
{
	for (unsigned i = 0; i < 12 * 31; i++)
		part->date[i / 31][i % 31] = true;
}

/* Often in the hours in which clocks are set. */
static void
make_up_times(struct oracle_calendar *calendar, struct oracle_part *part)
{
	part->times = below(8) == 0 ? 0 : 1 + below(ORACLE_TIMES);
	for (unsigned i = 0; i < part->times; i++) {
		unsigned time = below(3) == 0   ? below(DAY)
				: below(2) == 0 ? below(4 * 60)
						: 15 * below(DAY / 15);
		if (part->kind == ORACLE_HOURLY) {
			part->time[i] = time % 60;
			say(calendar, "%s:%02u", i == 0 ? " " : ",", time % 60);
		} else {
			part->time[i] = time;
			say(calendar, "%s%02u:%02u", i == 0 ? " " : ",",
			    time / 60, time % 60);
		}
	}
	if (part->times == 0)
		part->times = 1; /* at 0 */
}

static void
make_up_weekdays(struct oracle_calendar *calendar, struct oracle_part *part)
{
	unsigned count = 1 + below(3);

	for (unsigned i = 0; i < count; i++) {
		unsigned day = below(7), length = 1 + below(4);
		say(calendar, "%s%s", i == 0 ? "" : ",", day_names[day]);
		if (length > 1)
			say(calendar, "..%s",
			    day_names[(day + length - 1) % 7]);
		while (length-- > 0)
			part->weekday[(day + length) % 7] = true;
	}
}

static void
make_up_dates(struct oracle_calendar *calendar, struct oracle_part *part)
{
	unsigned count = 1 + below(3);

	for (unsigned i = 0; i < count; i++) {
		unsigned day = below(3) == 0 ? 28 + below(3) : below(31);
		say(calendar, i == 0 ? " " : ",");
		if (day == 30 && below(2) == 0)
			say(calendar, "last");
		else
			say(calendar, "%u", day + 1);
		for (unsigned month = 0; month < 12; month++)
			part->date[month][day] = true;
	}
}

static void
make_up_year_days(struct oracle_calendar *calendar, struct oracle_part *part)
{
	unsigned count = 1 + below(2);

	for (unsigned i = 0; i < count; i++) {
		unsigned month = below(3) == 0 ? 1 : below(12);
		unsigned day = below(3) == 0 ? 28 : below(29);
		say(calendar, "%s%02u-%02u", i == 0 ? " " : ",", month + 1,
		    day + 1);
		part->date[month][day] = true;
	}
}

static void
make_up_every(struct oracle_calendar *calendar, struct oracle_part *part)
{
	static const unsigned minutes[] = {
	    1, 5, 15, 20, 30, 60, 120, 180, 240, 360, 480, 720, 1440};

	part->kind = ORACLE_EVERY;
	part->interval = minutes[below(sizeof(minutes) / sizeof(*minutes))];
	if (part->interval % 60 == 0)
		say(calendar, "every %uh", part->interval / 60);
	else
		say(calendar, "every %um", part->interval);
}

static void
make_up_part(struct oracle_calendar *calendar, struct oracle_part *part)
{
	unsigned word = below(8);

	if (word < 2)
		say(calendar, word == 0 ? "weekly " : "");
	if (word >= 4)
		all_weekdays(part);
	if (word < 6)
		all_dates(part);
	switch (word) {
	case 0:
	case 1: make_up_weekdays(calendar, part); break;
	case 2:
		say(calendar, "weekdays");
		for (unsigned i = 0; i < 5; i++)
			part->weekday[i] = true;
		break;
	case 3:
		say(calendar, "weekends");
		part->weekday[5] = part->weekday[6] = true;
		break;
	case 4: say(calendar, "daily"); break;
	case 5:
		if (below(2) == 0) {
			make_up_every(calendar, part);
			return;
		}
		part->kind = ORACLE_HOURLY;
		say(calendar, "hourly");
		break;
	case 6:
		say(calendar, "monthly");
		make_up_dates(calendar, part);
		break;
	case 7:
		say(calendar, "yearly");
		make_up_year_days(calendar, part);
		break;
	}
	make_up_times(calendar, part);
}

void
oracle_make_up(struct oracle_calendar *ret_calendar)
{
	unsigned parts = below(2) == 0 ? 1 : 1 + below(ORACLE_PARTS);

	*ret_calendar = (struct oracle_calendar){.parts = parts};
	for (unsigned i = 0; i < parts; i++) {
		say(ret_calendar, i == 0 ? "" : "; ");
		make_up_part(ret_calendar, &ret_calendar->part[i]);
	}
	assert_true(strlen(ret_calendar->text) + 1 < 256);
}

/* ---- minutes ---- */

static int32_t
clock_at(int64_t instant)
{
	time_t seconds = instant;
	struct tm tm;

	assert_non_null(localtime_r(&seconds, &tm));
	tm.tm_gmtoff = 0;
	tm.tm_isdst = 0;
	assert_int_equal(tm.tm_sec, 0);
	return (int32_t)(timegm(&tm) / 60);
}

int64_t
oracle_instant(const struct oracle *oracle, size_t minute)
{
	return oracle->first + (int64_t)minute * 60;
}

/* A quarter of an hour at a time where the clock goes on as clocks do, or else
 * minute by minute. */
static void
read_clock(struct oracle *oracle)
{
	int32_t first = clock_at(oracle->first), next;

	for (size_t i = 0; i < oracle->minutes; i += 15, first = next) {
		next = clock_at(oracle_instant(oracle, i + 15));
		for (size_t j = 0; j < 15; j++)
			oracle->local[i + j] =
			    next == first + 15
				? first + (int32_t)j
				: clock_at(oracle_instant(oracle, i + j));
	}
}

static void
find_turns(struct oracle *oracle)
{
	oracle->low = oracle->high = oracle->local[0];
	for (size_t i = 1; i < oracle->minutes; i++) {
		if (oracle->local[i] > oracle->high)
			oracle->high = oracle->local[i];
		if (oracle->local[i] == oracle->local[i - 1] + 1)
			continue;
		oracle->turns = reallocarray(oracle->turns,
		    oracle->turn_count + 1, sizeof(*oracle->turns));
		assert_non_null(oracle->turns);
		oracle->turns[oracle->turn_count++] = i;
	}
}

static void
find_reach(struct oracle *oracle)
{
	int32_t next = oracle->low;

	oracle->reach = calloc(
	    (size_t)(oracle->high - oracle->low) + 1, sizeof(*oracle->reach));
	assert_non_null(oracle->reach);
	for (size_t i = 0; i < oracle->minutes; i++) {
		for (; next <= oracle->local[i]; next++)
			oracle->reach[next - oracle->low] = (uint32_t)i;
	}
}

void
oracle_open(struct oracle *oracle, const char *zone, int year)
{
	struct tm tm = {.tm_year = year - 1900, .tm_mday = 1};
	struct tm end = {.tm_year = year - 1890, .tm_mday = 1};

	setenv("TZ", zone, 1);
	tzset();
	*oracle = (struct oracle){.zone = zone, .first = timegm(&tm)};
	oracle->minutes = (size_t)(timegm(&end) - oracle->first) / 60;
	oracle->local = calloc(oracle->minutes, sizeof(*oracle->local));
	oracle->runs = calloc(oracle->minutes / 64 + 1, sizeof(uint64_t));
	assert_non_null(oracle->local);
	assert_non_null(oracle->runs);
	read_clock(oracle);
	find_turns(oracle);
	find_reach(oracle);
}

void
oracle_close(struct oracle *oracle)
{
	free(oracle->local);
	free(oracle->reach);
	free(oracle->turns);
	free(oracle->runs);
}

size_t
oracle_minute(const struct oracle *oracle)
{
	size_t minute = (size_t)random() % oracle->minutes;

	if (oracle->turn_count > 0 && below(4) > 0)
		minute = oracle->turns[below((unsigned)oracle->turn_count)] +
			 below(2 * DAY) - DAY;
	return minute < oracle->minutes ? minute : 0;
}

int32_t
oracle_date(const struct oracle *oracle, size_t minute)
{
	return oracle->local[minute] / DAY;
}

bool
oracle_has_date(const struct oracle *oracle, int32_t date)
{
	size_t first = oracle->reach[date * DAY - oracle->low];

	return oracle_date(oracle, first) == date;
}

/* ---- runs ---- */

static void
mark(struct oracle *oracle, size_t minute)
{
	oracle->runs[minute / 64] |= UINT64_C(1) << minute % 64;
}

static bool
part_on(const struct oracle_part *part, int32_t date)
{
	static const int lengths[12] = {
	    31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	time_t seconds = (time_t)date * 86400;
	struct tm tm;
	int length;

	gmtime_r(&seconds, &tm);
	length = lengths[tm.tm_mon];
	if (tm.tm_mon == 1 && tm.tm_year % 4 == 0) /* 1901 to 2099 */
		length++;
	if (!part->weekday[(tm.tm_wday + 6) % 7])
		return false;
	for (int day = length; tm.tm_mday == length && day < 31; day++) {
		if (part->date[tm.tm_mon][day])
			return true;
	}
	return part->date[tm.tm_mon][tm.tm_mday - 1];
}

static void
run_clock(struct oracle *oracle, const struct oracle_part *part)
{
	/* days that are there whole */
	int32_t from = oracle->low / DAY + 1, to = oracle->high / DAY;

	for (int32_t date = from; date < to; date++) {
		if (!part_on(part, date) ||
		    (!oracle_has_date(oracle, date) && part_on(part, date + 1)))
			continue;
		for (unsigned i = 0; i < part->times; i++)
			mark(oracle,
			    oracle->reach[date * DAY + (int)part->time[i] -
					  oracle->low]);
	}
}

static void
run_hourly(struct oracle *oracle, const struct oracle_part *part)
{
	for (unsigned i = 0; i < part->times; i++) {
		for (size_t m = 0; m < oracle->minutes; m++) {
			if (oracle->local[m] % 60 == (int32_t)part->time[i])
				mark(oracle, m);
		}
	}
}

static void
run_every(struct oracle *oracle, const struct oracle_part *part)
{
	int32_t date = oracle_date(oracle, 0);
	size_t since = SIZE_MAX; /* the first whole day began */

	for (size_t m = 0; m < oracle->minutes; m++) {
		if (oracle_date(oracle, m) > date) {
			date = oracle_date(oracle, m);
			since = m;
		}
		if (since != SIZE_MAX && (m - since) % part->interval == 0)
			mark(oracle, m);
	}
}

void
oracle_run(struct oracle *oracle, const struct oracle_calendar *calendar)
{
	memset(oracle->runs, 0, (oracle->minutes / 64 + 1) * sizeof(uint64_t));
	for (unsigned i = 0; i < calendar->parts; i++) {
		const struct oracle_part *part = &calendar->part[i];
		switch (part->kind) {
		case ORACLE_CLOCK: run_clock(oracle, part); break;
		case ORACLE_HOURLY: run_hourly(oracle, part); break;
		case ORACLE_EVERY: run_every(oracle, part); break;
		}
	}
}

bool
oracle_runs(const struct oracle *oracle, size_t minute)
{
	return oracle->runs[minute / 64] >> minute % 64 & 1;
}

size_t
oracle_next(const struct oracle *oracle, size_t minute)
{
	for (minute++; minute < oracle->minutes; minute++) {
		if (minute % 64 == 0 && oracle->runs[minute / 64] == 0)
			minute += 63;
		else if (oracle_runs(oracle, minute))
			return minute;
	}
	return oracle->minutes;
}

size_t
oracle_last(const struct oracle *oracle, size_t minute)
{
	for (minute++; minute-- > 0;) {
		if (oracle_runs(oracle, minute))
			return minute;
	}
	return SIZE_MAX;
}

uint64_t
oracle_count(const struct oracle *oracle, size_t from, size_t to)
{
	uint64_t count = 0;

	for (; from < to && from % 64 != 0; from++)
		count += oracle_runs(oracle, from);
	for (; from + 64 <= to; from += 64)
		count +=
		    (uint64_t)__builtin_popcountll(oracle->runs[from / 64]);
	for (; from < to; from++)
		count += oracle_runs(oracle, from);
	return count;
}
