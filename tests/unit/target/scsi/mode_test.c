/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * MODE SENSE and MODE SELECT: pages, page control, what changes and really
 * does.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

static const uint8_t *
sense_6(struct cmd *cmd, struct rig *rig, uint8_t page, uint8_t length)
{
	CMD(cmd, rig, 0x1a, 0x08, page, 0, length, 0);
	cmd_run(cmd);
	assert_good(cmd);
	return cmd_in(cmd);
}

/* The page of the present state, as MODE SELECT(6) would send it. */
static unsigned
fetch(struct rig *rig, uint8_t page, uint8_t *list)
{
	struct cmd cmd;
	const uint8_t *in = sense_6(&cmd, rig, page, 255);
	unsigned length = (unsigned)cmd.task.in_length;

	memcpy(list, in, length);
	list[0] = 0;
	list[2] = 0;
	cmd_release(&cmd);
	return length;
}

static void
select_6(struct cmd *cmd, struct rig *rig, const uint8_t *list, unsigned length)
{
	CMD(cmd, rig, 0x15, 0x10, 0, 0, (uint8_t)length, 0);
	cmd_out(cmd, list, length);
}

static void
all_pages_are_those_there_are(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in = sense_6(&cmd, rig, 0x3f, 255);
	const uint8_t codes[] = {0x01, 0x02, 0x08, 0x0a, 0x1a, 0x1c};
	const struct {
		uint8_t page, subpage;
	} subpages[] = {{0x01, 0}, {0x02, 0}, {0x08, 0}, {0x0a, 0}, {0x0a, 1},
	    {0x1a, 0}, {0x1c, 0}, {0x1c, 2}};
	unsigned at = 4;

	assert_int_equal(in[0] + 1, cmd.task.in_length);
	for (unsigned i = 0; i < sizeof(codes); i++) {
		assert_int_equal(in[at] & 0x3f, codes[i]);
		at += 2u + in[at + 1];
	}
	assert_int_equal(at, cmd.task.in_length);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0x1a, 0x08, 0x3f, 0xff, 255, 0);
	cmd_run(&cmd);
	in = cmd_in(&cmd);
	at = 4;
	for (unsigned i = 0; i < ARRAY_SIZE(subpages); i++) {
		bool sub = in[at] & 0x40;
		assert_int_equal(in[at] & 0x3f, subpages[i].page);
		assert_int_equal(sub ? in[at + 1] : 0, subpages[i].subpage);
		at += sub ? 4u + load_be16(in + at + 2) : 2u + in[at + 1];
	}
	assert_int_equal(at, cmd.task.in_length);
	cmd_release(&cmd);
}

static void
current_default_changeable_and_saved(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in;

	rig->lun->mode.write_cache = false;
	in = sense_6(&cmd, rig, 0x08, 255);
	assert_int_equal(in[4 + 2], 0);
	cmd_release(&cmd);
	in = sense_6(&cmd, rig, 0x80 | 0x08, 255);
	assert_int_equal(in[4 + 2], 0x04);
	cmd_release(&cmd);
	in = sense_6(&cmd, rig, 0x40 | 0x08, 255);
	assert_int_equal(in[4 + 2], 0x04);
	for (unsigned i = 3; i < 20; i++)
		assert_int_equal(in[4 + i], 0);
	cmd_release(&cmd);
	in = sense_6(&cmd, rig, 0x40 | 0x0a, 255);
	assert_int_equal(in[4 + 2], 0x04);
	assert_int_equal(in[4 + 4], 0x08);
	assert_int_equal(in[4 + 5], 0x40);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0x1a, 0, 0xc8, 0, 255, 0);
	run_sense(&cmd, SAVING_PARAMETERS_NOT_SUPPORTED);
}

static void
unknown_pages_and_subpages_are_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x1a, 0, 0x05, 0, 255, 0);
	run_field(&cmd, 2, 5);
	CMD(&cmd, rig, 0x1a, 0, 0x08, 0x01, 255, 0);
	run_field(&cmd, 3, -1);
	CMD(&cmd, rig, 0x1a, 0, 0x3f, 0xff, 255, 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0x1a, 0, 0x3f, 0x02, 255, 0);
	run_field(&cmd, 3, -1);
}

static void
block_descriptors_tell_the_capacity(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const uint8_t *in;

	CMD(&cmd, rig, 0x1a, 0, 0x08, 0, 255, 0);
	cmd_run(&cmd);
	in = cmd_in(&cmd);
	assert_int_equal(in[3], 8);
	assert_int_equal(load_be32(in + 4), rig->blocks);
	assert_int_equal(load_be24(in + 9), rig->block_size);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0x5a, 0x10, 0x08, 0, 0, 0, 0, BE16(255), 0);
	cmd_run(&cmd);
	in = cmd_in(&cmd);
	assert_int_equal(load_be16(in) + 2, cmd.task.in_length);
	assert_int_equal(in[4], 1);
	assert_int_equal(load_be16(in + 6), 16);
	assert_int_equal(load_be64(in + 8), rig->blocks);
	assert_int_equal(load_be32(in + 20), rig->block_size);
	cmd_release(&cmd);
}

static void
write_protection_and_dpofua_are_in_the_header(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){0});
	assert_int_equal(sense_6(&cmd, &rig, 0x08, 255)[2], 0x10);
	cmd_release(&cmd);
	rig.lun->mode.software_protect = true;
	assert_int_equal(sense_6(&cmd, &rig, 0x08, 255)[2], 0x90);
	cmd_release(&cmd);
	rig_close(&rig);
	rig_open(&rig, &(struct rig_params){.read_only = true});
	assert_int_equal(sense_6(&cmd, &rig, 0x08, 255)[2], 0x90);
	cmd_release(&cmd);
	rig_close(&rig);
}

static void
what_is_selected_is_told_to_the_other_nexus_only(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t list[255];
	unsigned length = fetch(rig, 0x08, list);

	select_6(&cmd, rig, list, length); /* changes nothing */
	run_good(&cmd);
	list[4 + 2] &= (uint8_t)~0x04;
	select_6(&cmd, rig, list, length);
	run_good(&cmd);
	assert_false(rig->lun->mode.write_cache);
	CMD(&cmd, rig, 0, 0, 0, 0, 0, 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0, 0, 0, 0, 0, 0);
	cmd.task.nexus = rig->nexus[1];
	run_sense(&cmd, MODE_PARAMETERS_CHANGED);
	rig_fill(rig, 0, 1, 1);
	assert_true(spy_find(rig->spy, BS_WRITE, 0)->fua);
}

static void
d_sense_changes_the_format_of_sense_data(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t list[255];
	unsigned length = fetch(rig, 0x0a, list);

	list[4 + 2] |= 0x04;
	select_6(&cmd, rig, list, length);
	run_good(&cmd);
	CMD(&cmd, rig, 0x88, 0, BE64(1ull << 40), BE32(1), 0, 0);
	cmd_run(&cmd);
	assert_sense(&cmd, LBA_OUT_OF_RANGE);
	assert_int_equal(cmd.task.sense[0], 0x72);
	assert_int_equal(load_be64(&cmd.task.sense[12]), 1ull << 40);
	cmd_release(&cmd);
}

static void
write_protection_is_not_good_before_the_cache_is_empty(void **state)
{
	struct rig rig;
	struct cmd cmd;
	uint8_t list[255], data[512] = {0};

	(void)state;
	rig_open(&rig, &(struct rig_params){.volatile_cache = true});
	unsigned length = fetch(&rig, 0x0a, list);
	list[4 + 4] |= 0x08;
	rig.spy->fail[BS_FLUSH] = -ENOMEM;
	select_6(&cmd, &rig, list, length);
	assert_int_equal(cmd_run(&cmd), SCSI_BUSY);
	cmd_release(&cmd);
	rig.spy->fail[BS_FLUSH] = 0;
	select_6(&cmd, &rig, list, length);
	run_good(&cmd);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 2);
	CMD(&cmd, &rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, 512);
	run_sense(&cmd, SOFTWARE_WRITE_PROTECTED);
	list[4 + 4] &= (uint8_t)~0x08;
	select_6(&cmd, &rig, list, length);
	run_good(&cmd);
	rig_fill(&rig, 0, 1, 1);
	rig_close(&rig);
}

static void
what_is_being_written_is_durable_when_the_cache_has_gone_off(void **state)
{
	struct rig rig;
	struct cmd cmd, write;
	uint8_t list[255], data[512] = {0};

	(void)state;
	rig_open(&rig, &(struct rig_params){.volatile_cache = true});
	unsigned length = fetch(&rig, 0x08, list);
	list[4 + 2] &= (uint8_t)~0x04;

	rig.spy->hold = true;
	CMD(&write, &rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&write, data, 512);
	assert_true(cmd_begin(&write));
	cmd_execute(&write);
	rig_drain(&rig);
	assert_false(spy_find(rig.spy, BS_WRITE, 0)->fua);

	select_6(&cmd, &rig, list, length);
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(&rig);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 1);

	assert_true(spy_release(rig.spy)); /* the write */
	rig_drain(&rig);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 2);
	assert_false(write.done);
	rig.spy->hold = false;
	spy_release_all(rig.spy);
	rig_drain(&rig);
	assert_true(write.done);
	assert_true(cmd.done);
	assert_int_equal(write.task.status, SCSI_GOOD);
	cmd_release(&write);
	cmd_release(&cmd);

	CMD(&write, &rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&write, data, 512);
	run_good(&write);
	assert_true(spy_find(rig.spy, BS_WRITE, 1)->fua);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 2);
	rig_close(&rig);
}

static void
fields_that_do_not_change_are_refused_and_nothing_changes(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t list[255];
	unsigned length = fetch(rig, 0x0a, list);

	list[4 + 2] |= 0x04;
	list[4 + 3] ^= 0x20;
	select_6(&cmd, rig, list, length);
	run_parameter(&cmd, 7, 5);
	assert_false(rig->lun->mode.d_sense);
}

static void
lists_that_end_early_are_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t list[255];
	unsigned length = fetch(rig, 0x08, list);

	for (unsigned cut = 1; cut < length; cut++) {
		if (cut == 4)
			continue; /* a header and no page: nothing to do */
		select_6(&cmd, rig, list, cut);
		run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	}
	select_6(&cmd, rig, list, length);
	cmd.task.expected_out = 3;
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	CMD(&cmd, rig, 0x15, 0x10, 0, 0, 0, 0);
	run_good(&cmd);
	CMD(&cmd, rig, 0x15, 0x00, 0, 0, 4, 0);
	run_field(&cmd, 1, 4);
	CMD(&cmd, rig, 0x15, 0x11, 0, 0, 4, 0);
	run_field(&cmd, 1, 0);
}

static void
wrong_pages_lengths_and_descriptors_are_pointed_at(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t list[255];
	unsigned length = fetch(rig, 0x08, list);

	list[4] = 0x05;
	select_6(&cmd, rig, list, length);
	run_parameter(&cmd, 4, 5);
	list[4] = 0x48; /* with a subpage that is not there */
	select_6(&cmd, rig, list, length);
	run_parameter(&cmd, 5, -1);
	list[5] = 0;
	select_6(&cmd, rig, list, length);
	run_parameter(&cmd, 4, 6);
	list[5] = 18;
	list[4] = 0x08;
	list[5]++;
	select_6(&cmd, rig, list, length);
	run_parameter(&cmd, 5, -1);
	list[3] = 5;
	select_6(&cmd, rig, list, length);
	run_parameter(&cmd, 3, -1);
	memset(list, 0, sizeof(list));
	list[3] = 8;
	select_6(&cmd, rig, list, 12); /* block length 0 */
	run_parameter(&cmd, 9, -1);
	store_be24(list + 9, 512);
	select_6(&cmd, rig, list, 12);
	run_good(&cmd);
	store_be32(list + 4, 77);
	select_6(&cmd, rig, list, 12);
	run_parameter(&cmd, 4, -1);
}

static void
mode_select_10_takes_a_long_descriptor(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	uint8_t list[24 + 20] = {0};

	list[4] = 1;
	list[7] = 16;
	store_be64(list + 8, rig->blocks);
	store_be32(list + 20, 512);
	list[24] = 0x08;
	list[25] = 18;
	CMD(&cmd, rig, 0x55, 0x10, 0, 0, 0, 0, 0, BE16(sizeof(list)), 0);
	cmd_out(&cmd, list, sizeof(list));
	run_good(&cmd);
	assert_false(rig->lun->mode.write_cache);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(all_pages_are_those_there_are),
	    rig_test(current_default_changeable_and_saved),
	    rig_test(unknown_pages_and_subpages_are_refused),
	    rig_tests(block_descriptors_tell_the_capacity),
	    cmocka_unit_test(write_protection_and_dpofua_are_in_the_header),
	    rig_test(what_is_selected_is_told_to_the_other_nexus_only),
	    rig_test(d_sense_changes_the_format_of_sense_data),
	    cmocka_unit_test(
		write_protection_is_not_good_before_the_cache_is_empty),
	    cmocka_unit_test(
		what_is_being_written_is_durable_when_the_cache_has_gone_off),
	    rig_test(fields_that_do_not_change_are_refused_and_nothing_changes),
	    rig_test(lists_that_end_early_are_refused),
	    rig_test(wrong_pages_lengths_and_descriptors_are_pointed_at),
	    rig_test(mode_select_10_takes_a_long_descriptor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
