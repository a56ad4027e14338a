/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A run's backup of one LUN.
 */
#include "backup/attachment.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "policy/run_priv.h"
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define HISTORY_LOOK 50 /* runs */

/* ---- the directory ---- */

static json_t *
directory_of(
    const struct running *running, const char *lun, char path[PATH_MAX])
{
	const char *form = run_text(running, "backup_to");

	if (policy_directory(form, lun, path, PATH_MAX))
		return NULL;
	return backup_problem(
	    BACKUP_DIRECTORY, "%s is too long a path for %s", form, lun);
}

static bool
report_has_backup(const json_t *report, const char *lun, const char *path)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(report, "luns"), i, item)
	{
		const json_t *backup = json_object_get(item, "backup");
		if (json_is_object(backup) &&
		    strcmp(item_text(item, "lun"), lun) == 0 &&
		    strcmp(item_text(backup, "path"), path) == 0)
			return true;
	}
	return false;
}

/* Was there a backup of the LUN, by the last runs? */
static json_t *
was_backed_up(const struct running *running, const char *lun, const char *path,
    bool *ret_was)
{
	_cleanup_(json_decrefpp) json_t *params = json_pack("{s:s, s:i}",
	    "policy", running->params->policy, "limit", HISTORY_LOOK);
	_cleanup_(json_decrefpp) json_t *result = NULL;
	const json_t *run;
	json_t *problem = varve_ask(
	    running->params->varve, "policy.history", params, &result);
	size_t i;

	*ret_was = false;
	json_array_foreach(json_object_get(result, "items"), i, run) *ret_was =
	    *ret_was || report_has_backup(run, lun, path);
	return problem;
}

/* A disk that is not mounted looks like a directory that is to be made, and
 * what it is mounted on would take a full backup of everything. */
static json_t *
check_not_gone(const struct running *running, const char *lun, const char *path)
{
	struct stat st;
	bool was;
	json_t *problem;

	if (stat(path, &st) == 0)
		return NULL;
	if (errno != ENOENT)
		return backup_read_problem(path, errno);
	problem = was_backed_up(running, lun, path, &was);
	if (problem != NULL || !was)
		return problem;
	return problem_fix(
	    problem_fix(
		problem_why(backup_problem(BACKUP_GONE,
				"the backups of %s were in %s, which is not "
				"there",
				lun, path),
		    "the disk that they are on may not be mounted"),
		"mount it"),
	    "or, if they are gone for good: mkdir %s", path);
}

/* Those that have a field in their name; what is before has to be there. */
static json_t *
directories_make(
    const struct running *running, const char *lun, const char *path)
{
	const char *form = run_text(running, "backup_to");
	size_t fixed = policy_directory_fixed(form);
	char part[PATH_MAX];

	for (size_t i = fixed + 1; path[i] != '\0'; i++) {
		if (path[i] != '/')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		if (mkdir(part, 0700) < 0 && errno != EEXIST)
			return problem_why(
			    backup_problem(BACKUP_DIRECTORY,
				"%s cannot be made, for the backups of %s",
				part, lun),
			    "%s", strerror(errno));
	}
	return NULL;
}

/* ---- progress ---- */

struct following {
	struct backup_watch watch;
	const struct running *running;
	char subject[RUN_LUN_MAX + 16];
};

static json_t *
follow(struct backup_watch *watch, uint64_t done, uint64_t total)
{
	const struct following *following =
	    container_of(watch, struct following, watch);
	const struct policy_run_params *params = following->running->params;

	return params->progress(params->arg, following->subject, done, total);
}

static struct following
following_of(const struct running *running, const char *doing, const char *lun)
{
	struct following following = {
	    .watch.progress = follow, .running = running};

	snprintf(
	    following.subject, sizeof(following.subject), "%s %s", doing, lun);
	return following;
}

/* ---- the backup ---- */

static void
backup_told(json_t *item, const char *path, const json_t *made, double seconds)
{
	const json_t *notes = json_object_get(made, "notes"), *note;
	size_t i;

	json_object_set_new(item, "backup",
	    json_pack("{s:s, s:O, s:O, s:O, s:O, s:f}", "path", path, "name",
		json_object_get(made, "name"), "kind",
		json_object_get(made, "kind"), "bytes",
		json_object_get(made, "file_bytes"), "read",
		json_object_get(made, "read"), "seconds", seconds));
	json_array_foreach(notes, i, note)
	    run_note(item, "%s", json_string_value(note));
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void
run_backup(struct running *running, const struct run_lun *lun)
{
	_cleanup_(json_decrefpp) json_t *made = NULL;
	char path[PATH_MAX], snap[RUN_REF_MAX];
	struct following following = following_of(running, "backup", lun->name);
	struct backup_create_params create = {.varve = running->params->varve,
	    .snap = snap,
	    .path = path,
	    .portal = run_text(running, "portal"),
	    .level = BACKUP_LEVEL_AUTO,
	    .mark_bytes = BACKUP_MARK_DEFAULT,
	    .watch = &following.watch};
	double began = now();
	json_t *problem = directory_of(running, lun->name, path);

	snprintf(snap, sizeof(snap), "%s@%s", lun->name, running->snap);
	if (problem == NULL)
		problem = check_not_gone(running, lun->name, path);
	if (problem == NULL)
		problem = directories_make(running, lun->name, path);
	if (problem == NULL)
		problem = backup_create(&create, &made);
	if (run_ok(running, lun->item, problem))
		backup_told(lun->item, path, made, now() - began);
}

/* ---- pruning ---- */

void
run_prune_backups(struct running *running, const struct run_lun *lun)
{
	_cleanup_(json_decrefpp) json_t *items = NULL;
	const char *keep = run_text(running, "backup_keep");
	char path[PATH_MAX];
	struct following following = following_of(running, "prune", lun->name);
	struct backup_prune_params prune = {.path = path,
	    .keep = keep != NULL ? keep : run_text(running, "keep"),
	    .level = BACKUP_LEVEL_MERGE,
	    .watch = &following.watch};
	json_t *problem = directory_of(running, lun->name, path);
	const json_t *item;
	json_int_t gone = 0;
	size_t i;

	/* one that could not be made has nothing to be pruned */
	if (!json_is_object(json_object_get(lun->item, "backup")) ||
	    strcmp(prune.keep, "all") == 0)
		return;
	if (problem == NULL)
		problem = backup_prune(&prune, &items);
	if (!run_ok(running, lun->item, problem))
		return;
	json_array_foreach(items, i, item) gone +=
	    json_array_size(json_object_get(item, "keeps")) == 0;
	json_object_set_new(lun->item, "backups_deleted", json_integer(gone));
}
