/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * health: policies.
 */
#include "policy/due.h"
#include "target/health.h"
#include "target/method_policy.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OVERDUE_SECONDS 3600

/* ---- the last run ---- */

static const char *
problem_of(const struct state_run *run)
{
	const json_t *problem = json_object_get(run->report, "problem");

	if (json_is_object(problem))
		return fault_what(problem);
	return run->outcome == RUN_INTERRUPTED ? "it was cut short"
					       : "its worker did not say why";
}

static void
run_look(struct health *h, const struct state_run *run)
{
	static const struct {
		const char *severity, *code, *what;
	} outcomes[RUN_COUNT] = {
	    [RUN_PARTIAL] = {"warning", "policy.partial",
		"did not reach all LUNs"},
	    [RUN_FAILED] = {"error", "policy.failed", "failed"},
	    [RUN_INTERRUPTED] = {"warning", "policy.interrupted",
		"did not come to its end"},
	};

	if (outcomes[run->outcome].code == NULL)
		return;
	health_finding(h, outcomes[run->outcome].severity,
	    outcomes[run->outcome].code,
	    json_textf("varve policy history %s", run->policy),
	    "policy %s: its last run %s: %s", run->policy,
	    outcomes[run->outcome].what, problem_of(run));
}

/* Of those that have ended. */
static void
last_look(struct health *h, const struct state_policy *policy)
{
	const struct run_query query = {.policy_id = policy->id, .limit = 2};
	struct state_run *runs;
	unsigned count, i;

	if (state_runs(h->house->state, &query, &runs, &count) < 0)
		return;
	for (i = 0; i < count && runs[i].outcome == RUN_RUNNING; i++)
		;
	if (i < count)
		run_look(h, &runs[i]);
	state_runs_free(runs, count);
}

/* ---- whom it covers ---- */

static bool
is_in_trash(const struct survey_pool *sp, const uuid_t uuid)
{
	for (unsigned i = 0; i < sp->trash_count; i++) {
		if (uuid_compare(sp->trash[i].volume.uuid, uuid) == 0)
			return true;
	}
	return false;
}

static void
lun_look(struct health *h, const struct state_policy *policy,
    const struct survey_pool *sp, const struct state_member *member)
{
	uuid_t uuid;

	if (uuid_parse(member->what, uuid) < 0)
		return;
	for (unsigned i = 0; i < sp->lun_count; i++) {
		if (uuid_compare(sp->luns[i].volume.uuid, uuid) == 0)
			return;
	}
	if (is_in_trash(sp, uuid))
		health_finding(h, "note", "policy.lun-in-trash",
		    json_textf("varve trash restore %s, or: varve policy "
			       "remove %s %s/%s",
			member->what, policy->name, sp->name, member->lun_name),
		    "policy %s covers %s/%s, which is in the trash",
		    policy->name, sp->name, member->lun_name);
	else
		health_finding(h, "warning", "policy.lun-gone",
		    json_textf("varve policy remove %s %s/%s", policy->name,
			sp->name, member->lun_name),
		    "policy %s covers %s/%s, which is not there any more",
		    policy->name, sp->name, member->lun_name);
}

static void
group_look(struct health *h, const struct state_policy *policy,
    const struct survey_pool *sp, const struct state_member *member)
{
	for (unsigned i = 0; i < sp->group_count; i++) {
		if (strcmp(sp->groups[i], member->what) == 0)
			return;
	}
	health_finding(h, "warning", "policy.group-gone",
	    json_textf("varve policy remove %s --group %s/%s", policy->name,
		sp->name, member->what),
	    "policy %s covers the group %s/%s, which is not there any more",
	    policy->name, sp->name, member->what);
}

/* What is in a pool that is not open is not known; that it is not is told. */
static void
member_look(struct health *h, const struct state_policy *policy,
    const struct state_member *member)
{
	for (unsigned i = 0; i < h->survey->pool_count; i++) {
		const struct survey_pool *sp = &h->survey->pools[i];
		if (sp->id != member->pool_id || !sp->open)
			continue;
		if (member->kind == MEMBER_LUN)
			lun_look(h, policy, sp, member);
		else if (member->kind == MEMBER_GROUP)
			group_look(h, policy, sp, member);
	}
}

static void
members_look(struct health *h, const struct state_policy *policy)
{
	struct members members;
	json_t *sets;

	if (state_members(
		h->house->state, policy->id, &members.rows, &members.count) < 0)
		return;
	sets = policy_sets(h->survey, &members);
	if (json_array_size(sets) == 0)
		health_finding(h, "warning", "policy.covers-nothing",
		    json_textf("varve policy add %s POOL/LUN", policy->name),
		    "policy %s covers no LUN", policy->name);
	for (unsigned i = 0; i < members.count; i++)
		member_look(h, policy, &members.rows[i]);
	json_decref(sets);
	free(members.rows);
}

/* ---- when it runs ---- */

static void
overdue_look(struct health *h, const struct state_policy *policy,
    const struct calendar *calendar)
{
	const struct due_past past = {
	    .since = policy->since_unix, .scheduled = policy->scheduled_unix};
	int64_t now = (int64_t)time(NULL);
	struct due due;

	due_find(calendar, &past, now, &due);
	if (due.at == 0 || due.at + OVERDUE_SECONDS >= now ||
	    house_run_of(h->house, policy->id) != NULL)
		return;
	health_finding(h, "error", "policy.overdue",
	    json_textf("varve job list; journalctl -u varved; varve policy run "
		       "%s",
		policy->name),
	    "policy %s should have run %lld hours ago, and has not",
	    policy->name, (long long)((now - due.at) / 3600));
}

static void
schedule_look(struct health *h, const struct state_policy *policy)
{
	struct calendar calendar;

	if (policy->paused)
		health_finding(h, "note", "policy.paused",
		    json_textf("varve policy set %s --paused no", policy->name),
		    "policy %s is paused", policy->name);
	else if (!definition_calendar(policy->definition, &calendar))
		health_finding(h, "error", "policy.schedule",
		    json_textf(
			"varve policy set %s --at 'daily 02:00'", policy->name),
		    "policy %s never runs: this varve does not know its times",
		    policy->name);
	else
		overdue_look(h, policy, &calendar);
}

static void
program_look(struct health *h)
{
	const char *program = h->house->config->policy_program;

	if (access(program, X_OK) == 0)
		return;
	health_finding(h, "error", "policy.program",
	    json_textf("install varve-policy beside varved"),
	    "no policy can run: there is no program %s",
	    program[0] != '\0' ? program : "varve-policy");
}

void
health_policies(struct health *h)
{
	struct state_policy *policies;
	unsigned count;

	if (state_policies(h->house->state, &policies, &count) < 0)
		return;
	if (count > 0)
		program_look(h);
	for (unsigned i = 0; i < count; i++) {
		last_look(h, &policies[i]);
		members_look(h, &policies[i]);
		schedule_look(h, &policies[i]);
	}
	state_policies_free(policies, count);
}
