/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A snapshot as a source: what differs from a base, read as it is told, with
 * many commands in flight; and a LUN as a sink.
 *
 * Pieces are cut at multiples of PIECE_MAX, so that the same difference makes
 * the same pieces wherever one begins.
 */
#ifndef BACKUP_LIVE_H
#define BACKUP_LIVE_H

#include "backup/attachment.h"
#include "backup/extents.h"

struct live {
	struct source source;
	struct attachment *attachment; /* of what params->to names */
	struct extents *extents;
	struct extent left; /* of the extent that is being asked for */
	bool taken;         /* the oldest transfer is with the caller */
};

/* The attachment outlives it, and is used by nobody else meanwhile. */
void live_init(struct live *live, struct attachment *attachment,
    const struct extents_params *params);
void live_done(struct live *live);

struct lun_sink {
	struct sink sink;
	struct attachment *attachment;
};

/* Of a LUN that reads as zeros: zeros are not written. */
void lun_sink_init(struct lun_sink *sink, struct attachment *attachment);
/* Waits for all, and makes it durable. */
json_t *lun_sink_finish(struct lun_sink *sink);

#endif
