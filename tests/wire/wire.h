/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transcripts against the real stack.  A *.wire file holds cases:
 *
 *	case NAME                   a fresh server, two loops, LUNs 0 (memory)
 *	                            and 1 (memory behind a delay)
 *	limits NAME=N...            of the server, buffers of each loop; before
 *	                            the first connect
 *	host chap=USER:SECRET mutual=USER:SECRET
 *	portal ADDRESS TAG          one more; before the first connect
 *	group ACCESS                one more on 127.0.0.1 in group 2, which is
 *	                            to be in that state (SPC-4 table 307)
 *	connect [NAME [N]]          a new connection, to the first or the Nth
 *	                            portal more, the current one
 *	on NAME                     makes it current
 *	login ["Key=Value"...] [isid=HEX] [tsih=N] [cid=N]
 *	                            straight into full feature phase
 *	send PDU FIELD=VALUE... ["Key=Value"...] [data=DATA]
 *	chap USER:SECRET ...        like send login-request, with the answer to
 *	                            the challenge seen last
 *	expect PDU FIELD=VALUE... ["Key=Value"...] [data=DATA]
 *	expect closed | nothing
 *	raw HEX                     bytes as they are
 *	digest header|data|both|none, corrupt header|data
 *	                            what the client adds; spoil the next one
 *	redirect N ADDRESS|off [permanent]
 *	                            what the Nth portal does with hosts
 *	publish none|all|read-only|gone, drop TSIH
 *	                            what the administrator does
 *	sessions N [CONNECTIONS]    so many are listed
 *	stat NAME N, pause MS
 *	reflect USER:SECRET ...     like chap, with the server's own challenge
 *	proof USER:SECRET ID HEX    what came proves it for our challenge
 *	ready LUN                   takes the POWER ON unit attention
 *	throttle LUN [iops=N] [bps=N]
 *	                            sets its limits, with bursts of a second
 *	hangup                      closes the current connection
 *
 * @N is the port of the Nth portal, 0 that of the one there always is.
 * VALUE is a number, bytes in hex, or letters of flags (FTCRWSUO); $NAME takes
 * what was received, and gives it back in a later line.  "Key=*" in expect
 * means any value, "!Key" that it is not there.  DATA is hex:BYTES, zero:N or
 * fill:N:SEED.  CmdSN, ExpStatSN, lengths and digests are filled in unless
 * given.
 */
#ifndef TESTS_WIRE_WIRE_H
#define TESTS_WIRE_WIRE_H

#include "target/iscsi/pdu.h"
#include "target/iscsi/server.h"

#define WIRE_DATA_MAX   (1u << 20)
#define WIRE_TARGET     "iqn.2026-01.io.varve:wire"
#define WIRE_INITIATOR  "iqn.2026-01.io.varve:host"
#define WIRE_TIMEOUT_MS 5000

/* ---- service.c: the server under test ---- */

struct service;

#define PORTALS_MORE 4

struct service_config {
	struct {
		char address[64];
		uint16_t tag;
	} portals[PORTALS_MORE]; /* besides 127.0.0.1 in group 1 */
	unsigned portal_count;
	struct iscsi_limits limits;
	struct iscsi_credentials chap, mutual;
	uint64_t buffer_bytes;
	bool two_groups;
	enum port_access access; /* of the second */
};

/* VIEW_GONE: the target itself is not there any more. */
enum service_view { VIEW_ALL, VIEW_NONE, VIEW_READ_ONLY, VIEW_GONE };

struct service *service_start(const struct service_config *config);
void service_stop(struct service *service);
unsigned service_port(const struct service *service, unsigned portal);
/* A socket; 0: to the portal there always is, else to that of the config. */
int service_connect(struct service *service, unsigned portal);
void service_publish(struct service *service, enum service_view view);
/* NULL: nowhere. */
int service_redirect(
    struct service *service, unsigned portal, const char *to, bool permanent);
int service_drop(struct service *service, uint16_t tsih);
/* As they are listed. */
unsigned service_sessions(struct service *service, unsigned *ret_connections);
void service_throttle(
    struct service *service, unsigned lun, const struct lun_limits *limits);
void service_stat(struct service *service, struct iscsi_server_stat *ret);

/* ---- fields.c: PDUs as text ---- */

struct wire_pdu {
	struct iscsi_bhs bhs;
	uint8_t data[WIRE_DATA_MAX];
	uint32_t length;
	bool has_cmdsn, has_statsn; /* given, not to be filled in */
};

#define VARIABLES_MAX 32
struct variables {
	struct {
		char name[16];
		uint64_t value;
	} at[VARIABLES_MAX];
	unsigned count;
};

/* All return NULL, or what is wrong. */
const char *wire_opcode(const char *name, uint8_t *ret_opcode);
const char *wire_set(
    struct wire_pdu *pdu, const char *word, const struct variables *variables);
const char *wire_check(
    const struct wire_pdu *pdu, const char *word, struct variables *variables);
void wire_print(const struct wire_pdu *pdu);
/* Of the key's pair, or NULL. */
const char *wire_text_value(const struct wire_pdu *pdu, const char *key);

#endif
