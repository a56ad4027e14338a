/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool in memory: what pool.h hides.  One loop runs all of it, so nothing
 * here is locked; what can wait is a chain of callbacks.
 *
 * This version has one shard, the pool.  What a later one divides by volume
 * group is already apart: struct space hands out leases of regions to streams,
 * struct redo is one ordered stream of records, struct cache one set of pages.
 */
#ifndef SNAPSHOT_ENGINE_H
#define SNAPSHOT_ENGINE_H

#include "base/buf.h"
#include "snapshot/ack_ring.h"
#include "snapshot/batch.h"
#include "snapshot/breaks.h"
#include "snapshot/format.h"
#include "snapshot/map_page.h"
#include "snapshot/mirror.h"
#include "snapshot/move.h"
#include "snapshot/page.h"
#include "snapshot/pin.h"
#include "snapshot/pool.h"
#include "snapshot/redo.h"
#include "snapshot/rewrite.h"
#include "snapshot/space.h"
#include "snapshot/volume.h"
#include "snapshot/window.h"
#include <errno.h>

#define VERSION_HASH 16384u

struct device {
	struct backstore *bs;
	uint8_t uuid[16];
	uint64_t size, regions;
	uint64_t label_gen;
	uint64_t written_seq; /* +1 per completed write without FUA */
	uint64_t flushed_seq; /* all up to here is durable */
	uint64_t data_seq;    /* of the newest write of data */
	bool missing;         /* bs fails everything */
	uint8_t state;        /* FMT_DEVICE_...; REMOVED: missing, too */
	uint32_t *region_of; /* n-th region of the device: region of the pool */
};

enum checkpoint_state {
	CKPT_IDLE,
	CKPT_PREPARE, /* wait for space */
	CKPT_WRITE,   /* pages */
	CKPT_FLUSH,
	CKPT_SUPER,
};

struct checkpoint_item {
	struct page *page;
	uint64_t address;
	uint8_t *data;
};

#define CKPT_WRITES 4u
#define CKPT_RUN    64u /* pages per device write */

struct checkpoint_write {
	struct mirror_write mirror;
	struct iovec iov[CKPT_RUN];
	unsigned first, count; /* items */
};

struct checkpoint {
	enum checkpoint_state state;
	bool again; /* wanted while one was running */
	bool held;  /* waits for pool->meta_holds and mends to go */
	struct checkpoint_item *items;
	unsigned item_count, item_room, next_item, items_done;
	bool writing;  /* frozen, and not yet done */
	uint64_t *old; /* addresses that the new superblock gives up */
	unsigned old_count, old_room;
	uint64_t *given_up; /* ... that the one after it will give up */
	unsigned given_up_count, given_up_room;
	unsigned writes;
	struct checkpoint_write write[CKPT_WRITES];
	struct batch batch;
	uint64_t lsn, tail;
	struct fmt_super super; /* as frozen */
	uint8_t *block;         /* aligned, for writing it */
	int error;
	struct list waiting; /* wake after the next freeze and superblock */
	struct list frozen;  /* wake when this one is durable */
	struct list dropped; /* pages with nothing in them */
	struct waiter waiter;
	struct loop_task task;
	struct loop_timer idle;
	uint64_t records_at; /* lsn of the last one */
	uint64_t done_count;
};

/* The one deletion that runs. */
struct delete_job {
	struct volume *volume;
	bool stop;
	struct waiter waiter;
	struct loop_task task;
	struct loop_timer timer;
	uint64_t began; /* the leaf at hand; 0: none */
	uint64_t freed; /* blocks, since open */
};

/* Background work takes so much of the time of the loop and of the devices. */
#define BACKGROUND_PERCENT 25u
/* A step that took longer has waited for something else, a checkpoint say. */
#define BACKGROUND_STEP_MAX (20 * NSEC_PER_MSEC)

/* Small tables, all in memory: table.c. */
enum { TABLE_BOOKMARKS, TABLE_GROUPS, TABLE_LOST, TABLES };
#define TABLE_SLOTS_MAX (1u << 26)

struct table {
	struct tree *tree;
	struct page **page; /* pinned */
	uint32_t pages, room, slots;
	uint32_t per_page, bytes; /* records, and of one record */
};

/* Mirrors on their way: mirror_fill.c. */
struct fill_job {
	bool running, stop, changed;
	uint64_t region, at; /* which, and how far it is copied */
	uint64_t done, total, lacking, began;
	struct window window;
	struct waiter waiter;
	struct loop_timer timer;
};

/* Devices that are being emptied, and mirrors that go to another device:
 * evacuate.c. */
struct evacuate_job {
	bool running, stop, changed;
	bool spread_tried; /* no more mirrors to spread were found */
	uint64_t done;     /* regions */
	uint64_t unmovable;
	uint32_t region; /* that moves */
	struct waiter waiter;
	struct loop_timer timer;
	struct list waiting; /* for a move to end */
};

/* All metadata is read and compared: scrub.c. */
struct scrub_job {
	bool running, stop, in_bitmap, failed;
	uint64_t block;  /* the window begins there */
	unsigned count;  /* ... and has so many */
	unsigned judged; /* ... of which these were looked at */
	unsigned single; /* windows of one block to come */
	unsigned busy_turns;
	uint64_t inner, raw; /* pages of the bitmap: next to be looked at */
	uint64_t began;
	unsigned copies, pending;
	struct device *device[2];
	uint64_t offset[2];
	uint8_t *buffer[2];
	struct bs_io io[2];
	struct iovec iov[2];
	struct waiter waiter;
	struct loop_timer timer;
};

/* Records that belong together, as they are collected. */
#define GROUP_RECORDS 4096u
struct record_group {
	unsigned count;
	struct fmt_record record[GROUP_RECORDS];
};

struct pool {
	struct loop *loop;
	char name[FMT_NAME];
	uuid_t uuid;
	uint64_t tag;
	struct pool_limits limits;
	uint64_t dirty_limit; /* pages that start a checkpoint */
	uint64_t dirty_hard;  /* pages that stop changes until it is done */
	unsigned soft_percent, hard_percent;
	bool read_only;   /* as opened */
	bool may_mend;    /* bad copies may be written anew */
	bool needs_write; /* something changed since the last checkpoint */
	enum pool_state state;
	char problem[POOL_PROBLEM_MAX];
	struct loop_task suspect_task;
	bool suspect_told;

	struct device device[POOL_DEVICE_MAX];
	unsigned device_count;
	struct backstore *extra[POOL_DEVICE_MAX]; /* given, not members */
	unsigned extra_count;

	struct fmt_super super; /* the newest durable one */
	uint64_t gen;           /* of the next checkpoint */
	uint32_t epoch;
	uint64_t next_version, next_group;

	struct cache cache;
	struct tree regions, versions, bitmap;
	struct tree bookmarks, groups, lost;
	struct table table[TABLES];
	uint32_t lost_free;    /* none is free below it */
	struct tree map_pages; /* of all versions */
	struct leaf_hint *hints;
	struct space space;
	struct redo redo;
	struct ack_ring ack_ring;
	struct checkpoint checkpoint;
	struct held *held;         /* for a pinned checkpoint; NULL: none is */
	unsigned meta_holds;       /* see mirror.h */
	unsigned mends;            /* bad blocks being written anew */
	struct list room;          /* waiters for dirty pages or log to go */
	struct record_group group; /* of the change at hand */
	struct volume_io vio;
	uint64_t credits;   /* dirty pages promised to writes in flight */
	uint64_t unmap_lsn; /* behind the newest UNMAP */

	struct list volumes; /* HEAD, by name */
	struct list trash;   /* HEAD and SNAP that are in the trash, by age */
	struct list dying;   /* ZOMBIE, DYING, DELETING */
	struct list stuck;   /* ... whose map cannot be read */
	struct list changed; /* any, by changed_link */
	unsigned changed_count;
	struct volume **slots;          /* by slot of the version table */
	uint32_t slot_count, slot_hint; /* none is free below the hint */
	uint64_t ro_compat, incompat;
	struct volume *by_id[VERSION_HASH];
	uint64_t promised;
	unsigned volume_count;
	bool has_limits, limits_stale; /* quotas or reservations: any; their
					* families have changed */
	char quota_name[FMT_NAME];     /* of the last that reached it */
	uint64_t pending_blocks;       /* of all volumes */
	uint64_t aside_blocks, aside_pages; /* reserve.h */

	/* requests, one at a time */
	struct list requests;        /* struct pool_request */
	struct operation *operation; /* the one that runs */
	bool closing;
	struct delete_job delete_job;
	struct fill_job fill;
	struct move move;
	struct barrier places; /* of all that has looked up where a region is:
				* I/O of volumes, reads and mends of pages */
	struct evacuate_job evacuate;
	struct rewriter rewriter;
	struct scrub_job scrub;
	unsigned diffs; /* under way */
	unsigned background_percent;

	void (*event)(void *arg, struct pool *pool, enum pool_event what);
	void *event_arg;
	struct pool_stat counters;
	uint64_t opened_at;
};

/* ---- pool.c ---- */
/* First trouble wins: state SUSPECT, waiters fail, reads go on. */
void pool_suspect(struct pool *pool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pool_wake_suspect(struct pool *pool);
/* It goes on, but something is not as it should be: state stays, an event. */
void pool_trouble(struct pool *pool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pool_event_send(struct pool *pool, enum pool_event what);
void pool_host_full(struct pool *pool);
void pool_wake_room(struct pool *pool, int error);
/* May something that dirties up to pages pages begin?  0, -EAGAIN (queued; a
 * checkpoint is on its way), or the pool's error. */
int pool_room(struct pool *pool, uint64_t pages, struct waiter *waiter);
struct pool *pool_new(struct loop *loop, const struct pool_limits *limits);
void pool_free(struct pool *pool);

/* ---- device.c: I/O by pool address ---- */
/* Device and offset of an address; ret_run: blocks until the region ends. */
struct device *pool_locate(struct pool *pool, uint64_t address,
    uint64_t *ret_offset, uint64_t *ret_run);

/* ... of an address in the tree of regions, and whether there is one. */
struct device *device_locate(
    struct pool *pool, uint64_t address, uint64_t *ret_offset);
bool device_address_exists(const struct pool *pool, uint64_t address);

/* ---- apply.c ---- */
/* What the pages of a record are: 0 all in memory, -EAGAIN queued, -errno. */
int apply_prepare(
    struct pool *pool, const struct fmt_record *record, struct waiter *waiter);
/* The one meaning of a record, at run time and in recovery (I11).  -EBADMSG:
 * it contradicts the state (recovery refuses; at run time it is our bug). */
int apply(struct pool *pool, const struct fmt_record *record, uint64_t lsn,
    bool replay);
/* apply and append, at run time.  If the metadata contradict the record, which
 * damage alone can bring about, the pool becomes suspect and nothing more is
 * made durable. */
uint64_t pool_record(
    struct pool *pool, struct fmt_record *records, unsigned count);
/* Begins pool->group; adds to it. */
void group_begin(struct pool *pool);
struct fmt_record *group_add(struct pool *pool, enum fmt_record_type type,
    const struct volume *volume, uint64_t a, uint64_t b);
/* FREE, joined to the last one where they meet. */
void group_free(struct pool *pool, uint64_t address);
/* Are the bitmap pages it changes in memory?  0, -EAGAIN (queued), error. */
int group_prepare(struct pool *pool, struct waiter *waiter);
/* pool_record() of it. */
uint64_t group_record(struct pool *pool);

/* ---- apply_map.c ---- */
int apply_map_prepare(
    struct pool *pool, const struct fmt_record *record, struct waiter *waiter);
int apply_map(struct pool *pool, const struct fmt_record *record, uint64_t lsn,
    bool replay);
/* FREEs of all that is ours among what before holds and after does not. */
void group_free_dropped(struct pool *pool, const struct chunk_rules *rules,
    const struct chunk *before, const struct chunk *after);

/* ---- checkpoint.c ---- */
int checkpoint_init(struct pool *pool);
void checkpoint_done(struct pool *pool);
/* Begins one, or one more when it is running. */
void checkpoint_start(struct pool *pool);
/* Begins one that has all until now: one more, if it runs already. */
void checkpoint_again(struct pool *pool);
/* What held one up may have gone. */
void checkpoint_unheld(struct pool *pool);
/* Wakes waiter when a checkpoint that covers all until now is durable. */
void checkpoint_wait(struct pool *pool, struct waiter *waiter);
void checkpoint_fail(struct pool *pool, int error);
/* Blocks that the next one needs for pages that have no place yet. */
uint64_t checkpoint_needs(const struct pool *pool);
/* The block was a page's until now: free when the next one is durable. */
void checkpoint_give_up(struct pool *pool, uint64_t address);
/* The generation of what becomes dirty now. */
static inline uint32_t
pool_dirty_gen(const struct pool *pool)
{
	return (uint32_t)(pool->gen + pool->checkpoint.writing);
}

/* ---- request.c: what changes the pool, one after the other ---- */
struct operation {
	struct pool_request *request;
	struct pool *pool;
	int (*run)(struct operation *op); /* a stage; see operation_run */
	void (*cleanup)(struct operation *op, int result); /* may be NULL */
	struct waiter waiter;
	struct volume *volume;
	struct backstore *bs;
	struct volume_params params;
	char name[FMT_NAME];
	uint64_t size;
	uint32_t slot;
	bool flag;
	uuid_t uuid;
	struct volume *other;
	struct bs_io io;
	struct loop_timer timer;
	bool makes_pool; /* pool is not anybody's before it succeeds */
	int result;      /* while it waits for that pool to be idle */
	void *detail;
};
#define OP_DONE 1 /* of a stage: the request is done */
/* Runs stages until one waits (-EAGAIN), ends (OP_DONE) or fails. */
void operation_run(struct operation *op);
/* Ends the request; format says why if result < 0. */
void operation_end(struct operation *op, int result);
void operation_problem(struct operation *op, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct operation *operation_new(
    struct pool_request *request, int (*run)(struct operation *op));
/* ... on a volume (or NULL), with a name (or NULL). */
struct operation *operation_on(struct pool_request *request,
    int (*run)(struct operation *op), struct volume *volume, const char *name);
/* May the pool be changed at all?  0, -EROFS, -EIO. */
int operation_check(struct operation *op);
/* ... and has the device op->slot: or -ENOENT. */
int operation_check_device(struct operation *op);
/* ... and is op->name valid?  -EINVAL. */
int operation_check_name(struct operation *op);
/* The stage that ends the request once the log has all there is. */
int operation_commit(struct operation *op, int (*then)(struct operation *op));
/* Hands it to the pool, to be run when it is its turn. */
void operation_queue(struct pool *pool, struct operation *op);
void operation_next(struct pool *pool);
/* As queue, before there is a pool. */
void operation_start(struct loop *loop, struct operation *op);
/* The stage that ends the request once all is durable. */
int operation_checkpoint(
    struct operation *op, int (*then)(struct operation *op));
int operation_done(struct operation *op);
/* The cleanup of those whose detail is one piece of memory. */
void operation_free_detail(struct operation *op, int result);

/* ---- open.c, create.c ---- */
/* Is nothing of it in flight or queued? */
bool pool_idle(const struct pool *pool);
/* Reads the log and applies it: 0, -EAGAIN (queued), or an error. */
struct replay;
struct replay *replay_new(struct pool *pool);
void replay_free(struct replay *replay);
int replay_step(struct replay *replay, struct waiter *waiter);
uint64_t replay_records(const struct replay *replay);
const char *replay_problem(const struct replay *replay);

struct pool_job_stat;

static inline bool
device_is_removed(const struct device *device)
{
	return device->state == FMT_DEVICE_REMOVED;
}

/* The region whose place the writes to this one go to as well, or NO_REGION. */
static inline uint32_t
move_twin(const struct pool *pool, uint64_t region)
{
	return __builtin_expect(pool->move.region != region, true)
		   ? NO_REGION
		   : pool->move.target;
}

/* Must a write of these bytes of data wait? */
static inline bool
move_gates(const struct pool *pool, uint64_t address, uint64_t bytes)
{
	uint64_t end = address + (bytes + FMT_BLOCK - 1) / FMT_BLOCK;

	return __builtin_expect(pool->move.gate_end > address, false) &&
	       pool->move.gate < end;
}

/* ---- figures.c ---- */
/* How long background work rests after a step, in nanoseconds.  least: what the
 * step takes of the loop's time at least; a simulated loop knows no other. */
uint64_t background_rest(
    const struct pool *pool, uint64_t began, uint64_t least);

/* ---- evacuate.c ---- */
/* Goes on with devices that are being emptied, and puts mirrors on another
 * device, in the background; at open, and when something may have come. */
void evacuate_start(struct pool *pool);
void evacuate_stop(struct pool *pool);
bool evacuate_stat(const struct pool *pool, struct pool_job_stat *ret_stat);

/* ---- scrub.c ---- */
void scrub_stop(struct pool *pool);
bool scrub_stat(const struct pool *pool, struct pool_job_stat *ret_stat);

/* ---- missing.c ---- */
struct backstore *missing_new(struct loop *loop, unsigned index, uint64_t size);

/* ---- superblock.c ---- */
/* Checks size and block size of what is to be a device: NULL or what is wrong
 */
const char *device_unfit(const struct backstore *bs);
uint64_t device_regions(uint64_t size, uint64_t region_bytes);
int device_map_init(struct device *device, uint64_t old);
void super_fill(struct pool *pool, struct fmt_super *super);
void label_fill(struct pool *pool, unsigned index, struct fmt_label *label);

/* ---- version.c ---- */
int version_slots_grow(struct pool *pool, uint32_t count);
/* A free slot, and room for it in the table: 0, -EAGAIN, -ENOMEM. */
int version_slot_take(
    struct pool *pool, struct waiter *waiter, uint32_t *ret_slot);
/* The page of a slot, made if need be. */
int version_page_get(struct pool *pool, uint32_t slot, struct waiter *waiter,
    struct page **ret_page);
/* Goes on from slot *next: 0, -EAGAIN (queued), or an error. */
int versions_load(struct pool *pool, uint32_t *next, struct waiter *waiter);
/* Into the list where its state and flags belong, and out of it. */
void version_list(struct pool *pool, struct volume *volume);
void version_unlist(struct pool *pool, struct volume *volume);
void volume_rename_now(struct volume *volume, const char *name);
void volume_device_added(struct volume *volume, const struct backstore *device);
void version_insert(struct pool *pool, struct volume *volume);
void version_remove(struct pool *pool, struct volume *volume);
/* Is name free for a volume (of NULL), or for a snapshot of origin? */
bool version_name_free(
    struct pool *pool, const struct volume *origin, const char *name);
struct volume *version_by_uuid(struct pool *pool, const uuid_t uuid);

/* ---- apply_family.c ---- */
struct record_kind;
int apply_family_prepare(
    struct pool *pool, const struct fmt_record *record, struct waiter *waiter);
int apply_family(struct pool *pool, const struct fmt_record *record);
bool record_is_family(const struct fmt_record *record);

/* ---- table.c ---- */
void tables_init(struct pool *pool, const struct fmt_super *super);
void tables_done(struct pool *pool);
/* Reads all of them: 0, -EAGAIN (queued), or an error. */
int tables_load(struct pool *pool, struct waiter *waiter);
/* Makes so many slots: 0, -EAGAIN (queued; never once it is loaded), error. */
int table_reach(struct table *table, uint32_t slots, struct waiter *waiter);
void *table_at(const struct table *table, uint32_t slot);
bool table_used(const struct table *table, uint32_t slot);
/* The record, to be changed; of a slot that was free; and given back. */
void *table_change(struct table *table, uint32_t slot);
void *table_take(struct table *table, uint32_t slot);
void table_drop(struct table *table, uint32_t slot);

/* ---- marks.c ---- */
/* Are the bookmarks and groups that were read sane?  0, -EBADMSG. */
int marks_check(struct pool *pool);
/* Bookmarks of volume with a later epoch than that go. */
void bookmarks_drop(struct pool *pool, struct volume *volume, uint32_t epoch);
/* Has volume a bookmark of that epoch? */
bool bookmark_marks(const struct volume *volume, uint32_t epoch);

/* ---- losses.c ---- */
struct family_stat;
/* Gives each version the rows that were read: 0, -EBADMSG, -ENOMEM. */
int losses_load(struct pool *pool);
/* The version lets go of blocks that its parent holds. */
int losses_add(struct volume *volume, uint32_t birth, uint64_t blocks);
/* The snapshot was put between the head and its parent. */
void losses_snapshot(struct volume *head, struct volume *snapshot);
/* The version goes; its child (or NULL) gets its parent. */
int losses_merge(struct volume *volume, struct volume *child);
/* ... and has it now. */
void losses_merged(struct volume *child);
/* Has the version lost all that its parent holds? */
bool losses_are_all(const struct volume *volume);
/* It has no parent any more. */
void losses_forget(struct volume *volume);
/* ---- quotas and reservations (limits.c) ---- */
/* Families have changed. */
void limits_look(struct pool *pool);
/* Could a volume of these have its quota and reservation?  0, -EINVAL. */
int limits_check(struct operation *op, const struct volume_params *params);
/* 0, or if so many blocks are missing -ENOSPC, and why. */
int limits_room(struct operation *op, uint64_t lacks, const char *for_what);

/* Blocks that it holds and its parent does not. */
uint64_t losses_own(const struct volume *volume);
void losses_stat(struct volume *volume, struct family_stat *stat);
/* Blocks that would be free if the snapshots of the head went.  It grows with
 * each shared block that the head loses and that is younger than *ret_base. */
uint64_t losses_snap_held(struct volume *head, uint32_t *ret_base);

/* ---- delete.c ---- */
void delete_jobs_start(struct pool *pool);
void delete_jobs_stop(struct pool *pool);
/* What a DELSTEP does to pages: those that nobody else has, whose range ends
 * behind the version's cursor and at or before to (chunks; UINT64_MAX: all). */
int delete_pages_prepare(
    struct volume *volume, uint64_t to, struct waiter *waiter);
int delete_pages(struct volume *volume, uint64_t to);

#endif
