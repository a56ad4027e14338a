/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* NOP-Out, NOP-In and the keep-alive of a connection, RFC 7143 11.18, 11.19. */
#ifndef TARGET_ISCSI_NOP_H
#define TARGET_ISCSI_NOP_H

#include "target/iscsi/conn.h"

/* Full feature phase begins: watches over the peer from now on. */
void iscsi_nop_start(struct iscsi_conn *conn);
/* Asks for an answer with this target transfer tag. */
void iscsi_nop_send(struct iscsi_conn *conn, uint32_t tag);

int iscsi_nop_header(struct iscsi_conn *conn, const uint8_t *ahs);
void iscsi_nop_body(struct iscsi_conn *conn);

#endif
