/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A shell around a disk of the simulator: closing it leaves the disk alone, as
 * closing a device leaves the device.  It lives as long as the machine is on.
 * Some I/Os it holds back before the disk sees them: everything overtakes
 * those, and that is when a block that was used again too early shows.
 */
#include "base/assert.h"
#include "base/simloop.h"
#include "tests/sim/sim.h"
#include <stdio.h>
#include <stdlib.h>

#define LATE_NS_MAX (10 * NSEC_PER_MSEC)

struct shell {
	struct backstore bs; /* first */
	struct backstore *below;
	struct list idle; /* struct passage, by io.link */
	unsigned late_permille;
	uint64_t random;
	bool holding;
	enum bs_op hold_op;
	uint64_t hold_offset, hold_length;
	struct list held; /* struct passage, by io.link */
};

/* An I/O on its way through. */
struct passage {
	struct bs_io io; /* first */
	struct bs_io *above;
	struct loop_timer late;
};

static void
passage_complete(struct bs_io *io, int result)
{
	struct passage *passage = container_of(io, struct passage, io);
	struct shell *shell = io->priv;
	struct bs_io *above = passage->above;

	above->extent_count = io->extent_count;
	list_add_tail(&shell->idle, &io->link);
	bs_complete(above, result);
}

static void
passage_go(struct loop_timer *timer)
{
	struct passage *passage = container_of(timer, struct passage, late);
	struct shell *shell = passage->io.priv;

	bs_submit(shell->below, &passage->io);
}

static struct passage *
passage_take(struct shell *shell)
{
	struct list *link = list_pop(&shell->idle);
	struct passage *passage =
	    link != NULL ? list_entry(link, struct passage, io.link)
			 : calloc(1, sizeof(*passage));
	assert(passage != NULL);
	bs_io_init(&passage->io);
	passage->late.expire = passage_go;
	return passage;
}

static bool
is_held(const struct shell *shell, const struct bs_io *io)
{
	return shell->holding && io->op == shell->hold_op &&
	       io->offset < shell->hold_offset + shell->hold_length &&
	       io->offset + io->length > shell->hold_offset;
}

static void
shell_submit(struct backstore *bs, struct bs_io *above)
{
	struct shell *shell = container_of(bs, struct shell, bs);
	struct passage *passage = passage_take(shell);
	struct bs_io *io = &passage->io;

	passage->above = above;
	io->op = above->op;
	io->fua = above->fua;
	io->may_unmap = above->may_unmap;
	io->offset = above->offset;
	io->length = above->length;
	io->iov = above->iov;
	io->iov_count = above->iov_count;
	io->extents = above->extents;
	io->extent_max = above->extent_max;
	io->complete = passage_complete;
	io->priv = shell;
	if (is_held(shell, io))
		list_add_tail(&shell->held, &io->link);
	else if (sim_below(&shell->random, 1000) < shell->late_permille)
		loop_timer_arm(bs->loop, &passage->late,
		    sim_below(&shell->random, LATE_NS_MAX));
	else
		bs_submit(shell->below, io);
}

static void
shell_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	struct shell *shell = container_of(bs, struct shell, bs);
	struct list *link;

	while ((link = list_pop(&shell->idle)) != NULL)
		free(list_entry(link, struct passage, io.link));
	free(shell);
	done(arg);
}

static const struct backstore_ops shell_ops = {
    .name = "shell",
    .submit = shell_submit,
    .close = shell_close,
};

struct backstore *
disk_shell_new(struct loop *loop, struct backstore *below,
    unsigned late_permille, uint64_t seed)
{
	struct shell *shell = calloc(1, sizeof(*shell));

	assert(shell != NULL);
	shell->bs = (struct backstore){
	    .ops = &shell_ops,
	    .loop = loop,
	    .size = below->size,
	    .block_size = below->block_size,
	    .physical_block_size = below->physical_block_size,
	    .mem_align = below->mem_align,
	    .max_io = below->max_io,
	    .volatile_cache = below->volatile_cache,
	};
	snprintf(shell->bs.name, sizeof(shell->bs.name), "disk");
	shell->below = below;
	shell->late_permille = late_permille;
	shell->random = seed;
	list_init(&shell->idle);
	list_init(&shell->held);
	return &shell->bs;
}

void
disk_shell_hold(
    struct backstore *bs, enum bs_op op, uint64_t offset, uint64_t length)
{
	struct shell *shell = container_of(bs, struct shell, bs);

	assert(bs->ops == &shell_ops);
	shell->holding = true;
	shell->hold_op = op;
	shell->hold_offset = offset;
	shell->hold_length = length;
}

void
disk_shell_release(struct backstore *bs)
{
	struct shell *shell = container_of(bs, struct shell, bs);
	struct list *link;

	assert(bs->ops == &shell_ops);
	shell->holding = false;
	while ((link = list_pop(&shell->held)) != NULL)
		bs_submit(shell->below, list_entry(link, struct bs_io, link));
}
