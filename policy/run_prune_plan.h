/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef POLICY_RUN_PRUNE_PLAN_H
#define POLICY_RUN_PRUNE_PLAN_H

#include "backup/keep.h"
#include <jansson.h>

/* snaps: items of snap.list of one LUN, in the order in which they were made.
 * The names of those that are the policy's and that the rule does not keep: a
 * new array.  Beside the rule the newest stays that was taken of a frozen LUN:
 * one without a freeze is not as good. */
json_t *prune_plan(
    const char *policy, const struct keep_rule *rule, const json_t *snaps);

#endif
