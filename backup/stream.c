/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/stream.h"
#include "backup/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

/* ---- reading ---- */

struct stream_source {
	struct source source;
	const struct backup_point *point;
	int fd;
	bool end;
	struct unpack unpack;
	struct rbd_diff diff;
};

static json_t *
damaged(const struct stream_source *stream, const char *what)
{
	return problem_why(backup_problem(BACKUP_DAMAGED, "%s is damaged",
			       stream->point->file),
	    "%s", what);
}

static json_t *
of_error(const struct stream_source *stream, int error)
{
	if (error != -EBADMSG)
		return backup_read_problem(stream->point->file, -error);
	return damaged(stream, stream->diff.wrong != NULL
				   ? stream->diff.wrong
				   : "what is compressed cannot be unpacked");
}

/* At its end all of it has been read. */
static const char *
compare_end(const struct stream_source *stream)
{
	const struct backup_point *point = stream->point;
	struct pack_mark mark;

	unpack_mark(&stream->unpack, &mark);
	if (mark.file_bytes != point->file_bytes ||
	    mark.stream_bytes != point->stream_bytes)
		return "it is not as long as its manifest says";
	if (strcmp(mark.sha256, point->sha256) != 0)
		return "its SHA-256 is not what its manifest says";
	if (stream->diff.data != point->data ||
	    stream->diff.zero != point->zero)
		return "it does not hold as much as its manifest says";
	return NULL;
}

static json_t *
stream_next(struct source *source, struct piece *ret_piece)
{
	struct stream_source *stream =
	    container_of(source, struct stream_source, source);
	const char *wrong;
	int ret = 0;

	*ret_piece = (struct piece){.length = 0};
	if (!stream->end)
		ret = rbd_diff_next(&stream->diff, ret_piece);
	if (ret < 0)
		return of_error(stream, ret);
	if (ret > 0 || stream->end)
		return NULL;
	stream->end = true;
	wrong = compare_end(stream);
	return wrong != NULL ? damaged(stream, wrong) : NULL;
}

static json_t *
head_check(const struct stream_source *stream)
{
	const struct rbd_diff_head *head = &stream->diff.head;
	const struct backup_point *point = stream->point;

	if (strcmp(head->from, point->base) != 0 ||
	    strcmp(head->to, point->name) != 0 || head->size != point->size)
		return damaged(stream, "it is the stream of another backup");
	return NULL;
}

json_t *
stream_open(const struct directory *directory, const struct backup_point *point,
    struct stream_source **ret_stream)
{
	struct stream_source *stream = calloc(1, sizeof(*stream));
	json_t *problem = NULL;
	int ret;

	assert(stream != NULL);
	stream->source.next = stream_next;
	stream->point = point;
	stream->fd = openat(
	    directory->fd, point->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (stream->fd < 0)
		problem = backup_read_problem(point->file, errno);
	unpack_init(&stream->unpack, stream->fd);
	if (problem == NULL) {
		ret = rbd_diff_open(&stream->diff, &stream->unpack.bytes);
		problem = ret < 0 ? of_error(stream, ret) : head_check(stream);
	}
	if (problem == NULL)
		*ret_stream = stream;
	else
		stream_close(stream);
	return problem;
}

void
stream_close(struct stream_source *stream)
{
	if (stream == NULL)
		return;
	unpack_done(&stream->unpack);
	closep(&stream->fd);
	free(stream);
}

struct source *
stream_source(struct stream_source *stream)
{
	return &stream->source;
}

json_t *
stream_drain(struct stream_source *stream)
{
	struct piece piece;
	json_t *problem;

	do {
		problem = stream_next(&stream->source, &piece);
	} while (problem == NULL && piece.length > 0);
	return problem;
}

/* ---- writing ---- */

static json_t *
stream_put(struct sink *sink, const struct piece *piece)
{
	struct stream_sink *stream =
	    container_of(sink, struct stream_sink, sink);
	uint8_t record[RBD_DIFF_RECORD_MAX];
	size_t length = rbd_diff_write_record(piece, record);
	json_t *problem;

	assert(piece->offset >= stream->covers);
	problem = pack_write(stream->pack, record, length);
	if (problem == NULL && piece->data != NULL)
		problem = pack_write(stream->pack, piece->data, piece->length);
	*(piece->data != NULL ? &stream->data : &stream->zero) += piece->length;
	stream->covers = piece_end(piece);
	return problem;
}

void
stream_sink_init(struct stream_sink *stream, struct pack *pack)
{
	*stream = (struct stream_sink){.sink.put = stream_put, .pack = pack};
}

json_t *
stream_begin(struct stream_sink *stream, const struct rbd_diff_head *head)
{
	uint8_t bytes[RBD_DIFF_HEAD_MAX];

	return pack_write(
	    stream->pack, bytes, rbd_diff_write_head(head, bytes));
}

static void
count_take(const struct stream_sink *stream, struct backup_point *point)
{
	point->covers = stream->covers;
	point->data = stream->data;
	point->zero = stream->zero;
}

static void
mark_take(const struct pack_mark *mark, struct backup_point *point)
{
	point->file_bytes = mark->file_bytes;
	point->stream_bytes = mark->stream_bytes;
	memcpy(point->sha256, mark->sha256, sizeof(point->sha256));
}

json_t *
stream_stop(struct stream_sink *stream, struct backup_point *point)
{
	struct pack_mark mark;
	json_t *problem = pack_mark(stream->pack, &mark);

	if (problem != NULL)
		return problem;
	count_take(stream, point);
	mark_take(&mark, point);
	return NULL;
}

json_t *
stream_ask(struct stream_sink *stream, struct backup_point *point)
{
	count_take(stream, point);
	return pack_ask(stream->pack);
}

bool
stream_reached(struct stream_sink *stream, struct backup_point *point)
{
	struct pack_mark mark;

	if (!pack_reached(stream->pack, &mark))
		return false;
	mark_take(&mark, point);
	return true;
}

json_t *
stream_end(struct stream_sink *stream, struct backup_point *point)
{
	uint8_t bytes[RBD_DIFF_RECORD_MAX];
	json_t *problem =
	    pack_write(stream->pack, bytes, rbd_diff_write_end(bytes));

	stream->covers = point->size;
	return problem == NULL ? stream_stop(stream, point) : problem;
}
