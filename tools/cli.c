/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/cli.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/version.h"
#include "tools/completion.h"
#include "tools/help.h"
#include "tools/job.h"
#include "tools/problem.h"
#include "tools/terminal.h"
#include <signal.h>
#include <string.h>

const char *
cli_address(const struct globals *globals)
{
	const char *environment = getenv("VARVE_CONNECT");

	if (globals->connect != NULL)
		return globals->connect;
	if (environment != NULL && environment[0] != '\0')
		return environment;
	return VARVE_URL_DEFAULT;
}

/* NO_COLOR (no-color.org): set and not empty means no. */
static bool
use_color(const struct globals *globals, int fd)
{
	const char *no_color = getenv("NO_COLOR");

	if (globals->color != NULL && strcmp(globals->color, "always") == 0)
		return true;
	if (globals->color != NULL && strcmp(globals->color, "never") == 0)
		return false;
	return isatty(fd) && (no_color == NULL || no_color[0] == '\0');
}

static void
settle(struct cli *cli)
{
	const struct globals *globals = &cli->invocation.globals;

	cli->color = use_color(globals, STDERR_FILENO);
	cli->show = (struct table_options){
	    .columns = globals->columns,
	    .sort = globals->sort,
	    .plain = globals->plain,
	    .bytes = globals->bytes,
	    .bold = use_color(globals, STDOUT_FILENO),
	};
}

/* Prints and frees problem; the exit code. */
static int
report(const struct cli *cli, json_t *problem)
{
	int code = (int)varve_problem_exit(problem);

	if (cli->invocation.globals.json)
		problem_print_json(problem, stdout);
	else
		problem_print(problem, cli->color, stderr);
	json_decref(problem);
	return code;
}

/* ---- help ---- */

static int
show_scdoc(const struct cli *cli)
{
	const char *part = cli->invocation.scdoc_part;
	json_t *problem;

	if (part[0] != '\0' && scdoc_print(part, stdout))
		return API_OK;
	problem = problem_new(API_USAGE, "usage.option",
	    "--scdoc=%s is no part of the manual", part);
	for (size_t i = 0; scdoc_parts[i] != NULL; i++)
		problem_fix(problem, "varve help --scdoc=%s", scdoc_parts[i]);
	return report(cli, problem);
}

static int
show_help(const struct cli *cli)
{
	const struct invocation *invocation = &cli->invocation;

	if (invocation->scdoc)
		return show_scdoc(cli);
	if (invocation->command != NULL)
		help_command(invocation->command, stdout);
	else if (invocation->noun != NULL)
		help_noun(invocation->noun, stdout);
	else
		help_overview(stdout);
	return API_OK;
}

/* ---- asking varved ---- */

/* What people can do by this program's options, beside what the client knows.
 */
static const struct {
	const char *code, *fix;
} option_fixes[] = {
    {"daemon.not-running", "or name its socket: --connect unix:PATH"},
    {"daemon.timeout", "wait longer: --timeout 5m"},
    {"daemon.address", "--connect unix:PATH, as in " VARVE_URL_DEFAULT},
};

static json_t *
with_option_fix(json_t *problem)
{
	const char *code = varve_problem_code(problem);

	for (size_t i = 0; i < ARRAY_SIZE(option_fixes); i++) {
		if (strcmp(code, option_fixes[i].code) == 0)
			problem_fix(problem, "%s", option_fixes[i].fix);
	}
	return problem;
}

json_t *
cli_open(struct cli *cli)
{
	const struct globals *globals = &cli->invocation.globals;
	json_t *problem;

	if (cli->varve != NULL)
		return NULL;
	problem = varve_open(cli_address(globals), &cli->varve);
	if (problem == NULL && globals->timeout_ms > 0)
		varve_set_timeout(cli->varve, globals->timeout_ms);
	return problem;
}

static bool
changes(const char *method, const json_t *params)
{
	const struct api_command *command = api_find_method(method);

	return command != NULL && (command->flags & API_CHANGES) &&
	       !json_is_true(json_object_get(params, "dry_run"));
}

json_t *
cli_call(struct cli *cli, const char *method, const json_t *params,
    json_t **ret_result)
{
	json_t *problem = cli_open(cli);

	if (cli->invocation.globals.verbose)
		fprintf(stderr, "%s: %s\n",
		    cli_address(&cli->invocation.globals), method);
	if (problem == NULL)
		problem = (changes(method, params) ? varve_change : varve_ask)(
		    cli->varve, method, params, ret_result);
	return problem != NULL ? with_option_fix(problem) : NULL;
}

/* A file keeps one object a line; people get it indented. */
static void
print_json(const json_t *result)
{
	json_dumpf(result, stdout,
	    isatty(STDOUT_FILENO) ? JSON_INDENT(2) : JSON_COMPACT);
	fputc('\n', stdout);
}

/* What the answer says beside its table. */
static void
print_notes(const json_t *result)
{
	const json_t *notes =
	    json_object_get(json_object_get(result, "item"), "notes");
	const json_t *note;
	size_t i;

	json_array_foreach(notes, i, note)
	{
		fputs("note: ", stderr);
		if (json_is_string(note))
			print_safely(json_string_value(note), stderr);
		fputc('\n', stderr);
	}
}

static void
print_lines(const json_t *item)
{
	const json_t *line;
	size_t i;

	json_array_foreach(json_object_get(item, "lines"), i, line)
	{
		if (json_is_string(line))
			print_safely(json_string_value(line), stdout);
		fputc('\n', stdout);
	}
}

/* As its row of the table says; false: as a table. */
static bool
print_unlike_table(const struct api_command *command, const json_t *result)
{
	const json_t *item = json_object_get(result, "item");

	if (command->flags & API_LINES) {
		print_lines(item);
		return true;
	}
	if (command->flags & API_RAW) {
		json_dumpf(
		    json_object_get(item, "document"), stdout, JSON_INDENT(2));
		fputc('\n', stdout);
		return true;
	}
	return false;
}

void
cli_show_as(
    struct cli *cli, const struct api_command *command, const json_t *result)
{
	const struct globals *globals = &cli->invocation.globals;

	if (globals->json) {
		print_json(result);
		return;
	}
	if (globals->quiet)
		return;
	if (!print_unlike_table(command, result))
		table_print(command, result, &cli->show, stdout);
	fflush(stdout);
	print_notes(result);
	if (globals->dry_run)
		fputs("dry run: nothing was changed\n", stderr);
}

void
cli_show(struct cli *cli, const json_t *result)
{
	cli_show_as(cli, cli->invocation.command, result);
}

/* varved checks before the person is asked, so nobody confirms what cannot be
 * done. */
static json_t *
check_and_confirm(struct cli *cli)
{
	const struct invocation *invocation = &cli->invocation;
	_cleanup_(json_decrefpp) json_t *params =
	    json_deep_copy(invocation->params);
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem;

	assert(params != NULL);
	json_object_set_new(params, "dry_run", json_true());
	problem = cli_call(cli, invocation->command->method, params, &result);
	if (problem != NULL)
		return problem;
	if (isatty(STDIN_FILENO) && !invocation->globals.quiet)
		table_print(invocation->command, result, &cli->show, stderr);
	return confirm(invocation->command,
	    invocation->object != NULL ? invocation->object : "yes");
}

/* Is anything destroyed, as it is called? */
static bool
destroys(const struct invocation *invocation)
{
	const struct api_command *command = invocation->command;
	const char *with = command->asks_with, *without = command->asks_without;

	if (!(command->flags & API_DESTROYS))
		return false;
	if (with != NULL)
		return json_is_true(json_object_get(invocation->params, with));
	return without == NULL ||
	       !json_is_true(json_object_get(invocation->params, without));
}

/* What the answer has started goes on: follows it, or only says its id. */
static json_t *
follow_or_show(struct cli *cli, const json_t *result, enum api_exit *ret_exit)
{
	const struct globals *globals = &cli->invocation.globals;
	const char *id = json_string_value(
	    json_object_get(json_object_get(result, "item"), "job"));
	bool follows = (cli->invocation.command->flags & API_STARTS_JOB) &&
		       id != NULL && !globals->no_wait && !globals->dry_run;

	if (!follows || globals->json)
		cli_show(cli, result);
	return follows ? job_follow(cli, id, ret_exit) : NULL;
}

static json_t *
run_remote(struct cli *cli, enum api_exit *ret_exit)
{
	struct invocation *invocation = &cli->invocation;
	const struct api_command *command = invocation->command;
	const struct globals *globals = &invocation->globals;
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem = NULL;

	if (destroys(invocation) && !globals->yes && !globals->dry_run)
		problem = check_and_confirm(cli);
	if (problem != NULL)
		return problem;
	if ((command->flags & API_CHANGES) && globals->dry_run)
		json_object_set_new(invocation->params, "dry_run", json_true());
	problem = cli_call(cli, command->method, invocation->params, &result);
	if (problem == NULL)
		problem = follow_or_show(cli, result, ret_exit);
	return problem;
}

static json_t *
check_dry_run(const struct invocation *invocation)
{
	if (!invocation->globals.dry_run ||
	    (invocation->command->flags & API_CHANGES))
		return NULL;
	return problem_new(API_USAGE, "usage.option",
	    "--dry-run is for commands that change something, and %s %s does "
	    "not",
	    invocation->command->noun, invocation->command->verb);
}

static json_t *
run_command(struct cli *cli, enum api_exit *ret_exit)
{
	struct invocation *invocation = &cli->invocation;
	const struct local_command *local = local_find(invocation->command);
	json_t *problem = check_dry_run(invocation);

	if (problem == NULL && !invocation->globals.json)
		problem = table_check(invocation->command, &cli->show);
	if (problem == NULL)
		problem = secrets_read(invocation);
	if (problem != NULL)
		return problem;
	if (local != NULL)
		return local->run(cli, ret_exit);
	assert(invocation->command->method != NULL);
	return run_remote(cli, ret_exit);
}

/* ---- completion ---- */

struct names {
	struct cli *cli;
	const struct completion *completion;
};

/* A shell that waits is worse than one without names. */
#define NAMES_TIMEOUT_MS 1000

static void
names_ask(void *arg, const char *noun,
    void (*offer)(void *offer_arg, const char *name), void *offer_arg)
{
	struct names *names = arg;
	struct globals *globals = &names->cli->invocation.globals;
	const struct api_command *list = api_find(noun, "list");
	_cleanup_(json_decrefpp) json_t *result = NULL;
	const json_t *item;
	char *name;
	size_t i;

	if (list == NULL || list->method == NULL || list->columns == NULL)
		return;
	globals->connect = names->completion->connect;
	globals->timeout_ms = NAMES_TIMEOUT_MS;
	json_decref(cli_call(names->cli, list->method, NULL, &result));
	json_array_foreach(json_object_get(result, "items"), i, item)
	{
		/* what a row is called stands in its first column */
		const json_t *value =
		    json_object_get(item, list->columns[0].name);
		if (json_is_string(value))
			offer(offer_arg, json_string_value(value));
		else if (json_is_integer(value) &&
			 asprintf(&name, "%lld",
			     (long long)json_integer_value(value)) >= 0) {
			offer(offer_arg, name);
			free(name);
		}
	}
}

/* varve completion words -- WORD... */
static bool
is_words(int argc, char **argv)
{
	return argc >= 4 && strcmp(argv[1], "completion") == 0 &&
	       strcmp(argv[2], "words") == 0 && strcmp(argv[3], "--") == 0;
}

static int
run_words(struct cli *cli, int argc, char **argv)
{
	struct completion completion = {.file = stdout, .names = names_ask};
	struct names names = {.cli = cli, .completion = &completion};

	completion.names_arg = &names;
	completion_words(&completion, argv + 4, (unsigned)argc - 4);
	return API_OK;
}

/* ---- the whole ---- */

static int
run(struct cli *cli, int argc, char **argv)
{
	enum api_exit code = API_OK;
	json_t *problem;

	if (is_words(argc, argv))
		return run_words(cli, argc, argv);
	/* what every program answers; `varve version` asks varved too */
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		puts("varve " VARVE_VERSION);
		return API_OK;
	}
	problem = invocation_parse(argc, argv, &cli->invocation);
	settle(cli);
	if (problem != NULL)
		return report(cli, problem);
	if (cli->invocation.globals.help)
		return show_help(cli);
	problem = run_command(cli, &code);
	if (problem != NULL)
		return report(cli, problem);
	return (int)code;
}

int
cli_main(int argc, char **argv)
{
	struct cli cli = {.varve = NULL};
	int code;

	/* `varve lun list | head -1` ends quietly */
	signal(SIGPIPE, SIG_DFL);
	code = run(&cli, argc, argv);
	varve_close(cli.varve);
	invocation_done(&cli.invocation);
	if (fflush(stdout) != 0 && code == API_OK)
		code = API_FAILED;
	return code;
}
