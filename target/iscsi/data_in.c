/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data-In and SCSI Response, RFC 7143 11.7 and 11.4.  Data leaves from the
 * buffers into which it was read; a good status rides on the last Data-In.
 */
#include "target/iscsi/task.h"

/* 11.4.5.1: how far what the command moves or would move is from what the
 * initiator expected. */
static uint8_t
task_residual(const struct iscsi_task *task, uint32_t *ret_residual)
{
	const struct scsi_task *scsi = &task->scsi;
	const uint32_t expected = task->expected_length;
	uint64_t full = task->write ? scsi->out_full : scsi->in_full;

	if (!task->write && scsi->in_length == 0 && scsi->status != SCSI_GOOD)
		full = 0;
	if (full > expected) {
		*ret_residual = full - expected > UINT32_MAX
				    ? UINT32_MAX
				    : (uint32_t)(full - expected);
		return ISCSI_RESIDUAL_OVERFLOW;
	}
	*ret_residual = expected - (uint32_t)full;
	return *ret_residual > 0 ? ISCSI_RESIDUAL_UNDERFLOW : 0;
}

/* 11.7.3: only a status without sense data can ride on data. */
static bool
status_rides(const struct iscsi_task *task)
{
	return task->scsi.status == SCSI_GOOD && task->scsi.sense_length == 0;
}

static uint32_t
smallest(uint64_t a, uint32_t b, uint32_t c)
{
	if (b > c)
		b = c;
	return a < b ? (uint32_t)a : b;
}

static void
data_in_fill(
    struct iscsi_task *task, struct iscsi_data_in *data, uint32_t length)
{
	const bool last = task->in_sent + length == task->scsi.in_length;
	const uint32_t burst = ISCSI_PARAM(&task->conn->params, MaxBurstLength);
	uint32_t residual;

	memset(data, 0, sizeof(*data));
	data->opcode = ISCSI_DATA_IN;
	be32_set(&data->itt, task->itt);
	be32_set(&data->ttt, ISCSI_TAG_NONE);
	be32_set(&data->datasn, task->in_datasn);
	be32_set(&data->offset, task->in_sent);
	/* 11.7.1: F ends a burst of at most MaxBurstLength */
	if (last || task->in_burst + length == burst)
		data->flags |= ISCSI_FINAL;
	if (!last || !status_rides(task))
		return;
	data->flags |= ISCSI_DATA_IN_STATUS | task_residual(task, &residual);
	data->status = task->scsi.status;
	be32_set(&data->residual, residual);
}

static void
data_in_sent(
    struct iscsi_task *task, const struct iscsi_data_in *data, uint32_t length)
{
	task->in_datasn++;
	task->in_sent += length;
	task->in_burst += length;
	if ((data->flags & ISCSI_FINAL) != 0)
		task->in_burst = 0;
	if ((data->flags & ISCSI_DATA_IN_STATUS) != 0)
		task->status_sent = true;
}

static void
data_in_add(struct iscsi_conn *conn, struct iscsi_task *task)
{
	const struct iscsi_params *params = &conn->params;
	const struct scsi_task *scsi = &task->scsi;
	struct iovec iov[SCSI_TASK_IOV_MAX];
	union {
		struct iscsi_bhs bhs;
		struct iscsi_data_in data;
	} u;
	const uint32_t length = smallest(scsi->in_length - task->in_sent,
	    ISCSI_PARAM(params, MaxRecvDataSegmentLength),
	    ISCSI_PARAM(params, MaxBurstLength) - task->in_burst);
	const unsigned count = bs_iov_slice(scsi->iov, scsi->iov_count,
	    task->in_sent, length, iov, SCSI_TASK_IOV_MAX);

	data_in_fill(task, &u.data, length);
	if ((u.data.flags & ISCSI_DATA_IN_STATUS) != 0)
		iscsi_task_uncount(task);
	iscsi_tx_pdu(conn, &u.bhs,
	    u.data.flags & ISCSI_DATA_IN_STATUS ? ISCSI_STATSN_USE
						: ISCSI_STATSN_NONE,
	    iov, count, length);
	data_in_sent(task, &u.data, length);
}

/* 11.4.7: sense data goes with its length before it. */
static unsigned
response_sense(
    const struct scsi_task *scsi, uint8_t length[2], struct iovec iov[2])
{
	if (scsi->sense_length == 0)
		return 0;
	store_be16(length, scsi->sense_length);
	iov[0] = (struct iovec){.iov_base = length, .iov_len = 2};
	iov[1].iov_base = (void *)(uintptr_t)scsi->sense;
	iov[1].iov_len = scsi->sense_length;
	return 2;
}

static void
response_add(struct iscsi_conn *conn, struct iscsi_task *task)
{
	const struct scsi_task *scsi = &task->scsi;
	struct iovec iov[2];
	unsigned count;
	uint32_t residual;
	union {
		struct iscsi_bhs bhs;
		struct iscsi_response response;
	} u = {.response = {.opcode = ISCSI_SCSI_RESPONSE,
		   .flags = ISCSI_FINAL,
		   .status = scsi->status}};

	count = response_sense(scsi, task->sense_header, iov);
	u.response.flags |= task_residual(task, &residual);
	be32_set(&u.response.residual, residual);
	be32_set(&u.response.itt, task->itt);
	/* 11.4.8: R2Ts or Data-Ins sent */
	be32_set(&u.response.exp_datasn, task->burst_sent + task->in_datasn);
	iscsi_task_uncount(task);
	iscsi_tx_pdu(conn, &u.bhs, ISCSI_STATSN_USE, iov, count,
	    (uint32_t)bs_iov_length(iov, count));
}

enum iscsi_built
iscsi_response_build(struct iscsi_conn *conn, struct iscsi_task *task)
{
	const struct scsi_task *scsi = &task->scsi;

	while (task->in_sent < scsi->in_length) {
		if (!iscsi_tx_has_room(conn, SCSI_TASK_IOV_MAX))
			return ISCSI_BUILT_PART;
		data_in_add(conn, task);
	}
	if (!task->status_sent) {
		if (!iscsi_tx_has_room(conn, 2))
			return ISCSI_BUILT_PART;
		response_add(conn, task);
	}
	return scsi->in_length > 0 || scsi->sense_length > 0 ? ISCSI_BUILT_ALL
							     : ISCSI_BUILT_COPY;
}
