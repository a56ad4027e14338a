/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/ack_ring.h"
#include "base/crc32c.h"
#include "snapshot/engine.h"

static uint32_t
header_crc(const struct ack_header *header)
{
	return crc32c(&header->magic,
	    sizeof(*header) - offsetof(struct ack_header, magic));
}

static uint32_t
entry_crc(const struct fmt_record *record, uint64_t lsn, uint64_t incarnation)
{
	uint8_t place[16];
	uint32_t crc;

	store_le64(place, lsn);
	store_le64(place + 8, incarnation);
	crc = crc32c_add(CRC32C_SEED, record, sizeof(*record));
	return crc32c_end(crc32c_add(crc, place, sizeof(place)));
}

static struct ack_entry *
entry_at(const struct ack_ring *ring, uint64_t lsn)
{
	return &ring->entries[lsn % ring->capacity];
}

void
ack_ring_init(struct pool *pool)
{
	struct ack_ring *ring = &pool->ack_ring;
	uint64_t bytes = pool->limits.ack_ring_bytes;

	if (pool->limits.ack_ring == NULL || bytes < ACK_RING_BYTES_MIN)
		return;
	ring->header = pool->limits.ack_ring;
	ring->entries = (void *)(ring->header + 1);
	ring->capacity =
	    (bytes - sizeof(struct ack_header)) / sizeof(struct ack_entry);
}

void
ack_ring_begin(struct pool *pool)
{
	struct ack_ring *ring = &pool->ack_ring;
	struct ack_header *header = ring->header;

	if (header == NULL)
		return;
	memset(header, 0, sizeof(*header));
	le32_set(&header->magic, ACK_RING_MAGIC);
	memcpy(header->pool_uuid, pool->uuid, sizeof(header->pool_uuid));
	memcpy(header->boot_id, pool->limits.boot_id, sizeof(header->boot_id));
	le64_set(&header->incarnation, pool->redo.incarnation);
	le32_set(&header->crc, header_crc(header));
	ring->next = pool->redo.durable_lsn;
	ring->active = true;
	ack_ring_fill(pool);
}

static void
entry_put(struct pool *pool, uint64_t lsn)
{
	struct ack_entry *entry = entry_at(&pool->ack_ring, lsn);

	entry->record = *redo_record(&pool->redo, lsn);
	le32_set(&entry->lsn, (uint32_t)lsn);
	le32_set(&entry->crc,
	    entry_crc(&entry->record, lsn, pool->redo.incarnation));
}

void
ack_ring_fill(struct pool *pool)
{
	struct ack_ring *ring = &pool->ack_ring;
	const struct redo *redo = &pool->redo;

	if (!ring->active)
		return;
	if (ring->next < redo->durable_lsn)
		ring->next = redo->durable_lsn;
	while (ring->next < redo->next_lsn &&
	       ring->next - redo->durable_lsn < ring->capacity)
		entry_put(pool, ring->next++);
}

bool
ack_ring_covers(const struct pool *pool, uint64_t lsn)
{
	return !pool->ack_ring.active || lsn <= pool->ack_ring.next ||
	       lsn <= pool->redo.durable_lsn;
}

bool
ack_ring_matches(const struct pool *pool, uint64_t incarnation)
{
	const struct ack_header *header = pool->ack_ring.header;

	return header != NULL && le32_get(&header->magic) == ACK_RING_MAGIC &&
	       le32_get(&header->crc) == header_crc(header) &&
	       memcmp(header->pool_uuid, pool->uuid, 16) == 0 &&
	       memcmp(header->boot_id, pool->limits.boot_id, 16) == 0 &&
	       le64_get(&header->incarnation) == incarnation;
}

const struct fmt_record *
ack_ring_record(const struct pool *pool, uint64_t incarnation, uint64_t lsn)
{
	const struct ack_entry *entry = entry_at(&pool->ack_ring, lsn);

	if (le32_get(&entry->lsn) != (uint32_t)lsn ||
	    le32_get(&entry->crc) !=
		entry_crc(&entry->record, lsn, incarnation))
		return NULL;
	return &entry->record;
}
