/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Commands to one LUN, with INITIATOR_DEPTH of them in flight in a session
 * (session.h).
 *
 * Transfers end in the order in which they were begun: who reads gets what he
 * has asked for first, whatever the target answers first.
 *
 *	free    initiator_room() says so; nobody's
 *	begun   initiator_read(), initiator_write(): the initiator's
 *	oldest  initiator_oldest() has waited for it: its data are the caller's
 *	        to read, until initiator_drop()
 *
 * What is refused for a state that passes (UNIT ATTENTION, BUSY, TASK SET FULL)
 * and what a lost connection has cancelled is sent again: all of it may be done
 * twice.  When nothing has ended for as long as the session's patience, that is
 * a problem.
 */
#ifndef BACKUP_INITIATOR_H
#define BACKUP_INITIATOR_H

#include "backup/piece.h"
#include "backup/session.h"

#define INITIATOR_DEPTH 64
/* A longer transfer would be several. */
#define TRANSFER_MAX PIECE_MAX

struct initiator;

/* Logs in, as session_new. */
json_t *initiator_new(
    const struct session_params *params, struct initiator **ret_initiator);
/* Logs out; what is in flight is given up.  NULL is nothing. */
void initiator_free(struct initiator *initiator);

uint64_t initiator_size(const struct initiator *initiator); /* bytes */

bool initiator_room(const struct initiator *initiator);
bool initiator_empty(const struct initiator *initiator);

/* With room.  Offset and length are multiples of the LUN's block. */
json_t *initiator_read(
    struct initiator *initiator, uint64_t offset, uint32_t length);
/* Copies data. */
json_t *initiator_write(struct initiator *initiator, const void *data,
    uint64_t offset, uint32_t length);
/* Makes it zeros (UNMAP), and waits for that; transfers may be in flight
 * elsewhere. */
json_t *initiator_unmap(
    struct initiator *initiator, uint64_t offset, uint64_t length);
/* No command: a piece of zeros that takes its place in the order. */
void initiator_note_zero(
    struct initiator *initiator, uint64_t offset, uint64_t length);

/* Not when empty.  Waits. */
json_t *initiator_oldest(struct initiator *initiator, struct piece *ret_piece);
void initiator_drop(struct initiator *initiator);

/* All that was written is durable.  Not with transfers in flight. */
json_t *initiator_flush(struct initiator *initiator);

/* Commands sent, and the most of them that were in flight at once. */
struct initiator_stat {
	uint64_t commands, bytes;
	unsigned most;
};
void initiator_stat_get(
    const struct initiator *initiator, struct initiator_stat *ret_stat);

#endif
