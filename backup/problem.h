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

extern const struct problem_code backup_codes[]; /* by enum backup_code */

/* As problem_new, by enum backup_code. */
#define backup_problem(code, ...) problem_of(&backup_codes[code], __VA_ARGS__)

/* "NAME cannot be written", why: of errno; a full disk by its own code. */
json_t *backup_write_problem(const char *name, int error);
json_t *backup_read_problem(const char *name, int error);

#endif
