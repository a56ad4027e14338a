/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots and what goes with them, as kinds of control: family.c begins
 * them, family_end.c ends them, diff.c compares.
 */
#ifndef TESTS_SIM_FAMILY_H
#define TESTS_SIM_FAMILY_H

#include "tests/sim/control.h"

/* ---- family.c ---- */
struct sim_volume *family_draw_snapshot(struct world *world, uint64_t family);
/* Is the snapshot the version's ancestor, or itself? */
bool family_descends(
    const struct sim_volume *version, const struct sim_volume *snapshot);
/* The newest snapshot, gone or not, that both descend from; or NULL. */
const struct sim_volume *family_common(
    const struct sim_volume *a, const struct sim_volume *b);

bool start_snapshot(struct world *world);
bool start_group_snapshot(struct world *world);
bool start_delete_snapshot(struct world *world);
bool start_hold(struct world *world);
bool start_consistency(struct world *world);
bool start_clone(struct world *world);
bool start_flatten(struct world *world);
bool start_rollback(struct world *world);
bool start_mark(struct world *world);
bool start_unmark(struct world *world);
bool start_trash(struct world *world);
bool start_restore(struct world *world);
bool start_group(struct world *world);

void delete_snapshot_now(struct world *world, struct sim_volume *snapshot);
void rollback_now(struct world *world, struct sim_volume *volume);
void trash_now(struct world *world, struct sim_volume *victim);

/* ---- family_end.c ---- */
void done_snapshot(struct world *world, struct sim_volume *volume);
void done_delete_snapshot(struct world *world, struct sim_volume *snapshot);
void done_hold(struct world *world, struct sim_volume *snapshot);
void done_consistency(struct world *world, struct sim_volume *snapshot);
void done_clone(struct world *world, struct sim_volume *volume);
void done_flatten(struct world *world, struct sim_volume *volume);
/* Is the nearest snapshot below the volume, that is not gone, its own? */
bool family_has_own(const struct sim_volume *volume);
/* A flatten has cut it off from what it stood on. */
void family_cut_off(struct world *world, struct sim_volume *volume);
void done_rollback(struct world *world, struct sim_volume *volume);
void done_mark(struct world *world, struct sim_volume *volume);
void done_unmark(struct world *world, struct sim_volume *volume);
void done_trash(struct world *world, struct sim_volume *victim);
void done_restore(struct world *world, struct sim_volume *victim);
void done_group(struct world *world, struct sim_volume *volume);

/* What was CREATING is there, as of one cut. */
void family_cut_made(struct world *world, uint64_t called);
/* ... but not the data of its volume: what the engine says of it. */
void family_found(
    struct world *world, struct sim_volume *snapshot, struct volume *found);
void family_rolled_back(struct world *world);
void family_trashed(struct world *world, struct sim_volume *victim);
struct sim_mark **family_mark_find(struct sim_volume *volume, const char *name);
void family_mark_drop(struct sim_mark **mark);

/* ---- family_verify.c ---- */
void family_marks_verify(struct world *world, struct sim_volume *volume);
void family_groups_verify(struct world *world);

/* ---- diff.c ---- */
bool start_diff(struct world *world);
void diff_now(struct world *world, struct sim_volume *to);
void done_diff(struct world *world, struct sim_volume *to);

/* ---- online.c ---- */
bool start_check_online(struct world *world);
void done_check_online(struct world *world, struct sim_volume *volume);

#endif
