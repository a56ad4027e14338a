/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/compare.h"
#include "tests/unit/backup/support/pieces.h"
#include "tests/unit/base/support/cmocka.h"

static uint64_t
compared(const char *a, const char *b)
{
	static struct text_source texts[2];
	uint64_t where = 0;

	text_source_init(&texts[0], a);
	text_source_init(&texts[1], b);
	assert_null(compare_images(&texts[0].source, &texts[1].source, &where));
	return where;
}

#define same(a, b)                                                             \
	do {                                                                   \
		assert_int_equal(compared(a, b), IMAGE_MAX);                   \
		assert_int_equal(compared(b, a), IMAGE_MAX);                   \
	} while (0)
#define differ(a, b, where)                                                    \
	do {                                                                   \
		assert_int_equal(compared(a, b), where);                       \
		assert_int_equal(compared(b, a), where);                       \
	} while (0)

static void
how_it_is_cut_does_not_matter(void **unused)
{
	(void)unused;
	same("", "");
	same("0+8:a", "0+3:a 3+5:a");
	same("0+3:a 3+5:a 8+1:b", "0+5:a 5+3:a 8+1:b");
}

static void
what_is_not_said_is_zeros(void **unused)
{
	(void)unused;
	same("0+4:0", "");
	same("0+2:a 2+4:0 6+1:b", "0+2:a 6+1:b");
	differ("0+2:a 4+1:c", "0+2:a", 4);
	differ("", "100+1:x", 100);
}

static void
one_byte_is_found(void **unused)
{
	(void)unused;
	differ("0+4:a 4+1:b 5+3:a", "0+8:a", 4);
	differ("0+4:a", "0+4:0", 0);
	differ("0+4:a 4+4:b", "0+4:a 4+4:c", 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(how_it_is_cut_does_not_matter),
	    cmocka_unit_test(what_is_not_said_is_zeros),
	    cmocka_unit_test(one_byte_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
