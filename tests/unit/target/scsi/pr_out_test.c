/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PERSISTENT RESERVE OUT: each service action, right and wrong, and who hears
 * what of it.  What passes a reservation is reserve_test.c.
 */
#include "tests/unit/target/scsi/support/pr.h"
#include <stdio.h>

static struct registry *
registry_of(const struct rig *rig)
{
	return rig->lun->registry;
}

#define assert_holds(rig, type_, key_)                                         \
	do {                                                                   \
		const struct registry *r_ = registry_of(rig);                  \
		assert_int_equal(r_->type, (type_));                           \
		assert_int_equal(r_->list[r_->holder].key, (key_));            \
	} while (0)

static void
nothing_has_changed(struct rig *rig, uint32_t generation, unsigned count)
{
	assert_int_equal(registry_of(rig)->generation, generation);
	assert_int_equal(registry_of(rig)->count, count);
}

/* ---- REGISTER ---- */

static void
a_key_is_registered_changed_and_taken_back(void **state)
{
	struct rig *rig = *state;

	pr_conflict(rig, 0, REGISTER, 0, 5, 10); /* none is registered */
	nothing_has_changed(rig, 0, 0);
	pr_good(rig, 0, REGISTER, 0, 0, 10);
	nothing_has_changed(rig, 1, 1);
	pr_conflict(rig, 0, REGISTER, 0, 0, 11);
	pr_conflict(rig, 0, REGISTER, 0, 9, 11);
	nothing_has_changed(rig, 1, 1);
	pr_good(rig, 0, REGISTER, 0, 10, 11);
	nothing_has_changed(rig, 2, 1);
	assert_int_equal(registry_of(rig)->list[0].key, 11);
	pr_good(rig, 0, REGISTER, 0, 11, 0);
	nothing_has_changed(rig, 3, 0);
	/* nothing to take back: good, and nothing is counted */
	pr_good(rig, 0, REGISTER, 0, 0, 0);
	nothing_has_changed(rig, 3, 0);
	hears_nothing(rig, 1);
}

static void
ignoring_the_key_it_always_fits(void **state)
{
	struct rig *rig = *state;

	pr_good(rig, 0, REGISTER_AND_IGNORE, 0, 77, 10);
	pr_good(rig, 0, REGISTER_AND_IGNORE, 0, 78, 11);
	nothing_has_changed(rig, 2, 1);
	assert_int_equal(registry_of(rig)->list[0].key, 11);
	pr_good(rig, 0, REGISTER_AND_IGNORE, 0, 79, 0);
	nothing_has_changed(rig, 3, 0);
	pr_good(rig, 0, REGISTER_AND_IGNORE, 0, 79, 0);
	nothing_has_changed(rig, 3, 0);
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
	assert_int_equal(registry_of(rig)->count, 1);
	pr_good(rig, 0, RESERVE, EA, 10, 0);
	/* by the other port of this target it is the holder, too */
	pr_good(rig, 2, RESERVE, EA, 10, 0);
	pr_conflict(rig, 3, RESERVE, EA, 10, 0);
	pr_good(rig, 2, REGISTER, 0, 10, 0);
	assert_int_equal(registry_of(rig)->count, 0);
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
	assert_int_equal(registry_of(rig)->count, 3);
	pr_good(rig, 0, RESERVE, WE, 10, 0);
	pr_conflict(rig, 2, RESERVE, WE, 20, 0);
	pr_conflict(rig, 3, RESERVE, WE, 30, 0);
}

/* ---- SPEC_I_PT ---- */

static uint8_t list[REGISTRY_MAX * 300];

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
	nothing_has_changed(rig, 1, 3);
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
	nothing_has_changed(rig, 0, 0);
	assert_int_equal(register_names(rig, here, 1), SCSI_GOOD);
	nothing_has_changed(rig, 1, 3);
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
	nothing_has_changed(rig, 1, 1);
	pr_good(rig, 1, REGISTER, 0, 99, 10);
	assert_int_equal(register_names(rig, names, 2), SCSI_GOOD);
	nothing_has_changed(rig, 3, 3);
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
	nothing_has_changed(rig, 1, 1);
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
	nothing_has_changed(rig, 1, 1);
}

static void
a_full_registry_takes_no_more(void **state)
{
	struct rig *rig = *state;
	struct registration r = {.key = 1, .port = 1, .target = RIG_TARGET};

	for (unsigned i = 0; i < REGISTRY_MAX; i++) {
		snprintf(r.initiator, sizeof(r.initiator), "n%u", i);
		registry_register(registry_of(rig), &r);
	}
	assert_int_equal(pr(rig, 0, REGISTER, 0, 0, 10), SCSI_CHECK_CONDITION);
	assert_pr_sense(INSUFFICIENT_REGISTRATION_RESOURCES);
	assert_int_equal(
	    pr(rig, 0, REGISTER_AND_IGNORE, 0, 0, 10), SCSI_CHECK_CONDITION);
	nothing_has_changed(rig, 0, REGISTRY_MAX);
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
	nothing_has_changed(rig, 2, 2);
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

/* ---- RESERVE, RELEASE, CLEAR ---- */

static void
of_each_type_there_is_one_reservation(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 2);
	for (unsigned t = 0; t < ARRAY_SIZE(pr_types); t++) {
		uint8_t type = pr_types[t];
		bool all = type >= WEAR;
		pr_good(rig, 0, RESERVE, type, 10, 0);
		assert_holds(rig, type, 10);
		pr_good(rig, 0, RESERVE, type, 10, 0);
		/* held by all: the other one holds it, too */
		assert_int_equal(pr(rig, 1, RESERVE, type, 11, 0),
		    all ? SCSI_GOOD : SCSI_RESERVATION_CONFLICT);
		for (unsigned o = 0; o < ARRAY_SIZE(pr_types); o++) {
			if (o == t)
				continue;
			pr_conflict(rig, 0, RESERVE, pr_types[o], 10, 0);
			pr_conflict(rig, 1, RESERVE, pr_types[o], 11, 0);
		}
		pr_good(rig, 0, RELEASE, type, 10, 0);
		assert_int_equal(registry_of(rig)->type, 0);
		rig_clear_attentions(rig);
	}
	/* RESERVE and RELEASE do not count */
	nothing_has_changed(rig, 2, 2);
}

static void
who_holds_nothing_releases_nothing(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 2);
	pr_good(rig, 0, RELEASE, WE, 10, 0);
	pr_good(rig, 0, RESERVE, WE, 10, 0);
	pr_good(rig, 1, RELEASE, WE, 11, 0);
	pr_good(rig, 1, RELEASE, EA, 11, 0);
	assert_holds(rig, WE, 10);
	assert_int_equal(pr(rig, 0, RELEASE, EA, 10, 0), SCSI_CHECK_CONDITION);
	assert_pr_sense(INVALID_RELEASE);
	assert_holds(rig, WE, 10);
}

/* SPC-4 5.12.11.2.2 */
static void
a_release_is_heard_by_those_who_had_a_part(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 2);
	rig_nexus(rig, 2, RIG_C, RIG_TARGET, 1);
	rig_clear_attentions(rig);
	for (unsigned t = 0; t < ARRAY_SIZE(pr_types); t++) {
		pr_good(rig, 0, RESERVE, pr_types[t], 10, 0);
		pr_good(rig, 0, RELEASE, pr_types[t], 10, 0);
		if (pr_types[t] >= WERO)
			hears(rig, 1, RESERVATIONS_RELEASED);
		else
			hears_nothing(rig, 1);
		hears_nothing(rig, 0);
		hears_nothing(rig, 2);
	}
}

/* SPC-4 5.12.11.2.1 */
static void
a_holder_that_unregisters_releases(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 2);
	for (unsigned t = 0; t < ARRAY_SIZE(pr_types); t++) {
		bool all = pr_types[t] >= WEAR;
		pr_good(rig, 0, RESERVE, pr_types[t], 10, 0);
		pr_good(rig, 0, REGISTER, 0, 10, 0);
		assert_int_equal(registry_of(rig)->type, all ? pr_types[t] : 0);
		if (pr_types[t] == WERO || pr_types[t] == EARO)
			hears(rig, 1, RESERVATIONS_RELEASED);
		else
			hears_nothing(rig, 1);
		if (all) {
			pr_good(rig, 1, REGISTER, 0, 11, 0);
			assert_int_equal(registry_of(rig)->type, 0);
			pr_good(rig, 1, REGISTER, 0, 0, 11);
		}
		pr_good(rig, 0, REGISTER, 0, 0, 10);
	}
}

static void
clear_takes_everything_from_everyone(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 3);
	rig_nexus(rig, 3, "stranger", RIG_TARGET, 1);
	rig_clear_attentions(rig);
	pr_good(rig, 0, RESERVE, WERO, 10, 0);
	pr_good(rig, 1, CLEAR, 0, 11, 0);
	nothing_has_changed(rig, 4, 0);
	assert_int_equal(registry_of(rig)->type, 0);
	hears(rig, 0, RESERVATIONS_PREEMPTED);
	hears(rig, 2, RESERVATIONS_PREEMPTED);
	hears_nothing(rig, 1);
	hears_nothing(rig, 3);
}

/* ---- PREEMPT ---- */

static void
the_holder_is_preempted(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 3);
	pr_good(rig, 0, RESERVE, WE, 10, 0);
	pr_good(rig, 1, PREEMPT, EA, 11, 10);
	assert_holds(rig, EA, 11);
	nothing_has_changed(rig, 4, 2);
	hears(rig, 0, REGISTRATIONS_PREEMPTED);
	hears_nothing(rig, 1);
	/* 5.12.11.4.3 f): the type is another one */
	hears(rig, 2, RESERVATIONS_RELEASED);
	pr_conflict(rig, 0, RESERVE, EA, 10, 0);
}

static void
of_the_same_type_only_the_loser_hears(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 3);
	pr_good(rig, 0, RESERVE, WERO, 10, 0);
	pr_good(rig, 1, PREEMPT, WERO, 11, 10);
	hears(rig, 0, REGISTRATIONS_PREEMPTED);
	hears_nothing(rig, 2);
}

static void
a_registration_is_preempted_and_the_reservation_stays(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 3);
	pr_good(rig, 0, RESERVE, EARO, 10, 0);
	/* SCOPE and TYPE are not looked at */
	pr_good(rig, 1, PREEMPT, 0xff, 11, 12);
	assert_holds(rig, EARO, 10);
	nothing_has_changed(rig, 4, 2);
	hears(rig, 2, REGISTRATIONS_PREEMPTED);
	hears_nothing(rig, 0);
	/* by its own key: its own registration goes, 5.12.11.4.4 */
	pr_good(rig, 1, PREEMPT, 0, 11, 11);
	nothing_has_changed(rig, 5, 1);
	hears_nothing(rig, 1);
}

static void
a_holder_may_preempt_itself_for_another_type(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 2);
	pr_good(rig, 0, RESERVE, WE, 10, 0);
	pr_good(rig, 0, PREEMPT, EARO, 10, 10);
	assert_holds(rig, EARO, 10);
	nothing_has_changed(rig, 3, 2);
	hears(rig, 1, RESERVATIONS_RELEASED);
}

static void
several_may_have_the_same_key(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 3);
	pr_good(rig, 2, REGISTER, 0, 12, 10);
	pr_good(rig, 2, RESERVE, WE, 10, 0);
	pr_good(rig, 1, PREEMPT, WE, 11, 10);
	assert_holds(rig, WE, 11);
	nothing_has_changed(rig, 5, 1);
	hears(rig, 0, REGISTRATIONS_PREEMPTED);
	hears(rig, 2, REGISTRATIONS_PREEMPTED);
}

static void
what_all_hold_is_preempted_by_zero(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 3);
	pr_good(rig, 0, RESERVE, WEAR, 10, 0);
	/* by a key: that registration, and all others hold on */
	pr_good(rig, 1, PREEMPT, EA, 11, 10);
	assert_int_equal(registry_of(rig)->type, WEAR);
	nothing_has_changed(rig, 4, 2);
	hears(rig, 0, REGISTRATIONS_PREEMPTED);
	pr_good(rig, 1, PREEMPT, EA, 11, 0);
	assert_holds(rig, EA, 11);
	nothing_has_changed(rig, 5, 1);
	hears(rig, 2, REGISTRATIONS_PREEMPTED);
	hears_nothing(rig, 1);
}

static void
a_key_that_means_nothing_preempts_nothing(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 2);
	pr_conflict(rig, 0, PREEMPT, WE, 10, 99);
	assert_int_equal(pr(rig, 0, PREEMPT, WE, 10, 0), SCSI_CHECK_CONDITION);
	assert_pr_sense(INVALID_FIELD_IN_PARAMETER_LIST);
	assert_int_equal(pr_sense.field_byte, 8);
	pr_good(rig, 1, RESERVE, WE, 11, 0);
	assert_int_equal(pr(rig, 0, PREEMPT, 2, 10, 11), SCSI_CHECK_CONDITION);
	assert_pr_sense(INVALID_FIELD_IN_CDB);
	assert_int_equal(
	    pr(rig, 0, PREEMPT, 0x11, 10, 11), SCSI_CHECK_CONDITION);
	nothing_has_changed(rig, 2, 2);
	assert_holds(rig, WE, 11);
}

/* ---- PREEMPT AND ABORT ---- */

static uint8_t block[4096];

static void
write_one(struct cmd *cmd, struct rig *rig, unsigned nexus)
{
	CMD(cmd, rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(cmd, block, rig->block_size);
	cmd->task.nexus = rig->nexus[nexus];
	assert_true(cmd_begin(cmd));
}

static void
prout_start(struct cmd *cmd, struct rig *rig, unsigned nexus,
    enum pr_action action, uint64_t key, uint64_t action_key)
{
	memset(list, 0, 24);
	store_be64(list, key);
	store_be64(list + 8, action_key);
	CMD(cmd, rig, 0x5f, (uint8_t)action, WE, 0, 0, BE32(24), 0);
	cmd_out(cmd, list, 24);
	cmd->task.nexus = rig->nexus[nexus];
	assert_true(cmd_begin(cmd));
	cmd_execute(cmd);
	rig_drain(rig);
}

static void
its_status_comes_when_the_tasks_of_the_preempted_have_stopped(void **state)
{
	struct rig *rig = *state;
	struct cmd running, begun, mine, prout;

	pr_register(rig, 2);
	pr_good(rig, 0, RESERVE, WERO, 10, 0);
	rig->spy->hold = true;
	write_one(&running, rig, 0);
	cmd_execute(&running);
	write_one(&mine, rig, 1);
	cmd_execute(&mine);
	write_one(&begun, rig, 0);
	prout_start(&prout, rig, 1, PREEMPT_AND_ABORT, 11, 10);
	/* it has taken effect, but is not answered */
	assert_int_equal(registry_of(rig)->count, 1);
	assert_false(prout.done);
	assert_true(begun.task.aborted);
	scsi_task_drop(&begun.task);
	assert_true(spy_release(rig->spy));
	rig_drain(rig);
	assert_true(running.done && running.task.aborted);
	cmd_release(&running);
	assert_true(prout.done);
	assert_good(&prout);
	cmd_release(&prout);
	assert_false(mine.done);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_good(&mine);
	cmd_release(&mine);
	hears(rig, 0, REGISTRATIONS_PREEMPTED);
}

static void
with_nothing_to_abort_it_is_answered_at_once(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 2);
	pr_good(rig, 0, RESERVE, WE, 10, 0);
	pr_good(rig, 1, PREEMPT_AND_ABORT, WE, 11, 10);
	assert_holds(rig, WE, 11);
	hears(rig, 0, REGISTRATIONS_PREEMPTED);
}

static void
under_tas_the_aborted_are_told(void **state)
{
	struct rig *rig = *state;
	struct cmd running, prout;

	rig->lun->mode.task_aborted_status = true;
	pr_register(rig, 2);
	rig->spy->hold = true;
	write_one(&running, rig, 0);
	cmd_execute(&running);
	prout_start(&prout, rig, 1, PREEMPT_AND_ABORT, 11, 10);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_false(running.task.aborted);
	assert_int_equal(running.task.status, SCSI_TASK_ABORTED);
	cmd_release(&running);
	assert_good(&prout);
	cmd_release(&prout);
}

static void
plain_preempt_lets_tasks_run(void **state)
{
	struct rig *rig = *state;
	struct cmd running;

	pr_register(rig, 2);
	rig->spy->hold = true;
	write_one(&running, rig, 0);
	cmd_execute(&running);
	pr_good(rig, 1, PREEMPT, WE, 11, 10);
	assert_false(running.task.aborting);
	spy_release_all(rig->spy);
	rig->spy->hold = false;
	rig_drain(rig);
	assert_good(&running);
	cmd_release(&running);
}

/* ---- REGISTER AND MOVE ---- */

#define UNREG 0x02

static enum scsi_status
move(struct rig *rig, unsigned nexus, uint64_t key, uint64_t action_key,
    uint8_t flags, uint16_t port, const char *name)
{
	size_t length = pr_list_move(list, key, action_key, flags, port, name);

	return pr_out_list(
	    rig, nexus, REGISTER_AND_MOVE, 0xff, list, (uint32_t)length);
}

static void
a_reservation_moves_to_a_new_registration(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 1);
	pr_good(rig, 0, RESERVE, EARO, 10, 0);
	assert_int_equal(move(rig, 0, 10, 77, 0, 1, RIG_B), SCSI_GOOD);
	nothing_has_changed(rig, 2, 2);
	assert_holds(rig, EARO, 77);
	pr_good(rig, 1, RESERVE, EARO, 77, 0);
	pr_conflict(rig, 0, RESERVE, EARO, 10, 0);
	hears_nothing(rig, 0);
	hears_nothing(rig, 1);
}

static void
or_to_one_that_is_there_and_its_giver_may_go(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 3);
	pr_good(rig, 0, RESERVE, WE, 10, 0);
	assert_int_equal(move(rig, 0, 10, 88, UNREG, 1, RIG_C), SCSI_GOOD);
	nothing_has_changed(rig, 4, 2);
	assert_holds(rig, WE, 88);
	pr_conflict(rig, 0, REGISTER, 0, 10, 11);
	/* a device's name will do where it has one port here */
	assert_int_equal(
	    move(rig, 2, 88, 99, 0, 1, "iqn.2024-01.org.example:b"), SCSI_GOOD);
	assert_holds(rig, WE, 99);
}

static void
what_cannot_move_does_not(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 2);
	/* table 51: no reservation; not its holder */
	assert_int_equal(
	    move(rig, 0, 10, 77, 0, 1, RIG_B), SCSI_CHECK_CONDITION);
	assert_pr_sense(INVALID_FIELD_IN_CDB);
	pr_good(rig, 1, RESERVE, WERO, 11, 0);
	assert_int_equal(
	    move(rig, 0, 10, 77, 0, 1, RIG_B), SCSI_RESERVATION_CONFLICT);
	/* to itself, with key zero, to nobody, by an unknown port */
	assert_int_equal(
	    move(rig, 1, 11, 77, 0, 1, RIG_B), SCSI_CHECK_CONDITION);
	assert_pr_sense(INVALID_FIELD_IN_PARAMETER_LIST);
	assert_int_equal(pr_sense.field_byte, 24);
	assert_int_equal(
	    move(rig, 1, 11, 0, 0, 1, RIG_A), SCSI_CHECK_CONDITION);
	assert_int_equal(pr_sense.field_byte, 8);
	assert_int_equal(
	    move(rig, 1, 11, 77, 0, 1, "iqn.nobody"), SCSI_CHECK_CONDITION);
	assert_int_equal(pr_sense.field_byte, 24);
	assert_int_equal(
	    move(rig, 1, 11, 77, 0, 9, RIG_A), SCSI_CHECK_CONDITION);
	assert_int_equal(pr_sense.field_byte, 18);
	assert_holds(rig, WERO, 11);
	nothing_has_changed(rig, 2, 2);
	pr_good(rig, 1, RELEASE, WERO, 11, 0);
	rig_clear_attentions(rig);
	/* held by all */
	pr_good(rig, 1, RESERVE, EAAR, 11, 0);
	assert_int_equal(
	    move(rig, 1, 11, 77, 0, 1, RIG_A), SCSI_RESERVATION_CONFLICT);
}

static void
a_move_whose_lengths_differ_is_refused(void **state)
{
	struct rig *rig = *state;
	uint32_t length = (uint32_t)pr_list_move(list, 10, 77, 0, 1, RIG_B);

	pr_register(rig, 1);
	pr_good(rig, 0, RESERVE, WE, 10, 0);
	for (uint32_t wrong = 24; wrong < length + 9; wrong++) {
		if (wrong == length)
			continue;
		assert_int_equal(
		    pr_out_list(rig, 0, REGISTER_AND_MOVE, 0, list, wrong),
		    SCSI_CHECK_CONDITION);
		assert_pr_sense(PARAMETER_LIST_LENGTH_ERROR);
	}
	assert_holds(rig, WE, 10);
}

/* ---- the administrator ---- */

static void
taken(void *arg, int result)
{
	*(int *)arg = result;
}

static void
what_is_taken_from_all_is_gone(void **state)
{
	struct rig *rig = *state;
	int result = -1;

	pr_register(rig, 3);
	pr_good(rig, 0, RESERVE, EA, 10, 0);
	lun_registry_take(rig->lun, NULL, taken, &result);
	rig_drain(rig);
	assert_int_equal(result, 3);
	nothing_has_changed(rig, 4, 0);
	for (unsigned i = 0; i < 3; i++)
		hears(rig, i, RESERVATIONS_PREEMPTED);
	lun_registry_take(rig->lun, NULL, taken, &result);
	assert_int_equal(result, 0);
}

static void
what_is_taken_from_one_is_all_its_ports_had(void **state)
{
	struct rig *rig = *state;
	int result = -1;

	pr_register(rig, 2);
	rig_nexus(rig, 2, "iqn.2024-01.org.example:a,i,0x000000000007",
	    RIG_TARGET, 1);
	rig_clear_attentions(rig);
	pr_good(rig, 2, REGISTER, 0, 0, 12);
	pr_good(rig, 2, RESERVE, WERO, 12, 0);
	lun_registry_take(
	    rig->lun, "iqn.2024-01.org.example:a", taken, &result);
	rig_drain(rig);
	assert_int_equal(result, 2);
	nothing_has_changed(rig, 4, 1);
	hears(rig, 0, REGISTRATIONS_PREEMPTED);
	hears(rig, 2, REGISTRATIONS_PREEMPTED);
	hears(rig, 1, RESERVATIONS_RELEASED);
}

static void
an_old_reserve_is_taken_too(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;
	const char *by;
	int result = -1;

	CMD(&cmd, rig, 0x16, 0, 0, 0, 0, 0);
	run_good(&cmd);
	registry_free(lun_registry_get(rig->lun, &by));
	assert_string_equal(by, RIG_A);
	lun_registry_take(
	    rig->lun, "iqn.2024-01.org.example:b", taken, &result);
	rig_drain(rig);
	assert_non_null(rig->lun->reserved_by);
	lun_registry_take(rig->lun, NULL, taken, &result);
	rig_drain(rig);
	assert_null(rig->lun->reserved_by);
}

/* ---- what outlives what ---- */

static void
tmf_done(struct scsi_tmf_request *request)
{
	(void)request;
}

static void
resets_and_lost_nexuses_change_nothing(void **state)
{
	struct rig *rig = *state;
	const enum scsi_tmf resets[] = {SCSI_LOGICAL_UNIT_RESET,
	    SCSI_TARGET_WARM_RESET, SCSI_TARGET_COLD_RESET,
	    SCSI_I_T_NEXUS_RESET, SCSI_CLEAR_TASK_SET};
	struct scsi_tmf_request request;

	pr_register(rig, 2);
	pr_good(rig, 0, RESERVE, EA, 10, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(resets); i++) {
		request = (struct scsi_tmf_request){.nexus = rig->nexus[1],
		    .function = resets[i],
		    .done = tmf_done};
		scsi_tmf(&request);
		rig_drain(rig);
		rig_clear_attentions(rig);
		assert_holds(rig, EA, 10);
	}
	scsi_nexus_free(rig->nexus[0], NULL, NULL);
	rig->nexus[0] = NULL;
	rig_drain(rig);
	assert_holds(rig, EA, 10);
	pr_conflict(rig, 1, RESERVE, EA, 11, 0);
	/* it comes back, and is who it was */
	rig_nexus(rig, 0, RIG_A, RIG_TARGET, 1);
	rig_clear_attentions(rig);
	pr_good(rig, 0, RESERVE, EA, 10, 0);
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
	    rig_test(of_each_type_there_is_one_reservation),
	    rig_test(who_holds_nothing_releases_nothing),
	    rig_test(a_release_is_heard_by_those_who_had_a_part),
	    rig_test(a_holder_that_unregisters_releases),
	    rig_test(clear_takes_everything_from_everyone),
	    rig_test(the_holder_is_preempted),
	    rig_test(of_the_same_type_only_the_loser_hears),
	    rig_test(a_registration_is_preempted_and_the_reservation_stays),
	    rig_test(a_holder_may_preempt_itself_for_another_type),
	    rig_test(several_may_have_the_same_key),
	    rig_test(what_all_hold_is_preempted_by_zero),
	    rig_test(a_key_that_means_nothing_preempts_nothing),
	    rig_test(
		its_status_comes_when_the_tasks_of_the_preempted_have_stopped),
	    rig_test(with_nothing_to_abort_it_is_answered_at_once),
	    rig_test(under_tas_the_aborted_are_told),
	    rig_test(plain_preempt_lets_tasks_run),
	    rig_test(a_reservation_moves_to_a_new_registration),
	    rig_test(or_to_one_that_is_there_and_its_giver_may_go),
	    rig_test(what_cannot_move_does_not),
	    rig_test(a_move_whose_lengths_differ_is_refused),
	    rig_test(what_is_taken_from_all_is_gone),
	    rig_test(what_is_taken_from_one_is_all_its_ports_had),
	    rig_test(an_old_reserve_is_taken_too),
	    rig_test(resets_and_lost_nexuses_change_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
