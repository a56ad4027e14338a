/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/request_event.h"
#include "target/ref.h"
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* What an argument names first of all that it is. */
/* clang-format off */
static const char *const nouns[] = {
	[API_POOL]        = "pool",  [API_NEW_POOL]    = "pool",
	[API_LUN]         = "lun",   [API_NEW_LUN]     = "lun",
	[API_SNAP]        = "lun",   [API_NEW_SNAP]    = "lun",
	[API_LUN_OR_SNAP] = "lun",   [API_POOL_OR_LUN] = "lun",
	[API_GROUP]       = "group", [API_NEW_GROUP]   = "group",
	[API_HOST]        = "host",  [API_NEW_HOST]    = "host",
	[API_POLICY]      = "policy",[API_NEW_POLICY]  = "policy",
};
/* clang-format on */

static const struct api_arg *
subject_find(const struct request *request, const char **ret_text)
{
	for (const struct api_arg *arg = request->command->args;
	     arg->name != NULL; arg++) {
		const json_t *value =
		    json_object_get(request->params, arg->name);
		if (arg->positional && arg->repeated)
			value = json_array_get(value, 0);
		if (!arg->positional || !json_is_string(value))
			continue;
		*ret_text = json_string_value(value);
		return arg;
	}
	return NULL;
}

const char *
request_subject(const struct request *request)
{
	const char *text;

	return subject_find(request, &text) != NULL ? text
						    : request->command->noun;
}

static void
data_set(json_t *data, const char *member, json_t *text)
{
	json_object_set_new(data, member, text);
}

/* "vms/web01@mon": its pool, its LUN, and the snapshot. */
static void
data_of_ref(json_t *data, const char *text)
{
	struct ref ref = {.pool = ""};

	ref_parse(text, &ref);
	if (ref.pool[0] != '\0')
		data_set(data, "pool", json_text(ref.pool));
	if (ref.lun[0] != '\0')
		data_set(data, "lun", json_textf("%s/%s", ref.pool, ref.lun));
	if (ref.snap[0] != '\0')
		data_set(data, "snapshot", json_text(ref.snap));
}

static json_t *
data_of(const struct request *request)
{
	json_t *data = json_pack("{s:i, s:i}", "uid", (int)request->caller.uid,
	    "pid", (int)request->caller.pid);
	const struct api_arg *arg;
	const char *text;

	arg = subject_find(request, &text);
	if (arg == NULL || arg->type >= ARRAY_SIZE(nouns) ||
	    nouns[arg->type] == NULL)
		return data;
	if (strcmp(nouns[arg->type], "lun") == 0)
		data_of_ref(data, text);
	else
		data_set(data, nouns[arg->type], json_text(text));
	return data;
}

void
change_event_init(struct change_event *change, const struct request *request)
{
	const char *subject = request_subject(request);
	const char *method = request->command->method;
	char who[64];
	int length;

	change->event = (struct state_event){.level = LOG_NOTICE,
	    .kind = method,
	    .subject = subject,
	    .data = data_of(request)};
	length = asprintf(&change->text, "%s: %s, by %s", subject, method,
	    request_who(request, who));
	assert(length >= 0);
	change->event.text = change->text;
}

void
change_event_done(struct change_event *change)
{
	json_decref(change->event.data);
	free(change->text);
}
