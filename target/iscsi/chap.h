/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CHAP (RFC 1994) as RFC 7143 12.1.3 uses it, the target's side of one login:
 *
 *	initiator                          target
 *	CHAP_A=7,6,5                       CHAP_A=7 CHAP_I CHAP_C
 *	CHAP_N CHAP_R [CHAP_I CHAP_C]      [CHAP_N CHAP_R]
 *
 * The part in brackets is mutual authentication, which the initiator asks for.
 */
#ifndef TARGET_ISCSI_CHAP_H
#define TARGET_ISCSI_CHAP_H

#include "target/iscsi/keys.h"

#define CHAP_DIGEST_MAX 32

struct chap_algorithm {
	unsigned code; /* IANA's PPP authentication algorithms */
	const char *name;
	int digest; /* enum of gnutls */
	unsigned length;
};

/* The first of a list of codes ("7,5") that we can do, or NULL. */
const struct chap_algorithm *chap_algorithm_choose(const char *list);

enum chap_step {
	CHAP_WANT_ALGORITHM,
	CHAP_WANT_RESPONSE,
	CHAP_DONE,
	CHAP_FAILED,
};

struct chap {
	enum chap_step step;
	const struct chap_algorithm *algorithm;
	uint8_t id;
	uint8_t challenge[CHAP_DIGEST_MAX]; /* algorithm->length bytes */
	/* what this request brought: points into its text, NULL if not */
	const char *key[ISCSI_KEY_COUNT];
};

/* Notes a CHAP_ key of the request at hand. */
void chap_take(struct chap *chap, enum iscsi_key key, const char *value);

/* All keys of the request are taken: goes one step on and adds the answer to
 * text.  0 on the way or CHAP_DONE, -EACCES failed, -EPROTO keys that do not
 * belong here, -EIO no random numbers. */
int chap_step(
    struct chap *chap, const struct iscsi_host *host, struct iscsi_text *text);

/* hash(id, secret, challenge) into digest; 0 or -EIO. */
int chap_response(const struct chap_algorithm *algorithm, uint8_t id,
    const char *secret, const uint8_t *challenge, size_t challenge_length,
    uint8_t digest[CHAP_DIGEST_MAX]);

#endif
