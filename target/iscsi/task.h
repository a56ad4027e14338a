/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A SCSI command on a connection, from its first PDU to the last.
 *
 *	state      what is going on
 *	FREE       in the session's free list
 *	RECEIVING  its command PDU is not wholly in
 *	BUFFERS    waits for buffers (a place in conn->buffer_queue)
 *	DATA       Data-Out comes, unsolicited or asked for by R2T
 *	EXECUTING  scsi has it
 *	RESPONDING Data-In and status are queued or being sent
 */
#ifndef TARGET_ISCSI_TASK_H
#define TARGET_ISCSI_TASK_H

#include "target/iscsi/session.h"

enum iscsi_task_state {
	ISCSI_TASK_FREE,
	ISCSI_TASK_RECEIVING,
	ISCSI_TASK_BUFFERS,
	ISCSI_TASK_DATA,
	ISCSI_TASK_EXECUTING,
	ISCSI_TASK_RESPONDING,
};

struct iscsi_task {
	struct scsi_task scsi;
	struct iscsi_conn *conn;
	struct iscsi_out out;
	struct list link; /* conn->tasks */
	struct list wait; /* conn->buffer_queue */
	union {
		struct iscsi_task *free_next;
		uint16_t hash_next; /* slot + 1 */
	};
	enum iscsi_task_state state;
	uint32_t itt, expected_length;
	bool read, write, immediate;
	bool counted;                   /* in session->open */
	bool stalled;                   /* the connection waits with it */
	bool refused;                   /* TASK SET FULL, by us */
	bool awaiting;                  /* in conn->awaiting */
	bool abort_asked;               /* as its connection goes */
	const struct scsi_sense *fault; /* why it will fail, by us */
	uint64_t held;                  /* bytes counted in conn->data_bytes */

	/* Data-Out */
	bool unsolicited;        /* more comes without being asked for */
	uint32_t received;       /* offset of the next Data-Out */
	uint32_t datasn;         /* its number, in this burst */
	uint32_t solicited_from; /* offset of the first burst */
	uint32_t burst_count, burst_now, burst_sent; /* R2Ts */

	/* Data-In */
	uint32_t in_sent, in_burst, in_datasn;
	bool status_sent;        /* with the last Data-In */
	uint8_t sense_header[2]; /* SenseLength as sent */
};

/* ---- task.c: life ---- */

/* A free task of the session; NULL: none (too many immediate commands). */
struct iscsi_task *iscsi_task_new(
    struct iscsi_conn *conn, uint32_t itt, bool immediate);
/* Gives everything back. */
void iscsi_task_free(struct iscsi_task *task);
struct iscsi_task *iscsi_task_find(struct iscsi_session *session, uint32_t itt);
/* -ENOMEM */
int iscsi_tasks_init(struct iscsi_session *session);

/* scsi is to work on it. */
void iscsi_task_execute(struct iscsi_task *task);
/* Ends it here, by a status (and sense, or NULL) instead of execution. */
void iscsi_task_fail(struct iscsi_task *task, enum scsi_status status,
    const struct scsi_sense *sense);
/* scsi is through with it: its status is sent, in its place among others. */
void iscsi_task_answer(struct iscsi_task *task);
/* Its status is known: sends it. */
void iscsi_task_respond(struct iscsi_task *task);
/* Its status is in the batch: the window moves on. */
void iscsi_task_uncount(struct iscsi_task *task);
/* The connection is closing, or logged out: abandons all that scsi does not
 * work on; while it is open, not what is coming in right now. */
void iscsi_tasks_abandon(struct iscsi_conn *conn);
/* ... and stops what scsi works on, but the session goes on. */
void iscsi_tasks_abort(struct iscsi_conn *conn);
/* ... and those task management hit before they executed. */
void iscsi_tasks_abandon_aborted(struct iscsi_conn *conn);

extern const struct scsi_sense iscsi_sense_crc;
extern const struct scsi_sense iscsi_sense_unexpected_data;
extern const struct scsi_sense iscsi_sense_wrong_amount;

/* ---- command.c ---- */

int iscsi_command_header(struct iscsi_conn *conn, const uint8_t *ahs);
void iscsi_command_body(struct iscsi_conn *conn);
void iscsi_command_bad_data(struct iscsi_conn *conn);
/* The task the connection is stalled with has its buffers. */
void iscsi_command_unstall(struct iscsi_task *task);

/* ---- buffers.c: who may have how much ---- */

void iscsi_buffers_init(struct iscsi_conn *conn);
/* Buffers for the Data-Out of a task whose data is already on its way.  0;
 * -EAGAIN: the connection has to wait; -EBUSY: it must not wait, refuse. */
int iscsi_buffers_now(struct iscsi_task *task);
/* Buffers for Data-Out that is to be asked for, or the right to read: the task
 * goes on with it at once or when there are some. */
void iscsi_buffers_later(struct iscsi_task *task);
void iscsi_buffers_release(struct iscsi_task *task);
void iscsi_buffers_forget(struct iscsi_conn *conn);
/* A task of the reactor has left its unit: others need not wait for it. */
void iscsi_buffers_look(struct iscsi_reactor *reactor);
/* Data-Out of it is not awaited any more. */
void iscsi_buffers_filled(struct iscsi_task *task);

/* ---- data_out.c ---- */

int iscsi_data_out_header(struct iscsi_conn *conn, const uint8_t *ahs);
void iscsi_data_out_body(struct iscsi_conn *conn);
void iscsi_data_out_bad_data(struct iscsi_conn *conn);
/* What came with the command is in; asks for the rest or executes. */
void iscsi_data_out_go_on(struct iscsi_task *task);
enum iscsi_built iscsi_r2t_build(
    struct iscsi_conn *conn, struct iscsi_task *task);
unsigned iscsi_task_slot(const struct iscsi_task *task);

/* ---- data_in.c ---- */

enum iscsi_built iscsi_response_build(
    struct iscsi_conn *conn, struct iscsi_task *task);

#endif
