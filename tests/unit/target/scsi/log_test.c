/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * LOG SENSE: which pages there are, and that their figures are the unit's.
 */
#include "tests/unit/target/scsi/support/rig.h"

static const uint8_t *
page(struct cmd *cmd, struct rig *rig, uint8_t code, uint8_t subpage)
{
	CMD(cmd, rig, 0x4d, 0, 0x40 | code, subpage, 0, 0, 0, BE16(512), 0);
	cmd_run(cmd);
	assert_good(cmd);
	const uint8_t *in = cmd_in(cmd);
	assert_int_equal(in[0] & 0x3f, code);
	assert_int_equal(in[1], subpage);
	assert_int_equal(load_be16(&in[2]) + 4, cmd->task.in_length);
	return in;
}

/* Its value; NULL: it is not there.  All lengths must lead to the end. */
static const uint8_t *
parameter(const uint8_t *in, uint16_t code)
{
	const uint8_t *at = in + 4, *end = at + load_be16(&in[2]);
	const uint8_t *found = NULL;

	for (; at < end; at += 4 + at[3])
		if (load_be16(at) == code)
			found = at + 4;
	assert_ptr_equal(at, end);
	return found;
}

static void
the_pages_are_those_that_are_listed(void **state)
{
	struct rig *rig = *state;
	const uint8_t thin[] = {0x00, 0x0c, 0x0d, 0x19, 0x2f};
	uint8_t list[16];
	struct cmd cmd;

	const uint8_t *in = page(&cmd, rig, 0, 0);
	assert_int_equal(in[3], sizeof(thin));
	memcpy(list, in + 4, sizeof(thin));
	assert_memory_equal(list, thin, sizeof(thin));
	cmd_release(&cmd);
	for (unsigned i = 0; i < sizeof(thin); i++) {
		page(&cmd, rig, list[i], 0);
		cmd_release(&cmd);
	}
	in = page(&cmd, rig, 0, 0xff);
	const uint8_t pairs[] = {
	    0, 0, 0, 0xff, 0x0c, 0, 0x0d, 0, 0x19, 0, 0x2f, 0};
	assert_int_equal(in[0], 0x40);
	assert_int_equal(in[3], sizeof(pairs));
	assert_memory_equal(in + 4, pairs, sizeof(pairs));
	cmd_release(&cmd);
	rig->spy->bs.thin = false;
	in = page(&cmd, rig, 0, 0);
	assert_int_equal(in[3], sizeof(thin) - 1);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0x4d, 0, 0x4c, 0, 0, 0, 0, BE16(512), 0);
	run_field(&cmd, 2, 5);
}

static void
others_are_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x4d, 0, 0x41, 0, 0, 0, 0, BE16(512), 0);
	run_field(&cmd, 2, 5);
	CMD(&cmd, rig, 0x4d, 0, 0x59, 0xff, 0, 0, 0, BE16(512), 0);
	run_field(&cmd, 3, -1);
	CMD(&cmd, rig, 0x4d, 0, 0x19, 0, 0, 0, 0, BE16(512), 0);
	run_field(&cmd, 2, 7); /* PC: thresholds */
	CMD(&cmd, rig, 0x4d, 0x01, 0x59, 0, 0, 0, 0, BE16(512), 0);
	run_field(&cmd, 1, 0); /* SP */
}

static void
space_is_counted_in_threshold_sets(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->spy->usage.used = 5ull << 20;
	rig->spy->usage.free = 3ull << 40;
	const uint8_t *in = page(&cmd, rig, 0x0c, 0);
	assert_int_equal(load_be32(parameter(in, 1)), 3u << 20);
	assert_int_equal(parameter(in, 1)[4], 2);
	assert_int_equal(load_be32(parameter(in, 2)), 5);
	assert_int_equal(parameter(in, 2)[4], 1);
	cmd_release(&cmd);
}

static void
commands_and_blocks_are_counted(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig_fill(rig, 0, 7, 'a');
	assert_true(rig_is(rig, 0, 3, 'a'));
	assert_true(rig_is(rig, 3, 2, 'a'));
	const uint8_t *in = page(&cmd, rig, 0x19, 0);
	const uint8_t *value = parameter(in, 1);
	assert_int_equal(load_be64(value), 2);
	assert_int_equal(load_be64(value + 8), 1);
	assert_int_equal(load_be64(value + 16), 7);
	assert_int_equal(load_be64(value + 24), 5);
	assert_non_null(parameter(in, 3));
	cmd_release(&cmd);
}

static void
the_time_of_reads_is_measured(void **state)
{
	struct rig *rig = *state;
	struct cmd read[2], cmd;

	rig->spy->hold = true;
	for (unsigned i = 0; i < 2; i++) {
		CMD(&read[i], rig, 0x28, 0, BE32(0), 0, BE16(1), 0);
		assert_true(cmd_begin(&read[i]));
		cmd_execute(&read[i]);
	}
	rig_pass(rig, 20 * NSEC_PER_MSEC);
	rig->spy->hold = false;
	spy_release_all(rig->spy);
	rig_drain(rig);
	for (unsigned i = 0; i < 2; i++)
		cmd_release(&read[i]);
	const uint8_t *in = page(&cmd, rig, 0x19, 0);
	assert_int_equal(load_be64(parameter(in, 1) + 32), 40);
	assert_int_equal(load_be64(parameter(in, 1) + 40), 0);
	cmd_release(&cmd);
}

static void
the_time_without_a_command_is_measured(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in = page(&cmd, rig, 0x19, 0);
	uint64_t before = load_be64(parameter(in, 2));

	cmd_release(&cmd);
	rig_pass(rig, 1500 * NSEC_PER_MSEC);
	in = page(&cmd, rig, 0x19, 0);
	assert_int_equal(load_be64(parameter(in, 2)) - before, 1500);
	cmd_release(&cmd);
	/* with one, it is not idle */
	CMD(&cmd, rig, 0, 0, 0, 0, 0, 0);
	assert_true(cmd_begin(&cmd));
	rig_pass(rig, 1500 * NSEC_PER_MSEC);
	cmd_execute(&cmd);
	rig_drain(rig);
	cmd_release(&cmd);
	in = page(&cmd, rig, 0x19, 0);
	assert_int_equal(load_be64(parameter(in, 2)) - before, 1500);
	cmd_release(&cmd);
}

static void
no_temperature_is_claimed(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in = page(&cmd, rig, 0x0d, 0);

	assert_int_equal(parameter(in, 0)[1], 0xff);
	assert_int_equal(parameter(in, 1)[1], 0xff);
	cmd_release(&cmd);
	in = page(&cmd, rig, 0x2f, 0);
	assert_int_equal(parameter(in, 0)[0], 0);
	assert_int_equal(parameter(in, 0)[2], 0xff);
	cmd_release(&cmd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(the_pages_are_those_that_are_listed),
	    rig_test(others_are_refused),
	    rig_test(space_is_counted_in_threshold_sets),
	    rig_tests(commands_and_blocks_are_counted),
	    rig_test(the_time_of_reads_is_measured),
	    rig_test(the_time_without_a_command_is_measured),
	    rig_test(no_temperature_is_claimed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
