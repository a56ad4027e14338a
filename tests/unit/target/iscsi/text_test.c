/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims about iSCSI text: pairs, numbers, lists, binary values.
 */
#include "target/iscsi/text.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <string.h>

static int
next(const void *text, size_t length, const char **key, const char **value)
{
	static char buf[256];
	char *at = buf;

	memcpy(buf, text, length);
	return iscsi_text_next(&at, buf + length, key, value);
}

static void
pairs_come_one_after_the_other(void **state)
{
	char text[] = "A=1\0B=\0\0\0C=x=y";
	char *at = text, *end = text + sizeof(text);
	const char *key, *value;

	(void)state;
	assert_int_equal(iscsi_text_next(&at, end, &key, &value), 1);
	assert_string_equal(key, "A");
	assert_string_equal(value, "1");
	assert_int_equal(iscsi_text_next(&at, end, &key, &value), 1);
	assert_string_equal(key, "B");
	assert_string_equal(value, "");
	assert_int_equal(iscsi_text_next(&at, end, &key, &value), 1);
	assert_string_equal(value, "x=y");
	assert_int_equal(iscsi_text_next(&at, end, &key, &value), 0);
}

static void
what_is_no_pair_is_refused(void **state)
{
	const char *key, *value;
	char name[80];

	(void)state;
	assert_int_equal(next("A=1", 3, &key, &value), -EPROTO);
	assert_int_equal(next("A\0", 2, &key, &value), -EPROTO);
	assert_int_equal(next("=1\0", 3, &key, &value), -EPROTO);
	assert_int_equal(next("1A=1\0", 5, &key, &value), -EPROTO);
	assert_int_equal(next("A B=1\0", 6, &key, &value), -EPROTO);
	memset(name, 'K', sizeof(name));
	memcpy(name + ISCSI_KEY_MAX, "=1", 3);
	assert_int_equal(next(name, ISCSI_KEY_MAX + 3, &key, &value), 1);
	memcpy(name + ISCSI_KEY_MAX, "K=1", 4);
	assert_int_equal(next(name, ISCSI_KEY_MAX + 4, &key, &value), -EPROTO);
}

static void
an_answer_that_does_not_fit_says_so(void **state)
{
	char data[8];
	struct iscsi_text text = {.data = data, .size = sizeof(data)};

	(void)state;
	iscsi_text_add(&text, "A", "1");
	assert_int_equal(text.length, 4);
	iscsi_text_add(&text, "B", "22");
	assert_true(text.overflow);
	assert_int_equal(text.length, 4);
	iscsi_text_add(&text, "C", "");
	assert_int_equal(text.length, 4);
	assert_memory_equal(data, "A=1", 4);
}

static void
an_answer_may_fill_the_text_to_its_end(void **state)
{
	char data[4];
	struct iscsi_text text = {.data = data, .size = sizeof(data)};

	(void)state;
	iscsi_text_add(&text, "A", "1");
	assert_false(text.overflow);
	assert_int_equal(text.length, 4);
}

static void
numbers_are_decimal_or_hexadecimal(void **state)
{
	uint32_t n = 0;

	(void)state;
	assert_true(iscsi_text_number("262144", &n));
	assert_int_equal(n, 262144);
	assert_true(iscsi_text_number("0x1F", &n));
	assert_int_equal(n, 31);
	assert_true(iscsi_text_number("4294967295", &n));
	assert_true(n == UINT32_MAX);
	assert_false(iscsi_text_number("4294967296", &n));
	assert_false(iscsi_text_number("99999999999999999999", &n));
	assert_false(iscsi_text_number("", &n));
	assert_false(iscsi_text_number("0x", &n));
	assert_false(iscsi_text_number("-1", &n));
	assert_false(iscsi_text_number(" 1", &n));
	assert_false(iscsi_text_number("1K", &n));
	assert_false(iscsi_text_number("1f", &n));
}

static void
binary_values_are_hex_or_base64(void **state)
{
	uint8_t b[8];

	(void)state;
	assert_int_equal(iscsi_text_binary("0x00ff10", b, sizeof(b)), 3);
	assert_memory_equal(b, "\x00\xff\x10", 3);
	assert_int_equal(iscsi_text_binary("0xfff", b, sizeof(b)), 2);
	assert_memory_equal(b, "\x0f\xff", 2);
	/* RFC 4648 10 */
	assert_int_equal(iscsi_text_binary("0bZm9vYmFy", b, sizeof(b)), 6);
	assert_memory_equal(b, "foobar", 6);
	assert_int_equal(iscsi_text_binary("0BZm9vYg==", b, sizeof(b)), 4);
	assert_memory_equal(b, "foob", 4);
	assert_int_equal(iscsi_text_binary("0bZm9vYmE=", b, sizeof(b)), 5);
	assert_memory_equal(b, "fooba", 5);
}

static void
binary_values_that_are_none(void **state)
{
	uint8_t b[4];

	(void)state;
	assert_int_equal(iscsi_text_binary("0x", b, sizeof(b)), -EINVAL);
	assert_int_equal(iscsi_text_binary("0b", b, sizeof(b)), -EINVAL);
	assert_int_equal(iscsi_text_binary("00", b, sizeof(b)), -EINVAL);
	assert_int_equal(iscsi_text_binary("", b, sizeof(b)), -EINVAL);
	assert_int_equal(iscsi_text_binary("0xgg", b, sizeof(b)), -EINVAL);
	assert_int_equal(iscsi_text_binary("0bZm9", b, sizeof(b)), -EINVAL);
	assert_int_equal(iscsi_text_binary("0bZm=v", b, sizeof(b)), -EINVAL);
	assert_int_equal(iscsi_text_binary("0b====", b, sizeof(b)), -EINVAL);
	assert_int_equal(
	    iscsi_text_binary("0x0011223344", b, sizeof(b)), -E2BIG);
	assert_int_equal(iscsi_text_binary("0bZm9vYmFy", b, sizeof(b)), -E2BIG);
}

static void
lists_are_cut_at_commas(void **state)
{
	const char *list = "CRC32C,,None";
	char word[8];

	(void)state;
	assert_true(iscsi_text_list_next(&list, word, sizeof(word)));
	assert_string_equal(word, "CRC32C");
	assert_true(iscsi_text_list_next(&list, word, sizeof(word)));
	assert_string_equal(word, "");
	assert_true(iscsi_text_list_next(&list, word, sizeof(word)));
	assert_string_equal(word, "None");
	assert_false(iscsi_text_list_next(&list, word, sizeof(word)));
	assert_true(iscsi_text_list_has("KRB5,CHAP", "CHAP"));
	assert_false(iscsi_text_list_has("KRB5,CHAPX", "CHAP"));
	assert_false(iscsi_text_list_has("", "CHAP"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(pairs_come_one_after_the_other),
	    cmocka_unit_test(what_is_no_pair_is_refused),
	    cmocka_unit_test(an_answer_that_does_not_fit_says_so),
	    cmocka_unit_test(an_answer_may_fill_the_text_to_its_end),
	    cmocka_unit_test(numbers_are_decimal_or_hexadecimal),
	    cmocka_unit_test(binary_values_are_hex_or_base64),
	    cmocka_unit_test(binary_values_that_are_none),
	    cmocka_unit_test(lists_are_cut_at_commas),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
