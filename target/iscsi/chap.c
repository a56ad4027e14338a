/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CHAP, the target's side.  Hashes and random numbers are GnuTLS's.
 */
#include "target/iscsi/chap.h"
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <stdlib.h>
#include <string.h>

static const struct chap_algorithm algorithms[] = {
    {5, "MD5", GNUTLS_DIG_MD5, 16},
    {6, "SHA1", GNUTLS_DIG_SHA1, 20},
    {7, "SHA-256", GNUTLS_DIG_SHA256, 32},
    {8, "SHA3-256", GNUTLS_DIG_SHA3_256, 32},
};

/* 12.1.3: "in the order of preference": the initiator's order decides. */
const struct chap_algorithm *
chap_algorithm_choose(const char *list)
{
	char word[16];
	uint32_t code;

	while (iscsi_text_list_next(&list, word, sizeof(word))) {
		if (!iscsi_text_number(word, &code))
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(algorithms); i++) {
			if (algorithms[i].code == code)
				return &algorithms[i];
		}
	}
	return NULL;
}

int
chap_response(const struct chap_algorithm *algorithm, uint8_t id,
    const char *secret, const uint8_t *challenge, size_t challenge_length,
    uint8_t digest[CHAP_DIGEST_MAX])
{
	gnutls_hash_hd_t hash;

	if (gnutls_hash_init(
		&hash, (gnutls_digest_algorithm_t)algorithm->digest) < 0)
		return -EIO;
	gnutls_hash(hash, &id, 1);
	gnutls_hash(hash, secret, strlen(secret));
	gnutls_hash(hash, challenge, challenge_length);
	gnutls_hash_deinit(hash, digest);
	return 0;
}

void
chap_take(struct chap *chap, enum iscsi_key key, const char *value)
{
	assert(key < ISCSI_KEY_COUNT);
	chap->key[key] = value;
}

static int
chap_challenge(struct chap *chap, struct iscsi_text *text)
{
	const unsigned length = chap->algorithm->length;

	if (gnutls_rnd(GNUTLS_RND_NONCE, &chap->id, 1) < 0 ||
	    gnutls_rnd(GNUTLS_RND_RANDOM, chap->challenge, length) < 0)
		return -EIO;
	iscsi_text_addf(text, "CHAP_A", "%u", chap->algorithm->code);
	iscsi_text_addf(text, "CHAP_I", "%u", chap->id);
	iscsi_text_add_binary(text, "CHAP_C", chap->challenge, length);
	chap->step = CHAP_WANT_RESPONSE;
	return 0;
}

static int
chap_algorithm_step(struct chap *chap, struct iscsi_text *text)
{
	const char *list = chap->key[ISCSI_KEY_CHAP_A];

	if (list == NULL)
		return 0; /* AuthMethod alone: CHAP_A comes next */
	chap->algorithm = chap_algorithm_choose(list);
	if (chap->algorithm == NULL)
		return -EACCES;
	return chap_challenge(chap, text);
}

/* Takes as long for a wrong name or length as for a wrong secret. */
static bool
chap_proves(const struct chap *chap, const struct iscsi_credentials *who)
{
	const char *name = chap->key[ISCSI_KEY_CHAP_N];
	const unsigned length = chap->algorithm->length;
	uint8_t want[CHAP_DIGEST_MAX], got[CHAP_DIGEST_MAX] = {0};
	ssize_t n;
	bool same;

	n = iscsi_text_binary(chap->key[ISCSI_KEY_CHAP_R], got, sizeof(got));
	if (chap_response(chap->algorithm, chap->id, who->secret,
		chap->challenge, length, want) < 0)
		return false;
	same = gnutls_memcmp(want, got, length) == 0;
	explicit_bzero(want, sizeof(want));
	return same && n == (ssize_t)length && strcmp(name, who->user) == 0;
}

/*
 * The initiator wants us to prove ourselves.  RFC 7143 9.2.1: the two
 * directions must not share a secret, and an answer to our own challenge must
 * never be computed for a peer: he would send it back as his.
 */
static int
chap_mutual(
    struct chap *chap, const struct iscsi_host *host, struct iscsi_text *text)
{
	uint8_t challenge[ISCSI_BINARY_MAX], digest[CHAP_DIGEST_MAX];
	const unsigned length = chap->algorithm->length;
	const char *value = chap->key[ISCSI_KEY_CHAP_I];
	uint32_t id;
	ssize_t n;

	if (host->mutual.user[0] == '\0' ||
	    strcmp(host->mutual.secret, host->chap.secret) == 0)
		return -EACCES;
	if (value == NULL || !iscsi_text_number(value, &id) || id > UINT8_MAX)
		return -EACCES;
	n = iscsi_text_binary(
	    chap->key[ISCSI_KEY_CHAP_C], challenge, sizeof(challenge));
	if (n <= 0)
		return -EACCES;
	if (n == (ssize_t)length &&
	    memcmp(challenge, chap->challenge, length) == 0)
		return -EACCES;
	if (chap_response(chap->algorithm, (uint8_t)id, host->mutual.secret,
		challenge, (size_t)n, digest) < 0)
		return -EIO;
	iscsi_text_add(text, "CHAP_N", host->mutual.user);
	iscsi_text_add_binary(text, "CHAP_R", digest, length);
	return 0;
}

static int
chap_response_step(
    struct chap *chap, const struct iscsi_host *host, struct iscsi_text *text)
{
	int ret;

	if (chap->key[ISCSI_KEY_CHAP_N] == NULL ||
	    chap->key[ISCSI_KEY_CHAP_R] == NULL ||
	    chap->key[ISCSI_KEY_CHAP_A] != NULL)
		return -EPROTO;
	if (!chap_proves(chap, &host->chap))
		return -EACCES;
	if (chap->key[ISCSI_KEY_CHAP_C] != NULL ||
	    chap->key[ISCSI_KEY_CHAP_I] != NULL) {
		if (chap->key[ISCSI_KEY_CHAP_C] == NULL)
			return -EPROTO;
		ret = chap_mutual(chap, host, text);
		if (ret < 0)
			return ret;
	}
	chap->step = CHAP_DONE;
	return 0;
}

static bool
chap_has_keys(const struct chap *chap)
{
	for (unsigned i = ISCSI_KEY_CHAP_A; i <= ISCSI_KEY_CHAP_R; i++) {
		if (chap->key[i] != NULL)
			return true;
	}
	return false;
}

int
chap_step(
    struct chap *chap, const struct iscsi_host *host, struct iscsi_text *text)
{
	int ret;

	assert(host->chap.user[0] != '\0');
	switch (chap->step) {
	case CHAP_WANT_ALGORITHM: ret = chap_algorithm_step(chap, text); break;
	case CHAP_WANT_RESPONSE:
		ret = chap_response_step(chap, host, text);
		break;
	default: ret = chap_has_keys(chap) ? -EPROTO : 0; break;
	}
	if (ret < 0)
		chap->step = CHAP_FAILED;
	memset(chap->key, 0, sizeof(chap->key));
	return ret;
}
