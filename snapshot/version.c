/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The version table in memory: one struct volume per record in use.
 */
#include "snapshot/engine.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void volume_close(
    struct backstore *bs, void (*done)(void *arg), void *arg);

static const struct backstore_ops volume_ops = {
    .name = "volume",
    .submit = volume_submit,
    .close = volume_close,
};

struct fmt_version *
volume_record(struct volume *volume)
{
	struct fmt_version_page *table = (void *)volume->record_page->data;

	return &table->version[volume->slot % FMT_PAGE_VERSIONS_COUNT];
}

void
volume_store(struct volume *volume)
{
	struct fmt_version *record;

	page_dirty(volume->record_page);
	record = volume_record(volume);
	record->state = volume->state;
	record->levels = volume->map.levels;
	record->root = volume->map.root;
	le64_set(&record->size, volume->size);
	le64_set(&record->live_blocks, volume->live_blocks);
	le64_set(&record->held_blocks, volume->held_blocks);
	le64_set(&record->cursor, volume->cursor);
	memcpy(record->name, volume->name, sizeof(record->name));
	volume->counters_dirty = false;
}

static void
volume_name_bs(struct volume *volume)
{
	snprintf(volume->bs.name, sizeof(volume->bs.name), "%s/%s",
	    volume->pool->name, volume->name);
}

/* What the devices ask of memory and blocks holds for what goes through. */
static void
volume_bs_init(struct volume *volume, uint32_t block_size)
{
	struct pool *pool = volume->pool;
	struct backstore *bs = &volume->bs;

	*bs = (struct backstore){
	    .ops = &volume_ops,
	    .loop = pool->loop,
	    .size = volume->size,
	    .block_size = block_size,
	    .physical_block_size = FMT_BLOCK,
	    .mem_align = 1,
	    .optimal_io = FMT_CHUNK,
	    .max_io = 8u << 20,
	    .read_only = pool->read_only,
	    .volatile_cache = true,
	    .thin = true,
	};
	volume_name_bs(volume);
	for (unsigned i = 0; i < pool->device_count; i++)
		volume_device_added(volume, pool->device[i].bs);
}

void
volume_device_added(struct volume *volume, const struct backstore *device)
{
	struct backstore *bs = &volume->bs;

	if (bs->mem_align < device->mem_align)
		bs->mem_align = device->mem_align;
	bs->rotational |= device->rotational;
	if (device->block_size > bs->block_size)
		volume->locked_writes = true;
}

struct volume *
volume_new(struct pool *pool, uint32_t slot, struct page *page,
    const struct fmt_version *record)
{
	struct volume *volume = calloc(1, sizeof(*volume));

	if (volume == NULL)
		return NULL;
	volume->pool = pool;
	volume->id = (uint32_t)le64_get(&record->id);
	volume->slot = slot;
	volume->record_page = page;
	page_pin(page);
	volume->cow_shift = record->cow_shift;
	volume->state = record->state;
	memcpy(volume->name, record->name, sizeof(volume->name));
	memcpy(volume->uuid, record->uuid, sizeof(volume->uuid));
	volume->size = le64_get(&record->size);
	volume->live_blocks = le64_get(&record->live_blocks);
	volume->held_blocks = le64_get(&record->held_blocks);
	volume->cursor = le64_get(&record->cursor);
	volume->created_unix = le64_get(&record->created_unix);
	tree_init(&volume->map, pool, FMT_PAGE_MAP, record->levels);
	volume->map.family = le64_get(&record->family);
	volume->map.version = volume->id;
	volume->map.root = record->root;
	volume_bs_init(volume, 1u << record->block_shift);
	return volume;
}

void
volume_free(struct volume *volume)
{
	page_unpin(volume->record_page);
	free(volume);
}

static struct volume **
hash_place(struct pool *pool, uint32_t id)
{
	struct volume **place = &pool->by_id[id % VERSION_HASH];

	while (*place != NULL && (*place)->id != id)
		place = &(*place)->hash_next;
	return place;
}

struct volume *
volume_by_id(struct pool *pool, uint32_t id)
{
	return *hash_place(pool, id);
}

/* In its place in the order of names. */
void
version_link(struct pool *pool, struct volume *volume)
{
	struct volume *other;

	list_for_each (other, &pool->volumes, link)
		if (strcmp(other->name, volume->name) > 0)
			break;
	list_insert_before(&other->link, &volume->link);
}

void
version_insert(struct pool *pool, struct volume *volume)
{
	struct volume **place = hash_place(pool, volume->id);

	assert(*place == NULL);
	*place = volume;
	pool->slots[volume->slot] = volume;
	if (volume->state == FMT_VERSION_DELETING) {
		volume->deletion_durable = true;
		list_add_tail(&pool->dying, &volume->link);
		return;
	}
	version_link(pool, volume);
	pool->volume_count++;
	pool->promised += volume->size;
}

void
version_dying(struct pool *pool, struct volume *volume)
{
	list_del(&volume->link);
	list_add_tail(&pool->dying, &volume->link);
	volume->state = FMT_VERSION_DELETING;
	volume->cursor = 0;
	volume->counters_dirty = true;
	pool->volume_count--;
	pool->promised -= volume->size;
}

/* Its record becomes zeros, its slot free.  The map is empty. */
void
version_remove(struct pool *pool, struct volume *volume)
{
	struct volume **place = hash_place(pool, volume->id);
	struct fmt_page *header;

	assert(*place == volume);
	*place = volume->hash_next;
	pool->slots[volume->slot] = NULL;
	if (volume->state != FMT_VERSION_DELETING) {
		pool->volume_count--;
		pool->promised -= volume->size;
	}
	list_del(&volume->link);
	page_dirty(volume->record_page);
	memset(volume_record(volume), 0, sizeof(struct fmt_version));
	header = page_header(volume->record_page);
	le32_set(&header->used, le32_get(&header->used) - 1);
	pool->needs_write = true;
	tree_drop(&volume->map);
	volume_free(volume);
}

/* ---- slots ---- */

int
version_slots_grow(struct pool *pool, uint32_t count)
{
	struct volume **slots;

	if (count <= pool->slot_count)
		return 0;
	slots = realloc(pool->slots, count * sizeof(slots[0]));
	if (slots == NULL)
		return -ENOMEM;
	memset(slots + pool->slot_count, 0,
	    (count - pool->slot_count) * sizeof(slots[0]));
	pool->slots = slots;
	pool->slot_count = count;
	return 0;
}

static bool
text_ends(const char name[FMT_NAME])
{
	return memchr(name, 0, FMT_NAME) != NULL;
}

/* A record told from any other bytes. */
static bool
record_sane(const struct pool *pool, const struct fmt_version *record)
{
	uint64_t id = le64_get(&record->id), size = le64_get(&record->size);

	if (record->state >= FMT_VERSION_STATE_COUNT || id == 0 ||
	    id > UINT32_MAX || id >= pool->next_version)
		return false;
	if (size == 0 || size > FMT_VOLUME_MAX || size % FMT_BLOCK != 0)
		return false;
	if (record->block_shift != 9 && record->block_shift != 12)
		return false;
	if (record->cow_shift < 12 || record->cow_shift > 16)
		return false;
	return record->levels >= FMT_MAP_LEVELS_MIN &&
	       record->levels <= FMT_MAP_LEVELS_MAX &&
	       fmt_map_chunks(record->levels) * FMT_CHUNK >= size &&
	       text_ends(record->name) &&
	       (record->state != FMT_VERSION_HEAD ||
		   pool_name_valid(record->name));
}

static int
version_load(struct pool *pool, uint32_t slot, struct page *page)
{
	struct fmt_version_page *table = (void *)page->data;
	const struct fmt_version *record =
	    &table->version[slot % FMT_PAGE_VERSIONS_COUNT];
	struct volume *volume;

	if (record->state == FMT_VERSION_NONE)
		return 0;
	if (!record_sane(pool, record) ||
	    volume_by_id(pool, (uint32_t)le64_get(&record->id)) != NULL)
		return -EBADMSG;
	if (record->state != FMT_VERSION_HEAD &&
	    record->state != FMT_VERSION_DELETING)
		return 0; /* no volume: kept as it is */
	volume = volume_new(pool, slot, page, record);
	if (volume == NULL)
		return -ENOMEM;
	version_insert(pool, volume);
	return 0;
}

int
versions_load(struct pool *pool, uint32_t *next, struct waiter *waiter)
{
	while (*next < pool->slot_count) {
		struct page *page;
		int result = page_get(&pool->versions, 0,
		    *next / FMT_PAGE_VERSIONS_COUNT, false, waiter, &page,
		    NULL);
		if (result < 0)
			return result;
		/* the last page may have more slots than the superblock says */
		do {
			if (page != NULL)
				result = version_load(pool, *next, page);
			if (result < 0)
				return result;
		} while (++*next % FMT_PAGE_VERSIONS_COUNT != 0 &&
			 *next < pool->slot_count);
	}
	return 0;
}

/* ---- public: finding and using ---- */

bool
pool_name_valid(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz0123456789._-";
	size_t length = strlen(name);

	return length >= 1 && length <= POOL_NAME_MAX &&
	       strspn(name, allowed) == length && name[0] != '-' &&
	       name[0] != '.';
}

struct volume *
volume_find(struct pool *pool, const char *name)
{
	struct volume *volume;

	list_for_each (volume, &pool->volumes, link)
		if (strcmp(volume->name, name) == 0)
			return volume;
	return NULL;
}

struct volume *
volume_find_uuid(struct pool *pool, const uuid_t uuid)
{
	struct volume *volume;

	list_for_each (volume, &pool->volumes, link)
		if (uuid_compare(volume->uuid, uuid) == 0)
			return volume;
	return NULL;
}

struct volume *
volume_next(struct pool *pool, struct volume *volume)
{
	struct list *next =
	    volume == NULL ? pool->volumes.next : volume->link.next;

	return next == &pool->volumes ? NULL
				      : list_entry(next, struct volume, link);
}

void
volume_stat_get(struct volume *volume, struct volume_stat *ret_stat)
{
	*ret_stat = (struct volume_stat){
	    .size = volume->size,
	    .live = volume->live_blocks * FMT_BLOCK,
	    .allocated = volume->held_blocks * FMT_BLOCK,
	    .block_size = volume->bs.block_size,
	    .cow_unit = 1u << volume->cow_shift,
	    .created_unix = volume->created_unix,
	    .open = volume->open,
	    .reads = volume->reads,
	    .writes = volume->writes,
	    .read_bytes = volume->read_bytes,
	    .write_bytes = volume->write_bytes,
	    .unmaps = volume->unmaps,
	};
	memcpy(ret_stat->name, volume->name, sizeof(ret_stat->name));
	memcpy(ret_stat->uuid, volume->uuid, sizeof(ret_stat->uuid));
}

struct backstore *
volume_open(struct volume *volume)
{
	if (volume->open || volume->state != FMT_VERSION_HEAD)
		return NULL;
	volume->open = true;
	return &volume->bs;
}

/* By way of bs_close, which has left the caller already. */
static void
volume_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	struct volume *volume = container_of(bs, struct volume, bs);

	assert(volume->open);
	if (volume->pool->state == POOL_ONLINE)
		space_window_drop(volume->pool, volume);
	volume->open = false;
	done(arg);
}

void
volume_rename_now(struct volume *volume, const char *name)
{
	struct pool *pool = volume->pool;

	list_del(&volume->link);
	memset(volume->name, 0, sizeof(volume->name));
	snprintf(volume->name, sizeof(volume->name), "%s", name);
	version_link(pool, volume);
	volume->counters_dirty = true;
	pool->needs_write = true;
	volume_name_bs(volume);
}
