/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PERSISTENT RESERVE OUT: registering, also others by their names, and lists
 * that are no good for any service action.
 */
#include "tests/unit/target/scsi/support/pr.h"
#include <stdio.h>

static uint8_t list[REGISTRY_MAX * 300];

/* ---- REGISTER ---- */

static void
a_key_is_registered_changed_and_taken_back(void **state)
{
	struct rig *rig = *state;

	pr_conflict(rig, 0, REGISTER, 0, 5, 10); /* none is registered */
	pr_has(rig, 0, 0);
	pr_good(rig, 0, REGISTER, 0, 0, 10);
	pr_has(rig, 1, 1);
	pr_conflict(rig, 0, REGISTER, 0, 0, 11);
	pr_conflict(rig, 0, REGISTER, 0, 9, 11);
	pr_has(rig, 1, 1);
	pr_good(rig, 0, REGISTER, 0, 10, 11);
	pr_has(rig, 2, 1);
	assert_int_equal(pr_registry(rig)->list[0].key, 11);
	pr_good(rig, 0, REGISTER, 0, 11, 0);
	pr_has(rig, 3, 0);
	/* nothing to take back: good, and nothing is counted */
	pr_good(rig, 0, REGISTER, 0, 0, 0);
	pr_has(rig, 3, 0);
	hears_nothing(rig, 1);
}

static void
ignoring_the_key_it_always_fits(void **state)
{
	struct rig *rig = *state;

	pr_good(rig, 0, REGISTER_AND_IGNORE, 0, 77, 10);
	pr_good(rig, 0, REGISTER_AND_IGNORE, 0, 78, 11);
	pr_has(rig, 2, 1);
	assert_int_equal(pr_registry(rig)->list[0].key, 11);
	pr_good(rig, 0, REGISTER_AND_IGNORE, 0, 79, 0);
	pr_has(rig, 3, 0);
	pr_good(rig, 0, REGISTER_AND_IGNORE, 0, 79, 0);
	pr_has(rig, 3, 0);
}

/* SPC-4 table 219: SCOPE and TYPE are ignored by these */
static void
registering_looks_at_no_type(void **state)
{
	struct rig *rig = *state;

	pr_good(rig, 0, REGISTER, 0x2f, 0, 10);
	pr_good(rig, 0, REGISTER_AND_IGNORE, 0xf4, 0, 11);
	pr_good(rig, 0, CLEAR, 0x12, 11, 0);
}

static void
all_target_ports_are_one_registration(void **state)
{
	struct rig *rig = *state;

	rig_nexus(rig, 2, RIG_A, RIG_TARGET, 2);
	rig_nexus(rig, 3, RIG_A, RIG_TARGET "2", 2);
	rig_clear_attentions(rig);
	assert_int_equal(
	    pr_out_flags(rig, 0, REGISTER, 0, 0, 10, ALL_TG_PT), SCSI_GOOD);
	assert_int_equal(pr_registry(rig)->count, 1);
	pr_good(rig, 0, RESERVE, EA, 10, 0);
	/* by the other port of this target it is the holder, too */
	pr_good(rig, 2, RESERVE, EA, 10, 0);
	pr_conflict(rig, 3, RESERVE, EA, 10, 0);
	pr_good(rig, 2, REGISTER, 0, 10, 0);
	assert_int_equal(pr_registry(rig)->count, 0);
}

static void
a_nexus_is_an_initiator_port_and_a_target_port(void **state)
{
	struct rig *rig = *state;

	rig_nexus(rig, 2, RIG_A, RIG_TARGET, 2);
	rig_nexus(rig, 3, "iqn.2024-01.org.example:a,i,0x000000000009",
	    RIG_TARGET, 1);
	rig_clear_attentions(rig);
	pr_good(rig, 0, REGISTER, 0, 0, 10);
	pr_good(rig, 2, REGISTER, 0, 0, 20);
	pr_good(rig, 3, REGISTER, 0, 0, 30);
	assert_int_equal(pr_registry(rig)->count, 3);
	pr_good(rig, 0, RESERVE, WE, 10, 0);
	pr_conflict(rig, 2, RESERVE, WE, 20, 0);
	pr_conflict(rig, 3, RESERVE, WE, 30, 0);
}

/* ---- SPEC_I_PT ---- */

static enum scsi_status
register_names(struct rig *rig, const char *const *names, unsigned count)
{
	size_t length = pr_list_spec_i_pt(list, 0, 10, 0, names, count);

	return pr_out_list(rig, 0, REGISTER, 0, list, (uint32_t)length);
}

static void
others_are_registered_by_their_names(void **state)
{
	struct rig *rig = *state;
	const char *const names[] = {
	    RIG_B, "iqn.2024-01.org.example:away,i,0x00000000000a"};

	assert_int_equal(register_names(rig, names, 2), SCSI_GOOD);
	pr_has(rig, 1, 3);
	pr_good(rig, 1, RESERVE, WE, 10, 0);
	assert_holds(rig, WE, 10);
	hears_nothing(rig, 1);
	/* one that comes later finds itself registered */
	rig_nexus(rig, 2, names[1], RIG_TARGET, 1);
	rig_clear_attentions(rig);
	pr_good(rig, 2, REGISTER, 0, 10, 0);
}

static void
a_device_is_all_its_ports_that_are_here(void **state)
{
	struct rig *rig = *state;
	const char *const here[] = {"iqn.2024-01.org.example:b"};
	const char *const away[] = {"iqn.2024-01.org.example:z"};

	rig_nexus(rig, 2, "iqn.2024-01.org.example:b,i,0x000000000007",
	    RIG_TARGET, 1);
	rig_clear_attentions(rig);
	assert_int_equal(register_names(rig, away, 1), SCSI_CHECK_CONDITION);
	assert_pr_sense(INVALID_FIELD_IN_PARAMETER_LIST);
	pr_has(rig, 0, 0);
	assert_int_equal(register_names(rig, here, 1), SCSI_GOOD);
	pr_has(rig, 1, 3);
}

static void
if_one_cannot_be_registered_none_is(void **state)
{
	struct rig *rig = *state;
	const char *const names[] = {
	    "iqn.2024-01.org.example:z,i,0x00000000000a", RIG_B};

	pr_good(rig, 1, REGISTER, 0, 0, 99);
	assert_int_equal(register_names(rig, names, 2), SCSI_CHECK_CONDITION);
	assert_pr_sense(INVALID_FIELD_IN_PARAMETER_LIST);
	assert_int_equal(pr_sense.field_byte, 28 + 48);
	pr_has(rig, 1, 1);
	pr_good(rig, 1, REGISTER, 0, 99, 10);
	assert_int_equal(register_names(rig, names, 2), SCSI_GOOD);
	pr_has(rig, 3, 3);
}

static void
names_are_for_the_first_registration_only(void **state)
{
	struct rig *rig = *state;
	const char *const names[] = {RIG_B};
	size_t length;

	pr_good(rig, 0, REGISTER, 0, 0, 10);
	length = pr_list_spec_i_pt(list, 10, 11, 0, names, 1);
	assert_int_equal(
	    pr_out_list(rig, 0, REGISTER, 0, list, (uint32_t)length),
	    SCSI_CHECK_CONDITION);
	assert_pr_sense(INVALID_FIELD_IN_PARAMETER_LIST);
	assert_int_equal(pr_sense.field_byte, 20);
	assert_int_equal(pr_sense.field_bit, 3);
	length = pr_list_spec_i_pt(list, 10, 0, 0, names, 1);
	assert_int_equal(
	    pr_out_list(rig, 0, REGISTER, 0, list, (uint32_t)length),
	    SCSI_CHECK_CONDITION);
	for (unsigned action = RESERVE; action < REGISTER_AND_MOVE; action++) {
		length = pr_list_spec_i_pt(list, 10, 11, 0, names, 1);
		assert_int_equal(
		    pr_out_list(rig, 0, action, WE, list, (uint32_t)length),
		    SCSI_CHECK_CONDITION);
		assert_pr_sense(INVALID_FIELD_IN_PARAMETER_LIST);
	}
	pr_has(rig, 1, 1);
}

static void
lists_of_names_that_do_not_add_up_are_refused(void **state)
{
	struct rig *rig = *state;
	const char *const names[] = {RIG_B};
	uint32_t length = (uint32_t)pr_list_spec_i_pt(list, 0, 10, 0, names, 1);

	/* shorter than it says, longer, without its head */
	for (unsigned wrong = 24; wrong < length + 9; wrong++) {
		if (wrong == length)
			continue;
		assert_int_equal(pr_out_list(rig, 0, REGISTER, 0, list, wrong),
		    SCSI_CHECK_CONDITION);
		assert_pr_sense(PARAMETER_LIST_LENGTH_ERROR);
	}
	/* the last one is cut off */
	store_be32(list + 24, length - 28 - 4);
	assert_int_equal(pr_out_list(rig, 0, REGISTER, 0, list, length - 4),
	    SCSI_CHECK_CONDITION);
	assert_pr_sense(INVALID_FIELD_IN_PARAMETER_LIST);
	assert_int_equal(pr_sense.field_byte, 28);
	/* no names at all: itself */
	store_be32(list + 24, 0);
	assert_int_equal(pr_out_list(rig, 0, REGISTER, 0, list, 28), SCSI_GOOD);
	pr_has(rig, 1, 1);
}

static void
a_full_registry_takes_no_more(void **state)
{
	struct rig *rig = *state;
	struct registration r = {.key = 1, .port = 1, .target = RIG_TARGET};

	for (unsigned i = 0; i < REGISTRY_MAX; i++) {
		snprintf(r.initiator, sizeof(r.initiator), "n%u", i);
		registry_register(pr_registry(rig), &r);
	}
	assert_int_equal(pr(rig, 0, REGISTER, 0, 0, 10), SCSI_CHECK_CONDITION);
	assert_pr_sense(INSUFFICIENT_REGISTRATION_RESOURCES);
	assert_int_equal(
	    pr(rig, 0, REGISTER_AND_IGNORE, 0, 0, 10), SCSI_CHECK_CONDITION);
	pr_has(rig, 0, REGISTRY_MAX);
}

/* ---- parameter lists ---- */

static void
a_list_of_another_length_is_refused(void **state)
{
	struct rig *rig = *state;
	static uint8_t zeros[128 << 10];

	for (unsigned action = REGISTER; action <= REGISTER_AND_MOVE;
	     action++) {
		const uint32_t wrong[] = {0, 1, 23, 25, 28, (64 << 10) + 1};
		for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
			assert_int_equal(
			    pr_out_list(rig, 0, action, WE, zeros, wrong[i]),
			    action == REGISTER_AND_MOVE && wrong[i] > 23 &&
				    wrong[i] < 1000
				? SCSI_RESERVATION_CONFLICT
				: SCSI_CHECK_CONDITION);
			if (pr_sense.key != 0)
				assert_pr_sense(PARAMETER_LIST_LENGTH_ERROR);
		}
	}
}

static void
less_data_than_the_cdb_says_is_refused(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	CMD(&cmd, rig, 0x5f, 0, 0, 0, 0, BE32(24), 0);
	cmd_out(&cmd, list, 23);
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
}

static void
without_a_registration_or_its_key_all_conflicts(void **state)
{
	struct rig *rig = *state;
	size_t length = pr_list_move(list, 9, 11, 0, 1, RIG_B);

	pr_good(rig, 1, REGISTER, 0, 0, 11);
	for (unsigned registered = 0; registered < 2; registered++) {
		for (unsigned action = RESERVE; action <= PREEMPT_AND_ABORT;
		     action++)
			pr_conflict(rig, 0, action, WE, 9, 11);
		assert_int_equal(pr_out_list(rig, 0, REGISTER_AND_MOVE, WE,
				     list, (uint32_t)length),
		    SCSI_RESERVATION_CONFLICT);
		if (registered == 0)
			pr_good(rig, 0, REGISTER, 0, 0, 10);
	}
	pr_has(rig, 2, 2);
}

static void
an_unknown_type_or_scope_is_refused(void **state)
{
	struct rig *rig = *state;
	const uint8_t wrong[] = {0, 2, 4, 9, 15, 0x11, 0x21, 0xf1};

	pr_register(rig, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		for (unsigned action = RESERVE; action <= RELEASE; action++) {
			assert_int_equal(pr(rig, 0, action, wrong[i], 10, 0),
			    SCSI_CHECK_CONDITION);
			assert_pr_sense(INVALID_FIELD_IN_CDB);
			assert_int_equal(pr_sense.field_byte, 2);
			assert_int_equal(
			    pr_sense.field_bit, wrong[i] > 15 ? 7 : 3);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(a_key_is_registered_changed_and_taken_back),
	    rig_test(ignoring_the_key_it_always_fits),
	    rig_test(registering_looks_at_no_type),
	    rig_test(all_target_ports_are_one_registration),
	    rig_test(a_nexus_is_an_initiator_port_and_a_target_port),
	    rig_test(others_are_registered_by_their_names),
	    rig_test(a_device_is_all_its_ports_that_are_here),
	    rig_test(if_one_cannot_be_registered_none_is),
	    rig_test(names_are_for_the_first_registration_only),
	    rig_test(lists_of_names_that_do_not_add_up_are_refused),
	    rig_test(a_full_registry_takes_no_more),
	    rig_test(a_list_of_another_length_is_refused),
	    rig_test(less_data_than_the_cdb_says_is_refused),
	    rig_test(without_a_registration_or_its_key_all_conflicts),
	    rig_test(an_unknown_type_or_scope_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
