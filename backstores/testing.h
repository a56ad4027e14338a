/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Test layers: backstores around a backstore (error, delay), and the disk of
 * the simulator, which loses, tears and reorders what was not flushed.
 * They are part of the library because tools and soak runs use them too.
 */
#ifndef BACKSTORES_TESTING_H
#define BACKSTORES_TESTING_H

#include "backstores/backstore.h"

/* ---- error: fails chosen operations ---- */
struct bs_error_rule {
	enum bs_op op;
	uint64_t offset, length; /* I/O touching this range; length 0: any */
	unsigned skip;           /* let so many matching ones pass first */
	unsigned count;          /* then fail so many; 0: for ever */
	int error;               /* -EIO, -ENOSPC, -ENODATA ... */
};
int bs_error_new(struct backstore *below, struct backstore **ret_bs);
/* Rules are tried in order; a rule used up is dropped.  -ENOSPC: table full */
int bs_error_add(struct backstore *bs, const struct bs_error_rule *rule);
void bs_error_clear(struct backstore *bs);

/* ---- delay: holds each completion back ---- */
struct bs_delay_params {
	uint64_t min_ns, max_ns; /* uniform between them, by seed */
	uint64_t seed;
};
int bs_delay_new(struct backstore *below, const struct bs_delay_params *params,
    struct backstore **ret_bs);

/* ---- powercut: a disk with a volatile cache, in memory ---- */
/*
 * Reads see the newest written data.  Each sector (512 bytes) not yet flushed
 * may, at a power cut, be at any of the versions written since the last flush
 * or at the durable one; a FUA write that completed is durable; one in flight
 * may be absent, torn at any sector, or whole; writes complete in any order.
 * The object survives the cut: bs_powercut_cut() makes it what the platter
 * holds, fails everything in flight silently (those completions never come)
 * and detaches it from its loop until bs_powercut_attach().
 */
struct bs_powercut_params {
	uint64_t size;
	uint32_t block_size; /* 512 or 4096 */
	uint64_t seed;
	bool volatile_cache;     /* false: completed = durable (PLP) */
	unsigned keep_percent;   /* chance that an unflushed sector survives */
	uint64_t latency_min_ns; /* completion order is random */
	uint64_t latency_max_ns;
};
int bs_powercut_new(struct loop *loop, const struct bs_powercut_params *params,
    struct backstore **ret_bs);

/* Cut when the n-th write, zero, discard or flush from now is submitted
 * (n = 1: the next): hook(arg) is called once at that moment, from submit, and
 * must make the scheduler stop; call bs_powercut_cut() then.  0: never. */
void bs_powercut_arm(
    struct backstore *bs, uint64_t n, void (*hook)(void *arg), void *arg);
/* What is submitted after that moment never happens.
 * Mutating operations submitted so far, to choose n. */
uint64_t bs_powercut_ticks(const struct backstore *bs);
void bs_powercut_cut(struct backstore *bs);
void bs_powercut_attach(struct backstore *bs, struct loop *loop);

/* Faults beyond the cut, for directed tests. */
void bs_powercut_flip_bit(struct backstore *bs, uint64_t bit_offset);
void bs_powercut_drop_next_write(struct backstore *bs); /* lost write */
/* What a READ would return; poke changes every copy, flushed or not. */
void bs_powercut_peek(
    struct backstore *bs, uint64_t offset, void *buf, uint64_t length);
void bs_powercut_poke(
    struct backstore *bs, uint64_t offset, const void *buf, uint64_t length);

#endif
