/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The other end: nothing of what comes is believed.  What was put is marked
 * only when the sender has said what all of it sums up to, and it does.
 */
#include "backup/frames.h"
#include "backup/note.h"
#include "backup/pipe.h"
#include "backup/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

struct incoming {
	struct bytes bytes; /* of the stream, through its notes */
	struct frames_in frames;
	struct pipe_end *end;
	bool ended;
	json_t *problem; /* of -ECANCELED */
	struct rbd_diff diff;
};

/* ---- problems ---- */

static json_t *
damaged(const char *what)
{
	return problem_why(backup_problem(BACKUP_DAMAGED,
			       "what comes through the pipe cannot be used"),
	    "%s", what);
}

static json_t *
of_error(const struct incoming *incoming, int error)
{
	const char *wrong = incoming->diff.wrong;

	switch (error) {
	case -ECANCELED: return json_incref(incoming->problem);
	case -ENODATA:
	case -EPIPE:
		return problem_why(
		    backup_problem(BACKUP_PIPE, "the pipe ends too early"),
		    "the sender went away; the same command goes on");
	case -EBADMSG:
		return damaged(
		    wrong != NULL ? wrong : "it is not what varve sends");
	case -EPROTO: return damaged("it is of another version of varve");
	default: return backup_read_problem("the pipe", -error);
	}
}

/* ---- notes in the stream ---- */

static const char *
mark_check(const struct incoming *incoming, const json_t *mark)
{
	const char *said = json_string_value(json_object_get(mark, "sha256"));
	const json_t *length = json_object_get(mark, "file_bytes");
	struct pack_mark so_far;

	frames_in_mark(&incoming->frames, &so_far);
	if (!json_is_boolean(json_object_get(mark, "end")))
		return "a note in it cannot be read";
	if ((uint64_t)json_integer_value(length) != so_far.file_bytes)
		return "it is not as long as the sender says";
	if (said == NULL || strcmp(said, so_far.sha256) != 0)
		return "its SHA-256 is not what the sender says";
	return NULL;
}

static json_t *
note_heed(struct incoming *incoming, const json_t *note)
{
	const json_t *mark = json_object_get(note, "mark");
	struct receiver *receiver = incoming->end->receiver;
	const char *wrong = mark_check(incoming, mark);

	if (wrong != NULL)
		return damaged(wrong);
	incoming->ended = json_is_true(json_object_get(mark, "end"));
	return incoming->ended ? NULL : receiver->mark(receiver);
}

static ssize_t
incoming_read(struct bytes *bytes, void *to, size_t length)
{
	struct incoming *incoming = container_of(bytes, struct incoming, bytes);
	struct bytes *unpacked = &incoming->frames.bytes;
	ssize_t got;

	while (!incoming->ended) {
		_cleanup_(json_decrefpp) json_t *note = NULL;
		int ret;
		got = unpacked->read(unpacked, to, length);
		if (got != 0)
			return got;
		ret = note_read(&incoming->frames.raw, &note);
		if (ret < 0)
			return ret;
		incoming->problem = note_heed(incoming, note);
		if (incoming->problem != NULL)
			return -ECANCELED;
	}
	return 0;
}

/* ---- the stream ---- */

static json_t *
head_check(const struct incoming *incoming)
{
	const struct rbd_diff_head *head = &incoming->diff.head;
	const struct pipe_end *end = incoming->end;

	if (strcmp(head->from, end->agreed.base.name) != 0 ||
	    strcmp(head->to, end->offer.snap.name) != 0 ||
	    head->size != end->offer.size)
		return damaged("it is not what was offered");
	return NULL;
}

static json_t *
pieces_take(struct incoming *incoming)
{
	struct pipe_end *end = incoming->end;
	struct sink *sink = &end->receiver->sink;
	json_t *problem = NULL;
	struct piece piece;
	int ret;

	while (problem == NULL) {
		ret = rbd_diff_next(&incoming->diff, &piece);
		if (ret <= 0)
			return ret < 0 ? of_error(incoming, ret) : NULL;
		problem = sink->put(sink, &piece);
		if (problem == NULL && end->progress != NULL)
			problem = end->progress(
			    end->arg, piece_end(&piece), end->offer.size);
	}
	return problem;
}

static json_t *
stream_take(struct incoming *incoming)
{
	int ret = rbd_diff_open(&incoming->diff, &incoming->bytes);
	json_t *problem =
	    ret < 0 ? of_error(incoming, ret) : head_check(incoming);

	return problem == NULL ? pieces_take(incoming) : problem;
}

/* Nobody told the sender that it need not. */
static json_t *
stream_drop(struct incoming *incoming)
{
	ssize_t got;

	do {
		got = incoming->frames.raw.read(&incoming->frames.raw,
		    incoming->diff.buffer, sizeof(incoming->diff.buffer));
	} while (got > 0);
	return NULL;
}

/* ---- the offer ---- */

static json_t *
offer_take(struct incoming *incoming)
{
	_cleanup_(json_decrefpp) json_t *note = NULL;
	struct pipe_end *end = incoming->end;
	int ret = note_read(&incoming->frames.raw, &note);
	const char *wrong;

	if (ret < 0)
		return of_error(incoming, ret);
	wrong = offer_read(json_object_get(note, "offer"), &end->offer);
	if (wrong != NULL)
		return damaged(wrong);
	if (end->offer.one_way == (end->out < 0))
		return NULL;
	return problem_fix(
	    backup_problem(BACKUP_PIPE, "sender and receiver do not agree on "
					"whether anything is answered"),
	    "varve backup send ... --to - | ... varve backup receive "
	    "POOL/LUN");
}

static json_t *
answer(const struct pipe_end *end, json_t *note)
{
	int ret = 0;

	if (end->out >= 0)
		ret = note_write(end->out, note);
	else
		json_decref(note);
	return ret < 0 ? backup_write_problem("the answer", -ret) : NULL;
}

static json_t *
agree(struct incoming *incoming)
{
	struct pipe_end *end = incoming->end;
	json_t *problem =
	    end->receiver->agree(end->receiver, &end->offer, &end->agreed);

	if (problem != NULL)
		return problem;
	return answer(
	    end, json_pack("{s:o}", "agreed", agreed_write(&end->agreed)));
}

static json_t *
receive(struct incoming *incoming)
{
	struct pipe_end *end = incoming->end;
	json_t *problem = offer_take(incoming);

	if (problem == NULL)
		problem = agree(incoming);
	if (problem != NULL || end->offer.dry_run)
		return problem;
	if (end->agreed.there)
		return end->out < 0 ? stream_drop(incoming) : NULL;
	problem = stream_take(incoming);
	if (problem == NULL)
		problem = end->receiver->finish(end->receiver);
	return problem == NULL ? answer(end, json_pack("{s:b}", "done", true))
			       : problem;
}

void
pipe_refuse(int out, const json_t *problem)
{
	json_t *copy = json_deep_copy(problem);

	note_write(out, json_pack("{s:o}", "error", copy));
}

json_t *
pipe_receive(struct pipe_end *end)
{
	struct incoming *incoming = calloc(1, sizeof(*incoming));
	json_t *problem;

	assert(incoming != NULL);
	incoming->bytes.read = incoming_read;
	incoming->end = end;
	frames_in_init(&incoming->frames, end->in);
	problem = receive(incoming);
	if (problem != NULL && end->out >= 0)
		pipe_refuse(end->out, problem);
	frames_in_done(&incoming->frames);
	json_decref(incoming->problem);
	free(incoming);
	return problem;
}
