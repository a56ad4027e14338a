/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A case being played: its server, its connections, what was received last.
 * Functions return NULL, or what is wrong.
 */
#ifndef TESTS_WIRE_PLAY_H
#define TESTS_WIRE_PLAY_H

#include "target/iscsi/chap.h"
#include "tests/wire/wire.h"

#define WORDS_MAX 64
#define CONNS_MAX 16

struct client {
	char name[16];
	int fd;
	uint32_t cmdsn, exp_statsn, itt;
	bool header_digest, data_digest;
	bool corrupt_header, corrupt_data;
	/* the challenge seen last, and ours */
	const struct chap_algorithm *algorithm;
	uint32_t chap_id;
	char chap_challenge[2 * ISCSI_BINARY_MAX + 3];
};

struct play {
	struct service_config config;
	struct service *service;
	struct client clients[CONNS_MAX], *client;
	unsigned client_count;
	struct variables variables;
	struct wire_pdu pdu;
	char error[256];
};

/* ---- client.c: bytes and PDUs ---- */

const char *client_send(struct play *p, const void *data, size_t length);
/* 1: all of it, 0: closed before, -1: time is up */
int client_receive(struct play *p, void *data, size_t length, int timeout_ms);
/* p->pdu, with what digests there are to be */
const char *client_send_pdu(struct play *p);
const char *client_receive_pdu(struct play *p);

/* ---- proof.c: words of a line, ended by NULL ---- */

/* What was received may have a challenge. */
void play_challenge(struct play *p);
const char *play_chap(struct play *p, char **words);
const char *play_reflect(struct play *p, char **words);
const char *play_proof(struct play *p, char **words);

/* ---- verbs.c ---- */

const char *play_send(struct play *p, char **words);
const char *play_line(struct play *p, const char *text);

#endif
