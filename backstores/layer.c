/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backstores/layer.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static inline struct layer *
layer_of(struct backstore *bs)
{
	return container_of(bs, struct layer, bs);
}

/* ---- I/O ---- */

static struct layer_io *
layer_io_take(struct layer *layer)
{
	struct layer_io *lio = list_first(&layer->idle, struct layer_io, link);

	if (lio != NULL) {
		list_del(&lio->link);
		return lio;
	}
	lio = calloc(1, sizeof(*lio));
	if (lio == NULL)
		return NULL;
	list_init(&lio->link);
	lio->layer = layer;
	return lio;
}

void
layer_complete(struct layer_io *lio)
{
	struct bs_io *outer = lio->outer;
	int result = lio->result;

	outer->extent_count = lio->inner.extent_count;
	list_add_head(&lio->layer->idle, &lio->link);
	bs_complete(outer, result);
}

static void
inner_complete(struct bs_io *inner, int result)
{
	struct layer_io *lio = container_of(inner, struct layer_io, inner);

	lio->result = result;
	if (lio->layer->completed != NULL)
		lio->layer->completed(lio->layer, lio);
	else
		layer_complete(lio);
}

void
layer_forward(struct layer *layer, struct bs_io *io)
{
	struct layer_io *lio = layer_io_take(layer);

	if (lio == NULL) {
		bs_complete_later(io, -ENOMEM);
		return;
	}
	lio->outer = io;
	bs_io_init(&lio->inner);
	lio->inner.op = io->op;
	lio->inner.fua = io->fua;
	lio->inner.may_unmap = io->may_unmap;
	lio->inner.offset = io->offset;
	lio->inner.length = io->length;
	lio->inner.iov = io->iov;
	lio->inner.iov_count = io->iov_count;
	lio->inner.extents = io->extents;
	lio->inner.extent_max = io->extent_max;
	lio->inner.complete = inner_complete;
	bs_submit(layer->below, &lio->inner);
}

/* ---- resize ---- */

struct resize {
	struct layer *layer;
	void (*done)(void *arg, int result);
	void *arg;
};

static void
resize_done(void *arg, int result)
{
	struct resize resize = *(struct resize *)arg;

	free(arg);
	resize.layer->bs.size = resize.layer->below->size;
	resize.done(resize.arg, result);
}

void
layer_resize(struct backstore *bs, uint64_t size,
    void (*done)(void *arg, int result), void *arg)
{
	struct resize *resize = malloc(sizeof(*resize));

	if (resize == NULL) {
		done(arg, -ENOMEM);
		return;
	}
	*resize = (struct resize){layer_of(bs), done, arg};
	bs_resize(layer_of(bs)->below, size, resize_done, resize);
}

void
layer_reserve(struct backstore *bs, uint64_t offset, uint64_t length,
    void (*done)(void *arg, int result), void *arg)
{
	bs_reserve(layer_of(bs)->below, offset, length, done, arg);
}

/* ---- life ---- */

void
layer_done(struct layer *layer)
{
	struct list *link;

	while ((link = list_pop(&layer->idle)) != NULL)
		free(list_entry(link, struct layer_io, link));
}

void
layer_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	struct layer *layer = layer_of(bs);
	struct backstore *below = layer->below;

	layer_done(layer);
	layer->freed(layer);
	bs_close(below, done, arg);
}

void
layer_init(struct layer *layer, const struct backstore_ops *ops,
    struct backstore *below)
{
	struct backstore *bs = &layer->bs;

	assert(below->in_flight == 0);
	layer->below = below;
	list_init(&layer->idle);
	bs->ops = ops;
	bs->loop = below->loop;
	bs->size = below->size;
	bs->block_size = below->block_size;
	bs->physical_block_size = below->physical_block_size;
	bs->mem_align = below->mem_align;
	bs->optimal_io = below->optimal_io;
	bs->max_io = below->max_io;
	bs->read_only = below->read_only;
	bs->volatile_cache = below->volatile_cache;
	bs->thin = below->thin;
	bs->rotational = below->rotational;
	bs->suspect = below->suspect;
	snprintf(
	    bs->name, sizeof(bs->name), "%s(%.100s)", ops->name, below->name);
}
