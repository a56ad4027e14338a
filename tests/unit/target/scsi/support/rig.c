/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/target/scsi/support/rig.h"
#include "backstores/stores.h"
#include "base/simloop.h"
#include <stdio.h>
#include <stdlib.h>

static uint8_t buffer[CMD_DATA_MAX];

/* ---- the rig ---- */

void
rig_nexus(struct rig *rig, unsigned i, const char *initiator_port,
    const char *target, uint16_t port)
{
	char target_port[256];
	const struct scsi_nexus_params params = {
	    .loop = rig->loop,
	    .initiator_port = initiator_port,
	    .target_port = target_port,
	    .target_name = target,
	    .relative_port = port,
	};
	assert_true(i < RIG_NEXUSES && rig->nexus[i] == NULL);
	snprintf(target_port, sizeof(target_port), "%s,t,0x%04x", target, port);
	assert_int_equal(scsi_nexus_new(&params, &rig->nexus[i]), 0);
	assert_int_equal(
	    scsi_nexus_map(rig->nexus[i], 0, rig->lun, false, false), 0);
}

/* ---- the keeper ---- */

static void
keep_run(struct loop_task *task)
{
	struct lun_keep *keep = container_of(task, struct lun_keep, task);
	struct rig *rig = keep->arg;

	if (rig->keep_error == 0 && keep->saved != NULL) {
		rig->saved = *keep->saved;
	} else if (rig->keep_error == 0) {
		registry_free(rig->kept);
		rig->kept = keep->registry->aptpl
				? registry_copy(keep->registry)
				: registry_new();
		assert_non_null(rig->kept);
	}
	keep->done(keep, rig->keep_error);
}

static void
keep_it(void *arg, struct lun_keep *keep)
{
	struct rig *rig = arg;

	rig->keeps++;
	keep->task.run = keep_run;
	if (!rig->keep_hold) {
		loop_defer(rig->loop, &keep->task);
		return;
	}
	assert_null(rig->keep_held);
	rig->keep_held = keep;
}

void
rig_keep(struct rig *rig)
{
	struct lun_keep *held = rig->keep_held;

	assert_non_null(held);
	rig->keep_held = NULL;
	loop_defer(rig->loop, &held->task);
	rig_drain(rig);
}

static void
sanitizing_kept(struct loop_task *task)
{
	struct rig_keeping *keeping =
	    container_of(task, struct rig_keeping, task);

	keeping->done(keeping->arg, keeping->fail);
}

static void
sanitizing(void *arg, bool on, bool exits,
    void (*done)(void *done_arg, int result), void *done_arg)
{
	struct rig *rig = arg;
	struct rig_keeping *keeping = &rig->keeping;

	if (keeping->fail == 0)
		keeping->on = on;
	keeping->exits = exits;
	keeping->asked++;
	keeping->done = done;
	keeping->arg = done_arg;
	keeping->task.run = sanitizing_kept;
	loop_defer(keeping->loop, &keeping->task);
}

static const struct lun_keeper keepers[] = {
    {.sanitizing = sanitizing},
    {.registry = keep_it, .saved = keep_it, .sanitizing = sanitizing},
};

void
rig_open(struct rig *rig, const struct rig_params *params)
{
	struct backstore *mem;
	uint8_t uuid[16] = {1, 2, 3, 4, 5};

	memset(rig, 0, sizeof(*rig));
	rig->block_size = params->block_size == 0 ? 512 : params->block_size;
	rig->blocks = RIG_SIZE / rig->block_size;
	assert_int_equal(
	    simloop_new(1, params->buffers == 0 ? 32 << 20 : params->buffers,
		&rig->loop),
	    0);
	assert_int_equal(
	    bs_mem_new(rig->loop, RIG_SIZE, rig->block_size, &mem), 0);
	rig->spy = spy_new(mem);
	rig->spy->bs.thin = !params->thick;
	rig->spy->bs.volatile_cache = params->volatile_cache;
	rig->spy->bs.atomic_max = RIG_ATOMIC_MAX;
	rig->spy->bs.atomic_unit = RIG_ATOMIC_UNIT;
	struct lun_params lun = {
	    .bs = &rig->spy->bs,
	    .serial = "0123456789abcdef",
	    .label = "pool/lun",
	    .read_only = params->read_only,
	    .write_cache = !params->write_through,
	    .registry = params->registry,
	    .saved = params->saved,
	    .ports = params->ports,
	    .keeper = &keepers[params->keep],
	    .keeper_arg = rig,
	    .sanitizing = params->sanitizing,
	    .sanitize_exits = params->sanitize_exits,
	    .background_percent = params->background_percent,
	    .compares = params->compares,
	};
	rig->keeping.loop = rig->loop;
	rig->manager = copy_manager_new();
	lun.manager = rig->manager;
	lun_naa_from_uuid(uuid, lun.naa);
	assert_int_equal(lun_new(&lun, &rig->lun), 0);
	rig_nexus(rig, 0, RIG_A, RIG_TARGET, 1);
	rig_nexus(rig, 1, RIG_B, RIG_TARGET, 1);
	if (!params->keep_attentions)
		rig_clear_attentions(rig);
}

void
rig_clear_attentions(struct rig *rig)
{
	struct scsi_mapping *mapping;

	list_for_each (mapping, &rig->lun->mappings, link)
		mapping->attentions = 0;
}

void
rig_drain(struct rig *rig)
{
	while (simloop_step(rig->loop))
		continue;
}

struct alarm {
	struct loop_timer timer;
	bool rang;
};

static void
alarm_ring(struct loop_timer *timer)
{
	container_of(timer, struct alarm, timer)->rang = true;
}

void
rig_pass(struct rig *rig, uint64_t ns)
{
	struct alarm alarm = {.timer.expire = alarm_ring};

	loop_timer_arm(rig->loop, &alarm.timer, ns);
	assert_true(simloop_run_until(rig->loop, &alarm.rang));
}

static void
set_true(void *arg)
{
	*(bool *)arg = true;
}

void
rig_close(struct rig *rig)
{
	bool done[RIG_NEXUSES + 2] = {0};

	spy_release_all(rig->spy);
	for (unsigned i = 0; i < RIG_NEXUSES; i++) {
		if (rig->nexus[i] != NULL)
			scsi_nexus_free(rig->nexus[i], set_true, &done[i]);
		else
			done[i] = true;
	}
	if (rig->lun != NULL)
		lun_free(rig->lun, set_true, &done[RIG_NEXUSES]);
	else
		done[RIG_NEXUSES] = true;
	rig_drain(rig);
	for (unsigned i = 0; i <= RIG_NEXUSES; i++)
		assert_true(done[i]);
	copy_manager_free(rig->manager);
	bs_close(&rig->spy->bs, set_true, &done[RIG_NEXUSES + 1]);
	rig_drain(rig);
	assert_true(done[RIG_NEXUSES + 1]);
	registry_free(rig->kept);
	simloop_free(rig->loop);
}

static int
setup(void **state, const struct rig_params *params)
{
	struct rig *rig = malloc(sizeof(*rig));

	if (rig == NULL)
		return -1;
	rig_open(rig, params);
	*state = rig;
	return 0;
}

int
rig_setup_512(void **state)
{
	return setup(state, &(struct rig_params){.block_size = 512});
}

int
rig_setup_4096(void **state)
{
	return setup(state, &(struct rig_params){.block_size = 4096});
}

int
rig_teardown(void **state)
{
	rig_close(*state);
	free(*state);
	return 0;
}

/* ---- commands ---- */

static void
completed(struct scsi_task *task)
{
	struct cmd *cmd = container_of(task, struct cmd, task);

	assert_int_equal(task->phase, SCSI_TASK_COMPLETED);
	cmd->completions++;
	cmd->done = true;
}

void
cmd_init(struct cmd *cmd, struct rig *rig, const void *cdb, size_t length)
{
	memset(cmd, 0, sizeof(*cmd));
	cmd->rig = rig;
	scsi_task_init(&cmd->task);
	cmd->task.nexus = rig->nexus[0];
	memcpy(cmd->task.cdb, cdb, length);
	cmd->task.cdb_length = (uint8_t)length;
	cmd->task.attribute = SCSI_SIMPLE;
	cmd->task.expected_in = CMD_DATA_MAX;
	cmd->task.complete = completed;
}

void
cmd_out(struct cmd *cmd, const void *data, uint64_t length)
{
	cmd->out = data;
	cmd->task.expected_out = length;
	cmd->task.expected_in = 0;
}

bool
cmd_begin(struct cmd *cmd)
{
	cmd->began = scsi_task_begin(&cmd->task);
	cmd->done = !cmd->began;
	return cmd->began;
}

void
cmd_execute(struct cmd *cmd)
{
	struct scsi_task *task = &cmd->task;
	const uint8_t *from = cmd->out;

	if (task->data_length > 0) {
		assert_int_equal(scsi_task_buffers(task, task->data_length), 0);
		for (unsigned i = 0; i < task->iov_count; i++) {
			memcpy(
			    task->iov[i].iov_base, from, task->iov[i].iov_len);
			from += task->iov[i].iov_len;
		}
	}
	scsi_task_execute(task);
	assert_int_equal(cmd->completions, 0);
}

enum scsi_status
cmd_run(struct cmd *cmd)
{
	if (cmd_begin(cmd)) {
		cmd_execute(cmd);
		rig_drain(cmd->rig);
		assert_int_equal(cmd->completions, 1);
	}
	assert_true(cmd->done);
	return cmd->task.status;
}

const uint8_t *
cmd_in(struct cmd *cmd)
{
	size_t at = 0;

	for (unsigned i = 0; i < cmd->task.iov_count; i++) {
		memcpy(buffer + at, cmd->task.iov[i].iov_base,
		    cmd->task.iov[i].iov_len);
		at += cmd->task.iov[i].iov_len;
	}
	assert_true(at >= cmd->task.in_length);
	return buffer;
}

void
cmd_release(struct cmd *cmd)
{
	scsi_task_release(&cmd->task);
}

static struct scsi_sense
decode_fixed(const uint8_t *data)
{
	struct scsi_sense sense = {
	    .key = data[2], .asc = data[12], .ascq = data[13]};

	sense.information_valid = data[0] & 0x80;
	sense.information = load_be32(&data[3]);
	sense.field_valid = data[15] & 0x80;
	sense.field_in_cdb = data[15] & 0x40;
	sense.field_bit = data[15] & 0x08 ? data[15] & 7 : -1;
	sense.field_byte = load_be16(&data[16]);
	return sense;
}

struct scsi_sense
cmd_sense(const struct cmd *cmd)
{
	const uint8_t *data = cmd->task.sense;

	if (cmd->task.sense_length == 0)
		return SENSE_NONE;
	if ((data[0] & 0x7f) == 0x70)
		return decode_fixed(data);
	return (struct scsi_sense){
	    .key = data[1], .asc = data[2], .ascq = data[3]};
}

void
assert_status_(const struct cmd *cmd, const struct scsi_sense *sense,
    const char *file, int line)
{
	struct scsi_sense got = cmd_sense(cmd);
	enum scsi_status status =
	    sense == NULL ? SCSI_GOOD : SCSI_CHECK_CONDITION;

	if (cmd->task.status != status)
		print_error(
		    "status %02x, %s\n", cmd->task.status, sense_text(&got));
	_assert_int_equal(cmd->task.status, status, file, line);
	if (sense == NULL)
		return;
	if (strcmp(sense_text(&got), sense_text(sense)) != 0)
		print_error("%s\n", sense_text(&got));
	_assert_int_equal(got.key, sense->key, file, line);
	_assert_int_equal(got.asc, sense->asc, file, line);
	_assert_int_equal(got.ascq, sense->ascq, file, line);
}

/* ---- shorthands ---- */

void
rig_hears(struct rig *rig, unsigned nexus, const struct scsi_sense *sense)
{
	struct cmd cmd;

	CMD(&cmd, rig, 0, 0, 0, 0, 0, 0);
	cmd.task.nexus = rig->nexus[nexus];
	cmd_run(&cmd);
	assert_status_(&cmd, sense, __FILE__, __LINE__);
	cmd_release(&cmd);
}

void
rig_write(struct rig *rig, uint64_t lba, const void *data, uint32_t count)
{
	struct cmd cmd;

	CMD(&cmd, rig, 0x8a, 0, BE64(lba), BE32(count), 0, 0);
	cmd_out(&cmd, data, (uint64_t)count * rig->block_size);
	run_good(&cmd);
}

void
rig_read(struct rig *rig, uint64_t lba, void *data, uint32_t count)
{
	struct cmd cmd;

	CMD(&cmd, rig, 0x88, 0, BE64(lba), BE32(count), 0, 0);
	cmd_run(&cmd);
	assert_good(&cmd);
	assert_int_equal(cmd.task.in_length, (uint64_t)count * rig->block_size);
	memcpy(data, cmd_in(&cmd), cmd.task.in_length);
	cmd_release(&cmd);
}

void
rig_fill(struct rig *rig, uint64_t lba, uint32_t count, int byte)
{
	static uint8_t data[CMD_DATA_MAX];

	memset(data, byte, (size_t)count * rig->block_size);
	rig_write(rig, lba, data, count);
}

bool
rig_is(struct rig *rig, uint64_t lba, uint32_t count, int byte)
{
	static uint8_t data[CMD_DATA_MAX];
	size_t length = (size_t)count * rig->block_size;

	rig_read(rig, lba, data, count);
	return data[0] == (uint8_t)byte &&
	       memcmp(data, data + 1, length - 1) == 0;
}
