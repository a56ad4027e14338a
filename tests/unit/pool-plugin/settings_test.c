/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/cleanup.h"
#include "pool-plugin/settings.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VMS "iqn.2026-01.lan.nas1:vms"

static char path[] = "/tmp/varve-settings-XXXXXX";

/* The URL, "" for none, or why the text is none of settings. */
static const char *
find(const char *text, const char *iqn)
{
	static char said[200];
	_cleanup_(freep) char *url = NULL;
	_cleanup_(fclosep) FILE *file = fopen(path, "we");
	json_t *problem;

	assert_non_null(file);
	fputs(text, file);
	fflush(file);
	problem = settings_find(path, iqn, &url);
	snprintf(said, sizeof(said), "%s",
	    problem != NULL ? varve_problem_why(problem)
	    : url != NULL   ? url
			    : "");
	if (problem != NULL)
		assert_string_equal(
		    varve_problem_code(problem), "plugin.settings");
	json_decref(problem);
	return said;
}

static void
a_target_that_is_named_has_its_url(void **state)
{
	(void)state;
	assert_string_equal(
	    find("# ours\n\n" VMS " = unix:///run/a.sock\n", VMS),
	    "unix:///run/a.sock");
	assert_string_equal(
	    find("\t" VMS "=unix:///b  # here", VMS), "unix:///b");
}

static void
one_that_is_not_has_none(void **state)
{
	(void)state;
	assert_string_equal(find("", VMS), "");
	assert_string_equal(find("#" VMS " = unix:///a\n", VMS), "");
	assert_string_equal(find(VMS "x = unix:///a\n", VMS), "");
	assert_string_equal(find(VMS " = unix:///a\n", VMS "x"), "");
}

static void
a_star_stands_for_what_follows(void **state)
{
	const char *text = "iqn.2026-01.lan.nas1:v* = unix:///v\n"
			   "iqn.2026-01.lan.nas1:* = unix:///all\n";

	(void)state;
	assert_string_equal(find(text, VMS), "unix:///v");
	assert_string_equal(
	    find(text, "iqn.2026-01.lan.nas1:x"), "unix:///all");
	assert_string_equal(find(text, "iqn.2026-01.lan.nas2:x"), "");
	assert_string_equal(find("* = unix:///any\n", VMS), "unix:///any");
}

static void
the_first_that_fits_counts(void **state)
{
	(void)state;
	assert_string_equal(
	    find(VMS " = unix:///1\n" VMS " = unix:///2\n", VMS), "unix:///1");
}

static void
a_mistake_is_found_with_its_line_wherever_it_is(void **state)
{
	(void)state;
	assert_string_equal(find(VMS " = unix:///a\nnonsense\n", VMS),
	    "line 2 is not of the form IQN = URL");
	assert_string_equal(
	    find(VMS " =\n", VMS), "line 1 is not of the form IQN = URL");
	assert_string_equal(find("\n\n= unix:///a\n", VMS),
	    "line 3 is not of the form IQN = URL");
}

static void
no_file_is_no_settings_and_what_is_none_a_problem(void **state)
{
	char *url;
	json_t *problem;

	(void)state;
	assert_null(settings_find("/nowhere/libvirt.conf", VMS, &url));
	assert_null(url);
	problem = settings_find("/tmp", VMS, &url);
	assert_string_equal(varve_problem_code(problem), "plugin.settings");
	assert_null(url);
	json_decref(problem);
}

static int
remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_target_that_is_named_has_its_url),
	    cmocka_unit_test(one_that_is_not_has_none),
	    cmocka_unit_test(a_star_stands_for_what_follows),
	    cmocka_unit_test(the_first_that_fits_counts),
	    cmocka_unit_test(a_mistake_is_found_with_its_line_wherever_it_is),
	    cmocka_unit_test(no_file_is_no_settings_and_what_is_none_a_problem),
	};

	close(mkstemp(path));
	return cmocka_run_group_tests(tests, NULL, remove_file);
}
