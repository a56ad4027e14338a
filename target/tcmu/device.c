/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the ring to scsi and back; device.h says what for.  Data are the ring's
 * own memory, lent to the task: no byte is copied between it and the medium.
 *
 * Input is heard of by one poll that stays armed; answers of one turn of the
 * loop share a kick.
 */
#include "target/tcmu/device.h"
#include "base/log.h"
#include <errno.h>
#include <liburing.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define TASKS_MAX 1024u
#define TURN_MAX  128u /* commands, before others have their turn */

struct tcmu_task {
	struct scsi_task scsi;
	struct tcmu_device *device;
	struct list link; /* free, or working */
	uint16_t id;
	uint64_t length; /* of data, as the ring has them */
	unsigned lent_count;
	struct iovec lent[SCSI_TASK_IOV_MAX];
	bool done, aborting; /* aborting: tmf is under way */
	struct scsi_tmf_request tmf;
};

struct tcmu_device {
	struct loop *loop;
	struct tcmu_ring *ring;
	struct scsi_nexus *nexus;
	const char *label; /* the LUN's */
	struct loop_io poll;
	struct loop_task drain, kick;
	struct loop_timer patience;
	struct list free, working;
	unsigned task_count;
	uint64_t looked_ns; /* the turn in which look_again did */
	bool closing, lost, nexus_goes, nexus_gone;
	void (*on_lost)(void *arg, const char *why);
	void *lost_arg;
	void (*done)(void *arg);
	void *arg;
	struct tcmu_event event; /* too large for a stack */
};

/* ---- tasks ---- */

static void task_complete(struct scsi_task *scsi);

/* NULL: all are at work, or no memory. */
static struct tcmu_task *
task_take(struct tcmu_device *device)
{
	struct tcmu_task *task =
	    list_first(&device->free, struct tcmu_task, link);

	if (task != NULL) {
		list_del(&task->link);
	} else {
		if (device->task_count == TASKS_MAX)
			return NULL;
		task = calloc(1, sizeof(*task));
		if (task == NULL)
			return NULL;
		device->task_count++;
		task->device = device;
	}
	scsi_task_init(&task->scsi);
	list_add_tail(&device->working, &task->link);
	return task;
}

static struct tcmu_task *
task_find(struct tcmu_device *device, uint16_t id)
{
	struct tcmu_task *task;

	list_for_each (task, &device->working, link) {
		if (task->id == id && !task->done)
			return task;
	}
	return NULL;
}

static void close_check(struct tcmu_device *device);

static void
task_give(struct tcmu_task *task)
{
	if (!task->done || task->aborting)
		return;
	list_del(&task->link);
	list_add_tail(&task->device->free, &task->link);
	close_check(task->device);
}

/* ---- answers ---- */

static void drain(struct tcmu_device *device);

static void
device_lose(struct tcmu_device *device, const char *why)
{
	if (device->lost)
		return;
	device->lost = true;
	log_error("%s: %s", device->label, why);
	if (!device->closing)
		device->on_lost(device->lost_arg, why);
}

/* While the kernel was told, more may have come: its initiators wait for
 * answers.  Looking costs nothing, being told by the poll a system call and a
 * turn.  Once a turn: whoever sends without pause does not hold the loop. */
static void
look_again(struct tcmu_device *device)
{
	uint64_t now_ns = loop_now(device->loop);

	if (device->looked_ns == now_ns)
		return;
	device->looked_ns = now_ns;
	drain(device);
}

static void
kick(struct tcmu_device *device)
{
	if (tcmu_ring_kick(device->ring) < 0)
		device_lose(device, "its kernel device is gone");
}

static void
kick_run(struct loop_task *loop_task)
{
	struct tcmu_device *device =
	    container_of(loop_task, struct tcmu_device, kick);

	kick(device);
	if (!device->lost)
		look_again(device);
	close_check(device);
}

static void
answer(struct tcmu_device *device, const struct tcmu_answer *answer)
{
	tcmu_ring_complete(device->ring, answer);
	if (!device->kick.queued)
		loop_defer(device->loop, &device->kick);
}

static void
zero_from(const struct tcmu_task *task, uint64_t from)
{
	struct iovec piece[SCSI_TASK_IOV_MAX];
	uint64_t there = bs_iov_length(task->lent, task->lent_count);
	unsigned count = from >= there
			     ? 0
			     : bs_iov_slice(task->lent, task->lent_count, from,
				   there - from, piece, SCSI_TASK_IOV_MAX);

	for (unsigned i = 0; i < count; i++)
		memset(piece[i].iov_base, 0, piece[i].iov_len);
}

/* The task had to have buffers of its own: a command that reads more than its
 * initiator has room for. */
static void
copy_back(const struct tcmu_task *task)
{
	uint64_t rest = task->scsi.in_length, at = 0;

	for (unsigned i = 0; i < task->scsi.iov_count && rest > 0; i++) {
		const uint8_t *from = task->scsi.iov[i].iov_base;
		size_t length = task->scsi.iov[i].iov_len;
		struct iovec piece[SCSI_TASK_IOV_MAX];
		if (length > rest)
			length = (size_t)rest;
		unsigned count = bs_iov_slice(task->lent, task->lent_count, at,
		    length, piece, SCSI_TASK_IOV_MAX);
		for (unsigned p = 0; p < count; p++) {
			memcpy(piece[p].iov_base, from, piece[p].iov_len);
			from += piece[p].iov_len;
		}
		at += length;
		rest -= length;
	}
}

/* The kernel copies to the initiator what lies in the data, and before a
 * command that reads that is what another left there.  Only of a command that
 * took its data as Data-Out it is the initiator's own; with CHECK CONDITION
 * nothing is copied. */
static void
data_in_end(const struct tcmu_task *task, struct tcmu_answer *answer)
{
	uint64_t length = task->scsi.in_length;

	if (length == task->length || task->scsi.data_length > 0 ||
	    answer->status == SCSI_CHECK_CONDITION)
		return;
	if (length == 0 || !task->device->ring->has_length) {
		zero_from(task, length);
		return;
	}
	answer->is_short = true;
	answer->length = (uint32_t)length;
}

static void
task_answer(struct tcmu_task *task)
{
	const struct scsi_task *scsi = &task->scsi;
	struct tcmu_answer a = {.id = task->id, .status = scsi->status};

	if (scsi->aborted)
		a.status =
		    task->device->closing ? SCSI_BUSY : SCSI_TASK_ABORTED;
	if (a.status == SCSI_CHECK_CONDITION) {
		a.sense = scsi->sense;
		a.sense_length = scsi->sense_length;
	}
	if (!scsi->borrowed && !scsi->aborted)
		copy_back(task);
	data_in_end(task, &a);
	answer(task->device, &a);
}

static void
task_end(struct tcmu_task *task)
{
	task_answer(task);
	if (task->scsi.compare != NULL)
		kick(task->device); /* before it is forgotten */
	scsi_task_release(&task->scsi);
	task->done = true;
	task_give(task);
}

static void
task_complete(struct scsi_task *scsi)
{
	struct tcmu_task *task = container_of(scsi, struct tcmu_task, scsi);

	ASSERT_MAGIC(scsi, SCSI_TASK_MAGIC);
	task_end(task);
}

/* ---- what comes ---- */

static void
command_refuse(struct tcmu_device *device, const struct tcmu_command *command)
{
	const struct tcmu_answer full = {
	    .id = command->id, .status = SCSI_TASK_SET_FULL};

	for (unsigned i = 0; i < command->iov_count; i++)
		memset(command->iov[i].iov_base, 0, command->iov[i].iov_len);
	answer(device, &full);
}

/* In more pieces than a task has elements: larger than any command of ours
 * moves, by how devices are made (lio_device.c). */
static void
command_too_large(
    struct tcmu_device *device, const struct tcmu_command *command)
{
	uint8_t sense[SENSE_DATA_MAX];
	const struct tcmu_answer no = {.id = command->id,
	    .status = SCSI_CHECK_CONDITION,
	    .sense = sense,
	    .sense_length = (unsigned)sense_encode(
		&SENSE_INVALID_FIELD_IN_CDB, false, sense)};

	answer(device, &no);
}

static void
lend(struct tcmu_task *task, const struct tcmu_command *command)
{
	struct scsi_task *scsi = &task->scsi;

	task->length = command->length;
	task->lent_count = command->iov_count;
	memcpy(task->lent, command->iov,
	    command->iov_count * sizeof(command->iov[0]));
	memcpy(scsi->iov, task->lent, sizeof(task->lent));
	scsi->iov_count = task->lent_count;
	scsi->borrowed = true;
}

static void
command_begin(struct tcmu_device *device, const struct tcmu_command *command)
{
	struct tcmu_task *task;
	struct scsi_task *scsi;

	if (bs_iov_length(command->iov, command->iov_count) !=
	    command->length) {
		command_too_large(device, command);
		return;
	}
	task = task_take(device);
	if (task == NULL) {
		command_refuse(device, command);
		return;
	}
	scsi = &task->scsi;
	task->id = command->id;
	task->done = task->aborting = false;
	scsi->nexus = device->nexus;
	memcpy(scsi->cdb, command->cdb, sizeof(scsi->cdb));
	scsi->cdb_length = command->cdb_length;
	scsi->attribute = SCSI_SIMPLE;
	scsi->tag = command->id;
	scsi->expected_out = scsi->expected_in = command->length;
	scsi->complete = task_complete;
	lend(task, command);
	if (scsi_task_begin(scsi))
		scsi_task_execute(scsi);
	else
		task_end(task);
}

static void
abort_done(struct scsi_tmf_request *request)
{
	struct tcmu_task *task = container_of(request, struct tcmu_task, tmf);

	task->aborting = false;
	task_give(task);
}

/* The kernel waits for each to be completed; that is all it wants to hear. */
static void
command_abort(struct tcmu_device *device, uint16_t id)
{
	struct tcmu_task *task = task_find(device, id);

	if (task == NULL || task->aborting)
		return;
	task->aborting = true;
	task->tmf = (struct scsi_tmf_request){
	    .nexus = device->nexus,
	    .function = SCSI_ABORT_TASK,
	    .tag = id,
	    .done = abort_done,
	};
	scsi_tmf(&task->tmf);
}

static void
event_take(struct tcmu_device *device)
{
	const struct tcmu_event *event = &device->event;

	if (event->kind == TCMU_COMMAND) {
		command_begin(device, &event->command);
		return;
	}
	for (unsigned i = 0; i < event->abort_count; i++)
		command_abort(device, event->abort[i]);
}

static void
drain_run(struct loop_task *loop_task)
{
	struct tcmu_device *device =
	    container_of(loop_task, struct tcmu_device, drain);
	int ret = 1;

	for (unsigned i = 0; i < TURN_MAX && ret > 0 && !device->closing; i++) {
		ret = tcmu_ring_next(device->ring, &device->event);
		if (ret > 0)
			event_take(device);
	}
	if (ret < 0)
		device_lose(device, "the ring of its kernel device is broken");
	else if (ret > 0 && !device->closing)
		loop_defer(device->loop, &device->drain);
	close_check(device);
}

static void
drain(struct tcmu_device *device)
{
	if (!device->drain.queued && !device->lost)
		loop_defer(device->loop, &device->drain);
}

static void
poll_arm(struct tcmu_device *device)
{
	io_uring_prep_poll_multishot(
	    loop_sqe(device->loop, &device->poll), device->ring->fd, POLLIN);
}

static void
poll_done(struct loop_io *io, int result, uint32_t flags)
{
	struct tcmu_device *device = container_of(io, struct tcmu_device, poll);
	bool more = flags & IORING_CQE_F_MORE;

	if (device->closing) {
		close_check(device);
		return;
	}
	if (result < 0 || (result & (POLLERR | POLLHUP)) != 0) {
		device_lose(device, "its kernel device is gone");
		return;
	}
	drain(device);
	if (!more)
		poll_arm(device);
}

/* ---- life ---- */

static void
device_free(struct tcmu_device *device)
{
	struct list *node;

	while ((node = list_pop(&device->free)) != NULL)
		free(list_entry(node, struct tcmu_task, link));
	tcmu_ring_close(device->ring);
	free(device);
}

static void
close_check(struct tcmu_device *device)
{
	void (*done)(void *arg) = device->done;
	void *arg = device->arg;

	if (!device->closing || !list_empty(&device->working))
		return;
	if (!device->nexus_goes) /* nothing is left to wait for */
		loop_timer_arm(device->loop, &device->patience, 0);
	if (!device->nexus_gone || device->poll.in_flight ||
	    device->drain.queued || device->kick.queued)
		return;
	device_free(device);
	done(arg);
}

static void
nexus_gone(void *arg)
{
	struct tcmu_device *device = arg;

	device->nexus_gone = true;
	close_check(device);
}

static void
patience_over(struct loop_timer *timer)
{
	struct tcmu_device *device =
	    container_of(timer, struct tcmu_device, patience);

	device->nexus_goes = true;
	scsi_nexus_free(device->nexus, nexus_gone, device);
}

int
tcmu_device_new(
    const struct tcmu_device_params *params, struct tcmu_device **ret_device)
{
	struct tcmu_device *device = calloc(1, sizeof(*device));
	const struct scsi_nexus_params nexus = {.loop = params->loop,
	    .initiator_port = "kernel",
	    .target_port = params->target_name,
	    .relative_port = 1,
	    .target_name = params->target_name,
	    .is_shared = true};
	int ret =
	    device != NULL ? scsi_nexus_new(&nexus, &device->nexus) : -ENOMEM;

	if (ret == 0)
		ret =
		    scsi_nexus_map(device->nexus, 0, params->lun, false, false);
	if (ret < 0) {
		if (device != NULL && device->nexus != NULL)
			scsi_nexus_free(device->nexus, NULL, NULL);
		tcmu_ring_close(params->ring);
		free(device);
		return ret;
	}
	device->loop = params->loop;
	device->ring = params->ring;
	device->label = lun_label(params->lun);
	device->on_lost = params->lost;
	device->lost_arg = params->arg;
	device->drain.run = drain_run;
	device->kick.run = kick_run;
	device->patience.expire = patience_over;
	list_init(&device->free);
	list_init(&device->working);
	loop_io_init(&device->poll, poll_done);
	poll_arm(device);
	drain(device); /* what came before the poll */
	*ret_device = device;
	return 0;
}

void
tcmu_device_close(struct tcmu_device *device, uint64_t patience_ns,
    void (*done)(void *arg), void *arg)
{
	assert(!device->closing);
	device->closing = true;
	device->done = done;
	device->arg = arg;
	if (device->poll.in_flight)
		loop_cancel(device->loop, &device->poll);
	loop_timer_arm(device->loop, &device->patience, patience_ns);
	close_check(device);
}

int
tcmu_device_fd(const struct tcmu_device *device)
{
	return device->ring->is_heritable ? device->ring->fd : -1;
}
