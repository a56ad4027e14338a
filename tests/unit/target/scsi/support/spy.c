/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/target/scsi/support/spy.h"
#include <stdlib.h>

struct spy_io {
	struct bs_io inner;
	struct bs_io *outer;
};

static struct spy *
spy_of(struct backstore *bs)
{
	return container_of(bs, struct spy, bs);
}

static void
inner_complete(struct bs_io *inner, int result)
{
	struct spy_io *sio = container_of(inner, struct spy_io, inner);
	struct bs_io *outer = sio->outer;

	outer->extent_count = inner->extent_count;
	free(sio);
	bs_complete(outer, result);
}

static void
spy_forward(struct spy *spy, struct bs_io *io)
{
	struct spy_io *sio = calloc(1, sizeof(*sio));

	assert(sio != NULL);
	bs_io_init(&sio->inner);
	sio->outer = io;
	sio->inner.op = io->op;
	sio->inner.fua = io->fua;
	sio->inner.may_unmap = io->may_unmap;
	sio->inner.offset = io->offset;
	sio->inner.length = io->length;
	sio->inner.iov = io->iov;
	sio->inner.iov_count = io->iov_count;
	sio->inner.extents = io->extents;
	sio->inner.extent_max = io->extent_max;
	sio->inner.complete = inner_complete;
	bs_submit(spy->below, &sio->inner);
}

static void
spy_do(struct spy *spy, struct bs_io *io)
{
	int error = spy->fail[io->op];

	if (error == 0) {
		spy_forward(spy, io);
	} else if (spy->fail_skip > 0) {
		spy->fail_skip--;
		spy_forward(spy, io);
	} else {
		bs_complete_later(io, error);
	}
}

static void
spy_submit(struct backstore *bs, struct bs_io *io)
{
	struct spy *spy = spy_of(bs);

	assert(spy->log_count < SPY_LOG_MAX);
	spy->log[spy->log_count++] = (struct spy_entry){
	    .op = io->op,
	    .offset = io->offset,
	    .length = io->length,
	    .fua = io->fua,
	    .may_unmap = io->may_unmap,
	    .atomic = io->atomic,
	    .iov_count = io->iov_count,
	};
	if (spy->hold)
		list_add_tail(&spy->held, &io->link);
	else
		spy_do(spy, io);
}

static void
spy_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	struct spy *spy = spy_of(bs);
	struct backstore *below = spy->below;

	assert(list_empty(&spy->held));
	free(spy);
	bs_close(below, done, arg);
}

static void
spy_usage(struct backstore *bs, struct bs_usage *ret_usage)
{
	const struct spy *spy = container_of(bs, struct spy, bs);

	*ret_usage = spy->usage;
}

static const struct backstore_ops spy_ops = {
    .name = "spy",
    .submit = spy_submit,
    .usage = spy_usage,
    .close = spy_close,
};

struct spy *
spy_new(struct backstore *below)
{
	struct spy *spy = calloc(1, sizeof(*spy));

	assert(spy != NULL);
	spy->bs = *below;
	spy->bs.ops = &spy_ops;
	spy->bs.in_flight = 0;
	spy->below = below;
	list_init(&spy->held);
	return spy;
}

bool
spy_release(struct spy *spy)
{
	struct list *link = list_pop(&spy->held);

	if (link == NULL)
		return false;
	spy_do(spy, list_entry(link, struct bs_io, link));
	return true;
}

void
spy_release_all(struct spy *spy)
{
	spy->hold = false;
	while (spy_release(spy))
		continue;
}

unsigned
spy_count(const struct spy *spy, enum bs_op op)
{
	unsigned count = 0;

	for (unsigned i = 0; i < spy->log_count; i++)
		count += spy->log[i].op == op;
	return count;
}

const struct spy_entry *
spy_find(const struct spy *spy, enum bs_op op, unsigned index)
{
	for (unsigned i = 0; i < spy->log_count; i++) {
		if (spy->log[i].op == op && index-- == 0)
			return &spy->log[i];
	}
	return NULL;
}

void
spy_forget(struct spy *spy)
{
	spy->log_count = 0;
}
