/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asymmetric access: what a host is told of target port groups, what it may
 * set, and which commands pass in which state.  Nexus 0 comes in by group 1,
 * nexus 2 by group 2.  Not here: portals and their groups, which are varved's.
 */
#include "target/scsi/handlers.h"
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>
#include <stdlib.h>

enum { AO, AN, STANDBY, UNAVAILABLE, TRANSITIONING = 0xf };

static void
open_rig(struct rig *rig, const struct lun_saved *saved)
{
	const struct port_groups ports = {
	    .count = 2, .list = {{1, ACCESS_OPTIMIZED}, {2, ACCESS_OPTIMIZED}}};

	rig_open(rig, &(struct rig_params){
			  .keep = true, .ports = &ports, .saved = saved});
	rig_nexus(rig, 2, RIG_A, RIG_TARGET, 2);
	rig_clear_attentions(rig);
}

static int
setup(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	if (rig == NULL)
		return -1;
	open_rig(rig, NULL);
	*state = rig;
	return 0;
}

/* The administrator sets the second group. */
static void
give(struct rig *rig, enum port_access access)
{
	const struct port_groups ports = {
	    .count = 2, .list = {{1, ACCESS_OPTIMIZED}, {2, access}}};

	lun_set_port_groups(rig->lun, &ports, 2);
}

/* SET TARGET PORT GROUPS, of one group, or of two. */
static void
stpg(struct cmd *cmd, struct rig *rig, unsigned nexus, unsigned count,
    uint8_t access_1, uint16_t tag_1, uint8_t access_2, uint16_t tag_2)
{
	static uint8_t list[12];
	uint32_t length = 4 + 4 * count;

	memset(list, 0, sizeof(list));
	list[4] = access_1;
	store_be16(list + 6, tag_1);
	list[8] = access_2;
	store_be16(list + 10, tag_2);
	CMD(cmd, rig, 0xa4, 0x0a, 0, 0, 0, 0, BE32(length), 0, 0);
	cmd_out(cmd, list, length);
	cmd->task.nexus = rig->nexus[nexus];
}

static void
set(struct rig *rig, unsigned nexus, uint8_t access, uint16_t tag)
{
	struct cmd cmd;

	stpg(&cmd, rig, nexus, 1, access, tag, 0, 0);
	run_good(&cmd);
}

/* State and STATUS CODE of the group, by RTPG. */
static void
group_is(struct rig *rig, uint16_t tag, uint8_t access, uint8_t status)
{
	struct cmd cmd;
	const uint8_t *in;

	CMD(&cmd, rig, 0xa3, 0x0a, 0, 0, 0, 0, BE32(255), 0, 0);
	cmd.task.nexus = rig->nexus[2];
	cmd_run(&cmd);
	assert_good(&cmd);
	in = cmd_in(&cmd) + 4 + 12u * (tag - 1u);
	assert_int_equal(load_be16(in + 2), tag);
	assert_int_equal(in[0], access);
	assert_int_equal(in[5], status);
	cmd_release(&cmd);
}

static void
both_formats_tell_each_group_with_its_port(void **state)
{
	static const uint8_t expected[] = {0, 0, 0, 24, 0x00, 0x8f, 0, 1, 0, 0,
	    0, 1, 0, 0, 0, 1, /* group 1 */
	    0x02, 0x8f, 0, 2, 0, 2, 0, 1, 0, 0, 0, 2};
	struct rig *rig = *state;
	struct cmd cmd;

	give(rig, ACCESS_STANDBY);
	rig_clear_attentions(rig);
	CMD(&cmd, rig, 0xa3, 0x0a, 0, 0, 0, 0, BE32(255), 0, 0);
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, sizeof(expected));
	assert_memory_equal(cmd_in(&cmd), expected, sizeof(expected));
	cmd_release(&cmd);
	CMD(&cmd, rig, 0xa3, 0x2a, 0, 0, 0, 0, BE32(255), 0, 0);
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, sizeof(expected) + 4);
	assert_memory_equal(cmd_in(&cmd), "\0\0\0\x1c\x10\0\0\0", 8);
	assert_memory_equal(cmd_in(&cmd) + 8, expected + 4, 24);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0xa3, 0x4a, 0, 0, 0, 0, BE32(255), 0, 0);
	run_field(&cmd, 1, 7);
}

static void
inquiry_says_that_there_are_groups_and_ports(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x12, 0, 0, BE16(96), 0);
	cmd_run(&cmd);
	assert_int_equal(cmd_in(&cmd)[5] & 0x30, 0x30); /* TPGS */
	assert_int_equal(cmd_in(&cmd)[6] & 0x10, 0x10); /* MULTIP */
	cmd_release(&cmd);
	CMD(&cmd, rig, 0x1a, 0x08, 0x0a, 1, 255, 0);
	cmd_run(&cmd);
	assert_int_equal(cmd_in(&cmd)[4 + 4], 1); /* IALUAE */
	cmd_release(&cmd);
}

static void
the_ports_are_named_as_the_sessions_that_come_in_by_them(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in, *second;
	const char *name;

	CMD(&cmd, rig, 0x12, 1, 0x88, BE16(4096), 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	in = cmd_in(&cmd) + 4;
	assert_int_equal(load_be16(in + 2), 1);
	second = in + 12 + load_be16(in + 10);
	assert_int_equal(load_be16(second + 2), 2);
	assert_int_equal(load_be16(second + 6), 0); /* no initiator port */
	name = (const char *)second + 12 + 4;
	assert_string_equal(name, rig->nexus[2]->target_port);
	assert_ptr_equal(
	    second + 12 + load_be16(second + 10), in + cmd.task.in_length - 4);
	cmd_release(&cmd);
}

static void
a_unit_that_was_told_nothing_has_one_group(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){0});
	CMD(&cmd, &rig, 0xa3, 0x0a, 0, 0, 0, 0, BE32(255), 0, 0);
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, 16);
	assert_int_equal(cmd_in(&cmd)[4], AO);
	cmd_release(&cmd);
	stpg(&cmd, &rig, 0, 1, AN, 1, 0, 0);
	run_good(&cmd); /* without a keeper */
	assert_int_equal(rig.lun->ports.list[0].access, ACCESS_NON_OPTIMIZED);
	/* a session by a group that has no portal any more */
	rig_nexus(&rig, 2, RIG_A, RIG_TARGET, 7);
	rig_clear_attentions(&rig);
	CMD(&cmd, &rig, 0xa3, 0x0a, 0, 0, 0, 0, BE32(255), 0, 0);
	cmd.task.nexus = rig.nexus[2];
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, 28);
	assert_int_equal(load_be16(cmd_in(&cmd) + 16 + 2), 7);
	cmd_release(&cmd);
	rig_close(&rig);
}

/* SPC-4 5.15.2.4.4 and .5, 5.15.2.5; READ CAPACITY and the REPORT SUPPORTED
 * commands pass in standby besides: hosts probe with them. */
static const uint8_t in_standby[] = {0x03, 0x12, 0x15, 0x1a, 0x1c, 0x1d, 0x25,
    0x3b, 0x3c, 0x4d, 0x55, 0x5a, 0x5e, 0x5f, 0xa0, 0xa3, 0xa4};
static const uint8_t in_unavailable[] = {0x03, 0x12, 0x3b, 0x3c, 0xa0, 0xa4};
static const uint8_t in_transition[] = {0x03, 0x12, 0x3b, 0x3c, 0xa0};

static bool
passes(const struct scsi_op *op, const uint8_t *list, size_t count)
{
	if (op->opcode == 0xa3 && op->action == 0x0a)
		return true;
	if (op->opcode == 0x9e && op->action == 0x10)
		return list == in_standby; /* READ CAPACITY(16) */
	return memchr(list, op->opcode, count) != NULL;
}

static void
check_rows(struct rig *rig, const struct scsi_sense *sense, const uint8_t *list,
    size_t count)
{
	for (unsigned i = 0; i < scsi_op_count; i++) {
		const struct scsi_op *op = &scsi_ops[i];
		uint8_t cdb[16] = {op->opcode, op->action};
		struct cmd cmd;
		if (op->opcode == 0x3b || op->opcode == 0x3c)
			cdb[1] = 0x0a; /* echo */
		cmd_init(&cmd, rig, cdb, op->length);
		cmd.task.nexus = rig->nexus[2];
		cmd.task.expected_out = 512;
		bool began = cmd_begin(&cmd);
		struct scsi_sense got = {0};
		if (!began)
			got = cmd_sense(&cmd);
		bool refused = got.key == sense->key && got.asc == sense->asc &&
			       got.ascq == sense->ascq;
		if (refused == passes(op, list, count))
			print_error("%s\n", op->name);
		assert_int_equal(refused, !passes(op, list, count));
		if (began)
			scsi_task_drop(&cmd.task);
		else
			cmd_release(&cmd);
	}
}

static void
every_row_passes_in_the_states_the_standard_says(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	give(rig, ACCESS_STANDBY);
	rig_clear_attentions(rig);
	check_rows(
	    rig, &SENSE_TARGET_PORT_STANDBY, in_standby, sizeof(in_standby));
	give(rig, ACCESS_UNAVAILABLE);
	rig_clear_attentions(rig);
	check_rows(rig, &SENSE_TARGET_PORT_UNAVAILABLE, in_unavailable,
	    sizeof(in_unavailable));
	give(rig, ACCESS_OPTIMIZED);
	rig_clear_attentions(rig);
	rig->keep_hold = true;
	stpg(&cmd, rig, 0, 1, STANDBY, 2, 0, 0);
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_clear_attentions(rig);
	group_is(rig, 2, TRANSITIONING, 2);
	check_rows(rig, &SENSE_ACCESS_STATE_TRANSITION, in_transition,
	    sizeof(in_transition));
	rig_keep(rig);
	assert_good(&cmd);
	cmd_release(&cmd);
	rig_clear_attentions(rig);
	group_is(rig, 2, STANDBY, 1);
	give(rig, ACCESS_NON_OPTIMIZED);
	rig_clear_attentions(rig);
	rig_hears(rig, 2, NULL);
}

static void
the_other_group_notices_nothing(void **state)
{
	struct rig *rig = *state;

	give(rig, ACCESS_UNAVAILABLE);
	rig_clear_attentions(rig);
	rig_hears(rig, 0, NULL);
	rig_hears(rig, 2, &SENSE_TARGET_PORT_UNAVAILABLE);
	rig_fill(rig, 0, 1, 1);
}

static void
the_unit_buffer_is_no_echo(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	give(rig, ACCESS_STANDBY);
	rig_clear_attentions(rig);
	CMD(&cmd, rig, 0x3c, 0x02, 0, 0, 0, 0, 0, 0, 4, 0);
	cmd.task.nexus = rig->nexus[2];
	run_sense(&cmd, TARGET_PORT_STANDBY);
	CMD(&cmd, rig, 0x3c, 0x0b, 0, 0, 0, 0, 0, 0, 4, 0);
	cmd.task.nexus = rig->nexus[2];
	run_good(&cmd);
}

static void
request_sense_tells_why_a_port_is_not_ready(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	give(rig, ACCESS_STANDBY);
	rig_clear_attentions(rig);
	CMD(&cmd, rig, 0x03, 0, 0, 0, 252, 0);
	cmd.task.nexus = rig->nexus[2];
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd_in(&cmd)[2], 2);
	assert_int_equal(load_be16(cmd_in(&cmd) + 12), 0x040b);
	cmd_release(&cmd);
}

static void
a_change_is_told_to_every_nexus_but_the_one_that_made_it(void **state)
{
	struct rig *rig = *state;

	set(rig, 0, AN, 2);
	rig_hears(rig, 0, NULL);
	rig_hears(rig, 1, &SENSE_ACCESS_STATE_CHANGED);
	rig_hears(rig, 2, &SENSE_ACCESS_STATE_CHANGED);
	set(rig, 0, AN, 2); /* no change */
	rig_hears(rig, 1, NULL);
	give(rig, ACCESS_STANDBY); /* the administrator is no nexus */
	rig_hears(rig, 0, &SENSE_ACCESS_STATE_CHANGED);
	rig_hears(rig, 1, &SENSE_ACCESS_STATE_CHANGED);
	rig_hears(rig, 2, &SENSE_ACCESS_STATE_CHANGED);
}

static void
what_a_host_sets_is_kept_and_is_there_after_a_restart(void **state)
{
	struct rig rig;
	struct lun_saved saved;
	int64_t value;

	(void)state;
	open_rig(&rig, NULL);
	set(&rig, 2, STANDBY, 1);
	assert_true(lun_saved_get(&rig.saved, "access.1", &value));
	assert_int_equal(value, STANDBY);
	assert_false(lun_saved_get(&rig.saved, "access.2", &value));
	saved = rig.saved;
	rig_close(&rig);
	open_rig(&rig, &saved);
	group_is(&rig, 1, STANDBY, 1);
	group_is(&rig, 2, AO, 0);
	rig_close(&rig);
}

static void
what_cannot_be_kept_has_not_happened(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->keep_error = -EIO;
	stpg(&cmd, rig, 2, 1, STANDBY, 1, 0, 0);
	run_sense(&cmd, SET_TARGET_PORT_GROUPS_FAILED);
	group_is(rig, 1, AO, 0);
	rig_hears(rig, 0, NULL);
}

static void
the_last_word_is_the_administrators_until_a_host_has_it(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	give(rig, ACCESS_STANDBY);
	rig_clear_attentions(rig);
	set(rig, 2, AO, 2); /* a host that fails over */
	group_is(rig, 2, AO, 1);
	give(rig, ACCESS_STANDBY); /* once more */
	rig_clear_attentions(rig);
	group_is(rig, 2, STANDBY, 2);
	give(rig, ACCESS_UNAVAILABLE);
	rig_clear_attentions(rig);
	stpg(&cmd, rig, 2, 1, AO, 2, 0, 0);
	run_sense(&cmd, SET_TARGET_PORT_GROUPS_FAILED);
	group_is(rig, 2, UNAVAILABLE, 2);
}

static void
a_host_may_not_leave_the_unit_without_an_active_group(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	stpg(&cmd, rig, 0, 2, STANDBY, 1, STANDBY, 2);
	cmd_run(&cmd);
	assert_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	cmd_release(&cmd);
	group_is(rig, 1, AO, 0);
	stpg(&cmd, rig, 0, 2, STANDBY, 1, AN, 2);
	run_good(&cmd);
	stpg(&cmd, rig, 0, 1, UNAVAILABLE, 2, 0, 0);
	run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	/* in standby it may say so still */
	stpg(&cmd, rig, 0, 2, AO, 1, UNAVAILABLE, 2);
	run_good(&cmd);
	rig_clear_attentions(rig);
	stpg(&cmd, rig, 2, 1, AO, 2, 0, 0); /* and in unavailable */
	run_good(&cmd);
}

static void
wrong_lists_are_pointed_at_and_change_nothing(void **state)
{
	const struct {
		uint8_t access;
		uint16_t tag, byte;
	} wrong[] = {
	    {0x4, 2, 8}, {0xe, 2, 8}, {0xf, 2, 8}, {0x10, 2, 8}, {AN, 3, 10}};
	struct rig *rig = *state;
	struct cmd cmd;

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		stpg(&cmd, rig, 0, 2, AN, 1, wrong[i].access, wrong[i].tag);
		cmd_run(&cmd);
		assert_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
		assert_int_equal(cmd_sense(&cmd).field_byte, wrong[i].byte);
		cmd_release(&cmd);
	}
	for (unsigned length = 1; length < 8; length++) {
		CMD(&cmd, rig, 0xa4, 0x0a, 0, 0, 0, 0, BE32(length), 0, 0);
		cmd_out(&cmd, "\0\0\0\0\0\0\0\0", length);
		if (length == 4)
			run_good(&cmd);
		else
			run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	}
	CMD(&cmd, rig, 0xa4, 0x0a, 0, 0, 0, 0, BE32(0), 0, 0);
	run_good(&cmd);
	group_is(rig, 1, AO, 0);
	assert_int_equal(rig->keeps, 0);
}

static void
while_one_is_made_another_is_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd first, second;

	rig->keep_hold = true;
	stpg(&first, rig, 0, 1, AN, 2, 0, 0);
	assert_true(cmd_begin(&first));
	cmd_execute(&first);
	stpg(&second, rig, 1, 1, STANDBY, 2, 0, 0);
	run_sense(&second, ACCESS_STATE_TRANSITION);
	give(rig, ACCESS_UNAVAILABLE); /* comes before it is kept */
	rig_keep(rig);
	rig_keep(rig); /* what he said */
	assert_good(&first);
	cmd_release(&first);
	rig_clear_attentions(rig);
	group_is(rig, 2, UNAVAILABLE, 2);
	/* whatever he says */
	give(rig, ACCESS_STANDBY);
	rig_clear_attentions(rig);
	stpg(&first, rig, 0, 1, AN, 2, 0, 0);
	assert_true(cmd_begin(&first));
	cmd_execute(&first);
	give(rig, ACCESS_OPTIMIZED);
	rig_keep(rig);
	rig_keep(rig);
	assert_good(&first);
	cmd_release(&first);
	rig_clear_attentions(rig);
	group_is(rig, 2, AO, 2);
}

static void
stpg_begins(struct cmd *cmd, struct rig *rig, uint8_t access)
{
	stpg(cmd, rig, 0, 1, access, 2, 0, 0);
	assert_true(cmd_begin(cmd));
	cmd_execute(cmd);
}

/* After the administrator has spoken, a second one may begin before the first
 * is kept. */
static void
what_was_overtaken_does_not_make_what_another_host_sets(void **state)
{
	struct rig *rig = *state;
	struct cmd first, second;
	struct lun_keep *kept;
	int64_t value;

	rig->keep_hold = true;
	stpg_begins(&first, rig, AN);
	give(rig, ACCESS_STANDBY);
	rig_clear_attentions(rig);
	kept = rig->keep_held;
	rig->keep_held = NULL;
	stpg_begins(&second, rig, AO);
	rig->keep_hold = false;
	loop_defer(rig->loop, &kept->task);
	rig_drain(rig);
	assert_true(first.done);
	assert_false(second.done);
	assert_true(lun_saved_get(&rig->saved, "access.2", &value));
	assert_int_equal(value, STANDBY);
	rig_clear_attentions(rig);
	group_is(rig, 2, TRANSITIONING, 2);
	rig_keep(rig);
	assert_true(second.done);
	assert_good(&first);
	assert_good(&second);
	cmd_release(&first);
	cmd_release(&second);
	rig_clear_attentions(rig);
	group_is(rig, 2, AO, 1);
	assert_true(lun_saved_get(&rig->saved, "access.2", &value));
	assert_int_equal(value, AO);
}

int
main(void)
{
#define alua_test(f)                                                           \
	{                                                                      \
#f, f, setup, rig_teardown, NULL                               \
	}
	const struct CMUnitTest tests[] = {
	    alua_test(both_formats_tell_each_group_with_its_port),
	    alua_test(inquiry_says_that_there_are_groups_and_ports),
	    alua_test(the_ports_are_named_as_the_sessions_that_come_in_by_them),
	    cmocka_unit_test(a_unit_that_was_told_nothing_has_one_group),
	    alua_test(every_row_passes_in_the_states_the_standard_says),
	    alua_test(the_other_group_notices_nothing),
	    alua_test(the_unit_buffer_is_no_echo),
	    alua_test(request_sense_tells_why_a_port_is_not_ready),
	    alua_test(a_change_is_told_to_every_nexus_but_the_one_that_made_it),
	    cmocka_unit_test(
		what_a_host_sets_is_kept_and_is_there_after_a_restart),
	    alua_test(what_cannot_be_kept_has_not_happened),
	    alua_test(the_last_word_is_the_administrators_until_a_host_has_it),
	    alua_test(a_host_may_not_leave_the_unit_without_an_active_group),
	    alua_test(wrong_lists_are_pointed_at_and_change_nothing),
	    alua_test(while_one_is_made_another_is_refused),
	    alua_test(what_was_overtaken_does_not_make_what_another_host_sets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
