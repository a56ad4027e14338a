/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each page is asked for from where the one before it has ended; one without
 * events was the last, for now.
 */
#include "tools/events.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "tools/problem.h"
#include "tools/show.h"
#include <signal.h>
#include <string.h>
#include <time.h>

#define FOLLOW_FIRST       10 /* that are shown before those that come */
#define FOLLOW_PAUSE_MS    500
#define FOLLOW_PATIENCE_MS 30000 /* varved may be restarted */

/* ---- all there are ---- */

/* Asks for the page, and has params say where the next one begins. */
static json_t *
page_ask(struct cli *cli, json_t *params, json_t **ret_result)
{
	json_t *problem = cli_call(cli, "events", params, ret_result);
	json_t *cursor = json_object_get(*ret_result, "cursor");

	if (problem == NULL && json_is_integer(cursor))
		json_object_set(params, "cursor", cursor);
	return problem;
}

/* One answer, with the items of all pages and the cursor of the last one. */
static json_t *
pages_ask(struct cli *cli, json_t *params, json_t **ret_result)
{
	json_t *problem = page_ask(cli, params, ret_result);
	json_t *all = json_object_get(*ret_result, "items");
	bool more = json_array_size(all) > 0;

	while (problem == NULL && more) {
		_cleanup_(json_decrefpp) json_t *page = NULL;
		problem = page_ask(cli, params, &page);
		if (problem != NULL)
			break;
		more = json_array_size(json_object_get(page, "items")) > 0;
		json_array_extend(all, json_object_get(page, "items"));
		json_object_set(
		    *ret_result, "cursor", json_object_get(page, "cursor"));
	}
	return problem;
}

static json_t *
show_once(struct cli *cli, json_t *params)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	bool all = json_object_get(params, "since") != NULL &&
		   json_object_get(params, "limit") == NULL;
	json_t *problem = (all ? pages_ask : page_ask)(cli, params, &result);

	if (problem == NULL)
		cli_show(cli, result);
	return problem;
}

/* ---- those that come ---- */

static volatile sig_atomic_t interrupted;

static void
interrupt(int signal_number)
{
	(void)signal_number;
	interrupted = 1;
}

static void
event_json(const json_t *item)
{
	json_t *line = json_pack("{s:i, s:s, s:O}", "varve", 1, "kind",
	    "events.event", "item", item);

	json_dumpf(line, stdout, JSON_COMPACT);
	fputc('\n', stdout);
	json_decref(line);
}

static void
event_word(const json_t *item, const char *member, const char *after)
{
	const char *text = json_string_value(json_object_get(item, member));

	if (text != NULL)
		print_safely(text, stdout);
	fputs(after, stdout);
}

/* 2026-03-01 14:00:00 +0100  warning: TEXT   [KIND] */
static void
event_line(const json_t *item)
{
	_cleanup_(freep) char *at =
	    show_value(API_SHOW_TIME, json_object_get(item, "at"), SHOW_PEOPLE);

	print_safely(at, stdout);
	fputs("  ", stdout);
	event_word(item, "severity", ": ");
	event_word(item, "text", "   [");
	event_word(item, "kind", "]\n");
}

static void
page_show(struct cli *cli, const json_t *result)
{
	const struct globals *globals = &cli->invocation.globals;
	const json_t *items = json_object_get(result, "items"), *item;
	size_t i;

	if (json_array_size(items) == 0 || globals->quiet)
		return;
	if (!globals->json && (globals->plain || globals->columns != NULL)) {
		table_print(
		    cli->invocation.command, result, &cli->show, stdout);
	} else {
		json_array_foreach(items, i, item)(
		    globals->json ? event_json : event_line)(item);
	}
	fflush(stdout);
}

static json_t *
follow(struct cli *cli, json_t *params)
{
	const struct timespec pause = {.tv_nsec = FOLLOW_PAUSE_MS * 1000000};
	json_t *problem = cli_open(cli);

	if (problem != NULL)
		return problem;
	varve_set_patience(cli->varve, FOLLOW_PATIENCE_MS);
	cli->show.plain = true; /* one table, page by page: no headers */
	if (json_object_get(params, "since") == NULL &&
	    json_object_get(params, "limit") == NULL)
		json_object_set_new(
		    params, "limit", json_integer(FOLLOW_FIRST));
	while (!interrupted) {
		_cleanup_(json_decrefpp) json_t *result = NULL;
		problem = page_ask(cli, params, &result);
		if (problem != NULL || interrupted)
			break;
		page_show(cli, result);
		json_object_del(params, "limit");
		if (json_array_size(json_object_get(result, "items")) == 0)
			nanosleep(&pause, NULL);
	}
	if (!interrupted)
		return problem;
	json_decref(problem);
	return NULL;
}

static json_t *
follow_until_interrupted(
    struct cli *cli, json_t *params, enum api_exit *ret_exit)
{
	const struct sigaction action = {.sa_handler = interrupt};
	struct sigaction before;
	json_t *problem;

	interrupted = 0;
	sigaction(SIGINT, &action, &before);
	problem = follow(cli, params);
	sigaction(SIGINT, &before, NULL);
	if (interrupted)
		*ret_exit = API_INTERRUPTED;
	return problem;
}

json_t *
run_events(struct cli *cli, enum api_exit *ret_exit)
{
	_cleanup_(json_decrefpp) json_t *params =
	    json_deep_copy(cli->invocation.params);
	bool follows = json_is_true(json_object_get(params, "follow"));

	assert(params != NULL);
	json_object_del(params, "follow");
	return follows ? follow_until_interrupted(cli, params, ret_exit)
		       : show_once(cli, params);
}
