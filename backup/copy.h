/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The copy of a LUN: what is sent to.
 *
 * A snapshot that was sent whole is there as a snapshot of the same name, and a
 * bookmark of the copy remembers which one it was: "sent-" and its uuid.  (It
 * is marked before it gets its name, so a name without its mark is not ours.)
 * The base of the next is the newest snapshot of the source that has both here.
 *
 * While one is received, a snapshot of the copy says how far it is: "part-",
 * the uuid of what is sent, and an offset.  Below the offset the copy is what
 * is sent, at and above it what the base is, and that is looked at before it is
 * gone on with.  What came behind the last of these, and what anybody else
 * wrote to the copy, is rolled back first.
 *
 * Whoever begins to send to a copy ends the one that does so already: that one
 * may be stuck behind a network that is gone.  It cannot write any more then,
 * and makes no mark that it did not earn: a mark has its name after its owner
 * has found that he could still write when it was made.
 */
#ifndef BACKUP_COPY_H
#define BACKUP_COPY_H

#include "backup/attachment.h"
#include "backup/receiver.h"

struct copy_params {
	struct varve *varve;
	const char *to;     /* POOL/LUN; made if it is not there */
	const char *portal; /* NULL: what varved says */
};

/* params' members outlive it. */
struct receiver *copy_new(const struct copy_params *params);

/* The part of a snapshot's name behind the @; "" when it has none. */
const char *snap_name(const json_t *snap);

#endif
