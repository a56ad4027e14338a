/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Unit attentions: each kind, its order, who gets it, and what takes it away.
 */
#include "tests/unit/target/scsi/support/rig.h"

static void
tur(struct cmd *cmd, struct rig *rig, unsigned nexus)
{
	CMD(cmd, rig, 0, 0, 0, 0, 0, 0);
	cmd->task.nexus = rig->nexus[nexus];
}

/* It ends tasks that the nexus had. */
static void
run_power_on(struct cmd *cmd)
{
	cmd_run(cmd);
	assert_sense(cmd, POWER_ON);
	assert_true(cmd->task.ends_others);
	cmd_release(cmd);
}

static void
a_new_nexus_hears_of_a_reset_once(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.keep_attentions = true});
	for (unsigned i = 0; i < 2; i++) {
		tur(&cmd, &rig, i);
		cmd_run(&cmd);
		assert_sense(&cmd, RESET);
		assert_false(cmd.task.ends_others);
		cmd_release(&cmd);
		tur(&cmd, &rig, i);
		run_good(&cmd);
	}
	rig_close(&rig);
}

static void
all_kinds_are_reported_in_order_and_once(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const struct scsi_sense *const order[] = {&SENSE_BUS_RESET,
	    &SENSE_DEVICE_RESET, &SENSE_NEXUS_LOSS, &SENSE_COMMANDS_CLEARED,
	    &SENSE_RESERVATIONS_PREEMPTED, &SENSE_REGISTRATIONS_PREEMPTED,
	    &SENSE_RESERVATIONS_RELEASED, &SENSE_ACCESS_STATE_CHANGED,
	    &SENSE_CAPACITY_DATA_HAS_CHANGED, &SENSE_MODE_PARAMETERS_CHANGED,
	    &SENSE_INQUIRY_DATA_HAS_CHANGED,
	    &SENSE_REPORTED_LUNS_DATA_HAS_CHANGED,
	    &SENSE_THIN_PROVISIONING_THRESHOLD,
	    &SENSE_THIN_PROVISIONING_THRESHOLD};

	for (int kind = ATTENTION_COUNT - 1; kind > ATTENTION_POWER_ON;
	     kind--) {
		attention_set_lun(rig->lun, (enum attention)kind, NULL);
		attention_set_lun(rig->lun, (enum attention)kind, NULL);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		tur(&cmd, rig, 0);
		cmd_run(&cmd);
		assert_status_(&cmd, order[i], __FILE__, __LINE__);
		/* those up to COMMANDS CLEARED say so of tasks */
		assert_int_equal(cmd.task.ends_others, i < 4);
		cmd_release(&cmd);
	}
	tur(&cmd, rig, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_false(cmd.task.ends_others);
	cmd_release(&cmd);
}

static void
power_on_covers_what_was_pending(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	attention_set_lun(rig->lun, ATTENTION_CAPACITY, NULL);
	attention_set_lun(rig->lun, ATTENTION_POWER_ON, NULL);
	tur(&cmd, rig, 0);
	run_power_on(&cmd);
	tur(&cmd, rig, 0);
	run_good(&cmd);
}

static void
capacity_and_threshold_reach_every_nexus(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	lun_capacity_changed(rig->lun);
	lun_threshold_reached(rig->lun);
	for (unsigned i = 0; i < 2; i++) {
		tur(&cmd, rig, i);
		run_sense(&cmd, CAPACITY_DATA_HAS_CHANGED);
		tur(&cmd, rig, i);
		run_sense(&cmd, THIN_PROVISIONING_THRESHOLD);
	}
}

static void
a_command_that_is_let_through_leaves_it_pending(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	lun_capacity_changed(rig->lun);
	CMD(&cmd, rig, 0x12, 0, 0, 0, 96, 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0xa0, 0, 0, 0, 0, 0, BE32(64), 0, 0);
	run_good(&cmd);
	tur(&cmd, rig, 0);
	run_sense(&cmd, CAPACITY_DATA_HAS_CHANGED);
}

static void
request_sense_takes_it_as_data(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	lun_capacity_changed(rig->lun);
	CMD(&cmd, rig, 0x03, 0, 0, 0, 18, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, 18);
	assert_int_equal(cmd_in(&cmd)[2], 6);
	assert_int_equal(cmd_in(&cmd)[12], 0x2a);
	assert_int_equal(cmd_in(&cmd)[13], 0x09);
	cmd_release(&cmd);
	tur(&cmd, rig, 0);
	run_good(&cmd);
	tur(&cmd, rig, 1);
	run_sense(&cmd, CAPACITY_DATA_HAS_CHANGED);
}

static void
a_change_of_luns_is_told_on_the_others_once(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	assert_int_equal(
	    scsi_nexus_map(rig->nexus[0], 1, rig->lun, false, false), 0);
	rig_clear_attentions(rig);
	assert_int_equal(
	    scsi_nexus_map(rig->nexus[0], 2, rig->lun, false, true), 0);
	tur(&cmd, rig, 0);
	run_sense(&cmd, REPORTED_LUNS_DATA_HAS_CHANGED);
	tur(&cmd, rig, 0);
	cmd.task.lun_field[1] = 1; /* LUICLR: cleared there, too */
	run_good(&cmd);
	tur(&cmd, rig, 0);
	cmd.task.lun_field[1] = 2;
	run_sense(&cmd, POWER_ON);
	tur(&cmd, rig, 1);
	run_good(&cmd);
}

static void
report_luns_makes_the_news_of_it_old(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	assert_int_equal(
	    scsi_nexus_map(rig->nexus[0], 9, rig->lun, false, true), 0);
	CMD(&cmd, rig, 0xa0, 0, 0, 0, 0, 0, BE32(64), 0, 0);
	run_good(&cmd);
	tur(&cmd, rig, 0);
	run_good(&cmd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_new_nexus_hears_of_a_reset_once),
	    rig_test(all_kinds_are_reported_in_order_and_once),
	    rig_test(power_on_covers_what_was_pending),
	    rig_test(capacity_and_threshold_reach_every_nexus),
	    rig_test(a_command_that_is_let_through_leaves_it_pending),
	    rig_test(request_sense_takes_it_as_data),
	    rig_test(a_change_of_luns_is_told_on_the_others_once),
	    rig_test(report_luns_makes_the_news_of_it_old),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
