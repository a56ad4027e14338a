/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/initiator.h"
#include "backup/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#define TRIES_MAX      8
#define AGAIN_USEC     5000u
#define LOOK_MS        200
#define LOGIN_SECONDS  30
#define RECONNECTS_MAX 20

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
	struct iscsi_context *iscsi;
	const char *what;
	int lun;
	uint32_t block;
	uint64_t size;
	unsigned first, count; /* of the ring */
	unsigned in_flight;
	struct initiator_stat stat;
	struct transfer transfers[INITIATOR_DEPTH];
};

static json_t *
io_problem(const struct initiator *initiator, const char *doing)
{
	return problem_why(backup_problem(BACKUP_LUN_IO, "cannot %s %s", doing,
			       initiator->what),
	    "%s", iscsi_get_error(initiator->iscsi));
}

/* ---- one transfer ---- */

static bool
passes(int status, const struct scsi_task *task)
{
	return status == SCSI_STATUS_BUSY ||
	       status == SCSI_STATUS_TASK_SET_FULL ||
	       status == SCSI_STATUS_CANCELLED ||
	       (status == SCSI_STATUS_CHECK_CONDITION &&
		   task->sense.key == SCSI_SENSE_UNIT_ATTENTION);
}

static void
transfer_ended(
    struct iscsi_context *iscsi, int status, void *command_data, void *arg)
{
	struct transfer *transfer = arg;
	struct scsi_task *task = command_data;

	(void)iscsi;
	assert(transfer->initiator->in_flight > 0);
	transfer->initiator->in_flight--;
	if (status == SCSI_STATUS_GOOD &&
	    task->residual_status == SCSI_RESIDUAL_NO_RESIDUAL)
		transfer->state = DONE;
	else if (passes(status, task) && transfer->tries < TRIES_MAX)
		transfer->state = AGAIN;
	else
		transfer->state = FAILED;
	scsi_free_scsi_task(task);
}

static json_t *
transfer_send(struct transfer *transfer)
{
	struct initiator *initiator = transfer->initiator;
	uint64_t lba = transfer->offset / initiator->block;
	uint32_t length = (uint32_t)transfer->length;
	int block = (int)initiator->block;
	struct scsi_task *task;

	/* what was busy is given a moment */
	if (transfer->tries > 0)
		usleep(transfer->tries * AGAIN_USEC);
	transfer->state = BEGUN;
	transfer->tries++;
	transfer->iov = (struct scsi_iovec){transfer->data, length};
	task = transfer->write
		   ? iscsi_write16_iov_task(initiator->iscsi, initiator->lun,
			 lba, NULL, length, block, 0, 0, 0, 0, 0,
			 transfer_ended, transfer, &transfer->iov, 1)
		   : iscsi_read16_iov_task(initiator->iscsi, initiator->lun,
			 lba, length, block, 0, 0, 0, 0, 0, transfer_ended,
			 transfer, &transfer->iov, 1);
	if (task == NULL)
		return io_problem(
		    initiator, transfer->write ? "write" : "read");
	initiator->stat.commands++;
	initiator->stat.bytes += length;
	if (++initiator->in_flight > initiator->stat.most)
		initiator->stat.most = initiator->in_flight;
	return NULL;
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
service_now(struct initiator *initiator)
{
	struct pollfd pollfd = {.fd = iscsi_get_fd(initiator->iscsi),
	    .events = (short)iscsi_which_events(initiator->iscsi)};

	if (poll(&pollfd, 1, 0) > 0 &&
	    iscsi_service(initiator->iscsi, pollfd.revents) < 0)
		return io_problem(initiator, "read or write");
	return NULL;
}

json_t *
initiator_read(struct initiator *initiator, uint64_t offset, uint32_t length)
{
	struct transfer *transfer = transfer_next(initiator, offset, length);
	json_t *problem;

	assert(length <= TRANSFER_MAX);
	problem = transfer_send(transfer);
	return problem != NULL ? problem : service_now(initiator);
}

json_t *
initiator_write(struct initiator *initiator, const void *data, uint64_t offset,
    uint32_t length)
{
	struct transfer *transfer = transfer_next(initiator, offset, length);
	json_t *problem;

	assert(length <= TRANSFER_MAX);
	transfer->write = true;
	memcpy(transfer->data, data, length);
	problem = transfer_send(transfer);
	return problem != NULL ? problem : service_now(initiator);
}

void
initiator_note_zero(
    struct initiator *initiator, uint64_t offset, uint64_t length)
{
	transfer_next(initiator, offset, length)->zero = true;
}

static unsigned
ended_count(const struct initiator *initiator)
{
	return initiator->count - initiator->in_flight;
}

/* Once round: commands go out, answers come in. */
static json_t *
turn(struct initiator *initiator)
{
	struct pollfd pollfd = {.fd = iscsi_get_fd(initiator->iscsi),
	    .events = (short)iscsi_which_events(initiator->iscsi)};

	if (poll(&pollfd, 1, LOOK_MS) < 0 && errno != EINTR)
		return io_problem(initiator, "wait for");
	if (iscsi_service(initiator->iscsi, pollfd.revents) < 0)
		return io_problem(initiator, "read or write");
	return NULL;
}

json_t *
initiator_oldest(struct initiator *initiator, struct piece *ret_piece)
{
	struct transfer *oldest = &initiator->transfers[initiator->first];
	unsigned ended = ended_count(initiator);
	time_t since = time(NULL);
	json_t *problem = NULL;

	assert(!initiator_empty(initiator));
	while (problem == NULL && oldest->state != DONE) {
		if (oldest->state == FAILED)
			return io_problem(
			    initiator, oldest->write ? "write" : "read");
		problem = oldest->state == AGAIN ? transfer_send(oldest)
						 : turn(initiator);
		if (ended_count(initiator) != ended)
			since = time(NULL);
		ended = ended_count(initiator);
		if (problem == NULL && time(NULL) - since > INITIATOR_STALL)
			problem = problem_why(
			    backup_problem(BACKUP_LUN_IO,
				"cannot read or write %s", initiator->what),
			    "nothing came from the target for %d s",
			    INITIATOR_STALL);
	}
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

json_t *
initiator_flush(struct initiator *initiator)
{
	struct scsi_task *task;
	bool good = false;

	assert(initiator->in_flight == 0);
	for (unsigned tries = 0; tries < TRIES_MAX && !good; tries++) {
		task = iscsi_synchronizecache16_sync(
		    initiator->iscsi, initiator->lun, 0, 0, 0, 0);
		good = task != NULL && task->status == SCSI_STATUS_GOOD;
		if (task != NULL)
			scsi_free_scsi_task(task);
	}
	return good ? NULL : io_problem(initiator, "flush");
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

/* UNIT ATTENTIONs of a new nexus are heard and forgotten. */
static json_t *
read_capacity(struct initiator *initiator)
{
	const struct scsi_readcapacity16 *capacity = NULL;
	struct scsi_task *task = NULL;

	for (unsigned tries = 0; tries < TRIES_MAX && capacity == NULL;
	     tries++) {
		if (task != NULL)
			scsi_free_scsi_task(task);
		task =
		    iscsi_readcapacity16_sync(initiator->iscsi, initiator->lun);
		if (task != NULL && task->status == SCSI_STATUS_GOOD)
			capacity = scsi_datain_unmarshall(task);
	}
	if (capacity != NULL && capacity->block_length > 0 &&
	    capacity->block_length <= 4096) {
		initiator->block = capacity->block_length;
		initiator->size =
		    (capacity->returned_lba + 1) * initiator->block;
	}
	if (task != NULL)
		scsi_free_scsi_task(task);
	return initiator->block > 0 ? NULL
				    : io_problem(initiator, "ask the size of");
}

static json_t *
login(struct initiator *initiator, const struct initiator_params *params)
{
	struct iscsi_context *iscsi = initiator->iscsi;

	iscsi_set_targetname(iscsi, params->target);
	iscsi_set_session_type(iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_timeout(iscsi, LOGIN_SECONDS);
	if (params->user != NULL)
		iscsi_set_initiator_username_pwd(
		    iscsi, params->user, params->secret);
	if (iscsi_full_connect_sync(iscsi, params->portal, params->lun) != 0)
		return io_problem(initiator, "log in for");
	/* from here on a slow disk is no reason to give up a command */
	iscsi_set_timeout(iscsi, 0);
	iscsi_set_reconnect_max_retries(iscsi, RECONNECTS_MAX);
	return read_capacity(initiator);
}

json_t *
initiator_new(
    const struct initiator_params *params, struct initiator **ret_initiator)
{
	struct initiator *initiator = calloc(1, sizeof(*initiator));
	json_t *problem;

	assert(initiator != NULL);
	initiator->what = params->what;
	initiator->lun = params->lun;
	for (unsigned i = 0; i < INITIATOR_DEPTH; i++) {
		initiator->transfers[i].initiator = initiator;
		initiator->transfers[i].data = malloc(TRANSFER_MAX);
		assert(initiator->transfers[i].data != NULL);
	}
	initiator->iscsi = iscsi_create_context(params->name);
	assert(initiator->iscsi != NULL);
	problem = login(initiator, params);
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
	iscsi_set_noautoreconnect(initiator->iscsi, 1);
	/* a session with commands that no one waits for is cut off */
	if (initiator->in_flight == 0)
		iscsi_logout_sync(initiator->iscsi);
	iscsi_destroy_context(initiator->iscsi);
	for (unsigned i = 0; i < INITIATOR_DEPTH; i++)
		free(initiator->transfers[i].data);
	free(initiator);
}
