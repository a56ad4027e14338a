/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/policy_event.h"
#include "base/consistency.h"
#include "base/log.h"
#include "target/event.h"
#include "target/fault.h"
#include "target/ref.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>

static json_t *
data_of(const struct state_run *run)
{
	json_t *data =
	    json_pack("{s:o, s:I, s:i}", "policy", json_text(run->policy),
		"run", (json_int_t)run->id, "attempt", (int)run->attempt);

	assert(data != NULL);
	return data;
}

static void
set(json_t *data, const char *member, json_t *value)
{
	json_object_set_new(data, member, value);
}

/* ---- a run ---- */

void
policy_tell_begun(struct house *house, const struct state_run *run)
{
	event_tell(house, LOG_INFO, "policy.run-begun", run->policy,
	    data_of(run), "policy %s: run %" PRId64 " begins", run->policy,
	    run->id);
}

void
policy_tell_missed(struct house *house, const struct state_run *run)
{
	json_t *data = json_pack("{s:o, s:I}", "policy", json_text(run->policy),
	    "missed", (json_int_t)run->missed);

	event_tell(house, LOG_WARNING, "policy.missed", run->policy, data,
	    "policy %s: %" PRIu64 " runs were missed, one is made for all",
	    run->policy, run->missed);
}

void
policy_tell_frozen(struct house *house, const char *problem)
{
	event_tell(house, LOG_ERR, "policy.frozen-left", "server", NULL,
	    "what a policy froze may be frozen still: see %s/quiesce%s%s",
	    house->config->state_dir, problem != NULL ? ": " : "",
	    problem != NULL ? problem : "");
}

static const struct {
	int level;
	const char *kind;
} endings[RUN_COUNT] = {
    [RUN_DONE] = {LOG_NOTICE, "policy.run-done"},
    [RUN_PARTIAL] = {LOG_WARNING, "policy.run-partial"},
    [RUN_FAILED] = {LOG_ERR, "policy.run-failed"},
    [RUN_INTERRUPTED] = {LOG_WARNING, "policy.run-interrupted"},
};

static void
run_tell(struct house *house, const struct state_run *run)
{
	const json_t *problem = json_object_get(run->report, "problem");
	const json_t *bytes = json_object_get(run->report, "bytes");
	const char *what = json_is_object(problem) ? fault_what(problem) : "";
	json_t *data = data_of(run);

	set(data, "outcome", json_string(run_outcomes[run->outcome]));
	if (run->ended_unix >= run->begun_unix)
		set(data, "seconds",
		    json_integer(run->ended_unix - run->begun_unix));
	set(data, "luns",
	    json_integer((json_int_t)json_array_size(
		json_object_get(run->report, "luns"))));
	if (json_is_integer(bytes))
		set(data, "bytes", json_integer(json_integer_value(bytes)));
	if (json_is_object(problem))
		set(data, "problem", json_string(fault_code(problem)));
	event_tell(house, endings[run->outcome].level,
	    endings[run->outcome].kind, run->policy, data,
	    "policy %s: run %" PRId64 " %s%s%s", run->policy, run->id,
	    run_outcomes[run->outcome], what[0] != '\0' ? ": " : "", what);
}

/* ---- a LUN of it ---- */

/* One line of a report: a worker's word, which is looked at first. */
struct lun_line {
	const struct state_run *run;
	const json_t *item;
	const char *name;
	struct ref ref;
};

static json_t *
data_of_lun(const struct lun_line *line)
{
	json_t *data = data_of(line->run);

	set(data, "pool", json_string(line->ref.pool));
	set(data, "lun", json_string(line->name));
	return data;
}

static void
lun_tell_failed(struct house *house, const struct lun_line *line)
{
	const json_t *problem = json_object_get(line->item, "problem");
	json_t *data;

	if (!json_is_object(problem) || line->run->outcome != RUN_PARTIAL)
		return;
	data = data_of_lun(line);
	set(data, "problem", json_string(fault_code(problem)));
	event_tell(house, LOG_WARNING, "policy.lun-failed", line->name, data,
	    "%s: policy %s: %s", line->name, line->run->policy,
	    fault_what(problem));
}

static void
lun_tell_not_frozen(struct house *house, const struct lun_line *line)
{
	const char *consistency =
	    json_string_value(json_object_get(line->item, "consistency"));
	const char *note = json_string_value(
	    json_array_get(json_object_get(line->item, "notes"), 0));

	if (consistency == NULL ||
	    strcmp(consistency, consistency_text(CONSISTENCY_CRASH)) != 0)
		return;
	event_tell(house, LOG_WARNING, "policy.not-frozen", line->name,
	    data_of_lun(line),
	    "%s: policy %s: its snapshot is crash consistent only%s%s",
	    line->name, line->run->policy, note != NULL ? ": " : "",
	    note != NULL ? note : "");
}

static void
lun_keep_backup(struct house *house, const struct lun_line *line)
{
	const json_t *made = json_object_get(line->item, "backup");
	json_int_t bytes = json_integer_value(json_object_get(made, "bytes"));
	struct state_backup backup = {.stamp_unix = line->run->stamp_unix,
	    .at_unix = line->run->ended_unix,
	    .bytes = bytes > 0 ? (uint64_t)bytes : 0};
	int ret;

	if (!json_is_object(made))
		return;
	memcpy(backup.pool, line->ref.pool, sizeof(backup.pool));
	memcpy(backup.lun, line->ref.lun, sizeof(backup.lun));
	memcpy(backup.policy, line->run->policy, sizeof(line->run->policy));
	ret = state_backup_put(house->state, &backup);
	/* the pool may have been removed meanwhile */
	if (ret < 0)
		log_warn("%s: when it was backed up is not kept: %s",
		    line->name, strerror(-ret));
}

static bool
freezes(struct house *house, const struct state_run *run)
{
	struct state_policy policy;
	bool freezes;

	if (state_policy_find(house->state, run->policy, &policy) < 0)
		return false;
	freezes = json_is_string(json_object_get(policy.definition, "quiesce"));
	json_decref(policy.definition);
	return freezes;
}

void
policy_tell_ended(struct house *house, const struct state_run *run)
{
	struct lun_line line = {.run = run};
	bool frozen = freezes(house, run);
	size_t i;

	assert(run->outcome != RUN_RUNNING);
	json_array_foreach(json_object_get(run->report, "luns"), i, line.item)
	{
		line.name =
		    json_string_value(json_object_get(line.item, "lun"));
		if (line.name == NULL ||
		    ref_parse(line.name, &line.ref) != REF_LUN)
			continue;
		lun_keep_backup(house, &line);
		if (frozen)
			lun_tell_not_frozen(house, &line);
		lun_tell_failed(house, &line);
	}
	run_tell(house, run);
}
