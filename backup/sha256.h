/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SHA-256 (FIPS 180-4), by GnuTLS, as 64 digits in lower case.
 */
#ifndef BACKUP_SHA256_H
#define BACKUP_SHA256_H

#include <stddef.h>

#define SHA256_TEXT 65 /* with its 0 */

struct sha256;

struct sha256 *sha256_new(void);
void sha256_free(struct sha256 *sha256); /* NULL is nothing */
void sha256_add(struct sha256 *sha256, const void *data, size_t length);
/* Of all so far; more may follow. */
void sha256_text(const struct sha256 *sha256, char ret_text[SHA256_TEXT]);

/* Is it 64 digits in lower case? */
int sha256_is_text(const char *text);

#endif
