/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sums of disk blocks, and what can be judged of a block by itself.  Nothing
 * here trusts a byte it reads.
 */
#include "snapshot/format.h"
#include "base/assert.h"
#include "base/crc32c.h"

/* The sum is the first field and covers all that follows it. */
static uint32_t
block_crc(const void *block, size_t length)
{
	return crc32c((const uint8_t *)block + sizeof(struct le32),
	    length - sizeof(struct le32));
}

void
fmt_page_seal(void *page)
{
	struct fmt_page *p = page;

	le32_set(&p->crc, block_crc(page, FMT_BLOCK));
}

const char *
fmt_page_check_sum(const void *page, uint64_t pool)
{
	const struct fmt_page *p = page;

	if (le32_get(&p->magic) != FMT_PAGE_MAGIC)
		return "not a metadata page";
	if (le32_get(&p->crc) != block_crc(page, FMT_BLOCK))
		return "wrong checksum";
	if (le64_get(&p->pool) != pool)
		return "page of another pool";
	return NULL;
}

const char *
fmt_page_check_place(const void *page, const struct fmt_expect *expect)
{
	const struct fmt_page *p = page;

	if (p->type != expect->type || p->level != expect->level)
		return "page of another type or level";
	if (le64_get(&p->family) != expect->family)
		return "page of another volume";
	if (le64_get(&p->index) != expect->index)
		return "page of another place";
	if (le32_get(&p->birth) != expect->birth)
		return "page of another birth";
	if (le32_get(&p->gen) != expect->gen)
		return "page of another generation (a lost write)";
	return NULL;
}

const char *
fmt_page_check(const void *page, const struct fmt_expect *expect)
{
	const char *wrong = fmt_page_check_sum(page, expect->pool);

	return wrong != NULL ? wrong : fmt_page_check_place(page, expect);
}

uint64_t
fmt_pool_tag(const uint8_t uuid[16])
{
	return load_le64(uuid);
}

void
fmt_super_seal(struct fmt_super *super)
{
	le32_set(&super->crc, block_crc(super, sizeof(*super)));
}

static bool
name_terminated(const char name[FMT_NAME])
{
	return memchr(name, 0, FMT_NAME) != NULL && name[0] != 0;
}

static bool
power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* Do sizes and counts fit each other?  Only asked after the sum was right. */
static const char *
super_check_sizes(const struct fmt_super *super)
{
	uint64_t region_bytes =
	    (uint64_t)le32_get(&super->region_blocks) * FMT_BLOCK;
	uint64_t regions = le64_get(&super->region_count);
	uint64_t blocks, log = le64_get(&super->log_blocks);
	uint32_t devices = le32_get(&super->device_count);

	if (!power_of_two(region_bytes) || region_bytes < FMT_REGION_MIN ||
	    region_bytes > FMT_REGION_MAX)
		return "impossible region size";
	if (devices == 0 || devices > FMT_DEVICE_MAX)
		return "impossible number of devices";
	blocks = (FMT_ADDRESS_MASK + 1) / le32_get(&super->region_blocks);
	if (regions == 0 || regions > blocks)
		return "impossible number of regions";
	blocks = regions * le32_get(&super->region_blocks);
	if (log < FMT_LOG_MIN / FMT_BLOCK || log > FMT_LOG_MAX / FMT_BLOCK ||
	    le64_get(&super->log_start) > blocks - log || log > blocks)
		return "impossible place of the log";
	if (le64_get(&super->log_tail) >= log)
		return "impossible start of the log";
	return NULL;
}

const char *
fmt_super_check(const struct fmt_super *super)
{
	if (le32_get(&super->magic) != FMT_SUPER_MAGIC)
		return "not a superblock";
	if (le32_get(&super->crc) != block_crc(super, sizeof(*super)))
		return "wrong checksum";
	if (le32_get(&super->version) != FMT_VERSION)
		return NULL; /* the caller refuses it by its version */
	if (!name_terminated(super->name))
		return "pool name without end";
	if (le32_get(&super->epoch) == 0)
		return "epoch 0";
	return super_check_sizes(super);
}

void
fmt_label_seal(struct fmt_label *label)
{
	le32_set(&label->crc, block_crc(label, sizeof(*label)));
}

const char *
fmt_label_check(const struct fmt_label *label)
{
	if (le32_get(&label->magic) != FMT_LABEL_MAGIC)
		return "not a label";
	if (le32_get(&label->crc) != block_crc(label, sizeof(*label)))
		return "wrong checksum";
	if (le32_get(&label->index) >= FMT_DEVICE_MAX)
		return "impossible device number";
	if (!name_terminated(label->pool_name))
		return "pool name without end";
	return NULL;
}

void
fmt_log_seal(struct fmt_log_block *block)
{
	le32_set(&block->crc, block_crc(block, le32_get(&block->length)));
}

const char *
fmt_log_check(const struct fmt_log_block *block, uint64_t max)
{
	uint32_t length = le32_get(&block->length);

	if (le32_get(&block->magic) != FMT_LOG_MAGIC)
		return "not a log block";
	if (length == 0 || length % FMT_BLOCK != 0 || length > max ||
	    length > FMT_LOG_BLOCK_MAX)
		return "impossible length";
	if (le32_get(&block->count) > fmt_log_capacity(length))
		return "too many records";
	if (le32_get(&block->crc) != block_crc(block, length))
		return "wrong checksum";
	return NULL;
}

uint64_t
fmt_map_chunks(unsigned levels)
{
	uint64_t chunks = FMT_LEAF_CHUNKS;

	assert(levels >= 1);
	assert(levels <= FMT_LEVELS_MAX);
	while (--levels > 0)
		chunks *= FMT_FANOUT;
	return chunks;
}

unsigned
fmt_map_levels(uint64_t size)
{
	uint64_t chunks = (size + FMT_CHUNK - 1) / FMT_CHUNK;
	unsigned levels = FMT_MAP_LEVELS_MIN;

	while (fmt_map_chunks(levels) < chunks)
		levels++;
	assert(levels <= FMT_MAP_LEVELS_MAX);
	return levels;
}

unsigned
fmt_tree_levels(uint64_t pages)
{
	unsigned levels = 1;
	uint64_t reach = 1;

	while (reach < pages) {
		reach *= FMT_FANOUT;
		levels++;
	}
	assert(levels <= FMT_LEVELS_MAX);
	return levels;
}
