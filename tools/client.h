/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A small client of the control API: JSON-RPC 2.0, one object a line, over a
 * Unix socket.  Blocking, one call at a time, every wait bounded.  What can go
 * wrong is a problem that says what to do; errno texts do not leave this file.
 */
#ifndef TOOLS_CLIENT_H
#define TOOLS_CLIENT_H

#include <jansson.h>

#define CLIENT_PATH_DEFAULT    "/run/varve/varve.sock"
#define CLIENT_ADDRESS_DEFAULT "unix:" CLIENT_PATH_DEFAULT
/* An answer longer than this is not one of ours. */
#define CLIENT_ANSWER_MAX (64u << 20)

struct client;

/* address: "unix:PATH" or "unix:///PATH". */
json_t *client_connect(
    const char *address, unsigned timeout_ms, struct client **ret_client);

/* On a connected socket, which becomes the client's.  address is for
 * problems. */
struct client *client_new(int fd, const char *address);
void client_free(struct client *client);

/* Calls method and waits for its result (a new reference).  After any problem
 * but an error that the daemon answered, the connection is of no more use. */
json_t *client_call(struct client *client, const char *method,
    const json_t *params, unsigned timeout_ms, json_t **ret_result);

static inline void
client_freep(struct client **client)
{
	client_free(*client);
}

#endif
