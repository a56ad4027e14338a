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

extern const struct problem_code quiesce_codes[]; /* by enum quiesce_code */

/* As problem_new, by enum quiesce_code. */
#define quiesce_problem(code, ...) problem_of(&quiesce_codes[code], __VA_ARGS__)

#endif
