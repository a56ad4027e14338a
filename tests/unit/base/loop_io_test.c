/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I/O through the real loop: completions, cancelling, full queues, registered
 * files and buffers.
 */
#include "base/buf.h"
#include "base/loop.h"
#include "base/ring.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/base/support/dies.h"
#include "tests/unit/base/support/one_loop.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static struct loop_io io;
static int calls, last_result;

static struct loop_stats
stats(void)
{
	struct loop_stats s;

	loop_stats_get(one.loop, &s);
	return s;
}

static void
io_done_stops(struct loop_io *done, int result, uint32_t flags)
{
	(void)done;
	assert_int_equal(flags & IORING_CQE_F_MORE, 0);
	calls++;
	last_result = result;
	loop_stop(one.loop);
}

static void
io_reset(void)
{
	calls = 0;
	last_result = 0;
	loop_io_init(&io, io_done_stops);
}

/* ---- many at once ---- */

#define NOPS 1000

static struct loop_io nops[NOPS];

static void
nop_done(struct loop_io *nop, int result, uint32_t flags)
{
	(void)flags;
	assert_int_equal(result, 0);
	assert_false(nop->in_flight);
	if (++calls == NOPS)
		loop_stop(one.loop);
}

static void
submits_nops(struct loop_task *task)
{
	(void)task;
	for (int i = 0; i < NOPS; i++) {
		loop_io_init(&nops[i], nop_done);
		io_uring_prep_nop(loop_sqe(one.loop, &nops[i]));
		assert_true(nops[i].in_flight);
	}
}

/* 4 submission entries, 16 completion entries. */
static void
full_queues_lose_nothing(void **state)
{
	(void)state;
	calls = 0;
	run_with(submits_nops);
	assert_int_equal(calls, NOPS);
	for (int i = 0; i < NOPS; i++)
		assert_false(nops[i].in_flight);
}

static void *
posts_the_stop(void *unused)
{
	(void)unused;
	usleep(10000); /* until the loop is blocked */
	loop_post(one.loop, &one.stop_task);
	return NULL;
}

static void
a_loop_can_be_woken_after_its_completion_queue_was_full(void **state)
{
	pthread_t thread;

	(void)state;
	calls = 0;
	for (int i = 0; i < 3; i++) {
		calls = 0;
		run_with(submits_nops);
		pthread_create(&thread, NULL, posts_the_stop, NULL);
		loop_run(one.loop);
		pthread_join(thread, NULL);
	}
}

static void
submits_20_nops(struct loop_task *task)
{
	(void)task;
	calls = NOPS - 20;
	for (int i = 0; i < 20; i++) {
		loop_io_init(&nops[i], nop_done);
		io_uring_prep_nop(loop_sqe(one.loop, &nops[i]));
	}
}

static void
a_turn_is_one_system_call_for_all_its_io(void **state)
{
	(void)state;
	run_with(submits_20_nops);
	assert_int_equal(calls, NOPS);
	assert_int_equal(stats().turns, 1);
	assert_int_equal(stats().syscalls, 1);
	assert_int_equal(stats().sqes, 21); /* and the eventfd's poll */
	assert_int_equal(stats().cqes, 20);
}

/* ---- one at a time ---- */

static int pipe_fds[2];
static char byte;

static void
reads_pipe(struct loop_task *task)
{
	(void)task;
	io_uring_prep_read(loop_sqe(one.loop, &io), pipe_fds[0], &byte, 1, 0);
}

static void
an_error_of_the_kernel_is_the_result(void **state)
{
	(void)state;
	io_reset();
	pipe_fds[0] = -1;
	run_with(reads_pipe);
	assert_int_equal(calls, 1);
	assert_int_equal(last_result, -EBADF);
}

static void
cancels_io(struct loop_timer *timer)
{
	(void)timer;
	loop_cancel(one.loop, &io);
}

static struct loop_timer cancel_timer = {.expire = cancels_io};

static void
reads_pipe_and_cancels_later(struct loop_task *task)
{
	reads_pipe(task);
	loop_timer_arm(one.loop, &cancel_timer, NSEC_PER_MSEC);
}

static void
a_cancelled_read_completes_once_as_cancelled(void **state)
{
	(void)state;
	io_reset();
	assert_int_equal(pipe(pipe_fds), 0);
	run_with(reads_pipe_and_cancels_later);
	assert_int_equal(calls, 1);
	assert_int_equal(last_result, -ECANCELED);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void
reads_pipe_and_cancels_at_once(struct loop_task *task)
{
	reads_pipe(task);
	loop_cancel(one.loop, &io);
}

static void
io_can_be_cancelled_in_the_turn_that_submits_it(void **state)
{
	(void)state;
	io_reset();
	assert_int_equal(pipe(pipe_fds), 0);
	run_with(reads_pipe_and_cancels_at_once);
	assert_int_equal(calls, 1);
	assert_int_equal(last_result, -ECANCELED);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void
nops_and_cancels(struct loop_task *task)
{
	(void)task;
	io_uring_prep_nop(loop_sqe(one.loop, &io));
	loop_cancel(one.loop, &io);
}

static void
a_cancel_that_comes_late_leaves_the_true_result(void **state)
{
	(void)state;
	io_reset();
	run_with(nops_and_cancels);
	assert_int_equal(calls, 1);
	assert_int_equal(last_result, 0);
}

static void
run_and_leave_io(void *unused)
{
	(void)unused;
	io_reset();
	if (pipe(pipe_fds) < 0 || one_loop_setup(NULL) < 0)
		return;
	loop_post(one.loop, &one.stop_task);
	run_with(reads_pipe);
	loop_free(one.loop);
}

static void
a_loop_is_not_freed_with_io_in_flight(void **state)
{
	(void)state;
	assert_true(dies(run_and_leave_io, NULL));
}

static void
submits_same_io_twice(struct loop_task *task)
{
	reads_pipe(task);
	reads_pipe(task);
}

static void
run_same_io_twice(void *unused)
{
	(void)unused;
	io_reset();
	if (one_loop_setup(NULL) < 0)
		return;
	run_with(submits_same_io_twice);
}

static void
an_io_in_flight_is_not_submitted_again(void **state)
{
	(void)state;
	assert_true(dies(run_same_io_twice, NULL));
}

/* ---- more than one completion of one SQE ---- */

static int more_seen;

static void
poll_done(struct loop_io *poll, int result, uint32_t flags)
{
	(void)result;
	if ((flags & IORING_CQE_F_MORE) != 0) {
		assert_true(poll->in_flight);
		if (++more_seen == 2)
			loop_cancel(one.loop, poll);
		else
			assert_int_equal(write(pipe_fds[1], "y", 1), 1);
		return;
	}
	assert_false(poll->in_flight);
	loop_stop(one.loop);
}

static void
polls_pipe(struct loop_task *task)
{
	(void)task;
	io_uring_prep_poll_multishot(
	    loop_sqe(one.loop, &io), pipe_fds[0], POLLIN);
}

static void
a_multishot_io_stays_in_flight_until_its_last_completion(void **state)
{
	(void)state;
	more_seen = 0;
	loop_io_init(&io, poll_done);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	run_with(polls_pipe);
	assert_int_equal(more_seen, 2);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

/* ---- registered files and buffers ---- */

static int slots[RING_FILES_MAX];

static void
fills_the_table(struct loop_task *task)
{
	(void)task;
	for (unsigned i = 0; i < RING_FILES_MAX; i++) {
		slots[i] = loop_file_register(one.loop, pipe_fds[0]);
		assert_in_range(slots[i], 0, RING_FILES_MAX - 1);
	}
	assert_int_equal(loop_file_register(one.loop, pipe_fds[0]), -ENFILE);
	loop_file_unregister(one.loop, slots[500]);
	assert_int_equal(loop_file_register(one.loop, pipe_fds[0]), slots[500]);
	assert_int_equal(loop_file_register(one.loop, pipe_fds[0]), -ENFILE);
	for (unsigned i = 0; i < RING_FILES_MAX; i++)
		loop_file_unregister(one.loop, slots[i]);
	loop_stop(one.loop);
}

static void
a_full_file_table_says_enfile_until_a_slot_is_given_back(void **state)
{
	(void)state;
	assert_int_equal(pipe(pipe_fds), 0);
	run_with(fills_the_table);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void
reads_fixed_pipe(struct loop_task *task)
{
	struct io_uring_sqe *sqe;

	(void)task;
	slots[0] = loop_file_register(one.loop, pipe_fds[0]);
	assert_true(slots[0] >= 0);
	sqe = loop_sqe(one.loop, &io);
	io_uring_prep_read(sqe, slots[0], &byte, 1, 0);
	sqe->flags |= IOSQE_FIXED_FILE;
}

static void
a_registered_file_is_read_by_its_slot(void **state)
{
	(void)state;
	io_reset();
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(write(pipe_fds[1], "x", 1), 1);
	run_with(reads_fixed_pipe);
	assert_int_equal(last_result, 1);
	assert_int_equal(byte, 'x');
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void
registers_a_closed_file(struct loop_task *task)
{
	(void)task;
	assert_int_equal(loop_file_register(one.loop, 9999), -EBADF);
	slots[0] = loop_file_register(one.loop, STDERR_FILENO);
	assert_true(slots[0] >= 0);
	loop_file_unregister(one.loop, slots[0]);
	loop_stop(one.loop);
}

static void
a_file_that_cannot_be_registered_costs_no_slot(void **state)
{
	(void)state;
	run_with(registers_a_closed_file);
}

static uint8_t *fixed;

static void
writes_fixed(struct loop_task *task)
{
	(void)task;
	io_uring_prep_write_fixed(
	    loop_sqe(one.loop, &io), pipe_fds[1], fixed, BUF_MIN, 0, 0);
}

static void
the_arena_is_fixed_buffer_0(void **state)
{
	char back[BUF_MIN];

	(void)state;
	io_reset();
	fixed = buf_get(one.loop->bufs, BUF_MIN);
	assert_non_null(fixed);
	if (!buf_is_fixed(one.loop->bufs, fixed, BUF_MIN)) {
		buf_put(one.loop->bufs, fixed);
		skip(); /* RLIMIT_MEMLOCK */
	}
	memset(fixed, 0x5a, BUF_MIN);
	assert_int_equal(pipe(pipe_fds), 0);
	run_with(writes_fixed);
	assert_int_equal(last_result, BUF_MIN);
	assert_int_equal(read(pipe_fds[0], back, BUF_MIN), BUF_MIN);
	assert_memory_equal(back, fixed, BUF_MIN);
	buf_put(one.loop->bufs, fixed);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    one_small_loop_test(full_queues_lose_nothing),
	    one_small_loop_test(
		a_loop_can_be_woken_after_its_completion_queue_was_full),
	    one_loop_test(a_turn_is_one_system_call_for_all_its_io),
	    one_loop_test(an_error_of_the_kernel_is_the_result),
	    one_loop_test(a_cancelled_read_completes_once_as_cancelled),
	    one_loop_test(io_can_be_cancelled_in_the_turn_that_submits_it),
	    one_loop_test(a_cancel_that_comes_late_leaves_the_true_result),
	    cmocka_unit_test(a_loop_is_not_freed_with_io_in_flight),
	    cmocka_unit_test(an_io_in_flight_is_not_submitted_again),
	    one_loop_test(
		a_multishot_io_stays_in_flight_until_its_last_completion),
	    one_loop_test(
		a_full_file_table_says_enfile_until_a_slot_is_given_back),
	    one_loop_test(a_registered_file_is_read_by_its_slot),
	    one_loop_test(a_file_that_cannot_be_registered_costs_no_slot),
	    one_loop_test(the_arena_is_fixed_buffer_0),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
