/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/quiesce_problem.h"

static const struct {
	const char *code;
	int exit;
} codes[] = {
#define P(name, code, exit, meaning) [QUIESCE_##name] = {code, exit},
#include "policy/problems.def"
#undef P
};

json_t *
quiesce_problem(enum quiesce_code code, const char *what, ...)
{
	json_t *problem;
	va_list args;

	va_start(args, what);
	problem = problem_vnew(codes[code].exit, codes[code].code, what, args);
	va_end(args);
	return problem;
}
