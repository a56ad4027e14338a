/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What must not depend on size: snapshots, differences, opening after a kill;
 *and what takes long when much is there: the deletion of a snapshot, killed
 *again and again. The LUN is as large as one likes, for its map is synthetic:
 *records map its chunks one after the other, and nobody writes the data.
 *
 *	run                       small ones, counts only: for make test
 *	run SIZE... [DIR]         tables with times; the pool is in memory, or
 *	                          in a file in DIR.  SIZE: 1G, 100G, 10T
 *	run keep SIZE DIR         leaves DIR/scale.pool behind: a LUN and its
 *	                          snapshot "base" that share nothing
 *
 * Not here: I/O of hosts meanwhile (tests/bench/snapshots.py).
 */
#include "backstores/stores.h"
#include "snapshot/check.h"
#include "snapshot/engine.h"
#include "snapshot/family.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SNAPSHOTS   1000u
#define KILLS       50u
#define DELETED_MAX (1ull << 40) /* more has no room in memory */
#define STEP        100u         /* one leaf of so many changes */

struct scale {
	struct loop_task task;
	struct loop *loop;
	struct backstore *bs;
	struct pool *pool;
	struct volume *volume;
	uint64_t size;
	char path[256];
	unsigned snapshots, kills, failed;
};

static const struct pool_limits limits = {.cache_bytes = 1ull << 30};

/* ---- driving ---- */

static void
die(const char *what, int error)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-error));
	exit(1);
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct wait {
	struct pool_request request;
	struct waiter waiter;
	bool done;
	int result;
};

static void
request_done(struct pool_request *request, int result)
{
	struct wait *wait = container_of(request, struct wait, request);

	wait->done = true;
	wait->result = result;
}

static void
waiter_done(struct waiter *waiter, int error)
{
	struct wait *wait = container_of(waiter, struct wait, waiter);

	wait->done = true;
	wait->result = error;
}

static void
wait_init(struct wait *wait)
{
	memset(wait, 0, sizeof(*wait));
	wait->request.done = request_done;
	waiter_init(&wait->waiter, waiter_done);
}

static int
wait_end(struct scale *s, struct wait *wait)
{
	while (!wait->done)
		loop_turn(s->loop);
	return wait->result;
}

/* Again as long as it has to wait. */
#define until(s, result, wait, call)                                           \
	do {                                                                   \
		wait_init(wait);                                               \
		(result) = (call);                                             \
		if ((result) == -EAGAIN)                                       \
			wait_end(s, wait);                                     \
	} while ((result) == -EAGAIN)

/* ---- a pool with a map ---- */

static void
store_open(struct scale *s)
{
	struct bs_file_params params = {.path = s->path, .no_lock = true};
	uint64_t data = s->kills > 0 ? 2 * s->size : s->size;
	uint64_t size = data + data / 8 + (256ull << 20);
	int r;

	size -= size % (1ull << 20);
	if (s->path[0] == 0) {
		r = bs_mem_new(s->loop, size, 4096, &s->bs);
	} else {
		params.create = access(s->path, F_OK) != 0;
		params.create_size = size;
		r = bs_file_open(s->loop, &params, &s->bs);
	}
	if (r < 0)
		die("store", r);
}

static void
pool_make(struct scale *s)
{
	struct pool_params params = {.name = "scale"};
	struct volume_params lun = {.name = "lun", .size = s->size};
	struct wait wait;
	int r;

	wait_init(&wait);
	pool_create(s->loop, &s->bs, 1, &params, &limits, false, &wait.request);
	r = wait_end(s, &wait);
	if (r < 0)
		die("pool", r);
	s->pool = wait.request.pool;
	wait_init(&wait);
	volume_create(s->pool, &lun, &wait.request);
	r = wait_end(s, &wait);
	if (r < 0)
		die("volume", r);
	s->volume = wait.request.volume;
}

/* Up to 16 chunks from chunk on. */
static unsigned
map_chunks(struct scale *s, uint64_t chunk)
{
	uint64_t address;
	unsigned count, left = FMT_LEAF_CHUNKS - chunk % FMT_LEAF_CHUNKS;
	struct page *leaf;
	struct wait wait;
	int r;

	until(s, r, &wait, pool_room(s->pool, 64, &wait.waiter));
	until(s, r, &wait,
	    map_path_get(
		s->volume, chunk / FMT_LEAF_CHUNKS, &wait.waiter, &leaf, NULL));
	until(s, r, &wait,
	    space_reserve(s->pool, s->volume, left < 16 ? left : 16,
		&wait.waiter, &address, &count));
	if (r < 0)
		die("no space", r);
	group_begin(s->pool);
	for (unsigned i = 0; i < count; i++)
		le16_set(&group_add(s->pool, FMT_MAP_COARSE, s->volume,
			     chunk + i, address + i * FMT_CHUNK_BLOCKS)
			      ->mask,
		    0xffff);
	until(s, r, &wait, group_prepare(s->pool, &wait.waiter));
	group_record(s->pool);
	space_installed(s->pool, address, count * FMT_CHUNK_BLOCKS);
	return count;
}

static void
map_all(struct scale *s)
{
	uint64_t chunks = s->size / FMT_CHUNK;

	for (uint64_t chunk = 0; chunk < chunks;)
		chunk += map_chunks(s, chunk);
}

/* One block of a leaf is redirected, as a write would. */
static void
redirect(struct scale *s, uint64_t leaf)
{
	uint64_t block = leaf * FMT_LEAF_BLOCKS + 5, address;
	unsigned count;
	struct page *page;
	struct wait wait;
	int r;

	until(s, r, &wait, pool_room(s->pool, 64, &wait.waiter));
	until(s, r, &wait,
	    space_reserve_blocks(
		s->pool, s->volume, 1, 1, &wait.waiter, &address, &count));
	until(s, r, &wait,
	    map_chunks_get(
		s->volume, block / FMT_CHUNK_BLOCKS, 1, &wait.waiter, &page));
	group_begin(s->pool);
	group_add(s->pool, FMT_MAP_FINE, s->volume, block,
	    address | 1ull << FMT_ADDRESS_BITS);
	until(s, r, &wait, group_prepare(s->pool, &wait.waiter));
	group_record(s->pool);
	space_installed(s->pool, address, 1);
}

static void
checkpoint(struct scale *s)
{
	struct wait wait;

	wait_init(&wait);
	pool_checkpoint(s->pool, &wait.request);
	wait_end(s, &wait);
}

static struct volume *
snapshot(struct scale *s, const char *name)
{
	struct snapshot_params params = {.name = name};
	struct wait wait;
	int r;

	wait_init(&wait);
	snapshot_create(s->pool, &s->volume, 1, &params, &wait.request);
	r = wait_end(s, &wait);
	if (r < 0)
		die("snapshot", r);
	return wait.request.volume;
}

/* The pool's memory is left as a kill leaves it: nothing is written. */
static void
kill_and_open(struct scale *s)
{
	struct wait wait;
	int r;

	wait_init(&wait);
	redo_flush(s->pool, &wait.waiter);
	wait_end(s, &wait);
	while (!pool_idle(s->pool))
		loop_turn(s->loop);
	delete_jobs_stop(s->pool);
	loop_timer_disarm(s->loop, &s->pool->checkpoint.idle);
	loop_timer_disarm(s->loop, &s->pool->redo.timer);
	if (s->path[0] != 0)
		store_open(s);
	wait_init(&wait);
	pool_open(s->loop, &s->bs, 1, &limits, false, &wait.request);
	r = wait_end(s, &wait);
	if (r < 0)
		die("open", r);
	s->pool = wait.request.pool;
	s->volume = volume_find(s->pool, "lun");
}

/* ---- what is claimed ---- */

static void
claim(struct scale *s, bool holds, const char *what)
{
	if (holds)
		return;
	printf("  FAILED at %" PRIu64 " GiB: %s\n", s->size >> 30, what);
	s->failed++;
}

static int
compare_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* A snapshot changes the same few pages whatever the size. */
static void
snapshots_are_free(struct scale *s, unsigned count)
{
	uint64_t *ns = calloc(count, sizeof(*ns)), copied;
	char name[32];

	assert(ns != NULL);
	snapshot(s, "warm"); /* the feature bit takes a checkpoint */
	checkpoint(s);
	copied = s->pool->cache.dirty_map_count;
	for (unsigned i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "s%u", i);
		snapshot(s, name);
		ns[i] = s->pool->counters.cut_ns;
	}
	claim(s, s->pool->cache.dirty_map_count == copied,
	    "a snapshot has touched pages of the map");
	qsort(ns, count, sizeof(*ns), compare_u64);
	printf("  %u snapshots: the step takes %.1f us (median), %.1f us"
	       " (p99.9), %.1f us (longest)\n",
	    count, (double)ns[count / 2] / 1e3,
	    (double)ns[count - 1 - count / 1000] / 1e3,
	    (double)ns[count - 1] / 1e3);
	free(ns);
}

static void
diff_done(struct pool_request *request, int result)
{
	if (result < 0)
		die("difference", result);
	*(bool *)request->arg = true;
}

static void
difference_costs_what_differs(struct scale *s)
{
	static struct diff_extent extents[4096];
	uint64_t leaves = s->size / FMT_LEAF_BYTES, changed = 0, found = 0;
	struct diff_request d = {.extent = extents, .extent_max = 4096};
	uint64_t pages = 0, misses;
	struct volume *base = snapshot(s, "base");
	double began;
	bool done;

	for (uint64_t leaf = 0; leaf < leaves; leaf += STEP, changed++)
		redirect(s, leaf);
	snapshot(s, "after");
	checkpoint(s);
	kill_and_open(s); /* nothing is in memory */
	base = snapshot_find(s->volume, "base");
	d.to = snapshot_find(s->volume, "after");
	d.base = base;
	misses = s->pool->cache.misses;
	began = now();
	do {
		d.request.done = diff_done;
		d.request.arg = &done;
		done = false;
		volume_diff(s->pool, &d);
		while (!done)
			loop_turn(s->loop);
		for (unsigned i = 0; i < d.extent_count; i++)
			found += d.extent[i].length / FMT_BLOCK;
		pages += d.pages;
	} while (!d.end);
	printf("  difference of %" PRIu64 " in %" PRIu64
	       " leaves: %.0f ms, %" PRIu64 " pointers compared, %" PRIu64
	       " pages read\n",
	    changed, leaves, (now() - began) * 1e3, pages,
	    s->pool->cache.misses - misses);
	claim(s, found == changed, "the difference is not what changed");
	/* two leaves, a fine page, and what is above them */
	claim(s,
	    s->pool->cache.misses - misses <=
		4 * changed + 4 * (leaves / FMT_FANOUT + 8),
	    "the difference has read what does not differ");
}

static void
open_reads_what_the_log_says(struct scale *s)
{
	uint64_t leaves = s->size / FMT_LEAF_BYTES, misses;
	uint64_t used = s->pool->redo.blocks * 3 / 8;

	checkpoint(s);
	/* distinct leaves until the log is as full as it gets */
	for (uint64_t i = 0;
	     i < leaves && redo_used_blocks(&s->pool->redo) < used &&
	     i < 200000;
	     i++)
		redirect(s, i * 7919 % leaves);
	kill_and_open(s);
	misses = s->pool->cache.misses;
	printf("  open after a kill: %.0f ms, %" PRIu64
	       " records replayed, %" PRIu64 " pages read\n",
	    (double)s->pool->counters.open_ns / 1e6,
	    s->pool->counters.replayed_records, misses);
	claim(
	    s, s->pool->counters.replayed_records > 0, "nothing was replayed");
	claim(s,
	    misses <= 8 * s->pool->counters.replayed_records +
			  s->pool->space.count * 2 + 64,
	    "opening has walked the map");
}

/* ---- a snapshot that shares nothing is deleted ---- */

static void
delete_base(struct scale *s)
{
	struct wait wait;
	int r;

	wait_init(&wait);
	volume_delete(s->pool, snapshot_find(s->volume, "base"), &wait.request);
	r = wait_end(s, &wait);
	if (r < 0)
		die("deletion", r);
}

static uint64_t
allocated(struct scale *s)
{
	struct pool_stat stat;

	pool_stat_get(s->pool, &stat);
	return stat.allocated;
}

/* Turns until so much of it is free again, or all of it is. */
static void
run_until_freed(struct scale *s, uint64_t bytes)
{
	struct pool_job_stat job;

	while (allocated(s) > 2 * s->size - bytes &&
	       pool_job_get(s->pool, 0, &job))
		loop_turn(s->loop);
}

static void
finding(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	struct scale *s = arg;

	if (severity == CHECK_NOTE)
		return;
	printf("  check: %s: %s\n", code, text);
	claim(s, false, "the pool is sound");
}

static void
turn(void *arg)
{
	struct scale *s = arg;

	loop_turn(s->loop);
}

static void
is_sound(struct scale *s)
{
	struct check_report report = {.finding = finding, .arg = s};
	int r = pool_check(&s->bs, 1, turn, s, &report);

	if (r < 0)
		die("check", r);
}

static void
diverge(struct scale *s)
{
	snapshot(s, "base");
	map_all(s); /* anew */
	checkpoint(s);
	claim(s, allocated(s) == 2 * s->size, "the snapshot shares nothing");
}

static void
deletion_survives(struct scale *s)
{
	struct pool_job_stat job;
	double began;

	diverge(s);
	delete_base(s);
	began = now();
	for (unsigned kill = 1; kill <= s->kills; kill++) {
		run_until_freed(s, s->size / (s->kills + 1) * kill);
		claim(s, pool_job_get(s->pool, 0, &job),
		    "the deletion is over before its last kill");
		kill_and_open(s);
	}
	run_until_freed(s, 2 * s->size); /* to its very end */
	claim(s, !pool_job_get(s->pool, 0, &job), "all is deleted");
	claim(s, allocated(s) == s->size, "what the snapshot had is free");
	printf("  deleted in %.1f s, with %u kills\n", now() - began, s->kills);
	checkpoint(s);
	while (!pool_idle(s->pool))
		loop_turn(s->loop);
	is_sound(s);
}

static void
deletion_task(struct loop_task *task)
{
	struct scale *s = container_of(task, struct scale, task);

	store_open(s);
	pool_make(s);
	map_all(s);
	printf("%" PRIu64 " GiB in a snapshot of its own\n", s->size >> 30);
	deletion_survives(s);
	loop_stop(s->loop);
}

static void
keep_task(struct loop_task *task)
{
	struct scale *s = container_of(task, struct scale, task);
	struct wait wait;
	int r;

	store_open(s);
	pool_make(s);
	map_all(s);
	diverge(s);
	wait_init(&wait);
	pool_close(s->pool, &wait.request);
	r = wait_end(s, &wait);
	if (r < 0)
		die("close", r);
	s->path[0] = 0; /* it stays */
	loop_stop(s->loop);
}

static void
scale_task(struct loop_task *task)
{
	struct scale *s = container_of(task, struct scale, task);
	double began = now();

	store_open(s);
	pool_make(s);
	map_all(s);
	checkpoint(s);
	printf(
	    "%" PRIu64 " GiB mapped in %.1f s\n", s->size >> 30, now() - began);
	snapshots_are_free(s, s->snapshots);
	difference_costs_what_differs(s);
	open_reads_what_the_log_says(s);
	loop_stop(s->loop);
}

/* Pools and their memory are left behind: they were killed. */
static unsigned
scale_run(void (*task)(struct loop_task *task), uint64_t size, const char *dir,
    unsigned snapshots, unsigned kills)
{
	const struct loop_params params = {.cpu = -1, .name = "scale"};
	struct scale s = {.size = size,
	    .snapshots = snapshots,
	    .kills = kills,
	    .task.run = task};
	int r = loop_new(&params, &s.loop);

	if (r < 0)
		die("loop", r);
	if (dir != NULL)
		snprintf(s.path, sizeof(s.path), "%s/scale.pool", dir);
	loop_post(s.loop, &s.task);
	loop_run(s.loop);
	if (s.path[0] != 0)
		unlink(s.path);
	fflush(stdout);
	return s.failed;
}

static uint64_t
size_parse(const char *text)
{
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	return *end == 'T' ? n << 40 : *end == 'G' ? n << 30 : 0;
}

int
main(int argc, char **argv)
{
	const char *dir = NULL;
	unsigned failed = 0, sizes = 0;

	if (argc == 4 && strcmp(argv[1], "keep") == 0 &&
	    size_parse(argv[2]) != 0)
		return scale_run(
			   keep_task, size_parse(argv[2]), argv[3], 0, 1) > 0;
	for (int i = 1; i < argc; i++)
		if (size_parse(argv[i]) == 0)
			dir = argv[i];
	for (int i = 1; i < argc; i++)
		if (size_parse(argv[i]) != 0) {
			uint64_t size = size_parse(argv[i]);
			failed +=
			    scale_run(scale_task, size, dir, SNAPSHOTS, 0);
			sizes++;
			if (size > DELETED_MAX)
				continue;
			failed += scale_run(deletion_task, size, dir, 0, KILLS);
			sizes++;
		}
	if (sizes == 0) {
		failed += scale_run(scale_task, 1ull << 30, dir, 50, 0);
		failed += scale_run(scale_task, 40ull << 30, dir, 50, 0);
		failed += scale_run(deletion_task, 4ull << 30, dir, 0, 10);
		sizes = 3;
	}
	printf("%u passed, %u failed\n", sizes - (failed > 0 ? 1 : 0),
	    failed > 0 ? 1 : 0);
	return failed > 0;
}
