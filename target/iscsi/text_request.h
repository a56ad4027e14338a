/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text requests in full feature phase, RFC 7143 11.10 and 11.11: SendTargets,
 * and the few keys that may still be declared.
 */
#ifndef TARGET_ISCSI_TEXT_REQUEST_H
#define TARGET_ISCSI_TEXT_REQUEST_H

#include "target/iscsi/conn.h"

struct iscsi_text_state;
void iscsi_text_state_free(struct iscsi_text_state *state);

int iscsi_text_header(struct iscsi_conn *conn, const uint8_t *ahs);
void iscsi_text_body(struct iscsi_conn *conn);

/* discovery.c: the answer to SendTargets=value (13.3), as this connection's
 * initiator may see it.  Grows text, whose data is malloc'ed.  0, -ENOMEM, or
 * -EPROTO: the value is not legal in this session. */
int iscsi_send_targets(
    struct iscsi_conn *conn, const char *value, struct iscsi_text *text);

#endif
