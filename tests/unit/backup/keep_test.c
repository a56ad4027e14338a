/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rules by example, over ten years of days and hours in a zone with summer
 * time, and at random: ten years of points, of hosts that are off and clocks
 * that are set, pruned after each, against what the rule promises of all that
 * ever were.
 */
#include "backup/keep.h"
#include "base/assert.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HISTORIES 4
#else
#define HISTORIES 21
#endif

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

/* ---- what is not good, what is held, what was made by a wrong clock ---- */

static void
what_is_not_good_takes_nobody_s_place(void **unused)
{
	(void)unused;
	points[0] = good(at("2026-03-01 02:00"));
	points[1] = good(at("2026-03-01 12:00"));
	points[1].good = false;
	points[2] = good(at("2026-03-02 02:00"));
	points[2].good = false;
	apply("last=1,daily=1", 3);
	assert_int_equal(
	    kept[0], 1u << KEEP_LAST | 1u << KEEP_DAILY | 1u << KEEP_GOOD);
	assert_int_equal(kept[1], 0);
	assert_int_equal(kept[2], 0);
}

static void
the_last_good_one_stays_if_the_rule_has_no_place_for_it(void **unused)
{
	struct keep_rule none = {{0}};

	(void)unused;
	points[0] = good(at("2020-03-01 02:00"));
	points[1] = good(at("2026-03-01 02:00"));
	points[2] = good(at("2026-03-02 02:00"));
	points[2].good = false;
	keep_apply(&none, points, 3, kept);
	assert_int_equal(kept[0], 0);
	assert_int_equal(kept[1], 1u << KEEP_GOOD);
	assert_int_equal(kept[2], 0);
}

static void
what_is_held_stays_good_or_not(void **unused)
{
	(void)unused;
	points[0] = good(at("2026-03-01 02:00"));
	points[0].held = true;
	points[1] = points[0];
	points[1].good = false;
	points[2] = good(at("2026-03-01 03:00"));
	points[2].held = true;
	points[3] = good(at("2026-03-02 03:00"));
	apply("daily=2", 4);
	assert_int_equal(kept[0], 1u << KEEP_HELD);
	assert_int_equal(kept[1], 1u << KEEP_HELD);
	/* it has its place as others have */
	assert_int_equal(kept[2], 1u << KEEP_HELD | 1u << KEEP_DAILY);
	assert_int_equal(kept[3], 1u << KEEP_GOOD | 1u << KEEP_DAILY);
}

/* Made in 2036 by a wrong clock: it goes when as many days as are kept have had
 * a point since, and what comes after it is newer. */
static void
a_point_from_the_future_goes_as_others_do(void **unused)
{
	(void)unused;
	points[0] = good(at("2026-03-01 02:00"));
	points[1] = good(at("2036-03-01 02:00"));
	points[2] = good(at("2026-03-02 02:00"));
	apply("daily=2", 3);
	assert_int_equal(kept[0], 0);
	assert_int_equal(kept[1], 1u << KEEP_DAILY);
	assert_int_equal(kept[2], 1u << KEEP_DAILY | 1u << KEEP_GOOD);
	points[3] = good(at("2026-03-03 02:00"));
	apply("daily=2", 4);
	assert_int_equal(kept[1], 0);
	assert_int_equal(kept[2], 1u << KEEP_DAILY);
}

static void
a_day_that_comes_again_is_one(void **unused)
{
	(void)unused;
	points[0] = good(at("2026-03-01 02:00"));
	points[1] = good(at("2026-03-02 02:00"));
	points[2] = good(at("2026-03-01 01:00"));
	apply("daily=3", 3);
	assert_int_equal(kept[0], 0);
	assert_int_equal(kept[1], 1u << KEEP_DAILY);
	assert_int_equal(kept[2], 1u << KEEP_DAILY | 1u << KEEP_GOOD);
}

static void
a_half_hour_that_comes_again_is_an_hour(void **unused)
{
	(void)unused;
	setenv("TZ", "Australia/Lord_Howe", 1);
	tzset();
	/* 2026-04-05 at 01:45, and half an hour later at 01:45 */
	points[0] = good(1775313900);
	points[1] = good(1775313900 + 1800);
	apply("hourly=9", 2);
	assert_int_equal(kept_count(2, KEEP_HOURLY), 2);
	zone(NULL);
}

/* ---- ten years, pruned after each point ---- */

struct made {
	struct keep_point point;
	char period[KEEP_PERIODS][24]; /* of its local time, in words */
	unsigned kept;
	bool there;
};

struct history {
	const char *zone;
	struct keep_rule rule;
	struct made *made;
	size_t count, room;
	unsigned most; /* that the rule may keep */
};

/* The words of two points are the same if they are in one period. */
static void
made_periods(struct made *made, size_t number)
{
	static const char *const formats[KEEP_PERIODS] = {
	    [KEEP_HOURLY] = "%F %H %z",
	    [KEEP_DAILY] = "%F",
	    [KEEP_WEEKLY] = "%G-W%V",
	    [KEEP_MONTHLY] = "%Y-%m",
	    [KEEP_YEARLY] = "%Y"};
	time_t when = made->point.when;
	struct tm tm;

	localtime_r(&when, &tm);
	snprintf(made->period[KEEP_LAST], 24, "%zu", number);
	for (unsigned p = KEEP_HOURLY; p < KEEP_PERIODS; p++)
		strftime(made->period[p], 24, formats[p], &tm);
}

static bool
has_word(char (*words)[24], unsigned count, const char *word)
{
	while (count-- > 0) {
		if (strcmp(words[count], word) == 0)
			return true;
	}
	return false;
}

/* What the rule says of all that ever were, for one period: from the newest
 * back, the first of each until there are as many as it says. */
static void
promise(const struct history *history, unsigned period, unsigned *promised)
{
	char words[12][24];
	unsigned count = 0, wanted = history->rule.count[period];

	assert_in_range(wanted, 0, 12);
	for (size_t i = history->count; i-- > 0 && count < wanted;) {
		const struct made *made = &history->made[i];
		if (!made->point.good ||
		    has_word(words, count, made->period[period]))
			continue;
		promised[i] |= 1u << period;
		strcpy(words[count++], made->period[period]);
	}
}

static void
promise_all(const struct history *history, unsigned *promised)
{
	memset(promised, 0, history->count * sizeof(*promised));
	for (unsigned p = 0; p < KEEP_PERIODS; p++)
		promise(history, p, promised);
	for (size_t i = 0; i < history->count; i++) {
		if (history->made[i].point.held)
			promised[i] |= 1u << KEEP_HELD;
	}
	for (size_t i = history->count; i-- > 0;) {
		if (history->made[i].point.good) {
			promised[i] |= 1u << KEEP_GOOD;
			break;
		}
	}
}

static void
history_prune(struct history *history)
{
	static struct keep_point there[1000];
	static size_t numbers[1000];
	size_t count = 0;

	for (size_t i = 0; i < history->count; i++) {
		if (!history->made[i].there)
			continue;
		assert_in_range(count, 0, 999);
		numbers[count] = i;
		there[count++] = history->made[i].point;
	}
	keep_apply(&history->rule, there, count, kept);
	for (size_t i = 0; i < count; i++) {
		history->made[numbers[i]].kept = kept[i];
		history->made[numbers[i]].there = kept[i] != 0;
	}
}

/* Step by step is as good as all at once, and no more is kept than it says. */
static void
history_check(const struct history *history)
{
	static unsigned promised[MANY];
	unsigned there = 0, held = 0;

	promise_all(history, promised);
	for (size_t i = 0; i < history->count; i++) {
		const struct made *made = &history->made[i];
		unsigned is = made->there ? made->kept : 0;
		if (is != promised[i])
			fail_msg("%s: point %zu of %zu is kept by %#x, not %#x",
			    history->zone, i, history->count, is, promised[i]);
		there += made->there;
		held += made->point.held;
	}
	if (there > history->most + held)
		fail_msg("%s: %u are kept, %u at most and %u held",
		    history->zone, there, history->most, held);
}

/* At most some are held at once. */
static void
history_hold(struct history *history)
{
	for (unsigned i = 0; i < 3; i++) {
		struct made *made =
		    &history->made[(size_t)random() % history->count];
		if (made->there)
			made->point.held = random() % 8 == 0;
	}
}

static void
history_make(struct history *history, int64_t when)
{
	struct made *made;

	if (history->count == history->room) {
		history->room += 1000;
		history->made = reallocarray(
		    history->made, history->room, sizeof(*history->made));
		assert_non_null(history->made);
	}
	made = &history->made[history->count];
	*made = (struct made){.there = true,
	    .point = {.when = when,
		.good = random() % 8 != 0,
		.held = random() % 64 == 0}};
	made_periods(made, history->count++);
}

static int64_t
clock_set(int64_t now)
{
	static const int64_t days[] = {1, 2, 9, 40, 400, 4000};
	int64_t by = 86400 * days[(size_t)random() % ARRAY_SIZE(days)];

	return random() % 2 || now < 2 * by ? now + random() % by
					    : now - random() % by;
}

static void
history_run(struct history *history, bool clocks)
{
	int64_t now = at("2009-01-01 00:00") + random() % 86400;
	int64_t pace = 43200 + random() % (3 * 86400);

	for (int64_t lived = 0; lived < INT64_C(3652) * 86400;) {
		/* sometimes off for a month */
		int64_t pause =
		    1 +
		    random() % (random() % 200 ? pace : INT64_C(40) * 86400);
		lived += pause;
		now += pause;
		if (clocks && random() % 100 == 0)
			now = clock_set(now);
		history_make(history, now);
		history_hold(history);
		history_prune(history);
		if (history->count < 100 || random() % 32 == 0)
			history_check(history);
	}
}

static void
history_start(struct history *history, unsigned round)
{
	static const char *const zones[] = {"Europe/Berlin", "America/New_York",
	    "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "UTC",
	    "Asia/Kolkata"};

	*history = (struct history){
	    .zone = zones[round % ARRAY_SIZE(zones)], .most = 1};
	setenv("TZ", history->zone, 1);
	tzset();
	for (unsigned p = 0; p < KEEP_PERIODS; p++) {
		history->rule.count[p] =
		    random() % 2 ? (unsigned)random() % 13 : 0;
		history->most += history->rule.count[p];
	}
}

static void
pruned_after_each_it_keeps_what_it_promises(void **unused)
{
	(void)unused;
	srandom(13);
	for (unsigned round = 0; round < HISTORIES; round++) {
		struct history history;
		history_start(&history, round);
		history_run(&history, round % 2 == 1);
		history_check(&history);
		free(history.made);
	}
	zone(NULL);
}

/* Whatever is damaged later: the newest of what is good stays. */
static void
damage_never_costs_the_last_good_one(void **unused)
{
	(void)unused;
	srandom(14);
	for (unsigned round = 0; round < 500; round++) {
		struct keep_rule rule = {{[KEEP_LAST] = (unsigned)random() % 3,
		    [KEEP_DAILY] = (unsigned)random() % 5}};
		size_t count = 0;
		int64_t now = at("2026-01-01 00:00");
		for (unsigned step = 0; step < 60; step++) {
			size_t left = 0, newest = SIZE_MAX;
			now = random() % 20 ? now + random() % 100000
					    : clock_set(now);
			points[count] = good(now);
			points[count++].good = random() % 3 != 0;
			if (random() % 3 == 0)
				points[(size_t)random() % count].good = false;
			for (size_t i = 0; i < count; i++)
				newest = points[i].good ? i : newest;
			keep_apply(&rule, points, count, kept);
			for (size_t i = 0; i < count; i++) {
				assert_int_equal(
				    kept[i] >> KEEP_GOOD & 1, i == newest);
				if (!points[i].good)
					assert_int_equal(kept[i], 0);
				if (kept[i] != 0)
					points[left++] = points[i];
			}
			count = left;
			assert_true(count > 0 || newest == SIZE_MAX);
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
	    cmocka_unit_test(what_is_not_good_takes_nobody_s_place),
	    cmocka_unit_test(
		the_last_good_one_stays_if_the_rule_has_no_place_for_it),
	    cmocka_unit_test(what_is_held_stays_good_or_not),
	    cmocka_unit_test(a_point_from_the_future_goes_as_others_do),
	    cmocka_unit_test(a_day_that_comes_again_is_one),
	    cmocka_unit_test(a_half_hour_that_comes_again_is_an_hour),
	    cmocka_unit_test(pruned_after_each_it_keeps_what_it_promises),
	    cmocka_unit_test(damage_never_costs_the_last_good_one),
	};

	return cmocka_run_group_tests(tests, zone, NULL);
}
