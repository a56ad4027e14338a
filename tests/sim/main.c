/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The simulator: the real engine on disks that lose power.
 *
 *   run                          all of make test
 *   run random [SCENARIO...], run exhaustive, directed, mutations
 *                                one part of it
 *   run brief                    a seed of each scenario
 *   run SCENARIO SEED [COUNT]    repeats a seed, or so many from it on
 *   run exhaustive SEED DISK TICK               repeats one exhaustive cut
 *   run directed NAME            repeats a directed test
 *   run soak CUTS [FIRST-SEED]   random cuts until there were so many
 *   run model OPERATIONS [FIRST-SEED]   families: until there were so many
 *   run pairs COUNT [FIRST-SEED] group snapshots of the ordered writer
 *   run list                     the scenarios
 *
 * What is covered.  One to four devices with a volatile cache or without one,
 * of 512 or 4096 byte blocks; several volumes with many reads, writes of parts
 * of blocks, of blocks, of chunks and across chunks and leaves, UNMAP, ZERO,
 * FLUSH and FUA in flight at once; creation, deletion, renaming, growing,
 * shrinking, devices that join, that are emptied and removed, checkpoints,
 * closing and opening, meanwhile; pools that fill up; logs that go round;
 * caches of a few pages; failing disks.
 * Power goes at any write, flush or discard of any device, in the middle of
 * recovery too (random), or at each one in turn (exhaustive).  What was not
 * flushed survives in part, torn at 512 bytes.  After each cut pool_check must
 * find neither damage nor a leak, and everything ever written is read and
 * compared with what the oracle (oracle.h) allows; volumes must be exactly
 * those whose creation was acknowledged and whose deletion was not, with name
 * and size.  Each life ends with all volumes deleted and nothing in use.
 *
 * Snapshots: of one volume or several at one instant, in time with writes, of
 * all three cow units, in full pools; clones, rollbacks, deletion in any order
 * and in the background, holds, trash, groups; bookmarks; differences against
 * snapshots, bookmarks and nothing.  A snapshot is a cut that must be
 * consistent over all its volumes, and never changes: whatever is read of it
 * is compared (oracle_cut.c), and a host that writes in order shows the same
 * without an oracle (ordered.c).  Differences are compared with what reads of
 * both sides show (diff.c).
 *
 * For the cause of a failed seed: VARVE_SIM_WATCH=VOLUME:OFFSET in the
 * environment shows what happens to that byte, and all requests;
 * VARVE_SIM_NO_CHECK leaves pool_check out.
 *
 * The proof of the proof is the mutation gate: each switch of
 * snapshot/breaks.h takes one rule away from the engine, and the same checks
 * must notice.
 *
 * What is not covered.  Failing disks under snapshots; flattening.  Requests
 * that are queued behind each other: one at a time is made.  Threads: a pool
 * lives on one loop.  The kernel's side of a backstore: integration tests.
 * Disks that lie about FLUSH: then nothing can be promised.  Time: the clock
 * is the simulator's.
 */
#include "base/simloop.h"
#include "snapshot/breaks.h"
#include "tests/sim/sim.h"
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEED_SECONDS 300 /* a seed that takes longer hangs */
#define HEAP_BYTES   (256u << 20)
#define HUGE_PAGE    (2u << 20)

enum verdict { GOOD, BAD, ENDED };

static unsigned passed, failed;
static struct tally *tally; /* shared with the children */

/* ---- in the child ---- */

void
sim_fail(const struct world *world, const char *format, ...)
{
	va_list args;

	printf("  %s seed %" PRIu64 ": ", world->scenario->name, world->seed);
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(BAD);
}

uint64_t
below(struct world *world, uint64_t limit)
{
	return sim_below(&world->random, limit);
}

bool
chance(struct world *world, unsigned permille)
{
	return below(world, 1000) < permille;
}

/* ---- one seed, in a process of its own ---- */

struct job {
	const struct scenario *scenario;
	uint64_t seed;
	const struct directed *directed;
	unsigned disk;
	uint64_t tick; /* exhaustive */
	void (*prepare)(const void *arg);
	const void *prepare_arg;
	bool quiet, verbose;
};

static enum verdict
job_body(const struct job *job)
{
	struct world *world = calloc(1, sizeof(*world));

	assert(world != NULL);
	world->scenario = job->scenario;
	world->seed = job->seed;
	world->random = (job->seed + 1) * 0x9e3779b97f4a7c15ull;
	world->clock = 2;
	world->control = CONTROL_COUNT;
	world->tally = tally;
	world->verbose = job->verbose;
	world->exhaustive_disk = job->disk;
	world->exhaustive_tick = job->tick;
	if (job->prepare != NULL)
		job->prepare(job->prepare_arg);
	if (job->directed != NULL) {
		world->cow_unit = job->directed->cow_unit;
		job->directed->run(world);
	} else if (job->tick == 0)
		life_run(world);
	else if (!life_run_exhaustive(world))
		return ENDED;
	return GOOD;
}

static void
job_child(const struct job *job)
{
	if (job->quiet) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
	}
	alarm(SEED_SECONDS);
	enum verdict verdict = job_body(job);
	fflush(stdout);
	_exit(verdict);
}

static enum verdict
job_run(const struct job *job)
{
	int status;

	fflush(stdout);
	pid_t child = fork();
	if (child == 0)
		job_child(job);
	if (child < 0 || waitpid(child, &status, 0) != child) {
		perror("fork");
		exit(2);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) <= ENDED)
		return (enum verdict)WEXITSTATUS(status);
	if (!job->quiet && WIFSIGNALED(status))
		printf("  seed %" PRIu64 ": ended by signal %d (%s)\n",
		    job->seed, WTERMSIG(status), strsignal(WTERMSIG(status)));
	return BAD;
}

static void
claim(bool good, const char *format, ...)
{
	va_list args;

	if (good)
		passed++;
	else
		failed++;
	printf("%s ", good ? "ok  " : "FAIL");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

/* ---- random ---- */

static unsigned
seeds_run(const struct scenario *scenario, uint64_t first, uint64_t count)
{
	unsigned bad = 0;

	for (uint64_t seed = first; seed < first + count; seed++) {
		struct job job = {.scenario = scenario, .seed = seed};
		if (job_run(&job) == GOOD)
			continue;
		printf("  repeat: run %s %" PRIu64 "\n", scenario->name, seed);
		if (++bad == 5)
			break;
	}
	return bad;
}

static void
scenario_run(const struct scenario *scenario, uint64_t first, uint64_t count)
{
	struct tally before = *tally;
	unsigned bad = seeds_run(scenario, first, count);

	claim(bad == 0,
	    "%-9s seeds %" PRIu64 "..%" PRIu64 ": %" PRIu64 " cuts (%" PRIu64
	    " while opening), %" PRIu64 " I/Os, %" PRIu64 " requests, %" PRIu64
	    " full, %" PRIu64 " errors, %u seeds failed",
	    scenario->name, first, first + count - 1, tally->cuts - before.cuts,
	    tally->cuts_in_open - before.cuts_in_open, tally->ios - before.ios,
	    tally->controls - before.controls, tally->full - before.full,
	    tally->errors - before.errors, bad);
}

static bool
is_wanted(const struct scenario *scenario, int argc, char **argv)
{
	if (scenario->seeds == 0)
		return false;
	for (int i = 0; i < argc; i++)
		if (strcmp(scenario->name, argv[i]) == 0)
			return true;
	return argc == 0;
}

static int
part_random(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		if (scenario_find(argv[i]) == NULL)
			return 2;
	for (const struct scenario *s = scenarios; s->name != NULL; s++)
		if (is_wanted(s, argc, argv))
			scenario_run(s, 0, s->seeds);
	return 0;
}

/* A little of each, for builds that are slow. */
static int
part_brief(int argc, char **argv)
{
	(void)argv;
	for (const struct scenario *s = scenarios; s->name != NULL; s++)
		if (s->seeds > 0)
			scenario_run(s, 0, 1);
	return argc == 0 ? 0 : 2;
}

static int
part_soak(int argc, char **argv)
{
	uint64_t cuts, first = 1000000;

	if (argc < 1 || argc > 2)
		return 2;
	cuts = strtoull(argv[0], NULL, 10);
	if (argc == 2)
		first = strtoull(argv[1], NULL, 10);
	for (; tally->cuts < cuts && failed == 0; first += 1000)
		for (const struct scenario *s = scenarios; s->name != NULL; s++)
			if (s->seeds > 0)
				scenario_run(s, first, s->seeds);
	return 0;
}

/* Fresh seeds of the scenarios with snapshots, until what is counted has come
 * to so much. */
static int
families_until(
    const uint64_t *counted[2], const char *only, int argc, char **argv)
{
	uint64_t count, first = 5000000;

	if (argc < 1 || argc > 2)
		return 2;
	count = strtoull(argv[0], NULL, 10);
	if (argc == 2)
		first = strtoull(argv[1], NULL, 10);
	for (; *counted[0] + *counted[1] < count && failed == 0; first += 10)
		for (const struct scenario *s = scenarios; s->name != NULL; s++)
			if (s->snapshots > 0 && s->seeds > 0 &&
			    (only == NULL || strcmp(only, s->name) == 0))
				scenario_run(s, first, 10);
	return 0;
}

static int
part_model(int argc, char **argv)
{
	const uint64_t *counted[2] = {&tally->ios, &tally->controls};

	return families_until(counted, NULL, argc, argv);
}

static int
part_pairs(int argc, char **argv)
{
	static const uint64_t nothing;
	const uint64_t *counted[2] = {&tally->pairs, &nothing};

	return families_until(counted, "group", argc, argv);
}

/* ---- exhaustive ---- */

#define EXHAUSTIVE_SEEDS 6u

static const char *const exhaustive_scenarios[] = {
    "single", "plp", "multi", "devices", "resize", "deletion"};

static const struct scenario *
exhaustive_scenario(uint64_t seed)
{
	return scenario_find(
	    exhaustive_scenarios[seed % ARRAY_SIZE(exhaustive_scenarios)]);
}

/* Every tick of one disk in turn, until the trace ends before it. */
static unsigned
exhaustive_disk(uint64_t seed, unsigned disk)
{
	struct job job = {.scenario = exhaustive_scenario(seed),
	    .seed = seed,
	    .disk = disk,
	    .tick = 1};
	unsigned bad = 0;

	for (;; job.tick++) {
		enum verdict verdict = job_run(&job);
		if (verdict == ENDED)
			return bad;
		if (verdict == GOOD)
			continue;
		printf("  repeat: run exhaustive %" PRIu64 " %u %" PRIu64 "\n",
		    seed, disk, job.tick);
		if (++bad == 3)
			return bad;
	}
}

static int
part_exhaustive(int argc, char **argv)
{
	if (argc == 3) {
		struct job job = {.seed = strtoull(argv[0], NULL, 10),
		    .disk = (unsigned)strtoul(argv[1], NULL, 10),
		    .tick = strtoull(argv[2], NULL, 10),
		    .verbose = true};
		job.scenario = exhaustive_scenario(job.seed);
		claim(job_run(&job) != BAD,
		    "exhaustive seed %" PRIu64 ", disk %u, tick %" PRIu64,
		    job.seed, job.disk, job.tick);
		return 0;
	}
	for (uint64_t seed = 0; argc == 0 && seed < EXHAUSTIVE_SEEDS; seed++) {
		const struct scenario *scenario = exhaustive_scenario(seed);
		uint64_t cuts = tally->cuts;
		unsigned bad = 0;
		for (unsigned disk = 0; disk < scenario->devices; disk++)
			bad += exhaustive_disk(seed, disk);
		claim(bad == 0,
		    "exhaustive %s, seed %" PRIu64 ": %" PRIu64
		    " cuts, at every tick",
		    scenario->name, seed, tally->cuts - cuts);
	}
	return argc == 0 ? 0 : 2;
}

/* ---- directed ---- */

/* In which of the two tables? */
static bool
is_family_test(const struct directed *test)
{
	const struct directed *end = directed_family_tests;

	while (end->name != NULL)
		end++;
	return test >= directed_family_tests && test <= end;
}

static const char *
directed_scenario(const struct directed *test)
{
	return is_family_test(test) ? "family" : "directed";
}

/* All tests: NULL starts and ends. */
static const struct directed *
directed_next(const struct directed *test)
{
	if (test == NULL)
		return directed_tests;
	test++;
	if (test->name == NULL && !is_family_test(test))
		test = directed_family_tests;
	return test->name != NULL ? test : NULL;
}

static enum verdict
directed_run(const struct directed *test, bool quiet,
    void (*prepare)(const void *arg), const void *prepare_arg)
{
	struct job job = {.scenario = scenario_find(directed_scenario(test)),
	    .directed = test,
	    .prepare = prepare,
	    .prepare_arg = prepare_arg,
	    .quiet = quiet};

	return job_run(&job);
}

static int
part_directed(int argc, char **argv)
{
	for (const struct directed *d = NULL; (d = directed_next(d)) != NULL;)
		if (argc == 0 || strcmp(argv[0], d->name) == 0)
			claim(directed_run(d, false, NULL, NULL) == GOOD,
			    "directed %s", d->name);
	return argc <= 1 ? 0 : 2;
}

/* ---- the mutation gate ---- */

/* Which checks must notice that a rule is missing: seeds of a scenario, or a
 * directed test. */
static const struct mutation {
	const char *name, *rule;
	bool *broken;
	const char *scenario, *directed;
	unsigned seeds;
	bool exhaustive; /* not random seeds, but each tick of the first ones */
} mutations[] = {
#define M(field, rule, ...)                                                    \
	{                                                                      \
#field, rule, &engine_breaks.field, __VA_ARGS__                \
	}
    M(i1_fine_twice, "I1 single blocks are taken once", .scenario = "deletes",
	.seeds = 2),
    M(i2_change_frozen, "I2 the parent's pages stay", .directed = "frozen"),
    M(i3_ignore_birth, "I3 overwrite only what is not shared",
	.directed = "frozen"),
    M(i6_no_data_flush, "I6 data durable before its record",
	.scenario = "single", .seeds = 8),
    M(i7_reuse_undurable, "I7 reuse after the free is durable",
	.scenario = "churn", .seeds = 16),
    M(i7_reuse_in_flight, "I7 reuse after I/O that looked it up",
	.directed = "reuse-in-flight"),
    M(i8_overwrite_pages, "I8 pages of a checkpoint stay", .scenario = "single",
	.seeds = 8),
    M(i9_super_first, "I9 superblock after its pages", .scenario = "single",
	.seeds = 8, .exhaustive = true),
    M(i9_single_slot, "I9 superblocks alternate", .scenario = "single",
	.seeds = 16, .exhaustive = true),
    M(i10_truncate_early, "I10 log truncated after the superblock",
	.directed = "log-not-cut-early"),
    M(i10_accept_stale, "I10 blocks of an old life never count",
	.directed = "old-log-blocks"),
    M(i11_replay_no_mask, "I11 replay applies as run time did",
	.scenario = "single", .seeds = 8),
    M(i11_record_order, "I11 order of records is order of changes",
	.scenario = "single", .seeds = 8),
    M(i11_group_torn, "I11 groups of records are all or nothing",
	.scenario = "deletes", .seeds = 8),
    M(i12_early_flush, "I12 FLUSH ends when all before is durable",
	.scenario = "single", .seeds = 4),
    M(i13_refuse_when_full, "I13 overwriting needs no space",
	.scenario = "full", .seeds = 2),
    M(i14_trust_pages, "I14 each page is looked at", .directed = "other-page"),
    M(i3_no_cursor_rule, "I3 the cursor decides", .directed = "cursor"),
    M(i4_mask_only, "I4 a COARSE entry holds all 16", .scenario = "deletes",
	.seeds = 4),
    M(i4_ignore_birth, "I4 the parent's blocks stay", .scenario = "deletes",
	.seeds = 4),
    M(i4_ignore_child, "I4 the child's blocks stay", .scenario = "deletes",
	.seeds = 4),
    M(i4_two_children, "I4 one child at most", .directed = "orders"),
    M(i5_no_epoch, "I5 a snapshot ends the epoch", .directed = "frozen"),
    M(i15_ignore_bookmark, "I15 overwrite only what is newer than a mark",
	.directed = "mark-overwrites"),
    M(i16_no_rebirth, "I16 pages are born again", .directed = "mark-pages"),
    M(i17_no_hole_birth, "I17 holes have births", .directed = "mark-holes"),
    M(cut_no_drain, "a snapshot waits for writes in flight",
	.directed = "cut-waits"),
    M(cut_no_park, "writes over the cut look again",
	.directed = "allocation-over-cut"),
    M(rmw_no_drain, "copies wait for writes in flight",
	.directed = "part-waits"),
    M(rollback_keeps_marks, "a rollback drops bookmarks",
	.directed = "mark-branch"),
    M(atomic_in_place, "atomic writes overwrite nothing", .scenario = "atomic",
	.seeds = 8),
    M(atomic_torn, "atomic writes are installed by one group",
	.scenario = "atomic", .seeds = 8),
    M(atomic_unmapped, "atomic writes spare what may come back",
	.scenario = "atomic", .seeds = 40),
    M(reserve_ignored, "others leave what is reserved", .scenario = "reserve",
	.seeds = 32),
    M(pin_ignored, "what is pinned stays while it is checked",
	.directed = "pinned"),
    M(grow_early, "no record names a region before the table has it",
	.directed = "growth"),
    M(move_no_copy, "a region is copied before its places are exchanged",
	.scenario = "evacuate", .seeds = 4),
    M(move_one_place, "writes go to both places while a region is copied",
	.scenario = "evacuate", .seeds = 4),
    M(move_no_gate, "writes wait while their part of a region is copied",
	.scenario = "evacuate", .seeds = 8),
    M(move_any_order, "overlapping writes end alike in both places",
	.directed = "move-order"),
    M(move_no_wait, "both places until the table with the new one is durable",
	.scenario = "evacuate", .seeds = 8),
#undef M
    {"no_ack_ring", "killed: all acknowledged writes are there",
	&world_without_ring, .scenario = "kill", .seeds = 4},
};

static void
mutation_set(const void *arg)
{
	const struct mutation *mutation = arg;

	*mutation->broken = true;
}

/* Cuts at each tick until one shows it. */
static unsigned
mutation_by_ticks(const struct mutation *mutation)
{
	for (unsigned seed = 0; seed < EXHAUSTIVE_SEEDS; seed++) {
		struct job job = {.scenario = exhaustive_scenario(seed),
		    .seed = seed,
		    .tick = 1,
		    .prepare = mutation_set,
		    .prepare_arg = mutation,
		    .quiet = true};
		enum verdict verdict;
		do
			verdict = job_run(&job);
		while (verdict == GOOD && job.tick++ < UINT64_MAX);
		if (verdict == BAD)
			return 1;
	}
	return 0;
}

static unsigned
mutation_by_seeds(const struct mutation *mutation)
{
	const struct scenario *scenario = scenario_find(mutation->scenario);
	unsigned caught = 0;

	for (unsigned seed = 0; seed < mutation->seeds; seed++) {
		struct job job = {.scenario = scenario,
		    .seed = seed,
		    .prepare = mutation_set,
		    .prepare_arg = mutation,
		    .quiet = true};
		caught += job_run(&job) == BAD;
	}
	return caught;
}

static bool
mutation_by_test(const struct mutation *mutation)
{
	for (const struct directed *d = NULL; (d = directed_next(d)) != NULL;)
		if (strcmp(d->name, mutation->directed) == 0)
			return directed_run(d, true, mutation_set, mutation) ==
			       BAD;
	return false;
}

static void
mutation_run(const struct mutation *mutation)
{
	char how[160] = "";
	unsigned caught = 0;

	if (mutation->scenario != NULL) {
		caught += mutation_by_seeds(mutation);
		snprintf(how, sizeof(how), "%u of %u seeds of %s", caught,
		    mutation->seeds, mutation->scenario);
	}
	if (mutation->exhaustive) {
		unsigned noticed = mutation_by_ticks(mutation);
		caught += noticed;
		size_t used = strlen(how);
		snprintf(how + used, sizeof(how) - used, "%s%s of every tick",
		    used > 0 ? ", " : "", noticed > 0 ? "cuts" : "no cut");
	}
	if (mutation->directed != NULL) {
		bool noticed = mutation_by_test(mutation);
		caught += noticed;
		size_t used = strlen(how);
		snprintf(how + used, sizeof(how) - used, "%s%s %s",
		    used > 0 ? ", " : "", noticed ? "test" : "not test",
		    mutation->directed);
	}
	claim(caught > 0, "mutation %-18s %-40s caught by %s", mutation->name,
	    mutation->rule, how);
}

static int
part_mutations(int argc, char **argv)
{
	for (unsigned i = 0; i < ARRAY_SIZE(mutations); i++)
		if (argc == 0 || strcmp(argv[0], mutations[i].name) == 0)
			mutation_run(&mutations[i]);
	return argc <= 1 ? 0 : 2;
}

/* ---- what to run ---- */

static int
part_list(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	for (const struct scenario *s = scenarios; s->name != NULL; s++)
		printf("%-10s %s\n", s->name, s->what);
	exit(0);
}

static const struct part {
	const char *name;
	int (*run)(int argc, char **argv);
	bool in_test;
} parts[] = {
    {"random", part_random, true},
    {"exhaustive", part_exhaustive, true},
    {"directed", part_directed, true},
    {"mutations", part_mutations, true},
    {"brief", part_brief, false},
    {"soak", part_soak, false},
    {"model", part_model, false},
    {"pairs", part_pairs, false},
    {"list", part_list, false},
};

static int
run_seeds(int argc, char **argv)
{
	const struct scenario *scenario = scenario_find(argv[1]);

	if (scenario == NULL || argc < 3 || argc > 4)
		return 2;
	scenario_run(scenario, strtoull(argv[2], NULL, 10),
	    argc == 4 ? strtoull(argv[3], NULL, 10) : 1);
	return 0;
}

static int
run_parts(int argc, char **argv)
{
	int r = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
		if (argc == 1 && parts[i].in_test)
			r |= parts[i].run(0, NULL);
		else if (argc > 1 && strcmp(argv[1], parts[i].name) == 0)
			return parts[i].run(argc - 2, argv + 2);
	}
	return argc == 1 ? r : run_seeds(argc, argv);
}

/* Half of the time would go into page faults: memory that is given back is
 * kept, and the heap stands on huge pages if there are any.  (A sanitizer's
 * heap does not come from here.) */
static void
heap_keep(void)
{
	uint8_t *from = sbrk(0), *end;
	void *volatile first; /* or the compiler takes it away */

	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
	mallopt(M_TOP_PAD, HEAP_BYTES);
	first = malloc(HEAP_BYTES / 64);
	free(first);
	end = sbrk(0);
	from += -(uintptr_t)from % HUGE_PAGE;
	if (end > from)
		madvise(from, (size_t)(end - from), MADV_HUGEPAGE);
}

int
main(int argc, char **argv)
{
	heap_keep();
	tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert(tally != MAP_FAILED);
	if (run_parts(argc, argv) != 0) {
		fprintf(stderr,
		    "usage: run [random [SCENARIO...] | exhaustive |"
		    " directed | mutations | brief | soak CUTS |"
		    " model OPERATIONS | pairs COUNT |"
		    " list | SCENARIO SEED [COUNT]]\n");
		return 2;
	}
	printf("%" PRIu64 " power cuts, %" PRIu64 " checks, %" PRIu64
	       " MiB verified\n",
	    tally->cuts, tally->checks, tally->verified_bytes >> 20);
	if (tally->removals > 0)
		printf("%" PRIu64 " devices removed\n", tally->removals);
	if (tally->snapshots > 0)
		printf("%" PRIu64 " snapshots, %" PRIu64 " clones, %" PRIu64
		       " rollbacks, %" PRIu64 " flattened, %" PRIu64
		       " deleted, %" PRIu64 " bookmarks, %" PRIu64
		       " differences of %" PRIu64 " blocks, %" PRIu64
		       " ordered pairs\n",
		    tally->snapshots, tally->clones, tally->rollbacks,
		    tally->flattened, tally->deletions, tally->marks,
		    tally->diffs, tally->diff_blocks, tally->pairs);
	if (tally->quotas + tally->reserves > 0)
		printf("%" PRIu64 " quotas, %" PRIu64 " reservations set\n",
		    tally->quotas, tally->reserves);
	if (tally->online_checks + tally->online_lost > 0)
		printf("%" PRIu64 " checks of pools in use, %" PRIu64
		       " given up for space\n",
		    tally->online_checks, tally->online_lost);
	printf("%u passed, %u failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}
