/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Task management: what is aborted in which phase, when the function is
 * answered, and what the other nexus hears of it.
 */
#include "tests/unit/target/scsi/support/rig.h"

struct tmf {
	struct scsi_tmf_request request;
	bool done;
};

static void
tmf_done(struct scsi_tmf_request *request)
{
	struct tmf *tmf = container_of(request, struct tmf, request);

	assert_false(tmf->done);
	tmf->done = true;
}

static void
tmf(struct tmf *tmf, struct rig *rig, unsigned nexus, enum scsi_tmf function,
    uint64_t tag)
{
	memset(tmf, 0, sizeof(*tmf));
	tmf->request.nexus = rig->nexus[nexus];
	tmf->request.function = function;
	tmf->request.tag = tag;
	tmf->request.done = tmf_done;
	scsi_tmf(&tmf->request);
	assert_false(tmf->done);
	rig_drain(rig);
}

static void
tmf_set(void *arg)
{
	*(bool *)arg = true;
}

static uint8_t zeros[1 << 20];

static void
write_of(struct cmd *cmd, struct rig *rig, unsigned nexus, uint64_t tag)
{
	CMD(cmd, rig, 0x2a, 0, BE32(0), 0, BE16(8), 0);
	cmd_out(cmd, zeros, 8 * 512);
	cmd->task.nexus = rig->nexus[nexus];
	cmd->task.tag = tag;
	assert_true(cmd_begin(cmd));
}

static void
assert_aborted(struct cmd *cmd)
{
	assert_int_equal(cmd->completions, 1);
	assert_true(cmd->task.aborted);
	assert_int_equal(cmd->task.in_length, 0);
	cmd_release(cmd);
}

static void
abort_of_a_task_at_the_store_is_answered_when_the_io_is_back(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	struct tmf t;

	rig->spy->hold = true;
	write_of(&cmd, rig, 0, 77);
	cmd_execute(&cmd);
	rig_drain(rig);
	tmf(&t, rig, 0, SCSI_ABORT_TASK, 77);
	assert_false(t.done);
	assert_false(cmd.done);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(t.done);
	assert_int_equal(t.request.response, SCSI_TMF_COMPLETE);
	assert_aborted(&cmd);
	rig_hears(rig, 0, NULL);
}

static void
abort_of_a_begun_task_is_answered_at_once(void **state)
{
	struct rig *rig = *state;
	struct cmd drop, execute;
	struct tmf t;

	write_of(&drop, rig, 0, 1);
	write_of(&execute, rig, 0, 2);
	tmf(&t, rig, 0, SCSI_ABORT_TASK_SET, 0);
	assert_true(t.done);
	assert_true(drop.task.aborted);
	assert_int_equal(rig->lun->task_count, 0);
	scsi_task_drop(&drop.task);
	cmd_execute(&execute);
	rig_drain(rig);
	assert_aborted(&execute);
	assert_int_equal(rig->spy->log_count, 0);
}

static void
abort_of_a_dormant_task_lets_it_leave_without_io(void **state)
{
	struct rig *rig = *state;
	struct cmd first, ordered;
	struct tmf t;

	rig->spy->hold = true;
	write_of(&first, rig, 0, 1);
	cmd_execute(&first);
	CMD(&ordered, rig, 0x28, 0, BE32(99), 0, BE16(1), 0);
	ordered.task.attribute = SCSI_ORDERED;
	ordered.task.tag = 2;
	assert_true(cmd_begin(&ordered));
	cmd_execute(&ordered);
	tmf(&t, rig, 0, SCSI_ABORT_TASK, 2);
	assert_true(t.done);
	assert_aborted(&ordered);
	assert_int_equal(rig->spy->log_count, 1);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_good(&first);
	cmd_release(&first);
}

static void
abort_of_a_task_waiting_for_buffers_gives_up_its_place(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	struct tmf t;
	void *taken[32];
	unsigned count = 0;

	while (count < 32 &&
	       (taken[count] = buf_get(rig->loop->bufs, BUF_MAX)) != NULL)
		count++;
	assert_int_equal(count, 32);
	CMD(&cmd, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	cmd.task.tag = 5;
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(rig);
	assert_false(cmd.done);
	tmf(&t, rig, 0, SCSI_ABORT_TASK, 5);
	assert_true(t.done);
	assert_aborted(&cmd);
	while (count > 0)
		buf_put(rig->loop->bufs, taken[--count]);
	rig_drain(rig);
	assert_int_equal(rig->spy->log_count, 0);
}

static void
a_command_in_steps_stops_between_two(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	struct tmf t;

	rig->spy->hold = true;
	CMD(&cmd, rig, 0x8f, 0, BE64(0), BE32(8192), 0, 0);
	cmd.task.tag = 3;
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	spy_release(rig->spy);
	rig_drain(rig);
	assert_int_equal(rig->spy->log_count, 2);
	tmf(&t, rig, 0, SCSI_ABORT_TASK, 3);
	assert_false(t.done);
	spy_release(rig->spy);
	rig_drain(rig);
	assert_true(t.done);
	assert_aborted(&cmd);
	assert_int_equal(rig->spy->log_count, 2);
}

static void
a_command_that_has_ended_but_is_not_told_yet_can_be_aborted(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	struct tmf t;

	CMD(&cmd, rig, 0, 0, 0, 0, 0, 0);
	cmd.task.tag = 4;
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	tmf(&t, rig, 0, SCSI_ABORT_TASK, 4);
	assert_true(t.done);
	assert_int_equal(t.request.response, SCSI_TMF_COMPLETE);
	assert_aborted(&cmd);
}

static void
no_such_task_and_no_such_unit(void **state)
{
	struct rig *rig = *state;
	struct cmd other;
	struct tmf t;

	write_of(&other, rig, 1, 9);
	tmf(&t, rig, 0, SCSI_ABORT_TASK, 9);
	assert_int_equal(t.request.response, SCSI_TMF_TASK_NOT_FOUND);
	assert_false(other.task.aborted);
	scsi_task_drop(&other.task);

	memset(&t, 0, sizeof(t));
	t.request = (struct scsi_tmf_request){.nexus = rig->nexus[0],
	    .function = SCSI_LOGICAL_UNIT_RESET,
	    .lun_field = {0, 5},
	    .done = tmf_done};
	scsi_tmf(&t.request);
	rig_drain(rig);
	assert_true(t.done);
	assert_int_equal(t.request.response, SCSI_TMF_LUN_NOT_FOUND);
	tmf(&t, rig, 0, (enum scsi_tmf)99, 0);
	assert_int_equal(t.request.response, SCSI_TMF_NOT_SUPPORTED);
}

static void
clear_task_set_is_told_to_the_other_nexus(void **state)
{
	struct rig *rig = *state;
	struct cmd mine, other;
	struct tmf t;

	rig->spy->hold = true;
	write_of(&mine, rig, 0, 1);
	write_of(&other, rig, 1, 1);
	cmd_execute(&mine);
	cmd_execute(&other);
	tmf(&t, rig, 0, SCSI_CLEAR_TASK_SET, 0);
	assert_false(t.done);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(t.done);
	assert_aborted(&mine);
	assert_aborted(&other);
	rig_hears(rig, 0, NULL);
	rig_hears(rig, 1, &SENSE_COMMANDS_CLEARED);
	rig_hears(rig, 1, NULL);
}

static void
with_tas_the_other_nexus_gets_task_aborted(void **state)
{
	struct rig *rig = *state;
	struct cmd other, begun;
	struct tmf t;

	rig->lun->mode.task_aborted_status = true;
	rig->spy->hold = true;
	write_of(&other, rig, 1, 1);
	cmd_execute(&other);
	write_of(&begun, rig, 1, 2);
	tmf(&t, rig, 0, SCSI_CLEAR_TASK_SET, 0);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(t.done);
	assert_false(other.task.aborted);
	assert_int_equal(other.task.status, SCSI_TASK_ABORTED);
	cmd_release(&other);
	assert_false(begun.task.aborted);
	cmd_execute(&begun);
	rig_drain(rig);
	assert_false(begun.task.aborted);
	assert_int_equal(begun.task.status, SCSI_TASK_ABORTED);
	cmd_release(&begun);
	rig_hears(rig, 1, NULL);
}

static void
each_reset_is_told_by_its_name_and_brings_defaults_back(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	struct tmf t;
	const struct {
		enum scsi_tmf function;
		const struct scsi_sense *sense;
	} table[] = {
	    {SCSI_LOGICAL_UNIT_RESET, &SENSE_DEVICE_RESET},
	    {SCSI_TARGET_WARM_RESET, &SENSE_BUS_RESET},
	    {SCSI_TARGET_COLD_RESET, &SENSE_POWER_ON},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		rig->lun->mode.d_sense = true;
		rig->lun->stopped = true;
		CMD(&cmd, rig, 0x16, 0, 0, 0, 0, 0);
		run_good(&cmd);
		tmf(&t, rig, 0, table[i].function, 0);
		assert_true(t.done);
		assert_false(rig->lun->mode.d_sense);
		rig_hears(rig, 0, table[i].sense);
		rig_hears(rig, 1, table[i].sense);
		rig_hears(rig, 1, NULL); /* not reserved any more */
	}
}

static void
a_nexus_reset_is_told_to_that_nexus_only(void **state)
{
	struct rig *rig = *state;
	struct cmd mine, other;
	struct tmf t;

	rig->spy->hold = true;
	write_of(&mine, rig, 0, 1);
	write_of(&other, rig, 1, 1);
	cmd_execute(&mine);
	cmd_execute(&other);
	tmf(&t, rig, 0, SCSI_I_T_NEXUS_RESET, 0);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(t.done);
	assert_aborted(&mine);
	assert_good(&other);
	cmd_release(&other);
	rig_hears(rig, 0, &SENSE_NEXUS_LOSS);
	rig_hears(rig, 1, NULL);
}

static void
a_target_reset_waits_for_every_unit(void **state)
{
	struct rig *rig = *state;
	struct rig second;
	struct cmd a, b;
	struct tmf t;
	struct lun_params params = {.bs = &rig->spy->bs,
	    .serial = "2",
	    .naa = {0x30, 1},
	    .write_cache = true};
	bool freed = false;

	memset(&second, 0, sizeof(second));
	assert_int_equal(lun_new(&params, &second.lun), 0);
	assert_int_equal(
	    scsi_nexus_map(rig->nexus[0], 1, second.lun, false, false), 0);
	attention_clear_nexus(rig->nexus[0], ATTENTION_FIRST);
	rig->spy->hold = true;
	write_of(&a, rig, 0, 1);
	cmd_execute(&a);
	CMD(&b, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	b.task.lun_field[1] = 1;
	assert_true(cmd_begin(&b));
	cmd_execute(&b);
	tmf(&t, rig, 0, SCSI_TARGET_WARM_RESET, 0);
	spy_release(rig->spy);
	rig_drain(rig);
	assert_false(t.done);
	spy_release(rig->spy);
	rig_drain(rig);
	assert_true(t.done);
	assert_aborted(&a);
	assert_aborted(&b);
	assert_int_equal(
	    scsi_nexus_unmap(rig->nexus[0], 1, false, NULL, NULL), 0);
	lun_free(second.lun, tmf_set, &freed);
	rig_drain(rig);
	assert_true(freed);
}

/* The cache is off by default, and was put on. */
static void
cache_open(struct rig *rig, bool is_volatile)
{
	rig_open(rig, &(struct rig_params){.volatile_cache = is_volatile,
			  .write_through = true});
	rig->lun->mode.write_cache = true;
	rig_fill(rig, 0, 1, 'a');
	rig->spy->hold = true;
}

static void
a_reset_that_puts_the_cache_off_waits_for_the_flush(void **unused)
{
	static const enum scsi_tmf functions[] = {SCSI_LOGICAL_UNIT_RESET,
	    SCSI_TARGET_WARM_RESET, SCSI_TARGET_COLD_RESET};
	struct rig rig;
	struct tmf t, other;

	(void)unused;
	for (unsigned i = 0; i < ARRAY_SIZE(functions); i++) {
		cache_open(&rig, true);
		tmf(&t, &rig, 0, functions[i], 0);
		assert_false(rig.lun->mode.write_cache);
		assert_int_equal(spy_count(rig.spy, BS_FLUSH), 1);
		assert_false(t.done);
		/* which is no concern of what resets nothing */
		tmf(&other, &rig, 1, SCSI_ABORT_TASK_SET, 0);
		assert_true(other.done);
		spy_release_all(rig.spy);
		rig_drain(&rig);
		assert_true(t.done);
		assert_int_equal(t.request.response, SCSI_TMF_COMPLETE);
		/* it is off by now */
		tmf(&t, &rig, 0, functions[i], 0);
		assert_true(t.done);
		assert_int_equal(spy_count(rig.spy, BS_FLUSH), 1);
		rig_close(&rig);
	}
}

/* One under way may have begun before the last write. */
static void
a_reset_waits_for_a_flush_of_its_own_and_no_later_one(void **unused)
{
	struct rig rig;
	struct cmd cmd;
	struct tmf t;

	(void)unused;
	cache_open(&rig, true);
	CMD(&cmd, &rig, 0x35, 0x02, 0, 0, 0, 0, 0, 0, 0, 0); /* IMMED */
	run_good(&cmd);
	tmf(&t, &rig, 0, SCSI_LOGICAL_UNIT_RESET, 0);
	assert_true(spy_release(rig.spy));
	rig_drain(&rig);
	assert_false(t.done);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 2);
	rig_clear_attentions(&rig);
	CMD(&cmd, &rig, 0x35, 0x02, 0, 0, 0, 0, 0, 0, 0, 0);
	run_good(&cmd);
	assert_true(spy_release(rig.spy));
	rig_drain(&rig);
	assert_true(t.done);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 3);
	rig_close(&rig);
}

static void
a_unit_can_go_while_its_reset_flushes(void **unused)
{
	bool done[RIG_NEXUSES] = {0};
	struct rig rig;
	struct cmd cmd;
	struct tmf t;

	(void)unused;
	cache_open(&rig, true);
	CMD(&cmd, &rig, 0x35, 0x02, 0, 0, 0, 0, 0, 0, 0, 0);
	run_good(&cmd);
	tmf(&t, &rig, 0, SCSI_LOGICAL_UNIT_RESET, 0);
	for (unsigned i = 0; i < 2; i++) {
		scsi_nexus_free(rig.nexus[i], tmf_set, &done[i]);
		rig.nexus[i] = NULL;
	}
	lun_free(rig.lun, tmf_set, &done[2]);
	rig.lun = NULL;
	rig_drain(&rig);
	assert_false(t.done || done[0] || done[2]);
	spy_release_all(rig.spy);
	rig_drain(&rig);
	assert_true(t.done && done[0] && done[1] && done[2]);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 2);
	rig_close(&rig);
}

static void
a_store_without_a_cache_is_not_flushed_by_a_reset(void **unused)
{
	struct rig rig;
	struct tmf t;

	(void)unused;
	cache_open(&rig, false);
	tmf(&t, &rig, 0, SCSI_LOGICAL_UNIT_RESET, 0);
	assert_true(t.done);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 0);
	rig_close(&rig);
}

static void
two_functions_over_one_task_both_wait(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	struct tmf a, b;

	rig->spy->hold = true;
	write_of(&cmd, rig, 0, 1);
	cmd_execute(&cmd);
	tmf(&a, rig, 0, SCSI_ABORT_TASK, 1);
	tmf(&b, rig, 0, SCSI_LOGICAL_UNIT_RESET, 0);
	assert_false(a.done || b.done);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(a.done && b.done);
	assert_aborted(&cmd);
}

static void
a_later_abort_does_not_hold_an_earlier_function(void **state)
{
	struct rig *rig = *state;
	struct cmd a, b;
	struct tmf first, second;

	rig->spy->hold = true;
	write_of(&a, rig, 0, 1);
	cmd_execute(&a);
	write_of(&b, rig, 0, 2);
	cmd_execute(&b);
	tmf(&first, rig, 0, SCSI_ABORT_TASK, 1);
	tmf(&second, rig, 0, SCSI_ABORT_TASK, 2);
	spy_release(rig->spy);
	rig_drain(rig);
	assert_true(first.done);
	assert_false(second.done);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(second.done);
	assert_aborted(&a);
	assert_aborted(&b);
}

static void
queries_tell_what_is_there(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	struct tmf t;

	tmf(&t, rig, 0, SCSI_QUERY_TASK_SET, 0);
	assert_int_equal(t.request.response, SCSI_TMF_COMPLETE);
	write_of(&cmd, rig, 0, 6);
	tmf(&t, rig, 0, SCSI_QUERY_TASK_SET, 0);
	assert_int_equal(t.request.response, SCSI_TMF_SUCCEEDED);
	tmf(&t, rig, 0, SCSI_QUERY_TASK, 6);
	assert_int_equal(t.request.response, SCSI_TMF_SUCCEEDED);
	tmf(&t, rig, 0, SCSI_QUERY_TASK, 7);
	assert_int_equal(t.request.response, SCSI_TMF_COMPLETE);
	tmf(&t, rig, 1, SCSI_QUERY_TASK_SET, 0);
	assert_int_equal(t.request.response, SCSI_TMF_COMPLETE);
	scsi_task_drop(&cmd.task);

	tmf(&t, rig, 0, SCSI_QUERY_ASYNC_EVENT, 0);
	assert_int_equal(t.request.response, SCSI_TMF_COMPLETE);
	lun_capacity_changed(rig->lun);
	tmf(&t, rig, 0, SCSI_QUERY_ASYNC_EVENT, 0);
	assert_int_equal(t.request.response, SCSI_TMF_SUCCEEDED);
	assert_int_equal(t.request.additional, 0x162a09);
	rig_hears(rig, 0, &SENSE_CAPACITY_DATA_HAS_CHANGED);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(
		abort_of_a_task_at_the_store_is_answered_when_the_io_is_back),
	    rig_test(abort_of_a_begun_task_is_answered_at_once),
	    rig_test(abort_of_a_dormant_task_lets_it_leave_without_io),
	    rig_test(abort_of_a_task_waiting_for_buffers_gives_up_its_place),
	    rig_test(a_command_in_steps_stops_between_two),
	    rig_test(
		a_command_that_has_ended_but_is_not_told_yet_can_be_aborted),
	    rig_test(no_such_task_and_no_such_unit),
	    rig_test(clear_task_set_is_told_to_the_other_nexus),
	    rig_test(with_tas_the_other_nexus_gets_task_aborted),
	    rig_test(each_reset_is_told_by_its_name_and_brings_defaults_back),
	    rig_test(a_nexus_reset_is_told_to_that_nexus_only),
	    rig_test(a_target_reset_waits_for_every_unit),
	    cmocka_unit_test(
		a_reset_that_puts_the_cache_off_waits_for_the_flush),
	    cmocka_unit_test(
		a_reset_waits_for_a_flush_of_its_own_and_no_later_one),
	    cmocka_unit_test(a_unit_can_go_while_its_reset_flushes),
	    cmocka_unit_test(a_store_without_a_cache_is_not_flushed_by_a_reset),
	    rig_test(two_functions_over_one_task_both_wait),
	    rig_test(a_later_abort_does_not_hold_an_earlier_function),
	    rig_test(queries_tell_what_is_there),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
