/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The on-disk format of a pool, version 1.  Little endian; everything is in
 * blocks of 4 KiB; every sum is CRC32C.
 *
 * Devices.  A pool is one or more devices.  Each begins with a head of 1 MiB
 * and ends with a tail of 128 KiB; between them lie regions of equal size.
 *
 *	0          label            end - 128K   label
 *	64K        label            end - 64K    label
 *	128K       superblock A     (on the first 4 devices)
 *	192K       superblock B     (that are not removed)
 *	1M         region 0 of this device, region 1, ...
 *
 * Addresses.  A pool address is a block number of 40 bits.  Region r of the
 * pool holds the addresses [r * region_blocks, (r + 1) * region_blocks); the
 * region map says on which device and where.  Region sizes are powers of two
 * of at least 1 MiB.  Address 0 means "none" in every pointer: region 0 is
 * always the first of the log, so nothing else can lie there.
 *
 * Trees.  Everything the superblock points to is a radix tree of 4 KiB pages
 * with 252 pointers per inner page, the same for maps and tables:
 *
 *	map       (one per version)  level 0: leaf, 243 entries of 64 KiB chunks
 *	regions   level 0: 126 region entries
 *	versions  level 0: 15 version records
 *	bitmap    level 0: raw bitmap of 32768 addresses, no header
 *	lost      level 0: 252 counts of losses
 *	bookmarks, groups            level 0: 31 records
 *	dead      level 0: records; empty in this version
 *
 * A tree has a fixed number of levels (root on level levels - 1).  A pointer
 * with address 0 stands for a subtree with nothing in it: all entries zero.
 * Page index i on level l holds pointers to the pages 252 * i ... on l - 1.
 * The tree of regions must be read before any address can be translated: its
 * root and pointers, and only these, name a device and its block instead:
 * device number << 34 | byte offset on the device / 4096 (its pages lie in
 * META regions and have their bits like others).  With FMT_PTR_MIRRORED they
 * name the mirror of the page in the same way: its low 32 bits are in the field
 * birth, the others in bits 40 to 47 of the word.  The birth of such a page is
 * not in its pointer.
 *
 * Pages are never overwritten while a durable superblock refers to them.  A
 * page is right only if its sum, magic, pool, type, level, owner and index are
 * as expected where the pointer was found, and its birth and gen are those in
 * the pointer (gen: of the checkpoint that wrote it), so that a lost write or a
 * stale read is seen.  A raw bitmap has no room for that: its pointer holds
 * the gen in the field birth, and the sum of the page in the field gen.
 *
 * Bitmap.  One bit per address, set: in use; bit n of a page is bit n % 8 of
 * byte n / 8.  Set are: in regions of class DATA all 16 blocks of each chunk
 * that a COARSE entry holds (whatever its mask) and each block of a FINE
 * entry; in regions of class META each page that the superblock's trees reach,
 * the pages of the bitmap included.  Bits of FREE and LOG regions are zero.
 * region.free_blocks and .free_chunks count zero bits and wholly zero, aligned
 * chunks of 16 in each region of class DATA or META; in a FREE region they are
 * region_blocks and region_blocks / 16, in a LOG region 0.
 *
 * Mirrors.  A region of class META or LOG may have a mirror: the region of
 *class MIRROR whose place on a device is the entry's mirror_device and
 *mirror_region. There lies a second copy of all its blocks.  The entry of the
 *MIRROR has the number of the region it copies as its mirror_region; its own
 *addresses are never used and its counts are 0.  So each place on a device
 *stays in one entry, as its device and device_region.  Writes go to both
 *copies.  When a write to the first fails, the two entries change places.
 *mirror_gen: of the checkpoint since which the mirror has all of the region; 0:
 *it has not, since it is being filled or a write to it failed, so it is not to
 *be read.  A page that is not as expected in one copy is taken from the other;
 *a log block too.
 *
 * Moves.  A region can be copied to the place of another one, with which it
 * then exchanges places: no address changes.  That becomes durable by a
 * checkpoint alone; until it is, every write goes to both places, so that
 * whichever table counts after a crash names a place that has all.  The other
 * one is of class EVACUATING meanwhile: empty, and not to be handed out.  So
 * are all empty regions on a device in state EVACUATING.  Those of a REMOVED
 * device are BAD: they keep their numbers, their places are gone.
 *
 * Checkpoint and log.  Superblock gen g goes to slot g % 2 of the first four
 * devices that are not REMOVED, after everything it refers to is durable.  The
 *newest valid one names a state of all trees, as of record checkpoint_lsn, and
 *the place in the log ring from which records continue.  The state of the pool
 *is: that state, with every further record of the log applied in order.
 *
 * The log ring is log_blocks blocks from address log_start on, in regions of
 * class LOG.  It holds log blocks of 1 to 256 blocks; one never wraps: its
 * length is cut at the end of the ring and the next begins at 0.  Reading
 * starts at log_tail and expects there: magic, this pool's uuid, incarnation
 * log_incarnation, sequence number log_seq, prev_crc log_prev_crc, a sane
 * length, the sum.  Each further block follows its predecessor with the same
 * incarnation, seq + 1 and the predecessor's sum as prev_crc.  The first block
 * that is not so ends the log, for only one is ever in flight.  But if a valid
 * block of the same pool and incarnation with a higher seq lies within 1 MiB
 * behind, or at the start of the ring, then the log is damaged in the middle:
 * refuse to open.  Records with an lsn (first_lsn + position in block) below
 * checkpoint_lsn are already in the trees: skip them.  Whoever opens a pool
 * for writing first makes a checkpoint with a new incarnation, so nothing is
 * ever appended behind a torn block and old blocks never count again.
 *
 * Records with FMT_RECORD_MORE belong together with the next one; a group is
 * never divided between blocks; one without records fills the end of the ring
 * or of a region where the next group has no room.  What a record does:
 *
 *	MAP_COARSE volume, a = chunk, b = address, mask
 *	    If the entry of the chunk is COARSE at that address: mask is or-ed
 *	    to its mask.  Otherwise the entry becomes COARSE {address, birth =
 *	    epoch, mask} and the 16 bits of the address are set.
 *	MAP_FINE   volume, a = first 4 KiB block, b = address | run << 40
 *	    run blocks of one chunk become FINE sub-entries {address..,
 *	    birth = epoch}; their bits are set.  An entry COARSE before
 *	    becomes FINE: its valid blocks keep address and birth, the others
 *	    become holes with its birth.
 *	UNMAP      volume, a = first 4 KiB block, b = run
 *	    Bits of masks and sub-entries go; an entry that has none left
 *	    becomes a HOLE.  A COARSE entry that is not newer than the parent
 *	    and the newest bookmark becomes FINE if only a part of it goes.
 *	    Clears nothing in the bitmap: FREE does.  The run stays within one
 *	    leaf.  If the volume has a parent or a bookmark, what is unmapped
 *	    keeps the epoch as the birth of the hole.
 *	FREE       a = address, b = run
 *	    Clears run bits of the bitmap.  The run stays within one region.
 *	REGION     a = region, b = class | (1 + other) << 8
 *	    From FREE to DATA or META, or from DATA to FREE, all of it free.
 *	    From either to EVACUATING, and from there to FREE.  To
 *	    META with another: that goes from FREE to MIRROR, and is a whole
 *	    mirror of the region.  From FREE to MIRROR: of the other, a META or
 *	    LOG without a mirror, and not whole.  From MIRROR to FREE: it had
 *	    none.
 *	RESIZE     volume, a = size in bytes
 *	    What is cut off was unmapped before.
 *	DELETE     volume: from SNAP to ZOMBIE, from HEAD to DYING, or if it has
 *	    no parent to DELETING with cursor 0
 *	DELSTEP    volume, a = cursor
 *	    Its state becomes DELETING: chunks below the cursor are dealt
 *	    with.  Pages that nobody else has and whose range ends there
 *	    are free (FREE is for data only).  a = all ones: it is gone; its
 *	    parent becomes the parent of its only child.
 *	SNAP       volume = a HEAD, a = id | slot << 32 of a new version
 *	    The new version is a SNAP with the root, size, counters, parent and
 *	    losses of the head; epoch: the pool's; origin: the head.  It
 *	    becomes the parent of the head, whose losses become none.
 *	GROUP      a = epoch
 *	    Ends the SNAPs of one instant: the pool's epoch becomes this.
 *	CLONE      volume = a SNAP, a = id | slot << 32 of a new version
 *	    The new version is a HEAD with the SNAP as its parent and with its
 *	    root, size and counters.
 *	ROLLBACK   volume = a HEAD, a = id of a SNAP of its family
 *	    The head takes root, size and counters of the SNAP, which becomes
 *	    its parent.  A SNAP of the head comes before it in the same group,
 *	    so it has nothing of its own.  Its bookmarks go that are newer
 *	    than the newest version that it and the SNAP both descend from.
 *	OWN        volume = a HEAD, mask = level, a = index of a page of its map
 *	    The page and those above it become the volume's own: what of them
 *	    was shared is born again, with the same contents.
 *	ORPHAN     volume = a HEAD that shares nothing with its parent
 *	    It has no parent any more, and no losses.
 *	SET        volume = any version, mask = offset, a, b = 16 bytes
 *	    These bytes of its record, from offset 80 (uuid) to 191 (name).
 *	CSUM_INTENT    not written by this version
 *
 * Volumes are created and renamed, bookmarks and groups made and deleted, and
 * devices added, by a checkpoint alone.
 *
 * Versions and births.  A volume is a version in state HEAD, a snapshot one in
 * state SNAP; the versions of a family are a tree by their parents.  Every
 * entry and pointer carries the epoch of its birth.  What is born after the
 * epoch of its version's parent (0 when there is none) belongs to the version
 * alone, or to it and its descendants; all else is in the parent too, at the
 * same place.  While the parent is DELETING, the parent's parent counts for
 * chunks in leaves that end at or below its cursor.  A head may free what
 * belongs to it alone, and overwrite it if it is also newer than its newest
 * bookmark (bookmark_epoch); a page that is not is born again before its first
 * change.
 *
 * Pages and blocks have one place: the same position in the versions of one
 * family.  Deleting a snapshot with one child frees what is born after the
 * epoch of its parent and is not in the child at the same place; a COARSE
 * entry holds all 16 blocks.  With two children or more it waits as a ZOMBIE.
 *
 * Losses.  For each version with a parent it is counted how many blocks the
 * parent holds at some place and the version does not (any more), by their
 * birth: rows of the table `lost` with the version's account number.  From
 * their sums follows what each snapshot alone holds: docs/on-disk-format.md.
 * A snapshot takes the account of its head, which gets a new, empty one with
 * the number of the snapshot.  When a version goes, its rows go to the account
 * of its child, and of the child's own those remain that are not newer than
 * the epoch of the version that is its parent now.
 *
 * Quota.  What a HEAD may hold together with its snapshots (held_blocks, and
 * what would be free if its snapshots went), in bytes: a multiple of 4 KiB.  It
 * binds who gives out space, and is nothing to who reads; a version that does
 * not know it keeps it and gives out more.
 *
 * Consistency.  The flags of a SNAP say whether those who wrote to its head
 *were frozen when it was made; 0 in a HEAD.  It is nothing to who reads; a
 *version that does not know it keeps it.
 *
 * Features.  Unknown bits in incompat: do not open.  In ro_compat: open for
 * reading only.  In compat: ignore, keep.
 */
#ifndef SNAPSHOT_FORMAT_H
#define SNAPSHOT_FORMAT_H

#include "base/endian.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FMT_VERSION 1

#define FMT_BLOCK        4096u
#define FMT_BLOCK_SHIFT  12
#define FMT_CHUNK        65536u
#define FMT_CHUNK_SHIFT  16
#define FMT_CHUNK_BLOCKS 16u

#define FMT_ADDRESS_BITS 40
#define FMT_ADDRESS_MASK ((1ull << FMT_ADDRESS_BITS) - 1)

#define FMT_DEVICE_MAX    64
#define FMT_DEVICE_HEAD   (1ull << 20)
#define FMT_DEVICE_TAIL   (128ull << 10)
#define FMT_SUPER_DEVICES 4 /* the first so many devices hold superblocks */
#define FMT_SUPER_SLOTS   2
#define FMT_SUPER_OFFSET  (128ull << 10)
#define FMT_SUPER_STRIDE  (64ull << 10)
#define FMT_LABELS        4

#define FMT_REGION_MIN (1ull << 20)
#define FMT_REGION_MAX (1ull << 30)
#define FMT_LOG_MIN    (8ull << 20)
#define FMT_LOG_MAX    (1ull << 30)

#define FMT_NAME 64 /* 63 characters, filled up with zeros */

/* ---- features ---- */

/* there are regions of class MIRROR */
#define FMT_INCOMPAT_MIRRORS (1ull << 0)
/* a device is being emptied, or was removed: regions may be EVACUATING, BAD */
#define FMT_INCOMPAT_DEVICES (1ull << 1)
#define FMT_INCOMPAT_KNOWN   (FMT_INCOMPAT_MIRRORS | FMT_INCOMPAT_DEVICES)
/* there are snapshots, clones, bookmarks or FINE entries */
#define FMT_RO_COMPAT_SNAPSHOTS (1ull << 0)
/* what this version can also write */
#define FMT_RO_COMPAT_KNOWN FMT_RO_COMPAT_SNAPSHOTS

/* ---- label ---- */

#define FMT_LABEL_MAGIC 0x4c767256u /* "VrvL" */

struct fmt_label {
	struct le32 crc; /* of the bytes from magic to the end of this struct */
	struct le32 magic;
	struct le32 version; /* FMT_VERSION */
	struct le32 index;   /* of the device in the pool */
	uint8_t pool_uuid[16];
	uint8_t device_uuid[16];
	struct le64 size;         /* of the device, bytes */
	struct le64 gen;          /* the higher label of a device counts */
	char pool_name[FMT_NAME]; /* as of then; for people */
	uint8_t reserved[384];
};
_Static_assert(sizeof(struct fmt_label) == 512, "label");
_Static_assert(offsetof(struct fmt_label, size) == 48, "label.size");

/* Where label n lies on a device of that size. */
static inline uint64_t
fmt_label_offset(unsigned n, uint64_t device_size)
{
	return n < 2 ? n * (64ull << 10)
		     : device_size - FMT_DEVICE_TAIL + (n - 2) * (64ull << 10);
}

/* ---- pointers ---- */

struct fmt_ptr {
	struct le64 word;  /* address 40 | flags 24, none defined */
	struct le32 birth; /* raw page: gen */
	struct le32 gen;   /* raw page: crc32c */
};
_Static_assert(sizeof(struct fmt_ptr) == 16, "pointer");

static inline uint64_t
fmt_ptr_address(const struct fmt_ptr *p)
{
	return le64_get(&p->word) & FMT_ADDRESS_MASK;
}

static inline void
fmt_ptr_set(struct fmt_ptr *p, uint64_t address, uint32_t birth, uint32_t gen)
{
	le64_set(&p->word, address);
	le32_set(&p->birth, birth);
	le32_set(&p->gen, gen);
}

/* Addresses in the tree of regions. */
#define FMT_DEVICE_SHIFT     34
#define FMT_DEVICE_BYTES_MAX (1ull << (FMT_DEVICE_SHIFT + FMT_BLOCK_SHIFT))

static inline uint64_t
fmt_device_address(unsigned device, uint64_t offset)
{
	return (uint64_t)device << FMT_DEVICE_SHIFT | offset >> FMT_BLOCK_SHIFT;
}

/* ... and of the mirror of such a page.  0: none. */
#define FMT_PTR_MIRRORED (1ull << 63)

static inline uint64_t
fmt_ptr_mirror(const struct fmt_ptr *p)
{
	uint64_t word = le64_get(&p->word);

	return word & FMT_PTR_MIRRORED
		   ? (word >> FMT_ADDRESS_BITS & 0xff) << 32 |
			 le32_get(&p->birth)
		   : 0;
}

static inline void
fmt_ptr_set_mirror(struct fmt_ptr *p, uint64_t mirror)
{
	le64_set(&p->word, fmt_ptr_address(p) |
			       (mirror >> 32) << FMT_ADDRESS_BITS |
			       FMT_PTR_MIRRORED);
	le32_set(&p->birth, (uint32_t)mirror);
}

struct fmt_root {
	struct fmt_ptr ptr;
	uint8_t levels; /* 1..6; 0: the tree does not exist */
	uint8_t reserved[7];
	struct le64 count; /* entries in use are below it (regions: regions;
			    * versions, ...: slots) */
};
_Static_assert(sizeof(struct fmt_root) == 32, "root");

/* ---- pages ---- */

#define FMT_PAGE_MAGIC 0x50767256u /* "VrvP" */

enum fmt_page_type {
	FMT_PAGE_MAP = 1, /* level 0: leaf; above: inner */
	FMT_PAGE_FINE,    /* below a leaf: index = leaf index * 9 + slot */
	FMT_PAGE_BITMAP,  /* inner only; level 0 is raw */
	FMT_PAGE_REGIONS,
	FMT_PAGE_VERSIONS,
	FMT_PAGE_DEAD,
	FMT_PAGE_BOOKMARKS,
	FMT_PAGE_GROUPS,
	FMT_PAGE_LOST,
	FMT_PAGE_TYPE_COUNT,
};

struct fmt_page {
	struct le32 crc; /* of the bytes from magic to the end of the page */
	struct le32 magic;
	uint8_t type, level;
	uint8_t reserved[2];
	struct le32 gen;     /* of the checkpoint that wrote it, low 32 bits */
	struct le32 birth;   /* epoch */
	struct le32 used;    /* pointers or entries that are not all zero (of a
			      * leaf: fine pointers and entries) */
	struct le64 family;  /* maps: of the version; else 0 */
	struct le64 version; /* maps: that wrote it first; else 0 */
	struct le64 index;
	struct le64 lsn;  /* of the newest record in it */
	struct le64 pool; /* first 8 bytes of the pool's uuid */
};
_Static_assert(sizeof(struct fmt_page) == 64, "page header");
_Static_assert(offsetof(struct fmt_page, family) == 24, "page.family");

#define FMT_FANOUT     252u
#define FMT_LEVELS_MAX 6

struct fmt_inner {
	struct fmt_page page;
	struct fmt_ptr ptr[FMT_FANOUT];
};
_Static_assert(sizeof(struct fmt_inner) == FMT_BLOCK, "inner page");

/* ---- maps ---- */

enum fmt_entry_type {
	FMT_HOLE,       /* reads as zeros; with birth: unmapped in that epoch */
	FMT_COARSE,     /* address: a chunk; mask: which of it is valid */
	FMT_FINE,       /* see the fine page; mask: which has a block */
	FMT_COMPRESSED, /* reserved */
	FMT_POISON,     /* unreadable */
};

struct fmt_entry {
	struct le64 word; /* address 40 | mask 16 | type 4 | 0 4 */
	struct le32 birth;
	struct le32 content_epoch; /* reserved, 0 */
};
_Static_assert(sizeof(struct fmt_entry) == 16, "entry");

static inline uint64_t
fmt_entry_word(enum fmt_entry_type type, uint64_t address, uint16_t mask)
{
	return address | (uint64_t)mask << 40 | (uint64_t)type << 56;
}

static inline uint64_t
fmt_word_address(uint64_t word)
{
	return word & FMT_ADDRESS_MASK;
}

static inline uint16_t
fmt_word_mask(uint64_t word)
{
	return (uint16_t)(word >> 40);
}

/* 0..15: what is not an fmt_entry_type is damage. */
static inline unsigned
fmt_word_type(uint64_t word)
{
	return (unsigned)(word >> 56) & 15;
}

#define FMT_LEAF_FINE   9u
#define FMT_LEAF_CHUNKS 243u
#define FMT_LEAF_BLOCKS (FMT_LEAF_CHUNKS * FMT_CHUNK_BLOCKS)
#define FMT_LEAF_BYTES  ((uint64_t)FMT_LEAF_CHUNKS * FMT_CHUNK)

struct fmt_leaf {
	struct fmt_page page;
	struct fmt_ptr fine[FMT_LEAF_FINE];
	struct fmt_entry entry[FMT_LEAF_CHUNKS];
};
_Static_assert(sizeof(struct fmt_leaf) == FMT_BLOCK, "leaf");
_Static_assert(offsetof(struct fmt_leaf, entry) == 208, "leaf.entry");

/* Levels of a map: 4 reach 231.7 TiB, so larger volumes have 5. */
#define FMT_MAP_LEVELS_MIN 4
#define FMT_MAP_LEVELS_MAX 5
#define FMT_VOLUME_MAX     (232ull << 40)

/* A sub-entry of a FINE chunk.  Address 0: hole (birth kept); all ones:
 * unreadable. */
struct fmt_sub {
	uint8_t address[5];
	struct le32 birth;
};
_Static_assert(sizeof(struct fmt_sub) == 9, "sub-entry");

#define FMT_SUB_POISON FMT_ADDRESS_MASK
#define FMT_FINE_SUBS  432u

/* cow_unit 4K: 27 chunks of 16 sub-entries, fine page chunk / 27; 16K: 81
 * chunks of 4, fine page chunk / 81 (a sub-entry is then the first of 4 blocks
 * in a row; 108 sub-entries of room are not used); 64K has none. */
struct fmt_fine {
	struct fmt_page page;
	struct fmt_sub sub[FMT_FINE_SUBS];
	uint8_t reserved[144];
};
_Static_assert(sizeof(struct fmt_fine) == FMT_BLOCK, "fine page");

static inline uint64_t
fmt_sub_address(const struct fmt_sub *s)
{
	return (uint64_t)load_le32(s->address) | (uint64_t)s->address[4] << 32;
}

/* ---- regions ---- */

enum fmt_region_class {
	FMT_REGION_FREE,
	FMT_REGION_DATA,
	FMT_REGION_META,
	FMT_REGION_LOG,
	FMT_REGION_BAD,        /* on a device that was removed */
	FMT_REGION_EVACUATING, /* empty, and to stay so: see Moves */
	FMT_REGION_MIRROR,     /* the place of a second copy */
	FMT_REGION_CLASS_COUNT,
};

#define FMT_NO_DEVICE 0xffffu

struct fmt_region {
	uint8_t class, flags;
	struct le16 device;
	struct le16 mirror_device; /* FMT_NO_DEVICE: not mirrored */
	struct le16 reserved;
	struct le32 device_region; /* n-th region of that device */
	struct le32 mirror_region; /* ... of that one; MIRROR: of the pool */
	struct le32 free_blocks, free_chunks;
	struct le32 gen;        /* of the last change of class or place */
	struct le32 mirror_gen; /* 0: not to be read */
};
_Static_assert(sizeof(struct fmt_region) == 32, "region");

#define FMT_PAGE_REGIONS_COUNT 126u
struct fmt_region_page {
	struct fmt_page page;
	struct fmt_region region[FMT_PAGE_REGIONS_COUNT];
};
_Static_assert(sizeof(struct fmt_region_page) == FMT_BLOCK, "region page");

#define FMT_BITMAP_BLOCKS 32768u /* addresses per raw bitmap page */

/* ---- versions ---- */

enum fmt_version_state {
	FMT_VERSION_NONE, /* slot not in use: all zero */
	FMT_VERSION_HEAD,
	FMT_VERSION_SNAP,
	FMT_VERSION_ZOMBIE,
	FMT_VERSION_DYING,
	FMT_VERSION_DELETING,
	FMT_VERSION_STATE_COUNT,
};

/* of a quota or reservation; one over the size is for all of it */
#define FMT_LIMIT_MAX (1ull << 60)

struct fmt_version {
	struct le64 id;     /* never used again; fits 32 bits in version 1 */
	struct le64 family; /* id of the first version of the family */
	struct le64 parent; /* 0: none */
	struct le32 epoch;  /* SNAP: as of; HEAD: 0 */
	uint8_t state;
	uint8_t block_shift; /* what SCSI shows: 9 or 12 */
	uint8_t cow_shift;   /* 12, 14, 16 */
	uint8_t levels;      /* of the map */
	struct fmt_ptr root;
	struct le64 size;        /* bytes */
	struct le64 live_blocks; /* mapped, counted in 4 KiB */
	struct le64 held_blocks; /* of chunks and blocks held */
	struct le64 cursor;      /* DELETING: chunks below it are free */
	uint8_t uuid[16];
	struct le64 group; /* 0: none */
	struct le64 created_unix, deleted_unix;
	struct le32 bookmark_epoch; /* of the newest bookmark; 0: none */
	struct le32 flags;          /* FMT_VERSION_TRASHED ... */
	char name[FMT_NAME];
	struct le64 origin;      /* SNAP: id of the head it was taken of */
	struct le64 account;     /* of its losses; 0: its id */
	struct le64 fine_chunks; /* how many of its map are FINE */
	struct le64 fragments;   /* runs of addresses in those */
	struct le64 quota;       /* HEAD: bytes it may hold; 0: no limit */
	struct le64 reserve;     /* HEAD: bytes that are sure; 0: none */
	uint8_t reserved[16];
};
_Static_assert(sizeof(struct fmt_version) == 256, "version");
_Static_assert(offsetof(struct fmt_version, uuid) == 80, "version.uuid");
_Static_assert(offsetof(struct fmt_version, name) == 128, "version.name");
_Static_assert(offsetof(struct fmt_version, quota) == 224, "version.quota");

/* flags of a version */
#define FMT_VERSION_TRASHED (1u << 0) /* shown in the trash only */
#define FMT_VERSION_HOLD    (1u << 1) /* refuses to be deleted */
#define FMT_VERSION_ERASING (1u << 2) /* its data is being sanitized */
#define FMT_VERSION_EXITS   (1u << 3) /* ... and that may be given up */
/* SNAP: 0 crash consistent, 1 of frozen file systems, 2 of frozen programs */
#define FMT_VERSION_CONSISTENCY_SHIFT 4
#define FMT_VERSION_CONSISTENCY       (3u << FMT_VERSION_CONSISTENCY_SHIFT)
#define FMT_CONSISTENCY_COUNT         3u

/* Can a version in that state have these flags?  A DELETING one was a volume or
 * a snapshot. */
static inline bool
fmt_consistency_sane(uint8_t state, uint32_t flags)
{
	uint32_t consistency =
	    (flags & FMT_VERSION_CONSISTENCY) >> FMT_VERSION_CONSISTENCY_SHIFT;

	return consistency == 0 ||
	       (consistency < FMT_CONSISTENCY_COUNT &&
		   state != FMT_VERSION_HEAD && state != FMT_VERSION_DYING);
}

/* What SET may change of it. */
#define FMT_VERSION_SET_FIRST 80u
#define FMT_VERSION_SET_END   192u

/* Blocks that the version with that account has lost against its parent: born
 * in this epoch, or before it and after the next lower epoch of an ancestor.
 * All zero: not in use. */
struct fmt_lost {
	struct le32 account, birth;
	struct le64 blocks;
};
_Static_assert(sizeof(struct fmt_lost) == 16, "lost");

#define FMT_PAGE_LOST_COUNT 252u
struct fmt_lost_page {
	struct fmt_page page;
	struct fmt_lost lost[FMT_PAGE_LOST_COUNT];
};
_Static_assert(sizeof(struct fmt_lost_page) == FMT_BLOCK, "lost page");

#define FMT_PAGE_VERSIONS_COUNT 15u
#define FMT_VERSIONS_MAX        (1u << 24) /* slots of a pool */
struct fmt_version_page {
	struct fmt_page page;
	struct fmt_version version[FMT_PAGE_VERSIONS_COUNT];
	uint8_t reserved[192];
};
_Static_assert(sizeof(struct fmt_version_page) == FMT_BLOCK, "version page");

/* ---- bookmarks, groups ---- */

struct fmt_bookmark {
	struct le64 volume;
	struct le32 epoch, flags;
	uint8_t uuid[16];
	struct le64 created_unix;
	char name[FMT_NAME];
	uint8_t reserved[24];
};
_Static_assert(sizeof(struct fmt_bookmark) == 128, "bookmark");
#define FMT_PAGE_BOOKMARKS_COUNT 31u
struct fmt_bookmark_page {
	struct fmt_page page;
	struct fmt_bookmark bookmark[FMT_PAGE_BOOKMARKS_COUNT];
	uint8_t reserved[64];
};
_Static_assert(sizeof(struct fmt_bookmark_page) == FMT_BLOCK, "bookmarks");

struct fmt_group {
	struct le64 id, flags;
	uint8_t uuid[16];
	struct le64 created_unix;
	char name[FMT_NAME];
	uint8_t reserved[24];
};
_Static_assert(sizeof(struct fmt_group) == 128, "group");
#define FMT_PAGE_GROUPS_COUNT 31u
struct fmt_group_page {
	struct fmt_page page;
	struct fmt_group group[FMT_PAGE_GROUPS_COUNT];
	uint8_t reserved[64];
};
_Static_assert(sizeof(struct fmt_group_page) == FMT_BLOCK, "groups");

/* A subtree cut off by UNMAP: what it held is freed in the background, by the
 * rules of the parent epoch at the time it was cut off. */
struct fmt_dead {
	struct fmt_ptr root;
	uint8_t level, reserved[7];
	struct le64 family, version;
	struct le32 parent_epoch, flags;
	struct le64 index, cursor;
};
_Static_assert(sizeof(struct fmt_dead) == 64, "dead subtree");

/* ---- superblock ---- */

#define FMT_SUPER_MAGIC 0x53767256u /* "VrvS" */

/* The pool is not to get mirrors by itself. */
#define FMT_SUPER_NO_MIRROR (1u << 0)

enum fmt_device_state {
	FMT_DEVICE_MEMBER,
	FMT_DEVICE_EVACUATING, /* what is on it goes to others */
	FMT_DEVICE_REMOVED,    /* its number stays taken, it is not needed */
	FMT_DEVICE_STATE_COUNT,
};

struct fmt_device {
	uint8_t uuid[16];
	struct le64 size;         /* bytes that the pool uses of it */
	struct le64 regions;      /* how many it holds */
	struct le32 flags, state; /* FMT_DEVICE_... */
	uint8_t reserved[8];
};
_Static_assert(sizeof(struct fmt_device) == 48, "device");

struct fmt_super {
	struct le32 crc; /* of the bytes from magic to the end of the block */
	struct le32 magic;
	struct le32 version; /* FMT_VERSION */
	struct le32 flags;   /* FMT_SUPER_... */
	uint8_t uuid[16];
	struct le64 gen;
	struct le64 compat, ro_compat, incompat;
	char writer[32]; /* name and version of the program that wrote it */
	struct le64 created_unix, written_unix;
	char name[FMT_NAME];
	struct le32 region_blocks;
	struct le32 device_count;
	struct le64 region_count;
	struct le32 epoch; /* new births */
	uint8_t soft_percent, hard_percent;
	uint8_t reserved[2];
	struct le64 next_version, next_group; /* ids never given yet */
	struct le64 checkpoint_lsn;
	struct le64 log_start;  /* address of the ring */
	struct le64 log_blocks; /* its length */
	struct le64 log_tail;   /* block of the ring where reading starts */
	struct le64 log_seq;    /* expected there */
	struct le64 log_incarnation;
	struct le32 log_prev_crc;
	struct le32 reserved2;
	struct fmt_root regions, versions, bitmap, dead, bookmarks, groups;
	struct fmt_root lost, reserved_root;
	struct le64 data_blocks; /* set bits in DATA regions */
	struct le64 meta_blocks; /* set bits in META regions */
	uint8_t reserved3[480];
	struct fmt_device device[FMT_DEVICE_MAX];
};
_Static_assert(sizeof(struct fmt_super) == FMT_BLOCK, "superblock");
_Static_assert(offsetof(struct fmt_super, name) == 112, "super.name");
_Static_assert(offsetof(struct fmt_super, checkpoint_lsn) == 216, "super.lsn");
_Static_assert(offsetof(struct fmt_super, regions) == 272, "super.roots");
_Static_assert(offsetof(struct fmt_super, device) == 1024, "super.device");

static inline uint64_t
fmt_super_offset(unsigned slot)
{
	return FMT_SUPER_OFFSET + slot * FMT_SUPER_STRIDE;
}

/* ---- log ---- */

#define FMT_LOG_MAGIC 0x52767256u /* "VrvR" */

struct fmt_log_block {
	struct le32 crc; /* of the bytes from magic to length */
	struct le32 magic;
	struct le32 length; /* bytes, this header included: a multiple of
			     * 4 KiB up to 1 MiB; filled up with zeros */
	struct le32 count;  /* records */
	struct le64 seq, incarnation;
	struct le32 prev_crc; /* crc of the block with seq - 1 */
	struct le32 reserved;
	struct le64 first_lsn;
	uint8_t pool_uuid[16];
};
_Static_assert(sizeof(struct fmt_log_block) == 64, "log block");

#define FMT_LOG_BLOCK_MAX (1u << 20)

enum fmt_record_type {
	FMT_MAP_COARSE = 1,
	FMT_MAP_FINE,
	FMT_UNMAP,
	FMT_FREE,
	FMT_REGION,
	FMT_DELSTEP,
	FMT_RESIZE,
	FMT_DELETE,
	FMT_SNAP,
	FMT_GROUP,
	FMT_CLONE,
	FMT_ROLLBACK,
	FMT_CSUM_INTENT,
	FMT_SET,
	FMT_OWN,
	FMT_ORPHAN,
	FMT_RECORD_TYPE_COUNT,
};

#define FMT_RECORD_MORE 1u

struct fmt_record {
	uint8_t type, flags;
	struct le16 mask;
	struct le32 volume;
	struct le64 a, b;
};
_Static_assert(sizeof(struct fmt_record) == 24, "record");

/* Records that fit a log block of so many bytes. */
static inline uint32_t
fmt_log_capacity(uint32_t length)
{
	return (length - (uint32_t)sizeof(struct fmt_log_block)) /
	       (uint32_t)sizeof(struct fmt_record);
}

/* ---- sums and checks (format.c) ---- */

/* What a page must be where its pointer was found. */
struct fmt_expect {
	uint8_t type, level;
	uint64_t family, index, pool;
	uint32_t birth, gen;
};

void fmt_page_seal(void *page); /* computes crc */
/* NULL: right; else what is wrong, for people. */
const char *fmt_page_check(const void *page, const struct fmt_expect *expect);
/* The two halves of it: is it a page of the pool that is whole, and is it the
 * one that the pointer means? */
const char *fmt_page_check_sum(const void *page, uint64_t pool);
const char *fmt_page_check_place(
    const void *page, const struct fmt_expect *expect);

/* First 8 bytes of the uuid, as pages carry them. */
uint64_t fmt_pool_tag(const uint8_t uuid[16]);

void fmt_super_seal(struct fmt_super *super);
/* Sum, magic and the sanity of everything that can be judged alone.  NULL:
 * right.  A right superblock may still be newer than this program: see
 * version and the feature masks. */
const char *fmt_super_check(const struct fmt_super *super);

void fmt_label_seal(struct fmt_label *label);
const char *fmt_label_check(const struct fmt_label *label);

void fmt_log_seal(struct fmt_log_block *block);
/* block is followed by readable bytes up to max.  Checks magic, length, count
 * and sum; who it belongs to is the caller's. */
const char *fmt_log_check(const struct fmt_log_block *block, uint64_t max);

/* Chunks that a map of so many levels can hold. */
uint64_t fmt_map_chunks(unsigned levels);
/* Levels that a map for size bytes has. */
unsigned fmt_map_levels(uint64_t size);
/* Levels of a table with so many level 0 pages. */
unsigned fmt_tree_levels(uint64_t pages);

#endif
