/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A run's deletion of the snapshots of one LUN that are kept no more.
 */
#include "backup/attachment.h"
#include "backup/keep.h"
#include "backup/work.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "policy/run_priv.h"
#include "policy/run_prune_plan.h"
#include <string.h>

/* It is somebody's now: the next run looks again. */
static bool
is_in_the_way(const json_t *problem)
{
	static const char *const codes[] = {
	    "snap.held", "snap.exported", "snap.in-use", "snap.not-found"};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (strcmp(varve_problem_code(problem), codes[i]) == 0)
			return true;
	}
	return false;
}

static void
snap_delete(
    struct running *running, const struct run_lun *lun, const char *name)
{
	json_t *problem = run_change(
	    running, "snap.delete", json_pack("{s:s}", "snap", name), NULL);

	if (problem != NULL && is_in_the_way(problem)) {
		run_note(lun->item, "%s", varve_problem_what(problem));
		json_decref(problem);
		return;
	}
	if (run_ok(running, lun->item, problem))
		json_array_append_new(
		    json_object_get(lun->item, "deleted"), json_string(name));
}

void
run_prune(struct running *running, const struct run_lun *lun)
{
	_cleanup_(json_decrefpp) json_t *snaps = NULL, *gone = NULL;
	const char *keep = run_text(running, "keep");
	struct keep_rule rule;
	const json_t *name;
	size_t i;

	if (strcmp(keep, "all") == 0)
		return;
	if (!keep_parse(keep, &rule)) {
		run_ok(running, lun->item,
		    problem_new(VARVE_USAGE, "policy.keep",
			"'%s' is a rule of another varve", keep));
		return;
	}
	if (!run_ok(running, lun->item,
		varve_items(running->params->varve, "snap.list", "of",
		    lun->name, &snaps)))
		return;
	gone = prune_plan(running->params->policy, &rule, snaps);
	json_array_foreach(gone, i, name)
	    snap_delete(running, lun, json_string_value(name));
}
