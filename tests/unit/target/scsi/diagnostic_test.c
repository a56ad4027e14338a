/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SEND DIAGNOSTIC and RECEIVE DIAGNOSTIC RESULTS.
 */
#include "tests/unit/target/scsi/support/rig.h"

static void
send(struct cmd *cmd, struct rig *rig, uint8_t flags, const void *list,
    uint8_t length)
{
	CMD(cmd, rig, 0x1d, flags, 0, 0, length, 0);
	cmd_out(cmd, list, length);
}

static void
the_default_self_test_passes(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	send(&cmd, rig, 0x04, "", 0);
	run_good(&cmd);
	send(&cmd, rig, 0x07, "", 0); /* may take the unit offline: need not */
	run_good(&cmd);
	send(&cmd, rig, 0x00, "", 0);
	run_good(&cmd);
}

static void
other_self_tests_are_not_there(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	for (unsigned code = 1; code < 8; code++) {
		send(&cmd, rig, (uint8_t)(code << 5), "", 0);
		run_field(&cmd, 1, 7);
	}
}

static void
the_page_of_pages_is_asked_for_and_lists_itself(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	send(&cmd, rig, 0x10, "\0\0\0\0", 4);
	run_good(&cmd);
	CMD(&cmd, rig, 0x1c, 0, 0, BE16(255), 0);
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, 5);
	assert_memory_equal(cmd_in(&cmd), "\0\0\0\1\0", 5);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0x1c, 1, 0, BE16(3), 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, 3);
	cmd_release(&cmd);
}

static void
other_pages_and_wrong_lists_are_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x1c, 1, 0x40, BE16(255), 0);
	run_field(&cmd, 2, -1);
	send(&cmd, rig, 0x10, "\x40\0\0\0", 4);
	run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	send(&cmd, rig, 0x10, "\0\0\0\1", 4);
	run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	send(&cmd, rig, 0x10, "\0\0\0\0\0", 5);
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	send(&cmd, rig, 0x10, "\0\0\0", 3);
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	send(&cmd, rig, 0x00, "\0\0\0\0", 4);
	run_field(&cmd, 1, 4);
	send(&cmd, rig, 0x14, "\0\0\0\0", 4); /* a self-test has no list */
	run_field(&cmd, 3, -1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(the_default_self_test_passes),
	    rig_test(other_self_tests_are_not_there),
	    rig_test(the_page_of_pages_is_asked_for_and_lists_itself),
	    rig_test(other_pages_and_wrong_lists_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
