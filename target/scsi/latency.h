/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long commands took, from their arrival to their status, as a histogram
 * of fixed size: a bucket is a quarter of a power of two wide, so a figure read
 * from it is at most a quarter too high.  Times are the loop's, which tells
 * one time for all of a turn: what is answered within the turn in which it came
 * took no time.
 *
 * Counts only ever grow.  Whoever wants those of a minute takes the difference
 * of two readings.
 */
#ifndef TARGET_SCSI_LATENCY_H
#define TARGET_SCSI_LATENCY_H

#include <stdint.h>

enum latency_class {
	LATENCY_OTHER,
	LATENCY_READ,
	LATENCY_WRITE,
	LATENCY_FLUSH,
	LATENCY_UNMAP,
	LATENCY_CLASSES,
};

/* Of a mask of classes. */
#define LATENCY_ALL ((1u << LATENCY_CLASSES) - 1)

#define LATENCY_SHIFT   10 /* the finest bucket: 2^10 ns */
#define LATENCY_BUCKETS 104

struct latency {
	struct {
		uint64_t buckets[LATENCY_BUCKETS];
		uint64_t total_ns, max_ns;
	} of[LATENCY_CLASSES];
};

/* Quantiles are the upper end of their bucket, but never over max; all are 0
 * when nothing was counted. */
struct latency_figures {
	uint64_t count, total_ns;
	uint64_t p50_ns, p99_ns, p999_ns, max_ns;
};

extern const char *const latency_class_names[LATENCY_CLASSES];

/* What a command counts as, by its first two bytes. */
enum latency_class latency_class_of(const uint8_t *cdb);

/* The last one also holds what took longer. */
static inline unsigned
latency_bucket(uint64_t ns)
{
	uint64_t units = ns >> LATENCY_SHIFT;

	if (units < 4)
		return (unsigned)units;
	unsigned power = 63 - (unsigned)__builtin_clzll(units);
	unsigned bucket = (power - 1) * 4 + (units >> (power - 2) & 3);
	return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

/* Where a bucket ends and the next one begins. */
uint64_t latency_bucket_end(unsigned bucket);

static inline void
latency_add(struct latency *latency, enum latency_class class, uint64_t ns)
{
	latency->of[class].buckets[latency_bucket(ns)]++;
	latency->of[class].total_ns += ns;
	if (ns > latency->of[class].max_ns)
		latency->of[class].max_ns = ns;
}

void latency_figures_get(const struct latency *latency, unsigned classes,
    struct latency_figures *ret_figures);

#endif
