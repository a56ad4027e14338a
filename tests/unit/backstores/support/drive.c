/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/backstores/support/drive.h"
#include "base/simloop.h"
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES (8u << 20)

void
drive_open_sim(struct drive *drive, uint64_t seed)
{
	int error = simloop_new(seed, BUFFER_BYTES, &drive->loop);

	assert(error == 0);
	drive->simulated = true;
	drive->waiting = 0;
}

void
drive_open_real(struct drive *drive)
{
	const struct loop_params params = {
	    .entries = 256,
	    .buffer_bytes = BUFFER_BYTES,
	    .name = "drive",
	    .cpu = -1,
	};
	int error = loop_new(&params, &drive->loop);

	assert(error == 0);
	drive->simulated = false;
	drive->waiting = 0;
}

void
drive_close(struct drive *drive)
{
	if (drive->simulated)
		simloop_free(drive->loop);
	else
		loop_free(drive->loop);
}

/* ---- running ---- */

struct first {
	struct loop_task task;
	void (*f)(void *arg);
	void *arg;
};

static void
first_run(struct loop_task *task)
{
	struct first *first = container_of(task, struct first, task);

	first->f(first->arg);
}

void
drive_run(struct drive *drive, void (*f)(void *arg), void *arg)
{
	struct first first = {.task.run = first_run, .f = f, .arg = arg};

	drive->done = false;
	loop_post(drive->loop, &first.task);
	if (drive->simulated) {
		bool ended = simloop_run_until(drive->loop, &drive->done);
		assert(ended);
	} else {
		loop_run(drive->loop);
		assert(drive->done);
	}
}

void
drive_done(struct drive *drive)
{
	drive->done = true;
	if (!drive->simulated)
		loop_stop(drive->loop);
}

/* ---- I/O ---- */

struct batch {
	struct drive *drive;
	struct backstore *bs;
	struct bs_io *ios;
	unsigned count;
	bool submitting;
};

static struct batch *current_batch;

static void
io_complete(struct bs_io *io, int result)
{
	struct drive *drive = current_batch->drive;

	assert(!current_batch->submitting);
	assert(io->result == result);
	assert(drive->waiting > 0);
	if (--drive->waiting == 0)
		drive_done(drive);
}

static void
batch_submit(void *arg)
{
	struct batch *batch = arg;

	batch->submitting = true;
	for (unsigned i = 0; i < batch->count; i++)
		bs_submit(batch->bs, &batch->ios[i]);
	batch->submitting = false;
}

void
drive_ios(struct drive *drive, struct backstore *bs, struct bs_io *ios,
    unsigned count)
{
	struct batch batch = {drive, bs, ios, count, false};

	assert(count > 0);
	current_batch = &batch;
	drive->waiting = count;
	for (unsigned i = 0; i < count; i++)
		ios[i].complete = io_complete;
	drive_run(drive, batch_submit, &batch);
	current_batch = NULL;
}

int
drive_io(struct drive *drive, struct backstore *bs, struct bs_io *io)
{
	drive_ios(drive, bs, io, 1);
	return io->result;
}

int
drive_read(struct drive *drive, struct backstore *bs, uint64_t offset,
    void *buf, uint64_t length)
{
	struct iovec iov = {buf, length};
	struct bs_io io;

	bs_io_init(&io);
	io.op = BS_READ;
	io.offset = offset;
	io.length = length;
	io.iov = &iov;
	io.iov_count = 1;
	return drive_io(drive, bs, &io);
}

int
drive_write(struct drive *drive, struct backstore *bs, uint64_t offset,
    const void *buf, uint64_t length, bool fua)
{
	struct iovec iov = {(void *)(uintptr_t)buf, length};
	struct bs_io io;

	bs_io_init(&io);
	io.op = BS_WRITE;
	io.fua = fua;
	io.offset = offset;
	io.length = length;
	io.iov = &iov;
	io.iov_count = 1;
	return drive_io(drive, bs, &io);
}

int
drive_flush(struct drive *drive, struct backstore *bs)
{
	struct bs_io io;

	bs_io_init(&io);
	io.op = BS_FLUSH;
	return drive_io(drive, bs, &io);
}

int
drive_zero(struct drive *drive, struct backstore *bs, uint64_t offset,
    uint64_t length, bool may_unmap, bool fua)
{
	struct bs_io io;

	bs_io_init(&io);
	io.op = BS_ZERO;
	io.may_unmap = may_unmap;
	io.fua = fua;
	io.offset = offset;
	io.length = length;
	return drive_io(drive, bs, &io);
}

int
drive_discard(
    struct drive *drive, struct backstore *bs, uint64_t offset, uint64_t length)
{
	struct bs_io io;

	bs_io_init(&io);
	io.op = BS_DISCARD;
	io.offset = offset;
	io.length = length;
	return drive_io(drive, bs, &io);
}

/* ---- the optional operations ---- */

struct control {
	struct drive *drive;
	struct backstore *bs;
	uint64_t offset, length;
	int result;
	bool calling;
};

static void
control_done(void *arg, int result)
{
	struct control *control = arg;

	assert(!control->calling);
	control->result = result;
	drive_done(control->drive);
}

static void
control_closed(void *arg)
{
	control_done(arg, 0);
}

static void
resize_call(void *arg)
{
	struct control *control = arg;

	control->calling = true;
	bs_resize(control->bs, control->length, control_done, control);
	control->calling = false;
}

static void
reserve_call(void *arg)
{
	struct control *control = arg;

	control->calling = true;
	bs_reserve(control->bs, control->offset, control->length, control_done,
	    control);
	control->calling = false;
}

static void
close_call(void *arg)
{
	struct control *control = arg;

	control->calling = true;
	bs_close(control->bs, control_closed, control);
	control->calling = false;
}

int
drive_resize(struct drive *drive, struct backstore *bs, uint64_t size)
{
	struct control control = {.drive = drive, .bs = bs, .length = size};

	drive_run(drive, resize_call, &control);
	return control.result;
}

int
drive_reserve(
    struct drive *drive, struct backstore *bs, uint64_t offset, uint64_t length)
{
	struct control control = {
	    .drive = drive, .bs = bs, .offset = offset, .length = length};

	drive_run(drive, reserve_call, &control);
	return control.result;
}

void
drive_close_store(struct drive *drive, struct backstore *bs)
{
	struct control control = {.drive = drive, .bs = bs};

	drive_run(drive, close_call, &control);
}

/* ---- memory ---- */

void *
drive_memory(uint64_t length)
{
	void *p = NULL;
	int error = posix_memalign(&p, 4096, length);

	assert(error == 0);
	memset(p, 0xee, length);
	return p;
}

static uint8_t
pattern_byte(uint64_t at, uint64_t number)
{
	uint64_t x = (at / 8 + 1) * 0x9e3779b97f4a7c15ull ^ number << 17;

	return (uint8_t)((x ^ x >> 29) >> (at % 8 * 8));
}

void
pattern_fill(void *buf, uint64_t length, uint64_t offset, uint64_t number)
{
	for (uint64_t i = 0; i < length; i++)
		((uint8_t *)buf)[i] = pattern_byte(offset + i, number);
}

bool
pattern_is(const void *buf, uint64_t length, uint64_t offset, uint64_t number)
{
	for (uint64_t i = 0; i < length; i++)
		if (((const uint8_t *)buf)[i] !=
		    pattern_byte(offset + i, number))
			return false;
	return true;
}

bool
all_zeros(const void *buf, uint64_t length)
{
	for (uint64_t i = 0; i < length; i++)
		if (((const uint8_t *)buf)[i] != 0)
			return false;
	return true;
}
