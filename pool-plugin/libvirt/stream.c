/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Life of a transfer, which has two owners, its thread and its stream:
 *
 *	moving     the thread works; the stream reads or writes its end
 *	done       the thread has set the outcome, and closes its end then, so
 *	           that who sees the end finds the outcome; of an upload that
 *	           failed it takes what comes still, because libvirtd says of a
 *	           socket that breaks only that it broke, and hangs up
 *	finished   the stream was finished or aborted: of an upload it waits for
 *	           the thread, because what was sent last is not on the disk yet
 */
#include "pool-plugin/libvirt/stream.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/list.h"
#include "pool-plugin/libvirt/pool.h"
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#define VIR_FROM_THIS VIR_FROM_STREAMS

VIR_LOG_INIT("varve.stream");

/* For the last pieces of an upload, and the flush. */
#define FINISH_TIMEOUT_S 10

struct transfer {
	struct list link; /* among transfers, while the stream has it */
	virStreamPtr stream;
	unsigned owners;
	bool upload, done, aborted;
	int fd; /* the thread's end */
	struct disk *disk;
	uint64_t offset, left; /* bytes to move */
	bool exact;            /* all of left must come */
	json_t *problem;
};

static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct list list;
	const virStreamDriver *stock;
	virStreamDriver wrapped;
} transfers = {.lock = PTHREAD_MUTEX_INITIALIZER,
    .changed = PTHREAD_COND_INITIALIZER,
    .list = LIST_INIT(transfers.list)};

/* Under the lock. */
static void
transfer_unref(struct transfer *transfer)
{
	assert(transfer->owners > 0);
	if (--transfer->owners > 0)
		return;
	json_decref(transfer->problem);
	g_free(transfer);
}

static struct transfer *
transfer_find(virStreamPtr stream)
{
	struct transfer *transfer;

	list_for_each (transfer, &transfers.list, link) {
		if (transfer->stream == stream)
			return transfer;
	}
	return NULL;
}

/* ---- the thread ---- */

static json_t *
download(struct transfer *transfer, uint8_t *piece)
{
	while (transfer->left > 0) {
		uint32_t length = (uint32_t)MIN(transfer->left, DISK_PIECE_MAX);
		json_t *problem =
		    disk_read(transfer->disk, transfer->offset, piece, length);
		if (problem != NULL)
			return problem;
		for (uint32_t done = 0; done < length;) {
			ssize_t sent;
			disk_wait(transfer->disk, transfer->fd, POLLOUT);
			sent = send(transfer->fd, piece + done, length - done,
			    MSG_NOSIGNAL | MSG_DONTWAIT);
			if (sent < 0 && (errno == EINTR || errno == EAGAIN))
				continue;
			if (sent < 0) /* nobody wants the rest */
				return NULL;
			done += (uint32_t)sent;
		}
		transfer->offset += length;
		transfer->left -= length;
	}
	return NULL;
}

/* Up to size bytes, fewer at the end only. */
static json_t *
receive(const struct transfer *transfer, uint8_t *piece, size_t size,
    size_t *ret_length)
{
	*ret_length = 0;
	while (*ret_length < size) {
		ssize_t got;
		disk_wait(transfer->disk, transfer->fd, POLLIN);
		got = recv(transfer->fd, piece + *ret_length,
		    size - *ret_length, MSG_DONTWAIT);
		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got < 0)
			return problem_new(VARVE_FAILED, "plugin.stream",
			    "cannot receive: %s", g_strerror(errno));
		if (got == 0)
			break;
		*ret_length += (size_t)got;
	}
	return NULL;
}

/* One byte more than there is room for is one too many. */
static json_t *
check_end(struct transfer *transfer)
{
	uint8_t more;
	size_t length;
	json_t *problem;

	if (transfer->left > 0)
		return problem_new(VARVE_FAILED, "plugin.stream",
		    "the transfer is short: %llu bytes did not come",
		    (unsigned long long)transfer->left);
	problem = receive(transfer, &more, 1, &length);
	if (problem == NULL && length > 0)
		problem = problem_new(VARVE_FAILED, "plugin.stream",
		    "more bytes came than there is room for");
	return problem;
}

static json_t *
upload(struct transfer *transfer, uint8_t *piece)
{
	size_t length;
	json_t *problem;

	do {
		problem = receive(transfer, piece,
		    (size_t)MIN(transfer->left, DISK_PIECE_MAX), &length);
		if (problem == NULL)
			problem = disk_write(transfer->disk, transfer->offset,
			    piece, (uint32_t)length);
		if (problem != NULL)
			return problem;
		transfer->offset += length;
		transfer->left -= length;
	} while (length > 0 && transfer->left > 0);
	problem =
	    transfer->exact || transfer->left == 0 ? check_end(transfer) : NULL;
	return problem != NULL ? problem : disk_flush(transfer->disk);
}

static void *
transfer_main(void *arg)
{
	struct transfer *transfer = arg;
	g_autofree uint8_t *piece = g_malloc(DISK_PIECE_MAX);
	json_t *problem = transfer->upload ? upload(transfer, piece)
					   : download(transfer, piece);

	disk_close(transfer->disk);
	pthread_mutex_lock(&transfers.lock);
	transfer->problem = problem;
	transfer->done = true;
	if (problem != NULL && !transfer->aborted)
		VIR_WARN("%s: %s", transfer->upload ? "upload" : "download",
		    varve_problem_what(problem));
	pthread_cond_broadcast(&transfers.changed);
	pthread_mutex_unlock(&transfers.lock);
	while (transfer->upload && problem != NULL &&
	       recv(transfer->fd, piece, DISK_PIECE_MAX, 0) > 0)
		;
	close(transfer->fd);
	pthread_mutex_lock(&transfers.lock);
	transfer_unref(transfer);
	pthread_mutex_unlock(&transfers.lock);
	return NULL;
}

/* ---- the stream ---- */

/* The outcome as it is known now, as libvirt's error; 0: nothing is wrong. */
static int
report_outcome(virStreamPtr stream)
{
	const struct transfer *transfer;
	json_t *problem = NULL;

	pthread_mutex_lock(&transfers.lock);
	transfer = transfer_find(stream);
	if (transfer != NULL && transfer->done)
		problem = json_incref(transfer->problem);
	pthread_mutex_unlock(&transfers.lock);
	return problem != NULL ? pool_report(problem) : 0;
}

static int
wrapped_recv(virStreamPtr stream, char *data, size_t size)
{
	int ret = transfers.stock->streamRecv(stream, data, size);

	return ret == 0 && report_outcome(stream) < 0 ? -1 : ret;
}

static int
wrapped_send(virStreamPtr stream, const char *data, size_t size)
{
	if (report_outcome(stream) < 0)
		return -1;
	return transfers.stock->streamSend(stream, data, size);
}

/* Under the lock. */
static void
wait_done(const struct transfer *transfer)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += FINISH_TIMEOUT_S;
	while (!transfer->done && pthread_cond_timedwait(&transfers.changed,
				      &transfers.lock, &end) == 0)
		;
}

/* The stream leaves its transfer.  Its problem, the caller's. */
static json_t *
leave(virStreamPtr stream, bool aborted)
{
	struct transfer *transfer;
	json_t *problem = NULL;

	pthread_mutex_lock(&transfers.lock);
	transfer = transfer_find(stream);
	if (transfer != NULL) {
		transfer->aborted = aborted;
		if (transfer->upload && !aborted)
			wait_done(transfer);
		problem = json_incref(transfer->problem);
		if (transfer->upload && !aborted && !transfer->done)
			problem = problem_new(VARVE_UNREACHABLE,
			    "plugin.stream",
			    "the end of the data is not on the disk after %u s",
			    FINISH_TIMEOUT_S);
		list_del(&transfer->link);
		transfer_unref(transfer);
	}
	pthread_mutex_unlock(&transfers.lock);
	return problem;
}

static int
wrapped_finish(virStreamPtr stream)
{
	int ret = transfers.stock->streamFinish(stream);
	json_t *problem = leave(stream, false);

	return problem != NULL ? pool_report(problem) : ret;
}

static int
wrapped_abort(virStreamPtr stream)
{
	int ret = transfers.stock->streamAbort(stream);

	json_decref(leave(stream, true));
	return ret;
}

/* ---- starting ---- */

static void
wrap(virStreamPtr stream)
{
	pthread_mutex_lock(&transfers.lock);
	if (transfers.stock == NULL) {
		transfers.stock = stream->driver;
		transfers.wrapped = *stream->driver;
		transfers.wrapped.streamRecv = wrapped_recv;
		transfers.wrapped.streamSend = wrapped_send;
		transfers.wrapped.streamFinish = wrapped_finish;
		transfers.wrapped.streamAbort = wrapped_abort;
	}
	pthread_mutex_unlock(&transfers.lock);
	stream->driver = &transfers.wrapped;
}

/* A stream that was freed without an end may have had the same address. */
static void
transfer_add(struct transfer *transfer)
{
	struct transfer *old;

	pthread_mutex_lock(&transfers.lock);
	old = transfer_find(transfer->stream);
	if (old != NULL) {
		list_del(&old->link);
		transfer_unref(old);
	}
	list_add_tail(&transfers.list, &transfer->link);
	pthread_mutex_unlock(&transfers.lock);
}

static int
start_thread(struct transfer *transfer)
{
	pthread_t thread;
	int error = pthread_create(&thread, NULL, transfer_main, transfer);

	if (error != 0) {
		virReportSystemError(error, "%s", "cannot start a thread");
		return -1;
	}
	pthread_detach(thread);
	return 0;
}

/* 0, or -1 and the error; the caller still has all that it had. */
static int
transfer_start(struct transfer *transfer)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) {
		virReportSystemError(errno, "%s", "cannot make a socket");
		return -1;
	}
	if (virFDStreamOpen(transfer->stream, ends[0]) < 0) {
		close(ends[0]);
		close(ends[1]);
		return -1;
	}
	wrap(transfer->stream);
	transfer->fd = ends[1];
	transfer->owners = 2;
	transfer_add(transfer);
	if (start_thread(transfer) == 0)
		return 0;
	pthread_mutex_lock(&transfers.lock);
	list_del(&transfer->link);
	pthread_mutex_unlock(&transfers.lock);
	transfers.stock->streamAbort(transfer->stream);
	close(ends[1]);
	return -1;
}

static int
start(virStreamPtr stream, struct disk *disk, unsigned long long offset,
    unsigned long long length, bool is_upload)
{
	uint64_t size = disk_size(disk);
	struct transfer *transfer;

	if (offset > size || length > size - offset) {
		virReportError(VIR_ERR_INVALID_ARG,
		    "offset %llu and length %llu are past the volume's end at "
		    "%llu",
		    offset, length, (unsigned long long)size);
		disk_close(disk);
		return -1;
	}
	transfer = g_new0(struct transfer, 1);
	transfer->stream = stream;
	transfer->disk = disk;
	transfer->upload = is_upload;
	transfer->offset = offset;
	transfer->left = length > 0 ? length : size - offset;
	transfer->exact = length > 0;
	if (transfer_start(transfer) == 0)
		return 0;
	disk_close(disk);
	g_free(transfer);
	return -1;
}

int
stream_download(virStreamPtr stream, struct disk *disk,
    unsigned long long offset, unsigned long long length)
{
	return start(stream, disk, offset, length, false);
}

int
stream_upload(virStreamPtr stream, struct disk *disk, unsigned long long offset,
    unsigned long long length)
{
	return start(stream, disk, offset, length, true);
}
