/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Thresholds of thin provisioning: mode page 1Ch/02h, whose they are, and when
 * they are told.
 */
#include "target/scsi/mode.h"
#include "tests/unit/target/scsi/support/rig.h"

#define MIB       (1ull << 20)
#define LENGTH    (4 + 32) /* of a MODE parameter list with the page */
#define AVAILABLE (4 + 16)
#define USED      (4 + 24)

static const uint8_t *
sense(struct cmd *cmd, struct rig *rig, uint8_t control)
{
	CMD(cmd, rig, 0x1a, 0x08, (uint8_t)(control << 6 | 0x1c), 2, 255, 0);
	cmd_run(cmd);
	assert_good(cmd);
	assert_int_equal(cmd->task.in_length, LENGTH);
	return cmd_in(cmd);
}

static void
fetch(struct rig *rig, uint8_t control, uint8_t list[LENGTH])
{
	struct cmd cmd;

	memcpy(list, sense(&cmd, rig, control), LENGTH);
	list[0] = list[2] = 0;
	cmd_release(&cmd);
}

static void
choose(struct rig *rig, const uint8_t list[LENGTH])
{
	struct cmd cmd;

	CMD(&cmd, rig, 0x15, 0x10, 0, 0, LENGTH, 0);
	cmd_out(&cmd, list, LENGTH);
	run_good(&cmd);
	rig_clear_attentions(rig);
}

static void
choose_at(struct rig *rig, unsigned at, bool enabled, uint32_t count)
{
	uint8_t list[LENGTH];

	fetch(rig, 0, list);
	list[at] = (uint8_t)((list[at] & 0x7f) | enabled << 7);
	store_be32(list + at + 4, count);
	choose(rig, list);
}

/* The nexus is told of the threshold at that place, or of none. */
static void
hears(struct rig *rig, unsigned nexus, unsigned at)
{
	struct cmd cmd;

	CMD(&cmd, rig, 0, 0, 0, 0, 0, 0);
	cmd.task.nexus = rig->nexus[nexus];
	if (at == 0) {
		run_good(&cmd);
		return;
	}
	cmd_run(&cmd);
	assert_sense(&cmd, THIN_PROVISIONING_THRESHOLD);
	/* SBC-3 4.7.3.7.6: VALID, and where it stands in the page */
	assert_int_equal(cmd.task.sense[0], 0xf0);
	assert_int_equal(load_be32(cmd.task.sense + 3), at - 4);
	cmd_release(&cmd);
}

static void
the_page_has_the_pools_threshold_and_one_that_is_off(void **state)
{
	struct rig *rig = *state;
	uint8_t list[LENGTH];

	rig->spy->usage.warn_free = 20 * MIB + 5;
	fetch(rig, 0, list);
	assert_memory_equal(list + 4, "\x5c\x02\x00\x1c", 4);
	assert_memory_equal(list + AVAILABLE, "\x80\x01\0\0\0\0\0\x14", 8);
	assert_memory_equal(list + USED, "\x01\x02\0\0\0\0\0\0", 8);
	rig->spy->usage.warn_free = 10 * MIB; /* varve pool set --warn-at */
	fetch(rig, 0, list);
	assert_int_equal(load_be32(list + AVAILABLE + 4), 10);
	fetch(rig, 1, list);
	assert_memory_equal(list + AVAILABLE, "\x80\0\0\0\xff\xff\xff\xff", 8);
	assert_memory_equal(list + USED, "\x80\0\0\0\xff\xff\xff\xff", 8);
	for (unsigned i = 8; i < AVAILABLE; i++)
		assert_int_equal(list[i], 0); /* SITUA */
}

static void
a_threshold_that_was_chosen_takes_the_place_of_the_pools(void **state)
{
	struct rig *rig = *state;
	uint8_t list[LENGTH];

	rig->spy->usage = (struct bs_usage){
	    .free = 12 * MIB, .used = 1, .warn_free = 10 * MIB};
	lun_threshold_reached(rig->lun);
	hears(rig, 0, AVAILABLE);
	hears(rig, 1, AVAILABLE);
	choose_at(rig, AVAILABLE, true, 11);
	lun_threshold_reached(rig->lun); /* the pool's */
	hears(rig, 0, 0);
	rig_fill(rig, 0, 1, 1);
	hears(rig, 0, 0);
	rig->spy->usage.free = 12 * MIB - 1;
	rig_fill(rig, 0, 1, 1);
	hears(rig, 0, AVAILABLE);
	hears(rig, 1, AVAILABLE);
	rig_fill(rig, 0, 1, 1); /* told once */
	hears(rig, 0, 0);
	rig->spy->usage.free = 13 * MIB;
	rig_fill(rig, 0, 1, 1);
	rig->spy->usage.free = 11 * MIB;
	rig_fill(rig, 0, 1, 1); /* and once more after it was left */
	hears(rig, 0, AVAILABLE);
	fetch(rig, 2, list); /* the default: the pool's again */
	choose(rig, list);
	assert_false(rig->lun->mode.threshold[0].own);
	lun_threshold_reached(rig->lun);
	hears(rig, 0, AVAILABLE);
}

static void
one_that_is_turned_off_is_not_told(void **state)
{
	struct rig *rig = *state;

	rig->spy->usage = (struct bs_usage){.warn_free = 10 * MIB};
	choose_at(rig, AVAILABLE, false, 10);
	lun_threshold_reached(rig->lun);
	rig_fill(rig, 0, 1, 1);
	hears(rig, 0, 0);
}

static void
without_lbpere_none_is_told(void **state)
{
	struct rig *rig = *state;
	uint8_t page[4 + 12] = {[4] = 0x01, 10};
	struct cmd cmd;

	rig->spy->usage = (struct bs_usage){.used = 5, .warn_free = 10 * MIB};
	choose_at(rig, USED, true, 0);
	CMD(&cmd, rig, 0x1a, 0x08, 0x01, 0, 255, 0);
	cmd_run(&cmd);
	assert_int_equal(cmd_in(&cmd)[4 + 7], 0x80);
	cmd_release(&cmd);
	CMD(&cmd, rig, 0x15, 0x10, 0, 0, sizeof(page), 0);
	cmd_out(&cmd, page, sizeof(page));
	run_good(&cmd);
	lun_threshold_reached(rig->lun);
	rig_fill(rig, 0, 1, 1);
	hears(rig, 0, 0);
	page[4 + 7] = 0x80;
	CMD(&cmd, rig, 0x15, 0x10, 0, 0, sizeof(page), 0);
	cmd_out(&cmd, page, sizeof(page));
	run_good(&cmd);
	rig_fill(rig, 0, 1, 1);
	hears(rig, 0, USED);
}

static void
what_the_unit_uses_has_a_threshold_on_its_way_up(void **state)
{
	struct rig *rig = *state;

	rig->spy->usage = (struct bs_usage){
	    .used = 7 * MIB - 1, .free = 99 * MIB, .warn_free = 10 * MIB};
	choose_at(rig, USED, true, 7);
	assert_false(rig->lun->mode.threshold[0].own);
	rig_fill(rig, 0, 1, 1);
	hears(rig, 0, 0);
	rig->spy->usage.used++;
	assert_true(rig_is(rig, 0, 1, 1)); /* to read is not to write */
	hears(rig, 0, 0);
	rig_fill(rig, 0, 1, 1);
	hears(rig, 0, USED);
	hears(rig, 1, USED);
	hears(rig, 0, 0);
}

static void
what_a_threshold_is_of_cannot_be_changed(void **state)
{
	struct rig *rig = *state;
	uint8_t list[LENGTH];
	struct cmd cmd;
	const struct {
		unsigned byte;
		uint8_t bits;
	} wrong[] = {{8, 1}, {AVAILABLE, 0x08}, {AVAILABLE, 1},
	    {AVAILABLE + 1, 2}, {USED + 1, 1}, {USED + 2, 1}};

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		fetch(rig, 0, list);
		list[wrong[i].byte] ^= wrong[i].bits;
		CMD(&cmd, rig, 0x15, 0x10, 0, 0, LENGTH, 0);
		cmd_out(&cmd, list, LENGTH);
		cmd_run(&cmd);
		assert_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
		assert_int_equal(cmd_sense(&cmd).field_byte, wrong[i].byte);
		cmd_release(&cmd);
	}
	for (unsigned length = 5; length < LENGTH; length++) {
		CMD(&cmd, rig, 0x15, 0x10, 0, 0, (uint8_t)length, 0);
		cmd_out(&cmd, list, length);
		run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	}
	fetch(rig, 0, list);
	list[4 + 3]--;
	CMD(&cmd, rig, 0x15, 0x10, 0, 0, LENGTH, 0);
	cmd_out(&cmd, list, LENGTH);
	cmd_run(&cmd);
	assert_int_equal(cmd_sense(&cmd).field_byte, 6);
	cmd_release(&cmd);
}

static void
thresholds_are_saved_and_come_back(void **state)
{
	struct rig rig;
	struct cmd cmd;
	uint8_t list[LENGTH];
	struct lun_saved saved;

	(void)state;
	rig_open(&rig, &(struct rig_params){.keep = true});
	rig.spy->usage.warn_free = 10 * MIB;
	fetch(&rig, 0, list);
	store_be32(list + USED + 4, UINT32_MAX);
	list[USED] |= 0x80;
	CMD(&cmd, &rig, 0x15, 0x11, 0, 0, LENGTH, 0);
	cmd_out(&cmd, list, LENGTH);
	run_good(&cmd);
	saved = rig.saved;
	rig_close(&rig);
	rig_open(&rig, &(struct rig_params){.keep = true, .saved = &saved});
	rig.spy->usage.warn_free = 5 * MIB;
	fetch(&rig, 3, list);
	assert_int_equal(load_be32(list + AVAILABLE + 4), 5); /* follows */
	assert_memory_equal(list + USED, "\x81\x02\0\0\xff\xff\xff\xff", 8);
	rig_close(&rig);
}

/* The pool has grown between a host's MODE SENSE and its MODE SELECT of
 * something else on the page. */
static void
what_comes_back_as_it_was_read_still_follows_the_pool(void **state)
{
	struct rig *rig = *state;
	uint8_t list[LENGTH];

	rig->spy->usage.warn_free = 20 * MIB;
	fetch(rig, 0, list);
	rig->spy->usage.warn_free = 40 * MIB;
	list[USED] |= 0x80;
	store_be32(list + USED + 4, 7);
	choose(rig, list);
	assert_false(rig->lun->mode.threshold[0].own);
	assert_true(rig->lun->mode.threshold[1].own);
	fetch(rig, 0, list);
	assert_int_equal(load_be32(list + AVAILABLE + 4), 40);
}

static void
after_a_reset_and_after_lbpere_it_is_told_again(void **state)
{
	struct rig *rig = *state;
	struct lun_mode mode;

	rig->spy->usage = (struct bs_usage){.used = 9 * MIB};
	choose_at(rig, USED, true, 5);
	rig_fill(rig, 0, 1, 1);
	hears(rig, 0, USED);
	rig->lun->mode_saved = rig->lun->mode_default;
	lun_reset(rig->lun);
	rig_clear_attentions(rig);
	choose_at(rig, USED, true, 5);
	rig_fill(rig, 0, 1, 1);
	hears(rig, 0, USED);
	mode = rig->lun->mode;
	mode.tells_thresholds = false;
	mode_put(rig->lun, &mode);
	rig_fill(rig, 0, 1, 1);
	hears(rig, 0, 0);
	mode.tells_thresholds = true;
	mode_put(rig->lun, &mode);
	rig_fill(rig, 0, 1, 1);
	hears(rig, 0, USED);
}

static void
a_thick_unit_has_none(void **state)
{
	struct rig rig;
	struct cmd cmd;

	(void)state;
	rig_open(&rig, &(struct rig_params){.thick = true});
	CMD(&cmd, &rig, 0x1a, 0x08, 0x1c, 2, 255, 0);
	run_field(&cmd, 3, -1);
	for (uint8_t control = 0; control < 3; control++) { /* nor LBPERE */
		CMD(&cmd, &rig, 0x1a, 0x08, (uint8_t)(control << 6 | 0x01), 0,
		    255, 0);
		cmd_run(&cmd);
		assert_int_equal(cmd_in(&cmd)[4 + 7], 0);
		cmd_release(&cmd);
	}
	rig_close(&rig);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(the_page_has_the_pools_threshold_and_one_that_is_off),
	    rig_tests(a_threshold_that_was_chosen_takes_the_place_of_the_pools),
	    rig_test(one_that_is_turned_off_is_not_told),
	    rig_test(without_lbpere_none_is_told),
	    rig_test(what_the_unit_uses_has_a_threshold_on_its_way_up),
	    rig_test(what_a_threshold_is_of_cannot_be_changed),
	    rig_test(what_comes_back_as_it_was_read_still_follows_the_pool),
	    rig_test(after_a_reset_and_after_lbpere_it_is_told_again),
	    cmocka_unit_test(thresholds_are_saved_and_come_back),
	    cmocka_unit_test(a_thick_unit_has_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
