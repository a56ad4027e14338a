/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * INQUIRY: standard data and vital product data, byte by byte where initiators
 * look.
 */
#include "target/scsi/handlers.h"
#include "tests/unit/target/scsi/support/rig.h"

static const uint8_t *
inquiry(struct cmd *cmd, struct rig *rig, int page, uint16_t length)
{
	CMD(cmd, rig, 0x12, page >= 0, (uint8_t)(page >= 0 ? page : 0),
	    BE16(length), 0);
	cmd_run(cmd);
	assert_good(cmd);
	return cmd_in(cmd);
}

static void
standard_data_names_us_and_what_we_obey(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in = inquiry(&cmd, rig, -1, 260);

	assert_int_equal(cmd.task.in_length, 96);
	assert_int_equal(in[0], 0);
	assert_int_equal(in[1], 0);
	assert_int_equal(in[2], 6);
	assert_int_equal(in[3], 0x12);
	assert_int_equal(in[4], 91);
	assert_int_equal(in[7], 2);
	assert_memory_equal(in + 8, "VARVE   varve LUN       ", 24);
	assert_int_equal(load_be16(in + 58), 0x00a0);
	assert_int_equal(load_be16(in + 60), 0x0460);
	assert_int_equal(load_be16(in + 62), 0x04c0);
	cmd_release(&cmd);
}

static void
the_allocation_length_cuts_and_is_not_a_residual(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (uint16_t length = 0; length < 100; length++) {
		inquiry(&cmd, rig, -1, length);
		assert_int_equal(cmd.task.in_length, length < 96 ? length : 96);
		assert_int_equal(cmd.task.in_full, cmd.task.in_length);
		cmd_release(&cmd);
	}
	CMD(&cmd, rig, 0x12, 0, 0, BE16(96), 0);
	cmd.task.expected_in = 36;
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, 36);
	assert_int_equal(cmd.task.in_full, 96);
	cmd_release(&cmd);
}

static void
where_no_unit_is_the_qualifier_is_3(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x12, 0, 0, BE16(96), 0);
	cmd.task.lun_field[1] = 3;
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd_in(&cmd)[0], 0x7f);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0x12, 1, 0, BE16(96), 0);
	cmd.task.lun_field[1] = 3;
	run_field(&cmd, 2, -1);
}

static void
a_page_without_evpd_or_unknown_is_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x12, 0, 0x83, BE16(96), 0);
	run_field(&cmd, 2, -1);
	CMD(&cmd, rig, 0x12, 1, 0xc9, BE16(96), 0);
	run_field(&cmd, 2, -1);
}

static void
every_listed_page_is_there_with_its_own_code_and_length(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t codes[32];
	const uint8_t *in = inquiry(&cmd, rig, 0x00, 255);
	unsigned count = in[3];
	const uint8_t expected[] = {
	    0, 0x80, 0x83, 0x86, 0x88, 0x8f, 0xb0, 0xb1, 0xb2};

	assert_int_equal(count, sizeof(expected));
	assert_memory_equal(in + 4, expected, count);
	memcpy(codes, in + 4, count);
	cmd_release(&cmd);
	for (unsigned i = 0; i < count; i++) {
		in = inquiry(&cmd, rig, codes[i], 4096);
		assert_int_equal(in[0], 0);
		assert_int_equal(in[1], codes[i]);
		assert_int_equal(load_be16(in + 2) + 4, cmd.task.in_length);
		cmd_release(&cmd);
	}
}

static void
the_serial_number_is_the_units(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in = inquiry(&cmd, rig, 0x80, 255);

	assert_int_equal(in[3], 16);
	assert_memory_equal(in + 4, "0123456789abcdef", 16);
	cmd_release(&cmd);
}

static const uint8_t *
designator(const uint8_t *in, uint8_t association_type)
{
	unsigned end = 4u + load_be16(in + 2);

	for (unsigned at = 4; at < end; at += 4u + in[at + 3]) {
		if (in[at + 1] == association_type)
			return in + at;
	}
	return NULL;
}

static void
identification_names_unit_port_and_target(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in = inquiry(&cmd, rig, 0x83, 4096);
	const uint8_t *d = designator(in, 0x03);

	assert_non_null(d);
	assert_int_equal(d[0], 1);
	assert_int_equal(d[3], 8);
	assert_int_equal(d[4] >> 4, 3);
	d = designator(in, 0x01);
	assert_non_null(d);
	assert_memory_equal(d + 4, "VARVE   0123456789abcdef", 24);
	d = designator(in, 0x00);
	assert_non_null(d);
	assert_memory_equal(d + 4, "pool/lun", 8);
	d = designator(in, 0x14);
	assert_non_null(d);
	assert_int_equal(load_be32(d + 4), 1);
	d = designator(in, 0x15); /* the group that RTPG has */
	assert_non_null(d);
	assert_int_equal(load_be32(d + 4), 1);
	d = designator(in, 0x18);
	assert_non_null(d);
	assert_int_equal(d[3] % 4, 0);
	assert_string_equal(
	    (const char *)d + 4, "iqn.2024-01.org.example:t,t,0x0001");
	d = designator(in, 0x28);
	assert_non_null(d);
	assert_string_equal((const char *)d + 4, "iqn.2024-01.org.example:t");
	cmd_release(&cmd);
}

static void
block_limits_are_those_the_commands_keep(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in = inquiry(&cmd, rig, 0xb0, 255);
	uint32_t bs = rig->block_size;

	assert_int_equal(cmd.task.in_length, 64);
	assert_int_equal(in[4], 1); /* WSNZ */
	assert_int_equal(load_be16(in + 6), 4096 / bs);
	assert_int_equal(load_be32(in + 8), SCSI_TRANSFER_MAX / bs);
	assert_int_equal(load_be32(in + 20), UINT32_MAX);
	assert_int_equal(load_be32(in + 24), SBC_UNMAP_DESCRIPTORS_MAX);
	assert_int_equal(load_be32(in + 28), 4096 / bs);
	assert_int_equal(load_be32(in + 32), 0x80000000u);
	assert_int_equal(load_be64(in + 36), SBC_WRITE_SAME_MAX);
	cmd_release(&cmd);
}

static void
provisioning_is_thin_and_reads_zeros(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in = inquiry(&cmd, rig, 0xb2, 255);

	assert_int_equal(cmd.task.in_length, 8);
	assert_int_equal((uint64_t)rig->block_size << in[4], 1 << 20);
	assert_int_equal(in[5], 0xe4);
	assert_int_equal(in[6], 2);
	cmd_release(&cmd);
}

static void
a_thick_unit_claims_no_unmap(void **state)
{
	struct rig rig;
	struct cmd cmd;
	const uint8_t *in;

	(void)state;
	rig_open(
	    &rig, &(struct rig_params){.thick = true, .volatile_cache = true});
	in = inquiry(&cmd, &rig, 0xb2, 255);
	assert_int_equal(load_be32(in + 4), 0);
	cmd_release(&cmd);
	in = inquiry(&cmd, &rig, 0xb0, 255);
	assert_int_equal(load_be32(in + 20), 0);
	assert_int_equal(load_be32(in + 24), 0);
	cmd_release(&cmd);
	in = inquiry(&cmd, &rig, 0x86, 255);
	assert_int_equal(in[6] & 1, 1);
	cmd_release(&cmd);
	rig_close(&rig);
}

static void
characteristics_tell_a_solid_state_medium(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in;

	rig->spy->bs.rotational = false;
	in = inquiry(&cmd, rig, 0xb1, 255);
	assert_int_equal(load_be16(in + 4), 1);
	cmd_release(&cmd);
	rig->spy->bs.rotational = true;
	in = inquiry(&cmd, rig, 0xb1, 255);
	assert_int_equal(load_be16(in + 4), 0);
	cmd_release(&cmd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(standard_data_names_us_and_what_we_obey),
	    rig_test(the_allocation_length_cuts_and_is_not_a_residual),
	    rig_test(where_no_unit_is_the_qualifier_is_3),
	    rig_test(a_page_without_evpd_or_unknown_is_refused),
	    rig_test(every_listed_page_is_there_with_its_own_code_and_length),
	    rig_test(the_serial_number_is_the_units),
	    rig_test(identification_names_unit_port_and_target),
	    rig_tests(block_limits_are_those_the_commands_keep),
	    rig_tests(provisioning_is_thin_and_reads_zeros),
	    cmocka_unit_test(a_thick_unit_claims_no_unmap),
	    rig_test(characteristics_tell_a_solid_state_medium),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
