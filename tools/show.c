/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tools/show.h"
#include "base/assert.h"
#include "base/size.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char *
must(char *text)
{
	assert(text != NULL);
	return text;
}

__attribute__((format(printf, 1, 2))) static char *
format(const char *text, ...)
{
	char *result;
	va_list args;
	int length;

	va_start(args, text);
	length = vasprintf(&result, text, args);
	va_end(args);
	assert(length >= 0);
	return result;
}

static char *
show_bytes(double value)
{
	char buf[SIZE_TEXT_MAX];

	return must(strdup(size_format((uint64_t)value, buf)));
}

static char *
show_rate_bytes(double value)
{
	char buf[SIZE_TEXT_MAX];

	return format("%s/s", size_format((uint64_t)value, buf));
}

static char *
show_number(double value)
{
	return format("%.0f", value);
}

static char *
show_percent(double value)
{
	return format("%.0f%%", value);
}

static char *
show_usec(double value)
{
	if (value < 1000)
		return format("%.0f us", value);
	if (value < 1000000)
		return format("%.1f ms", value / 1000);
	return format("%.1f s", value / 1000000);
}

static char *
show_seconds(double value)
{
	static const struct {
		double seconds;
		const char *unit;
	} units[] = {
	    {365 * 86400.0, "y"}, {86400, "d"}, {3600, "h"}, {60, "min"}};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (value >= 2 * units[i].seconds)
			return format(
			    "%.0f %s", value / units[i].seconds, units[i].unit);
	}
	return format("%.0f s", value);
}

/* clang-format off */
static char *(*const number_kinds[])(double value) = {
	[API_SHOW_BYTES]      = show_bytes,
	[API_SHOW_COUNT]      = show_number,
	[API_SHOW_PERCENT]    = show_percent,
	[API_SHOW_RATE_BYTES] = show_rate_bytes,
	[API_SHOW_RATE]       = show_number,
	[API_SHOW_USEC]       = show_usec,
	[API_SHOW_SECONDS]    = show_seconds,
};
/* clang-format on */

bool
show_is_number(enum api_kind kind)
{
	return kind < ARRAY_SIZE(number_kinds) && number_kinds[kind] != NULL;
}

/* RFC 3339 in UTC to the local time with its offset. */
static char *
show_time(const char *text)
{
	struct tm utc = {0}, local;
	char buf[64];
	const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &utc);
	time_t time;

	if (rest == NULL || rest[strspn(rest, ".0123456789")] != 'Z')
		return must(strdup(text));
	time = timegm(&utc);
	if (localtime_r(&time, &local) == NULL)
		return must(strdup(text));
	strftime(buf, sizeof(buf), "%Y-%m-%d %H:%M:%S %z", &local);
	return must(strdup(buf));
}

static char *
show_raw(const json_t *value)
{
	if (json_is_string(value))
		return must(strdup(json_string_value(value)));
	if (json_is_integer(value))
		return format(
		    "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return must(json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY));
}

static char *
show_list(const json_t *list, const char *separator)
{
	char *all = must(strdup(""));
	const json_t *value;
	size_t i;

	json_array_foreach(list, i, value)
	{
		char *one = show_raw(value);
		char *longer =
		    format("%s%s%s", all, i > 0 ? separator : "", one);
		free(one);
		free(all);
		all = longer;
	}
	return all;
}

static char *
show_plain(const json_t *value)
{
	if (value == NULL || json_is_null(value))
		return must(strdup(""));
	if (json_is_array(value))
		return show_list(value, ",");
	return show_raw(value);
}

char *
show_value(enum api_kind kind, const json_t *value, enum show_style style)
{
	if (style == SHOW_PLAIN)
		return show_plain(value);
	if (style == SHOW_BYTES &&
	    (kind == API_SHOW_BYTES || kind == API_SHOW_RATE_BYTES))
		kind = API_SHOW_COUNT;
	if (value == NULL || json_is_null(value))
		return must(strdup("-"));
	if (json_is_number(value) && show_is_number(kind))
		return number_kinds[kind](json_number_value(value));
	if (json_is_boolean(value))
		return must(strdup(json_is_true(value) ? "yes" : "no"));
	if (json_is_string(value) && kind == API_SHOW_TIME)
		return show_time(json_string_value(value));
	if (json_is_array(value) && json_array_size(value) > 0)
		return show_list(value, ", ");
	if (json_is_array(value) ||
	    (json_is_string(value) && json_string_value(value)[0] == '\0'))
		return must(strdup("-"));
	return show_raw(value);
}
