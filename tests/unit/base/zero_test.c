/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One bit in the wrong place is enough, wherever it is.
 */
#include "base/zero.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdint.h>
#include <string.h>

static uint8_t data[300];

static void
zeros_of_any_length_are_zero(void **state)
{
	(void)state;
	for (size_t length = 0; length <= sizeof(data); length++)
		for (size_t at = 0; at + length <= sizeof(data); at += 13)
			assert_true(is_zero(data + at, length));
}

static void
one_bit_is_seen_wherever_it_is(void **state)
{
	(void)state;
	for (size_t at = 0; at < sizeof(data); at++) {
		data[at] = (uint8_t)(1u << at % 8);
		assert_false(is_zero(data, sizeof(data)));
		assert_false(is_zero(data + at, 1));
		/* and no other */
		assert_true(is_zero(data, at));
		assert_true(is_zero(data + at + 1, sizeof(data) - at - 1));
		data[at] = 0;
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(zeros_of_any_length_are_zero),
	    cmocka_unit_test(one_bit_is_seen_wherever_it_is),
	};

	return cmocka_run_group_tests_name("zero", tests, NULL, NULL);
}
