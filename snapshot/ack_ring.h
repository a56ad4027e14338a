/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ack ring: records that are applied but not durable yet, in memory that
 * outlives the process (pool_limits.ack_ring), so that a process that is
 * killed loses nothing it has acknowledged, flushed or not.
 *
 * Every record is copied there before the write or unmap that made it is
 * acknowledged; when it is durable its place is free again.  A ring that is
 * full lets acknowledgements wait for the commit.  Data need no such help:
 * they were in the device, or in the kernel, before their record was made.
 *
 * The next process takes up records that follow the last one of the disk log,
 * if the ring is of the same pool, the same life of the log and the same boot
 * of the machine.  After a power cut the boot is another one, so that data
 * which did not survive are never mapped (I6).
 *
 * Entry i holds the record with lsn = i modulo the capacity; its sum covers
 * the lsn and the incarnation, so stale and half-written entries end the ring
 * by themselves.
 */
#ifndef SNAPSHOT_ACK_RING_H
#define SNAPSHOT_ACK_RING_H

#include "snapshot/format.h"

struct pool;

#define ACK_RING_MAGIC     0x41767256u /* "VrvA" */
#define ACK_RING_BYTES_MIN (64u << 10)

struct ack_header {
	struct le32 crc; /* of the bytes from magic to the end of this struct */
	struct le32 magic;
	uint8_t pool_uuid[16];
	uint8_t boot_id[16];
	struct le64 incarnation;
	uint8_t reserved[16];
};
_Static_assert(sizeof(struct ack_header) == 64, "ack ring header");

struct ack_entry {
	struct fmt_record record;
	struct le32 lsn; /* low 32 bits */
	struct le32 crc; /* of record, lsn (64 bits), incarnation (64 bits) */
};
_Static_assert(sizeof(struct ack_entry) == 32, "ack ring entry");

struct ack_ring {
	struct ack_header *header; /* NULL: there is none */
	struct ack_entry *entries;
	uint64_t capacity;
	uint64_t next; /* lsn of the first record not in it */
	bool active;   /* its header is of this life */
};

/* From pool->limits.  Changes nothing in the memory. */
void ack_ring_init(struct pool *pool);
/* This life begins: all before it is durable. */
void ack_ring_begin(struct pool *pool);
/* Takes up new records, as far as there is room. */
void ack_ring_fill(struct pool *pool);
/* May what depends on the records below lsn be acknowledged? */
bool ack_ring_covers(const struct pool *pool, uint64_t lsn);

/* Is it what the life of the log before this one left behind? */
bool ack_ring_matches(const struct pool *pool, uint64_t incarnation);
/* The record with that lsn, or NULL when the ring ends there. */
const struct fmt_record *ack_ring_record(
    const struct pool *pool, uint64_t incarnation, uint64_t lsn);

#endif
