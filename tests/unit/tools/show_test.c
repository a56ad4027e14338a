/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Values as text, for people and for programs.
 */
#include "base/cleanup.h"
#include "tests/unit/base/support/cmocka.h"
#include "tools/show.h"
#include <time.h>

/* value is stolen. */
static void
shows(enum api_kind kind, json_t *value, enum show_style style,
    const char *expected)
{
	_cleanup_(freep) char *text = show_value(kind, value, style);

	assert_string_equal(text, expected);
	json_decref(value);
}

static void
people_see_sizes_in_iec_units(void **state)
{
	(void)state;
	shows(
	    API_SHOW_BYTES, json_integer(107374182400), SHOW_PEOPLE, "100 GiB");
	shows(API_SHOW_BYTES, json_integer(0), SHOW_PEOPLE, "0 B");
	shows(API_SHOW_RATE_BYTES, json_integer(536870912), SHOW_PEOPLE,
	    "512 MiB/s");
}

static void
bytes_are_shown_when_asked_for(void **state)
{
	(void)state;
	shows(API_SHOW_BYTES, json_integer(107374182400), SHOW_BYTES,
	    "107374182400");
	shows(API_SHOW_BYTES, json_integer(4096), SHOW_PLAIN, "4096");
	shows(API_SHOW_PERCENT, json_integer(80), SHOW_BYTES, "80%");
}

static void
numbers_have_their_unit(void **state)
{
	(void)state;
	shows(API_SHOW_COUNT, json_integer(3), SHOW_PEOPLE, "3");
	shows(API_SHOW_PERCENT, json_integer(42), SHOW_PEOPLE, "42%");
	shows(API_SHOW_PERCENT, json_real(41.6), SHOW_PEOPLE, "42%");
	shows(API_SHOW_USEC, json_integer(930), SHOW_PEOPLE, "930 us");
	shows(API_SHOW_USEC, json_integer(1500), SHOW_PEOPLE, "1.5 ms");
	shows(API_SHOW_USEC, json_integer(2500000), SHOW_PEOPLE, "2.5 s");
	shows(API_SHOW_SECONDS, json_integer(90), SHOW_PEOPLE, "90 s");
	shows(API_SHOW_SECONDS, json_integer(5400), SHOW_PEOPLE, "90 min");
	shows(API_SHOW_SECONDS, json_integer(86400), SHOW_PEOPLE, "24 h");
	shows(API_SHOW_SECONDS, json_integer(864000), SHOW_PEOPLE, "10 d");
	shows(API_SHOW_SECONDS, json_integer(864000), SHOW_PLAIN, "864000");
	shows(API_SHOW_RATE, json_real(1234.4), SHOW_PEOPLE, "1234");
}

static void
what_is_missing_is_a_dash_or_nothing(void **state)
{
	(void)state;
	shows(API_SHOW_BYTES, NULL, SHOW_PEOPLE, "-");
	shows(API_SHOW_TEXT, json_null(), SHOW_PEOPLE, "-");
	shows(API_SHOW_TEXT, json_string(""), SHOW_PEOPLE, "-");
	shows(API_SHOW_LIST, json_array(), SHOW_PEOPLE, "-");
	shows(API_SHOW_BYTES, NULL, SHOW_PLAIN, "");
	shows(API_SHOW_LIST, json_array(), SHOW_PLAIN, "");
}

static void
lists_have_commas_and_booleans_words(void **state)
{
	(void)state;
	shows(API_SHOW_LIST, json_pack("[s,s]", "kvm1", "kvm2"), SHOW_PEOPLE,
	    "kvm1, kvm2");
	shows(API_SHOW_LIST, json_pack("[s,s]", "kvm1", "kvm2"), SHOW_PLAIN,
	    "kvm1,kvm2");
	shows(API_SHOW_BOOL, json_true(), SHOW_PEOPLE, "yes");
	shows(API_SHOW_BOOL, json_false(), SHOW_PEOPLE, "no");
	shows(API_SHOW_BOOL, json_true(), SHOW_PLAIN, "true");
}

static void
people_see_their_own_time_with_its_offset(void **state)
{
	(void)state;
	setenv("TZ", "UTC-2", 1);
	tzset();
	shows(API_SHOW_TIME, json_string("2026-01-31T23:30:00Z"), SHOW_PEOPLE,
	    "2026-02-01 01:30:00 +0200");
	shows(API_SHOW_TIME, json_string("2026-01-31T23:30:00.125Z"),
	    SHOW_PEOPLE, "2026-02-01 01:30:00 +0200");
	shows(API_SHOW_TIME, json_string("2026-01-31T23:30:00Z"), SHOW_PLAIN,
	    "2026-01-31T23:30:00Z");
	shows(
	    API_SHOW_TIME, json_string("yesterday"), SHOW_PEOPLE, "yesterday");
}

static void
a_value_of_another_type_is_shown_as_it_is(void **state)
{
	(void)state;
	shows(API_SHOW_BYTES, json_string("many"), SHOW_PEOPLE, "many");
	shows(API_SHOW_TEXT, json_integer(7), SHOW_PEOPLE, "7");
	shows(API_SHOW_TEXT, json_pack("{s:i}", "a", 1), SHOW_PEOPLE,
	    "{\"a\":1}");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(people_see_sizes_in_iec_units),
	    cmocka_unit_test(bytes_are_shown_when_asked_for),
	    cmocka_unit_test(numbers_have_their_unit),
	    cmocka_unit_test(what_is_missing_is_a_dash_or_nothing),
	    cmocka_unit_test(lists_have_commas_and_booleans_words),
	    cmocka_unit_test(people_see_their_own_time_with_its_offset),
	    cmocka_unit_test(a_value_of_another_type_is_shown_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
