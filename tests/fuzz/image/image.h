/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The parts of image_fuzz.c: pools in memory, what can be edited in them, and
 * how to make the sums right again.
 */
#ifndef TESTS_FUZZ_IMAGE_H
#define TESTS_FUZZ_IMAGE_H

#include "base/simloop.h"
#include "snapshot/format.h"
#include "snapshot/pool.h"
#include "tests/waited.h"

#define MiB          (1ull << 20)
#define DISKS        2u
#define DISK_BLOCKS  65536u /* 256 MiB */
#define ARENA_BLOCKS 16384u
#define WHERE_MAX    256u
#define REGIONS_MAX  512u
#define EDITS_MAX    64u
#define STEPS_MAX    400000u
#define SLOTS        8u
#define SLOT_BYTES   (192u << 10)
#define EXTENTS      16u

/* What can be edited: blocks, by kind and number. */
enum kind {
	KIND_LABEL,
	KIND_SUPER, /* 0: the one that counts */
	KIND_LOG,
	KIND_INNER,
	KIND_LEAF,
	KIND_REGIONS,
	KIND_VERSIONS,
	KIND_BITMAP,
	KIND_PAGE,  /* all those with a page's header */
	KIND_SPARE, /* free blocks for metadata */
	KIND_DATA,  /* the first block of a chunk */
	KIND_COUNT,
};

struct where {
	uint8_t disk;
	uint32_t block;
	uint64_t address; /* 0: not in a region */
};

struct disk {
	struct backstore bs; /* first */
	uint8_t *base[DISK_BLOCKS];
	uint8_t *now[DISK_BLOCKS];
	uint64_t base_size;
};

struct image {
	struct disk *disk[DISKS];
	unsigned disks;
	struct where where[KIND_COUNT][WHERE_MAX];
	unsigned count[KIND_COUNT];
	uint64_t log_records; /* behind the checkpoint */
	uint32_t region_blocks;
	/* by the place of a region: where its other copy begins; block 0: it
	 * has none */
	struct where first[DISKS][REGIONS_MAX], second[DISKS][REGIONS_MAX];
};
struct slot {
	struct bs_io io;
	struct iovec iov;
	struct bs_extent extents[EXTENTS];
	uint8_t *data;
	bool busy;
};

/* The input at hand, and all that goes with it. */
struct fuzz {
	const uint8_t *at, *end, *edits;
	struct image image[2];
	struct image *now;
	struct loop *loop;
	struct slot slots[SLOTS];
	uint64_t random;
	unsigned steps; /* events of this check or use */
	bool verbose;
};
extern struct fuzz f;

/* ---- disk.c: blocks of a base, replaced by copies when written ---- */
void arena_init(void);
/* All is as in the base again. */
void arena_reset(void);
/* The n-th block that is not as in the base.  False: there are not so many. */
bool block_touched(unsigned n, struct where *ret_where);
bool block_is_touched(const struct where *where);
void disk_reset(struct disk *disk, unsigned number, uint32_t block_size);
/* What is on the disk now is the base from here on. */
void disk_keep(struct disk *disk);
/* A block to be changed, or NULL: there is no such one. */
uint8_t *block_edit(struct disk *disk, uint64_t block);
const uint8_t *block_read(const struct disk *disk, uint64_t block);

/* ---- run.c: the loop, requests and I/O ---- */
/* One event; too many, or none left, is a finding. */
void step(void *arg);

int waited_wait(struct waited *waited);
/* Begins an I/O, cut to what the volume takes; waits when many are in flight.
 * flag: fua of WRITE, may_unmap of ZERO. */
void submit(struct backstore *bs, enum bs_op op, uint64_t offset,
    uint64_t length, bool flag);
void drain(void);
void volume_done(struct backstore *bs);

/* ---- base.c: the images, the same in every process ---- */
void base_init(void);

/* ---- mend.c: from the superblock down, as the engine would read ---- */
/* Makes every sum right; with identity also the links between pages, and what
 * a page says of its own place. */
void mend(bool identity);
/* The same, and fills image->where. */
void mend_record(void);
struct fmt_super *super_at(unsigned disk, unsigned slot);

/* ---- copies.c: metadata and the log lie on the disks twice ---- */
/* Remembers which places hold the same in this base, and that they do. */
void copies_record(const struct fmt_region *region, uint64_t count);
/* Where the second copy of a block lies.  False: it has none. */
bool copies_second(const struct where *where, struct where *ret_second);
/* What is not as in the base becomes the same in both copies. */
void copies_level(void);

/* ---- edit.c: what the input says ---- */
uint64_t take(unsigned bytes);
/* Those before mending, which are meant for both copies.  chosen: an edit says
 * for which it is meant; else all are of this kind. */
void edit_early(bool chosen);
/* Those after it, each in the copies that it names. */
void edit_late(void);

#endif
