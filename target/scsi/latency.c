/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/scsi/latency.h"
#include "base/assert.h"
#include <stdbool.h>
#include <stddef.h>

const char *const latency_class_names[LATENCY_CLASSES] = {
    [LATENCY_OTHER] = "other",
    [LATENCY_READ] = "read",
    [LATENCY_WRITE] = "write",
    [LATENCY_FLUSH] = "flush",
    [LATENCY_UNMAP] = "unmap",
};

/* By operation code; what is not here is neither data nor cache: other. */
static const uint8_t class_of[256] = {
    [0x08] = LATENCY_READ,  /* READ(6) */
    [0x28] = LATENCY_READ,  /* READ(10) */
    [0xa8] = LATENCY_READ,  /* READ(12) */
    [0x88] = LATENCY_READ,  /* READ(16) */
    [0x0a] = LATENCY_WRITE, /* WRITE(6) */
    [0x2a] = LATENCY_WRITE, /* WRITE(10) */
    [0xaa] = LATENCY_WRITE, /* WRITE(12) */
    [0x8a] = LATENCY_WRITE, /* WRITE(16) */
    [0x2e] = LATENCY_WRITE, /* WRITE AND VERIFY(10) */
    [0xae] = LATENCY_WRITE, /* WRITE AND VERIFY(12) */
    [0x8e] = LATENCY_WRITE, /* WRITE AND VERIFY(16) */
    [0x89] = LATENCY_WRITE, /* COMPARE AND WRITE */
    [0x8b] = LATENCY_WRITE, /* ORWRITE(16) */
    [0x9c] = LATENCY_WRITE, /* WRITE ATOMIC(16) */
    [0x41] = LATENCY_WRITE, /* WRITE SAME(10) */
    [0x93] = LATENCY_WRITE, /* WRITE SAME(16) */
    [0x35] = LATENCY_FLUSH, /* SYNCHRONIZE CACHE(10) */
    [0x91] = LATENCY_FLUSH, /* SYNCHRONIZE CACHE(16) */
    [0x42] = LATENCY_UNMAP, /* UNMAP */
};

#define WRITE_SAME_UNMAP 0x08

enum latency_class
latency_class_of(const uint8_t *cdb)
{
	bool same = cdb[0] == 0x41 || cdb[0] == 0x93;

	if (same && (cdb[1] & WRITE_SAME_UNMAP) != 0)
		return LATENCY_UNMAP;
	return class_of[cdb[0]];
}

uint64_t
latency_bucket_end(unsigned bucket)
{
	assert(bucket < LATENCY_BUCKETS);
	if (bucket < 4)
		return (bucket + 1ull) << LATENCY_SHIFT;
	return (bucket % 4 + 5ull) << (bucket / 4 - 1 + LATENCY_SHIFT);
}

static void
gather(const struct latency *latency, unsigned classes,
    uint64_t ret_buckets[LATENCY_BUCKETS], struct latency_figures *figures)
{
	for (unsigned c = 0; c < LATENCY_CLASSES; c++) {
		if ((classes & 1u << c) == 0)
			continue;
		figures->total_ns += latency->of[c].total_ns;
		if (latency->of[c].max_ns > figures->max_ns)
			figures->max_ns = latency->of[c].max_ns;
		for (unsigned b = 0; b < LATENCY_BUCKETS; b++) {
			ret_buckets[b] += latency->of[c].buckets[b];
			figures->count += latency->of[c].buckets[b];
		}
	}
}

/* The time within which at least permille of 1000 were done. */
static uint64_t
quantile(const uint64_t buckets[LATENCY_BUCKETS],
    const struct latency_figures *figures, unsigned permille)
{
	uint64_t count = figures->count, below = 0;
	uint64_t rank =
	    count / 1000 * permille + (count % 1000 * permille + 999) / 1000;

	for (unsigned b = 0; b < LATENCY_BUCKETS - 1; b++) {
		below += buckets[b];
		if (below >= rank && latency_bucket_end(b) < figures->max_ns)
			return latency_bucket_end(b);
		if (below >= rank)
			break;
	}
	return figures->max_ns;
}

void
latency_figures_get(const struct latency *latency, unsigned classes,
    struct latency_figures *ret_figures)
{
	uint64_t buckets[LATENCY_BUCKETS] = {0};

	*ret_figures = (struct latency_figures){.count = 0};
	gather(latency, classes, buckets, ret_figures);
	ret_figures->p50_ns = quantile(buckets, ret_figures, 500);
	ret_figures->p99_ns = quantile(buckets, ret_figures, 990);
	ret_figures->p999_ns = quantile(buckets, ret_figures, 999);
}
