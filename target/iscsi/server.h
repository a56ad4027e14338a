/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The iSCSI carrier (RFC 7143): portals, connections, sessions.  It runs on the
 * reactors it is given.  A connection is accepted and logs in on one reactor;
 * at the end of login it moves to its target's reactor, where the target's pool
 * and all its LUNs live, so that no command ever changes threads.
 *
 * Who may log in and see what is a value, struct iscsi_access: immutable once
 * published, shared by all reactors, replaced as a whole by the next one.
 */
#ifndef TARGET_ISCSI_SERVER_H
#define TARGET_ISCSI_SERVER_H

#include "target/scsi/lun.h"
#include <netinet/in.h>

#define ISCSI_NAME_MAX   223 /* RFC 7143 4.2.7.1 */
#define ISCSI_SECRET_MAX 255

/* ---- access: built by target/config.c ---- */

struct iscsi_credentials {
	char user[ISCSI_NAME_MAX + 1]; /* "": none */
	char secret[ISCSI_SECRET_MAX + 1];
};

struct iscsi_host {
	char name[64];                   /* "kvm1", for logs */
	char iqn[ISCSI_NAME_MAX + 1];    /* initiator name: iqn., eui., naa. */
	struct iscsi_credentials chap;   /* it proves itself by; user "": no
					    authentication asked */
	struct iscsi_credentials mutual; /* we prove ourselves by; user "":
					    not offered */
};

struct iscsi_export {
	unsigned host;   /* index into hosts */
	unsigned number; /* LUN */
	struct lun *lun; /* lives until a later access without it is published
			    everywhere */
	bool read_only;
};

struct iscsi_target {
	char iqn[ISCSI_NAME_MAX + 1];
	char alias[64];
	struct loop *loop; /* its LUNs' */
	struct iscsi_export *exports;
	unsigned export_count;
};

struct iscsi_access {
	_Atomic unsigned refs; /* 1 by iscsi_access_new */
	struct iscsi_host *hosts;
	unsigned host_count;
	struct iscsi_target *targets;
	unsigned target_count;
	bool discovery_chap; /* discovery asks the host's own credentials */
};

struct iscsi_access *iscsi_access_new(
    unsigned hosts, unsigned targets); /* zeroed; NULL: no memory */
struct iscsi_access *iscsi_access_ref(struct iscsi_access *access);
void iscsi_access_unref(struct iscsi_access *access); /* wipes secrets */

/* ---- server ---- */

struct iscsi_server;

struct iscsi_limits {                 /* 0: the default */
	unsigned connections;         /* in all: 1024 */
	unsigned unauthenticated;     /* not logged in yet, in all: 256; the
					 oldest gives way to a new one */
	unsigned sessions_per_host;   /* 256 */
	unsigned session_connections; /* MaxConnections: 4 */
	unsigned login_timeout_ms;    /* 15000, for the whole login */
	unsigned nop_interval_ms;     /* 10000 of silence, then a NOP-In */
	unsigned nop_timeout_ms;      /* 10000 more without an answer */
	unsigned commands;            /* CmdSN window per session: 128 */
	uint64_t data_bytes;          /* buffers one connection may hold:
					 16 MiB */
	uint32_t max_recv_segment; /* our MaxRecvDataSegmentLength: 256 KiB */
	uint32_t max_burst;        /* MaxBurstLength: 1 MiB */
	uint32_t first_burst;      /* FirstBurstLength: 256 KiB */
};

/* loops[0..count) are running.  home is the control loop, on which every done
 * callback of this header is called. */
int iscsi_server_new(struct loop *home, struct loop **loops, unsigned count,
    const struct iscsi_limits *limits, struct iscsi_server **ret_server);

/* "ADDR:PORT", "[ADDR6]:PORT"; port 0: the kernel's choice.  tag is the target
 * portal group (1 normally).  Blocks for socket, bind, listen only; then
 * *ret_bound is the address in effect.  -EINVAL, -EADDRINUSE, -EADDRNOTAVAIL,
 * -EACCES, -EEXIST. */
int iscsi_portal_add(struct iscsi_server *server, const char *address,
    uint16_t tag, struct sockaddr_storage *ret_bound);
/* Existing sessions go on.  -ENOENT.  address as bound. */
int iscsi_portal_remove(struct iscsi_server *server, const char *address);

/* "ADDR:PORT" or a name that initiators know */
#define ISCSI_REDIRECT_MAX 256

/* Whoever logs in to a target there is sent to another address (RFC 7143
 * 11.13.5), with the status "moved permanently" or "moved temporarily"; to
 * NULL: no more.  Existing sessions go on, and may still be joined.  -ENOENT,
 * -ENOMEM, -E2BIG. */
int iscsi_portal_redirect(struct iscsi_server *server, const char *address,
    const char *to, bool permanent);

/* Replaces the access (takes a reference).  done when every reactor uses it:
 * sessions of hosts that lost access are logged out and gone, LUNs that left
 * a host's view are unmapped and drained, new ones mapped with their unit
 * attention.  One at a time: call again from done. */
void iscsi_server_publish(struct iscsi_server *server,
    struct iscsi_access *access, void (*done)(void *arg), void *arg);

#define ISCSI_CONNS_MAX 16 /* of a session */

struct iscsi_conn_info {
	uint16_t cid;
	unsigned commands;
	char peer[64], portal[64];
	char header_digest[8], data_digest[8];
};

/* Of a session: none yet; more than one, or one of an unusual address. */
#define ISCSI_USED_NONE    (-1)
#define ISCSI_USED_SEVERAL (-2)

struct iscsi_session_info {
	uint16_t tsih;
	bool discovery;
	char initiator[ISCSI_NAME_MAX + 1];
	char host[64];
	char target[ISCSI_NAME_MAX + 1];
	uint8_t isid[6];
	unsigned connections, commands;                /* commands: of all */
	struct iscsi_conn_info conns[ISCSI_CONNS_MAX]; /* the oldest first */
	char auth[16];
	uint64_t since_unix;
	uint64_t reads, writes, read_bytes, write_bytes;
	struct latency_figures latency; /* of all its commands */
	/* the one LUN it has used since it logged in, or ISCSI_USED_... */
	int used_lun;
};
/* done(arg, infos, count): the array is freed after done returns.  Without
 * memory it is shorter than it should be, or empty. */
void iscsi_sessions_list(struct iscsi_server *server,
    void (*done)(
	void *arg, const struct iscsi_session_info *infos, unsigned count),
    void *arg);
/* Copies the session's, all zeros of a discovery session, before done: 0,
 * -ENOENT, or -ENOMEM at once. */
void iscsi_session_latency(struct iscsi_server *server, uint16_t tsih,
    struct latency *latency, void (*done)(void *arg, int result), void *arg);
/* Asks for logout, then drops.  done: 0, -ENOENT, or -ENOMEM at once. */
void iscsi_session_drop(struct iscsi_server *server, uint16_t tsih,
    void (*done)(void *arg, int result), void *arg);

/* Logout request to all, waits up to grace_ms, drops the rest, closes portals;
 * done when no connection and no task is left; then iscsi_server_free. */
void iscsi_server_stop(struct iscsi_server *server, unsigned grace_ms,
    void (*done)(void *arg), void *arg);
void iscsi_server_free(struct iscsi_server *server);

struct iscsi_server_stat {
	unsigned connections, sessions, unauthenticated;
	uint64_t logins, login_failures, chap_failures, rejects, digest_errors;
	uint64_t timeouts, refused;
};
void iscsi_server_stat_get(
    struct iscsi_server *server, struct iscsi_server_stat *ret_stat);

#endif
