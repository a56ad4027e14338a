/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of scsi share among themselves; nobody else includes it.
 *
 * The way of a command:
 *
 *	scsi_task_begin    dispatch.c  row of the opcode table, refusals
 *	                   ordering.c  enters the LUN's task set
 *	scsi_task_execute  throttle.c  is it within the LUN's limits?
 *	                   ordering.c  may it run yet?
 *	                   op->answer  builds Data-In from what is known, or
 *	                   op->run     works, by scsi_task_submit, step by step
 *	scsi_task_end      task.c      leaves the task set; complete()
 *
 * A handler never looks at task management: between two steps task_io.c sees
 * whether the task was aborted, and ends it.
 */
#ifndef TARGET_SCSI_INTERNAL_H
#define TARGET_SCSI_INTERNAL_H

#include "base/endian.h"
#include "base/loop.h"
#include "target/scsi/lun.h"
#include "target/scsi/throttle.h"

/* ---- the opcode table: opcodes.def, opcodes.c ---- */

enum scsi_op_flags {
	OP_ANY_LUN = 1 << 0,      /* answers where no logical unit is, too */
	OP_ATTENTION = 1 << 1,    /* not stopped by a unit attention */
	OP_STOPPED = 1 << 2,      /* works while the unit is stopped */
	OP_RESERVED = 1 << 3,     /* works under another's reservation */
	OP_WRITE = 1 << 4,        /* writes the medium */
	OP_THIN = 1 << 5,         /* there only if the unit is thin */
	OP_PARAMETERS = 1 << 6,   /* Data-Out is a parameter list */
	OP_ACTION = 1 << 7,       /* has a service action */
	OP_EXCLUSIVE = 1 << 8,    /* nothing else runs meanwhile */
	OP_PERSISTENT = 1 << 9,   /* conflicts with any RESERVE of SPC-2 */
	OP_BLOCKS = 1 << 10,      /* its check says which blocks it is about */
	OP_ATOMIC = 1 << 11,      /* nothing else runs on those meanwhile; there
				     only if the store has atomic writes */
	OP_COPY = 1 << 12,        /* reads and writes media, of any unit */
	OP_SANITIZE = 1 << 13,    /* works while the unit is sanitized */
	OP_SANITIZES = 1 << 14,   /* there only if that can be kept in mind */
	OP_STANDBY = 1 << 15,     /* works through a port in standby, */
	OP_UNAVAILABLE = 1 << 16, /* one that is unavailable, */
	OP_TRANSITION = 1 << 17,  /* and one whose state changes */
	OP_TOKEN = 1 << 18,       /* there only if somebody manages tokens */
};

/* Who may give a command through a persistent reservation that keeps something
 * from him: a column of SPC-4 table 52 and SBC-3 table 13.  The holder, and
 * whoever is registered where that is enough, may give all. */
enum scsi_pass {
	PASS_ANYONE, /* also where the command itself says who may */
	PASS_READER, /* unless access is exclusive */
	PASS_NONE,   /* it writes, or changes what others see */
	PASS_START,  /* anyone may start the unit, nobody else stop it */
	PASS_ALLOW,  /* anyone may allow removal, nobody else prevent it */
};

/* What an answer handler fills in.  Data starts as zeros. */
struct scsi_answer {
	uint8_t *data;
	size_t size;
	size_t length; /* of the answer, set by the handler */
};

#define SCSI_ANSWER_SIZE 4096u

struct scsi_op {
	const char *name;
	uint8_t opcode, action;
	enum scsi_pass pass;
	uint32_t flags;
	uint8_t length;           /* of the CDB */
	uint8_t allocation_at;    /* ALLOCATION LENGTH: first byte ... */
	uint8_t allocation_bytes; /* ... and how many; 0: none */
	uint8_t mask[16];         /* bits that may be set; byte 0 the opcode,
				     service action as its value: this is the
				     CDB USAGE DATA of SPC-4 6.35.3 */
	/* Reads the CDB: fields, range, lengths.  May be NULL. */
	struct scsi_sense (*check)(struct scsi_task *task);
	/* One of these is set. */
	void (*run)(struct scsi_task *task);
	struct scsi_sense (*answer)(
	    struct scsi_task *task, struct scsi_answer *answer);
};

extern const struct scsi_op scsi_ops[];
extern const unsigned scsi_op_count;

/* NULL: no such command.  *ret_known: the operation code is there with other
 * service actions. */
const struct scsi_op *scsi_op_find(
    uint8_t opcode, unsigned action, bool *ret_known);
bool scsi_op_on_lun(const struct scsi_op *op, const struct lun *lun);

#define CHECK(name) struct scsi_sense name(struct scsi_task *task)
#define RUN(name)   void name(struct scsi_task *task)
#define ANSWER(name)                                                           \
	struct scsi_sense name(                                                \
	    struct scsi_task *task, struct scsi_answer *answer)

/* ---- unit attentions: attention.c, in the order they are reported ---- */

enum attention {
	ATTENTION_FIRST, /* of a new nexus; there were no tasks it ended */
	ATTENTION_POWER_ON,
	ATTENTION_BUS_RESET,
	ATTENTION_DEVICE_RESET,
	ATTENTION_NEXUS_LOSS,
	ATTENTION_COMMANDS_CLEARED,
	ATTENTION_RESERVATIONS_PREEMPTED,
	ATTENTION_REGISTRATIONS_PREEMPTED,
	ATTENTION_RESERVATIONS_RELEASED,
	ATTENTION_ACCESS,
	ATTENTION_CAPACITY,
	ATTENTION_MODE,
	ATTENTION_INQUIRY,
	ATTENTION_LUNS,
	ATTENTION_THRESHOLD,
	ATTENTION_THRESHOLD_USED,
	ATTENTION_COUNT,
};

/* What RECEIVE COPY RESULTS tells of a third-party copy (copy_result.c). */
struct copy_result {
	enum copy_state {
		COPY_UNUSED,
		COPY_RUNNING,
		COPY_DONE,
		COPY_DONE_PARTIAL,  /* the token had more */
		COPY_DONE_RESIDUAL, /* the token had less */
		COPY_FAILED,
		COPY_GIVEN_UP, /* by COPY OPERATION ABORT */
	} state;
	uint32_t list_id;
	uint8_t action; /* service action of the command */
	bool background;
	bool give_up;            /* after the piece in flight */
	struct scsi_task *task;  /* NULL: it does not go by pieces */
	enum copy_state if_good; /* what it is when it ends well */
	uint16_t segments;
	uint64_t bytes;
	uint64_t token_id; /* of POPULATE TOKEN; 0: none */
	uint8_t command_status, sense_length;
	uint8_t sense[SENSE_DATA_MAX];
	uint64_t age;
};

#define COPY_RESULTS 8u

/* buffer.c: what the nexus wrote to its echo buffer; NULL: nothing yet. */
struct scsi_echo {
	uint8_t *data;
	uint32_t length;
};

struct scsi_mapping {
	struct scsi_nexus *nexus;
	struct lun *lun;
	unsigned number;
	bool read_only;
	struct list link;         /* lun->mappings */
	struct list closing_link; /* nexus->closing_mappings */
	uint32_t attentions;      /* bit per enum attention */
	int registration;         /* index in the registry, or -1 */
	bool may_all;             /* no reservation is in its way */
	unsigned task_count;      /* and copies that use it */
	struct copy_result copies[COPY_RESULTS];
	uint64_t copies_begun;
	struct scsi_echo echo;
	bool closing;
	void (*done)(void *arg);
	void *arg;
	struct loop_task later;
};

#define NEXUS_MAGIC 0x0e0512e5u

struct scsi_nexus {
	uint32_t magic;
	struct loop *loop;
	char initiator_port[256], target_port[256], target_name[224];
	uint16_t relative_port;
	struct scsi_mapping **mappings; /* by number */
	unsigned mapping_slots;
	unsigned mapping_count;       /* in mappings[] */
	struct list closing_mappings; /* no longer in it, with tasks left */
	struct list orphans;          /* tasks for LUNs that are not there */
	unsigned tmf_count;           /* that have not called done yet */
	struct latency latency;
	bool is_shared, closing;
	void (*done)(void *arg);
	void *arg;
	struct loop_task later;
};

/* One of thin provisioning: see threshold.c. */
#define LUN_THRESHOLDS 2
struct lun_threshold {
	uint32_t count;    /* threshold sets */
	bool enabled, own; /* not own: the pool's, or none */
	uint8_t unused[2]; /* zero, so that memcmp compares */
};

/* What MODE SELECT changes. */
struct lun_mode {
	bool write_cache;         /* WCE */
	bool d_sense;             /* D_SENSE */
	bool software_protect;    /* SWP */
	bool task_aborted_status; /* TAS */
	bool tells_thresholds;    /* LBPERE, of a thin unit */
	uint8_t unused[3];        /* zero, so that memcmp compares */
	struct lun_threshold threshold[LUN_THRESHOLDS];
};
static_assert(sizeof(struct lun_mode) == 8 + 8 * LUN_THRESHOLDS, "no holes");

/* alua.c */
struct lun_port_group {
	uint16_t tag;
	enum port_access given;     /* by the administrator */
	enum port_access access;    /* in effect */
	struct alua_keep *changing; /* who keeps it: transitioning till then */
	enum {                      /* SPC-4 table 308, STATUS CODE */
		STATUS_NONE,
		STATUS_EXPLICIT,
		STATUS_IMPLICIT,
	} status;
};
struct lun_ports {
	unsigned count;
	bool all_active; /* nothing has to be looked at */
	struct lun_port_group list[PORT_GROUPS_MAX];
};

/* sanitize.c */
struct lun_sanitize {
	enum sanitize_state {
		SANITIZE_NONE,
		SANITIZE_RUNNING,
		SANITIZE_FAILED, /* until it succeeds, or is given up */
	} state,
	    before;               /* the last one that was asked for */
	bool exits, exits_before; /* AUSE */
	bool keeping;             /* the keeper has been asked */
	struct scsi_task *task;   /* that waits for it, or NULL */
	uint8_t action;
	bool invert, immediate;
	unsigned pass, passes;
	uint64_t cursor;
	unsigned percent;       /* of the time */
	uint64_t began_ns;      /* the step */
	struct loop_timer rest; /* after it */
	uint8_t *pattern;       /* PATTERN bytes of it */
	struct bs_io io;
	struct iovec iov[SCSI_TASK_IOV_MAX];
	struct bs_extent extent;
};

/* throttle.c */
struct throttle {
	bool on;
	struct lun_limits limits;
	struct token_bucket commands, bytes;
	uint64_t filled_ns;
	struct list waiting; /* tasks, the next one first */
	uint64_t held_bytes; /* of Data-Out, of commands that owe */
	struct loop_timer timer;
};

/* What INQUIRY says of it.  Zeroed before it is filled in, so that two are
 * equal when their bytes are. */
struct lun_identity {
	char serial[LUN_SERIAL_MAX + 1], vendor[9], product[17], revision[5];
	uint16_t rotation;
};

#define LUN_MAGIC     0x10610610u
#define LUN_TASKS_MAX 4096

struct lun {
	uint32_t magic;
	struct backstore *bs;
	struct loop *loop;
	unsigned block_shift;
	uint8_t naa[8];
	struct lun_identity identity;
	char label[256];
	bool read_only;
	struct lun_mode mode, mode_default, mode_saved;
	struct mode_keep *mode_saving;       /* one MODE SELECT at a time */
	bool threshold_told[LUN_THRESHOLDS]; /* since it was reached */
	/* the pool's, as initiators last read them */
	struct lun_threshold threshold_shown[LUN_THRESHOLDS];
	struct lun_ports ports;
	bool stopped;
	struct scsi_mapping *reserved_by; /* RESERVE(6), RESERVE(10) */

	/* persist.c */
	struct registry *registry;
	struct list registry_changes; /* the first is being made */
	struct list registry_aborts;  /* made; wait for tasks to end */
	struct loop_task registry_turn;

	struct throttle throttle;
	struct list tasks; /* oldest first; HEAD OF QUEUE before all */
	unsigned task_count;
	unsigned barriers; /* ORDERED and HEAD OF QUEUE in the set */
	unsigned dormant;  /* executing, but not allowed to run yet */
	uint64_t idle_ns, idle_since_ns; /* without a task; the last time */
	struct list aborting;            /* by abort_ticket */
	struct list tmfs;                /* that wait for those */
	struct list mappings;
	unsigned mapping_count;

	const struct lun_keeper *keeper;
	void *keeper_arg;
	struct lun_sanitize sanitize;

	struct copy_manager *manager;    /* NULL: no tokens */
	struct compare_memory *compares; /* NULL: none */
	struct list tokens;   /* of data of this unit, oldest first */
	unsigned token_users; /* copies that read by one */
	bool changing;        /* see lun_data_changing */
	unsigned copy_pieces; /* of copies, being read or written */
	bool copies_first;    /* it is their turn: ordering.c */
	struct list copies;   /* that wait for what has to be alone */

	struct bs_io flush; /* of SYNCHRONIZE CACHE with IMMED, and resets */
	bool flush_again;   /* what is wanted came after it began */
	uint64_t flush_begun, flush_done; /* so many */
	uint64_t flush_wanted;            /* by the last reset, as flush_done */

	uint8_t *buffer; /* of WRITE BUFFER; NULL: nobody wrote it yet */

	struct lun_stat stat;
	struct latency latency;
	unsigned settings; /* being made */
	bool closing;
	void (*done)(void *arg);
	void *arg;
	struct loop_task later;
};

static inline bool
lun_keeps_registry(const struct lun *lun)
{
	return lun->keeper != NULL && lun->keeper->registry != NULL;
}

static inline bool
lun_saves(const struct lun *lun)
{
	return lun->keeper != NULL && lun->keeper->saved != NULL;
}

static inline bool
lun_sanitizes(const struct lun *lun)
{
	return lun->keeper != NULL && lun->keeper->sanitizing != NULL;
}

static inline uint64_t
smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t
lun_blocks(const struct lun *lun)
{
	return lun->bs->size >> lun->block_shift;
}

void lun_close_check(struct lun *lun);
/* The one way to the unit's store: tokens must know of what changes. */
void lun_submit(struct lun *lun, struct bs_io *io);
/* False: something does not fit its field. */
bool lun_identify(
    struct lun_identity *identity, const struct lun_params *params);
void lun_reset(struct lun *lun);
void lun_flush_in_background(struct lun *lun);
/* A reset has put the cache off, and not all of it is on the medium yet. */
bool lun_reset_is_flushing(const struct lun *lun);
/* May the initiator not write there?  And why. */
bool mapping_is_protected(
    const struct scsi_mapping *mapping, struct scsi_sense *ret);

void attention_set(struct scsi_mapping *mapping, enum attention kind);
void attention_set_lun(
    struct lun *lun, enum attention kind, const struct scsi_mapping *except);
/* Takes the first one, which the task reports; false: none pending. */
bool attention_take(struct scsi_task *task, struct scsi_sense *ret_sense);
/* How many are pending, and the first one. */
unsigned attention_peek(
    const struct scsi_mapping *mapping, struct scsi_sense *ret_sense);
void attention_clear_nexus(struct scsi_nexus *nexus, enum attention kind);

/* ---- nexus.c ---- */

/* -1: not a LUN number we know a form of */
int lun_number_decode(const uint8_t field[8]);
void lun_number_encode(unsigned number, uint8_t field[8]);
struct scsi_mapping *nexus_mapping(
    const struct scsi_nexus *nexus, const uint8_t lun_field[8]);
void mapping_close_check(struct scsi_mapping *mapping);
void nexus_close_check(struct scsi_nexus *nexus);

/* ---- ordering.c ---- */

void task_set_enter(struct scsi_task *task);
void task_set_leave(struct scsi_task *task);
/* May the task run?  If not it is dormant, and scsi_task_start follows. */
bool task_set_may_run(struct scsi_task *task);

/* A piece of the copy is about to be read from the unit or written to it.
 * False: something has to be alone there first; copy_move_resume follows, and
 * says whether it has begun. */
bool task_set_copy_begin(struct lun *lun, struct scsi_task *copy);
/* It was. */
void task_set_copy_end(struct lun *lun);
/* It waits no longer, having begun or not. */
void task_set_copy_resume(struct scsi_task *copy, bool begun);
/* From now on nobody waits for all of it. */
void task_set_go_by_pieces(struct scsi_task *task);
/* copy_move.c */
void copy_move_resume(struct scsi_task *copy, bool entered);
/* Something has happened that it has to look at, wherever it waits. */
void copy_move_wake(struct scsi_task *copy);

/* What the task had to be alone for is done: others may run beside it. */
void task_set_yield(struct scsi_task *task);

/* ---- throttle.c ---- */

void throttle_init(struct lun *lun);
/* False: it has Data-Out that would have to wait, while enough does. */
bool throttle_admits(struct scsi_task *task);
/* Must it wait for the limits of its LUN?  Then scsi_task_enable follows. */
bool throttle_holds(struct scsi_task *task);
/* Its buffers count no longer among those that wait. */
void throttle_release(struct scsi_task *task);
/* It waits no longer.  A command will not run, a copy looks why. */
void throttle_forget(struct scsi_task *task);
/* Must the piece wait for the limits of this unit?  Then copy_move_paid
 * follows. */
bool throttle_holds_piece(
    struct lun *lun, struct scsi_task *task, uint64_t bytes);
/* To look whether they may go on. */
void throttle_wake_copies(struct lun *lun);
void copy_move_paid(struct scsi_task *task, bool paid); /* copy_move.c */

/* ---- sanitize.c ---- */

/* May the command not be, because the unit is being sanitized or that has
 * failed? */
bool sanitize_refuses(const struct lun *lun, const struct scsi_op *op,
    struct scsi_sense *ret_sense);
/* The task waits for it no longer. */
void sanitize_forget(struct scsi_task *task);
bool sanitize_is_busy(const struct lun *lun);
/* The unit is closing. */
void sanitize_stop(struct lun *lun);

/* ---- tmf.c ---- */

enum abort_manner {
	ABORT_SILENTLY,    /* the nexus asked itself, or is gone */
	ABORT_WITH_STATUS, /* TASK ABORTED */
};
/* A ticket for the tasks that are aborted from now on. */
uint64_t abort_ticket(void);
void abort_task(
    struct scsi_task *task, enum abort_manner manner, uint64_t ticket);
void abort_mapping(struct scsi_mapping *mapping, uint64_t ticket);
/* PREEMPT AND ABORT: all of the mapping but the command that asks for it. */
void abort_preempted(struct scsi_mapping *mapping,
    const struct scsi_task *except, uint64_t ticket);
/* Is a task being aborted by this ticket, or an earlier one? */
bool lun_aborts(const struct lun *lun, uint64_t ticket);
/* A task of this LUN has ended that was being aborted. */
void tmf_check(struct lun *lun);

/* ---- persist.c: changes of the registry ---- */

/* One change, from its turn to its end.
 *
 *	queued    others are before it
 *	begin     its turn: fills in what is to be, then calls
 *	          registry_change_make, or registry_change_leave: no change
 *	keeping   on its way to the keeper, if it has to outlive a power loss
 *	made      what is to be is; others hear of it; tasks are aborted
 *	end       called once they are gone, or with -errno: nothing was made
 */
struct registry_change {
	struct list link;
	struct lun *lun;
	struct scsi_task *task; /* whose command it is; NULL: none */
	void (*begin)(struct registry_change *change);
	void (*end)(struct registry_change *change, int result);
	void *arg;
	/* what is to be: begin's */
	struct registry *next;
	enum attention lost; /* for who loses a registration; COUNT: none */
	bool released;       /* others who stay hear that */
	bool abort;          /* the tasks of those who lose theirs */
	/* persist.c's */
	const struct scsi_mapping *by;
	struct lun_keep keep;
	uint64_t ticket;
};

/* NULL: no memory. */
struct registry_change *registry_change_new(
    struct lun *lun, struct scsi_task *task);
void registry_change_free(struct registry_change *change);
/* Its begin is called from inside, or from the loop. */
void registry_change_start(struct registry_change *change);
void registry_change_make(struct registry_change *change);
void registry_change_leave(struct registry_change *change);
/* The task is being aborted and its change not begun: it is gone. */
void registry_change_cancel(struct scsi_task *task);
/* Tasks have ended that a change may have waited for. */
void registry_check_aborts(struct lun *lun);
/* The mapping is new. */
void registry_see(struct scsi_mapping *mapping);

/* ---- reserve.c ---- */

bool reserve_conflicts(const struct scsi_task *task);
/* Does any reservation keep the nexus from reading, or writing, the medium? */
bool reserve_keeps(const struct scsi_mapping *mapping, bool write);

/* ---- dispatch.c ---- */

/* Good: task->op is set, and the command may begin.  Else status and sense. */
enum scsi_status scsi_dispatch(
    struct scsi_task *task, struct scsi_sense *ret_sense);

struct scsi_sense scsi_invalid_cdb(unsigned byte, int bit);
struct scsi_sense scsi_invalid_parameter(unsigned byte, int bit);

/* ---- task.c, task_io.c: for handlers ---- */

void task_put_buffers(struct scsi_task *task);

/* Runs the task as soon as the task set lets it; only from the loop or execute.
 */
void scsi_task_enable(struct scsi_task *task);
/* Runs or goes on with the task; only from the loop or execute. */
void scsi_task_start(struct scsi_task *task);
void scsi_task_start_later(struct scsi_task *task);

/* IMMED: the command is answered with GOOD, what it asked for goes on as a task
 * of the same nexus that no carrier knows, with the second buffer of the first.
 * NULL: no memory, and the command ended with BUSY.  Data-Out stays with the
 * first. */
struct scsi_task *scsi_task_go_on_alone(struct scsi_task *task);

/* The command is over; sense NULL means GOOD. */
void scsi_task_end(struct scsi_task *task, const struct scsi_sense *sense);
void scsi_task_end_good(struct scsi_task *task);
void scsi_task_end_status(struct scsi_task *task, enum scsi_status status);

/* Submits task->io, filled in after scsi_task_io; next follows, unless it
 * fails or the task is aborted: then the task ends. */
struct bs_io *scsi_task_io(
    struct scsi_task *task, enum bs_op op, uint64_t offset, uint64_t length);
void scsi_task_submit(
    struct scsi_task *task, void (*next)(struct scsi_task *task));
/* The same for a FLUSH, left out where the store has no volatile cache. */
void scsi_task_flush(
    struct scsi_task *task, void (*next)(struct scsi_task *task));

/* Gets the second buffer, then calls next, at once or when there is one. */
void scsi_task_side(struct scsi_task *task, size_t length,
    void (*next)(struct scsi_task *task));
/* Gets buffers for Data-In into iov, then calls next. */
void scsi_task_in_buffers(struct scsi_task *task, uint64_t length,
    void (*next)(struct scsi_task *task));

/* Of a check: that much of Data-Out is the parameter list, and comes. */
struct scsi_sense scsi_task_want_list(struct scsi_task *task, uint32_t length);
/* Data-Out, data_length bytes of it, to one piece of memory. */
void scsi_task_gather(const struct scsi_task *task, void *to);
/* The parameter list of an OP_PARAMETERS command, in one piece. */
const uint8_t *scsi_task_parameters(const struct scsi_task *task);

/* Data-In of length bytes, cut to the CDB's ALLOCATION LENGTH. */
void scsi_task_set_in(struct scsi_task *task, uint64_t length);
/* Copies an answer in the side buffer to where Data-In goes. */
void scsi_task_answer(struct scsi_task *task, size_t from, size_t length);

static inline uint64_t
task_offset(const struct scsi_task *task, uint64_t block)
{
	return block << task->lun->block_shift;
}

static inline bool
task_is_executing(const struct scsi_task *task)
{
	return task->phase == SCSI_TASK_EXECUTING;
}

/* ---- alua.c ---- */

/* Is the port by which it comes in no state for the command (NULL: for the
 * medium), and why? */
bool access_refuses(const struct scsi_mapping *mapping,
    const struct scsi_op *op, struct scsi_sense *ret_sense);

/* ---- threshold.c ---- */

/* A command that writes has ended: was a threshold reached by it? */
void threshold_look(struct lun *lun);
/* An initiator reads the mode pages. */
void threshold_show(struct lun *lun);

/* ---- sbc.c: shared by the block commands ---- */

/* Fills lba and block_count from a CDB of the common layout and checks the
 * range; *ret_count_at: where the CDB has the count, for field pointers. */
struct scsi_sense sbc_range(struct scsi_task *task, unsigned *ret_count_at);

struct lba_range {
	struct be64 lba;
	struct be32 block_count;
	uint8_t reserved[4];
};
static_assert(sizeof(struct lba_range) == 16, "SBC-3 tables 31 and 98");

bool sbc_range_ok(const struct lun *lun, uint64_t lba, uint64_t count);

/* Data-Out is block_count blocks, or what the initiator sends of them. */
struct scsi_sense sbc_check_out(struct scsi_task *task);

/* Must this write be durable when it completes? */
bool sbc_fua(const struct scsi_task *task);

/* Compares blocks from task->lba on with Data-Out; then, if they are equal. */
void sbc_compare(struct scsi_task *task, void (*then)(struct scsi_task *task));
/* After that: the same blocks with Data-Out from there on. */
void sbc_compare_again(struct scsi_task *task, uint64_t from,
    void (*then)(struct scsi_task *task));
/* COMPARE AND WRITE; false: it is a MISCOMPARE at *at. */
bool sbc_differs(struct scsi_task *task, uint64_t *at);
/* Moves length bytes between iov and the medium at lba, then calls after. */
void sbc_transfer(struct scsi_task *task, enum bs_op op, uint64_t length,
    bool fua, void (*after)(struct scsi_task *task));

#endif
