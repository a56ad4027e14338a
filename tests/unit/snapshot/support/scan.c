/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/snapshot/support/scan.h"
#include "base/simloop.h"

struct held before[VOLUMES_MAX], after[VOLUMES_MAX];
unsigned before_count, after_count;

char said[16384], codes[1024];
bool log_dropped;

/* ---- a pool ---- */

void
scan_pool_make(uint64_t size)
{
	const struct pool_params params = {
	    .name = "tank", .region_bytes = MiB, .log_bytes = 8 * MiB};

	rig_init(&rig, size, 4096, true);
	assert_int_equal(rig_create(&rig, &params, false), 0);
	assert_int_equal(rig_volume(&rig, "web01", SIZE, 512, &volume), 0);
	bs = volume_open(volume);
}

int
scan_setup(void **state)
{
	(void)state;
	scan_pool_make(DISK);
	return 0;
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

void
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

struct held *
held_find(struct held *held, unsigned count, const struct held *like)
{
	for (unsigned i = 0; i < count; i++)
		if (strcmp(held[i].name, like->name) == 0 &&
		    strcmp(held[i].of, like->of) == 0)
			return &held[i];
	return NULL;
}

/* ---- breaking it ---- */

void
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

void
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

uint64_t
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

void
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

void
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

int
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

void
reopen(void)
{
	assert_int_equal(rig_open(&rig, false), 0);
	held_all(after, &after_count);
}

void
is_repaired(void)
{
	assert_int_equal(scan_repair(), 0);
	assert_string_equal(codes, "");
	reopen();
}

void
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
