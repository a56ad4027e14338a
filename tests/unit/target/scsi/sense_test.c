/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sense data as bytes.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

static void
fixed_format_has_key_codes_and_pointer_at_their_places(void **state)
{
	struct scsi_sense sense = scsi_invalid_cdb(7, 3);
	uint8_t data[SENSE_DATA_MAX];
	const uint8_t expected[18] = {0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0,
	    0x24, 0, 0, 0x80 | 0x40 | 0x08 | 3, 0, 7};

	(void)state;
	assert_int_equal(sense_encode(&sense, false, data), 18);
	assert_memory_equal(data, expected, sizeof(expected));
}

static void
a_parameter_pointer_has_no_cdb_bit(void **state)
{
	struct scsi_sense sense = scsi_invalid_parameter(0x123, -1);
	uint8_t data[SENSE_DATA_MAX];

	(void)state;
	sense_encode(&sense, false, data);
	assert_int_equal(data[15], 0x80);
	assert_int_equal(load_be16(&data[16]), 0x123);
}

static void
information_that_does_not_fit_is_left_out_of_fixed_format(void **state)
{
	struct scsi_sense sense = SENSE_LBA_OUT_OF_RANGE;
	uint8_t data[SENSE_DATA_MAX];

	(void)state;
	sense.information_valid = true;
	sense.information = 0x89abcdef;
	sense_encode(&sense, false, data);
	assert_int_equal(data[0], 0xf0);
	assert_int_equal(load_be32(&data[3]), 0x89abcdef);
	sense.information = 1ull << 32;
	sense_encode(&sense, false, data);
	assert_int_equal(data[0], 0x70);
	assert_int_equal(load_be32(&data[3]), 0);
}

static void
descriptor_format_holds_both_descriptors(void **state)
{
	struct scsi_sense sense = scsi_invalid_cdb(2, 5);
	uint8_t data[SENSE_DATA_MAX];

	(void)state;
	sense.information_valid = true;
	sense.information = 1ull << 40;
	assert_int_equal(sense_encode(&sense, true, data), 28);
	assert_int_equal(data[0], 0x72);
	assert_int_equal(data[1], 5);
	assert_int_equal(data[2], 0x24);
	assert_int_equal(data[7], 20);
	assert_int_equal(data[8], 0x00);
	assert_int_equal(data[9], 0x0a);
	assert_int_equal(data[10], 0x80);
	assert_int_equal(load_be64(&data[12]), 1ull << 40);
	assert_int_equal(data[20], 0x02);
	assert_int_equal(data[21], 0x06);
	assert_int_equal(data[24], 0x80 | 0x40 | 0x08 | 5);
	assert_int_equal(load_be16(&data[25]), 2);
	sense = SENSE_NONE;
	assert_int_equal(sense_encode(&sense, true, data), 8);
}

static void
every_errno_of_a_store_has_sense(void **state)
{
	const struct {
		int error;
		struct scsi_sense reading, writing;
	} table[] = {
	    {-EIO, SENSE_UNRECOVERED_READ_ERROR, SENSE_WRITE_ERROR},
	    {-ENODATA, SENSE_UNRECOVERED_READ_ERROR, SENSE_WRITE_ERROR},
	    {-ENOSPC, SENSE_SPACE_ALLOCATION_FAILED,
		SENSE_SPACE_ALLOCATION_FAILED},
	    {-EROFS, SENSE_WRITE_PROTECTED, SENSE_WRITE_PROTECTED},
	    {-ECANCELED, SENSE_COMMAND_ABORTED, SENSE_COMMAND_ABORTED},
	    {-E2BIG, SENSE_INTERNAL_TARGET_FAILURE,
		SENSE_INTERNAL_TARGET_FAILURE},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		struct scsi_sense r = sense_from_errno(table[i].error, false);
		struct scsi_sense w = sense_from_errno(table[i].error, true);
		assert_string_equal(
		    sense_text(&r), sense_text(&table[i].reading));
		assert_string_equal(
		    sense_text(&w), sense_text(&table[i].writing));
	}
}

static void
every_row_has_its_wording(void **state)
{
	struct scsi_sense unknown = {.key = 9, .asc = 0xff};

	(void)state;
	assert_string_equal(sense_text(&SENSE_MISCOMPARE_DURING_VERIFY),
	    "MISCOMPARE DURING VERIFY OPERATION");
	assert_string_equal(sense_text(&unknown), "UNKNOWN");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		fixed_format_has_key_codes_and_pointer_at_their_places),
	    cmocka_unit_test(a_parameter_pointer_has_no_cdb_bit),
	    cmocka_unit_test(
		information_that_does_not_fit_is_left_out_of_fixed_format),
	    cmocka_unit_test(descriptor_format_holds_both_descriptors),
	    cmocka_unit_test(every_errno_of_a_store_has_sense),
	    cmocka_unit_test(every_row_has_its_wording),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
