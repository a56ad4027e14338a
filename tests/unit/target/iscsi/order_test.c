/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Claims about PDUs before their turn: what a given up one still costs.  Not
 * covered: that they are delivered, and in which order (tests/wire).
 */
#include "target/iscsi/order.h"
#include "target/iscsi/reactor.h"
#include "tests/unit/base/support/cmocka.h"
#include <malloc.h>

#define DATA 65536u

static struct iscsi_server server;
static struct iscsi_session session;
static struct iscsi_conn conn;

static int
setup(void **state)
{
	(void)state;
	memset(&server, 0, sizeof(server));
	memset(&session, 0, sizeof(session));
	memset(&conn, 0, sizeof(conn));
	server.limits.data_bytes = 2 * DATA;
	session.server = conn.server = &server;
	iscsi_exp_cmdsn_set(&session, 1);
	session.window = 32;
	list_init(&session.conns);
	list_init(&session.held);
	conn.state = ISCSI_CONN_FULL;
	conn.session = &session;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	iscsi_order_forget(&conn);
	assert_int_equal(conn.held_bytes, 0);
	iscsi_order_free(&session);
	return 0;
}

static void
pdu_arrives(enum iscsi_held_kind kind, uint32_t itt, uint32_t cmdsn)
{
	struct iscsi_rx_pdu *pdu = &conn.rx.pdu;

	memset(pdu, 0, sizeof(*pdu));
	pdu->bhs.opcode =
	    kind == ISCSI_HELD_DATA ? ISCSI_DATA_OUT : ISCSI_SCSI_COMMAND;
	be32_set(&pdu->bhs.itt, itt);
	be32_set(&pdu->bhs.number[0], cmdsn);
	pdu->data_length = DATA;
	assert_int_equal(iscsi_order_hold(&conn, NULL, kind), 0);
	if (pdu->held != NULL)
		iscsi_order_keep(&conn);
}

static bool
task_is_aborted(uint32_t itt, uint32_t cmdsn)
{
	struct iscsi_task_request request = {0};

	be32_set(&request.cmdsn, iscsi_exp_cmdsn(&session) + 8);
	be32_set(&request.ref_cmdsn, cmdsn);
	be32_set(&request.referenced_itt, itt);
	return iscsi_order_abort(&session, &request);
}

/* The link is their first member. */
static size_t
held_memory(void)
{
	size_t sum = 0;

	for (struct list *at = session.held.next; at != &session.held;
	     at = at->next)
		sum += malloc_usable_size(at);
	return sum;
}

static void
an_aborted_command_keeps_its_number_only(void **state)
{
	(void)state;
	for (uint32_t n = 2; n < 6; n++) {
		pdu_arrives(ISCSI_HELD_NUMBERED, n, n);
		pdu_arrives(ISCSI_HELD_DATA, n, 0);
		assert_int_equal(conn.held_bytes, 2 * DATA);
		assert_true(task_is_aborted(n, n));
		assert_int_equal(conn.held_bytes, 0);
	}
	assert_in_range(held_memory(), 1, 4 * 512);
}

static void
a_lost_connection_keeps_numbers_only(void **state)
{
	(void)state;
	pdu_arrives(ISCSI_HELD_NUMBERED, 2, 2);
	pdu_arrives(ISCSI_HELD_NUMBERED, 3, 3);
	iscsi_order_forget(&conn);
	assert_int_equal(conn.held_bytes, 0);
	assert_in_range(held_memory(), 1, 2 * 512);
}

static void
a_refused_command_has_no_data(void **state)
{
	(void)state;
	pdu_arrives(ISCSI_HELD_NUMBERED, 2, 2);
	pdu_arrives(ISCSI_HELD_DATA, 2, 0);
	/* one too much, and what follows is not kept either */
	pdu_arrives(ISCSI_HELD_DATA, 2, 0);
	const struct list *command = session.held.next;
	pdu_arrives(ISCSI_HELD_DATA, 2, 0);
	/* nor is the command made smaller again (allocators that always move
	 * what they resize show it: ASan's) */
	assert_ptr_equal(session.held.next, command);
	assert_int_equal(conn.held_bytes, 0);
	assert_int_equal(conn.held_pdus, 0);
	assert_in_range(held_memory(), 1, 512);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    test(an_aborted_command_keeps_its_number_only),
	    test(a_lost_connection_keeps_numbers_only),
	    test(a_refused_command_has_no_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
