/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * COMPARE AND WRITE whose answer did not arrive.  An initiator that heard
 * nothing sends the command again, and if it had been carried out it would find
 * on the medium what it wrote itself: MISCOMPARE, to a host whose lock was
 * taken.  So what is about to be written is remembered in memory that outlives
 * the process until the answer is out, and where it was not (varved was killed,
 * the command was aborted) the one that comes again is known.
 *
 * For all logical units on one loop.
 */
#ifndef TARGET_SCSI_COMPARE_MEMORY_H
#define TARGET_SCSI_COMPARE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#define COMPARE_MEMORY_BYTES 16384u

struct compare_memory;
struct compare_slot;

/* What makes it the same command. */
struct compare_key {
	uint8_t naa[8];  /* of the logical unit */
	uint64_t offset; /* bytes */
	uint32_t length; /* bytes that are compared, and as many written */
	uint32_t expected_sum; /* CRC32C of what is compared */
	uint32_t written_sum;
};

/* memory: COMPARE_MEMORY_BYTES, aligned to 8, of anything; what is not of this
 * boot of the machine is forgotten.  What the process before us had begun has
 * been interrupted.  now_ns: the loop's. */
struct compare_memory *compare_memory_open(
    void *memory, const uint8_t boot_id[16], uint64_t now_ns);
/* Of memory that was opened, or is zero: nothing in it may come again. */
bool compare_memory_is_idle(const void *memory);

/* What was compared was equal, and is now written.  NULL: there is no room, and
 * it is done without. */
struct compare_slot *compare_memory_begin(
    struct compare_memory *memory, const struct compare_key *key);
/* answered: its answer is out.  If not it has been interrupted. */
void compare_memory_end(
    struct compare_slot *slot, bool answered, uint64_t now_ns);
/* Was such a one interrupted, not long ago?  It is told once. */
bool compare_memory_recall(struct compare_memory *memory,
    const struct compare_key *key, uint64_t now_ns);

#endif
