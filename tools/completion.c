/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/completion.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "tools/help.h"
#include "tools/table.h"
#include "tools/value.h"
#include <string.h>

/* What the word to complete is the value of. */
struct wanted {
	const struct api_arg *arg;          /* or */
	const struct global_option *global; /* or neither: not a value */
};

struct line {
	struct completion *completion;
	const char *noun, *object; /* the first argument */
	const struct api_command *command;
	const struct api_arg *positional;
	struct wanted wanted; /* the option before the current word */
	bool options_ended;
	bool help, unknown;  /* unknown: no such verb */
	const char *current; /* what the candidates are compared with */
	const char *prefix;  /* what stands before it in the word */
	int prefix_length;
};

/* ---- candidates ---- */

static void
offer(const struct line *line, const char *candidate, const char *description)
{
	if (strncmp(candidate, line->current, strlen(line->current)) != 0)
		return;
	fprintf(line->completion->file, "%.*s%s", line->prefix_length,
	    line->prefix, candidate);
	if (description != NULL)
		fprintf(line->completion->file, "\t%s", description);
	fputc('\n', line->completion->file);
}

static void
offer_name(void *arg, const char *name)
{
	offer(arg, name, NULL);
}

static void
offer_names(const struct line *line, const char *noun)
{
	struct line copy = *line;

	if (line->completion->names != NULL)
		line->completion->names(
		    line->completion->names_arg, noun, offer_name, &copy);
}

/* A new LUN's name begins with a pool's. */
static void
offer_pool_slash(void *arg, const char *name)
{
	_cleanup_(freep) char *beginning = NULL;
	int length = asprintf(&beginning, "%s/", name);

	assert(length >= 0);
	offer(arg, beginning, NULL);
}

static void
offer_new_lun(const struct line *line)
{
	struct line copy = *line;

	if (line->completion->names != NULL)
		line->completion->names(line->completion->names_arg, "pool",
		    offer_pool_slash, &copy);
}

/* A new snapshot's name begins with a LUN's. */
static void
offer_lun_at(void *arg, const char *name)
{
	_cleanup_(freep) char *beginning = NULL;
	int length = asprintf(&beginning, "%s@", name);

	assert(length >= 0);
	offer(arg, beginning, NULL);
}

static void
offer_new_snap(const struct line *line)
{
	struct line copy = *line;

	if (line->completion->names != NULL)
		line->completion->names(
		    line->completion->names_arg, "lun", offer_lun_at, &copy);
}

/* @SNAP of the LUN that stands before. */
static void
offer_at(void *arg, const char *name)
{
	const struct line *line = arg;
	size_t length = strcspn(line->object, "@");

	if (strncmp(name, line->object, length) == 0 && name[length] == '@')
		offer(line, name + length, NULL);
}

static void
offer_snap_at(const struct line *line)
{
	struct line copy = *line;

	if (line->completion->names != NULL && line->object != NULL)
		line->completion->names(
		    line->completion->names_arg, "snap", offer_at, &copy);
}

static void
offer_lun_or_snap(const struct line *line)
{
	offer_names(line, "lun");
	offer_names(line, "snap");
}

static void
offer_pool_or_lun(const struct line *line)
{
	offer_names(line, "pool");
	offer_names(line, "lun");
}

static void
offer_choices(const struct line *line, const char *choices)
{
	_cleanup_(freep) char *words = strdup(choices);
	char *state;

	assert(words != NULL);
	for (char *word = strtok_r(words, "|", &state); word != NULL;
	     word = strtok_r(NULL, "|", &state))
		offer(line, word, NULL);
}

static void
offer_files(const struct line *line)
{
	fputs(":files\n", line->completion->file);
}

static void
offer_arg(const struct line *line, const struct api_arg *arg)
{
	/* clang-format off */
	static const struct {
		const char *noun; /* the names that its list shows */
		void (*offer)(const struct line *line);
	} types[] = {
		[API_POOL]        = { "pool",     NULL },
		[API_LUN]         = { "lun",      NULL },
		[API_HOST]        = { "host",     NULL },
		[API_POLICY]      = { "policy",   NULL },
		[API_SESSION]     = { "session",  NULL },
		[API_SNAP]        = { "snap",     NULL },
		[API_TRASHED]     = { "trash",    NULL },
		[API_GROUP]       = { "group",    NULL },
		[API_BOOKMARK]    = { "bookmark", NULL },
		[API_JOB]         = { "job",      NULL },
		[API_NEW_LUN]     = { NULL, offer_new_lun },
		[API_NEW_SNAP]    = { NULL, offer_new_snap },
		[API_SNAP_AT]     = { NULL, offer_snap_at },
		[API_LUN_OR_SNAP] = { NULL, offer_lun_or_snap },
		[API_POOL_OR_LUN] = { NULL, offer_pool_or_lun },
		[API_PATH]        = { NULL, offer_files },
		[API_SECRET]      = { NULL, offer_files },
		[API_DOCUMENT]    = { NULL, offer_files },
	};
	/* clang-format on */

	if (arg->type == API_CHOICE)
		offer_choices(line, arg->choices);
	else if (arg->type < ARRAY_SIZE(types) && types[arg->type].noun != NULL)
		offer_names(line, types[arg->type].noun);
	else if (arg->type < ARRAY_SIZE(types) &&
		 types[arg->type].offer != NULL)
		types[arg->type].offer(line);
}

/* -o takes a list: the part behind the last comma is completed. */
static void
offer_columns(struct line *line, const struct api_command *command)
{
	const struct api_column *column = command ? command->columns : NULL;
	const char *comma = strrchr(line->current, ',');
	char name[COLUMN_NAME_MAX];

	if (comma != NULL) {
		line->prefix_length += (int)(comma + 1 - line->current);
		line->current = comma + 1;
	}
	for (; column != NULL && column->name != NULL; column++)
		offer(line, column_name(column, name), column->help);
}

static void
offer_global_value(struct line *line, const struct global_option *global)
{
	if (strcmp(global->name, "columns") == 0 ||
	    strcmp(global->name, "sort") == 0)
		offer_columns(line, line->command);
	else if (strcmp(global->name, "connect") == 0)
		offer(line, "unix:", NULL);
	else if (global->choices != NULL)
		offer_choices(line, global->choices);
}

static void
offer_wanted(struct line *line, const struct wanted *wanted)
{
	if (wanted->arg != NULL)
		offer_arg(line, wanted->arg);
	else
		offer_global_value(line, wanted->global);
}

static void
offer_options(const struct line *line)
{
	const struct api_arg *arg = line->command ? line->command->args : NULL;
	char option[OPTION_NAME_MAX + 2], name[OPTION_NAME_MAX];

	for (; arg != NULL && arg->name != NULL; arg++) {
		if (arg->positional)
			continue;
		snprintf(
		    option, sizeof(option), "--%s", value_option(arg, name));
		offer(line, option, arg->help);
	}
	for (const struct global_option *g = global_options; g->name; g++) {
		snprintf(option, sizeof(option), "--%s", g->name);
		offer(line, option, g->help);
	}
}

/* Each noun once: its commands stand together in the table. */
static void
offer_nouns(const struct line *line)
{
	const char *last = "";

	for (const struct api_command *c = api_commands; c->noun; c++) {
		if (strcmp(c->noun, last) != 0)
			offer(line, c->noun,
			    c->verb[0] == '\0' ? c->summary : NULL);
		last = c->noun;
	}
	if (!line->help)
		offer(line, "help", "explain a command");
}

static void
offer_verbs(const struct line *line)
{
	for (const struct api_command *c = api_commands; c->noun; c++) {
		if (strcmp(c->noun, line->noun) == 0 && c->verb[0] != '\0')
			offer(line, c->verb, c->summary);
	}
}

/* ---- the words before ---- */

static const struct api_arg *
positional_from(const struct api_arg *arg)
{
	while (arg->name != NULL && !arg->positional)
		arg++;
	return arg->name != NULL ? arg : NULL;
}

static void
line_command(struct line *line, const struct api_command *command)
{
	line->command = command;
	line->positional = command ? positional_from(command->args) : NULL;
}

static void
line_argument(struct line *line, const char *word)
{
	if (line->object == NULL)
		line->object = word;
	if (line->positional != NULL && !line->positional->repeated)
		line->positional = positional_from(line->positional + 1);
}

static void
line_word(struct line *line, const char *word)
{
	if (line->noun == NULL && !line->help && strcmp(word, "help") == 0) {
		line->help = true;
	} else if (line->noun == NULL) {
		line->noun = word;
		line_command(line, api_find(word, ""));
	} else if (line->command == NULL ||
		   (line->command->verb[0] == '\0' &&
		       api_find(line->noun, word) != NULL)) {
		line_command(line, api_find(line->noun, word));
		line->unknown = line->command == NULL;
	} else {
		line_argument(line, word);
	}
}

/* The option that takes a value and is called so, n letters; else {}. */
static struct wanted
option_find(const struct line *line, const char *word, size_t n)
{
	const struct api_arg *arg = line->command ? line->command->args : NULL;
	char name[OPTION_NAME_MAX];

	for (; arg != NULL && arg->name != NULL; arg++) {
		value_option(arg, name);
		if (!arg->positional && arg->type != API_FLAG &&
		    strlen(name) + 2 == n && memcmp(word + 2, name, n - 2) == 0)
			return (struct wanted){.arg = arg};
	}
	for (const struct global_option *g = global_options; g->name; g++) {
		if (g->value == NULL)
			continue;
		if (strlen(g->name) + 2 == n &&
		    memcmp(word + 2, g->name, n - 2) == 0)
			return (struct wanted){.global = g};
		if (n == 2 && g->letter != 0 && word[1] == g->letter)
			return (struct wanted){.global = g};
	}
	return (struct wanted){0};
}

static bool
wanted_any(const struct wanted *wanted)
{
	return wanted->arg != NULL || wanted->global != NULL;
}

static void
line_value(struct line *line, const struct wanted *wanted, const char *value)
{
	if (wanted->global != NULL &&
	    strcmp(wanted->global->name, "connect") == 0)
		line->completion->connect = value;
}

static void
line_read(struct line *line, const char *word)
{
	size_t n = strcspn(word, "=");
	struct wanted wanted;

	if (wanted_any(&line->wanted)) {
		line_value(line, &line->wanted, word);
		line->wanted = (struct wanted){0};
		return;
	}
	if (line->options_ended || word[0] != '-') {
		line_word(line, word);
		return;
	}
	if (strcmp(word, "--") == 0)
		line->options_ended = true;
	wanted = option_find(line, word, n);
	if (word[n] == '=')
		line_value(line, &wanted, word + n + 1);
	else
		line->wanted = wanted;
}

/* ---- the word to complete ---- */

/* --option=VAL */
static void
complete_assignment(struct line *line, const char *word)
{
	size_t n = strcspn(word, "=");
	struct wanted wanted = option_find(line, word, n);

	line->prefix = word;
	line->prefix_length = (int)n + 1;
	line->current = word + n + 1;
	if (wanted_any(&wanted))
		offer_wanted(line, &wanted);
}

static void
complete_word(struct line *line)
{
	if (line->noun == NULL) {
		offer_nouns(line);
		return;
	}
	if (line->unknown)
		return;
	if (line->command == NULL || line->command->verb[0] == '\0')
		offer_verbs(line);
	if (line->positional != NULL && !line->help)
		offer_arg(line, line->positional);
}

void
completion_words(struct completion *completion, char **words, unsigned count)
{
	struct line line = {.completion = completion};
	const char *word = count > 0 ? words[count - 1] : "";

	for (unsigned i = 0; i + 1 < count; i++)
		line_read(&line, words[i]);
	line.current = line.prefix = word;
	if (wanted_any(&line.wanted))
		offer_wanted(&line, &line.wanted);
	else if (word[0] == '-' && strchr(word, '=') != NULL)
		complete_assignment(&line, word);
	else if (word[0] == '-' && !line.options_ended)
		offer_options(&line);
	else
		complete_word(&line);
}
