/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Problems of backups, by the table of their codes.
 */
#ifndef BACKUP_PROBLEM_H
#define BACKUP_PROBLEM_H

#include "client/problem.h"

enum backup_code {
#define P(name, code, exit, meaning) BACKUP_##name,
#include "backup/problems.def"
#undef P
};

/* As problem_new. */
json_t *backup_problem(enum backup_code code, const char *what, ...)
    __attribute__((format(printf, 2, 3)));

/* "NAME cannot be written", why: of errno; a full disk by its own code. */
json_t *backup_write_problem(const char *name, int error);
json_t *backup_read_problem(const char *name, int error);

#endif
