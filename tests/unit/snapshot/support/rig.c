/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/snapshot/support/rig.h"
#include "base/simloop.h"
#include "snapshot/engine.h"
#include "tests/waited.h"
#include <stdlib.h>
#include <string.h>

static void
rig_loop(struct rig *rig)
{
	int r = simloop_new(42, 8u << 20, &rig->loop);

	assert(r == 0);
}

struct backstore *
rig_disk(struct rig *rig, uint64_t size, uint32_t block_size, bool cache)
{
	struct bs_powercut_params params = {
	    .size = size,
	    .block_size = block_size,
	    .seed = 7,
	    .volatile_cache = cache,
	    .latency_min_ns = 10000,
	    .latency_max_ns = 50000,
	};
	struct backstore *bs;
	int r = bs_powercut_new(rig->loop, &params, &bs);

	assert(r == 0);
	return bs;
}

void
rig_init(struct rig *rig, uint64_t size, uint32_t block_size, bool cache)
{
	memset(rig, 0, sizeof(*rig));
	rig_loop(rig);
	rig->disk[0] = rig_disk(rig, size, block_size, cache);
	rig->disks = 1;
	rig->limits.io_max = 64;
	rig->limits.cache_bytes = 4u << 20;
}

/* ---- requests ---- */

static int
ask_end(
    struct rig *rig, struct waited *asked, const struct pool_request *request)
{
	bool ended = simloop_run_until(rig->loop, &asked->done);

	assert(ended);
	memcpy(rig->problem, request->problem, sizeof(rig->problem));
	return asked->result;
}

/* call(..., request), and the loop runs until it is done: its result, and at
 * *ret_made the member `made` (a pool, a volume) of the request. */
#define MAKE(rig, ret_made, made, call, ...)                                   \
	({                                                                     \
		struct waited asked = WAITED(asked);                           \
		call(__VA_ARGS__, &asked.request);                             \
		int ask_result = ask_end(rig, &asked, &asked.request);         \
		*(ret_made) = asked.request.made;                              \
		ask_result;                                                    \
	})

/* ... of which nothing but the result is of interest. */
#define ASK(rig, call, ...)                                                    \
	({                                                                     \
		struct waited asked = WAITED(asked);                           \
		call(__VA_ARGS__, &asked.request);                             \
		ask_end(rig, &asked, &asked.request);                          \
	})

int
rig_create(struct rig *rig, const struct pool_params *params, bool force)
{
	struct pool_params usual = {.name = "tank"};

	return MAKE(rig, &rig->pool, pool, pool_create, rig->loop, rig->disk,
	    rig->disks, params != NULL ? params : &usual, &rig->limits, force);
}

int
rig_open(struct rig *rig, bool read_only)
{
	return MAKE(rig, &rig->pool, pool, pool_open, rig->loop, rig->disk,
	    rig->disks, &rig->limits, read_only);
}

/* Closes the pool, but its disks are wanted again: power goes and comes back
 * right before their end. */
int
rig_close(struct rig *rig)
{
	int result = rig_checkpoint(rig);

	if (result == 0)
		rig_cut(rig);
	return result;
}

static void *grave[1024];
static unsigned graves;

struct backstore *
rig_errors(struct rig *rig, unsigned disk)
{
	struct backstore *errors;
	int r = bs_error_new(rig->disk[disk], &errors);

	assert(r == 0);
	rig->platter[disk] = rig->disk[disk];
	rig->disk[disk] = errors;
	return errors;
}

static struct backstore *
rig_platter(struct rig *rig, unsigned disk)
{
	return rig->platter[disk] != NULL ? rig->platter[disk]
					  : rig->disk[disk];
}

void
rig_peek(
    struct rig *rig, unsigned disk, uint64_t offset, void *buf, uint64_t length)
{
	bs_powercut_peek(rig_platter(rig, disk), offset, buf, length);
}

void
rig_poke(struct rig *rig, unsigned disk, uint64_t offset, const void *buf,
    uint64_t length)
{
	bs_powercut_poke(rig_platter(rig, disk), offset, buf, length);
}

void
rig_cut(struct rig *rig)
{
	for (unsigned i = 0; i < rig->disks; i++) {
		struct backstore *platter = rig_platter(rig, i);
		if (platter != rig->disk[i])
			grave[graves++] = rig->disk[i];
		rig->disk[i] = platter;
		rig->platter[i] = NULL;
		bs_powercut_cut(rig->disk[i]);
	}
	simloop_power_off(rig->loop);
	for (unsigned i = 0; i < rig->disks; i++)
		bs_powercut_attach(rig->disk[i], rig->loop);
	/* its memory is lost with the power; kept in sight of leak checks */
	assert(graves < sizeof(grave) / sizeof(grave[0]));
	grave[graves++] = rig->pool;
	rig->pool = NULL;
}

void
rig_close_bs(struct rig *rig, struct backstore *bs)
{
	bool closed = false;

	bs_close(bs, waited_closed, &closed);
	simloop_run_until(rig->loop, &closed);
}

void
rig_done(struct rig *rig)
{
	if (rig->pool != NULL)
		ASK(rig, pool_close, rig->pool);
	else
		for (unsigned i = 0; i < rig->disks; i++)
			rig_close_bs(rig, rig->disk[i]);
	simloop_free(rig->loop);
}

static int
volume_of(struct rig *rig, const struct volume_params *params,
    struct volume **ret_volume)
{
	return MAKE(rig, ret_volume, volume, volume_create, rig->pool, params);
}

int
rig_volume(struct rig *rig, const char *name, uint64_t size,
    uint32_t block_size, struct volume **ret_volume)
{
	return volume_of(rig,
	    &(struct volume_params){
		.name = name, .size = size, .block_size = block_size},
	    ret_volume);
}

int
rig_volume_unit(struct rig *rig, const char *name, uint64_t size,
    uint32_t cow_unit, struct volume **ret_volume)
{
	return volume_of(rig,
	    &(struct volume_params){
		.name = name, .size = size, .cow_unit = cow_unit},
	    ret_volume);
}

int
rig_delete(struct rig *rig, struct volume *volume)
{
	return ASK(rig, volume_delete, rig->pool, volume);
}

int
rig_resize(struct rig *rig, struct volume *volume, uint64_t size)
{
	return ASK(rig, volume_resize, rig->pool, volume, size);
}

int
rig_limits(
    struct rig *rig, struct volume *volume, uint64_t quota, uint64_t reserve)
{
	return ASK(rig, volume_set_limits, rig->pool, volume, quota, reserve);
}

int
rig_rename(struct rig *rig, struct volume *volume, const char *name)
{
	return ASK(rig, volume_rename, rig->pool, volume, name);
}

int
rig_grow(struct rig *rig, struct backstore *bs)
{
	return ASK(rig, pool_grow, rig->pool, bs);
}

int
rig_evacuate(struct rig *rig, unsigned device)
{
	return ASK(rig, pool_evacuate, rig->pool, device);
}

int
rig_evacuate_cancel(struct rig *rig, unsigned device)
{
	return ASK(rig, pool_evacuate_cancel, rig->pool, device);
}

int
rig_device_remove(struct rig *rig, unsigned device, unsigned disk)
{
	int result = ASK(rig, pool_device_remove, rig->pool, device);

	if (result < 0)
		return result;
	rig->disks--;
	for (unsigned i = disk; i < rig->disks; i++) {
		rig->disk[i] = rig->disk[i + 1];
		rig->platter[i] = rig->platter[i + 1];
	}
	rig->disk[rig->disks] = rig->platter[rig->disks] = NULL;
	return 0;
}

int
rig_levels(struct rig *rig, unsigned soft, unsigned hard)
{
	return ASK(rig, pool_set_levels, rig->pool, soft, hard);
}

int
rig_checkpoint(struct rig *rig)
{
	return ASK(rig, pool_checkpoint, rig->pool);
}

int
rig_pin(struct rig *rig, struct pool_pin *pin)
{
	return ASK(rig, pool_pin, rig->pool, pin);
}

int
rig_snapshot(struct rig *rig, struct volume *volume, const char *name,
    struct volume **ret_snapshot)
{
	struct snapshot_params params = {.name = name};

	return MAKE(rig, ret_snapshot, volume, snapshot_create, rig->pool,
	    &volume, 1, &params);
}

int
rig_clone(struct rig *rig, struct volume *snapshot, const char *name,
    struct volume **ret_volume)
{
	struct volume_params params = {.name = name};

	return MAKE(rig, ret_volume, volume, volume_clone, rig->pool, snapshot,
	    &params);
}

int
rig_rollback(struct rig *rig, struct volume *volume, struct volume *snapshot,
    const char *keep)
{
	return ASK(rig, volume_rollback, rig->pool, volume, snapshot, keep);
}

int
rig_trash(struct rig *rig, struct volume *volume)
{
	return ASK(rig, volume_trash, rig->pool, volume);
}

int
rig_restore(struct rig *rig, struct volume *volume, const char *name)
{
	return ASK(rig, volume_restore, rig->pool, volume, name);
}

int
rig_bookmark(struct rig *rig, struct volume *volume, struct volume *snapshot,
    const char *name)
{
	return ASK(rig, bookmark_create, rig->pool, volume, snapshot, name);
}

int
rig_unbookmark(struct rig *rig, struct volume *volume, const char *name)
{
	return ASK(rig, bookmark_delete, rig->pool, volume, name);
}

int
rig_hold(struct rig *rig, struct volume *snapshot, bool hold)
{
	return ASK(rig, snapshot_hold, rig->pool, snapshot, hold);
}

int
rig_consistency(
    struct rig *rig, struct volume *snapshot, enum consistency consistency)
{
	return ASK(
	    rig, snapshot_set_consistency, rig->pool, snapshot, consistency);
}

int
rig_erasing(struct rig *rig, struct volume *volume, bool erasing, bool exits)
{
	return ASK(rig, volume_set_erasing, rig->pool, volume, erasing, exits);
}

int
rig_diff(struct rig *rig, struct diff_request *diff)
{
	struct waited asked = WAITED(asked);

	diff->request = asked.request;
	volume_diff(rig->pool, diff);
	return ask_end(rig, &asked, &diff->request);
}

int
rig_mirror(struct rig *rig)
{
	return ASK(rig, pool_mirror, rig->pool);
}

int
rig_scrub(struct rig *rig)
{
	return ASK(rig, pool_scrub, rig->pool);
}

struct alarm {
	struct loop_timer timer;
	bool rang;
};

static void
alarm_rings(struct loop_timer *timer)
{
	struct alarm *alarm = container_of(timer, struct alarm, timer);

	alarm->rang = true;
}

void
rig_settle(struct rig *rig, uint64_t ns)
{
	struct alarm alarm = {.timer.expire = alarm_rings};

	loop_timer_arm(rig->loop, &alarm.timer, ns);
	simloop_run_until(rig->loop, &alarm.rang);
}

void
rig_settle_jobs(struct rig *rig)
{
	struct pool_job_stat job;

	for (int i = 0; i < 1000 && pool_job_get(rig->pool, 0, &job); i++)
		rig_settle(rig, 10 * NSEC_PER_MSEC);
	assert(!pool_job_get(rig->pool, 0, &job));
}

/* ---- I/O ---- */

struct rig_io {
	struct bs_io io;
	bool done;
	int result;
};

static void
io_done(struct bs_io *io, int result)
{
	struct rig_io *one = container_of(io, struct rig_io, io);

	one->done = true;
	one->result = result;
}

int
rig_io(struct rig *rig, struct backstore *bs, enum bs_op op, uint64_t offset,
    void *data, uint64_t length)
{
	struct iovec iov = {data, length};
	struct rig_io one = {.done = false};
	bool ended;

	bs_io_init(&one.io);
	one.io.op = op;
	one.io.offset = offset;
	one.io.length = length;
	one.io.may_unmap = op == BS_ZERO;
	if (data != NULL) {
		one.io.iov = &iov;
		one.io.iov_count = 1;
	}
	one.io.complete = io_done;
	bs_submit(bs, &one.io);
	ended = simloop_run_until(rig->loop, &one.done);
	assert(ended);
	return one.result;
}

int
rig_fill(struct rig *rig, struct backstore *bs, uint64_t offset,
    uint64_t length, int byte)
{
	void *data = aligned_alloc(4096, (length + 4095) / 4096 * 4096);
	int result;

	assert(data != NULL);
	memset(data, byte, length);
	result = rig_io(rig, bs, BS_WRITE, offset, data, length);
	free(data);
	return result;
}

bool
rig_holds(struct rig *rig, struct backstore *bs, uint64_t offset,
    uint64_t length, int byte)
{
	uint8_t *data = aligned_alloc(4096, (length + 4095) / 4096 * 4096);
	bool all = true;
	int result;

	assert(data != NULL);
	memset(data, ~byte, length);
	result = rig_io(rig, bs, BS_READ, offset, data, length);
	assert(result == 0);
	for (uint64_t i = 0; i < length; i++)
		all = all && data[i] == (uint8_t)byte;
	free(data);
	return all;
}

bool
rig_volume_holds(struct rig *rig, struct volume *volume, uint64_t offset,
    uint64_t length, int byte)
{
	struct backstore *bs = volume_open(volume);
	bool result;

	assert(bs != NULL);
	result = rig_holds(rig, bs, offset, length, byte);
	rig_close_bs(rig, bs);
	return result;
}

int
rig_unmap(
    struct rig *rig, struct backstore *bs, uint64_t offset, uint64_t length)
{
	return rig_io(rig, bs, BS_ZERO, offset, NULL, length);
}

int
rig_flush(struct rig *rig, struct backstore *bs)
{
	return rig_io(rig, bs, BS_FLUSH, 0, NULL, 0);
}

struct pool_stat
rig_stat(struct rig *rig)
{
	struct pool_stat stat;

	pool_stat_get(rig->pool, &stat);
	return stat;
}

unsigned
rig_mirrors_beside(const struct rig *rig)
{
	const struct space *space = &rig->pool->space;
	unsigned beside = 0;

	for (uint64_t i = 0; i < space->count; i++)
		if (space->regions[i].class == FMT_REGION_MIRROR &&
		    space->regions[space->regions[i].mirror].device ==
			space->regions[i].device)
			beside++;
	return beside;
}

uint64_t
rig_incompat(struct rig *rig, unsigned disk)
{
	struct fmt_super super[2];
	unsigned newest;

	for (unsigned slot = 0; slot < 2; slot++)
		rig_peek(rig, disk, fmt_super_offset(slot), &super[slot],
		    sizeof(super[slot]));
	newest = le64_get(&super[1].gen) > le64_get(&super[0].gen);
	return le64_get(&super[newest].incompat);
}
