/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pages of metadata at random are gone in all copies, after work at random:
 * what a scan makes of it may have lost blocks, or have older ones, but never
 * without a word.  SEED= and SEEDS= say which and how many.  One situation
 * each: repair_scan_test.c.
 */
#include "base/simloop.h"
#include "tests/unit/snapshot/support/scan.h"

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
	scan_setup(NULL);
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
		web01_teardown(NULL);
	}
	print_message("%u as before, %u with blocks lost, %u blocks older, %u "
		      "not clean, %u logs dropped, %u tables\n",
	    tally.same, tally.lost, tally.older, tally.left, tally.dropped,
	    tally.tables);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(no_page_that_is_lost_makes_wrong_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
