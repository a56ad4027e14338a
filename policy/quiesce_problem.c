/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/quiesce_problem.h"

const struct problem_code quiesce_codes[] = {
#define P(name, code, exit, meaning) [QUIESCE_##name] = {code, exit},
#include "policy/problems.def"
#undef P
};
