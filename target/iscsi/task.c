/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Life of a SCSI command: memory from the session's fixed stock, found by its
 * initiator task tag, given to scsi, answered, given back.
 */
#include "target/iscsi/task.h"
#include "target/iscsi/fence.h"
#include <errno.h>
#include <stdlib.h>

/* RFC 7143 11.4.7.2: "iSCSI condition" */
const struct scsi_sense iscsi_sense_crc = {
    .key = 0x0b, .asc = 0x47, .ascq = 0x05};
const struct scsi_sense iscsi_sense_unexpected_data = {
    .key = 0x0b, .asc = 0x0c, .ascq = 0x0c};
const struct scsi_sense iscsi_sense_wrong_amount = {
    .key = 0x0b, .asc = 0x0c, .ascq = 0x0d};

static void task_complete(struct scsi_task *scsi);
static enum iscsi_built task_build(
    struct iscsi_conn *conn, struct iscsi_out *out);
static void task_out_done(struct iscsi_conn *conn, struct iscsi_out *out);

/*
 * A window full of commands may be open while others, as many for each
 * connection, whose answers are in the batch being sent, have not come back
 * from the ring.
 */
int
iscsi_tasks_init(struct iscsi_session *session)
{
	const unsigned slots =
	    (ISCSI_PARAM(&session->params, MaxConnections) + 1) *
		session->window +
	    ISCSI_IMMEDIATE_SLOTS;

	session->tasks = calloc(slots, sizeof(*session->tasks));
	if (session->tasks == NULL)
		return -ENOMEM;
	session->task_slots = slots;
	return 0;
}

unsigned
iscsi_task_slot(const struct iscsi_task *task)
{
	return (unsigned)(task - task->conn->session->tasks);
}

/* ---- By tag ---- */

static uint16_t *
hash_bucket(struct iscsi_session *session, uint32_t itt)
{
	const uint32_t mixed = itt * 2654435761u; /* Knuth 6.4 */

	return &session->hash[mixed >> 24 & (ISCSI_HASH_SLOTS - 1)];
}

static void
hash_add(struct iscsi_session *session, struct iscsi_task *task)
{
	uint16_t *bucket = hash_bucket(session, task->itt);

	task->hash_next = *bucket;
	*bucket = (uint16_t)(iscsi_task_slot(task) + 1);
}

static void
hash_remove(struct iscsi_session *session, struct iscsi_task *task)
{
	const unsigned slot = iscsi_task_slot(task);
	uint16_t *at = hash_bucket(session, task->itt);

	while (*at != slot + 1) {
		assert(*at != 0);
		at = &session->tasks[*at - 1].hash_next;
	}
	*at = task->hash_next;
}

struct iscsi_task *
iscsi_task_find(struct iscsi_session *session, uint32_t itt)
{
	unsigned at = *hash_bucket(session, itt);

	while (at != 0) {
		struct iscsi_task *task = &session->tasks[at - 1];
		if (task->itt == itt)
			return task;
		at = task->hash_next;
	}
	return NULL;
}

/* ---- Stock ---- */

/* Slots never used before are not touched, so they cost no memory. */
static struct iscsi_task *
stock_take(struct iscsi_session *session)
{
	struct iscsi_task *task = session->task_free;

	if (task != NULL) {
		session->task_free = task->free_next;
		return task;
	}
	if (session->task_used == session->task_slots)
		return NULL;
	task = &session->tasks[session->task_used++];
	scsi_task_init(&task->scsi);
	list_init(&task->link);
	list_init(&task->wait);
	list_init(&task->out.link);
	task->out.build = task_build;
	task->out.done = task_out_done;
	return task;
}

static void
task_clear(struct iscsi_task *task)
{
	task->counted = task->stalled = false;
	task->refused = task->awaiting = task->abort_asked = false;
	task->unsolicited = task->status_sent = false;
	task->fault = NULL;
	task->held = 0;
	task->received = task->datasn = task->solicited_from = 0;
	task->burst_count = task->burst_now = task->burst_sent = 0;
	task->in_sent = task->in_burst = task->in_datasn = 0;
}

struct iscsi_task *
iscsi_task_new(struct iscsi_conn *conn, uint32_t itt, bool immediate)
{
	struct iscsi_session *session = conn->session;
	struct iscsi_task *task;

	if (immediate && session->immediate_open == ISCSI_IMMEDIATE_SLOTS)
		return NULL;
	task = stock_take(session);
	if (task == NULL)
		return NULL;
	task_clear(task);
	task->conn = conn;
	task->itt = itt;
	task->immediate = immediate;
	task->state = ISCSI_TASK_RECEIVING;
	task->scsi.complete = task_complete;
	session->immediate_open += immediate;
	conn->task_count++;
	list_add_tail(&conn->tasks, &task->link);
	hash_add(session, task);
	return task;
}

void
iscsi_task_uncount(struct iscsi_task *task)
{
	struct iscsi_session *session = task->conn->session;

	if (!task->counted)
		return;
	task->counted = false;
	assert(session->open > 0);
	session->open--;
}

static void
task_let_scsi_go(struct iscsi_task *task)
{
	assert(task->scsi.phase != SCSI_TASK_EXECUTING);
	if (task->scsi.phase == SCSI_TASK_BEGUN)
		scsi_task_drop(&task->scsi);
	else if (task->scsi.phase == SCSI_TASK_COMPLETED)
		scsi_task_release(&task->scsi);
	iscsi_buffers_look(task->conn->session->reactor);
}

void
iscsi_task_free(struct iscsi_task *task)
{
	struct iscsi_conn *conn = task->conn;
	struct iscsi_session *session = conn->session;

	assert(task->state != ISCSI_TASK_FREE);
	hash_remove(session, task);
	list_del(&task->link);
	list_del(&task->wait);
	list_del(&task->out.link);
	iscsi_task_uncount(task);
	iscsi_buffers_filled(task);
	task_let_scsi_go(task);
	iscsi_buffers_release(task);
	session->immediate_open -= task->immediate;
	task->state = ISCSI_TASK_FREE;
	task->free_next = session->task_free;
	session->task_free = task;
	conn->task_count--;
	if (!iscsi_conn_is_open(conn) || conn->logout.own)
		iscsi_conn_closing_step(conn);
}

/* ---- To scsi and back ---- */

void
iscsi_task_execute(struct iscsi_task *task)
{
	iscsi_buffers_filled(task);
	task->state = ISCSI_TASK_EXECUTING;
	scsi_task_execute(&task->scsi);
}

static void
task_account(const struct iscsi_task *task)
{
	struct iscsi_session *session = task->conn->session;

	if (task->scsi.in_length > 0) {
		session->reads++;
		session->read_bytes += task->scsi.in_length;
	} else if (task->scsi.data_length > 0) {
		session->writes++;
		session->write_bytes += task->scsi.data_length;
	}
}

/* 4.2.2.3.4: besides task management, what says that many tasks have ended. */
static bool
task_is_fenced(const struct iscsi_task *task)
{
	return task->scsi.ends_others && iscsi_conn_may_have_others(task->conn);
}

static void
task_passed(void *arg)
{
	iscsi_task_respond(arg);
}

void
iscsi_task_answer(struct iscsi_task *task)
{
	task->state = ISCSI_TASK_RESPONDING;
	if (!task_is_fenced(task) ||
	    !iscsi_fence_begin(task->conn, task_passed, task))
		iscsi_task_respond(task);
}

static void
task_complete(struct scsi_task *scsi)
{
	struct iscsi_task *task = container_of(scsi, struct iscsi_task, scsi);

	assert(task->state == ISCSI_TASK_EXECUTING);
	iscsi_buffers_look(task->conn->session->reactor);
	if (scsi->aborted || !iscsi_conn_is_open(task->conn)) {
		iscsi_task_free(task);
		return;
	}
	task_account(task);
	iscsi_task_answer(task);
}

void
iscsi_task_respond(struct iscsi_task *task)
{
	assert(list_empty(&task->out.link));
	task->state = ISCSI_TASK_RESPONDING;
	iscsi_tx_queue(task->conn, &task->out);
}

void
iscsi_task_fail(struct iscsi_task *task, enum scsi_status status,
    const struct scsi_sense *sense)
{
	struct scsi_task *scsi = &task->scsi;

	list_del(&task->out.link); /* R2Ts not sent */
	list_del(&task->wait);
	iscsi_buffers_filled(task);
	task_let_scsi_go(task);
	iscsi_buffers_release(task);
	scsi->status = status;
	scsi->in_length = scsi->in_full = 0;
	scsi->data_length = scsi->out_full = 0;
	scsi->sense_length = 0;
	if (sense != NULL)
		scsi->sense_length =
		    (uint8_t)sense_encode(sense, false, scsi->sense);
	iscsi_task_respond(task);
}

static enum iscsi_built
task_build(struct iscsi_conn *conn, struct iscsi_out *out)
{
	struct iscsi_task *task = container_of(out, struct iscsi_task, out);

	if (task->state == ISCSI_TASK_DATA)
		return iscsi_r2t_build(conn, task);
	assert(task->state == ISCSI_TASK_RESPONDING);
	return iscsi_response_build(conn, task);
}

static void
task_out_done(struct iscsi_conn *conn, struct iscsi_out *out)
{
	struct iscsi_task *task = container_of(out, struct iscsi_task, out);

	(void)conn;
	if (task->state == ISCSI_TASK_RESPONDING)
		iscsi_task_free(task);
}

/* ---- Given up ---- */

static bool
task_is_ours(const struct iscsi_task *task)
{
	return task->state == ISCSI_TASK_RECEIVING ||
	       task->state == ISCSI_TASK_BUFFERS ||
	       task->state == ISCSI_TASK_DATA;
}

/* Its data is being received, or would be if it had buffers. */
static bool
task_is_coming_in(const struct iscsi_task *task)
{
	return iscsi_conn_is_open(task->conn) &&
	       (task->stalled || iscsi_rx_is_for(task->conn, task));
}

void
iscsi_tasks_abandon(struct iscsi_conn *conn)
{
	struct iscsi_task *task, *next;

	list_for_each_safe (task, next, &conn->tasks, link) {
		if (task_is_ours(task) && !task_is_coming_in(task))
			iscsi_task_free(task);
	}
}

/* Those that execute are aborted one after the other, and the connection is
 * gone when the last has ended.  The newest goes first: what waits behind
 * others never begins, and as those run meanwhile it takes about as long as the
 * slowest. */
static void
abort_done(struct scsi_tmf_request *request)
{
	struct iscsi_conn *conn =
	    container_of(request, struct iscsi_conn, abort);

	assert(conn->tmf_count > 0);
	conn->tmf_count--;
	conn->aborting = false;
	iscsi_tasks_abort(conn);
	iscsi_conn_closing_step(conn);
}

static struct iscsi_task *
abort_next(struct iscsi_conn *conn)
{
	struct iscsi_task *task, *newest = NULL;

	list_for_each (task, &conn->tasks, link) {
		if (task->state == ISCSI_TASK_EXECUTING && !task->abort_asked)
			newest = task;
	}
	return newest;
}

void
iscsi_tasks_abort(struct iscsi_conn *conn)
{
	struct iscsi_task *task = abort_next(conn);
	struct scsi_tmf_request *request = &conn->abort;

	/* while the session ends, its nexus aborts what there is */
	if (task == NULL || conn->aborting || conn->session->nexus_closing)
		return;
	conn->aborting = true;
	task->abort_asked = true;
	memset(request, 0, sizeof(*request));
	request->nexus = conn->session->nexus;
	request->function = SCSI_ABORT_TASK;
	memcpy(request->lun_field, task->scsi.lun_field,
	    sizeof(request->lun_field));
	request->tag = task->itt;
	request->done = abort_done;
	conn->tmf_count++;
	scsi_tmf(request);
}

/* Not the one whose data is coming in right now: it is swallowed, and ends as
 * aborted when it is executed. */
void
iscsi_tasks_abandon_aborted(struct iscsi_conn *conn)
{
	struct iscsi_task *task, *next;

	list_for_each_safe (task, next, &conn->tasks, link) {
		if (task_is_ours(task) && task->scsi.aborted &&
		    task->scsi.phase == SCSI_TASK_BEGUN &&
		    !task_is_coming_in(task))
			iscsi_task_free(task);
	}
}
