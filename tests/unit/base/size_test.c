/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/assert.h"
#include "base/size.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)
#define PIB (1ull << 50)

struct parse_case {
	const char *text;
	int ret;
	uint64_t bytes;
};

/* clang-format off */
static const struct parse_case parse_cases[] = {
	{ "0",          0, 0 },
	{ "0G",         0, 0 },
	{ "1B",         0, 1 },
	{ "512B",       0, 512 },
	{ "4K",         0, 4 * KIB },
	{ "4k",         0, 4 * KIB },
	{ "4KiB",       0, 4 * KIB },
	{ "4KB",        0, 4000 },
	{ "4M",         0, 4 * MIB },
	{ "4MiB",       0, 4 * MIB },
	{ "4MB",        0, 4000000 },
	{ "100G",       0, 100 * GIB },
	{ "100 GiB",    0, 100 * GIB },
	{ "100GB",      0, 100000000000 },
	{ "232TiB",     0, 232 * TIB },
	{ "2T",         0, 2 * TIB },
	{ "2TB",        0, 2000000000000 },
	{ "1P",         0, PIB },
	{ "1PB",        0, 1000000000000000 },
	{ "1.5T",       0, TIB + TIB / 2 },
	{ "0.5K",       0, 512 },
	{ "0.1K",       0, 102 },
	{ "1.25MB",     0, 1250000 },
	{ "007M",       0, 7 * MIB },
	{ "8191P",      0, 8191 * PIB },
	{ "9223372036854775807B", 0, INT64_MAX },

	{ "100",        -ENOMSG, 0 },
	{ "1.5",        -ENOMSG, 0 },

	{ "8192P",      -ERANGE, 0 },
	{ "9223372036854775808B", -ERANGE, 0 },
	{ "99999999999999999999999G", -ERANGE, 0 },
	{ "0.99999999999999999999999G", -ERANGE, 0 },
	{ "-1G",        -ERANGE, 0 },
	{ "-100",       -ERANGE, 0 },

	{ "",           -EINVAL, 0 },
	{ " ",          -EINVAL, 0 },
	{ "G",          -EINVAL, 0 },
	{ "-",          -EINVAL, 0 },
	{ "--1G",       -EINVAL, 0 },
	{ "+1G",        -EINVAL, 0 },
	{ " 1G",        -EINVAL, 0 },
	{ "1G ",        -EINVAL, 0 },
	{ "1  G",       -EINVAL, 0 },
	{ "1 ",         -EINVAL, 0 },
	{ "1.G",        -EINVAL, 0 },
	{ ".5G",        -EINVAL, 0 },
	{ "1.5.5G",     -EINVAL, 0 },
	{ "1,5G",       -EINVAL, 0 },
	{ "1GG",        -EINVAL, 0 },
	{ "1GiBs",      -EINVAL, 0 },
	{ "1E",         -EINVAL, 0 },
	{ "0x10G",      -EINVAL, 0 },
	{ "1e3G",       -EINVAL, 0 },
	{ "-1X",        -EINVAL, 0 },
};
/* clang-format on */

static void
sizes_are_read_as_the_table_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(parse_cases); i++) {
		const struct parse_case *t = &parse_cases[i];
		uint64_t bytes = 4711;
		int ret = size_parse(t->text, &bytes);
		if (ret != t->ret)
			print_error("\"%s\": %d\n", t->text, ret);
		assert_int_equal(ret, t->ret);
		/* on failure nothing is returned */
		assert_int_equal(bytes, ret == 0 ? t->bytes : 4711);
	}
}

struct format_case {
	uint64_t bytes;
	const char *text;
};

/* clang-format off */
static const struct format_case format_cases[] = {
	{ 0,                    "0 B" },
	{ 1,                    "1 B" },
	{ 1023,                 "1023 B" },
	{ KIB,                  "1 KiB" },
	{ 1536,                 "1.5 KiB" },
	{ MIB - 1,              "1 MiB" },
	{ MIB,                  "1 MiB" },
	{ 100 * GIB,            "100 GiB" },
	{ 100 * GIB + GIB / 10, "100.1 GiB" },
	{ 1536 * GIB,           "1.5 TiB" },
	{ 232 * TIB,            "232 TiB" },
	{ PIB,                  "1 PiB" },
	{ UINT64_MAX,           "16 EiB" },
};
/* clang-format on */

static void
sizes_are_written_as_the_table_says(void **state)
{
	char buf[SIZE_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(format_cases); i++) {
		const struct format_case *t = &format_cases[i];
		assert_ptr_equal(size_format(t->bytes, buf), buf);
		assert_string_equal(buf, t->text);
	}
}

static void
what_is_written_can_be_read(void **state)
{
	char buf[SIZE_TEXT_MAX];

	(void)state;
	for (uint64_t bytes = 1; bytes < 1000 * PIB; bytes = bytes * 3 + 1) {
		uint64_t back;
		size_format(bytes, buf);
		assert_int_equal(size_parse(buf, &back), 0);
		/* one decimal of at least 1.0: off by a twentieth at most */
		assert_true(back <= bytes + bytes / 20);
		assert_true(back >= bytes - bytes / 20);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sizes_are_read_as_the_table_says),
	    cmocka_unit_test(sizes_are_written_as_the_table_says),
	    cmocka_unit_test(what_is_written_can_be_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
