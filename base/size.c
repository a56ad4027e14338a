/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/size.h"
#include "base/assert.h"
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct size_unit {
	const char *name;
	uint64_t bytes;
};

/* clang-format off */
static const struct size_unit size_units[] = {
	{ "B",  1 },
	{ "K",  1ull << 10 }, { "KiB", 1ull << 10 }, { "KB", 1000ull },
	{ "M",  1ull << 20 }, { "MiB", 1ull << 20 }, { "MB", 1000000ull },
	{ "G",  1ull << 30 }, { "GiB", 1ull << 30 }, { "GB", 1000000000ull },
	{ "T",  1ull << 40 }, { "TiB", 1ull << 40 }, { "TB", 1000000000000ull },
	{ "P",  1ull << 50 }, { "PiB", 1ull << 50 }, { "PB", 1000000000000000ull },
};
/* clang-format on */

/* A decimal number as digits / scale, so that no fraction is ever rounded
 * before it has met its unit. */
struct size_number {
	uint64_t digits;
	uint64_t scale;
};

static const struct size_unit *
size_unit_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(size_units); i++) {
		if (strcasecmp(size_units[i].name, name) == 0)
			return &size_units[i];
	}
	return NULL;
}

/* Adds the digits at *text to number; -ERANGE when they do not fit 63 bits. */
static int
size_digits(const char **text, struct size_number *number, bool fraction)
{
	for (; isdigit((unsigned char)**text); (*text)++) {
		uint64_t digit = (uint64_t)(**text - '0');
		if (number->digits > (INT64_MAX - digit) / 10)
			return -ERANGE;
		number->digits = number->digits * 10 + digit;
		if (fraction)
			number->scale *= 10;
	}
	return 0;
}

/* 12, 1.5; at least one digit on each side of the point. */
static int
size_number(const char **text, struct size_number *number)
{
	int ret;

	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	ret = size_digits(text, number, false);
	if (ret < 0 || **text != '.')
		return ret;
	(*text)++;
	if (!isdigit((unsigned char)**text))
		return -EINVAL;
	return size_digits(text, number, true);
}

/* What follows the number: "G", " GiB"; nothing is bytes, which only 0 may
 * leave unsaid. */
static int
size_unit(const char *text, bool zero, const struct size_unit **ret_unit)
{
	if (*text == '\0' && !zero)
		return -ENOMSG;
	if (*text == ' ')
		*ret_unit = size_unit_find(text + 1);
	else
		*ret_unit = size_unit_find(*text == '\0' ? "B" : text);
	return *ret_unit == NULL ? -EINVAL : 0;
}

int
size_parse(const char *text, uint64_t *ret_bytes)
{
	struct size_number number = {.digits = 0, .scale = 1};
	const struct size_unit *unit;
	bool negative = *text == '-';
	unsigned __int128 bytes;
	int ret;

	if (negative)
		text++;
	ret = size_number(&text, &number);
	if (ret < 0)
		return ret;
	ret = size_unit(text, number.digits == 0, &unit);
	if (negative && ret != -EINVAL)
		return -ERANGE;
	if (ret < 0)
		return ret;

	/* a fraction of a byte is dropped: 0.1K is 102 bytes */
	bytes = (unsigned __int128)number.digits * unit->bytes / number.scale;
	if (bytes > INT64_MAX)
		return -ERANGE;
	*ret_bytes = (uint64_t)bytes;
	return 0;
}

/* bytes in tenths of 2^shift, to the nearest. */
static uint64_t
size_tenths(uint64_t bytes, unsigned shift)
{
	unsigned __int128 tenths = (unsigned __int128)bytes * 10;

	if (shift > 0)
		tenths += (unsigned __int128)1 << (shift - 1);
	return (uint64_t)(tenths >> shift);
}

char *
size_format(uint64_t bytes, char buf[SIZE_TEXT_MAX])
{
	static const char *const names[] = {
	    "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	unsigned power = 0;
	uint64_t tenths;

	/* by what will be printed: 1023.99 KiB is 1 MiB, not 1024 KiB */
	while (size_tenths(bytes, 10 * power) >= 10240)
		power++;
	assert(power < ARRAY_SIZE(names));
	tenths = size_tenths(bytes, 10 * power);
	if (tenths % 10 == 0)
		snprintf(buf, SIZE_TEXT_MAX, "%" PRIu64 " %s", tenths / 10,
		    names[power]);
	else
		snprintf(buf, SIZE_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " %s",
		    tenths / 10, tenths % 10, names[power]);
	return buf;
}
