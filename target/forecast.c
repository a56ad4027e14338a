/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/forecast.h"
#include <string.h>

void
forecast_add(struct forecast *forecast, int64_t at, uint64_t used)
{
	struct forecast_sample *samples = forecast->samples;

	while (forecast->count > 0 && samples[forecast->count - 1].at >= at)
		forecast->count--;
	if (forecast->count == FORECAST_SAMPLES) {
		forecast->count--;
		memmove(&samples[0], &samples[1],
		    forecast->count * sizeof(samples[0]));
	}
	samples[forecast->count++] =
	    (struct forecast_sample){.at = at, .used = used};
}

/* Bytes per second. */
static double
slope(const struct forecast *forecast)
{
	const struct forecast_sample *samples = forecast->samples;
	double n = forecast->count, at = 0, used = 0, above = 0, below = 0;

	for (unsigned i = 0; i < forecast->count; i++) {
		at += (double)(samples[i].at - samples[0].at) / n;
		used += (double)samples[i].used / n;
	}
	for (unsigned i = 0; i < forecast->count; i++) {
		double x = (double)(samples[i].at - samples[0].at) - at;
		above += x * ((double)samples[i].used - used);
		below += x * x;
	}
	return below > 0 ? above / below : 0;
}

bool
forecast_full(
    const struct forecast *forecast, uint64_t free, int64_t *ret_seconds)
{
	double rate, seconds;

	if (forecast->count < FORECAST_SAMPLES_MIN)
		return false;
	rate = slope(forecast);
	if (rate <= 0)
		return false;
	seconds = (double)free / rate;
	if (seconds > (double)FORECAST_MAX_SECONDS)
		return false;
	*ret_seconds = (int64_t)seconds;
	return true;
}
