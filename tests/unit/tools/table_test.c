/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers as tables.
 */
#include "base/cleanup.h"
#include "tests/unit/base/support/cmocka.h"
#include "tools/problem.h"
#include "tools/table.h"

static const struct api_column columns[] = {
    {"name", "NAME", API_SHOW_TEXT, false, "its name"},
    {"size", "SIZE", API_SHOW_BYTES, false, "promised"},
    {"snap_held", "SNAP-HELD", API_SHOW_BYTES, false, "held"},
    {"uuid", "UUID", API_SHOW_TEXT, true, "for ever"},
    {NULL, NULL, API_SHOW_TEXT, false, NULL},
};
static const struct api_arg no_args[] = {{.name = NULL}};
static const struct api_command list = {.noun = "lun",
    .verb = "list",
    .method = "lun.list",
    .flags = API_LIST,
    .args = no_args,
    .columns = columns};

static const struct api_command show = {.noun = "lun",
    .verb = "show",
    .method = "lun.show",
    .flags = 0,
    .args = no_args,
    .columns = columns};

static const char two[] =
    "{\"items\":["
    "{\"name\":\"vms/"
    "web10\",\"size\":1073741824,\"snap_held\":0,\"uuid\":\"b\"},"
    "{\"name\":\"vms/web9\",\"size\":107374182400,\"uuid\":\"a\"}]}";
static const char one[] =
    "{\"item\":{\"name\":\"vms/web9\",\"size\":4096,\"snap_held\":null}}";

static void
prints(const char *answer, struct table_options options, const char *expected)
{
	_cleanup_(json_decrefpp) json_t *result = json_loads(answer, 0, NULL);
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	const struct api_command *command =
	    json_object_get(result, "items") != NULL ? &list : &show;

	assert_non_null(result);
	assert_null(table_check(command, &options));
	table_print(command, result, &options, file);
	fclose(file);
	assert_string_equal(text, expected);
}

static void
refuses(struct table_options options, const char *fix)
{
	_cleanup_(json_decrefpp) json_t *problem = table_check(&list, &options);
	const json_t *fixes = json_object_get(problem, "fix");

	assert_non_null(problem);
	assert_string_equal(varve_problem_code(problem), "usage.column");
	assert_string_equal(json_string_value(json_array_get(fixes, 0)), fix);
}

static void
columns_are_aligned_numbers_at_the_right(void **state)
{
	(void)state;
	prints(two, (struct table_options){0},
	    "NAME          SIZE  SNAP-HELD\n"
	    "vms/web10    1 GiB        0 B\n"
	    "vms/web9   100 GiB          -\n");
}

static void
columns_are_chosen_by_title_or_member(void **state)
{
	(void)state;
	prints(two, (struct table_options){.columns = "uuid,snap_held,Name"},
	    "UUID  SNAP-HELD  NAME\n"
	    "b           0 B  vms/web10\n"
	    "a             -  vms/web9\n");
}

static void
plain_is_tabs_and_bytes_without_header(void **state)
{
	(void)state;
	prints(two, (struct table_options){.plain = true},
	    "vms/web10\t1073741824\t0\n"
	    "vms/web9\t107374182400\t\n");
	prints(one, (struct table_options){.plain = true, .columns = "size"},
	    "4096\n");
}

static void
rows_are_sorted_as_people_count(void **state)
{
	(void)state;
	prints(two, (struct table_options){.columns = "name", .sort = "name"},
	    "NAME\nvms/web9\nvms/web10\n");
	prints(two, (struct table_options){.columns = "name", .sort = "-size"},
	    "NAME\nvms/web9\nvms/web10\n");
	prints(two, (struct table_options){.columns = "name", .sort = "size"},
	    "NAME\nvms/web10\nvms/web9\n");
	/* what has no value comes first */
	prints(two,
	    (struct table_options){.columns = "name", .sort = "snap-held"},
	    "NAME\nvms/web9\nvms/web10\n");
}

static void
one_item_is_a_line_for_each_value(void **state)
{
	(void)state;
	prints(one, (struct table_options){0},
	    "name  vms/web9\n"
	    "size  4 KiB\n");
	prints(one, (struct table_options){.bytes = true, .columns = "size"},
	    "size  4096\n");
}

static void
an_empty_list_prints_nothing(void **state)
{
	(void)state;
	prints("{\"items\":[]}", (struct table_options){0}, "");
}

static void
an_unknown_column_is_refused_and_the_nearest_named(void **state)
{
	(void)state;
	refuses((struct table_options){.columns = "name,siz"},
	    "did you mean size?");
	refuses((struct table_options){.sort = "-nam"}, "did you mean name?");
	refuses((struct table_options){.columns = "zzzzzz"},
	    "the columns are: name,size,snap-held,uuid");
}

static void
names_cannot_move_the_terminal(void **state)
{
	(void)state;
	prints("{\"items\":[{\"name\":\"a\\u001b[2J\\tb\\nc\\u009b1m\"}]}",
	    (struct table_options){.plain = true, .columns = "name"},
	    "a?[2J?b?c?1m\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(columns_are_aligned_numbers_at_the_right),
	    cmocka_unit_test(columns_are_chosen_by_title_or_member),
	    cmocka_unit_test(plain_is_tabs_and_bytes_without_header),
	    cmocka_unit_test(rows_are_sorted_as_people_count),
	    cmocka_unit_test(one_item_is_a_line_for_each_value),
	    cmocka_unit_test(an_empty_list_prints_nothing),
	    cmocka_unit_test(
		an_unknown_column_is_refused_and_the_nearest_named),
	    cmocka_unit_test(names_cannot_move_the_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
