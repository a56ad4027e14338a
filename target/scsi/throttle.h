/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A token bucket.  It fills at a rate, up to its burst, and what a command
 * takes comes out of it.  A command that wants more than the bucket ever holds
 * goes when it is full, and leaves a debt: so nothing waits for ever, and over
 * time the rate is kept.
 *
 * Tokens are kept as the time in which they flow in, in picoseconds: that is
 * exact enough for any rate, and needs no division while time passes.
 */
#ifndef TARGET_SCSI_THROTTLE_H
#define TARGET_SCSI_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define TOKENS_MAX (16ull << 20) /* at once */

struct token_bucket {
	uint64_t rate;   /* tokens a second; 0: no limit */
	int64_t full_ps; /* what it holds at most */
	int64_t level_ps;
};

/* Full.  burst: tokens it holds, 0: those of a second.  burst / rate is at most
 * an hour. */
void token_bucket_init(
    struct token_bucket *bucket, uint64_t rate, uint64_t burst);
void token_bucket_fill(struct token_bucket *bucket, uint64_t ns);
bool token_bucket_has(const struct token_bucket *bucket, uint64_t tokens);
void token_bucket_take(struct token_bucket *bucket, uint64_t tokens);
/* Until it has them; 0: it does. */
uint64_t token_bucket_wait_ns(
    const struct token_bucket *bucket, uint64_t tokens);

#endif
