/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tcmu carrier over a ring whose kernel is played here: every command gets
 * one answer, in any order, over every wrap; an initiator gets its own data and
 * nothing that another left; and what ends it.  By each driver of the ring;
 * where libtcmu is known to fail, by an issue of tcmu-runner, it has to.  Not
 * here: the real kernel (tests/guest).
 */
#include "backstores/stores.h"
#include "backstores/testing.h"
#include "base/endian.h"
#include "base/loop.h"
#include "target/tcmu/device.h"
#include "tests/unit/target/tcmu/support/kernel.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#define __LINUX_UIO_H
#include <linux/target_core_user.h>

#define SIZE (16u << 20)
#define USUAL                                                                  \
	(TCMU_MAILBOX_FLAG_CAP_OOOC | TCMU_MAILBOX_FLAG_CAP_READ_LEN |         \
	    TCMU_MAILBOX_FLAG_CAP_TMR)

#define BE16(v) (uint8_t)((v) >> 8), (uint8_t)(v)
#define BE32(v) BE16((uint32_t)(v) >> 16), BE16(v)

static struct loop *the_loop;
static enum tcmu_driver driver;

struct rig {
	struct loop *loop;
	struct backstore *mem, *bs;
	struct lun *lun;
	struct tcmu_device *device;
	struct kernel kernel;
	bool lost;
};

static void
set_true(void *arg)
{
	*(bool *)arg = true;
}

static void
set_lost(void *arg, const char *why)
{
	assert_non_null(why);
	*(bool *)arg = true;
}

static void
device_start(struct rig *rig)
{
	struct tcmu_ring *ring;

	assert_int_equal(tcmu_ring_from(driver, rig->kernel.device_fd,
			     rig->kernel.lent, rig->kernel.size, &ring),
	    0);
	assert_int_equal(
	    tcmu_device_new(&(struct tcmu_device_params){.loop = rig->loop,
				.lun = rig->lun,
				.ring = ring,
				.target_name = "iqn.2024-01.org.example:t",
				.lost = set_lost,
				.arg = &rig->lost},
		&rig->device),
	    0);
}

static void
rig_open(struct rig *rig, uint16_t flags, uint64_t delay_ns)
{
	const struct bs_delay_params delay = {
	    .min_ns = delay_ns / 4, .max_ns = delay_ns, .seed = 1};
	struct lun_params lun = {
	    .serial = "s", .label = "vms/a", .write_cache = true};

	memset(rig, 0, sizeof(*rig));
	kernel_open(&rig->kernel, flags);
	rig->loop = the_loop;
	assert_int_equal(bs_mem_new(rig->loop, SIZE, 512, &rig->mem), 0);
	rig->bs = rig->mem;
	if (delay_ns > 0)
		assert_int_equal(bs_delay_new(rig->mem, &delay, &rig->bs), 0);
	lun.bs = rig->bs;
	lun_naa_from_uuid((const uint8_t[16]){1, 2, 3}, lun.naa);
	assert_int_equal(lun_new(&lun, &rig->lun), 0);
	device_start(rig);
}

static void
wait_for(struct rig *rig, const bool *what)
{
	while (!*what)
		loop_turn(rig->loop);
}

static void
rig_close(struct rig *rig)
{
	bool closed = false, freed = false, gone = false;

	if (rig->device != NULL) {
		tcmu_device_close(rig->device, 0, set_true, &closed);
		wait_for(rig, &closed);
	}
	lun_free(rig->lun, set_true, &freed);
	wait_for(rig, &freed);
	bs_close(rig->bs, set_true, &gone);
	wait_for(rig, &gone);
	kernel_close(&rig->kernel);
}

static int
setup(void **state)
{
	struct rig *rig = malloc(sizeof(*rig));

	assert_non_null(rig);
	rig_open(rig, USUAL, 0);
	*state = rig;
	return 0;
}

static int
teardown(void **state)
{
	rig_close(*state);
	free(*state);
	return 0;
}

/* ---- commands ---- */

static struct kernel_command *
wait_command(struct rig *rig, int id)
{
	struct kernel_command *command = &rig->kernel.commands[id];

	kernel_poke(&rig->kernel);
	kernel_reap(&rig->kernel);
	while (!command->done) {
		loop_turn(rig->loop);
		kernel_reap(&rig->kernel);
		assert_false(rig->kernel.broken);
	}
	command->used = false;
	return command;
}

#define SEND(rig, data, length, ...)                                           \
	kernel_put(&(rig)->kernel, (const uint8_t[]){__VA_ARGS__},             \
	    sizeof((const uint8_t[]){__VA_ARGS__}), (data), (length))
#define RUN(rig, data, length, ...)                                            \
	wait_command((rig), SEND(rig, data, length, __VA_ARGS__))

static bool
is_all(const uint8_t *data, uint64_t length, int byte)
{
	for (uint64_t i = 0; i < length; i++)
		if (data[i] != byte)
			return false;
	return true;
}

static void
what_is_written_is_read(void **state)
{
	struct rig *rig = *state;
	uint8_t *data = malloc(1 << 20);
	const struct kernel_command *command;

	/* in many pieces, none beside another */
	memset(data, 'w', 1 << 20);
	command = RUN(rig, data, 1 << 20, 0x2a, 0, BE32(8), 0, BE16(2048), 0);
	assert_int_equal(command->status, SCSI_GOOD);
	command = RUN(rig, NULL, 1 << 20, 0x28, 0, BE32(8), 0, BE16(2048), 0);
	assert_int_equal(command->status, SCSI_GOOD);
	assert_int_equal(command->in_length, 1 << 20);
	assert_true(is_all(command->in, 1 << 20, 'w'));
	command = RUN(rig, NULL, 512, 0x28, 0, BE32(7), 0, BE16(1), 0);
	assert_true(is_all(command->in, 512, 0));
	assert_true(kernel_was_kicked(&rig->kernel));
	free(data);
}

/* INQUIRY of 36 bytes into room for 255, with what another left there. */
static void
nothing_that_another_left_gets_out(void **unused)
{
	const uint16_t flags[] = {USUAL, TCMU_MAILBOX_FLAG_CAP_OOOC};

	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		struct rig rig;
		const struct kernel_command *command;
		/* 709: libtcmu does not tell the kernel how much there is */
		bool is_told = i == 0 && driver == TCMU_NATIVE;
		rig_open(&rig, flags[i], 0);
		command = RUN(&rig, NULL, 4096, 0x12, 0, 0, BE16(4096), 0);
		assert_int_equal(command->status, SCSI_GOOD);
		assert_int_equal(command->in_length, is_told ? 96 : 4096);
		assert_memory_equal(command->in + 8, "VARVE   ", 8);
		assert_true(
		    is_all(command->in + 96, command->in_length - 96, 0));
		/* no data at all, and what is refused in other words */
		command = RUN(&rig, NULL, 4096, 0, 0, 0, 0, 0, 0);
		assert_int_equal(command->status, SCSI_GOOD);
		assert_true(is_all(command->in, command->in_length, 0));
		command =
		    RUN(&rig, NULL, 512, 0x28, 0, BE32(SIZE), 0, BE16(1), 0);
		assert_int_equal(command->status, SCSI_CHECK_CONDITION);
		assert_int_equal(command->in_length, 0);
		rig_close(&rig);
	}
}

/* An initiator that has less room than its command asks for: the kernel does
 * not look. */
static void
a_read_of_more_than_there_is_room_for_gets_its_beginning(void **state)
{
	struct rig *rig = *state;
	uint8_t data[4096];
	const struct kernel_command *command;

	memset(data, 'x', sizeof(data));
	RUN(rig, data, 4096, 0x2a, 0, BE32(0), 0, BE16(8), 0);
	command = RUN(rig, NULL, 1000, 0x28, 0, BE32(0), 0, BE16(8), 0);
	assert_int_equal(command->status, SCSI_GOOD);
	assert_int_equal(command->in_length, 1000);
	assert_true(is_all(command->in, 1000, 'x'));
	command = RUN(rig, NULL, 0, 0x28, 0, BE32(0), 0, BE16(8), 0);
	assert_int_equal(command->status, SCSI_GOOD);
	/* and a write of more than it sends */
	command = RUN(rig, data, 512, 0x2a, 0, BE32(100), 0, BE16(8), 0);
	assert_true(command->status == SCSI_GOOD ||
		    command->status == SCSI_CHECK_CONDITION);
	command = RUN(rig, NULL, 512, 0x28, 0, BE32(101), 0, BE16(1), 0);
	assert_true(is_all(command->in, 512, 0));
}

/* By how the kernel is told to cut its data this is more than a task takes. */
static void
more_pieces_than_fit_are_refused_and_nothing_is_written(void **state)
{
	struct rig *rig = *state;
	uint8_t *data = malloc(2 << 20);
	const struct kernel_command *command;

	memset(data, 'x', 2 << 20);
	command = RUN(rig, data, 2 << 20, 0x2a, 0, BE32(0), 0, BE16(4096), 0);
	assert_int_equal(command->status, SCSI_CHECK_CONDITION);
	command = RUN(rig, NULL, 512, 0x28, 0, BE32(0), 0, BE16(1), 0);
	assert_true(is_all(command->in, 512, 0));
	/* 16 pieces, none beside another */
	command = RUN(rig, data, 1 << 20, 0x2a, 0, BE32(0), 0, BE16(2048), 0);
	assert_int_equal(command->status, SCSI_GOOD);
	command = RUN(rig, NULL, 512, 0x28, 0, BE32(2047), 0, BE16(1), 0);
	assert_true(is_all(command->in, 512, 'x'));
	free(data);
}

/* 704: libtcmu does not know how long such a CDB is, and leaves it. */
static bool
is_skipped(unsigned op)
{
	return op >= 0xc0 || (op >= 0x60 && op < 0x7f);
}

static void
every_operation_code_has_an_answer(void **state)
{
	struct rig *rig = *state;
	const struct kernel_command *command;

	for (unsigned op = 0; op < 256; op++) {
		uint8_t cdb[16] = {(uint8_t)op};
		if (driver == TCMU_LIBTCMU && is_skipped(op))
			continue;
		int id = kernel_put(&rig->kernel, cdb, sizeof(cdb), NULL, 512);
		command = wait_command(rig, id);
		if (op >= 0xc0) { /* vendors' */
			assert_int_equal(command->status, SCSI_CHECK_CONDITION);
			assert_int_equal(command->sense[2] & 0xf, 0x5);
			assert_int_equal(command->sense[12], 0x20);
		}
	}
	/* larger than what a command may move */
	command = RUN(rig, NULL, 2 << 20, 0x88, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	    BE32(0xffffffff), 0, 0);
	assert_int_equal(command->status, SCSI_CHECK_CONDITION);
}

/* ---- many ---- */

static void
check(const struct kernel_command *command, uint8_t *shadow, uint32_t lba)
{
	assert_int_equal(command->status, SCSI_GOOD);
	if (command->reads)
		assert_memory_equal(
		    command->in, shadow + lba * 512ull, command->in_length);
}

/* Reads and writes at places of their own, all sizes, answered out of order by
 * a slow store, in a ring that wraps every few commands. */
static void
each_is_answered_once_in_whatever_order(void **unused)
{
	uint8_t *shadow = calloc(1, SIZE), *data = malloc(SIZE);
	uint32_t lba_of[KERNEL_IDS];
	struct rig rig;
	unsigned sent = 0;

	(void)unused;
	srandom(7);
	rig_open(&rig, USUAL, 200000);
	while (sent < 3000 || rig.kernel.completions < sent) {
		/* places: 64 of them, each one command at a time */
		uint32_t place = (uint32_t)random() % 64;
		uint32_t lba = place * 512,
			 count = 1 + (uint32_t)random() % 300;
		bool busy = false, write = random() % 2;
		for (unsigned i = 0; i < KERNEL_IDS; i++)
			busy |= rig.kernel.commands[i].used && lba_of[i] == lba;
		if (sent < 3000 && !busy) {
			memset(data, (int)(random() & 0xff), count * 512ull);
			int id = SEND(&rig, write ? data : NULL, count * 512ull,
			    (uint8_t)(write ? 0x2a : 0x28), 0, BE32(lba), 0,
			    BE16(count), 0);
			if (id >= 0) {
				sent++;
				lba_of[id] = lba;
				if (write)
					memcpy(shadow + lba * 512ull, data,
					    count * 512ull);
			}
		}
		if (random() % 4 == 0 || sent == 3000) {
			kernel_poke(&rig.kernel);
			loop_turn(rig.loop);
		}
		kernel_reap(&rig.kernel);
		assert_false(rig.kernel.broken);
		for (unsigned i = 0; i < KERNEL_IDS; i++) {
			struct kernel_command *command =
			    &rig.kernel.commands[i];
			if (!command->used || !command->done)
				continue;
			check(command, shadow, lba_of[i]);
			command->used = false;
		}
		kernel_was_kicked(&rig.kernel);
	}
	assert_int_equal(rig.kernel.completions, 3000);
	rig_close(&rig);
	free(shadow);
	free(data);
}

/* ---- task management ---- */

static void
what_is_aborted_is_answered_too(void **unused)
{
	struct rig rig;
	int slow, next;

	(void)unused;
	rig_open(&rig, USUAL, 0);
	/* in debt for minutes: what comes now waits */
	lun_limits_set(rig.lun, &(struct lun_limits){.bps = LUN_BPS_MIN});
	RUN(&rig, NULL, 1 << 20, 0x28, 0, BE32(0), 0, BE16(2048), 0);
	slow = SEND(&rig, NULL, 4096, 0x28, 0, BE32(0), 0, BE16(8), 0);
	kernel_poke(&rig.kernel);
	loop_turn(rig.loop);
	assert_true(kernel_put_abort(&rig.kernel, (uint16_t)slow));
	assert_true(kernel_put_abort(&rig.kernel, (uint16_t)slow));
	assert_true(kernel_put_abort(&rig.kernel, 63)); /* it has ended */
	next = SEND(&rig, NULL, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(wait_command(&rig, next)->status, SCSI_GOOD);
	assert_int_equal(wait_command(&rig, slow)->status, SCSI_TASK_ABORTED);
	assert_true(is_all(rig.kernel.commands[slow].in,
	    rig.kernel.commands[slow].in_length, 0));
	/* an entry that wants no answer does not hold up the ring */
	for (unsigned i = 0; i < 500; i++) {
		assert_true(kernel_put_abort(&rig.kernel, 63));
		kernel_poke(&rig.kernel);
		loop_turn(rig.loop);
		kernel_reap(&rig.kernel);
		kernel_was_kicked(&rig.kernel);
	}
	rig_close(&rig);
}

/* Over the same ring, as the kernel sees it: nothing but a pause. */
static void
who_has_patience_closes_it_with_all_done(void **unused)
{
	struct rig rig;
	int id[8], later[2], next;
	bool closed = false;

	(void)unused;
	rig_open(&rig, USUAL, 20 * NSEC_PER_MSEC);
	for (unsigned i = 0; i < 8; i++)
		id[i] = SEND(&rig, NULL, 512, 0x28, 0, BE32(i), 0, BE16(1), 0);
	kernel_poke(&rig.kernel);
	loop_turn(rig.loop);
	kernel_lend_again(&rig.kernel);
	assert_true(tcmu_device_fd(rig.device) >= 0);
	tcmu_device_close(rig.device, 3600 * NSEC_PER_SEC, set_true, &closed);
	for (unsigned i = 0; i < 2; i++)
		later[i] = SEND(&rig, NULL, 0, 0, 0, 0, 0, 0, 0);
	kernel_poke(&rig.kernel);
	wait_for(&rig, &closed);
	kernel_reap(&rig.kernel);
	for (unsigned i = 0; i < 8; i++) {
		assert_true(rig.kernel.commands[id[i]].done);
		assert_int_equal(rig.kernel.commands[id[i]].status, SCSI_GOOD);
	}
	/* what came meanwhile is the next one's */
	for (unsigned i = 0; i < 2; i++)
		assert_false(rig.kernel.commands[later[i]].done);
	device_start(&rig);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
		    wait_command(&rig, later[i])->status, SCSI_GOOD);
	next = SEND(&rig, NULL, 512, 0x28, 0, BE32(0), 0, BE16(1), 0);
	assert_int_equal(wait_command(&rig, next)->status, SCSI_GOOD);
	rig_close(&rig);
}

static void
patience_has_an_end(void **unused)
{
	struct rig rig;
	bool closed = false;
	int slow;

	(void)unused;
	rig_open(&rig, USUAL, 0);
	/* in debt for minutes: what comes now waits */
	lun_limits_set(rig.lun, &(struct lun_limits){.bps = LUN_BPS_MIN});
	RUN(&rig, NULL, 1 << 20, 0x28, 0, BE32(0), 0, BE16(2048), 0);
	slow = SEND(&rig, NULL, 4096, 0x28, 0, BE32(0), 0, BE16(8), 0);
	kernel_poke(&rig.kernel);
	loop_turn(rig.loop);
	tcmu_device_close(rig.device, NSEC_PER_MSEC, set_true, &closed);
	rig.device = NULL;
	wait_for(&rig, &closed);
	kernel_reap(&rig.kernel);
	assert_int_equal(rig.kernel.commands[slow].status, SCSI_BUSY);
	rig_close(&rig);
}

static void
who_closes_it_ends_all_with_busy(void **unused)
{
	struct rig rig;
	int id[8];
	bool closed = false;

	(void)unused;
	rig_open(&rig, USUAL, 20 * NSEC_PER_MSEC);
	for (unsigned i = 0; i < 8; i++)
		id[i] = SEND(&rig, NULL, 512, 0x28, 0, BE32(i), 0, BE16(1), 0);
	kernel_poke(&rig.kernel);
	loop_turn(rig.loop);
	tcmu_device_close(rig.device, 0, set_true, &closed);
	rig.device = NULL;
	wait_for(&rig, &closed);
	kernel_reap(&rig.kernel);
	for (unsigned i = 0; i < 8; i++) {
		assert_true(rig.kernel.commands[id[i]].done);
		assert_int_equal(rig.kernel.commands[id[i]].status, SCSI_BUSY);
	}
	rig_close(&rig);
}

/* ---- what libtcmu is known to do ---- */

/* It comes before one that is answered, and is not; the ring goes on. */
static void
libtcmu_never_answers_what_it_does_not_know(void **state)
{
	struct rig *rig = *state;
	int vendor[] = {SEND(rig, NULL, 0, 0xc1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	    SEND(rig, NULL, 0, 0x60, 0, 0, 0, 0, 0, 0, 0, 0, 0)};
	const struct kernel_command *command;

	for (unsigned i = 0; i < 100; i++) {
		command = RUN(rig, NULL, 0, 0, 0, 0, 0, 0, 0);
		assert_int_equal(command->status, SCSI_GOOD);
	}
	assert_false(rig->kernel.commands[vendor[0]].done);
	assert_false(rig->kernel.commands[vendor[1]].done);
	/* and what lies at the tail now is a command that was answered */
	assert_int_equal(tcmu_device_fd(rig->device), -1);
}

/* It passes over the entry that tells of it (no issue is known). */
static void
libtcmu_does_not_hear_of_aborts(void **unused)
{
	struct rig rig;
	const struct kernel_command *command;
	int slow;

	(void)unused;
	rig_open(&rig, USUAL, 0);
	lun_limits_set(rig.lun, &(struct lun_limits){.bps = LUN_BPS_MIN});
	RUN(&rig, NULL, 1 << 20, 0x28, 0, BE32(0), 0, BE16(2048), 0);
	slow = SEND(&rig, NULL, 4096, 0x28, 0, BE32(0), 0, BE16(8), 0);
	assert_true(kernel_put_abort(&rig.kernel, (uint16_t)slow));
	command = RUN(&rig, NULL, 0, 0, 0, 0, 0, 0, 0);
	assert_int_equal(command->status, SCSI_GOOD);
	assert_false(rig.kernel.commands[slow].done);
	rig_close(&rig);
}

/* ---- a ring that is none ---- */

static void
what_is_no_ring_is_lost_and_nothing_else(void **unused)
{
	struct tcmu_cmd_entry entries[4];
	struct tcmu_ring *ring;

	(void)unused;
	for (unsigned i = 0; i < ARRAY_SIZE(entries); i++) {
		struct tcmu_cmd_entry *e = &entries[i];
		struct rig rig;
		memset(e, 0, sizeof(*e));
		e->hdr.len_op = sizeof(*e) | TCMU_OP_CMD;
		rig_open(&rig, USUAL, 0);
		switch (i) {
		case 0: e->req.cdb_off = UINT64_MAX; break;
		case 1: e->req.cdb_off = 0; break;
		case 2:
			e->req.cdb_off = 4096 + 64;
			e->req.iov_cnt = UINT32_MAX;
			break;
		case 3: e->hdr.len_op = TCMU_OP_CMD; break;
		}
		kernel_put_raw(&rig.kernel, e, sizeof(*e));
		kernel_poke(&rig.kernel);
		wait_for(&rig, &rig.lost);
		rig_close(&rig);
	}
	_Alignas(64) uint8_t page[4096] = {0};
	assert_int_equal(
	    tcmu_ring_from(TCMU_NATIVE, -1, page, sizeof(page), &ring),
	    -ENODEV);
}

#define test(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static int failed;

static const struct CMUnitTest native_tests[] = {
    test(what_is_written_is_read),
    cmocka_unit_test(nothing_that_another_left_gets_out),
    test(a_read_of_more_than_there_is_room_for_gets_its_beginning),
    test(more_pieces_than_fit_are_refused_and_nothing_is_written),
    test(every_operation_code_has_an_answer),
    cmocka_unit_test(each_is_answered_once_in_whatever_order),
    cmocka_unit_test(what_is_aborted_is_answered_too),
    cmocka_unit_test(who_has_patience_closes_it_with_all_done),
    cmocka_unit_test(patience_has_an_end),
    cmocka_unit_test(who_closes_it_ends_all_with_busy),
    cmocka_unit_test(what_is_no_ring_is_lost_and_nothing_else),
};

/* The library believes the kernel whatever it finds in a ring. */
static const struct CMUnitTest libtcmu_tests[] = {
    test(what_is_written_is_read),
    cmocka_unit_test(nothing_that_another_left_gets_out),
    test(a_read_of_more_than_there_is_room_for_gets_its_beginning),
    test(more_pieces_than_fit_are_refused_and_nothing_is_written),
    test(every_operation_code_has_an_answer),
    cmocka_unit_test(each_is_answered_once_in_whatever_order),
    cmocka_unit_test(patience_has_an_end),
    cmocka_unit_test(who_closes_it_ends_all_with_busy),
    test(libtcmu_never_answers_what_it_does_not_know),
    cmocka_unit_test(libtcmu_does_not_hear_of_aborts),
};

static void
run_libtcmu(void)
{
	const char *problem = NULL;
	int ret = tcmu_driver_load(TCMU_LIBTCMU, &problem);

	if (ret < 0) {
		print_message("libtcmu: %s\n", problem);
		failed += ret != -ENOSYS;
		return;
	}
	driver = TCMU_LIBTCMU;
	failed += cmocka_run_group_tests(libtcmu_tests, NULL, NULL);
}

/* A loop turns for who is called by it. */
static void
run_all(struct loop_task *task)
{
	(void)task;
	failed = cmocka_run_group_tests(native_tests, NULL, NULL);
	run_libtcmu();
	loop_stop(the_loop);
}

int
main(void)
{
	const struct loop_params params = {.buffer_bytes = 16 << 20, .cpu = -1};
	struct loop_task task = {.run = run_all};

	if (loop_new(&params, &the_loop) < 0)
		return 1;
	loop_post(the_loop, &task);
	loop_run(the_loop);
	loop_free(the_loop);
	return failed;
}
