/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is due, by example, and over years of hosts that are off, wake at any
 * time and have their clocks set: every instant is run or counted as missed
 * exactly once, and a clock that is set back costs one run.
 *
 * Not covered: what a calendar's instants are (calendar_test).
 */
#include "base/assert.h"
#include "policy/due.h"
#include "support/oracle.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROUNDS 8
#else
#define ROUNDS 40
#endif

#define DAY   INT64_C(86400)
#define YEARS (3652 * DAY)

static struct calendar calendar;

static void
calendar_is(const char *text)
{
	const char *problem = calendar_parse(text, &calendar);

	if (problem != NULL)
		fail_msg("'%s': %s", text, problem);
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
	struct tm tm = {.tm_isdst = -1};

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return mktime(&tm);
}

static void
expect(const char *since, const char *scheduled, const char *now,
    const char *due, uint64_t missed, const char *next)
{
	struct due_past past = {.since = at(since),
	    .scheduled = scheduled != NULL ? at(scheduled) : 0};
	struct due found;

	due_find(&calendar, &past, at(now), &found);
	assert_int_equal(found.at, due != NULL ? at(due) : 0);
	assert_int_equal(found.missed, missed);
	assert_int_equal(found.next, at(next));
}

/* ---- examples: daily at two in Berlin ---- */

static int
nightly(void **unused)
{
	(void)unused;
	zone("Europe/Berlin");
	calendar_is("daily 02:00");
	return 0;
}

static void
a_run_is_due_at_its_instant(void **unused)
{
	(void)unused;
	expect("2026-01-01 12:00", NULL, "2026-01-02 01:59", NULL, 0,
	    "2026-01-02 02:00");
	expect("2026-01-01 12:00", NULL, "2026-01-02 02:00", "2026-01-02 02:00",
	    0, "2026-01-03 02:00");
	expect("2026-01-01 12:00", "2026-01-02 02:00", "2026-01-02 02:00", NULL,
	    0, "2026-01-03 02:00");
}

static void
what_was_before_the_policy_is_not_missed(void **unused)
{
	(void)unused;
	expect("2026-01-01 02:01", NULL, "2026-01-01 02:01", NULL, 0,
	    "2026-01-02 02:00");
	expect("2026-01-01 02:00", NULL, "2026-01-01 02:00", NULL, 0,
	    "2026-01-02 02:00");
	/* it was switched off for a while, and is in force again */
	expect("2026-02-01 12:00", "2026-01-01 02:00", "2026-02-01 13:00", NULL,
	    0, "2026-02-02 02:00");
	expect("2026-02-01 12:00", "2026-01-01 02:00", "2026-02-03 13:00",
	    "2026-02-03 02:00", 1, "2026-02-04 02:00");
}

static void
a_month_off_is_one_run(void **unused)
{
	(void)unused;
	expect("2026-01-01 12:00", "2026-04-01 02:00", "2026-05-01 08:00",
	    "2026-05-01 02:00", 29, "2026-05-02 02:00");
	expect("2026-01-01 12:00", "2026-05-01 02:00", "2026-05-01 08:00", NULL,
	    0, "2026-05-02 02:00");
}

static void
a_clock_corrected_by_little_does_not_run_the_night_again(void **unused)
{
	(void)unused;
	expect("2026-01-01 12:00", "2026-05-01 02:00", "2026-05-01 01:59", NULL,
	    0, "2026-05-02 02:00");
	expect("2026-01-01 12:00", "2026-05-01 02:00", "2026-04-30 02:00", NULL,
	    0, "2026-05-02 02:00");
	/* made a minute ago, which is now in the future */
	expect("2026-05-01 02:01", NULL, "2026-05-01 01:59", NULL, 0,
	    "2026-05-02 02:00");
}

static void
the_old_future_is_not_waited_for(void **unused)
{
	(void)unused;
	/* set back over two nights, by days, by years */
	expect("2026-01-01 12:00", "2026-05-10 02:00", "2026-05-08 12:00",
	    "2026-05-08 02:00", 0, "2026-05-09 02:00");
	expect("2026-01-01 12:00", "2026-05-10 02:00", "2026-05-07 12:00",
	    "2026-05-07 02:00", 0, "2026-05-08 02:00");
	expect("2026-01-01 12:00", "2036-05-10 02:00", "2026-05-07 12:00",
	    "2026-05-07 02:00", 0, "2026-05-08 02:00");
	/* the policy was made in the future, and has run there or not */
	expect("2036-01-01 12:00", NULL, "2026-05-07 12:00", "2026-05-07 02:00",
	    0, "2026-05-08 02:00");
	expect("2036-01-01 12:00", "2036-01-02 02:00", "2026-05-07 12:00",
	    "2026-05-07 02:00", 0, "2026-05-08 02:00");
	/* and then all is as ever */
	expect("2036-01-01 12:00", "2026-05-07 02:00", "2026-05-07 12:01", NULL,
	    0, "2026-05-08 02:00");
	expect("2036-01-01 12:00", "2026-05-07 02:00", "2026-05-10 12:01",
	    "2026-05-10 02:00", 2, "2026-05-11 02:00");
	/* nothing of before the policy is made up for */
	expect("2026-05-07 11:00", "2036-01-02 02:00", "2026-05-07 12:00", NULL,
	    0, "2026-05-08 02:00");
}

static void
years_forward_and_back_are_two_runs(void **unused)
{
	(void)unused;
	expect("2026-01-01 12:00", "2026-05-10 02:00", "2036-05-10 12:00",
	    "2036-05-10 02:00", 3652, "2036-05-11 02:00");
	expect("2026-01-01 12:00", "2036-05-10 02:00", "2026-05-10 12:02",
	    "2026-05-10 02:00", 0, "2026-05-11 02:00");
	expect("2026-01-01 12:00", "2026-05-10 02:00", "2026-05-10 12:02", NULL,
	    0, "2026-05-11 02:00");
}

/* It does not stop for ever to count. */
static void
what_was_missed_in_ages_is_many(void **unused)
{
	struct due_past past = {.since = 1, .scheduled = 7200};
	struct due found;

	(void)unused;
	zone("UTC");
	calendar_is("every 1m");
	due_find(&calendar, &past, INT64_C(250000000000), &found);
	assert_true(found.at > INT64_C(249999999940));
	assert_int_equal(found.missed, DUE_MISSED_MAX);
}

/* ---- a host ---- */

struct host {
	struct oracle_calendar made;
	const char *zone;
	struct due_past past;
	int64_t now;     /* what its clock shows */
	int64_t settled; /* all instants up to there have been run or missed */
	uint64_t runs, missed;
};

static void
host_start(struct host *host)
{
	static const char *const zones[] = {"Europe/Berlin", "America/New_York",
	    "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "UTC",
	    "Asia/Kolkata"};

	*host =
	    (struct host){.zone = zones[(size_t)random() % ARRAY_SIZE(zones)]};
	zone(host->zone);
	oracle_make_up(&host->made);
	calendar_is(host->made.text);
	host->now = at("2009-01-01 00:00") + random() % (30 * DAY);
	host->settled = host->past.since = host->now;
}

static void
host_fails(const struct host *host, const char *what)
{
	fail_msg("%s, '%s', at %ld: %s", host->zone, host->made.text,
	    (long)host->now, what);
}

/* A run is begun if one is due. */
static struct due
host_look(struct host *host)
{
	struct due due;

	due_find(&calendar, &host->past, host->now, &due);
	if (due.next <= host->now)
		host_fails(host, "it does not look again");
	if (due.at > host->now)
		host_fails(host, "what is due is in the future");
	if (due.at == 0 && due.missed != 0)
		host_fails(host, "it missed without a run");
	if (due.at == 0)
		return due;
	if (calendar_last(&calendar, due.at) != due.at)
		host_fails(host, "what is due is no instant");
	host->past.scheduled = due.at;
	host->runs++;
	host->missed += due.missed;
	return due;
}

/* As host_look, of one whose clock was never set back: no instant runs twice,
 * and what is before the run is missed, all of it and once. */
static struct due
host_look_straight(struct host *host)
{
	int64_t newest = calendar_last(&calendar, host->now);
	struct due due = host_look(host);

	if (due.at == 0 && newest > host->settled)
		host_fails(host, "an instant has come and is not due");
	if (due.at == 0)
		return due;
	if (due.at <= host->settled)
		host_fails(host, "an instant is run twice");
	if (due.at != newest)
		host_fails(host, "it is not the newest that is run");
	for (int64_t t = calendar_next(&calendar, host->settled); t < due.at;
	     t = calendar_next(&calendar, t)) {
		if (due.missed-- == 0)
			host_fails(host, "an instant is lost");
	}
	if (due.missed != 0)
		host_fails(host, "more are missed than there were");
	host->settled = due.at;
	return due;
}

/* Mostly to when it wants, or a little before or after; sometimes it is off. */
static int64_t
sleep_of(const struct host *host, int64_t next)
{
	switch (random() % 8) {
	case 0: return 1 + random() % 3600;
	case 1: return 1 + random() % (2 * DAY);
	case 2: return random() % 4 ? 1 : random() % (40 * DAY);
	case 3: return 30 * DAY;
	default: return next - host->now + random() % 3;
	}
}

static void
each_instant_is_run_or_missed_once(void **unused)
{
	(void)unused;
	srandom(31);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct host host;
		int64_t end;
		host_start(&host);
		end = host.now + YEARS;
		for (unsigned i = 0; i < 500 && host.now < end; i++) {
			struct due due = host_look_straight(&host);
			host.now += sleep_of(&host, due.next);
		}
		host_look_straight(&host);
		assert_int_equal(host.runs + host.missed,
		    calendar_count(
			&calendar, host.past.since, host.settled, UINT64_MAX));
	}
}

/* Who is always on and looks when he is told to, misses nothing. */
static void
who_looks_when_told_misses_nothing(void **unused)
{
	(void)unused;
	srandom(32);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct host host;
		host_start(&host);
		for (unsigned i = 0; i < 300; i++) {
			struct due due = host_look_straight(&host);
			if (i > 0 && due.at != host.now)
				host_fails(&host, "it was told to look");
			host.now = due.next;
		}
		assert_int_equal(host.missed, 0);
	}
}

/* ---- clocks that are set ---- */

static int64_t
jump(void)
{
	static const int64_t lengths[] = {
	    60, 3600, DAY, 40 * DAY, 400 * DAY, 5000 * DAY};
	int64_t length = lengths[(size_t)random() % ARRAY_SIZE(lengths)];

	return 1 + random() % length;
}

/* From a clock that was just set, looking when told: a run within two
 * intervals, and never more runs than instants, but one. */
static void
host_goes_on(struct host *host, unsigned looks)
{
	int64_t from = host->now;
	int64_t second =
	    calendar_next(&calendar, calendar_next(&calendar, from));
	uint64_t runs = host->runs, instants;

	for (unsigned i = 0; i < looks; i++) {
		struct due due = host_look(host);
		instants =
		    calendar_count(&calendar, from, host->now, UINT64_MAX);
		if (host->runs - runs > instants + 1)
			host_fails(host, "it runs more often than it should");
		if (host->runs == runs &&
		    (host->now >= second || due.next > second))
			host_fails(host, "it waits for the old future");
		if (host->now >= second &&
		    host->past.scheduled != calendar_last(&calendar, host->now))
			host_fails(host, "it has not gone on from now");
		host->now = due.next;
	}
}

static void
a_clock_set_back_costs_one_run(void **unused)
{
	(void)unused;
	srandom(33);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct host host;
		host_start(&host);
		host.now += YEARS; /* so that there is a past to go back to */
		host.past.since = host.now;
		for (unsigned i = 0; i < 30; i++) {
			host_goes_on(&host, 3 + (unsigned)random() % 10);
			host.now += random() % 2 ? jump() : -jump();
			if (host.now < YEARS)
				host.now = 2 * YEARS;
			/* sometimes it is made anew, or changed */
			if (random() % 8 == 0)
				host.past.since = host.now + random() % 200;
			if (random() % 16 == 0)
				host.past.scheduled = 0;
		}
	}
}

/* A night that was run is not run again for a clock that was put right by
 * less than a night. */
static void
a_small_correction_costs_nothing(void **unused)
{
	(void)unused;
	srandom(34);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct host host;
		int64_t run, before;
		host_start(&host);
		host.now = calendar_next(&calendar, host.now + 400 * DAY);
		host_look(&host);
		run = host.past.scheduled;
		assert_int_equal(run, host.now);
		before = calendar_last(&calendar, run - 1);
		host.now = before + random() % (run - before);
		host_look(&host);
		assert_int_equal(host.past.scheduled, run);
		host.now = run + random() % 2;
		host_look(&host);
		assert_int_equal(host.past.scheduled, run);
		host.now = calendar_next(&calendar, run);
		host_look(&host);
		assert_int_equal(host.past.scheduled, host.now);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(a_run_is_due_at_its_instant, nightly),
	    cmocka_unit_test_setup(
		what_was_before_the_policy_is_not_missed, nightly),
	    cmocka_unit_test_setup(a_month_off_is_one_run, nightly),
	    cmocka_unit_test_setup(
		a_clock_corrected_by_little_does_not_run_the_night_again,
		nightly),
	    cmocka_unit_test_setup(the_old_future_is_not_waited_for, nightly),
	    cmocka_unit_test_setup(
		years_forward_and_back_are_two_runs, nightly),
	    cmocka_unit_test(what_was_missed_in_ages_is_many),
	    cmocka_unit_test(each_instant_is_run_or_missed_once),
	    cmocka_unit_test(who_looks_when_told_misses_nothing),
	    cmocka_unit_test(a_clock_set_back_costs_one_run),
	    cmocka_unit_test(a_small_correction_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
