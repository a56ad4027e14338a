/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A layer that fails chosen operations before they reach the store below. */
#include "backstores/layer.h"
#include "backstores/testing.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RULES_MAX 32

struct error_store {
	struct layer layer; /* first */
	struct bs_error_rule rules[RULES_MAX];
	unsigned rule_count;
};

static inline struct error_store *
error_of(struct backstore *bs)
{
	return container_of(bs, struct error_store, layer.bs);
}

static bool
rule_matches(const struct bs_error_rule *rule, const struct bs_io *io)
{
	if (rule->op != io->op)
		return false;
	if (rule->length == 0)
		return true;
	return io->offset < rule->offset + rule->length &&
	       rule->offset < io->offset + io->length;
}

static void
rule_drop(struct error_store *store, unsigned index)
{
	store->rule_count--;
	memmove(&store->rules[index], &store->rules[index + 1],
	    (store->rule_count - index) * sizeof(store->rules[0]));
}

/* 0: passes; or the error of the first rule whose turn it is. */
static int
error_now(struct error_store *store, const struct bs_io *io)
{
	for (unsigned i = 0; i < store->rule_count; i++) {
		struct bs_error_rule *rule = &store->rules[i];
		int error = rule->error;
		if (!rule_matches(rule, io))
			continue;
		if (rule->skip > 0) {
			rule->skip--;
			continue;
		}
		if (rule->count == 1)
			rule_drop(store, i);
		else if (rule->count > 1)
			rule->count--;
		return error;
	}
	return 0;
}

static void
error_submit(struct backstore *bs, struct bs_io *io)
{
	struct error_store *store = error_of(bs);
	int error = error_now(store, io);

	if (error < 0)
		bs_complete_later(io, error);
	else
		layer_forward(&store->layer, io);
}

static const struct backstore_ops error_ops = {
    .name = "error",
    .submit = error_submit,
    .resize = layer_resize,
    .reserve = layer_reserve,
    .close = layer_close,
};

static void
error_free(struct layer *layer)
{
	free(container_of(layer, struct error_store, layer));
}

int
bs_error_new(struct backstore *below, struct backstore **ret_bs)
{
	struct error_store *store = calloc(1, sizeof(*store));

	if (store == NULL)
		return -ENOMEM;
	layer_init(&store->layer, &error_ops, below);
	store->layer.freed = error_free;
	*ret_bs = &store->layer.bs;
	return 0;
}

int
bs_error_add(struct backstore *bs, const struct bs_error_rule *rule)
{
	struct error_store *store = error_of(bs);

	assert(bs->ops == &error_ops);
	assert(rule->error < 0);
	if (store->rule_count == RULES_MAX)
		return -ENOSPC;
	store->rules[store->rule_count++] = *rule;
	return 0;
}

void
bs_error_clear(struct backstore *bs)
{
	assert(bs->ops == &error_ops);
	error_of(bs)->rule_count = 0;
}
