/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the layers around a backstore have in common: they look like the store
 * below, and send an I/O on as one of their own.
 *
 * Private to backstores/.
 */
#ifndef BACKSTORES_LAYER_H
#define BACKSTORES_LAYER_H

#include "backstores/backstore.h"

struct layer_io;

struct layer {
	struct backstore bs; /* first */
	struct backstore *below;
	struct list idle; /* struct layer_io */
	/* the store below is done with it; NULL: complete it so */
	void (*completed)(struct layer *layer, struct layer_io *lio);
	void (*freed)(struct layer *layer); /* the last call */
};

/* An I/O on its way through. */
struct layer_io {
	struct bs_io inner; /* as the store below sees it */
	struct bs_io *outer;
	struct layer *layer;
	int result;
	struct loop_timer timer; /* for the layer's use */
	struct list link;        /* idle */
};

/* Copies what below is like.  ops: at least name and submit of its own. */
void layer_init(struct layer *layer, const struct backstore_ops *ops,
    struct backstore *below);

/* Sends io to the store below. */
void layer_forward(struct layer *layer, struct bs_io *io);

/* Ends an I/O that came back from below, with lio->result. */
void layer_complete(struct layer_io *lio);

/* Gives back what layer_forward() took; layer_close() does it. */
void layer_done(struct layer *layer);

/* For the ops table. */
void layer_resize(struct backstore *bs, uint64_t size,
    void (*done)(void *arg, int result), void *arg);
void layer_reserve(struct backstore *bs, uint64_t offset, uint64_t length,
    void (*done)(void *arg, int result), void *arg);
void layer_close(struct backstore *bs, void (*done)(void *arg), void *arg);

#endif
