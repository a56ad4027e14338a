/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/policy_definition.h"
#include "base/assert.h"
#include "snapshot/pool.h"
#include <limits.h>
#include <string.h>

#define NONE      "none"
#define KEEP_ALL  "all"
#define LUN_FIELD "{lun}"

/* ---- checks: NULL, or why it cannot be ---- */

static json_t *
check_at(const json_t *value)
{
	const char *text = json_string_value(value);
	struct calendar calendar;
	const char *problem = calendar_parse(text, &calendar);

	if (problem == NULL)
		return NULL;
	return fault_fix(
	    fault_why(fault_new("policy.schedule", "'%s' is no schedule", text),
		"%s", problem),
	    "as: daily 02:00, hourly :15, mon..fri 22:00, monthly last 04:00, "
	    "every 4h");
}

static json_t *
check_keep(const json_t *value)
{
	const char *text = json_string_value(value);
	struct keep_rule rule;

	if (strcmp(text, KEEP_ALL) == 0 || keep_parse(text, &rule))
		return NULL;
	return fault_fix(
	    fault_new("policy.keep", "'%s' is no rule of what to keep", text),
	    "as: daily=7,weekly=4,monthly=12, or all");
}

/* Has the path a component ".."? */
static bool
goes_up(const char *path)
{
	for (; (path = strstr(path, "/..")) != NULL; path++) {
		if (path[3] == '\0' || path[3] == '/')
			return true;
	}
	return false;
}

/* An absolute path; in it {lun} and {pool}, and no other brace. */
static json_t *
check_directory(const json_t *value)
{
	static const char *const fields[] = {LUN_FIELD, "{pool}"};
	const char *text = json_string_value(value), *at = text;
	bool fits = text[0] == '/' && !goes_up(text);

	while (fits && (at = strpbrk(at, "{}")) != NULL) {
		fits = false;
		for (size_t i = 0; i < ARRAY_SIZE(fields) && !fits; i++) {
			size_t length = strlen(fields[i]);
			fits = strncmp(at, fields[i], length) == 0;
			at += fits ? length : 0;
		}
	}
	if (fits)
		return NULL;
	return fault_fix(
	    fault_why(fault_new("policy.backup-to",
			  "'%s' cannot be where backups go", text),
		"it is an absolute path, with {pool} and {lun} for the names"),
	    "--backup-to /backup/{lun}");
}

static json_t *
check_hook(const json_t *value)
{
	const char *text = json_string_value(value);

	if (pool_name_valid(text))
		return NULL;
	return fault_fix(
	    fault_new("policy.quiesce", "'%s' is no name of a hook", text),
	    "the name of a program in quiesce.d, as libvirt");
}

static json_t *
check_budget(const json_t *value)
{
	if (json_integer_value(value) <= FREEZE_BUDGET_MAX)
		return NULL;
	return fault_new("request.argument",
	    "a freeze lasts %d seconds at the most", FREEZE_BUDGET_MAX);
}

/* clang-format off */
static const struct member {
	const char *name;
	json_t *(*check)(const json_t *value); /* NULL: the parameter's suffices */
	bool needed;
} members[] = {
	{ "at",             check_at,        true },
	{ "keep",           check_keep,      true },
	{ "backup_to",      check_directory, false },
	{ "backup_keep",    check_keep,      false },
	{ "quiesce",        check_hook,      false },
	{ "freeze_budget", check_budget,   false },
	{ "if_not_frozen",  NULL,            false },
	{ "portal",         NULL,            false },
};
/* clang-format on */

/* ---- change ---- */

static bool
is_none(const json_t *value)
{
	return json_is_string(value) &&
	       strcmp(json_string_value(value), NONE) == 0;
}

static json_t *
member_take(
    const struct member *member, const json_t *params, json_t *definition)
{
	json_t *value = json_object_get(params, member->name), *fault = NULL;

	if (value == NULL)
		return NULL;
	if (is_none(value)) {
		json_object_del(definition, member->name);
		return NULL;
	}
	if (member->check != NULL)
		fault = member->check(value);
	if (fault == NULL)
		json_object_set(definition, member->name, value);
	return fault;
}

/* What makes sense only beside another. */
static json_t *
check_whole(const json_t *definition)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (members[i].needed &&
		    json_object_get(definition, members[i].name) == NULL)
			return fault_fix(
			    fault_new("policy.incomplete",
				"a policy needs --%s", members[i].name),
			    "as: --at 'daily 02:00' --keep daily=7,weekly=4");
	}
	if (json_object_get(definition, "backup_keep") != NULL &&
	    json_object_get(definition, "backup_to") == NULL)
		return fault_new("policy.incomplete",
		    "--backup-keep is for a policy with --backup-to");
	if (json_object_get(definition, "quiesce") == NULL &&
	    json_object_get(definition, "if_not_frozen") != NULL)
		return fault_new("policy.incomplete",
		    "--if-not-frozen is for a policy with --quiesce");
	return NULL;
}

json_t *
definition_change(
    const json_t *before, const json_t *params, json_t **ret_after)
{
	json_t *after = before != NULL ? json_deep_copy(before) : json_object();
	json_t *fault = NULL;

	assert(after != NULL);
	for (size_t i = 0; i < ARRAY_SIZE(members) && fault == NULL; i++)
		fault = member_take(&members[i], params, after);
	if (fault == NULL)
		fault = check_whole(after);
	if (fault != NULL)
		json_decref(after);
	else
		*ret_after = after;
	return fault;
}

/* ---- reading ---- */

void
definition_item(json_t *item, const json_t *definition)
{
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_t *value = json_object_get(definition, members[i].name);
		json_object_set_new(item, members[i].name,
		    value != NULL ? json_incref(value) : json_null());
	}
	if (json_object_get(definition, "quiesce") == NULL)
		return;
	if (json_object_get(definition, "freeze_budget") == NULL)
		json_object_set_new(
		    item, "freeze_budget", json_integer(FREEZE_BUDGET_DEFAULT));
	if (json_object_get(definition, "if_not_frozen") == NULL)
		json_object_set_new(
		    item, "if_not_frozen", json_string("crash"));
}

bool
definition_calendar(const json_t *definition, struct calendar *ret_calendar)
{
	const char *at = param_text(definition, "at");

	return at != NULL && calendar_parse(at, ret_calendar) == NULL;
}

bool
definition_keep(const json_t *definition, struct keep_rule *ret_rule)
{
	const char *keep = param_text(definition, "keep");

	if (keep != NULL && strcmp(keep, KEEP_ALL) == 0) {
		*ret_rule = (struct keep_rule){.count[KEEP_LAST] = UINT_MAX};
		return true;
	}
	return keep != NULL && keep_parse(keep, ret_rule);
}

bool
definition_is_of_one(const json_t *definition)
{
	const char *to = param_text(definition, "backup_to");

	return to != NULL && strstr(to, LUN_FIELD) == NULL;
}
