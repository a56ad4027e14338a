/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The table against itself, and against the methods. */
#include "base/assert.h"
#include "target/api.h"
#include "target/method.h"
#include "target/params.h"
#include "tests/unit/base/support/cmocka.h"
#include <string.h>

#define each_command(c)                                                        \
	const struct api_command *c = api_commands;                            \
	c->noun != NULL;                                                       \
	c++

static void
every_method_of_the_table_can_be_run(void **unused)
{
	(void)unused;
	for (each_command(c)) {
		if ((c->flags & API_LOCAL) != 0)
			assert_null(c->method);
		else
			assert_non_null(method_find(c->method));
	}
}

static void
every_method_that_can_be_run_is_in_the_table(void **unused)
{
	static const char *const names[] = {
#define METHOD_NAME(name, function) name,
	    METHODS(METHOD_NAME)
#undef METHOD_NAME
	};

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_non_null(api_find_method(names[i]));
}

static void
a_method_is_named_for_its_command(void **unused)
{
	char name[64];

	(void)unused;
	for (each_command(c)) {
		if (c->method == NULL)
			continue;
		snprintf(name, sizeof(name), "%s%s%s", c->noun,
		    c->verb[0] != '\0' ? "." : "", c->verb);
		assert_string_equal(c->method, name);
		assert_ptr_equal(api_find(c->noun, c->verb), c);
		assert_ptr_equal(api_find_method(c->method), c);
	}
	assert_null(api_find("lun", ""));
	assert_null(api_find_method("lun"));
}

static void
every_row_explains_itself(void **unused)
{
	(void)unused;
	for (each_command(c)) {
		assert_non_null(c->summary);
		assert_true(c->summary[strlen(c->summary) - 1] != '.');
		assert_non_null(c->args);
		assert_non_null(c->example);
		assert_int_equal(strncmp(c->example, "varve ", 6) == 0 ||
				     strstr(c->example, "varve ") != NULL,
		    1);
		for (const struct api_arg *a = c->args; a->name; a++)
			assert_non_null(a->help);
		for (const struct api_column *col = c->columns;
		     col != NULL && col->name != NULL; col++)
			assert_non_null(col->help);
	}
}

static void
arguments_can_be_parsed(void **unused)
{
	(void)unused;
	for (each_command(c)) {
		bool repeated = false, optional = false;
		for (const struct api_arg *a = c->args; a->name; a++) {
			assert_int_equal(
			    a->choices != NULL, a->type == API_CHOICE);
			assert_null(strchr(a->name, '-'));
			for (const struct api_arg *b = c->args; b != a; b++)
				assert_string_not_equal(a->name, b->name);
			if (!a->positional)
				continue;
			/* one takes all but what must follow it, and nothing
			 * required follows what may be left out */
			assert_false(repeated && (a->repeated || !a->required));
			assert_false(optional && a->required);
			repeated |= a->repeated;
			optional |= !a->required;
		}
	}
}

static void
columns_have_one_name_each(void **unused)
{
	(void)unused;
	for (each_command(c)) {
		const struct api_column *all = c->columns;
		for (const struct api_column *a = all; a && a->name; a++) {
			for (const struct api_column *b = all; b != a; b++) {
				assert_string_not_equal(a->name, b->name);
				assert_string_not_equal(a->title, b->title);
			}
		}
	}
}

static void
what_destroys_changes(void **unused)
{
	(void)unused;
	for (each_command(c)) {
		if ((c->flags & API_DESTROYS) != 0)
			assert_true((c->flags & API_CHANGES) != 0);
	}
}

static void
error_codes_are_unique_and_have_an_exit(void **unused)
{
	(void)unused;
	for (const struct api_error *a = api_errors; a->code; a++) {
		assert_true(a->exit != API_OK);
		assert_non_null(a->meaning);
		for (const struct api_error *b = api_errors; b != a; b++)
			assert_string_not_equal(a->code, b->code);
	}
}

/* Every method's parameters have a schema that says what the check says. */
static void
every_method_has_a_schema(void **unused)
{
	(void)unused;
	for (each_command(c)) {
		if (c->method == NULL)
			continue;
		json_t *schema = params_schema(c);
		const json_t *properties =
		    json_object_get(schema, "properties");
		for (const struct api_arg *a = c->args; a->name; a++)
			assert_int_equal(
			    json_object_get(properties, a->name) != NULL,
			    !a->here);
		assert_int_equal(json_object_get(properties, "dry_run") != NULL,
		    (c->flags & API_CHANGES) != 0);
		json_decref(schema);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_method_of_the_table_can_be_run),
	    cmocka_unit_test(every_method_that_can_be_run_is_in_the_table),
	    cmocka_unit_test(a_method_is_named_for_its_command),
	    cmocka_unit_test(every_row_explains_itself),
	    cmocka_unit_test(arguments_can_be_parsed),
	    cmocka_unit_test(columns_have_one_name_each),
	    cmocka_unit_test(what_destroys_changes),
	    cmocka_unit_test(error_codes_are_unique_and_have_an_exit),
	    cmocka_unit_test(every_method_has_a_schema),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
