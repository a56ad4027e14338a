/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define SD_JOURNAL_SUPPRESS_LOCATION /* it says nothing to administrators */
#include "target/event.h"
#include "base/cleanup.h"
#include "base/log.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <time.h>

static const struct {
	const char *word;
	int level;
} severities[] = {
    {"error", LOG_ERR},
    {"warning", LOG_WARNING},
    {"notice", LOG_NOTICE},
    {"info", LOG_INFO},
};

const char *
event_severity(int level)
{
	for (size_t i = 0; i < ARRAY_SIZE(severities); i++) {
		if (level <= severities[i].level)
			return severities[i].word;
	}
	return severities[ARRAY_SIZE(severities) - 1].word;
}

int
event_level(const char *severity)
{
	for (size_t i = 0; i < ARRAY_SIZE(severities); i++) {
		if (strcmp(severity, severities[i].word) == 0)
			return severities[i].level;
	}
	return -1;
}

/* ---- the journal ---- */

#define FIELDS_MAX 40

struct fields {
	struct iovec list[FIELDS_MAX];
	int count;
};

static void field_add(struct fields *fields, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void
field_add(struct fields *fields, const char *format, ...)
{
	struct iovec *field = &fields->list[fields->count];
	char *text;
	va_list args;
	int length;

	if (fields->count == FIELDS_MAX)
		return;
	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	assert(length >= 0);
	*field = (struct iovec){text, (size_t)length};
	fields->count++;
}

/* systemd.journal-fields(7): capital letters, digits, underscores. */
static void
field_name(const char *member, char *ret_name, size_t size)
{
	size_t i;

	for (i = 0; member[i] != '\0' && i + 1 < size; i++) {
		unsigned char c = (unsigned char)member[i];
		ret_name[i] = isalnum(c) ? (char)toupper(c) : '_';
	}
	ret_name[i] = '\0';
}

static void
data_fields(struct fields *fields, json_t *data)
{
	const char *member;
	json_t *value;
	char name[32];

	json_object_foreach(data, member, value)
	{
		field_name(member, name, sizeof(name));
		if (json_is_string(value))
			field_add(fields, "VARVE_%s=%s", name,
			    json_string_value(value));
		else if (json_is_integer(value))
			field_add(fields, "VARVE_%s=%" JSON_INTEGER_FORMAT,
			    name, json_integer_value(value));
	}
}

static int
journal_send(const struct state_event *event)
{
	struct fields fields = {.count = 0};
	int ret;

	field_add(&fields, "MESSAGE=%s", event->text);
	field_add(&fields, "PRIORITY=%d", event->level);
	/* as the journal calls what we print */
	field_add(
	    &fields, "SYSLOG_IDENTIFIER=%s", program_invocation_short_name);
	field_add(&fields, "VARVE_EVENT=%" PRId64, event->number);
	field_add(&fields, "VARVE_KIND=%s", event->kind);
	field_add(&fields, "VARVE_SUBJECT=%s", event->subject);
	data_fields(&fields, event->data);
	ret = sd_journal_sendv(fields.list, fields.count);
	for (int i = 0; i < fields.count; i++)
		free(fields.list[i].iov_base);
	return ret;
}

/* ---- events ---- */

int
event_keep(struct house *house, struct state_event *event)
{
	event->at_unix = (int64_t)time(NULL);
	return state_event_add(house->state, event);
}

void
event_log(const struct state_event *event)
{
	if (event->level <= log_level() && log_is_journal() &&
	    journal_send(event) == 0)
		log_file_printf(event->level, "%s", event->text);
	else
		log_printf(event->level, "%s", event->text);
}

void
event_keep_and_log(struct house *house, struct state_event *event)
{
	if (event_keep(house, event) < 0)
		log_error(
		    "event %s of %s: not kept", event->kind, event->subject);
	event_log(event);
}

void
event_tell(struct house *house, int level, const char *kind,
    const char *subject, json_t *data, const char *format, ...)
{
	struct state_event event = {
	    .level = level, .kind = kind, .subject = subject, .data = data};
	_cleanup_(freep) char *text = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&text, format, args);
	va_end(args);
	assert(length >= 0);
	event.text = text;
	event_keep_and_log(house, &event);
	json_decref(data);
}
