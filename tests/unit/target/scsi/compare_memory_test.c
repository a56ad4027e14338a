/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * COMPARE AND WRITE that comes again because its answer did not arrive: it is
 * done once, and its initiator hears that it was; and nobody else does.
 */
#include "tests/unit/target/scsi/support/rig.h"
#include <errno.h>
#include <stdlib.h>

#define BLOCKS 2u
#define SLOTS  400u /* more than there are */

static const uint8_t this_boot[16] = {1}, next_boot[16] = {2};

static _Alignas(8) uint8_t memory[COMPARE_MEMORY_BYTES];
static uint8_t when_killed[COMPARE_MEMORY_BYTES];
static uint8_t data[2 * BLOCKS * 512];

static void
caw(struct cmd *cmd, struct rig *rig, uint64_t lba, int expected, int new)
{
	const size_t half = sizeof(data) / 2;

	memset(data, expected, half);
	memset(data + half, new, half);
	CMD(cmd, rig, 0x89, 0, BE64(lba), 0, 0, 0, BLOCKS, 0, 0);
	cmd_out(cmd, data, sizeof(data));
}

#define is_good(rig, lba, expected, new)                                       \
	do {                                                                   \
		struct cmd cmd_;                                               \
		caw(&cmd_, rig, lba, expected, new);                           \
		run_good(&cmd_);                                               \
	} while (0)
#define is_miscompare(rig, lba, expected, new)                                 \
	do {                                                                   \
		struct cmd cmd_;                                               \
		caw(&cmd_, rig, lba, expected, new);                           \
		run_sense(&cmd_, MISCOMPARE_DURING_VERIFY);                    \
	} while (0)

static int
setup_memory(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	assert_non_null(rig);
	memset(memory, 0xff, sizeof(memory)); /* of anything */
	rig_open(rig, &(struct rig_params){.compares = compare_memory_open(
					       memory, this_boot, 0)});
	rig_fill(rig, 0, 4 * BLOCKS, 'a');
	*state = rig;
	return 0;
}

static int
teardown_memory(void **state)
{
	rig_close(*state);
	free(*state);
	return 0;
}

/* What there is in memory while the blocks are being written, after which they
 * are. */
static void
kill_while_it_writes(struct rig *rig, uint64_t lba, int expected, int new)
{
	struct cmd cmd;

	caw(&cmd, rig, lba, expected, new);
	rig->spy->hold = true;
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(rig);
	assert_true(spy_release(rig->spy)); /* it has compared */
	rig_drain(rig);
	memcpy(when_killed, memory, sizeof(memory));
	spy_release_all(rig->spy);
	rig->spy->hold = false;
	rig_drain(rig);
	assert_true(cmd.done);
	assert_good(&cmd);
	cmd_release(&cmd);
	assert_true(rig_is(rig, lba, BLOCKS, new));
	/* it was answered: nothing to remember */
	assert_true(compare_memory_is_idle(memory));
}

static void
start_again(struct rig *rig, const uint8_t boot_id[16])
{
	memcpy(memory, when_killed, sizeof(memory));
	compare_memory_open(memory, boot_id, loop_now(rig->loop));
}

static void
one_that_was_done_is_good_once(void **state)
{
	struct rig *rig = *state;

	kill_while_it_writes(rig, 0, 'a', 'b');
	start_again(rig, this_boot);
	is_good(rig, 0, 'a', 'b');
	assert_true(rig_is(rig, 0, BLOCKS, 'b'));
	assert_true(rig_is(rig, BLOCKS, BLOCKS, 'a'));
	is_miscompare(rig, 0, 'a', 'b');
}

static void
one_that_was_not_done_is_done(void **state)
{
	struct rig *rig = *state;

	kill_while_it_writes(rig, 0, 'a', 'b');
	rig_fill(rig, 0, BLOCKS, 'a'); /* the write did not get there */
	start_again(rig, this_boot);
	is_good(rig, 0, 'a', 'b');
	assert_true(rig_is(rig, 0, BLOCKS, 'b'));
	is_miscompare(rig, 0, 'a', 'b');
}

static void
what_another_wrote_since_is_a_miscompare(void **state)
{
	struct rig *rig = *state;

	kill_while_it_writes(rig, 0, 'a', 'b');
	start_again(rig, this_boot);
	is_good(rig, 0, 'b', 'c');
	is_miscompare(rig, 0, 'a', 'b');
	assert_true(rig_is(rig, 0, BLOCKS, 'c'));
}

static void
another_command_is_another(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	kill_while_it_writes(rig, 0, 'a', 'b');
	start_again(rig, this_boot);
	is_miscompare(rig, 0, 'x', 'b');
	is_miscompare(rig, 0, 'a', 'c');
	rig_fill(rig, 1, 1, 'b');
	is_miscompare(rig, 1, 'a', 'b');
	/* of the first byte that is not as expected it is told */
	caw(&cmd, rig, 0, 'a', 'b');
	rig_fill(rig, 1, 1, 'z');
	rig_fill(rig, 0, 1, 'a');
	cmd_run(&cmd);
	assert_sense(&cmd, MISCOMPARE_DURING_VERIFY);
	assert_int_equal(cmd_sense(&cmd).information, 512);
	cmd_release(&cmd);
}

static void
it_is_not_known_for_ever(void **state)
{
	struct rig *rig = *state;

	kill_while_it_writes(rig, 0, 'a', 'b');
	start_again(rig, this_boot);
	rig_pass(rig, 601 * NSEC_PER_SEC);
	is_miscompare(rig, 0, 'a', 'b');
	start_again(rig, next_boot);
	is_miscompare(rig, 0, 'a', 'b');
	assert_true(compare_memory_is_idle(memory));
}

static void
it_is_known_to_who_is_killed_twice(void **state)
{
	struct rig *rig = *state;

	kill_while_it_writes(rig, 0, 'a', 'b');
	start_again(rig, this_boot);
	compare_memory_open(memory, this_boot, loop_now(rig->loop));
	is_good(rig, 0, 'a', 'b');
}

static void
another_unit_has_its_own(void **state)
{
	struct rig *rig = *state;

	kill_while_it_writes(rig, 0, 'a', 'b');
	start_again(rig, this_boot);
	rig->lun->naa[7] ^= 1;
	is_miscompare(rig, 0, 'a', 'b');
	rig->lun->naa[7] ^= 1;
	is_good(rig, 0, 'a', 'b');
}

/* A host whose command took too long aborts it, and sends it again. */
static void
one_that_was_aborted_is_good_once(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	caw(&cmd, rig, 0, 'a', 'b');
	rig->spy->hold = true;
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(rig);
	assert_true(spy_release(rig->spy));
	rig_drain(rig);
	abort_task(&cmd.task, ABORT_SILENTLY, abort_ticket());
	rig->spy->hold = false;
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(cmd.done && cmd.task.aborted);
	cmd_release(&cmd);
	assert_false(compare_memory_is_idle(memory));
	is_good(rig, 0, 'a', 'b');
	is_miscompare(rig, 0, 'a', 'b');
}

static void
one_that_failed_is_not_remembered(void **state)
{
	struct rig *rig = *state;
	struct cmd cmd;

	rig->spy->fail[BS_WRITE] = -EIO;
	caw(&cmd, rig, 0, 'a', 'b');
	cmd_run(&cmd);
	assert_int_equal(cmd.task.status, SCSI_CHECK_CONDITION);
	cmd_release(&cmd);
	assert_true(compare_memory_is_idle(memory));
}

static void
when_there_is_no_room_it_is_done_without(void **state)
{
	struct rig *rig = *state;
	struct compare_memory *m = rig->lun->compares;
	struct compare_key key = {.length = 512};
	struct compare_slot *slot, *last = NULL;
	unsigned count = 0;

	for (; (slot = compare_memory_begin(m, &key)) != NULL; count++) {
		key.offset += 512;
		last = slot;
	}
	assert_in_range(count, 200, SLOTS);
	is_good(rig, 0, 'a', 'b');
	is_miscompare(rig, 0, 'a', 'b');
	/* the oldest that was interrupted makes room */
	compare_memory_end(last, false, loop_now(rig->loop));
	assert_true(compare_memory_begin(m, &key) == last);
	memset(memory, 0, sizeof(memory));
}

#define test(f)                                                                \
	cmocka_unit_test_setup_teardown(f, setup_memory, teardown_memory)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    test(one_that_was_done_is_good_once),
	    test(one_that_was_not_done_is_done),
	    test(what_another_wrote_since_is_a_miscompare),
	    test(another_command_is_another),
	    test(it_is_not_known_for_ever),
	    test(it_is_known_to_who_is_killed_twice),
	    test(another_unit_has_its_own),
	    test(one_that_was_aborted_is_good_once),
	    test(one_that_failed_is_not_remembered),
	    test(when_there_is_no_room_it_is_done_without),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
