/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The store in memory: the contract, and that it is sparse. */
#include "backstores/stores.h"
#include "tests/unit/backstores/support/contract.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>

static int
make_512(struct contract *c)
{
	return bs_mem_new(c->drive.loop, 8 << 20, 512, &c->bs);
}

static int
make_4096(struct contract *c)
{
	return bs_mem_new(c->drive.loop, (16 << 20) + 4096, 4096, &c->bs);
}

static const struct contract_store mem_512 = {
    .name = "mem, 512", .simulated = true, .make = make_512};
static const struct contract_store mem_4096 = {
    .name = "mem, 4096", .simulated = true, .make = make_4096};
static const struct contract_store mem_real = {
    .name = "mem, real loop", .make = make_4096};

static void
test_a_tebibyte_costs_nothing(void **state)
{
	char buf[512] = "last";
	struct drive drive;
	struct backstore *bs;

	(void)state;
	drive_open_sim(&drive, 1);
	assert_int_equal(bs_mem_new(drive.loop, 1ull << 40, 512, &bs), 0);
	assert_int_equal(
	    drive_write(&drive, bs, (1ull << 40) - 512, buf, 512, false), 0);
	assert_int_equal(drive_zero(&drive, bs, 0, 1ull << 30, true, false), 0);
	drive_close_store(&drive, bs);
	drive_close(&drive);
}

static void
test_refuses_odd_sizes(void **state)
{
	struct drive drive;
	struct backstore *bs;

	(void)state;
	drive_open_sim(&drive, 1);
	assert_int_equal(bs_mem_new(drive.loop, 0, 512, &bs), -EINVAL);
	assert_int_equal(
	    bs_mem_new(drive.loop, 4096 + 512, 4096, &bs), -EINVAL);
	drive_close(&drive);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_a_tebibyte_costs_nothing),
	    cmocka_unit_test(test_refuses_odd_sizes),
	};

	return cmocka_run_group_tests_name("mem", tests, NULL, NULL) +
	       contract_run(&mem_512) + contract_run(&mem_4096) +
	       contract_run(&mem_real);
}
