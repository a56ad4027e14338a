/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * host connect: the lines that connect a host, exactly as they are pasted, for
 * each program that connects.  Where a CHAP secret is needed it is read on the
 * host from the file NAME.secret, unless the caller may and wants to see it.
 */
#ifndef TARGET_CONNECT_H
#define TARGET_CONNECT_H

#include "target/method.h"

/* As many as hosts are told. */
#define CONNECT_PORTALS_MAX 16
#define SECRET_WORD_MAX     (4 * NAMING_SECRET_MAX + 16)

struct lines {
	json_t *array;
	const struct state_host *host;
	const struct exports *exports;
	/* as the host reaches them; "" where there is none */
	char portals[CARRIER_COUNT][NAMING_ADDRESS_MAX];
	/* all of varved's own */
	char paths[CONNECT_PORTALS_MAX][NAMING_ADDRESS_MAX];
	unsigned path_count;
	bool show_secret;
	/* of the export that is at hand */
	const char *portal;
	char iqn[NAMING_IQN_MAX + 8];
};

/* For each program. */
void connect_open_iscsi(struct lines *lines);
void connect_multipath(struct lines *lines);
void connect_proxmox(struct lines *lines);
void connect_qemu(struct lines *lines);
void connect_libvirt(struct lines *lines);

/* ---- what they are made of ---- */

void line(struct lines *lines, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Does the host connect to it?  What is a disk of this machine is one already.
 */
bool is_connected(const struct lines *lines, const struct state_export *row);
/* Is it the first export of its target to this host? */
bool first_of_target(const struct lines *lines, unsigned index);
unsigned exports_of(const struct lines *lines);
/* Its portal and target are at hand then. */
void take_row(struct lines *lines, const struct state_export *row);
/* What hosts call its target: the varve pool, or the LUN; as the kernel shows
 * them, both are other targets. */
void storage_name(const struct state_export *row, char name[NAMING_IQN_MAX]);
/* A shell word: what stands between single quotes is taken as it is, but for
 * the quote itself. */
void shell_quote(const char *text, char *buf, size_t size);
void secret_word(const struct lines *lines, const char *secret,
    const char *suffix, char word[SECRET_WORD_MAX]);

#endif
