/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of a registry that has to outlive a loss of power: durable before the
 * status, one after the other, and none at all if they cannot be kept.
 */
#include "tests/unit/target/scsi/support/pr.h"
#include <errno.h>
#include <stdlib.h>

static int
setup(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	if (rig == NULL)
		return -1;
	rig_open(rig, &(struct rig_params){.keep = true});
	*state = rig;
	return 0;
}

static uint8_t lists[4][24];

static void
start(struct cmd *cmd, struct rig *rig, unsigned nexus, enum pr_action action,
    uint64_t key, uint64_t action_key, uint8_t flags)
{
	uint8_t *list = lists[nexus];

	memset(list, 0, 24);
	store_be64(list, key);
	store_be64(list + 8, action_key);
	list[20] = flags;
	CMD(cmd, rig, 0x5f, (uint8_t)action, WE, 0, 0, BE32(24), 0);
	cmd_out(cmd, list, 24);
	cmd->task.nexus = rig->nexus[nexus];
	cmd->task.tag = nexus + 1;
	assert_true(cmd_begin(cmd));
	cmd_execute(cmd);
	rig_drain(rig);
}

static void
tmf_done(struct scsi_tmf_request *request)
{
	request->tag = 0;
}

static void
abort_of(struct rig *rig, struct scsi_tmf_request *request, unsigned nexus)
{
	*request = (struct scsi_tmf_request){.nexus = rig->nexus[nexus],
	    .function = SCSI_ABORT_TASK,
	    .tag = nexus + 1,
	    .done = tmf_done};
	scsi_tmf(request);
	rig_drain(rig);
}

static void
the_status_comes_when_it_is_durable(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->keep_hold = true;
	start(&cmd, rig, 0, REGISTER, 0, 10, APTPL);
	assert_false(cmd.done);
	assert_int_equal(rig->lun->registry->count, 0);
	rig_keep(rig);
	assert_true(cmd.done);
	assert_good(&cmd);
	cmd_release(&cmd);
	assert_int_equal(rig->lun->registry->count, 1);
	assert_int_equal(rig->kept->count, 1);
	assert_true(rig->kept->aptpl);
}

static void
what_cannot_be_kept_has_not_happened(void **state)
{
	struct rig *rig = *state;

	pr_out_flags(rig, 0, REGISTER, 0, 0, 10, APTPL);
	pr_out_flags(rig, 1, REGISTER, 0, 0, 11, APTPL);
	pr_good(rig, 0, RESERVE, WERO, 10, 0);
	rig->keep_error = -ENOSPC;
	for (unsigned action = REGISTER; action <= PREEMPT_AND_ABORT;
	     action++) {
		if (action == RESERVE)
			continue; /* it holds that already */
		assert_int_equal(
		    pr_out_flags(rig, 0, action, WERO, 10, 11, APTPL),
		    SCSI_CHECK_CONDITION);
		assert_pr_sense(INTERNAL_TARGET_FAILURE);
		hears_nothing(rig, 1);
	}
	assert_int_equal(rig->lun->registry->generation, 2);
	assert_int_equal(rig->lun->registry->count, 2);
	assert_int_equal(rig->lun->registry->type, WERO);
	assert_int_equal(rig->kept->count, 2);
	rig->keep_error = 0;
	pr_good(rig, 0, RELEASE, WERO, 10, 0);
	hears(rig, 1, RESERVATIONS_RELEASED);
	assert_int_equal(rig->kept->type, REGISTRY_NONE);
}

static void
only_what_asks_for_it_is_kept(void **state)
{
	struct rig *rig = *state;

	pr_good(rig, 0, REGISTER, 0, 0, 10);
	pr_good(rig, 0, RESERVE, WE, 10, 0);
	assert_int_equal(rig->keeps, 0);
	/* the last one that registers decides for all */
	pr_out_flags(rig, 1, REGISTER, 0, 0, 11, APTPL);
	assert_int_equal(rig->kept->count, 2);
	assert_int_equal(rig->kept->type, WE);
	pr_good(rig, 1, REGISTER, 0, 11, 12);
	assert_int_equal(rig->keeps, 2);
	assert_int_equal(rig->kept->count, 0);
	pr_good(rig, 0, RELEASE, WE, 10, 0);
	assert_int_equal(rig->keeps, 2);
	/* nothing changes, nothing is kept */
	pr_out_flags(rig, 1, REGISTER, 0, 12, 12, APTPL);
	pr_good(rig, 0, RELEASE, WE, 10, 0);
	pr_conflict(rig, 0, CLEAR, 0, 9, 0);
	assert_int_equal(rig->keeps, 3);
}

static void
nobody_keeps_then_it_is_refused(void **state)
{
	struct rig rig;
	uint8_t list[128];
	size_t length;

	(void)state;
	rig_open(&rig, &(struct rig_params){.keep = false});
	assert_int_equal(pr_out_flags(&rig, 0, REGISTER, 0, 0, 10, APTPL),
	    SCSI_CHECK_CONDITION);
	assert_pr_sense(INVALID_FIELD_IN_PARAMETER_LIST);
	assert_int_equal(pr_sense.field_byte, 20);
	assert_int_equal(pr_sense.field_bit, 0);
	pr_good(&rig, 0, REGISTER, 0, 0, 10);
	pr_good(&rig, 0, RESERVE, WE, 10, 0);
	length = pr_list_move(list, 10, 11, APTPL, 1, RIG_B);
	assert_int_equal(
	    pr_out_list(&rig, 0, REGISTER_AND_MOVE, 0, list, (uint32_t)length),
	    SCSI_CHECK_CONDITION);
	assert_int_equal(pr_sense.field_byte, 17);
	rig_close(&rig);
}

static void
what_was_kept_holds_after_a_restart(void **state)
{
	struct rig rig, *before = *state;

	pr_out_flags(before, 0, REGISTER, 0, 0, 10, APTPL);
	pr_out_flags(before, 1, REGISTER, 0, 0, 11, APTPL);
	pr_good(before, 1, RESERVE, EA, 11, 0);
	before->kept->generation = 0; /* SPC-4 5.12.7: of this power on */
	rig_open(
	    &rig, &(struct rig_params){.keep = true, .registry = before->kept});
	pr_conflict(&rig, 0, RESERVE, EA, 10, 0);
	pr_good(&rig, 1, RESERVE, EA, 11, 0);
	assert_int_equal(rig.lun->registry->generation, 0);
	assert_true(rig.lun->registry->aptpl);
	pr_good(&rig, 0, CLEAR, 0, 10, 0);
	assert_int_equal(rig.kept->count, 0);
	rig_close(&rig);
}

static void
changes_wait_for_each_other(void **state)
{
	struct rig *rig = *state;
	struct cmd first, second;

	rig->keep_hold = true;
	start(&first, rig, 0, REGISTER, 0, 10, APTPL);
	start(&second, rig, 1, REGISTER, 0, 11, APTPL);
	assert_int_equal(rig->keeps, 1);
	assert_true(second.task.queued);
	rig_keep(rig);
	assert_true(first.done && !second.done);
	assert_int_equal(rig->keeps, 2);
	rig_keep(rig);
	assert_good(&second);
	assert_int_equal(rig->kept->count, 2);
	cmd_release(&first);
	cmd_release(&second);
}

static void
one_that_waits_can_be_aborted(void **state)
{
	struct rig *rig = *state;
	struct scsi_tmf_request abort;
	struct cmd first, second;

	rig->keep_hold = true;
	start(&first, rig, 0, REGISTER, 0, 10, APTPL);
	start(&second, rig, 1, REGISTER, 0, 11, APTPL);
	abort_of(rig, &abort, 1);
	assert_int_equal(abort.tag, 0);
	assert_true(second.done && second.task.aborted);
	rig_keep(rig);
	assert_good(&first);
	assert_int_equal(rig->lun->registry->count, 1);
	cmd_release(&first);
	cmd_release(&second);
	rig->keep_hold = false;
	pr_good(rig, 1, REGISTER, 0, 0, 11);
}

static void
one_on_its_way_is_waited_for_and_has_happened(void **state)
{
	struct rig *rig = *state;
	struct scsi_tmf_request abort;
	struct cmd cmd;

	rig->keep_hold = true;
	start(&cmd, rig, 0, REGISTER, 0, 10, APTPL);
	abort_of(rig, &abort, 0);
	assert_int_equal(abort.tag, 1);
	assert_false(cmd.done);
	rig_keep(rig);
	assert_int_equal(abort.tag, 0);
	assert_true(cmd.task.aborted);
	assert_int_equal(rig->lun->registry->count, 1);
	cmd_release(&cmd);
}

/* Its session is lost meanwhile: it has happened, and who comes back sees it.
 */
static void
a_lost_nexus_does_not_take_its_change_along(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->keep_hold = true;
	start(&cmd, rig, 0, REGISTER, 0, 10, APTPL);
	scsi_nexus_free(rig->nexus[0], NULL, NULL);
	rig->nexus[0] = NULL;
	rig_drain(rig);
	assert_false(cmd.done);
	rig_keep(rig);
	assert_true(cmd.task.aborted);
	cmd_release(&cmd);
	rig->keep_hold = false;
	rig_nexus(rig, 0, RIG_A, RIG_TARGET, 1);
	rig_clear_attentions(rig);
	pr_good(rig, 0, RESERVE, WE, 10, 0);
	assert_int_equal(rig->kept->type, WE);
}

static void
the_preempted_cannot_change_anything_any_more(void **state)
{
	struct rig *rig = *state;
	struct cmd preempt, late;

	pr_out_flags(rig, 0, REGISTER, 0, 0, 10, APTPL);
	pr_out_flags(rig, 1, REGISTER, 0, 0, 11, APTPL);
	rig->keep_hold = true;
	start(&preempt, rig, 1, PREEMPT_AND_ABORT, 11, 10, 0);
	start(&late, rig, 0, CLEAR, 10, 0, 0);
	rig_keep(rig);
	assert_good(&preempt);
	assert_true(late.done && late.task.aborted);
	assert_int_equal(rig->lun->registry->count, 1);
	cmd_release(&preempt);
	cmd_release(&late);
}

static void
an_aborted_preempt_waits_for_nobody(void **state)
{
	struct rig *rig = *state;
	struct scsi_tmf_request abort;
	struct cmd preempt, write;
	static uint8_t block[512];

	pr_out_flags(rig, 0, REGISTER, 0, 0, 10, APTPL);
	pr_out_flags(rig, 1, REGISTER, 0, 0, 11, APTPL);
	rig->spy->hold = rig->keep_hold = true;
	CMD(&write, rig, 0x2a, 0, BE32(0), 0, BE16(1), 0);
	cmd_out(&write, block, 512);
	assert_true(cmd_begin(&write));
	cmd_execute(&write);
	start(&preempt, rig, 1, PREEMPT_AND_ABORT, 11, 10, 0);
	abort_of(rig, &abort, 1);
	rig_keep(rig);
	assert_true(preempt.done && preempt.task.aborted);
	assert_false(write.done);
	cmd_release(&preempt);
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(write.done && write.task.aborted);
	cmd_release(&write);
}

static void
done(void *arg)
{
	*(bool *)arg = true;
}

static void
taken(void *arg, int result)
{
	*(int *)arg = result;
}

static void
a_unit_stays_until_its_last_change_is_through(void **state)
{
	struct rig *rig = *state;
	int result = -1;
	bool gone = false;

	pr_out_flags(rig, 0, REGISTER, 0, 0, 10, APTPL);
	rig->keep_hold = true;
	lun_registry_take(rig->lun, NULL, taken, &result);
	for (unsigned i = 0; i < 2; i++)
		scsi_nexus_free(rig->nexus[i], NULL, NULL);
	rig_drain(rig);
	lun_free(rig->lun, done, &gone);
	rig_drain(rig);
	assert_false(gone);
	assert_int_equal(result, -1);
	rig_keep(rig);
	assert_int_equal(result, 1);
	assert_int_equal(rig->kept->count, 0);
	assert_true(gone);
}

/* It has closed the unit itself. */
static int
teardown_rest(void **state)
{
	struct rig *rig = *state;
	struct lun_params params = {
	    .bs = &rig->spy->bs, .serial = "2", .naa = {0x30, 1}};

	rig->nexus[0] = rig->nexus[1] = NULL;
	if (lun_new(&params, &rig->lun) < 0)
		return -1;
	return rig_teardown(state);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(the_status_comes_when_it_is_durable),
	    T(what_cannot_be_kept_has_not_happened),
	    T(only_what_asks_for_it_is_kept),
	    cmocka_unit_test(nobody_keeps_then_it_is_refused),
	    T(what_was_kept_holds_after_a_restart),
	    T(changes_wait_for_each_other),
	    T(one_that_waits_can_be_aborted),
	    T(one_on_its_way_is_waited_for_and_has_happened),
	    T(a_lost_nexus_does_not_take_its_change_along),
	    T(the_preempted_cannot_change_anything_any_more),
	    T(an_aborted_preempt_waits_for_nobody),
	    cmocka_unit_test_setup_teardown(
		a_unit_stays_until_its_last_change_is_through, setup,
		teardown_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
