/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the fuzzers of PDUs share: the whole stack, reached over socket pairs.
 */
#ifndef TESTS_FUZZ_STACK_H
#define TESTS_FUZZ_STACK_H

#include "target/iscsi/pdu.h"

#define STACK_TARGET    "iqn.2026-01.io.varve:fuzz"
#define STACK_INITIATOR "iqn.2026-01.io.varve:host"
#define STACK_OTHER     "iqn.2026-01.io.varve:other"
#define STACK_DATA_MAX  4096

/* ---- server.c ---- */

/* Before each input: now and then a fresh server. */
void stack_new(void);
int stack_connect(void);
void stack_publish(bool read_only);
/* After each input. */
void stack_wait_until_quiet(void);

/* ---- initiator.c ---- */

#define PDU_MAX (ISCSI_BHS_LENGTH + STACK_DATA_MAX + 2 * ISCSI_DIGEST_LENGTH)

struct initiator {
	int fd;
	uint32_t cmdsn;
	bool digests;
	bool corrupt; /* spoil the next data digest */
	bool half;    /* of the next PDU, the rest goes before the one after */
	size_t kept_length;
	uint8_t kept[PDU_MAX];
	/* Takes what the server says while there is no room to send; NULL: it
	 * is thrown away.  False: the server has closed. */
	bool (*listen)(struct initiator *c, int timeout_ms);
};

void initiator_connect(struct initiator *c);
/* Throws away what the server says, so that it does not wait for us.  False: it
 * has closed. */
bool initiator_drain(struct initiator *c, int timeout_ms);
void initiator_send(struct initiator *c, const void *data, size_t length);
/* With lengths, padding and digests as they should be. */
void initiator_pdu(struct initiator *c, struct iscsi_bhs *bhs,
    const uint8_t *data, uint32_t length);
/* Of the last one, what was held back. */
void initiator_rest(struct initiator *c);
/* A Login Request straight to full feature phase, with these pairs. */
struct login {
	uint8_t isid;
	uint16_t tsih, cid;
	uint32_t cmdsn;
};
void initiator_login(struct initiator *c, const struct login *login,
    const char *text, size_t length);
void initiator_receive(struct initiator *c, void *data, size_t length);
/* Reads until the server has closed too: then it is through with the input. */
void initiator_finish(struct initiator *c);

#endif
