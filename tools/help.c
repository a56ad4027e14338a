/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/help.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "tools/parse.h"
#include "tools/table.h"
#include "tools/value.h"
#include <string.h>

#define WIDTH 79

/* clang-format off */
const struct exit_meaning exit_meanings[] = {
	{ API_OK,          "done" },
	{ API_FAILED,      "failed" },
	{ API_USAGE,       "the command line is not understood" },
	{ API_PARTIAL,     "done in part" },
	{ API_NOT_FOUND,   "what is named does not exist" },
	{ API_CONFLICT,    "it exists already, or is in use" },
	{ API_NOT_ALLOWED, "not allowed" },
	{ API_UNREACHABLE, "varved does not answer" },
	{ API_NO_SPACE,    "no space, or a limit is reached" },
	{ API_FINDINGS,    "done; something is not as it should be" },
	{ API_CONFIRM,     "needs to be confirmed; nothing was done" },
	{ API_RUNNING,     "the job still runs" },
	{ API_INTERRUPTED, "interrupted" },
	{ API_OK,          NULL },
};
/* clang-format on */

void
print_wrapped(const char *text, int indent, FILE *file)
{
	int column = 0;

	while (*text != '\0') {
		int length = (int)strcspn(text, " \n");
		if (column > 0 && column + 1 + length > WIDTH) {
			fputc('\n', file);
			column = 0;
		}
		if (column == 0)
			column += fprintf(file, "%*s", indent, "");
		else
			column += fprintf(file, " ");
		column += fprintf(file, "%.*s", length, text);
		text += length;
		if (*text == '\n') {
			fputc('\n', file);
			column = 0;
		}
		text += *text != '\0';
	}
	if (column > 0)
		fputc('\n', file);
}

/* ---- synopsis ---- */

struct synopsis {
	enum synopsis_style style;
	FILE *file;
};

/* A word to be typed as it is, or one that stands for something. */
static void
synopsis_literal(const struct synopsis *synopsis, const char *word)
{
	bool scdoc = synopsis->style == SYNOPSIS_SCDOC;

	fprintf(synopsis->file, scdoc ? "*%s*" : "%s", word);
}

static void
synopsis_placeholder(const struct synopsis *synopsis, const struct api_arg *arg)
{
	bool scdoc = synopsis->style == SYNOPSIS_SCDOC;
	char buf[64];

	fprintf(synopsis->file, scdoc ? "_%s_" : "%s",
	    value_placeholder(arg, buf, sizeof(buf)));
}

static void
synopsis_option(const struct synopsis *synopsis, const struct api_arg *arg)
{
	char name[OPTION_NAME_MAX], option[OPTION_NAME_MAX + 2];

	snprintf(option, sizeof(option), "--%s", value_option(arg, name));
	synopsis_literal(synopsis, option);
	if (arg->type == API_FLAG)
		return;
	fputc(' ', synopsis->file);
	synopsis_placeholder(synopsis, arg);
}

static void
synopsis_arg(const struct synopsis *synopsis, const struct api_arg *arg)
{
	fputs(arg->required ? " " : " [", synopsis->file);
	if (arg->positional)
		synopsis_placeholder(synopsis, arg);
	else
		synopsis_option(synopsis, arg);
	if (arg->repeated && !arg->required)
		fputs("]...", synopsis->file);
	else if (arg->repeated)
		fputs("...", synopsis->file);
	else if (!arg->required)
		fputc(']', synopsis->file);
}

void
synopsis_print(
    const struct api_command *command, enum synopsis_style style, FILE *file)
{
	struct synopsis synopsis = {.style = style, .file = file};
	char words[128];

	snprintf(words, sizeof(words), "varve %s%s%s", command->noun,
	    command->verb[0] != '\0' ? " " : "", command->verb);
	synopsis_literal(&synopsis, words);
	for (const struct api_arg *arg = command->args; arg->name; arg++) {
		if (arg->positional)
			synopsis_arg(&synopsis, arg);
	}
	for (int required = 1; required >= 0; required--) {
		for (const struct api_arg *arg = command->args; arg->name;
		     arg++) {
			if (!arg->positional && arg->required == required)
				synopsis_arg(&synopsis, arg);
		}
	}
}

/* ---- --help ---- */

static void
print_row(const char *left, const char *right, int width, FILE *file)
{
	int length = (int)strlen(left);

	if (length > width)
		fprintf(file, "  %s\n%*s", left, width + 4, "");
	else
		fprintf(file, "  %-*s  ", width, left);
	if (width + 4 + (int)strlen(right) <= WIDTH) {
		fprintf(file, "%s\n", right);
		return;
	}
	/* the first line continues the row, the others stand under it */
	_cleanup_(freep) char *text = NULL;
	size_t size;
	FILE *memory = open_memstream(&text, &size);
	assert(memory != NULL);
	print_wrapped(right, width + 4, memory);
	fclose(memory);
	fputs(text + width + 4, file);
}

static int
command_width(const char *noun)
{
	int width = 0;

	for (const struct api_command *c = api_commands; c->noun; c++) {
		int length = (int)(strlen(c->noun) + 1 + strlen(c->verb));
		if (noun != NULL && strcmp(noun, c->noun) != 0)
			continue;
		width = length > width ? length : width;
	}
	return width;
}

static void
print_commands(const char *noun, FILE *file)
{
	int width = command_width(noun);
	char words[128];

	for (const struct api_command *c = api_commands; c->noun; c++) {
		if (noun != NULL && strcmp(noun, c->noun) != 0)
			continue;
		snprintf(words, sizeof(words), "%s %s", c->noun, c->verb);
		print_row(words, c->summary, width, file);
	}
}

static void
global_left(const struct global_option *option, char *buf, size_t size)
{
	int used = 0;

	if (option->letter != 0)
		used = snprintf(buf, size, "-%c, ", option->letter);
	snprintf(buf + used, size - (size_t)used, "--%s%s%s", option->name,
	    option->value != NULL ? " " : "",
	    option->value != NULL ? option->value : "");
}

void
help_overview(FILE *file)
{
	char left[64];

	fputs("varve serves thin LUNs over iSCSI.\n\n"
	      "usage: varve [global options] NOUN VERB [arguments] [options]"
	      "\n\nCommands:\n",
	    file);
	print_commands(NULL, file);
	fputs("\nGlobal options:\n", file);
	for (const struct global_option *g = global_options; g->name; g++) {
		global_left(g, left, sizeof(left));
		print_row(left, g->help, 19, file);
	}
	fputs("\nMore: varve NOUN --help, varve NOUN VERB --help, man varve\n",
	    file);
}

void
help_noun(const char *noun, FILE *file)
{
	fprintf(file, "usage: varve %s VERB [arguments] [options]\n\n", noun);
	print_commands(noun, file);
	fprintf(file, "\nMore: varve %s VERB --help\n", noun);
}

static void
help_args(const struct api_command *command, bool positional, FILE *file)
{
	const char *title = positional ? "\nArguments:\n" : "\nOptions:\n";
	char left[160], name[OPTION_NAME_MAX], buf[64];

	for (const struct api_arg *arg = command->args; arg->name; arg++) {
		if (arg->positional != positional)
			continue;
		fputs(title, file);
		title = "";
		if (positional)
			snprintf(left, sizeof(left), "%s",
			    value_placeholder(arg, buf, sizeof(buf)));
		else if (arg->type == API_FLAG)
			snprintf(left, sizeof(left), "--%s",
			    value_option(arg, name));
		else
			snprintf(left, sizeof(left), "--%s %s",
			    value_option(arg, name),
			    value_placeholder(arg, buf, sizeof(buf)));
		print_row(left, arg->help, 22, file);
	}
}

static void
help_columns(const struct api_command *command, FILE *file)
{
	const struct api_column *column = command->columns;
	char name[COLUMN_NAME_MAX];

	if (column == NULL || column->name == NULL)
		return;
	fputs("\nColumns (* only with -o or --json):\n", file);
	for (; column->name != NULL; column++) {
		char left[COLUMN_NAME_MAX + 2];
		snprintf(left, sizeof(left), "%s%s", column_name(column, name),
		    column->hidden ? "*" : "");
		print_row(left, column->help, 22, file);
	}
}

/* Each line of text behind two spaces. */
static void
print_lines(const char *title, const char *text, FILE *file)
{
	if (text == NULL || text[0] == '\0')
		return;
	fprintf(file, "\n%s:\n", title);
	while (*text != '\0') {
		int length = (int)strcspn(text, "\n");
		fprintf(file, "  %.*s\n", length, text);
		text += length + (text[length] == '\n');
	}
}

void
help_command(const struct api_command *command, FILE *file)
{
	_cleanup_(freep) char *synopsis = NULL;
	size_t size;
	FILE *memory = open_memstream(&synopsis, &size);

	assert(memory != NULL);
	synopsis_print(command, SYNOPSIS_TEXT, memory);
	fclose(memory);
	fprintf(file, "varve %s%s%s: %s\n\nusage:\n", command->noun,
	    command->verb[0] != '\0' ? " " : "", command->verb,
	    command->summary);
	print_wrapped(synopsis, 2, file);
	if (command->description != NULL && command->description[0] != '\0') {
		fputc('\n', file);
		print_wrapped(command->description, 0, file);
	}
	help_args(command, true, file);
	help_args(command, false, file);
	help_columns(command, file);
	print_lines("Example", command->example, file);
	print_lines("Exit codes", command->exits, file);
	fputs("\nGlobal options: varve help\n", file);
}
