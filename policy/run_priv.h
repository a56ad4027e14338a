/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The steps of a run: run_snap.c, run_backup.c, run_prune.c.
 */
#ifndef POLICY_RUN_PRIV_H
#define POLICY_RUN_PRIV_H

#include "policy/names.h"
#include "policy/run.h"

#define RUN_NAME_MAX 64  /* a snapshot's, with its 0 */
#define RUN_LUN_MAX  136 /* "vms/web01", with its 0 */
#define RUN_REF_MAX  (RUN_LUN_MAX + RUN_NAME_MAX)

struct running {
	const struct policy_run_params *params;
	const json_t *policy; /* policy.show's item */
	char snap[RUN_NAME_MAX];
	bool interrupted;
};

/* What the run knows of one LUN; item is its object of the report. */
struct run_lun {
	const char *name; /* "vms/web01" */
	json_t *item;
	bool has_snap;
};

/* Into item, if it is the first; ended when it is an interruption.  Takes
 * problem; true: there was none. */
bool run_ok(struct running *running, json_t *item, json_t *problem);
/* A note in an item. */
void run_note(json_t *item, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* A text of the policy; NULL: it says nothing there. */
const char *run_text(const struct running *running, const char *member);
/* Takes params. */
json_t *run_change(const struct running *running, const char *method,
    json_t *params, json_t **ret_item);

/* The LUNs of one set, frozen and snapshotted at one instant if group is not
 * NULL. */
void run_snapshots(struct running *running, const char *group,
    struct run_lun *luns, size_t count);
/* What has changed, to where the policy says. */
void run_backup(struct running *running, const struct run_lun *lun);
/* Snapshots, and backups, that are kept no more. */
void run_prune(struct running *running, const struct run_lun *lun);
void run_prune_backups(struct running *running, const struct run_lun *lun);

#endif
