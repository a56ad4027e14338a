/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A server that does to its clients what a test tells it to, in a private
 * directory; and a forwarder before it, as ssh -L is one, that is slow and
 * breaks.
 */
#ifndef TESTS_UNIT_CLIENT_FAKE_SERVER_H
#define TESTS_UNIT_CLIENT_FAKE_SERVER_H

#include <stdbool.h>

/* What is done with one request. */
struct turn {
	const char *pieces[8]; /* sent one by one */
	bool hang_up;          /* then; the next turn is another connection's */
	bool flood;            /* then bytes without end */
};

#define REQUESTS_MAX 32

extern char fake_url[160];
/* The requests that came, as lines. */
extern char fake_requests[REQUESTS_MAX][512];
extern unsigned fake_request_count;

/* turns: one for each request, the last one with no piece and no hang_up for
 * ever after.  Listens now, or after delay_ms. */
void fake_start(const struct turn *turns, unsigned delay_ms);
/* The server goes; a forwarder before it stays. */
void fake_leave(void);
/* Ends when all connections have ended. */
void fake_stop(void);

/* From now on fake_url is a forwarder's, which hands on piece_bytes every
 * delay_ms, and cuts the first cuts connections after cut_bytes of an answer.
 */
void fake_forward(
    unsigned piece_bytes, unsigned delay_ms, unsigned cuts, unsigned cut_bytes);

#endif
