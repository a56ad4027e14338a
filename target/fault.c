/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/fault.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <stdint.h>
#include <string.h>
#include <time.h>

/* ---- JSON ---- */

/* RFC 3629: the length of the well-formed sequence at text, or 0. */
static size_t
utf8_length(const unsigned char *text)
{
	size_t length = text[0] < 0x80             ? 1
			: (text[0] & 0xe0) == 0xc0 ? 2
			: (text[0] & 0xf0) == 0xe0 ? 3
			: (text[0] & 0xf8) == 0xf0 ? 4
						   : 0;

	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	}
	return length;
}

json_t *
json_text(const char *text)
{
	json_t *string = json_string(text);
	_cleanup_(freep) char *copy = NULL;

	if (string != NULL)
		return string;
	copy = strdup(text);
	assert(copy != NULL);
	for (char *p = copy; *p != '\0';) {
		size_t length = utf8_length((const unsigned char *)p);
		if (length < 2) {
			if (length == 0)
				*p = '?';
			p++;
			continue;
		}
		/* overlong forms and surrogates, too, are no UTF-8 */
		json_t *one = json_stringn(p, length);
		if (one == NULL)
			memset(p, '?', length);
		json_decref(one);
		p += length;
	}
	string = json_string(copy);
	assert(string != NULL);
	return string;
}

__attribute__((format(printf, 1, 0))) static json_t *
json_vtextf(const char *format, va_list args)
{
	_cleanup_(freep) char *text = NULL;
	int length = vasprintf(&text, format, args);

	assert(length >= 0);
	return json_text(text);
}

json_t *
json_textf(const char *format, ...)
{
	va_list args;
	json_t *text;

	va_start(args, format);
	text = json_vtextf(format, args);
	va_end(args);
	return text;
}

json_t *
json_time(int64_t unix_seconds)
{
	time_t when = (time_t)unix_seconds;
	char text[32];
	struct tm tm;

	if (unix_seconds == 0 || gmtime_r(&when, &tm) == NULL)
		return json_null();
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(text);
}

json_t *
json_bytes(uint64_t bytes)
{
	return json_integer(bytes > INT64_MAX ? INT64_MAX : (json_int_t)bytes);
}

const char *
param_text(const json_t *params, const char *name)
{
	return json_string_value(json_object_get(params, name));
}

bool
param_flag(const json_t *params, const char *name)
{
	return json_is_true(json_object_get(params, name));
}

enum consistency
param_consistency(const json_t *params, const char *name)
{
	enum consistency consistency = CONSISTENCY_CRASH;
	const char *text = param_text(params, name);

	if (text != NULL)
		consistency_parse(text, &consistency);
	return consistency;
}

json_int_t
param_int(const json_t *params, const char *name, json_int_t otherwise)
{
	const json_t *value = json_object_get(params, name);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

/* ---- faults ---- */

static const struct api_error *
error_find(const char *code)
{
	for (const struct api_error *e = api_errors; e->code != NULL; e++) {
		if (strcmp(e->code, code) == 0)
			return e;
	}
	return NULL;
}

json_t *
fault_new(const char *code, const char *what, ...)
{
	const struct api_error *error = error_find(code);
	json_t *fault;
	va_list args;

	assert(error != NULL);
	va_start(args, what);
	fault = json_pack("{s:s, s:o, s:s, s:[], s:i}", "code", code, "what",
	    json_vtextf(what, args), "why", "", "fix", "exit", error->exit);
	va_end(args);
	assert(fault != NULL);
	return fault;
}

json_t *
fault_why(json_t *fault, const char *why, ...)
{
	va_list args;

	va_start(args, why);
	json_object_set_new(fault, "why", json_vtextf(why, args));
	va_end(args);
	return fault;
}

json_t *
fault_fix(json_t *fault, const char *fix, ...)
{
	va_list args;

	va_start(args, fix);
	json_array_append_new(
	    json_object_get(fault, "fix"), json_vtextf(fix, args));
	va_end(args);
	return fault;
}

json_t *
fault_internal(const char *what, int error)
{
	return fault_fix(fault_why(fault_new("server.failed", "%s", what), "%s",
			     strerror(error < 0 ? -error : error)),
	    "the log of varved says more: journalctl -u varved");
}

const char *
fault_code(const json_t *fault)
{
	return json_string_value(json_object_get(fault, "code"));
}

const char *
fault_what(const json_t *fault)
{
	return json_string_value(json_object_get(fault, "what"));
}
