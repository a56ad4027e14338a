/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The backups of a directory and how they stand on one another.  Pure.
 */
#ifndef BACKUP_CHAIN_H
#define BACKUP_CHAIN_H

#include "backup/manifest.h"
#include <stdbool.h>

struct backup_points {
	struct backup_point *list; /* by number */
	unsigned count;
};

void backup_points_free(struct backup_points *points);
/* Keeps the order. */
void backup_points_add(
    struct backup_points *points, const struct backup_point *point);
/* By the name or uuid of the snapshot; the newest of several; NULL: none. */
const struct backup_point *backup_points_find(
    const struct backup_points *points, const char *name_or_uuid);
/* Of another backup with its number or uuid: those are once in a directory. */
bool backup_points_clash(
    const struct backup_points *points, const struct backup_point *point);

/* What a backup needs, from the full one to itself. */
struct backup_chain {
	const struct backup_point **list;
	unsigned count;
};
/* False: ret_missing, of the chain, has no base in points; then the chain is
 * from there on.  Free list. */
bool backup_chain_of(const struct backup_points *points,
    const struct backup_point *point, struct backup_chain *ret_chain,
    const struct backup_point **ret_missing);
/* The base; NULL: it is full, or the base is not there. */
const struct backup_point *backup_base_of(
    const struct backup_points *points, const struct backup_point *point);

#endif
