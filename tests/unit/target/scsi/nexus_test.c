/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nexuses, mappings and units: LUN fields, what is found, and that ends wait
 * for the last task.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

static void
set_true(void *arg)
{
	*(bool *)arg = true;
}

static void
lun_fields_go_both_ways(void **state)
{
	uint8_t field[8];

	(void)state;
	for (unsigned number = 0; number <= LUN_NUMBER_MAX; number++) {
		lun_number_encode(number, field);
		assert_int_equal(lun_number_decode(field), number);
	}
	/* flat addressing of a small number is the same unit */
	assert_int_equal(lun_number_decode((const uint8_t[8]){0x40, 0x07}), 7);
}

static void
other_forms_of_lun_fields_are_nothing(void **state)
{
	const uint8_t wrong[][8] = {{0x80, 0}, {0xc0, 0}, {0x01, 0}, {0x3f, 0},
	    {0, 0, 0, 1}, {0x40, 1, 1}, {0, 0, 0, 0, 0, 0, 0, 1}};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(lun_number_decode(wrong[i]), -1);
}

static void
a_number_is_mapped_once(void **state)
{
	struct rig *rig = *state;
	struct scsi_nexus *nexus = rig->nexus[0];

	assert_ptr_equal(scsi_nexus_lun(nexus, 0), rig->lun);
	assert_null(scsi_nexus_lun(nexus, 1));
	assert_int_equal(
	    scsi_nexus_map(nexus, 0, rig->lun, false, false), -EEXIST);
	assert_int_equal(
	    scsi_nexus_unmap(nexus, 1, false, NULL, NULL), -ENOENT);
	assert_int_equal(
	    scsi_nexus_unmap(nexus, 1000, false, NULL, NULL), -ENOENT);
	assert_int_equal(scsi_nexus_unmap(nexus, 0, false, NULL, NULL), 0);
	assert_null(scsi_nexus_lun(nexus, 0));
	assert_int_equal(scsi_nexus_map(nexus, 0, rig->lun, false, false), 0);
}

static void
unmap_is_done_when_its_last_task_is(void **state)
{
	struct rig *rig = *state;
	struct cmd running, begun, other;
	bool done = false;

	rig->spy->hold = true;
	CMD(&running, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	assert_true(cmd_begin(&running));
	cmd_execute(&running);
	CMD(&begun, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	assert_true(cmd_begin(&begun));
	CMD(&other, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	other.task.nexus = rig->nexus[1];
	assert_true(cmd_begin(&other));
	cmd_execute(&other);
	assert_int_equal(
	    scsi_nexus_unmap(rig->nexus[0], 0, false, set_true, &done), 0);
	rig_drain(rig);
	assert_false(done);
	assert_true(begun.task.aborted);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(done);
	assert_true(running.task.aborted);
	cmd_release(&running);
	scsi_task_drop(&begun.task);
	assert_good(&other);
	cmd_release(&other);
}

static void
a_nexus_goes_when_nothing_of_it_is_left(void **state)
{
	struct rig *rig = *state;
	struct cmd running, begun, nowhere, idle;
	bool done = false;

	rig->spy->hold = true;
	CMD(&running, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	assert_true(cmd_begin(&running));
	cmd_execute(&running);
	CMD(&begun, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	assert_true(cmd_begin(&begun));
	CMD(&nowhere, rig, 0x12, 0, 0, 0, 96, 0);
	nowhere.task.lun_field[1] = 5;
	assert_true(cmd_begin(&nowhere));
	cmd_execute(&nowhere);
	CMD(&idle, rig, 0x12, 0, 0, 0, 96, 0);
	idle.task.lun_field[1] = 5;
	assert_true(cmd_begin(&idle));
	scsi_nexus_free(rig->nexus[0], set_true, &done);
	rig->nexus[0] = NULL;
	rig_drain(rig);
	assert_false(done);
	assert_true(nowhere.task.aborted);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(done);
	assert_true(running.task.aborted);
	/* what the carrier still has outlives the nexus */
	cmd_execute(&begun);
	rig_drain(rig);
	assert_true(begun.done && begun.task.aborted);
	cmd_release(&begun);
	scsi_task_drop(&idle.task);
	cmd_release(&running);
	cmd_release(&nowhere);
}

static void
a_unit_goes_when_its_mappings_are_gone(void **state)
{
	struct rig *rig = *state;
	struct lun_params params = {
	    .bs = &rig->spy->bs, .serial = "2", .naa = {0x30, 1}};
	struct lun *lun;
	struct cmd cmd;
	bool done = false;

	assert_int_equal(lun_new(&params, &lun), 0);
	assert_int_equal(
	    scsi_nexus_map(rig->nexus[0], 4, lun, false, false), 0);
	attention_clear_nexus(rig->nexus[0], ATTENTION_FIRST);
	rig->spy->hold = true;
	CMD(&cmd, rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
	cmd.task.lun_field[1] = 4;
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	assert_int_equal(
	    scsi_nexus_unmap(rig->nexus[0], 4, false, NULL, NULL), 0);
	lun_free(lun, set_true, &done);
	rig_drain(rig);
	assert_false(done);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(done);
	cmd_release(&cmd);
}

static void
a_unit_needs_an_identity_that_fits(void **state)
{
	struct rig *rig = *state;
	struct lun *lun;
	const struct lun_params wrong[] = {
	    {.bs = &rig->spy->bs, .serial = NULL, .naa = {0x30}},
	    {.bs = &rig->spy->bs, .serial = "1", .naa = {0x60}},
	    {.bs = &rig->spy->bs, .serial = "tab\t", .naa = {0x30}},
	    {.bs = &rig->spy->bs,
		.serial = "1",
		.naa = {0x30},
		.vendor = "123456789"},
	    {.bs = &rig->spy->bs,
		.serial = "0123456789012345678901234567890123456",
		.naa = {0x30}},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(lun_new(&wrong[i], &lun), -EINVAL);
	assert_string_equal(lun_label(rig->lun), "pool/lun");
}

static void
an_naa_is_local_and_differs_by_uuid(void **state)
{
	uint8_t a[16] = {1}, b[16] = {1, [15] = 1}, naa_a[8], naa_b[8];

	(void)state;
	lun_naa_from_uuid(a, naa_a);
	lun_naa_from_uuid(b, naa_b);
	assert_int_equal(naa_a[0] >> 4, 3);
	assert_memory_not_equal(naa_a, naa_b, 8);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lun_fields_go_both_ways),
	    cmocka_unit_test(other_forms_of_lun_fields_are_nothing),
	    rig_test(a_number_is_mapped_once),
	    rig_test(unmap_is_done_when_its_last_task_is),
	    rig_test(a_nexus_goes_when_nothing_of_it_is_left),
	    rig_test(a_unit_goes_when_its_mappings_are_gone),
	    rig_test(a_unit_needs_an_identity_that_fits),
	    cmocka_unit_test(an_naa_is_local_and_differs_by_uuid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
