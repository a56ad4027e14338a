/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sender's end: an offer, then the stream of a backup as it would be in a
 * file, with a note at each mark and at its end.
 */
#include "backup/frames.h"
#include "backup/note.h"
#include "backup/pipe.h"
#include "backup/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <string.h>

struct sender {
	struct receiver receiver;
	const struct pipe_params *params;
	int out; /* -1: all is sent */
	struct fd_bytes in;
	const struct offer *offer;
	struct frames_out *frames;
};

/* ---- what the other end says ---- */

static json_t *
gone(const struct sender *sender, const char *why)
{
	return problem_why(
	    backup_problem(
		BACKUP_PIPE, "nothing can be sent to %s", sender->params->name),
	    "%s", why);
}

static const char *
why_of(int error)
{
	switch (error) {
	case -ENODATA:
	case -EPIPE: return "it ended";
	case -EBADMSG: return "what it says is nothing that varve says";
	case -EPROTO: return "it is a varve of another version";
	default: return strerror(-error);
	}
}

/* As it is there, and where that is. */
static json_t *
their_problem(const struct sender *sender, const json_t *error)
{
	_cleanup_(json_decrefpp) json_t *rpc =
	    json_pack("{s:O}", "data", error);
	json_t *problem = problem_of_rpc(rpc);

	json_object_set_new(problem, "what",
	    json_sprintf(
		"%s: %s", sender->params->name, varve_problem_what(problem)));
	return problem;
}

/* The next note, whose `member` is the caller's. */
static json_t *
hear(struct sender *sender, const char *member, json_t **ret_value)
{
	_cleanup_(json_decrefpp) json_t *note = NULL;
	int ret = note_read(&sender->in.bytes, &note);
	const json_t *error = json_object_get(note, "error");

	if (ret < 0)
		return gone(sender, why_of(ret));
	if (json_is_object(error))
		return their_problem(sender, error);
	*ret_value = json_incref(json_object_get(note, member));
	return *ret_value != NULL ? NULL : gone(sender, why_of(-EBADMSG));
}

/* Of what could not be written (0: it was).  It was not wanted any more: the
 * other end has said why, or has gone. */
static json_t *
or_theirs(struct sender *sender, int error)
{
	json_t *unused = NULL, *problem;

	if (error == 0)
		return NULL;
	if (error != -EPIPE)
		return backup_write_problem(sender->params->name, -error);
	if (sender->params->in < 0)
		return gone(sender, why_of(error));
	problem = hear(sender, "error", &unused);
	json_decref(unused);
	return problem;
}

static json_t *
say(struct sender *sender, json_t *note)
{
	return or_theirs(sender, note_write(sender->out, note));
}

/* ---- agreeing ---- */

static json_t *
answer_hear(struct sender *sender, struct agreed *ret_agreed)
{
	_cleanup_(json_decrefpp) json_t *json = NULL;
	json_t *problem = hear(sender, "agreed", &json);
	const char *wrong;

	if (problem != NULL)
		return problem;
	wrong = agreed_read(json, sender->offer, ret_agreed);
	return wrong != NULL ? gone(sender, wrong) : NULL;
}

/* Nobody is asked. */
static void
answer_assume(const struct offer *offer, struct agreed *ret_agreed)
{
	*ret_agreed = (struct agreed){.there = false};
	if (offer->since[0] != '\0')
		ret_agreed->base = *offer_find(offer, offer->since);
}

static json_t *
frames_say(struct sender *sender, const void *data, size_t length)
{
	return or_theirs(sender, frames_write(sender->frames, data, length));
}

static json_t *
begin(struct sender *sender, const struct agreed *agreed)
{
	const struct offer *offer = sender->offer;
	struct rbd_diff_head head = {.size = offer->size};
	uint8_t bytes[RBD_DIFF_HEAD_MAX];

	memcpy(head.from, agreed->base.name, sizeof(agreed->base.name));
	memcpy(head.to, offer->snap.name, sizeof(offer->snap.name));
	sender->frames = frames_out_new(sender->out, sender->params->level);
	return frames_say(sender, bytes, rbd_diff_write_head(&head, bytes));
}

static json_t *
sender_agree(struct receiver *receiver, const struct offer *offer,
    struct agreed *ret_agreed)
{
	struct sender *sender = container_of(receiver, struct sender, receiver);
	json_t *problem;

	sender->offer = offer;
	problem = say(sender, json_pack("{s:o}", "offer", offer_write(offer)));
	if (problem == NULL && offer->one_way)
		answer_assume(offer, ret_agreed);
	else if (problem == NULL)
		problem = answer_hear(sender, ret_agreed);
	if (problem != NULL || ret_agreed->there || offer->dry_run)
		return problem;
	return begin(sender, ret_agreed);
}

/* ---- sending ---- */

static json_t *
sender_put(struct sink *sink, const struct piece *piece)
{
	struct sender *sender =
	    container_of(sink, struct sender, receiver.sink);
	uint8_t record[RBD_DIFF_RECORD_MAX];
	json_t *problem =
	    frames_say(sender, record, rbd_diff_write_record(piece, record));

	if (problem == NULL && piece->data != NULL)
		problem = frames_say(sender, piece->data, piece->length);
	return problem;
}

/* Up to here it was that. */
static json_t *
mark_say(struct sender *sender, bool end)
{
	struct pack_mark mark;
	json_t *problem = or_theirs(sender, frames_mark(sender->frames, &mark));

	if (problem != NULL)
		return problem;
	return say(sender,
	    json_pack("{s:{s:s, s:I, s:b}}", "mark", "sha256", mark.sha256,
		"file_bytes", (json_int_t)mark.file_bytes, "end", end));
}

static json_t *
sender_mark(struct receiver *receiver)
{
	return mark_say(container_of(receiver, struct sender, receiver), false);
}

static json_t *
sender_finish(struct receiver *receiver)
{
	struct sender *sender = container_of(receiver, struct sender, receiver);
	uint8_t bytes[RBD_DIFF_RECORD_MAX];
	json_t *done = NULL;
	json_t *problem = frames_say(sender, bytes, rbd_diff_write_end(bytes));

	if (problem == NULL)
		problem = mark_say(sender, true);
	if (problem != NULL || sender->params->in < 0)
		return problem;
	close(sender->out);
	sender->out = -1;
	problem = hear(sender, "done", &done);
	json_decref(done);
	return problem;
}

static void
sender_free(struct receiver *receiver)
{
	struct sender *sender = container_of(receiver, struct sender, receiver);

	frames_out_free(sender->frames);
	closep(&sender->out);
	free(sender);
}

struct receiver *
pipe_new(const struct pipe_params *params)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	assert(sender != NULL);
	sender->receiver = (struct receiver){.sink.put = sender_put,
	    .agree = sender_agree,
	    .mark = sender_mark,
	    .finish = sender_finish,
	    .free = sender_free};
	sender->params = params;
	sender->out = params->out;
	fd_bytes_init(&sender->in, params->in);
	return &sender->receiver;
}
