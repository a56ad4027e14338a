/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Logout, RFC 7143 11.14 and 11.15. */
#ifndef TARGET_ISCSI_LOGOUT_H
#define TARGET_ISCSI_LOGOUT_H

#include "target/iscsi/conn.h"

int iscsi_logout_header(struct iscsi_conn *conn, const uint8_t *ahs);
void iscsi_logout_body(struct iscsi_conn *conn);
/* Its own logout waits: something of the connection has ended. */
void iscsi_logout_step(struct iscsi_conn *conn);
/* The last of this CID is gone from the session: who asked for that is told. */
void iscsi_logout_gone(struct iscsi_session *session, uint16_t cid);

#endif
