/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A layer that holds each completion back for a random time, so that those in
 * flight together come back in any order. */
#include "backstores/layer.h"
#include "backstores/testing.h"
#include "base/simloop.h"
#include <errno.h>
#include <stdlib.h>

struct delay_store {
	struct layer layer; /* first */
	struct bs_delay_params params;
	uint64_t random;
};

static void
delay_over(struct loop_timer *timer)
{
	layer_complete(container_of(timer, struct layer_io, timer));
}

static void
delay_completed(struct layer *layer, struct layer_io *lio)
{
	struct delay_store *store =
	    container_of(layer, struct delay_store, layer);
	const struct bs_delay_params *p = &store->params;

	lio->timer.expire = delay_over;
	loop_timer_arm(layer->bs.loop, &lio->timer,
	    p->min_ns + sim_below(&store->random, p->max_ns - p->min_ns + 1));
}

static void
delay_submit(struct backstore *bs, struct bs_io *io)
{
	layer_forward(container_of(bs, struct layer, bs), io);
}

static const struct backstore_ops delay_ops = {
    .name = "delay",
    .submit = delay_submit,
    .resize = layer_resize,
    .reserve = layer_reserve,
    .close = layer_close,
};

static void
delay_free(struct layer *layer)
{
	free(container_of(layer, struct delay_store, layer));
}

int
bs_delay_new(struct backstore *below, const struct bs_delay_params *params,
    struct backstore **ret_bs)
{
	struct delay_store *store;

	if (params->max_ns < params->min_ns)
		return -EINVAL;
	store = calloc(1, sizeof(*store));
	if (store == NULL)
		return -ENOMEM;
	layer_init(&store->layer, &delay_ops, below);
	store->layer.completed = delay_completed;
	store->layer.freed = delay_free;
	store->params = *params;
	store->random = params->seed;
	*ret_bs = &store->layer.bs;
	return 0;
}
