/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Windows: a read and a write with FUA; block by block where a read fails.
 */
#include "snapshot/window.h"
#include "snapshot/engine.h"
#include <stdlib.h>

static void part_read(struct window *window);

static void
part_submit(struct window *window, struct device *device, enum bs_op op,
    uint64_t offset, void (*complete)(struct bs_io *io, int result))
{
	struct bs_io *io = &window->io;

	window->iov = (struct iovec){window->buffer, window->part};
	bs_io_init(io);
	io->op = op;
	io->fua = op == BS_WRITE;
	io->offset = offset + window->at;
	io->length = window->part;
	io->iov = &window->iov;
	io->iov_count = 1;
	io->complete = complete;
	bs_submit(device->bs, io);
}

static void
part_next(struct window *window)
{
	window->at += window->part;
	if (window->at == window->length)
		window->done(window, 0);
	else
		part_read(window);
}

static void
part_written(struct bs_io *io, int result)
{
	struct window *window = container_of(io, struct window, io);

	if (result < 0)
		window->done(window, result);
	else
		part_next(window);
}

static void
part_was_read(struct bs_io *io, int result)
{
	struct window *window = container_of(io, struct window, io);

	if (result == 0) {
		part_submit(window, window->to, BS_WRITE, window->to_offset,
		    part_written);
	} else if (!window->skip_bad) {
		window->done(window, result);
	} else if (window->part > FMT_BLOCK) {
		window->part = FMT_BLOCK;
		part_read(window);
	} else {
		window->skipped++;
		part_next(window);
	}
}

static void
part_read(struct window *window)
{
	part_submit(
	    window, window->from, BS_READ, window->from_offset, part_was_read);
}

void
window_copy(struct window *window)
{
	assert(window->length > 0);
	assert(window->length <= WINDOW_BYTES);
	window->at = 0;
	window->part = window->length;
	part_read(window);
}

int
window_init(struct window *window, void (*done)(struct window *, int))
{
	window->done = done;
	window->skipped = 0;
	if (window->buffer == NULL)
		window->buffer = aligned_alloc(FMT_BLOCK, WINDOW_BYTES);
	return window->buffer == NULL ? -ENOMEM : 0;
}

void
window_free(struct window *window)
{
	free(window->buffer);
	window->buffer = NULL;
}
