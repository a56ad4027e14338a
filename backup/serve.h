/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snap serve: a snapshot over NBD, for programs that speak nothing else.
 *
 * Each client has a process of its own, which has its own session and ends with
 * it: one that lies or stalls holds up nobody.  The snapshot is held for as
 * long as it is served.
 */
#ifndef BACKUP_SERVE_H
#define BACKUP_SERVE_H

#include "client/varve.h"
#include <signal.h>
#include <stdbool.h>

#define SERVE_CLIENTS_MAX       16
#define SERVE_ADMISSION_SECONDS 10

struct serve_params {
	struct varve *varve;
	const char *snap;   /* POOL/LUN@SNAP */
	const char *since;  /* a snapshot (@mon) or a bookmark; NULL: none */
	const char *listen; /* unix:/PATH, or ADDR:PORT */
	const char *tls;    /* a directory with server-cert.pem and
			     * server-key.pem; NULL: none */
	bool tls_verify;    /* ... and ca-cert.pem: who has no certificate of
			     * that CA is not let in */
	const char *portal;
	unsigned ttl_seconds;
	/* Told once, when it listens: what clients connect to. */
	void (*ready)(void *arg, const char *uri);
	void *arg;
	const volatile sig_atomic_t *stop; /* set: it ends */
};

/* Until the time is over, or it is stopped.
 *   serve.address, serve.tls, and those of attachments */
json_t *snap_serve(const struct serve_params *params);

#endif
