/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Calendars by example, and against an oracle that writes down the clock of
 * every minute: ten years in zones that set their clocks in every way, of
 * calendars made up at random.
 *
 * Not covered: zones whose clock is off by seconds (there is none since 1972).
 */
#include "base/assert.h"
#include "policy/calendar.h"
#include "support/oracle.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROUNDS 1
#else
#define ROUNDS 5
#endif

#define DAY          1440
#define DENSE        5000 /* runs, of which not each is walked */
#define RANDOM_LOOKS 200

struct span {
	const char *zone;
	int year;
};

/* What each has beside the usual change by an hour in the night. */
static struct span spans[] = {
    {"Europe/Berlin", 2009}, {"America/New_York", 2009},
    {"Australia/Lord_Howe", 2009}, /* by half an hour */
    {"Pacific/Apia", 2009},        /* 2011-12-30 was left out */
    {"America/Sao_Paulo", 2009},   /* at midnight, until 2018 */
    {"America/St_Johns", 2004},    /* back over midnight, until 2011 */
    {"America/Nuuk", 2024},        /* from 23:00 to midnight */
    {"Asia/Kolkata", 2009},        /* never */
    {"UTC", 2009},
    {"Europe/Dublin", 2034}, /* after the last year that tzdata spells out */
};

static struct calendar
parse(const char *text)
{
	struct calendar calendar;
	const char *problem = calendar_parse(text, &calendar);

	if (problem != NULL)
		fail_msg("'%s': %s", text, problem);
	return calendar;
}

static void
zone(const char *name)
{
	setenv("TZ", name, 1);
	tzset();
}

static int64_t
at(const char *text)
{
	struct tm tm = {0};
	long offset;

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M %z", &tm));
	offset = tm.tm_gmtoff; /* which timegm takes away */
	return timegm(&tm) - offset;
}

/* ---- words ---- */

static void
words_are_read(void **unused)
{
	static const char *const good[] = {"hourly", "hourly :15",
	    "hourly :00,:30", "daily", "daily 02:00", "daily 2:00",
	    "daily 02:00,14:00", "weekly", "weekly sun", "weekly 03:00",
	    "weekly sun 03:00", "weekly Sunday 03:00", "mon..fri 22:00",
	    "mon,wed 22:00", "mon", "friday", "sat..mon,wed 1:00", "weekdays",
	    "weekdays 22:00", "weekends 10:00", "monthly", "monthly 04:00",
	    "monthly 1", "monthly 1 04:00", "monthly last 04:00",
	    "monthly 1,15,LAST 04:00", "yearly", "yearly 12-31", "yearly 23:00",
	    "yearly 12-31 23:00", "yearly 2-29,12-31", "every 1m", "every 15m",
	    "every 4h", "every 24h", "every 1440m", "mon, wed 22:00,\t23:00",
	    "EVERY 4H", "  daily\t02:00 ;  monthly last ", "daily;weekly"};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		parse(good[i]);
}

static void
what_is_wrong_is_named(void **unused)
{
	static const struct {
		const char *text, *named;
	} wrong[] = {
	    {"", "empty"},
	    {" ", "empty"},
	    {"daily;", "empty"},
	    {";daily", "empty"},
	    {"daily;;weekly", "empty"},
	    {"fortnightly", "'fortnightly'"},
	    {"daily 24:00", "'24:00'"},
	    {"daily 12:60", "'12:60'"},
	    {"daily 12:5", "'12:5'"},
	    {"daily 012:05", "'012:05'"},
	    {"daily 12:05:00", "'12:05:00'"},
	    {"daily 02:00,", "''"},
	    {"daily noon", "'noon'"},
	    {"daily -1:00", "'-1:00'"},
	    {"daily +1:00", "'+1:00'"},
	    {"daily 02:00 03:00", "'03:00'"},
	    {"daily mon 02:00 x", "'x'"},
	    {"hourly 15", "'15'"},
	    {"hourly 00:15", "'00:15'"},
	    {"hourly :60", "':60'"},
	    {"weekly son", "'son'"},
	    {"weekly mo", "'mo'"},
	    {"weekly mon..", "'mon..'"},
	    {"weekly ..mon", "'..mon'"},
	    {"mon..fri..sun", "'mon..fri..sun'"},
	    {"mon.fri", "'mon.fri'"},
	    {"mon,22:00", "'22:00'"},
	    {"monthly 0", "'0'"},
	    {"monthly 32", "'32'"},
	    {"monthly first", "'first'"},
	    {"yearly 13-01", "'13-01'"},
	    {"yearly 02-30", "'02-30'"},
	    {"yearly 04-31", "'04-31'"},
	    {"yearly 1", "'1'"},
	    {"every", "every takes"},
	    {"every m", "every takes"},
	    {"every 15", "every takes"},
	    {"every 15s", "every takes"},
	    {"every 15m 02:00", "every takes"},
	    {"every -15m", "every takes"},
	    {"every 0m", "'0m'"},
	    {"every 7m", "'7m'"},
	    {"every 25h", "'25h'"},
	    {"every 48h", "'48h'"},
	    {"every 99999999999999999999h", "'99999999999999999999"},
	    /* 12 minutes, modulo 2^64 */
	    {"every 922337203685477581h", "'922337203685477581h'"},
	    {"weekdays mon 22:00", "'mon'"},
	};
	struct calendar calendar;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		const char *problem = calendar_parse(wrong[i].text, &calendar);
		if (problem == NULL)
			fail_msg("'%s' is a calendar", wrong[i].text);
		else if (strstr(problem, wrong[i].named) == NULL)
			fail_msg("'%s': %s", wrong[i].text, problem);
	}
}

static void
its_limits_are_named(void **unused)
{
	char text[CALENDAR_TEXT_MAX + 1] = "daily";
	struct calendar calendar;

	(void)unused;
	for (unsigned i = 1; i < CALENDAR_PARTS_MAX; i++)
		strcat(text, ";daily");
	assert_null(calendar_parse(text, &calendar));
	strcat(text, ";daily");
	assert_non_null(
	    strstr(calendar_parse(text, &calendar), "more than 16 parts"));
	memset(text, ' ', CALENDAR_TEXT_MAX);
	memcpy(text, "daily", 5);
	assert_non_null(
	    strstr(calendar_parse(text, &calendar), "longer than 255"));
	text[CALENDAR_TEXT_MAX - 1] = '\0';
	assert_null(calendar_parse(text, &calendar));
	strcpy(text, "hourly :0");
	assert_non_null(calendar_parse(text, &calendar));
	strcpy(text, "daily 0:00");
	for (unsigned i = 1; i < 49; i++)
		strcat(text, ",0:00");
	assert_null(calendar_parse(text, &calendar));
}

/* Whatever an administrator types, the answer can be shown to him. */
static void
no_text_does_harm(void **unused)
{
	struct calendar calendar;

	(void)unused;
	srandom(21);
	for (unsigned round = 0; round < 10000; round++) {
		struct oracle_calendar made;
		char text[300];
		size_t length;
		const char *problem;
		oracle_make_up(&made);
		strcpy(text, made.text);
		length = strlen(text);
		for (long changes = 1 + random() % 3; changes > 0; changes--)
			text[(size_t)random() % length] =
			    random() % 3 ? ":;,.-0159 maydl"[random() % 15]
					 : (char)(1 + random() % 255);
		problem = calendar_parse(text, &calendar);
		if (problem == NULL)
			continue;
		assert_in_range(strlen(problem), 1, CALENDAR_PROBLEM_MAX - 1);
		for (; *problem != '\0'; problem++)
			assert_in_range(*problem, ' ', '~');
	}
}

/* ---- examples ---- */

struct example {
	const char *zone, *calendar, *after;
	const char *runs[6];
};

/* clang-format off */
static const struct example examples[] = {
	/* what is left out */
	{"UTC", "hourly", "2026-01-01 00:00 +0000",
	 {"2026-01-01 01:00 +0000", "2026-01-01 02:00 +0000"}},
	{"UTC", "daily", "2026-01-01 00:00 +0000",
	 {"2026-01-02 00:00 +0000", "2026-01-03 00:00 +0000"}},
	{"UTC", "weekly", "2026-01-01 00:00 +0000",
	 {"2026-01-05 00:00 +0000", "2026-01-12 00:00 +0000"}},
	{"UTC", "monthly", "2026-01-01 00:00 +0000",
	 {"2026-02-01 00:00 +0000", "2026-03-01 00:00 +0000"}},
	{"UTC", "yearly", "2026-01-01 00:00 +0000",
	 {"2027-01-01 00:00 +0000", "2028-01-01 00:00 +0000"}},
	{"UTC", "weekdays", "2026-01-02 00:00 +0000",
	 {"2026-01-05 00:00 +0000", "2026-01-06 00:00 +0000"}},
	{"UTC", "weekends", "2026-01-01 00:00 +0000",
	 {"2026-01-03 00:00 +0000", "2026-01-04 00:00 +0000",
	  "2026-01-10 00:00 +0000"}},
	/* lists, and one instant of two parts */
	{"UTC", "daily 14:00,02:00; thu 02:00", "2026-01-01 00:00 +0000",
	 {"2026-01-01 02:00 +0000", "2026-01-01 14:00 +0000",
	  "2026-01-02 02:00 +0000"}},
	{"UTC", "sat..mon 01:00", "2026-01-01 00:00 +0000",
	 {"2026-01-03 01:00 +0000", "2026-01-04 01:00 +0000",
	  "2026-01-05 01:00 +0000", "2026-01-10 01:00 +0000"}},
	/* short months and leap years */
	{"UTC", "monthly last", "2026-01-01 00:00 +0000",
	 {"2026-01-31 00:00 +0000", "2026-02-28 00:00 +0000",
	  "2026-03-31 00:00 +0000", "2026-04-30 00:00 +0000"}},
	{"UTC", "monthly 30,31", "2028-01-30 00:00 +0000",
	 {"2028-01-31 00:00 +0000", "2028-02-29 00:00 +0000",
	  "2028-03-30 00:00 +0000", "2028-03-31 00:00 +0000",
	  "2028-04-30 00:00 +0000", "2028-05-30 00:00 +0000"}},
	{"UTC", "yearly 02-29", "2027-01-01 00:00 +0000",
	 {"2027-02-28 00:00 +0000", "2028-02-29 00:00 +0000",
	  "2029-02-28 00:00 +0000"}},
	{"UTC", "yearly 02-28", "2027-01-01 00:00 +0000",
	 {"2027-02-28 00:00 +0000", "2028-02-28 00:00 +0000"}},
	{"UTC", "yearly 02-29", "2099-03-01 00:00 +0000",
	 {"2100-02-28 00:00 +0000", "2101-02-28 00:00 +0000"}},
	/* what a clock skips, and what it shows twice */
	{"Europe/Berlin", "daily 02:30", "2026-03-28 12:00 +0100",
	 {"2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"}},
	{"Europe/Berlin", "daily 02:00,02:30,03:00", "2026-03-28 12:00 +0100",
	 {"2026-03-29 03:00 +0200", "2026-03-30 02:00 +0200"}},
	{"Europe/Berlin", "daily 02:30", "2026-10-24 12:00 +0200",
	 {"2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"}},
	{"Europe/Berlin", "hourly :30", "2026-10-25 01:00 +0200",
	 {"2026-10-25 01:30 +0200", "2026-10-25 02:30 +0200",
	  "2026-10-25 02:30 +0100", "2026-10-25 03:30 +0100"}},
	{"Europe/Berlin", "hourly :30", "2026-03-29 01:00 +0100",
	 {"2026-03-29 01:30 +0100", "2026-03-29 03:30 +0200"}},
	{"Europe/Berlin", "every 4h", "2026-03-28 23:00 +0100",
	 {"2026-03-29 00:00 +0100", "2026-03-29 05:00 +0200",
	  "2026-03-29 09:00 +0200", "2026-03-29 13:00 +0200",
	  "2026-03-29 17:00 +0200", "2026-03-29 21:00 +0200"}},
	{"Europe/Berlin", "every 12h", "2026-10-24 23:00 +0200",
	 {"2026-10-25 00:00 +0200", "2026-10-25 11:00 +0100",
	  "2026-10-25 23:00 +0100", "2026-10-26 00:00 +0100"}},
	{"Australia/Lord_Howe", "daily 02:15", "2026-10-03 12:00 +1030",
	 {"2026-10-04 02:30 +1100", "2026-10-05 02:15 +1100"}},
	{"Australia/Lord_Howe", "hourly :45", "2026-04-05 01:00 +1100",
	 {"2026-04-05 01:45 +1100", "2026-04-05 01:45 +1030",
	  "2026-04-05 02:45 +1030"}},
	/* midnight that is not there */
	{"America/Sao_Paulo", "daily", "2018-11-03 12:00 -0300",
	 {"2018-11-04 01:00 -0200", "2018-11-05 00:00 -0200"}},
	/* the hour before midnight that comes again */
	{"America/Sao_Paulo", "daily 23:30", "2018-02-17 12:00 -0200",
	 {"2018-02-17 23:30 -0200", "2018-02-18 23:30 -0300"}},
	/* a day that is not there */
	{"Pacific/Apia", "daily 02:00", "2011-12-29 12:00 -1000",
	 {"2011-12-31 02:00 +1400", "2012-01-01 02:00 +1400"}},
	{"Pacific/Apia", "fri 02:00", "2011-12-29 12:00 -1000",
	 {"2011-12-31 00:00 +1400", "2012-01-06 02:00 +1400"}},
	{"Pacific/Apia", "monthly 30 02:00", "2011-12-29 12:00 -1000",
	 {"2011-12-31 00:00 +1400", "2012-01-30 02:00 +1400"}},
	{"Pacific/Apia", "every 12h", "2011-12-29 00:00 -1000",
	 {"2011-12-29 12:00 -1000", "2011-12-31 00:00 +1400"}},
};
/* clang-format on */

static void
examples_run_as_they_say(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		const struct example *e = &examples[i];
		struct calendar calendar = parse(e->calendar);
		int64_t instant = at(e->after);
		zone(e->zone);
		for (size_t j = 0; j < 6 && e->runs[j] != NULL; j++) {
			instant = calendar_next(&calendar, instant);
			if (instant != at(e->runs[j]))
				fail_msg("%s, %s: %ld is not %s", e->zone,
				    e->calendar, (long)instant, e->runs[j]);
		}
	}
}

/* On 2010-11-07 at 00:01 the clock went back to 23:01: a day had begun, and is
 * the evening before again. */
static void
a_day_that_is_begun_twice_runs_once(void **unused)
{
	struct calendar calendar = parse("daily");
	int64_t midnight = at("2010-11-07 00:00 -0230");
	int64_t evening = at("2010-11-06 23:30 -0330");
	int64_t again = at("2010-11-07 00:00 -0330");

	(void)unused;
	zone("America/St_Johns");
	assert_true(midnight < evening && evening < again);
	assert_int_equal(calendar_next(&calendar, midnight - 1), midnight);
	assert_int_equal(
	    calendar_next(&calendar, midnight), at("2010-11-08 00:00 -0330"));
	assert_int_equal(
	    calendar_next(&calendar, evening), at("2010-11-08 00:00 -0330"));
	assert_int_equal(calendar_last(&calendar, evening), midnight);
	assert_int_equal(calendar_last(&calendar, again), midnight);
	assert_int_equal(
	    calendar_count(&calendar, midnight - 1, evening, UINT64_MAX), 1);
	assert_int_equal(
	    calendar_count(&calendar, midnight, again, UINT64_MAX), 0);
}

static void
there_is_nothing_outside_of_time(void **unused)
{
	struct calendar calendar = parse("daily 02:00");

	(void)unused;
	zone("UTC");
	assert_int_equal(calendar_last(&calendar, 0), 0);
	assert_int_equal(calendar_last(&calendar, 7199), 0);
	assert_int_equal(calendar_last(&calendar, 7200), 7200);
	assert_int_equal(calendar_last(&calendar, INT64_MIN), 0);
	assert_int_equal(calendar_next(&calendar, INT64_MIN), 7200);
	assert_int_equal(calendar_next(&calendar, 0), 7200);
	assert_true(calendar_next(&calendar, INT64_MAX) > 0);
	assert_int_equal(calendar_count(&calendar, 7199, 7200, UINT64_MAX), 1);
	assert_int_equal(calendar_count(&calendar, 7200, 7200, UINT64_MAX), 0);
	assert_int_equal(calendar_count(&calendar, 7200, 7199, UINT64_MAX), 0);
	assert_int_equal(
	    calendar_count(&calendar, INT64_MIN, 86400 + 7200, UINT64_MAX), 2);
	assert_int_equal(
	    calendar_count(&calendar, INT64_MAX - 1, INT64_MAX, UINT64_MAX), 0);
	/* nor is more counted than is asked for */
	assert_int_equal(calendar_count(&calendar, 0, INT64_MAX, 1000), 1000);
	assert_int_equal(calendar_count(&calendar, 0, 86400, 1000), 1);
	assert_int_equal(calendar_count(&calendar, 0, INT64_MAX, 0), 0);
}

/* ---- against the oracle ---- */

struct look {
	const struct oracle *oracle;
	const struct oracle_calendar *made;
	struct calendar calendar;
	size_t from, to; /* where days are whole */
};

static void
expect(const struct look *look, const char *what, size_t minute, int64_t found,
    int64_t expected)
{
	if (found != expected)
		fail_msg("%s, '%s': %s of %ld is %ld, not %ld",
		    look->oracle->zone, look->made->text, what,
		    (long)oracle_instant(look->oracle, minute), (long)found,
		    (long)expected);
}

/* Every instant, and none other; sparse calendars only. */
static void
walk(const struct look *look)
{
	size_t minute = look->from;

	for (;;) {
		size_t next = oracle_next(look->oracle, minute);
		int64_t found = calendar_next(
		    &look->calendar, oracle_instant(look->oracle, minute));
		if (next >= look->to)
			return;
		expect(look, "next", minute, found,
		    oracle_instant(look->oracle, next));
		minute = next;
	}
}

static void
look_at(const struct look *look, size_t minute)
{
	int64_t now = oracle_instant(look->oracle, minute);
	size_t next = oracle_next(look->oracle, minute);
	size_t last = oracle_last(look->oracle, minute);
	int64_t found = calendar_last(&look->calendar, now);

	/* a second off a minute is as good */
	assert_int_equal(calendar_last(&look->calendar, now + 59), found);
	if (next < look->to) {
		int64_t instant = oracle_instant(look->oracle, next);
		expect(look, "next", minute,
		    calendar_next(&look->calendar, now + random() % 60),
		    instant);
		expect(look, "last", next,
		    calendar_last(&look->calendar, instant), instant);
	}
	if (last != SIZE_MAX && last > look->from) {
		expect(look, "last", minute, found,
		    oracle_instant(look->oracle, last));
		expect(look, "next of the second before", last,
		    calendar_next(&look->calendar, found - 1), found);
	}
}

static void
count_between(const struct look *look, size_t a, size_t b)
{
	size_t low = a < b ? a : b, high = a < b ? b : a;

	expect(look, "count", low,
	    (int64_t)calendar_count(&look->calendar,
		oracle_instant(look->oracle, low),
		oracle_instant(look->oracle, high), UINT64_MAX),
	    (int64_t)oracle_count(look->oracle, low + 1, high + 1));
}

static size_t
minute_of(const struct look *look)
{
	size_t minute = oracle_minute(look->oracle);

	if (minute < look->from)
		return look->from;
	return minute < look->to ? minute : look->to;
}

static void
compare(struct oracle *oracle, const struct oracle_calendar *made)
{
	struct look look = {.oracle = oracle,
	    .made = made,
	    .calendar = parse(made->text),
	    .from = 3 * DAY,
	    .to = oracle->minutes - 3 * DAY};

	oracle_run(oracle, made);
	count_between(&look, look.from, look.to);
	if (oracle_count(oracle, 0, oracle->minutes) < DENSE)
		walk(&look);
	for (unsigned i = 0; i < RANDOM_LOOKS; i++)
		look_at(&look, minute_of(&look));
	for (unsigned i = 0; i < 20; i++) {
		size_t minute = minute_of(&look);
		count_between(&look, minute, minute_of(&look));
		count_between(&look, minute, minute + (size_t)random() % DAY);
	}
}

/* Each date that the zone has, has one run, on that date. */
static void
each_day_has_one(const struct oracle *oracle)
{
	struct calendar calendar;
	char text[16];
	unsigned time = (unsigned)random() % DAY;

	/* where the last hour of a day is skipped, its run is at midnight */
	if (strcmp(oracle->zone, "America/Nuuk") == 0)
		time %= 23 * 60;
	snprintf(text, sizeof(text), "daily %02u:%02u", time / 60, time % 60);
	calendar = parse(text);
	for (int32_t date = oracle->low / DAY + 2; date < oracle->high / DAY;
	     date++) {
		int32_t midnight = date * DAY - oracle->low;
		int64_t start = oracle_instant(oracle, oracle->reach[midnight]);
		int64_t end =
		    oracle_instant(oracle, oracle->reach[midnight + DAY]);
		if (calendar_count(&calendar, start - 1, end - 1, UINT64_MAX) !=
		    oracle_has_date(oracle, date))
			fail_msg("%s, %s: day %d", oracle->zone, text, date);
	}
}

static void
ten_years_are_as_the_clock_shows(void **state)
{
	const struct span *span = *state;
	struct oracle oracle;

	srandom(22 + (unsigned)(span - spans));
	oracle_open(&oracle, span->zone, span->year);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct oracle_calendar made;
		oracle_make_up(&made);
		compare(&oracle, &made);
	}
	each_day_has_one(&oracle);
	oracle_close(&oracle);
}

#define FIXED 7

int
main(void)
{
	struct CMUnitTest tests[FIXED + ARRAY_SIZE(spans)] = {
	    cmocka_unit_test(words_are_read),
	    cmocka_unit_test(what_is_wrong_is_named),
	    cmocka_unit_test(its_limits_are_named),
	    cmocka_unit_test(no_text_does_harm),
	    cmocka_unit_test(examples_run_as_they_say),
	    cmocka_unit_test(a_day_that_is_begun_twice_runs_once),
	    cmocka_unit_test(there_is_nothing_outside_of_time),
	};

	for (size_t i = 0; i < ARRAY_SIZE(spans); i++)
		tests[FIXED + i] = (struct CMUnitTest){.name = spans[i].zone,
		    .test_func = ten_years_are_as_the_clock_shows,
		    .initial_state = &spans[i]};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
