/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names: of targets, initiators, addresses, and secrets made up.  Pure
 * functions of their arguments, but for the random ones.
 */
#ifndef TARGET_NAMING_H
#define TARGET_NAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NAMING_IQN_MAX     223 /* RFC 7143 4.2.7.1 */
#define NAMING_ADDRESS_MAX 64
#define NAMING_SECRET_MIN  12 /* RFC 7143 12.1.3: 96 bits */
#define NAMING_SECRET_MAX  255
#define NAMING_PORT        3260

/* "iqn.2026-01.lan.nas1" from the host name "nas1.lan"; "...local.nas1" from
 * one without a domain. */
void naming_base(const char *hostname, char ret_base[NAMING_IQN_MAX + 1]);

/* base:pool, or base:pool:lun; what iSCSI names may not hold becomes '-'
 * (RFC 3722), and copy > 1 adds "-2" where two names become the same. */
void naming_target(const char *base, const char *pool, const char *lun,
    unsigned copy, char ret_iqn[NAMING_IQN_MAX + 1]);

/* An initiator name, in lower case as it goes into the state.  False: it is
 * none (RFC 7143 4.2.7: iqn., eui., naa.). */
bool naming_initiator(const char *text, char ret_iqn[NAMING_IQN_MAX + 1]);

/* "ADDR", "ADDR:PORT", "[ADDR6]", "[ADDR6]:PORT", "ADDR6" to its one canonical
 * form with a port.  False: it is no address. */
bool naming_address(const char *text, char ret_address[NAMING_ADDRESS_MAX]);
/* A port, or the tag of a portal group: digits alone, 0 to 65535. */
bool naming_number(const char *text, unsigned *ret_number);
/* The port of a canonical address. */
unsigned naming_address_port(const char *address);
/* Is it the wildcard, 0.0.0.0 or [::]? */
bool naming_address_any(const char *address);

struct sockaddr_storage;
void naming_sockaddr(
    const struct sockaddr_storage *sa, char ret_address[NAMING_ADDRESS_MAX]);

/* A CHAP user name that needs no quoting anywhere: A-Z a-z 0-9 . _ : @ - */
bool naming_user_valid(const char *user);

/* 12..255 printable ASCII characters without spaces at its ends. */
bool naming_secret_valid(const char *secret);
/* 16 characters of A-Z a-z 0-9, 95 bits: Windows takes 12 to 16, other
 * initiators any of these characters. */
#define NAMING_SECRET_MADE 16
int naming_secret_make(char ret_secret[NAMING_SECRET_MADE + 1]);

#endif
