/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/label.h"
#include <stdlib.h>
#include <string.h>

struct labels *
labels_new(struct backstore **bs, unsigned count)
{
	struct labels *labels = calloc(1, sizeof(*labels));

	if (labels == NULL)
		return NULL;
	memcpy(labels->bs, bs, count * sizeof(bs[0]));
	labels->count = count;
	list_init(&labels->waiting);
	labels->blocks =
	    aligned_alloc(FMT_BLOCK, (size_t)count * FMT_LABELS * FMT_BLOCK);
	labels->batch.one = calloc(BATCH_MAX, sizeof(labels->batch.one[0]));
	if (labels->blocks == NULL || labels->batch.one == NULL) {
		labels_free(labels);
		return NULL;
	}
	memset(labels->blocks, 0, (size_t)count * FMT_LABELS * FMT_BLOCK);
	return labels;
}

void
labels_free(struct labels *labels)
{
	if (labels == NULL)
		return;
	free(labels->blocks);
	batch_free(&labels->batch);
	free(labels);
}

void *
labels_slot(struct labels *labels, unsigned i, unsigned n)
{
	return labels->blocks + ((size_t)i * FMT_LABELS + n) * FMT_BLOCK;
}

static void
labels_done(struct batch *batch)
{
	struct labels *labels = container_of(batch, struct labels, batch);

	labels->error = batch->error;
	waiters_wake(&labels->waiting, 0);
}

static void
labels_begin(struct labels *labels, struct waiter *waiter)
{
	list_add_tail(&labels->waiting, &waiter->link);
	batch_begin(&labels->batch, labels_done);
}

void
labels_read(struct labels *labels, struct waiter *waiter)
{
	labels_begin(labels, waiter);
	for (unsigned i = 0; i < labels->count; i++)
		for (unsigned n = 0; n < FMT_LABELS; n++)
			batch_add(&labels->batch, labels->bs[i], BS_READ,
			    fmt_label_offset(
				n, labels->bs[i]->size / FMT_BLOCK * FMT_BLOCK),
			    labels_slot(labels, i, n), FMT_BLOCK, false);
	batch_run(&labels->batch);
}

static void
supers_transfer(struct labels *labels, enum bs_op op, struct waiter *waiter)
{
	labels_begin(labels, waiter);
	for (unsigned i = 0; i < labels->count; i++)
		for (unsigned n = 0; n < FMT_SUPER_SLOTS; n++)
			batch_add(&labels->batch, labels->bs[i], op,
			    fmt_super_offset(n), labels_slot(labels, i, n),
			    FMT_BLOCK, op == BS_WRITE);
	batch_run(&labels->batch);
}

void
labels_read_supers(struct labels *labels, struct waiter *waiter)
{
	supers_transfer(labels, BS_READ, waiter);
}

void
labels_wipe_supers(struct labels *labels, struct waiter *waiter)
{
	memset(
	    labels->blocks, 0, (size_t)labels->count * FMT_LABELS * FMT_BLOCK);
	supers_transfer(labels, BS_WRITE, waiter);
}

void
labels_write(struct labels *labels, struct pool *pool, unsigned first,
    unsigned count, struct waiter *waiter)
{
	labels_begin(labels, waiter);
	labels->batch.pool = pool;
	for (unsigned i = first; i < first + count; i++)
		for (unsigned n = 0; n < FMT_LABELS; n++)
			if (!device_is_removed(&pool->device[i]))
				batch_add(&labels->batch, labels->bs[i],
				    BS_WRITE,
				    fmt_label_offset(n, pool->device[i].size),
				    labels_slot(labels, i, 0), FMT_BLOCK, true);
	batch_run(&labels->batch);
}

void
labels_wipe(struct labels *labels, struct waiter *waiter)
{
	memset(
	    labels->blocks, 0, (size_t)labels->count * FMT_LABELS * FMT_BLOCK);
	labels_begin(labels, waiter);
	for (unsigned i = 0; i < labels->count; i++)
		for (unsigned n = 0; n < FMT_LABELS; n++)
			batch_add(&labels->batch, labels->bs[i], BS_WRITE,
			    fmt_label_offset(
				n, labels->bs[i]->size / FMT_BLOCK * FMT_BLOCK),
			    labels_slot(labels, i, n), FMT_BLOCK, true);
	batch_run(&labels->batch);
}

const struct fmt_label *
labels_best(struct labels *labels, unsigned i)
{
	const struct fmt_label *best = NULL;

	for (unsigned n = 0; n < FMT_LABELS; n++) {
		const struct fmt_label *label = labels_slot(labels, i, n);
		if (fmt_label_check(label) != NULL)
			continue;
		if (best == NULL ||
		    le64_get(&label->gen) > le64_get(&best->gen))
			best = label;
	}
	return best;
}
