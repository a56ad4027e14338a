/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What negotiation and transmission share.
 */
#ifndef BACKUP_NBD_TALK_H
#define BACKUP_NBD_TALK_H

#include "backup/nbd.h"
#include "backup/nbd_wire.h"

#define NBD_CONTEXTS 2 /* by enum nbd_map */

struct nbd_ask {
	uint16_t flags, type;
	uint64_t cookie, offset;
	uint32_t length;
};

/* Reads that are under way, the oldest first, with room for their data: it is
 * taken in a circle. */
struct nbd_reads {
	struct nbd_read {
		struct nbd_ask ask;
		size_t at; /* of its data */
	} list[NBD_READS_MAX];
	unsigned first, count;
	uint8_t *data;
	size_t size;
};

struct nbd_talk {
	const struct nbd_export *export;
	struct nbd_wire *wire;
	bool secure; /* TLS */
	bool structured, no_zeroes;
	bool contexts[NBD_CONTEXTS]; /* that the client has chosen */
	uint8_t option[NBD_STRING_MAX * 2];
	struct nbd_reads reads;
	unsigned taken; /* requests, since a read was ended */
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

#endif
