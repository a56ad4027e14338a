/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A SCSI task (SAM-5 3.1): one command on its way from a carrier to a logical
 * unit and back.  The carrier owns the memory of the task; nothing is allocated
 * on the way.
 *
 *   phase       owner    legal
 *   idle        carrier  fill in the request; scsi_task_begin
 *   begun       carrier  (begin returned true) receive data_length bytes of
 *                        Data-Out into the buffers; scsi_task_execute; or give
 *                        up with scsi_task_drop
 *   executing   scsi     abort through scsi_tmf only
 *   completed   carrier  (complete was called) read status, sense, Data-In;
 *                        send; scsi_task_release; then idle
 *
 * A command that is refused at once (no such LUN, reserved bits, unit
 * attention ...) makes begin return false: the task is completed without
 * complete() being called, and Data-Out need not be solicited.
 */
#ifndef TARGET_SCSI_TASK_H
#define TARGET_SCSI_TASK_H

#include "backstores/backstore.h"
#include "base/buf.h"
#include "target/scsi/sense.h"

#define SCSI_TASK_MAGIC 0x5c51a5c1u
#define SCSI_CDB_MAX    32

/* The most one command moves; VPD B0 says so to initiators. */
#define SCSI_TRANSFER_MAX (8u << 20)
#define SCSI_TASK_IOV_MAX 16

/* RFC 7143 11.3.1 and SAM-5 8.6: in the coding of iSCSI's ATTR field */
enum scsi_attribute {
	SCSI_UNTAGGED,
	SCSI_SIMPLE,
	SCSI_ORDERED,
	SCSI_HEAD_OF_QUEUE,
	SCSI_ACA,
};

enum scsi_task_phase {
	SCSI_TASK_IDLE,
	SCSI_TASK_BEGUN,
	SCSI_TASK_EXECUTING,
	SCSI_TASK_COMPLETED,
};

struct lun;
struct scsi_nexus;
struct scsi_mapping;
struct scsi_op;

struct scsi_task {
	uint32_t magic;
	enum scsi_task_phase phase; /* scsi's */

	/* ---- request, filled in by the carrier ---- */
	struct scsi_nexus *nexus;
	uint8_t lun_field[8];      /* as on the wire, SAM-5 4.7 */
	uint8_t cdb[SCSI_CDB_MAX]; /* zero padded */
	uint8_t cdb_length;        /* as received */
	enum scsi_attribute attribute;
	uint64_t tag;          /* the carrier's; for ABORT TASK */
	uint64_t expected_out; /* bytes the initiator will send */
	uint64_t expected_in;  /* bytes the initiator will take */
	void (*complete)(struct scsi_task *task);

	/* ---- decided by begin ---- */
	const struct scsi_op *op;
	uint64_t data_length; /* bytes of Data-Out the command uses: what the
				 carrier must deliver; at most expected_out
				 (the carrier reports the residual) */
	uint64_t out_full;    /* what it would be without the limit of
				 expected_out: for the overflow residual */

	/* ---- data: Data-Out before execute, Data-In after complete ----
	 * Buffers from the loop's pool (scsi_task_buffers), or, with
	 * borrowed set, memory of the carrier (TCMU's data area). */
	struct iovec iov[SCSI_TASK_IOV_MAX];
	unsigned iov_count;
	bool borrowed;
	uint64_t in_length; /* bytes of Data-In to send from iov */
	uint64_t in_full;   /* what it would be without the limit of
			       expected_in: for the overflow residual */

	/* ---- outcome ---- */
	enum scsi_status status;
	uint8_t sense[SENSE_DATA_MAX];
	uint8_t sense_length;
	bool aborted;     /* by task management: SAM says no status is
			     sent; the carrier just releases */
	bool ends_others; /* it tells that other tasks have ended, and so
			     must not overtake what there is to say of
			     them */
	struct compare_slot *compare; /* forgotten after complete(): by then
					 its answer should be out */

	/* ---- scsi's, from begin to complete ---- */
	struct loop *loop;
	struct lun *lun; /* NULL: no logical unit there, or the task left
			    the task set */
	struct scsi_mapping *mapping;
	struct list link;       /* in the LUN's task set, oldest first */
	struct list abort_link; /* among the tasks being aborted */
	uint64_t abort_ticket;
	enum scsi_status abort_status; /* TASK ABORTED: to be sent; else none */
	bool aborting, detached, dormant, waiting, starting;
	bool queued;    /* for its turn to change the registry */
	bool yielded;   /* need not be alone any more */
	bool resting;   /* waits for what its LUN does by itself */
	bool alone;     /* goes on after its command was answered */
	bool by_pieces; /* a copy that is under way */
	bool paused;    /* ... and waits for its unit before a piece */
	struct lun *pause_lun;
	bool wrote_cached; /* what it wrote may be in the cache only */
	struct list pause_link;
	bool throttled;           /* waits for its LUN's limits */
	struct {                  /* throttle.c */
		struct list link; /* among those that wait */
		struct lun *lun;  /* where; NULL: nowhere */
		uint64_t bytes;   /* to be charged there */
		uint64_t held;    /* of buffers, while it owes */
		bool paid;
	} turn;
	void (*next)(struct scsi_task *task);  /* after this I/O */
	void (*after)(struct scsi_task *task); /* after the whole transfer */
	struct iovec piece[SCSI_TASK_IOV_MAX]; /* the part in flight */
	struct bs_io io;
	uint64_t lba, block_count;
	uint64_t cursor; /* of commands that work in steps */
	unsigned step;
	void *side; /* second buffer of VERIFY and friends */
	size_t side_length;
	uint64_t compare_from; /* in Data-Out, what is compared */
	uint64_t differs_at;
	uint64_t wanted; /* bytes of the buffers it waits for */
	struct buf_waiter waiter;
	struct loop_task later;
	uint64_t arrived_ns;
};

void scsi_task_init(struct scsi_task *task); /* idle; clears the request */

/* Is there a reason to refuse the command (dispatch.c)?  False: there is, it is
 * completed, with status and sense.  True: it has begun, also if it brings no
 * Data-Out: data_length is 0 then. */
bool scsi_task_begin(struct scsi_task *task);

/* Buffers for length bytes (at most SCSI_TRANSFER_MAX) into iov, all or
 * nothing: 0, or -ENOMEM (wait with buf_wait). */
int scsi_task_buffers(struct scsi_task *task, uint64_t length);

/* All of data_length is in iov.  complete() follows, exactly once, never from
 * inside the call.
 *
 * Memory the carrier lends (borrowed) has elements that are multiples of the
 * LUN's block size at addresses that are multiples of its backstore's
 * mem_align where the command reads or writes blocks; for Data-In it is at
 * least expected_in bytes.  A command that reads more than that has buffers of
 * its own: borrowed is off at its end, and the carrier copies.
 *
 * A task that task management hits while it is begun leaves the task set at
 * once and gets aborted set (or, by another nexus under TAS, will end with
 * TASK ABORTED): drop it, or execute it to have it completed so.
 */
void scsi_task_execute(struct scsi_task *task);

/* Would it, executed now, have to wait for the end of others? */
bool scsi_task_is_blocked(const struct scsi_task *task);

/* A begun task that will not be executed (its connection died): gives the
 * buffers back; the task is idle again. */
void scsi_task_drop(struct scsi_task *task);

/* Gives the buffers back; the task is idle again.  The nexus and the LUN may be
 * gone by then, the loop not. */
void scsi_task_release(struct scsi_task *task);

#endif
