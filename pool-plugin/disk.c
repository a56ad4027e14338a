/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool-plugin/disk.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>
#include <poll.h>
#include <string.h>

#define BLOCK_MAX 4096u

struct disk {
	struct iscsi_context *iscsi;
	int lun;
	uint32_t block_bytes;
	uint64_t block_count;
	uint32_t unmap_blocks, same_blocks; /* the most of one command */
};

static json_t *
disk_problem(const char *doing, const char *why)
{
	return problem_new(VARVE_FAILED, "plugin.disk", "cannot %s: %s", doing,
	    why != NULL && why[0] != '\0' ? why : "no reason given");
}

/* Only what the target says of a command is libiscsi's to tell: of a session
 * that broke its text may be of an earlier command. */
static const char *
reason(const struct disk *disk, const struct scsi_task *task)
{
	if (task == NULL)
		return "the session was lost";
	switch (task->status) {
	case SCSI_STATUS_CANCELLED:
	case SCSI_STATUS_ERROR: return "the session was lost";
	case SCSI_STATUS_TIMEOUT: return "the target does not answer";
	default: return iscsi_get_error(disk->iscsi);
	}
}

/* Frees task. */
static json_t *
outcome(const struct disk *disk, struct scsi_task *task, const char *doing)
{
	bool good = task != NULL && task->status == SCSI_STATUS_GOOD;
	json_t *problem = good ? NULL : disk_problem(doing, reason(disk, task));

	if (task != NULL)
		scsi_free_scsi_task(task);
	return problem;
}

/* ---- opening ---- */

static json_t *
log_in(struct disk *disk, const struct disk_address *address)
{
	if (iscsi_set_targetname(disk->iscsi, address->iqn) < 0 ||
	    iscsi_set_session_type(disk->iscsi, ISCSI_SESSION_NORMAL) < 0 ||
	    (address->user != NULL &&
		iscsi_set_initiator_username_pwd(
		    disk->iscsi, address->user, address->secret) < 0))
		return disk_problem(
		    "set up a session", iscsi_get_error(disk->iscsi));
	iscsi_set_noautoreconnect(disk->iscsi, 1);
	iscsi_set_timeout(disk->iscsi, DISK_TIMEOUT_S);
	if (iscsi_full_connect_sync(disk->iscsi, address->portal, disk->lun) <
	    0)
		return disk_problem("log in", iscsi_get_error(disk->iscsi));
	return NULL;
}

static json_t *
read_capacity(struct disk *disk)
{
	struct scsi_task *task =
	    iscsi_readcapacity16_sync(disk->iscsi, disk->lun);
	const struct scsi_readcapacity16 *capacity = NULL;

	if (task != NULL && task->status == SCSI_STATUS_GOOD)
		capacity = scsi_datain_unmarshall(task);
	if (capacity != NULL) {
		disk->block_bytes = capacity->block_length;
		disk->block_count = capacity->returned_lba + 1;
	}
	json_t *problem = outcome(disk, task, "read the capacity");
	if (problem == NULL && (capacity == NULL || disk->block_bytes < 512 ||
				   disk->block_bytes > BLOCK_MAX ||
				   DISK_PIECE_MAX % disk->block_bytes != 0))
		problem = problem_new(VARVE_FAILED, "plugin.disk",
		    "cannot use the disk: its block has %u bytes",
		    disk->block_bytes);
	return problem;
}

/* SBC-4 6.6.4: Block Limits VPD page */
static json_t *
read_limits(struct disk *disk)
{
	struct scsi_task *task = iscsi_inquiry_sync(
	    disk->iscsi, disk->lun, 1, SCSI_INQUIRY_PAGECODE_BLOCK_LIMITS, 255);
	const struct scsi_inquiry_block_limits *limits = NULL;

	if (task != NULL && task->status == SCSI_STATUS_GOOD)
		limits = scsi_datain_unmarshall(task);
	if (limits != NULL) {
		disk->unmap_blocks = limits->max_unmap;
		disk->same_blocks = limits->max_ws_len > UINT32_MAX
					? UINT32_MAX
					: (uint32_t)limits->max_ws_len;
	}
	return outcome(disk, task, "read the block limits");
}

json_t *
disk_open(const struct disk_address *address, struct disk **ret_disk)
{
	struct disk *disk = calloc(1, sizeof(*disk));
	json_t *problem;

	assert(disk != NULL);
	disk->lun = (int)address->number;
	disk->iscsi = iscsi_create_context(address->initiator);
	assert(disk->iscsi != NULL);
	problem = log_in(disk, address);
	if (problem == NULL)
		problem = read_capacity(disk);
	if (problem == NULL)
		problem = read_limits(disk);
	if (problem != NULL) {
		disk_close(disk);
		return problem;
	}
	*ret_disk = disk;
	return NULL;
}

void
disk_close(struct disk *disk)
{
	if (disk == NULL)
		return;
	if (iscsi_is_logged_in(disk->iscsi))
		iscsi_logout_sync(disk->iscsi);
	iscsi_destroy_context(disk->iscsi);
	free(disk);
}

uint64_t
disk_size(const struct disk *disk)
{
	return disk->block_count * disk->block_bytes;
}

/* ---- whole blocks ---- */

static json_t *
read_blocks(struct disk *disk, uint64_t lba, uint8_t *data, uint32_t length)
{
	struct scsi_iovec iov = {.iov_base = data, .iov_len = length};
	struct scsi_task *task;

	/* its sibling without iov returns an empty buffer in libiscsi 1.20 */
	task = iscsi_read16_iov_sync(disk->iscsi, disk->lun, lba, length,
	    (int)disk->block_bytes, 0, 0, 0, 0, 0, &iov, 1);
	if (task != NULL && task->status == SCSI_STATUS_GOOD &&
	    task->residual_status != SCSI_RESIDUAL_NO_RESIDUAL) {
		scsi_free_scsi_task(task);
		return disk_problem(
		    "read", "fewer bytes came than were asked for");
	}
	return outcome(disk, task, "read");
}

static json_t *
write_blocks(
    struct disk *disk, uint64_t lba, const uint8_t *data, uint32_t length)
{
	return outcome(disk,
	    iscsi_write16_sync(disk->iscsi, disk->lun, lba,
		(unsigned char *)(uintptr_t)data, length,
		(int)disk->block_bytes, 0, 0, 0, 0, 0),
	    "write");
}

/* ---- any bytes ---- */

/* Some bytes of one block: what there is of them from offset on. */
struct part {
	uint64_t lba;
	uint32_t skip, length;
};

static struct part
part_of(const struct disk *disk, uint64_t offset, uint32_t length)
{
	struct part part = {.lba = offset / disk->block_bytes,
	    .skip = (uint32_t)(offset % disk->block_bytes)};
	uint32_t room = disk->block_bytes - part.skip;

	part.length = length < room ? length : room;
	return part;
}

static bool
is_whole(const struct disk *disk, uint64_t offset, uint32_t length)
{
	return offset % disk->block_bytes == 0 && length >= disk->block_bytes;
}

static uint32_t
whole_bytes(const struct disk *disk, uint32_t length)
{
	return length / disk->block_bytes * disk->block_bytes;
}

static json_t *
read_part(struct disk *disk, const struct part *part, uint8_t *data)
{
	uint8_t block[BLOCK_MAX];
	json_t *problem =
	    read_blocks(disk, part->lba, block, disk->block_bytes);

	if (problem == NULL)
		memcpy(data, block + part->skip, part->length);
	return problem;
}

static json_t *
write_part(struct disk *disk, const struct part *part, const uint8_t *data)
{
	uint8_t block[BLOCK_MAX];
	json_t *problem =
	    read_blocks(disk, part->lba, block, disk->block_bytes);

	if (problem != NULL)
		return problem;
	memcpy(block + part->skip, data, part->length);
	return write_blocks(disk, part->lba, block, disk->block_bytes);
}

static void
check_range(const struct disk *disk, uint64_t offset, uint32_t length)
{
	assert(length <= DISK_PIECE_MAX);
	assert(offset <= disk_size(disk));
	assert(length <= disk_size(disk) - offset);
}

json_t *
disk_read(struct disk *disk, uint64_t offset, void *data, uint32_t length)
{
	uint8_t *next = data;
	json_t *problem = NULL;

	check_range(disk, offset, length);
	while (length > 0 && problem == NULL) {
		struct part part = part_of(disk, offset, length);
		if (is_whole(disk, offset, length)) {
			part.length = whole_bytes(disk, length);
			problem =
			    read_blocks(disk, part.lba, next, part.length);
		} else {
			problem = read_part(disk, &part, next);
		}
		next += part.length;
		offset += part.length;
		length -= part.length;
	}
	return problem;
}

json_t *
disk_write(
    struct disk *disk, uint64_t offset, const void *data, uint32_t length)
{
	const uint8_t *next = data;
	json_t *problem = NULL;

	check_range(disk, offset, length);
	while (length > 0 && problem == NULL) {
		struct part part = part_of(disk, offset, length);
		if (is_whole(disk, offset, length)) {
			part.length = whole_bytes(disk, length);
			problem =
			    write_blocks(disk, part.lba, next, part.length);
		} else {
			problem = write_part(disk, &part, next);
		}
		next += part.length;
		offset += part.length;
		length -= part.length;
	}
	return problem;
}

json_t *
disk_flush(struct disk *disk)
{
	return outcome(disk,
	    iscsi_synchronizecache16_sync(disk->iscsi, disk->lun, 0, 0, 0, 0),
	    "flush");
}

/* ---- waiting ---- */

/* RFC 7143 11.19: a NOP-In is answered by libiscsi, if it is let. */
void
disk_wait(struct disk *disk, int fd, short events)
{
	struct pollfd ends[2] = {{.fd = fd, .events = events}, {.fd = -1}};
	bool alive = true;

	do {
		ends[1].fd = alive ? iscsi_get_fd(disk->iscsi) : -1;
		ends[1].events = (short)iscsi_which_events(disk->iscsi);
		ends[0].revents = ends[1].revents = 0;
		if (poll(ends, 2, -1) > 0 && ends[1].revents != 0)
			alive =
			    iscsi_service(disk->iscsi, ends[1].revents) == 0;
	} while (ends[0].revents == 0);
}

/* ---- wiping ---- */

static json_t *
unmap_piece(struct disk *disk, uint64_t lba, uint32_t blocks)
{
	struct unmap_list range = {.lba = lba, .num = blocks};

	return outcome(disk,
	    iscsi_unmap_sync(disk->iscsi, disk->lun, 0, 0, &range, 1), "trim");
}

static json_t *
zero_piece(struct disk *disk, uint64_t lba, uint32_t blocks)
{
	uint8_t zeros[BLOCK_MAX] = {0};

	return outcome(disk,
	    iscsi_writesame16_sync(disk->iscsi, disk->lun, lba, zeros,
		disk->block_bytes, blocks, 0, 1, 0, 0),
	    "write zeros");
}

/* A limit of 0 is none (SBC-4 6.6.4). */
static uint32_t
piece_blocks(const struct disk *disk, bool zeros, uint64_t left)
{
	uint32_t most = zeros ? disk->same_blocks : disk->unmap_blocks;

	if (most == 0)
		most = DISK_PIECE_MAX;
	return left < most ? (uint32_t)left : most;
}

json_t *
disk_wipe(struct disk *disk, bool zeros)
{
	json_t *problem = NULL;
	uint64_t lba = 0;

	while (lba < disk->block_count && problem == NULL) {
		uint32_t blocks =
		    piece_blocks(disk, zeros, disk->block_count - lba);
		problem = (zeros ? zero_piece : unmap_piece)(disk, lba, blocks);
		lba += blocks;
	}
	return problem != NULL ? problem : disk_flush(disk);
}
