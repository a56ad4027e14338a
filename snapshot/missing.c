/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What stands for a device that is not there: everything fails as unreadable,
 * so data on it are a medium error, never zeros, and metadata come from their
 * mirrors.
 */
#include "snapshot/engine.h"
#include <stdio.h>
#include <stdlib.h>

static void
missing_submit(struct backstore *bs, struct bs_io *io)
{
	(void)bs;
	bs_complete_later(io, -ENODATA);
}

static void
missing_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	free(bs);
	done(arg);
}

static const struct backstore_ops missing_ops = {
    .name = "missing",
    .submit = missing_submit,
    .close = missing_close,
};

struct backstore *
missing_new(struct loop *loop, unsigned index, uint64_t size)
{
	struct backstore *bs = calloc(1, sizeof(*bs));

	if (bs == NULL)
		return NULL;
	*bs = (struct backstore){
	    .ops = &missing_ops,
	    .loop = loop,
	    .size = size,
	    .block_size = 512,
	    .physical_block_size = 512,
	    .mem_align = 512,
	    .max_io = 1u << 20,
	    .read_only = true,
	};
	snprintf(bs->name, sizeof(bs->name), "missing device %u", index);
	return bs;
}
