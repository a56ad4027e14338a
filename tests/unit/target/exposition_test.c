/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The text format of Prometheus.  That what varved says is of it, all of it, is
 * the claim of tests/integration/events.py; what promtool says of it, of
 * tests/recipes.
 */
#include "base/assert.h"
#include "target/exposition.h"
#include "tests/unit/base/support/cmocka.h"
#include <string.h>

static struct exposition exposition;

static void
lines_are(const char *const *expected, size_t count)
{
	json_t *lines = exposition_end(&exposition);

	assert_int_equal(json_array_size(lines), count);
	for (size_t i = 0; i < count; i++)
		assert_string_equal(
		    json_string_value(json_array_get(lines, i)), expected[i]);
	json_decref(lines);
}

static const struct metric gauge = {
    "varve_pool_free_bytes", METRIC_GAUGE, "What is free."};
static const struct metric counter = {
    "varve_runs_total", METRIC_COUNTER, "Runs."};

static void
a_family_has_its_head_once_and_samples_behind_it(void **state)
{
	static const struct label a[] = {{"pool", "a"}, {NULL, NULL}},
				  b[] = {{"pool", "b"}, {"lun", "web01"},
				      {NULL, NULL}};
	static const char *const expected[] = {
	    "# HELP varve_pool_free_bytes What is free.",
	    "# TYPE varve_pool_free_bytes gauge",
	    "varve_pool_free_bytes{pool=\"a\"} 1",
	    "varve_pool_free_bytes{pool=\"b\",lun=\"web01\"} "
	    "18446744073709551615",
	    "# HELP varve_runs_total Runs.",
	    "# TYPE varve_runs_total counter",
	    "varve_runs_total 3",
	};

	(void)state;
	exposition_init(&exposition);
	exposition_family(&exposition, &gauge);
	exposition_count(&exposition, a, 1);
	exposition_count(&exposition, b, UINT64_MAX);
	exposition_family(&exposition, &counter);
	exposition_count(&exposition, NULL, 3);
	lines_are(expected, ARRAY_SIZE(expected));
}

static void
a_family_without_samples_says_nothing(void **state)
{
	static const char *const expected[] = {
	    "# HELP varve_runs_total Runs.",
	    "# TYPE varve_runs_total counter",
	    "varve_runs_total 0",
	};

	(void)state;
	exposition_init(&exposition);
	exposition_family(&exposition, &gauge);
	exposition_family(&exposition, &counter);
	exposition_count(&exposition, NULL, 0);
	lines_are(expected, ARRAY_SIZE(expected));
}

static void
values_of_labels_cannot_end_them(void **state)
{
	static const struct label labels[] = {
	    {"policy", "a\"} 1\n\\\xff"}, {NULL, NULL}};
	static const char *const expected[] = {
	    "# HELP varve_pool_free_bytes What is free.",
	    "# TYPE varve_pool_free_bytes gauge",
	    "varve_pool_free_bytes{policy=\"a\\\"} 1\\n\\\\?\"} 1",
	};

	(void)state;
	exposition_init(&exposition);
	exposition_family(&exposition, &gauge);
	exposition_count(&exposition, labels, 1);
	lines_are(expected, ARRAY_SIZE(expected));
}

static void
numbers_are_exact_and_suffixes_stay_in_their_family(void **state)
{
	static const struct metric histogram = {
	    "varve_seconds", METRIC_HISTOGRAM, "Time."};
	static const struct label le[] = {{"le", "+Inf"}, {NULL, NULL}};
	static const char *const expected[] = {
	    "# HELP varve_seconds Time.",
	    "# TYPE varve_seconds histogram",
	    "varve_seconds_bucket{le=\"+Inf\"} 9007199254740",
	    "varve_seconds_sum 0.000131072",
	    "varve_seconds_count 1e+15",
	};

	(void)state;
	exposition_init(&exposition);
	exposition_family(&exposition, &histogram);
	exposition_number(&exposition, "_bucket", le, 9007199254740.0);
	exposition_number(&exposition, "_sum", NULL, 0.000131072);
	exposition_number(&exposition, "_count", NULL, 1e15);
	lines_are(expected, ARRAY_SIZE(expected));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_family_has_its_head_once_and_samples_behind_it),
	    cmocka_unit_test(a_family_without_samples_says_nothing),
	    cmocka_unit_test(values_of_labels_cannot_end_them),
	    cmocka_unit_test(
		numbers_are_exact_and_suffixes_stay_in_their_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
