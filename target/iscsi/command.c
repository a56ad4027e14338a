/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The SCSI Command PDU, RFC 7143 11.3.  Its header starts the task, so that
 * immediate data is received where the command wants it; nothing is executed
 * before all of the PDU is in and its digest right.
 */
#include "base/log.h"
#include "target/iscsi/task.h"
#include <errno.h>

static const struct iscsi_command *
command_of(const struct iscsi_conn *conn)
{
	return (const void *)&conn->rx.pdu.bhs;
}

/* What makes the PDU as such wrong: reason of a Reject, or 0. */
static unsigned
command_wrong(struct iscsi_conn *conn, const struct iscsi_command *command)
{
	const bool final = command->flags & ISCSI_FINAL;
	const bool write = command->flags & ISCSI_COMMAND_WRITE;

	if (be32_get(&command->itt) == ISCSI_TAG_NONE)
		return ISCSI_REJECT_INVALID_FIELD;
	if (write && (command->flags & ISCSI_COMMAND_READ) != 0)
		return ISCSI_REJECT_NOT_SUPPORTED;
	/* 11.3.1: F is clear only if unsolicited data follows */
	if (!write && (!final || conn->rx.pdu.data_length > 0))
		return ISCSI_REJECT_INVALID_FIELD;
	if (iscsi_task_find(conn->session, be32_get(&command->itt)) != NULL)
		return ISCSI_REJECT_TASK_IN_PROGRESS;
	return 0;
}

/* 13.10, 13.11, 13.14: unsolicited data beyond what was agreed. */
static const struct scsi_sense *
command_fault(const struct iscsi_conn *conn, const struct iscsi_task *task)
{
	const struct iscsi_params *params = &conn->params;
	const uint32_t length = conn->rx.pdu.data_length;

	if (length > 0 && !ISCSI_PARAM(params, ImmediateData))
		return &iscsi_sense_unexpected_data;
	if (task->unsolicited && ISCSI_PARAM(params, InitialR2T))
		return &iscsi_sense_unexpected_data;
	if (length > ISCSI_PARAM(params, FirstBurstLength) ||
	    length > task->expected_length)
		return &iscsi_sense_wrong_amount;
	return NULL;
}

static int
task_fill(struct iscsi_task *task, const struct iscsi_command *command,
    const uint8_t *ahs, bool *ret_bidirectional)
{
	struct scsi_task *scsi = &task->scsi;
	int length;

	task->read = command->flags & ISCSI_COMMAND_READ;
	task->write = command->flags & ISCSI_COMMAND_WRITE;
	task->unsolicited = !(command->flags & ISCSI_FINAL);
	task->expected_length = 0;
	if (task->read || task->write)
		task->expected_length = be32_get(&command->expected_length);
	scsi->nexus = task->conn->session->nexus;
	memcpy(scsi->lun_field, command->lun, sizeof(scsi->lun_field));
	scsi->attribute = command->flags & ISCSI_COMMAND_ATTRIBUTE;
	scsi->tag = task->itt;
	scsi->expected_out = task->write ? task->expected_length : 0;
	scsi->expected_in = task->read ? task->expected_length : 0;
	length = iscsi_command_cdb(
	    command, ahs, scsi->cdb, sizeof(scsi->cdb), ret_bidirectional);
	if (length < 0)
		return length;
	scsi->cdb_length = (uint8_t)length;
	iscsi_session_use(task->conn->session, scsi->lun_field, scsi->cdb[0]);
	return 0;
}

/* Immediate data goes into the task's buffers, as far as the command uses
 * it. */
static void
command_sink(struct iscsi_task *task)
{
	struct iscsi_conn *conn = task->conn;
	uint64_t keep = conn->rx.pdu.data_length;

	if (keep > task->scsi.data_length)
		keep = task->scsi.data_length;
	iscsi_rx_into_task(conn, task, 0, (uint32_t)keep);
}

void
iscsi_command_unstall(struct iscsi_task *task)
{
	command_sink(task);
	iscsi_rx_unstall(task->conn);
}

/*
 * Data is on its way and has to be taken now.  While buffers are short the
 * connection waits, unless it has tasks whose Data-Out would then wait behind
 * this command, or that hold them for long: then this one is refused
 * (SAM-5 5.3.1: the initiator sends it again later).
 */
static void
command_buffers(struct iscsi_conn *conn, struct iscsi_task *task)
{
	const int ret = iscsi_buffers_now(task);

	if (ret == 0)
		command_sink(task);
	else if (ret == -EAGAIN)
		conn->rx.stage = ISCSI_RX_STALLED;
	else
		task->refused = true;
}

static void
command_begin(struct iscsi_conn *conn, struct iscsi_task *task)
{
	task->fault = command_fault(conn, task);
	if (task->fault != NULL)
		return;
	task->refused = conn->rx.pdu.refused;
	if (task->refused)
		return;
	if (!scsi_task_begin(&task->scsi))
		return;
	if (task->scsi.data_length > 0 &&
	    (conn->rx.pdu.data_length > 0 || task->unsolicited))
		command_buffers(conn, task);
}

int
iscsi_command_header(struct iscsi_conn *conn, const uint8_t *ahs)
{
	const struct iscsi_command *command = command_of(conn);
	unsigned reason = command_wrong(conn, command);
	struct iscsi_task *task;
	bool bidirectional;

	if (reason != 0) {
		iscsi_reject(conn, reason);
		return 0;
	}
	task = iscsi_task_new(conn, be32_get(&command->itt),
	    iscsi_is_immediate(&conn->rx.pdu.bhs));
	if (task == NULL) {
		iscsi_reject(conn, ISCSI_REJECT_TOO_MANY_IMMEDIATE);
		return 0;
	}
	if (task_fill(task, command, ahs, &bidirectional) < 0 ||
	    bidirectional) {
		iscsi_task_free(task);
		iscsi_reject(conn, ISCSI_REJECT_INVALID_FIELD);
		return 0;
	}
	conn->rx.pdu.task = task;
	command_begin(conn, task);
	return 0;
}

static void
command_go_on(struct iscsi_conn *conn, struct iscsi_task *task)
{
	task->received = conn->rx.pdu.data_length;
	if (task->held > 0)
		iscsi_data_out_go_on(task);
	else
		iscsi_buffers_later(task);
}

void
iscsi_command_body(struct iscsi_conn *conn)
{
	struct iscsi_task *task = conn->rx.pdu.task;

	assert(task->state == ISCSI_TASK_RECEIVING);
	if (!task->immediate) {
		conn->session->open++;
		task->counted = true;
	}
	if (task->fault != NULL)
		iscsi_task_fail(task, SCSI_CHECK_CONDITION, task->fault);
	else if (task->refused)
		iscsi_task_fail(task, SCSI_TASK_SET_FULL, NULL);
	else if (task->scsi.phase == SCSI_TASK_COMPLETED)
		iscsi_task_answer(task);
	else if (task->scsi.data_length > 0)
		command_go_on(conn, task);
	else if (task->read)
		iscsi_buffers_later(task);
	else
		iscsi_task_execute(task);
}

void
iscsi_command_bad_data(struct iscsi_conn *conn)
{
	iscsi_task_free(conn->rx.pdu.task);
}
