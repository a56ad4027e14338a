/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Command lines to commands and parameters, by the real table.
 */
#include "base/cleanup.h"
#include "tests/unit/base/support/cmocka.h"
#include "tools/parse.h"
#include "tools/problem.h"
#include <string.h>

static struct invocation parsed;

/* line is split at blanks. */
static json_t *
parse(const char *line)
{
	static char copy[512];
	static char *words[32];
	char *state;
	int argc = 0;

	invocation_done(&parsed);
	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &state); word != NULL;
	     word = strtok_r(NULL, " ", &state))
		words[argc++] = word;
	words[argc] = NULL;
	return invocation_parse(argc, words, &parsed);
}

static void
gives(const char *line, const char *params)
{
	_cleanup_(json_decrefpp) json_t *problem = parse(line);
	_cleanup_(json_decrefpp) json_t *expected = json_loads(params, 0, NULL);

	if (problem != NULL)
		fail_msg("%s: %s", line,
		    json_string_value(json_object_get(problem, "what")));
	assert_non_null(expected);
	if (!json_equal(parsed.params, expected))
		fail_msg(
		    "%s: %s", line, json_dumps(parsed.params, JSON_SORT_KEYS));
}

static void
refused(const char *line, const char *code, const char *first_fix)
{
	_cleanup_(json_decrefpp) json_t *problem = parse(line);
	const json_t *fix = json_object_get(problem, "fix");

	if (problem == NULL)
		fail_msg("'%s' was taken", line);
	assert_string_equal(varve_problem_code(problem), code);
	assert_int_equal(varve_problem_exit(problem), API_USAGE);
	if (first_fix != NULL)
		assert_string_equal(
		    json_string_value(json_array_get(fix, 0)), first_fix);
}

static void
nouns_and_verbs_find_their_row(void **state)
{
	(void)state;
	gives("varve lun list", "{}");
	assert_ptr_equal(parsed.command, api_find("lun", "list"));
	gives("varve health", "{}");
	assert_ptr_equal(parsed.command, api_find("health", ""));
}

static void
the_last_word_is_for_what_follows_a_repeated_one(void **state)
{
	(void)state;
	gives("varve rescue extract /a /b vms/web01 --to /c",
	    "{\"devices\": [\"/a\", \"/b\"], \"lun\": \"vms/web01\","
	    " \"to\": \"/c\"}");
	gives("varve rescue extract --to /c /a --no-log vms/web01@mon",
	    "{\"devices\": [\"/a\"], \"lun\": \"vms/web01@mon\","
	    " \"to\": \"/c\", \"no_log\": true}");
	refused(
	    "varve rescue extract vms/web01 --to /c", "usage.argument", NULL);
	refused("varve rescue extract --to /c", "usage.argument", NULL);
}

static void
positional_arguments_come_in_order(void **state)
{
	(void)state;
	gives("varve lun resize vms/web01 +1G",
	    "{\"lun\":\"vms/web01\",\"size\":\"+1073741824\"}");
	assert_string_equal(parsed.object, "vms/web01");
	gives("varve pool create vms /dev/a /dev/b",
	    "{\"name\":\"vms\",\"devices\":[\"/dev/a\",\"/dev/b\"]}");
}

static void
options_stand_anywhere_after_the_command(void **state)
{
	const char *expected = "{\"name\":\"vms/a\",\"size\":4096}";

	(void)state;
	gives("varve lun create vms/a --size 4K", expected);
	gives("varve lun create --size 4K vms/a", expected);
	gives("varve lun create --size=4K vms/a", expected);
	gives("varve lun create --size 4K -- vms/a", expected);
	gives("varve lun resize vms/a 1M --shrink",
	    "{\"lun\":\"vms/a\",\"size\":\"1048576\",\"shrink\":true}");
}

static void
global_options_stand_anywhere(void **state)
{
	(void)state;
	gives("varve --json -o name --sort=-size lun --bytes list -q", "{}");
	assert_true(parsed.globals.json);
	assert_true(parsed.globals.bytes);
	assert_true(parsed.globals.quiet);
	assert_string_equal(parsed.globals.columns, "name");
	assert_string_equal(parsed.globals.sort, "-size");
	gives("varve lun list -oname,size -qv", "{}");
	assert_string_equal(parsed.globals.columns, "name,size");
	assert_true(parsed.globals.verbose);
}

static void
timeouts_are_durations(void **state)
{
	(void)state;
	gives("varve lun list --timeout 2m", "{}");
	assert_int_equal(parsed.globals.timeout_ms, 120000);
	refused("varve lun list --timeout soon", "usage.option", "30s, 2m, 1h");
	refused("varve lun list --timeout 0s", "usage.option", NULL);
}

static void
what_is_missing_is_named(void **state)
{
	(void)state;
	refused("varve lun create vms/a", "usage.argument",
	    "for example: varve lun create vms/web01 --size 100G");
	refused("varve lun create --size 1G", "usage.argument", NULL);
	refused("varve pool create vms", "usage.argument", NULL);
	refused(
	    "varve lun", "usage.command", "what there is: varve lun --help");
	refused("varve", "usage.command", "all commands: varve help");
}

static void
what_is_too_much_is_named(void **state)
{
	(void)state;
	refused("varve lun show vms/a vms/b", "usage.argument",
	    "varve lun show --help");
	refused("varve health now", "usage.argument", "varve health --help");
	refused(
	    "varve lun create vms/a --size 1G --size 2G", "usage.option", NULL);
	refused("varve lun resize vms/a 1G --shrink=yes", "usage.option", NULL);
	refused("varve lun list --json=1", "usage.option", NULL);
	refused("varve lun list --json --plain", "usage.option", NULL);
	refused("varve lun list -o", "usage.option", NULL);
	refused("varve lun list --sort", "usage.option", NULL);
}

static void
misspelt_words_get_a_suggestion(void **state)
{
	(void)state;
	refused("varve lum list", "usage.command", "did you mean: varve lun");
	refused(
	    "varve volume list", "usage.command", "did you mean: varve lun");
	refused("varve lun rm vms/a", "usage.command",
	    "did you mean: varve lun delete");
	refused("varve export create x", "usage.command",
	    "did you mean: varve export add");
	refused("varve lun create vms/a --siez 1G", "usage.option",
	    "did you mean --size?");
	refused("varve lun list --jsn", "usage.option", "did you mean --json?");
	refused("varve lun list -z", "usage.option", NULL);
	refused(
	    "varve frobnicate", "usage.command", "all commands: varve help");
}

static void
secrets_are_never_values_of_options(void **state)
{
	(void)state;
	refused("varve host add h --iqn iqn.x --chap=topsecret1234",
	    "usage.option", "put it into a file: --chap-file FILE");
	refused("varve host add h --iqn iqn.x --chap topsecret1234",
	    "usage.argument", NULL);
	gives("varve host add h --iqn iqn.x --chap-file /etc/secret",
	    "{\"name\":\"h\",\"iqn\":\"iqn.x\"}");
	assert_int_equal(parsed.secret_count, 1);
	assert_string_equal(parsed.secrets[0].path, "/etc/secret");
	gives("varve host add h --iqn iqn.x --chap",
	    "{\"name\":\"h\",\"iqn\":\"iqn.x\"}");
	assert_null(parsed.secrets[0].path);
	refused("varve host add h --iqn iqn.x --chap --chap-file /etc/secret",
	    "usage.option", NULL);
}

static void
help_asks_for_no_arguments(void **state)
{
	(void)state;
	gives("varve help", "{}");
	assert_true(parsed.globals.help);
	assert_null(parsed.noun);
	gives("varve lun create --help", "{}");
	assert_true(parsed.globals.help);
	assert_ptr_equal(parsed.command, api_find("lun", "create"));
	gives("varve help lun", "{}");
	assert_string_equal(parsed.noun, "lun");
	assert_null(parsed.command);
	gives("varve lun -h", "{}");
	gives("varve help --scdoc=commands", "{}");
	assert_string_equal(parsed.scdoc_part, "commands");
	refused("varve help frobnicate", "usage.command", NULL);
}

/* Whatever a person types ends in a command or a problem. */
static void
no_line_of_words_is_too_much(void **state)
{
	static const char *const words[] = {"lun", "create", "vms/a", "--size",
	    "1G", "--", "-", "-o", "help", "--json", "--chap", "=", "--=", "-n",
	    "\xff\xfe", "--help", "--scdoc", "host", "add", "--chap-file"};
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 20000; round++) {
		char line[512] = "varve";
		for (int i = rand_r(&seed) % 8; i > 0; i--) {
			strcat(line, " ");
			strcat(line, words[(size_t)rand_r(&seed) %
					   (sizeof(words) / sizeof(words[0]))]);
		}
		json_decref(parse(line));
	}
}

static int
forget(void **state)
{
	(void)state;
	invocation_done(&parsed);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(nouns_and_verbs_find_their_row),
	    cmocka_unit_test(positional_arguments_come_in_order),
	    cmocka_unit_test(the_last_word_is_for_what_follows_a_repeated_one),
	    cmocka_unit_test(options_stand_anywhere_after_the_command),
	    cmocka_unit_test(global_options_stand_anywhere),
	    cmocka_unit_test(timeouts_are_durations),
	    cmocka_unit_test(what_is_missing_is_named),
	    cmocka_unit_test(what_is_too_much_is_named),
	    cmocka_unit_test(misspelt_words_get_a_suggestion),
	    cmocka_unit_test(secrets_are_never_values_of_options),
	    cmocka_unit_test(help_asks_for_no_arguments),
	    cmocka_unit_test(no_line_of_words_is_too_much),
	};

	return cmocka_run_group_tests(tests, NULL, forget);
}
