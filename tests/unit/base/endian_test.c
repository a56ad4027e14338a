/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/endian.h"
#include "tests/unit/base/support/cmocka.h"

static const uint8_t bytes[] = {
    0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0x10};

static void
big_endian_begins_with_the_most_significant_byte(void **state)
{
	(void)state;
	assert_int_equal(load_be16(bytes), 0x0123);
	assert_int_equal(load_be24(bytes), 0x012345);
	assert_int_equal(load_be32(bytes), 0x01234567);
	assert_true(load_be64(bytes) == 0x0123456789abcdefull);
	assert_true(load_be64(bytes + 1) == 0x23456789abcdef10ull);
}

static void
little_endian_begins_with_the_least_significant_byte(void **state)
{
	(void)state;
	assert_int_equal(load_le16(bytes), 0x2301);
	assert_int_equal(load_le32(bytes), 0x67452301);
	assert_true(load_le64(bytes) == 0xefcdab8967452301ull);
	assert_true(load_le64(bytes + 1) == 0x10efcdab89674523ull);
}

/* Stores between two guard bytes: neither may change. */
#define ROUND_TRIP(type, width, value)                                         \
	do {                                                                   \
		struct {                                                       \
			uint8_t before;                                        \
			struct type field;                                     \
			uint8_t after;                                         \
		} s = {0xee, {{0}}, 0xee};                                     \
		assert_int_equal(sizeof(s), (width) + 2);                      \
		type##_set(&s.field, (value));                                 \
		assert_true(type##_get(&s.field) == (value));                  \
		assert_true(load_##type(s.field.byte) == (value));             \
		assert_int_equal(s.before, 0xee);                              \
		assert_int_equal(s.after, 0xee);                               \
	} while (0)

static void
fields_give_back_what_was_set_and_touch_no_neighbour(void **state)
{
	(void)state;
	ROUND_TRIP(be16, 2, 0xfedc);
	ROUND_TRIP(be24, 3, 0xfedcba);
	ROUND_TRIP(be32, 4, 0xfedcba98);
	ROUND_TRIP(be64, 8, 0xfedcba9876543210ull);
	ROUND_TRIP(le16, 2, 0xfedc);
	ROUND_TRIP(le32, 4, 0xfedcba98);
	ROUND_TRIP(le64, 8, 0xfedcba9876543210ull);
}

static void
a_stored_field_has_its_bytes_in_order(void **state)
{
	uint8_t out[8];

	(void)state;
	store_be64(out, 0x0123456789abcdefull);
	assert_memory_equal(out, bytes, 8);
	store_le64(out, 0xefcdab8967452301ull);
	assert_memory_equal(out, bytes, 8);
	store_be24(out, 0x012345);
	assert_memory_equal(out, bytes, 3);
	store_be16(out, 0x0123);
	assert_memory_equal(out, bytes, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(big_endian_begins_with_the_most_significant_byte),
	    cmocka_unit_test(
		little_endian_begins_with_the_least_significant_byte),
	    cmocka_unit_test(
		fields_give_back_what_was_set_and_touch_no_neighbour),
	    cmocka_unit_test(a_stored_field_has_its_bytes_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
