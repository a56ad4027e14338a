/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data-Out and R2T, RFC 7143 11.7 and 11.8.  What did not come unsolicited is
 * asked for in bursts of MaxBurstLength, up to MaxOutstandingR2T at a time and
 * in order (DataSequenceInOrder, DataPDUInOrder).  A burst's target transfer
 * tag is the task's slot and the burst's number.
 *
 * A burst that goes wrong costs its task: what was asked for is still taken,
 * to nowhere, and then the task fails (7.8).  Data for tasks that are gone is
 * taken to nowhere too.
 */
#include "base/log.h"
#include "target/iscsi/order.h"
#include "target/iscsi/task.h"
#include <errno.h>

static const struct iscsi_data_out *
data_out_of(const struct iscsi_conn *conn)
{
	return (const void *)&conn->rx.pdu.bhs;
}

static uint32_t
burst_length(const struct iscsi_task *task)
{
	return ISCSI_PARAM(&task->conn->params, MaxBurstLength);
}

static uint32_t
burst_start(const struct iscsi_task *task, uint32_t burst)
{
	return task->solicited_from + burst * burst_length(task);
}

static uint32_t
burst_end(const struct iscsi_task *task, uint32_t burst)
{
	const uint64_t left = task->scsi.data_length - burst_start(task, burst);

	return burst_start(task, burst) + (left < burst_length(task)
						  ? (uint32_t)left
						  : burst_length(task));
}

/* ---- R2T ---- */

static bool
r2t_is_due(const struct iscsi_task *task)
{
	return task->fault == NULL && task->burst_sent < task->burst_count &&
	       task->burst_sent - task->burst_now <
		   ISCSI_PARAM(&task->conn->params, MaxOutstandingR2T);
}

static void
r2t_add(struct iscsi_conn *conn, struct iscsi_task *task)
{
	const uint32_t burst = task->burst_sent++;
	const uint32_t start = burst_start(task, burst);
	union {
		struct iscsi_bhs bhs;
		struct iscsi_r2t r2t;
	} u = {.r2t = {.opcode = ISCSI_R2T, .flags = ISCSI_FINAL}};

	memcpy(u.r2t.lun, task->scsi.lun_field, sizeof(u.r2t.lun));
	be32_set(&u.r2t.itt, task->itt);
	be32_set(&u.r2t.ttt, iscsi_task_slot(task) << 16 | (burst & 0xffff));
	be32_set(&u.r2t.r2tsn, burst);
	be32_set(&u.r2t.offset, start);
	be32_set(&u.r2t.desired_length, burst_end(task, burst) - start);
	iscsi_tx_pdu(conn, &u.bhs, ISCSI_STATSN_SHOW, NULL, 0, 0);
}

enum iscsi_built
iscsi_r2t_build(struct iscsi_conn *conn, struct iscsi_task *task)
{
	while (r2t_is_due(task)) {
		if (!iscsi_tx_has_room(conn, 0))
			return ISCSI_BUILT_PART;
		r2t_add(conn, task);
	}
	return ISCSI_BUILT_COPY;
}

static void
r2t_queue(struct iscsi_task *task)
{
	if (r2t_is_due(task) && list_empty(&task->out.link))
		iscsi_tx_queue(task->conn, &task->out);
}

/* ---- Where a task stands ---- */

static void
solicit(struct iscsi_task *task)
{
	const uint32_t left = (uint32_t)task->scsi.data_length - task->received;

	task->solicited_from = task->received;
	task->burst_count =
	    (left + burst_length(task) - 1) / burst_length(task);
	task->datasn = 0;
	r2t_queue(task);
}

void
iscsi_data_out_go_on(struct iscsi_task *task)
{
	task->state = ISCSI_TASK_DATA;
	if (task->received >= task->scsi.data_length)
		iscsi_task_execute(task);
	else if (!task->unsolicited)
		solicit(task);
}

/* A burst has come to its end: by its F bit, right or wrong. */
static void
burst_over(struct iscsi_task *task)
{
	if (task->unsolicited)
		task->unsolicited = false;
	else
		task->burst_now++;
	task->datasn = 0;
	if (task->fault != NULL) {
		if (task->burst_now == task->burst_sent)
			iscsi_task_fail(
			    task, SCSI_CHECK_CONDITION, task->fault);
	} else if (task->received >= task->scsi.data_length) {
		iscsi_task_execute(task);
	} else if (task->burst_count == 0) {
		solicit(task);
	} else {
		r2t_queue(task);
	}
}

/* ---- The PDU ---- */

/* The task this data is for, waiting for it; NULL: gone, or never there. */
static struct iscsi_task *
data_out_task(struct iscsi_conn *conn, const struct iscsi_data_out *data)
{
	const uint32_t ttt = be32_get(&data->ttt);
	struct iscsi_task *task =
	    iscsi_task_find(conn->session, be32_get(&data->itt));

	if (task == NULL || task->state != ISCSI_TASK_DATA ||
	    task->conn != conn)
		return NULL;
	/* its data is coming in, and this was held for a command whose tag was
	 * not free */
	if (conn->rx.aside != NULL && conn->rx.aside->task == task)
		return NULL;
	if (ttt == ISCSI_TAG_NONE)
		return task->unsolicited ? task : NULL;
	if (task->unsolicited || ttt >> 16 != iscsi_task_slot(task) ||
	    task->burst_now == task->burst_sent)
		return NULL;
	return task;
}

static bool
data_out_is_next(
    const struct iscsi_task *task, const struct iscsi_data_out *data)
{
	const uint32_t ttt = be32_get(&data->ttt);

	return be32_get(&data->datasn) == task->datasn &&
	       be32_get(&data->offset) == task->received &&
	       (task->unsolicited ||
		   (ttt & 0xffff) == (task->burst_now & 0xffff));
}

/* 13.14: all unsolicited data together, immediate data too. */
static uint32_t
data_out_limit(const struct iscsi_task *task)
{
	const uint32_t first =
	    ISCSI_PARAM(&task->conn->params, FirstBurstLength);

	if (!task->unsolicited)
		return burst_end(task, task->burst_now);
	return first < task->expected_length ? first : task->expected_length;
}

static const struct scsi_sense *
data_out_fault(const struct iscsi_task *task, const struct iscsi_data_out *data,
    uint32_t length)
{
	const uint32_t limit = data_out_limit(task);
	const uint32_t end = task->received + length;

	/* 7.9: a hole in DataSN means that a PDU was lost */
	if (!data_out_is_next(task, data))
		return &iscsi_sense_crc;
	if (length > limit - task->received)
		return &iscsi_sense_wrong_amount;
	if (!task->unsolicited && (data->flags & ISCSI_FINAL) != 0 &&
	    end != limit)
		return &iscsi_sense_wrong_amount;
	return NULL;
}

int
iscsi_data_out_header(struct iscsi_conn *conn, const uint8_t *ahs)
{
	const struct iscsi_data_out *data = data_out_of(conn);
	struct iscsi_task *task = data_out_task(conn, data);
	uint64_t keep = conn->rx.pdu.data_length;

	conn->data_last_ns = loop_now(conn->loop);
	if (task == NULL && !conn->rx.pdu.replayed &&
	    iscsi_order_awaits(conn, be32_get(&data->itt)))
		return iscsi_order_hold(conn, ahs, ISCSI_HELD_DATA);
	conn->rx.pdu.task = task;
	if (task == NULL) {
		log_debug("iscsi %s: data for no task, tag %08xh",
		    conn->session->initiator, be32_get(&data->itt));
		return 0;
	}
	if (task->fault == NULL)
		task->fault = data_out_fault(task, data, (uint32_t)keep);
	if (task->fault != NULL)
		return 0;
	if (task->received >= task->scsi.data_length)
		keep = 0;
	else if (keep > task->scsi.data_length - task->received)
		keep = task->scsi.data_length - task->received;
	iscsi_rx_into_task(conn, task, task->received, (uint32_t)keep);
	return 0;
}

void
iscsi_data_out_body(struct iscsi_conn *conn)
{
	const struct iscsi_data_out *data = data_out_of(conn);
	struct iscsi_task *task = conn->rx.pdu.task;

	if (task == NULL)
		return;
	assert(task->state == ISCSI_TASK_DATA);
	task->datasn++;
	if (task->fault == NULL)
		task->received += conn->rx.pdu.data_length;
	if ((data->flags & ISCSI_FINAL) != 0)
		burst_over(task);
}

/* 7.8: the task ends with CHECK CONDITION, once "all the data (signaled by a
 * data PDU with the Final bit set for all outstanding R2Ts)" is in. */
void
iscsi_data_out_bad_data(struct iscsi_conn *conn)
{
	struct iscsi_task *task = conn->rx.pdu.task;

	if (task == NULL)
		return;
	if (task->fault == NULL)
		task->fault = &iscsi_sense_crc;
	iscsi_data_out_body(conn);
}
