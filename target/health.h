/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is not as it should be.  Each finding has a stable code and says how it
 * is mended; a file looks at each kind of thing.
 */
#ifndef TARGET_HEALTH_H
#define TARGET_HEALTH_H

#include "target/method.h"

struct health {
	struct house *house;
	const struct survey *survey;
	struct exports exports;
	json_t *items;
};

/* severity: "error", "warning", "note"; takes fix, a line that mends it. */
void health_finding(struct health *health, const char *severity,
    const char *code, json_t *fix, const char *what, ...)
    __attribute__((format(printf, 5, 6)));

void health_pools(struct health *health);
void health_exports(struct health *health);
void health_policies(struct health *health);

/* All of it: a new array of {severity, code, what, fix}.  The survey is of all
 * pools, with sessions and HEALTH_SURVEY.  NULL: the state cannot be read. */
#define HEALTH_SURVEY (SURVEY_GROUPS | SURVEY_TRASH)
json_t *health_look(struct house *house, const struct survey *survey);

#endif
