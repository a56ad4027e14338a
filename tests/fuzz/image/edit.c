/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Edits: of fields by name, of any bytes, of whole blocks; pointers to other
 * blocks; more records in the log; devices cut short.
 */
#include "tests/fuzz/image/image.h"
#include <string.h>

struct field {
	enum kind kind;
	uint16_t offset;
	uint8_t width;
	uint16_t stride, count; /* elements */
};

/* clang-format off */
#define FIELD(kind, type, member)                                              \
	{kind, offsetof(struct type, member),                                  \
	    sizeof(((struct type *)0)->member), 0, 1}
#define ELEMENT(kind, type, array, element, member, n)                         \
	{kind, offsetof(struct type, array) + offsetof(struct element, member), \
	    sizeof(((struct element *)0)->member), sizeof(struct element), n}
#define SUPER(member)   FIELD(KIND_SUPER, fmt_super, member)
#define ROOT(member)                                                           \
	{KIND_SUPER, offsetof(struct fmt_super, regions.member),               \
	    sizeof(((struct fmt_root *)0)->member), sizeof(struct fmt_root), 8}
#define DEVICE(member)                                                         \
	ELEMENT(KIND_SUPER, fmt_super, device, fmt_device, member, 4)
#define LABEL(member)   FIELD(KIND_LABEL, fmt_label, member)
#define PAGE(member)    FIELD(KIND_PAGE, fmt_page, member)
#define INNER(member)                                                          \
	ELEMENT(KIND_INNER, fmt_inner, ptr, fmt_ptr, member, FMT_FANOUT)
#define FINE(member)                                                           \
	ELEMENT(KIND_LEAF, fmt_leaf, fine, fmt_ptr, member, FMT_LEAF_FINE)
#define ENTRY(member)                                                          \
	ELEMENT(KIND_LEAF, fmt_leaf, entry, fmt_entry, member, FMT_LEAF_CHUNKS)
#define ENTRY_PART(at, width)                                                  \
	{KIND_LEAF, offsetof(struct fmt_leaf, entry) + (at), width,            \
	    sizeof(struct fmt_entry), FMT_LEAF_CHUNKS}
#define SUB(member)                                                            \
	ELEMENT(KIND_SPARE, fmt_fine, sub, fmt_sub, member, FMT_FINE_SUBS)
#define REGION(member)                                                         \
	ELEMENT(KIND_REGIONS, fmt_region_page, region, fmt_region, member,     \
	    FMT_PAGE_REGIONS_COUNT)
#define VERSION(member)                                                        \
	ELEMENT(KIND_VERSIONS, fmt_version_page, version, fmt_version, member, \
	    FMT_PAGE_VERSIONS_COUNT)
#define LOG(member)     FIELD(KIND_LOG, fmt_log_block, member)
#define RECORD(member)                                                         \
	{KIND_LOG,                                                             \
	    sizeof(struct fmt_log_block) + offsetof(struct fmt_record, member), \
	    sizeof(((struct fmt_record *)0)->member),                          \
	    sizeof(struct fmt_record), 168}

/* Only ever added to at the end: numbers are in the corpus. */
static const struct field fields[] = {
    SUPER(magic), SUPER(version), SUPER(flags), SUPER(uuid), SUPER(gen),
    SUPER(compat), SUPER(ro_compat), SUPER(incompat), SUPER(name),
    SUPER(region_blocks), SUPER(device_count), SUPER(region_count),
    SUPER(epoch), SUPER(soft_percent), SUPER(hard_percent),
    SUPER(next_version), SUPER(checkpoint_lsn), SUPER(log_start),
    SUPER(log_blocks), SUPER(log_tail), SUPER(log_seq), SUPER(log_incarnation),
    SUPER(log_prev_crc), SUPER(data_blocks), SUPER(meta_blocks),
    ROOT(ptr.word), ROOT(ptr.birth), ROOT(ptr.gen), ROOT(levels), ROOT(count),
    DEVICE(uuid), DEVICE(size), DEVICE(regions), DEVICE(flags), DEVICE(state),
    LABEL(magic), LABEL(version), LABEL(index), LABEL(pool_uuid),
    LABEL(device_uuid), LABEL(size), LABEL(gen), LABEL(pool_name),
    PAGE(magic), PAGE(type), PAGE(level), PAGE(gen), PAGE(birth), PAGE(used),
    PAGE(family), PAGE(version), PAGE(index), PAGE(lsn), PAGE(pool),
    INNER(word), INNER(birth), INNER(gen), FINE(word),
    ENTRY(word), ENTRY(birth), ENTRY_PART(5, 2) /* mask */,
    ENTRY_PART(7, 1) /* type */, SUB(address), SUB(birth),
    REGION(class), REGION(device), REGION(mirror_device),
    REGION(device_region), REGION(mirror_region), REGION(free_blocks),
    REGION(free_chunks), REGION(gen),
    VERSION(id), VERSION(family), VERSION(parent), VERSION(epoch),
    VERSION(state), VERSION(block_shift), VERSION(cow_shift), VERSION(levels),
    VERSION(root.word), VERSION(root.birth), VERSION(root.gen), VERSION(size),
    VERSION(live_blocks), VERSION(held_blocks), VERSION(cursor), VERSION(uuid),
    VERSION(group), VERSION(bookmark_epoch), VERSION(flags), VERSION(name),
    LOG(magic), LOG(length), LOG(count), LOG(seq), LOG(incarnation),
    LOG(prev_crc), LOG(first_lsn), LOG(pool_uuid),
    RECORD(type), RECORD(flags), RECORD(mask), RECORD(volume), RECORD(a),
    RECORD(b),
    {KIND_BITMAP, 0, 8, 8, 512},
};
/* clang-format on */

uint64_t
take(unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && f.at < f.end; i++)
		value |= (uint64_t)*f.at++ << 8 * i;
	return value;
}

static const struct where *
where_of(unsigned kind, unsigned number)
{
	kind %= KIND_COUNT;
	return f.now->count[kind] == 0
		   ? NULL
		   : &f.now->where[kind][number % f.now->count[kind]];
}

/* The edit at hand. */
static struct {
	bool chosen;        /* bits of an edit say which copies it is for */
	unsigned copy;      /* 1, 2; 0: none in this pass */
	uint8_t *edited[2]; /* blocks */
	unsigned edited_count;
} pass;

static uint8_t *
where_edit(const struct where *where)
{
	struct where second;
	uint8_t *block;

	if (where == NULL || pass.copy == 0)
		return NULL;
	if (pass.copy == 2) {
		if (!copies_second(where, &second))
			return NULL;
		where = &second;
	}
	block = block_edit(f.now->disk[where->disk], where->block);
	if (block != NULL && pass.edited_count < ARRAY_SIZE(pass.edited))
		pass.edited[pass.edited_count++] = block;
	return block;
}

/* A uuid or a name is edited by its first bytes. */
#define WIDTH(field) ((field)->width < 8 ? (field)->width : 8u)

/* how: set, add, xor, set to a small number. */
static void
value_put(uint8_t *at, unsigned width, uint64_t value, unsigned how)
{
	uint8_t old[8] = {0};

	memcpy(old, at, width);
	if (how == 1)
		value += load_le64(old);
	if (how == 2)
		value ^= load_le64(old);
	if (how == 3)
		value &= 0xff;
	store_le64(old, value);
	memcpy(at, old, width);
}

static uint8_t *
field_at(const struct field **ret_field)
{
	const struct field *field = &fields[take(1) % ARRAY_SIZE(fields)];
	uint8_t *block = where_edit(where_of(field->kind, (unsigned)take(1)));
	unsigned element = (unsigned)take(1) % field->count;

	*ret_field = field;
	return block == NULL
		   ? NULL
		   : block + field->offset + (size_t)element * field->stride;
}

static void
edit_field(unsigned how)
{
	const struct field *field;
	uint8_t *at = field_at(&field);
	uint64_t value = take(how == 3 ? 1 : WIDTH(field));

	if (at != NULL)
		value_put(at, WIDTH(field), value, how);
}

/* A pointer, or the address in any other field. */
static void
edit_link(unsigned how)
{
	const struct field *field;
	uint8_t *at = field_at(&field);
	unsigned kind = (unsigned)take(1), number = (unsigned)take(1);
	const struct where *to = where_of(kind, number);
	uint64_t address;

	if (at == NULL || to == NULL)
		return;
	address = how & 1 ? fmt_device_address(
				to->disk, (uint64_t)to->block * FMT_BLOCK)
			  : to->address;
	if (field->width >= 5)
		for (unsigned i = 0; i < 5; i++)
			at[i] = (uint8_t)(address >> 8 * i);
}

static void
edit_bytes(unsigned how)
{
	unsigned kind = (unsigned)take(1), number = (unsigned)take(1);
	uint8_t *block = where_edit(where_of(kind, number));
	unsigned offset = (unsigned)take(2) % (FMT_BLOCK - 8);
	uint64_t value = take(how == 3 ? 1 : 8);

	if (block != NULL)
		value_put(block + offset, 8, value, how);
}

static void
edit_copy(unsigned how)
{
	unsigned kind = (unsigned)take(1), number = (unsigned)take(1);
	uint8_t *to = where_edit(where_of(kind, number));
	uint8_t *from, save[FMT_BLOCK];

	if (how & 1)
		kind = (unsigned)take(1);
	number = (unsigned)take(1);
	from = where_edit(where_of(kind, number));
	if (to == NULL || from == NULL)
		return;
	memcpy(save, to, FMT_BLOCK);
	memcpy(to, from, FMT_BLOCK);
	if (how & 2)
		memcpy(from, save, FMT_BLOCK);
}

static void
edit_clear(unsigned how)
{
	unsigned kind = (unsigned)take(1), number = (unsigned)take(1);
	uint8_t *block = where_edit(where_of(kind, number));

	if (block != NULL)
		memset(block, how == 3 ? 0xff : 0, FMT_BLOCK);
}

static void
edit_size(unsigned how)
{
	struct disk *disk = f.now->disk[how % f.now->disks];
	uint64_t units = take(2) % (DISK_BLOCKS / 16) + 1;

	disk->bs.size = units << 16;
}

/* One more record at the end of a log block. */
static void
edit_record(unsigned how)
{
	struct fmt_log_block *head =
	    (void *)where_edit(where_of(KIND_LOG, (unsigned)take(1)));
	struct fmt_record record = {.type = (uint8_t)take(1)};
	uint32_t count;

	record.flags = how & 1 ? FMT_RECORD_MORE : 0;
	le32_set(&record.volume, (uint32_t)take(1));
	le16_set(&record.mask, (uint16_t)take(2));
	le64_set(&record.a, take(how & 2 ? 8 : 3));
	le64_set(&record.b, take(how & 2 ? 8 : 3));
	if (head == NULL)
		return;
	count = le32_get(&head->count);
	if (count >= fmt_log_capacity(FMT_BLOCK))
		return;
	memcpy((uint8_t *)(head + 1) + count * sizeof(record), &record,
	    sizeof(record));
	le32_set(&head->count, count + 1);
}

static void (*const edits[8])(unsigned how) = {
    edit_field,
    edit_record,
    edit_link,
    edit_bytes,
    edit_copy,
    edit_clear,
    edit_size,
    edit_field,
};

/* One copy that is whole, but not what the other is. */
static void
edited_seal(void)
{
	for (unsigned i = 0; i < pass.edited_count; i++) {
		struct fmt_page *page = (void *)pass.edited[i];
		struct fmt_log_block *head = (void *)pass.edited[i];
		if (le32_get(&page->magic) == FMT_PAGE_MAGIC)
			fmt_page_seal(page);
		else if (le32_get(&head->magic) == FMT_LOG_MAGIC &&
			 le32_get(&head->length) == FMT_BLOCK)
			fmt_log_seal(head);
	}
}

/* Takes the edit and its arguments from the input; makes it in this copy. */
static void
edit_one(unsigned copy)
{
	unsigned what = (unsigned)take(1);

	pass.copy = copy;
	pass.edited_count = 0;
	edits[what & 7](what >> 3 & 3);
	if (pass.chosen && what & 128)
		edited_seal();
}

/* Bits: 1 the first copy, 2 the second.  0: an edit for both, before mending.
 */
static unsigned
copies_of_next(void)
{
	return pass.chosen ? *f.at >> 5 & 3 : 0;
}

void
edit_early(bool chosen)
{
	pass.chosen = chosen;
	f.edits = f.at;
	for (unsigned n = 0; n < EDITS_MAX && f.at < f.end; n++)
		edit_one(copies_of_next() == 0 ? 1 : 0);
}

void
edit_late(void)
{
	f.at = f.edits;
	for (unsigned n = 0; n < EDITS_MAX && f.at < f.end; n++) {
		unsigned copies = copies_of_next();
		const uint8_t *start = f.at;
		if (copies == 3) {
			edit_one(1);
			f.at = start;
			copies = 2;
		}
		edit_one(copies);
	}
}
