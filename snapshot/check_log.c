/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log as recovery would read it.  Records are applied to the bitmap and
 * the tables at once; those that change maps are indexed by volume and leaf,
 * and applied when the walk comes to that leaf (check_map.c).
 */
#include "base/assert.h"
#include "snapshot/check_priv.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading ---- */

/* Where reading is. */
struct log_place {
	uint64_t block; /* of the ring */
	uint64_t seq, lsn;
	uint32_t prev_crc;
};

/* Bytes [block, block + length) of the ring, region by region. */
static int
ring_read(struct check *check, uint64_t block, uint8_t *buf, uint64_t length)
{
	uint64_t per = le32_get(&check->super.region_blocks);

	while (length > 0) {
		uint64_t address = le64_get(&check->super.log_start) + block;
		uint64_t part = (per - address % per) * FMT_BLOCK;
		const struct check_region *region =
		    &check->region[address / per];
		if (part > length)
			part = length;
		int r = check_read(check, check->device[region->device],
		    FMT_DEVICE_HEAD +
			(region->device_region * per + address % per) *
			    FMT_BLOCK,
		    buf, (uint32_t)part);
		if (r < 0)
			return r;
		buf += part;
		block += part / FMT_BLOCK;
		length -= part;
	}
	return 0;
}

/* Reads what lies at block of the ring, if it is a good log block of this life
 * of this pool; returns its length, or 0. */
static uint32_t
log_block_read(struct check *check, uint64_t block, uint8_t *buf)
{
	const struct fmt_super *super = &check->super;
	const struct fmt_log_block *head = (const void *)buf;
	uint64_t max = (le64_get(&super->log_blocks) - block) * FMT_BLOCK;
	uint32_t length;

	if (ring_read(check, block, buf, FMT_BLOCK) < 0)
		return 0;
	length = le32_get(&head->length);
	if (le32_get(&head->magic) != FMT_LOG_MAGIC || length < FMT_BLOCK ||
	    length % FMT_BLOCK != 0 || length > FMT_LOG_BLOCK_MAX ||
	    length > max)
		return 0;
	if (ring_read(check, block, buf, length) < 0)
		return 0;
	if (fmt_log_check(head, max) != NULL)
		return 0;
	if (memcmp(head->pool_uuid, super->uuid, 16) != 0 ||
	    le64_get(&head->incarnation) != le64_get(&super->log_incarnation))
		return 0;
	return length;
}

static bool
log_block_is_next(
    const struct fmt_log_block *head, const struct log_place *place)
{
	return le64_get(&head->seq) == place->seq &&
	       le32_get(&head->prev_crc) == place->prev_crc;
}

static void
record_keep(struct check *check, const struct fmt_record *on_disk)
{
	struct check_record *room = check_grow(check, check->record,
	    check->record_count, &check->record_room, sizeof(*room));
	uint32_t id = le32_get(&on_disk->volume);

	if (room == NULL)
		return;
	check->record = room;
	check->record[check->record_count++] =
	    (struct check_record){.type = on_disk->type,
		.mask = le16_get(&on_disk->mask),
		.version = check_version_find(check, id),
		.a = le64_get(&on_disk->a),
		.b = le64_get(&on_disk->b)};
}

static void
log_block_keep(struct check *check, const struct fmt_log_block *head)
{
	const struct fmt_record *record = (const void *)(head + 1);
	uint32_t count = le32_get(&head->count);
	uint64_t lsn = le64_get(&head->first_lsn);

	for (uint32_t i = 0; i < count && check->error == 0; i++, lsn++)
		if (lsn >= le64_get(&check->super.checkpoint_lsn))
			record_keep(check, &record[i]);
	if (count > 0 && record[count - 1].flags & FMT_RECORD_MORE)
		check_find(check, CHECK_DAMAGE, "log.group",
		    "log block %llu ends inside a group of records",
		    (unsigned long long)le64_get(&head->seq));
}

/* The tail is torn where it ends; but a good later block behind it shows that
 * the log is damaged in its middle. */
static void
log_verify_end(struct check *check, uint64_t block, uint64_t seq, uint8_t *buf)
{
	uint64_t blocks = le64_get(&check->super.log_blocks);
	uint64_t end = block + FMT_LOG_BLOCK_MAX / FMT_BLOCK + 1;
	const struct fmt_log_block *head = (const void *)buf;

	for (uint64_t at = block; at <= end; at++) {
		/* the last round looks at the start of the ring */
		uint64_t here = at == end || at >= blocks ? 0 : at;
		if (log_block_read(check, here, buf) == 0 ||
		    le64_get(&head->seq) <= seq)
			continue;
		check_find(check, CHECK_DAMAGE, "log.hole",
		    "log block %llu is missing, but %llu is there",
		    (unsigned long long)seq,
		    (unsigned long long)le64_get(&head->seq));
		return;
	}
}

void
check_log_read(struct check *check)
{
	const struct fmt_super *super = &check->super;
	uint64_t blocks = le64_get(&super->log_blocks), read = 0;
	struct log_place place = {.block = le64_get(&super->log_tail),
	    .seq = le64_get(&super->log_seq),
	    .prev_crc = le32_get(&super->log_prev_crc)};
	uint8_t *buf = aligned_alloc(FMT_BLOCK, FMT_LOG_BLOCK_MAX);
	const struct fmt_log_block *head = (const void *)buf;

	if (buf == NULL) {
		check->error = -ENOMEM;
		return;
	}
	while (read < blocks && check->error == 0) {
		uint32_t length = log_block_read(check, place.block, buf);
		if (length == 0 || !log_block_is_next(head, &place))
			break;
		log_block_keep(check, head);
		place.seq++;
		place.prev_crc = le32_get(&head->crc);
		place.block = (place.block + length / FMT_BLOCK) % blocks;
		read += length / FMT_BLOCK;
	}
	if (check->error == 0)
		log_verify_end(check, place.block, place.seq, buf);
	check->report->log_records = check->record_count;
	free(buf);
}

/* ---- applying to bitmap and tables ---- */

static void
record_damaged(struct check *check, uint32_t index, const char *what)
{
	const struct check_record *record = &check->record[index];

	check_find(check, CHECK_DAMAGE, "log.record",
	    "record %u of the log (type %u, %llu, %llu): %s", index,
	    record->type, (unsigned long long)record->a,
	    (unsigned long long)record->b, what);
	check->record[index].type = 0; /* nobody applies it */
}

static void
apply_bits(struct check *check, uint64_t address, uint64_t run, bool value)
{
	for (uint64_t i = 0; i < run && check->error == 0; i++)
		if (!bits_put(&check->used, address + i, value))
			check->error = -ENOMEM;
}

static bool
bits_are(struct check *check, uint64_t address, uint64_t run, bool value)
{
	for (uint64_t i = 0; i < run; i++)
		if (bits_get(&check->used, address + i) != value)
			return false;
	return true;
}

/* Chunks that the map of the record's version has room for, as of now. */
static uint64_t
map_chunks(const struct check *check, const struct check_record *record)
{
	return fmt_map_chunks(check->version[record->version].levels_now);
}

static void
apply_map_coarse(struct check *check, uint32_t i)
{
	const struct check_record *record = &check->record[i];

	if (record->version == UINT32_MAX)
		record_damaged(check, i, "no such volume");
	else if (record->a >= map_chunks(check, record))
		record_damaged(check, i, "no such chunk");
	else if (record->mask == 0)
		record_damaged(check, i, "maps nothing");
	else if (record->b % FMT_CHUNK_BLOCKS != 0 ||
		 !check_range_is(
		     check, record->b, FMT_CHUNK_BLOCKS, FMT_REGION_DATA))
		record_damaged(check, i, "not a chunk for data");
	else
		apply_bits(check, record->b, FMT_CHUNK_BLOCKS, true);
}

#define MAP_FINE_RUN(b) ((b) >> FMT_ADDRESS_BITS)

static void
apply_map_fine(struct check *check, uint32_t i)
{
	const struct check_record *record = &check->record[i];
	uint64_t address = record->b & FMT_ADDRESS_MASK;
	uint64_t run = MAP_FINE_RUN(record->b);

	if (record->version == UINT32_MAX)
		record_damaged(check, i, "no such volume");
	else if (run == 0 || run > FMT_LEAF_BLOCKS ||
		 record->a / FMT_CHUNK_BLOCKS >= map_chunks(check, record))
		record_damaged(check, i, "no such blocks");
	else if (!check_range_is(check, address, run, FMT_REGION_DATA))
		record_damaged(check, i, "not blocks for data");
	else
		apply_bits(check, address, run, true);
}

static void
apply_unmap(struct check *check, uint32_t i)
{
	const struct check_record *record = &check->record[i];
	uint64_t last = record->a + record->b - 1;

	if (record->version == UINT32_MAX)
		record_damaged(check, i, "no such volume");
	else if (record->b == 0 || record->b > FMT_LEAF_BLOCKS ||
		 last < record->a ||
		 last / FMT_CHUNK_BLOCKS >= map_chunks(check, record))
		record_damaged(check, i, "no such blocks");
	else if (record->a / FMT_LEAF_BLOCKS != last / FMT_LEAF_BLOCKS)
		record_damaged(check, i, "more than one leaf");
}

static void
apply_free(struct check *check, uint32_t i)
{
	const struct check_record *record = &check->record[i];

	if (!check_range_is(check, record->a, record->b, FMT_REGION_DATA))
		record_damaged(check, i, "not blocks for data");
	else if (!bits_are(check, record->a, record->b, true))
		record_damaged(check, i, "frees what is free");
	else
		apply_bits(check, record->a, record->b, false);
}

static void
apply_region(struct check *check, uint32_t i)
{
	const struct check_record *record = &check->record[i];
	uint32_t per = le32_get(&check->super.region_blocks);
	struct check_region *region;

	if (record->a >= le64_get(&check->super.region_count) ||
	    record->b > FMT_REGION_META) {
		record_damaged(check, i, "no such region or class");
		return;
	}
	region = &check->region[record->a];
	if (region->class_now > FMT_REGION_META)
		record_damaged(check, i, "a region of another class");
	else if (!bits_are(check, record->a * per, per, false))
		record_damaged(check, i, "a region in use");
	else
		region->class_now = (uint8_t)record->b;
}

/* A map gets more levels, never fewer. */
static void
version_resize(struct check_version *version, uint64_t size)
{
	version->size_now = size;
	if (version->levels_now < fmt_map_levels(size))
		version->levels_now = (uint8_t)fmt_map_levels(size);
}

static void
apply_resize(struct check *check, uint32_t i)
{
	const struct check_record *record = &check->record[i];

	if (record->version == UINT32_MAX)
		record_damaged(check, i, "no such volume");
	else if (record->a == 0 || record->a > FMT_VOLUME_MAX ||
		 record->a % FMT_BLOCK != 0)
		record_damaged(check, i, "impossible size");
	else
		version_resize(&check->version[record->version], record->a);
}

static void
apply_delete(struct check *check, uint32_t i)
{
	const struct check_record *record = &check->record[i];
	struct check_version *version;

	if (record->version == UINT32_MAX) {
		record_damaged(check, i, "no such volume");
		return;
	}
	version = &check->version[record->version];
	if (version->state_now != FMT_VERSION_HEAD) {
		record_damaged(check, i, "not a volume");
		return;
	}
	version->state_now = FMT_VERSION_DELETING;
	version->cursor_now = 0;
}

static void
apply_delstep(struct check *check, uint32_t i)
{
	const struct check_record *record = &check->record[i];
	struct check_version *version;

	if (record->version == UINT32_MAX) {
		record_damaged(check, i, "no such volume");
		return;
	}
	version = &check->version[record->version];
	if (version->state_now != FMT_VERSION_DELETING)
		record_damaged(check, i, "the volume is not being deleted");
	else if (record->a < version->cursor_now)
		record_damaged(check, i, "the deletion goes backwards");
	else
		version->cursor_now = record->a;
}

static void (*const apply[FMT_RECORD_TYPE_COUNT])(
    struct check *check, uint32_t i) = {
    [FMT_MAP_COARSE] = apply_map_coarse,
    [FMT_MAP_FINE] = apply_map_fine,
    [FMT_UNMAP] = apply_unmap,
    [FMT_FREE] = apply_free,
    [FMT_REGION] = apply_region,
    [FMT_RESIZE] = apply_resize,
    [FMT_DELETE] = apply_delete,
    [FMT_DELSTEP] = apply_delstep,
};

void
check_log_apply(struct check *check)
{
	for (uint32_t i = 0; i < check->record_count && check->error == 0;
	     i++) {
		unsigned type = check->record[i].type;
		if (type >= FMT_RECORD_TYPE_COUNT || apply[type] == NULL)
			record_damaged(check, i, "unknown type");
		else
			apply[type](check, i);
	}
}

/* ---- the index by leaf ---- */

static void
event_add(struct check *check, uint32_t record, uint64_t leaf)
{
	struct check_event *room = check_grow(check, check->event,
	    check->event_count, &check->event_room, sizeof(*room));

	if (room == NULL)
		return;
	check->event = room;
	check->event[check->event_count++] =
	    (struct check_event){.version = check->record[record].version,
		.record = record,
		.leaf = leaf};
}

static void
wipe_add(struct check *check, struct check_wipe wipe)
{
	struct check_wipe *room = check_grow(check, check->wipe,
	    check->wipe_count, &check->wipe_room, sizeof(*room));

	if (room == NULL)
		return;
	check->wipe = room;
	check->wipe[check->wipe_count++] = wipe;
}

/* A run touches two leaves in part at most, and whole ones between them: what
 * an UNMAP does to those is one wipe. */
static void
index_run(struct check *check, uint32_t i, uint64_t block, uint64_t run)
{
	bool wipes = check->record[i].type == FMT_UNMAP;
	uint64_t first = block / FMT_LEAF_BLOCKS;
	uint64_t last = (block + run - 1) / FMT_LEAF_BLOCKS;
	bool first_whole = wipes && block % FMT_LEAF_BLOCKS == 0;
	bool last_whole = wipes && (block + run) % FMT_LEAF_BLOCKS == 0;

	if (first == last)
		first_whole = last_whole = first_whole && last_whole;
	if (!first_whole)
		event_add(check, i, first);
	if (!last_whole && last != first)
		event_add(check, i, last);
	uint64_t whole = first + !first_whole, whole_end = last + last_whole;
	if (wipes && whole < whole_end)
		wipe_add(check,
		    (struct check_wipe){.version = check->record[i].version,
			.record = i,
			.leaf = whole,
			.leaf_end = whole_end});
}

static int
event_compare(const void *a, const void *b)
{
	const struct check_event *x = a, *y = b;

	if (x->version != y->version)
		return x->version < y->version ? -1 : 1;
	if (x->leaf != y->leaf)
		return x->leaf < y->leaf ? -1 : 1;
	return (x->record > y->record) - (x->record < y->record);
}

static int
wipe_compare(const void *a, const void *b)
{
	const struct check_wipe *x = a, *y = b;

	if (x->version != y->version)
		return x->version < y->version ? -1 : 1;
	if (x->leaf != y->leaf)
		return x->leaf < y->leaf ? -1 : 1;
	return (x->record > y->record) - (x->record < y->record);
}

void
check_log_index(struct check *check)
{
	for (uint32_t i = 0; i < check->record_count && check->error == 0;
	     i++) {
		const struct check_record *record = &check->record[i];
		if (record->type == FMT_MAP_COARSE)
			event_add(check, i, record->a / FMT_LEAF_CHUNKS);
		else if (record->type == FMT_UNMAP)
			index_run(check, i, record->a, record->b);
		else if (record->type == FMT_MAP_FINE)
			index_run(check, i, record->a, MAP_FINE_RUN(record->b));
	}
	if (check->event_count > 0)
		qsort(check->event, check->event_count, sizeof(check->event[0]),
		    event_compare);
	if (check->wipe_count > 0)
		qsort(check->wipe, check->wipe_count, sizeof(check->wipe[0]),
		    wipe_compare);
}
