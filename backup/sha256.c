/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/sha256.h"
#include "base/assert.h"
#include <gnutls/crypto.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGEST_BYTES ((SHA256_TEXT - 1) / 2)

struct sha256 {
	gnutls_hash_hd_t hash;
};

struct sha256 *
sha256_new(void)
{
	struct sha256 *sha256 = calloc(1, sizeof(*sha256));
	int ret;

	assert(sha256 != NULL);
	ret = gnutls_hash_init(&sha256->hash, GNUTLS_DIG_SHA256);
	assert(ret == 0);
	return sha256;
}

void
sha256_free(struct sha256 *sha256)
{
	if (sha256 == NULL)
		return;
	gnutls_hash_deinit(sha256->hash, NULL);
	free(sha256);
}

void
sha256_add(struct sha256 *sha256, const void *data, size_t length)
{
	int ret = gnutls_hash(sha256->hash, data, length);

	assert(ret == 0);
}

void
sha256_text(const struct sha256 *sha256, char ret_text[SHA256_TEXT])
{
	gnutls_hash_hd_t copy = gnutls_hash_copy(sha256->hash);
	uint8_t digest[DIGEST_BYTES];

	assert(copy != NULL);
	gnutls_hash_deinit(copy, digest);
	for (size_t i = 0; i < DIGEST_BYTES; i++)
		snprintf(&ret_text[2 * i], 3, "%02x", digest[i]);
}

int
sha256_is_text(const char *text)
{
	return strlen(text) == SHA256_TEXT - 1 &&
	       strspn(text, "0123456789abcdef") == SHA256_TEXT - 1;
}
