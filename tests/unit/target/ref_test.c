/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/assert.h"
#include "target/ref.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdio.h>
#include <string.h>

static void
is(const char *text, enum ref_form form, const char *pool, const char *lun,
    const char *snap)
{
	struct ref ref;

	assert_int_equal(ref_parse(text, &ref), form);
	if (form == 0)
		return;
	assert_string_equal(ref.pool, pool);
	assert_string_equal(ref.lun, lun);
	assert_string_equal(ref.snap, snap);
}

static void
a_name_has_one_of_four_forms(void **unused)
{
	(void)unused;
	is("vms", REF_POOL, "vms", "", "");
	is("vms/web01", REF_LUN, "vms", "web01", "");
	is("vms/web01@mon", REF_SNAP, "vms", "web01", "mon");
	is("@mon", REF_AT, "", "", "mon");
}

static void
what_has_none_of_them_is_refused(void **unused)
{
	static const char *const wrong[] = {"", "@", "/", "vms/", "/web01",
	    "vms@mon", "vms/@mon", "vms/web01@", "vms/web01@a@b", "vms/web01/x",
	    "vms/web01@a/b", "@a/b", ".vms/web01", "vms/-web01",
	    "vms/web01@.mon", "v ms/web01", "@@mon"};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		is(wrong[i], 0, "", "", "");
}

static void
each_part_has_63_characters_at_most(void **unused)
{
	char part[80], text[400];

	(void)unused;
	for (int length = 62; length <= 64; length++) {
		enum ref_form good = length <= 63 ? REF_SNAP : 0;
		memset(part, 'a', sizeof(part));
		part[length] = '\0';
		snprintf(text, sizeof(text), "%s/b@c", part);
		is(text, good, part, "b", "c");
		snprintf(text, sizeof(text), "b/%s@c", part);
		is(text, good, "b", part, "c");
		snprintf(text, sizeof(text), "b/c@%s", part);
		is(text, good, "b", "c", part);
	}
}

static void
only_names_have_forms(void **unused)
{
	(void)unused;
	assert_int_equal(ref_forms(API_LUN), REF_LUN);
	assert_int_equal(ref_forms(API_SNAP), REF_SNAP);
	assert_int_equal(ref_forms(API_NEW_SNAP), REF_LUN | REF_SNAP | REF_AT);
	assert_int_equal(ref_forms(API_FLAG), 0);
	assert_int_equal(ref_forms(API_DOCUMENT), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_name_has_one_of_four_forms),
	    cmocka_unit_test(what_has_none_of_them_is_refused),
	    cmocka_unit_test(each_part_has_63_characters_at_most),
	    cmocka_unit_test(only_names_have_forms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
