/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inside of check: one pass over a pool that nobody writes to meanwhile, or
 * over what is pinned of one.
 *
 *	check_super.c     labels, superblocks, which device is which
 *	check_walk.c      pages: reading, verifying, walking a tree
 *	check_region.c    the table of regions
 *	check_version.c   the table of versions: each record by itself
 *	check_tree.c      the tree of versions: parents, states, epochs, names
 *	check_mark.c      bookmarks and groups
 *	check_family.c    maps, each beside that of its version's parent
 *	check_leaf.c      ... their leaves and fine pages
 *	check_sums.c      what each page of a map comes to
 *	check_lost.c      losses by birth
 *	check_space.c     bitmaps against what was reached
 *	check_log.c       the blocks of the log
 *	check_recover.c   the engine's recovery, in memory
 *
 * Nothing on disk is trusted: every number is compared with the size of the
 * devices before it is used as an index or a length, every page is claimed at
 * most once, and trees are at most FMT_LEVELS_MAX deep.  So time and memory
 * are bounded by the size of the devices, whatever they hold.
 *
 * The log.  A record means what the engine's apply() does with it, so recovery
 * itself is the only good judge of a log, and check has no second
 * implementation of it.  But recovery writes pages anew and recomputes
 * counters, which could hide damage in what the checkpoint has; so the state on
 * disk is checked first, as it is.  Only where that is sound does the recovered
 * state say anything new.  A pool that was closed has an empty log, and then
 * one pass is all.
 */
#ifndef SNAPSHOT_CHECK_PRIV_H
#define SNAPSHOT_CHECK_PRIV_H

#include "snapshot/check.h"
#include "snapshot/format.h"

struct check_region {
	uint8_t class;
	uint16_t device, mirror;
	uint32_t device_region, mirror_region;
	uint32_t free_blocks, free_chunks;
	bool mirror_whole; /* it can be read */
};

/* Blocks that a subtree maps and holds; unknown below damage. */
struct check_sum {
	bool known;
	uint64_t live, held;
};

struct check_version {
	uint64_t id, family, parent_id, origin, group;
	struct check_version *parent; /* NULL: none that is right */
	uint32_t children;
	uint32_t depth; /* 1: it has no parent */
	struct fmt_ptr root;
	uint8_t state, levels, cow_shift;
	uint32_t epoch, bookmark_epoch, flags;
	uint64_t size, cursor;
	uint64_t live, held;  /* as its record says */
	struct check_sum sum; /* as its map says */
	uint32_t account;     /* of its losses */
	bool lost_differs;    /* what was counted is not what is recorded */
	uint8_t uuid[16];
	char name[FMT_NAME];
};

struct check_bookmark {
	uint64_t volume;
	uint32_t epoch;
	char name[FMT_NAME];
};

/* Bits by block number, in pages of FMT_BITMAP_BLOCKS made when first set. */
struct check_bits {
	uint8_t **page;
	uint64_t pages;
};

struct check_sum_slot {
	uint64_t address; /* 0: free */
	uint64_t live, held;
};

struct check_sums {
	struct check_sum_slot *slot;
	uint64_t slots, used;
};

/* Blocks by birth, in ascending order. */
struct check_loss {
	uint32_t birth;
	uint64_t blocks;
};

struct check_row {
	uint32_t account, birth;
	uint64_t blocks;
};

struct check_losses {
	struct check_loss *loss;
	uint32_t count, room;
};

struct check_walk;

struct check {
	struct backstore **bs;
	unsigned bs_count;
	void (*step)(void *arg);
	void *step_arg;
	struct check_report *report;
	bool again; /* the second pass: notes were made before */
	const struct fmt_super *pinned; /* the one that counts; NULL: the newest
					 * on the devices */
	uint64_t
	    gen_max; /* superblocks that are newer do not count; 0: all do */
	int error;   /* that ends it: -EIO, -ENOMEM, -ECANCELED */
	/* Of each page that was found damaged; may be NULL. */
	void (*damaged)(struct check_walk *walk, const struct fmt_ptr *ptr,
	    unsigned level, uint64_t index);
	void *damaged_arg;

	struct fmt_label label[FMT_DEVICE_MAX]; /* of bs[] */
	bool labelled[FMT_DEVICE_MAX];
	struct fmt_super super;
	struct backstore *device[FMT_DEVICE_MAX];
	uint64_t pool_tag, blocks; /* blocks: in all regions */
	struct check_region *region;
	uint64_t *region_page; /* addresses of the pages of that tree */
	uint32_t region_page_count, region_page_room;

	struct check_version *version; /* by id */
	uint32_t version_count, version_room;
	struct check_bookmark *bookmark;
	uint32_t bookmark_count, bookmark_room;
	uint64_t *group; /* ids */
	uint32_t group_count, group_room;
	struct check_row *row; /* of losses */
	uint32_t row_count, row_room;
	bool recount;              /* repair: what the losses should be */
	struct check_row *counted; /* ... in no order */
	uint32_t counted_count, counted_room;
	struct check_family *family; /* what the maps came to */
	uint32_t family_count, family_room;

	struct check_bits used; /* the bitmap */
	struct check_bits seen; /* reached by the walk */
	struct check_sums sums;

	uint8_t *buffer[FMT_LEVELS_MAX + 1]; /* a page per level, for tables */
};

/* ---- check.c ---- */

/* Superblock, regions and versions: what all else begins with.  As
 * pool_check(); check_done() in any case. */
int check_open(struct check *check);
/* One whole pass, without recovery.  All but leaks: what the log frees may be
 * one of the checkpoint alone. */
int check_run_pass(struct check *check);
void check_done(struct check *check);

void check_find(struct check *check, enum check_severity severity,
    const char *code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* 0, -EIO ...; a length up to 1 MiB.  -ECANCELED, and from then on always: what
 * is read is taken away, which ends the check. */
int check_read(struct check *check, struct backstore *bs, uint64_t offset,
    void *buf, uint32_t length);

/* Only repair writes, to overlays. */
int check_write(struct check *check, struct backstore *bs, uint64_t offset,
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
/* Then there is no check->device[] of it. */
bool check_device_removed(const struct check *check, unsigned device);

/* ---- check_walk.c ---- */

struct check_walk {
	struct check *check;
	const char *what; /* "map of volume x": for people */
	uint8_t type;
	bool raw;       /* level 0 has no header */
	bool by_device; /* addresses are fmt_device_address() */
	uint64_t family;
	const struct check_version *version; /* maps: whose; else NULL */
	uint64_t count;                      /* pages on level 0 */
	/* A level 0 page, verified. */
	void (*leaf)(
	    struct check_walk *walk, uint64_t index, const uint8_t *page);
	void *arg; /* the caller's */
};

void walk_root(
    struct check_walk *walk, const struct fmt_ptr *root, unsigned levels);

/* Claims, reads and verifies one page; false: it is not to be looked at. */
bool walk_read_page(struct check_walk *walk, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index, uint8_t *buf);

/* Reads a page that was claimed before, and says nothing; false: damaged. */
bool walk_read_again(struct check_walk *walk, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index, uint8_t *buf);

/* Are its epoch and generation such that it can be?  Else a finding. */
bool walk_verify_ptr(struct check_walk *walk, const struct fmt_ptr *ptr,
    unsigned level, uint64_t index);

/* What a page's header says about its entries. */
void walk_check_used(
    struct check_walk *walk, const uint8_t *page, unsigned used);

/* Marks a page as seen.  False: it lies where none may, or was seen before. */
bool walk_claim_page(
    struct check_walk *walk, uint64_t address, unsigned level, uint64_t index);

/* How many level 0 pages a page of this level reaches. */
uint64_t level_reach(unsigned level);

/* Is [address, address + run) inside the regions of this class? */
bool check_range_is(const struct check *check, uint64_t address, uint64_t run,
    enum fmt_region_class class);

/* ---- check_region.c ---- */
void check_regions(struct check *check);
/* A page of the tree of regions: claimed once regions are known. */
void check_region_page_keep(struct check *check, uint64_t address);

/* ---- check_version.c ---- */
void check_versions(struct check *check);
/* Does the superblock say that there may be any? */
bool check_has_snapshots(const struct check *check);
/* NULL: none. */
struct check_version *check_version_find(
    const struct check *check, uint64_t id);
/* What the record of a table begins in: slots and levels fit the pool. */
void check_table(struct check_walk *walk, const struct fmt_root *root,
    unsigned per_page, const char *code);

/* ---- check_tree.c ---- */
void check_version_tree(struct check *check);
bool check_is_frozen(const struct check_version *version); /* was a snapshot */

/* ---- check_mark.c ---- */
void check_bookmarks(struct check *check);
void check_groups(struct check *check);

/* ---- check_sums.c ---- */
int sums_init(struct check_sums *sums);
void sums_free(struct check_sums *sums);
/* False: no memory. */
bool sums_put(struct check_sums *sums, uint64_t address, struct check_sum sum);
struct check_sum sums_get(const struct check_sums *sums, uint64_t address);
void sum_add(struct check_sum *sum, struct check_sum more);

/* ---- check_family.c ---- */
void check_families(struct check *check);

/* ---- check_lost.c ---- */

/* Tests of other rules do without. */
extern bool check_losses;

void check_losses_add(
    struct check *check, struct check_losses *losses, uint32_t birth);
/* The rows by themselves. */
void check_lost_table(struct check *check);
/* Those of a version with what was counted. */
void check_lost(struct check *check, struct check_version *version,
    const struct check_losses *counted);

/* ---- check_space.c ---- */
void check_bitmap_read(struct check *check);

struct region_count {
	uint32_t used, free_chunks;
};
/* Of region r, by the bits given: used or seen. */
struct region_count check_region_count(
    const struct check *check, const struct check_bits *bits, uint64_t r);
/* Counters of regions and superblock. */
void check_counters(struct check *check);
/* used against seen, after the maps. */
void check_space(struct check *check); /* in use, but marked free */
void check_leaks(struct check *check); /* the reverse */

/* ---- check_log.c ---- */

/* Reads the log.  True: it has records, and recovery may try them. */
bool check_log(struct check *check);

/* ---- check_recover.c ---- */
struct overlay;

struct check_recovery {
	struct backstore *base[FMT_DEVICE_MAX]; /* what they lie over */
	struct backstore *bs[FMT_DEVICE_MAX];   /* what came of it */
	struct overlay *overlay[FMT_DEVICE_MAX];
	unsigned count;
};

/* Lets the engine recover the pool in memory.  True: bs[] is to be checked.
 * To be ended by recovery_done() in any case. */
bool check_recover(struct check *check, struct check_recovery *ret_recovery);
void recovery_done(struct check *check, struct check_recovery *recovery);
/* Of what came of it, not begun; it tells first's report. */
struct check check_of_recovered(
    const struct check *first, struct check_recovery *recovery);

#endif
