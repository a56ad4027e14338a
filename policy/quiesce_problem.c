/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/quiesce_problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <stdarg.h>

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
	_cleanup_(freep) char *text = NULL;
	va_list args;
	int length;

	va_start(args, what);
	length = vasprintf(&text, what, args);
	va_end(args);
	assert(length >= 0);
	return problem_new(codes[code].exit, codes[code].code, "%s", text);
}
