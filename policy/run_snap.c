/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A run's snapshots of one set of LUNs, frozen if the policy says so.
 */
#include "backup/attachment.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "policy/quiesce.h"
#include "policy/run_priv.h"
#include <limits.h>
#include <string.h>

/* ---- what the hook is told ---- */

/* Members of an item of lun.show that say how a host sees it. */
static json_t *
about_lun(const struct running *running, const char *name)
{
	static const char *const members[] = {"uuid", "naa", "serial", "group"};
	_cleanup_(json_decrefpp) json_t *lun = NULL, *exports = NULL;
	struct varve *varve = running->params->varve;
	json_t *about = json_pack("{s:s}", "name", name);

	json_decref(varve_item(varve, "lun.show", "lun", name, &lun));
	json_decref(varve_items(varve, "export.list", "name", name, &exports));
	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		json_t *value = json_object_get(lun, members[i]);
		if (value != NULL)
			json_object_set(about, members[i], value);
	}
	json_object_set_new(about, "exports",
	    exports != NULL ? json_incref(exports) : json_array());
	return about;
}

static json_t *
about_set(
    const struct running *running, const struct run_lun *luns, size_t count)
{
	json_t *about = json_pack("{s:s, s:s, s:[]}", "policy",
	    running->params->policy, "snapshot", running->snap, "luns");

	for (size_t i = 0; i < count; i++)
		json_array_append_new(json_object_get(about, "luns"),
		    about_lun(running, luns[i].name));
	return about;
}

/* ---- the snapshots ---- */

static void
snap_ref(const struct running *running, const struct run_lun *lun,
    char ref[RUN_REF_MAX])
{
	snprintf(ref, RUN_REF_MAX, "%s@%s", lun->name, running->snap);
}

/* One that a run before this one, of the same stamp, has made. */
static json_t *
snap_find(struct running *running, struct run_lun *lun)
{
	_cleanup_(json_decrefpp) json_t *item = NULL;
	char ref[RUN_REF_MAX];
	json_t *problem;

	snap_ref(running, lun, ref);
	problem =
	    varve_item(running->params->varve, "snap.show", "snap", ref, &item);
	if (problem != NULL &&
	    strcmp(varve_problem_code(problem), "snap.not-found") == 0) {
		json_decref(problem);
		return NULL;
	}
	if (problem != NULL)
		return problem;
	lun->has_snap = true;
	json_object_set_new(lun->item, "snapshot", json_string(running->snap));
	json_object_set_new(lun->item, "consistency",
	    json_string(item_text(item, "consistency")));
	return NULL;
}

/* All that have none yet, at one instant. */
static json_t *
snaps_create(const struct running *running, const char *group,
    const struct run_lun *luns, size_t count)
{
	json_t *names = json_array(), *params;
	size_t missing = 0;

	for (size_t i = 0; i < count; i++) {
		char ref[RUN_REF_MAX];
		if (luns[i].has_snap ||
		    json_is_object(json_object_get(luns[i].item, "problem")))
			continue;
		missing++;
		snap_ref(running, &luns[i], ref);
		json_array_append_new(names, json_string(ref));
	}
	if (missing == 0) {
		json_decref(names);
		return NULL;
	}
	/* a group may have got more LUNs than one command names */
	if (group == NULL || missing < count) {
		params = json_pack("{s:o}", "names", names);
	} else {
		json_decref(names);
		params = json_pack("{s:s, s:[o]}", "group", group, "names",
		    json_sprintf("@%s", running->snap));
	}
	return run_change(running, "snap.create", params, NULL);
}

static bool
all_have_snaps(const struct run_lun *luns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!luns[i].has_snap)
			return false;
	}
	return true;
}

/* ---- freezing ---- */

static json_t *
freeze(struct running *running, const struct run_lun *luns, size_t count,
    struct quiesce **ret_quiesce)
{
	const char *hook = run_text(running, "quiesce");
	_cleanup_(json_decrefpp) json_t *about =
	    about_set(running, luns, count);
	char path[PATH_MAX];
	const struct quiesce_params params = {.hook = path,
	    .directory = running->params->records,
	    .about = about,
	    .budget_ms =
		(unsigned)item_number(running->policy, "freeze_budget") * 1000};

	if (snprintf(path, sizeof(path), "%s/%s", running->params->hooks,
		hook) >= (int)sizeof(path))
		return problem_new(VARVE_FAILED, "policy.quiesce",
		    "the path of the hook %s is too long", hook);
	return quiesce_freeze(&params, ret_quiesce);
}

/* Not frozen: then the snapshot is not made, or it is crash consistent. */
static bool
go_unfrozen(struct running *running, const struct run_lun *luns, size_t count,
    json_t *problem)
{
	const char *otherwise = run_text(running, "if_not_frozen");
	bool fail = otherwise != NULL && strcmp(otherwise, "fail") == 0;

	for (size_t i = 0; i < count; i++) {
		if (fail)
			run_ok(running, luns[i].item, json_incref(problem));
		else
			run_note(luns[i].item, "not frozen: %s%s%s",
			    varve_problem_what(problem),
			    varve_problem_why(problem)[0] != '\0' ? ": " : "",
			    varve_problem_why(problem));
	}
	json_decref(problem);
	return !fail;
}

/* What the snapshots are, which is known only after the thaw. */
static json_t *
consistency_set(struct running *running, const struct run_lun *lun,
    const struct quiesce_result *thawed)
{
	char ref[RUN_REF_MAX];

	json_object_set_new(
	    lun->item, "frozen_ms", json_integer(thawed->frozen_ms));
	if (!thawed->held) {
		run_note(lun->item,
		    "the freeze did not hold until the snapshot was made");
		return NULL;
	}
	snap_ref(running, lun, ref);
	return run_change(running, "snap.set",
	    json_pack(
		"{s:s, s:s}", "snap", ref, "consistency", thawed->consistency),
	    NULL);
}

/* The thaw comes first, whatever the snapshots came to. */
static json_t *
thaw(struct running *running, struct quiesce *quiesce, struct run_lun *luns,
    size_t count, json_t *made)
{
	struct quiesce_result thawed;
	json_t *problem = quiesce_thaw(quiesce, &thawed);

	for (size_t i = 0; i < count; i++) {
		if (problem != NULL)
			run_note(luns[i].item, "thaw: %s",
			    varve_problem_what(problem));
		if (made == NULL && problem == NULL &&
		    !json_is_object(json_object_get(luns[i].item, "problem")))
			run_ok(running, luns[i].item,
			    consistency_set(running, &luns[i], &thawed));
	}
	json_decref(problem);
	return made;
}

static json_t *
snaps_frozen(struct running *running, const char *group, struct run_lun *luns,
    size_t count)
{
	struct quiesce *quiesce = NULL;
	json_t *problem;

	*running->params->frozen = 1;
	problem = freeze(running, luns, count, &quiesce);
	if (problem != NULL) {
		*running->params->frozen = 0;
		if (!go_unfrozen(running, luns, count, problem))
			return NULL;
		return snaps_create(running, group, luns, count);
	}
	problem = snaps_create(running, group, luns, count);
	problem = thaw(running, quiesce, luns, count, problem);
	*running->params->frozen = 0;
	return problem;
}

void
run_snapshots(struct running *running, const char *group, struct run_lun *luns,
    size_t count)
{
	json_t *problem = NULL;

	for (size_t i = 0; i < count; i++)
		run_ok(running, luns[i].item, snap_find(running, &luns[i]));
	if (all_have_snaps(luns, count))
		return;
	if (run_text(running, "quiesce") != NULL)
		problem = snaps_frozen(running, group, luns, count);
	else
		problem = snaps_create(running, group, luns, count);
	for (size_t i = 0; i < count; i++) {
		if (problem != NULL && !luns[i].has_snap)
			run_ok(running, luns[i].item, json_incref(problem));
		else if (!luns[i].has_snap)
			run_ok(running, luns[i].item,
			    snap_find(running, &luns[i]));
	}
	json_decref(problem);
}
