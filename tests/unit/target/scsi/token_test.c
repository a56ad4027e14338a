/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * POPULATE TOKEN, WRITE USING TOKEN and what they share with EXTENDED COPY:
 * what a token stands for, when it is no longer good, what goes on in the
 * background, what is told.  Not here: that a host copes with a token that is
 * refused; two hosts over the wire (tests/wire).
 */
#include "tests/unit/target/scsi/support/pair.h"
#include <errno.h>
#include <stdlib.h>

#define SECOND 1000000000ull

/* ---- commands ---- */

static uint8_t list[2048];
static size_t list_length, header;

static void
list_begin(size_t bytes)
{
	memset(list, 0, sizeof(list));
	list_length = header = bytes;
	store_be16(list, (uint16_t)(bytes - 2));
}

static void
list_range(uint64_t lba, uint32_t count)
{
	store_be64(list + list_length, lba);
	store_be32(list + list_length + 8, count);
	list_length += 16;
	store_be16(list, (uint16_t)(list_length - 2));
	store_be16(list + header - 2, (uint16_t)(list_length - header));
}

static void
send_list(struct cmd *cmd, struct rig *rig, uint8_t action, uint32_t id)
{
	CMD(cmd, rig, 0x83, action, 0, 0, 0, 0, BE32(id), BE32(list_length), 0,
	    0);
	cmd_out(cmd, list, list_length);
}

static void
populate(struct cmd *cmd, struct pair *pair, uint32_t id)
{
	send_list(cmd, &pair->rig, 0x10, id);
}

static void
write_list(const uint8_t *token)
{
	list_begin(536);
	memcpy(list + 16, token, 512);
}

/* From unit 0 to unit 1, or back. */
static void
write_using(struct cmd *cmd, struct pair *pair, uint32_t id, unsigned unit)
{
	send_list(cmd, &pair->rig, 0x11, id);
	cmd->task.lun_field[1] = (uint8_t)unit;
}

static void
information(struct cmd *cmd, struct pair *pair, uint32_t id, unsigned unit)
{
	CMD(cmd, &pair->rig, 0x84, 0x07, BE32(id), 0, 0, 0, 0, BE32(1024), 0,
	    0);
	cmd->task.lun_field[1] = (uint8_t)unit;
}

static void
expect(struct pair *pair, uint32_t id, unsigned unit, unsigned status,
    uint64_t blocks)
{
	struct cmd cmd;

	information(&cmd, pair, id, unit);
	cmd_run(&cmd);
	assert_good(&cmd);
	const uint8_t *in = cmd_in(&cmd);
	assert_int_equal(load_be32(in), cmd.task.in_length - 4);
	assert_int_equal(in[5], status);
	assert_int_equal(in[15], 0xf1);
	assert_int_equal(load_be64(&in[16]), blocks);
	cmd_release(&cmd);
}

/* The token of so many blocks of unit 0. */
static void
take_token(struct pair *pair, uint64_t lba, uint32_t count, uint8_t *token)
{
	struct cmd cmd;

	list_begin(16);
	list_range(lba, count);
	populate(&cmd, pair, 1);
	run_good(&cmd);
	information(&cmd, pair, 1, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	const uint8_t *in = cmd_in(&cmd);
	assert_int_equal(in[4], 0x10);
	assert_int_equal(in[14], 0);
	assert_int_equal(load_be32(&in[32]), 2 + 512);
	memcpy(token, &in[38], 512);
	cmd_release(&cmd);
}

/* All of it to unit 1, and how that ends. */
#define copy_sense(pair, token, count, sense)                                  \
	do {                                                                   \
		struct cmd cmd_;                                               \
		write_list(token);                                             \
		list_range(0, count);                                          \
		write_using(&cmd_, pair, 2, 1);                                \
		run_sense(&cmd_, sense);                                       \
	} while (0)

static bool
second_is(struct pair *pair, uint64_t lba, uint32_t count, int byte)
{
	uint8_t *data = malloc(count * 512ull);
	bool is = true;
	struct cmd cmd;

	CMD(&cmd, &pair->rig, 0x88, 0, BE64(lba), BE32(count), 0, 0);
	cmd.task.lun_field[1] = 1;
	cmd_run(&cmd);
	assert_good(&cmd);
	memcpy(data, cmd_in(&cmd), count * 512ull);
	cmd_release(&cmd);
	for (size_t i = 0; i < count * 512ull; i++)
		is = is && data[i] == byte;
	free(data);
	return is;
}

/* ---- what is copied ---- */

static void
a_token_stands_for_the_blocks_it_was_made_of(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	uint8_t token[512];
	struct cmd cmd;

	rig_fill(rig, 100, 3000, 'a');
	rig_fill(rig, 9000, 10, 'b');
	list_begin(16);
	list_range(100, 3000);
	list_range(0, 0);
	list_range(9000, 10);
	populate(&cmd, pair, 0x01020304);
	run_good(&cmd);
	expect(pair, 0x01020304, 0, 1, 3010);
	information(&cmd, pair, 0x01020304, 0);
	cmd_run(&cmd);
	memcpy(token, cmd_in(&cmd) + 38, 512);
	cmd_release(&cmd);
	assert_int_equal(load_be32(token), 0x00800001);
	assert_int_equal(load_be16(token + 6), 0x1f8);
	assert_memory_equal(token + 24, rig->lun->naa, 8);
	assert_int_equal(load_be64(token + 56), 3010 * 512);

	write_list(token);
	list_range(50, 7);
	list_range(1000, 3003);
	write_using(&cmd, pair, 5, 1);
	run_good(&cmd);
	expect(pair, 5, 1, 1, 3010);
	assert_true(second_is(pair, 50, 7, 'a'));
	assert_true(second_is(pair, 57, 1, 0));
	assert_true(second_is(pair, 1000, 2993, 'a'));
	assert_true(second_is(pair, 3993, 10, 'b'));
	assert_true(second_is(pair, 4003, 1, 0));
}

static void
from_an_offset_and_no_more_than_it_has(void **state)
{
	struct pair *pair = *state;
	uint8_t token[512];
	struct cmd cmd;

	rig_fill(&pair->rig, 0, 10, 'a');
	rig_fill(&pair->rig, 10, 10, 'b');
	take_token(pair, 0, 20, token);
	write_list(token);
	store_be64(list + 8, 8);
	list_range(0, 4);
	write_using(&cmd, pair, 2, 1);
	run_good(&cmd);
	expect(pair, 2, 1, 3, 4); /* partial usage of the token */
	assert_true(second_is(pair, 0, 2, 'a'));
	assert_true(second_is(pair, 2, 2, 'b'));
	assert_true(second_is(pair, 4, 1, 0));
	/* more is asked for than it has */
	write_list(token);
	list_range(100, 30);
	write_using(&cmd, pair, 2, 1);
	run_good(&cmd);
	expect(pair, 2, 1, 4, 20);
	assert_true(second_is(pair, 110, 10, 'b'));
	assert_true(second_is(pair, 120, 10, 0));
	/* to its end is as much as there is */
	write_list(token);
	store_be64(list + 8, 15);
	list_range(200, 5);
	write_using(&cmd, pair, 2, 1);
	run_good(&cmd);
	expect(pair, 2, 1, 1, 5);
	/* and nothing from its end on */
	write_list(token);
	store_be64(list + 8, 20);
	list_range(0, 1);
	write_using(&cmd, pair, 2, 1);
	run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	expect(pair, 2, 1, 2, 0);
}

static void
the_token_of_zeros_unmaps(void **state)
{
	struct pair *pair = *state;
	uint8_t token[512] = {0xff, 0xff, 0x00, 0x01, 0, 0, 0x01, 0xf8};
	struct cmd cmd;

	rig_fill(&pair->rig, 0, 20, 'x');
	spy_forget(pair->rig.spy);
	write_list(token);
	list_range(5, 10);
	write_using(&cmd, pair, 2, 0);
	run_good(&cmd);
	assert_int_equal(spy_count(pair->rig.spy, BS_ZERO), 1);
	assert_true(spy_find(pair->rig.spy, BS_ZERO, 0)->may_unmap);
	assert_true(rig_is(&pair->rig, 0, 5, 'x'));
	assert_true(rig_is(&pair->rig, 5, 10, 0));
	assert_true(rig_is(&pair->rig, 15, 5, 'x'));
}

/* ---- when it is no longer good ---- */

static void
a_write_to_its_blocks_revokes_it(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	uint8_t token[512];
	struct cmd cmd;

	take_token(pair, 100, 10, token);
	rig_fill(rig, 99, 1, 'x'); /* beside it */
	rig_fill(rig, 110, 1, 'x');
	write_list(token);
	list_range(0, 10);
	write_using(&cmd, pair, 2, 1);
	run_good(&cmd);
	rig_fill(rig, 109, 1, 'x');
	copy_sense(pair, token, 10, TOKEN_REVOKED);
	/* UNMAP changes it too */
	take_token(pair, 100, 10, token);
	CMD(&cmd, rig, 0x93, 0x08, BE64(104ull), BE32(1), 0, 0);
	static const uint8_t zeros[512];
	cmd_out(&cmd, zeros, sizeof(zeros));
	run_good(&cmd);
	copy_sense(pair, token, 10, TOKEN_REVOKED);
	/* and so does what is no command */
	take_token(pair, 100, 10, token);
	lun_data_changing(rig->lun);
	list_begin(16);
	list_range(100, 10);
	populate(&cmd, pair, 1);
	assert_int_equal(cmd_run(&cmd), SCSI_BUSY); /* of neither */
	cmd_release(&cmd);
	lun_data_changed(rig->lun);
	copy_sense(pair, token, 10, TOKEN_REVOKED);
	/* and it is not told any more */
	information(&cmd, pair, 1, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(load_be32(cmd_in(&cmd) + 32), 0);
	cmd_release(&cmd);
}

static void
a_copy_to_its_blocks_revokes_it(void **state)
{
	struct pair *pair = *state;
	uint8_t first[512], second[512];
	struct cmd cmd;

	take_token(pair, 0, 10, first);
	take_token(pair, 1000, 10, second);
	write_list(second);
	list_range(5, 10);
	write_using(&cmd, pair, 2, 0);
	run_good(&cmd);
	copy_sense(pair, first, 10, TOKEN_REVOKED);
	/* over itself: nothing is done */
	write_list(second);
	list_range(1009, 10);
	write_using(&cmd, pair, 2, 0);
	run_sense(&cmd, INVALID_TOKEN_OPERATION);
	write_list(second);
	list_range(0, 10);
	write_using(&cmd, pair, 2, 1);
	run_good(&cmd);
}

/* The piece is read, and meanwhile somebody writes: what was read may be his.
 */
static void
what_was_read_too_late_is_not_written(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	uint8_t token[512];
	struct cmd cmd;

	rig_fill(rig, 0, 10, 'a');
	take_token(pair, 0, 10, token);
	write_list(token);
	list_range(0, 10);
	rig->spy->hold = true;
	write_using(&cmd, pair, 2, 1);
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(rig);
	assert_false(cmd.done);
	rig->spy->hold = false;
	rig_fill(rig, 0, 1, 'b');
	spy_release_all(rig->spy);
	rig_drain(rig);
	assert_true(cmd.done);
	assert_sense(&cmd, TOKEN_REVOKED);
	cmd_release(&cmd);
	assert_int_equal(spy_count(pair->spy, BS_WRITE), 0);
	expect(pair, 2, 1, 2, 0);
}

static void
a_token_expires_unused_or_when_it_was_the_last_time(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	uint8_t token[512];
	struct cmd cmd;

	take_token(pair, 0, 10, token);
	for (unsigned i = 0; i < 3; i++) {
		rig_pass(rig, 59 * SECOND);
		write_list(token);
		list_range(0, 10);
		write_using(&cmd, pair, 2, 1);
		run_good(&cmd);
	}
	rig_pass(rig, 61 * SECOND);
	information(&cmd, pair, 1, 0); /* it is not handed out any more */
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, 36);
	assert_int_equal(load_be32(&cmd_in(&cmd)[32]), 0);
	cmd_release(&cmd);
	copy_sense(pair, token, 10, TOKEN_EXPIRED);
	copy_sense(pair, token, 10, TOKEN_REVOKED);
	take_token(pair, 0, 10, token);
	write_list(token);
	list[2] = 0x02; /* DEL_TKN */
	list_range(0, 10);
	write_using(&cmd, pair, 2, 1);
	run_good(&cmd);
	copy_sense(pair, token, 10, TOKEN_REVOKED);
}

static void
nobody_can_make_one_up(void **state)
{
	struct pair *pair = *state;
	uint8_t token[512], other[512];

	take_token(pair, 0, 10, token);
	for (unsigned i = 0; i < sizeof(token); i++) {
		memcpy(other, token, sizeof(other));
		other[i] ^= 0x10;
		write_list(other);
		list_range(0, 1);
		struct cmd cmd;
		write_using(&cmd, pair, 2, 1);
		assert_int_equal(cmd_run(&cmd), SCSI_CHECK_CONDITION);
		assert_int_equal(cmd_sense(&cmd).asc, 0x23);
		cmd_release(&cmd);
	}
	memcpy(other, token, sizeof(other));
	other[15] = 77;
	copy_sense(pair, other, 10, TOKEN_UNKNOWN);
	memcpy(other, token, sizeof(other));
	other[300] ^= 0x10;
	copy_sense(pair, other, 10, TOKEN_CORRUPT);
	assert_int_equal(spy_count(pair->spy, BS_WRITE), 0);
}

static void
there_are_no_more_than_so_many(void **state)
{
	struct pair *pair = *state;
	uint8_t first[512], token[512];

	take_token(pair, 0, 10, first);
	for (unsigned i = 0; i < 256; i++)
		take_token(pair, 0, 10, token);
	copy_sense(pair, first, 10, TOKEN_REVOKED);
}

static void
a_unit_that_goes_takes_its_tokens_along(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	uint8_t token[512];
	struct cmd cmd;

	list_begin(16);
	list_range(0, 100);
	populate(&cmd, pair, 1);
	cmd.task.lun_field[1] = 1;
	run_good(&cmd);
	information(&cmd, pair, 1, 1);
	cmd_run(&cmd);
	memcpy(token, cmd_in(&cmd) + 38, 512);
	cmd_release(&cmd);
	/* it is read from when it goes */
	pair->spy->hold = true;
	write_list(token);
	list_range(0, 100);
	write_using(&cmd, pair, 2, 0);
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(rig);
	scsi_nexus_unmap(rig->nexus[0], 1, false, NULL, NULL);
	rig_drain(rig);
	lun_data_changing(pair->lun);
	assert_int_equal(pair->lun->token_users, 1);
	spy_release_all(pair->spy);
	rig_drain(rig);
	assert_true(cmd.done);
	assert_sense(&cmd, TOKEN_REVOKED);
	cmd_release(&cmd);
	assert_int_equal(pair->lun->token_users, 0);
}

static void
a_token_of_nothing_goes_too(void **state)
{
	struct pair *pair = *state;
	uint8_t token[512];

	take_token(pair, 0, 0, token);
	lun_data_changing(pair->rig.lun);
	lun_data_changed(pair->rig.lun);
	copy_sense(pair, token, 1, TOKEN_REVOKED);
}

static void
units_of_other_blocks_take_none(void **state)
{
	struct pair *pair = *state;
	uint8_t token[512];

	take_token(pair, 0, 8, token);
	copy_sense(pair, token, 1, INVALID_TOKEN_OPERATION);
}

/* ---- in the background ---- */

static void
start_in_background(struct pair *pair, uint32_t id)
{
	uint8_t token[512];
	struct cmd cmd;

	rig_fill(&pair->rig, 0, 3000, 'a');
	take_token(pair, 0, 3000, token);
	write_list(token);
	list[2] = 0x01; /* IMMED */
	list_range(0, 3000);
	pair->spy->hold = true;
	write_using(&cmd, pair, id, 1);
	run_good(&cmd);
}

static void
it_goes_on_when_the_command_was_answered(void **state)
{
	struct pair *pair = *state;
	struct cmd cmd;

	start_in_background(pair, 7);
	expect(pair, 7, 1, 0x12, 0);
	/* the identifier is in use */
	write_list(
	    (const uint8_t[512]){0xff, 0xff, 0x00, 0x01, 0, 0, 0x01, 0xf8});
	list_range(0, 1);
	write_using(&cmd, pair, 7, 1);
	run_sense(&cmd, OPERATION_IN_PROGRESS);
	spy_release(pair->spy);
	rig_drain(&pair->rig);
	expect(pair, 7, 1, 0x12, 1024);
	spy_release_all(pair->spy);
	pair->spy->hold = false;
	spy_release_all(pair->spy);
	rig_drain(&pair->rig);
	expect(pair, 7, 1, 1, 3000);
	assert_true(second_is(pair, 0, 3000, 'a'));
}

static void
and_ends_when_it_is_given_up(void **state)
{
	struct pair *pair = *state;
	struct cmd cmd;

	CMD(&cmd, &pair->rig, 0x83, 0x1c, BE32(7), 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0);
	cmd.task.lun_field[1] = 1;
	run_field(&cmd, 2, -1); /* nothing runs */
	start_in_background(pair, 7);
	CMD(&cmd, &pair->rig, 0x83, 0x1c, BE32(7), 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    0);
	cmd.task.lun_field[1] = 1;
	run_good(&cmd);
	spy_release(pair->spy);
	rig_drain(&pair->rig);
	expect(pair, 7, 1, 0x60, 1024);
	assert_int_equal(spy_count(pair->spy, BS_WRITE), 1);
}

static void
or_when_the_unit_is_reset_or_the_nexus_lost(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;

	start_in_background(pair, 7);
	scsi_nexus_unmap(rig->nexus[0], 1, false, NULL, NULL);
	spy_release_all(pair->spy);
	rig_drain(rig);
	assert_null(rig->nexus[0]->mappings[1]);
	assert_int_equal(pair->lun->task_count, 0);
	assert_int_equal(rig->lun->token_users, 0);
	assert_int_equal(spy_count(pair->spy, BS_WRITE), 1);
}

/* It does not wait for the whole copy, and the copy does not mix with it. */
static void
what_has_to_be_alone_goes_between_two_pieces(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	static uint8_t data[1024];
	struct cmd cmd;

	start_in_background(pair, 7);
	memset(data, 'a', 512); /* what the first piece brings */
	memset(data + 512, 'c', 512);
	CMD(&cmd, rig, 0x89, 0, BE64(0ull), 0, 0, 0, 1, 0, 0);
	cmd.task.lun_field[1] = 1;
	cmd_out(&cmd, data, sizeof(data));
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	rig_drain(rig);
	assert_int_equal(pair->spy->log_count, 1); /* the piece in flight */
	spy_release(pair->spy);
	rig_drain(rig);
	assert_int_equal(pair->spy->log[1].op, BS_READ);
	assert_int_equal(pair->spy->log_count, 2);
	spy_release(pair->spy);
	rig_drain(rig);
	assert_int_equal(pair->spy->log[2].length, 512);
	assert_int_equal(pair->spy->log_count, 3);
	spy_release(pair->spy);
	rig_drain(rig);
	assert_true(cmd.done);
	assert_good(&cmd);
	cmd_release(&cmd);
	assert_int_equal(pair->spy->log_count, 4); /* the second piece */
	pair->spy->hold = false;
	spy_release_all(pair->spy);
	rig_drain(rig);
	expect(pair, 7, 1, 1, 3000);
	assert_true(second_is(pair, 0, 1, 'c'));
	assert_true(second_is(pair, 1, 2999, 'a'));
}

static void
and_a_copy_that_waits_for_it_can_be_aborted(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	static uint8_t data[1024];
	struct cmd cmd;

	start_in_background(pair, 7);
	CMD(&cmd, rig, 0x89, 0, BE64(0ull), 0, 0, 0, 1, 0, 0);
	cmd.task.lun_field[1] = 1;
	cmd_out(&cmd, data, sizeof(data));
	assert_true(cmd_begin(&cmd));
	cmd_execute(&cmd);
	spy_release(pair->spy);
	rig_drain(rig);
	assert_false(list_empty(&pair->lun->copies));
	scsi_nexus_unmap(rig->nexus[0], 1, false, NULL, NULL);
	rig_drain(rig);
	assert_true(list_empty(&pair->lun->copies));
	spy_release_all(pair->spy);
	rig_drain(rig);
	assert_true(cmd.done);
	cmd_release(&cmd);
	assert_int_equal(pair->lun->task_count, 0);
	assert_int_equal(pair->lun->copy_pieces, 0);
	assert_int_equal(rig->lun->token_users, 0);
}

/* ---- who may ---- */

static void
reservations_and_write_protection_hold(void **state)
{
	struct pair *pair = *state;
	uint8_t token[512];
	struct cmd cmd;

	take_token(pair, 0, 10, token);
	pair->lun->read_only = true;
	copy_sense(pair, token, 10, WRITE_PROTECTED);
	pair->lun->read_only = false;
	assert_int_equal(
	    scsi_nexus_map(pair->rig.nexus[1], 1, pair->lun, false, false), 0);
	pair->lun->reserved_by = pair->rig.nexus[1]->mappings[1];
	write_list(token);
	list_range(0, 10);
	write_using(&cmd, pair, 2, 1);
	assert_int_equal(cmd_run(&cmd), SCSI_RESERVATION_CONFLICT);
	cmd_release(&cmd);
	pair->lun->reserved_by = NULL;
	pair->rig.lun->stopped = true;
	copy_sense(pair, token, 10, THIRD_PARTY_DEVICE_FAILURE);
	pair->rig.lun->stopped = false;
	scsi_nexus_unmap(pair->rig.nexus[1], 1, false, NULL, NULL);
}

/* ---- bad lists ---- */

static void
bad_lists_are_refused(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	struct cmd cmd;

	list_length = 0;
	populate(&cmd, pair, 1);
	run_good(&cmd);
	list_begin(16);
	list_range(0, 10);
	while (--list_length > 16) {
		populate(&cmd, pair, 1);
		run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	}
	list_begin(16);
	populate(&cmd, pair, 1);
	run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	list_begin(16);
	list_range(rig->blocks - 1, 2);
	populate(&cmd, pair, 1);
	run_sense(&cmd, LBA_OUT_OF_RANGE);
	list_begin(16);
	list_range(UINT64_MAX, 1);
	populate(&cmd, pair, 1);
	run_sense(&cmd, LBA_OUT_OF_RANGE);
	list_begin(16);
	list_range(0, 10);
	list_range(9, 1);
	populate(&cmd, pair, 1);
	run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	list_begin(16);
	for (unsigned i = 0; i < 65; i++)
		list_range(i, 1);
	populate(&cmd, pair, 1);
	run_sense(&cmd, PARAMETER_LIST_LENGTH_ERROR);
	list_begin(16);
	store_be32(list + 4, 601);
	list_range(0, 10);
	populate(&cmd, pair, 1);
	run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	list_begin(16);
	list[2] = 0x02; /* RTV */
	store_be32(list + 8, 0x00010000);
	list_range(0, 10);
	populate(&cmd, pair, 1);
	run_sense(&cmd, INVALID_FIELD_IN_PARAMETER_LIST);
	information(&cmd, pair, 1, 0);
	run_field(&cmd, 2, -1); /* nothing came of any */
}

/* ---- EXTENDED COPY(LID4) ---- */

static void
lid4(struct cmd *cmd, struct rig *rig)
{
	CMD(cmd, rig, 0x83, 0x01, 0, 0, 0, 0, 0, 0, 0, 0, BE32(list_length), 0,
	    0);
	cmd_out(cmd, list, list_length);
}

static void
extended_copy_with_long_identifiers(void **state)
{
	struct pair *pair = *state;
	struct rig *rig = &pair->rig;
	const uint8_t *in;
	struct cmd cmd;

	rig_fill(rig, 0, 16, 'x');
	memset(list, 0, sizeof(list));
	list[0] = 0x01;
	list[3] = 0x20;
	list[16] = 0xff;
	store_be32(list + 20, 0xabcdef01);
	list[43] = 32;
	list[45] = 28;
	list[48] = 0xe4;
	list[48 + 4] = 1;
	list[48 + 5] = 3;
	list[48 + 7] = 8;
	memcpy(list + 48 + 8, rig->lun->naa, 8);
	list[80] = 0x02;
	list[83] = 24;
	list[80 + 11] = 16;
	store_be64(list + 80 + 20, 1000);
	list_length = 108;
	lid4(&cmd, rig);
	run_good(&cmd);
	assert_true(rig_is(rig, 1000, 16, 'x'));
	CMD(&cmd, rig, 0x84, 0x05, BE32(0xabcdef01), 0, 0, 0, 0, BE32(1024), 0,
	    0);
	cmd_run(&cmd);
	assert_good(&cmd);
	in = cmd_in(&cmd);
	assert_int_equal(load_be32(in), 28);
	assert_int_equal(in[4], 0x01);
	assert_int_equal(in[5], 0x01);
	assert_int_equal(in[15], 0x00);
	assert_int_equal(load_be64(&in[16]), 16 * 512);
	assert_int_equal(load_be16(&in[24]), 1);
	cmd_release(&cmd);
	/* not a token's */
	information(&cmd, pair, 0xabcdef01, 0);
	run_field(&cmd, 2, -1);
	list[16] = 0xfe;
	lid4(&cmd, rig);
	run_parameter(&cmd, 16, -1);
	/* in the background, and no identifier by which to ask for it */
	list[16] = 0xff;
	list[1] = 3 << 3;
	list[15] = 0x01;
	store_be32(list + 20, 0);
	lid4(&cmd, rig);
	run_parameter(&cmd, 1, 4);
}

#define test(f)                                                                \
	cmocka_unit_test_setup_teardown(f, pair_setup_512, pair_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    test(a_token_stands_for_the_blocks_it_was_made_of),
	    test(from_an_offset_and_no_more_than_it_has),
	    test(the_token_of_zeros_unmaps),
	    test(a_write_to_its_blocks_revokes_it),
	    test(a_copy_to_its_blocks_revokes_it),
	    test(what_was_read_too_late_is_not_written),
	    test(a_token_expires_unused_or_when_it_was_the_last_time),
	    test(nobody_can_make_one_up),
	    test(there_are_no_more_than_so_many),
	    test(a_unit_that_goes_takes_its_tokens_along),
	    test(a_token_of_nothing_goes_too),
	    pair_test(units_of_other_blocks_take_none),
	    test(it_goes_on_when_the_command_was_answered),
	    test(and_ends_when_it_is_given_up),
	    test(or_when_the_unit_is_reset_or_the_nexus_lost),
	    test(what_has_to_be_alone_goes_between_two_pieces),
	    test(and_a_copy_that_waits_for_it_can_be_aborted),
	    test(reservations_and_write_protection_hold),
	    test(bad_lists_are_refused),
	    test(extended_copy_with_long_identifiers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
