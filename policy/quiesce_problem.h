/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Problems of freezing, by the table of their codes.
 */
#ifndef POLICY_QUIESCE_PROBLEM_H
#define POLICY_QUIESCE_PROBLEM_H

#include "client/problem.h"

enum quiesce_code {
#define P(name, code, exit, meaning) QUIESCE_##name,
#include "policy/problems.def"
#undef P
};

/* As problem_new. */
json_t *quiesce_problem(enum quiesce_code code, const char *what, ...)
    __attribute__((format(printf, 2, 3)));

#endif
