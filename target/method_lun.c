/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lun list, show.  What changes a LUN is in method_lun_change.c.
 */
#include "target/method.h"
#include "target/settings.h"
#include <stdlib.h>
#include <string.h>

/* ---- the item ---- */

static const char *
lun_state(const struct survey_lun *sl, unsigned hosts, unsigned sessions)
{
	if (sl->served && sl->lun.stopped)
		return "stopped";
	if (sessions > 0)
		return "in use";
	return hosts > 0 ? "exported" : "idle";
}

static void
item_counters(json_t *item, const struct survey_lun *sl)
{
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {
	    {"reads", sl->served ? sl->lun.reads : sl->volume.reads},
	    {"writes", sl->served ? sl->lun.writes : sl->volume.writes},
	    {"read_bytes",
		sl->served ? sl->lun.read_bytes : sl->volume.read_bytes},
	    {"write_bytes",
		sl->served ? sl->lun.write_bytes : sl->volume.write_bytes},
	    {"unmaps", sl->served ? sl->lun.unmaps : sl->volume.unmaps},
	    {"flushes", sl->served ? sl->lun.flushes : 0},
	    {"errors", sl->served ? sl->lun.errors : 0},
	    {"throttled", sl->served ? sl->lun.throttled : 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++)
		json_object_set_new(
		    item, counters[i].name, json_bytes(counters[i].value));
	latency_item(item, &sl->lun.latency);
}

void
version_identity(json_t *item, const struct volume_stat *v)
{
	char uuid[STATE_UUID_TEXT];
	uint8_t naa[8];

	uuid_unparse_lower(v->uuid, uuid);
	lun_naa_from_uuid(v->uuid, naa);
	json_object_set_new(item, "uuid", json_string(uuid));
	json_object_set_new(item, "serial", json_string(uuid));
	json_object_set_new(item, "naa",
	    json_textf("naa.%02x%02x%02x%02x%02x%02x%02x%02x", naa[0], naa[1],
		naa[2], naa[3], naa[4], naa[5], naa[6], naa[7]));
	json_object_set_new(
	    item, "created", json_time((int64_t)v->created_unix));
}

static json_t *
text_or_null(const char *text)
{
	return text[0] != '\0' ? json_text(text) : json_null();
}

static void
item_family(json_t *item, const struct survey_lun *sl)
{
	const struct family_stat *f = &sl->family;

	json_object_set_new(item, "snap_held", json_bytes(f->snap_held));
	json_object_set_new(item, "exclusive", json_bytes(f->exclusive));
	json_object_set_new(item, "snaps", json_integer(f->snapshots));
	json_object_set_new(item, "fine_chunks", json_bytes(f->fine_chunks));
	json_object_set_new(item, "fragments", json_bytes(f->fragments));
	json_object_set_new(item, "parent", text_or_null(sl->parent));
	json_object_set_new(item, "group", text_or_null(sl->group));
}

static json_t *
bytes_or_null(uint64_t bytes, bool any)
{
	return any ? json_bytes(bytes) : json_null();
}

static void
item_limits(json_t *item, const struct volume_stat *v)
{
	uint64_t left = v->quota > v->quota_used ? v->quota - v->quota_used : 0;
	uint64_t reserve = v->reserve < v->size ? v->reserve : v->size;
	bool quota = v->quota != 0, reserves = v->reserve != 0;

	json_object_set_new(item, "quota", bytes_or_null(v->quota, quota));
	json_object_set_new(item, "quota_left", bytes_or_null(left, quota));
	json_object_set_new(item, "reserve", bytes_or_null(reserve, reserves));
	json_object_set_new(
	    item, "set_aside", bytes_or_null(v->set_aside, reserves));
}

json_t *
lun_item(const struct survey *survey, const struct survey_pool *sp,
    const struct survey_lun *sl, const struct exports *exports)
{
	const struct volume_stat *v = &sl->volume;
	json_t *item = json_object(), *hosts = json_array();
	unsigned sessions = 0, of_host;

	for (unsigned i = 0; i < exports->count; i++) {
		const struct state_export *row = &exports->rows[i];
		if (!export_is_of_lun(row, v->uuid))
			continue;
		json_array_append_new(hosts, json_text(row->host));
		survey_sessions_of(survey, row->host, row->iqn, &of_host);
		sessions += of_host;
	}
	json_object_set_new(
	    item, "name", json_textf("%s/%s", sp->name, v->name));
	json_object_set_new(item, "size", json_bytes(v->size));
	json_object_set_new(item, "live", json_bytes(v->live));
	item_family(item, sl);
	json_object_set_new(item, "allocated", json_bytes(v->allocated));
	item_limits(item, v);
	json_object_set_new(item, "state",
	    json_string(
		lun_state(sl, (unsigned)json_array_size(hosts), sessions)));
	json_object_set_new(item, "hosts", hosts);
	json_object_set_new(item, "sessions", json_integer(sessions));
	version_identity(item, v);
	settings_item(item, survey_settings(sp, sl));
	json_object_set_new(item, "block_size", json_integer(v->block_size));
	item_counters(item, sl);
	return item;
}

/* ---- list, show ---- */

static void
pool_items(const struct request *request, const struct survey_pool *sp,
    const struct exports *exports, json_t *items)
{
	const char *only = param_text(request->params, "pool");

	if (only != NULL && strcmp(only, sp->name) != 0)
		return;
	for (unsigned i = 0; i < sp->lun_count; i++)
		json_array_append_new(items,
		    lun_item(request->survey, sp, &sp->luns[i], exports));
}

static void
list_answer(struct request *request)
{
	method_answer_list(request, pool_items);
}

void
method_lun_list(struct request *request)
{
	const char *only = param_text(request->params, "pool");
	struct house_pool *hp;

	if (only == NULL || method_find_pool(request, only, &hp))
		method_survey(request, list_answer);
}

json_t *
method_lun_item(struct request *request)
{
	struct exports exports;
	json_t *item;

	if (!method_exports(request, &exports))
		return NULL;
	item = lun_item(request->survey, method_pool(request),
	    method_lun(request), &exports);
	free(exports.rows);
	return item;
}

void
method_lun_answer(struct request *request)
{
	json_t *item = method_lun_item(request);

	if (item != NULL)
		request_answer(request, item);
}

void
method_lun_show(struct request *request)
{
	method_survey_lun(request, "lun", method_lun_answer);
}
