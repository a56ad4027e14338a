/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/simloop.h"
#include "tests/golden/golden.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the pool ---- */

void
golden_wait(struct golden *golden, struct waited *wait, const char *what)
{
	if (!simloop_run_until(golden->loop, &wait->done))
		golden_die("%s: never ends", what);
	if (wait->result < 0)
		golden_die("%s: %s: %s", what, strerror(-wait->result),
		    wait->request.problem);
}

void
golden_init(struct golden *golden)
{
	memset(golden, 0, sizeof(*golden));
	if (simloop_new(1, 8u << 20, &golden->loop) < 0)
		golden_die("no loop");
}

void
golden_disk(struct golden *golden, uint64_t size)
{
	const struct bs_powercut_params params = {.size = size,
	    .block_size = 4096,
	    .seed = 1,
	    .latency_min_ns = 10000,
	    .latency_max_ns = 50000};

	if (golden->disks == GOLDEN_DEVICES)
		golden_die("too many devices");
	if (bs_powercut_new(
		golden->loop, &params, &golden->disk[golden->disks++]) < 0)
		golden_die("no disk");
}

static const struct pool_limits limits = {.io_max = 64};

void
golden_create(struct golden *golden)
{
	const struct pool_params params = {
	    .name = "golden", .uuid = "golden image\0\0\0\1"};
	struct waited wait = WAITED(wait);

	pool_create(golden->loop, golden->disk, golden->disks, &params, &limits,
	    false, &wait.request);
	golden_wait(golden, &wait, "pool_create");
	golden->pool = wait.request.pool;
}

void
golden_open(struct golden *golden)
{
	struct waited wait = WAITED(wait);

	pool_open(golden->loop, golden->disk, golden->disks, &limits, false,
	    &wait.request);
	golden_wait(golden, &wait, "pool_open");
	golden->pool = wait.request.pool;
}

void
golden_cut(struct golden *golden)
{
	for (unsigned i = 0; i < golden->disks; i++)
		bs_powercut_cut(golden->disk[i]);
	simloop_power_off(golden->loop);
	for (unsigned i = 0; i < golden->disks; i++)
		bs_powercut_attach(golden->disk[i], golden->loop);
	golden->pool = NULL;
}

void
golden_close(struct golden *golden)
{
	GOLDEN_ASK(golden, pool_close, golden->pool);
	simloop_free(golden->loop);
}

void
golden_checkpoint(struct golden *golden)
{
	GOLDEN_ASK(golden, pool_checkpoint, golden->pool);
}

struct alarm {
	struct loop_timer timer;
	bool rang;
};

static void
alarm_rings(struct loop_timer *timer)
{
	container_of(timer, struct alarm, timer)->rang = true;
}

void
golden_pause(struct golden *golden, uint64_t ns)
{
	struct alarm alarm = {.timer.expire = alarm_rings};

	loop_timer_arm(golden->loop, &alarm.timer, ns);
	simloop_run_until(golden->loop, &alarm.rang);
}

/* ---- LUNs ---- */

struct volume *
golden_find(struct golden *golden, const char *name)
{
	const char *at = strchr(name, '@');
	char lun[POOL_NAME_MAX + 1];
	struct volume *volume;

	snprintf(lun, sizeof(lun), "%.*s", (int)strcspn(name, "@"), name);
	volume = volume_find(golden->pool, lun);
	if (volume != NULL && at != NULL)
		volume = snapshot_find(volume, at + 1);
	if (volume == NULL)
		golden_die("no LUN %s", name);
	return volume;
}

void
golden_lun(struct golden *golden, const char *name, uint64_t size,
    uint32_t block_size, uint32_t cow_unit)
{
	const struct volume_params params = {.name = name,
	    .size = size,
	    .block_size = block_size,
	    .cow_unit = cow_unit};

	GOLDEN_ASK(golden, volume_create, golden->pool, &params);
}

void
golden_delete(struct golden *golden, const char *name)
{
	GOLDEN_ASK(
	    golden, volume_delete, golden->pool, golden_find(golden, name));
}

void
golden_resize(struct golden *golden, const char *name, uint64_t size)
{
	GOLDEN_ASK(golden, volume_resize, golden->pool,
	    golden_find(golden, name), size);
}

struct backstore *
golden_lun_open(struct golden *golden, const char *name)
{
	struct backstore *bs = volume_open(golden_find(golden, name));

	if (bs == NULL)
		golden_die("%s is open", name);
	return bs;
}

void
golden_lun_close(struct golden *golden, struct backstore *bs)
{
	bool closed = false;

	bs_close(bs, waited_closed, &closed);
	simloop_run_until(golden->loop, &closed);
}

struct drive_io {
	struct bs_io io;
	bool done;
};

static void
io_done(struct bs_io *io, int result)
{
	(void)result; /* io->result has it */
	container_of(io, struct drive_io, io)->done = true;
}

void
golden_io(struct golden *golden, struct backstore *bs, enum bs_op op,
    uint64_t offset, void *data, uint64_t length)
{
	struct iovec iov = {data, length};
	struct drive_io one = {.done = false};

	bs_io_init(&one.io);
	one.io.op = op;
	one.io.offset = offset;
	one.io.length = length;
	one.io.may_unmap = op == BS_ZERO;
	one.io.iov = data != NULL ? &iov : NULL;
	one.io.iov_count = data != NULL;
	one.io.complete = io_done;
	bs_submit(bs, &one.io);
	if (!simloop_run_until(golden->loop, &one.done))
		golden_die("%s: an I/O never ends", bs->name);
	if (one.io.result < 0)
		golden_die("%s: I/O at %llu: %s", bs->name,
		    (unsigned long long)offset, strerror(-one.io.result));
}
