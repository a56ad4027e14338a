/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PERSISTENT RESERVE OUT: reserving, releasing and clearing, what the
 * administrator takes away, what outlives what, and who hears of it.
 * Registering is pr_register_test.c, what takes a reservation from one and
 * gives it to another pr_preempt_test.c, what passes one reserve_test.c.
 */
#include "tests/unit/target/scsi/support/pr.h"

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
		assert_int_equal(pr_registry(rig)->type, 0);
		rig_clear_attentions(rig);
	}
	/* RESERVE and RELEASE do not count */
	pr_has(rig, 2, 2);
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
		assert_int_equal(pr_registry(rig)->type, all ? pr_types[t] : 0);
		if (pr_types[t] == WERO || pr_types[t] == EARO)
			hears(rig, 1, RESERVATIONS_RELEASED);
		else
			hears_nothing(rig, 1);
		if (all) {
			pr_good(rig, 1, REGISTER, 0, 11, 0);
			assert_int_equal(pr_registry(rig)->type, 0);
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
	pr_has(rig, 4, 0);
	assert_int_equal(pr_registry(rig)->type, 0);
	hears(rig, 0, RESERVATIONS_PREEMPTED);
	hears(rig, 2, RESERVATIONS_PREEMPTED);
	hears_nothing(rig, 1);
	hears_nothing(rig, 3);
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
	pr_has(rig, 4, 0);
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
	pr_has(rig, 4, 1);
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
	    rig_test(of_each_type_there_is_one_reservation),
	    rig_test(who_holds_nothing_releases_nothing),
	    rig_test(a_release_is_heard_by_those_who_had_a_part),
	    rig_test(a_holder_that_unregisters_releases),
	    rig_test(clear_takes_everything_from_everyone),
	    rig_test(what_is_taken_from_all_is_gone),
	    rig_test(what_is_taken_from_one_is_all_its_ports_had),
	    rig_test(an_old_reserve_is_taken_too),
	    rig_test(resets_and_lost_nexuses_change_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
