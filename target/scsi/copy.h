/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Third-party copy, SPC-4 5.17: what its commands share.
 *
 *	copy.c         EXTENDED COPY: lists of segments between units
 *	copy_token.c   POPULATE TOKEN, WRITE USING TOKEN: SBC-3 4.28
 *	token.c        the tokens themselves, and when they are no longer good
 *	copy_move.c    one run of blocks from here to there
 *	copy_result.c  what is told afterwards, and COPY OPERATION ABORT
 */
#ifndef TARGET_SCSI_COPY_H
#define TARGET_SCSI_COPY_H

#include "target/scsi/handlers.h"

/* The second buffer of a copy: what it has to know. */
#define COPY_HEAD  8192u
#define COPY_PIECE (512u << 10)
static_assert(COPY_PIECE <= BUF_MAX, "one buffer");

/* At the start of the second buffer.  One piece at a time is read and written,
 * so a copy needs one buffer more however long it is, and has that only while
 * the piece is on its way; an abort is seen after each.  Zeros are not written
 * but unmapped where the destination is thin: a copy of a thin unit stays thin.
 */
struct copy_move {
	struct copy_result *result; /* NULL: none is kept */
	struct lun *source;         /* NULL: zeros */
	struct lun *destination;
	uint64_t piece;            /* bytes of the one at hand */
	unsigned payers;           /* of both, who have been charged for it */
	unsigned entered;          /* of both, in which it may go on */
	void *buffer;              /* the piece's, on its way */
	uint64_t from, to, length; /* bytes; task->cursor: done */
	/* May it go on?  Asked before each piece is read and before it is
	 * written: in between much can change. */
	struct scsi_sense (*may)(const struct scsi_task *task);
	/* NULL: all of it is there. */
	void (*end)(struct scsi_task *task, const struct scsi_sense *sense);
};

static inline struct copy_move *
copy_move_of(const struct scsi_task *task)
{
	return task->side;
}

/* All fields are set, and length is more than 0. */
void copy_move(struct scsi_task *task);

/* The list of a copy command: nothing, or a header and at most most bytes. */
struct scsi_sense copy_want_list(
    struct scsi_task *task, size_t header, size_t most);

/* All that could keep a READ or WRITE from the unit, but reservations. */
struct scsi_sense copy_may_unit(const struct lun *lun);
/* May the initiator do there what it wants done?  All that could keep a READ or
 * WRITE of its own from the unit. */
struct scsi_sense copy_may(const struct scsi_mapping *mapping, bool write);

/* SPC-4 5.17.4.2: list identifiers are of the nexus. */
struct copy_result *copy_result_find(
    struct scsi_mapping *mapping, uint32_t list_id);
/* NULL: the task has ended, the identifier being in use or all of them. */
struct copy_result *copy_result_begin(struct scsi_task *task, uint32_t list_id);
/* sense NULL: it went well.  result NULL: nothing is kept. */
void copy_result_end(const struct scsi_task *task, struct copy_result *result,
    const struct scsi_sense *sense);

/* ---- tokens ---- */

#define TOKEN_LENGTH     512u
#define TOKEN_RANGES_MAX 64u

enum token_type { /* SPC-4 table 139 */
	TOKEN_ANY_POINT_IN_TIME = 0x0080ffff,
	TOKEN_CHANGE_VULNERABLE = 0x00800001,
	TOKEN_ZERO = 0xffff0001u,
};

struct token_ranges {
	struct token_range {
		uint64_t offset, length; /* bytes, length not 0 */
	} range[TOKEN_RANGES_MAX];
	unsigned count;
	uint64_t bytes; /* of all */
};

bool token_ranges_overlap(
    const struct token_ranges *ranges, uint64_t offset, uint64_t length);

/* Holds what the blocks were when it was made: once one of them is written it
 * is no longer good. */
struct token {
	struct list link;     /* manager's, by last use */
	struct list lun_link; /* the LUN's */
	struct lun *lun;
	struct copy_manager *manager;
	uint64_t id;
	uint8_t secret[32];
	uint64_t used_ns, patience_ns;
	unsigned users;
	bool revoked;
	uint64_t low, high; /* bytes: nothing of it lies outside */
	struct token_ranges ranges;
};

/* NULL: no memory.  The oldest gives way when there are too many. */
struct token *token_new(
    struct lun *lun, const struct token_ranges *ranges, uint64_t patience_ns);
void token_encode(const struct token *token, uint8_t data[TOKEN_LENGTH]);
/* NULL: it is not good any more. */
struct token *token_find(struct copy_manager *manager, uint64_t id);
/* The token that somebody shows, *ret_token NULL: that of zeros. */
struct scsi_sense token_decode(struct copy_manager *manager,
    const uint8_t data[TOKEN_LENGTH], struct token **ret_token);
/* In use it stays in memory, and so does its LUN, whatever becomes of it. */
void token_use(struct token *token);
void token_leave(struct token *token);
void token_revoke(struct token *token);
/* The blocks are about to change, or have changed. */
void token_revoke_range(struct lun *lun, uint64_t offset, uint64_t length);
void token_revoke_all(struct lun *lun);

#endif
