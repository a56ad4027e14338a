/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings of a logical unit that is in use: what hosts see of them, and that
 * they are told.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>

static struct lun_params
usual(void)
{
	return (struct lun_params){
	    .serial = "0123456789abcdef", .write_cache = true};
}

static int last_result;
static unsigned ended;

static void
set_ended(struct lun_setting *setting, int result)
{
	(void)setting;
	last_result = result;
	ended++;
}

static void
set(struct rig *rig, const struct lun_params *params)
{
	struct lun_setting setting = {.done = set_ended, .cache_said = true};

	ended = 0;
	last_result = 1;
	assert_int_equal(lun_set(rig->lun, params, &setting), 0);
	assert_int_equal(ended, 0);
	rig_drain(rig);
	assert_int_equal(ended, 1);
}

static void
vpd(struct rig *rig, uint8_t page, uint8_t ret_data[256])
{
	struct cmd cmd;

	CMD(&cmd, rig, 0x12, 1, page, 0, 255, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	memset(ret_data, 0, 256);
	memcpy(ret_data, cmd_in(&cmd), cmd.task.in_length);
	cmd_release(&cmd);
}

static void
a_new_name_is_seen_and_every_nexus_is_told(void **state)
{
	struct rig *rig = *state;
	struct lun_params params = usual();
	struct cmd cmd;

	params.vendor = "ACME";
	params.product = "Rocket disk";
	params.revision = "7";
	set(rig, &params);
	assert_int_equal(last_result, 0);
	CMD(&cmd, rig, 0x12, 0, 0, 0, 96, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_memory_equal(
	    cmd_in(&cmd) + 8, "ACME    Rocket disk     7   ", 28);
	cmd_release(&cmd);
	for (unsigned i = 0; i < 2; i++) {
		rig_hears(rig, i, &SENSE_INQUIRY_DATA_HAS_CHANGED);
		rig_hears(rig, i, NULL);
	}
}

static void
a_serial_number_is_the_same_on_all_pages_and_the_naa_stays(void **state)
{
	struct rig *rig = *state;
	struct lun_params params = usual();
	uint8_t before[256], data[256];

	vpd(rig, 0x83, before);
	params.serial = "SN 42";
	params.vendor = "ACME";
	set(rig, &params);
	vpd(rig, 0x80, data);
	assert_int_equal(data[3], 5);
	assert_memory_equal(data + 4, "SN 42", 5);
	vpd(rig, 0x83, data);
	/* the first designator is the NAA, the second the T10 vendor's */
	assert_memory_equal(data + 4, before + 4, 12);
	assert_int_equal(data[16], 2);
	assert_int_equal(data[17], 1);
	assert_int_equal(data[19], 8 + 5);
	assert_memory_equal(data + 20, "ACME    SN 42", 13);
}

static void
the_rotation_rate_is_the_stores_or_what_is_set(void **state)
{
	struct rig *rig = *state;
	struct lun_params params = usual();
	uint8_t data[256];

	vpd(rig, 0xb1, data);
	assert_int_equal(load_be16(data + 4), 1);
	rig->spy->bs.rotational = true;
	vpd(rig, 0xb1, data);
	assert_int_equal(load_be16(data + 4), 0);
	params.rotation = 7200;
	set(rig, &params);
	vpd(rig, 0xb1, data);
	assert_int_equal(load_be16(data + 4), 7200);
	rig_hears(rig, 0, &SENSE_INQUIRY_DATA_HAS_CHANGED);
	params.rotation = 1;
	set(rig, &params);
	vpd(rig, 0xb1, data);
	assert_int_equal(load_be16(data + 4), 1);
}

static void
read_only_is_obeyed_and_shown_at_once(void **state)
{
	struct rig *rig = *state;
	struct lun_params params = usual();
	static const uint8_t data[512];
	struct cmd cmd;

	params.read_only = true;
	set(rig, &params);
	rig_hears(rig, 0, &SENSE_MODE_PARAMETERS_CHANGED);
	rig_hears(rig, 1, &SENSE_MODE_PARAMETERS_CHANGED);
	CMD(&cmd, rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, 512);
	run_sense(&cmd, WRITE_PROTECTED);
	CMD(&cmd, rig, 0x1a, 0, 0x3f, 0, 255, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd_in(&cmd)[2] & 0x80, 0x80);
	cmd_release(&cmd);
	params.read_only = false;
	set(rig, &params);
	rig_hears(rig, 0, &SENSE_MODE_PARAMETERS_CHANGED);
	rig_fill(rig, 0, 1, 'a');
}

static void
a_cache_that_is_switched_off_is_flushed_and_stays_off_over_a_reset(
    void **unused)
{
	struct rig rig;
	struct lun_params params = usual();
	static const uint8_t data[512];
	struct cmd cmd;

	(void)unused;
	rig_open(&rig, &(struct rig_params){.volatile_cache = true});
	params.write_cache = false;
	set(&rig, &params);
	assert_int_equal(last_result, 0);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 1);
	rig_hears(&rig, 0, &SENSE_MODE_PARAMETERS_CHANGED);
	lun_reset(rig.lun);
	CMD(&cmd, &rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, 512);
	run_good(&cmd);
	assert_true(spy_find(rig.spy, BS_WRITE, 0)->fua);
	/* that it is off already is no news, but flushed it is */
	set(&rig, &params);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 2);
	rig_hears(&rig, 0, NULL);
	params.write_cache = true;
	set(&rig, &params);
	rig_hears(&rig, 0, &SENSE_MODE_PARAMETERS_CHANGED);
	CMD(&cmd, &rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&cmd, data, 512);
	run_good(&cmd);
	assert_false(spy_find(rig.spy, BS_WRITE, 1)->fua);
	rig_close(&rig);
}

/* A host has set the cache by MODE SELECT since. */
static void
what_is_said_of_the_cache_counts_and_nothing_else_does(void **unused)
{
	struct lun_setting limits = {.done = set_ended};
	struct lun_params params = usual();
	struct rig rig;

	(void)unused;
	rig_open(&rig, &(struct rig_params){.volatile_cache = true});
	params.write_cache = false;
	set(&rig, &params);
	rig.lun->mode.write_cache = rig.lun->mode_saved.write_cache = true;
	rig_clear_attentions(&rig);
	params.limits.iops = 5;
	assert_int_equal(lun_set(rig.lun, &params, &limits), 0);
	rig_drain(&rig);
	assert_true(rig.lun->mode.write_cache);
	rig_hears(&rig, 0, NULL);
	set(&rig, &params); /* off, once more */
	assert_false(rig.lun->mode.write_cache);
	assert_int_equal(spy_count(rig.spy, BS_FLUSH), 2);
	rig_hears(&rig, 0, &SENSE_MODE_PARAMETERS_CHANGED);
	lun_reset(rig.lun);
	assert_false(rig.lun->mode.write_cache);
	rig_close(&rig);
}

static void
a_flush_that_fails_is_told(void **unused)
{
	struct rig rig;
	struct lun_params params = usual();

	(void)unused;
	rig_open(&rig, &(struct rig_params){.volatile_cache = true});
	rig.spy->fail[BS_FLUSH] = -EIO;
	params.write_cache = false;
	set(&rig, &params);
	assert_int_equal(last_result, -EIO);
	assert_false(rig.lun->mode.write_cache);
	rig_close(&rig);
}

static void
what_does_not_fit_changes_nothing(void **state)
{
	struct rig *rig = *state;
	struct lun_setting setting = {.done = set_ended};
	static const char *const wrong[] = {"ninechars", "bell\a", "\xc3\xa4"};
	struct lun_params params = usual();

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		params.vendor = wrong[i];
		params.read_only = true;
		assert_int_equal(lun_set(rig->lun, &params, &setting), -EINVAL);
	}
	rig_drain(rig);
	rig_fill(rig, 0, 1, 'a');
}

static void
what_stays_the_same_is_not_told(void **state)
{
	struct rig *rig = *state;
	struct lun_params params = usual();

	set(rig, &params);
	params.limits.iops = 1000; /* nothing a host could see */
	set(rig, &params);
	assert_int_equal(rig->lun->throttle.limits.iops, 1000);
	rig_hears(rig, 0, NULL);
	rig_hears(rig, 1, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(a_new_name_is_seen_and_every_nexus_is_told),
	    rig_test(
		a_serial_number_is_the_same_on_all_pages_and_the_naa_stays),
	    rig_test(the_rotation_rate_is_the_stores_or_what_is_set),
	    rig_test(read_only_is_obeyed_and_shown_at_once),
	    cmocka_unit_test(
		a_cache_that_is_switched_off_is_flushed_and_stays_off_over_a_reset),
	    cmocka_unit_test(
		what_is_said_of_the_cache_counts_and_nothing_else_does),
	    cmocka_unit_test(a_flush_that_fails_is_told),
	    rig_test(what_does_not_fit_changes_nothing),
	    rig_test(what_stays_the_same_is_not_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
