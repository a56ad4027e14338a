/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/parse.h"
#include "base/assert.h"
#include "tools/problem.h"
#include "tools/suggest.h"
#include "tools/value.h"
#include <string.h>

/* clang-format off */
#define G(member) offsetof(struct globals, member)
const struct global_option global_options[] = {
	{ "json",    0,   NULL,      G(json), NULL,
	    "print the API's answer as JSON; problems too" },
	{ "plain",   0,   NULL,      G(plain), NULL,
	    "print tab-separated values: no header, sizes in bytes" },
	{ "columns", 'o', "COLS",    G(columns), NULL,
	    "show these columns, in this order: name,size,live" },
	{ "sort",    0,   "COL",     G(sort), NULL,
	    "sort by a column; -COL: largest first" },
	{ "bytes",   0,   NULL,      G(bytes), NULL,
	    "show sizes in bytes" },
	{ "dry-run", 'n', NULL,      G(dry_run), NULL,
	    "let varved check the change and say what it would do" },
	{ "yes",     'y', NULL,      G(yes), NULL,
	    "do not ask before destroying something" },
	{ "quiet",   'q', NULL,      G(quiet), NULL,
	    "print nothing but problems" },
	{ "verbose", 'v', NULL,      G(verbose), NULL,
	    "say on standard error what is asked of varved" },
	{ "no-wait", 0,   NULL,      G(no_wait), NULL,
	    "do not follow a job: print its id and leave it alone" },
	{ "timeout", 0,   "TIME",    G(timeout), NULL,
	    "wait so long for varved: 30s, 2m (default 60s)" },
	{ "color",   0,   "WHEN",    G(color), "auto|always|never",
	    "auto, always or never; NO_COLOR is obeyed" },
	{ "connect", 0,   "ADDRESS", G(connect), NULL,
	    "unix:PATH of the control socket; also VARVE_CONNECT" },
	{ "help",    'h', NULL,      G(help), NULL,
	    "explain the command and do nothing" },
	{ NULL, 0, NULL, 0, NULL, NULL },
};
#undef G
/* clang-format on */

struct parser {
	char **words; /* what is left, ends with NULL */
	struct invocation *result;
	const struct api_arg *positional; /* the next one; NULL: none left */
	const char *last; /* a word that may be for the one after it */
	bool options_ended;
	bool help_word; /* "varve help ..." */
};

/* ---- commands ---- */

bool
noun_known(const char *noun)
{
	for (const struct api_command *c = api_commands; c->noun != NULL; c++) {
		if (strcmp(c->noun, noun) == 0)
			return true;
	}
	return false;
}

static json_t *
noun_unknown(const char *noun)
{
	json_t *problem = problem_new(
	    API_USAGE, "usage.command", "there is no command '%s'", noun);
	struct suggest suggest;

	suggest_init(&suggest, noun);
	for (const struct api_command *c = api_commands; c->noun != NULL; c++)
		suggest_offer(&suggest, c->noun);
	suggest_offer(&suggest, "help");
	if (suggest.nearest != NULL)
		problem_fix(problem, "did you mean: varve %s", suggest.nearest);
	return problem_fix(problem, "all commands: varve help");
}

static json_t *
verb_unknown(const char *noun, const char *verb)
{
	json_t *problem = problem_new(API_USAGE, "usage.command",
	    "there is no command '%s %s'", noun, verb);
	struct suggest suggest;

	suggest_init(&suggest, verb);
	for (const struct api_command *c = api_commands; c->noun != NULL; c++) {
		if (strcmp(c->noun, noun) == 0)
			suggest_offer(&suggest, c->verb);
	}
	if (suggest.nearest != NULL)
		problem_fix(problem, "did you mean: varve %s %s", noun,
		    suggest.nearest);
	return problem_fix(problem, "what there is: varve %s --help", noun);
}

static const struct api_arg *
positional_from(const struct api_arg *arg)
{
	while (arg->name != NULL && !arg->positional)
		arg++;
	return arg->name != NULL ? arg : NULL;
}

static void
command_found(struct parser *parser, const struct api_command *command)
{
	parser->result->command = command;
	parser->positional = positional_from(command->args);
}

static json_t *take_argument(struct parser *parser, const char *word);

static json_t *
take_noun(struct parser *parser, const char *word)
{
	const struct api_command *plain;

	if (strcmp(word, "help") == 0 && !parser->help_word) {
		parser->help_word = true;
		parser->result->globals.help = true;
		return NULL;
	}
	if (!noun_known(word))
		return noun_unknown(word);
	parser->result->noun = word;
	plain = api_find(word, "");
	if (plain != NULL)
		command_found(parser, plain);
	return NULL;
}

/* A noun may be a command by itself and have verbs too: a verb wins. */
static json_t *
take_verb(struct parser *parser, const char *word)
{
	struct invocation *result = parser->result;
	const struct api_command *command = api_find(result->noun, word);

	if (command != NULL && result->object == NULL) {
		command_found(parser, command);
		return NULL;
	}
	if (result->command == NULL)
		return verb_unknown(result->noun, word);
	return take_argument(parser, word);
}

/* ---- arguments ---- */

static json_t *
store(struct invocation *result, const struct api_arg *arg, json_t *value)
{
	json_t *old = json_object_get(result->params, arg->name);
	char option[OPTION_NAME_MAX];

	if (arg->repeated) {
		if (old == NULL) {
			old = json_array();
			json_object_set_new(result->params, arg->name, old);
		}
		json_array_append_new(old, value);
		return NULL;
	}
	if (old != NULL) {
		json_decref(value);
		return problem_new(API_USAGE, "usage.option",
		    "--%s is given twice", value_option(arg, option));
	}
	json_object_set_new(result->params, arg->name, value);
	return NULL;
}

static json_t *
take_value(struct parser *parser, const struct api_arg *arg, const char *word)
{
	json_t *value, *problem = value_parse(arg, word, &value);

	if (problem != NULL)
		return problem;
	return store(parser->result, arg, value);
}

/* DEVICE... LUN: the last word is for what follows the repeated argument, so
 * each is held back until the next one, or the end, has come. */
static json_t *
take_held(struct parser *parser, const char *word)
{
	const char *held = parser->last;

	parser->last = word;
	return held == NULL ? NULL
			    : take_value(parser, parser->positional, held);
}

static json_t *
take_last(struct parser *parser)
{
	const char *held = parser->last;

	if (held == NULL)
		return NULL;
	return take_value(
	    parser, positional_from(parser->positional + 1), held);
}

static json_t *
take_argument(struct parser *parser, const char *word)
{
	struct invocation *result = parser->result;
	const struct api_arg *arg = parser->positional;

	if (arg == NULL)
		return problem_fix(problem_new(API_USAGE, "usage.argument",
				       "'%s' is one argument too many", word),
		    "varve %s%s%s --help", result->noun,
		    result->command->verb[0] != '\0' ? " " : "",
		    result->command->verb);
	if (result->object == NULL)
		result->object = word;
	if (arg->repeated && positional_from(arg + 1) != NULL)
		return take_held(parser, word);
	if (!arg->repeated)
		parser->positional = positional_from(arg + 1);
	return take_value(parser, arg, word);
}

static json_t *
take_word(struct parser *parser, const char *word)
{
	if (parser->result->noun == NULL)
		return take_noun(parser, word);
	if (parser->result->command == NULL ||
	    parser->result->command->verb[0] == '\0')
		return take_verb(parser, word);
	return take_argument(parser, word);
}

/* ---- options ---- */

/* name is the n letters at name, as in --name=value. */
static bool
name_equal(const char *name, size_t n, const char *other)
{
	return strlen(other) == n && memcmp(name, other, n) == 0;
}

static json_t *
option_unknown(const struct parser *parser, const char *word, size_t n)
{
	const struct api_command *command = parser->result->command;
	json_t *problem = problem_new(API_USAGE, "usage.option",
	    "there is no option '%.*s'", (int)n, word);
	char names[32][OPTION_NAME_MAX], typed[OPTION_NAME_MAX];
	struct suggest suggest;
	unsigned i = 0;

	snprintf(typed, sizeof(typed), "%.*s", (int)n - 2, word + 2);
	suggest_init(&suggest, n > 2 ? typed : "");
	for (const struct api_arg *arg = command ? command->args : NULL;
	     arg != NULL && arg->name != NULL && i < ARRAY_SIZE(names); arg++) {
		if (!arg->positional)
			suggest_offer(&suggest, value_option(arg, names[i++]));
	}
	for (const struct global_option *g = global_options; g->name; g++)
		suggest_offer(&suggest, g->name);
	if (suggest.nearest != NULL)
		problem_fix(problem, "did you mean --%s?", suggest.nearest);
	if (command == NULL)
		problem_fix(problem, "a command's own options stand after it");
	else
		problem_fix(problem, "varve %s%s%s --help", command->noun,
		    command->verb[0] != '\0' ? " " : "", command->verb);
	return problem;
}

/* The value of an option: after '=' or the next word. */
static json_t *
option_value(
    struct parser *parser, const char *word, size_t n, const char **ret_value)
{
	if (word[n] == '=') {
		*ret_value = word + n + 1;
		return NULL;
	}
	if (*parser->words == NULL)
		return problem_new(API_USAGE, "usage.option",
		    "%.*s needs a value", (int)n, word);
	*ret_value = *parser->words++;
	return NULL;
}

static json_t *
option_no_value(const char *word, size_t n)
{
	if (word[n] != '=')
		return NULL;
	return problem_new(
	    API_USAGE, "usage.option", "%.*s takes no value", (int)n, word);
}

static json_t *
set_global(struct parser *parser, const struct global_option *option,
    const char *value)
{
	char *base = (char *)&parser->result->globals;

	if (option->value == NULL)
		*(bool *)(void *)(base + option->offset) = true;
	else
		*(const char **)(void *)(base + option->offset) = value;
	return NULL;
}

static json_t *
take_global(struct parser *parser, const struct global_option *option,
    const char *word, size_t n)
{
	const char *value = NULL;
	json_t *problem;

	if (option->value == NULL)
		problem = option_no_value(word, n);
	else
		problem = option_value(parser, word, n, &value);
	if (problem != NULL)
		return problem;
	return set_global(parser, option, value);
}

static json_t *
take_secret(struct parser *parser, const struct api_arg *arg, const char *path)
{
	struct invocation *result = parser->result;

	for (unsigned i = 0; i < result->secret_count; i++) {
		if (result->secrets[i].arg == arg)
			return problem_new(API_USAGE, "usage.option",
			    "the secret for %s is given twice", arg->name);
	}
	assert(result->secret_count < SECRETS_MAX);
	result->secrets[result->secret_count++] =
	    (struct secret_source){.arg = arg, .path = path};
	return NULL;
}

static json_t *
take_option(struct parser *parser, const struct api_arg *arg, const char *word,
    size_t n)
{
	const char *text = NULL;
	json_t *value, *problem;

	if (arg->type == API_FLAG) {
		problem = option_no_value(word, n);
		if (problem != NULL)
			return problem;
		return store(parser->result, arg, json_true());
	}
	problem = option_value(parser, word, n, &text);
	if (problem != NULL)
		return problem;
	if (arg->type == API_SECRET)
		return take_secret(parser, arg, text);
	problem = value_parse(arg, text, &value);
	if (problem != NULL)
		return problem;
	return store(parser->result, arg, value);
}

/* "--chap" asks on the terminal; "--chap SECRET" would put it into argv, where
 * every user of the machine can read it. */
static bool
is_prompt(const struct api_arg *arg, const char *name, size_t n)
{
	return arg->type == API_SECRET && name_equal(name, n, arg->name);
}

static json_t *
take_prompt(struct parser *parser, const struct api_arg *arg, const char *word,
    size_t n)
{
	if (word[n] != '=')
		return take_secret(parser, arg, NULL);
	return problem_fix(
	    problem_why(problem_new(API_USAGE, "usage.option",
			    "a secret does not belong on the command line"),
		"every user of this machine can read command lines"),
	    "put it into a file: --%s-file FILE", arg->name);
}

static json_t *
take_long(struct parser *parser, const char *word)
{
	const struct api_command *command = parser->result->command;
	size_t n = strcspn(word, "=");
	char option[OPTION_NAME_MAX];

	for (const struct api_arg *arg = command ? command->args : NULL;
	     arg != NULL && arg->name != NULL; arg++) {
		if (arg->positional)
			continue;
		if (name_equal(word + 2, n - 2, value_option(arg, option)))
			return take_option(parser, arg, word, n);
		if (is_prompt(arg, word + 2, n - 2))
			return take_prompt(parser, arg, word, n);
	}
	for (const struct global_option *g = global_options; g->name; g++) {
		if (name_equal(word + 2, n - 2, g->name))
			return take_global(parser, g, word, n);
	}
	if (parser->help_word && name_equal(word, n, "--scdoc")) {
		parser->result->scdoc = true;
		parser->result->scdoc_part = word[n] == '=' ? word + n + 1 : "";
		return NULL;
	}
	return option_unknown(parser, word, n);
}

/* -n, -ny, -oname, -o name */
static json_t *
take_short(struct parser *parser, const char *word)
{
	for (const char *letter = word + 1; *letter != '\0'; letter++) {
		const struct global_option *g = global_options;

		while (g->name != NULL && g->letter != *letter)
			g++;
		if (g->name == NULL)
			return option_unknown(parser, word, strlen(word));
		if (g->value == NULL) {
			set_global(parser, g, NULL);
			continue;
		}
		if (letter[1] != '\0')
			return set_global(parser, g, letter + 1);
		if (*parser->words == NULL)
			return problem_new(API_USAGE, "usage.option",
			    "-%c needs a value", *letter);
		return set_global(parser, g, *parser->words++);
	}
	return NULL;
}

static json_t *
take(struct parser *parser, const char *word)
{
	if (parser->options_ended || word[0] != '-' || word[1] == '\0')
		return take_word(parser, word);
	if (strcmp(word, "--") == 0) {
		parser->options_ended = true;
		return NULL;
	}
	if (word[1] == '-')
		return take_long(parser, word);
	return take_short(parser, word);
}

/* ---- when all is read ---- */

static json_t *
check_globals(struct globals *globals)
{
	json_t *value = NULL, *problem;
	const struct api_arg color = {.name = "color",
	    .type = API_CHOICE,
	    .choices = "auto|always|never"};

	if (globals->color != NULL) {
		problem = value_parse(&color, globals->color, &value);
		json_decref(value);
		if (problem != NULL)
			return problem;
	}
	if (globals->json && globals->plain)
		return problem_new(API_USAGE, "usage.option",
		    "--json and --plain exclude each other");
	if (globals->timeout != NULL &&
	    (duration_parse(globals->timeout, &globals->timeout_ms) < 0 ||
		globals->timeout_ms == 0))
		return problem_fix(
		    problem_new(API_USAGE, "usage.option",
			"'%s' is not a time to wait", globals->timeout),
		    "30s, 2m, 1h");
	return NULL;
}

static bool
is_given(const struct invocation *result, const struct api_arg *arg)
{
	for (unsigned i = 0; i < result->secret_count; i++) {
		if (result->secrets[i].arg == arg)
			return true;
	}
	return json_object_get(result->params, arg->name) != NULL;
}

static json_t *
argument_missing(const struct api_command *command, const struct api_arg *arg)
{
	char buf[64], option[OPTION_NAME_MAX];
	const char *placeholder = value_placeholder(arg, buf, sizeof(buf));
	json_t *problem;

	if (arg->positional)
		problem = problem_new(API_USAGE, "usage.argument",
		    "%s is missing: %s", placeholder, arg->help);
	else
		problem = problem_new(API_USAGE, "usage.argument",
		    "--%s %s is missing: %s", value_option(arg, option),
		    placeholder, arg->help);
	if (command->example != NULL)
		problem_fix(problem, "for example: %.*s",
		    (int)strcspn(command->example, "\n"), command->example);
	return problem_fix(problem, "varve %s%s%s --help", command->noun,
	    command->verb[0] != '\0' ? " " : "", command->verb);
}

static json_t *
check_required(struct invocation *result)
{
	const struct api_command *command = result->command;

	for (const struct api_arg *arg = command->args; arg->name; arg++) {
		if (!arg->required || is_given(result, arg))
			continue;
		if (arg->type != API_SECRET)
			return argument_missing(command, arg);
		result->secrets[result->secret_count++] =
		    (struct secret_source){.arg = arg};
	}
	return NULL;
}

static json_t *
check_command(struct invocation *result)
{
	if (result->globals.help)
		return NULL;
	if (result->noun == NULL)
		return problem_fix(problem_new(API_USAGE, "usage.command",
				       "no command is given"),
		    "all commands: varve help");
	if (result->command == NULL)
		return problem_fix(
		    problem_new(API_USAGE, "usage.command",
			"'varve %s' needs to be told what to do", result->noun),
		    "what there is: varve %s --help", result->noun);
	return check_required(result);
}

json_t *
invocation_parse(int argc, char **argv, struct invocation *ret_invocation)
{
	struct parser parser = {
	    .words = argv + (argc > 0 ? 1 : 0), .result = ret_invocation};
	json_t *problem = NULL, *unusable;

	*ret_invocation = (struct invocation){.params = json_object()};
	/* to the end also after a problem, so that a late --json counts */
	while (*parser.words != NULL) {
		json_t *another = take(&parser, *parser.words++);
		if (problem == NULL)
			problem = another;
		else
			json_decref(another);
	}
	unusable = take_last(&parser);
	if (unusable == NULL)
		unusable = check_globals(&ret_invocation->globals);
	if (problem != NULL)
		json_decref(unusable);
	else
		problem = unusable;
	if (problem != NULL)
		return problem;
	return check_command(ret_invocation);
}

void
invocation_done(struct invocation *invocation)
{
	json_decref(invocation->params);
	invocation->params = NULL;
}
