/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way in.  Bytes are received into a staging buffer, so that one system
 * call brings many commands; when a PDU's data is not wholly staged, the rest
 * is received straight into the buffers of its task, and what follows it into
 * the staging, with one scatter receive.  Only what was staged is copied.
 */
#include "base/crc32c.h"
#include "base/log.h"
#include "base/probe.h"
#include "target/iscsi/order.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/task.h"
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

static void rx_done(struct loop_io *io, int result, uint32_t flags);
static void rx_resume_run(struct loop_task *task);

void
iscsi_rx_init(struct iscsi_conn *conn, uint8_t *staging, unsigned size)
{
	struct iscsi_rx *rx = &conn->rx;
	const unsigned staged = rx->tail - rx->head;

	assert(!rx->io.in_flight);
	assert(staged <= size);
	if (staged > 0)
		memcpy(staging, rx->staging + rx->head, staged);
	rx->staging = staging;
	rx->size = size;
	rx->head = 0;
	rx->tail = staged;
	loop_io_init(&rx->io, rx_done);
	rx->resume.run = rx_resume_run;
}

/* ---- Where data goes ---- */

void
iscsi_rx_into_memory(
    struct iscsi_conn *conn, uint8_t *memory, uint32_t length, bool owned)
{
	assert(conn->rx.pdu.memory == NULL && conn->rx.pdu.keep == 0);
	conn->rx.pdu.memory = memory;
	conn->rx.pdu.memory_owned = owned;
	conn->rx.pdu.keep = length;
}

void
iscsi_rx_into_task(struct iscsi_conn *conn, struct iscsi_task *task,
    uint32_t offset, uint32_t length)
{
	assert(length <= conn->rx.pdu.data_length);
	conn->rx.pdu.task = task;
	conn->rx.pdu.task_offset = offset;
	conn->rx.pdu.keep = length;
}

/* The part of the data segment not received yet that is wanted, as memory. */
static unsigned
rx_target(struct iscsi_rx *rx, uint32_t length, struct iovec *iov)
{
	assert(rx->pdu.data_done + length <= rx->pdu.keep);
	if (rx->pdu.memory != NULL) {
		iov->iov_base = rx->pdu.memory + rx->pdu.data_done;
		iov->iov_len = length;
		return 1;
	}
	return bs_iov_slice(rx->pdu.task->scsi.iov,
	    rx->pdu.task->scsi.iov_count,
	    rx->pdu.task_offset + rx->pdu.data_done, length, iov,
	    SCSI_TASK_IOV_MAX);
}

/* Of the data segment, length bytes lie at data. */
static void
rx_data_staged(struct iscsi_rx *rx, const uint8_t *data, uint32_t length)
{
	struct iovec iov[SCSI_TASK_IOV_MAX];
	uint32_t wanted = 0;
	unsigned count = 0;

	/* one that was held had its digest looked at as it came in */
	if (rx->data_digest && !rx->pdu.replayed)
		rx->pdu.crc = crc32c_add(rx->pdu.crc, data, length);
	if (rx->pdu.data_done < rx->pdu.keep) {
		wanted = rx->pdu.keep - rx->pdu.data_done;
		if (wanted > length)
			wanted = length;
		count = rx_target(rx, wanted, iov);
	}
	for (unsigned i = 0; i < count; i++) {
		memcpy(iov[i].iov_base, data, iov[i].iov_len);
		data += iov[i].iov_len;
	}
	rx->pdu.data_done += length;
}

/* Of the data segment, length bytes were received into rx->iov. */
static void
rx_data_direct(struct iscsi_rx *rx, uint32_t length)
{
	rx->pdu.data_done += length;
	if (!rx->data_digest)
		return;
	for (unsigned i = 0; length > 0; i++) {
		const struct iovec *v = &rx->iov[i];
		const size_t n = v->iov_len < length ? v->iov_len : length;
		rx->pdu.crc = crc32c_add(rx->pdu.crc, v->iov_base, n);
		length -= (uint32_t)n;
	}
}

/* ---- Stages: each returns true when it went on, false if it lacks bytes ----
 */

static bool
rx_header_digest_ok(const struct iscsi_rx *rx, const uint8_t *at, unsigned size)
{
	uint32_t sum;

	if (!rx->header_digest)
		return true;
	sum = crc32c(at, size);
	/* RFC 7143 13.1: the sum goes out least significant byte first */
	return load_le32(at + size) == sum;
}

static void
rx_pdu_start(struct iscsi_rx *rx, const void *bhs)
{
	rx->pdu = (struct iscsi_rx_pdu){.crc = CRC32C_SEED};
	memcpy(&rx->pdu.bhs, bhs, sizeof(rx->pdu.bhs));
	rx->pdu.data_length = be24_get(&rx->pdu.bhs.data_length);
}

static bool
rx_header(struct iscsi_conn *conn)
{
	struct iscsi_rx *rx = &conn->rx;
	const uint8_t *at = rx->staging + rx->head;
	const unsigned staged = rx->tail - rx->head;
	unsigned size, whole;

	if (staged < ISCSI_BHS_LENGTH)
		return false;
	/* 11.12: a Login Request has no additional headers; what has may be
	 * of another protocol, and the rest never comes */
	if (conn->login != NULL && at[4] != 0) {
		iscsi_conn_close(conn, "additional headers during login");
		return false;
	}
	size = ISCSI_BHS_LENGTH + at[4] * 4u;
	whole = size + (rx->header_digest ? ISCSI_DIGEST_LENGTH : 0);
	assert(whole <= rx->size);
	if (staged < whole)
		return false;
	if (!rx_header_digest_ok(rx, at, size)) {
		/* 7.7: the length of what follows cannot be trusted */
		iscsi_count(conn->server, digest_errors);
		iscsi_conn_close(conn, "header digest error");
		return false;
	}
	rx_pdu_start(rx, at);
	rx->head += whole;
	if (rx->pdu.data_length > rx->segment_max) {
		iscsi_conn_close(conn, "data segment too long");
		return false;
	}
	PROBE3(iscsi_pdu_in, conn, rx->pdu.bhs.opcode, rx->pdu.data_length);
	rx->stage = ISCSI_RX_DATA;
	return iscsi_dispatch_header(conn, at + ISCSI_BHS_LENGTH) == 0;
}

static bool
rx_data(struct iscsi_conn *conn)
{
	struct iscsi_rx *rx = &conn->rx;
	uint32_t n = rx->pdu.data_length - rx->pdu.data_done;

	if (n > rx->tail - rx->head)
		n = rx->tail - rx->head;
	if (n > 0)
		rx_data_staged(rx, rx->staging + rx->head, n);
	rx->head += n;
	if (rx->pdu.data_done < rx->pdu.data_length)
		return false;
	rx->stage = ISCSI_RX_TRAILER;
	return true;
}

static void
rx_pdu_end(struct iscsi_conn *conn, bool data_ok)
{
	struct iscsi_rx *rx = &conn->rx;

	rx->stage = ISCSI_RX_HEADER;
	if (!data_ok) {
		iscsi_count(conn->server, digest_errors);
		iscsi_dispatch_bad_data(conn);
	} else if (rx->pdu.held != NULL) {
		iscsi_order_keep(conn);
	} else if (!rx->pdu.ignored) {
		iscsi_dispatch_body(conn);
	}
	if (rx->pdu.memory_owned)
		free(rx->pdu.memory);
	rx->pdu.memory = NULL;
	rx->pdu.memory_owned = false;
	rx->pdu.task = NULL;
	/* its task, if it has one, was let alone until now */
	if (conn->logout.own && iscsi_conn_is_open(conn))
		iscsi_conn_closing_step(conn);
}

static bool
rx_trailer(struct iscsi_conn *conn)
{
	struct iscsi_rx *rx = &conn->rx;
	const uint32_t pad = iscsi_pad(rx->pdu.data_length);
	const bool digest = rx->data_digest && rx->pdu.data_length > 0;
	const unsigned whole = pad + (digest ? ISCSI_DIGEST_LENGTH : 0);
	const uint8_t *at = rx->staging + rx->head;
	bool ok = true;

	if (rx->tail - rx->head < whole)
		return false;
	if (digest) {
		/* 11.2.4: the digest covers the padding */
		rx->pdu.crc = crc32c_add(rx->pdu.crc, at, pad);
		ok = load_le32(at + pad) == crc32c_end(rx->pdu.crc);
	}
	rx->head += whole;
	rx_pdu_end(conn, ok);
	return true;
}

static bool
rx_stalled(struct iscsi_conn *conn)
{
	(void)conn;
	return false;
}

static bool (*const rx_stages[])(struct iscsi_conn *conn) = {
    [ISCSI_RX_HEADER] = rx_header,
    [ISCSI_RX_STALLED] = rx_stalled,
    [ISCSI_RX_DATA] = rx_data,
    [ISCSI_RX_TRAILER] = rx_trailer,
};

/* ---- Receiving ---- */

/* Makes room behind the unread bytes, which are few when this is called. */
static void
rx_compact(struct iscsi_rx *rx)
{
	if (rx->head == 0)
		return;
	memmove(rx->staging, rx->staging + rx->head, rx->tail - rx->head);
	rx->tail -= rx->head;
	rx->head = 0;
}

static void
rx_prepare(struct iscsi_conn *conn, struct io_uring_sqe *sqe, unsigned count)
{
	struct iscsi_rx *rx = &conn->rx;
	const int file = conn->slot >= 0 ? conn->slot : conn->fd;

	if (count == 1) {
		io_uring_prep_recv(
		    sqe, file, rx->iov[0].iov_base, rx->iov[0].iov_len, 0);
	} else {
		rx->msg =
		    (struct msghdr){.msg_iov = rx->iov, .msg_iovlen = count};
		io_uring_prep_recvmsg(sqe, file, &rx->msg, 0);
	}
	if (conn->slot >= 0)
		io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
	/* saves the kernel a look at a socket known to be empty */
	if (rx->socket_dry)
		sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
}

static void
rx_receive(struct iscsi_conn *conn)
{
	struct iscsi_rx *rx = &conn->rx;
	unsigned count = 0;

	assert(!rx->io.in_flight);
	rx_compact(rx);
	assert(rx->tail < rx->size);
	if (rx->stage == ISCSI_RX_DATA && rx->pdu.data_done < rx->pdu.keep)
		count =
		    rx_target(rx, rx->pdu.keep - rx->pdu.data_done, rx->iov);
	rx->iov[count].iov_base = rx->staging + rx->tail;
	rx->iov[count].iov_len = rx->size - rx->tail;
	rx_prepare(conn, loop_sqe(conn->loop, &rx->io), count + 1);
}

/* Goes through the stages until bytes run out. */
static void
rx_run(struct iscsi_conn *conn)
{
	struct iscsi_rx *rx = &conn->rx;
	bool more = true;

	while (more && iscsi_conn_is_open(conn)) {
		if (rx->stage == ISCSI_RX_HEADER && rx->paused)
			return;
		more = rx_stages[rx->stage](conn);
	}
	if (!iscsi_conn_is_open(conn) || rx->stage == ISCSI_RX_STALLED ||
	    rx->io.in_flight || conn->state == ISCSI_CONN_MOVING)
		return;
	rx_receive(conn);
}

/* result bytes are in: the first of them maybe where the data belongs. */
static void
rx_received(struct iscsi_rx *rx, unsigned result)
{
	uint32_t direct = 0;

	if (rx->stage == ISCSI_RX_DATA && rx->pdu.data_done < rx->pdu.keep) {
		direct = rx->pdu.keep - rx->pdu.data_done;
		if (direct > result)
			direct = result;
		rx_data_direct(rx, direct);
	}
	rx->tail += result - direct;
	assert(rx->tail <= rx->size);
	rx->socket_dry = rx->tail < rx->size;
}

static void
rx_done(struct loop_io *io, int result, uint32_t flags)
{
	struct iscsi_conn *conn = container_of(io, struct iscsi_conn, rx.io);

	ASSERT_MAGIC(conn, ISCSI_CONN_MAGIC);
	if (!iscsi_conn_is_open(conn)) {
		iscsi_conn_closing_step(conn);
		return;
	}
	if (result == -EINTR || result == -EAGAIN) {
		rx_receive(conn);
		return;
	}
	if (result <= 0) {
		iscsi_conn_close(
		    conn, result == 0 ? "closed by peer" : "receive error");
		return;
	}
	conn->rx.last_ns = loop_now(conn->loop);
	rx_received(&conn->rx, (unsigned)result);
	if ((flags & IORING_CQE_F_SOCK_NONEMPTY) != 0)
		conn->rx.socket_dry = false;
	rx_run(conn);
}

static void
rx_resume_run(struct loop_task *task)
{
	struct iscsi_conn *conn =
	    container_of(task, struct iscsi_conn, rx.resume);

	if (iscsi_conn_is_open(conn) && !conn->rx.io.in_flight)
		rx_run(conn);
}

/* Later, not here: the caller may be in the middle of a PDU. */
void
iscsi_rx_resume(struct iscsi_conn *conn)
{
	if (!iscsi_conn_is_open(conn))
		return;
	conn->rx.paused = false;
	if (!conn->rx.resume.queued)
		loop_defer(conn->loop, &conn->rx.resume);
}

void
iscsi_rx_pause(struct iscsi_conn *conn)
{
	conn->rx.paused = true;
}

void
iscsi_rx_unstall(struct iscsi_conn *conn)
{
	assert(conn->rx.stage == ISCSI_RX_STALLED);
	conn->rx.stage = ISCSI_RX_DATA;
	if (iscsi_conn_is_open(conn) && !conn->rx.resume.queued)
		loop_defer(conn->loop, &conn->rx.resume);
}

/* ---- Again ---- */

/* What is on its way meanwhile is set aside: its data may be being received,
 * which is nothing of the struct that is copied. */
void
iscsi_rx_replay(struct iscsi_conn *conn, const struct iscsi_bhs *bhs,
    const uint8_t *ahs, const uint8_t *data, bool refused)
{
	struct iscsi_rx *rx = &conn->rx;
	const struct iscsi_rx_pdu aside = rx->pdu;

	assert(rx->aside == NULL);
	rx->aside = &aside;
	rx_pdu_start(rx, bhs);
	rx->pdu.replayed = true;
	rx->pdu.refused = refused;
	if (iscsi_dispatch_header(conn, ahs) == 0) {
		if (!refused)
			rx_data_staged(rx, data, rx->pdu.data_length);
		iscsi_dispatch_body(conn);
	}
	assert(rx->pdu.held == NULL);
	if (rx->pdu.memory_owned)
		free(rx->pdu.memory);
	rx->pdu = aside;
	rx->aside = NULL;
}

bool
iscsi_rx_is_for(const struct iscsi_conn *conn, const struct iscsi_task *task)
{
	return task == conn->rx.pdu.task ||
	       (conn->rx.aside != NULL && task == conn->rx.aside->task);
}
