/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Second copies of metadata and log: where they lie, that one bad copy is
 * survived and mended, that a failing device is, and that pools without them
 * go on.
 *
 * Not covered: power cuts, which the simulator has; that both copies are
 * written before a commit is done, which it shows by those.
 */
#include "snapshot/engine.h"
#include "snapshot/family.h"
#include "tests/unit/snapshot/support/rig.h"
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MiB (1ull << 20)

static struct rig rig;

static int
teardown(void **state)
{
	(void)state;
	rig_done(&rig);
	return 0;
}

static void
pool_with(unsigned disks, bool no_mirror)
{
	struct pool_params params = {.name = "tank", .no_mirror = no_mirror};

	rig_init(&rig, 96 * MiB, 512, true);
	while (rig.disks < disks)
		rig.disk[rig.disks++] = rig_disk(&rig, 96 * MiB, 512, true);
	assert_int_equal(rig_create(&rig, &params, false), 0);
}

static struct backstore *
volume_with_data(struct volume **ret_volume)
{
	struct backstore *bs;

	assert_int_equal(
	    rig_volume(&rig, "disk", 16 * MiB, 512, ret_volume), 0);
	bs = volume_open(*ret_volume);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(
		    rig_fill(&rig, bs, i * 2 * MiB, 65536, (int)i + 1), 0);
	assert_int_equal(rig_flush(&rig, bs), 0);
	return bs;
}

static void
expect_data(void)
{
	struct volume *volume = volume_find(rig.pool, "disk");
	struct backstore *bs;

	assert_non_null(volume);
	bs = volume_open(volume);
	for (unsigned i = 0; i < 8; i++)
		assert_true(
		    rig_holds(&rig, bs, i * 2 * MiB, 65536, (int)i + 1));
}

/* Power goes and comes back. */
static void
cut_and_expect_data(void)
{
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	expect_data();
}

/* ---- what there is ---- */

static uint64_t
region_bytes(void)
{
	return (uint64_t)rig.pool->space.region_blocks * FMT_BLOCK;
}

static unsigned
regions_lacking(void)
{
	const struct space *space = &rig.pool->space;
	unsigned lacking = 0;

	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		if (region_may_have_mirror(region) &&
		    (region->mirror == NO_REGION ||
			region->mirror_state != MIRROR_WHOLE))
			lacking++;
	}
	return lacking;
}

/* ---- damage ---- */

static void
damage(unsigned device, uint64_t offset, uint64_t length)
{
	static const uint8_t junk[4096] = {0xde, 0xad};

	for (uint64_t at = 0; at < length; at += sizeof(junk))
		rig_poke(&rig, device, offset + at, junk, sizeof(junk));
}

/* Overwrites one copy of all regions of a class. */
static void
damage_class(unsigned class, bool mirror)
{
	const struct space *space = &rig.pool->space;

	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		if (region->class != class)
			continue;
		if (mirror)
			region = &space->regions[region->mirror];
		damage(region->device, region->offset, region_bytes());
	}
}

/* Overwrites block n from the start of the log in one copy. */
static void
damage_log_block(uint64_t n, bool mirror)
{
	const struct space *space = &rig.pool->space;
	uint64_t block = (rig.pool->redo.tail + n) % rig.pool->redo.blocks;
	const struct region *region =
	    &space->regions[block / space->region_blocks];

	if (mirror)
		region = &space->regions[region->mirror];
	damage(region->device,
	    region->offset + block % space->region_blocks * FMT_BLOCK,
	    FMT_BLOCK);
}

/* ---- where they are ---- */

static void
a_pool_on_one_disk_has_its_copies_far_apart(void **state)
{
	const struct space *space;

	(void)state;
	pool_with(1, false);
	space = &rig.pool->space;
	assert_int_equal(regions_lacking(), 0);
	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		if (!region_may_have_mirror(region))
			continue;
		assert_true(space->regions[region->mirror].offset >
			    region->offset + 32 * MiB);
	}
	assert_true(rig_incompat(&rig, 0) & FMT_INCOMPAT_MIRRORS);
	assert_true(rig_stat(&rig).mirrored);
}

static void
a_pool_on_two_disks_has_them_on_both(void **state)
{
	(void)state;
	pool_with(2, false);
	assert_int_equal(regions_lacking(), 0);
	assert_int_equal(rig_mirrors_beside(&rig), 0);
}

static void
a_pool_without_mirrors_is_as_it_was(void **state)
{
	struct volume *volume;

	(void)state;
	pool_with(2, true);
	volume_with_data(&volume);
	rig_close(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	expect_data();
	assert_int_equal(rig_incompat(&rig, 0), 0);
	assert_int_equal(rig_stat(&rig).mirrors, 0);
	assert_false(rig_stat(&rig).mirrored);
}

static void
new_metadata_regions_have_a_mirror(void **state)
{
	struct backstore *bs;
	struct volume *volume;
	uint64_t before;

	(void)state;
	pool_with(1, false);
	before = rig_stat(&rig).mirrors;
	assert_int_equal(
	    rig_volume(&rig, "wide", 64ull << 30, 512, &volume), 0);
	bs = volume_open(volume);
	for (uint64_t i = 0; i < 400; i++)
		assert_int_equal(
		    rig_fill(&rig, bs, i * 16 * MiB, 4096, (int)i), 0);
	assert_int_equal(rig_checkpoint(&rig), 0);
	assert_true(rig_stat(&rig).mirrors > before);
	assert_int_equal(regions_lacking(), 0);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	assert_int_equal(regions_lacking(), 0);
}

static void
a_pool_gets_mirrors_when_asked(void **state)
{
	struct volume *volume;

	(void)state;
	pool_with(2, true);
	volume_with_data(&volume);
	assert_int_equal(rig_mirror(&rig), 0);
	rig_settle(&rig, 5 * NSEC_PER_SEC);
	assert_int_equal(regions_lacking(), 0);
	assert_int_equal(rig_mirrors_beside(&rig), 0);
	assert_int_equal(rig_checkpoint(&rig), 0);
	damage_class(FMT_REGION_META, false);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	assert_int_equal(regions_lacking(), 0);
	expect_data();
}

static void
a_second_disk_brings_mirrors_to_an_old_pool(void **state)
{
	struct volume *volume;

	(void)state;
	pool_with(1, true);
	le32_set(&rig.pool->super.flags, 0); /* as version 0.1 left it */
	volume_with_data(&volume);
	rig.disk[1] = rig_disk(&rig, 96 * MiB, 512, true);
	rig.disks = 2;
	assert_int_equal(rig_grow(&rig, rig.disk[1]), 0);
	rig_settle(&rig, 5 * NSEC_PER_SEC);
	assert_int_equal(regions_lacking(), 0);
	assert_int_equal(rig_mirrors_beside(&rig), 0);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	assert_int_equal(regions_lacking(), 0);
	expect_data();
}

/* ---- bad copies ---- */

/* The first region behind those of the log. */
static void
rule_behind_the_log(struct bs_error_rule *rule)
{
	const struct space *space = &rig.pool->space;
	uint64_t n = rig.pool->redo.blocks / space->region_blocks;

	rule->offset = space->regions[n].offset;
	rule->length = region_bytes();
}

static void
bad_copies_are_mended(bool mirror, unsigned disks)
{
	struct volume *volume;

	pool_with(disks, false);
	volume_with_data(&volume);
	assert_int_equal(rig_checkpoint(&rig), 0);
	damage_class(FMT_REGION_META, mirror);
	cut_and_expect_data();
	rig_settle(&rig, NSEC_PER_SEC);
	if (mirror) {
		assert_int_equal(rig_stat(&rig).mirror_reads, 0);
		return;
	}
	assert_true(rig_stat(&rig).mirror_reads > 4);
	assert_int_equal(rig_stat(&rig).mends, rig_stat(&rig).mirror_reads);
	/* what was mended is not read from the mirror again */
	cut_and_expect_data();
	assert_int_equal(rig_stat(&rig).mirror_reads, 0);
}

static void
bad_first_copies_are_read_from_the_mirror(void **state)
{
	(void)state;
	bad_copies_are_mended(false, 1);
}

static void
bad_first_copies_are_read_from_the_other_disk(void **state)
{
	(void)state;
	bad_copies_are_mended(false, 2);
}

static void
bad_mirrors_do_no_harm(void **state)
{
	(void)state;
	bad_copies_are_mended(true, 1);
}

static void
a_page_bad_in_both_copies_is_not_read(void **state)
{
	struct volume *volume;

	(void)state;
	pool_with(1, false);
	volume_with_data(&volume);
	assert_int_equal(rig_checkpoint(&rig), 0);
	damage_class(FMT_REGION_META, false);
	damage_class(FMT_REGION_META, true);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), -EBADMSG);
}

static void
blocks_that_cannot_be_read_are_written_anew(void **state)
{
	struct bs_error_rule rule = {.op = BS_READ, .error = -EIO, .count = 40};
	struct volume *volume;

	(void)state;
	pool_with(1, false);
	volume_with_data(&volume);
	assert_int_equal(rig_checkpoint(&rig), 0);
	rule_behind_the_log(&rule);
	rig_cut(&rig);
	bs_error_add(rig_errors(&rig, 0), &rule);
	assert_int_equal(rig_open(&rig, false), 0);
	expect_data();
	assert_true(rig_stat(&rig).mends > 4);
}

/* ---- scrub ---- */

static struct pool_stat
scrub(void)
{
	struct pool_job_stat job;

	assert_int_equal(rig_scrub(&rig), 0);
	assert_true(pool_job_get(rig.pool, 0, &job));
	assert_int_equal(job.kind, POOL_JOB_SCRUB);
	assert_int_equal(rig_scrub(&rig), -EBUSY);
	rig_settle(&rig, 5 * NSEC_PER_SEC);
	assert_false(pool_job_get(rig.pool, 0, &job));
	return rig_stat(&rig);
}

static void
a_scrub_mends_either_copy(void **state)
{
	struct pool_stat stat;
	struct volume *volume;

	(void)state;
	pool_with(1, false);
	volume_with_data(&volume);
	assert_int_equal(rig_checkpoint(&rig), 0);
	stat = scrub();
	assert_int_equal(stat.scrubs, 1);
	assert_true(stat.scrub_pages >= 7);
	assert_int_equal(stat.scrub_bad + stat.mends, 0);
	damage_class(FMT_REGION_META, true);
	stat = scrub();
	assert_int_equal(stat.scrub_bad, 0);
	assert_int_equal(stat.mends, stat.scrub_pages / 2);
	damage_class(FMT_REGION_META, false);
	stat = scrub();
	assert_int_equal(stat.scrub_bad, 0);
	assert_int_equal(stat.mends, stat.scrub_pages / 3 * 2);
	assert_int_equal(stat.problem[0], 0);
	damage_class(FMT_REGION_META, true);
	cut_and_expect_data();
	assert_int_equal(rig_stat(&rig).mirror_reads, 0);
}

static void
a_scrub_reports_what_is_bad_in_both_copies(void **state)
{
	struct volume *volume;
	uint8_t page[4096];
	uint64_t address, offset, second, run;
	const struct device *device;

	(void)state;
	pool_with(2, false);
	volume_with_data(&volume);
	assert_int_equal(rig_checkpoint(&rig), 0);
	address = fmt_ptr_address(&volume->map.root);
	device = pool_locate(rig.pool, address, &offset, &run);
	assert_ptr_equal(device, &rig.pool->device[0]);
	assert_non_null(mirror_locate_address(rig.pool, address, &second));
	rig_peek(&rig, 0, offset, page, sizeof(page));
	page[100] ^= 1;
	rig_poke(&rig, 0, offset, page, sizeof(page));
	rig_poke(&rig, 1, second, page, sizeof(page));
	assert_int_equal(scrub().scrub_bad, 1);
	assert_non_null(strstr(rig_stat(&rig).problem, "bad in all"));
}

static void
a_scrub_goes_on_where_blocks_cannot_be_read(void **state)
{
	struct bs_error_rule rule = {.op = BS_READ, .error = -EIO};
	struct pool_stat stat;
	struct backstore *errors;
	struct volume *volume;

	(void)state;
	rig_init(&rig, 96 * MiB, 512, true);
	errors = rig_errors(&rig, 0);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	volume_with_data(&volume);
	assert_int_equal(rig_checkpoint(&rig), 0);
	rule_behind_the_log(&rule);
	bs_error_add(errors, &rule);
	stat = scrub();
	assert_int_equal(stat.scrub_bad, 0);
	assert_int_equal(stat.mends, stat.scrub_pages);
	cut_and_expect_data();
}

static void
a_scrub_goes_on_under_load(void **state)
{
	struct backstore *bs;
	struct volume *volume;

	(void)state;
	pool_with(2, false);
	assert_int_equal(
	    rig_volume(&rig, "wide", 64ull << 30, 512, &volume), 0);
	bs = volume_open(volume);
	assert_int_equal(rig_scrub(&rig), 0);
	for (uint64_t i = 0; i < 300; i++) {
		assert_int_equal(
		    rig_fill(&rig, bs, i * 16 * MiB, 4096, (int)i), 0);
		if (i % 20 == 0)
			assert_int_equal(rig_checkpoint(&rig), 0);
		if (i % 50 == 49) /* -EBUSY: still at it */
			rig_scrub(&rig);
	}
	rig_settle(&rig, 5 * NSEC_PER_SEC);
	assert_true(rig_stat(&rig).scrubs > 0);
	assert_int_equal(rig_stat(&rig).scrub_bad, 0);
	assert_int_equal(rig_stat(&rig).mends, 0);
}

/* ---- the log ---- */

static void
log_with_blocks(void)
{
	struct backstore *bs;
	struct volume *volume;

	pool_with(2, false);
	assert_int_equal(rig_volume(&rig, "disk", 16 * MiB, 512, &volume), 0);
	assert_int_equal(rig_checkpoint(&rig), 0);
	bs = volume_open(volume);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(
		    rig_fill(&rig, bs, i * 2 * MiB, 65536, (int)i + 1), 0);
		assert_int_equal(rig_flush(&rig, bs), 0);
	}
}

static void
a_log_bad_in_one_copy_is_replayed(void **state)
{
	(void)state;
	for (unsigned mirror = 0; mirror < 2; mirror++) {
		log_with_blocks();
		damage_class(FMT_REGION_LOG, mirror);
		rig_cut(&rig);
		assert_int_equal(rig_open(&rig, false), 0);
		expect_data();
		if (mirror == 0)
			rig_done(&rig);
	}
}

static void
blocks_missing_here_and_there_are_found(void **state)
{
	(void)state;
	log_with_blocks();
	for (unsigned n = 0; n < 8; n++)
		damage_log_block(n, n % 2);
	cut_and_expect_data();
	assert_true(rig_stat(&rig).mirror_reads >= 7);
}

static void
a_block_missing_in_both_copies_is_damage(void **state)
{
	(void)state;
	log_with_blocks();
	damage_log_block(3, false);
	damage_log_block(3, true);
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), -EBADMSG);
	assert_non_null(strstr(rig.problem, "damaged in the middle"));
}

static void
a_log_that_cannot_be_read_in_one_copy_is_replayed(void **state)
{
	struct bs_error_rule rule = {.op = BS_READ, .error = -EIO};

	(void)state;
	log_with_blocks();
	rule.offset = FMT_DEVICE_HEAD + 4096;
	rule.length = 8192;
	rig_cut(&rig);
	bs_error_add(rig_errors(&rig, 0), &rule);
	assert_int_equal(rig_open(&rig, false), 0);
	expect_data();
}

/* ---- disks that fail ---- */

static void
a_disk_fails(unsigned disk, uint64_t offset)
{
	struct bs_error_rule rule = {
	    .op = BS_WRITE, .error = -EIO, .offset = offset};
	struct backstore *bs, *errors;
	struct volume *volume;

	rig_init(&rig, 96 * MiB, 512, true);
	rig.disk[1] = rig_disk(&rig, 96 * MiB, 512, true);
	rig.disks = 2;
	errors = rig_errors(&rig, disk);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	bs = volume_with_data(&volume);
	/* the places of the copies, not those of data */
	rule.length = disk == 0 ? 10 * MiB : 0;
	if (disk == 1)
		rule.offset = 0;
	bs_error_add(errors, &rule);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(
		    rig_fill(&rig, bs, i * 2 * MiB, 65536, (int)i + 1), 0);
	assert_int_equal(rig_fill(&rig, bs, MiB, 65536, 9), 0);
	assert_int_equal(rig_flush(&rig, bs), 0);
	assert_int_equal(rig_checkpoint(&rig), 0);
	assert_int_equal(rig_stat(&rig).state, POOL_ONLINE);
	assert_true(rig_stat(&rig).mirrors_bad > 0);
	assert_string_not_equal(rig_stat(&rig).problem, "");
	cut_and_expect_data();
	/* it works again, so the copies are made whole */
	rig_settle(&rig, 5 * NSEC_PER_SEC);
	assert_int_equal(rig_stat(&rig).mirrors_bad, 0);
	assert_int_equal(regions_lacking(), 0);
	cut_and_expect_data();
}

static void
a_disk_of_mirrors_that_fails_is_survived(void **state)
{
	(void)state;
	a_disk_fails(1, 0);
}

static void
a_disk_of_first_copies_that_fails_is_survived(void **state)
{
	(void)state;
	a_disk_fails(0, 0);
}

static unsigned
labels_good(unsigned disk)
{
	struct fmt_label label;
	unsigned good = 0;

	for (unsigned n = 0; n < FMT_LABELS; n++) {
		rig_peek(&rig, disk, fmt_label_offset(n, 96 * MiB), &label,
		    sizeof(label));
		good += fmt_label_check(&label) == NULL;
	}
	return good;
}

/* ---- disks that are not there ---- */

static void
a_pool_lacks(unsigned disk, bool has_data)
{
	struct backstore *both[2] = {rig.disk[0], rig.disk[1]}, *bs;
	static _Alignas(4096) uint8_t data[4096];

	rig.disk[0] = both[1 - disk];
	rig.disks = 1;
	assert_int_equal(rig_open(&rig, false), 0);
	assert_int_equal(rig_stat(&rig).state, POOL_READ_ONLY);
	assert_non_null(strstr(rig_stat(&rig).problem, "is missing"));
	if (has_data) {
		expect_data();
		bs = NULL;
	} else {
		bs = volume_open(volume_find(rig.pool, "disk"));
		assert_int_equal(
		    rig_io(&rig, bs, BS_READ, 0, data, 4096), -ENODATA);
		/* a hole is known to be one */
		assert_true(rig_holds(&rig, bs, MiB, 4096, 0));
		assert_int_equal(rig_fill(&rig, bs, 0, 4096, 1), -EROFS);
	}
	rig_cut(&rig);
	rig.disk[0] = both[0];
	rig.disk[1] = both[1];
	rig.disks = 2;
}

static void
a_pool_can_be_read_without_a_disk(void **state)
{
	struct volume *volume;

	(void)state;
	pool_with(2, false);
	volume_with_data(&volume);
	/* some of it in the log, which lies on both too */
	assert_int_equal(rig_checkpoint(&rig), 0);
	assert_int_equal(rig_volume(&rig, "late", MiB, 512, &volume), 0);
	rig_cut(&rig);
	a_pool_lacks(1, true);
	a_pool_lacks(0, false);
	assert_int_equal(rig_open(&rig, false), 0);
	assert_int_equal(rig_stat(&rig).state, POOL_ONLINE);
	expect_data();
}

static void
without_mirrors_every_disk_is_needed(void **state)
{
	struct backstore *second;

	(void)state;
	pool_with(2, true);
	rig_cut(&rig);
	second = rig.disk[1];
	rig.disks = 1;
	assert_int_equal(rig_open(&rig, true), -ENODEV);
	rig.disk[1] = second;
	rig.disks = 2;
}

static void
a_bad_superblock_is_written_anew(void **state)
{
	static const uint8_t junk[4096] = {1};
	struct fmt_super super;

	(void)state;
	pool_with(2, false);
	assert_int_equal(rig_checkpoint(&rig), 0);
	for (unsigned slot = 0; slot < FMT_SUPER_SLOTS; slot++)
		rig_poke(&rig, 0, fmt_super_offset(slot), junk, sizeof(junk));
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	assert_int_equal(rig_checkpoint(&rig), 0);
	for (unsigned slot = 0; slot < FMT_SUPER_SLOTS; slot++) {
		rig_peek(
		    &rig, 0, fmt_super_offset(slot), &super, sizeof(super));
		assert_null(fmt_super_check(&super));
	}
}

static void
bad_labels_do_no_harm_and_are_written_anew(void **state)
{
	static const uint8_t junk[4096] = {1};

	(void)state;
	pool_with(2, false);
	for (unsigned n = 0; n < FMT_LABELS - 1; n++)
		rig_poke(
		    &rig, 0, fmt_label_offset(n, 96 * MiB), junk, sizeof(junk));
	rig_cut(&rig);
	assert_int_equal(rig_open(&rig, false), 0);
	assert_int_equal(labels_good(0), 1);
	rig.disk[2] = rig_disk(&rig, 96 * MiB, 512, true);
	rig.disks = 3;
	assert_int_equal(rig_grow(&rig, rig.disk[2]), 0);
	assert_int_equal(labels_good(0), FMT_LABELS);
}

#define TEST(name) cmocka_unit_test_teardown(name, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_pool_on_one_disk_has_its_copies_far_apart),
	    TEST(a_pool_on_two_disks_has_them_on_both),
	    TEST(a_pool_without_mirrors_is_as_it_was),
	    TEST(new_metadata_regions_have_a_mirror),
	    TEST(a_pool_gets_mirrors_when_asked),
	    TEST(a_second_disk_brings_mirrors_to_an_old_pool),
	    TEST(bad_first_copies_are_read_from_the_mirror),
	    TEST(bad_first_copies_are_read_from_the_other_disk),
	    TEST(bad_mirrors_do_no_harm),
	    TEST(a_page_bad_in_both_copies_is_not_read),
	    TEST(blocks_that_cannot_be_read_are_written_anew),
	    TEST(a_scrub_mends_either_copy),
	    TEST(a_scrub_reports_what_is_bad_in_both_copies),
	    TEST(a_scrub_goes_on_where_blocks_cannot_be_read),
	    TEST(a_scrub_goes_on_under_load),
	    TEST(a_log_bad_in_one_copy_is_replayed),
	    TEST(blocks_missing_here_and_there_are_found),
	    TEST(a_block_missing_in_both_copies_is_damage),
	    TEST(a_log_that_cannot_be_read_in_one_copy_is_replayed),
	    TEST(a_disk_of_mirrors_that_fails_is_survived),
	    TEST(a_disk_of_first_copies_that_fails_is_survived),
	    TEST(a_pool_can_be_read_without_a_disk),
	    TEST(without_mirrors_every_disk_is_needed),
	    TEST(a_bad_superblock_is_written_anew),
	    TEST(bad_labels_do_no_harm_and_are_written_anew),
	};

	return cmocka_run_group_tests_name("mirror", tests, NULL, NULL);
}
