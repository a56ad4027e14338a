/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * READ BUFFER and WRITE BUFFER: the buffer of the unit and the echo buffers of
 * its nexuses.  Not here: the modes that load microcode, which are refused as
 * any mode that is not there.
 */
#include "tests/unit/target/scsi/support/rig.h"

#define SIZE 4096u

static void
write_buffer(struct cmd *cmd, struct rig *rig, uint8_t mode, uint8_t id,
    uint32_t offset, const void *data, uint32_t length)
{
	uint8_t cdb[10] = {0x3b, mode, id};

	store_be24(cdb + 3, offset);
	store_be24(cdb + 6, length);
	cmd_init(cmd, rig, cdb, sizeof(cdb));
	cmd_out(cmd, data, length);
}

static void
read_buffer(struct cmd *cmd, struct rig *rig, uint8_t mode, uint8_t id,
    uint32_t offset, uint32_t length)
{
	uint8_t cdb[10] = {0x3c, mode, id};

	store_be24(cdb + 3, offset);
	store_be24(cdb + 6, length);
	cmd_init(cmd, rig, cdb, sizeof(cdb));
}

static void
echo_write(struct rig *rig, unsigned nexus, int byte, uint32_t length)
{
	uint8_t data[SIZE];
	struct cmd cmd;

	memset(data, byte, sizeof(data));
	write_buffer(&cmd, rig, 0x0a, 0, 0, data, length);
	cmd.task.nexus = rig->nexus[nexus];
	run_good(&cmd);
}

static void
echo_is(struct rig *rig, unsigned nexus, int byte, uint32_t length)
{
	struct cmd cmd;

	read_buffer(&cmd, rig, 0x0a, 0, 0, 2 * SIZE);
	cmd.task.nexus = rig->nexus[nexus];
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, length);
	for (uint32_t i = 0; i < length; i++)
		assert_int_equal(cmd_in(&cmd)[i], byte);
	cmd_release(&cmd);
}

static void
an_echo_is_what_the_same_nexus_wrote_and_as_long(void **state)
{
	struct rig *rig = *state;

	echo_write(rig, 0, 1, SIZE);
	echo_write(rig, 0, 2, 100);
	echo_write(rig, 1, 3, 200);
	echo_is(rig, 0, 2, 100);
	echo_is(rig, 1, 3, 200);
	echo_is(rig, 0, 2, 100);
}

static void
an_echo_that_nobody_wrote_is_a_sequence_error(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	echo_write(rig, 1, 3, 200);
	read_buffer(&cmd, rig, 0x0a, 0, 0, SIZE);
	run_sense(&cmd, COMMAND_SEQUENCE_ERROR);
}

static void
the_buffer_of_the_unit_is_everybodys(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in;

	read_buffer(&cmd, rig, 0x02, 0, 0, SIZE);
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, SIZE);
	assert_int_equal(cmd_in(&cmd)[17], 0);
	cmd_release(&cmd);
	write_buffer(&cmd, rig, 0x02, 0, 17, "abc", 3);
	run_good(&cmd);
	read_buffer(&cmd, rig, 0x02, 0, 16, 5);
	cmd.task.nexus = rig->nexus[1];
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, 5);
	in = cmd_in(&cmd);
	assert_memory_equal(in, "\0abc\0", 5);
	cmd_release(&cmd);
}

static void
descriptors_tell_the_sizes(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	read_buffer(&cmd, rig, 0x03, 0, 0, 255);
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, 4);
	assert_memory_equal(cmd_in(&cmd), "\0\0\x10\0", 4);
	cmd_release(&cmd);
	read_buffer(&cmd, rig, 0x03, 1, 0, 255); /* no such buffer */
	cmd_run(&cmd);
	assert_memory_equal(cmd_in(&cmd), "\0\0\0\0", 4);
	cmd_release(&cmd);
	read_buffer(&cmd, rig, 0x0b, 0, 0, 255);
	cmd_run(&cmd);
	assert_int_equal(cmd.task.in_length, 4);
	assert_memory_equal(cmd_in(&cmd), "\x01\0\x10\0", 4);
	cmd_release(&cmd);
}

static void
what_does_not_fit_or_is_not_there_is_refused(void **state)
{
	struct rig *rig = *state;
	uint8_t data[SIZE + 1] = {0};
	struct cmd cmd;

	write_buffer(&cmd, rig, 0x0a, 0, 0, data, SIZE + 1);
	run_field(&cmd, 6, -1);
	write_buffer(&cmd, rig, 0x02, 0, 1, data, SIZE);
	run_field(&cmd, 6, -1);
	write_buffer(&cmd, rig, 0x02, 0, SIZE + 1, data, 1);
	run_field(&cmd, 3, -1);
	write_buffer(&cmd, rig, 0x02, 1, 0, data, 1);
	run_field(&cmd, 2, -1);
	write_buffer(&cmd, rig, 0x05, 0, 0, data, 1); /* microcode */
	run_field(&cmd, 1, 4);
	read_buffer(&cmd, rig, 0x02, 1, 0, 1);
	run_field(&cmd, 2, -1);
	read_buffer(&cmd, rig, 0x02, 0, SIZE + 1, 1);
	run_field(&cmd, 3, -1);
	read_buffer(&cmd, rig, 0x1c, 0, 0, 1); /* error history */
	run_field(&cmd, 1, 4);
	write_buffer(&cmd, rig, 0x0a, 0, 0, data, 10);
	cmd.task.expected_out = 9;
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
}

static void
to_write_nothing_changes_nothing(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	echo_write(rig, 0, 1, 10);
	write_buffer(&cmd, rig, 0x0a, 0, 0, "", 0);
	run_good(&cmd);
	echo_is(rig, 0, 1, 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(an_echo_is_what_the_same_nexus_wrote_and_as_long),
	    rig_test(an_echo_that_nobody_wrote_is_a_sequence_error),
	    rig_test(the_buffer_of_the_unit_is_everybodys),
	    rig_test(descriptors_tell_the_sizes),
	    rig_test(what_does_not_fit_or_is_not_there_is_refused),
	    rig_test(to_write_nothing_changes_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
