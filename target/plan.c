/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order of steps: pools come in first; then what is in the way goes
 * (exports, hosts, portals, redirects, policies, with prune); then portals,
 * redirects, hosts, LUNs, groups, exports and policies are made or changed.
 * LUNs and pools are never removed.
 */
#include "target/plan.h"
#include "base/size.h"
#include "target/plan_part.h"
#include "target/settings.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is, as a document ---- */

static json_t *
pools_document(struct house *house)
{
	json_t *pools = json_array();
	struct house_pool *hp;

	list_for_each (hp, &house->pools, link) {
		json_t *devices = json_array();
		for (unsigned i = 0; i < hp->device_count; i++)
			json_array_append_new(
			    devices, json_text(hp->devices[i]));
		json_array_append_new(pools, json_pack("{s:s, s:o}", "name",
						 hp->name, "devices", devices));
	}
	return pools;
}

static json_t *
host_document(const struct state_host *host)
{
	bool chap = host->chap.user[0] != '\0';
	bool mutual = host->mutual.user[0] != '\0';
	json_t *entry = json_pack("{s:s, s:s, s:s}", "name", host->name, "iqn",
	    host->iqn, "auth",
	    mutual ? "mutual"
	    : chap ? "chap"
		   : "none");

	if (chap)
		json_object_set_new(
		    entry, "chap_user", json_text(host->chap.user));
	if (mutual)
		json_object_set_new(
		    entry, "mutual_user", json_text(host->mutual.user));
	return entry;
}

static json_t *
hosts_document(struct house *house)
{
	json_t *array = json_array();
	struct state_host *hosts;
	unsigned count;

	if (state_hosts(house->state, &hosts, &count) < 0) {
		json_decref(array);
		return NULL;
	}
	for (unsigned i = 0; i < count; i++) {
		/* one that goes by itself is none of the configuration */
		if (hosts[i].expires_unix == 0)
			json_array_append_new(array, host_document(&hosts[i]));
	}
	state_hosts_free(hosts, count);
	return array;
}

static json_t *
luns_document(const struct survey *survey)
{
	json_t *luns = json_array();

	for (unsigned p = 0; p < survey->pool_count; p++) {
		const struct survey_pool *sp = &survey->pools[p];
		for (unsigned l = 0; l < sp->lun_count; l++) {
			const struct volume_stat *v = &sp->luns[l].volume;
			json_t *lun = json_pack("{s:o, s:o, s:i}", "name",
			    json_textf("%s/%s", sp->name, v->name), "size",
			    json_bytes(v->size), "block_size",
			    (int)v->block_size);
			if (v->quota != 0)
				json_object_set_new(
				    lun, "quota", json_bytes(v->quota));
			if (v->reserve != 0)
				json_object_set_new(
				    lun, "reserve", json_bytes(v->reserve));
			if (json_is_object(survey_settings(sp, &sp->luns[l])))
				json_object_update(
				    lun, survey_settings(sp, &sp->luns[l]));
			json_array_append_new(luns, lun);
		}
	}
	return luns;
}

static json_t *
group_document(const struct survey_pool *sp, const char *name)
{
	json_t *luns = json_array();

	for (unsigned l = 0; l < sp->lun_count; l++) {
		if (strcmp(sp->luns[l].group, name) == 0)
			json_array_append_new(
			    luns, version_name(sp, &sp->luns[l]));
	}
	return json_pack("{s:s, s:o}", "name", name, "luns", luns);
}

static json_t *
groups_document(const struct survey *survey)
{
	json_t *groups = json_array();

	for (unsigned p = 0; p < survey->pool_count; p++) {
		const struct survey_pool *sp = &survey->pools[p];
		for (unsigned g = 0; g < sp->group_count; g++)
			json_array_append_new(
			    groups, group_document(sp, sp->groups[g]));
	}
	return groups;
}

static json_t *
export_document(const struct state_export *row)
{
	return json_pack("{s:o, s:s, s:i, s:b, s:b, s:s*}", "name",
	    json_textf("%s/%s", row->pool, row->lun_name), "host", row->host,
	    "lun", (int)row->number, "read_only", row->read_only, "own_target",
	    row->own_target, "carrier",
	    row->carrier == CARRIER_ISCSI ? NULL
					  : state_carriers[row->carrier]);
}

static json_t *
exports_document(struct house *house)
{
	json_t *array = json_array();
	struct state_export *rows;
	unsigned count;

	if (state_exports(house->state, &rows, &count) < 0) {
		json_decref(array);
		return NULL;
	}
	for (unsigned i = 0; i < count; i++) {
		/* one that ends by itself is none of the configuration */
		if (rows[i].expires_unix == 0)
			json_array_append_new(array, export_document(&rows[i]));
	}
	free(rows);
	return array;
}

json_t *
plan_document(
    struct house *house, const struct survey *survey, json_t **ret_fault)
{
	json_t *hosts = hosts_document(house);
	json_t *exports = exports_document(house);
	json_t *policies = plan_policies_document(house);

	*ret_fault = NULL;
	if (hosts == NULL || exports == NULL || policies == NULL) {
		json_decref(hosts);
		json_decref(exports);
		json_decref(policies);
		*ret_fault = fault_internal("the state cannot be read", -EIO);
		return NULL;
	}
	return json_pack("{s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
	    "varve", 1, "pools", pools_document(house), "portals",
	    plan_portals_document(house), "redirects",
	    plan_redirects_document(house), "hosts", hosts, "luns",
	    luns_document(survey), "groups", groups_document(survey), "exports",
	    exports, "policies", policies);
}

/* ---- the plan ---- */

void
plan_step(struct plan *plan, const char *method, const char *name,
    json_t *params, const char *detail, ...)
{
	json_t *fault;
	va_list args;
	char *text;

	va_start(args, detail);
	int length = vasprintf(&text, detail, args);
	va_end(args);
	assert(length >= 0);
	fault = params_check(api_find_method(method), params);
	if (fault != NULL && plan->fault == NULL)
		plan->fault =
		    fault_why(fault_new("config.invalid",
				  "the entry of %s is not understood", name),
			"%s", fault_what(fault));
	json_decref(fault);
	json_array_append_new(
	    plan->steps, json_pack("{s:s, s:o, s:o, s:o, s:s}", "method",
			     method, "params", params, "name", json_text(name),
			     "detail", json_text(text), "state", "planned"));
	free(text);
}

void
plan_fail(struct plan *plan, const char *format, ...)
{
	char text[256];
	va_list args;

	if (plan->fault != NULL)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	plan->fault = fault_fix(fault_new("config.invalid", "%s", text),
	    "varve config export prints the form");
}

const char *
plan_text(const json_t *entry, const char *member)
{
	const char *text = json_string_value(json_object_get(entry, member));

	return text != NULL ? text : "";
}

static bool
true_of(const json_t *entry, const char *member)
{
	return json_is_true(json_object_get(entry, member));
}

const json_t *
plan_entry(const json_t *array, const json_t *key)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(array, i, entry)
	{
		if (strcmp(plan_text(entry, "name"), plan_text(key, "name")) ==
			0 &&
		    strcmp(plan_text(entry, "host"), plan_text(key, "host")) ==
			0)
			return entry;
	}
	return NULL;
}

bool
plan_string_in(const json_t *array, const char *text)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(array, i, entry)
	{
		if (strcmp(json_string_value(entry), text) == 0)
			return true;
	}
	return false;
}

static void
plan_pools(struct plan *plan)
{
	const json_t *have = json_object_get(plan->have, "pools"), *entry;
	size_t i;

	json_array_foreach(json_object_get(plan->want, "pools"), i, entry)
	{
		if (plan_entry(have, entry) != NULL)
			continue;
		plan_step(plan, "pool.import", plan_text(entry, "name"),
		    json_pack(
			"{s:O*}", "devices", json_object_get(entry, "devices")),
		    "take it in from its devices");
	}
}

static bool
carrier_equal(const json_t *a, const json_t *b)
{
	const char *x = json_string_value(json_object_get(a, "carrier"));
	const char *y = json_string_value(json_object_get(b, "carrier"));
	const char *usual = state_carriers[CARRIER_ISCSI];

	return strcmp(x != NULL ? x : usual, y != NULL ? y : usual) == 0;
}

static bool
export_equal(const json_t *a, const json_t *b)
{
	const json_t *number = json_object_get(b, "lun");

	return (number == NULL || json_integer_value(json_object_get(a,
				      "lun")) == json_integer_value(number)) &&
	       true_of(a, "read_only") == true_of(b, "read_only") &&
	       true_of(a, "own_target") == true_of(b, "own_target") &&
	       carrier_equal(a, b);
}

static void
plan_prune_exports(struct plan *plan)
{
	const json_t *want = json_object_get(plan->want, "exports"), *entry;
	size_t i;

	json_array_foreach(json_object_get(plan->have, "exports"), i, entry)
	{
		const json_t *same = plan_entry(want, entry);
		if (same != NULL ? export_equal(entry, same) : !plan->prune)
			continue;
		plan_step(plan, "export.remove", plan_text(entry, "name"),
		    json_pack("{s:s, s:s}", "name", plan_text(entry, "name"),
			"host", plan_text(entry, "host")),
		    "from host %s", plan_text(entry, "host"));
	}
}

static void
plan_prune(struct plan *plan)
{
	const json_t *hosts = json_object_get(plan->want, "hosts"), *entry;
	size_t i;

	plan_prune_exports(plan);
	if (!plan->prune)
		return;
	json_array_foreach(json_object_get(plan->have, "hosts"), i, entry)
	{
		if (plan_entry(hosts, entry) == NULL)
			plan_step(plan, "host.remove", plan_text(entry, "name"),
			    json_pack(
				"{s:s}", "host", plan_text(entry, "name")),
			    "it is not in the document");
	}
	plan_portals_prune(plan);
	plan_policies_prune(plan);
}

/* What host.add or host.set is to be told of the entry. */
static json_t *
host_params(struct plan *plan, const json_t *entry, const json_t *before)
{
	const char *auth = plan_text(entry, "auth");
	const char *had = before != NULL ? plan_text(before, "auth") : "";
	bool chap = strcmp(auth, "chap") == 0, mutual = false;
	json_t *params = json_object();

	if (strcmp(auth, "mutual") == 0)
		chap = mutual = true;
	else if (!chap && strcmp(auth, "none") != 0)
		plan_fail(plan, "host %s: auth is none, chap or mutual",
		    plan_text(entry, "name"));
	if (before == NULL ||
	    strcmp(plan_text(entry, "iqn"), plan_text(before, "iqn")) != 0)
		json_object_set(params, "iqn", json_object_get(entry, "iqn"));
	if (!chap && strcmp(had, "none") != 0)
		json_object_set_new(params, "no_chap", json_true());
	if (chap && strcmp(had, "chap") != 0 && strcmp(had, "mutual") != 0)
		json_object_set_new(params, "chap_generate", json_true());
	if (mutual && strcmp(had, "mutual") != 0)
		json_object_set_new(params, "mutual", json_true());
	if (chap && !mutual && strcmp(had, "mutual") == 0)
		json_object_set_new(params, "no_mutual", json_true());
	for (int i = 0; i < 2; i++) {
		const char *user = i == 0 ? "chap_user" : "mutual_user";
		json_t *value = json_object_get(entry, user);
		if (value != NULL &&
		    (before == NULL || strcmp(plan_text(entry, user),
					   plan_text(before, user)) != 0))
			json_object_set(params, user, value);
	}
	return params;
}

static void
plan_hosts(struct plan *plan)
{
	const json_t *have = json_object_get(plan->have, "hosts"), *entry;
	size_t i;

	json_array_foreach(json_object_get(plan->want, "hosts"), i, entry)
	{
		const char *name = plan_text(entry, "name");
		const json_t *before = plan_entry(have, entry);
		json_t *params = host_params(plan, entry, before);
		if (before == NULL) {
			json_object_set_new(params, "name", json_string(name));
			plan_step(plan, "host.add", name, params, "%s, auth %s",
			    plan_text(entry, "iqn"), plan_text(entry, "auth"));
		} else if (json_object_size(params) > 0) {
			json_object_set_new(params, "host", json_string(name));
			plan_step(plan, "host.set", name, params, "%s, auth %s",
			    plan_text(entry, "iqn"), plan_text(entry, "auth"));
		} else {
			json_decref(params);
		}
	}
}

/* A pool that is yet to come in brings its LUNs along, but not what was set of
 * them. */
static bool
pool_is_here(const struct plan *plan, const char *lun)
{
	const json_t *entry;
	size_t i, length = strcspn(lun, "/");

	json_array_foreach(json_object_get(plan->have, "pools"), i, entry)
	{
		const char *name = plan_text(entry, "name");
		if (strncmp(name, lun, length) == 0 && name[length] == '\0')
			return true;
	}
	return false;
}

/* One that says nothing of a quota or reservation leaves it as it is. */
static void
plan_limit(struct plan *plan, const json_t *entry, const json_t *before,
    const char *which)
{
	json_t *limit = json_object_get(entry, which);
	json_int_t bytes = json_integer_value(limit);
	const char *name = plan_text(entry, "name");
	char text[SIZE_TEXT_MAX];

	if (limit == NULL ||
	    bytes == json_integer_value(json_object_get(before, which)))
		return;
	plan_step(plan, "lun.set", name,
	    json_pack("{s:s, s:O}", "lun", name, which, limit), "%s %s", which,
	    bytes != 0 ? size_format((uint64_t)bytes, text) : "none");
}

/* The same of its settings. */
static void
plan_settings(struct plan *plan, const json_t *entry, const json_t *before)
{
	json_t *settings = settings_beside(entry, before);
	const char *name = plan_text(entry, "name");
	char *text;

	if (settings == NULL)
		return;
	text = json_dumps(settings, JSON_COMPACT | JSON_SORT_KEYS);
	assert(text != NULL);
	json_object_set_new(settings, "lun", json_string(name));
	plan_step(plan, "lun.set", name, settings, "%s", text);
	free(text);
}

static void
plan_luns(struct plan *plan)
{
	const json_t *have = json_object_get(plan->have, "luns"), *entry;
	char from[SIZE_TEXT_MAX], to[SIZE_TEXT_MAX], bytes[32];
	size_t i;

	json_array_foreach(json_object_get(plan->want, "luns"), i, entry)
	{
		const json_t *before = plan_entry(have, entry);
		json_int_t size =
		    json_integer_value(json_object_get(entry, "size"));
		json_int_t had =
		    json_integer_value(json_object_get(before, "size"));
		size_format((uint64_t)size, to);
		size_format((uint64_t)had, from);
		if (!pool_is_here(plan, plan_text(entry, "name"))) {
			plan_settings(plan, entry, NULL);
			continue;
		}
		if (before == NULL) {
			plan_step(plan, "lun.create", plan_text(entry, "name"),
			    json_copy((json_t *)(uintptr_t)entry), "size %s",
			    to);
			continue;
		}
		if (size != had) {
			snprintf(bytes, sizeof(bytes), "%" JSON_INTEGER_FORMAT,
			    size);
			plan_step(plan, "lun.resize", plan_text(entry, "name"),
			    json_pack("{s:s, s:s}", "lun",
				plan_text(entry, "name"), "size", bytes),
			    "from %s to %s", from, to);
		}
		plan_limit(plan, entry, before, "quota");
		plan_limit(plan, entry, before, "reserve");
		plan_settings(plan, entry, before);
	}
}

json_t *
plan_beside(const json_t *one, const json_t *other, const char *member)
{
	const json_t *others = json_object_get(other, member), *value;
	json_t *rest = json_array();
	size_t i;

	json_array_foreach(json_object_get(one, member), i, value)
	{
		const char *name = json_string_value(value);
		if (name != NULL && !plan_string_in(others, name))
			json_array_append_new(rest, json_string(name));
	}
	if (json_array_size(rest) > 0)
		return rest;
	json_decref(rest);
	return NULL;
}

static void
plan_members(struct plan *plan, const json_t *entry, const json_t *before)
{
	const char *name = plan_text(entry, "name");
	json_t *in = plan_beside(entry, before, "luns");
	json_t *out = plan_beside(before, entry, "luns");

	if (out != NULL)
		plan_step(plan, "group.remove", name,
		    json_pack("{s:s, s:o}", "group", name, "luns", out),
		    "%zu LUNs that are not in it", json_array_size(out));
	if (in != NULL)
		plan_step(plan, "group.add", name,
		    json_pack("{s:s, s:o}", "group", name, "luns", in),
		    "%zu LUNs", json_array_size(in));
}

static void
plan_groups(struct plan *plan)
{
	const json_t *have = json_object_get(plan->have, "groups"), *entry;
	size_t i;

	json_array_foreach(json_object_get(plan->want, "groups"), i, entry)
	{
		const json_t *luns = json_object_get(entry, "luns");
		const char *first = json_string_value(json_array_get(luns, 0));
		const json_t *before = plan_entry(have, entry);
		if (first != NULL && !pool_is_here(plan, first))
			continue;
		if (before != NULL)
			plan_members(plan, entry, before);
		else
			plan_step(plan, "group.create",
			    plan_text(entry, "name"),
			    json_copy((json_t *)(uintptr_t)entry), "%zu LUNs",
			    json_array_size(luns));
	}
}

static void
plan_exports(struct plan *plan)
{
	const json_t *have = json_object_get(plan->have, "exports"), *entry;
	size_t i;

	json_array_foreach(json_object_get(plan->want, "exports"), i, entry)
	{
		const json_t *before = plan_entry(have, entry);
		if (before != NULL && export_equal(before, entry))
			continue;
		plan_step(plan, "export.add", plan_text(entry, "name"),
		    json_copy((json_t *)(uintptr_t)entry), "to host %s",
		    plan_text(entry, "host"));
	}
}

/* ---- the document's form; entries are checked as params of their step ---- */

static bool
form_array(struct plan *plan, const char *name, bool strings)
{
	const json_t *array = json_object_get(plan->want, name), *entry;
	size_t i;

	if (array == NULL)
		return true;
	if (!json_is_array(array)) {
		plan_fail(plan, "%s has to be an array", name);
		return false;
	}
	json_array_foreach(array, i, entry)
	{
		if (strings
			? json_is_string(entry)
			: json_is_object(entry) &&
			      json_is_string(json_object_get(entry, "name")))
			continue;
		plan_fail(plan, "entry %zu of %s has to be %s", i + 1, name,
		    strings ? "a string" : "an object with a name");
		return false;
	}
	return true;
}

static bool
form_check(struct plan *plan)
{
	static const struct {
		const char *name;
		bool strings;
	} members[] = {{"pools", false}, {"portals", true},
	    {"redirects", false}, {"hosts", false}, {"luns", false},
	    {"groups", false}, {"exports", false}, {"policies", false}};
	void *iter = json_object_iter(plan->want);

	if (json_integer_value(json_object_get(plan->want, "varve")) != 1) {
		plan_fail(plan, "the document does not say \"varve\": 1");
		return false;
	}
	for (; iter != NULL; iter = json_object_iter_next(plan->want, iter)) {
		const char *name = json_object_iter_key(iter);
		bool known = strcmp(name, "varve") == 0;
		for (size_t i = 0; i < ARRAY_SIZE(members); i++)
			known |= strcmp(name, members[i].name) == 0;
		if (!known)
			plan_fail(plan,
			    "the document has an unknown member '%.64s'", name);
	}
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		if (!form_array(plan, members[i].name, members[i].strings))
			return false;
	}
	return plan->fault == NULL;
}

json_t *
plan_make(struct house *house, const struct survey *survey,
    const json_t *document, bool prune, json_t **ret_steps)
{
	struct plan plan = {.prune = prune};

	*ret_steps = NULL;
	plan.want = json_deep_copy(document);
	plan.have = plan_document(house, survey, &plan.fault);
	plan.steps = json_array();
	if (plan.fault == NULL && form_check(&plan)) {
		plan_portals_form(&plan);
		plan_pools(&plan);
		plan_prune(&plan);
		plan_portals(&plan);
		plan_redirects(&plan);
		plan_hosts(&plan);
		plan_luns(&plan);
		plan_groups(&plan);
		plan_exports(&plan);
		plan_policies(&plan);
	}
	json_decref(plan.want);
	json_decref(plan.have);
	if (plan.fault != NULL)
		json_decref(plan.steps);
	else
		*ret_steps = plan.steps;
	return plan.fault;
}
