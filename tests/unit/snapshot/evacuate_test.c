/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Emptying a device and taking it out: what moves, what is refused, what goes
 * on after a restart, and what older versions see.
 *
 * Not covered: power cuts at every write and writes in flight beside the copy,
 * which the simulator has.
 */
#include "snapshot/engine.h"
#include "snapshot/family.h"
#include "snapshot/pin.h"
#include "tests/unit/snapshot/support/rig.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MiB    (1ull << 20)
#define CHUNKS 48u

static struct rig rig;

static int
teardown(void **state)
{
	(void)state;
	rig_done(&rig);
	return 0;
}

static void
pool_with(unsigned disks)
{
	struct pool_params params = {.name = "tank"};

	rig_init(&rig, 96 * MiB, 512, true);
	while (rig.disks < disks)
		rig.disk[rig.disks++] = rig_disk(&rig, 96 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, &params, false), 0);
}

/* ---- data ---- */

static int
byte_of(unsigned chunk, unsigned round)
{
	return (int)(1 + (chunk + 7 * round) % 250);
}

static void
write_round(struct backstore *bs, unsigned round)
{
	for (unsigned i = 0; i < CHUNKS; i++)
		assert_int_equal(
		    rig_fill(&rig, bs, i * MiB, 65536, byte_of(i, round)), 0);
}

static struct backstore *
volume_with_data(void)
{
	struct volume *volume;
	struct backstore *bs;

	assert_int_equal(
	    rig_volume(&rig, "disk", CHUNKS * MiB, 512, &volume), 0);
	bs = volume_open(volume);
	/* all of it, so that several regions hold something */
	for (unsigned i = 0; i < CHUNKS; i++)
		assert_int_equal(rig_fill(&rig, bs, i * MiB, MiB, 9), 0);
	write_round(bs, 0);
	assert_int_equal(rig_flush(&rig, bs), 0);
	return bs;
}

static void
expect_of(struct backstore *bs, unsigned round)
{
	for (unsigned i = 0; i < CHUNKS; i++) {
		assert_true(
		    rig_holds(&rig, bs, i * MiB, 65536, byte_of(i, round)));
		assert_true(
		    rig_holds(&rig, bs, i * MiB + 65536, MiB - 65536, 9));
	}
}

static struct backstore *
cut_and_expect(unsigned round)
{
	struct backstore *bs;

	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	bs = volume_open(volume_find(rig.pool, "disk"));
	expect_of(bs, round);
	return bs;
}

/* ---- devices ---- */

static struct pool_device_stat
device(unsigned number)
{
	struct pool_device_stat stat;

	assert_true(pool_device_get(rig.pool, number, &stat));
	return stat;
}

static uint64_t
used_of(unsigned number)
{
	return device(number).used;
}

static void
settle(void)
{
	struct pool_job_stat job;

	for (int i = 0; i < 4000 && pool_job_get(rig.pool, 0, &job); i++)
		rig_settle(&rig, 10 * NSEC_PER_MSEC);
	assert_false(pool_job_get(rig.pool, 0, &job));
}

static void
empty(unsigned number)
{
	assert_int_equal(rig_evacuate(&rig, number), 0);
	settle();
	assert_int_equal(device(number).state, POOL_DEVICE_EMPTY);
	assert_int_equal(used_of(number), 0);
}

/* The device that data is on, but not the log. */
static unsigned
data_device(void)
{
	const struct space *space = &rig.pool->space;

	for (uint64_t i = 0; i < space->count; i++)
		if (space->regions[i].class == FMT_REGION_DATA)
			return space->regions[i].device;
	fail();
	return 0;
}

/* ---- emptying ---- */

static void
all_that_is_on_a_device_goes_to_the_others(void **state)
{
	struct backstore *bs;

	(void)state;
	pool_with(3);
	bs = volume_with_data();
	for (unsigned i = 0; i < 2; i++) {
		assert_true(used_of(i) > 0);
		empty(i);
		assert_true(mirrors_are_whole(rig.pool));
		assert_int_equal(rig_stat(&rig).problem[0], 0);
		expect_of(bs, 0);
		bs = cut_and_expect(0);
		assert_int_equal(device(i).state, POOL_DEVICE_EMPTY);
		assert_int_equal(rig_evacuate_cancel(&rig, i), 0);
	}
}

static void
two_copies_stay_on_two_devices(void **state)
{
	(void)state;
	pool_with(3);
	volume_with_data();
	assert_int_equal(rig_mirrors_beside(&rig), 0);
	empty(0);
	assert_int_equal(rig_mirrors_beside(&rig), 0);
	empty(1); /* one is left */
	assert_true(rig_mirrors_beside(&rig) > 0);
	assert_true(mirrors_are_whole(rig.pool));
	cut_and_expect(0);
}

static void
hosts_write_while_it_goes_on(void **state)
{
	struct backstore *bs;
	struct pool_job_stat job;
	unsigned round = 0;

	(void)state;
	pool_with(2);
	bs = volume_with_data();
	assert_int_equal(rig_evacuate(&rig, 0), 0);
	while (pool_job_get(rig.pool, 0, &job)) {
		assert_int_equal(job.kind, POOL_JOB_EVACUATE);
		write_round(bs, ++round);
	}
	assert_true(round > 1);
	assert_int_equal(used_of(0), 0);
	expect_of(bs, round);
	assert_int_equal(rig_flush(&rig, bs), 0);
	cut_and_expect(round);
}

static void
nothing_new_goes_there(void **state)
{
	struct volume *volume;
	struct backstore *bs;
	uint64_t used;
	unsigned number;

	(void)state;
	pool_with(3);
	volume_with_data();
	number = data_device();
	pool_set_background(rig.pool, 1);
	assert_int_equal(rig_evacuate(&rig, number), 0);
	used = used_of(number);
	assert_int_equal(rig_volume(&rig, "new", 16 * MiB, 512, &volume), 0);
	bs = volume_open(volume);
	for (unsigned i = 0; i < 16; i++) {
		assert_int_equal(rig_fill(&rig, bs, i * MiB, MiB, 3), 0);
		assert_true(used_of(number) <= used);
	}
	assert_int_equal(rig_grow(&rig, NULL), 0);
	assert_true(used_of(number) <= used);
}

static void
it_goes_on_after_a_crash(void **state)
{
	(void)state;
	pool_with(2);
	volume_with_data();
	pool_set_background(rig.pool, 1);
	assert_int_equal(rig_evacuate(&rig, 0), 0);
	rig_settle(&rig, 50 * NSEC_PER_MSEC);
	assert_true(used_of(0) > 0);
	cut_and_expect(0);
	assert_int_equal(device(0).state, POOL_DEVICE_EVACUATING);
	settle();
	assert_int_equal(device(0).state, POOL_DEVICE_EMPTY);
	cut_and_expect(0);
}

static void
it_goes_on_after_a_close(void **state)
{
	(void)state;
	pool_with(2);
	volume_with_data();
	assert_int_equal(rig_evacuate(&rig, 0), 0);
	rig_settle(&rig, 5 * NSEC_PER_MSEC);
	assert_int_equal(rig_close(&rig), 0);
	assert_int_equal(rig_open(&rig, false), 0);
	settle();
	assert_int_equal(used_of(0), 0);
	cut_and_expect(0);
}

static void
cancelled_it_is_a_device_as_before(void **state)
{
	struct backstore *bs;
	struct pool_stat before, after;

	(void)state;
	pool_with(3);
	bs = volume_with_data();
	before = rig_stat(&rig);
	assert_int_equal(rig_evacuate_cancel(&rig, 1), -EINVAL);
	assert_int_equal(rig_evacuate(&rig, 1), 0);
	assert_true(rig_incompat(&rig, 0) & FMT_INCOMPAT_DEVICES);
	rig_settle(&rig, 20 * NSEC_PER_MSEC);
	assert_int_equal(rig_evacuate_cancel(&rig, 1), 0);
	settle();
	assert_int_equal(device(1).state, POOL_DEVICE_MEMBER);
	assert_int_equal(rig.pool->space.class_count[FMT_REGION_EVACUATING], 0);
	after = rig_stat(&rig);
	assert_int_equal(after.free, before.free);
	assert_int_equal(rig_checkpoint(&rig), 0);
	assert_false(rig_incompat(&rig, 0) & FMT_INCOMPAT_DEVICES);
	expect_of(bs, 0);
	cut_and_expect(0);
}

/* ---- what is refused ---- */

static void
too_little_room_is_refused_with_figures(void **state)
{
	struct volume *volume;
	struct backstore *bs;

	(void)state;
	pool_with(2);
	assert_int_equal(rig_volume(&rig, "big", 130 * MiB, 512, &volume), 0);
	bs = volume_open(volume);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(rig_fill(&rig, bs, i * MiB, MiB, 5), 0);
	assert_int_equal(rig_evacuate(&rig, 0), -ENOSPC);
	assert_non_null(strstr(rig.problem, "MiB are on it"));
	assert_int_equal(device(0).state, POOL_DEVICE_MEMBER);
	assert_int_equal(rig_evacuate(&rig, 7), -ENOENT);
}

static void
the_only_device_stays(void **state)
{
	(void)state;
	pool_with(1);
	assert_int_equal(rig_evacuate(&rig, 0), -EBUSY);
	assert_int_equal(rig_device_remove(&rig, 0, 0), -EBUSY);
}

static void
the_last_one_that_is_not_being_emptied_stays(void **state)
{
	(void)state;
	pool_with(2);
	empty(1);
	assert_int_equal(rig_evacuate(&rig, 0), -EBUSY);
}

static void
what_cannot_be_read_stays_and_is_told(void **state)
{
	struct bs_error_rule rule = {.op = BS_READ, .error = -EIO};
	struct backstore *errors;
	unsigned number;
	uint64_t offset = 0;

	(void)state;
	pool_with(3);
	volume_with_data();
	assert_int_equal(rig_checkpoint(&rig), 0);
	number = data_device();
	rig_cut(&rig);
	errors = rig_errors(&rig, number);
	assert_int_equal(rig_open(&rig, false), 0);
	for (uint64_t i = 0; i < rig.pool->space.count; i++)
		if (rig.pool->space.regions[i].class == FMT_REGION_DATA &&
		    rig.pool->space.regions[i].device == number)
			offset = rig.pool->space.regions[i].offset;
	rule.offset = offset + 4096;
	rule.length = 4096;
	bs_error_add(errors, &rule);
	assert_int_equal(rig_evacuate(&rig, number), 0);
	settle();
	assert_int_equal(device(number).state, POOL_DEVICE_EVACUATING);
	assert_true(device(number).stuck > 0);
	assert_int_equal(device(number).stuck, used_of(number));
	assert_non_null(strstr(rig_stat(&rig).problem, "stay"));
	assert_int_equal(rig_device_remove(&rig, number, number), -EBUSY);
	bs_error_clear(errors);
	assert_int_equal(rig_evacuate(&rig, number), 0);
	settle();
	assert_int_equal(used_of(number), 0);
	cut_and_expect(0);
}

/* Whatever the write was: of a copy, of metadata, of a superblock. */
static void
one_write_fails(unsigned skip)
{
	struct bs_error_rule rule = {
	    .op = BS_WRITE, .error = -EIO, .skip = skip, .count = 1};
	struct backstore *errors, *bs;

	pool_with(2);
	volume_with_data();
	assert_int_equal(rig_checkpoint(&rig), 0);
	rig_cut(&rig);
	errors = rig_errors(&rig, 1);
	assert_int_equal(rig_open(&rig, false), 0);
	bs = volume_open(volume_find(rig.pool, "disk"));
	bs_error_add(errors, &rule);
	assert_int_equal(rig_evacuate(&rig, 0), 0);
	settle();
	expect_of(bs, 0);
	assert_int_equal(rig_stat(&rig).state, POOL_ONLINE);
	bs_error_clear(errors);
	assert_int_equal(rig_evacuate(&rig, 0), 0);
	settle();
	assert_int_equal(used_of(0), 0);
	assert_true(mirrors_are_whole(rig.pool));
	cut_and_expect(0);
	rig_done(&rig);
}

static void
a_copy_that_cannot_be_written_leaves_the_region_where_it_is(void **state)
{
	(void)state;
	for (unsigned skip = 0; skip < 120; skip += 17)
		one_write_fails(skip);
	pool_with(1); /* for teardown */
}

/* ---- removing ---- */

static void
a_removed_device_is_never_asked_for(void **state)
{
	struct pool_device_stat stat;
	uint8_t label[4096];

	(void)state;
	pool_with(3);
	volume_with_data();
	assert_int_equal(rig_device_remove(&rig, 0, 0), -EBUSY);
	assert_non_null(strstr(rig.problem, "MiB are still on it"));
	empty(0);
	assert_int_equal(rig_device_remove(&rig, 0, 0), 0);
	assert_int_equal(rig_device_remove(&rig, 0, 0), -ENOENT);
	assert_int_equal(rig_stat(&rig).devices, 2);
	cut_and_expect(0);
	assert_int_equal(device(0).state, POOL_DEVICE_REMOVED);
	assert_int_equal(device(1).state, POOL_DEVICE_MEMBER);
	assert_int_equal(device(2).state, POOL_DEVICE_MEMBER);
	assert_true(pool_device_get(rig.pool, 2, &stat));
	assert_ptr_equal(stat.bs, rig.disk[1]);
	rig_peek(&rig, 0, 0, label, sizeof(label));
	assert_null(fmt_label_check((const void *)label));
}

static void
one_that_is_empty_needs_no_evacuation(void **state)
{
	(void)state;
	pool_with(1);
	volume_with_data();
	rig.disk[1] = rig_disk(&rig, 96 * MiB, 512, true);
	pool_set_background(rig.pool, 1); /* mirrors would go there */
	assert_int_equal(rig_grow(&rig, rig.disk[1]), 0);
	rig.disks = 2;
	assert_int_equal(rig_evacuate(&rig, 1), 0);
	settle();
	assert_int_equal(rig_device_remove(&rig, 1, 1), 0);
	cut_and_expect(0);
}

/* Of five devices the first four go: the last has the superblocks then. */
static void
superblocks_go_on_when_the_first_devices_are_gone(void **state)
{
	(void)state;
	pool_with(5);
	volume_with_data();
	for (unsigned i = 0; i < 4; i++) {
		empty(i);
		assert_int_equal(rig_device_remove(&rig, i, 0), 0);
		cut_and_expect(0);
	}
	assert_int_equal(rig_stat(&rig).devices, 1);
	assert_true(rig_incompat(&rig, 0) & FMT_INCOMPAT_DEVICES);
	rig.disk[1] = rig_disk(&rig, 96 * MiB, 512, true);
	assert_int_equal(rig_grow(&rig, rig.disk[1]), 0);
	rig.disks = 2;
	settle();
	assert_int_equal(rig_mirrors_beside(&rig), 0);
	cut_and_expect(0);
	assert_int_equal(device(5).state, POOL_DEVICE_MEMBER);
}

/* Power went before its label was wiped. */
static void
a_removed_device_that_comes_back_is_no_member(void **state)
{
	uint8_t *image = malloc(96 * MiB);

	(void)state;
	assert_non_null(image);
	pool_with(2);
	volume_with_data();
	empty(0);
	rig_peek(&rig, 0, 0, image, 96 * MiB);
	assert_int_equal(rig_device_remove(&rig, 0, 0), 0);
	rig_cut(&rig);
	rig.disk[1] = rig_disk(&rig, 96 * MiB, 512, true);
	rig.disks = 2;
	rig_poke(&rig, 1, 0, image, 96 * MiB);
	free(image);
	assert_int_equal(rig_open(&rig, false), 0);
	assert_int_equal(rig_stat(&rig).devices, 1);
	expect_of(volume_open(volume_find(rig.pool, "disk")), 0);
}

/* Who named it before does so again. */
static void
a_removed_device_may_still_be_named(void **state)
{
	(void)state;
	pool_with(2);
	volume_with_data();
	empty(0);
	assert_int_equal(rig_device_remove(&rig, 0, 0), 0);
	rig_cut(&rig);
	rig.disk[1] = rig_disk(&rig, 96 * MiB, 512, true);
	rig.disk[2] = rig_disk(&rig, 96 * MiB, 512, true);
	rig.disks = 3;
	assert_int_equal(rig_open(&rig, false), -ENOENT); /* one too many */
	assert_non_null(strstr(rig.problem, "holds no pool"));
	rig_close_bs(&rig, rig.disk[2]);
	rig.disks = 2;
	assert_int_equal(rig_open(&rig, false), 0);
	expect_of(volume_open(volume_find(rig.pool, "disk")), 0);
}

/* ---- mirrors ---- */

static void
mirrors_go_to_a_second_device(void **state)
{
	(void)state;
	pool_with(1);
	volume_with_data();
	assert_true(rig_mirrors_beside(&rig) > 0);
	rig.disk[1] = rig_disk(&rig, 96 * MiB, 512, true);
	assert_int_equal(rig_grow(&rig, rig.disk[1]), 0);
	rig.disks = 2;
	settle();
	assert_int_equal(rig_mirrors_beside(&rig), 0);
	assert_true(mirrors_are_whole(rig.pool));
	assert_int_equal(rig_checkpoint(&rig), 0);
	assert_false(rig_incompat(&rig, 0) & FMT_INCOMPAT_DEVICES);
	cut_and_expect(0);
}

/* ---- a check beside ---- */

static unsigned
pages_on(unsigned number)
{
	const struct space *space = &rig.pool->space;
	unsigned count = 0;

	for (uint64_t i = 0; i < space->count; i++)
		count += space->regions[i].device == number &&
			 space->regions[i].class == FMT_REGION_META;
	return count;
}

/* A pinned checkpoint is read where its own table says. */
static void
pages_stay_while_they_are_checked(void **state)
{
	static struct pool_pin pin;
	unsigned pages, device_of_pages;

	(void)state;
	pool_with(2);
	volume_with_data();
	device_of_pages = pages_on(0) > 0 ? 0 : 1;
	pages = pages_on(device_of_pages);
	assert_true(pages > 0);
	assert_int_equal(rig_pin(&rig, &pin), 0);
	assert_int_equal(rig_evacuate(&rig, device_of_pages), 0);
	rig_settle(&rig, 20 * NSEC_PER_SEC);
	assert_int_equal(pool_pin_lost(&pin), 0);
	assert_int_equal(pages_on(device_of_pages), pages);
	pool_unpin(&pin);
	settle();
	assert_int_equal(pages_on(device_of_pages), 0);
	assert_int_equal(device(device_of_pages).state, POOL_DEVICE_EMPTY);
	cut_and_expect(0);
}

static void
a_device_that_is_checked_is_not_taken_out(void **state)
{
	static struct pool_pin pin;

	(void)state;
	pool_with(2);
	volume_with_data();
	empty(0);
	assert_int_equal(rig_pin(&rig, &pin), 0);
	assert_int_equal(rig_device_remove(&rig, 0, 0), -EINPROGRESS);
	pool_unpin(&pin);
	assert_int_equal(rig_device_remove(&rig, 0, 0), 0);
	cut_and_expect(0);
}

/* ---- reservations ---- */

/* What is promised to a volume is there for it while a device is emptied, and
 * when it is gone. */
static void
what_is_reserved_needs_room_elsewhere(void **state)
{
	struct volume *volume;
	struct backstore *bs;

	(void)state;
	pool_with(2);
	assert_int_equal(rig_volume(&rig, "kept", 110 * MiB, 512, &volume), 0);
	assert_int_equal(rig_limits(&rig, volume, 0, 110 * MiB), 0);
	assert_int_equal(rig_evacuate(&rig, 0), -ENOSPC);
	assert_int_equal(rig_limits(&rig, volume, 0, 20 * MiB), 0);
	assert_int_equal(rig_evacuate(&rig, 0), 0);
	assert_int_equal(rig_limits(&rig, volume, 0, 110 * MiB), -ENOSPC);
	settle();
	assert_int_equal(rig_device_remove(&rig, 0, 0), 0);
	bs = volume_open(volume);
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(rig_fill(&rig, bs, i * MiB, MiB, 5), 0);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(all_that_is_on_a_device_goes_to_the_others),
	    TEST(two_copies_stay_on_two_devices),
	    TEST(hosts_write_while_it_goes_on),
	    TEST(nothing_new_goes_there),
	    TEST(it_goes_on_after_a_crash),
	    TEST(it_goes_on_after_a_close),
	    TEST(cancelled_it_is_a_device_as_before),
	    TEST(too_little_room_is_refused_with_figures),
	    TEST(the_only_device_stays),
	    TEST(the_last_one_that_is_not_being_emptied_stays),
	    TEST(what_cannot_be_read_stays_and_is_told),
	    TEST(a_copy_that_cannot_be_written_leaves_the_region_where_it_is),
	    TEST(a_removed_device_is_never_asked_for),
	    TEST(one_that_is_empty_needs_no_evacuation),
	    TEST(superblocks_go_on_when_the_first_devices_are_gone),
	    TEST(a_removed_device_that_comes_back_is_no_member),
	    TEST(a_removed_device_may_still_be_named),
	    TEST(mirrors_go_to_a_second_device),
	    TEST(pages_stay_while_they_are_checked),
	    TEST(a_device_that_is_checked_is_not_taken_out),
	    TEST(what_is_reserved_needs_room_elsewhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
