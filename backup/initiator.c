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
	struct iscsi_context *iscsi;
	const char *what;
	int lun;
	uint32_t block;
	uint64_t size;
	unsigned first, count; /* of the ring */
	unsigned in_flight;
	time_t done_at; /* a command last succeeded */
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

/* The target has no room for it now: a state that lasts as long as it lasts. */
static bool
is_busy(int status)
{
	return status == SCSI_STATUS_BUSY ||
	       status == SCSI_STATUS_TASK_SET_FULL;
}

/* What is told once, and is no answer to the command. */
static bool
is_news(int status, const struct scsi_task *task)
{
	return status == SCSI_STATUS_CANCELLED ||
	       (status == SCSI_STATUS_CHECK_CONDITION &&
		   task->sense.key == SCSI_SENSE_UNIT_ATTENTION);
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
	if (status == SCSI_STATUS_GOOD &&
	    task->residual_status == SCSI_RESIDUAL_NO_RESIDUAL) {
		transfer->state = DONE;
		initiator->done_at = time(NULL);
	} else if (is_busy(status) ||
		   (is_news(status, task) && transfer->tries++ < TRIES_MAX)) {
		transfer->state = AGAIN;
	} else {
		transfer->state = FAILED;
	}
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

	transfer->state = BEGUN;
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

/* What was busy is given a moment, in which others may end. */
static json_t *
send_again(struct initiator *initiator, struct transfer *transfer)
{
	json_t *problem = NULL;

	if (initiator->in_flight > 0)
		problem = turn(initiator);
	else
		usleep(AGAIN_USEC);
	return problem == NULL ? transfer_send(transfer) : problem;
}

static json_t *
check_stall(const struct initiator *initiator)
{
	if (time(NULL) - initiator->done_at <= INITIATOR_STALL)
		return NULL;
	return problem_why(backup_problem(BACKUP_LUN_IO,
			       "cannot read or write %s", initiator->what),
	    "no command has succeeded for %d s", INITIATOR_STALL);
}

json_t *
initiator_oldest(struct initiator *initiator, struct piece *ret_piece)
{
	struct transfer *oldest = &initiator->transfers[initiator->first];
	json_t *problem = NULL;

	assert(!initiator_empty(initiator));
	/* of the time in which nothing was asked for nothing is to be said */
	if (oldest->state != DONE)
		initiator->done_at = time(NULL);
	while (problem == NULL && oldest->state != DONE) {
		if (oldest->state == FAILED)
			return io_problem(
			    initiator, oldest->write ? "write" : "read");
		problem = oldest->state == AGAIN ? send_again(initiator, oldest)
						 : turn(initiator);
		if (problem == NULL)
			problem = check_stall(initiator);
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

static bool
unmap_once(struct initiator *initiator, uint64_t offset, uint64_t length)
{
	struct unmap_list list = {.lba = offset / initiator->block,
	    .num = (uint32_t)(length / initiator->block)};
	struct scsi_task *task =
	    iscsi_unmap_sync(initiator->iscsi, initiator->lun, 0, 0, &list, 1);
	bool good = task != NULL && task->status == SCSI_STATUS_GOOD;

	if (task != NULL)
		scsi_free_scsi_task(task);
	return good;
}

json_t *
initiator_unmap(struct initiator *initiator, uint64_t offset, uint64_t length)
{
	while (length > 0) {
		uint64_t part = length < UNMAP_MAX ? length : UNMAP_MAX;
		bool good = false;
		for (unsigned tries = 0; tries < TRIES_MAX && !good; tries++) {
			if (tries > 0)
				usleep(tries * AGAIN_USEC);
			good = unmap_once(initiator, offset, part);
		}
		if (!good)
			return io_problem(initiator, "unmap");
		offset += part;
		length -= part;
	}
	return NULL;
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
