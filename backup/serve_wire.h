/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets that NBD is served on, and a client's socket as a wire, in the clear
 * or by TLS (GnuTLS).
 */
#ifndef BACKUP_SERVE_WIRE_H
#define BACKUP_SERVE_WIRE_H

#include "backup/nbd.h"
#include "client/varve.h"
#include <gnutls/gnutls.h>

struct serve_socket {
	int fd;
	char path[108];    /* of a Unix socket; "" */
	char address[128]; /* host:port, or the path */
	bool local;        /* nobody from another machine can connect */
};

/* "unix:/PATH", 0600, which must not be there; "ADDR:PORT", "[ADDR6]:PORT".
 * Port 0 takes a free one. */
json_t *serve_socket_open(const char *listen, struct serve_socket *ret_socket);
void serve_socket_close(struct serve_socket *socket);

/* server-cert.pem and server-key.pem; verify: ca-cert.pem too, and ca-crl.pem
 * if it is there. */
json_t *serve_tls_load(const char *directory, bool verify,
    gnutls_certificate_credentials_t *ret_credentials);

struct serve_wire {
	struct nbd_wire wire;
	int fd;                                       /* the caller's */
	gnutls_certificate_credentials_t credentials; /* NULL: no TLS */
	gnutls_session_t session;                     /* NULL: in the clear */
	bool verify;         /* clients have a certificate of the CA's */
	bool no_wait;        /* to read is not to wait, now */
	uint8_t ahead[4096]; /* read, and not taken yet */
	size_t ahead_at, ahead_length;
};

void serve_wire_init(struct serve_wire *wire, int fd,
    gnutls_certificate_credentials_t credentials, bool verify);
void serve_wire_done(struct serve_wire *wire);

#endif
