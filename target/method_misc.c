/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * top, version, api schema.
 */
#include "base/version.h"
#include "target/method.h"
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

/* ---- top ---- */

/* A younger sample says too little. */
#define SAMPLE_MIN_NS (NSEC_PER_SEC / 2)

static double
rate(uint64_t now, uint64_t before, double seconds)
{
	return seconds > 0 && now > before ? (double)(now - before) / seconds
					   : 0;
}

static json_t *
top_item(const struct survey_pool *sp, const struct survey_lun *sl,
    struct house_lun *hl, uint64_t now_ns)
{
	const struct lun_stat *now = &sl->lun, *before = &hl->sample;
	double seconds =
	    (double)(now_ns - hl->sample_ns) / (double)NSEC_PER_SEC;
	uint64_t ops = now->latency.count - before->latency.count;
	uint64_t ns = now->latency.total_ns - before->latency.total_ns;
	const struct {
		const char *name;
		double value;
	} rates[] = {
	    {"read_iops", rate(now->reads, before->reads, seconds)},
	    {"write_iops", rate(now->writes, before->writes, seconds)},
	    {"read_rate", rate(now->read_bytes, before->read_bytes, seconds)},
	    {"write_rate",
		rate(now->write_bytes, before->write_bytes, seconds)},
	    {"unmap_iops", rate(now->unmaps, before->unmaps, seconds)},
	    {"flush_iops", rate(now->flushes, before->flushes, seconds)},
	    {"latency", ops > 0 ? (double)ns / (double)ops / 1000 : 0},
	    {"seconds", seconds},
	};
	json_t *item = json_pack("{s:o, s:i}", "name", version_name(sp, sl),
	    "tasks", (int)now->tasks);

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
		json_object_set_new(
		    item, rates[i].name, json_real(rates[i].value));
	if (now_ns - hl->sample_ns >= SAMPLE_MIN_NS) {
		hl->sample = *now;
		hl->sample_ns = now_ns;
	}
	return item;
}

struct top_row {
	json_t *item;
	double key;
};

static int
top_compare(const void *a, const void *b)
{
	const struct top_row *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? 1 : -1;
	return strcmp(json_string_value(json_object_get(x->item, "name")),
	    json_string_value(json_object_get(y->item, "name")));
}

static double
member(const json_t *item, const char *name)
{
	return json_number_value(json_object_get(item, name));
}

static double
top_key(const json_t *item, const char *by)
{
	if (strcmp(by, "bytes") == 0)
		return member(item, "read_rate") + member(item, "write_rate");
	if (strcmp(by, "latency") == 0)
		return member(item, "latency");
	if (strcmp(by, "name") == 0)
		return 0;
	return member(item, "read_iops") + member(item, "write_iops");
}

static json_t *
top_sort(json_t *items, const char *by)
{
	size_t count = json_array_size(items), i;
	struct top_row *rows = calloc(count + 1, sizeof(*rows));
	json_t *sorted = json_array(), *item;

	assert(rows != NULL);
	json_array_foreach(items, i, item) rows[i] =
	    (struct top_row){item, top_key(item, by)};
	qsort(rows, count, sizeof(*rows), top_compare);
	for (i = 0; i < count; i++)
		json_array_append(sorted, rows[i].item);
	free(rows);
	json_decref(items);
	return sorted;
}

static void
top_add(json_t *items, struct request *request, const struct survey_pool *sp,
    const struct survey_lun *sl)
{
	struct house_lun *hl = house_lun_find(request->house, sl->volume.uuid);

	if (sl->served && hl != NULL)
		json_array_append_new(items,
		    top_item(sp, sl, hl, loop_now(request->house->home)));
}

static void
top_answer(struct request *request)
{
	const char *by = param_text(request->params, "by");
	const struct survey *survey = request->survey;
	json_t *items = json_array();

	for (unsigned p = 0; p < survey->pool_count; p++) {
		const struct survey_pool *sp = &survey->pools[p];
		for (unsigned l = 0; l < sp->lun_count; l++)
			top_add(items, request, sp, &sp->luns[l]);
		for (unsigned i = 0; i < sp->snap_count; i++)
			top_add(items, request, sp, &sp->snaps[i]);
	}
	request_answer_items(
	    request, top_sort(items, by != NULL ? by : "iops"));
}

/* There may be many snapshots, of which few are served. */
static bool
serves_snapshots(const struct house *house)
{
	const struct house_pool *hp;
	const struct house_lun *hl;

	list_for_each (hp, &house->pools, link) {
		list_for_each (hl, &hp->luns, link) {
			if (strchr(hl->label, '@') != NULL)
				return true;
		}
	}
	return false;
}

void
method_top(struct request *request)
{
	method_survey_also(request, "", "",
	    serves_snapshots(request->house) ? SURVEY_SNAPS : 0, top_answer);
}

/* ---- version ---- */

void
method_version(struct request *request)
{
	const struct house *house = request->house;
	char boot[STATE_UUID_TEXT] = "";
	struct utsname name;
	uuid_t id;

	if (uname(&name) < 0)
		name.release[0] = '\0';
	if (boot_id_read(id) == 0)
		uuid_unparse_lower(id, boot);
	request_answer(request,
	    json_pack("{s:s, s:i, s:i, s:s, s:s, s:i, s:o, s:s, s:o}",
		"version", VARVE_VERSION, "api", 1, "state", STATE_VERSION,
		"sqlite", sqlite3_libversion(), "kernel", name.release, "pid",
		(int)getpid(), "started", json_time(house->started_unix),
		"boot", boot, "directory",
		json_text(house->config->state_dir)));
}

/* ---- api schema ---- */

static json_t *
column_schema(const struct api_column *column)
{
	static const char *const kinds[] = {
	    [API_SHOW_TEXT] = "string",
	    [API_SHOW_BYTES] = "integer",
	    [API_SHOW_COUNT] = "integer",
	    [API_SHOW_PERCENT] = "integer",
	    [API_SHOW_TIME] = "string",
	    [API_SHOW_RATE_BYTES] = "number",
	    [API_SHOW_RATE] = "number",
	    [API_SHOW_USEC] = "number",
	    [API_SHOW_BOOL] = "boolean",
	    [API_SHOW_LIST] = "array",
	    [API_SHOW_SECONDS] = "integer",
	    [API_SHOW_BUCKETS] = "array",
	    [API_SHOW_OBJECT] = "object",
	};
	json_t *schema = json_pack("{s:[s,s], s:s}", "type",
	    kinds[column->kind], "null", "description", column->help);

	if (column->kind == API_SHOW_LIST)
		json_object_set_new(
		    schema, "items", json_pack("{s:s}", "type", "string"));
	if (column->kind == API_SHOW_BUCKETS)
		json_object_set_new(schema, "items",
		    json_pack("{s:s, s:i, s:i, s:{s:s}}", "type", "array",
			"minItems", 2, "maxItems", 2, "items", "type",
			"integer"));
	return schema;
}

static json_t *
item_schema(const struct api_command *command)
{
	json_t *properties = json_object();

	for (const struct api_column *c = command->columns;
	     c != NULL && c->name != NULL; c++)
		json_object_set_new(properties, c->name, column_schema(c));
	if ((command->flags & API_RAW) != 0)
		json_object_set_new(properties, "document",
		    json_pack("{s:s}", "type", "object"));
	return json_pack(
	    "{s:s, s:o}", "type", "object", "properties", properties);
}

/* A method that takes a cursor answers with the next. */
static void
paged_schema(const struct api_command *command, json_t *schema)
{
	for (const struct api_arg *arg = command->args; arg->name; arg++) {
		if (strcmp(arg->name, "cursor") == 0)
			json_object_set_new(
			    json_object_get(schema, "properties"), "cursor",
			    json_pack("{s:[s,s], s:s}", "type", "integer",
				"null", "description",
				"where the next page begins; null: nowhere"));
	}
}

static json_t *
result_schema(const struct api_command *command)
{
	json_t *item = item_schema(command);
	bool list = (command->flags & API_LIST) != 0;

	if (list)
		item = json_pack("{s:s, s:o}", "type", "array", "items", item);
	json_t *schema = json_pack(
	    "{s:s, s:{s:{s:i}, s:{s:s}, s:{s:s}, s:{s:s}, s:o}, s:[s,s,s]}",
	    "type", "object", "properties", "varve", "const", 1, "kind",
	    "const", command->method, "generation", "type", "integer",
	    "dry_run", "type", "boolean", list ? "items" : "item", item,
	    "required", "varve", "kind", list ? "items" : "item");

	assert(schema != NULL);
	paged_schema(command, schema);
	return schema;
}

void
method_api_schema(struct request *request)
{
	json_t *methods = json_object();

	for (const struct api_command *c = api_commands; c->noun; c++) {
		if (c->method == NULL)
			continue;
		json_object_set_new(methods, c->method,
		    json_pack("{s:s, s:b, s:o, s:o}", "description", c->summary,
			"changes", (c->flags & API_CHANGES) != 0, "params",
			params_schema(c), "result", result_schema(c)));
	}
	request_answer(request,
	    json_pack("{s:{s:s, s:s, s:o}}", "document", "$schema",
		"https://json-schema.org/draft/2020-12/schema", "title",
		"varve control API, version 1", "methods", methods));
}
