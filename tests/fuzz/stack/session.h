/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An initiator with up to two sessions over up to four connections, which
 * knows enough of the protocol to get far: it logs in, numbers its commands,
 * answers R2Ts and pings.  It holds the server to the numbers it sends.
 */
#ifndef TESTS_FUZZ_STACK_SESSION_H
#define TESTS_FUZZ_STACK_SESSION_H

#include "tests/fuzz/stack/stack.h"

#define SLOTS    4
#define SESSIONS 2

struct session {
	const char *initiator;
	uint8_t isid;
	uint16_t tsih;
	uint32_t cmdsn, hole; /* hole: a number that was left out */
};

struct slot {
	struct initiator c;
	struct session *session;
	bool open;
	uint8_t in[16384];
	size_t in_length;
	uint32_t statsn, exp_cmdsn;
	/* what was asked for last */
	uint32_t itt, ttt, r2t_offset, r2t_length;
	uint32_t ping; /* a tag, or the reserved one */
};

/* Which number a command takes. */
enum turn { TURN_NEXT, TURN_AHEAD, TURN_HOLE, TURN_AGAIN };

uint32_t session_number(struct session *session, enum turn turn);

/* A login that leads a session, or joins it (cid is the slot's); text: more
 * keys.  The slot is open afterwards, or the server has refused. */
void slot_login(struct slot *slot, struct session *session, uint16_t cid,
    bool join, const char *text, size_t length);
/* Looks at all that has come. */
void slot_look(struct slot *slot);
void slot_send(struct slot *slot, struct iscsi_bhs *bhs, const uint8_t *data,
    uint32_t length);
void slot_close(struct slot *slot);

#endif
