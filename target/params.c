/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/params.h"
#include "base/assert.h"
#include "snapshot/pool.h"
#include "target/naming.h"
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- values by type ---- */

/* A string without NUL or control characters, at most max bytes. */
static const char *
plain_text(const json_t *value, size_t max)
{
	const char *text = json_string_value(value);
	size_t length = json_string_length(value);

	if (text == NULL || length == 0 || length > max)
		return NULL;
	for (size_t i = 0; i < length; i++) {
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return NULL;
	}
	return text;
}

static bool
check_flag(const struct api_arg *arg, const json_t *value)
{
	(void)arg;
	return json_is_boolean(value);
}

static bool
check_name(const struct api_arg *arg, const json_t *value)
{
	const char *text = plain_text(value, POOL_NAME_MAX);

	(void)arg;
	return text != NULL && pool_name_valid(text);
}

void
param_lun_split(const char *text, char ret_pool[PARAM_NAME_MAX],
    char ret_lun[PARAM_NAME_MAX])
{
	const char *slash = strchr(text, '/');

	assert(slash != NULL && slash - text < PARAM_NAME_MAX);
	snprintf(ret_pool, PARAM_NAME_MAX, "%.*s", (int)(slash - text), text);
	snprintf(ret_lun, PARAM_NAME_MAX, "%s", slash + 1);
}

/* POOL, POOL/LUN, POOL/LUN@SNAP, @SNAP: those that the type may have. */
static bool
check_ref(const struct api_arg *arg, const json_t *value)
{
	const char *text = plain_text(value, REF_TEXT_MAX);
	struct ref ref;

	return text != NULL &&
	       (ref_parse(text, &ref) & ref_forms(arg->type)) != 0;
}

/* What is in the trash may have the name of another: then its uuid tells. */
static bool
check_trashed(const struct api_arg *arg, const json_t *value)
{
	const char *text = plain_text(value, REF_TEXT_MAX);
	uuid_t uuid;

	return text != NULL &&
	       (uuid_parse(text, uuid) == 0 || check_ref(arg, value));
}

static bool
check_iqn(const struct api_arg *arg, const json_t *value)
{
	const char *text = plain_text(value, NAMING_IQN_MAX);
	char iqn[NAMING_IQN_MAX + 1];

	(void)arg;
	return text != NULL && naming_initiator(text, iqn);
}

static bool
check_size(const struct api_arg *arg, const json_t *value)
{
	(void)arg;
	return json_is_integer(value) && json_integer_value(value) > 0;
}

bool
param_resize(const char *text, bool *ret_grows, uint64_t *ret_bytes)
{
	char *end;

	*ret_grows = text[0] == '+';
	text += *ret_grows;
	if (!isdigit((unsigned char)text[0]))
		return false;
	errno = 0;
	unsigned long long bytes = strtoull(text, &end, 10);
	*ret_bytes = bytes;
	return errno == 0 && *end == '\0' && bytes > 0 && bytes <= INT64_MAX;
}

static bool
check_resize(const struct api_arg *arg, const json_t *value)
{
	const char *text = plain_text(value, 32);
	uint64_t bytes;
	bool grows;

	(void)arg;
	return text != NULL && param_resize(text, &grows, &bytes);
}

static bool
check_percent(const struct api_arg *arg, const json_t *value)
{
	json_int_t number = json_integer_value(value);

	(void)arg;
	return json_is_integer(value) && number >= 1 && number <= 100;
}

static bool
check_int(const struct api_arg *arg, const json_t *value)
{
	(void)arg;
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool
check_path(const struct api_arg *arg, const json_t *value)
{
	const char *text = plain_text(value, PATH_MAX - 1);

	(void)arg;
	return text != NULL && text[0] == '/';
}

static bool
check_address(const struct api_arg *arg, const json_t *value)
{
	const char *text = plain_text(value, NAMING_ADDRESS_MAX);

	(void)arg;
	return text != NULL; /* the method says what is wrong with it */
}

static bool
check_choice(const struct api_arg *arg, const json_t *value)
{
	const char *text = plain_text(value, PARAM_TEXT_MAX);
	size_t length = text != NULL ? strlen(text) : 0;

	for (const char *c = arg->choices; text != NULL && *c != '\0';) {
		size_t n = strcspn(c, "|");
		if (n == length && strncmp(c, text, n) == 0)
			return true;
		c += n + (c[n] == '|');
	}
	return false;
}

static bool
check_text(const struct api_arg *arg, const json_t *value)
{
	(void)arg;
	return plain_text(value, NAMING_IQN_MAX) != NULL;
}

static bool
check_secret(const struct api_arg *arg, const json_t *value)
{
	(void)arg;
	return json_is_string(value) &&
	       json_string_length(value) == strlen(json_string_value(value));
}

static bool
check_document(const struct api_arg *arg, const json_t *value)
{
	(void)arg;
	return json_is_object(value);
}

/* clang-format off */
static const struct type {
	bool (*check)(const struct api_arg *arg, const json_t *value);
	const char *form;   /* what it has to be */
	const char *schema; /* its JSON Schema, but for choices */
} types[] = {
	[API_FLAG]     = { check_flag,    "true or false", "{\"type\":\"boolean\"}" },
#define NAME_FORM   "a name of 1 to 63 characters A-Z a-z 0-9 . _ -, not starting with . or -"
#define NAME_SCHEMA "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$\"}"
	[API_POOL]     = { check_name,    NAME_FORM, NAME_SCHEMA },
	[API_NEW_POOL] = { check_name,    NAME_FORM, NAME_SCHEMA },
	[API_HOST]     = { check_name,    NAME_FORM, NAME_SCHEMA },
	[API_NEW_HOST] = { check_name,    NAME_FORM, NAME_SCHEMA },
	[API_POLICY]     = { check_name,  NAME_FORM, NAME_SCHEMA },
	[API_NEW_POLICY] = { check_name,  NAME_FORM, NAME_SCHEMA },
#define LUN_FORM    "POOL/LUN, each a name of 1 to 63 characters A-Z a-z 0-9 . _ -"
#define LUN_SCHEMA  "{\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_][A-Za-z0-9._-]{0,62}/[A-Za-z0-9_][A-Za-z0-9._-]{0,62}$\"}"
	[API_LUN]      = { check_ref,     LUN_FORM, LUN_SCHEMA },
	[API_NEW_LUN]  = { check_ref,     LUN_FORM, LUN_SCHEMA },
#define NAME_PATTERN "[A-Za-z0-9_][A-Za-z0-9._-]{0,62}"
#define REF_SCHEMA(pattern) "{\"type\":\"string\",\"pattern\":\"^" pattern "$\"}"
	[API_SNAP]     = { check_ref,     "POOL/LUN@SNAP, each a name of 1 to 63 characters A-Z a-z 0-9 . _ -", REF_SCHEMA(NAME_PATTERN "/" NAME_PATTERN "@" NAME_PATTERN) },
	[API_NEW_SNAP] = { check_ref,     "POOL/LUN@SNAP, or its parts: POOL/LUN, @SNAP", REF_SCHEMA("(" NAME_PATTERN "/" NAME_PATTERN ")?(@" NAME_PATTERN ")?") },
	[API_SNAP_AT]  = { check_ref,     "@SNAP or POOL/LUN@SNAP", REF_SCHEMA("(" NAME_PATTERN "/" NAME_PATTERN ")?@" NAME_PATTERN) },
	[API_LUN_OR_SNAP] = { check_ref,  "POOL/LUN or POOL/LUN@SNAP", REF_SCHEMA(NAME_PATTERN "/" NAME_PATTERN "(@" NAME_PATTERN ")?") },
	[API_POOL_OR_LUN] = { check_ref,  "POOL or POOL/LUN", REF_SCHEMA(NAME_PATTERN "(/" NAME_PATTERN ")?") },
	[API_TRASHED]  = { check_trashed, "POOL/LUN, POOL/LUN@SNAP, or the uuid that trash list shows", "{\"type\":\"string\",\"maxLength\":191}" },
	[API_GROUP]    = { check_ref,     "GROUP or POOL/GROUP", REF_SCHEMA("(" NAME_PATTERN "/)?" NAME_PATTERN) },
	[API_NEW_GROUP]= { check_name,    NAME_FORM, NAME_SCHEMA },
	[API_BOOKMARK] = { check_name,    NAME_FORM, NAME_SCHEMA },
	[API_NEW_NAME] = { check_name,    NAME_FORM, NAME_SCHEMA },
	[API_JOB]      = { check_name,    "a job's id, as job list shows it", NAME_SCHEMA },
	[API_IQN]      = { check_iqn,     "an initiator name, as iqn.1993-08.org.debian:01:5f2a, eui.* or naa.*", "{\"type\":\"string\",\"maxLength\":223}" },
	[API_SIZE]     = { check_size,    "a number of bytes, over 0", "{\"type\":\"integer\",\"minimum\":1}" },
	[API_RESIZE]   = { check_resize,  "a number of bytes as a string, or +BYTES", "{\"type\":\"string\",\"pattern\":\"^[+]?[0-9]+$\"}" },
	[API_LIMIT]    = { check_int,     "a number of bytes, 0 for none", "{\"type\":\"integer\",\"minimum\":0}" },
	[API_RESERVE]  = { check_int,     "a number of bytes, 0 for none, 2^60 for all", "{\"type\":\"integer\",\"minimum\":0,\"maximum\":1152921504606846976}" },
	[API_COUNT]    = { check_int,     "a number, 0 for none", "{\"type\":\"integer\",\"minimum\":0}" },
	[API_PERCENT]  = { check_percent, "a percentage from 1 to 100", "{\"type\":\"integer\",\"minimum\":1,\"maximum\":100}" },
	[API_INT]      = { check_int,     "a number, 0 or more", "{\"type\":\"integer\",\"minimum\":0}" },
	[API_DURATION] = { check_size,    "a number of seconds, over 0", "{\"type\":\"integer\",\"minimum\":1}" },
	[API_PATH]     = { check_path,    "an absolute path", "{\"type\":\"string\",\"pattern\":\"^/\"}" },
	[API_ADDRESS]  = { check_address, "an address, as 10.0.0.10, 10.0.0.10:3260 or [fd00::10]:3260", "{\"type\":\"string\",\"maxLength\":64}" },
	[API_CHOICE]   = { check_choice,  NULL, NULL },
	[API_TEXT]     = { check_text,    "a text of 1 to 223 bytes on one line", "{\"type\":\"string\",\"minLength\":1,\"maxLength\":223}" },
	[API_SECRET]   = { check_secret,  "a secret", "{\"type\":\"string\",\"minLength\":12,\"maxLength\":255}" },
	[API_SESSION]  = { check_int,     "a session's number", "{\"type\":\"integer\",\"minimum\":0}" },
	[API_DOCUMENT] = { check_document,"a JSON object", "{\"type\":\"object\"}" },
};
/* What every change takes. */
static const struct api_arg envelope[] = {
	{ "dry_run", API_FLAG, .help = "check and say what would be done" },
	{ "request_id", API_TEXT, .help = "a repeated id gets the first answer again" },
	{ "if_generation", API_INT, .help = "refuse if the state has moved on" },
	{ .name = NULL },
};
/* clang-format on */

/* ---- checks ---- */

static json_t *
value_fault(const struct api_arg *arg)
{
	if (arg->type == API_CHOICE)
		return fault_new("request.argument", "%s has to be one of %s",
		    arg->name, arg->choices);
	return fault_new("request.argument", "%s has to be %s", arg->name,
	    types[arg->type].form);
}

static json_t *
value_check(const struct api_arg *arg, const json_t *value)
{
	const json_t *one;
	size_t i;

	assert(arg->type < ARRAY_SIZE(types));
	if (!arg->repeated)
		return types[arg->type].check(arg, value) ? NULL
							  : value_fault(arg);
	if (!json_is_array(value) || json_array_size(value) == 0 ||
	    json_array_size(value) > PARAM_REPEAT_MAX)
		return fault_new("request.argument",
		    "%s has to be an array of 1 to %d", arg->name,
		    PARAM_REPEAT_MAX);
	json_array_foreach(value, i, one)
	{
		if (!types[arg->type].check(arg, one))
			return value_fault(arg);
	}
	return NULL;
}

static const struct api_arg *
arg_find(const struct api_arg *args, const char *name)
{
	for (const struct api_arg *arg = args; arg->name != NULL; arg++) {
		if (!arg->here && strcmp(arg->name, name) == 0)
			return arg;
	}
	return NULL;
}

static json_t *
member_check(
    const struct api_command *command, const char *name, const json_t *value)
{
	const struct api_arg *arg = arg_find(command->args, name);

	if (arg == NULL && (command->flags & API_CHANGES) != 0)
		arg = arg_find(envelope, name);
	if (arg == NULL)
		return fault_new("request.argument",
		    "%s has no parameter of the name '%.64s'", command->method,
		    name);
	return value_check(arg, value);
}

json_t *
params_check(const struct api_command *command, const json_t *params)
{
	const char *name;
	json_t *value; /* jansson's macro takes the const away itself */

	if (!json_is_object(params))
		return fault_new(
		    "request.argument", "params has to be an object");
	void *iter = json_object_iter((json_t *)(uintptr_t)params);
	for (; iter != NULL;
	     iter = json_object_iter_next((json_t *)(uintptr_t)params, iter)) {
		name = json_object_iter_key(iter);
		value = json_object_iter_value(iter);
		json_t *fault = member_check(command, name, value);
		if (fault != NULL)
			return fault;
	}
	for (const struct api_arg *arg = command->args; arg->name; arg++) {
		if (arg->required && json_object_get(params, arg->name) == NULL)
			return fault_new("request.argument",
			    "%s needs the parameter %s: %s", command->method,
			    arg->name, arg->help);
	}
	return NULL;
}

json_t *
params_public(const struct api_command *command, const json_t *params)
{
	json_t *copy = json_copy((json_t *)(uintptr_t)params);

	assert(copy != NULL);
	for (const struct api_arg *arg = command->args; arg->name; arg++) {
		if (arg->type == API_SECRET &&
		    json_object_get(copy, arg->name) != NULL)
			json_object_set_new(
			    copy, arg->name, json_string("(secret)"));
	}
	return copy;
}

/* ---- schema ---- */

static json_t *
choice_schema(const char *choices)
{
	json_t *words = json_array();

	while (*choices != '\0') {
		size_t n = strcspn(choices, "|");
		json_array_append_new(words, json_stringn(choices, n));
		choices += n + (choices[n] == '|');
	}
	return json_pack("{s:o}", "enum", words);
}

static json_t *
arg_schema(const struct api_arg *arg)
{
	json_t *schema = arg->type == API_CHOICE
			     ? choice_schema(arg->choices)
			     : json_loads(types[arg->type].schema, 0, NULL);

	assert(schema != NULL);
	if (arg->repeated)
		schema = json_pack("{s:s, s:i, s:i, s:o}", "type", "array",
		    "minItems", 1, "maxItems", PARAM_REPEAT_MAX, "items",
		    schema);
	json_object_set_new(schema, "description", json_string(arg->help));
	return schema;
}

json_t *
params_schema(const struct api_command *command)
{
	json_t *properties = json_object(), *required = json_array();

	for (const struct api_arg *arg = command->args; arg->name; arg++) {
		if (arg->here)
			continue;
		json_object_set_new(properties, arg->name, arg_schema(arg));
		if (arg->required)
			json_array_append_new(required, json_string(arg->name));
	}
	for (const struct api_arg *arg = envelope;
	     (command->flags & API_CHANGES) != 0 && arg->name; arg++)
		json_object_set_new(properties, arg->name, arg_schema(arg));
	return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties",
	    properties, "required", required, "additionalProperties", 0);
}
