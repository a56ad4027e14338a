/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What reads as an error in the pool as repaired, by version and bytes: after
 * the log, which may have made snapshots of what was lost.
 */
#include "base/assert.h"
#include "snapshot/repair_scan.h"
#include <string.h>

struct losing {
	struct scan *scan;
	const struct check_version *version;
	uint64_t first, end; /* bytes that were lost last, not told yet */
	uint8_t page[FMT_LEVELS_MAX + 1][FMT_BLOCK]
	    __attribute__((aligned(FMT_BLOCK)));
};

static void
range_tell(struct losing *l)
{
	if (l->end > l->version->size)
		l->end = l->version->size;
	if (l->first < l->end)
		check_find(l->scan->check, CHECK_DAMAGE, "scan.lost",
		    "version %llu (%s): bytes %llu to %llu are lost",
		    (unsigned long long)l->version->id, l->version->name,
		    (unsigned long long)l->first,
		    (unsigned long long)l->end - 1);
}

static void
range_add(struct losing *l, uint64_t first, uint64_t length)
{
	if (first != l->end || l->first == l->end) {
		range_tell(l);
		l->first = first;
	}
	l->end = first + length;
}

static bool
page_read(struct losing *l, uint8_t type, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index, uint8_t *buf)
{
	struct check_walk walk = {.check = l->scan->check,
	    .type = type,
	    .family = l->version->family};

	return walk_read_again(&walk, ptr, level, index, buf);
}

/* The blocks of a FINE chunk; its fine page is at hand. */
static void
subs_look(struct losing *l, const struct fmt_sub *sub, uint64_t chunk,
    uint16_t mask, unsigned unit)
{
	for (unsigned i = 0; i < FMT_CHUNK_BLOCKS; i++)
		if ((mask >> i & 1) != 0 &&
		    fmt_sub_address(&sub[i / unit]) == FMT_SUB_POISON)
			range_add(
			    l, chunk * FMT_CHUNK + i * FMT_BLOCK, FMT_BLOCK);
}

static void
leaf_look(struct losing *l, uint64_t index, const struct fmt_leaf *leaf)
{
	const struct fmt_fine *fine = (const void *)l->page[FMT_LEVELS_MAX];
	unsigned unit = 1u << (l->version->cow_shift - FMT_BLOCK_SHIFT);
	unsigned per = 27 * unit, at = UINT32_MAX;
	bool right = false;

	for (unsigned c = 0; c < FMT_LEAF_CHUNKS; c++) {
		uint64_t word = le64_get(&leaf->entry[c].word);
		uint64_t chunk = index * FMT_LEAF_CHUNKS + c;
		if (fmt_word_type(word) == FMT_FINE && at != c / per) {
			at = c / per;
			right = page_read(l, FMT_PAGE_FINE, &leaf->fine[at], 0,
			    index * FMT_LEAF_FINE + at,
			    l->page[FMT_LEVELS_MAX]);
		}
		if (fmt_word_type(word) == FMT_POISON ||
		    (fmt_word_type(word) == FMT_FINE && !right))
			range_add(l, chunk * FMT_CHUNK, FMT_CHUNK);
		else if (fmt_word_type(word) == FMT_FINE)
			subs_look(l,
			    &fine->sub[c % per * (FMT_CHUNK_BLOCKS / unit)],
			    chunk, fmt_word_mask(word), unit);
	}
}

/* Goes down at most FMT_LEVELS_MAX times: each call is one level lower. */
static void
page_look(
    struct losing *l, const struct fmt_ptr *ptr, unsigned level, uint64_t index)
{
	uint64_t bytes = level_reach(level) * FMT_LEAF_BYTES;
	const struct fmt_inner *inner = (const void *)l->page[level];

	if (fmt_ptr_address(ptr) == 0 || index * bytes >= l->version->size)
		return;
	if (!page_read(l, FMT_PAGE_MAP, ptr, level, index, l->page[level]))
		range_add(l, index * bytes, bytes);
	else if (level == 0)
		leaf_look(l, index, (const void *)l->page[0]);
	else
		for (unsigned i = 0; i < FMT_FANOUT; i++)
			page_look(l, &inner->ptr[i], level - 1,
			    index * FMT_FANOUT + i);
}

void
scan_lost_tell(struct scan *scan, const struct check_version *version)
{
	struct losing l = {.scan = scan, .version = version};

	if (version->state == FMT_VERSION_DELETING)
		return; /* nobody reads it any more */
	page_look(&l, &version->root, version->levels - 1u, 0);
	range_tell(&l);
}
