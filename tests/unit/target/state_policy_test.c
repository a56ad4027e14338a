/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the state database keeps of policies, whom they cover, and their runs.
 */
#include "target/state_policy.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/target/support/db.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int64_t
pool_id(void)
{
	char device[] = "/a";
	int64_t target, id;
	struct state_pool *pools;
	unsigned count;

	db_add_pool("vms", UUID_1, device, &target);
	assert_int_equal(state_pools(state, &pools, &count), 0);
	id = pools[0].id;
	state_pools_free(pools, count);
	return id;
}

static int64_t
add_policy(const char *name)
{
	struct state_policy policy = {.created_unix = 100, .since_unix = 100};

	snprintf(policy.name, sizeof(policy.name), "%s", name);
	policy.definition = json_pack("{s:s}", "at", "daily");
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_policy_add(state, &policy), 0);
	assert_int_equal(state_commit(state), 0);
	json_decref(policy.definition);
	return policy.id;
}

static void
member_change(const struct state_member *member,
    int (*change)(struct state *, const struct state_member *), int expected)
{
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(change(state, member), expected);
	assert_int_equal(state_commit(state), 0);
}

static unsigned
members_count(int64_t policy)
{
	struct state_member *members;
	unsigned count;

	assert_int_equal(state_members(state, policy, &members, &count), 0);
	free(members);
	return count;
}

/* ---- policies ---- */

static void
a_policy_is_kept_as_it_was_said(void **unused)
{
	struct state_policy policy, other = {.name = "nightly"};
	int64_t id = add_policy("nightly");

	(void)unused;
	other.definition = json_object();
	state_begin(state);
	assert_int_equal(state_policy_add(state, &other), -EEXIST);
	state_rollback(state);
	json_decref(other.definition);
	db_reopen();
	assert_int_equal(state_policy_find(state, "nightly", &policy), 0);
	assert_int_equal(policy.id, id);
	assert_string_equal(
	    json_string_value(json_object_get(policy.definition, "at")),
	    "daily");
	policy.paused = true;
	policy.since_unix = 200;
	state_begin(state);
	assert_int_equal(state_policy_update(state, &policy), 0);
	state_commit(state);
	json_decref(policy.definition);
	assert_int_equal(state_policy_find(state, "nightly", &policy), 0);
	assert_true(policy.paused);
	assert_int_equal(policy.since_unix, 200);
	assert_int_equal(policy.created_unix, 100);
	json_decref(policy.definition);
	assert_int_equal(state_policy_find(state, "hourly", &policy), -ENOENT);
}

static void
what_it_covers_goes_with_its_pool_and_its_lun(void **unused)
{
	struct state_member lun = {.kind = MEMBER_LUN,
	    .what = UUID_2,
	    .lun_name = "web01",
	    .policy_id = add_policy("nightly"),
	    .pool_id = pool_id()};
	struct state_member group = lun, *members;
	unsigned count;

	(void)unused;
	group.kind = MEMBER_GROUP;
	strcpy(group.what, "shop");
	member_change(&lun, state_member_add, 0);
	member_change(&lun, state_member_add, -EEXIST);
	member_change(&group, state_member_add, 0);
	assert_int_equal(members_count(lun.policy_id), 2);
	assert_int_equal(members_count(0), 2);
	assert_int_equal(members_count(lun.policy_id + 1), 0);
	state_begin(state);
	assert_int_equal(state_lun_renamed(state, UUID_2, "web02"), 0);
	state_commit(state);
	assert_int_equal(
	    state_members(state, lun.policy_id, &members, &count), 0);
	assert_string_equal(members[0].lun_name, "web02");
	assert_string_equal(members[0].pool, "vms");
	assert_int_equal(members[1].kind, MEMBER_GROUP);
	free(members);
	state_begin(state);
	assert_int_equal(state_lun_forget(state, lun.pool_id, UUID_2), 0);
	state_commit(state);
	assert_int_equal(members_count(lun.policy_id), 1);
	member_change(&lun, state_member_remove, -ENOENT);
	state_begin(state);
	assert_int_equal(state_pool_remove(state, lun.pool_id), 0);
	state_commit(state);
	assert_int_equal(members_count(lun.policy_id), 0);
}

/* ---- runs ---- */

static struct state_run
begin(int64_t policy, int64_t scheduled, int64_t stamp, unsigned attempt)
{
	struct state_run run = {.policy_id = policy,
	    .scheduled_unix = scheduled,
	    .stamp_unix = stamp,
	    .attempt = attempt,
	    .begun_unix = stamp};

	assert_int_equal(state_run_begin(state, &run), 0);
	return run;
}

static void
a_run_is_known_before_and_after_it(void **unused)
{
	int64_t policy = add_policy("nightly");
	struct run_query query = {.running = true};
	struct state_run run = begin(policy, 1000, 1001, 1), *runs;
	struct state_policy found;
	struct state_tally tally;
	unsigned count;

	(void)unused;
	assert_int_equal(state_run_started(state, run.id, 77), 0);
	db_reopen();
	assert_int_equal(state_runs(state, &query, &runs, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(runs[0].pid, 77);
	assert_int_equal(runs[0].outcome, RUN_RUNNING);
	assert_string_equal(runs[0].policy, "nightly");
	assert_null(runs[0].report);
	state_runs_free(runs, count);
	/* the instant has had its run, whatever becomes of it */
	assert_int_equal(state_policy_find(state, "nightly", &found), 0);
	assert_int_equal(found.scheduled_unix, 1000);
	json_decref(found.definition);
	run.outcome = RUN_PARTIAL;
	run.ended_unix = 1500;
	run.report = json_pack("{s:i}", "bytes", 5);
	assert_int_equal(state_run_end(state, &run), 0);
	json_decref(run.report);
	assert_int_equal(state_runs(state, &query, &runs, &count), 0);
	assert_int_equal(count, 0);
	query = (struct run_query){.id = run.id, .bare = true};
	assert_int_equal(state_runs(state, &query, &runs, &count), 0);
	assert_int_equal(runs[0].outcome, RUN_PARTIAL);
	assert_null(runs[0].report);
	state_runs_free(runs, count);
	query = (struct run_query){.id = run.id};
	assert_int_equal(state_runs(state, &query, &runs, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(runs[0].outcome, RUN_PARTIAL);
	assert_int_equal(
	    json_integer_value(json_object_get(runs[0].report, "bytes")), 5);
	state_runs_free(runs, count);
	assert_int_equal(state_tally(state, policy, &tally), 0);
	assert_int_equal(tally.runs[RUN_PARTIAL], 1);
	assert_int_equal(tally.last_unix[RUN_PARTIAL], 1500);
	assert_int_equal(tally.runs[RUN_DONE], 0);
}

/* Else a clock that was set back would make a new run find the snapshots of an
 * old one, and take them for its own. */
static void
no_two_runs_have_one_stamp_but_attempts_of_one(void **unused)
{
	int64_t policy = add_policy("nightly");
	struct state_run first = begin(policy, 1000, 1001, 1);
	struct state_run again = begin(policy, 1000, 1001, 2);
	struct state_run back = begin(policy, 900, 1001, 1);
	struct state_run asked = begin(policy, 0, 1002, 1);
	struct state_policy found;

	(void)unused;
	assert_int_equal(first.stamp_unix, 1001);
	assert_int_equal(again.stamp_unix, 1001);
	assert_int_equal(back.stamp_unix, 1002);
	assert_int_equal(asked.stamp_unix, 1003);
	/* what somebody asked for is nobody's instant */
	assert_int_equal(state_policy_find(state, "nightly", &found), 0);
	assert_int_equal(found.scheduled_unix, 900);
	json_decref(found.definition);
}

static void
so_many_runs_are_kept_and_tallies_count_all(void **unused)
{
	int64_t policy = add_policy("often"), other = add_policy("other");
	const struct run_query query = {.policy_id = policy};
	struct state_tally tally;
	struct state_run *runs;
	unsigned count;

	(void)unused;
	begin(other, 1, 1, 1);
	for (unsigned i = 0; i < POLICY_RUNS_KEPT + 5; i++) {
		struct state_run run = begin(policy, 10 + i, 10 + i, 1);
		run.outcome = RUN_DONE;
		run.ended_unix = 10 + i;
		assert_int_equal(state_run_end(state, &run), 0);
	}
	assert_int_equal(state_runs(state, &query, &runs, &count), 0);
	assert_int_equal(count, POLICY_RUNS_KEPT);
	assert_int_equal(runs[0].scheduled_unix, 10 + POLICY_RUNS_KEPT + 4);
	state_runs_free(runs, count);
	assert_int_equal(state_tally(state, policy, &tally), 0);
	assert_int_equal(tally.runs[RUN_DONE], POLICY_RUNS_KEPT + 5);
	state_begin(state);
	assert_int_equal(state_policy_remove(state, policy), 0);
	state_commit(state);
	assert_int_equal(state_runs(state, &query, &runs, &count), 0);
	assert_int_equal(count, 0);
	state_runs_free(runs, count);
	assert_int_equal(state_tally(state, policy, &tally), 0);
	assert_int_equal(tally.runs[RUN_DONE], 0);
}

static void
missed_runs_are_counted_beside_those_that_were(void **unused)
{
	int64_t policy = add_policy("nightly");
	struct state_run run = {.policy_id = policy, .attempt = 1, .missed = 3};
	struct state_tally tally;

	(void)unused;
	assert_int_equal(state_run_begin(state, &run), 0);
	run.outcome = RUN_FAILED;
	run.ended_unix = 100;
	assert_int_equal(state_run_end(state, &run), 0);
	run.missed = 0;
	assert_int_equal(state_run_begin(state, &run), 0);
	run.missed = 4;
	assert_int_equal(state_run_begin(state, &run), 0);
	assert_int_equal(state_tally(state, policy, &tally), 0);
	assert_int_equal(tally.missed, 7);
	assert_int_equal(tally.runs[RUN_FAILED], 1);
	assert_int_equal(tally.last_unix[RUN_FAILED], 100);
	assert_int_equal(tally.runs[RUN_DONE], 0);
}

#define claim(test) cmocka_unit_test_setup_teardown(test, db_setup, db_teardown)

int
main(void)
{

	const struct CMUnitTest tests[] = {
	    claim(a_policy_is_kept_as_it_was_said),
	    claim(what_it_covers_goes_with_its_pool_and_its_lun),
	    claim(a_run_is_known_before_and_after_it),
	    claim(no_two_runs_have_one_stamp_but_attempts_of_one),
	    claim(so_many_runs_are_kept_and_tallies_count_all),
	    claim(missed_runs_are_counted_beside_those_that_were),
	};

	return cmocka_run_group_tests(
	    tests, db_make_directory, db_remove_directory);
}
