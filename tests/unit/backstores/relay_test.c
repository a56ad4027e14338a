/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A relay reads what is below, on a loop of its own, until it is refused.
 *
 * Not covered: two threads; tests/unit/target has those, under TSan too.
 */
#include "backstores/relay.h"
#include "backstores/stores.h"
#include "tests/unit/backstores/support/drive.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MIB (1024 * 1024ull)

static struct drive drive;
static struct backstore *below, *bs;
static int verdict;
static unsigned judged, refuse_at; /* the n-th time; 0: never */
static uint8_t *buf;

static int
judge(void *arg)
{
	(void)arg;
	if (++judged == refuse_at)
		verdict = -ECANCELED;
	return verdict;
}

static int
setup(void **state)
{
	const struct relay_params params = {.judge = judge};
	struct relay_params mine = params;

	(void)state;
	verdict = 0;
	judged = refuse_at = 0;
	buf = drive_memory(64 * 1024);
	drive_open_sim(&drive, 1);
	assert_int_equal(bs_mem_new(drive.loop, MIB, 512, &below), 0);
	pattern_fill(buf, 64 * 1024, 0, 7);
	assert_int_equal(
	    drive_write(&drive, below, 0, buf, 64 * 1024, false), 0);
	mine.loop = drive.loop;
	mine.below = below;
	bs = relay_new(&mine);
	assert_non_null(bs);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	drive_close_store(&drive, bs);
	if (below != NULL)
		drive_close_store(&drive, below);
	drive_close(&drive);
	free(buf);
	return 0;
}

static void
test_reads_what_is_below(void **state)
{
	(void)state;
	memset(buf, 0, 64 * 1024);
	assert_int_equal(drive_read(&drive, bs, 512, buf, 32768), 0);
	assert_true(pattern_is(buf, 32768, 512, 7));
	assert_int_equal(judged, 2);
}

static void
test_writes_nothing(void **state)
{
	(void)state;
	assert_int_equal(drive_write(&drive, bs, 0, buf, 4096, false), -EROFS);
	assert_int_equal(drive_discard(&drive, bs, 0, 4096), -EROFS);
	assert_int_equal(drive_flush(&drive, bs), 0);
	assert_int_equal(below->ops_done[BS_FLUSH], 0);
}

static void
test_what_is_refused_does_not_get_there(void **state)
{
	uint64_t reads = below->ops_done[BS_READ];

	(void)state;
	refuse_at = 1;
	assert_int_equal(drive_read(&drive, bs, 0, buf, 4096), -ECANCELED);
	assert_int_equal(below->ops_done[BS_READ], reads);
	/* so it may be gone */
	drive_close_store(&drive, below);
	below = NULL;
	assert_int_equal(drive_read(&drive, bs, 0, buf, 4096), -ECANCELED);
}

static void
test_what_comes_back_too_late_is_refused(void **state)
{
	(void)state;
	refuse_at = 2;
	assert_int_equal(drive_read(&drive, bs, 0, buf, 4096), -ECANCELED);
	assert_int_equal(below->ops_done[BS_READ], 1);
}

static void
test_reads_in_flight_together(void **state)
{
	struct bs_io ios[8];
	struct iovec iov[8];

	(void)state;
	memset(buf, 0, 64 * 1024);
	for (unsigned i = 0; i < 8; i++) {
		bs_io_init(&ios[i]);
		iov[i] = (struct iovec){buf + i * 4096, 4096};
		ios[i].op = BS_READ;
		ios[i].offset = i * 4096;
		ios[i].length = 4096;
		ios[i].iov = &iov[i];
		ios[i].iov_count = 1;
	}
	drive_ios(&drive, bs, ios, 8);
	assert_true(pattern_is(buf, 8 * 4096, 0, 7));
}

static void
test_all_of_it_is_data(void **state)
{
	struct bs_extent extents[2];
	struct bs_io io;

	(void)state;
	bs_io_init(&io);
	io.op = BS_EXTENTS;
	io.length = MIB;
	io.extents = extents;
	io.extent_max = 2;
	assert_int_equal(drive_io(&drive, bs, &io), 0);
	assert_int_equal(io.extent_count, 1);
	assert_int_equal(extents[0].length, MIB);
	assert_int_equal(extents[0].kind, BS_EXTENT_DATA);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_reads_what_is_below),
	    TEST(test_writes_nothing),
	    TEST(test_what_is_refused_does_not_get_there),
	    TEST(test_what_comes_back_too_late_is_refused),
	    TEST(test_reads_in_flight_together),
	    TEST(test_all_of_it_is_data),
	};

	return cmocka_run_group_tests_name("relay", tests, NULL, NULL);
}
