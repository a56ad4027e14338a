/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text of iSCSI, RFC 7143 section 6.1: pairs, numbers, lists, binary values.
 */
#include "target/iscsi/text.h"
#include "base/assert.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* 6.1: a key name begins with a letter (names of vendors and extensions too:
 * X- and X#) and goes on with letters, digits and these. */
static bool
key_is_valid(const char *key, size_t length)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const char more[] = "0123456789.-+@_#/";

	if (length == 0 || length > ISCSI_KEY_MAX)
		return false;
	if (strchr(letters, key[0]) == NULL)
		return false;
	for (size_t i = 1; i < length; i++) {
		if (strchr(letters, key[i]) == NULL &&
		    strchr(more, key[i]) == NULL)
			return false;
	}
	return true;
}

int
iscsi_text_next(
    char **at, char *end, const char **ret_key, const char **ret_value)
{
	char *key, *equals, *zero;

	/* 6.1: extra zero bytes between pairs are harmless padding */
	while (*at < end && **at == '\0')
		++*at;
	if (*at == end)
		return 0;
	key = *at;
	zero = memchr(key, '\0', (size_t)(end - key));
	if (zero == NULL)
		return -EPROTO;
	equals = memchr(key, '=', (size_t)(zero - key));
	if (equals == NULL || !key_is_valid(key, (size_t)(equals - key)))
		return -EPROTO;
	*equals = '\0';
	*ret_key = key;
	*ret_value = equals + 1;
	*at = zero + 1;
	return 1;
}

void
iscsi_text_addf(
    struct iscsi_text *text, const char *key, const char *format, ...)
{
	const size_t room = text->size - text->length;
	size_t key_length = strlen(key) + 1;
	va_list args;
	int n;

	assert(text->length <= text->size);
	if (text->overflow || key_length >= room) {
		text->overflow = true;
		return;
	}
	memcpy(text->data + text->length, key, key_length - 1);
	text->data[text->length + key_length - 1] = '=';
	va_start(args, format);
	n = vsnprintf(text->data + text->length + key_length, room - key_length,
	    format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= room - key_length)
		text->overflow = true;
	else
		text->length += key_length + (size_t)n + 1;
}

void
iscsi_text_add(struct iscsi_text *text, const char *key, const char *value)
{
	iscsi_text_addf(text, key, "%s", value);
}

void
iscsi_text_add_binary(struct iscsi_text *text, const char *key,
    const uint8_t *data, size_t length)
{
	static const char digits[] = "0123456789abcdef";
	char hex[2 * ISCSI_BINARY_MAX + 1];

	assert(length <= ISCSI_BINARY_MAX);
	for (size_t i = 0; i < length; i++) {
		hex[2 * i] = digits[data[i] >> 4];
		hex[2 * i + 1] = digits[data[i] & 15];
	}
	hex[2 * length] = '\0';
	iscsi_text_addf(text, key, "0x%s", hex);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
has_prefix(const char *value, char letter)
{
	return value[0] == '0' && (value[1] | 0x20) == letter;
}

bool
iscsi_text_number(const char *value, uint32_t *ret_number)
{
	const unsigned base = has_prefix(value, 'x') ? 16 : 10;
	uint64_t number = 0;

	/* 6.1: a simple value has 255 characters at most */
	if (strlen(value) > ISCSI_VALUE_MAX)
		return false;
	if (base == 16)
		value += 2;
	if (*value == '\0')
		return false;
	for (; *value != '\0'; value++) {
		const int digit = hex_digit(*value);
		if (digit < 0 || digit >= (int)base)
			return false;
		number = number * base + (unsigned)digit;
		if (number > UINT32_MAX)
			return false;
	}
	*ret_number = (uint32_t)number;
	return true;
}

/* An odd number of digits has a leading zero left out. */
static ssize_t
hex_decode(const char *hex, uint8_t *data, size_t size)
{
	const size_t digits = strlen(hex);
	const size_t length = (digits + 1) / 2;

	if (digits == 0)
		return -EINVAL;
	if (length > size)
		return -E2BIG;
	memset(data, 0, length);
	for (size_t i = 0; i < digits; i++) {
		const int digit = hex_digit(hex[i]);
		const size_t nibble = i + (digits & 1);
		if (digit < 0)
			return -EINVAL;
		data[nibble / 2] |=
		    (uint8_t)(digit << (nibble % 2 == 0 ? 4 : 0));
	}
	return (ssize_t)length;
}

static int
base64_digit(char c)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "abcdefghijklmnopqrstuvwxyz"
				       "0123456789+/";
	const char *at = c == '\0' ? NULL : strchr(alphabet, c);

	return at == NULL ? -1 : (int)(at - alphabet);
}

/* RFC 4648 4, padded, whole groups of four only. */
static ssize_t
base64_decode(const char *text, uint8_t *data, size_t size)
{
	size_t digits = strlen(text), length;
	uint32_t bits = 0;

	if (digits == 0 || digits % 4 != 0)
		return -EINVAL;
	if (text[digits - 1] == '=')
		digits--;
	if (text[digits - 1] == '=')
		digits--;
	length = digits * 6 / 8;
	if (length > size)
		return -E2BIG;
	for (size_t i = 0, done = 0; i < digits; i++) {
		const int digit = base64_digit(text[i]);
		if (digit < 0)
			return -EINVAL;
		bits = bits << 6 | (unsigned)digit;
		if ((i + 1) * 6 / 8 > done)
			data[done++] = (uint8_t)(bits >> ((i + 1) * 6 % 8));
	}
	return (ssize_t)length;
}

ssize_t
iscsi_text_binary(const char *value, uint8_t *data, size_t size)
{
	if (has_prefix(value, 'x'))
		return hex_decode(value + 2, data, size);
	if (has_prefix(value, 'b'))
		return base64_decode(value + 2, data, size);
	return -EINVAL;
}

bool
iscsi_text_list_next(const char **list, char *buf, size_t size)
{
	size_t length;

	if (*list == NULL)
		return false;
	length = strcspn(*list, ",");
	if (length < size) {
		memcpy(buf, *list, length);
		buf[length] = '\0';
	} else {
		buf[0] = '\0';
	}
	*list = (*list)[length] == ',' ? *list + length + 1 : NULL;
	return true;
}

bool
iscsi_text_list_has(const char *list, const char *word)
{
	char element[ISCSI_KEY_MAX + 1];

	while (iscsi_text_list_next(&list, element, sizeof(element))) {
		if (strcmp(element, word) == 0)
			return true;
	}
	return false;
}
