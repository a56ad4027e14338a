/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A connection: a socket, a parser of PDUs on its way in and a gatherer of PDUs
 * on its way out, all through the ring of the loop that owns it.
 *
 *	state     loop      what is going on
 *	LOGIN     the door  requests and responses of login, one at a time
 *	WAITING   the door  login is through, an older session has to go first
 *	MOVING    none      posted to the target's loop; no I/O in flight
 *	FULL      target's  full feature phase (discovery: the door)
 *	CLOSING   the same  I/O is being cancelled, then tasks dropped
 *	GONE      none      posted to the door, which frees it
 */
#ifndef TARGET_ISCSI_CONN_H
#define TARGET_ISCSI_CONN_H

#include "target/iscsi/keys.h"
#include "target/iscsi/pdu.h"
#include "target/iscsi/server.h"
#include <sys/socket.h>

#define ISCSI_CONN_MAGIC 0x15c51c07u

struct iscsi_conn;
struct iscsi_held;
struct iscsi_login;
struct iscsi_portal;
struct iscsi_reactor;
struct iscsi_session;
struct iscsi_task;

enum iscsi_conn_state {
	ISCSI_CONN_LOGIN,
	ISCSI_CONN_WAITING,
	ISCSI_CONN_MOVING,
	ISCSI_CONN_FULL,
	ISCSI_CONN_CLOSING,
	ISCSI_CONN_GONE,
};

/* ---- in: receive.c ---- */

enum iscsi_rx_stage {
	ISCSI_RX_HEADER,
	ISCSI_RX_STALLED, /* the header is in, buffers for the data are not */
	ISCSI_RX_DATA,
	ISCSI_RX_TRAILER, /* padding and data digest */
};

/* Pieces of one receive: those of a task's buffers, then the staging. */
#define ISCSI_RX_IOV (SCSI_TASK_IOV_MAX + 1)

/* The PDU that is coming in. */
struct iscsi_rx_pdu {
	struct iscsi_bhs bhs;
	uint32_t data_length, data_done;
	uint32_t keep; /* so much of the data is wanted */
	uint32_t crc;
	uint8_t *memory;         /* where it goes, or */
	bool memory_owned;       /* (free it when the PDU is done) */
	struct iscsi_task *task; /* into its buffers, from */
	uint32_t task_offset;
	bool ignored;            /* as if it had not come */
	bool rejected;           /* its number counts, but nothing is done */
	struct iscsi_held *held; /* order.c's: its turn has not come */
	bool replayed;           /* ... and now it has */
	bool refused;            /* ... but its data was not kept */
};

struct iscsi_rx {
	struct loop_io io;
	struct msghdr msg;
	struct iovec iov[ISCSI_RX_IOV];
	struct loop_task resume;
	uint8_t *staging;
	unsigned size, head, tail; /* of staging: [head, tail) is unread */
	enum iscsi_rx_stage stage;
	bool paused;     /* no new PDU is looked at, nothing received */
	bool socket_dry; /* the last receive got less than it asked for */
	bool header_digest, data_digest;
	uint32_t segment_max; /* MaxRecvDataSegmentLength we declared */
	uint64_t last_ns;

	struct iscsi_rx_pdu pdu;          /* the one at hand */
	const struct iscsi_rx_pdu *aside; /* while one that was held is at
					     hand: the one on its way */
};

/* ---- out: transmit.c ---- */

enum iscsi_built {
	ISCSI_BUILT_PART, /* the batch is full: call again for the next */
	ISCSI_BUILT_ALL,  /* the batch refers to memory of it */
	ISCSI_BUILT_COPY, /* the batch has all there is of it */
};

/* Something to be sent.  Queued once at a time; the owner gets it back by
 * done(): sent, copied, or the connection died. */
struct iscsi_out {
	struct list link;
	/* Puts its next PDUs into the batch by iscsi_tx_pdu(). */
	enum iscsi_built (*build)(
	    struct iscsi_conn *conn, struct iscsi_out *out);
	void (*done)(struct iscsi_conn *conn, struct iscsi_out *out);
};

struct iscsi_tx {
	struct loop_io io;
	struct msghdr msg;
	struct loop_task kick;
	struct list queue;   /* struct iscsi_out, not built or only in part */
	struct list sending; /* their last byte is in the batch */
	struct iovec *iov;
	unsigned iov_first, iov_count, iov_max;
	uint8_t *arena; /* headers, digests, padding of the batch */
	unsigned arena_used, arena_size;
	uint64_t batch_bytes;
	unsigned control_bytes; /* waiting in control PDUs */
	bool header_digest, data_digest;
	uint64_t last_ns; /* something was sent, or nothing was to send */
};

/* What of StatSN a PDU carries. */
enum iscsi_statsn {
	ISCSI_STATSN_NONE, /* the field is reserved */
	ISCSI_STATSN_SHOW, /* the next one, not used up */
	ISCSI_STATSN_USE,
};

/* ---- the connection ---- */

struct iscsi_conn {
	uint32_t magic;
	enum iscsi_conn_state state;
	struct iscsi_server *server;
	struct iscsi_reactor *reactor;
	struct loop *loop;
	struct list link; /* the door's logging_in; session's conns */
	struct iscsi_session *session;
	struct iscsi_login *login;
	int fd, slot;      /* slot: registered file, or -1 */
	uint16_t cid, tag; /* portal group */
	uint32_t statsn;
	struct iscsi_params params;
	struct iscsi_rx rx;
	struct iscsi_tx tx;
	struct loop_timer timer;
	struct loop_task closing;
	struct loop_task move; /* to another loop: handover, funeral */
	bool torn_down;
	bool close_when_sent;
	const char *close_reason;
	struct sockaddr_storage peer, local;

	/* other connections of its session: join.c, logout.c, order.c */
	bool leaving; /* logged out: the session goes on without it */
	struct scsi_tmf_request abort; /* of its tasks, one by one */
	bool aborting;                 /* ... is under way */
	struct {
		bool own;     /* its own tasks have to end first, or */
		bool waiting; /* another one has to be gone first */
		uint16_t cid;
		uint32_t itt;
	} logout;
	uint64_t held_bytes; /* data of PDUs that came before their turn, */
	unsigned held_pdus;  /* and those of them that have no number */
	uint16_t fences;     /* that it was pinged for, a bit each */

	/* keep-alive, nop.c */
	uint32_t ping_tag;
	uint64_t ping_ns; /* sent then and not answered; 0: none */

	/* text requests, text_request.c */
	struct iscsi_text_state *text;

	/* tasks, task.c */
	struct list tasks;        /* all of this connection */
	struct list buffer_queue; /* those that wait for buffers */
	struct buf_waiter waiter;
	bool waiting_for_pool;
	struct list starved; /* in the reactor's */
	struct loop_task serve;
	uint64_t data_bytes; /* held by its tasks */
	unsigned task_count, tmf_count;
	unsigned awaiting; /* tasks that hold buffers and need Data-Out */
	uint64_t data_last_ns;
};

/* Takes over the socket.  NULL: no memory, the socket is the caller's. */
struct iscsi_conn *iscsi_conn_new(
    struct iscsi_server *server, int fd, uint16_t tag);

/* On the loop the connection now belongs to, nothing in flight: the buffers of
 * full feature phase.  -ENOMEM. */
int iscsi_conn_grow(struct iscsi_conn *conn);
void iscsi_conn_attach(struct iscsi_conn *conn, struct iscsi_reactor *reactor);
void iscsi_conn_detach(struct iscsi_conn *conn);

/* Ends it, from wherever called; why is a constant text for the log.  Returns
 * at once; nothing of it is freed before the caller has returned to the loop.
 */
void iscsi_conn_close(struct iscsi_conn *conn, const char *why);
/* ... after what is queued has been sent. */
void iscsi_conn_close_when_sent(struct iscsi_conn *conn, const char *why);
/* I/O, a task or a task management function has ended of one that is closing,
 * or logged out. */
void iscsi_conn_closing_step(struct iscsi_conn *conn);
/* The door's: the last of it. */
void iscsi_conn_free(struct iscsi_conn *conn);

static inline bool
iscsi_conn_is_open(const struct iscsi_conn *conn)
{
	return conn->state < ISCSI_CONN_CLOSING;
}

/* In full feature phase, not only on its way there. */
static inline bool
iscsi_conn_is_in_use(const struct iscsi_conn *conn)
{
	return conn->state == ISCSI_CONN_FULL && conn->login == NULL;
}

/* Its end has begun, though it may still be open: nothing new on it. */
static inline bool
iscsi_conn_is_ending(const struct iscsi_conn *conn)
{
	return !iscsi_conn_is_open(conn) || conn->close_when_sent ||
	       conn->logout.own;
}

/* May its session have more than one?  Not: has it. */
static inline bool
iscsi_conn_may_have_others(const struct iscsi_conn *conn)
{
	return ISCSI_PARAM(&conn->params, MaxConnections) > 1;
}

/* "[2001:db8::1]:3260", "192.0.2.1:3260"; buf of 64. */
char *iscsi_address_format(const struct sockaddr_storage *address, char *buf);

/* ---- receive.c ---- */

void iscsi_rx_init(struct iscsi_conn *conn, uint8_t *staging, unsigned size);
/* Goes on: looks at what is staged, then receives. */
void iscsi_rx_resume(struct iscsi_conn *conn);
void iscsi_rx_pause(struct iscsi_conn *conn);
/* For headers: where the data of this PDU goes.  Default: nowhere. */
void iscsi_rx_into_memory(
    struct iscsi_conn *conn, uint8_t *memory, uint32_t length, bool owned);
void iscsi_rx_into_task(struct iscsi_conn *conn, struct iscsi_task *task,
    uint32_t offset, uint32_t length);
/* The stalled task has its buffers. */
void iscsi_rx_unstall(struct iscsi_conn *conn);
/* One that was held is at hand, header and data; refused: without its data. */
void iscsi_rx_replay(struct iscsi_conn *conn, const struct iscsi_bhs *bhs,
    const uint8_t *ahs, const uint8_t *data, bool refused);
/* Is data of the task coming in right now? */
bool iscsi_rx_is_for(
    const struct iscsi_conn *conn, const struct iscsi_task *task);

/* ---- transmit.c ---- */

void iscsi_tx_init(struct iscsi_conn *conn, struct iovec *iov, unsigned iov_max,
    uint8_t *arena, unsigned arena_size);
void iscsi_tx_queue(struct iscsi_conn *conn, struct iscsi_out *out);
/* Is there room in the batch for a PDU with data in so many pieces? */
bool iscsi_tx_has_room(const struct iscsi_conn *conn, unsigned iov_count);
/* From build(): one PDU into the batch, with its numbers, digests and padding.
 * bhs is copied; the memory of iov must stay until done().  There is room. */
void iscsi_tx_pdu(struct iscsi_conn *conn, struct iscsi_bhs *bhs,
    enum iscsi_statsn statsn, const struct iovec *iov, unsigned iov_count,
    uint32_t length);
/* A PDU with data that is copied.  Closes the connection if there is no memory
 * for it. */
void iscsi_tx_control(struct iscsi_conn *conn, const struct iscsi_bhs *bhs,
    enum iscsi_statsn statsn, const void *data, uint32_t length);
/* The I/O has ended: gives everything back to its owners. */
void iscsi_tx_drain(struct iscsi_conn *conn);

/* ---- what is done with PDUs: dispatch.c ---- */

/* The header of rx.bhs is in and its digest right; ahs follows.  Sets where
 * data goes.  0; negative: the connection cannot go on (and is closed). */
int iscsi_dispatch_header(struct iscsi_conn *conn, const uint8_t *ahs);
/* All data is in and its digest right. */
void iscsi_dispatch_body(struct iscsi_conn *conn);
/* The data digest was wrong: data must not be used. */
void iscsi_dispatch_bad_data(struct iscsi_conn *conn);

/* Sends a Reject for rx.bhs; the PDU's data is dropped. */
void iscsi_reject(struct iscsi_conn *conn, enum iscsi_reject_reason reason);

#endif
