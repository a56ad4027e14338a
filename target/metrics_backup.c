/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Metrics of the backups that policies make: of each LUN, since when some
 * policy is to back it up, and the last one that there was.
 */
#include "target/method_policy.h"
#include "target/metrics.h"
#include "target/state_event.h"
#include <stdlib.h>

struct wanted {
	const struct survey_pool *sp;
	const struct survey_lun *sl;
	int64_t since; /* some policy backs it up since; 0: none does */
	const struct state_backup *last; /* NULL: none */
};

struct wanteds {
	struct wanted *list;
	unsigned count;
	json_t *index; /* in the list, by "vms/web01" */
};

static void
wanted_add(struct wanteds *wanteds, const struct survey_pool *sp,
    const struct survey_lun *sl)
{
	char name[REF_TEXT_MAX];

	snprintf(name, sizeof(name), "%s/%s", sp->name, sl->volume.name);
	json_object_set_new(wanteds->index, name, json_integer(wanteds->count));
	wanteds->list[wanteds->count++] = (struct wanted){sp, sl, 0, NULL};
}

static struct wanteds
wanteds_new(const struct survey *survey)
{
	struct wanteds wanteds = {.index = json_object()};
	unsigned count = 0;

	for (unsigned i = 0; i < survey->pool_count; i++)
		count += survey->pools[i].lun_count;
	wanteds.list = calloc(count + 1, sizeof(*wanteds.list));
	assert(wanteds.list != NULL);
	for (unsigned i = 0; i < survey->pool_count; i++) {
		const struct survey_pool *sp = &survey->pools[i];
		for (unsigned l = 0; l < sp->lun_count; l++)
			wanted_add(&wanteds, sp, &sp->luns[l]);
	}
	return wanteds;
}

/* NULL: there is no such LUN now. */
static struct wanted *
wanted_find(const struct wanteds *wanteds, const char *name)
{
	const json_t *index = json_object_get(wanteds->index, name);

	return index != NULL ? &wanteds->list[json_integer_value(index)] : NULL;
}

static void
set_is_wanted(const struct wanteds *wanteds, const json_t *luns, int64_t since)
{
	const json_t *name;
	size_t i;

	json_array_foreach(luns, i, name)
	{
		struct wanted *wanted =
		    wanted_find(wanteds, json_string_value(name));
		int64_t created;

		if (wanted == NULL)
			continue;
		created = (int64_t)wanted->sl->volume.created_unix;
		if (created < since)
			created = since;
		if (wanted->since == 0 || created < wanted->since)
			wanted->since = created;
	}
}

static void
policy_wants(const struct wanteds *wanteds, struct house *house,
    const struct survey *survey, const struct state_policy *policy)
{
	struct members members;
	const json_t *set;
	json_t *sets;
	size_t i;

	if (policy->paused ||
	    json_object_get(policy->definition, "backup_to") == NULL ||
	    state_members(
		house->state, policy->id, &members.rows, &members.count) < 0)
		return;
	sets = policy_sets(survey, &members);
	json_array_foreach(sets, i, set) set_is_wanted(
	    wanteds, json_object_get(set, "luns"), policy->since_unix);
	json_decref(sets);
	free(members.rows);
}

/* A LUN that is younger than the backup of its name is not the one that was
 * backed up. */
static void
backups_known(const struct wanteds *wanteds, const struct state_backup *backups,
    unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char name[REF_TEXT_MAX];
		struct wanted *wanted;

		snprintf(name, sizeof(name), "%s/%s", backups[i].pool,
		    backups[i].lun);
		wanted = wanted_find(wanteds, name);
		if (wanted != NULL &&
		    backups[i].at_unix >=
			(int64_t)wanted->sl->volume.created_unix)
			wanted->last = &backups[i];
	}
}

static int64_t
get_since(const struct wanted *wanted)
{
	return wanted->since > 0 ? wanted->since : -1;
}

static int64_t
get_at(const struct wanted *wanted)
{
	return wanted->last != NULL ? wanted->last->at_unix : -1;
}

static int64_t
get_stamp(const struct wanted *wanted)
{
	return wanted->last != NULL ? wanted->last->stamp_unix : -1;
}

static int64_t
get_bytes(const struct wanted *wanted)
{
	return wanted->last != NULL ? (int64_t)wanted->last->bytes : -1;
}

/* clang-format off */
#define B(name, help, get) { { "varve_backup_" name, METRIC_GAUGE, help }, get }
static const struct {
	struct metric metric;
	int64_t (*get)(const struct wanted *wanted);
} backup_values[] = {
	B("wanted_since_timestamp_seconds",  "A policy that is not paused backs the LUN up; since then, in seconds since 1970.", get_since),
	B("last_success_timestamp_seconds",  "When a policy last backed the LUN up, in seconds since 1970.", get_at),
	B("last_snapshot_timestamp_seconds", "The instant that this backup is of, in seconds since 1970.", get_stamp),
	B("last_bytes",                      "What this backup took, in bytes.", get_bytes),
};
#undef B
/* clang-format on */

static void
backups_write(struct exposition *e, const struct wanteds *wanteds)
{
	for (size_t v = 0; v < ARRAY_SIZE(backup_values); v++) {
		exposition_family(e, &backup_values[v].metric);
		for (unsigned i = 0; i < wanteds->count; i++) {
			const struct wanted *wanted = &wanteds->list[i];
			const struct label labels[] = {
			    {"pool", wanted->sp->name},
			    {"lun", wanted->sl->volume.name}, {NULL, NULL}};
			int64_t value = backup_values[v].get(wanted);
			if (value >= 0)
				exposition_count(e, labels, (uint64_t)value);
		}
	}
}

void
metrics_backups(
    struct exposition *e, struct house *house, const struct survey *survey)
{
	struct wanteds wanteds = wanteds_new(survey);
	struct state_policy *policies = NULL;
	struct state_backup *backups = NULL;
	unsigned policy_count = 0, backup_count = 0;

	if (state_policies(house->state, &policies, &policy_count) < 0)
		policy_count = 0;
	for (unsigned i = 0; i < policy_count; i++)
		policy_wants(&wanteds, house, survey, &policies[i]);
	if (state_backups(house->state, &backups, &backup_count) == 0)
		backups_known(&wanteds, backups, backup_count);
	backups_write(e, &wanteds);
	free(backups);
	state_policies_free(policies, policy_count);
	json_decref(wanteds.index);
	free(wanteds.list);
}
