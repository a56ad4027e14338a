/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Running the loop until something has happened, with an eye on the time.
 */
#include "tests/fuzz/image/image.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the loop ---- */

void
step(void *arg)
{
	(void)arg;
	if (++f.steps > STEPS_MAX) {
		fprintf(stderr, "no end after %u events\n", STEPS_MAX);
		abort();
	}
	if (!simloop_step(f.loop)) {
		fprintf(stderr, "a completion was lost\n");
		abort();
	}
}

int
waited_wait(struct waited *waited)
{
	while (!waited->done)
		step(NULL);
	return waited->result;
}

/* ---- I/O on volumes: several at a time ---- */

static void
slot_complete(struct bs_io *io, int result)
{
	struct slot *slot = container_of(io, struct slot, io);

	(void)result;
	slot->busy = false;
}

static struct slot *
slot_get(void)
{
	for (;;) {
		for (unsigned i = 0; i < SLOTS; i++)
			if (!f.slots[i].busy)
				return &f.slots[i];
		step(NULL);
	}
}

void
drain(void)
{
	for (unsigned i = 0; i < SLOTS; i++)
		while (f.slots[i].busy)
			step(NULL);
}

void
submit(struct backstore *bs, enum bs_op op, uint64_t offset, uint64_t length,
    bool flag)
{
	struct slot *slot = slot_get();

	if (op == BS_READ || op == BS_WRITE)
		if (length > SLOT_BYTES)
			length = SLOT_BYTES;
	offset -= offset % bs->block_size;
	if (op != BS_FLUSH && offset >= bs->size)
		return;
	length =
	    (length + bs->block_size - 1) / bs->block_size * bs->block_size;
	if (length > bs->size - offset)
		length = bs->size - offset;
	bs_io_init(&slot->io);
	slot->io.op = op;
	slot->io.offset = offset;
	slot->io.length = length;
	slot->io.fua = flag && op == BS_WRITE;
	slot->io.may_unmap = flag && op == BS_ZERO;
	slot->io.extents = slot->extents;
	slot->io.extent_max = EXTENTS;
	slot->iov = (struct iovec){slot->data, length};
	slot->io.iov = &slot->iov;
	slot->io.iov_count = 1;
	slot->io.complete = slot_complete;
	slot->busy = true;
	bs_submit(bs, &slot->io);
}

void
volume_done(struct backstore *bs)
{
	bool done = false;

	bs_close(bs, waited_closed, &done);
	while (!done)
		step(NULL);
}
