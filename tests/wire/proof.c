/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The initiator's part of CHAP: the challenge that was received last, and the
 * verbs that answer it, rightly or not.
 */
#include "tests/wire/play.h"
#include <stdio.h>
#include <stdlib.h>

void
play_challenge(struct play *p)
{
	struct client *c = p->client;
	const char *algorithm = wire_text_value(&p->pdu, "CHAP_A");
	const char *id = wire_text_value(&p->pdu, "CHAP_I");
	const char *challenge = wire_text_value(&p->pdu, "CHAP_C");

	if (algorithm == NULL || id == NULL || challenge == NULL)
		return;
	c->algorithm = chap_algorithm_choose(algorithm);
	iscsi_text_number(id, &c->chap_id);
	snprintf(c->chap_challenge, sizeof(c->chap_challenge), "%s", challenge);
}

/* USER:SECRET, then words for send login-request */
const char *
play_chap(struct play *p, char **words)
{
	struct client *c = p->client;
	char user[256], response[80], request[] = "login-request";
	uint8_t challenge[ISCSI_BINARY_MAX], digest[CHAP_DIGEST_MAX];
	char *secret = strchr(words[0], ':'), *send[WORDS_MAX] = {request};
	unsigned n = 1;
	ssize_t length;

	if (c->algorithm == NULL || secret == NULL)
		return "no challenge seen";
	*secret++ = '\0';
	length =
	    iscsi_text_binary(c->chap_challenge, challenge, sizeof(challenge));
	chap_response(c->algorithm, (uint8_t)c->chap_id, secret, challenge,
	    (size_t)length, digest);
	snprintf(user, sizeof(user), "\"CHAP_N=%s", words[0]);
	strcpy(response, "\"CHAP_R=0x");
	for (unsigned i = 0; i < c->algorithm->length; i++)
		sprintf(response + strlen(response), "%02x", digest[i]);
	send[n++] = user;
	send[n++] = response;
	for (words++; *words != NULL; words++)
		send[n++] = *words;
	return play_send(p, send);
}

/* Sends our own challenge back, as one who does not know the secret would. */
const char *
play_reflect(struct play *p, char **words)
{
	static char challenge[2 * ISCSI_BINARY_MAX + 16];
	char *chap[WORDS_MAX] = {words[0], challenge};

	snprintf(challenge, sizeof(challenge), "\"CHAP_C=%s",
	    p->client->chap_challenge);
	for (unsigned i = 1; words[i] != NULL; i++)
		chap[i + 1] = words[i];
	return play_chap(p, chap);
}

/* The answer just received must prove USER:SECRET for (id, challenge). */
const char *
play_proof(struct play *p, char **words)
{
	struct client *c = p->client;
	const char *name = wire_text_value(&p->pdu, "CHAP_N");
	const char *response = wire_text_value(&p->pdu, "CHAP_R");
	uint8_t challenge[64], want[CHAP_DIGEST_MAX], got[CHAP_DIGEST_MAX];
	char *secret = strchr(words[0], ':');
	ssize_t n;

	if (name == NULL || response == NULL || secret == NULL)
		return "no proof";
	*secret++ = '\0';
	n = iscsi_text_binary(words[2], challenge, sizeof(challenge));
	chap_response(c->algorithm, (uint8_t)atoi(words[1]), secret, challenge,
	    (size_t)n, want);
	n = iscsi_text_binary(response, got, sizeof(got));
	if (strcmp(name, words[0]) != 0 || n != c->algorithm->length ||
	    memcmp(got, want, (size_t)n) != 0)
		return "a wrong proof";
	return NULL;
}
