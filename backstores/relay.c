/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who reads owns the relay and its idle messages; below's loop has a message
 * from its coming until it is posted back, and looks at params alone.
 */
#include "backstores/relay.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct relay {
	struct backstore bs; /* first */
	struct relay_params params;
	struct loop *below_loop; /* below may be gone */
	struct list idle;        /* struct message */
};

struct message {
	struct bs_io inner; /* as the store below sees it */
	struct bs_io *outer;
	struct relay *relay;
	int result;
	struct loop_task task;
	struct list link; /* idle */
};

static struct relay *
relay_of(struct backstore *bs)
{
	return container_of(bs, struct relay, bs);
}

/* ---- on its way back ---- */

static void
message_home(struct loop_task *task)
{
	struct message *message = container_of(task, struct message, task);
	struct bs_io *outer = message->outer;
	int result = message->result;

	list_add_head(&message->relay->idle, &message->link);
	bs_complete(outer, result);
}

static void
message_return(struct message *message, int result)
{
	message->result = result;
	message->task.run = message_home;
	loop_post(message->relay->bs.loop, &message->task);
}

/* ---- there ---- */

static int
relay_judge(const struct relay *relay)
{
	const struct relay_params *params = &relay->params;

	return params->judge != NULL ? params->judge(params->arg) : 0;
}

static void
inner_complete(struct bs_io *inner, int result)
{
	struct message *message = container_of(inner, struct message, inner);
	int refused = relay_judge(message->relay);

	message_return(message, refused < 0 ? refused : result);
}

static void
message_there(struct loop_task *task)
{
	struct message *message = container_of(task, struct message, task);
	int refused = relay_judge(message->relay);

	if (refused < 0)
		message_return(message, refused);
	else
		bs_submit(message->relay->params.below, &message->inner);
}

/* ---- who reads ---- */

static struct message *
message_take(struct relay *relay)
{
	struct message *message =
	    list_first(&relay->idle, struct message, link);

	if (message != NULL) {
		list_del(&message->link);
		return message;
	}
	message = calloc(1, sizeof(*message));
	if (message == NULL)
		return NULL;
	list_init(&message->link);
	message->relay = relay;
	return message;
}

static void
relay_read(struct relay *relay, struct bs_io *io)
{
	struct message *message = message_take(relay);

	if (message == NULL) {
		bs_complete_later(io, -ENOMEM);
		return;
	}
	message->outer = io;
	bs_io_init(&message->inner);
	message->inner.op = BS_READ;
	message->inner.offset = io->offset;
	message->inner.length = io->length;
	message->inner.iov = io->iov;
	message->inner.iov_count = io->iov_count;
	message->inner.complete = inner_complete;
	message->task.run = message_there;
	loop_post(relay->below_loop, &message->task);
}

/* It is not known to be thin, and there is nothing to flush. */
static void
relay_submit(struct backstore *bs, struct bs_io *io)
{
	if (io->op == BS_READ) {
		relay_read(relay_of(bs), io);
		return;
	}
	if (io->op == BS_EXTENTS) {
		io->extents[0] = (struct bs_extent){.offset = io->offset,
		    .length = io->length,
		    .kind = BS_EXTENT_DATA};
		io->extent_count = 1;
	}
	bs_complete_later(
	    io, io->op == BS_EXTENTS || io->op == BS_FLUSH ? 0 : -EROFS);
}

static void
relay_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	struct relay *relay = relay_of(bs);
	struct list *link;

	while ((link = list_pop(&relay->idle)) != NULL)
		free(list_entry(link, struct message, link));
	free(relay);
	done(arg);
}

static const struct backstore_ops relay_ops = {
    .name = "relay",
    .submit = relay_submit,
    .close = relay_close,
};

struct backstore *
relay_new(const struct relay_params *params)
{
	const struct backstore *below = params->below;
	struct relay *relay = calloc(1, sizeof(*relay));

	if (relay == NULL)
		return NULL;
	relay->params = *params;
	relay->below_loop = below->loop;
	list_init(&relay->idle);
	relay->bs = (struct backstore){
	    .ops = &relay_ops,
	    .loop = params->loop,
	    .size = below->size,
	    .block_size = below->block_size,
	    .physical_block_size = below->physical_block_size,
	    .mem_align = below->mem_align,
	    .optimal_io = below->optimal_io,
	    .max_io = below->max_io,
	    .rotational = below->rotational,
	    .read_only = true,
	};
	memcpy(relay->bs.name, below->name, sizeof(relay->bs.name));
	return &relay->bs;
}
