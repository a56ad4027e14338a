/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/policy_definition.h"
#include "tests/unit/base/support/cmocka.h"
#include <string.h>

#define GOOD "{\"at\":\"daily 02:00\",\"keep\":\"daily=7\"}"

static json_t *
json(const char *text)
{
	json_t *value = json_loads(text, 0, NULL);

	assert_non_null(value);
	return value;
}

/* NULL before: a new one.  The definition, or NULL with the code of the fault.
 */
static json_t *
changed(const char *before, const char *params, char code[64])
{
	json_t *old = before != NULL ? json(before) : NULL;
	json_t *given = json(params), *after = NULL;
	json_t *fault = definition_change(old, given, &after);

	snprintf(code, 64, "%s", fault != NULL ? fault_code(fault) : "");
	if (old != NULL) {
		json_t *again = json(before);
		assert_true(json_equal(old, again)); /* it is only read */
		json_decref(again);
	}
	json_decref(fault);
	json_decref(old);
	json_decref(given);
	return after;
}

static void
refused(const char *before, const char *params, const char *code)
{
	char got[64];

	assert_null(changed(before, params, got));
	assert_string_equal(got, code);
}

static void
what_is_missing_or_wrong_is_told_by_its_code(void **unused)
{
	(void)unused;
	refused(NULL, "{}", "policy.incomplete");
	refused(NULL, "{\"at\":\"daily\"}", "policy.incomplete");
	refused(NULL, "{\"at\":\"soon\",\"keep\":\"all\"}", "policy.schedule");
	refused(NULL, "{\"at\":\"daily\",\"keep\":\"last=0\"}", "policy.keep");
	refused(GOOD, "{\"at\":\"none\"}", "policy.incomplete");
	refused(GOOD, "{\"backup_keep\":\"last=1\"}", "policy.incomplete");
	refused(GOOD, "{\"if_not_frozen\":\"fail\"}", "policy.incomplete");
	refused(GOOD, "{\"backup_to\":\"/b/{host}\"}", "policy.backup-to");
	refused(GOOD, "{\"backup_to\":\"/b/}\"}", "policy.backup-to");
	refused(GOOD, "{\"backup_to\":\"/b/../c\"}", "policy.backup-to");
	refused(GOOD, "{\"backup_to\":\"/b/..\"}", "policy.backup-to");
	refused(GOOD, "{\"backup_to\":\"b\"}", "policy.backup-to");
	refused(GOOD, "{\"quiesce\":\"../x\"}", "policy.quiesce");
	refused(GOOD, "{\"quiesce\":\".x\"}", "policy.quiesce");
	refused(GOOD, "{\"quiesce\":\"h\",\"freeze_budget\":9999}",
	    "request.argument");
}

static void
a_change_is_of_what_it_names_and_none_takes_away(void **unused)
{
	char code[64];
	json_t *one = changed(GOOD, "{\"backup_to\":\"/b/{lun}\"}", code), *two;
	char *text;

	(void)unused;
	assert_non_null(one);
	assert_string_equal(
	    json_string_value(json_object_get(one, "keep")), "daily=7");
	assert_false(definition_is_of_one(one));
	text = json_dumps(one, 0);
	two = changed(text, "{\"backup_to\":\"none\",\"keep\":\"all\"}", code);
	assert_non_null(two);
	assert_null(json_object_get(two, "backup_to"));
	free(text);
	json_decref(one);
	json_decref(two);
}

static void
all_is_a_rule_that_keeps_all(void **unused)
{
	struct keep_point points[3] = {
	    {1, true, false}, {1, true, false}, {0, true, false}};
	json_t *all = json("{\"at\":\"daily\",\"keep\":\"all\"}");
	json_t *other = json("{\"at\":\"fortnightly\",\"keep\":\"best=3\"}");
	struct calendar calendar;
	struct keep_rule rule;
	unsigned kept[3];

	(void)unused;
	assert_true(definition_keep(all, &rule));
	assert_true(definition_calendar(all, &calendar));
	keep_apply(&rule, points, 3, kept);
	for (int i = 0; i < 3; i++)
		assert_int_not_equal(kept[i], 0);
	/* of a newer varve */
	assert_false(definition_keep(other, &rule));
	assert_false(definition_calendar(other, &calendar));
	json_decref(all);
	json_decref(other);
}

static void
an_answer_has_every_member(void **unused)
{
	json_t *item = json_object();
	json_t *definition =
	    json("{\"at\":\"daily\",\"keep\":\"all\",\"quiesce\":\"libvirt\"}");

	(void)unused;
	definition_item(item, definition);
	assert_true(json_is_null(json_object_get(item, "backup_to")));
	assert_int_equal(
	    json_integer_value(json_object_get(item, "freeze_budget")),
	    FREEZE_BUDGET_DEFAULT);
	assert_string_equal(
	    json_string_value(json_object_get(item, "if_not_frozen")), "crash");
	json_decref(item);
	json_decref(definition);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_missing_or_wrong_is_told_by_its_code),
	    cmocka_unit_test(a_change_is_of_what_it_names_and_none_takes_away),
	    cmocka_unit_test(all_is_a_rule_that_keeps_all),
	    cmocka_unit_test(an_answer_has_every_member),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
