/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The future, against one that is lived through: each instant makes a point,
 * the rule is applied to what is there, the rest is removed.
 *
 * Not covered: what the rule keeps (backup/keep_test), when instants are
 * (calendar_test).
 */
#include "base/assert.h"
#include "policy/simulate.h"
#include "support/oracle.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define ROUNDS 15
#else
#define ROUNDS 60
#endif

#define DAY      INT64_C(86400)
#define EXISTING 40
#define LIVED    3000 /* points */

static struct calendar calendar;
static struct keep_rule rule;

static void
zone(const char *name)
{
	setenv("TZ", name, 1);
	tzset();
}

static void
calendar_is(const char *text)
{
	const char *problem = calendar_parse(text, &calendar);

	if (problem != NULL)
		fail_msg("'%s': %s", text, problem);
}

static int64_t
at(const char *text)
{
	struct tm tm = {.tm_isdst = -1};

	assert_non_null(strptime(text, "%Y-%m-%d %H:%M", &tm));
	return mktime(&tm);
}

/* ---- an example ---- */

static void
each_point_says_what_keeps_it_and_when_it_goes(void **unused)
{
	struct keep_point existing[] = {
	    {.when = 0, .good = true},
	    {.when = 1, .good = true, .held = true},
	    {.when = 2, .good = false},
	    {.when = 0, .good = true},
	};
	struct simulate s;

	(void)unused;
	zone("UTC");
	calendar_is("daily 02:00");
	assert_true(keep_parse("daily=2", &rule));
	existing[3].when = at("2026-01-01 02:00");
	assert_int_equal(
	    simulate_run(&calendar, &rule, existing, 4, at("2026-01-01 12:00"),
		at("2026-01-04 02:00"), &s),
	    0);
	assert_int_equal(s.count, 7);
	/* the first run removes what the rule had no place for, and has not
	 * removed it yet when it makes its point */
	assert_int_equal(s.most, 5);
	assert_int_equal(s.points[0].gone, at("2026-01-02 02:00"));
	assert_int_equal(s.points[1].gone, 0);
	assert_int_equal(s.points[1].kept, 1u << KEEP_HELD);
	assert_int_equal(s.points[2].gone, at("2026-01-02 02:00"));
	assert_int_equal(s.points[3].gone, at("2026-01-03 02:00"));
	assert_false(s.points[3].made);
	assert_true(s.points[4].made);
	assert_int_equal(s.points[4].when, at("2026-01-02 02:00"));
	assert_int_equal(s.points[4].gone, at("2026-01-04 02:00"));
	assert_int_equal(s.points[4].kept, 0);
	assert_int_equal(s.points[5].gone, 0);
	assert_int_equal(s.points[5].kept, 1u << KEEP_DAILY);
	assert_int_equal(s.points[6].kept, 1u << KEEP_DAILY | 1u << KEEP_GOOD);
	simulate_done(&s);
}

static void
without_a_run_nothing_goes(void **unused)
{
	struct keep_point existing[] = {
	    {.when = 1000, .good = true}, {.when = 2000, .good = true}};
	struct simulate s;

	(void)unused;
	zone("UTC");
	calendar_is("yearly");
	assert_true(keep_parse("last=1", &rule));
	assert_int_equal(
	    simulate_run(&calendar, &rule, existing, 2, at("2026-01-01 12:00"),
		at("2026-12-31 23:59"), &s),
	    0);
	assert_int_equal(s.count, 2);
	assert_int_equal(s.most, 2);
	assert_int_equal(s.points[0].gone, 0);
	assert_int_equal(s.points[0].kept, 0);
	assert_int_equal(s.points[1].kept, 1u << KEEP_LAST | 1u << KEEP_GOOD);
	simulate_done(&s);
	/* nor is there anything at all */
	assert_int_equal(
	    simulate_run(&calendar, &rule, NULL, 0, 1000, 1000, &s), 0);
	assert_int_equal(s.count, 0);
	assert_int_equal(s.most, 0);
	simulate_done(&s);
}

static void
more_than_can_be_shown_is_refused(void **unused)
{
	struct simulate s;

	(void)unused;
	zone("UTC");
	calendar_is("every 1m");
	assert_true(keep_parse("last=1", &rule));
	assert_int_equal(simulate_run(&calendar, &rule, NULL, 0, 0,
			     SIMULATE_MAX * INT64_C(60), &s),
	    0);
	assert_int_equal(s.count, SIMULATE_MAX);
	simulate_done(&s);
	assert_int_equal(simulate_run(&calendar, &rule, NULL, 0, 0,
			     SIMULATE_MAX * INT64_C(60) + 60, &s),
	    -E2BIG);
	simulate_done(&s);
	assert_int_equal(
	    simulate_run(&calendar, &rule, NULL, 0, 0, INT64_MAX, &s), -E2BIG);
	simulate_done(&s);
}

/* ---- lived through ---- */

struct life {
	struct keep_point there[EXISTING + LIVED];
	size_t number[EXISTING + LIVED], count, most;
	int64_t gone[EXISTING + LIVED];
	unsigned kept[EXISTING + LIVED];
};

static void
live_prune(struct life *life, int64_t now, bool removes)
{
	static unsigned kept[EXISTING + LIVED];
	size_t left = 0;

	keep_apply(&rule, life->there, life->count, kept);
	for (size_t i = 0; i < life->count; i++) {
		size_t number = life->number[i];
		life->kept[number] = kept[i];
		if (kept[i] == 0 && removes) {
			life->gone[number] = now;
			continue;
		}
		life->there[left] = life->there[i];
		life->number[left++] = number;
	}
	life->count = left;
}

static void
live(struct life *life, const struct keep_point *existing, size_t count,
    int64_t now, int64_t until)
{
	size_t number = count;

	memset(life, 0, sizeof(*life));
	for (size_t i = 0; i < count; i++) {
		life->there[i] = existing[i];
		life->number[i] = i;
	}
	life->most = life->count = count;
	live_prune(life, now, false);
	while ((now = calendar_next(&calendar, now)) != 0 && now <= until) {
		life->number[life->count] = number++;
		life->there[life->count++] =
		    (struct keep_point){.when = now, .good = true};
		if (life->count > life->most)
			life->most = life->count;
		live_prune(life, now, true);
	}
}

static void
rule_at_random(void)
{
	for (unsigned p = 0; p < KEEP_PERIODS; p++)
		rule.count[p] = random() % 2 ? (unsigned)random() % 9 : 0;
}

/* Some in the future, some damaged, some held. */
static size_t
existing_at_random(struct keep_point *existing, int64_t now)
{
	size_t count = (size_t)random() % (EXISTING + 1);

	for (size_t i = 0; i < count; i++)
		existing[i] = (struct keep_point){
		    .when = now + 10 * DAY - random() % (300 * DAY),
		    .good = random() % 4 != 0,
		    .held = random() % 8 == 0,
		};
	return count;
}

static void
the_future_is_as_it_will_be_lived(void **unused)
{
	static const char *const zones[] = {"Europe/Berlin", "America/New_York",
	    "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo", "UTC",
	    "Asia/Kolkata"};
	static struct life life;

	(void)unused;
	srandom(41);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct oracle_calendar made;
		struct keep_point existing[EXISTING];
		struct simulate s;
		int64_t now, until;
		size_t count;
		zone(zones[round % ARRAY_SIZE(zones)]);
		oracle_make_up(&made);
		calendar_is(made.text);
		rule_at_random();
		now = at("2009-01-01 00:00") + random() % (1000 * DAY);
		count = existing_at_random(existing, now);
		until = now + 3652 * DAY;
		while (
		    calendar_count(&calendar, now, until, UINT64_MAX) > LIVED)
			until = now + (until - now) / 2;
		live(&life, existing, count, now, until);
		assert_int_equal(simulate_run(&calendar, &rule, existing, count,
				     now, until, &s),
		    0);
		assert_int_equal(s.most, life.most);
		for (size_t i = 0; i < s.count; i++) {
			if (s.points[i].gone != life.gone[i] ||
			    s.points[i].kept != life.kept[i])
				fail_msg("'%s', round %u: point %zu", made.text,
				    round, i);
		}
		simulate_done(&s);
	}
}

/* ... and as many are there as the rule says, at most one more while it runs.
 */
static void
ten_years_of_quarters_of_an_hour(void **unused)
{
	struct simulate s;
	size_t kept = 0;

	(void)unused;
	zone("Europe/Berlin");
	calendar_is("every 15m");
	assert_true(keep_parse(
	    "hourly=24,daily=7,weekly=5,monthly=12,yearly=5", &rule));
	assert_int_equal(
	    simulate_run(&calendar, &rule, NULL, 0, at("2026-01-01 00:00"),
		at("2036-01-01 00:00"), &s),
	    0);
	assert_int_equal(s.count, 3652 * 96);
	for (size_t i = 0; i < s.count; i++) {
		assert_int_equal(s.points[i].gone == 0, s.points[i].kept != 0);
		kept += s.points[i].kept != 0;
	}
	assert_true(kept <= 24 + 7 + 5 + 12 + 5 + 1);
	assert_true(s.most <= 24 + 7 + 5 + 12 + 5 + 2);
	assert_true(kept >= 24 + 5 + 10);
	simulate_done(&s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_point_says_what_keeps_it_and_when_it_goes),
	    cmocka_unit_test(without_a_run_nothing_goes),
	    cmocka_unit_test(more_than_can_be_shown_is_refused),
	    cmocka_unit_test(the_future_is_as_it_will_be_lived),
	    cmocka_unit_test(ten_years_of_quarters_of_an_hour),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
