/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the methods of policies share.
 */
#ifndef TARGET_METHOD_POLICY_H
#define TARGET_METHOD_POLICY_H

#include "target/house_policy.h"
#include "target/method.h"
#include "target/policy_definition.h"

/* ---- whom a policy covers ---- */

struct members {
	struct state_member *rows;
	unsigned count;
};
/* Fails the request and says false; free rows. */
bool policy_members(
    struct request *request, int64_t policy_id, struct members *ret_members);
/* What parameters luns, group and pool name, in the survey (which has
 * SURVEY_GROUPS), or, if it is not there any more, among those that are kept
 * (may be NULL): policy_id is the caller's to fill in.  A fault, and no rows;
 * nothing named is no fault. */
json_t *policy_members_named(const struct request *request,
    const struct members *kept, struct members *ret_members);
/* "vms/web01", "group vms/shop", "pool vms" */
json_t *policy_member_text(const struct state_member *member);
/* [{"group": "vms/shop" or null, "luns": ["vms/web01", ...]}, ...]: what is
 * frozen at one instant.  A LUN is in one of them, with its group's if that is
 * covered.  One in the trash is in none. */
json_t *policy_sets(const struct survey *survey, const struct members *members);

/* ---- policies ---- */

/* Fails the request and says false; definition is the caller's. */
bool policy_find(struct request *request, struct state_policy *ret_policy);
json_t *policy_item(const struct request *request,
    const struct state_policy *policy, const struct members *members);

/* ---- runs ---- */

/* The id of a run's job: "policy-17". */
void policy_job_id(int64_t run_id, char ret_id[JOB_ID_MAX]);
/* Runs as jobs: those that run, and of each policy the last. */
void policy_jobs(const struct request *request, json_t *items);
/* NULL: there is no such run. */
json_t *policy_job(const struct request *request, const char *id);

#endif
