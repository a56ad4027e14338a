/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way out.  What is to be sent queues up during a turn of the loop; at its
 * end as many PDUs as fit are built into a batch, headers from an arena, data
 * from where the disk put it, and go out with one system call.  One batch is in
 * flight at a time.
 */
#include "base/crc32c.h"
#include "base/probe.h"
#include "target/iscsi/conn.h"
#include "target/iscsi/login.h"
#include "target/iscsi/reactor.h"
#include "target/iscsi/session.h"
#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

/* Enough for the kernel to work on; more only delays the first byte's owner. */
#define BATCH_BYTES (2u << 20)

/* A peer that does not read its answers is not read either. */
#define CONTROL_BYTES_MAX (256u << 10)

static void tx_done(struct loop_io *io, int result, uint32_t flags);
static void tx_kick_run(struct loop_task *task);

void
iscsi_tx_init(struct iscsi_conn *conn, struct iovec *iov, unsigned iov_max,
    uint8_t *arena, unsigned arena_size)
{
	struct iscsi_tx *tx = &conn->tx;

	assert(!tx->io.in_flight);
	assert(tx->iov_count == 0);
	tx->iov = iov;
	tx->iov_max = iov_max;
	tx->arena = arena;
	tx->arena_size = arena_size;
	loop_io_init(&tx->io, tx_done);
	tx->kick.run = tx_kick_run;
}

void
iscsi_tx_queue(struct iscsi_conn *conn, struct iscsi_out *out)
{
	struct iscsi_tx *tx = &conn->tx;

	/* nothing follows the answer it closes with */
	if (!iscsi_conn_is_open(conn) || conn->close_when_sent) {
		list_init(&out->link);
		out->done(conn, out);
		return;
	}
	list_add_tail(&tx->queue, &out->link);
	if (!tx->kick.queued && !tx->io.in_flight)
		loop_defer(conn->loop, &tx->kick);
}

/* ---- Building a batch ---- */

/* Headers of PDUs without data lie one behind the other: one piece. */
static void
tx_add(struct iscsi_tx *tx, void *base, size_t length)
{
	struct iovec *last;

	if (length == 0)
		return;
	tx->batch_bytes += length;
	if (tx->iov_count > 0) {
		last = &tx->iov[tx->iov_count - 1];
		if ((uint8_t *)last->iov_base + last->iov_len == base) {
			last->iov_len += length;
			return;
		}
	}
	assert(tx->iov_count < tx->iov_max);
	tx->iov[tx->iov_count++] =
	    (struct iovec){.iov_base = base, .iov_len = length};
}

static uint8_t *
tx_arena(struct iscsi_tx *tx, unsigned length)
{
	uint8_t *at = tx->arena + tx->arena_used;

	assert(tx->arena_used + length <= tx->arena_size);
	tx->arena_used += length;
	return at;
}

bool
iscsi_tx_has_room(const struct iscsi_conn *conn, unsigned iov_count)
{
	const struct iscsi_tx *tx = &conn->tx;
	const unsigned most =
	    ISCSI_BHS_LENGTH + ISCSI_DIGEST_LENGTH + 3 + ISCSI_DIGEST_LENGTH;

	return tx->arena_used + most <= tx->arena_size &&
	       tx->iov_count + iov_count + 2 <= tx->iov_max &&
	       tx->batch_bytes < BATCH_BYTES;
}

/* 11.4.1 and others: the numbers lie at the same place in all target PDUs. */
static void
tx_numbers(
    struct iscsi_conn *conn, struct iscsi_bhs *bhs, enum iscsi_statsn statsn)
{
	uint32_t exp_cmdsn, max_cmdsn;

	iscsi_conn_window(conn, &exp_cmdsn, &max_cmdsn);
	be32_set(
	    &bhs->number[0], statsn == ISCSI_STATSN_NONE ? 0 : conn->statsn);
	be32_set(&bhs->number[1], exp_cmdsn);
	be32_set(&bhs->number[2], max_cmdsn);
	if (statsn == ISCSI_STATSN_USE)
		conn->statsn++;
}

static void
tx_add_header(struct iscsi_tx *tx, const struct iscsi_bhs *bhs)
{
	const unsigned digest = tx->header_digest ? ISCSI_DIGEST_LENGTH : 0;
	uint8_t *at = tx_arena(tx, ISCSI_BHS_LENGTH + digest);

	memcpy(at, bhs, ISCSI_BHS_LENGTH);
	if (digest > 0)
		store_le32(at + ISCSI_BHS_LENGTH, crc32c(at, ISCSI_BHS_LENGTH));
	tx_add(tx, at, ISCSI_BHS_LENGTH + digest);
}

static void
tx_add_trailer(struct iscsi_tx *tx, const struct iovec *iov, unsigned iov_count,
    uint32_t length)
{
	const unsigned pad = iscsi_pad(length);
	const unsigned digest = tx->data_digest ? ISCSI_DIGEST_LENGTH : 0;
	uint8_t *at = tx_arena(tx, pad + digest);
	uint32_t crc = CRC32C_SEED;

	memset(at, 0, pad);
	if (digest > 0) {
		for (unsigned i = 0; i < iov_count; i++)
			crc = crc32c_add(crc, iov[i].iov_base, iov[i].iov_len);
		crc = crc32c_end(crc32c_add(crc, at, pad));
		store_le32(at + pad, crc);
	}
	tx_add(tx, at, pad + digest);
}

void
iscsi_tx_pdu(struct iscsi_conn *conn, struct iscsi_bhs *bhs,
    enum iscsi_statsn statsn, const struct iovec *iov, unsigned iov_count,
    uint32_t length)
{
	struct iscsi_tx *tx = &conn->tx;

	assert(iscsi_tx_has_room(conn, iov_count));
	assert(bs_iov_length(iov, iov_count) == length);
	be24_set(&bhs->data_length, length);
	tx_numbers(conn, bhs, statsn);
	tx_add_header(tx, bhs);
	for (unsigned i = 0; i < iov_count; i++)
		tx_add(tx, iov[i].iov_base, iov[i].iov_len);
	if (length > 0)
		tx_add_trailer(tx, iov, iov_count, length);
	PROBE3(iscsi_pdu_out, conn, bhs->opcode, length);
}

static void
tx_build(struct iscsi_conn *conn)
{
	struct iscsi_tx *tx = &conn->tx;
	struct iscsi_out *out;

	while ((out = list_first(&tx->queue, struct iscsi_out, link)) != NULL) {
		const enum iscsi_built built = out->build(conn, out);
		if (built == ISCSI_BUILT_PART)
			return;
		list_del(&out->link);
		if (built == ISCSI_BUILT_ALL)
			list_add_tail(&tx->sending, &out->link);
		else
			out->done(conn, out);
	}
}

/* ---- Sending it ---- */

static void
tx_submit(struct iscsi_conn *conn)
{
	struct iscsi_tx *tx = &conn->tx;
	struct io_uring_sqe *sqe = loop_sqe(conn->loop, &tx->io);
	const int file = conn->slot >= 0 ? conn->slot : conn->fd;

	tx->msg = (struct msghdr){
	    .msg_iov = tx->iov + tx->iov_first,
	    .msg_iovlen = tx->iov_count - tx->iov_first,
	};
	io_uring_prep_sendmsg(sqe, file, &tx->msg, MSG_NOSIGNAL | MSG_WAITALL);
	if (conn->slot >= 0)
		io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
}

static void
tx_next(struct iscsi_conn *conn)
{
	struct iscsi_tx *tx = &conn->tx;

	assert(!tx->io.in_flight);
	tx->iov_first = tx->iov_count = 0;
	tx->arena_used = 0;
	tx->batch_bytes = 0;
	tx_build(conn);
	if (tx->iov_count > 0)
		tx_submit(conn);
	else if (iscsi_conn_is_open(conn) && list_empty(&tx->sending))
		iscsi_conn_tx_idle(conn);
}

static void
tx_kick_run(struct loop_task *task)
{
	struct iscsi_conn *conn =
	    container_of(task, struct iscsi_conn, tx.kick);

	ASSERT_MAGIC(conn, ISCSI_CONN_MAGIC);
	if (iscsi_conn_is_open(conn) && !conn->tx.io.in_flight)
		tx_next(conn);
}

/* True: all of the batch is sent. */
static bool
tx_advance(struct iscsi_tx *tx, size_t sent)
{
	while (tx->iov_first < tx->iov_count) {
		struct iovec *v = &tx->iov[tx->iov_first];
		if (sent < v->iov_len) {
			v->iov_base = (uint8_t *)v->iov_base + sent;
			v->iov_len -= sent;
			return false;
		}
		sent -= v->iov_len;
		tx->iov_first++;
	}
	assert(sent == 0);
	return true;
}

static void
tx_give_back(struct iscsi_conn *conn, struct list *list)
{
	struct iscsi_out *out;

	while ((out = list_first(list, struct iscsi_out, link)) != NULL) {
		list_del(&out->link);
		out->done(conn, out);
	}
}

static void
tx_done(struct loop_io *io, int result, uint32_t flags)
{
	struct iscsi_conn *conn = container_of(io, struct iscsi_conn, tx.io);
	struct iscsi_tx *tx = &conn->tx;

	(void)flags;
	ASSERT_MAGIC(conn, ISCSI_CONN_MAGIC);
	if (!iscsi_conn_is_open(conn)) {
		iscsi_conn_closing_step(conn);
		return;
	}
	if (result < 0 && result != -EINTR && result != -EAGAIN) {
		iscsi_conn_close(conn, "send error");
		return;
	}
	tx->last_ns = loop_now(conn->loop);
	if (!tx_advance(tx, result < 0 ? 0 : (size_t)result)) {
		tx_submit(conn);
		return;
	}
	tx_give_back(conn, &tx->sending);
	if (iscsi_conn_is_open(conn))
		tx_next(conn);
}

void
iscsi_tx_drain(struct iscsi_conn *conn)
{
	assert(!conn->tx.io.in_flight);
	tx_give_back(conn, &conn->tx.sending);
	tx_give_back(conn, &conn->tx.queue);
}

/* ---- PDUs that no task stands behind ---- */

struct control_pdu {
	struct iscsi_out out;
	struct iscsi_bhs bhs;
	enum iscsi_statsn statsn;
	uint32_t length;
	uint8_t data[];
};

static unsigned
control_size(const struct control_pdu *pdu)
{
	return (unsigned)sizeof(*pdu) + pdu->length;
}

/* 13.1: digests begin with the first PDU after the login phase. */
static void
control_add(struct iscsi_conn *conn, struct control_pdu *pdu)
{
	struct iscsi_tx *tx = &conn->tx;
	struct iovec iov = {.iov_base = pdu->data, .iov_len = pdu->length};
	const bool header_digest = tx->header_digest;
	const bool data_digest = tx->data_digest;

	if (iscsi_opcode(&pdu->bhs) == ISCSI_LOGIN_RESPONSE)
		tx->header_digest = tx->data_digest = false;
	iscsi_tx_pdu(conn, &pdu->bhs, pdu->statsn, &iov,
	    pdu->length > 0 ? 1 : 0, pdu->length);
	tx->header_digest = header_digest;
	tx->data_digest = data_digest;
}

static enum iscsi_built
control_build(struct iscsi_conn *conn, struct iscsi_out *out)
{
	struct control_pdu *pdu = container_of(out, struct control_pdu, out);

	if (!iscsi_tx_has_room(conn, 1))
		return ISCSI_BUILT_PART;
	control_add(conn, pdu);
	return pdu->length > 0 ? ISCSI_BUILT_ALL : ISCSI_BUILT_COPY;
}

static void
control_done(struct iscsi_conn *conn, struct iscsi_out *out)
{
	struct control_pdu *pdu = container_of(out, struct control_pdu, out);
	struct iscsi_tx *tx = &conn->tx;
	const bool was_full = tx->control_bytes > CONTROL_BYTES_MAX;

	assert(tx->control_bytes >= control_size(pdu));
	tx->control_bytes -= control_size(pdu);
	if (was_full && tx->control_bytes <= CONTROL_BYTES_MAX &&
	    conn->state == ISCSI_CONN_FULL && !iscsi_conn_is_ending(conn))
		iscsi_rx_resume(conn);
	free(pdu);
}

void
iscsi_tx_control(struct iscsi_conn *conn, const struct iscsi_bhs *bhs,
    enum iscsi_statsn statsn, const void *data, uint32_t length)
{
	struct control_pdu *pdu = calloc(1, sizeof(*pdu) + length);

	if (pdu == NULL) {
		iscsi_conn_close(conn, "no memory");
		return;
	}
	pdu->out.build = control_build;
	pdu->out.done = control_done;
	pdu->bhs = *bhs;
	pdu->statsn = statsn;
	pdu->length = length;
	if (length > 0)
		memcpy(pdu->data, data, length);
	conn->tx.control_bytes += control_size(pdu);
	if (conn->tx.control_bytes > CONTROL_BYTES_MAX &&
	    conn->state == ISCSI_CONN_FULL)
		iscsi_rx_pause(conn);
	iscsi_tx_queue(conn, &pdu->out);
}
