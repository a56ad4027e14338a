/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each layer is looked at one piece ahead.  The next piece out begins at the
 * lowest offset that any layer has; the newest layer that covers it gives it,
 * up to where a newer one begins.  O(layers) for each piece.
 */
#include "backup/merge.h"
#include "base/assert.h"
#include <stdlib.h>

struct layer {
	struct source *source;
	uint64_t limit; /* what it says from there on was cut off */
	struct piece head;
	bool end;
};

struct merge {
	struct source source;
	uint64_t at;       /* what is before that is said */
	struct source cut; /* zeros where the image was cut and grew again */
	struct piece cut_piece;
	unsigned count;
	struct layer layers[];
};

/* ---- the layer below all ---- */

static json_t *
cut_next(struct source *source, struct piece *ret_piece)
{
	struct merge *merge = container_of(source, struct merge, cut);

	*ret_piece = merge->cut_piece;
	merge->cut_piece.length = 0;
	return NULL;
}

/* ---- one ahead ---- */

/* Leaves head with at least a byte at or behind `at`, unless it ends. */
static json_t *
layer_fill(struct layer *layer, uint64_t at)
{
	while (!layer->end) {
		json_t *problem;
		if (layer->head.length > 0 && layer->head.offset < at)
			piece_skip_to(&layer->head, at);
		if (layer->head.length > 0)
			return NULL;
		problem = layer->source->next(layer->source, &layer->head);
		if (problem != NULL)
			return problem;
		if (layer->head.length == 0 ||
		    layer->head.offset >= layer->limit)
			layer->end = true;
		else if (piece_end(&layer->head) > layer->limit)
			layer->head.length = layer->limit - layer->head.offset;
	}
	layer->head.length = 0;
	return NULL;
}

static json_t *
merge_next(struct source *source, struct piece *ret_piece)
{
	struct merge *merge = container_of(source, struct merge, source);
	struct layer *best = NULL;
	uint64_t end;

	*ret_piece = (struct piece){.length = 0};
	/* the newest of those that begin first */
	for (unsigned i = 0; i < merge->count; i++) {
		struct layer *layer = &merge->layers[i];
		json_t *problem = layer_fill(layer, merge->at);
		if (problem != NULL)
			return problem;
		if (!layer->end &&
		    (best == NULL || layer->head.offset <= best->head.offset))
			best = layer;
	}
	if (best == NULL)
		return NULL;
	end = piece_end(&best->head);
	for (struct layer *newer = best + 1;
	     newer < &merge->layers[merge->count]; newer++) {
		if (!newer->end && newer->head.offset < end)
			end = newer->head.offset;
	}
	*ret_piece = best->head;
	ret_piece->length = end - best->head.offset;
	assert(ret_piece->length > 0);
	merge->at = end;
	return NULL;
}

struct merge *
merge_new(const struct merge_layer *layers, unsigned count, bool whole)
{
	struct merge *merge =
	    calloc(1, sizeof(*merge) + (count + 1) * sizeof(struct layer));
	uint64_t size = layers[count - 1].size, limit = size;

	assert(merge != NULL);
	assert(count > 0);
	merge->source.next = merge_next;
	merge->cut.next = cut_next;
	merge->count = count + 1;
	for (unsigned i = count; i > 0; i--) {
		if (layers[i - 1].size < limit)
			limit = layers[i - 1].size;
		merge->layers[i] = (struct layer){
		    .source = layers[i - 1].source, .limit = limit};
	}
	merge->layers[0] =
	    (struct layer){.source = &merge->cut, .limit = whole ? 0 : size};
	merge->cut_piece = (struct piece){limit, size - limit, NULL};
	return merge;
}

void
merge_free(struct merge *merge)
{
	free(merge);
}

struct source *
merge_source(struct merge *merge)
{
	return &merge->source;
}
