/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/live.h"
#include "backup/problem.h"
#include "base/assert.h"
#include <inttypes.h>

/* Whatever block a LUN has, it is a part of that. */
#define LUN_UNIT 4096

/* ---- reading ---- */

/* Asks for the next piece. */
static json_t *
ask_one(struct initiator *initiator, struct extent *left)
{
	uint64_t length = PIECE_MAX - left->offset % PIECE_MAX;
	json_t *problem = NULL;

	if (!left->data || left->length < length)
		length = left->length;
	if (left->data)
		problem =
		    initiator_read(initiator, left->offset, (uint32_t)length);
	else
		initiator_note_zero(initiator, left->offset, length);
	left->offset += length;
	left->length -= length;
	return problem;
}

/* As many as there is room for. */
static json_t *
ask_ahead(struct live *live)
{
	struct initiator *initiator = attachment_initiator(live->attachment);
	json_t *problem;

	while (initiator_room(initiator)) {
		if (live->left.length == 0) {
			problem = extents_next(live->extents, &live->left);
			if (problem != NULL || live->left.length == 0)
				return problem;
		}
		problem = ask_one(initiator, &live->left);
		if (problem != NULL)
			return problem;
	}
	return NULL;
}

static json_t *
live_next(struct source *source, struct piece *ret_piece)
{
	struct live *live = container_of(source, struct live, source);
	struct initiator *initiator = attachment_initiator(live->attachment);
	json_t *problem;

	if (live->taken)
		initiator_drop(initiator);
	live->taken = false;
	*ret_piece = (struct piece){.length = 0};
	problem = attachment_renew(live->attachment);
	if (problem == NULL)
		problem = ask_ahead(live);
	if (problem != NULL || initiator_empty(initiator))
		return problem;
	problem = initiator_oldest(initiator, ret_piece);
	live->taken = problem == NULL;
	return problem;
}

void
live_init(struct live *live, struct attachment *attachment,
    const struct extents_params *params)
{
	*live = (struct live){.source.next = live_next,
	    .attachment = attachment,
	    .extents = extents_new(params)};
}

void
live_done(struct live *live)
{
	extents_free(live->extents);
}

/* ---- writing ---- */

static json_t *
end_oldest(struct initiator *initiator)
{
	struct piece piece;
	json_t *problem = initiator_oldest(initiator, &piece);

	if (problem == NULL)
		initiator_drop(initiator);
	return problem;
}

static json_t *
lun_put(struct sink *sink, const struct piece *piece)
{
	struct lun_sink *lun = container_of(sink, struct lun_sink, sink);
	struct initiator *initiator = attachment_initiator(lun->attachment);
	json_t *problem = attachment_renew(lun->attachment);

	if (problem != NULL || (piece->data == NULL && lun->fresh))
		return problem;
	if (piece->offset % LUN_UNIT != 0 || piece->length % LUN_UNIT != 0)
		return backup_problem(BACKUP_DAMAGED,
		    "what is at %" PRIu64 " does not fit into blocks of a LUN",
		    piece->offset);
	if (piece->data == NULL)
		return initiator_unmap(initiator, piece->offset, piece->length);
	if (!initiator_room(initiator))
		problem = end_oldest(initiator);
	if (problem == NULL)
		problem = initiator_write(initiator, piece->data, piece->offset,
		    (uint32_t)piece->length);
	return problem;
}

void
lun_sink_init(struct lun_sink *sink, struct attachment *attachment, bool fresh)
{
	*sink = (struct lun_sink){
	    .sink.put = lun_put, .attachment = attachment, .fresh = fresh};
}

json_t *
lun_sink_finish(struct lun_sink *sink)
{
	struct initiator *initiator = attachment_initiator(sink->attachment);
	json_t *problem = NULL;

	while (problem == NULL && !initiator_empty(initiator))
		problem = end_oldest(initiator);
	if (problem == NULL)
		problem = initiator_flush(initiator);
	return problem == NULL ? attachment_check(sink->attachment) : problem;
}
