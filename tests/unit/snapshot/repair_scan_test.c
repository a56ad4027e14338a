/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A page of metadata that is gone in all copies is made anew by a scan, or what
 * it held reads as an error: never as zeros, and never as something else
 * without a word.  The pools are those that the engine makes, and the engine
 * reads what comes of them.  Not here: what a repair does without a scan
 * (repair_test.c).
 */
#include "base/simloop.h"
#include "snapshot/check_priv.h"
#include "snapshot/repair.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/snapshot/support/image.h"
#include "tests/unit/snapshot/support/rig.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KiB         1024ull
#define MiB         (1024 * KiB)
#define DISK        (96 * MiB)
#define SIZE        (32 * MiB) /* three leaves */
#define BLOCKS      (SIZE / FMT_BLOCK)
#define VOLUMES_MAX 8u
#define LOST        0x100 /* beside the values of bytes */

static struct rig rig;
static struct volume *volume; /* web01 */
static struct backstore *bs;

/* What each volume and snapshot held, a byte for each block. */
static struct held {
	char name[FMT_NAME], of[FMT_NAME]; /* of: "" is a volume */
	uint64_t id;
	uint16_t block[BLOCKS];
} before[VOLUMES_MAX], after[VOLUMES_MAX];
static unsigned before_count, after_count;

static char said[16384]; /* by the scan: "code text\n" */
static char codes[1024]; /* by check of what came of it */
static bool log_dropped;

/* ---- a pool ---- */

static void
pool_make(uint64_t size)
{
	const struct pool_params params = {
	    .name = "tank", .region_bytes = MiB, .log_bytes = 8 * MiB};

	rig_init(&rig, size, 4096, true);
	assert_int_equal(rig_create(&rig, &params, false), 0);
	assert_int_equal(rig_volume(&rig, "web01", SIZE, 512, &volume), 0);
	bs = volume_open(volume);
}

static int
setup(void **state)
{
	(void)state;
	pool_make(DISK);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	rig_done(&rig);
	return 0;
}

static void
fill(uint64_t offset, uint64_t length, int byte)
{
	assert_int_equal(rig_fill(&rig, bs, offset, length, byte), 0);
}

static struct volume *
snapshot_of(struct volume *of, const char *name)
{
	struct volume *made;

	assert_int_equal(rig_snapshot(&rig, of, name, &made), 0);
	return made;
}

static struct volume *
snapshot(const char *name)
{
	return snapshot_of(volume, name);
}

/* ---- what volumes hold ---- */

static uint16_t
block_of(const uint8_t *data)
{
	for (unsigned i = 1; i < FMT_BLOCK; i++)
		assert_int_equal(data[i], data[0]);
	return data[0];
}

static void
held_read(struct held *held, struct backstore *of)
{
	uint8_t *data = aligned_alloc(FMT_BLOCK, FMT_CHUNK);

	for (uint64_t at = 0; at < of->size / FMT_BLOCK; at += 16) {
		int r =
		    rig_io(&rig, of, BS_READ, at * FMT_BLOCK, data, FMT_CHUNK);
		for (unsigned i = 0; i < 16; i++) {
			uint8_t *block = data + (size_t)i * FMT_BLOCK;
			int one = r;
			if (r != 0)
				one = rig_io(&rig, of, BS_READ,
				    (at + i) * FMT_BLOCK, block, FMT_BLOCK);
			assert_true(one == 0 || one == -ENODATA);
			held->block[at + i] = one == 0 ? block_of(block) : LOST;
		}
	}
	free(data);
}

static void
held_take(
    struct held *held, unsigned *count, struct volume *one, const char *of)
{
	struct volume_stat stat;
	struct backstore *opened = volume_open(one);

	assert_true(*count < VOLUMES_MAX);
	held += (*count)++;
	memset(held, 0, sizeof(*held));
	volume_stat_get(one, &stat);
	snprintf(held->name, sizeof(held->name), "%s", stat.name);
	snprintf(held->of, sizeof(held->of), "%s", of);
	held_read(held, opened);
	rig_close_bs(&rig, opened);
}

static void
held_all(struct held *held, unsigned *count)
{
	struct volume *v = NULL, *s;

	*count = 0;
	while ((v = volume_next(rig.pool, v)) != NULL) {
		struct volume_stat stat;
		volume_stat_get(v, &stat);
		held_take(held, count, v, "");
		for (s = NULL; (s = snapshot_next(v, s)) != NULL;)
			held_take(held, count, s, stat.name);
	}
}

static struct held *
held_find(struct held *held, unsigned count, const struct held *like)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(held[i].name, like->name) == 0 &&
		    strcmp(held[i].of, like->of) == 0)
			return &held[i];
	return NULL;
}

/* ---- breaking it ---- */

/* The pool is closed; its check at hand. */
static void
open_check(struct check *check, struct check_report *report)
{
	*report = (struct check_report){.finding = NULL};
	*check = (struct check){.bs = rig.disk,
	    .bs_count = rig.disks,
	    .step = image_step,
	    .step_arg = rig.loop,
	    .report = report};
	assert_int_equal(check_run_pass(check), 0);
}

static void
destroy(const struct check *check, uint64_t address)
{
	uint64_t per = le32_get(&check->super.region_blocks);
	const struct check_region *region = &check->region[address / per];
	uint8_t garbage[FMT_BLOCK];

	memset(garbage, 0x5a, sizeof(garbage));
	rig_poke(&rig, 0,
	    FMT_DEVICE_HEAD +
		(region->device_region * per + address % per) * FMT_BLOCK,
	    garbage, FMT_BLOCK);
	if (region->mirror != FMT_NO_DEVICE)
		rig_poke(&rig, 0,
		    FMT_DEVICE_HEAD +
			(region->mirror_region * per + address % per) *
			    FMT_BLOCK,
		    garbage, FMT_BLOCK);
}

struct wanted {
	uint8_t type, level;
	uint64_t index;
	unsigned
	    nth; /* by gen, from the newest on; there are no more: the last */
};

static bool
page_is_wanted(const struct check *check, const struct wanted *wanted,
    uint64_t at, uint32_t *ret_gen)
{
	uint64_t per = le32_get(&check->super.region_blocks);
	const struct check_region *region = &check->region[at / per];
	struct fmt_page page;

	if (region->class != FMT_REGION_META || !bits_get(&check->seen, at))
		return false;
	rig_peek(&rig, 0,
	    FMT_DEVICE_HEAD +
		(region->device_region * per + at % per) * FMT_BLOCK,
	    &page, sizeof(page));
	*ret_gen = le32_get(&page.gen);
	return le32_get(&page.magic) == FMT_PAGE_MAGIC &&
	       page.type == wanted->type && page.level == wanted->level &&
	       le64_get(&page.index) == wanted->index;
}

static uint64_t
page_wanted(const struct check *check, const struct wanted *wanted)
{
	uint64_t best = 0, before_that = 0;
	uint32_t gen, newest, below_gen = UINT32_MAX;

	for (unsigned n = 0; n <= wanted->nth; n++) {
		newest = 0;
		best = 0;
		for (uint64_t at = 0; at < check->blocks; at++)
			if (page_is_wanted(check, wanted, at, &gen) &&
			    gen < below_gen && gen > newest) {
				newest = gen;
				best = at;
			}
		if (best == 0)
			return before_that;
		before_that = best;
		below_gen = newest;
	}
	return best;
}

/* Closes the pool, and such a page that the trees reach is gone. */
static void
lose_nth(uint8_t type, uint8_t level, uint64_t index, unsigned nth)
{
	const struct wanted wanted = {
	    .type = type, .level = level, .index = index, .nth = nth};
	struct check_report report;
	struct check check;
	uint64_t address;

	if (rig.pool != NULL) {
		held_all(before, &before_count);
		assert_int_equal(rig_close(&rig), 0);
	}
	open_check(&check, &report);
	address = page_wanted(&check, &wanted);
	assert_int_not_equal(address, 0);
	destroy(&check, address);
	check_done(&check);
}

static void
lose(uint8_t type, uint8_t level, uint64_t index)
{
	lose_nth(type, level, index, 0);
}

/* ---- repairing it ---- */

static void
say(void *arg, enum check_severity severity, const char *code, const char *text)
{
	size_t used = strlen(said);

	(void)arg, (void)severity;
	snprintf(said + used, sizeof(said) - used, "%s %s\n", code, text);
}

static void
note_code(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	size_t used = strlen(codes);

	(void)arg, (void)text;
	if (severity != CHECK_NOTE)
		snprintf(codes + used, sizeof(codes) - used, " %s", code);
}

static int
apply(void *arg, unsigned n, uint64_t offset, const uint8_t *old,
    const uint8_t *new)
{
	(void)arg, (void)old;
	rig_poke(&rig, n, offset, new, FMT_BLOCK);
	return 0;
}

/* The disk becomes what the repair makes of it, and is opened and read. */
static int
scan_repair(void)
{
	struct check_report report = {.finding = say};
	struct repair repair;
	int r;

	said[0] = codes[0] = '\0';
	r = pool_repair_scan(
	    rig.disk, rig.disks, image_step, rig.loop, &report, &repair);
	if (r == 0)
		r = repair_each(&repair, apply, NULL);
	log_dropped = repair.log_dropped;
	repair_done(&repair);
	if (r < 0)
		return r;
	report = (struct check_report){.finding = note_code};
	r = pool_check(rig.disk, rig.disks, image_step, rig.loop, &report);
	return r;
}

static void
reopen(void)
{
	assert_int_equal(rig_open(&rig, false), 0);
	held_all(after, &after_count);
}

static void
is_repaired(void)
{
	assert_int_equal(scan_repair(), 0);
	assert_string_equal(codes, "");
	reopen();
}

/* All that is there is as it was. */
static void
nothing_is_lost(void)
{
	assert_int_equal(after_count, before_count);
	for (unsigned i = 0; i < before_count; i++) {
		struct held *now = held_find(after, after_count, &before[i]);
		assert_non_null(now);
		assert_memory_equal(
		    now->block, before[i].block, sizeof(now->block));
	}
	if (strstr(said, "scan.lost") != NULL)
		fail_msg("%s", said);
}

/* ---- inner pages ---- */

static void
an_inner_page_is_made_of_its_children(void **state)
{
	(void)state;
	fill(0, MiB, 1);
	fill(20 * MiB, MiB, 2);
	rig_close_bs(&rig, bs);
	for (uint8_t level = 1; level < FMT_MAP_LEVELS_MIN; level++) {
		lose(FMT_PAGE_MAP, level, 0);
		is_repaired();
		nothing_is_lost();
	}
}

static bool
was_said(const char *code)
{
	return strstr(said, code) != NULL;
}

static unsigned
blocks_lost(const struct held *like)
{
	const struct held *now = held_find(after, after_count, like);
	unsigned lost = 0;

	assert_non_null(now);
	for (unsigned i = 0; i < BLOCKS; i++) {
		if (now->block[i] != LOST)
			assert_int_equal(now->block[i], like->block[i]);
		lost += now->block[i] == LOST;
	}
	return lost;
}

/* The one of a snapshot, of which its volume has only a part. */
static void
it_is_made_of_what_its_clone_and_its_parent_share(void **state)
{
	(void)state;
	fill(0, 2 * MiB, 1);
	fill(20 * MiB, MiB, 2);
	snapshot("one");
	fill(MiB, 64 * KiB, 3);
	snapshot("two");
	fill(30 * MiB, 64 * KiB, 4);
	rig_close_bs(&rig, bs);
	for (uint8_t level = 1; level < FMT_MAP_LEVELS_MIN; level++)
		for (unsigned n = 0; n < 3; n++) {
			lose_nth(FMT_PAGE_MAP, level, 0, n);
			is_repaired();
			nothing_is_lost();
		}
}

/* Of leaf 1 nothing is left: whether that page was all there was below, the
 * counts do not say any more. */
static void
what_nothing_proves_reads_as_an_error(void **state)
{
	(void)state;
	fill(0, MiB, 1);
	fill(20 * MiB, MiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_MAP, 0, 1);
	lose(FMT_PAGE_MAP, 1, 0);
	is_repaired();
	assert_true(was_said("scan.lost"));
	assert_int_equal(blocks_lost(&before[0]), BLOCKS - FMT_LEAF_BLOCKS);
}

/* ---- leaves and fine pages ---- */

static void
a_leaf_without_an_older_copy_reads_as_an_error(void **state)
{
	(void)state;
	fill(0, MiB, 1);
	fill(20 * MiB, MiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_MAP, 0, 0);
	is_repaired();
	assert_true(was_said("scan.lost"));
	assert_false(was_said("scan.older"));
	assert_int_equal(blocks_lost(&before[0]), FMT_LEAF_BLOCKS);
}

/* Chunk 1 was written in place since then, chunk 2 was not there. */
static void
an_older_leaf_serves_where_its_blocks_are_its_own_yet(void **state)
{
	(void)state;
	fill(0, 128 * KiB, 1);
	assert_int_equal(rig_checkpoint(&rig), 0);
	fill(64 * KiB, 64 * KiB, 2);
	fill(192 * KiB, 64 * KiB, 3);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_MAP, 0, 0);
	is_repaired();
	assert_true(was_said("scan.older"));
	assert_true(was_said("scan.lost"));
	assert_int_equal(
	    blocks_lost(&before[0]), FMT_LEAF_BLOCKS - 2 * FMT_CHUNK_BLOCKS);
}

/* The counts say that nothing is missing. */
static void
an_older_leaf_that_has_all_there_is_is_taken_whole(void **state)
{
	(void)state;
	fill(0, 128 * KiB, 1);
	fill(MiB, 64 * KiB, 1);
	assert_int_equal(rig_checkpoint(&rig), 0);
	assert_int_equal(rig_unmap(&rig, bs, MiB, 64 * KiB), 0);
	assert_int_equal(rig_checkpoint(&rig), 0);
	fill(MiB, 64 * KiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_MAP, 0, 0);
	is_repaired();
	assert_true(was_said("scan.older"));
}

/* What the volume shares with its snapshot, the snapshot has. */
static void
a_leaf_of_a_snapshot_has_what_its_volume_shares(void **state)
{
	unsigned lost;

	(void)state;
	fill(0, MiB, 1);
	snapshot("one");
	fill(64 * KiB, 64 * KiB, 2);
	fill(128 * KiB, 4 * KiB, 3);
	rig_close_bs(&rig, bs);
	lose_nth(FMT_PAGE_MAP, 0, 0, 1);
	is_repaired();
	assert_true(was_said("scan.lost"));
	assert_int_equal(blocks_lost(&before[0]), 0);
	lost = blocks_lost(&before[1]);
	assert_true(lost >= FMT_CHUNK_BLOCKS + 1);
	for (unsigned i = 0; i < 256; i++)
		if (i / 16 != 1 && i != 32)
			assert_int_equal(
			    held_find(after, after_count, &before[1])->block[i],
			    1);
}

/* The leaf says which blocks there are, so holes stay holes; but not which of
 * them are the snapshot's yet. */
static void
a_fine_page_loses_no_more_than_the_blocks_in_it(void **state)
{
	(void)state;
	fill(0, 32 * KiB, 1);
	snapshot("one");
	fill(4 * KiB, 8 * KiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_FINE, 0, 0);
	is_repaired();
	assert_int_equal(blocks_lost(&before[0]), 8);
	assert_int_equal(blocks_lost(&before[1]), 0);
}

static void
an_older_fine_page_has_what_was_not_redirected_since(void **state)
{
	(void)state;
	fill(0, 64 * KiB, 1);
	snapshot("one");
	fill(4 * KiB, 8 * KiB, 2);
	assert_int_equal(rig_checkpoint(&rig), 0);
	fill(64 * KiB - 4 * KiB, 4 * KiB, 3);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_FINE, 0, 0);
	is_repaired();
	assert_true(was_said("scan.older"));
	/* which of the snapshot's was redirected cannot be told */
	assert_int_equal(blocks_lost(&before[0]), 14);
	assert_int_equal(blocks_lost(&before[1]), 0);
}

/* ---- tables ---- */

/* The records have changed since the copy: the roots are found. */
static void
a_page_of_versions_is_an_older_one_with_new_roots(void **state)
{
	(void)state;
	fill(0, MiB, 1);
	assert_int_equal(rig_checkpoint(&rig), 0);
	fill(2 * MiB, MiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_VERSIONS, 0, 0);
	is_repaired();
	assert_true(was_said("scan.older version table"));
	nothing_is_lost();
}

static void
a_page_of_regions_is_an_older_one_with_what_is_in_use(void **state)
{
	(void)state;
	fill(0, MiB, 1);
	assert_int_equal(rig_checkpoint(&rig), 0);
	fill(2 * MiB, 8 * MiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_REGIONS, 0, 0);
	is_repaired();
	assert_true(was_said("scan.older region map"));
	nothing_is_lost();
}

/* More versions than a page has room for, more regions too. */
static void
inner_pages_of_tables_are_made_of_their_children(void **state)
{
	char name[16];

	teardown(state);
	pool_make(200 * MiB);
	fill(0, MiB, 1);
	rig_close_bs(&rig, bs);
	for (unsigned n = 0; n < 2 * FMT_PAGE_VERSIONS_COUNT; n++) {
		struct volume *empty;
		snprintf(name, sizeof(name), "v%u", n);
		assert_int_equal(rig_volume(&rig, name, MiB, 512, &empty), 0);
	}
	for (unsigned n = 0; n < 2 * FMT_PAGE_VERSIONS_COUNT - 2; n++) {
		snprintf(name, sizeof(name), "v%u", n);
		assert_int_equal(
		    rig_delete(&rig, volume_find(rig.pool, name)), 0);
	}
	rig_settle_jobs(&rig);
	lose(FMT_PAGE_VERSIONS, 1, 0);
	is_repaired();
	nothing_is_lost();
	lose(FMT_PAGE_REGIONS, 1, 0);
	is_repaired();
	nothing_is_lost();
}

static void
losses_are_counted_again(void **state)
{
	(void)state;
	fill(0, MiB, 1);
	snapshot("one");
	fill(0, 512 * KiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_LOST, 0, 0);
	is_repaired();
	nothing_is_lost();
}

static void
bookmarks_that_are_gone_are_forgotten(void **state)
{
	(void)state;
	fill(0, MiB, 1);
	assert_int_equal(
	    rig_bookmark(&rig, volume, snapshot("one"), "mark"), 0);
	fill(0, 512 * KiB, 2);
	rig_close_bs(&rig, bs);
	lose(FMT_PAGE_BOOKMARKS, 0, 0);
	is_repaired();
	assert_true(was_said("table of bookmarks"));
	nothing_is_lost();
}

/* ---- superblocks ---- */

static void
supers_lose(void)
{
	static const uint8_t zeros[FMT_BLOCK];

	held_all(before, &before_count);
	assert_int_equal(rig_close(&rig), 0);
	for (unsigned slot = 0; slot < FMT_SUPER_SLOTS; slot++)
		rig_poke(&rig, 0, fmt_super_offset(slot), zeros, FMT_BLOCK);
}

static void
a_superblock_is_made_of_the_newest_roots(void **state)
{
	(void)state;
	fill(0, MiB, 1);
	fill(20 * MiB, MiB, 2);
	snapshot("one");
	fill(4 * KiB, 64 * KiB, 3);
	rig_close_bs(&rig, bs);
	supers_lose();
	is_repaired();
	nothing_is_lost();
	assert_non_null(strstr(said, "scan.super no superblock was left"));
	/* and it goes on */
	bs = volume_open(volume_find(rig.pool, "web01"));
	fill(8 * MiB, MiB, 4);
	snapshot_of(volume_find(rig.pool, "web01"), "two");
	fill(8 * MiB, 64 * KiB, 5);
	rig_close_bs(&rig, bs);
	held_all(before, &before_count);
	assert_int_equal(rig_close(&rig), 0);
	assert_int_equal(scan_repair(), 0);
	assert_string_equal(said, "");
	reopen();
	nothing_is_lost();
}

/* ---- any page ---- */

static uint64_t seed_random;

static unsigned
below(unsigned n)
{
	return (unsigned)sim_below(&seed_random, n);
}

static struct volume *
any_volume(bool snapshots)
{
	struct volume *all[VOLUMES_MAX], *v = NULL;
	unsigned count = 0;

	while ((v = volume_next(rig.pool, v)) != NULL) {
		struct volume *s = NULL;
		if (!snapshots)
			all[count++] = v;
		while (snapshots && (s = snapshot_next(v, s)) != NULL)
			all[count++] = s;
	}
	return count == 0 ? NULL : all[below(count)];
}

static unsigned
versions_count(void)
{
	struct volume *v = NULL, *s;
	unsigned count = 0;

	while ((v = volume_next(rig.pool, v)) != NULL)
		for (count++, s = NULL; (s = snapshot_next(v, s)) != NULL;)
			count++;
	return count;
}

static void
write_any(struct volume *v)
{
	struct backstore *to = volume_open(v);
	unsigned length = below(2) ? 16 : 1 + below(20);
	unsigned at = below(3) ? below(64) * 16 : below(BLOCKS);

	if (below(3) == 0)
		at = at / 16 * 16;
	at = at * 11 % (BLOCKS - 32);
	if (below(5) == 0)
		assert_int_equal(rig_unmap(&rig, to, at * FMT_BLOCK,
				     (below(4) ? length : 32) * FMT_BLOCK),
		    0);
	else
		assert_int_equal(rig_fill(&rig, to, at * FMT_BLOCK,
				     length * FMT_BLOCK, 1 + (int)below(255)),
		    0);
	rig_close_bs(&rig, to);
}

static void
work_step(unsigned n)
{
	struct volume *v = any_volume(false), *s = any_volume(true), *made;
	char name[32];

	snprintf(name, sizeof(name), "n%u", n);
	switch (below(16)) {
	case 0:
		if (versions_count() < VOLUMES_MAX - 1)
			assert_int_equal(rig_snapshot(&rig, v, name, &made), 0);
		break;
	case 1:
		if (s != NULL && versions_count() < VOLUMES_MAX - 1)
			assert_int_equal(rig_clone(&rig, s, name, &made), 0);
		break;
	case 2:
		if (s != NULL && below(3) == 0) {
			assert_int_equal(rig_delete(&rig, s), 0);
			if (below(2))
				rig_settle_jobs(&rig);
		}
		break;
	case 3: assert_int_equal(rig_checkpoint(&rig), 0); break;
	default:
		for (unsigned i = 0; i < 8; i++)
			write_any(v);
	}
}

static bool
is_reported(const struct held *held, unsigned block, const char *code)
{
	uint64_t at = (uint64_t)block * FMT_BLOCK;
	char who[FMT_NAME + 16];

	snprintf(who, sizeof(who), "(%s): bytes ", held->name);
	for (const char *line = said; *line != '\0';
	     line = strchr(line, '\n') + 1) {
		const char *end = strchr(line, '\n');
		const char *found = strstr(line, who);
		unsigned long long first, last;
		if (strncmp(line, code, strlen(code)) != 0 || found == NULL ||
		    found > end)
			continue;
		if (sscanf(found + strlen(who), "%llu to %llu", &first,
			&last) == 2 &&
		    at >= first && at <= last)
			return true;
	}
	return false;
}

static struct {
	unsigned lost, older, same, left, dropped, tables;
} tally;

/* What is an older copy, or the one of several, may be anything. */
static bool
is_in_doubt(const struct held *held, unsigned block)
{
	return is_reported(held, block, "scan.older") ||
	       is_reported(held, block, "scan.choice");
}

static bool
is_as_said(struct held *was, struct held *now, uint64_t seed)
{
	for (unsigned i = 0; i < BLOCKS; i++) {
		bool lost = now->block[i] == LOST;
		tally.lost += lost;
		if (now->block[i] == was->block[i] ||
		    (lost && is_reported(was, i, "scan.lost")))
			continue;
		if (is_in_doubt(was, i)) {
			tally.older++;
			continue;
		}
		print_error("seed %llu: %s@%s block %u: %x was %x\n%s\n",
		    (unsigned long long)seed, was->of, was->name, i,
		    now->block[i], was->block[i], said);
		return false;
	}
	return true;
}

/* What a page of a table was, and has become, is told in general. */
static bool
table_is_older(void)
{
	return strstr(said, "scan.older version table") != NULL ||
	       strstr(said, "scan.lost version table") != NULL ||
	       strstr(said, "scan.lost region map") != NULL;
}

static uint64_t
any_page(struct check *check)
{
	uint64_t per = le32_get(&check->super.region_blocks), chosen = 0;
	unsigned count = 0;

	for (uint64_t at = per; at < check->blocks; at++)
		if (check->region[at / per].class == FMT_REGION_META &&
		    bits_get(&check->seen, at) && below(++count) == 0)
			chosen = at;
	return chosen;
}

static void
pool_at_random(uint64_t seed)
{
	seed_random = seed * 0x9e3779b97f4a7c15ull + 1;
	setup(NULL);
	rig_close_bs(&rig, bs);
	for (unsigned n = 0; n < 60; n++)
		work_step(n);
	held_all(before, &before_count);
}

/* Any, or one of the table of versions. */
static void
case_at_random(uint64_t seed, unsigned pages, bool versions)
{
	const struct wanted table = {.type = FMT_PAGE_VERSIONS};
	struct check_report report;
	struct check check;
	int r;

	pool_at_random(seed);
	if (below(3) == 0) {
		bs = volume_open(any_volume(false));
		assert_int_equal(rig_flush(&rig, bs), 0);
		rig_cut(&rig);
	} else {
		assert_int_equal(rig_close(&rig), 0);
	}
	open_check(&check, &report);
	for (unsigned i = 0; i < pages; i++)
		destroy(&check,
		    versions ? page_wanted(&check, &table) : any_page(&check));
	check_done(&check);
	r = scan_repair();
	if (r == 0 && strstr(said, "scan.lost") == NULL &&
	    strcmp(codes, "") != 0 && !table_is_older())
		fail_msg("seed %llu: found%s after\n%s",
		    (unsigned long long)seed, codes, said);
	if (r < 0) {
		if (strstr(said, "scan.lost") == NULL)
			fail_msg("seed %llu: %d\n%s", (unsigned long long)seed,
			    r, said);
		tally.tables++;
		return;
	}
	if (rig_open(&rig, false) < 0) {
		if (!table_is_older())
			fail_msg("seed %llu: not opened: %s\n%s%s\n",
			    (unsigned long long)seed, rig.problem, codes, said);
		tally.tables++;
		return;
	}
	held_all(after, &after_count);
	if (log_dropped) {
		tally.dropped++;
		return;
	}
	for (unsigned i = 0; i < before_count; i++) {
		struct held *now = held_find(after, after_count, &before[i]);
		assert_true(now != NULL || table_is_older());
		if (now != NULL)
			assert_true(is_as_said(&before[i], now, seed));
	}
	if (table_is_older())
		tally.tables++;
	else if (strstr(said, "scan.lost") == NULL)
		tally.same++;
	tally.left += codes[0] != '\0';
}

static void
no_page_that_is_lost_makes_wrong_data(void **state)
{
	const char *from = getenv("SEED"), *seeds = getenv("SEEDS");
	uint64_t first = from != NULL ? strtoull(from, NULL, 10) : 1;
	uint64_t count = seeds != NULL ? strtoull(seeds, NULL, 10) : 12;

	(void)state;
	for (uint64_t seed = first; seed < first + count; seed++) {
		case_at_random(seed, seed % 4 == 0 ? 3 : 1, seed % 10 == 9);
		teardown(NULL);
	}
	print_message("%u as before, %u with blocks lost, %u blocks older, %u "
		      "not clean, %u logs dropped, %u tables\n",
	    tally.same, tally.lost, tally.older, tally.left, tally.dropped,
	    tally.tables);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
	    T(an_inner_page_is_made_of_its_children),
	    T(it_is_made_of_what_its_clone_and_its_parent_share),
	    T(what_nothing_proves_reads_as_an_error),
	    T(a_leaf_without_an_older_copy_reads_as_an_error),
	    T(an_older_leaf_serves_where_its_blocks_are_its_own_yet),
	    T(an_older_leaf_that_has_all_there_is_is_taken_whole),
	    T(a_leaf_of_a_snapshot_has_what_its_volume_shares),
	    T(a_fine_page_loses_no_more_than_the_blocks_in_it),
	    T(an_older_fine_page_has_what_was_not_redirected_since),
	    T(a_page_of_versions_is_an_older_one_with_new_roots),
	    T(a_page_of_regions_is_an_older_one_with_what_is_in_use),
	    T(inner_pages_of_tables_are_made_of_their_children),
	    T(losses_are_counted_again),
	    T(bookmarks_that_are_gone_are_forgotten),
	    T(a_superblock_is_made_of_the_newest_roots),
	    cmocka_unit_test(no_page_that_is_lost_makes_wrong_data),
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
