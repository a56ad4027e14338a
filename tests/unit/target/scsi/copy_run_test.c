/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A copy on its way: what it waits for, who waits for it, how it is given up,
 * and what is told of it meanwhile.  Not here: what is copied (copy_test.c).
 */
#include "base/simloop.h"
#include "target/scsi/copy.h"
#include "tests/unit/target/scsi/support/copy_list.h"

#define TAG 77u

static struct copy_list list;

static void
set_true(void *arg)
{
	*(bool *)arg = true;
}

static void
start(struct cmd *cmd, struct pair *pair, uint8_t id)
{
	copy_list_pair(&list, pair, id, 0, 1, 8192, 0, 0);
	pair->spy->hold = true;
	cmd_copy(cmd, &pair->rig, &list);
	cmd->task.tag = TAG;
	assert_true(cmd_begin(cmd));
	cmd_execute(cmd);
	rig_drain(&pair->rig);
	assert_false(cmd->done);
}

static void
its_identifier_is_taken_and_its_state_can_be_asked(void **state)
{
	struct pair *pair = *state;
	struct cmd cmd, again;

	start(&cmd, pair, 3);
	copy_expect(pair, 3, 0, 0, 0);
	cmd_copy(&again, &pair->rig, &list);
	run_sense(&again, OPERATION_IN_PROGRESS);
	spy_release(pair->spy);
	rig_drain(&pair->rig);
	copy_expect(pair, 3, 0, 0, 512);
	pair->spy->hold = false;
	spy_release_all(pair->spy);
	rig_drain(&pair->rig);
	assert_good(&cmd);
	cmd_release(&cmd);
}

static void
tmf_done(struct scsi_tmf_request *request)
{
	request->waiting = 99;
}

static struct scsi_tmf_request
abort_of(const struct pair *pair)
{
	return (struct scsi_tmf_request){
	    .nexus = pair->rig.nexus[0],
	    .function = SCSI_ABORT_TASK,
	    .tag = TAG,
	    .done = tmf_done,
	};
}

static void
it_is_aborted_after_the_piece_in_flight(void **state)
{
	struct pair *pair = *state;
	struct scsi_tmf_request tmf = abort_of(pair);
	struct cmd cmd;

	start(&cmd, pair, 3);
	scsi_tmf(&tmf);
	rig_drain(&pair->rig);
	assert_int_not_equal(tmf.waiting, 99);
	spy_release(pair->spy);
	rig_drain(&pair->rig);
	assert_int_equal(tmf.waiting, 99);
	assert_true(cmd.done && cmd.task.aborted);
	assert_int_equal(pair->spy->log_count, 1);
	cmd_release(&cmd);
	copy_expect(pair, 3, 2, 0, 0);
}

static void
a_unit_that_goes_ends_it_and_waits_for_the_piece(void **state)
{
	struct pair *pair = *state;
	struct scsi_nexus *nexus = pair->rig.nexus[0];
	bool unmapped = false;
	struct cmd cmd;

	start(&cmd, pair, 3);
	scsi_nexus_unmap(nexus, 1, false, set_true, &unmapped);
	rig_drain(&pair->rig);
	assert_false(unmapped);
	spy_release(pair->spy);
	rig_drain(&pair->rig);
	assert_true(unmapped);
	assert_sense(&cmd, COPY_TARGET_NOT_REACHABLE);
	cmd_release(&cmd);
}

/* ---- beside what has to be alone ---- */

/* Of the unit's first block. */
static void
compare_and_write(struct cmd *cmd, struct pair *pair, unsigned unit)
{
	static const uint8_t data[2 * 4096];
	const struct lun *lun = unit == 0 ? pair->rig.lun : pair->lun;

	CMD(cmd, &pair->rig, 0x89, 0, BE64(0ull), 0, 0, 0, 1, 0, 0);
	cmd->task.lun_field[1] = (uint8_t)unit;
	cmd_out(cmd, data, 2ull * lun->bs->block_size);
}

static void
compare_and_write_second(struct cmd *cmd, struct pair *pair, unsigned which)
{
	(void)which;
	compare_and_write(cmd, pair, 1);
}

static void
atomic_open(struct pair *pair)
{
	pair->spy->bs.atomic_max = RIG_ATOMIC_MAX;
	pair->spy->bs.atomic_unit = RIG_ATOMIC_UNIT;
}

static void
write_atomic(struct cmd *cmd, struct pair *pair, unsigned which)
{
	static const uint8_t data[4096];

	CMD(cmd, &pair->rig, 0x9c, 0, BE64((uint64_t)which), 0, 0, BE16(1), 0,
	    0);
	cmd->task.lun_field[1] = 1;
	cmd_out(cmd, data, sizeof(data));
}

static void
send(struct cmd *cmd)
{
	assert_true(cmd_begin(cmd));
	cmd_execute(cmd);
	rig_drain(cmd->rig);
}

static void
end_well(struct cmd *cmds, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		assert_true(cmds[i].done);
		assert_good(&cmds[i]);
		cmd_release(&cmds[i]);
	}
}

/* Two at any time, one I/O of the store after the other, until the copy is
 * done: how many ended meanwhile. */
static unsigned
ended_beside(struct pair *pair, struct cmd *copied,
    void (*make)(struct cmd *cmd, struct pair *pair, unsigned which))
{
	struct cmd cmds[2];
	unsigned ended = 0;

	for (unsigned i = 0; i < 2; i++) {
		make(&cmds[i], pair, i);
		send(&cmds[i]);
	}
	while (!copied->done) {
		assert_true(ended < 100);
		assert_true(spy_release(pair->spy));
		rig_drain(&pair->rig);
		for (unsigned i = 0; i < 2; i++) {
			if (!cmds[i].done)
				continue;
			ended++;
			cmd_release(&cmds[i]);
			make(&cmds[i], pair, i);
			send(&cmds[i]);
		}
	}
	spy_release_all(pair->spy);
	rig_drain(&pair->rig);
	end_well(cmds, 2);
	return ended;
}

/* Eight pieces, and what has to be alone between any two of them. */
static void
pieces_and_what_has_to_be_alone_take_turns(void **state)
{
	static const struct {
		void (*make)(
		    struct cmd *cmd, struct pair *pair, unsigned which);
		unsigned ended; /* at once */
	} kinds[] = {{compare_and_write_second, 1}, {write_atomic, 2}};
	struct pair *pair = *state;
	struct cmd cmd;

	atomic_open(pair);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		start(&cmd, pair, 3);
		assert_int_equal(ended_beside(pair, &cmd, kinds[i].make),
		    7 * kinds[i].ended);
		assert_good(&cmd);
		cmd_release(&cmd);
		assert_false(pair->lun->copies_first);
		assert_int_equal(pair->lun->copy_pieces, 0);
	}
}

/* In the set of the unit that the copy's command came to. */
static void
nothing_but_ordered_waits_for_the_whole_copy(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	struct cmd cmd, alone, ordered;

	start(&cmd, pair, 3);
	compare_and_write(&alone, pair, 0);
	send(&alone);
	CMD(&ordered, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	ordered.task.attribute = SCSI_ORDERED;
	send(&ordered);
	assert_false(alone.done); /* the piece in flight */
	assert_true(spy_release(pair->spy));
	rig_drain(rig);
	assert_true(alone.done);
	assert_false(cmd.done);
	assert_int_equal(spy_count(pair->spy, BS_ZERO), 2);
	cmd_release(&alone);
	for (unsigned piece = 2; piece <= 8; piece++) {
		assert_false(ordered.done);
		assert_true(spy_release(pair->spy));
		rig_drain(rig);
	}
	end_well(&cmd, 1);
	end_well(&ordered, 1);
}

/* ---- nothing waits for what waits for it ---- */

/* Of two pieces, the first of which is on its way; then two in the first unit
 * that have to be alone. */
static void
copy_begins_before_two(
    struct pair *pair, struct cmd *copied, unsigned to, struct cmd alone[2])
{
	pair->spy->hold = pair->rig.spy->hold = true;
	copy_list_pair(&list, pair, 1, 0, to, 2048, 0, 2048);
	cmd_copy(copied, &pair->rig, &list);
	send(copied);
	for (unsigned i = 0; i < 2; i++) {
		compare_and_write(&alone[i], pair, 0);
		send(&alone[i]);
	}
	assert_int_equal(pair->rig.spy->log_count, 1);
}

static void
stores_go(struct pair *pair)
{
	while (spy_release(pair->rig.spy) || spy_release(pair->spy))
		rig_drain(&pair->rig);
}

static void
a_copy_within_a_unit_does_not_wait_for_itself(void **state)
{
	struct pair *pair = *state;
	struct cmd copied, alone[2];

	copy_begins_before_two(pair, &copied, 0, alone);
	stores_go(pair);
	end_well(&copied, 1);
	end_well(alone, 2);
}

/* The first has the leave of the first unit, and has not asked for the second's
 * yet, when the other copy comes, and what has to be alone in the second. */
static void
copies_that_go_both_ways_do_not_wait_for_each_other(void **state)
{
	struct pair *pair = *state;
	struct cmd copies[2], alone[3];

	copy_begins_before_two(pair, &copies[0], 1, alone);
	while (spy_count(pair->rig.spy, BS_WRITE) == 0) {
		assert_true(
		    spy_release(pair->rig.spy) || spy_release(pair->spy));
		rig_drain(&pair->rig);
	}
	assert_true(spy_release(pair->rig.spy));
	while (pair->rig.lun->copy_pieces == 0)
		assert_true(simloop_step(pair->rig.loop));
	copy_list_pair(&list, pair, 2, 1, 0, 256, 0, 4096);
	cmd_copy(&copies[1], &pair->rig, &list);
	copies[1].task.lun_field[1] = 1;
	compare_and_write(&alone[2], pair, 1);
	assert_true(cmd_begin(&copies[1]) && cmd_begin(&alone[2]));
	cmd_execute(&copies[1]);
	cmd_execute(&alone[2]);
	rig_drain(&pair->rig);
	stores_go(pair);
	end_well(copies, 2);
	end_well(alone, 3);
}

/* Takes all buffers that are large enough for a piece. */
static unsigned
take_buffers(struct pair *pair, void **taken, unsigned most)
{
	struct buf_pool *bufs = pair->rig.loop->bufs;
	unsigned count = 0;

	while ((taken[count] = buf_get(bufs, COPY_PIECE / 2)) != NULL)
		assert_true(++count < most);
	buf_put(bufs, taken[--count]);
	return count;
}

/* Those who have the buffers may be waiting for what has to be alone. */
static void
a_piece_that_waits_for_a_buffer_keeps_nobody_waiting(void **state)
{
	struct pair *pair = *state;
	struct cmd cmds[3];
	void *taken[512];
	unsigned count = take_buffers(pair, taken, ARRAY_SIZE(taken));

	copy_list_pair(&list, pair, 1, 0, 1, 8192, 0, 0);
	cmd_copy(&cmds[2], &pair->rig, &list);
	send(&cmds[2]);
	assert_int_equal(pair->rig.spy->log_count, 0);
	for (unsigned i = 0; i < 2; i++) {
		compare_and_write(&cmds[i], pair, i);
		send(&cmds[i]);
	}
	end_well(cmds, 2);
	assert_false(cmds[2].done);
	while (count > 0)
		buf_put(pair->rig.loop->bufs, taken[--count]);
	rig_drain(&pair->rig);
	end_well(&cmds[2], 1);
}

/* ---- limits ---- */

static void
limit(struct lun *lun, uint64_t bps)
{
	lun_limits_set(lun, &(struct lun_limits){.bps = bps, .bps_burst = bps});
}

/* 8192 blocks, in eight pieces. */
static void
run_for(struct pair *pair, struct cmd *cmd, uint64_t seconds)
{
	spy_forget(pair->spy);
	copy_list_pair(&list, pair, 1, 0, 1, 8192, 0, 0);
	cmd_copy(cmd, &pair->rig, &list);
	cmd->task.tag = TAG;
	assert_true(cmd_begin(cmd));
	cmd_execute(cmd);
	rig_pass(&pair->rig, seconds * NSEC_PER_SEC + NSEC_PER_MSEC);
}

static void
each_unit_is_charged_for_what_it_moves(void **state)
{
	struct pair *pair = *state;
	struct cmd cmd;

	rig_fill(&pair->rig, 0, 8192, 'a');
	for (unsigned which = 0; which < 2; which++) {
		struct lun *lun = which == 0 ? pair->rig.lun : pair->lun;
		run_for(pair, &cmd, 0); /* without limits it is done at once */
		assert_true(cmd.done);
		cmd_release(&cmd);
		limit(lun, 512 << 10);
		run_for(pair, &cmd, 0);
		assert_int_equal(spy_count(pair->spy, BS_WRITE), 1);
		rig_pass(&pair->rig, 3 * NSEC_PER_SEC);
		assert_int_equal(spy_count(pair->spy, BS_WRITE), 4);
		rig_drain(&pair->rig);
		assert_true(cmd.done);
		assert_good(&cmd);
		cmd_release(&cmd);
		limit(lun, 0);
	}
}

static void
what_waits_for_a_limit_is_aborted_at_once(void **state)
{
	struct pair *pair = *state;
	struct scsi_tmf_request tmf = abort_of(pair);
	struct cmd cmd;

	rig_fill(&pair->rig, 0, 8192, 'a');
	limit(pair->lun, 512 << 10);
	run_for(pair, &cmd, 1);
	assert_false(cmd.done);
	scsi_tmf(&tmf);
	rig_pass(&pair->rig, NSEC_PER_MSEC);
	assert_int_equal(tmf.waiting, 99);
	assert_true(cmd.done && cmd.task.aborted);
	cmd_release(&cmd);
	assert_false(loop_timer_armed(&pair->lun->throttle.timer));
}

/* Its list and what it has to know, but no piece. */
static void
what_waits_for_a_limit_holds_no_piece(void **state)
{
	struct pair *pair = *state;
	struct buf_pool *bufs = pair->rig.loop->bufs;
	struct cmd cmds[4];

	rig_fill(&pair->rig, 0, 8192, 'a');
	limit(pair->lun, 512 << 10);
	uint64_t before = buf_pool_free_bytes(bufs);
	for (unsigned i = 0; i < ARRAY_SIZE(cmds); i++) {
		copy_list_pair(&list, pair, (uint8_t)(i + 1), 0, 1, 8192, 0, 0);
		cmd_copy(&cmds[i], &pair->rig, &list);
		assert_true(cmd_begin(&cmds[i]));
		cmd_execute(&cmds[i]);
		rig_pass(&pair->rig, NSEC_PER_MSEC);
	}
	assert_int_equal(spy_count(pair->spy, BS_WRITE), 1);
	assert_in_range(before - buf_pool_free_bytes(bufs), 1, COPY_PIECE - 1);
	rig_drain(&pair->rig);
	end_well(cmds, ARRAY_SIZE(cmds));
}

static void
a_unit_that_goes_ends_what_waits_for_its_limits(void **state)
{
	struct pair *pair = *state;
	bool unmapped = false;
	struct cmd cmd;

	rig_fill(&pair->rig, 0, 8192, 'a');
	limit(pair->lun, 512 << 10);
	run_for(pair, &cmd, 1);
	scsi_nexus_unmap(pair->rig.nexus[0], 1, false, set_true, &unmapped);
	rig_pass(&pair->rig, NSEC_PER_MSEC);
	assert_true(unmapped);
	assert_sense(&cmd, COPY_TARGET_NOT_REACHABLE);
	cmd_release(&cmd);
}

/* ---- given up where it waits ---- */

/* COPY OPERATION ABORT of the one that start() or run_for() began. */
static void
is_given_up(struct pair *pair, struct cmd *copied)
{
	struct cmd cmd;

	CMD(&cmd, &pair->rig, 0x83, 0x1c, BE32(1), 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0);
	assert_false(copied->done);
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_pass(&pair->rig, NSEC_PER_MSEC);
	assert_true(cmd.done);
	assert_good(&cmd);
	cmd_release(&cmd);
	assert_true(copied->done);
	assert_sense(copied, COPY_ABORTED);
	cmd_release(copied);
}

static void
what_waits_for_a_limit_is_given_up_at_once(void **state)
{
	struct pair *pair = *state;
	struct cmd cmd;

	rig_fill(&pair->rig, 0, 8192, 'a');
	limit(pair->lun, 512 << 10);
	run_for(pair, &cmd, 1);
	is_given_up(pair, &cmd);
	copy_expect(pair, 1, 2, 0, 1024);
	assert_false(loop_timer_armed(&pair->lun->throttle.timer));
}

static void
what_waits_for_its_unit_is_given_up_at_once(void **state)
{
	struct pair *pair = *state;
	struct cmd cmd, alone;

	start(&cmd, pair, 1);
	compare_and_write(&alone, pair, 1);
	send(&alone);
	assert_true(spy_release(pair->spy));
	rig_drain(&pair->rig);
	assert_false(list_empty(&pair->lun->copies));
	is_given_up(pair, &cmd);
	assert_true(list_empty(&pair->lun->copies));
	spy_release_all(pair->spy);
	rig_drain(&pair->rig);
	assert_good(&alone);
	cmd_release(&alone);
	copy_expect(pair, 1, 2, 0, 512);
}

/* It had a turn coming, and others held back. */
static void
what_is_given_up_leaves_its_turn_to_others(void **state)
{
	struct pair *pair = *state;
	struct cmd cmd, atomic[3];

	atomic_open(pair);
	start(&cmd, pair, 1);
	for (unsigned i = 0; i < 2; i++) {
		write_atomic(&atomic[i], pair, i);
		send(&atomic[i]);
	}
	for (unsigned i = 0; i < 2; i++) { /* the piece, and one of them */
		assert_true(spy_release(pair->spy));
		rig_drain(&pair->rig);
	}
	assert_true(pair->lun->copies_first);
	write_atomic(&atomic[2], pair, 2);
	send(&atomic[2]);
	assert_int_equal(spy_count(pair->spy, BS_WRITE), 2);
	is_given_up(pair, &cmd);
	assert_int_equal(spy_count(pair->spy, BS_WRITE), 3);
	spy_release_all(pair->spy);
	rig_drain(&pair->rig);
	end_well(atomic, 3);
}

static void
what_waits_for_a_buffer_is_given_up_at_once(void **state)
{
	struct pair *pair = *state;
	struct cmd cmd;
	void *taken[512];
	unsigned count = take_buffers(pair, taken, ARRAY_SIZE(taken));

	start(&cmd, pair, 1);
	assert_int_equal(pair->rig.spy->log_count, 0);
	is_given_up(pair, &cmd);
	while (count > 0)
		buf_put(pair->rig.loop->bufs, taken[--count]);
	copy_expect(pair, 1, 2, 0, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    pair_test(its_identifier_is_taken_and_its_state_can_be_asked),
	    pair_test(it_is_aborted_after_the_piece_in_flight),
	    pair_test(a_unit_that_goes_ends_it_and_waits_for_the_piece),
	    pair_test(pieces_and_what_has_to_be_alone_take_turns),
	    pair_test(nothing_but_ordered_waits_for_the_whole_copy),
	    pair_test(a_copy_within_a_unit_does_not_wait_for_itself),
	    pair_test(copies_that_go_both_ways_do_not_wait_for_each_other),
	    pair_test(a_piece_that_waits_for_a_buffer_keeps_nobody_waiting),
	    pair_test(each_unit_is_charged_for_what_it_moves),
	    pair_test(what_waits_for_a_limit_is_aborted_at_once),
	    pair_test(what_waits_for_a_limit_holds_no_piece),
	    pair_test(a_unit_that_goes_ends_what_waits_for_its_limits),
	    pair_test(what_waits_for_a_limit_is_given_up_at_once),
	    pair_test(what_waits_for_its_unit_is_given_up_at_once),
	    pair_test(what_is_given_up_leaves_its_turn_to_others),
	    pair_test(what_waits_for_a_buffer_is_given_up_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
