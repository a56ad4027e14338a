/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * policy/quiesce.h for stories: freezes by a hook, says so, and thaws when it
 *is told to.
 *
 *	run freeze HOOK RECORDS BUDGET-MS    about: its standard input's first
 *	                                     line; each line behind it is a step
 *	run thaw RECORDS                     what is recorded
 *
 * Says a line of JSON for each step: {"frozen": true}, {"held": BOOL,
 * "frozen_ms": N, "consistency": TEXT}, {"problem": ...}.
 */
#include "base/assert.h"
#include "base/cleanup.h"
#include "policy/quiesce.h"
#include <stdlib.h>
#include <string.h>

/* Takes answer. */
static void
say(json_t *answer)
{
	json_dumpf(answer, stdout, JSON_COMPACT);
	fputc('\n', stdout);
	fflush(stdout);
	json_decref(answer);
}

static int
say_problem(json_t *problem)
{
	say(json_pack("{s:o}", "problem", problem));
	return 1;
}

/* NULL: the end. */
static char *
line_read(void)
{
	char *line = NULL;
	size_t room = 0;

	if (getline(&line, &room, stdin) >= 0)
		return line;
	free(line);
	return NULL;
}

static int
freeze(char **arguments)
{
	_cleanup_(freep) char *about = line_read(), *step = NULL;
	struct quiesce_params params = {.hook = arguments[2],
	    .directory = arguments[3],
	    .about = json_loads(about, 0, NULL),
	    .budget_ms = (unsigned)atol(arguments[4])};
	struct quiesce *quiesce;
	struct quiesce_result result;
	json_t *problem = quiesce_freeze(&params, &quiesce);

	if (problem != NULL)
		return say_problem(problem);
	say(json_pack("{s:b}", "frozen", 1));
	step = line_read();
	problem = quiesce_thaw(quiesce, &result);
	json_decref(params.about);
	if (problem != NULL)
		return say_problem(problem);
	say(json_pack("{s:b, s:i, s:s}", "held", result.held, "frozen_ms",
	    (int)result.frozen_ms, "consistency", result.consistency));
	return 0;
}

int
main(int count, char **arguments)
{
	json_t *problem;

	if (count == 5 && strcmp(arguments[1], "freeze") == 0)
		return freeze(arguments);
	assert(count == 3);
	problem = quiesce_recover(arguments[2]);
	return problem != NULL ? say_problem(problem) : 0;
}
