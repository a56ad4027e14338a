/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log as recovery would read it: its blocks, not what its records mean.
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
	uint64_t seq;
	uint32_t prev_crc;
};

/* Bytes [block, block + length) of the ring, region by region, from the first
 * copy or the mirror. */
static int
ring_read(struct check *check, unsigned copy, uint64_t block, uint8_t *buf,
    uint64_t length)
{
	uint64_t per = le32_get(&check->super.region_blocks);

	while (length > 0) {
		uint64_t address = le64_get(&check->super.log_start) + block;
		uint64_t part = (per - address % per) * FMT_BLOCK;
		const struct check_region *region =
		    &check->region[address / per];
		uint64_t place =
		    copy == 0 ? region->device_region : region->mirror_region;
		if (part > length)
			part = length;
		if (copy > 0 && !region->mirror_whole)
			return -ENODATA;
		int r = check_read(check,
		    check->device[copy == 0 ? region->device : region->mirror],
		    FMT_DEVICE_HEAD + (place * per + address % per) * FMT_BLOCK,
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
log_block_read(struct check *check, unsigned copy, uint64_t block, uint8_t *buf)
{
	const struct fmt_super *super = &check->super;
	const struct fmt_log_block *head = (const void *)buf;
	uint64_t max = (le64_get(&super->log_blocks) - block) * FMT_BLOCK;
	uint32_t length;

	if (ring_read(check, copy, block, buf, FMT_BLOCK) < 0)
		return 0;
	length = le32_get(&head->length);
	if (le32_get(&head->magic) != FMT_LOG_MAGIC || length < FMT_BLOCK ||
	    length % FMT_BLOCK != 0 || length > FMT_LOG_BLOCK_MAX ||
	    length > max)
		return 0;
	if (ring_read(check, copy, block, buf, length) < 0)
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
log_block_count(struct check *check, const struct fmt_log_block *head)
{
	const struct fmt_record *record = (const void *)(head + 1);
	uint32_t count = le32_get(&head->count);
	uint64_t lsn = le64_get(&head->first_lsn);

	for (uint32_t i = 0; i < count; i++, lsn++)
		if (lsn >= le64_get(&check->super.checkpoint_lsn))
			check->report->log_records++;
	if (count > 0 && record[count - 1].flags & FMT_RECORD_MORE)
		check_find(check, CHECK_DAMAGE, "log.group",
		    "log block %llu ends inside a group of records",
		    (unsigned long long)le64_get(&head->seq));
}

/* The length of the block that comes next, from whichever copy has it, or 0. */
static uint32_t
log_next_read(struct check *check, const struct log_place *place, uint8_t *buf)
{
	for (unsigned copy = 0; copy < 2; copy++) {
		uint32_t length =
		    log_block_read(check, copy, place->block, buf);
		if (length > 0 && log_block_is_next((const void *)buf, place))
			return length;
	}
	return 0;
}

/* The tail is torn where it ends; but a good later block behind it shows that
 * the log is damaged in its middle. */
static bool
log_verify_end(struct check *check, unsigned copy, uint64_t block, uint64_t seq,
    uint8_t *buf)
{
	uint64_t blocks = le64_get(&check->super.log_blocks);
	uint64_t end = block + FMT_LOG_BLOCK_MAX / FMT_BLOCK + 1;
	const struct fmt_log_block *head = (const void *)buf;

	for (uint64_t at = block; at <= end; at++) {
		/* the last round looks at the start of the ring */
		uint64_t here = at == end || at >= blocks ? 0 : at;
		if (log_block_read(check, copy, here, buf) == 0 ||
		    le64_get(&head->seq) <= seq)
			continue;
		check_find(check, CHECK_DAMAGE, "log.hole",
		    "log block %llu is missing, but %llu is there",
		    (unsigned long long)seq,
		    (unsigned long long)le64_get(&head->seq));
		return false;
	}
	return true;
}

bool
check_log(struct check *check)
{
	const struct fmt_super *super = &check->super;
	uint64_t blocks = le64_get(&super->log_blocks), read = 0;
	struct log_place place = {.block = le64_get(&super->log_tail),
	    .seq = le64_get(&super->log_seq),
	    .prev_crc = le32_get(&super->log_prev_crc)};
	uint8_t *buf = aligned_alloc(FMT_BLOCK, FMT_LOG_BLOCK_MAX);
	const struct fmt_log_block *head = (const void *)buf;
	bool whole;

	if (buf == NULL) {
		check->error = -ENOMEM;
		return false;
	}
	while (read < blocks) {
		uint32_t length = log_next_read(check, &place, buf);
		if (length == 0)
			break;
		log_block_count(check, head);
		place.seq++;
		place.prev_crc = le32_get(&head->crc);
		place.block = (place.block + length / FMT_BLOCK) % blocks;
		read += length / FMT_BLOCK;
	}
	whole = log_verify_end(check, 0, place.block, place.seq, buf) &&
		log_verify_end(check, 1, place.block, place.seq, buf);
	free(buf);
	return whole && check->report->log_records > 0;
}
