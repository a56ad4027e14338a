/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * READ CAPACITY, START STOP UNIT, PREVENT ALLOW, READ DEFECT DATA, REQUEST
 * SENSE of a stopped unit, RESERVE and RELEASE.
 */
#include "tests/unit/target/scsi/support/rig.h"

static void
capacity_is_told_in_both_lengths(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in;

	CMD(&cmd, rig, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	in = cmd_in(&cmd);
	assert_int_equal(cmd.task.in_length, 8);
	assert_int_equal(load_be32(in), rig->blocks - 1);
	assert_int_equal(load_be32(in + 4), rig->block_size);
	cmd_release(&cmd);

	CMD(&cmd, rig, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, BE32(32), 0, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	in = cmd_in(&cmd);
	assert_int_equal(cmd.task.in_length, 32);
	assert_int_equal(load_be64(in), rig->blocks - 1);
	assert_int_equal(load_be32(in + 8), rig->block_size);
	assert_int_equal(rig->block_size << in[13], 4096);
	assert_int_equal(load_be16(in + 14), 0xc000);
	cmd_release(&cmd);
}

static void
a_thick_unit_is_not_provisioned(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.thick = true});
	CMD(&cmd, &rig, 0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, BE32(32), 0, 0);
	cmd_run(&cmd);
	assert_int_equal(load_be16(cmd_in(&cmd) + 14), 0);
	cmd_release(&cmd);
	rig_close(&rig);
}

static void
a_capacity_beyond_32_bits_sends_to_the_longer_command(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->spy->bs.size = 512ull << 32;
	CMD(&cmd, rig, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	cmd_run(&cmd);
	assert_int_equal(load_be32(cmd_in(&cmd)), UINT32_MAX);
	cmd_release(&cmd);
	rig->spy->bs.size = RIG_SIZE;
}

static void
stop_flushes_and_start_brings_back(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.volatile_cache = true});
	CMD(&cmd, &rig, 0x1b, 0, 0, 0, 0, 0);
	run_good(&cmd);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 1);
	CMD(&cmd, &rig, 0, 0, 0, 0, 0, 0);
	run_sense(&cmd, LUN_NOT_READY_STOPPED);
	CMD(&cmd, &rig, 0x03, 0x01, 0, 0, 64, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd_in(&cmd)[0], 0x72);
	assert_int_equal(cmd_in(&cmd)[1], 2);
	assert_int_equal(load_be16(cmd_in(&cmd) + 2), 0x0402);
	cmd_release(&cmd);
	CMD(&cmd, &rig, 0x1b, 0x01, 0, 0, 0x01, 0);
	run_good(&cmd);
	CMD(&cmd, &rig, 0, 0, 0, 0, 0, 0);
	run_good(&cmd);
	CMD(&cmd, &rig, 0x1b, 0, 0, 0, 0x04, 0);
	run_good(&cmd);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 1);
	rig_close(&rig);
}

static void
the_medium_cannot_be_ejected_or_locked_in(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x1b, 0, 0, 0, 0x02, 0);
	run_field(&cmd, 4, 1);
	CMD(&cmd, rig, 0x1e, 0, 0, 0, 1, 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0x1e, 0, 0, 0, 2, 0);
	run_field(&cmd, 4, 1);
}

static void
request_sense_without_a_unit_says_so(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x03, 0, 0, 0, 18, 0);
	cmd.task.lun_field[1] = 9;
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd_in(&cmd)[2], 5);
	assert_int_equal(cmd_in(&cmd)[12], 0x25);
	cmd_release(&cmd);
}

static void
defect_lists_are_empty(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x37, 0, 0x1d, 0, 0, 0, 0, BE16(32), 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, 4);
	assert_int_equal(load_be32(cmd_in(&cmd)), 0x1d0000);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0xb7, 0x18, 0, 0, 0, 0, BE32(32), 0, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, 8);
	assert_int_equal(cmd_in(&cmd)[1], 0x18);
	cmd_release(&cmd);
}

static void
a_reservation_ends_by_release_of_its_holder_or_loss_of_it(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0x16, 0, 0, 0, 0, 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0x17, 0, 0, 0, 0, 0);
	cmd.task.nexus = rig->nexus[1];
	run_good(&cmd); /* releases nothing */
	CMD(&cmd, rig, 0x16, 0, 0, 0, 0, 0);
	cmd.task.nexus = rig->nexus[1];
	assert_int_equal(cmd_run(&cmd), SCSI_RESERVATION_CONFLICT);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0x16, 0, 0, 0, 0, 0);
	cmd.task.nexus = rig->nexus[1];
	run_good(&cmd);
	scsi_nexus_free(rig->nexus[1], NULL, NULL);
	rig->nexus[1] = NULL;
	rig_drain(rig);
	CMD(&cmd, rig, 0x16, 0, 0, 0, 0, 0);
	run_good(&cmd);
}

static void
two_that_race_for_a_reservation_do_not_both_get_it(void **state)
{
	struct rig *rig = *state;
	struct cmd a, b;

	CMD(&a, rig, 0x16, 0, 0, 0, 0, 0);
	CMD(&b, rig, 0x16, 0, 0, 0, 0, 0);
	b.task.nexus = rig->nexus[1];
	assert_true(cmd_begin(&a));
	assert_true(cmd_begin(&b));
	cmd_execute(&a);
	cmd_execute(&b);
	rig_drain(rig);
	assert_good(&a);
	assert_int_equal(b.task.status, SCSI_RESERVATION_CONFLICT);
	cmd_release(&a);
	cmd_release(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_tests(capacity_is_told_in_both_lengths),
	    cmocka_unit_test(a_thick_unit_is_not_provisioned),
	    rig_test(a_capacity_beyond_32_bits_sends_to_the_longer_command),
	    cmocka_unit_test(stop_flushes_and_start_brings_back),
	    rig_test(the_medium_cannot_be_ejected_or_locked_in),
	    rig_test(request_sense_without_a_unit_says_so),
	    rig_test(defect_lists_are_empty),
	    rig_test(a_reservation_ends_by_release_of_its_holder_or_loss_of_it),
	    rig_test(two_that_race_for_a_reservation_do_not_both_get_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
