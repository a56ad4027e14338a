/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Block devices, on loop devices over a file: the contract with blocks of 512
 * and 4096 bytes.  Where no loop device can be had (rights, no module), these
 * tests are skipped; what a device shares with a file is tested there.
 *
 * Not covered: devices with a write-through cache, real media errors.
 */
#include "backstores/leaf.h"
#include "backstores/stores.h"
#include "tests/unit/backstores/support/contract.h"
#include "tests/unit/backstores/support/host.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MIB (1024 * 1024ull)

static char device[32];
static int holder = -1;

/* False: no loop device here. */
static bool
device_make(uint32_t block_size)
{
	host_make_file(host_path("disk"), 16 * MIB);
	holder = host_loop_attach(
	    host_path("disk"), block_size, device, sizeof(device));
	return holder >= 0;
}

static void
device_unmake(void)
{
	close(holder);
	holder = -1;
	unlink(host_path("disk"));
}

static int
make_with(struct contract *c, uint32_t block_size)
{
	if (!device_make(block_size))
		return -ENODEV;
	return bs_block_open(c->drive.loop, device, false, &c->bs);
}

static int
make_512(struct contract *c)
{
	return make_with(c, 512);
}

static int
make_4096(struct contract *c)
{
	return make_with(c, 4096);
}

static void
unmake(struct contract *c)
{
	(void)c;
	device_unmake();
}

static const struct contract_store block_512 = {
    .name = "block, 512", .make = make_512, .unmake = unmake};
static const struct contract_store block_4096 = {
    .name = "block, 4096", .make = make_4096, .unmake = unmake};

static void
test_a_device_is_opened_once(void **state)
{
	struct backstore *bs, *other;
	struct drive drive;

	(void)state;
	if (!device_make(512))
		skip();
	drive_open_real(&drive);
	assert_int_equal(bs_path_open(drive.loop, device, false, &bs), 0);
	assert_string_equal(bs->ops->name, "block");
	assert_int_equal(bs->size, 16 * MIB);
	assert_int_equal(
	    bs_block_open(drive.loop, device, false, &other), -EBUSY);
	drive_close_store(&drive, bs);
	assert_int_equal(bs_block_open(drive.loop, device, true, &bs), 0);
	assert_true(bs->read_only);
	drive_close_store(&drive, bs);
	drive_close(&drive);
	device_unmake();
}

static void
test_takes_up_a_new_size_of_the_device_only(void **state)
{
	struct backstore *bs;
	struct drive drive;

	(void)state;
	if (!device_make(512))
		skip();
	drive_open_real(&drive);
	assert_int_equal(bs_block_open(drive.loop, device, false, &bs), 0);
	assert_int_equal(drive_resize(&drive, bs, 32 * MIB), -ENOSPC);
	assert_int_equal(bs->size, 16 * MIB);
	assert_int_equal(drive_resize(&drive, bs, 8 * MIB), 0);
	assert_int_equal(drive_resize(&drive, bs, 16 * MIB), 0);
	drive_close_store(&drive, bs);
	drive_close(&drive);
	device_unmake();
}

static void
test_a_file_is_no_device(void **state)
{
	struct drive drive;
	struct backstore *bs;

	(void)state;
	drive_open_real(&drive);
	host_make_file(host_path("file"), MIB);
	assert_int_equal(
	    bs_block_open(drive.loop, host_path("file"), true, &bs), -ENOTBLK);
	assert_int_equal(
	    bs_path_open(drive.loop, host_path("file"), false, &bs), 0);
	assert_string_equal(bs->ops->name, "file");
	drive_close_store(&drive, bs);
	unlink(host_path("file"));
	drive_close(&drive);
}

static void
test_reads_queue_attributes(void **state)
{
	char word[64];
	struct stat st;

	(void)state;
	assert_int_equal(device_queue_attribute(makedev(4094, 77),
			     "write_cache", word, sizeof(word)),
	    -ENOENT);
	assert_false(device_queue_is(makedev(4094, 77), "rotational", "1"));
	if (!device_make(512))
		skip();
	assert_int_equal(stat(device, &st), 0);
	assert_int_equal(device_queue_attribute(st.st_rdev,
			     "logical_block_size", word, sizeof(word)),
	    0);
	assert_string_equal(word, "512");
	assert_true(device_queue_is(st.st_rdev, "logical_block_size", "512"));
	device_unmake();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_device_is_opened_once),
	    cmocka_unit_test(test_takes_up_a_new_size_of_the_device_only),
	    cmocka_unit_test(test_a_file_is_no_device),
	    cmocka_unit_test(test_reads_queue_attributes),
	};

	return cmocka_run_group_tests_name("block", tests, NULL, NULL) +
	       contract_run(&block_512) + contract_run(&block_4096);
}
