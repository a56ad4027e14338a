/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Policies in the state: what they are, whom they cover, and their runs.  As
 * state.h: blocks, the control loop's, 0 or -errno.
 *
 * A run is a row from before its worker is started until long after it has
 * ended, so that no instant is run twice and none is lost when varved is
 * killed.
 */
#ifndef TARGET_STATE_POLICY_H
#define TARGET_STATE_POLICY_H

#include "target/state.h"

/* Its snapshots are called NAME-20261126T020000Z. */
#define POLICY_NAME_MAX   40
#define POLICY_RUNS_KEPT  1000 /* of each policy, the newest */
#define POLICY_REPORT_MAX (1u << 20)

struct state_policy {
	int64_t id;
	char name[POLICY_NAME_MAX + 1];
	json_t *definition; /* method_policy.h; state_policies_free */
	int64_t created_unix;
	int64_t since_unix;     /* in force since: created, resumed, changed */
	int64_t scheduled_unix; /* the newest instant that has had its run, or
				 * that a newer run stands for; 0: none */
	bool paused;
};
/* By name. */
int state_policies(struct state *state, struct state_policy **ret_policies,
    unsigned *ret_count);
void state_policies_free(struct state_policy *policies, unsigned count);
/* -ENOENT.  definition is the caller's. */
int state_policy_find(
    struct state *state, const char *name, struct state_policy *ret_policy);
/* In the open transaction, all four.  -EEXIST: the name is taken.  policy->id
 * is set. */
int state_policy_add(struct state *state, struct state_policy *policy);
/* All but its name. */
int state_policy_update(struct state *state, const struct state_policy *policy);
/* With its members and runs. */
int state_policy_remove(struct state *state, int64_t id);

enum member_kind { MEMBER_LUN, MEMBER_GROUP, MEMBER_POOL, MEMBER_COUNT };
extern const char *const member_kinds[MEMBER_COUNT];

struct state_member {
	int64_t policy_id, pool_id;
	enum member_kind kind;
	char what[STATE_LUN_NAME_MAX];     /* uuid; group; "" */
	char lun_name[STATE_LUN_NAME_MAX]; /* of a LUN, as last known */
	char pool[POOL_NAME_MAX + 1];      /* of the row it refers to */
};
/* Of one policy, or with 0 of all, in the order in which they were added. */
int state_members(struct state *state, int64_t policy_id,
    struct state_member **ret_members, unsigned *ret_count);
/* -EEXIST: it is there. */
int state_member_add(struct state *state, const struct state_member *member);
/* -ENOENT: it is not there. */
int state_member_remove(struct state *state, const struct state_member *member);

enum run_outcome {
	RUN_RUNNING,
	RUN_DONE,
	RUN_PARTIAL, /* of some LUNs */
	RUN_FAILED,
	RUN_INTERRUPTED, /* its worker was ended, or varved was */
	RUN_COUNT,
};
extern const char *const run_outcomes[RUN_COUNT];

struct state_run {
	int64_t id, policy_id;
	char policy[POLICY_NAME_MAX + 1]; /* of the row it refers to */
	int64_t scheduled_unix;           /* 0: somebody asked for it */
	int64_t stamp_unix; /* its snapshots' name; that of its first attempt */
	unsigned attempt;   /* from 1 */
	uint64_t missed;    /* instants before it that have had no run */
	int64_t begun_unix, ended_unix;
	enum run_outcome outcome;
	pid_t pid;      /* of the worker; 0: none yet */
	json_t *report; /* the worker's, or NULL; state_runs_free */
};
struct run_query {
	int64_t policy_id; /* 0: of all */
	int64_t id;        /* 0: any */
	bool running;      /* only those */
	bool bare;         /* without their reports */
	unsigned limit;    /* 0: all there are */
};
/* From the newest. */
int state_runs(struct state *state, const struct run_query *query,
    struct state_run **ret_runs, unsigned *ret_count);
void state_runs_free(struct state_run *runs, unsigned count);

/* Its own transaction, all of these; they do not count as a change.  A new run:
 * the policy's scheduled_unix becomes that of the run, if it has one; a stamp
 * that an older run has is made later; run->id is set. */
int state_run_begin(struct state *state, struct state_run *run);
int state_run_started(struct state *state, int64_t id, pid_t pid);
/* outcome, ended_unix, report. */
int state_run_end(struct state *state, const struct state_run *run);

/* How many runs of a policy ended so since it was made, and when the last one
 * did; of runs that are not kept any more too. */
struct state_tally {
	uint64_t runs[RUN_COUNT];
	int64_t last_unix[RUN_COUNT]; /* 0: none has */
	uint64_t missed;              /* instants that have had no run */
};
int state_tally(
    struct state *state, int64_t policy_id, struct state_tally *ret_tally);

#endif
