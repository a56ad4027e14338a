/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Regular files: the contract with and without the page cache, and what only a
 * file can do wrong: be locked, be full, be cut short, answer in pieces.
 *
 * Not covered: a failing fdatasync of the real kernel (layer_test.c has one of
 * the error layer), power loss.
 */
#include "backstores/leaf.h"
#include "backstores/stores.h"
#include "base/buf.h"
#include "tests/unit/backstores/support/contract.h"
#include "tests/unit/backstores/support/host.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB 1024ull
#define MIB (1024 * KIB)

/* ---- the contract ---- */

static int
make_with(struct contract *c, bool page_cache, bool preallocate)
{
	struct bs_file_params params = {
	    .path = host_path("contract"),
	    .create = true,
	    .create_size = 8 * MIB,
	    .page_cache = page_cache,
	    .preallocate = preallocate,
	};

	return bs_file_open(c->drive.loop, &params, &c->bs);
}

static int
make_direct(struct contract *c)
{
	return make_with(c, false, false);
}

static int
make_cached(struct contract *c)
{
	return make_with(c, true, false);
}

static int
make_preallocated(struct contract *c)
{
	return make_with(c, false, true);
}

static void
unmake(struct contract *c)
{
	(void)c;
	unlink(host_path("contract"));
}

static const struct contract_store file_direct = {
    .name = "file", .make = make_direct, .unmake = unmake};
static const struct contract_store file_cached = {
    .name = "file, page cache", .make = make_cached, .unmake = unmake};
static const struct contract_store file_preallocated = {
    .name = "file, preallocated", .make = make_preallocated, .unmake = unmake};

/* ---- directed ---- */

static struct drive drive;

static int
setup(void **state)
{
	(void)state;
	drive_open_real(&drive);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	drive_close(&drive);
	return 0;
}

static struct backstore *
open_new(const char *name, uint64_t size)
{
	const struct bs_file_params params = {
	    .path = host_path(name), .create = true, .create_size = size};
	struct backstore *bs = NULL;

	assert_int_equal(bs_file_open(drive.loop, &params, &bs), 0);
	return bs;
}

static void
close_and_remove(struct backstore *bs, const char *name)
{
	drive_close_store(&drive, bs);
	unlink(host_path(name));
}

static void
test_a_second_open_is_refused(void **state)
{
	struct backstore *bs = open_new("locked", MIB), *other;
	struct bs_file_params params = {.path = host_path("locked")};

	(void)state;
	assert_int_equal(bs_file_open(drive.loop, &params, &other), -EBUSY);
	params.read_only = true;
	assert_int_equal(bs_file_open(drive.loop, &params, &other), 0);
	drive_close_store(&drive, other);
	drive_close_store(&drive, bs);
	/* closing the first gave the lock back; closing a reader did not */
	params.read_only = false;
	assert_int_equal(bs_file_open(drive.loop, &params, &bs), 0);
	close_and_remove(bs, "locked");
}

static void
test_refuses_what_is_no_whole_file(void **state)
{
	struct bs_file_params params = {.path = host_path("")};
	struct backstore *bs;

	(void)state;
	params.read_only = true;
	assert_int_equal(bs_file_open(drive.loop, &params, &bs), -EINVAL);
	params.path = host_path("odd");
	assert_int_equal(bs_file_open(drive.loop, &params, &bs), -ENOENT);
	host_make_file(params.path, 4096 + 100);
	assert_int_equal(bs_file_open(drive.loop, &params, &bs), -EINVAL);
	host_make_file(params.path, 0);
	assert_int_equal(bs_file_open(drive.loop, &params, &bs), -EINVAL);
	unlink(params.path);
	assert_int_equal(mkfifo(params.path, 0600), 0);
	assert_int_equal(bs_file_open(drive.loop, &params, &bs), -EINVAL);
	unlink(params.path);
}

static void
test_create_never_takes_an_existing_file(void **state)
{
	struct bs_file_params params = {
	    .path = host_path("there"), .create = true, .create_size = MIB};
	struct backstore *bs;
	struct stat st;

	(void)state;
	host_make_file(params.path, 8192);
	assert_int_equal(bs_file_open(drive.loop, &params, &bs), -EEXIST);
	assert_int_equal(stat(params.path, &st), 0);
	assert_int_equal(st.st_size, 8192);
	unlink(params.path);
	/* and what could not be made is not left behind */
	params.create_size = MIB + 100;
	assert_int_equal(bs_file_open(drive.loop, &params, &bs), -EINVAL);
	assert_int_equal(stat(params.path, &st), -1);
}

static void
test_a_read_only_store_refuses_changes(void **state)
{
	struct bs_file_params params = {
	    .path = host_path("ro"), .read_only = true};
	char *buf = drive_memory(4096);
	struct backstore *bs;

	(void)state;
	host_make_file(params.path, MIB);
	assert_int_equal(chmod(params.path, 0400), 0);
	assert_int_equal(bs_file_open(drive.loop, &params, &bs), 0);
	assert_int_equal(drive_write(&drive, bs, 0, buf, 4096, false), -EROFS);
	assert_int_equal(drive_zero(&drive, bs, 0, 4096, true, false), -EROFS);
	assert_int_equal(drive_discard(&drive, bs, 0, 4096), -EROFS);
	assert_int_equal(drive_resize(&drive, bs, 2 * MIB), -EROFS);
	assert_int_equal(drive_read(&drive, bs, 0, buf, 4096), 0);
	assert_true(all_zeros(buf, 4096));
	assert_int_equal(drive_flush(&drive, bs), 0);
	free(buf);
	close_and_remove(bs, "ro");
}

static void
test_unmapping_gives_space_back_and_reserve_takes_it(void **state)
{
	struct backstore *bs = open_new("space", 8 * MIB);

	(void)state;
	assert_true(host_allocated(host_path("space")) < MIB);
	assert_int_equal(drive_reserve(&drive, bs, 0, 4 * MIB), 0);
	assert_true(host_allocated(host_path("space")) >= 4 * MIB);
	assert_true(host_allocated(host_path("space")) < 5 * MIB);
	assert_int_equal(drive_zero(&drive, bs, 0, 2 * MIB, true, false), 0);
	assert_true(host_allocated(host_path("space")) < 3 * MIB);
	assert_int_equal(drive_discard(&drive, bs, 2 * MIB, 2 * MIB), 0);
	assert_true(host_allocated(host_path("space")) < MIB);
	/* without may_unmap, space stays certain */
	assert_int_equal(drive_zero(&drive, bs, 0, 2 * MIB, false, false), 0);
	assert_true(host_allocated(host_path("space")) >= 2 * MIB);
	close_and_remove(bs, "space");
}

static void
test_reserved_space_counts_as_written(void **state)
{
	struct backstore *bs = open_new("written", 8 * MIB);
	struct bs_extent extent;
	struct bs_io io;

	(void)state;
	assert_int_equal(drive_reserve(&drive, bs, MIB, 2 * MIB), 0);
	bs_io_init(&io);
	io.op = BS_EXTENTS;
	io.offset = MIB;
	io.length = 2 * MIB;
	io.extents = &extent;
	io.extent_max = 1;
	assert_int_equal(drive_io(&drive, bs, &io), 0);
	/* not "unwritten", which would be told as a hole */
	assert_int_equal(extent.kind, BS_EXTENT_DATA);
	assert_int_equal(extent.length, 2 * MIB);
	close_and_remove(bs, "written");
}

static void
test_buffers_of_the_loop_and_others(void **state)
{
	struct backstore *bs = open_new("fixed", MIB);
	uint8_t *fixed = buf_get(drive.loop->bufs, 64 * KIB);
	uint8_t *plain = drive_memory(64 * KIB);

	(void)state;
	pattern_fill(fixed, 64 * KIB, 0, 1);
	assert_int_equal(drive_write(&drive, bs, 0, fixed, 64 * KIB, false), 0);
	assert_int_equal(drive_read(&drive, bs, 0, plain, 64 * KIB), 0);
	assert_memory_equal(fixed, plain, 64 * KIB);
	pattern_fill(plain, 64 * KIB, 0, 2);
	assert_int_equal(drive_write(&drive, bs, 0, plain, 64 * KIB, true), 0);
	assert_int_equal(drive_read(&drive, bs, 0, fixed, 64 * KIB), 0);
	assert_memory_equal(fixed, plain, 64 * KIB);
	buf_put(drive.loop->bufs, fixed);
	free(plain);
	close_and_remove(bs, "fixed");
}

/* ---- short transfers ----
 *
 * A kernel that answers in pieces is played by standing between the ring and
 * the store: the callback is told less than was transferred, or to try again.
 */

static void (*real_done)(struct loop_io *, int, uint32_t);
static int told[4];
static unsigned told_count;

static void
tell_lies(struct loop_io *kernel, int result, uint32_t flags)
{
	struct bs_io *io = container_of(kernel, struct bs_io, kernel);
	int lie = told[told_count++];

	assert_true(result > 0);
	real_done(kernel, lie, flags);
	/* the store went on: stand in the way again */
	if (io->in_flight && told_count < ARRAY_SIZE(told) &&
	    told[told_count] != 0)
		kernel->done = tell_lies;
}

struct liar {
	struct backstore *bs;
	struct bs_io io;
	struct iovec iov[3];
};

static void
liar_complete(struct bs_io *io, int result)
{
	(void)io, (void)result;
	drive_done(&drive);
}

static void
liar_submit(void *arg)
{
	struct liar *liar = arg;

	bs_submit(liar->bs, &liar->io);
	real_done = liar->io.kernel.done;
	liar->io.kernel.done = tell_lies;
}

/* 24 KiB in elements of 8; lies as given, 0 ends them. */
static void
liar_run(struct liar *liar, struct backstore *bs, enum bs_op op, uint8_t *buf)
{
	liar->bs = bs;
	bs_io_init(&liar->io);
	liar->io.op = op;
	liar->io.length = 24 * KIB;
	liar->io.iov = liar->iov;
	liar->io.iov_count = 3;
	liar->io.complete = liar_complete;
	for (unsigned i = 0; i < 3; i++)
		liar->iov[i] = (struct iovec){buf + i * 8 * KIB, 8 * KIB};
	told_count = 0;
	drive_run(&drive, liar_submit, liar);
}

static void
test_goes_on_after_a_short_transfer(void **state)
{
	struct backstore *bs = open_new("short", MIB);
	uint8_t *buf = drive_memory(24 * KIB), *back = drive_memory(24 * KIB);
	struct liar liar;

	(void)state;
	pattern_fill(buf, 24 * KIB, 0, 3);
	/* 12 KiB and some odd bytes; then to the end of the second element */
	memcpy(told, (int[]){12 * 1024 + 100, 4096, -EAGAIN, 0}, sizeof(told));
	liar_run(&liar, bs, BS_WRITE, buf);
	assert_int_equal(liar.io.result, 0);
	assert_int_equal(told_count, 3);
	assert_int_equal(drive_read(&drive, bs, 0, back, 24 * KIB), 0);
	assert_memory_equal(back, buf, 24 * KIB);

	memset(back, 0, 24 * KIB);
	memcpy(told, (int[]){-EINTR, 4096, 0, 0}, sizeof(told));
	liar_run(&liar, bs, BS_READ, back);
	assert_int_equal(liar.io.result, 0);
	assert_memory_equal(back, buf, 24 * KIB);
	free(buf);
	free(back);
	close_and_remove(bs, "short");
}

static void
test_a_file_cut_short_behind_our_back_fails_reads(void **state)
{
	struct backstore *bs = open_new("cut", MIB);
	char *buf = drive_memory(64 * KIB);

	(void)state;
	assert_int_equal(truncate(host_path("cut"), 32 * KIB), 0);
	assert_int_equal(drive_read(&drive, bs, 0, buf, 64 * KIB), -EIO);
	assert_int_equal(drive_read(&drive, bs, 512 * KIB, buf, 4096), -EIO);
	assert_int_equal(drive_read(&drive, bs, 0, buf, 32 * KIB), 0);
	free(buf);
	close_and_remove(bs, "cut");
}

static void
told_of(enum bs_op op, int error, int expected)
{
	assert_int_equal(leaf_error(op, error), expected);
}

static void
test_errors_speak_the_words_of_the_contract(void **state)
{
	(void)state;
	told_of(BS_READ, -ENODATA, -ENODATA);
	told_of(BS_READ, -EIO, -EIO);
	told_of(BS_READ, -EREMOTEIO, -EIO);
	told_of(BS_WRITE, -ENODATA, -EIO);
	told_of(BS_WRITE, -ENOSPC, -ENOSPC);
	told_of(BS_WRITE, -EDQUOT, -ENOSPC);
	told_of(BS_ZERO, -EROFS, -EROFS);
	told_of(BS_FLUSH, -ENOSPC, -EIO);
}

/* ---- a host without space ---- */

static void
fill_until_full(struct backstore *bs, uint64_t *ret_full_at)
{
	char *buf = drive_memory(64 * KIB);
	uint64_t at = 0;
	int error = 0;

	pattern_fill(buf, 64 * KIB, 0, 4);
	while (error == 0 && at < bs->size) {
		error = drive_write(&drive, bs, at, buf, 64 * KIB, false);
		at += 64 * KIB;
	}
	assert_int_equal(error, -ENOSPC);
	*ret_full_at = at - 64 * KIB;
	free(buf);
}

static void
test_a_full_host_fails_that_write_only(void **state)
{
	char *buf = drive_memory(64 * KIB);
	struct backstore *bs;
	uint64_t full_at;

	(void)state;
	if (!host_mount_small("small", 2 * MIB)) {
		free(buf);
		skip();
	}
	bs = open_new("small/file", 8 * MIB);
	fill_until_full(bs, &full_at);
	assert_true(full_at >= MIB);
	/* overwrites, reads, unmapping go on, and space comes back */
	assert_int_equal(drive_write(&drive, bs, 0, buf, 64 * KIB, false), 0);
	assert_int_equal(drive_read(&drive, bs, 0, buf, 64 * KIB), 0);
	assert_int_equal(drive_reserve(&drive, bs, 4 * MIB, 4 * MIB), -ENOSPC);
	assert_int_equal(drive_flush(&drive, bs), 0);
	assert_int_equal(drive_zero(&drive, bs, 0, 512 * KIB, true, false), 0);
	assert_int_equal(
	    drive_write(&drive, bs, full_at, buf, 64 * KIB, false), 0);
	assert_false(bs->suspect);
	free(buf);
	close_and_remove(bs, "small/file");
	host_umount_small("small");
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_a_second_open_is_refused),
	    T(test_refuses_what_is_no_whole_file),
	    T(test_create_never_takes_an_existing_file),
	    T(test_a_read_only_store_refuses_changes),
	    T(test_unmapping_gives_space_back_and_reserve_takes_it),
	    T(test_reserved_space_counts_as_written),
	    T(test_buffers_of_the_loop_and_others),
	    T(test_goes_on_after_a_short_transfer),
	    T(test_a_file_cut_short_behind_our_back_fails_reads),
	    T(test_errors_speak_the_words_of_the_contract),
	    T(test_a_full_host_fails_that_write_only),
	};
#undef T

	return cmocka_run_group_tests_name("file", tests, NULL, NULL) +
	       contract_run(&file_direct) + contract_run(&file_cached) +
	       contract_run(&file_preallocated);
}
