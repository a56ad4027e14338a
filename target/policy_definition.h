/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a policy says, as the state keeps it and as answers show it: a JSON
 * object of those members that were said.
 *
 *	at              when: words of policy/calendar.h
 *	keep            which snapshots stay: a rule of backup/keep.h, or "all"
 *	backup_to       a directory, with {pool} and {lun} in it; none: no
 *backups backup_keep     which backups stay; none: as keep quiesce         the
 *hook that freezes whoever writes; none: nobody is freeze_budget  the longest
 *that a freeze may last if_not_frozen   "crash": then the snapshot is crash
 *consistent; "fail": then none is made portal          backups read by it;
 *none: what varved says first
 */
#ifndef TARGET_POLICY_DEFINITION_H
#define TARGET_POLICY_DEFINITION_H

#include "backup/keep.h"
#include "policy/calendar.h"
#include "target/fault.h"

#define FREEZE_BUDGET_DEFAULT 10
#define FREEZE_BUDGET_MAX     120

/* before (NULL: a new one) with what params of policy.create or policy.set say:
 * a new object; or a fault, and none.  "none" takes a member away. */
json_t *definition_change(
    const json_t *before, const json_t *params, json_t **ret_after);
/* All members, null for those that say nothing. */
void definition_item(json_t *item, const json_t *definition);
/* Its schedule; false: it has none that this varve knows. */
bool definition_calendar(
    const json_t *definition, struct calendar *ret_calendar);
/* What its snapshots are kept by; "all" is a rule that keeps them.  False: it
 * has none that this varve knows. */
bool definition_keep(const json_t *definition, struct keep_rule *ret_rule);
/* Do its backups of several LUNs lie in one directory? */
bool definition_is_of_one(const json_t *definition);

#endif
