/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The commands that do more than show varved's answer as a table.
 */
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/version.h"
#include "tools/backup.h"
#include "tools/cli.h"
#include "tools/completion.h"
#include "tools/diff.h"
#include "tools/doctor.h"
#include "tools/events.h"
#include "tools/findings.h"
#include "tools/job.h"
#include "tools/problem.h"
#include "tools/rescue.h"
#include <string.h>
#include <time.h>

static json_t *
run_completion(struct cli *cli, enum api_exit *ret_exit)
{
	const char *shell =
	    json_string_value(json_object_get(cli->invocation.params, "shell"));

	(void)ret_exit;
	assert(shell != NULL);
	fputs(completion_script(shell), stdout);
	return NULL;
}

/* Our own version also when varved is away. */
static json_t *
run_version(struct cli *cli, enum api_exit *ret_exit)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	const json_t *item;
	json_t *problem;

	(void)ret_exit;
	if (!findings_are_table(cli))
		printf("varve   %s\n", VARVE_VERSION);
	fflush(stdout);
	problem = cli_call(cli, "version", NULL, &result);
	if (problem != NULL)
		return problem;
	item = json_object_get(result, "item");
	if (findings_are_table(cli)) {
		cli_show(cli, result);
		return NULL;
	}
	fputs("varved  ", stdout);
	if (json_is_string(json_object_get(item, "version")))
		print_safely(
		    json_string_value(json_object_get(item, "version")),
		    stdout);
	fputc('\n', stdout);
	return NULL;
}

static json_t *
run_health(struct cli *cli, enum api_exit *ret_exit)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem = cli_call(cli, "health", NULL, &result);

	if (problem != NULL)
		return problem;
	findings_show(cli, result, "all is well");
	if (findings_any(json_object_get(result, "items")))
		*ret_exit = API_FINDINGS;
	return NULL;
}

static void
print_repaired(const json_t *item)
{
	printf("pool %s: %lld findings before, %lld blocks %s%s%s\n",
	    json_string_value(json_object_get(item, "pool")),
	    findings_number(item, "findings_before"),
	    findings_number(item, "changed_blocks"),
	    json_is_true(json_object_get(item, "written")) ? "written"
							   : "would be written",
	    json_is_true(json_object_get(item, "older_superblock"))
		? ", the superblock before the newest"
		: "",
	    json_is_true(json_object_get(item, "log_dropped"))
		? ", the log dropped"
		: "");
}

static json_t *
run_rescue_repair(struct cli *cli, enum api_exit *ret_exit)
{
	const struct globals *globals = &cli->invocation.globals;
	const json_t *params = cli->invocation.params;
	const struct rescue_repair_params repair = {
	    .paths = json_object_get(params, "devices"),
	    .undo = json_string_value(json_object_get(params, "undo")),
	    .to = json_string_value(json_object_get(params, "to")),
	    .scan = json_is_true(json_object_get(params, "scan")),
	    .progress = isatty(STDERR_FILENO) && !globals->quiet,
	};
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem = rescue_repair(&repair, &result);

	if (problem != NULL)
		return problem;
	if (!findings_are_table(cli))
		print_repaired(json_object_get(result, "item"));
	findings_show(cli, result, "no findings are left");
	if (findings_any(json_object_get(result, "items")))
		*ret_exit = API_FINDINGS;
	return NULL;
}

static json_t *
run_rescue_undo(struct cli *cli, enum api_exit *ret_exit)
{
	const json_t *params = cli->invocation.params;
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem = rescue_undo(json_object_get(params, "devices"),
	    json_string_value(json_object_get(params, "from")), &result);

	(void)ret_exit;
	if (problem != NULL)
		return problem;
	cli_show(cli, result);
	return NULL;
}

/* Only --repair writes, and only where it is told. */
static json_t *
run_rescue_check(struct cli *cli, enum api_exit *ret_exit)
{
	const json_t *params = cli->invocation.params;
	const struct globals *globals = &cli->invocation.globals;
	bool progress = isatty(STDERR_FILENO) && !globals->quiet;
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem;

	if (json_is_true(json_object_get(params, "repair")))
		return run_rescue_repair(cli, ret_exit);
	if (json_object_get(params, "undo") != NULL ||
	    json_object_get(params, "to") != NULL ||
	    json_is_true(json_object_get(params, "scan")))
		return problem_new(API_USAGE, "usage.option",
		    "--scan, --undo and --to belong to --repair");
	problem =
	    rescue_check(json_object_get(params, "devices"), progress, &result);
	if (problem != NULL)
		return problem;
	findings_show_checked(cli, result, ret_exit);
	return NULL;
}

static json_t *
run_rescue_extract(struct cli *cli, enum api_exit *ret_exit)
{
	const struct globals *globals = &cli->invocation.globals;
	const json_t *params = cli->invocation.params;
	const struct rescue_extract_params extract = {
	    .paths = json_object_get(params, "devices"),
	    .name = json_string_value(json_object_get(params, "lun")),
	    .to = json_string_value(json_object_get(params, "to")),
	    .no_log = json_is_true(json_object_get(params, "no_log")),
	    .progress = isatty(STDERR_FILENO) && !globals->quiet,
	};
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem = rescue_extract(&extract, &result);
	const json_t *item;

	if (problem != NULL)
		return problem;
	item = json_object_get(result, "item");
	if (!findings_are_table(cli))
		printf("%s: %lld bytes, %lld of data, %lld damaged\n",
		    extract.name, findings_number(item, "size"),
		    findings_number(item, "data_bytes"),
		    findings_number(item, "damaged_bytes"));
	findings_show(cli, result, "no findings");
	if (findings_any(json_object_get(result, "items")))
		*ret_exit = API_FINDINGS;
	return NULL;
}

static json_t *
run_rescue_dump(struct cli *cli, enum api_exit *ret_exit)
{
	const json_t *params = cli->invocation.params;
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem = rescue_dump(json_object_get(params, "devices"),
	    json_integer_value(json_object_get(params, "version")), &result);

	(void)ret_exit;
	if (problem != NULL)
		return problem;
	cli_show(cli, result);
	return NULL;
}

/* ---- top ---- */

#define TOP_INTERVAL_MS 2000

static json_t *
top_once(struct cli *cli, bool clear)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem = cli_call(cli, "top", cli->invocation.params, &result);

	if (problem != NULL)
		return problem;
	if (clear)
		fputs("\033[H\033[2J", stdout);
	cli_show(cli, result);
	fflush(stdout);
	return NULL;
}

/* On a terminal until it is interrupted. */
static json_t *
run_top(struct cli *cli, enum api_exit *ret_exit)
{
	const struct timespec interval = {.tv_sec = TOP_INTERVAL_MS / 1000,
	    .tv_nsec = TOP_INTERVAL_MS % 1000 * 1000000};
	const struct globals *globals = &cli->invocation.globals;
	bool refresh =
	    isatty(STDOUT_FILENO) && !globals->json && !globals->plain;
	json_t *problem;

	(void)ret_exit;
	while ((problem = top_once(cli, refresh)) == NULL && refresh)
		nanosleep(&interval, NULL);
	return problem;
}

/* ---- jobs ---- */

static json_t *
run_job_watch(struct cli *cli, enum api_exit *ret_exit)
{
	const char *id =
	    json_string_value(json_object_get(cli->invocation.params, "job"));

	assert(id != NULL);
	return job_follow(cli, id, ret_exit);
}

const struct local_command local_commands[] = {
    {"completion", "", run_completion},
    {"version", "", run_version},
    {"health", "", run_health},
    {"doctor", "", run_doctor},
    {"top", "", run_top},
    {"events", "", run_events},
    {"rescue", "check", run_rescue_check},
    {"rescue", "undo", run_rescue_undo},
    {"rescue", "extract", run_rescue_extract},
    {"rescue", "dump", run_rescue_dump},
    {"snap", "diff", run_snap_diff},
    {"snap", "read", run_snap_read},
    {"snap", "serve", run_snap_serve},
    {"backup", "create", run_backup_create},
    {"backup", "send", run_backup_send},
    {"backup", "receive", run_backup_receive},
    {"backup", "list", run_backup_list},
    {"backup", "verify", run_backup_verify},
    {"backup", "restore", run_backup_restore},
    {"backup", "merge", run_backup_merge},
    {"backup", "prune", run_backup_prune},
    {"job", "watch", run_job_watch},
    {NULL, NULL, NULL},
};

const struct local_command *
local_find(const struct api_command *command)
{
	const struct local_command *local = local_commands;

	for (; local->noun != NULL; local++) {
		if (strcmp(local->noun, command->noun) == 0 &&
		    strcmp(local->verb, command->verb) == 0)
			return local;
	}
	return NULL;
}
