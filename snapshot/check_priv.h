/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside of check: one pass over a pool that nobody has open.
 *
 *	check_super.c    labels, superblocks, which device is which
 *	check_walk.c     pages: reading, verifying, walking a tree
 *	check_tables.c   regions and versions
 *	check_log.c      the records recovery would replay
 *	check_map.c      maps with those records applied
 *	check_space.c    bitmaps against what was reached
 *
 * Nothing on disk is trusted: every number is compared with the size of the
 * devices before it is used as an index or a length, every page is visited at
 * most once, and trees are at most FMT_LEVELS_MAX deep.  So time and memory
 * are bounded by the size of the devices, whatever they hold.  Memory is two
 * bits per block of the regions in use, and the records of the log.
 */
#ifndef SNAPSHOT_CHECK_PRIV_H
#define SNAPSHOT_CHECK_PRIV_H

#include "snapshot/check.h"
#include "snapshot/format.h"

struct check_region {
	uint8_t class;     /* as of the checkpoint */
	uint8_t class_now; /* with the log applied */
	uint16_t device, mirror;
	uint32_t device_region, mirror_region;
	uint32_t free_blocks, free_chunks;
};

struct check_version {
	uint64_t id, family, parent;
	struct fmt_ptr root;
	uint8_t state, levels, cow_shift;
	uint32_t epoch;
	uint64_t size, cursor;         /* as of the checkpoint */
	uint64_t live, held;           /* ... as its record says */
	uint64_t live_seen, held_seen; /* ... as its map says */
	uint8_t state_now, levels_now; /* with the log applied */
	uint64_t size_now, cursor_now;
	uint8_t uuid[16];
	char name[FMT_NAME];
};

/* A record of the log that recovery would replay; decoded. */
struct check_record {
	uint8_t type;
	uint16_t mask;
	uint32_t version; /* index into check.version */
	uint64_t a, b;
};

/* A record that changes a leaf of a map, to be found by version and leaf. */
struct check_event {
	uint32_t version;
	uint32_t record; /* index: also the order */
	uint64_t leaf;
};

/* Leaves that an UNMAP empties as a whole. */
struct check_wipe {
	uint32_t version;
	uint32_t record;
	uint64_t leaf, leaf_end;
};

/* Bits by block number, in pages of FMT_BITMAP_BLOCKS made when first set. */
struct check_bits {
	uint8_t **page;
	uint64_t pages;
};

struct check {
	struct backstore **bs;
	unsigned bs_count;
	void (*step)(void *arg);
	void *step_arg;
	struct check_report *report;
	int error; /* that ends it: -EIO, -ENOMEM */

	struct fmt_label label[FMT_DEVICE_MAX]; /* of bs[] */
	bool labelled[FMT_DEVICE_MAX];
	struct fmt_super super;
	struct backstore *device[FMT_DEVICE_MAX];
	uint64_t pool_tag, blocks; /* blocks: in all regions */
	struct check_region *region;
	uint64_t *region_page; /* addresses of the pages of that tree */
	uint32_t region_page_count, region_page_room;

	struct check_version *version;
	uint32_t version_count, version_room;
	bool has_families; /* several versions share pages and blocks */

	struct check_record *record;
	uint32_t record_count, record_room;
	struct check_event *event;
	uint32_t event_count, event_room;
	struct check_wipe *wipe;
	uint32_t wipe_count, wipe_room;

	struct check_bits used; /* the bitmap, then with the log applied */
	struct check_bits seen; /* reached by the walk */

	uint8_t *buffer[FMT_LEVELS_MAX + 1]; /* a page per level; fine pages */
};

/* ---- check.c ---- */
void check_find(struct check *check, enum check_severity severity,
    const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* 0, -EIO ...; a length up to 1 MiB. */
int check_read(struct check *check, struct backstore *bs, uint64_t offset,
    void *buf, uint32_t length);

/* Makes room for one more element; NULL: no memory, check->error is set. */
void *check_grow(struct check *check, void *array, uint32_t count,
    uint32_t *room, size_t element);

int bits_init(struct check_bits *bits, uint64_t blocks);
void bits_free(struct check_bits *bits);
bool bits_get(const struct check_bits *bits, uint64_t block);
/* False: no memory. */
bool bits_put(struct check_bits *bits, uint64_t block, bool value);

/* ---- check_super.c ---- */

/* Finds the pool and its newest superblock: 0, -ENOENT, -ENODEV, -EBADMSG,
 * -EPROTO, -EIO. */
int check_find_super(struct check *check);

/* ---- check_walk.c ---- */

struct check_walk {
	struct check *check;
	const char *what; /* "map of volume x": for people */
	uint8_t type;
	bool raw;       /* level 0 has no header */
	bool by_device; /* addresses are fmt_device_address() */
	bool shared;    /* a page met before belongs to another version */
	uint64_t family;
	uint64_t count; /* pages on level 0 */
	/* A level 0 page, verified. */
	void (*leaf)(
	    struct check_walk *walk, uint64_t index, const uint8_t *page);
	/* Is all below level 0 page end done with?  May be NULL. */
	bool (*done)(const struct check_walk *walk, uint64_t end);
	struct check_version *version;
};

void walk_root(
    struct check_walk *walk, const struct fmt_ptr *root, unsigned levels);

/* Reads and verifies one page into buf and marks it; false: it is not to be
 * looked at (damaged, or another version's). */
bool walk_read_page(struct check_walk *walk, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index, uint8_t *buf);

/* What a page's header says about its entries. */
void walk_check_used(
    struct check_walk *walk, const uint8_t *page, unsigned used);

/* Marks a page as seen.  False: it lies where none may, or was seen before. */
bool walk_claim_page(
    struct check_walk *walk, uint64_t address, unsigned level, uint64_t index);

/* Is [address, address + run) inside the regions of this class, as of now? */
bool check_range_is(const struct check *check, uint64_t address, uint64_t run,
    enum fmt_region_class class);

/* ---- check_tables.c ---- */
void check_regions(struct check *check);
/* A page of the tree of regions: claimed once regions are known. */
void check_region_page_keep(struct check *check, uint64_t address);
void check_versions(struct check *check);
/* Does the superblock say that there may be any? */
bool check_has_snapshots(const struct check *check);
/* Index, or UINT32_MAX. */
uint32_t check_version_find(const struct check *check, uint64_t id);

/* ---- check_log.c ---- */
void check_log_read(struct check *check);  /* fills record[] */
void check_log_apply(struct check *check); /* to used and the tables */
/* event[] and wipe[], in the order of version, leaf, record. */
void check_log_index(struct check *check);

/* ---- check_map.c ---- */
void check_maps(struct check *check);

/* ---- check_space.c ---- */
void check_bitmap_read(struct check *check);
/* Counters of regions and superblock, before the log is applied. */
void check_counters(struct check *check);
/* used against seen, after the maps. */
void check_space(struct check *check);

#endif
