/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two ends of a pipe, through which a snapshot is sent
 * (docs/backup-format.md has what goes through it).
 *
 * The sender's is a receiver by itself: what is put in comes out of
 * pipe_receive() at the other end, and goes into the receiver there.
 */
#ifndef BACKUP_PIPE_H
#define BACKUP_PIPE_H

#include "backup/receiver.h"

struct pipe_params {
	int out; /* what is sent; the receiver's, which closes it */
	int in;  /* what is answered, the caller's; -1: nobody answers */
	const char *name; /* of the other end, for problems */
	int level;        /* of zstd */
};
/* params outlives it.  SIGPIPE has to be ignored.
 *   backup.pipe, and what the other end says */
struct receiver *pipe_new(const struct pipe_params *params);

struct pipe_end {
	int in;
	int out; /* -1: nothing is answered */
	/* what it goes into; the caller's */
	struct receiver *receiver;
	/* How far it is in the image; may be NULL.  A problem ends it. */
	json_t *(*progress)(void *arg, uint64_t offset, uint64_t size);
	void *arg;
	/* answered */
	struct offer offer; /* offer_done() */
	struct agreed agreed;
};
/* From the offer to the end.  A problem was told to the sender, if one may.
 *   backup.pipe, backup.damaged, and what the receiver says */
json_t *pipe_receive(struct pipe_end *end);
/* That nothing can be received at all. */
void pipe_refuse(int out, const json_t *problem);

#endif
