/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When a pool will be full, if it goes on growing as it did: a straight line
 * through samples of its used space, by least squares.  A guess for people: a
 * pool that grows by leaps is full earlier or later.
 */
#ifndef TARGET_FORECAST_H
#define TARGET_FORECAST_H

#include <stdbool.h>
#include <stdint.h>

#define FORECAST_INTERVAL_SECONDS 3600 /* from sample to sample */
#define FORECAST_SAMPLES          720  /* of 30 days */
#define FORECAST_SAMPLES_MIN      3    /* fewer say nothing */
#define FORECAST_MAX_SECONDS      (10 * 365 * 86400ll) /* later is never */

struct forecast_sample {
	int64_t at; /* Unix time */
	uint64_t used;
};

/* The newest samples, in the order of their time. */
struct forecast {
	struct forecast_sample samples[FORECAST_SAMPLES];
	unsigned count;
};

/* Drops the oldest when it is full, and all that are not before at: the clock
 * was set back. */
void forecast_add(struct forecast *forecast, int64_t at, uint64_t used);

/* Seconds until free is used up; false: it does not grow, or nobody knows. */
bool forecast_full(
    const struct forecast *forecast, uint64_t free, int64_t *ret_seconds);

#endif
