/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/backup.h"
#include "backup/backup.h"
#include "backup/pipe.h"
#include "backup/serve.h"
#include "backup/ssh.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "tools/findings.h"
#include "tools/problem.h"
#include "tools/progress.h"
#include "tools/terminal.h"
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LEVEL_MAX    19
#define SHOW_SECONDS 0.2 /* on a terminal */
#define JSON_SECONDS 1.0

/* ---- parameters ---- */

static const char *
text_of(const struct cli *cli, const char *name)
{
	return json_string_value(json_object_get(cli->invocation.params, name));
}

static bool
flag_of(const struct cli *cli, const char *name)
{
	return json_is_true(json_object_get(cli->invocation.params, name));
}

static uint64_t
number_of(const struct cli *cli, const char *name, uint64_t otherwise)
{
	const json_t *value = json_object_get(cli->invocation.params, name);

	return value != NULL ? (uint64_t)json_integer_value(value) : otherwise;
}

static json_t *
level_of(const struct cli *cli, int *ret_level)
{
	uint64_t level = number_of(cli, "level", BACKUP_LEVEL_MERGE);

	*ret_level = (int)level;
	if (level >= 1 && level <= LEVEL_MAX)
		return NULL;
	return problem_new(API_USAGE, "usage.argument",
	    "--level has to be from 1 to %d", LEVEL_MAX);
}

static json_t *
level_or_auto_of(const struct cli *cli, int *ret_level)
{
	const char *text = text_of(cli, "level");
	char *end;
	long level;

	*ret_level = BACKUP_LEVEL_AUTO;
	if (text == NULL || strcmp(text, "auto") == 0)
		return NULL;
	level = strtol(text, &end, 10);
	*ret_level = (int)level;
	if (end != text && *end == '\0' && level >= 1 && level <= LEVEL_MAX)
		return NULL;
	return problem_new(API_USAGE, "usage.argument",
	    "--level has to be auto, or from 1 to %d", LEVEL_MAX);
}

/* ./FILE becomes a path from the root, as paths of other commands are. */
static char *
target_of(const char *to)
{
	_cleanup_(freep) char *here = NULL;
	char *path;

	if (to[0] != '.')
		return strdup(to);
	here = getcwd(NULL, 0);
	if (here == NULL || asprintf(&path, "%s/%s", here, to) < 0)
		abort();
	return path;
}

/* Of what runs here nothing is destroyed without being asked for. */
static json_t *
confirm_here(const struct cli *cli)
{
	const struct invocation *invocation = &cli->invocation;
	const char *with = invocation->command->asks_with;

	if (invocation->globals.yes || invocation->globals.dry_run ||
	    (with != NULL && !flag_of(cli, with)))
		return NULL;
	return confirm(invocation->command, invocation->object);
}

/* ---- progress ---- */

struct following {
	struct backup_watch watch;
	const struct cli *cli;
	const char *name;
	bool quiet, shown;
	double began, last;
	uint64_t done_first;
	bool any;
};

static volatile sig_atomic_t interrupted;

static void
interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

static void
show_json(const struct following *following, uint64_t done, uint64_t total,
    double rate)
{
	const struct api_command *command = following->cli->invocation.command;
	_cleanup_(freep) char *kind = NULL;
	json_t *line;

	if (asprintf(&kind, "%s.progress", command->noun) < 0)
		abort();
	line = json_pack("{s:i, s:s, s:{s:o, s:I, s:I, s:I, s:o}}", "varve", 1,
	    "kind", kind, "item", "name", json_string_lossy(following->name),
	    "done", (json_int_t)done, "total", (json_int_t)total, "rate",
	    (json_int_t)rate, "eta",
	    rate > 0 && total >= done
		? json_integer((json_int_t)((double)(total - done) / rate))
		: json_null());
	json_dumpf(line, stdout, JSON_COMPACT);
	fputc('\n', stdout);
	fflush(stdout);
	json_decref(line);
}

static json_t *
progress(struct backup_watch *watch, uint64_t done, uint64_t total)
{
	struct following *following =
	    container_of(watch, struct following, watch);
	bool json = following->cli->invocation.globals.json;
	double now = progress_now(), rate = 0;
	char line[PROGRESS_LINE_MAX];

	if (interrupted)
		return problem_new(
		    API_FAILED, "backup.interrupted", "interrupted");
	if (!following->any)
		following->done_first = done;
	following->any = true;
	if (following->quiet ||
	    now - following->last < (json ? JSON_SECONDS : SHOW_SECONDS))
		return NULL;
	following->last = now;
	if (now > following->began)
		rate = (double)(done - following->done_first) /
		       (now - following->began);
	following->shown = true;
	if (json) {
		show_json(following, done, total, rate);
	} else {
		progress_line(
		    following->name, (double)done, (double)total, rate, line);
		progress_show(line);
	}
	return NULL;
}

static void
follow_begin(
    struct following *following, const struct cli *cli, const char *name)
{
	/* a second one ends what does not hear the first */
	const struct sigaction action = {
	    .sa_handler = interrupt, .sa_flags = (int)SA_RESETHAND};
	const struct globals *globals = &cli->invocation.globals;
	bool terminal = isatty(STDERR_FILENO);

	*following = (struct following){.watch.progress = progress,
	    .cli = cli,
	    .name = name,
	    .quiet = globals->quiet || (!globals->json && !terminal)};
	following->began = following->last = progress_now();
	interrupted = 0;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* What an interrupted person is told; the problem otherwise. */
static json_t *
follow_end(const struct following *following, json_t *problem,
    const char *after, enum api_exit *ret_exit)
{
	if (following->shown && !following->cli->invocation.globals.json)
		progress_show("");
	if (problem == NULL ||
	    strcmp(varve_problem_code(problem), "backup.interrupted") != 0)
		return problem;
	json_decref(problem);
	fprintf(stderr, "interrupted: %s\n", after);
	*ret_exit = API_INTERRUPTED;
	return NULL;
}

/* ---- answers ---- */

/* Takes value. */
static json_t *
result_of(const struct cli *cli, const char *member, json_t *value)
{
	const struct api_command *command = cli->invocation.command;
	_cleanup_(freep) char *kind = NULL;
	json_t *result;

	if (asprintf(&kind, "%s.%s", command->noun, command->verb) < 0)
		abort();
	result = json_pack(
	    "{s:i, s:s, s:o}", "varve", 1, "kind", kind, member, value);
	if (cli->invocation.globals.dry_run)
		json_object_set_new(result, "dry_run", json_true());
	return result;
}

static void
show_item(struct cli *cli, const struct following *following, json_t *item)
{
	json_t *result;

	if (item == NULL)
		return;
	json_object_set_new(
	    item, "seconds", json_real(progress_now() - following->began));
	result = result_of(cli, "item", item);
	cli_show(cli, result);
	json_decref(result);
}

static void
show_items(struct cli *cli, json_t *items)
{
	json_t *result;

	if (items == NULL)
		return;
	result = result_of(cli, "items", items);
	cli_show(cli, result);
	json_decref(result);
}

/* ---- verbs ---- */

/* One that is not there now is said at once; one that goes away later on is
 * waited for, as its portals are. */
static json_t *
greet(struct varve *varve)
{
	json_t *result = NULL, *problem;

	problem = varve_ask(varve, "version", NULL, &result);
	json_decref(result);
	varve_set_patience(varve, varve_timeout(varve));
	return problem;
}

static json_t *
varve_of(struct cli *cli, struct varve **ret_varve)
{
	json_t *problem = cli_open(cli);

	if (problem == NULL)
		problem = greet(cli->varve);
	*ret_varve = cli->varve;
	return problem;
}

json_t *
run_backup_create(struct cli *cli, enum api_exit *ret_exit)
{
	struct following following;
	struct backup_create_params params = {
	    .snap = text_of(cli, "snap"),
	    .path = text_of(cli, "to"),
	    .since = text_of(cli, "since"),
	    .portal = text_of(cli, "portal"),
	    .mark_bytes = number_of(cli, "checkpoint", BACKUP_MARK_DEFAULT),
	    .dry_run = cli->invocation.globals.dry_run,
	    .watch = &following.watch,
	};
	json_t *item = NULL;
	json_t *problem = level_or_auto_of(cli, &params.level);

	if (problem == NULL)
		problem = varve_of(cli, &params.varve);
	if (problem != NULL)
		return problem;
	follow_begin(&following, cli, params.snap);
	problem = follow_end(&following, backup_create(&params, &item),
	    "the same command goes on where it was", ret_exit);
	show_item(cli, &following, item);
	return problem;
}

/* Where else than to this varved; at most one of them. */
static json_t *
other_end(struct cli *cli, struct backup_send_params *params,
    struct ssh_params *ssh, struct varve **ret_other)
{
	const char *connect = text_of(cli, "to_connect");
	bool pipe = strcmp(params->to, "-") == 0;
	json_t *problem = NULL;

	if ((connect != NULL) + (ssh->host != NULL) + pipe > 1 ||
	    (params->since != NULL && !pipe))
		return problem_new(API_USAGE, "usage.option",
		    "--to-connect, --to-ssh and --to - are three ways, and "
		    "--since belongs to the last");
	if (pipe && isatty(STDOUT_FILENO))
		return problem_fix(problem_new(API_USAGE, "usage.argument",
				       "a stream is nothing for a terminal"),
		    "varve backup send %s --to - | ssh HOST varve backup "
		    "receive POOL/LUN",
		    params->snap);
	/* who does not want it any more says why; or nobody does */
	if (pipe || ssh->host != NULL)
		signal(SIGPIPE, SIG_IGN);
	params->to_pipe = pipe;
	params->out = STDOUT_FILENO;
	params->ssh = ssh->host != NULL ? ssh : NULL;
	if (connect != NULL)
		problem = varve_open(connect, ret_other);
	if (problem == NULL && *ret_other != NULL) {
		varve_set_timeout(*ret_other, varve_timeout(params->varve));
		problem = greet(*ret_other);
	}
	params->to_varve = *ret_other != NULL ? *ret_other : params->varve;
	return problem;
}

static struct ssh_params
ssh_of(const struct cli *cli)
{
	const char *command = text_of(cli, "ssh_command");
	const char *varve = text_of(cli, "to_varve");

	if (command == NULL)
		command = getenv("VARVE_SSH");
	return (struct ssh_params){.host = text_of(cli, "to_ssh"),
	    .command = command,
	    .varve = varve != NULL ? varve : "varve"};
}

json_t *
run_backup_send(struct cli *cli, enum api_exit *ret_exit)
{
	_cleanup_(varve_closep) struct varve *other = NULL;
	struct following following;
	struct ssh_params ssh = ssh_of(cli);
	struct backup_send_params params = {
	    .snap = text_of(cli, "snap"),
	    .to = text_of(cli, "to"),
	    .since = text_of(cli, "since"),
	    .portal = text_of(cli, "portal"),
	    .to_portal = text_of(cli, "to_portal"),
	    .mark_bytes = number_of(cli, "checkpoint", BACKUP_MARK_DEFAULT),
	    .dry_run = cli->invocation.globals.dry_run,
	    .watch = &following.watch,
	};
	json_t *item = NULL;
	json_t *problem = level_of(cli, &params.level);

	if (problem == NULL)
		problem = varve_of(cli, &params.varve);
	if (problem == NULL)
		problem = other_end(cli, &params, &ssh, &other);
	if (problem != NULL)
		return problem;
	follow_begin(&following, cli, params.snap);
	following.quiet |= params.to_pipe && cli->invocation.globals.json;
	problem = follow_end(&following, backup_send(&params, &item),
	    "the same command goes on where it was", ret_exit);
	/* standard output is the stream's */
	if (params.to_pipe)
		json_decref(item);
	else
		show_item(cli, &following, item);
	return problem;
}

/* Standard output is the answers', and standard error is read by who sends. */
static json_t *
answered(json_t *problem, enum api_exit *ret_exit)
{
	if (problem == NULL)
		return NULL;
	*ret_exit = (enum api_exit)varve_problem_exit(problem);
	json_decref(problem);
	return NULL;
}

json_t *
run_backup_receive(struct cli *cli, enum api_exit *ret_exit)
{
	bool answers = flag_of(cli, "answer");
	struct following following;
	struct backup_receive_params params = {
	    .to = text_of(cli, "to"),
	    .portal = text_of(cli, "portal"),
	    .in = STDIN_FILENO,
	    .out = answers ? STDOUT_FILENO : -1,
	    .watch = &following.watch,
	};
	json_t *item = NULL;
	json_t *problem = varve_of(cli, &params.varve);

	signal(SIGPIPE, SIG_IGN);
	if (problem != NULL && answers)
		pipe_refuse(STDOUT_FILENO, problem);
	if (problem != NULL)
		return answers ? answered(problem, ret_exit) : problem;
	follow_begin(&following, cli, params.to);
	following.quiet |= answers;
	problem = follow_end(&following, backup_receive(&params, &item),
	    "the same command goes on where it was", ret_exit);
	if (answers) {
		json_decref(item);
		return answered(problem, ret_exit);
	}
	show_item(cli, &following, item);
	return problem;
}

json_t *
run_backup_list(struct cli *cli, enum api_exit *ret_exit)
{
	json_t *items = NULL;
	json_t *problem = backup_list(text_of(cli, "directory"), &items);

	(void)ret_exit;
	show_items(cli, items);
	return problem;
}

json_t *
run_backup_verify(struct cli *cli, enum api_exit *ret_exit)
{
	struct following following;
	struct backup_verify_params params = {
	    .path = text_of(cli, "directory"),
	    .at = text_of(cli, "at"),
	    .portal = text_of(cli, "portal"),
	    .deep = flag_of(cli, "deep"),
	    .watch = &following.watch,
	};
	json_t *items = NULL, *result;
	json_t *problem = NULL;

	if (params.deep)
		problem = varve_of(cli, &params.varve);
	if (problem != NULL)
		return problem;
	follow_begin(&following, cli, params.path);
	problem = follow_end(&following, backup_verify(&params, &items),
	    "nothing is known of what was not read", ret_exit);
	if (items == NULL)
		return problem;
	result = result_of(cli, "items", items);
	findings_show(cli, result, "everything is as it was written");
	if (findings_any(items))
		*ret_exit = API_FINDINGS;
	json_decref(result);
	return problem;
}

static bool
is_path(const char *to)
{
	return to[0] == '/' || strcmp(to, "-") == 0;
}

json_t *
run_backup_restore(struct cli *cli, enum api_exit *ret_exit)
{
	_cleanup_(freep) char *to = target_of(text_of(cli, "to"));
	struct following following;
	struct backup_restore_params params = {
	    .path = text_of(cli, "directory"),
	    .at = text_of(cli, "at"),
	    .to = to,
	    .portal = text_of(cli, "portal"),
	    .overwrite = flag_of(cli, "overwrite"),
	    .dry_run = cli->invocation.globals.dry_run,
	    .watch = &following.watch,
	};
	json_t *item = NULL;
	json_t *problem = confirm_here(cli);

	if (problem == NULL && !is_path(to))
		problem = varve_of(cli, &params.varve);
	if (problem != NULL)
		return problem;
	follow_begin(&following, cli, params.path);
	following.quiet |= strcmp(to, "-") == 0 && cli->invocation.globals.json;
	problem = follow_end(&following, backup_restore(&params, &item),
	    "what was written has no name yet", ret_exit);
	/* standard output is the image's */
	if (strcmp(to, "-") == 0)
		json_decref(item);
	else
		show_item(cli, &following, item);
	return problem;
}

json_t *
run_backup_merge(struct cli *cli, enum api_exit *ret_exit)
{
	struct following following;
	struct backup_merge_params params = {
	    .path = text_of(cli, "directory"),
	    .from = text_of(cli, "from"),
	    .to = text_of(cli, "to"),
	    .dry_run = cli->invocation.globals.dry_run,
	    .watch = &following.watch,
	};
	json_t *item = NULL;
	json_t *problem = level_of(cli, &params.level);

	if (problem == NULL)
		problem = confirm_here(cli);
	if (problem != NULL)
		return problem;
	follow_begin(&following, cli, params.path);
	problem = follow_end(&following, backup_merge(&params, &item),
	    "nothing is merged", ret_exit);
	show_item(cli, &following, item);
	return problem;
}

json_t *
run_backup_prune(struct cli *cli, enum api_exit *ret_exit)
{
	struct following following;
	struct backup_prune_params params = {
	    .path = text_of(cli, "directory"),
	    .keep = text_of(cli, "keep"),
	    .dry_run = cli->invocation.globals.dry_run,
	    .watch = &following.watch,
	};
	json_t *items = NULL;
	json_t *problem = level_of(cli, &params.level);

	if (problem == NULL)
		problem = confirm_here(cli);
	if (problem != NULL)
		return problem;
	follow_begin(&following, cli, params.path);
	problem = follow_end(&following, backup_prune(&params, &items),
	    "what was not merged yet is as it was", ret_exit);
	show_items(cli, items);
	return problem;
}

json_t *
run_snap_read(struct cli *cli, enum api_exit *ret_exit)
{
	const char *where = text_of(cli, "to");
	_cleanup_(freep) char *to = target_of(where != NULL ? where : "-");
	struct following following;
	struct backup_read_params params = {
	    .snap = text_of(cli, "snap"),
	    .to = to,
	    .portal = text_of(cli, "portal"),
	    .overwrite = flag_of(cli, "overwrite"),
	    .watch = &following.watch,
	};
	json_t *item = NULL, *result;
	json_t *problem = NULL;

	if (!is_path(to))
		return problem_fix(problem_new(API_USAGE, "usage.argument",
				       "%s is no path with a / or a . before "
				       "all else",
				       to),
		    "--to ./%s", to);
	if (strcmp(to, "-") == 0 && isatty(STDOUT_FILENO))
		return problem_fix(problem_new(API_USAGE, "usage.argument",
				       "an image is nothing for a terminal"),
		    "varve snap read %s --to ./FILE", params.snap);
	problem = varve_of(cli, &params.varve);
	if (problem != NULL)
		return problem;
	follow_begin(&following, cli, params.snap);
	following.quiet |= strcmp(to, "-") == 0 && cli->invocation.globals.json;
	problem = follow_end(&following, backup_read(&params, &item),
	    "what was written is not all", ret_exit);
	if (item != NULL && strcmp(to, "-") != 0) {
		result = result_of(cli, "item", json_incref(item));
		cli_show(cli, result);
		json_decref(result);
	}
	json_decref(item);
	return problem;
}

/* ---- snap serve ---- */

#define SERVE_TTL_SECONDS (4 * 3600)

struct ready {
	struct cli *cli;
	const char *snap;
	unsigned ttl;
};

/* Who started it waits for this line. */
static void
say_ready(void *arg, const char *uri)
{
	const struct ready *ready = arg;
	time_t until = time(NULL) + ready->ttl;
	char text[64];
	json_t *result;
	struct tm tm;

	if (!ready->cli->invocation.globals.json) {
		puts(uri);
		fflush(stdout);
		return;
	}
	gmtime_r(&until, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	result = result_of(ready->cli, "item",
	    json_pack("{s:s, s:s, s:s}", "uri", uri, "name", ready->snap,
		"expires", text));
	cli_show(ready->cli, result);
	json_decref(result);
	fflush(stdout);
}

json_t *
run_snap_serve(struct cli *cli, enum api_exit *ret_exit)
{
	const struct sigaction action = {.sa_handler = interrupt};
	struct ready ready = {.cli = cli,
	    .snap = text_of(cli, "snap"),
	    .ttl = (unsigned)number_of(cli, "ttl", SERVE_TTL_SECONDS)};
	struct serve_params params = {
	    .snap = ready.snap,
	    .since = text_of(cli, "since"),
	    .listen = text_of(cli, "nbd"),
	    .tls = text_of(cli, "tls"),
	    .tls_verify = flag_of(cli, "tls_verify"),
	    .portal = text_of(cli, "portal"),
	    .ttl_seconds = ready.ttl,
	    .ready = say_ready,
	    .arg = &ready,
	    .stop = &interrupted,
	};
	json_t *problem = varve_of(cli, &params.varve);

	(void)ret_exit;
	if (problem == NULL && params.tls_verify && params.tls == NULL)
		problem = problem_new(
		    API_USAGE, "usage.option", "--tls-verify belongs to --tls");
	if (problem != NULL)
		return problem;
	interrupted = 0;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return snap_serve(&params);
}
