/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines go out page by page, so a difference of millions of lines needs no
 * memory for all of them.  JSON is one object, and is kept as text until the
 * last page is there: half an answer is none.
 */
#include "tools/diff.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "tools/problem.h"
#include <inttypes.h>
#include <string.h>

#define PAGE_LINES 4096

struct pages {
	struct cli *cli;
	json_t *params;
	json_int_t left; /* lines that may come yet; -1: all */
	size_t count;    /* lines so far */
	FILE *json;      /* the items, as text; NULL: lines go out */
	char *text;
	size_t text_size;
};

/* ---- a page out ---- */

static void
item_json(struct pages *pages, const json_t *item)
{
	if (pages->count > 0)
		fputc(',', pages->json);
	json_dumpf(item, pages->json, JSON_COMPACT);
}

static void
item_line(const struct pages *pages, const json_t *item)
{
	char separator = pages->cli->invocation.globals.plain ? '\t' : ' ';

	printf("%" JSON_INTEGER_FORMAT "%c%" JSON_INTEGER_FORMAT "%c",
	    json_integer_value(json_object_get(item, "offset")), separator,
	    json_integer_value(json_object_get(item, "length")), separator);
	print_safely(json_string_value(json_object_get(item, "kind")), stdout);
	fputc('\n', stdout);
}

static void
page_out(struct pages *pages, const json_t *items)
{
	const json_t *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		if (pages->json != NULL)
			item_json(pages, item);
		else if (!pages->cli->invocation.globals.quiet)
			item_line(pages, item);
		pages->count++;
	}
}

/* ---- all of them ---- */

static void
page_size(struct pages *pages)
{
	json_int_t lines = PAGE_LINES;

	if (pages->left >= 0 && pages->left < lines)
		lines = pages->left;
	json_object_set_new(pages->params, "limit", json_integer(lines));
}

/* *ret_more: there is another page, and it is wanted. */
static json_t *
page_ask(struct pages *pages, bool *ret_more)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *cursor, *problem;
	const json_t *items;

	page_size(pages);
	problem = cli_call(pages->cli, "snap.diff", pages->params, &result);
	if (problem != NULL)
		return problem;
	items = json_object_get(result, "items");
	page_out(pages, items);
	if (pages->left >= 0)
		pages->left -= (json_int_t)json_array_size(items);
	cursor = json_object_get(result, "cursor");
	*ret_more = json_is_integer(cursor) && pages->left != 0;
	if (*ret_more)
		json_object_set(pages->params, "cursor", cursor);
	return NULL;
}

static json_t *
pages_ask(struct pages *pages)
{
	json_t *problem = NULL;
	bool more = true;

	while (problem == NULL && more)
		problem = page_ask(pages, &more);
	return problem;
}

static json_t *
all_json(struct pages *pages)
{
	json_t *problem;

	pages->json = open_memstream(&pages->text, &pages->text_size);
	assert(pages->json != NULL);
	problem = pages_ask(pages);
	fclose(pages->json);
	if (problem == NULL)
		printf("{\"varve\":1,\"kind\":\"snap.diff\",\"items\":[%s]}\n",
		    pages->text);
	free(pages->text);
	return problem;
}

/* As one table: sorted, or with other columns. */
static json_t *
one_answer(struct cli *cli)
{
	_cleanup_(json_decrefpp) json_t *result = NULL;
	json_t *problem =
	    cli_call(cli, "snap.diff", cli->invocation.params, &result);

	if (problem == NULL)
		cli_show(cli, result);
	return problem;
}

json_t *
run_snap_diff(struct cli *cli, enum api_exit *ret_exit)
{
	const struct globals *globals = &cli->invocation.globals;
	json_t *params = cli->invocation.params;
	json_t *limit = json_object_get(params, "limit");
	struct pages pages = {.cli = cli, .left = -1};
	json_t *problem;

	(void)ret_exit;
	/* who gives a cursor or a limit with --json, or asks for a table, pages
	 * himself: the answer is the API's */
	if ((globals->json &&
		(limit != NULL || json_object_get(params, "cursor"))) ||
	    globals->columns != NULL || globals->sort != NULL)
		return one_answer(cli);
	if (limit != NULL)
		pages.left = json_integer_value(limit);
	pages.params = json_deep_copy(params);
	assert(pages.params != NULL);
	problem = globals->json ? all_json(&pages) : pages_ask(&pages);
	json_decref(pages.params);
	return problem;
}
