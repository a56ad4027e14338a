/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/problem.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>

const struct problem_code backup_codes[] = {
#define P(name, code, exit, meaning) [BACKUP_##name] = {code, exit},
#include "backup/problems.def"
#undef P
};

json_t *
backup_write_problem(const char *name, int error)
{
	bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
	json_t *problem = problem_why(
	    backup_problem(full ? BACKUP_NO_SPACE : BACKUP_UNWRITABLE,
		"%s cannot be written", name),
	    "%s", strerror(error));

	return full ? problem_fix(problem,
			  "make room there and give the same command again")
		    : problem;
}

json_t *
backup_read_problem(const char *name, int error)
{
	return problem_why(
	    backup_problem(BACKUP_UNREADABLE, "%s cannot be read", name), "%s",
	    strerror(error));
}
