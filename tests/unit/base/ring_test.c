/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Setting up a loop on older kernels, and moments that are hard to meet.  This
 * program's own versions of some liburing functions stand before the library's
 * and refuse what a given kernel does not know.  That says what we ask for and
 * how we go on without; it does not say how such a kernel behaves.
 */
#include "base/buf.h"
#include "base/loop.h"
#include "base/ring.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/base/support/one_loop.h"
#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/resource.h>

/* What the kernel of the running test lacks. */
static struct {
	int setup_error;
	unsigned setup_flags;
	unsigned features;
	bool files, buffers;
} lacks;

static unsigned flags_granted;

int
io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *params)
{
	int (*real)(unsigned, struct io_uring *, struct io_uring_params *) =
	    dlsym(RTLD_NEXT, "io_uring_queue_init_params");
	int ret;

	if (lacks.setup_error != 0)
		return lacks.setup_error;
	if ((params->flags & lacks.setup_flags) != 0)
		return -EINVAL;
	flags_granted = params->flags;
	ret = real(entries, ring, params);
	params->features &= ~lacks.features;
	return ret;
}

int
io_uring_register_files_sparse(struct io_uring *ring, unsigned count)
{
	int (*real)(struct io_uring *, unsigned) =
	    dlsym(RTLD_NEXT, "io_uring_register_files_sparse");

	return lacks.files ? -EINVAL : real(ring, count);
}

int
io_uring_register_buffers(
    struct io_uring *ring, const struct iovec *iovecs, unsigned count)
{
	int (*real)(struct io_uring *, const struct iovec *, unsigned) =
	    dlsym(RTLD_NEXT, "io_uring_register_buffers");

	return lacks.buffers ? -ENOMEM : real(ring, iovecs, count);
}

/* Posted when the loop has decided to block and before it does. */
static struct loop_task *late_post;

int
io_uring_submit_and_wait(struct io_uring *ring, unsigned count)
{
	int (*real)(struct io_uring *, unsigned) =
	    dlsym(RTLD_NEXT, "io_uring_submit_and_wait");
	struct loop_task *task = late_post;

	late_post = NULL;
	if (task != NULL)
		loop_post(one.loop, task);
	return real(ring, count);
}

static struct loop_io nop;

static void
expire_posts_stop(struct loop_timer *timer)
{
	(void)timer;
	loop_post(one.loop, &one.stop_task);
}

static struct loop_timer timer = {.expire = expire_posts_stop};

static void
nop_done(struct loop_io *io, int result, uint32_t flags)
{
	(void)io;
	(void)flags;
	assert_int_equal(result, 0);
	note('n');
	loop_timer_arm(one.loop, &timer, NSEC_PER_MSEC);
}

static void
submits_nop(struct loop_task *task)
{
	(void)task;
	loop_io_init(&nop, nop_done);
	io_uring_prep_nop(loop_sqe(one.loop, &nop));
}

/* I/O, a timer and a task in a row. */
static void
the_loop_works(void)
{
	assert_int_equal(one_loop_setup(NULL), 0);
	run_with(submits_nop);
	assert_string_equal(one.notes, "n");
	one_loop_teardown(NULL);
	memset(&lacks, 0, sizeof(lacks));
}

struct generation {
	const char *kernel;
	unsigned lacks;
	unsigned gets; /* exactly these, of the four */
};

#define DEFER  IORING_SETUP_DEFER_TASKRUN
#define SINGLE IORING_SETUP_SINGLE_ISSUER
#define COOP   IORING_SETUP_COOP_TASKRUN
#define ALL    IORING_SETUP_SUBMIT_ALL

static const struct generation generations[] = {
    {"6.1", 0, DEFER | SINGLE | COOP | ALL},
    {"6.0", DEFER, SINGLE | COOP | ALL},
    {"5.19", DEFER | SINGLE, COOP | ALL},
    {"5.18", DEFER | SINGLE | COOP, ALL},
    {"5.13", DEFER | SINGLE | COOP | ALL, 0},
};

static void
a_loop_works_on_every_generation_of_kernels(void **state)
{
	const unsigned four = DEFER | SINGLE | COOP | ALL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(generations); i++) {
		lacks.setup_flags = generations[i].lacks;
		the_loop_works();
		assert_int_equal(flags_granted & four, generations[i].gets);
	}
}

static void
a_kernel_too_old_is_refused(void **state)
{
	static const unsigned features[] = {
	    IORING_FEAT_EXT_ARG, IORING_FEAT_NODROP, IORING_FEAT_RSRC_TAGS};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		lacks.features = features[i];
		assert_int_equal(one_loop_setup(NULL), -ENOSYS);
	}
	lacks.features = 0;
	lacks.setup_error = -EINVAL;
	assert_int_equal(one_loop_setup(NULL), -ENOSYS);
	memset(&lacks, 0, sizeof(lacks));
}

static void
no_io_uring_and_forbidden_io_uring_are_told_apart(void **state)
{
	(void)state;
	lacks.setup_error = -ENOSYS;
	assert_int_equal(one_loop_setup(NULL), -ENOSYS);
	lacks.setup_error = -EPERM;
	assert_int_equal(one_loop_setup(NULL), -EPERM);
	memset(&lacks, 0, sizeof(lacks));
}

static int slot;

static void
registers_a_file(struct loop_task *task)
{
	(void)task;
	slot = loop_file_register(one.loop, 0);
	loop_stop(one.loop);
}

static void
without_a_file_table_every_file_is_one_too_many(void **state)
{
	(void)state;
	lacks.files = true;
	assert_int_equal(one_loop_setup(NULL), 0);
	run_with(registers_a_file);
	assert_int_equal(slot, -ENFILE);
	one_loop_teardown(NULL);
	lacks.files = true;
	the_loop_works();
}

static void
an_arena_that_was_not_registered_is_not_fixed(void **state)
{
	void *buf;

	(void)state;
	lacks.buffers = true;
	assert_int_equal(one_loop_setup(NULL), 0);
	buf = buf_get(one.loop->bufs, BUF_MIN);
	assert_non_null(buf);
	assert_false(buf_is_fixed(one.loop->bufs, buf, BUF_MIN));
	buf_put(one.loop->bufs, buf);
	one_loop_teardown(NULL);
	lacks.buffers = true;
	the_loop_works();
}

static void
registers_up_to_the_limit(struct loop_task *task)
{
	(void)task;
	for (int i = 0; i < 32; i++)
		assert_true(loop_file_register(one.loop, 0) >= 0);
	assert_int_equal(loop_file_register(one.loop, 0), -ENFILE);
	loop_stop(one.loop);
}

static void
the_file_table_respects_the_limit_of_open_files(void **state)
{
	struct rlimit before, few;

	(void)state;
	getrlimit(RLIMIT_NOFILE, &before);
	few = (struct rlimit){32, before.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	assert_int_equal(one_loop_setup(NULL), 0);
	setrlimit(RLIMIT_NOFILE, &before);
	run_with(registers_up_to_the_limit);
	one_loop_teardown(NULL);
}

static void
stops_late(struct loop_task *task)
{
	(void)task;
	late_post = &one.stop_task;
}

static void
a_post_just_before_the_loop_blocks_wakes_it(void **state)
{
	(void)state;
	assert_int_equal(one_loop_setup(NULL), 0);
	for (int i = 0; i < 100; i++)
		run_with(stops_late);
	one_loop_teardown(NULL);
}

#define NOPS 100

static struct loop_io nops[NOPS];
static unsigned nops_done;

static void
nop_counts(struct loop_io *io, int result, uint32_t flags)
{
	(void)io;
	(void)flags;
	assert_int_equal(result, 0);
	nops_done++;
}

/* 16 fit the completion queue: the eventfd's completion has no place in it. */
static void
fills_the_queue(struct loop_task *task)
{
	(void)task;
	for (int i = 0; i < NOPS; i++) {
		loop_io_init(&nops[i], nop_counts);
		io_uring_prep_nop(loop_sqe(one.loop, &nops[i]));
	}
	late_post = &one.stop_task;
}

/* The kernel ends a multishot poll whose completion it cannot queue. */
static void
the_wake_up_survives_a_full_completion_queue(void **state)
{
	(void)state;
	assert_int_equal(one_loop_setup_small(NULL), 0);
	for (int i = 0; i < 10; i++) {
		struct loop_task settle = {.run = stops_late};
		run_with(fills_the_queue);
		for (int turn = 0; turn < 10; turn++) {
			loop_post(one.loop, &settle);
			loop_run(one.loop);
		}
	}
	assert_int_equal(nops_done, 10 * NOPS);
	one_loop_teardown(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_loop_works_on_every_generation_of_kernels),
	    cmocka_unit_test(a_kernel_too_old_is_refused),
	    cmocka_unit_test(no_io_uring_and_forbidden_io_uring_are_told_apart),
	    cmocka_unit_test(without_a_file_table_every_file_is_one_too_many),
	    cmocka_unit_test(an_arena_that_was_not_registered_is_not_fixed),
	    cmocka_unit_test(the_file_table_respects_the_limit_of_open_files),
	    cmocka_unit_test(a_post_just_before_the_loop_blocks_wakes_it),
	    cmocka_unit_test(the_wake_up_survives_a_full_completion_queue),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
