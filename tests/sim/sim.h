/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The simulator's world: disks that lose power, the real engine on them, and
 * hosts that do I/O and management at random.  main.c says what is covered.
 *
 * A seed runs in a process of its own, so a power cut may simply abandon the
 * engine's memory, and an assertion of the engine costs one seed.  sim_fail()
 * ends the process.
 */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include "backstores/testing.h"
#include "snapshot/family.h"
#include "snapshot/pin.h"
#include "tests/sim/oracle.h"

#define DEVICES_MAX  8u
#define VOLUMES_MAX  6u
#define GROUPS_MAX   3u
#define SLOTS_MAX    48u
#define IO_BYTES_MAX (256u << 10)
#define KiB          1024ull
#define MiB          (1024ull * KiB)

/* What hosts do, drawn by weight. */
enum work {
	WORK_BLOCK, /* write of one 4 KiB block */
	WORK_SUB,   /* write of some sectors */
	WORK_CHUNK, /* write of an aligned 64 KiB chunk */
	WORK_LONG,  /* write of up to 256 KiB anywhere */
	WORK_UNMAP,
	WORK_ZERO,
	WORK_FLUSH,
	WORK_READ,
	WORK_EXTENTS,
	WORK_ATOMIC, /* as LONG, all or nothing */
	WORK_COUNT
};

/* What administrators do, one at a time. */
enum control {
	CONTROL_CHECKPOINT,
	CONTROL_CREATE,
	CONTROL_DELETE,
	CONTROL_RENAME,
	CONTROL_ENLARGE,
	CONTROL_SHRINK,
	CONTROL_ADD_DEVICE,
	CONTROL_EVACUATE, /* a device: it is to become empty */
	CONTROL_EVACUATE_CANCEL,
	CONTROL_REMOVE_DEVICE, /* that is empty */
	CONTROL_REOPEN,        /* close in good order, check, open */
	CONTROL_SNAPSHOT,
	CONTROL_GROUP_SNAPSHOT, /* of several volumes at one instant */
	CONTROL_DELETE_SNAPSHOT,
	CONTROL_HOLD, /* or let go */
	CONTROL_CONSISTENCY,
	CONTROL_CLONE,
	CONTROL_FLATTEN,
	CONTROL_ROLLBACK,
	CONTROL_MARK, /* make a bookmark */
	CONTROL_UNMARK,
	CONTROL_DIFF,
	CONTROL_TRASH,
	CONTROL_RESTORE,
	CONTROL_GROUP, /* make, change or delete one */
	CONTROL_QUOTA, /* set one, or none */
	CONTROL_RESERVE,
	CONTROL_CHECK_ONLINE,
	CONTROL_COUNT
};

enum fault {
	FAULT_NONE,
	FAULT_EIO,       /* reads, writes and flushes fail now and then */
	FAULT_HOST_FULL, /* the file system under the pool refuses writes */
};

struct scenario {
	const char *name, *what;
	unsigned devices, devices_later; /* CONTROL_ADD_DEVICE */
	uint64_t device_bytes;
	uint32_t device_block; /* 0: 512 or 4096 by seed */
	bool plp;              /* no volatile cache */
	bool one_copy;         /* of metadata and log */
	uint64_t log_bytes, cache_bytes, dirty_bytes;
	unsigned volumes;
	uint64_t volume_bytes;
	unsigned depth; /* I/Os in flight */
	unsigned fua_percent;
	unsigned cut_ticks;     /* power goes within so many mutations */
	bool spread;            /* writes all over the volume */
	uint64_t leave_bytes;   /* a ballast volume takes all space but this */
	unsigned kill_percent;  /* not power goes, but the process */
	unsigned late_permille; /* I/Os that a disk begins much later */
	bool may_fill;          /* ENOSPC is an answer */
	unsigned snapshots;     /* at most so many; 0: there is no such thing */
	bool cow_units;         /* volumes of any cow_unit, not 4K alone */
	bool ordered;           /* the ordered writer of ordered.c */
	unsigned background;    /* percent; 0: as the engine does */
	bool check_off;         /* pool_check is not run */
	enum fault fault;
	unsigned work[WORK_COUNT];
	unsigned control_permille; /* of a step, when none is under way */
	unsigned control[CONTROL_COUNT];
	unsigned cuts_per_seed;
	unsigned seeds; /* in make test */
};

extern const struct scenario scenarios[]; /* name NULL ends */
const struct scenario *scenario_find(const char *name);

/* Counted over all seeds, in memory shared with the parent. */
struct tally {
	uint64_t cuts, cuts_in_open, steps, ios, flushes, controls, reopens,
	    full, errors, checks, verified_bytes, snapshots, clones, rollbacks,
	    flattened, deletions, diffs, diff_blocks, marks, pairs, quotas,
	    reserves, online_checks, online_lost, removals;
};

struct disk {
	struct backstore *platter; /* bs_powercut: survives everything */
	struct backstore *top;     /* what the pool is given */
	struct backstore *error;   /* the fault layer, or NULL */
	bool member;               /* of the pool, or was one */
	bool leaving;              /* is being emptied */
	bool removed;
};

/* A bookmark. */
struct sim_mark {
	struct sim_mark *next; /* by age of what they mark, then of their own */
	enum { MARK_CREATING, MARK_PRESENT, MARK_DELETING } state;
	char name[POOL_NAME_MAX + 1];
	uint32_t epoch;
	bool doubtful;                     /* a rollback may have dropped it */
	const struct sim_volume *snapshot; /* which may be gone */
	struct oracle *oracle;             /* what it held */
	uint64_t size;
};

/* A group of volumes with a name. */
struct sim_group {
	enum {
		GROUP_ABSENT,
		GROUP_CREATING,
		GROUP_PRESENT,
		GROUP_DELETING
	} state;
	char name[POOL_NAME_MAX + 1];
};

/* A volume as the hosts know it, or a snapshot of one.  A snapshot that is
 * gone stays in the world's list, ABSENT: others have descended from it. */
struct sim_volume {
	struct sim_volume *next; /* of the world's snapshots */
	uint64_t serial;
	enum { ABSENT, CREATING, PRESENT, DELETING, TRASHING, TRASHED } state;
	uuid_t uuid;
	char name[POOL_NAME_MAX + 1], new_name[POOL_NAME_MAX + 1];
	uint64_t size, new_size; /* new_size: a resize is under way */
	struct change *shrink;   /* ... which gives the tail up */
	uint32_t block_size;
	struct oracle *oracle;
	struct volume *volume;
	struct backstore *bs; /* NULL: not open */
	unsigned in_flight;
	bool ballast; /* only there to take space */
	bool quiet;   /* no new I/O */
	uint64_t last_unmap;

	bool is_snapshot;
	uint64_t family; /* serial of its first volume */
	bool moved;      /* one of the family was, or is, flattened */
	uint32_t cow_unit;
	struct sim_volume *parent;     /* the snapshot it stands on, or NULL */
	uint64_t cut_called, cut_done; /* times: since then it has it */

	/* of a snapshot */
	struct sim_volume *of; /* was taken of; NULL: that is gone */
	uint64_t age;          /* of the world's n-th cut */
	bool hold, hold_asked; /* asked: not known whether it is so */
	enum consistency consistency, new_consistency;
	bool with_volume; /* in the trash with the volume */

	/* of a volume */
	uint64_t quota, new_quota; /* bytes; 0: none */
	uint64_t quota_held;       /* it may hold so much: the quota, or what
				    * it held when that was set */
	uint64_t quota_since;      /* time */
	bool quota_older; /* I/O from before was under way at the last look */
	bool shared;      /* its family has, or had, clones */
	uint64_t reserve, new_reserve; /* bytes */
	uint64_t reserve_since;        /* time */
	uint64_t reserve_had;          /* when it last had all of it */
	struct sim_mark *marks;
	struct sim_group *group, *group_asked;
};

struct slot {
	struct bs_io io; /* first */
	struct world *world;
	struct sim_volume *volume; /* NULL: free */
	struct change *change;
	uint64_t submitted;
	bool mapped; /* needed no space when it was submitted */
	uint8_t *buf;
	struct iovec iov[4];
	struct bs_extent extents[8];
};

struct world {
	const struct scenario *scenario;
	uint64_t seed, random, clock, stamp, serial;
	struct tally *tally;
	bool verbose;
	uint32_t cow_unit; /* not 0: of all volumes */

	struct loop *loop;
	struct disk disk[DEVICES_MAX];
	unsigned disks;
	unsigned members; /* of the pool: the first so many disks */
	struct pool *pool;
	void *ack_ring;  /* NULL: the pool is given none */
	uint64_t boot;   /* of the machine; a kill does not change it */
	bool only_kills; /* since the pool was last verified */

	bool created; /* pool_create has said so */
	bool power_failed;
	bool in_trouble; /* the pool is suspect: reads go on, writes fail */

	struct sim_volume volume[VOLUMES_MAX];
	struct sim_volume *snapshots; /* by age */
	uint64_t age;                 /* cuts so far */
	struct sim_group group[GROUPS_MAX];
	struct order *order; /* ordered.c's */
	struct slot slot[SLOTS_MAX];
	unsigned in_flight;
	uint64_t progress; /* completions of any kind */

	struct pool_request request;
	enum control control; /* CONTROL_COUNT: none under way */
	struct sim_volume *control_volume;
	struct disk *control_disk; /* of what is about a device */
	uint64_t control_started;
	int control_refusal;   /* the answer must be this */
	uint64_t control_size; /* what to shrink to; 0: at random */
	struct sim_volume *rollback_to, *rollback_keep;
	struct diff_check *diff; /* diff.c's */
	struct pool_pin pin;     /* online.c's */
	enum { ONLINE_NOT, ONLINE_PINNED, ONLINE_CHECKING } online;
	bool quiet_begun, reopen_wanted, draining;

	unsigned exhaustive_disk; /* exhaustive: cut this disk */
	uint64_t exhaustive_tick; /* at this mutation; 0: not exhaustive */
};

/* ---- life.c ---- */

/* The life of one seed: cuts and recoveries, then a good end. */
void life_run(struct world *world);

/* A short life whose power goes at one tick of one disk, both given by the
 * world.  False: it ended before that tick. */
bool life_run_exhaustive(struct world *world);

/* Power off and on until it stays on. */
void life_survive(struct world *world);
/* The volumes of the scenario, ballast too.  False: power failed. */
bool life_create_volumes(struct world *world);

/* ---- directed.c ---- */
struct directed {
	const char *name;
	void (*run)(struct world *world);
	uint32_t cow_unit; /* of volumes; 0: 4K */
};
extern const struct directed directed_tests[]; /* name NULL ends */
extern const struct directed directed_family_tests[];

/* ---- main.c ---- */
_Noreturn void sim_fail(const struct world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
uint64_t below(struct world *world, uint64_t limit);
bool chance(struct world *world, unsigned permille);

/* ---- world.c ---- */

/* All that can be read: NULL starts and ends. */
struct sim_volume *version_next(
    struct world *world, struct sim_volume *version);

/* The gate's own switch: no pool is given an ack ring. */
extern bool world_without_ring;

/* Makes disks and a pool on them.  False: power failed before it was there. */
bool world_create(struct world *world);

/* Power goes: the engine is forgotten, the disks keep what they keep. */
void world_cut(struct world *world);

/* Checks the disks, opens the pool, and verifies all that was promised.
 * False: power failed again. */
bool world_open(struct world *world);
bool world_boot(struct world *world);

/* Closes in good order and checks; then as world_boot(). */
bool world_reopen(struct world *world);

/* Deletes every volume: nothing may be left in use. */
void world_empty(struct world *world);

/* One event.  False: there is none, or power has failed.  Then nothing may
 * happen any more: who waited for an I/O has given up its memory. */
bool world_step(struct world *world);

/* Steps the loop until *stop.  False: power failed. */
bool world_run_until(struct world *world, const bool *stop);

/* Runs pool_check; no damage, no leak. */
void world_check(struct world *world);

/* Power goes at the n-th mutation from now; 0: stays. */
void world_arm(struct world *world, uint64_t n);
/* ... at the tick of the exhaustive run. */
void world_arm_exhaustive(struct world *world);

/* After a disk has joined. */
void world_count_members(struct world *world);

/* A further disk, as the pool is given it. */
struct backstore *world_add_disk(struct world *world);

/* False: power failed. */
bool world_close_volume(struct world *world, struct sim_volume *volume);

/* ---- verify.c ---- */

/* After a restart: volumes, names, sizes, contents.  False: power failed. */
bool world_verify(struct world *world);

/* ---- disk.c ---- */
/* Passes I/O on to below, late_permille of it milliseconds later. */
struct backstore *disk_shell_new(struct loop *loop, struct backstore *below,
    unsigned late_permille, uint64_t seed);

/* From now on such I/O in this range does not get through, until released. */
void disk_shell_hold(
    struct backstore *shell, enum bs_op op, uint64_t offset, uint64_t length);
void disk_shell_release(struct backstore *shell);

/* ---- device.c ---- */
/* After a restart: the devices are members, leaving or gone as promised. */
void devices_verify(struct world *world);
/* What is to become empty does. */
void devices_end(struct world *world);

/* ---- work.c ---- */

/* Hosts and administrators at work until power fails or steps are spent. */
void work_round(struct world *world, unsigned steps);
/* Something begins, perhaps, and one event happens. */
void work_step(struct world *world);

/* Waits for all that is in flight.  False: power failed. */
bool work_drain(struct world *world);

/* Opens the volume for I/O if it is not.  False: power failed. */
bool volume_bring_up(struct world *world, struct sim_volume *volume);

/* One I/O and its end.  False: power failed. */
bool work_read(struct world *world, struct sim_volume *volume, uint64_t offset,
    uint64_t length, uint8_t *buf);
bool work_extents(struct world *world, struct sim_volume *volume,
    uint64_t offset, struct bs_extent *extents, unsigned max,
    unsigned *ret_count);

/* One I/O of the random kind, but chosen by a directed test.  Does not wait.
 * A write has at most IO_BYTES_MAX bytes. */
const struct slot *work_submit(struct world *world, struct sim_volume *volume,
    enum bs_op op, uint64_t offset, uint64_t length, bool fua, bool may_unmap);
const struct slot *work_submit_atomic(struct world *world,
    struct sim_volume *volume, uint64_t offset, uint64_t length, bool fua);

/* When the oldest read in flight was submitted; NEVER: none is. */
uint64_t work_oldest_read(const struct world *world);

/* Reads a range of one version and checks it.  False: power failed. */
bool work_read_checked(struct world *world, struct sim_volume *volume,
    uint64_t offset, uint64_t length, uint8_t *buf);

/* ---- family.c ---- */

/* Starts a snapshot of volumes at one instant; the first of its records. */
struct sim_volume *family_snapshot(struct world *world,
    struct sim_volume *const *volumes, unsigned count, bool hold);
struct sim_volume *family_clone(
    struct world *world, struct sim_volume *snapshot);
void family_rollback(struct world *world, struct sim_volume *volume,
    struct sim_volume *snapshot);
void family_delete_snapshot(struct world *world, struct sim_volume *snapshot);
void family_mark(struct world *world, struct sim_volume *volume,
    struct sim_volume *snapshot);

/* The volume has been deleted: what becomes of its snapshots. */
void family_volume_gone(struct world *world, struct sim_volume *volume);
void family_gone(struct world *world, struct sim_volume *snapshot);
/* It is back, as its snapshots are that went with it. */
void family_out_of_trash(struct world *world, struct sim_volume *victim);
/* Starts to take it out of the trash. */
void family_restore(struct world *world, struct sim_volume *victim);
/* After a restart: snapshots, bookmarks, groups, trash as promised. */
void family_verify_volume(
    struct world *world, struct sim_volume *volume, struct volume *found);
void family_verify(struct world *world);

/* Starts the comparison of `to` with base, a snapshot, or with what a mark
 * remembers; both NULL: with nothing. */
void diff_start(struct world *world, struct sim_volume *to,
    struct sim_volume *base, struct sim_mark *mark);
/* Goes on when the engine has answered. */
void diff_step(struct world *world);

/* ---- quota.c ---- */
/* No volume holds more than it may. */
void quota_check(struct world *world);
/* After a restart. */
void quota_verify(struct world *world, struct sim_volume *volume);

/* ---- reserve.c ---- */
void reserve_step(struct world *world);
/* A write got no space: had its volume all that it is to have? */
void reserve_check(struct world *world, const struct slot *slot);
/* After a restart. */
void reserve_verify(struct world *world, struct sim_volume *volume);
/* What is reserved for it is forgotten. */
void reserve_trashed(struct sim_volume *volume);

/* ---- online.c ---- */

/* Checks what is pinned, if something is, while the world goes on. */
void online_go_on(struct world *world);

/* ---- ordered.c ---- */
void order_step(struct world *world);
void order_restarted(struct world *world);
void order_cut(struct world *world, struct sim_volume *snapshot);
/* False: power failed. */
bool order_verify(struct world *world);

/* ---- control.c ---- */

/* Starts what administrators do, or goes on with it. */
void control_step(struct world *world);

/* Starts a creation; the result is in request.done. */
struct sim_volume *control_create(struct world *world, uint64_t size);

void control_checkpoint(struct world *world);

/* Starts to change its size; to shrink when its I/O has ended. */
void control_resize(
    struct world *world, struct sim_volume *volume, uint64_t size);

/* Starts a deletion; control_step() goes on with it. */
void control_delete(struct world *world, struct sim_volume *volume);

/* What was asked for has not happened. */
void control_undo(struct world *world);

/* Ends well or fails the seed.  False: power failed. */
bool control_wait(struct world *world);

/* After a power cut: what was under way may have happened or not. */
void control_settle(struct world *world);

#endif
