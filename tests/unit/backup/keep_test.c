/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules by example, and over ten years of days and hours in a zone with summer
 * time.
 */
#include "backup/keep.h"
#include "base/assert.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MANY 100000

static struct keep_point points[MANY];
static unsigned kept[MANY];

static int64_t
at(const char *text)
{
	struct tm tm = {.tm_isdst = -1};

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return mktime(&tm);
}

static struct keep_point
good(int64_t when)
{
	return (struct keep_point){.when = when, .good = true};
}

static void
apply(const char *text, size_t count)
{
	struct keep_rule rule;

	assert_true(keep_parse(text, &rule));
	keep_apply(&rule, points, count, kept);
}

static size_t
kept_count(size_t count, enum keep_reason reason)
{
	size_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += kept[i] >> reason & 1;
	return sum;
}

static int
zone(void **unused)
{
	(void)unused;
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	return 0;
}

static void
rules_are_parsed(void **unused)
{
	struct keep_rule rule;

	(void)unused;
	assert_true(keep_parse("last=3,daily=7,yearly=1", &rule));
	assert_int_equal(rule.count[KEEP_LAST], 3);
	assert_int_equal(rule.count[KEEP_DAILY], 7);
	assert_int_equal(rule.count[KEEP_YEARLY], 1);
	assert_int_equal(rule.count[KEEP_HOURLY], 0);
}

static void
what_is_no_rule_is_refused(void **unused)
{
	static const char *const wrong[] = {"", "daily", "daily=", "daily=-1",
	    "daily=1,", ",daily=1", "daily=1,daily=2", "dayly=1", "last=0",
	    "daily=1 weekly=2", "daily= 1", "daily=99999999999999999999",
	    "last=1,,daily=1", "daily=0x10"};
	struct keep_rule rule;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (keep_parse(wrong[i], &rule))
			fail_msg("'%s' is a rule", wrong[i]);
}

static void
the_newest_of_each_day_is_kept(void **unused)
{
	(void)unused;
	points[0] = good(at("2026-03-01 02:00"));
	points[1] = good(at("2026-03-01 23:59"));
	points[2] = good(at("2026-03-02 00:00"));
	points[3] = good(at("2026-03-04 02:00"));
	apply("daily=3", 4);
	assert_int_equal(kept[0], 0);
	assert_int_equal(kept[1], 1u << KEEP_DAILY);
	assert_int_equal(kept[2], 1u << KEEP_DAILY);
	assert_int_equal(kept[3], 1u << KEEP_DAILY | 1u << KEEP_GOOD);
	apply("daily=2", 4);
	assert_int_equal(kept[1], 0);
}

static void
weeks_begin_on_monday(void **unused)
{
	(void)unused;
	points[0] = good(at("2026-03-01 12:00")); /* a Sunday */
	points[1] = good(at("2026-03-02 12:00"));
	points[2] = good(at("2026-03-08 12:00"));
	points[3] = good(at("2026-03-09 12:00"));
	apply("weekly=9", 4);
	assert_int_equal(kept[0], 1u << KEEP_WEEKLY);
	assert_int_equal(kept[1], 0);
	assert_int_equal(kept[2], 1u << KEEP_WEEKLY);
	assert_int_equal(kept_count(4, KEEP_WEEKLY), 3);
}

/* The turn of a year lies within a week. */
static void
a_week_may_lie_in_two_years(void **unused)
{
	(void)unused;
	points[0] = good(at("2025-12-30 12:00"));
	points[1] = good(at("2026-01-02 12:00"));
	apply("weekly=9,yearly=9", 2);
	assert_int_equal(kept_count(2, KEEP_WEEKLY), 1);
	assert_int_equal(kept_count(2, KEEP_YEARLY), 2);
}

/* One a day at half past two, which is there twice or not at all on two days of
 * the year: so many days, so many kept. */
static void
ten_years_have_3653_days(void **unused)
{
	const int days = 3653;

	(void)unused;
	for (int i = 0; i < days; i++) {
		struct tm tm = {.tm_year = 120,
		    .tm_mday = 1 + i,
		    .tm_hour = 2,
		    .tm_min = 30,
		    .tm_isdst = -1};
		points[i] = good(mktime(&tm));
	}
	apply("daily=10000,monthly=10000,yearly=10000,weekly=10000",
	    (size_t)days);
	assert_int_equal(kept_count((size_t)days, KEEP_DAILY), days);
	assert_int_equal(kept_count((size_t)days, KEEP_MONTHLY), 120);
	assert_int_equal(kept_count((size_t)days, KEEP_YEARLY), 10);
	/* 2020-01-01 is a Wednesday, 2029-12-31 a Monday */
	assert_int_equal(kept_count((size_t)days, KEEP_WEEKLY), 523);
}

/* No hour is lost or counted twice where the clock goes forward or back. */
static void
every_hour_of_ten_years_is_one(void **unused)
{
	const size_t hours = 3653 * 24;
	int64_t first = at("2020-01-01 00:00");

	(void)unused;
	for (size_t i = 0; i < hours; i++)
		points[i] = good(first + 3600 * (int64_t)i + 1800);
	apply("hourly=100000,daily=10000", hours);
	assert_int_equal(kept_count(hours, KEEP_HOURLY), hours);
	assert_int_equal(kept_count(hours, KEEP_DAILY), 3653);
}

static void
the_newest_is_kept_whatever_the_rule_is(void **unused)
{
	(void)unused;
	srandom(11);
	for (unsigned round = 0; round < 500; round++) {
		size_t count = 1 + (size_t)random() % 50;
		int64_t now = at("2026-01-01 00:00");
		char text[64];
		for (size_t i = 0; i < count; i++)
			points[i] = good(now += random() % 400000);
		snprintf(text, sizeof(text), "%s=%ld",
		    keep_words[random() % KEEP_PERIODS], 1 + random() % 9);
		apply(text, count);
		assert_true(kept[count - 1] & 1u << KEEP_GOOD);
	}
	keep_apply(&(struct keep_rule){{0}}, points, 0, kept);
}

/* More is kept of more: a longer rule never lets go of what a shorter keeps. */
static void
a_larger_number_keeps_no_less(void **unused)
{
	unsigned before[64];
	char text[32];

	(void)unused;
	srandom(12);
	points[0] = good(at("2026-01-01 00:00"));
	for (unsigned i = 1; i < 64; i++)
		points[i] = good(points[i - 1].when + random() % 90000);
	for (unsigned period = 0; period < KEEP_PERIODS; period++) {
		memset(before, 0, sizeof(before));
		for (unsigned n = 1; n < 80; n++) {
			snprintf(
			    text, sizeof(text), "%s=%u", keep_words[period], n);
			apply(text, 64);
			for (unsigned i = 0; i < 64; i++)
				assert_int_equal(
				    kept[i] & before[i], before[i]);
			memcpy(before, kept, sizeof(before));
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rules_are_parsed),
	    cmocka_unit_test(what_is_no_rule_is_refused),
	    cmocka_unit_test(the_newest_of_each_day_is_kept),
	    cmocka_unit_test(weeks_begin_on_monday),
	    cmocka_unit_test(a_week_may_lie_in_two_years),
	    cmocka_unit_test(ten_years_have_3653_days),
	    cmocka_unit_test(every_hour_of_ten_years_is_one),
	    cmocka_unit_test(the_newest_is_kept_whatever_the_rule_is),
	    cmocka_unit_test(a_larger_number_keeps_no_less),
	};

	return cmocka_run_group_tests(tests, zone, NULL);
}
