/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Task management.  scsi does it, and answers when every task it hit has
 * stopped for good; then those of them that were still waiting for Data-Out are
 * given up, and the response goes out.  Data-Out that comes for them later is
 * taken to nowhere.
 *
 * A function may meet commands that are on their way on another connection of
 * the session (RFC 7143 4.2.3.3, "the target iSCSI layer"): one that ends many
 * tasks of a logical unit waits for them, one that ends all of the target takes
 * them as received and done with; ABORT TASK makes its own never be delivered.
 */
#include "target/iscsi/tmf.h"
#include "target/iscsi/fence.h"
#include "target/iscsi/order.h"
#include "target/iscsi/task.h"

/* RFC 7143 11.5.1, RFC 7144 4.1 */
enum {
	TMF_ABORT_TASK = 1,
	TMF_ABORT_TASK_SET = 2,
	TMF_CLEAR_ACA = 3,
	TMF_CLEAR_TASK_SET = 4,
	TMF_LOGICAL_UNIT_RESET = 5,
	TMF_TARGET_WARM_RESET = 6,
	TMF_TARGET_COLD_RESET = 7,
	TMF_TASK_REASSIGN = 8,
	TMF_QUERY_TASK = 9,
	TMF_QUERY_TASK_SET = 10,
	TMF_I_T_NEXUS_RESET = 11,
	TMF_QUERY_ASYNC_EVENT = 12,
	TMF_COUNT
};

/* 11.6.1, RFC 7144 4.2 */
enum {
	RESPONSE_COMPLETE = 0,
	RESPONSE_NO_TASK = 1,
	RESPONSE_NO_LUN = 2,
	RESPONSE_NO_REASSIGN = 4,
	RESPONSE_NOT_SUPPORTED = 5,
	RESPONSE_SUCCEEDED = 7,
	RESPONSE_REJECTED = 255,
};

/* What it concerns: decides how it meets commands that were not delivered. */
enum scope {
	SCOPE_TASK,
	SCOPE_UNIT,
	SCOPE_TARGET,
	SCOPE_QUERY,
};

/* level: the iSCSIProtocolLevel it needs, RFC 7144 4 */
static const struct {
	bool known;
	enum scsi_tmf function;
	unsigned level;
	enum scope scope;
} functions[TMF_COUNT] = {
    [TMF_ABORT_TASK] = {true, SCSI_ABORT_TASK, 0, SCOPE_TASK},
    [TMF_ABORT_TASK_SET] = {true, SCSI_ABORT_TASK_SET, 0, SCOPE_UNIT},
    [TMF_CLEAR_TASK_SET] = {true, SCSI_CLEAR_TASK_SET, 0, SCOPE_UNIT},
    [TMF_LOGICAL_UNIT_RESET] = {true, SCSI_LOGICAL_UNIT_RESET, 0, SCOPE_UNIT},
    [TMF_TARGET_WARM_RESET] = {true, SCSI_TARGET_WARM_RESET, 0, SCOPE_TARGET},
    [TMF_TARGET_COLD_RESET] = {true, SCSI_TARGET_COLD_RESET, 0, SCOPE_TARGET},
    [TMF_QUERY_TASK] = {true, SCSI_QUERY_TASK, 2, SCOPE_QUERY},
    [TMF_QUERY_TASK_SET] = {true, SCSI_QUERY_TASK_SET, 2, SCOPE_QUERY},
    [TMF_I_T_NEXUS_RESET] = {true, SCSI_I_T_NEXUS_RESET, 2, SCOPE_TARGET},
    [TMF_QUERY_ASYNC_EVENT] = {true, SCSI_QUERY_ASYNC_EVENT, 2, SCOPE_QUERY},
};

static const uint8_t responses[] = {
    [SCSI_TMF_COMPLETE] = RESPONSE_COMPLETE,
    [SCSI_TMF_SUCCEEDED] = RESPONSE_SUCCEEDED,
    [SCSI_TMF_TASK_NOT_FOUND] = RESPONSE_NO_TASK,
    [SCSI_TMF_LUN_NOT_FOUND] = RESPONSE_NO_LUN,
    [SCSI_TMF_REJECTED] = RESPONSE_REJECTED,
    [SCSI_TMF_NOT_SUPPORTED] = RESPONSE_NOT_SUPPORTED,
};

static const struct iscsi_task_request *
request_of(const struct iscsi_conn *conn)
{
	return (const void *)&conn->rx.pdu.bhs;
}

static void
tmf_respond(struct iscsi_conn *conn, uint32_t itt, uint8_t response,
    uint32_t additional)
{
	union {
		struct iscsi_bhs bhs;
		struct iscsi_task_response response;
	} u = {.response = {
		   .opcode = ISCSI_TASK_RESPONSE,
		   .flags = ISCSI_FINAL,
		   .response = response,
	       }};

	be32_set(&u.response.itt, itt);
	be32_set(&u.response.additional, additional);
	iscsi_tx_control(conn, &u.bhs, ISCSI_STATSN_USE, NULL, 0);
}

static void
tmf_finish(void *arg)
{
	struct iscsi_tmf *tmf = arg;
	struct iscsi_conn *conn = tmf->conn;
	const struct scsi_tmf_request *request = &tmf->request;

	tmf->conn = NULL;
	assert(conn->tmf_count > 0);
	conn->tmf_count--;
	if (!iscsi_conn_is_open(conn)) {
		iscsi_conn_closing_step(conn);
		return;
	}
	tmf_respond(
	    conn, tmf->itt, responses[request->response], request->additional);
	/* 11.5.1: TARGET COLD RESET also drops the connections */
	if (request->function == SCSI_TARGET_COLD_RESET &&
	    request->response == SCSI_TMF_COMPLETE)
		iscsi_conn_close_when_sent(conn, "target cold reset");
	if (conn->logout.own)
		iscsi_conn_closing_step(conn);
}

static void
tmf_done(struct scsi_tmf_request *request)
{
	struct iscsi_tmf *tmf =
	    container_of(request, struct iscsi_tmf, request);
	struct iscsi_session *session = tmf->conn->session;
	struct iscsi_conn *conn;

	list_for_each (conn, &session->conns, link) {
		if (iscsi_conn_is_open(conn))
			iscsi_tasks_abandon_aborted(conn);
	}
	/* 4.2.2.3.4: the answers that have to be fenced */
	if (!iscsi_conn_is_open(tmf->conn) || !tmf->fenced ||
	    !iscsi_fence_begin(tmf->conn, tmf_finish, tmf))
		tmf_finish(tmf);
}

static struct iscsi_tmf *
tmf_slot(struct iscsi_session *session)
{
	for (unsigned i = 0; i < ISCSI_TMF_SLOTS; i++) {
		if (session->tmfs[i].conn == NULL)
			return &session->tmfs[i];
	}
	return NULL;
}

static void
tmf_start(struct iscsi_conn *conn, struct iscsi_tmf *tmf,
    const struct iscsi_task_request *r, unsigned code)
{
	struct scsi_tmf_request *request = &tmf->request;

	memset(tmf, 0, sizeof(*tmf));
	tmf->conn = conn;
	tmf->itt = be32_get(&r->itt);
	tmf->fenced = functions[code].scope == SCOPE_UNIT ||
		      functions[code].scope == SCOPE_TARGET;
	conn->tmf_count++;
	request->nexus = conn->session->nexus;
	request->function = functions[code].function;
	memcpy(request->lun_field, r->lun, sizeof(request->lun_field));
	request->tag = be32_get(&r->referenced_itt);
	request->done = tmf_done;
	scsi_tmf(request);
}

int
iscsi_tmf_header(struct iscsi_conn *conn, const uint8_t *ahs)
{
	(void)ahs;
	if (be32_get(&request_of(conn)->itt) == ISCSI_TAG_NONE)
		iscsi_reject(conn, ISCSI_REJECT_INVALID_FIELD);
	return 0;
}

/* 0: it can be done; else the response. */
static uint8_t
tmf_refusal(const struct iscsi_conn *conn, unsigned code)
{
	/* 11.5.1: connection allegiance is reassigned at level 2 only */
	if (code == TMF_TASK_REASSIGN)
		return RESPONSE_NO_REASSIGN;
	if (code >= TMF_COUNT || !functions[code].known)
		return RESPONSE_NOT_SUPPORTED;
	if (functions[code].level >
	    ISCSI_PARAM(&conn->params, iSCSIProtocolLevel))
		return RESPONSE_NOT_SUPPORTED;
	return 0;
}

/* Commands before it that have not been delivered; true: that was all. */
static bool
tmf_before(struct iscsi_conn *conn, unsigned code)
{
	const struct iscsi_task_request *r = request_of(conn);
	struct iscsi_session *session = conn->session;

	if (functions[code].scope == SCOPE_TARGET)
		iscsi_order_plug(session, be32_get(&r->cmdsn));
	return functions[code].scope == SCOPE_TASK &&
	       iscsi_task_find(session, be32_get(&r->referenced_itt)) == NULL &&
	       iscsi_order_abort(session, r);
}

bool
iscsi_tmf_waits(const struct iscsi_conn *conn)
{
	const struct iscsi_task_request *r = request_of(conn);
	const unsigned code = r->function & ISCSI_TASK_FUNCTION;
	uint32_t exp, max;

	iscsi_conn_window(conn, &exp, &max);
	return code < TMF_COUNT && functions[code].known &&
	       functions[code].scope == SCOPE_UNIT &&
	       iscsi_sn_before(exp, be32_get(&r->cmdsn)) &&
	       !iscsi_sn_before(max + 1, be32_get(&r->cmdsn));
}

void
iscsi_tmf_body(struct iscsi_conn *conn)
{
	const struct iscsi_task_request *r = request_of(conn);
	const unsigned code = r->function & ISCSI_TASK_FUNCTION;
	struct iscsi_tmf *tmf = tmf_slot(conn->session);
	uint8_t refusal = tmf_refusal(conn, code);

	if (refusal == 0 && tmf == NULL)
		refusal = RESPONSE_REJECTED;
	if (refusal != 0)
		tmf_respond(conn, be32_get(&r->itt), refusal, 0);
	else if (tmf_before(conn, code))
		tmf_respond(conn, be32_get(&r->itt), RESPONSE_COMPLETE, 0);
	else
		tmf_start(conn, tmf, r, code);
}
