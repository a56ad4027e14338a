/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/iscsi/server.h"
#include "target/iscsi/session.h"
#include "tests/unit/base/support/cmocka.h"

static struct iscsi_session session;

static void
use(uint8_t first, uint8_t second, uint8_t opcode)
{
	const uint8_t lun[8] = {first, second};

	iscsi_session_use(&session, lun, opcode);
}

static int
fresh(void **state)
{
	(void)state;
	session.used_lun = ISCSI_USED_NONE;
	return 0;
}

static void
looking_is_no_use(void **state)
{
	static const uint8_t opcodes[] = {0x00, 0x03, 0x12, 0x25, 0x9e, 0xa0};

	(void)state;
	for (unsigned i = 0; i < sizeof(opcodes); i++) {
		use(0, (uint8_t)i, opcodes[i]);
		assert_int_equal(session.used_lun, ISCSI_USED_NONE);
	}
}

static void
all_else_is(void **state)
{
	static const uint8_t opcodes[] = {
	    0x1a, 0x28, 0x2a, 0x35, 0x42, 0x5f, 0x88, 0x8a, 0x93, 0xff};

	for (unsigned i = 0; i < sizeof(opcodes); i++) {
		fresh(state);
		use(0, 7, opcodes[i]);
		assert_int_equal(session.used_lun, 7);
	}
}

static void
one_lun_is_told_by_either_address(void **state)
{
	(void)state;
	use(0, 7, 0x28);
	use(0x40, 7, 0x28);
	use(0, 9, 0x12);
	assert_int_equal(session.used_lun, 7);
	fresh(state);
	use(0x7f, 0xff, 0x28);
	assert_int_equal(session.used_lun, 16383);
}

static void
several_stay_several(void **state)
{
	(void)state;
	use(0, 0, 0x28);
	use(0, 1, 0x28);
	assert_int_equal(session.used_lun, ISCSI_USED_SEVERAL);
	use(0, 0, 0x28);
	assert_int_equal(session.used_lun, ISCSI_USED_SEVERAL);
}

static void
what_is_addressed_otherwise_could_be_any(void **state)
{
	(void)state;
	use(0x80, 1, 0x28);
	assert_int_equal(session.used_lun, ISCSI_USED_SEVERAL);
	fresh(state);
	use(0x01, 1, 0x28);
	assert_int_equal(session.used_lun, ISCSI_USED_SEVERAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup(looking_is_no_use, fresh),
	    cmocka_unit_test_setup(all_else_is, fresh),
	    cmocka_unit_test_setup(one_lun_is_told_by_either_address, fresh),
	    cmocka_unit_test_setup(several_stay_several, fresh),
	    cmocka_unit_test_setup(
		what_is_addressed_otherwise_could_be_any, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
