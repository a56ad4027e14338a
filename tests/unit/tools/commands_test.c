/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table against the command line: every row can be run, and nothing but
 * rows.  That varved has a handler for every method is the claim of
 * tests/integration/errors.sh, which asks a real one.
 */
#include "base/cleanup.h"
#include "tests/unit/base/support/cmocka.h"
#include "tools/cli.h"
#include "tools/help.h"
#include "tools/problem.h"
#include "tools/value.h"
#include <ctype.h>
#include <string.h>

#define for_each_command(c)                                                    \
	for (const struct api_command *c = api_commands; c->noun; c++)

static void
every_row_is_a_method_or_done_here(void **state)
{
	(void)state;
	for_each_command(c)
	{
		bool here = (c->flags & API_LOCAL) != 0;
		assert_int_equal(c->method == NULL, here);
		if (here)
			assert_non_null(local_find(c));
	}
}

static void
every_method_is_one_command(void **state)
{
	(void)state;
	for_each_command(c)
	{
		assert_ptr_equal(api_find(c->noun, c->verb), c);
		if (c->method != NULL)
			assert_ptr_equal(api_find_method(c->method), c);
	}
}

/* lun.create is varve lun create. */
static void
a_method_is_called_as_its_command(void **state)
{
	char name[128];

	(void)state;
	for_each_command(c)
	{
		snprintf(name, sizeof(name), "%s%s%s", c->noun,
		    c->verb[0] != '\0' ? "." : "", c->verb);
		if (c->method != NULL)
			assert_string_equal(c->method, name);
	}
}

static void
every_command_done_here_is_a_row(void **state)
{
	(void)state;
	for (const struct local_command *l = local_commands; l->noun; l++)
		assert_non_null(api_find(l->noun, l->verb));
}

static void
no_option_hides_a_global_one(void **state)
{
	char name[OPTION_NAME_MAX];

	(void)state;
	for_each_command(c)
	{
		for (const struct api_arg *a = c->args; a->name; a++) {
			if (a->positional)
				continue;
			value_option(a, name);
			for (const struct global_option *g = global_options;
			     g->name; g++) {
				if (strcmp(g->name, name) == 0)
					fail_msg("%s --%s", c->noun, name);
			}
		}
	}
}

/* One repeated argument at most, as the last or with one behind it that gets
 * the last word; nothing required behind something optional. */
static void
positional_arguments_can_be_told_apart(void **state)
{
	(void)state;
	for_each_command(c)
	{
		bool optional = false, repeated = false, last = false;
		for (const struct api_arg *a = c->args; a->name; a++) {
			if (!a->positional)
				continue;
			assert_false(last);
			assert_false(a->required && optional);
			if (repeated)
				assert_true(a->required && !a->repeated);
			last = repeated;
			optional = optional || !a->required;
			repeated = a->repeated;
			assert_int_not_equal(a->type, API_FLAG);
			assert_int_not_equal(a->type, API_SECRET);
		}
	}
}

static unsigned
secrets_of(const struct api_command *command)
{
	unsigned count = 0;

	for (const struct api_arg *a = command->args; a->name; a++)
		count += a->type == API_SECRET;
	return count;
}

static void
the_parser_has_room_for_every_secret(void **state)
{
	(void)state;
	for_each_command(c) assert_true(secrets_of(c) <= SECRETS_MAX);
}

/* At spaces, but for those between quotes; within line. */
static int
split(char *line, char *words[32])
{
	int count = 0;

	for (char *p = line; *p != '\0';) {
		bool quoted = false;
		char *end = p;
		while (*p == ' ')
			p++;
		if (*p == '\0')
			break;
		assert_true(count < 31);
		words[count++] = end = p;
		for (; *p != '\0' && (quoted || *p != ' '); p++) {
			if (*p == '\'')
				quoted = !quoted;
			else
				*end++ = *p;
		}
		p += *p == ' ';
		*end = '\0';
	}
	words[count] = NULL;
	return count;
}

/* A line of an example, as the shell would split it. */
static void
example_parses(const char *line, size_t length)
{
	_cleanup_(freep) char *copy = strndup(line, length);
	char *words[32];
	struct invocation invocation;
	json_t *problem;
	int argc;

	/* what a shell does with the rest is not ours */
	copy[strcspn(copy, ">|")] = '\0';
	argc = split(copy, words);
	problem = invocation_parse(argc, words, &invocation);
	/* the files of examples are not there */
	if (problem != NULL &&
	    strcmp(varve_problem_code(problem), "usage.document"))
		fail_msg("%s: %s", copy,
		    json_string_value(json_object_get(problem, "what")));
	json_decref(problem);
	invocation_done(&invocation);
}

static void
every_example_is_a_command_line_that_works(void **state)
{
	(void)state;
	for_each_command(c)
	{
		const char *line = c->example;
		assert_non_null(line);
		assert_true(strlen(line) > 0);
		while (*line != '\0') {
			size_t length = strcspn(line, "\n");
			if (strncmp(line, "varve ", 6) == 0)
				example_parses(line, length);
			line += length + (line[length] == '\n');
		}
	}
}

static const char *
help_of(const struct api_command *command, char *buf, size_t size)
{
	FILE *file = fmemopen(buf, size, "w");

	help_command(command, file);
	fclose(file);
	return buf;
}

static void
help_names_every_argument_and_stays_in_80_columns(void **state)
{
	char buf[16384], name[OPTION_NAME_MAX];

	(void)state;
	for_each_command(c)
	{
		help_of(c, buf, sizeof(buf));
		for (const struct api_arg *a = c->args; a->name; a++) {
			if (!a->positional)
				assert_non_null(
				    strstr(buf, value_option(a, name)));
		}
		for (char *rest = buf, *line;
		     (line = strsep(&rest, "\n")) != NULL;) {
			if (strlen(line) > 80 && !strstr(line, "varve "))
				fail_msg("%zu columns: %s", strlen(line), line);
		}
	}
}

static void
codes_are_unique_and_explained(void **state)
{
	(void)state;
	for (const struct api_error *e = problem_codes; e->code; e++) {
		assert_true(strlen(e->meaning) > 10);
		assert_int_not_equal(e->exit, API_OK);
		for (const struct api_error *f = e + 1; f->code; f++)
			assert_string_not_equal(e->code, f->code);
		for (const struct api_error *f = api_errors; f->code; f++)
			assert_string_not_equal(e->code, f->code);
	}
}

static void
the_manual_has_every_command_and_code(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	(void)state;
	for (size_t i = 0; scdoc_parts[i] != NULL; i++)
		assert_true(scdoc_print(scdoc_parts[i], file));
	assert_false(scdoc_print("poetry", file));
	fclose(file);
	for_each_command(c)
	{
		char title[128];
		snprintf(title, sizeof(title), "## varve %s%s%s\n", c->noun,
		    c->verb[0] != '\0' ? " " : "", c->verb);
		assert_non_null(strstr(text, title));
	}
	for (const struct api_error *e = api_errors; e->code; e++)
		assert_non_null(strstr(text, e->code));
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(every_row_is_a_method_or_done_here),
	    cmocka_unit_test(every_method_is_one_command),
	    cmocka_unit_test(a_method_is_called_as_its_command),
	    cmocka_unit_test(every_command_done_here_is_a_row),
	    cmocka_unit_test(no_option_hides_a_global_one),
	    cmocka_unit_test(positional_arguments_can_be_told_apart),
	    cmocka_unit_test(the_parser_has_room_for_every_secret),
	    cmocka_unit_test(every_example_is_a_command_line_that_works),
	    cmocka_unit_test(help_names_every_argument_and_stays_in_80_columns),
	    cmocka_unit_test(codes_are_unique_and_explained),
	    cmocka_unit_test(the_manual_has_every_command_and_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
