/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What comes through a pipe, as somebody else may send it: an input whose first
 * byte is odd is all that a sender says to varve backup receive, an even one
 * all that a receiver answers to varve backup send.
 *
 * Whatever it is, pieces lie in the image that was offered, in order, and the
 * end is reached only when the sum was right.
 */
#include "backup/note.h"
#include "backup/pipe.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* ---- a receiver that looks at what it gets ---- */

struct watcher {
	struct receiver receiver;
	const struct offer *offer;
	uint64_t at;
	bool finished;
};

static json_t *
watcher_agree(struct receiver *receiver, const struct offer *offer,
    struct agreed *ret_agreed)
{
	struct watcher *watcher =
	    container_of(receiver, struct watcher, receiver);

	*ret_agreed = (struct agreed){.there = offer->size % 8192 == 0};
	watcher->offer = offer;
	assert(strchr(offer->snap.name, '/') == NULL);
	assert(offer->count <= OFFER_SNAPS_MAX);
	if (offer->since[0] != '\0')
		ret_agreed->base = *offer_find(offer, offer->since);
	return NULL;
}

static json_t *
watcher_put(struct sink *sink, const struct piece *piece)
{
	struct watcher *watcher =
	    container_of(sink, struct watcher, receiver.sink);

	assert(!watcher->finished);
	assert(piece->length > 0);
	assert(piece->offset >= watcher->at);
	watcher->at = piece_end(piece);
	assert(watcher->at <= watcher->offer->size);
	assert(piece->data == NULL || piece->length <= PIECE_MAX);
	return NULL;
}

static json_t *
watcher_mark(struct receiver *receiver)
{
	(void)receiver;
	return NULL;
}

static json_t *
watcher_finish(struct receiver *receiver)
{
	container_of(receiver, struct watcher, receiver)->finished = true;
	return NULL;
}

/* ---- both ends ---- */

static int
file_of(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	assert(fd >= 0);
	assert(write(fd, data, size) == (ssize_t)size);
	assert(lseek(fd, 0, SEEK_SET) == 0);
	return fd;
}

static void
receive(int in)
{
	struct watcher watcher = {.receiver = {.sink.put = watcher_put,
				      .agree = watcher_agree,
				      .mark = watcher_mark,
				      .finish = watcher_finish}};
	struct pipe_end end = {
	    .in = in, .out = -1, .receiver = &watcher.receiver};
	json_t *problem = pipe_receive(&end);

	assert(problem != NULL || watcher.finished || end.agreed.there ||
	       end.offer.dry_run);
	assert(problem == NULL || !watcher.finished);
	json_decref(problem);
	offer_done(&end.offer);
}

static void
hear(int in)
{
	struct offer_snap snap = {
	    "mon", "11111111-1111-4111-8111-111111111111"};
	const struct offer offer = {.lun = "vms/web01",
	    .snap = snap,
	    .size = 1u << 20,
	    .block_size = 512,
	    .snaps = &snap,
	    .count = 1};
	const struct pipe_params params = {
	    .out = memfd_create("fuzz", MFD_CLOEXEC),
	    .in = in,
	    .name = "far",
	    .level = 1};
	struct receiver *receiver = pipe_new(&params);
	struct agreed agreed;
	json_t *problem = receiver->agree(receiver, &offer, &agreed);

	if (problem == NULL) {
		assert(agreed.offset <= offer.size);
		assert(agreed.base.name[0] == '\0' ||
		       strcmp(agreed.base.uuid, snap.uuid) == 0);
	}
	if (problem == NULL && !agreed.there)
		problem = receiver->finish(receiver);
	json_decref(problem);
	receiver->free(receiver);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(closep) int in = -1;

	if (size == 0)
		return 0;
	in = file_of(data + 1, size - 1);
	if (data[0] % 2 == 1)
		receive(in);
	else
		hear(in);
	return 0;
}
