/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The checker: what it refuses of callers and of implementations. */
#include "backstores/stores.h"
#include "base/simloop.h"
#include "tests/unit/backstores/support/drive.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/base/support/dies.h"
#include <errno.h>
#include <string.h>

static struct drive drive;
static struct backstore *bs;
static char buf[8192] __attribute__((aligned(4096)));
static struct iovec iov;
static struct bs_io io;

static void
ignore(struct bs_io *done, int result)
{
	(void)done, (void)result;
}

static int
setup(void **state)
{
	(void)state;
	drive_open_sim(&drive, 1);
	assert_int_equal(bs_mem_new(drive.loop, 1 << 20, 4096, &bs), 0);
	bs->mem_align = 512;
	bs_io_init(&io);
	iov = (struct iovec){buf, 4096};
	io.op = BS_WRITE;
	io.offset = 4096;
	io.length = 4096;
	io.iov = &iov;
	io.iov_count = 1;
	io.complete = ignore;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	drive_close_store(&drive, bs);
	drive_close(&drive);
	return 0;
}

static void
submit(void *arg)
{
	bs_submit(bs, arg);
}

static void
expect_death(struct bs_io bad)
{
	assert_true(dies(submit, &bad));
}

static void
test_a_proper_io_passes(void **state)
{
	(void)state;
	assert_false(dies(submit, &io));
	assert_int_equal(drive_io(&drive, bs, &io), 0);
	assert_int_equal(bs->ops_done[BS_WRITE], 1);
	assert_int_equal(bs->bytes_done[BS_WRITE], 4096);
	assert_int_equal(bs->in_flight, 0);
}

#define TEST_DIES(name, change)                                                \
	static void name(void **state)                                         \
	{                                                                      \
		struct bs_io bad = io;                                         \
		(void)state;                                                   \
		change;                                                        \
		expect_death(bad);                                             \
	}

/* clang-format off */
TEST_DIES(test_no_magic, bad.magic = 0)
TEST_DIES(test_no_callback, bad.complete = NULL)
TEST_DIES(test_in_flight_twice, bad.in_flight = true)
TEST_DIES(test_unknown_operation, bad.op = BS_OP_COUNT)
TEST_DIES(test_odd_offset, bad.offset = 512)
TEST_DIES(test_odd_length, (bad.length = 512, iov.iov_len = 512))
TEST_DIES(test_no_length, (bad.length = 0, bad.iov_count = 0))
TEST_DIES(test_past_the_end, bad.offset = 1 << 20)
TEST_DIES(test_across_the_end, (bad.offset = (1 << 20) - 4096, bad.length = 8192, iov.iov_len = 8192))
TEST_DIES(test_offset_that_wraps, bad.offset = UINT64_MAX - 4095)
TEST_DIES(test_no_iov, bad.iov_count = 0)
TEST_DIES(test_too_many_elements, bad.iov_count = BS_IOV_MAX + 1)
TEST_DIES(test_iov_of_another_length, iov.iov_len = 8192)
TEST_DIES(test_memory_out_of_line, iov.iov_base = buf + 8)
TEST_DIES(test_larger_than_the_store_takes, bs->max_io = 2048)
TEST_DIES(test_fua_of_a_read, (bad.op = BS_READ, bad.fua = true))
TEST_DIES(test_unmap_of_a_write, bad.may_unmap = true)
TEST_DIES(test_flush_of_a_range, bad.op = BS_FLUSH)
TEST_DIES(test_extents_without_an_array, bad.op = BS_EXTENTS)
/* clang-format on */

/* ---- implementations that break the contract ---- */

static int bad_result;

static void
submit_completing_at_once(struct backstore *store, struct bs_io *done)
{
	(void)store;
	bs_complete(done, 0);
}

static void
submit_with_bad_result(struct backstore *store, struct bs_io *done)
{
	(void)store;
	bs_complete_later(done, bad_result);
}

static void
submit_twice(struct backstore *store, struct bs_io *done)
{
	submit_with_bad_result(store, done);
	submit_with_bad_result(store, done);
}

static void
submit_with_a_gap(struct backstore *store, struct bs_io *done)
{
	(void)store;
	done->extents[0] = (struct bs_extent){
	    done->offset + 4096, done->length - 4096, BS_EXTENT_DATA};
	done->extent_count = 1;
	bs_complete_later(done, 0);
}

static void
submit_and_step(void *arg)
{
	struct backstore_ops ops = *bs->ops;

	ops.submit = (void (*)(struct backstore *, struct bs_io *))arg;
	bs->ops = &ops;
	bs_submit(bs, &io);
	while (simloop_step(drive.loop))
		;
}

static void
expect_implementation_dies(void (*f)(struct backstore *, struct bs_io *))
{
	assert_true(dies(submit_and_step, (void *)f));
}

static void
test_completing_inside_submit_is_caught(void **state)
{
	(void)state;
	expect_implementation_dies(submit_completing_at_once);
}

static void
test_a_foreign_errno_is_caught(void **state)
{
	(void)state;
	bad_result = -EINVAL;
	expect_implementation_dies(submit_with_bad_result);
	bad_result = 4096;
	expect_implementation_dies(submit_with_bad_result);
	bad_result = -ENOSPC;
	assert_false(dies(submit_and_step, (void *)submit_with_bad_result));
}

static void
test_completing_twice_is_caught(void **state)
{
	(void)state;
	bad_result = 0;
	expect_implementation_dies(submit_twice);
}

static void
test_extents_with_a_gap_are_caught(void **state)
{
	struct bs_extent extent;

	(void)state;
	io.op = BS_EXTENTS;
	io.length = 8192;
	io.extents = &extent;
	io.extent_max = 1;
	expect_implementation_dies(submit_with_a_gap);
}

/* ---- iovecs ---- */

static void
test_slices(void **state)
{
	char *p = buf;
	const struct iovec in[] = {{p, 100}, {p + 1000, 50}, {p + 2000, 200}};
	struct iovec out[3];

	(void)state;
	assert_int_equal(bs_iov_length(in, 3), 350);
	assert_int_equal(bs_iov_slice(in, 3, 0, 350, out, 3), 3);
	assert_memory_equal(in, out, sizeof(in));
	assert_int_equal(bs_iov_slice(in, 3, 90, 70, out, 3), 3);
	assert_ptr_equal(out[0].iov_base, p + 90);
	assert_int_equal(out[0].iov_len, 10);
	assert_int_equal(out[1].iov_len, 50);
	assert_int_equal(out[2].iov_len, 10);
	assert_int_equal(bs_iov_slice(in, 3, 100, 50, out, 1), 1);
	assert_ptr_equal(out[0].iov_base, p + 1000);
	assert_int_equal(bs_iov_slice(in, 3, 349, 1, out, 1), 1);
	assert_ptr_equal(out[0].iov_base, p + 2199);
	assert_int_equal(bs_iov_slice(in, 3, 350, 0, out, 1), 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_a_proper_io_passes),
	    T(test_no_magic),
	    T(test_no_callback),
	    T(test_in_flight_twice),
	    T(test_unknown_operation),
	    T(test_odd_offset),
	    T(test_odd_length),
	    T(test_no_length),
	    T(test_past_the_end),
	    T(test_across_the_end),
	    T(test_offset_that_wraps),
	    T(test_no_iov),
	    T(test_too_many_elements),
	    T(test_iov_of_another_length),
	    T(test_memory_out_of_line),
	    T(test_larger_than_the_store_takes),
	    T(test_fua_of_a_read),
	    T(test_unmap_of_a_write),
	    T(test_flush_of_a_range),
	    T(test_extents_without_an_array),
	    T(test_completing_inside_submit_is_caught),
	    T(test_a_foreign_errno_is_caught),
	    T(test_completing_twice_is_caught),
	    T(test_extents_with_a_gap_are_caught),
	    T(test_slices),
	};
#undef T

	return cmocka_run_group_tests_name("checker", tests, NULL, NULL);
}
