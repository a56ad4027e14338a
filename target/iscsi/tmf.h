/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Task management requests, RFC 7143 11.5 and RFC 7144 4. */
#ifndef TARGET_ISCSI_TMF_H
#define TARGET_ISCSI_TMF_H

#include "target/iscsi/conn.h"

int iscsi_tmf_header(struct iscsi_conn *conn, const uint8_t *ahs);
void iscsi_tmf_body(struct iscsi_conn *conn);

/* Does the request at hand have to wait for the commands before it?  One that
 * is immediate came at once, but those may be on other connections. */
bool iscsi_tmf_waits(const struct iscsi_conn *conn);

#endif
