/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text of iSCSI, RFC 7143 section 6.1: pairs key=value, each ended by a zero
 * byte, and the coding of values.  What the pairs mean is keys.h's.
 */
#ifndef TARGET_ISCSI_TEXT_H
#define TARGET_ISCSI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define ISCSI_KEY_MAX   63  /* RFC 7143 6.1: length of a key name */
#define ISCSI_VALUE_MAX 255 /* of a simple value */
#define ISCSI_TEXT_MAX                                                         \
	8192                  /* what one negotiation sequence may bring; the  \
				 least RFC 7143 6.1 asks of us */
#define ISCSI_BINARY_MAX 1024 /* of a decoded binary value, 12.1.3 */

/* Takes the next pair out of the text at *at, which ends at end; the strings
 * point into it.  1: a pair, 0: no more, -EPROTO: a key name that is none, a
 * pair without '=' or without its zero byte. */
int iscsi_text_next(
    char **at, char *end, const char **ret_key, const char **ret_value);

/* Text that is being made.  Once a pair did not fit, overflow is set and
 * nothing more is added. */
struct iscsi_text {
	char *data;
	size_t size, length;
	bool overflow;
};

void iscsi_text_add(
    struct iscsi_text *text, const char *key, const char *value);
void iscsi_text_addf(struct iscsi_text *text, const char *key,
    const char *format, ...) __attribute__((format(printf, 3, 4)));
/* As a hex constant, 0x... */
void iscsi_text_add_binary(struct iscsi_text *text, const char *key,
    const uint8_t *data, size_t length);

/* A decimal or hexadecimal constant that fits 32 bits; nothing before or after
 * it. */
bool iscsi_text_number(const char *value, uint32_t *ret_number);

/* A hex (0x) or base64 (0b) constant into at most size bytes; the length, or
 * -EINVAL not one, -E2BIG too long. */
ssize_t iscsi_text_binary(const char *value, uint8_t *data, size_t size);

/* Is word one of the values, separated by commas, in list? */
bool iscsi_text_list_has(const char *list, const char *word);

/* Copies the next element of a comma separated list to buf; false: no more.
 * An element that does not fit becomes empty. */
bool iscsi_text_list_next(const char **list, char *buf, size_t size);

#endif
