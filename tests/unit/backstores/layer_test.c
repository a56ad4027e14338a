/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The layers that fail and delay: as pass-through they obey the contract, and
 * they do what they are for. */
#include "backstores/stores.h"
#include "backstores/testing.h"
#include "base/simloop.h"
#include "tests/unit/backstores/support/contract.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <string.h>

#define MIB (1024 * 1024ull)

static int
make_error(struct contract *c)
{
	struct backstore *mem;

	assert_int_equal(bs_mem_new(c->drive.loop, 8 * MIB, 512, &mem), 0);
	return bs_error_new(mem, &c->bs);
}

static int
make_delay(struct contract *c)
{
	const struct bs_delay_params params = {1000, 100000, 1};
	struct backstore *mem;

	assert_int_equal(bs_mem_new(c->drive.loop, 8 * MIB, 512, &mem), 0);
	return bs_delay_new(mem, &params, &c->bs);
}

static const struct contract_store error_store = {
    .name = "error, no rules", .simulated = true, .make = make_error};
static const struct contract_store delay_store = {
    .name = "delay", .simulated = true, .make = make_delay};
static const struct contract_store delay_real = {
    .name = "delay, real loop", .make = make_delay};

/* ---- error ---- */

static struct drive drive;
static struct backstore *bs;
static char buf[4096];

static int
setup_error(void **state)
{
	struct backstore *mem;

	(void)state;
	drive_open_sim(&drive, 1);
	assert_int_equal(bs_mem_new(drive.loop, MIB, 512, &mem), 0);
	return bs_error_new(mem, &bs);
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
add(enum bs_op op, uint64_t offset, uint64_t length, unsigned skip_count,
    unsigned count, int error)
{
	const struct bs_error_rule rule = {
	    op, offset, length, skip_count, count, error};

	assert_int_equal(bs_error_add(bs, &rule), 0);
}

static int
read_at(uint64_t offset)
{
	return drive_read(&drive, bs, offset, buf, 4096);
}

static void
test_fails_where_it_is_told(void **state)
{
	(void)state;
	add(BS_READ, 8192, 512, 0, 0, -ENODATA);
	assert_int_equal(read_at(4096), 0);
	assert_int_equal(read_at(8192 - 512), -ENODATA);
	assert_int_equal(read_at(8192), -ENODATA);
	assert_int_equal(read_at(8192 + 512), 0);
	assert_int_equal(drive_write(&drive, bs, 8192, buf, 4096, false), 0);
	assert_int_equal(bs->errors, 2);
	bs_error_clear(bs);
	assert_int_equal(read_at(8192), 0);
}

static void
test_fails_when_and_as_often_as_it_is_told(void **state)
{
	(void)state;
	add(BS_READ, 0, 0, 2, 2, -EIO);
	assert_int_equal(read_at(0), 0);
	assert_int_equal(read_at(0), 0);
	assert_int_equal(read_at(0), -EIO);
	assert_int_equal(read_at(4096), -EIO);
	assert_int_equal(read_at(0), 0);
}

static void
test_the_first_rule_that_applies_wins(void **state)
{
	(void)state;
	add(BS_WRITE, 0, 4096, 0, 1, -ENOSPC);
	add(BS_WRITE, 0, 0, 0, 1, -EIO);
	assert_int_equal(drive_write(&drive, bs, 0, buf, 512, false), -ENOSPC);
	assert_int_equal(drive_write(&drive, bs, 0, buf, 512, false), -EIO);
	assert_int_equal(drive_write(&drive, bs, 0, buf, 512, false), 0);
}

static void
test_the_table_of_rules_ends(void **state)
{
	const struct bs_error_rule rule = {.op = BS_READ, .error = -EIO};
	int error = 0;
	unsigned count;

	(void)state;
	for (count = 0; error == 0; count++)
		error = bs_error_add(bs, &rule);
	assert_int_equal(error, -ENOSPC);
	assert_true(count > 16);
}

static void
test_a_failed_flush_is_never_followed_by_a_good_one(void **state)
{
	(void)state;
	assert_int_equal(drive_flush(&drive, bs), 0);
	add(BS_FLUSH, 0, 0, 0, 1, -EIO);
	assert_int_equal(drive_write(&drive, bs, 0, buf, 512, false), 0);
	assert_int_equal(drive_flush(&drive, bs), -EIO);
	assert_true(bs->suspect);
	/* the rule is used up: the store below would say 0 now */
	assert_int_equal(drive_flush(&drive, bs), -EIO);
	assert_int_equal(drive_flush(&drive, bs), -EIO);
	assert_int_equal(read_at(0), 0);
}

static void
test_a_failed_write_changes_nothing_below(void **state)
{
	(void)state;
	memset(buf, 'a', sizeof(buf));
	assert_int_equal(drive_write(&drive, bs, 0, buf, 512, false), 0);
	add(BS_WRITE, 0, 0, 0, 1, -EIO);
	memset(buf, 'b', sizeof(buf));
	assert_int_equal(drive_write(&drive, bs, 0, buf, 512, false), -EIO);
	assert_int_equal(read_at(0), 0);
	assert_int_equal(buf[0], 'a');
}

/* ---- delay ---- */

static int
setup_delay(void **state)
{
	const struct bs_delay_params params = {
	    5 * NSEC_PER_MSEC, 6 * NSEC_PER_MSEC, 1};
	struct backstore *mem;

	(void)state;
	drive_open_sim(&drive, 1);
	assert_int_equal(bs_mem_new(drive.loop, MIB, 512, &mem), 0);
	return bs_delay_new(mem, &params, &bs);
}

static void
test_holds_completions_back(void **state)
{
	uint64_t start = loop_now(drive.loop), took;

	(void)state;
	assert_int_equal(read_at(0), 0);
	took = loop_now(drive.loop) - start;
	assert_true(took >= 5 * NSEC_PER_MSEC);
	assert_true(took <= 6 * NSEC_PER_MSEC + NSEC_PER_USEC);
}

int
main(void)
{
#define E(f) cmocka_unit_test_setup_teardown(f, setup_error, teardown)
#define D(f) cmocka_unit_test_setup_teardown(f, setup_delay, teardown)
	const struct CMUnitTest tests[] = {
	    E(test_fails_where_it_is_told),
	    E(test_fails_when_and_as_often_as_it_is_told),
	    E(test_the_first_rule_that_applies_wins),
	    E(test_the_table_of_rules_ends),
	    E(test_a_failed_flush_is_never_followed_by_a_good_one),
	    E(test_a_failed_write_changes_nothing_below),
	    D(test_holds_completions_back),
	};
#undef E
#undef D

	return cmocka_run_group_tests_name("layers", tests, NULL, NULL) +
	       contract_run(&error_store) + contract_run(&delay_store) +
	       contract_run(&delay_real);
}
