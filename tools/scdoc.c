/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of the manual that come from the tables, in scdoc's markup.
 * docs/man/update.sh puts them into the pages, tests/integration/man.sh holds
 * that they are there.
 */
#include "base/assert.h"
#include "tools/help.h"
#include "tools/parse.h"
#include "tools/problem.h"
#include "tools/table.h"
#include "tools/value.h"
#include <ctype.h>
#include <string.h>

/* scdoc(5): * and _ start formatting, some signs mean something at the start of
 * a line, \ escapes. */
static void
print_escaped(const char *text, FILE *file)
{
	if (strchr("-#.;[|]", text[0]) != NULL)
		fputc('\\', file);
	for (; *text != '\0'; text++) {
		if (strchr("*_\\", *text) != NULL)
			fputc('\\', file);
		fputc(*text, file);
	}
}

static void
scdoc_synopsis(FILE *file)
{
	fputs("*varve* [_global options_] _NOUN_ _VERB_ [_arguments_] "
	      "[_options_]\n\n",
	    file);
	for (const struct api_command *c = api_commands; c->noun; c++) {
		synopsis_print(c, SYNOPSIS_SCDOC, file);
		fputs("\n\n", file);
	}
}

static void
scdoc_options(FILE *file)
{
	for (const struct global_option *g = global_options; g->name; g++) {
		if (g->letter != 0)
			fprintf(file, "*-%c*, ", g->letter);
		fprintf(file, "*--%s*", g->name);
		if (g->value != NULL)
			fprintf(file, " _%s_", g->value);
		fputs("\n\t", file);
		print_escaped(g->help, file);
		fputs("\n\n", file);
	}
}

static void
scdoc_arg(const struct api_arg *arg, FILE *file)
{
	char name[OPTION_NAME_MAX], buf[64];

	if (arg->positional)
		fprintf(file, "_%s_", value_placeholder(arg, buf, sizeof(buf)));
	else if (arg->type == API_FLAG)
		fprintf(file, "*--%s*", value_option(arg, name));
	else
		fprintf(file, "*--%s* _%s_", value_option(arg, name),
		    value_placeholder(arg, buf, sizeof(buf)));
	fputs("\n\t", file);
	print_escaped(arg->help, file);
	fputs("\n\n", file);
}

/* Text of the table as lines of a literal block. */
static void
scdoc_literal(const char *title, const char *text, FILE *file)
{
	if (text == NULL || text[0] == '\0')
		return;
	fprintf(file, "%s:\n\n```\n%s\n```\n\n", title, text);
}

static void
scdoc_column_names(
    const struct api_column *column, bool hidden, const char *title, FILE *file)
{
	char name[COLUMN_NAME_MAX];
	const char *separator = title;

	for (; column->name != NULL; column++) {
		if (column->hidden != hidden)
			continue;
		fprintf(file, "%s*%s*", separator, column_name(column, name));
		separator = ", ";
	}
	if (separator != title)
		fputs(".\n\n", file);
}

static void
scdoc_columns(const struct api_column *column, FILE *file)
{
	if (column == NULL || column->name == NULL)
		return;
	scdoc_column_names(column, false, "Columns: ", file);
	scdoc_column_names(column, true, "With -o also: ", file);
}

/* A phrase of the table as a sentence. */
static void
scdoc_sentence(const char *phrase, FILE *file)
{
	fputc(toupper((unsigned char)phrase[0]), file);
	print_escaped(phrase + 1, file);
	fputc('.', file);
}

static void
scdoc_command(const struct api_command *command, FILE *file)
{
	fprintf(file, "## varve %s%s%s\n\n", command->noun,
	    command->verb[0] != '\0' ? " " : "", command->verb);
	synopsis_print(command, SYNOPSIS_SCDOC, file);
	fputs("\n\n", file);
	if (command->description != NULL && command->description[0] != '\0')
		print_escaped(command->description, file);
	else
		scdoc_sentence(command->summary, file);
	fputs("\n\n", file);
	for (const struct api_arg *arg = command->args; arg->name; arg++)
		scdoc_arg(arg, file);
	/* the other commands of a noun answer with the same columns */
	if (command->flags & API_LIST)
		scdoc_columns(command->columns, file);
	scdoc_literal("Example", command->example, file);
	scdoc_literal("Exit codes", command->exits, file);
}

static void
scdoc_commands(FILE *file)
{
	for (const struct api_command *c = api_commands; c->noun; c++)
		scdoc_command(c, file);
}

static void
scdoc_exits(FILE *file)
{
	for (const struct exit_meaning *e = exit_meanings; e->meaning; e++)
		fprintf(file, "*%d*\n\t%s\n\n", (int)e->code, e->meaning);
}

static void
scdoc_error_list(const struct api_error *error, FILE *file)
{
	for (; error->code != NULL; error++) {
		fprintf(
		    file, "*%s* (exit %d)\n\t", error->code, (int)error->exit);
		print_escaped(error->meaning, file);
		fputs("\n\n", file);
	}
}

static void
scdoc_errors(FILE *file)
{
	fputs("# CODES OF VARVED\n\n", file);
	scdoc_error_list(api_errors, file);
	fputs("# CODES OF THE COMMAND LINE\n\n", file);
	scdoc_error_list(problem_codes, file);
}

const char *const scdoc_parts[] = {
    "synopsis", "options", "commands", "exits", "errors", NULL};

bool
scdoc_print(const char *part, FILE *file)
{
	static void (*const printers[])(FILE *) = {scdoc_synopsis,
	    scdoc_options, scdoc_commands, scdoc_exits, scdoc_errors};

	for (size_t i = 0; scdoc_parts[i] != NULL; i++) {
		assert(i < ARRAY_SIZE(printers));
		if (strcmp(part, scdoc_parts[i]) != 0)
			continue;
		printers[i](file);
		return true;
	}
	return false;
}
