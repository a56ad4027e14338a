/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What negotiation and transmission share.
 */
#ifndef BACKUP_NBD_TALK_H
#define BACKUP_NBD_TALK_H

#include "backup/nbd.h"
#include "backup/nbd_wire.h"

#define NBD_CONTEXTS 2 /* by enum nbd_map */

struct nbd_talk {
	const struct nbd_export *export;
	struct nbd_wire *wire;
	bool secure; /* TLS */
	bool structured, no_zeroes;
	bool contexts[NBD_CONTEXTS]; /* that the client has chosen */
	uint8_t option[NBD_STRING_MAX * 2];
	uint8_t buffer[NBD_PAYLOAD_MAX];
};

/* Flags of transmission. */
uint16_t nbd_flags(const struct nbd_talk *talk);
/* A context's number on the wire, which is not 0. */
static inline uint32_t
nbd_context_id(enum nbd_map map)
{
	return (uint32_t)map + 1;
}

/* 1: transmission begins; 0: the client goes; negative: the connection is over.
 */
int nbd_negotiate(struct nbd_talk *talk);
void nbd_transmit(struct nbd_talk *talk);

/* Takes and forgets. */
int nbd_skip(struct nbd_talk *talk, uint64_t length);

#endif
