/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Superblocks and labels: from the pool to their bytes.
 */
#include "snapshot/engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void
root_store(struct fmt_root *root, const struct tree *tree, uint64_t count)
{
	memset(root, 0, sizeof(*root));
	root->ptr = tree->root;
	root->levels = tree->levels;
	le64_set(&root->count, count);
}

static void
devices_store(const struct pool *pool, struct fmt_super *super)
{
	memset(super->device, 0, sizeof(super->device));
	for (unsigned i = 0; i < pool->device_count; i++) {
		struct fmt_device *to = &super->device[i];
		memcpy(to->uuid, pool->device[i].uuid, sizeof(to->uuid));
		le64_set(&to->size, pool->device[i].size);
		le64_set(&to->regions, pool->device[i].regions);
		le32_set(&to->state, pool->device[i].state);
	}
	le32_set(&super->device_count, pool->device_count);
}

static void
log_store(const struct pool *pool, struct fmt_super *super)
{
	const struct redo *redo = &pool->redo;

	le64_set(&super->checkpoint_lsn, redo->next_lsn);
	le64_set(&super->log_start, redo->start);
	le64_set(&super->log_blocks, redo->blocks);
	le64_set(&super->log_tail, redo->head % redo->blocks);
	le64_set(&super->log_seq, redo->seq);
	le64_set(&super->log_incarnation, redo->incarnation);
	le32_set(&super->log_prev_crc, redo->prev_crc);
}

/* As of now, except what never changes and is in pool->super. */
/* Tables that have never been used do not exist, as in version 0.1. */
static void
tables_store(const struct pool *pool, struct fmt_super *super)
{
	struct fmt_root *root[TABLES] = {
	    [TABLE_BOOKMARKS] = &super->bookmarks,
	    [TABLE_GROUPS] = &super->groups,
	    [TABLE_LOST] = &super->lost,
	};

	for (unsigned i = 0; i < TABLES; i++)
		if (pool->table[i].slots > 0)
			root_store(
			    root[i], pool->table[i].tree, pool->table[i].slots);
}

void
super_fill(struct pool *pool, struct fmt_super *super)
{
	const struct space *space = &pool->space;
	uint64_t data = space->class_count[FMT_REGION_DATA]
			<< space->region_shift;
	uint64_t meta = space->class_count[FMT_REGION_META]
			<< space->region_shift;

	*super = pool->super;
	le32_set(&super->magic, FMT_SUPER_MAGIC);
	le32_set(&super->version, FMT_VERSION);
	le64_set(&super->gen, pool->gen);
	memset(super->writer, 0, sizeof(super->writer));
	snprintf(super->writer, sizeof(super->writer), "varve 1");
	le64_set(&super->written_unix, (uint64_t)time(NULL));
	le32_set(&super->region_blocks, space->region_blocks);
	le64_set(&super->region_count, space->count);
	le32_set(&super->epoch, pool->epoch);
	le64_set(&super->ro_compat, pool->ro_compat);
	le64_set(&super->incompat, pool->incompat);
	super->soft_percent = (uint8_t)pool->soft_percent;
	super->hard_percent = (uint8_t)pool->hard_percent;
	le64_set(&super->next_version, pool->next_version);
	le64_set(&super->next_group, pool->next_group);
	log_store(pool, super);
	root_store(&super->regions, &pool->regions, space->count);
	root_store(&super->versions, &pool->versions, pool->slot_count);
	root_store(
	    &super->bitmap, &pool->bitmap, space->count << space->region_shift);
	tables_store(pool, super);
	le64_set(&super->data_blocks, data - space->data_free);
	le64_set(&super->meta_blocks, meta - space->meta_free);
	devices_store(pool, super);
}

void
label_fill(struct pool *pool, unsigned index, struct fmt_label *label)
{
	struct device *device = &pool->device[index];

	memset(label, 0, sizeof(*label));
	le32_set(&label->magic, FMT_LABEL_MAGIC);
	le32_set(&label->version, FMT_VERSION);
	le32_set(&label->index, index);
	memcpy(label->pool_uuid, pool->uuid, sizeof(label->pool_uuid));
	memcpy(label->device_uuid, device->uuid, sizeof(label->device_uuid));
	le64_set(&label->size, device->size);
	le64_set(&label->gen, device->label_gen);
	memcpy(label->pool_name, pool->name, sizeof(label->pool_name));
	fmt_label_seal(label);
}

/* ---- devices ---- */

const char *
device_unfit(const struct backstore *bs)
{
	if (bs->block_size > FMT_BLOCK || FMT_BLOCK % bs->block_size != 0)
		return "its blocks are larger than 4 KiB";
	if (bs->mem_align > FMT_BLOCK)
		return "its memory alignment is more than 4 KiB";
	if (bs->size > FMT_DEVICE_BYTES_MAX)
		return "it is larger than 64 TiB";
	if (bs->size < FMT_DEVICE_HEAD + FMT_DEVICE_TAIL + FMT_REGION_MIN)
		return "it is too small";
	return NULL;
}

uint64_t
device_regions(uint64_t size, uint64_t region_bytes)
{
	uint64_t ends = FMT_DEVICE_HEAD + FMT_DEVICE_TAIL;

	return size < ends ? 0 : (size - ends) / region_bytes;
}

/* Makes region_of fit device->regions, new places not in use. */
int
device_map_init(struct device *device, uint64_t old)
{
	uint32_t *map = realloc(device->region_of,
	    (device->regions + 1) * sizeof(device->region_of[0]));

	if (map == NULL)
		return -ENOMEM;
	for (uint64_t i = old; i < device->regions; i++)
		map[i] = UINT32_MAX;
	device->region_of = map;
	return 0;
}
