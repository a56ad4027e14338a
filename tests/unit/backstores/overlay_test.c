/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The overlay obeys the contract, leaves the store below as it is, and keeps
 * what was written until it is freed. */
#include "backstores/overlay.h"
#include "backstores/stores.h"
#include "backstores/testing.h"
#include "tests/unit/backstores/support/contract.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <string.h>

#define MIB (1024 * 1024ull)

struct stack {
	struct drive *drive;
	struct backstore *below, *bs;
	struct overlay *overlay;
};

static struct stack stack;
static struct drive drive;
static uint8_t buf[64 * 1024];

static void
stack_open(struct drive *on, uint64_t size, uint32_t block_size)
{
	stack.drive = on;
	assert_int_equal(
	    bs_mem_new(on->loop, size, block_size, &stack.below), 0);
	stack.overlay = overlay_new(stack.below);
	assert_non_null(stack.overlay);
	stack.bs = overlay_open(stack.overlay);
}

static void
stack_done(void)
{
	overlay_free(stack.overlay);
	drive_close_store(stack.drive, stack.below);
}

/* ---- the contract ---- */

static int
make_512(struct contract *c)
{
	stack_open(&c->drive, 8 * MIB, 512);
	c->bs = stack.bs;
	return 0;
}

static int
make_4096(struct contract *c)
{
	stack_open(&c->drive, 8 * MIB, 4096);
	c->bs = stack.bs;
	return 0;
}

static void
unmake(struct contract *c)
{
	(void)c;
	stack_done();
}

static const struct contract_store store_512 = {.name = "overlay, 512",
    .simulated = true,
    .make = make_512,
    .unmake = unmake};
static const struct contract_store store_4096 = {
    .name = "overlay, 4096, real loop", .make = make_4096, .unmake = unmake};

/* ---- what it is for ---- */

static int
setup(void **state)
{
	(void)state;
	drive_open_sim(&drive, 1);
	stack_open(&drive, MIB, 512);
	memset(buf, 'a', sizeof(buf));
	assert_int_equal(
	    drive_write(&drive, stack.below, 0, buf, sizeof(buf), false), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	drive_close_store(&drive, stack.bs);
	stack_done();
	drive_close(&drive);
	return 0;
}

static bool
holds(struct backstore *bs, uint64_t offset, uint64_t length, uint8_t byte)
{
	memset(buf, ~byte, sizeof(buf));
	assert_int_equal(drive_read(&drive, bs, offset, buf, length), 0);
	for (uint64_t i = 0; i < length; i++)
		if (buf[i] != byte)
			return false;
	return true;
}

static void
put(uint64_t offset, uint64_t length, uint8_t byte)
{
	memset(buf, byte, length);
	assert_int_equal(
	    drive_write(&drive, stack.bs, offset, buf, length, true), 0);
}

static void
test_the_store_below_stays_as_it_is(void **state)
{
	(void)state;
	put(4096 + 512, 8192, 'b');
	assert_int_equal(drive_zero(&drive, stack.bs, 0, 1024, true, true), 0);
	assert_int_equal(drive_discard(&drive, stack.bs, 32768, 4096), 0);
	assert_int_equal(drive_flush(&drive, stack.bs), 0);
	assert_true(holds(stack.below, 0, sizeof(buf), 'a'));
	assert_int_equal(stack.below->ops_done[BS_FLUSH], 0);
	assert_int_equal(stack.below->ops_done[BS_WRITE], 1);
}

static void
test_what_was_not_written_is_read_from_below(void **state)
{
	(void)state;
	put(4096 + 512, 8192, 'b');
	assert_true(holds(stack.bs, 0, 4096 + 512, 'a'));
	assert_true(holds(stack.bs, 4096 + 512, 8192, 'b'));
	assert_true(holds(stack.bs, 12800, 8192, 'a'));
	assert_int_equal(
	    drive_zero(&drive, stack.bs, 8192, 1024, true, false), 0);
	assert_true(holds(stack.bs, 8192, 1024, 0));
	assert_true(holds(stack.bs, 9216, 3584, 'b'));
}

static void
test_a_read_that_is_all_written_asks_nobody(void **state)
{
	uint64_t reads = stack.below->ops_done[BS_READ];

	(void)state;
	put(0, 8192, 'b');
	assert_true(holds(stack.bs, 512, 7168, 'b'));
	assert_int_equal(stack.below->ops_done[BS_READ], reads);
}

static void
test_what_was_written_outlives_the_close(void **state)
{
	(void)state;
	put(512, 1024, 'b');
	drive_close_store(&drive, stack.bs);
	stack.bs = overlay_open(stack.overlay);
	assert_true(holds(stack.bs, 512, 1024, 'b'));
	assert_true(holds(stack.bs, 1536, 4096, 'a'));
}

static void
test_writes_to_a_store_that_is_read_only(void **state)
{
	(void)state;
	drive_close_store(&drive, stack.bs);
	stack.below->read_only = true;
	stack.bs = overlay_open(stack.overlay);
	put(0, 4096, 'b');
	assert_true(holds(stack.bs, 0, 4096, 'b'));
}

struct changed {
	uint64_t offset[8];
	unsigned count;
};

static int
note_change(void *arg, uint64_t offset)
{
	struct changed *changed = arg;

	changed->offset[changed->count++] = offset;
	return offset == 40960 ? -ECANCELED : 0;
}

static void
test_tells_what_was_changed_in_order(void **state)
{
	struct changed changed = {.count = 0};

	(void)state;
	put(32768, 512, 'b');
	put(4096 + 512, 4096, 'b');
	put(40960, 512, 'b');
	put(45056, 512, 'b');
	assert_int_equal(
	    overlay_each(stack.overlay, note_change, &changed), -ECANCELED);
	assert_int_equal(changed.count, 4);
	assert_int_equal(changed.offset[0], 4096);
	assert_int_equal(changed.offset[1], 8192);
	assert_int_equal(changed.offset[2], 32768);
	assert_int_equal(changed.offset[3], 40960);
}

static void
test_an_error_below_is_passed_on(void **state)
{
	const struct bs_error_rule rule = {.op = BS_READ, .error = -ENODATA};
	struct backstore *broken;
	struct overlay *overlay;
	struct backstore *bs;

	(void)state;
	assert_int_equal(bs_error_new(stack.below, &broken), 0);
	assert_int_equal(bs_error_add(broken, &rule), 0);
	overlay = overlay_new(broken);
	bs = overlay_open(overlay);
	assert_int_equal(drive_read(&drive, bs, 0, buf, sizeof(buf)), -ENODATA);
	drive_close_store(&drive, bs);
	overlay_free(overlay);
	/* the error layer closes the store below with itself */
	drive_close_store(&drive, broken);
	assert_int_equal(bs_mem_new(drive.loop, MIB, 512, &stack.below), 0);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(test_the_store_below_stays_as_it_is),
	    T(test_what_was_not_written_is_read_from_below),
	    T(test_a_read_that_is_all_written_asks_nobody),
	    T(test_what_was_written_outlives_the_close),
	    T(test_writes_to_a_store_that_is_read_only),
	    T(test_tells_what_was_changed_in_order),
	    T(test_an_error_below_is_passed_on),
	};
#undef T
	int failed = contract_run(&store_512) + contract_run(&store_4096);

	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
