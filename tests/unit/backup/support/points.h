/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Backups for a directory, of one LUN, with streams in which nothing is. */
#ifndef TESTS_UNIT_BACKUP_SUPPORT_POINTS_H
#define TESTS_UNIT_BACKUP_SUPPORT_POINTS_H

#include "backup/directory.h"

/* A full one. */
struct backup_point point_of(uint64_t number, const char *name);
/* It becomes one on that one. */
void point_on(struct backup_point *point, const struct backup_point *base);
/* An empty file, opened. */
int file_make(const struct directory *directory, const char *name);
void point_commit(
    struct directory *directory, const struct backup_point *point);

#endif
