/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PERSISTENT RESERVE OUT: what takes registrations and the reservation from one
 * and gives it to another: PREEMPT, PREEMPT AND ABORT, REGISTER AND MOVE.
 */
#include "tests/unit/target/scsi/support/pr.h"

static uint8_t list[512];

/* ---- PREEMPT ---- */

enum news { NONE, PREEMPTED, RELEASED };

/* Nexuses 0 to 2 have registered the keys 10 to 12, one reserves, another
 * preempts; SPC-4 5.12.11.4. */
static const struct preemption {
	const char *what;
	unsigned holder;
	uint8_t type;
	unsigned by;
	uint8_t scope_type;
	uint64_t key; /* that is preempted */
	uint8_t type_then;
	uint64_t holder_then; /* by its key; 0: all hold it */
	unsigned left;        /* registrations */
	enum news heard[3];
} preemptions[] = {
    {"the holder, for another type: 5.12.11.4.3 f)", 0, WE, 1, EA, 10, EA, 11,
	2, {PREEMPTED, NONE, RELEASED}},
    {"the holder, for the same type", 0, WERO, 1, WERO, 10, WERO, 11, 2,
	{PREEMPTED, NONE, NONE}},
    {"a registration, whatever SCOPE and TYPE say", 0, EARO, 1, 0xff, 12, EARO,
	10, 2, {NONE, NONE, PREEMPTED}},
    {"its own registration: 5.12.11.4.4", 0, EARO, 1, 0, 11, EARO, 10, 2,
	{NONE, NONE, NONE}},
    {"itself, for another type", 0, WE, 0, EARO, 10, EARO, 10, 3,
	{NONE, RELEASED, RELEASED}},
    {"one of all that hold", 0, WEAR, 1, EA, 10, WEAR, 0, 2,
	{PREEMPTED, NONE, NONE}},
    {"all that hold, by key zero", 0, WEAR, 1, EA, 0, EA, 11, 1,
	{PREEMPTED, NONE, PREEMPTED}},
};

static void
check_news(struct rig *rig, unsigned nexus, enum news news)
{
	if (news == PREEMPTED)
		hears(rig, nexus, REGISTRATIONS_PREEMPTED);
	else if (news == RELEASED)
		hears(rig, nexus, RESERVATIONS_RELEASED);
	else
		hears_nothing(rig, nexus);
}

static void
preempt(struct rig *rig, const struct preemption *p)
{
	pr_good(rig, p->holder, RESERVE, p->type, 10 + p->holder, 0);
	pr_good(rig, p->by, PREEMPT, p->scope_type, 10 + p->by, p->key);
	assert_int_equal(pr_registry(rig)->type, p->type_then);
	if (p->holder_then != 0)
		assert_holds(rig, p->type_then, p->holder_then);
	pr_has(rig, 4, p->left);
	for (unsigned i = 0; i < 3; i++)
		check_news(rig, i, p->heard[i]);
}

static void
who_is_preempted_and_who_hears_of_it(void **state)
{
	for (unsigned i = 0; i < ARRAY_SIZE(preemptions); i++) {
		struct rig *rig = *state;
		print_message("           %s\n", preemptions[i].what);
		pr_register(rig, 3);
		preempt(rig, &preemptions[i]);
		rig_close(rig);
		rig_open(rig, &(struct rig_params){.block_size = 512});
	}
}

static void
who_was_preempted_is_a_stranger(void **state)
{
	struct rig *rig = *state;

	pr_register(rig, 2);
	pr_good(rig, 0, RESERVE, WE, 10, 0);
	pr_good(rig, 1, PREEMPT, EA, 11, 10);
	hears(rig, 0, REGISTRATIONS_PREEMPTED);
	pr_conflict(rig, 0, RESERVE, EA, 10, 0);
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
	pr_has(rig, 5, 1);
	hears(rig, 0, REGISTRATIONS_PREEMPTED);
	hears(rig, 2, REGISTRATIONS_PREEMPTED);
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
	pr_has(rig, 2, 2);
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
	assert_int_equal(pr_registry(rig)->count, 1);
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
	assert_true(prout.task.ends_others);
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
	pr_has(rig, 2, 2);
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
	pr_has(rig, 4, 2);
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
	pr_has(rig, 2, 2);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    rig_test(several_may_have_the_same_key),
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
	    rig_test(who_is_preempted_and_who_hears_of_it),
	    rig_test(who_was_preempted_is_a_stranger),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
