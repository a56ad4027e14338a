/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * MODE SELECT with SP: what is saved, when, and what comes back.  Who keeps it
 * is the rig; the state database has tests of its own.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

#define WCE     0x04 /* byte 2 of page 08h */
#define D_SENSE 0x04 /* byte 2 of page 0Ah */

static void
open_rig(struct rig *rig, const struct lun_saved *saved)
{
	rig_open(rig, &(struct rig_params){.keep = true, .saved = saved});
}

static uint8_t
sense_byte_2(struct rig *rig, uint8_t control, uint8_t page)
{
	struct cmd cmd;
	uint8_t byte;

	CMD(&cmd, rig, 0x1a, 0x08, (uint8_t)(control << 6 | page), 0, 255, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd_in(&cmd)[4], page | 0x80); /* PS */
	byte = cmd_in(&cmd)[4 + 2];
	cmd_release(&cmd);
	return byte;
}

/* MODE SELECT of the caching page, with SP or without. */
static void
select_caching(struct cmd *cmd, struct rig *rig, uint8_t sp, uint8_t byte_2)
{
	static uint8_t list[4 + 20];

	memset(list, 0, sizeof(list));
	list[4] = 0x08;
	list[5] = 18;
	list[6] = byte_2;
	CMD(cmd, rig, 0x15, 0x10 | sp, 0, 0, sizeof(list), 0);
	cmd_out(cmd, list, sizeof(list));
}

static int64_t
kept(const struct rig *rig, const char *name)
{
	int64_t value;

	assert_true(lun_saved_get(&rig->saved, name, &value));
	return value;
}

static void
what_is_saved_comes_back_with_a_reset_and_the_rest_does_not(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	open_rig(&rig, NULL);
	select_caching(&cmd, &rig, 0, 0);
	run_good(&cmd);
	assert_int_equal(rig.keeps, 0);
	assert_int_equal(sense_byte_2(&rig, 3, 0x08), WCE);
	lun_reset(rig.lun);
	assert_int_equal(sense_byte_2(&rig, 0, 0x08), WCE);
	select_caching(&cmd, &rig, 1, 0);
	run_good(&cmd);
	assert_int_equal(rig.keeps, 1);
	assert_int_equal(sense_byte_2(&rig, 3, 0x08), 0);
	assert_int_equal(sense_byte_2(&rig, 2, 0x08), WCE); /* the default */
	select_caching(&cmd, &rig, 0, WCE);
	run_good(&cmd);
	lun_reset(rig.lun);
	assert_int_equal(sense_byte_2(&rig, 0, 0x08), 0);
	rig_close(&rig);
}

static void
all_that_can_be_saved_is_and_comes_back_with_a_restart(void **state)
{
	struct rig rig;
	struct cmd cmd;
	struct lun_saved saved;

	(void)state;
	open_rig(&rig, NULL);
	rig.lun->mode.d_sense = true; /* selected without SP before */
	select_caching(&cmd, &rig, 1, 0);
	run_good(&cmd);
	assert_int_equal(kept(&rig, "wce"), 0);
	assert_int_equal(kept(&rig, "d_sense"), 1);
	assert_int_equal(kept(&rig, "swp"), 0);
	assert_int_equal(kept(&rig, "tas"), 0);
	saved = rig.saved;
	rig_close(&rig);
	open_rig(&rig, &saved);
	assert_int_equal(sense_byte_2(&rig, 0, 0x08), 0);
	assert_int_equal(sense_byte_2(&rig, 3, 0x08), 0);
	assert_int_equal(sense_byte_2(&rig, 0, 0x0a), 0x02 | D_SENSE);
	rig_close(&rig);
}

/* Write cache off, saved: on its way to the keeper. */
static void
save_held(struct cmd *cmd, struct rig *rig)
{
	open_rig(rig, NULL);
	rig->keep_hold = true;
	select_caching(cmd, rig, 1, 0);
	assert_true(cmd_begin(cmd));
	cmd_execute(cmd);
}

static void
it_is_changed_and_answered_only_when_it_is_kept(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	save_held(&cmd, &rig);
	rig_drain(&rig);
	assert_false(cmd.done);
	assert_true(rig.lun->mode.write_cache);
	rig_keep(&rig);
	assert_true(cmd.done);
	assert_good(&cmd);
	assert_false(rig.lun->mode.write_cache);
	cmd_release(&cmd);
	rig_close(&rig);
}

static void
what_cannot_be_kept_has_not_happened(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	open_rig(&rig, NULL);
	rig.keep_error = -EIO;
	select_caching(&cmd, &rig, 1, 0);
	run_sense(&cmd, INTERNAL_TARGET_FAILURE);
	assert_int_equal(sense_byte_2(&rig, 0, 0x08), WCE);
	assert_int_equal(sense_byte_2(&rig, 3, 0x08), WCE);
	CMD(&cmd, &rig, 0, 0, 0, 0, 0, 0);
	cmd.task.nexus = rig.nexus[1];
	run_good(&cmd); /* nothing to tell */
	rig_close(&rig);
}

static void
control_select(
    struct cmd *cmd, struct rig *rig, const uint8_t list[16], uint8_t sp)
{
	CMD(cmd, rig, 0x15, 0x10 | sp, 0, 0, 16, 0);
	cmd_out(cmd, list, 16);
}

static void
two_that_save_at_once_lose_nothing(void **state)
{
	struct rig rig;
	struct cmd first, second;
	uint8_t control[4 + 12] = {[4] = 0x0a, 10, 0x06, 0x10};

	(void)state;
	open_rig(&rig, NULL);
	control[12] = control[13] = 0xff;
	rig.keep_hold = true;
	select_caching(&first, &rig, 1, 0);
	assert_true(cmd_begin(&first));
	cmd_execute(&first);
	control_select(&second, &rig, control, 1);
	assert_true(cmd_begin(&second));
	cmd_execute(&second);
	rig_drain(&rig);
	assert_int_equal(rig.keeps, 1);
	assert_int_equal(second.task.status, SCSI_BUSY);
	cmd_release(&second);
	control_select(&second, &rig, control, 0); /* nor one that saves not */
	assert_int_equal(cmd_run(&second), SCSI_BUSY);
	cmd_release(&second);
	rig_keep(&rig);
	assert_good(&first);
	cmd_release(&first);
	rig_clear_attentions(&rig);
	rig.keep_hold = false;
	control_select(&second, &rig, control, 1);
	run_good(&second);
	assert_int_equal(kept(&rig, "wce"), 0);
	assert_int_equal(kept(&rig, "d_sense"), 1);
	rig_close(&rig);
}

static void
said_done(struct lun_setting *setting, int result)
{
	(void)setting;
	assert_int_equal(result, 0);
}

static void
what_the_administrator_says_meanwhile_is_what_is_kept(void **state)
{
	struct lun_setting setting = {.done = said_done, .cache_said = true};
	struct lun_params params = {.serial = "1", .write_cache = true};
	struct rig rig;
	struct cmd cmd;

	(void)state;
	save_held(&cmd, &rig);
	rig_drain(&rig);
	assert_int_equal(lun_set(rig.lun, &params, &setting), 0);
	rig_keep(&rig); /* off */
	assert_false(cmd.done);
	rig_keep(&rig); /* on */
	assert_true(cmd.done);
	assert_good(&cmd);
	cmd_release(&cmd);
	assert_int_equal(kept(&rig, "wce"), 1);
	assert_true(rig.lun->mode.write_cache);
	lun_reset(rig.lun);
	assert_true(rig.lun->mode.write_cache);
	rig_close(&rig);
}

static void
one_that_is_aborted_while_it_is_kept_ends_after_it(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	save_held(&cmd, &rig);
	abort_task(&cmd.task, ABORT_SILENTLY, abort_ticket());
	rig_drain(&rig);
	assert_false(cmd.done);
	rig_keep(&rig);
	assert_true(cmd.done);
	assert_true(cmd.task.aborted);
	cmd_release(&cmd);
	assert_int_equal(sense_byte_2(&rig, 3, 0x08), 0);
	rig_close(&rig);
}

static void
without_a_keeper_nothing_is_saved(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	select_caching(&cmd, rig, 1, 0);
	run_field(&cmd, 1, 0);
	CMD(&cmd, rig, 0x1a, 0x08, 0xc8, 0, 255, 0);
	run_sense(&cmd, SAVING_PARAMETERS_NOT_SUPPORTED);
	CMD(&cmd, rig, 0x1a, 0x08, 0x08, 0, 255, 0);
	cmd_run(&cmd);
	assert_int_equal(cmd_in(&cmd)[4], 0x08); /* no PS */
	cmd_release(&cmd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(
		what_is_saved_comes_back_with_a_reset_and_the_rest_does_not),
	    cmocka_unit_test(
		all_that_can_be_saved_is_and_comes_back_with_a_restart),
	    cmocka_unit_test(it_is_changed_and_answered_only_when_it_is_kept),
	    cmocka_unit_test(what_cannot_be_kept_has_not_happened),
	    cmocka_unit_test(two_that_save_at_once_lose_nothing),
	    cmocka_unit_test(
		what_the_administrator_says_meanwhile_is_what_is_kept),
	    cmocka_unit_test(
		one_that_is_aborted_while_it_is_kept_ends_after_it),
	    rig_test(without_a_keeper_nothing_is_saved),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
