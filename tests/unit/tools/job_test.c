/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How far a job is, as one line.  Following it is covered by cli_test.c.
 */
#include "tests/unit/base/support/cmocka.h"
#include "tools/job.h"
#include <string.h>

static void
is(const char *item, double rate, const char *expected)
{
	json_t *json = json_loads(item, 0, NULL);
	char line[JOB_LINE_MAX];

	assert_non_null(json);
	job_line(json, rate, line);
	assert_string_equal(line, expected);
	json_decref(json);
}

#define ITEM                                                                   \
	"{\"job\":\"flatten-5f2a9c01\",\"name\":\"vms/web01\","                \
	"\"done\":3221225472,\"total\":8589934592}"

static void
it_says_what_how_far_how_fast_and_how_long(void **state)
{
	(void)state;
	is(ITEM, 0, "vms/web01  38%  3 GiB/8 GiB  job flatten-5f2a9c01");
	is(ITEM, 536870912,
	    "vms/web01  38%  3 GiB/8 GiB  512 MiB/s  eta 0:10  "
	    "job flatten-5f2a9c01");
	is(ITEM, 1048576,
	    "vms/web01  38%  3 GiB/8 GiB  1 MiB/s  eta 85:20  "
	    "job flatten-5f2a9c01");
}

static void
what_is_not_known_is_nothing(void **state)
{
	(void)state;
	is("{}", 0, "  0%  0 B/0 B  job ");
	is("{\"name\":7,\"total\":0}", 0, "  0%  0 B/0 B  job ");
}

static void
a_name_of_any_length_fits(void **state)
{
	char item[512], name[300], line[JOB_LINE_MAX];
	json_t *json;

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(item, sizeof(item), "{\"name\":\"%s\"}", name);
	json = json_loads(item, 0, NULL);
	job_line(json, 1e18, line);
	assert_true(strlen(line) < JOB_LINE_MAX);
	json_decref(json);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(it_says_what_how_far_how_fast_and_how_long),
	    cmocka_unit_test(what_is_not_known_is_nothing),
	    cmocka_unit_test(a_name_of_any_length_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
