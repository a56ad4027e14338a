/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/settings.h"
#include "base/assert.h"
#include "target/fault.h"
#include <string.h>

enum kind {
	TEXT,   /* what INQUIRY says: ASCII */
	SWITCH, /* "on" or "off" */
	NUMBER, /* 0: not set */
};

/* clang-format off */
static const struct setting {
	const char *name;
	enum kind kind;
	uint64_t least, most;   /* characters, or the number */
	const char *usual;      /* NULL: null in an answer */
	const char *burst_of;   /* it goes when that goes */
} settings_table[] = {
	{ "vendor",      TEXT,   1, 8,  LUN_VENDOR,   NULL },
	{ "product",     TEXT,   1, 16, LUN_PRODUCT,  NULL },
	{ "revision",    TEXT,   1, 4,  LUN_REVISION, NULL },
	{ "serial",      TEXT,   1, LUN_SERIAL_MAX, NULL, NULL },
	{ "rotation",    NUMBER, 1, 0xfffe, NULL, NULL },
	{ "write_cache", SWITCH, 0, 0, "on",  NULL },
	{ "read_only",   SWITCH, 0, 0, "off", NULL },
	{ "iops",        NUMBER, 1, 1000000000, NULL, NULL },
	{ "iops_burst",  NUMBER, 1, INT64_MAX, NULL, "iops" },
	{ "bps",         NUMBER, LUN_BPS_MIN, 1ull << 60, NULL, NULL },
	{ "bps_burst",   NUMBER, 1, INT64_MAX, NULL, "bps" },
};
/* clang-format on */

#define BURST_SECONDS 3600

bool
settings_asked(const json_t *params)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings_table); i++) {
		if (json_object_get(params, settings_table[i].name) != NULL)
			return true;
	}
	return json_object_get(params, "unset") != NULL;
}

static uint64_t
number_of(const json_t *settings, const char *name)
{
	return (uint64_t)json_integer_value(json_object_get(settings, name));
}

/* ---- checks ---- */

/* SPC-4 4.3.1: graphic characters and spaces.  A space at an end is not told
 * from those that fill the field. */
static bool
text_fits(const struct setting *setting, const char *text)
{
	size_t length = text == NULL ? 0 : strlen(text);

	if (length < setting->least || length > setting->most)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] < ' ' || text[i] > '~')
			return false;
	}
	return text[0] != ' ' && text[length - 1] != ' ';
}

/* SBC-3 6.6.2: 2 to 400h are reserved. */
static bool
number_fits(const struct setting *setting, uint64_t number)
{
	if (strcmp(setting->name, "rotation") == 0 && number > 1 &&
	    number <= 0x400)
		return false;
	return number >= setting->least && number <= setting->most;
}

static bool
value_fits(const struct setting *setting, const json_t *value)
{
	const char *text = json_string_value(value);

	switch (setting->kind) {
	case TEXT: return text_fits(setting, text);
	case SWITCH:
		return text != NULL &&
		       (strcmp(text, "on") == 0 || strcmp(text, "off") == 0);
	case NUMBER:
		return json_is_integer(value) &&
		       (json_integer_value(value) == 0 ||
			   number_fits(
			       setting, (uint64_t)json_integer_value(value)));
	}
	return false;
}

static json_t *
value_fault(const struct setting *setting)
{
	json_t *fault =
	    fault_new("lun.setting", "%s cannot be that", setting->name);

	if (setting->kind == TEXT)
		return fault_why(fault,
		    "it has 1 to %llu printable ASCII characters, and no space "
		    "at its ends",
		    (unsigned long long)setting->most);
	if (setting->kind == SWITCH)
		return fault_why(fault, "it is on or off");
	if (strcmp(setting->name, "rotation") == 0)
		return fault_why(fault, "it is 1 for solid state, 1025 to "
					"65534 turns a minute, or 0: as the "
					"pool's devices are");
	return fault_why(fault, "it is from %llu to %llu, or 0 for none",
	    (unsigned long long)setting->least,
	    (unsigned long long)setting->most);
}

/* Often it is the rate that was said, and the burst is from before. */
static json_t *
burst_fault(const struct setting *setting, uint64_t burst, uint64_t rate)
{
	const char *of = setting->burst_of;
	json_t *fault = fault_new("lun.setting",
	    "%s cannot be %llu, with %s %llu", setting->name,
	    (unsigned long long)burst, of, (unsigned long long)rate);

	fault_why(fault, "a burst is at most what %s gives in an hour", of);
	return fault_fix(fault, "--%s-burst N, or none: a second's worth", of);
}

static json_t *
burst_check(const struct setting *setting, const json_t *settings)
{
	uint64_t burst = number_of(settings, setting->name);
	uint64_t rate = number_of(settings, setting->burst_of);

	if (burst == 0)
		return NULL;
	if (rate == 0)
		return fault_new("lun.setting", "%s is nothing without %s",
		    setting->name, setting->burst_of);
	/* burst > rate * BURST_SECONDS, which may be too much for 64 bits */
	if ((burst - 1) / BURST_SECONDS >= rate)
		return burst_fault(setting, burst, rate);
	return NULL;
}

/* ---- changes ---- */

static void
unset(json_t *settings, const json_t *names)
{
	const json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
	    json_object_del(settings, json_string_value(name));
}

/* A limit that goes takes its burst along, unless that is given anew. */
static void
drop_bursts(json_t *settings, const json_t *params)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings_table); i++) {
		const struct setting *setting = &settings_table[i];
		if (setting->burst_of != NULL &&
		    json_object_get(settings, setting->burst_of) == NULL &&
		    json_object_get(params, setting->name) == NULL)
			json_object_del(settings, setting->name);
	}
}

static json_t *
take(json_t *settings, const struct setting *setting, json_t *value)
{
	if (value == NULL)
		return NULL;
	if (!value_fits(setting, value))
		return value_fault(setting);
	if (setting->kind == NUMBER && json_integer_value(value) == 0)
		json_object_del(settings, setting->name);
	else
		json_object_set(settings, setting->name, value);
	return NULL;
}

json_t *
settings_change(const json_t *before, const json_t *params, json_t **ret_after)
{
	json_t *after = before == NULL ? json_object()
				       : json_copy((json_t *)(uintptr_t)before);
	json_t *fault = NULL;

	assert(after != NULL);
	unset(after, json_object_get(params, "unset"));
	for (size_t i = 0; i < ARRAY_SIZE(settings_table) && fault == NULL; i++)
		fault = take(after, &settings_table[i],
		    json_object_get(params, settings_table[i].name));
	drop_bursts(after, params);
	for (size_t i = 0; i < ARRAY_SIZE(settings_table) && fault == NULL;
	     i++) {
		if (settings_table[i].burst_of != NULL)
			fault = burst_check(&settings_table[i], after);
	}
	if (fault != NULL)
		json_decref(after);
	*ret_after = fault == NULL ? after : NULL;
	return fault;
}

static const struct setting *
setting_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings_table); i++) {
		if (strcmp(settings_table[i].name, name) == 0)
			return &settings_table[i];
	}
	assert(!"a setting");
	return NULL;
}

static json_t *
value_or_usual(const struct setting *setting, const json_t *settings)
{
	json_t *value = json_object_get(settings, setting->name);

	if (value != NULL &&
	    !(json_is_integer(value) && json_integer_value(value) == 0))
		return json_incref(value);
	return setting->usual != NULL ? json_string(setting->usual)
				      : json_null();
}

bool
settings_differ(const json_t *a, const json_t *b, const char *name)
{
	const struct setting *setting = setting_find(name);
	json_t *x = value_or_usual(setting, a), *y = value_or_usual(setting, b);
	bool differ = !json_equal(x, y);

	json_decref(x);
	json_decref(y);
	return differ;
}

json_t *
settings_beside(const json_t *entry, const json_t *before)
{
	json_t *beside = json_object();

	for (size_t i = 0; i < ARRAY_SIZE(settings_table); i++) {
		const char *name = settings_table[i].name;
		json_t *value = json_object_get(entry, name);
		if (value != NULL && settings_differ(entry, before, name))
			json_object_set(beside, name, value);
	}
	if (json_object_size(beside) > 0)
		return beside;
	json_decref(beside);
	return NULL;
}

/* ---- what becomes of them ---- */

void
settings_item(json_t *item, const json_t *settings)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings_table); i++) {
		json_t *value = value_or_usual(&settings_table[i], settings);
		if (strcmp(settings_table[i].name, "serial") == 0 &&
		    json_is_null(value))
			continue;
		json_object_set_new(item, settings_table[i].name, value);
	}
}

static bool
is_on(const json_t *settings, const char *name)
{
	json_t *value = value_or_usual(setting_find(name), settings);
	bool on = strcmp(json_string_value(value), "on") == 0;

	json_decref(value);
	return on;
}

void
settings_params(const json_t *settings, struct lun_params *params)
{
	const char *serial =
	    json_string_value(json_object_get(settings, "serial"));

	if (serial != NULL)
		params->serial = serial;
	params->vendor = json_string_value(json_object_get(settings, "vendor"));
	params->product =
	    json_string_value(json_object_get(settings, "product"));
	params->revision =
	    json_string_value(json_object_get(settings, "revision"));
	params->rotation = (uint16_t)number_of(settings, "rotation");
	params->write_cache = is_on(settings, "write_cache");
	params->read_only = is_on(settings, "read_only");
	params->limits = (struct lun_limits){
	    .iops = number_of(settings, "iops"),
	    .iops_burst = number_of(settings, "iops_burst"),
	    .bps = number_of(settings, "bps"),
	    .bps_burst = number_of(settings, "bps_burst"),
	};
}
