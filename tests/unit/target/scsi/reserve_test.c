/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which command passes which reservation, for every row of the opcode table and
 * every type; and RESERVE and RELEASE beside persistent reservations.
 */
#include "target/scsi/handlers.h"
#include "tests/unit/target/scsi/support/pr.h"

/* SPC-4 table 52 and SBC-3 table 13, by operation code: what passes from a
 * nexus that has no part in the reservation.  Those not named pass none. */
enum passes { NOTHING, WHERE_READS_PASS, ALWAYS };

static const struct {
	uint8_t opcode;
	enum passes passes;
} expected[] = {
    {0x00, ALWAYS}, /* TEST UNIT READY */
    {0x03, ALWAYS}, /* REQUEST SENSE */
    {0x12, ALWAYS}, /* INQUIRY */
    {0x1e, ALWAYS}, /* ALLOW MEDIUM REMOVAL: PREVENT is below */
    {0x25, ALWAYS}, /* READ CAPACITY */
    {0x5e, ALWAYS}, /* PERSISTENT RESERVE IN */
    {0x5f, ALWAYS}, /* ... OUT: the service action decides */
    {0x16, ALWAYS}, /* RESERVE, RELEASE: decide themselves */
    {0x17, ALWAYS}, {0x56, ALWAYS}, {0x57, ALWAYS},
    {0xa0, ALWAYS},           /* REPORT LUNS */
    {0x08, WHERE_READS_PASS}, /* READ */
    {0x28, WHERE_READS_PASS}, {0xa8, WHERE_READS_PASS},
    {0x88, WHERE_READS_PASS}, {0x2f, WHERE_READS_PASS}, /* VERIFY */
    {0xaf, WHERE_READS_PASS}, {0x8f, WHERE_READS_PASS},
    {0x34, WHERE_READS_PASS},                           /* PRE-FETCH */
    {0x90, WHERE_READS_PASS}, {0x1a, WHERE_READS_PASS}, /* MODE SENSE */
    {0x5a, WHERE_READS_PASS}, {0x37, WHERE_READS_PASS}, /* READ DEFECT DATA */
    {0xb7, WHERE_READS_PASS},
    {0xa3, WHERE_READS_PASS}, /* REPORT SUPPORTED ... */
    {0x4d, WHERE_READS_PASS}, /* LOG SENSE */
    {0x1c, WHERE_READS_PASS}, /* RECEIVE DIAGNOSTIC RESULTS */
    {0x3c, WHERE_READS_PASS}, /* READ BUFFER */
};

static enum passes
expected_of(const struct scsi_op *op)
{
	if (op->opcode == 0xa3 && op->action == 0x0a)
		return ALWAYS;  /* REPORT TARGET PORT GROUPS */
	if (op->opcode == 0x9e) /* READ CAPACITY(16), GET LBA STATUS */
		return op->action == 0x10 ? ALWAYS : WHERE_READS_PASS;
	if (op->opcode == 0x83 && op->action == 0x10) /* POPULATE TOKEN */
		return WHERE_READS_PASS;
	for (unsigned i = 0; i < ARRAY_SIZE(expected); i++) {
		if (expected[i].opcode == op->opcode)
			return expected[i].passes;
	}
	return NOTHING;
}

/* Begins it, whatever comes of it, and drops it. */
static bool
conflicts_cdb(struct rig *rig, unsigned nexus, const uint8_t cdb[16])
{
	struct cmd cmd;
	bool conflict;

	cmd_init(&cmd, rig, cdb, 16);
	cmd.task.nexus = rig->nexus[nexus];
	cmd.task.expected_out = rig->block_size;
	if (cmd_begin(&cmd)) {
		scsi_task_drop(&cmd.task);
		return false;
	}
	conflict = cmd.task.status == SCSI_RESERVATION_CONFLICT;
	cmd_release(&cmd);
	return conflict;
}

static bool
conflicts(struct rig *rig, unsigned nexus, const struct scsi_op *op)
{
	return conflicts_cdb(rig, nexus, (uint8_t[16]){op->opcode, op->action});
}

static void
every_row_passes_as_the_standards_say(void **state)
{
	struct rig *rig = *state;

	/* 0 holds, 1 is registered, 2 is a stranger */
	rig_nexus(rig, 2, RIG_C, RIG_TARGET, 1);
	rig_clear_attentions(rig);
	pr_register(rig, 2);
	for (unsigned t = 0; t < ARRAY_SIZE(pr_types); t++) {
		uint8_t type = pr_types[t];
		bool exclusive = type == EA || type == EARO || type == EAAR;
		pr_good(rig, 0, RESERVE, type, 10, 0);
		for (unsigned i = 0; i < scsi_op_count; i++) {
			const struct scsi_op *op = &scsi_ops[i];
			enum passes passes = expected_of(op);
			bool conflict =
			    passes == NOTHING ||
			    (passes == WHERE_READS_PASS && exclusive);
			if (conflicts(rig, 2, op) != conflict)
				print_error("%s, type %u\n", op->name, type);
			assert_int_equal(conflicts(rig, 2, op), conflict);
			assert_int_equal(
			    conflicts(rig, 1, op), conflict && type < WERO);
			assert_false(conflicts(rig, 0, op));
		}
		pr_good(rig, 0, RELEASE, type, 10, 0);
		rig_clear_attentions(rig);
	}
}

static void
registrations_alone_keep_nothing_from_anyone(void **state)
{
	struct rig *rig = *state;

	pr_good(rig, 0, REGISTER, 0, 0, 10);
	for (unsigned i = 0; i < scsi_op_count; i++)
		assert_false(conflicts(rig, 1, &scsi_ops[i]));
}

static void
to_start_and_to_allow_passes_the_opposite_does_not(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 1);
	pr_good(rig, 0, RESERVE, EA, 10, 0);
	assert_false(conflicts_cdb(rig, 1, (uint8_t[16]){0x1b, [4] = 1}));
	assert_true(conflicts_cdb(rig, 1, (uint8_t[16]){0x1b, [4] = 0}));
	assert_false(conflicts_cdb(rig, 1, (uint8_t[16]){0x1e, [4] = 0}));
	assert_true(conflicts_cdb(rig, 1, (uint8_t[16]){0x1e, [4] = 1}));
}

/* ---- RESERVE and RELEASE: SPC-4 5.12.3, SPC-2 5.5.1 ---- */

static const uint8_t old[] = {0x16, 0x56, 0x17, 0x57};

static enum scsi_status
legacy(struct rig *rig, unsigned nexus, uint8_t opcode)
{
	struct cmd cmd;
	enum scsi_status status;

	cmd_init(&cmd, rig, (uint8_t[10]){opcode}, opcode < 0x20 ? 6 : 10);
	cmd.task.nexus = rig->nexus[nexus];
	status = cmd_run(&cmd);
	cmd_release(&cmd);
	return status;
}

static void
with_a_part_in_the_reservation_they_do_nothing_and_are_good(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 3);
	for (unsigned t = 0; t < ARRAY_SIZE(pr_types); t++) {
		pr_good(rig, 0, RESERVE, pr_types[t], 10, 0);
		for (unsigned i = 0; i < ARRAY_SIZE(old); i++) {
			enum scsi_status other =
			    pr_types[t] >= WERO ? SCSI_GOOD
						: SCSI_RESERVATION_CONFLICT;
			assert_int_equal(legacy(rig, 0, old[i]), SCSI_GOOD);
			assert_int_equal(legacy(rig, 1, old[i]), other);
			assert_null(rig->lun->reserved_by);
		}
		assert_int_equal(rig->lun->registry->type, pr_types[t]);
		pr_good(rig, 0, RELEASE, pr_types[t], 10, 0);
		rig_clear_attentions(rig);
	}
}

static void
with_a_registration_but_no_reservation_they_conflict(void **state)
{
	struct rig *rig = *state;

	pr_good(rig, 0, REGISTER, 0, 0, 10);
	for (unsigned i = 0; i < ARRAY_SIZE(old); i++) {
		for (unsigned nexus = 0; nexus < 2; nexus++)
			assert_int_equal(legacy(rig, nexus, old[i]),
			    SCSI_RESERVATION_CONFLICT);
	}
	pr_good(rig, 0, REGISTER, 0, 10, 0);
	assert_int_equal(legacy(rig, 1, 0x16), SCSI_GOOD);
}

static void
a_unit_reserved_the_old_way_knows_no_new_one(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(legacy(rig, 0, 0x56), SCSI_GOOD);
	for (unsigned nexus = 0; nexus < 2; nexus++) {
		assert_true(conflicts_cdb(rig, nexus, (uint8_t[16]){0x5e}));
		pr_conflict(rig, nexus, REGISTER, 0, 0, 10);
	}
	assert_int_equal(legacy(rig, 0, 0x57), SCSI_GOOD);
	pr_good(rig, 0, REGISTER, 0, 0, 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(every_row_passes_as_the_standards_say),
	    rig_test(registrations_alone_keep_nothing_from_anyone),
	    rig_test(to_start_and_to_allow_passes_the_opposite_does_not),
	    rig_test(
		with_a_part_in_the_reservation_they_do_nothing_and_are_good),
	    rig_test(with_a_registration_but_no_reservation_they_conflict),
	    rig_test(a_unit_reserved_the_old_way_knows_no_new_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
