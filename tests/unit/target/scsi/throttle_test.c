/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits of a logical unit: the bucket by itself, then who waits, for how long,
 * in which order, and what ends the waiting, by the simulator's clock.  That
 * nothing waits for ever is for mix_test.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <stdlib.h>

#define MSEC NSEC_PER_MSEC

/* ---- the bucket ---- */

static void
a_bucket_holds_its_burst_and_fills_at_its_rate(void **unused)
{
	struct token_bucket b;

	(void)unused;
	token_bucket_init(&b, 100, 5);
	assert_true(token_bucket_has(&b, 5));
	token_bucket_take(&b, 5);
	assert_false(token_bucket_has(&b, 1));
	assert_int_equal(token_bucket_wait_ns(&b, 1), 10 * MSEC + 1);
	token_bucket_fill(&b, 10 * MSEC - 1);
	assert_false(token_bucket_has(&b, 1));
	token_bucket_fill(&b, 1);
	assert_true(token_bucket_has(&b, 1));
	assert_int_equal(token_bucket_wait_ns(&b, 1), 0);
	token_bucket_fill(&b, UINT64_MAX);
	token_bucket_take(&b, 5);
	assert_false(token_bucket_has(&b, 1));
}

static void
what_is_more_than_the_bucket_goes_when_it_is_full_and_is_paid_later(
    void **unused)
{
	struct token_bucket b;

	(void)unused;
	token_bucket_init(&b, 1000, 100);
	token_bucket_take(&b, 1);
	assert_false(token_bucket_has(&b, 5000));
	token_bucket_fill(&b, MSEC);
	token_bucket_take(&b, 5000);
	assert_int_equal(token_bucket_wait_ns(&b, 1), 4901 * MSEC + 1);
}

static void
a_limit_holds_at_both_ends_of_the_range(void **unused)
{
	struct token_bucket b;

	(void)unused;
	token_bucket_init(&b, LUN_BPS_MIN, 0);
	for (unsigned i = 0; i < 3; i++) {
		token_bucket_fill(&b, UINT64_MAX);
		token_bucket_take(&b, TOKENS_MAX);
	}
	assert_int_equal(token_bucket_wait_ns(&b, 1),
	    (TOKENS_MAX - LUN_BPS_MIN) / LUN_BPS_MIN * NSEC_PER_SEC +
		NSEC_PER_SEC / LUN_BPS_MIN + 1);
	token_bucket_init(&b, 1ull << 60, 1ull << 60);
	token_bucket_take(&b, TOKENS_MAX);
	assert_true(token_bucket_has(&b, TOKENS_MAX));
	token_bucket_init(&b, 1, 3600);
	token_bucket_take(&b, 3600);
	assert_int_equal(token_bucket_wait_ns(&b, 1), NSEC_PER_SEC + 1);
}

/* ---- the unit's ---- */

static struct lun_limits
iops(uint64_t rate, uint64_t burst)
{
	return (struct lun_limits){.iops = rate, .iops_burst = burst};
}

static void
limit(struct rig *rig, struct lun_limits limits)
{
	lun_limits_set(rig->lun, &limits);
}

static void
read_start(struct cmd *cmd, struct rig *rig, uint32_t lba,
    enum scsi_attribute attribute)
{
	CMD(cmd, rig, 0x28, 0, BE32(lba), 0, BE16(1), 0);
	cmd->task.attribute = attribute;
	assert_true(cmd_begin(cmd));
	cmd_execute(cmd);
}

static void
reads_start(struct cmd *cmds, struct rig *rig, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		read_start(&cmds[i], rig, i, SCSI_SIMPLE);
}

static unsigned
done_of(const struct cmd *cmds, unsigned count)
{
	unsigned done = 0;

	for (unsigned i = 0; i < count; i++)
		done += cmds[i].done;
	return done;
}

static void
all_end_well(struct cmd *cmds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(cmds[i].completions, 1);
		assert_good(&cmds[i]);
		cmd_release(&cmds[i]);
	}
}

static void
a_unit_without_limits_lets_all_go(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[32];

	reads_start(cmds, rig, 32);
	rig_pass(rig, 1);
	assert_int_equal(done_of(cmds, 32), 32);
	assert_int_equal(rig->lun->stat.throttled, 0);
	all_end_well(cmds, 32);
}

static void
a_burst_goes_at_once_and_the_rest_at_the_rate(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[12];

	limit(rig, iops(10, 4));
	reads_start(cmds, rig, 12);
	rig_pass(rig, MSEC);
	assert_int_equal(done_of(cmds, 12), 4);
	for (unsigned done = 4; done < 12; done++) {
		rig_pass(rig, 50 * MSEC);
		assert_int_equal(done_of(cmds, 12), done);
		rig_pass(rig, 50 * MSEC);
		assert_int_equal(done_of(cmds, 12), done + 1);
	}
	assert_int_equal(rig->lun->stat.throttled, 8);
	all_end_well(cmds, 12);
}

static void
over_time_the_rate_is_kept(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	unsigned done = 0;
	uint64_t begin = loop_now(rig->loop);

	limit(rig, iops(333, 1));
	while (loop_now(rig->loop) - begin < 10 * NSEC_PER_SEC) {
		CMD(&cmd, rig, 0x28, 0, BE32(1), 0, BE16(1), 0);
		run_good(&cmd);
		done++;
	}
	assert_in_range(done, 3329, 3332);
}

static void
bytes_are_limited_in_both_directions_together(void **state)
{
	struct rig *rig = *state;
	static const uint8_t data[8192];
	struct cmd cmds[3];
	uint16_t blocks = (uint16_t)(8192 / rig->block_size);

	limit(rig, (struct lun_limits){.bps = 81920, .bps_burst = 8192});
	CMD(&cmds[0], rig, 0x28, 0, BE32(0), 0, BE16(blocks), 0);
	CMD(&cmds[1], rig, 0x2a, 0, BE32(0), 0, BE16(blocks), 0);
	cmd_out(&cmds[1], data, sizeof(data));
	CMD(&cmds[2], rig, 0x28, 0, BE32(0), 0, BE16(blocks * 2), 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_true(cmd_begin(&cmds[i]));
		cmd_execute(&cmds[i]);
	}
	rig_pass(rig, 50 * MSEC);
	assert_int_equal(done_of(cmds, 3), 1);
	rig_pass(rig, 51 * MSEC);
	assert_int_equal(done_of(cmds, 3), 2);
	rig_pass(rig, 90 * MSEC);
	assert_int_equal(done_of(cmds, 3), 2);
	/* twice what the bucket holds: it goes when that is full */
	rig_pass(rig, 10 * MSEC);
	assert_int_equal(done_of(cmds, 3), 3);
	all_end_well(cmds, 3);
	/* and is paid for by the next */
	read_start(&cmds[0], rig, 0, SCSI_SIMPLE);
	rig_pass(rig, 90 * MSEC);
	assert_false(cmds[0].done);
	rig_pass(rig, 90 * MSEC);
	all_end_well(cmds, 1);
}

static void
what_is_not_about_the_medium_never_waits(void **state)
{
	struct rig *rig = *state;
	static const uint8_t cdbs[][10] = {
	    {0x00}, {0x12, 0, 0, 0, 96}, {0x35}, {0x25}, {0x1a, 0, 8, 0, 96}};
	struct cmd held, cmd;

	limit(rig, iops(1, 1));
	reads_start(&held, rig, 1);
	rig_pass(rig, MSEC);
	cmd_release(&held);
	reads_start(&held, rig, 1);
	for (size_t i = 0; i < ARRAY_SIZE(cdbs); i++) {
		cmd_init(&cmd, rig, cdbs[i], 10);
		assert_true(cmd_begin(&cmd));
		cmd_execute(&cmd);
		rig_pass(rig, 1);
		assert_true(cmd.done);
		assert_good(&cmd);
		cmd_release(&cmd);
	}
	assert_false(held.done);
	rig_drain(rig);
	all_end_well(&held, 1);
}

/* ---- order ---- */

/* The store's n-th read was of that LBA. */
static void
read_of(const struct rig *rig, unsigned n, uint32_t lba)
{
	assert_int_equal(spy_find(rig->spy, BS_READ, n)->offset, lba * 512);
}

static void
who_waits_goes_in_the_order_of_arrival(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[6];

	limit(rig, iops(100, 1));
	reads_start(cmds, rig, 6);
	rig_drain(rig);
	for (unsigned i = 0; i < 6; i++)
		read_of(rig, i, i);
	all_end_well(cmds, 6);
}

static void
head_of_queue_goes_before_those_that_wait(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[4];

	limit(rig, iops(100, 1));
	reads_start(cmds, rig, 3);
	read_start(&cmds[3], rig, 3, SCSI_HEAD_OF_QUEUE);
	rig_drain(rig);
	read_of(rig, 0, 0);
	read_of(rig, 1, 3);
	read_of(rig, 2, 1);
	read_of(rig, 3, 2);
	all_end_well(cmds, 4);
}

static void
ordered_still_waits_for_all_before_it_and_holds_all_behind(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[5];

	limit(rig, iops(100, 1));
	rig->spy->hold = true;
	reads_start(cmds, rig, 2);
	read_start(&cmds[2], rig, 2, SCSI_ORDERED);
	read_start(&cmds[3], rig, 3, SCSI_SIMPLE);
	rig_pass(rig, NSEC_PER_SEC); /* tokens for all */
	assert_int_equal(spy_count(rig->spy, BS_READ), 2);
	read_start(&cmds[4], rig, 4, SCSI_HEAD_OF_QUEUE);
	rig_pass(rig, NSEC_PER_SEC);
	read_of(rig, 2, 4);
	assert_int_equal(spy_count(rig->spy, BS_READ), 3);
	while (spy_release(rig->spy))
		continue;
	rig_pass(rig, 1);
	read_of(rig, 3, 2);
	assert_int_equal(spy_count(rig->spy, BS_READ), 4);
	spy_release_all(rig->spy);
	rig_drain(rig);
	read_of(rig, 4, 3);
	spy_release_all(rig->spy);
	rig_drain(rig);
	all_end_well(cmds, 5);
	assert_int_equal(rig->lun->dormant, 0);
}

/* One that waits for tokens does not run, so it is not in the way of an atomic
 * write that came later but may go, nor the reverse for ever. */
static void
an_atomic_write_and_what_waits_before_it_both_end(void **state)
{
	struct rig *rig = *state;
	static const uint8_t data[4096];
	struct cmd cmds[3];

	limit(rig, iops(100, 1));
	reads_start(cmds, rig, 2);
	CMD(&cmds[2], rig, 0x9c, 0, BE64(0ull), 0, 0, BE16(8), 0, 0);
	cmd_out(&cmds[2], data, sizeof(data));
	cmds[2].task.attribute = SCSI_HEAD_OF_QUEUE;
	assert_true(cmd_begin(&cmds[2]));
	cmd_execute(&cmds[2]);
	rig_drain(rig);
	all_end_well(cmds, 3);
}

/* ---- the end of waiting ---- */

static void
tmf_ended(struct scsi_tmf_request *request)
{
	request->additional = 1;
}

static void
tmf(struct rig *rig, enum scsi_tmf function, uint64_t tag)
{
	struct scsi_tmf_request request = {.nexus = rig->nexus[0],
	    .function = function,
	    .tag = tag,
	    .done = tmf_ended};

	scsi_tmf(&request);
	rig_pass(rig, 1);
	assert_true(request.response == SCSI_TMF_COMPLETE ||
		    request.response == SCSI_TMF_TASK_NOT_FOUND);
	assert_int_equal(request.additional, 1);
}

/* From 100 on. */
static void
tagged_reads_start(struct cmd *cmds, struct rig *rig, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		CMD(&cmds[i], rig, 0x28, 0, BE32(i), 0, BE16(1), 0);
		cmds[i].task.tag = 100 + i;
		assert_true(cmd_begin(&cmds[i]));
		cmd_execute(&cmds[i]);
	}
}

static void
abort_task_ends_one_that_waits_and_no_other(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[4];

	limit(rig, iops(100, 1));
	tagged_reads_start(cmds, rig, 4);
	tmf(rig, SCSI_ABORT_TASK, 101); /* the first that waits */
	assert_true(cmds[1].done && cmds[1].task.aborted);
	cmd_release(&cmds[1]);
	rig_drain(rig);
	assert_int_equal(spy_count(rig->spy, BS_READ), 3);
	read_of(rig, 1, 2);
	all_end_well(&cmds[0], 1);
	all_end_well(&cmds[2], 2);
}

/* What it waited already counts. */
static void
who_moves_up_goes_when_there_are_tokens(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[3];

	limit(rig, iops(10, 1));
	reads_start(cmds, rig, 1);
	tagged_reads_start(&cmds[1], rig, 2);
	rig_pass(rig, 60 * MSEC);
	tmf(rig, SCSI_ABORT_TASK, 100);
	cmd_release(&cmds[1]);
	rig_pass(rig, 39 * MSEC);
	assert_false(cmds[2].done);
	rig_pass(rig, 2 * MSEC);
	all_end_well(&cmds[2], 1);
	all_end_well(&cmds[0], 1);
}

static void
a_reset_drops_all_that_wait(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[5];

	limit(rig, iops(100, 1));
	reads_start(cmds, rig, 4);
	rig_pass(rig, 1);
	tmf(rig, SCSI_LOGICAL_UNIT_RESET, 0);
	for (unsigned i = 1; i < 4; i++) {
		assert_int_equal(cmds[i].completions, 1);
		assert_true(cmds[i].task.aborted);
		cmd_release(&cmds[i]);
	}
	all_end_well(cmds, 1);
	assert_false(loop_timer_armed(&rig->lun->throttle.timer));
	rig_clear_attentions(rig);
	/* what they would have cost is still there, what went is not */
	read_start(&cmds[4], rig, 4, SCSI_SIMPLE);
	rig_pass(rig, 5 * MSEC);
	assert_false(cmds[4].done);
	rig_pass(rig, 6 * MSEC);
	all_end_well(&cmds[4], 1);
}

static void
the_end_of_a_nexus_drops_its_own(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[4];

	limit(rig, iops(100, 1));
	for (unsigned i = 0; i < 4; i++) {
		CMD(&cmds[i], rig, 0x28, 0, BE32(i), 0, BE16(1), 0);
		cmds[i].task.nexus = rig->nexus[i % 2];
		assert_true(cmd_begin(&cmds[i]));
		cmd_execute(&cmds[i]);
	}
	scsi_nexus_free(rig->nexus[1], NULL, NULL);
	rig->nexus[1] = NULL;
	rig_drain(rig);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(cmds[i].completions, 1);
		assert_int_equal(cmds[i].task.aborted, i % 2);
		cmd_release(&cmds[i]);
	}
	assert_int_equal(spy_count(rig->spy, BS_READ), 2);
}

/* ---- changes ---- */

static void
a_change_is_for_those_that_wait_too(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[10];

	limit(rig, iops(1, 1));
	reads_start(cmds, rig, 10);
	rig_pass(rig, MSEC);
	assert_int_equal(done_of(cmds, 10), 1);
	limit(rig, iops(100, 2));
	rig_pass(rig, MSEC);
	assert_int_equal(done_of(cmds, 10), 3);
	rig_pass(rig, 25 * MSEC);
	assert_int_equal(done_of(cmds, 10), 5);
	limit(rig, iops(0, 0));
	rig_pass(rig, 1);
	assert_int_equal(done_of(cmds, 10), 10);
	all_end_well(cmds, 10);
	assert_false(loop_timer_armed(&rig->lun->throttle.timer));
}

static void
setting_what_is_set_already_gives_nothing(void **state)
{
	struct rig *rig = *state;
	struct cmd cmds[4];

	limit(rig, iops(10, 1));
	reads_start(cmds, rig, 4);
	for (unsigned i = 0; i < 5; i++)
		limit(rig, iops(10, 1));
	rig_pass(rig, MSEC);
	assert_int_equal(done_of(cmds, 4), 1);
	rig_drain(rig);
	all_end_well(cmds, 4);
}

static void
a_full_task_set_stays_full_while_they_wait(void **state)
{
	struct rig *rig = *state;
	struct cmd *cmds = calloc(LUN_TASKS_MAX + 1, sizeof(*cmds));

	assert_non_null(cmds);
	limit(rig, iops(1, 1));
	reads_start(cmds, rig, LUN_TASKS_MAX);
	CMD(&cmds[LUN_TASKS_MAX], rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	assert_int_equal(cmd_run(&cmds[LUN_TASKS_MAX]), SCSI_TASK_SET_FULL);
	cmd_release(&cmds[LUN_TASKS_MAX]);
	limit(rig, iops(0, 0));
	rig_drain(rig);
	all_end_well(cmds, LUN_TASKS_MAX);
	free(cmds);
}

static void
data_that_waits_takes_a_part_of_the_buffers_and_no_more(void **unused)
{
	static const uint8_t data[1 << 20];
	struct rig rig;
	struct cmd cmds[6], cmd;

	(void)unused;
	rig_open(&rig, &(struct rig_params){.buffers = 32u << 20});
	limit(&rig, iops(1, 1));
	for (unsigned i = 0; i < 5; i++) {
		CMD(&cmds[i], &rig, 0x2a, 0, BE32(0), 0, BE16(2048), 0);
		cmd_out(&cmds[i], data, sizeof(data));
		assert_true(cmd_begin(&cmds[i]));
		cmd_execute(&cmds[i]);
	}
	/* one went, four wait with an eighth of what there is */
	CMD(&cmd, &rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, 512);
	assert_int_equal(cmd_run(&cmd), SCSI_TASK_SET_FULL);
	cmd_release(&cmd);
	/* what brings no data is welcome */
	read_start(&cmds[5], &rig, 0, SCSI_SIMPLE);
	/* once one of them has gone there is room again */
	rig_pass(&rig, NSEC_PER_SEC + MSEC);
	assert_true(cmds[1].done);
	CMD(&cmd, &rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, 512);
	run_good(&cmd);
	all_end_well(cmds, 6);
	assert_int_equal(rig.lun->throttle.held_bytes, 0);
	rig_close(&rig);
}

/* All have begun, and ask for their Data-Out, before the first one has it. */
static void
data_that_is_still_to_come_is_counted_too(void **unused)
{
	static const uint8_t data[1 << 20];
	struct rig rig;
	struct cmd cmds[6];

	(void)unused;
	rig_open(&rig, &(struct rig_params){.buffers = 32u << 20});
	limit(&rig, iops(1, 1));
	for (unsigned i = 0; i < 6; i++) {
		CMD(&cmds[i], &rig, 0x2a, 0, BE32(0), 0, BE16(2048), 0);
		cmd_out(&cmds[i], data, sizeof(data));
		assert_int_equal(cmd_begin(&cmds[i]), i < 5);
	}
	assert_int_equal(cmds[5].task.status, SCSI_TASK_SET_FULL);
	cmd_release(&cmds[5]);
	assert_int_equal(rig.lun->throttle.held_bytes, 4 << 20);
	/* one whose host goes away makes room */
	scsi_task_drop(&cmds[4].task);
	assert_int_equal(rig.lun->throttle.held_bytes, 3 << 20);
	for (unsigned i = 0; i < 4; i++)
		cmd_execute(&cmds[i]);
	rig_drain(&rig);
	all_end_well(cmds, 4);
	assert_int_equal(rig.lun->throttle.held_bytes, 0);
	rig_close(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_bucket_holds_its_burst_and_fills_at_its_rate),
	    cmocka_unit_test(
		what_is_more_than_the_bucket_goes_when_it_is_full_and_is_paid_later),
	    cmocka_unit_test(a_limit_holds_at_both_ends_of_the_range),
	    rig_test(a_unit_without_limits_lets_all_go),
	    rig_test(a_burst_goes_at_once_and_the_rest_at_the_rate),
	    rig_test(over_time_the_rate_is_kept),
	    rig_tests(bytes_are_limited_in_both_directions_together),
	    rig_test(what_is_not_about_the_medium_never_waits),
	    rig_test(who_waits_goes_in_the_order_of_arrival),
	    rig_test(head_of_queue_goes_before_those_that_wait),
	    rig_test(
		ordered_still_waits_for_all_before_it_and_holds_all_behind),
	    rig_test(an_atomic_write_and_what_waits_before_it_both_end),
	    rig_test(abort_task_ends_one_that_waits_and_no_other),
	    rig_test(who_moves_up_goes_when_there_are_tokens),
	    rig_test(a_reset_drops_all_that_wait),
	    rig_test(the_end_of_a_nexus_drops_its_own),
	    rig_test(a_change_is_for_those_that_wait_too),
	    rig_test(setting_what_is_set_already_gives_nothing),
	    rig_test(a_full_task_set_stays_full_while_they_wait),
	    cmocka_unit_test(
		data_that_waits_takes_a_part_of_the_buffers_and_no_more),
	    cmocka_unit_test(data_that_is_still_to_come_is_counted_too),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
