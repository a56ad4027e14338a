/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims about PDU headers: offsets are the RFC's, numbers wrap, additional
 * headers are read within their frame.  Not covered: what is done with PDUs
 * (tests/wire).
 */
#include "target/iscsi/pdu.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>

static void
fields_lie_where_the_rfc_puts_them(void **state)
{
	(void)state;
	assert_int_equal(offsetof(struct iscsi_command, expected_length), 20);
	assert_int_equal(offsetof(struct iscsi_command, cdb), 32);
	assert_int_equal(offsetof(struct iscsi_response, residual), 44);
	assert_int_equal(offsetof(struct iscsi_data_in, datasn), 36);
	assert_int_equal(offsetof(struct iscsi_data_out, offset), 40);
	assert_int_equal(offsetof(struct iscsi_r2t, desired_length), 44);
	assert_int_equal(offsetof(struct iscsi_login_request, tsih), 14);
	assert_int_equal(
	    offsetof(struct iscsi_login_response, status_class), 36);
	assert_int_equal(offsetof(struct iscsi_logout_response, time2wait), 40);
	assert_int_equal(offsetof(struct iscsi_async, event), 36);
	assert_int_equal(offsetof(struct iscsi_async, parameter[2]), 42);
	assert_int_equal(offsetof(struct iscsi_task_request, ref_cmdsn), 32);
}

static void
serial_numbers_wrap(void **state)
{
	(void)state;
	assert_true(iscsi_sn_before(1, 2));
	assert_false(iscsi_sn_before(2, 2));
	assert_true(iscsi_sn_before(0xffffffff, 0));
	assert_false(iscsi_sn_before(0, 0xffffffff));
	assert_true(iscsi_sn_before(0xfffffff0, 0x10));
}

static void
padding_fills_words(void **state)
{
	(void)state;
	assert_int_equal(iscsi_pad(0), 0);
	assert_int_equal(iscsi_pad(1), 3);
	assert_int_equal(iscsi_pad(4), 0);
	assert_int_equal(iscsi_pad(16777215), 1);
}

static int
cdb_of(const uint8_t *ahs, unsigned words, uint8_t cdb[32], bool *bidi)
{
	struct iscsi_command command = {
	    .ahs_words = (uint8_t)words, .cdb = {0x7f, 1}};

	return iscsi_command_cdb(&command, ahs, cdb, 32, bidi);
}

static void
an_extended_cdb_is_put_together(void **state)
{
	const uint8_t ahs[] = {
	    0, 17, 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	uint8_t cdb[32];
	bool bidi;

	(void)state;
	assert_int_equal(cdb_of(ahs, 5, cdb, &bidi), 32);
	assert_int_equal(cdb[0], 0x7f);
	assert_int_equal(cdb[16], 1);
	assert_int_equal(cdb[31], 16);
	assert_false(bidi);
}

static void
a_bidirectional_length_is_seen(void **state)
{
	const uint8_t ahs[] = {0, 5, 2, 0, 0, 0, 2, 0};
	uint8_t cdb[32];
	bool bidi;

	(void)state;
	assert_int_equal(cdb_of(ahs, 2, cdb, &bidi), 16);
	assert_true(bidi);
}

static void
additional_headers_stay_in_their_frame(void **state)
{
	const uint8_t longer[] = {0, 200, 1, 0};
	const uint8_t none[] = {0, 1, 1, 0};
	const uint8_t much[24] = {0, 21, 1, 0};
	uint8_t cdb[32];
	bool bidi;

	(void)state;
	assert_int_equal(cdb_of(longer, 1, cdb, &bidi), -EINVAL);
	assert_int_equal(cdb_of(none, 1, cdb, &bidi), -EINVAL);
	assert_int_equal(cdb_of(much, 6, cdb, &bidi), -E2BIG);
	assert_int_equal(cdb_of(NULL, 0, cdb, &bidi), 16);
}

static void
names_are_known(void **state)
{
	(void)state;
	assert_string_equal(iscsi_opcode_name(ISCSI_R2T), "R2T");
	assert_null(iscsi_opcode_name(0x1d));
	assert_string_equal(
	    iscsi_reject_text(ISCSI_REJECT_PROTOCOL), "protocol error");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(fields_lie_where_the_rfc_puts_them),
	    cmocka_unit_test(serial_numbers_wrap),
	    cmocka_unit_test(padding_fills_words),
	    cmocka_unit_test(an_extended_cdb_is_put_together),
	    cmocka_unit_test(a_bidirectional_length_is_seen),
	    cmocka_unit_test(additional_headers_stay_in_their_frame),
	    cmocka_unit_test(names_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
