/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SANITIZE and FORMAT UNIT: what they do to the medium, what else is answered
 * meanwhile, and what is kept in mind.  That a volume with snapshots refuses is
 * for the tests of the engine.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

static void
erase(struct cmd *cmd, struct rig *rig, unsigned flags)
{
	CMD(cmd, rig, 0x48, (uint8_t)(flags | 0x02), 0, 0, 0, 0, 0, 0, 0, 0);
}

static void
set_true(void *arg)
{
	*(bool *)arg = true;
}

static uint8_t list[4096 + 4];

static void
overwrite(struct cmd *cmd, struct rig *rig, unsigned flags, unsigned count,
    uint16_t length, int byte)
{
	memset(list, byte, sizeof(list));
	list[0] = (uint8_t)count;
	list[1] = 0;
	store_be16(&list[2], length);
	CMD(cmd, rig, 0x48, (uint8_t)(flags | 0x01), 0, 0, 0, 0, 0,
	    BE16(length + 4), 0);
	cmd_out(cmd, list, length + 4u);
}

static void
simple(struct cmd *cmd, struct rig *rig, uint8_t opcode)
{
	CMD(cmd, rig, opcode, 0, 0, 0, opcode == 0x12 ? 96 : 0, 0);
}

/* ---- what they do ---- */

static void
block_erase_zeros_in_place_and_unmaps_then(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig_fill(rig, 0, 100, 'a');
	rig_fill(rig, rig->blocks - 5, 5, 'a');
	spy_forget(rig->spy);
	erase(&cmd, rig, 0);
	run_good(&cmd);
	assert_int_equal(spy_count(rig->spy, BS_ZERO), 5);
	for (unsigned i = 0; i < 4; i++)
		assert_false(spy_find(rig->spy, BS_ZERO, i)->may_unmap);
	assert_true(spy_find(rig->spy, BS_ZERO, 4)->may_unmap);
	assert_int_equal(spy_count(rig->spy, BS_FLUSH), 2);
	assert_int_equal(rig->spy->log[4].op, BS_FLUSH);
	assert_true(rig_is(rig, 0, 100, 0));
	assert_true(rig_is(rig, rig->blocks - 5, 5, 0));
	assert_false(rig->keeping.on);
	assert_int_equal(rig->keeping.asked, 2);
}

static void
overwrite_writes_the_pattern_over_what_is_mapped(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig_fill(rig, 0, 500, 'a');
	rig_fill(rig, rig->blocks - 8, 8, 'a');
	spy_forget(rig->spy);
	overwrite(&cmd, rig, 0, 2, 4, 'x');
	run_good(&cmd);
	assert_true(rig_is(rig, 0, 500, 'x'));
	assert_true(rig_is(rig, rig->blocks - 8, 8, 'x'));
	assert_int_equal(spy_count(rig->spy, BS_ZERO), 0);
	assert_true(rig_is(rig, rig->blocks / 2, 8, 0));
	/* INVERT: each pass the opposite of the one before */
	overwrite(&cmd, rig, 0, 0x82, 4, 0x0f);
	run_good(&cmd);
	assert_true(rig_is(rig, 0, 8, 0xf0));
}

static void
bad_lists_are_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint16_t block = (uint16_t)rig->block_size;

	overwrite(&cmd, rig, 0, 1, block, 'x');
	run_good(&cmd);
	overwrite(&cmd, rig, 0, 1, 0, 'x');
	run_field(&cmd, 7, -1);
	overwrite(&cmd, rig, 0, 1, 4, 'x');
	store_be16(&cmd.task.cdb[7], (uint16_t)(block + 5));
	run_field(&cmd, 7, -1);
	overwrite(&cmd, rig, 0, 1, 4, 'x');
	cmd.task.expected_out--;
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	overwrite(&cmd, rig, 0, 0, 4, 'x');
	run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	overwrite(&cmd, rig, 0, 0x21, 4, 'x'); /* TEST */
	run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	overwrite(&cmd, rig, 0, 1, 4, 'x');
	list[3] = 5;
	run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	erase(&cmd, rig, 0x01); /* CRYPTO ERASE */
	run_field(&cmd, 1, 4);
	assert_int_equal(rig->lun->sanitize.state, SANITIZE_NONE);
}

static void
what_is_shared_is_refused_before_anything_is_touched(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig_fill(rig, 0, 8, 'a');
	spy_forget(rig->spy);
	rig->keeping.fail = -EBUSY;
	erase(&cmd, rig, 0x80);
	run_sense(&cmd, COMMAND_SEQUENCE_ERROR);
	assert_int_equal(rig->spy->log_count, 0);
	assert_true(rig_is(rig, 0, 8, 'a'));
}

/* ---- meanwhile ---- */

static void
others_are_told_how_far_it_is(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd, other;

	rig->spy->hold = true;
	erase(&cmd, rig, 0x80);
	run_good(&cmd); /* IMMED */
	assert_true(rig->keeping.on);
	simple(&other, rig, 0x00);
	run_sense(&other, SANITIZE_IN_PROGRESS);
	erase(&other, rig, 0);
	run_sense(&other, SANITIZE_IN_PROGRESS);
	CMD(&other, rig, 0x1b, 0, 0, 0, 0x02, 0); /* which cannot be ejected */
	run_sense(&other, SANITIZE_IN_PROGRESS);
	simple(&other, rig, 0x12);
	run_good(&other);
	for (unsigned i = 0; i < 4 + 1; i++) { /* zeros, flush */
		spy_release(rig->spy);
		rig_drain(rig);
	}
	CMD(&other, rig, 0x03, 0, 0, 0, 18, 0);
	cmd_run(&other);
	assert_good(&other);
	const uint8_t *in = cmd_in(&other);
	assert_int_equal(in[2], 0x2);
	assert_int_equal(in[12], 0x04);
	assert_int_equal(in[13], 0x1b);
	assert_int_equal(in[15], 0x80);
	assert_true(load_be16(&in[16]) >= 0x8000);
	cmd_release(&other);
	rig->spy->hold = false;
	spy_release_all(rig->spy);
	rig_drain(rig);
	simple(&other, rig, 0x00);
	run_good(&other);
	assert_false(rig->keeping.on);
}

static void
tmf_done(struct scsi_tmf_request *request)
{
	request->waiting = 99;
}

static void
it_goes_on_when_its_task_is_aborted_and_the_unit_reset(void **state)
{
	struct rig *rig = *state;
	struct scsi_tmf_request tmf = {
	    .nexus = rig->nexus[1],
	    .function = SCSI_LOGICAL_UNIT_RESET,
	    .done = tmf_done,
	};
	struct cmd cmd, other;

	rig_fill(rig, 0, 8, 'a');
	rig->spy->hold = true;
	erase(&cmd, rig, 0);
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(rig);
	assert_false(cmd.done);
	scsi_tmf(&tmf);
	rig_drain(rig);
	assert_int_equal(tmf.waiting, 99);
	assert_true(cmd.done && cmd.task.aborted);
	cmd_release(&cmd);
	rig_clear_attentions(rig);
	simple(&other, rig, 0x00);
	run_sense(&other, SANITIZE_IN_PROGRESS);
	rig->spy->hold = false;
	spy_release_all(rig->spy);
	rig_drain(rig);
	simple(&other, rig, 0x00);
	run_good(&other);
	assert_true(rig_is(rig, 0, 8, 0));
	assert_int_equal(rig->lun->barriers, 0);
}

static void
what_began_before_it_is_not_done_after_it(void **state)
{
	struct rig *rig = *state;
	struct cmd read, cmd, late;

	rig->spy->hold = true;
	CMD(&read, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	assert_true(cmd_begin(&read));
	cmd_execute(&read);
	erase(&cmd, rig, 0);
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	CMD(&late, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	assert_true(cmd_begin(&late));
	cmd_execute(&late);
	rig_drain(rig);
	assert_int_equal(rig->keeping.asked, 0); /* it waits for the read */
	spy_release(rig->spy);
	rig_drain(rig);
	assert_good(&read);
	assert_sense(&late, SANITIZE_IN_PROGRESS);
	rig->spy->hold = false;
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_good(&cmd);
	cmd_release(&read);
	cmd_release(&cmd);
	cmd_release(&late);
}

/* ---- failure ---- */

static void
a_failure_stays_until_one_succeeds(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->spy->fail[BS_ZERO] = -EIO;
	erase(&cmd, rig, 0);
	run_sense(&cmd, SANITIZE_COMMAND_FAILED);
	assert_true(rig->keeping.on);
	simple(&cmd, rig, 0x00);
	run_sense(&cmd, SANITIZE_COMMAND_FAILED);
	CMD(&cmd, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	run_sense(&cmd, SANITIZE_COMMAND_FAILED);
	/* without AUSE it cannot be given up */
	CMD(&cmd, rig, 0x48, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0);
	run_field(&cmd, 1, 4);
	erase(&cmd, rig, 0x20);
	run_field(&cmd, 1, 5);
	rig->spy->fail[BS_ZERO] = 0;
	erase(&cmd, rig, 0);
	run_good(&cmd);
	simple(&cmd, rig, 0x00);
	run_good(&cmd);
	assert_false(rig->keeping.on);
}

/* What could not even begin leaves a unit that failed before as it was. */
static void
one_that_cannot_begin_does_not_end_the_failure(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->spy->fail[BS_ZERO] = -EIO;
	erase(&cmd, rig, 0);
	run_sense(&cmd, SANITIZE_COMMAND_FAILED);
	rig->spy->fail[BS_ZERO] = 0;
	rig->keeping.fail = -EBUSY;
	erase(&cmd, rig, 0);
	run_sense(&cmd, COMMAND_SEQUENCE_ERROR);
	simple(&cmd, rig, 0x00);
	run_sense(&cmd, SANITIZE_COMMAND_FAILED);
	CMD(&cmd, rig, 0x48, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0);
	run_field(&cmd, 1, 4); /* it was not to be given up */
	rig->keeping.fail = 0;
	erase(&cmd, rig, 0);
	run_good(&cmd);
}

/* One that was there already has its turn afterwards; one that comes meanwhile
 * is refused. */
static void
giving_up_is_one_at_a_time(void **state)
{
	struct rig rig;
	struct cmd first, early, late;

	(void)state;
	rig_open(&rig,
	    &(struct rig_params){.sanitizing = true, .sanitize_exits = true});
	CMD(&first, &rig, 0x48, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_true(cmd_begin(&first));
	erase(&early, &rig, 0x20);
	assert_true(cmd_begin(&early));
	cmd_execute(&first);
	erase(&late, &rig, 0x20);
	assert_false(cmd_begin(&late));
	assert_false(first.done);
	assert_sense(&late, SANITIZE_IN_PROGRESS);
	cmd_execute(&early);
	assert_int_equal(rig.keeping.asked, 1);
	assert_int_equal(rig.spy->log_count, 0);
	rig_drain(&rig);
	assert_true(first.done && early.done);
	assert_good(&first);
	assert_good(&early);
	assert_int_equal(rig.keeping.asked, 3);
	assert_true(spy_count(rig.spy, BS_ZERO) > 0);
	cmd_release(&first);
	cmd_release(&early);
	cmd_release(&late);
	simple(&first, &rig, 0x00);
	run_good(&first);
	rig_close(&rig);
}

static void
a_unit_that_was_not_done_comes_back_as_failed(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	for (unsigned exits = 0; exits < 2; exits++) {
		rig_open(&rig, &(struct rig_params){.sanitizing = true,
				   .sanitize_exits = exits});
		simple(&cmd, &rig, 0x00);
		run_sense(&cmd, SANITIZE_COMMAND_FAILED);
		CMD(&cmd, &rig, 0x48, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0);
		cmd_run(&cmd);
		assert_int_equal(
		    cmd.task.status, exits ? SCSI_GOOD : SCSI_CHECK_CONDITION);
		cmd_release(&cmd);
		simple(&cmd, &rig, 0x00);
		cmd_run(&cmd);
		assert_int_equal(
		    cmd.task.status, exits ? SCSI_GOOD : SCSI_CHECK_CONDITION);
		cmd_release(&cmd);
		rig_close(&rig);
	}
}

static void
a_unit_can_go_in_the_middle(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.block_size = 512});
	rig.spy->hold = true;
	erase(&cmd, &rig, 0x80);
	run_good(&cmd);
	rig_close(&rig);
	assert_true(rig.keeping.on);
}

/* ---- how fast ---- */

static void
it_rests_so_that_it_works_its_share_of_the_time(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.background_percent = 25});
	rig.spy->hold = true;
	erase(&cmd, &rig, 0x80);
	run_good(&cmd);
	assert_int_equal(spy_count(rig.spy, BS_ZERO), 1);
	rig_pass(&rig, 100 * NSEC_PER_MSEC);
	spy_release(rig.spy); /* a step of 100 ms: 300 of rest */
	rig_pass(&rig, 299 * NSEC_PER_MSEC);
	assert_int_equal(spy_count(rig.spy, BS_ZERO), 1);
	rig_pass(&rig, 2 * NSEC_PER_MSEC);
	assert_int_equal(spy_count(rig.spy, BS_ZERO), 2);
	/* a unit that goes does not wait for the rest */
	rig_pass(&rig, 100 * NSEC_PER_MSEC);
	spy_release(rig.spy);
	rig_pass(&rig, 10 * NSEC_PER_MSEC);
	uint64_t before = loop_now(rig.loop);
	struct loop *loop = rig.loop;
	assert_true(loop_timer_armed(&rig.lun->sanitize.rest));
	scsi_nexus_free(rig.nexus[0], NULL, NULL);
	scsi_nexus_free(rig.nexus[1], NULL, NULL);
	rig.nexus[0] = rig.nexus[1] = NULL;
	bool gone = false;
	lun_free(rig.lun, set_true, &gone);
	rig_drain(&rig);
	assert_true(gone);
	assert_true(loop_now(loop) - before < NSEC_PER_MSEC);
	rig.lun = NULL;
	rig_close(&rig);
	assert_true(rig.keeping.on);
}

/* ---- FORMAT UNIT ---- */

static void
format_unmaps_all(void **state)
{
	struct rig *rig = *state;
	uint8_t header[8] = {0, 0x82};
	struct cmd cmd;

	rig_fill(rig, 7, 100, 'a');
	spy_forget(rig->spy);
	CMD(&cmd, rig, 0x04, 0x10, 0, 0, 0, 0);
	cmd_out(&cmd, header, 4);
	run_good(&cmd);
	assert_int_equal(spy_count(rig->spy, BS_ZERO), 1);
	assert_true(spy_find(rig->spy, BS_ZERO, 0)->may_unmap);
	assert_true(rig_is(rig, 7, 100, 0));
	simple(&cmd, rig, 0x04);
	run_good(&cmd);
	CMD(&cmd, rig, 0x04, 0x30, 0, 0, 0, 0);
	cmd_out(&cmd, header, 8);
	run_good(&cmd);
}

/* Without a write cache what it zeroed is durable when it is answered. */
static void
format_flushes_once(void **unused)
{
	struct rig rig;
	struct cmd cmd;

	(void)unused;
	for (unsigned through = 0; through < 2; through++) {
		rig_open(&rig, &(struct rig_params){.volatile_cache = true,
				   .write_through = through});
		simple(&cmd, &rig, 0x04);
		run_good(&cmd);
		const struct spy_entry *last =
		    &rig.spy->log[rig.spy->log_count - 1];
		assert_int_equal(last->op, BS_FLUSH);
		assert_int_equal(spy_count(rig.spy, BS_FLUSH), 1);
		rig_close(&rig);
	}
}

static void
format_refuses_what_it_does_not_have(void **state)
{
	struct rig *rig = *state;
	uint8_t header[8] = {0};
	struct cmd cmd;

	CMD(&cmd, rig, 0x04, 0x90, 0, 0, 0, 0); /* FMTPINFO */
	cmd_out(&cmd, header, 4);
	run_field(&cmd, 1, 7);
	CMD(&cmd, rig, 0x04, 0x10, 0, 0, 0, 0);
	cmd_out(&cmd, header, 3);
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	CMD(&cmd, rig, 0x04, 0x20, 0, 0, 0, 0); /* no list to be long */
	run_field(&cmd, 1, -1);
	for (unsigned i = 0; i < 4; i++) {
		const uint8_t wrong[4] = {1, 0x88, 1, 1};
		memset(header, 0, sizeof(header));
		header[i] = wrong[i];
		CMD(&cmd, rig, 0x04, 0x10, 0, 0, 0, 0);
		cmd_out(&cmd, header, 4);
		run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	}
	assert_int_equal(spy_count(rig->spy, BS_ZERO), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_tests(block_erase_zeros_in_place_and_unmaps_then),
	    rig_tests(overwrite_writes_the_pattern_over_what_is_mapped),
	    rig_tests(bad_lists_are_refused),
	    rig_test(what_is_shared_is_refused_before_anything_is_touched),
	    rig_test(others_are_told_how_far_it_is),
	    rig_test(it_goes_on_when_its_task_is_aborted_and_the_unit_reset),
	    rig_test(what_began_before_it_is_not_done_after_it),
	    rig_test(a_failure_stays_until_one_succeeds),
	    cmocka_unit_test(giving_up_is_one_at_a_time),
	    rig_test(one_that_cannot_begin_does_not_end_the_failure),
	    cmocka_unit_test(a_unit_that_was_not_done_comes_back_as_failed),
	    cmocka_unit_test(a_unit_can_go_in_the_middle),
	    cmocka_unit_test(it_rests_so_that_it_works_its_share_of_the_time),
	    rig_test(format_unmaps_all),
	    cmocka_unit_test(format_flushes_once),
	    rig_test(format_refuses_what_it_does_not_have),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
