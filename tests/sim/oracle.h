/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a volume may read as.  Every sector (512 bytes) remembers the writes
 * that may still be what it holds; a write is forgotten when a later one is
 * certain to have replaced it.  Where all sectors of a cell were written as
 * one, they are remembered as one.
 *
 * Times are a logical clock of the world: each submission and each completion
 * is one tick.  Write b was after write a if a had completed before b was
 * submitted; writes in flight together have no order and either may win.
 *
 *	a read that was submitted at t   may not show a if some b was after a
 *	                                 and had completed before t
 *	what is read after a power cut   may not be a if some durable b was
 *	                                 after a
 *
 * An atomic write is all there after a power cut or not at all: if one of its
 * sectors holds it, none may hold what had ended before it was submitted.
 *
 * A write is durable when it completed with FUA, or when a FLUSH that was
 * submitted after its completion has completed (I12).
 *
 * Snapshots.  A snapshot is a cut through the writes of one or more volumes,
 * made at some time between its call and its end.  What it may hold is what a
 * read may show that was submitted at the call and ended then; it is fixed,
 * though not known where writes were in flight.  The first look at such a
 * sector settles it for the snapshot and for all that comes from it.  And if a
 * write is seen to be in it, all that had ended before that write was
 * submitted must be, too, in all volumes of the cut.
 */
#ifndef TESTS_SIM_ORACLE_H
#define TESTS_SIM_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECTOR_BYTES 512u
#define NEVER        UINT64_MAX

/* A write of any kind as the oracle sees it. */
struct change {
	uint64_t submitted, finished; /* finished: NEVER while in flight */
	uint64_t stamp;               /* what its sectors hold; 0: zeros */
	bool durable;
	bool failed; /* finished with an error: it may have happened or not */
	struct whole *whole; /* atomic: what recovery has shown; else NULL */
};

struct oracle;

struct oracle *oracle_new(uint64_t serial);

/* The oracle is free with its last user. */
struct oracle *oracle_ref(struct oracle *oracle);
void oracle_unref(struct oracle *oracle); /* may be NULL */

/* A snapshot that was asked for at this time. */
struct cut *cut_new(uint64_t called);
/* ... and has just been made: what one of its volumes is in it. */
struct oracle *oracle_snapshot(const struct oracle *volume, struct cut *cut);
/* A volume that begins as the snapshot. */
struct oracle *oracle_clone(const struct oracle *snapshot);

/* A change of [offset, offset + length) is about to be submitted.  Reads still
 * in flight were submitted at oldest_read or later (NEVER: none is): they may
 * show what has been replaced for good since. */
struct change *oracle_submit(struct oracle *oracle, uint64_t offset,
    uint64_t length, uint64_t stamp, uint64_t now, uint64_t oldest_read);
/* It is to be all or nothing. */
void oracle_atomic(struct change *change);
void oracle_finish(struct oracle *oracle, struct change *change, uint64_t now,
    bool failed, bool fua);

/* A flush that was submitted at this time has completed. */
void oracle_flushed(struct oracle *oracle, uint64_t submitted);

/* What the volume holds from offset on is gone for good. */
void oracle_cut_off(struct oracle *oracle, uint64_t offset);

/* The sectors of a write: the volume, the sector and the stamp all over. */
void oracle_fill(const struct oracle *oracle, uint64_t offset, uint64_t length,
    uint64_t stamp, uint8_t *buf);

/* ... and which stamp that is. */
uint64_t oracle_stamp(const uint8_t *sector);

/* Checks what a read that was submitted at time has shown.  False: text says
 * what is wrong. */
bool oracle_check_read(struct oracle *oracle, uint64_t offset, uint64_t length,
    const uint8_t *buf, uint64_t submitted, char *text, size_t text_max);

/* Checks what is read after a power cut, inside one cell, and takes it as the
 * durable truth from then on. */
bool oracle_check_recovered(struct oracle *oracle, uint64_t offset,
    uint64_t length, const uint8_t *buf, char *text, size_t text_max);

/* May the range read as zeros throughout, for a read submitted at time? */
bool oracle_may_be_hole(const struct oracle *oracle, uint64_t offset,
    uint64_t length, uint64_t submitted);

/* Is the range zeros for certain, nothing in flight or doubtful? */
bool oracle_is_zero(
    const struct oracle *oracle, uint64_t offset, uint64_t length);

/* Was a write of any part of this 4 KiB block in flight at some time between
 * the snapshot's call and its end? */
bool oracle_is_restless(const struct oracle *snapshot, uint64_t offset);

/* May the snapshot hold what this sector shows? */
bool oracle_may_hold(
    const struct oracle *oracle, uint64_t offset, const uint8_t *sector);

/* Does every 4 KiB block of the range hold data for certain, written since
 * then, so that a write needs no space? */
bool oracle_is_mapped(const struct oracle *oracle, uint64_t offset,
    uint64_t length, uint64_t since);

/* Has anything ever been written to the cell (64 KiB) at offset? */
#define ORACLE_CELL_BYTES 65536u
bool oracle_knows_cell(const struct oracle *oracle, uint64_t offset);

/* All changes in flight were lost or not: after recovery nothing is. */
void oracle_recovered(struct oracle *oracle);

#endif
