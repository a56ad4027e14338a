/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A session: one I_T nexus, its command numbering, its tasks, and the
 * connections it runs over, as many as MaxConnections allows.  The door makes
 * it when a login is through; it lives on its target's loop, and when it is
 * over the door frees it.
 *
 *	state    what is going on
 *	NEW      posted to its loop with its leading connection
 *	ACTIVE   full feature phase
 *	CLOSING  connections go, then the nexus
 *	GONE     posted to the door
 */
#ifndef TARGET_ISCSI_SESSION_H
#define TARGET_ISCSI_SESSION_H

#include "target/iscsi/conn.h"
#include <stdatomic.h>

#define ISCSI_SESSION_MAGIC   0x15c51535u
#define ISCSI_COMMANDS_MAX    16384
#define ISCSI_TMF_SLOTS       16
#define ISCSI_FENCES          16 /* a power of two */
#define ISCSI_IMMEDIATE_SLOTS 8
#define ISCSI_HASH_SLOTS      256 /* a power of two */

enum iscsi_session_state {
	ISCSI_SESSION_NEW,
	ISCSI_SESSION_ACTIVE,
	ISCSI_SESSION_CLOSING,
	ISCSI_SESSION_GONE,
};

struct iscsi_mapping {
	unsigned number;
	struct lun *lun;
	bool read_only;
	bool wanted; /* publish.c: part of the new view */
	struct iscsi_session *session;
	struct list link;
};

struct iscsi_tmf {
	struct scsi_tmf_request request;
	struct iscsi_conn *conn; /* NULL: the slot is free */
	uint32_t itt;
	bool fenced; /* its answer overtakes no other */
};

/* fence.c: an answer that waits. */
struct iscsi_fence {
	struct iscsi_conn *conn; /* on which it will go; NULL: free */
	unsigned waiting;        /* connections that have not answered */
	uint32_t tag;            /* of the pings */
	void (*passed)(void *arg);
	void *arg;
};

struct iscsi_session {
	uint32_t magic;
	struct iscsi_server *server;

	/* fixed while it lives */
	struct iscsi_reactor *reactor;
	uint8_t isid[6];
	uint16_t tsih, tag;
	bool discovery;
	struct iscsi_params params; /* of the leading login */
	char initiator[ISCSI_NAME_MAX + 1];
	char host[64];
	char target[ISCSI_NAME_MAX + 1];
	char auth[16];
	uint64_t since_unix;

	/* the door's: directory.c */
	struct list directory;
	bool ask_posted, drop_posted;
	struct loop_task ask, drop;
	unsigned ask_grace_ms;
	_Atomic unsigned arriving; /* connections on their way to it */

	/* its loop's */
	enum iscsi_session_state state;
	struct list link; /* in reactor->sessions */
	struct list conns;
	struct list successors; /* each waits until one of its CID is gone */
	struct scsi_nexus *nexus;
	bool nexus_closing;
	struct list mappings; /* struct iscsi_mapping */
	unsigned unmapping;   /* scsi_nexus_unmap under way */
	bool publishing;      /* its end is a step of publish */
	bool counted;
	struct loop_timer linger; /* logout was asked for */
	struct loop_task gone;

	/* command numbering, RFC 7143 4.2.2.1 */
	_Atomic uint32_t exp_cmdsn_now; /* by the two functions below */
	struct list held;               /* order.c: came before their turn */
	bool ordering;
	unsigned window; /* commands the initiator may have open */
	unsigned open;   /* received, their status not yet built */

	struct iscsi_task *tasks;
	unsigned task_slots, task_used; /* used: ever initialised */
	struct iscsi_task *task_free;
	unsigned immediate_open;
	uint16_t hash[ISCSI_HASH_SLOTS]; /* by ITT; slot + 1 */
	struct iscsi_tmf tmfs[ISCSI_TMF_SLOTS];
	struct iscsi_fence fences[ISCSI_FENCES];
	uint32_t fence_count;

	uint64_t reads, writes, read_bytes, write_bytes;
	int used_lun; /* use.c */
};

/* A command came: notes which LUN it is for, if that says that the LUN is
 * used. */
void iscsi_session_use(
    struct iscsi_session *session, const uint8_t lun[8], uint8_t opcode);

/* ExpCmdSN is its loop's to set; the door may read it. */
static inline uint32_t
iscsi_exp_cmdsn(const struct iscsi_session *session)
{
	return atomic_load_explicit(
	    &session->exp_cmdsn_now, memory_order_relaxed);
}

static inline void
iscsi_exp_cmdsn_set(struct iscsi_session *session, uint32_t cmdsn)
{
	atomic_store_explicit(
	    &session->exp_cmdsn_now, cmdsn, memory_order_relaxed);
}

/* The door's.  NULL: no memory.  In no list yet. */
struct iscsi_session *iscsi_session_new(struct iscsi_server *server);
void iscsi_session_free(struct iscsi_session *session);

/* On its loop: a connection has arrived at the end of its login, its leading
 * one, one more, or one that takes the place of another. */
void iscsi_session_arrive(
    struct iscsi_session *session, struct iscsi_conn *conn);

/* Its nexus, LUNs and tasks.  -ENOMEM. */
int iscsi_session_open(struct iscsi_session *session);

/* Ends it.  Returns at once. */
void iscsi_session_close(struct iscsi_session *session, const char *why);
/* Asks the initiator to log out; closes after grace_ms if he does not. */
void iscsi_session_ask_logout(struct iscsi_session *session, unsigned grace_ms);

/* What it waits for may have come. */
void iscsi_session_check(struct iscsi_session *session);

/* ---- join.c: its connections ---- */

/* As the leading one, whose login ends here. */
void iscsi_session_lead(struct iscsi_session *session, struct iscsi_conn *conn);
void iscsi_session_join(struct iscsi_session *session, struct iscsi_conn *conn);
/* Those that wait for their turn are the session's now, to be closed. */
void iscsi_session_take_successors(struct iscsi_session *session);
struct iscsi_conn *iscsi_session_find_conn(
    const struct iscsi_session *session, uint16_t cid);
/* Is there one besides it, to go on with? */
bool iscsi_session_has_other(const struct iscsi_conn *conn);

/* A closing connection has no I/O and no begun task any more; its executing
 * tasks end when the session makes them. */
void iscsi_session_conn_lost(
    struct iscsi_session *session, struct iscsi_conn *conn);
/* ... and now nothing of it is left. */
void iscsi_session_conn_gone(
    struct iscsi_session *session, struct iscsi_conn *conn);

/* ---- session.c ---- */

/* ExpCmdSN and MaxCmdSN for a PDU of this connection. */
void iscsi_conn_window(const struct iscsi_conn *conn, uint32_t *ret_exp_cmdsn,
    uint32_t *ret_max_cmdsn);

/* An unmap has come to its end. */
void iscsi_session_unmapped(struct iscsi_session *session);

/* Is a connection still on its way to it, or with it? */
bool iscsi_session_is_awaited(const struct iscsi_session *session);

/* publish.c: maps what its host sees of its target by the access in effect on
 * its loop.  -ENOMEM. */
int iscsi_session_map(struct iscsi_session *session);

#endif
