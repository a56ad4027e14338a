/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * EXTENDED COPY(LID1) and RECEIVE COPY RESULTS: what is copied, between which
 * units, what is refused, and what is told afterwards.  Not here: what happens
 * while it runs (copy_run_test.c); a copy from a unit of a pool to one of
 * another, which no nexus sees together.
 */
#include "target/scsi/mode.h"
#include "tests/unit/target/scsi/support/copy_list.h"
#include <errno.h>
#include <stdlib.h>

/* ---- parameter lists ---- */

#define FIRST_SEGMENT (COPY_LIST_HEAD + 2 * COPY_LIST_TARGET) /* of one() */

static struct copy_list list;

static void
copy(struct cmd *cmd, struct rig *rig)
{
	cmd_copy(cmd, rig, &list);
}

#define copy_good(rig)                                                         \
	do {                                                                   \
		struct cmd cmd_;                                               \
		copy(&cmd_, (rig));                                            \
		run_good(&cmd_);                                               \
	} while (0)
#define copy_sense(rig, sense)                                                 \
	do {                                                                   \
		struct cmd cmd_;                                               \
		copy(&cmd_, (rig));                                            \
		run_sense(&cmd_, sense);                                       \
	} while (0)

/* Both units, and one segment between them. */
static void
one(struct pair *pair, uint8_t id, unsigned from, unsigned to, uint16_t count,
    uint64_t from_lba, uint64_t lba)
{
	copy_list_pair(&list, pair, id, from, to, count, from_lba, lba);
}

/* Within the first unit, and good but for one byte. */
static void
spoiled(struct pair *pair, size_t at, uint8_t byte)
{
	one(pair, 1, 0, 0, 1, 0, 1);
	list.bytes[at] = byte;
}

static void
receive(struct cmd *cmd, struct rig *rig, unsigned action, unsigned id)
{
	CMD(cmd, rig, 0x84, (uint8_t)action, (uint8_t)id, 0, 0, 0, 0, 0, 0, 0,
	    BE32(1024), 0, 0);
}

/* ---- what is copied ---- */

static void
blocks_go_from_one_place_of_a_unit_to_another(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;

	rig_fill(rig, 0, 3000, 'a');
	rig_fill(rig, 3000, 10, 'b');
	copy_list_begin(&list, 7, 0);
	copy_list_target(&list, rig->lun);
	copy_list_segment(&list, 0, 0, 3005, 0, 10000);
	copy_list_segment(&list, 0, 0, 0, 0, 0);
	copy_list_segment(&list, 0, 0, 2, 3000, 20000);
	copy_good(rig);
	assert_true(rig_is(rig, 10000, 3000, 'a'));
	assert_true(rig_is(rig, 13000, 5, 'b'));
	assert_true(rig_is(rig, 13005, 1, 0));
	assert_true(rig_is(rig, 20000, 2, 'b'));
	copy_expect(pair, 7, 1, 3, 3007 / 2);
}

static void
and_from_unit_to_unit_whatever_their_blocks(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;

	rig_fill(rig, 8, 16, 'x');
	one(pair, 1, 0, 1, 16, 8, 5);
	copy_good(rig);
	/* back, counted in blocks of the destination */
	one(pair, 1, 1, 0, 8, 6, 100);
	list.bytes[FIRST_SEGMENT + 1] = 0x02;
	copy_good(rig);
	assert_true(rig_is(rig, 100, 8, 'x'));
	assert_true(rig_is(rig, 108, 1, 0));
	/* which must be whole */
	one(pair, 1, 0, 1, 15, 8, 5);
	copy_sense(rig, UNEXPECTED_INEXACT_SEGMENT);
}

static void
zeros_are_unmapped_where_the_destination_is_thin(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;

	one(pair, 1, 0, 1, 2048, 0, 0);
	copy_good(rig);
	assert_int_equal(spy_count(pair->spy, BS_WRITE), 0);
	assert_int_equal(spy_count(pair->spy, BS_ZERO), 2);
	assert_true(spy_find(pair->spy, BS_ZERO, 0)->may_unmap);
	pair->spy->bs.thin = false;
	copy_good(rig);
	assert_int_equal(spy_count(pair->spy, BS_WRITE), 2);
}

static void
without_a_write_cache_each_piece_is_durable(void **state)
{
	struct pair *pair = *state;

	rig_fill(&pair->rig, 0, 8, 'x');
	pair->lun->mode.write_cache = false;
	one(pair, 1, 0, 1, 8, 0, 0);
	copy_good(&pair->rig);
	assert_true(spy_find(pair->spy, BS_WRITE, 0)->fua);
}

static void
a_piece_on_its_way_when_the_cache_goes_off_is_durable_too(void **state)
{
	struct pair *pair = *state;
	struct cmd cmd;

	rig_fill(&pair->rig, 0, 8, 'a');
	pair->spy->bs.volatile_cache = true;
	pair->spy->hold = true;
	one(pair, 1, 0, 1, 8, 0, 0);
	copy(&cmd, &pair->rig);
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(&pair->rig);
	assert_false(spy_find(pair->spy, BS_WRITE, 0)->fua);
	pair->lun->mode.write_cache = false;
	assert_true(spy_release(pair->spy));
	rig_drain(&pair->rig);
	assert_false(cmd.done);
	assert_int_equal(spy_count(pair->spy, BS_FLUSH), 1);
	pair->spy->hold = false;
	spy_release_all(pair->spy);
	rig_drain(&pair->rig);
	assert_true(cmd.done);
	assert_good(&cmd);
	cmd_release(&cmd);
	copy_expect(pair, 1, 1, 1, 4);
}

/* ---- who may ---- */

static void
a_unit_that_the_initiator_does_not_see_is_not_reached(void **state)
{
	struct pair *pair = *state;
	struct cmd cmd;

	one(pair, 1, 1, 0, 1, 0, 0);
	list.bytes[FIRST_SEGMENT + 11] = 8; /* blocks */
	copy(&cmd, &pair->rig);
	cmd.task.nexus = pair->rig.nexus[1];
	run_sense(&cmd, COPY_TARGET_NOT_REACHABLE);
	assert_int_equal(pair->spy->log_count, 0);
	one(pair, 1, 0, 1, 8, 0, 0);
	copy(&cmd, &pair->rig);
	cmd.task.nexus = pair->rig.nexus[1];
	run_sense(&cmd, COPY_TARGET_NOT_REACHABLE);
	assert_int_equal(pair->spy->log_count, 0);
}

static void
what_is_write_protected_is_not_written(void **state)
{
	struct pair *pair = *state;
	struct scsi_mapping *mapping = pair->rig.nexus[0]->mappings[1];
	struct cmd cmd;

	for (unsigned i = 0; i < 3; i++) {
		mapping->read_only = i == 0;
		pair->lun->read_only = i == 1;
		pair->lun->mode.software_protect = i == 2;
		one(pair, 1, 0, 1, 8, 0, 0);
		copy(&cmd, &pair->rig);
		cmd_run(&cmd);
		assert_int_equal(cmd_sense(&cmd).key, 0xa);
		assert_int_equal(cmd_sense(&cmd).asc, 0x27);
		cmd_release(&cmd);
		assert_int_equal(pair->spy->log_count, 0);
	}
	/* but read */
	one(pair, 1, 1, 0, 1, 0, 0);
	copy_good(&pair->rig);
	pair->lun->mode.software_protect = false;
}

static void
refused_both_ways(struct pair *pair)
{

	one(pair, 1, 0, 1, 8, 0, 0);
	copy_sense(&pair->rig, THIRD_PARTY_DEVICE_FAILURE);
	one(pair, 1, 1, 0, 1, 0, 0);
	copy_sense(&pair->rig, THIRD_PARTY_DEVICE_FAILURE);
	assert_int_equal(pair->spy->log_count, 0);
}

static void
what_another_has_reserved_is_neither_read_nor_written(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;

	assert_int_equal(
	    scsi_nexus_map(rig->nexus[1], 1, pair->lun, false, false), 0);
	pair->lun->reserved_by = rig->nexus[1]->mappings[1];
	refused_both_ways(pair);
	pair->lun->reserved_by = NULL;
	pair->lun->stopped = true;
	copy_sense(rig, THIRD_PARTY_DEVICE_FAILURE);
	scsi_nexus_unmap(rig->nexus[1], 1, false, NULL, NULL);
}

/* The port is active for the unit that copies, and not for the other one. */
static void
what_the_port_does_not_reach_is_neither_read_nor_written(void **state)
{
	const struct port_groups ports = {
	    .count = 1, .list = {{1, ACCESS_STANDBY}}};
	struct pair *pair = *state;

	lun_set_port_groups(pair->lun, &ports, 1);
	refused_both_ways(pair);
}

static void
reserve_for_another(struct pair *pair, enum registry_type type)
{
	struct registry *registry = pair->lun->registry;
	struct registration other = {
	    .key = 1, .initiator = RIG_B, .target = RIG_TARGET, .port = 1};

	registry->holder = (unsigned)registry_register(registry, &other);
	registry->type = type;
	registry_see(pair->rig.nexus[0]->mappings[1]);
}

static void
a_persistent_reservation_binds_copies(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;

	reserve_for_another(pair, REGISTRY_WRITE_EXCLUSIVE);
	one(pair, 1, 0, 1, 8, 0, 0); /* to it */
	copy_sense(rig, THIRD_PARTY_DEVICE_FAILURE);
	one(pair, 1, 1, 0, 1, 0, 0); /* from it */
	copy_good(rig);
	reserve_for_another(pair, REGISTRY_EXCLUSIVE_ACCESS);
	copy_sense(rig, THIRD_PARTY_DEVICE_FAILURE);
}

/* ---- bad lists ---- */

static void
lengths_must_fit(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	struct cmd cmd;

	copy_list_begin(&list, 1, 0);
	list.length = 0;
	copy_good(rig);
	one(pair, 1, 0, 0, 1, 0, 1);
	for (size_t whole = list.length; --list.length > 0;) {
		copy_sense(rig, PARAMETER_LIST_LENGTH_ERROR);
		assert_true(list.length < whole);
	}
	one(pair, 1, 0, 0, 1, 0, 1);
	copy(&cmd, rig);
	cmd.task.expected_out--;
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	list.length = sizeof(list.bytes);
	copy_sense(rig, PARAMETER_LIST_LENGTH_ERROR);
}

static void
descriptors_must_be_ours_and_not_too_many(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;

	copy_list_begin(&list, 1, 0);
	for (unsigned i = 0; i < 17; i++)
		copy_list_target(&list, rig->lun);
	copy_sense(rig, TOO_MANY_TARGET_DESCRIPTORS);
	copy_list_begin(&list, 1, 0);
	copy_list_target(&list, rig->lun);
	for (unsigned i = 0; i < 65; i++)
		copy_list_segment(&list, 0, 0, 1, 0, 1);
	copy_sense(rig, TOO_MANY_SEGMENT_DESCRIPTORS);
	spoiled(pair, COPY_LIST_HEAD, 0xe0);
	copy_sense(rig, UNSUPPORTED_TARGET_DESCRIPTOR);
	spoiled(pair, FIRST_SEGMENT, 0x0a);
	copy_sense(rig, UNSUPPORTED_SEGMENT_DESCRIPTOR);
	spoiled(pair, FIRST_SEGMENT + 3, 0x20);
	copy_sense(rig, INVALID_FIELD_IN_PARAMETER_LIST);
	spoiled(pair, 15, 1);
	copy_sense(rig, INLINE_DATA_LENGTH_EXCEEDED);
	copy_list_begin(&list, 1, 1);
	copy_sense(rig, INVALID_FIELD_IN_PARAMETER_LIST);
	copy_list_begin(&list, 1, 3);
	copy_sense(rig, INVALID_FIELD_IN_PARAMETER_LIST);
}

static void
a_segment_must_lie_in_both_units(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;

	one(pair, 1, 0, 0, 2, rig->blocks - 1, 0);
	copy_sense(rig, COPY_ABORTED);
	one(pair, 1, 0, 0, 2, 0, rig->blocks - 1);
	copy_sense(rig, COPY_ABORTED);
	one(pair, 1, 0, 0, 1, UINT64_MAX, 0);
	copy_sense(rig, COPY_ABORTED);
	one(pair, 1, 0, 2, 1, 0, 0);
	copy_sense(rig, UNREACHABLE_COPY_TARGET);
	spoiled(pair, COPY_LIST_HEAD + 1, 1); /* a tape */
	copy_sense(rig, INCORRECT_COPY_TARGET_TYPE);
	spoiled(pair, COPY_LIST_HEAD + 30, 0x10);
	copy_sense(rig, INVALID_FIELD_IN_PARAMETER_LIST);
}

/* ---- results ---- */

static void
a_failure_is_told_once_with_what_was_done_before(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	struct cmd cmd;

	rig_fill(rig, 0, 16, 'a');
	copy_list_begin(&list, 9, 2);
	copy_list_target(&list, rig->lun);
	copy_list_target(&list, pair->lun);
	copy_list_segment(&list, 0, 0, 16, 0, 100);
	copy_list_segment(&list, 0, 1, 8, 0, 0);
	pair->spy->fail[BS_WRITE] = -ENOSPC;
	copy(&cmd, rig);
	cmd_run(&cmd);
	assert_int_equal(cmd_sense(&cmd).key, 0xa);
	assert_int_equal(cmd_sense(&cmd).asc, 0x27);
	assert_int_equal(cmd_sense(&cmd).ascq, 0x07);
	cmd_release(&cmd);
	assert_true(rig_is(rig, 100, 16, 'a'));
	copy_expect(pair, 9, 2, 1, 8);
	receive(&cmd, rig, 4, 9);
	cmd_run(&cmd);
	assert_good(&cmd);
	const uint8_t *in = cmd_in(&cmd);
	assert_int_equal(load_be32(in), 56 + 18);
	assert_int_equal(in[56], 2);
	assert_int_equal(load_be16(&in[58]), 18);
	assert_int_equal(in[60 + 2], 0xa);
	cmd_release(&cmd);
	receive(&cmd, rig, 4, 9);
	run_field(&cmd, 2, -1);
}

static void
results_are_of_one_nexus_and_the_oldest_goes(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	struct cmd cmd;

	receive(&cmd, rig, 0, 1);
	run_field(&cmd, 2, -1);
	for (unsigned id = 1; id <= COPY_RESULTS + 1; id++) {
		one(pair, (uint8_t)id, 0, 0, 2, 0, 10);
		copy_good(rig);
	}
	receive(&cmd, rig, 0, 1);
	run_field(&cmd, 2, -1);
	copy_expect(pair, 2, 1, 1, 1);
	copy_expect(pair, COPY_RESULTS + 1, 1, 1, 1);
	receive(&cmd, rig, 0, COPY_RESULTS + 1);
	cmd.task.nexus = rig->nexus[1];
	run_field(&cmd, 2, -1);
	/* not kept */
	one(pair, 0, 0, 0, 2, 0, 10);
	list.bytes[1] = 3 << 3;
	copy_good(rig);
	receive(&cmd, rig, 0, 0);
	run_field(&cmd, 2, -1);
}

static void
the_limits_are_told_alike(void **state)
{
	struct pair *pair = *state;
	uint8_t parameters[46];
	struct cmd cmd;

	receive(&cmd, &pair->rig, 3, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, sizeof(parameters));
	memcpy(parameters, cmd_in(&cmd), sizeof(parameters));
	cmd_release(&cmd);
	assert_int_equal(load_be32(parameters), sizeof(parameters) - 4);
	assert_int_equal(parameters[43], 2);
	assert_int_equal(parameters[44], 0x02);
	assert_int_equal(parameters[45], 0xe4);

	CMD(&cmd, &pair->rig, 0x12, 1, 0x8f, BE16(1024), 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	const uint8_t *in = cmd_in(&cmd);
	size_t at = 4, end = 4 + load_be16(&in[2]);
	unsigned seen = 0;
	for (; at < end; at += 4 + load_be16(&in[at + 2])) {
		assert_int_equal(load_be16(&in[at + 2]) % 4, 0);
		seen++;
		if (load_be16(&in[at]) == 0x0004)
			assert_memory_equal(&in[at + 8], &parameters[8], 8);
	}
	assert_int_equal(at, end);
	assert_int_equal(seen, 8);
	cmd_release(&cmd);
	CMD(&cmd, &pair->rig, 0x12, 0, 0, BE16(96), 0);
	cmd_run(&cmd);
	assert_int_equal(cmd_in(&cmd)[5] & 0x08, 0x08); /* 3PC */
	cmd_release(&cmd);
}

/* The unit that is written says so, not the one that the command came to. */
static void
a_threshold_of_the_destination_is_told(void **state)
{
	struct pair *pair = *state;
	struct lun_mode mode = pair->lun->mode;
	struct cmd cmd;

	mode.tells_thresholds = true;
	mode.threshold[1] =
	    (struct lun_threshold){.own = true, .enabled = true, .count = 1};
	mode_put(pair->lun, &mode);
	pair->spy->usage.used = 1 << 20;
	rig_fill(&pair->rig, 0, 8, 'a');
	one(pair, 1, 0, 1, 8, 0, 0);
	copy_good(&pair->rig);
	CMD(&cmd, &pair->rig, 0, 0, 0, 0, 0, 0);
	cmd.task.lun_field[1] = 1;
	run_sense(&cmd, THIN_PROVISIONING_THRESHOLD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    pair_test(blocks_go_from_one_place_of_a_unit_to_another),
	    pair_test(and_from_unit_to_unit_whatever_their_blocks),
	    pair_test(zeros_are_unmapped_where_the_destination_is_thin),
	    pair_test(without_a_write_cache_each_piece_is_durable),
	    pair_test(
		a_piece_on_its_way_when_the_cache_goes_off_is_durable_too),
	    pair_test(a_unit_that_the_initiator_does_not_see_is_not_reached),
	    pair_test(what_is_write_protected_is_not_written),
	    pair_test(what_another_has_reserved_is_neither_read_nor_written),
	    pair_test(what_the_port_does_not_reach_is_neither_read_nor_written),
	    pair_test(a_persistent_reservation_binds_copies),
	    pair_test(lengths_must_fit),
	    pair_test(descriptors_must_be_ours_and_not_too_many),
	    pair_test(a_segment_must_lie_in_both_units),
	    pair_test(a_failure_is_told_once_with_what_was_done_before),
	    pair_test(results_are_of_one_nexus_and_the_oldest_goes),
	    pair_test(the_limits_are_told_alike),
	    pair_test(a_threshold_of_the_destination_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
