/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The figures of varve metrics; a file for each kind of thing.  docs/metrics.md
 * lists them all, and a test says so.
 */
#ifndef TARGET_METRICS_H
#define TARGET_METRICS_H

#include "target/exposition.h"
#include "target/house.h"
#include "target/survey.h"
#include <stddef.h>
#include <string.h>

/* A whole number, of 4 bytes or 8, in a struct. */
struct figure {
	struct metric metric;
	size_t offset, size;
};
#define FIGURE(of, field, name, type, help)                                    \
	{                                                                      \
		{name, type, help}, offsetof(struct of, field),                \
		    sizeof(((struct of *)NULL)->field)                         \
	}

static inline uint64_t
figure_get(const struct figure *figure, const void *of)
{
	const char *at = (const char *)of + figure->offset;
	uint64_t value;
	uint32_t small;

	assert(figure->size == sizeof(value) || figure->size == sizeof(small));
	if (figure->size == sizeof(value)) {
		memcpy(&value, at, sizeof(value));
		return value;
	}
	memcpy(&small, at, sizeof(small));
	return small;
}

#define METRICS_SURVEY (SURVEY_TOTALS | SURVEY_LATENCY)

/* Of pools and LUNs. */
void metrics_pools(struct exposition *exposition, const struct survey *survey);
void metrics_policies(struct exposition *exposition, struct house *house);
/* Of those that policies make. */
void metrics_backups(struct exposition *exposition, struct house *house,
    const struct survey *survey);

#endif
