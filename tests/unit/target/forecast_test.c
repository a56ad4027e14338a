/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/forecast.h"
#include "tests/unit/base/support/cmocka.h"
#include <string.h>

#define HOUR FORECAST_INTERVAL_SECONDS
#define GIB  (1ull << 30)

static struct forecast forecast;

static int
setup(void **unused)
{
	(void)unused;
	memset(&forecast, 0, sizeof(forecast));
	return 0;
}

static int64_t
full_in(uint64_t free)
{
	int64_t seconds = -1;

	return forecast_full(&forecast, free, &seconds) ? seconds : -1;
}

static void
a_pool_that_grows_evenly_is_full_when_its_rest_is_used(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 24; i++)
		forecast_add(&forecast, 1000000 + i * HOUR, i * GIB);
	assert_in_range(full_in(10 * GIB), 10 * HOUR - 2, 10 * HOUR + 2);
	assert_int_equal(full_in(0), 0);
}

static void
a_pool_that_does_not_grow_is_never_full(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 24; i++)
		forecast_add(&forecast, 1000000 + i * HOUR, GIB);
	assert_int_equal(full_in(GIB), -1);
	for (unsigned i = 24; i < 48; i++)
		forecast_add(&forecast, 1000000 + i * HOUR, GIB - i);
	assert_int_equal(full_in(GIB), -1);
	assert_int_equal(full_in(0), -1);
}

static void
two_samples_say_nothing(void **unused)
{
	(void)unused;
	assert_int_equal(full_in(GIB), -1);
	forecast_add(&forecast, 1000000, GIB);
	forecast_add(&forecast, 1000000 + HOUR, 2 * GIB);
	assert_int_equal(full_in(GIB), -1);
}

/* Steps up and down around a line of 1 GiB an hour. */
static void
what_comes_and_goes_does_not_hide_the_trend(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 200; i++)
		forecast_add(&forecast, 1000000 + i * HOUR,
		    (10 + i) * GIB + (i % 2 == 0 ? 5 * GIB : 0));
	assert_in_range(full_in(100 * GIB), 98 * HOUR, 102 * HOUR);
}

static void
more_than_ten_years_is_never(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 10; i++)
		forecast_add(&forecast, 1000000 + i * HOUR, i * 4096);
	assert_int_equal(full_in(1ull << 50), -1);
}

static void
the_oldest_sample_goes_when_there_are_too_many(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < FORECAST_SAMPLES + 10; i++)
		forecast_add(&forecast, 1000000 + i * HOUR, i);
	assert_int_equal(forecast.count, FORECAST_SAMPLES);
	assert_int_equal(forecast.samples[0].used, 10);
	assert_int_equal(
	    forecast.samples[FORECAST_SAMPLES - 1].used, FORECAST_SAMPLES + 9);
}

static void
a_clock_that_was_set_back_drops_what_it_makes_the_future(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 10; i++)
		forecast_add(&forecast, 1000000 + i * HOUR, i);
	forecast_add(&forecast, 1000000 + 4 * HOUR, 7);
	assert_int_equal(forecast.count, 5);
	assert_int_equal(forecast.samples[4].used, 7);
}

#define claim(test) cmocka_unit_test_setup(test, setup)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    claim(a_pool_that_grows_evenly_is_full_when_its_rest_is_used),
	    claim(a_pool_that_does_not_grow_is_never_full),
	    claim(two_samples_say_nothing),
	    claim(what_comes_and_goes_does_not_hide_the_trend),
	    claim(more_than_ten_years_is_never),
	    claim(the_oldest_sample_goes_when_there_are_too_many),
	    claim(a_clock_that_was_set_back_drops_what_it_makes_the_future),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
