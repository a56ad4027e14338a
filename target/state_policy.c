/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/state_policy.h"
#include "target/state_sql.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const member_kinds[MEMBER_COUNT] = {"lun", "group", "pool"};
const char *const run_outcomes[RUN_COUNT] = {
    "running", "done", "partial", "failed", "interrupted"};

/* A word that is in no table is of a newer varve, or nobody's. */
static unsigned
word_of(sqlite3_stmt *stmt, int column, const char *const *words,
    unsigned count, unsigned otherwise)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	for (unsigned i = 0; i < count && text != NULL; i++) {
		if (strcmp(words[i], text) == 0)
			return i;
	}
	return otherwise;
}

/* NULL: it has none, or it is not JSON. */
static json_t *
json_of(sqlite3_stmt *stmt, int column)
{
	const char *text = (const char *)sqlite3_column_text(stmt, column);

	return text != NULL ? json_loads(text, 0, NULL) : NULL;
}

/* ---- policies ---- */

#define POLICY_SELECT                                                          \
	"SELECT id, name, definition, created, since, scheduled, paused "      \
	"FROM policies "

static void
read_policy(sqlite3_stmt *stmt, void *element)
{
	struct state_policy *policy = element;

	*policy = (struct state_policy){.id = sqlite3_column_int64(stmt, 0)};
	sql_text(stmt, 1, policy->name, sizeof(policy->name));
	policy->definition = json_of(stmt, 2);
	if (policy->definition == NULL)
		policy->definition = json_object();
	policy->created_unix = sqlite3_column_int64(stmt, 3);
	policy->since_unix = sqlite3_column_int64(stmt, 4);
	policy->scheduled_unix = sqlite3_column_int64(stmt, 5);
	policy->paused = sqlite3_column_int(stmt, 6) != 0;
}

void
state_policies_free(struct state_policy *policies, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		json_decref(policies[i].definition);
	free(policies);
}

int
state_policies(struct state *state, struct state_policy **ret_policies,
    unsigned *ret_count)
{
	struct sql_rows rows = {
	    .size = sizeof(struct state_policy), .read = read_policy};
	int ret = sql_run(
	    state, POLICY_SELECT "ORDER BY name", sql_collect, &rows, "");

	*ret_policies = NULL;
	*ret_count = 0;
	if (ret < 0) {
		state_policies_free(rows.array, rows.count);
		return ret;
	}
	*ret_policies = rows.array;
	*ret_count = rows.count;
	return 0;
}

int
state_policy_find(
    struct state *state, const char *name, struct state_policy *ret_policy)
{
	struct sql_rows rows = {
	    .size = sizeof(struct state_policy), .read = read_policy};
	int ret = sql_run(state, POLICY_SELECT "WHERE name = ?", sql_collect,
	    &rows, "s", name);

	*ret_policy = (struct state_policy){.id = 0};
	if (ret == 0 && rows.count == 0)
		ret = -ENOENT;
	if (ret == 0)
		*ret_policy = *(struct state_policy *)rows.array;
	free(rows.array);
	return ret;
}

int
state_policy_add(struct state *state, struct state_policy *policy)
{
	char *text = json_dumps(policy->definition, JSON_COMPACT);
	int ret;

	assert(state->changing && text != NULL);
	ret = sql_run(state,
	    "INSERT INTO policies (name, definition, created, since, "
	    "scheduled, paused) VALUES (?, ?, ?, ?, ?, ?)",
	    NULL, NULL, "ssiiib", policy->name, text, policy->created_unix,
	    policy->since_unix, policy->scheduled_unix, policy->paused);
	free(text);
	if (ret == 0)
		policy->id = sql_inserted(state);
	return ret;
}

int
state_policy_update(struct state *state, const struct state_policy *policy)
{
	char *text = json_dumps(policy->definition, JSON_COMPACT);
	int ret;

	assert(state->changing && text != NULL);
	ret = sql_run(state,
	    "UPDATE policies SET definition = ?, since = ?, scheduled = ?, "
	    "paused = ? WHERE id = ?",
	    NULL, NULL, "siibi", text, policy->since_unix,
	    policy->scheduled_unix, policy->paused, policy->id);
	free(text);
	return ret;
}

int
state_policy_remove(struct state *state, int64_t id)
{
	assert(state->changing);
	return sql_run(
	    state, "DELETE FROM policies WHERE id = ?", NULL, NULL, "i", id);
}

/* ---- members ---- */

static void
read_member(sqlite3_stmt *stmt, void *element)
{
	struct state_member *member = element;

	*member =
	    (struct state_member){.policy_id = sqlite3_column_int64(stmt, 0),
		.pool_id = sqlite3_column_int64(stmt, 1)};
	member->kind = (enum member_kind)word_of(
	    stmt, 2, member_kinds, MEMBER_COUNT, MEMBER_LUN);
	sql_text(stmt, 3, member->what, sizeof(member->what));
	sql_text(stmt, 4, member->lun_name, sizeof(member->lun_name));
	sql_text(stmt, 5, member->pool, sizeof(member->pool));
}

int
state_members(struct state *state, int64_t policy_id,
    struct state_member **ret_members, unsigned *ret_count)
{
	struct sql_rows rows = {
	    .size = sizeof(struct state_member), .read = read_member};
	int ret = sql_run(state,
	    "SELECT m.policy, m.pool, m.kind, m.what, m.lun_name, p.name "
	    "FROM policy_members m JOIN pools p ON p.id = m.pool "
	    "WHERE ?1 = 0 OR m.policy = ?1 ORDER BY m.rowid",
	    sql_collect, &rows, "i", policy_id);

	*ret_members = NULL;
	*ret_count = 0;
	if (ret < 0) {
		free(rows.array);
		return ret;
	}
	*ret_members = rows.array;
	*ret_count = rows.count;
	return 0;
}

int
state_member_add(struct state *state, const struct state_member *member)
{
	assert(state->changing);
	return sql_run(state,
	    "INSERT INTO policy_members (policy, pool, kind, what, lun_name) "
	    "VALUES (?, ?, ?, ?, ?)",
	    NULL, NULL, "iisss", member->policy_id, member->pool_id,
	    member_kinds[member->kind], member->what, member->lun_name);
}

int
state_member_remove(struct state *state, const struct state_member *member)
{
	int ret;

	assert(state->changing);
	ret = sql_run(state,
	    "DELETE FROM policy_members WHERE policy = ? AND pool = ? "
	    "AND kind = ? AND what = ?",
	    NULL, NULL, "iiss", member->policy_id, member->pool_id,
	    member_kinds[member->kind], member->what);
	if (ret == 0 && sql_changed(state) == 0)
		ret = -ENOENT;
	return ret;
}

/* ---- runs ---- */

static void
read_run(sqlite3_stmt *stmt, void *element)
{
	struct state_run *run = element;

	*run = (struct state_run){.id = sqlite3_column_int64(stmt, 0),
	    .policy_id = sqlite3_column_int64(stmt, 1)};
	sql_text(stmt, 2, run->policy, sizeof(run->policy));
	run->scheduled_unix = sqlite3_column_int64(stmt, 3);
	run->stamp_unix = sqlite3_column_int64(stmt, 4);
	run->attempt = (unsigned)sqlite3_column_int(stmt, 5);
	run->missed = (uint64_t)sqlite3_column_int64(stmt, 6);
	run->begun_unix = sqlite3_column_int64(stmt, 7);
	run->ended_unix = sqlite3_column_int64(stmt, 8);
	run->outcome = (enum run_outcome)word_of(
	    stmt, 9, run_outcomes, RUN_COUNT, RUN_FAILED);
	run->pid = (pid_t)sqlite3_column_int(stmt, 10);
	run->report = json_of(stmt, 11);
}

void
state_runs_free(struct state_run *runs, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		json_decref(runs[i].report);
	free(runs);
}

int
state_runs(struct state *state, const struct run_query *query,
    struct state_run **ret_runs, unsigned *ret_count)
{
	struct sql_rows rows = {
	    .size = sizeof(struct state_run), .read = read_run};
	int ret = sql_run(state,
	    "SELECT r.id, r.policy, p.name, r.scheduled, r.stamp, r.attempt, "
	    "r.missed, r.begun, r.ended, r.outcome, r.pid, "
	    "CASE WHEN ?5 THEN NULL ELSE r.report END "
	    "FROM policy_runs r JOIN policies p ON p.id = r.policy "
	    "WHERE (?1 = 0 OR r.policy = ?1) AND (?2 = 0 OR r.id = ?2) "
	    "AND (?3 = 0 OR r.outcome = 'running') "
	    "ORDER BY r.id DESC LIMIT ?4",
	    sql_collect, &rows, "iibib", query->policy_id, query->id,
	    query->running, query->limit > 0 ? (int64_t)query->limit : -1,
	    query->bare);

	*ret_runs = NULL;
	*ret_count = 0;
	if (ret < 0) {
		state_runs_free(rows.array, rows.count);
		return ret;
	}
	*ret_runs = rows.array;
	*ret_count = rows.count;
	return 0;
}

static int
read_stamp(sqlite3_stmt *stmt, void *arg)
{
	*(int64_t *)arg = sqlite3_column_int64(stmt, 0);
	return 0;
}

/* A clock that was set back must not give two runs' snapshots one name. */
static int
stamp_choose(struct state *state, struct state_run *run)
{
	int64_t taken = 0;
	int ret;

	if (run->attempt > 1)
		return 0;
	do {
		taken = 0;
		ret = sql_run(state,
		    "SELECT stamp FROM policy_runs WHERE policy = ? "
		    "AND stamp = ?",
		    read_stamp, &taken, "ii", run->policy_id, run->stamp_unix);
	} while (ret == 0 && taken != 0 && ++run->stamp_unix);
	return ret;
}

#define TALLY_MISSED "missed" /* beside the words of outcomes */

static int
tally_add(struct state *state, int64_t policy_id, const char *what,
    uint64_t count, int64_t at)
{
	return sql_run(state,
	    "INSERT INTO policy_tallies (policy, outcome, runs, last) "
	    "VALUES (?1, ?2, ?3, ?4) ON CONFLICT (policy, outcome) "
	    "DO UPDATE SET runs = runs + ?3, last = ?4",
	    NULL, NULL, "isii", policy_id, what, (int64_t)count, at);
}

static int
begin_step(struct state *state, void *arg)
{
	struct state_run *run = arg;
	int ret = stamp_choose(state, run);

	if (ret == 0)
		ret = sql_run(state,
		    "INSERT INTO policy_runs (policy, scheduled, stamp, "
		    "attempt, missed, begun, ended, outcome, pid) "
		    "VALUES (?, ?, ?, ?, ?, ?, 0, 'running', 0)",
		    NULL, NULL, "iiiuii", run->policy_id, run->scheduled_unix,
		    run->stamp_unix, run->attempt, (int64_t)run->missed,
		    run->begun_unix);
	if (ret < 0)
		return ret;
	run->id = sql_inserted(state);
	if (run->scheduled_unix > 0)
		ret = sql_run(state,
		    "UPDATE policies SET scheduled = ? WHERE id = ?", NULL,
		    NULL, "ii", run->scheduled_unix, run->policy_id);
	if (ret == 0 && run->missed > 0)
		ret = tally_add(state, run->policy_id, TALLY_MISSED,
		    run->missed, run->begun_unix);
	if (ret < 0)
		return ret;
	return sql_run(state,
	    "DELETE FROM policy_runs WHERE policy = ?1 AND id <= "
	    "(SELECT id FROM policy_runs WHERE policy = ?1 "
	    "ORDER BY id DESC LIMIT 1 OFFSET ?2)",
	    NULL, NULL, "iu", run->policy_id, POLICY_RUNS_KEPT);
}

int
state_run_begin(struct state *state, struct state_run *run)
{
	return sql_in_one(state, begin_step, run);
}

int
state_run_started(struct state *state, int64_t id, pid_t pid)
{
	return sql_run(state, "UPDATE policy_runs SET pid = ? WHERE id = ?",
	    NULL, NULL, "ii", (int64_t)pid, id);
}

struct ending {
	const struct state_run *run;
	const char *report;
};

static int
end_step(struct state *state, void *arg)
{
	const struct ending *ending = arg;
	const struct state_run *run = ending->run;
	int ret = sql_run(state,
	    "UPDATE policy_runs SET outcome = ?, ended = ?, report = ? "
	    "WHERE id = ?",
	    NULL, NULL, "sisi", run_outcomes[run->outcome], run->ended_unix,
	    ending->report, run->id);

	if (ret < 0)
		return ret;
	return tally_add(state, run->policy_id, run_outcomes[run->outcome], 1,
	    run->ended_unix);
}

int
state_run_end(struct state *state, const struct state_run *run)
{
	char *text = json_dumps(run->report, JSON_COMPACT);
	struct ending ending = {run, text != NULL ? text : "null"};
	int ret = sql_in_one(state, end_step, &ending);

	free(text);
	return ret;
}

static int
read_tally(sqlite3_stmt *stmt, void *arg)
{
	struct state_tally *tally = arg;
	uint64_t count = (uint64_t)sqlite3_column_int64(stmt, 1);
	unsigned outcome = word_of(stmt, 0, run_outcomes, RUN_COUNT, RUN_COUNT);

	if (outcome == RUN_COUNT) {
		tally->missed = count;
		return 0;
	}
	tally->runs[outcome] = count;
	tally->last_unix[outcome] = sqlite3_column_int64(stmt, 2);
	return 0;
}

int
state_tally(
    struct state *state, int64_t policy_id, struct state_tally *ret_tally)
{
	*ret_tally = (struct state_tally){.missed = 0};
	return sql_run(state,
	    "SELECT outcome, runs, last FROM policy_tallies WHERE policy = ?",
	    read_tally, ret_tally, "i", policy_id);
}
