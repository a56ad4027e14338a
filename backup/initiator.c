/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/initiator.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <string.h>
#include <unistd.h>

#define TRIES_MAX  8
#define AGAIN_USEC 5000u
#define LOOK_MS    200
/* of one command; a limit of the target's is far above */
#define UNMAP_MAX (64ull << 20)

enum transfer_state { BEGUN, DONE, AGAIN, FAILED };

struct transfer {
	struct initiator *initiator;
	uint64_t offset, length;
	bool write, zero;
	enum transfer_state state;
	unsigned tries;
	struct scsi_iovec iov;
	uint8_t *data;
};

struct initiator {
	struct session *session;
	uint32_t block;
	uint64_t size;
	unsigned first, count; /* of the ring */
	unsigned in_flight;
	struct initiator_stat stat;
	struct transfer transfers[INITIATOR_DEPTH];
};

/* ---- one transfer ---- */

/* What a status says of a command; DONE, AGAIN or FAILED. */
static enum transfer_state
outcome(struct initiator *initiator, int status, const struct scsi_task *task,
    unsigned *tries)
{
	switch (status) {
	case SCSI_STATUS_GOOD:
		if (task->residual_status != SCSI_RESIDUAL_NO_RESIDUAL)
			return FAILED;
		session_heard(initiator->session);
		return DONE;
	case SCSI_STATUS_BUSY:
	case SCSI_STATUS_TASK_SET_FULL: return AGAIN;
	case SCSI_STATUS_CANCELLED:
		session_lost(initiator->session);
		return AGAIN;
	case SCSI_STATUS_CHECK_CONDITION:
		/* what is told once, and is no answer to the command */
		if (task->sense.key == SCSI_SENSE_UNIT_ATTENTION &&
		    (*tries)++ < TRIES_MAX)
			return AGAIN;
		return FAILED;
	default: return FAILED;
	}
}

static void
transfer_ended(
    struct iscsi_context *iscsi, int status, void *command_data, void *arg)
{
	struct transfer *transfer = arg;
	struct initiator *initiator = transfer->initiator;
	struct scsi_task *task = command_data;

	(void)iscsi;
	assert(initiator->in_flight > 0);
	initiator->in_flight--;
	transfer->state = outcome(initiator, status, task, &transfer->tries);
	scsi_free_scsi_task(task);
}

/* While the session is down it waits to be sent again. */
static void
transfer_send(struct transfer *transfer)
{
	struct initiator *initiator = transfer->initiator;
	struct iscsi_context *iscsi = session_up(initiator->session);
	uint64_t lba = transfer->offset / initiator->block;
	uint32_t length = (uint32_t)transfer->length;
	int block = (int)initiator->block;
	int lun = session_lun(initiator->session);
	struct scsi_task *task = NULL;

	transfer->state = AGAIN;
	transfer->iov = (struct scsi_iovec){transfer->data, length};
	if (iscsi == NULL)
		return;
	task = transfer->write
		   ? iscsi_write16_iov_task(iscsi, lun, lba, NULL, length,
			 block, 0, 0, 0, 0, 0, transfer_ended, transfer,
			 &transfer->iov, 1)
		   : iscsi_read16_iov_task(iscsi, lun, lba, length, block, 0, 0,
			 0, 0, 0, transfer_ended, transfer, &transfer->iov, 1);
	if (task == NULL) {
		session_lost(initiator->session);
		return;
	}
	transfer->state = BEGUN;
	initiator->stat.commands++;
	initiator->stat.bytes += length;
	if (++initiator->in_flight > initiator->stat.most)
		initiator->stat.most = initiator->in_flight;
}

static struct transfer *
transfer_next(struct initiator *initiator, uint64_t offset, uint64_t length)
{
	struct transfer *transfer =
	    &initiator->transfers[(initiator->first + initiator->count) %
				  INITIATOR_DEPTH];

	assert(initiator_room(initiator));
	initiator->count++;
	transfer->offset = offset;
	transfer->length = length;
	transfer->write = false;
	transfer->zero = false;
	transfer->tries = 0;
	transfer->state = DONE;
	return transfer;
}

/* ---- the ring ---- */

bool
initiator_room(const struct initiator *initiator)
{
	return initiator->count < INITIATOR_DEPTH;
}

bool
initiator_empty(const struct initiator *initiator)
{
	return initiator->count == 0;
}

/* What comes in the meantime is taken, so that the target never waits for who
 * works on the data. */
static json_t *
transfer_begin(struct transfer *transfer)
{
	struct session *session = transfer->initiator->session;

	assert(transfer->length <= TRANSFER_MAX);
	session_heard(session);
	transfer_send(transfer);
	return session_up(session) != NULL ? session_turn(session, 0) : NULL;
}

json_t *
initiator_read(struct initiator *initiator, uint64_t offset, uint32_t length)
{
	return transfer_begin(transfer_next(initiator, offset, length));
}

json_t *
initiator_write(struct initiator *initiator, const void *data, uint64_t offset,
    uint32_t length)
{
	struct transfer *transfer = transfer_next(initiator, offset, length);

	transfer->write = true;
	memcpy(transfer->data, data, length);
	return transfer_begin(transfer);
}

void
initiator_note_zero(
    struct initiator *initiator, uint64_t offset, uint64_t length)
{
	transfer_next(initiator, offset, length)->zero = true;
}

/* In their order, as far as the session is up. */
static void
send_again(struct initiator *initiator)
{
	for (unsigned i = 0; i < initiator->count; i++) {
		struct transfer *transfer =
		    &initiator
			 ->transfers[(initiator->first + i) % INITIATOR_DEPTH];
		if (transfer->state == AGAIN)
			transfer_send(transfer);
	}
}

/* What was busy is given a moment, in which others may end. */
static json_t *
wait_for(struct initiator *initiator, const struct transfer *transfer)
{
	json_t *problem;

	if (transfer->state == AGAIN && initiator->in_flight == 0)
		usleep(AGAIN_USEC);
	problem = session_turn(
	    initiator->session, initiator->in_flight > 0 ? LOOK_MS : 0);
	if (problem == NULL)
		send_again(initiator);
	return problem;
}

json_t *
initiator_oldest(struct initiator *initiator, struct piece *ret_piece)
{
	struct transfer *oldest = &initiator->transfers[initiator->first];
	json_t *problem = NULL;

	assert(!initiator_empty(initiator));
	/* of the time in which nothing was asked for nothing is to be said */
	if (oldest->state != DONE)
		session_heard(initiator->session);
	while (problem == NULL && oldest->state != DONE)
		problem = oldest->state == FAILED
			      ? session_problem(initiator->session,
				    oldest->write ? "write" : "read")
			      : wait_for(initiator, oldest);
	*ret_piece = (struct piece){
	    oldest->offset, oldest->length, oldest->zero ? NULL : oldest->data};
	return problem;
}

void
initiator_drop(struct initiator *initiator)
{
	assert(!initiator_empty(initiator));
	assert(initiator->transfers[initiator->first].state == DONE);
	initiator->first = (initiator->first + 1) % INITIATOR_DEPTH;
	initiator->count--;
}

/* ---- one command, waited for ---- */

struct command {
	struct initiator *initiator;
	struct scsi_task *(*send)(
	    struct iscsi_context *iscsi, int lun, struct command *command);
	struct unmap_list range;
	enum transfer_state state;
	unsigned tries;
	/* Of what is DONE: looks at it. */
	void (*answer)(struct initiator *initiator, struct scsi_task *task);
};

static void
command_ended(
    struct iscsi_context *iscsi, int status, void *command_data, void *arg)
{
	struct command *command = arg;

	(void)iscsi;
	command->state =
	    outcome(command->initiator, status, command_data, &command->tries);
	if (command->state == DONE && command->answer != NULL)
		command->answer(command->initiator, command_data);
	scsi_free_scsi_task(command_data);
}

static void
command_send(struct command *command)
{
	struct session *session = command->initiator->session;
	struct iscsi_context *iscsi = session_up(session);

	command->state = BEGUN;
	if (iscsi == NULL ||
	    command->send(iscsi, session_lun(session), command) == NULL) {
		session_lost(session);
		command->state = AGAIN;
	}
}

static json_t *
command_run(
    struct initiator *initiator, struct command *command, const char *doing)
{
	struct session *session = initiator->session;
	json_t *problem = NULL;

	command->initiator = initiator;
	session_heard(session);
	command_send(command);
	while (problem == NULL && command->state != DONE) {
		if (command->state == FAILED)
			return session_problem(session, doing);
		if (command->state == AGAIN)
			usleep(AGAIN_USEC);
		problem = session_turn(
		    session, command->state == BEGUN ? LOOK_MS : 0);
		if (problem == NULL && command->state == AGAIN)
			command_send(command);
	}
	/* nobody is here any more when it ends */
	if (command->state == BEGUN)
		session_drop(session);
	return problem;
}

static struct scsi_task *
send_unmap(struct iscsi_context *iscsi, int lun, struct command *command)
{
	return iscsi_unmap_task(
	    iscsi, lun, 0, 0, &command->range, 1, command_ended, command);
}

json_t *
initiator_unmap(struct initiator *initiator, uint64_t offset, uint64_t length)
{
	json_t *problem = NULL;

	while (length > 0 && problem == NULL) {
		uint64_t part = length < UNMAP_MAX ? length : UNMAP_MAX;
		struct command command = {.send = send_unmap,
		    .range = {.lba = offset / initiator->block,
			.num = (uint32_t)(part / initiator->block)}};
		problem = command_run(initiator, &command, "unmap");
		offset += part;
		length -= part;
	}
	return problem;
}

static struct scsi_task *
send_flush(struct iscsi_context *iscsi, int lun, struct command *command)
{
	return iscsi_synchronizecache16_task(
	    iscsi, lun, 0, 0, 0, 0, command_ended, command);
}

json_t *
initiator_flush(struct initiator *initiator)
{
	struct command command = {.send = send_flush};

	assert(initiator->in_flight == 0);
	return command_run(initiator, &command, "flush");
}

void
initiator_stat_get(
    const struct initiator *initiator, struct initiator_stat *ret_stat)
{
	*ret_stat = initiator->stat;
}

uint64_t
initiator_size(const struct initiator *initiator)
{
	return initiator->size;
}

/* ---- in and out ---- */

static struct scsi_task *
send_capacity(struct iscsi_context *iscsi, int lun, struct command *command)
{
	return iscsi_readcapacity16_task(iscsi, lun, command_ended, command);
}

static void
capacity_take(struct initiator *initiator, struct scsi_task *task)
{
	const struct scsi_readcapacity16 *capacity =
	    scsi_datain_unmarshall(task);

	if (capacity == NULL || capacity->block_length == 0 ||
	    capacity->block_length > 4096)
		return;
	initiator->block = capacity->block_length;
	initiator->size = (capacity->returned_lba + 1) * initiator->block;
}

static json_t *
read_capacity(struct initiator *initiator)
{
	const char *doing = "ask the size of";
	struct command command = {
	    .send = send_capacity, .answer = capacity_take};
	json_t *problem = command_run(initiator, &command, doing);

	if (problem == NULL && initiator->block == 0)
		problem = session_problem(initiator->session, doing);
	return problem;
}

json_t *
initiator_new(
    const struct session_params *params, struct initiator **ret_initiator)
{
	struct initiator *initiator = calloc(1, sizeof(*initiator));
	json_t *problem;

	assert(initiator != NULL);
	for (unsigned i = 0; i < INITIATOR_DEPTH; i++) {
		initiator->transfers[i].initiator = initiator;
		initiator->transfers[i].data = malloc(TRANSFER_MAX);
		assert(initiator->transfers[i].data != NULL);
	}
	problem = session_new(params, &initiator->session);
	if (problem == NULL)
		problem = read_capacity(initiator);
	if (problem == NULL)
		*ret_initiator = initiator;
	else
		initiator_free(initiator);
	return problem;
}

void
initiator_free(struct initiator *initiator)
{
	if (initiator == NULL)
		return;
	/* a session with commands that no one waits for is cut off */
	if (initiator->in_flight > 0)
		session_lost(initiator->session);
	session_free(initiator->session);
	for (unsigned i = 0; i < INITIATOR_DEPTH; i++)
		free(initiator->transfers[i].data);
	free(initiator);
}
