/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * SANITIZE, SBC-4 5.30 and 4.11: what the unit holds is made unreadable for
 * good, on the medium and not only in the map.
 *
 *	BLOCK ERASE  zeros over all that is mapped, where it is; then all is
 *	             unmapped
 *	OVERWRITE    the pattern over all that is mapped, where it is, as often
 *	             as asked for
 *
 * It belongs to the unit and not to the task: whoever asked for it may be
 * aborted or lost, the unit may be reset, it goes on.  Meanwhile few commands
 * are answered (sanitize_refuses).  That it began is kept in mind by the keeper
 * before the first block is touched: a unit that comes back after a restart
 * with that mark has not come to the end, and says SANITIZE COMMAND FAILED
 * until another one succeeds, or the initiator gives up (AUSE).
 *
 * What the unit shares, with snapshots or clones, cannot be overwritten, and
 * would stay: then the keeper refuses, and so does the command.
 */
#include "base/log.h"
#include "target/scsi/handlers.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define IMMED   0x80u
#define AUSE    0x20u
#define PATTERN (64u << 10)

#define ERASE_STEP   (16ull << 20) /* bytes written between two rests */
#define STEP_LONGEST NSEC_PER_SEC  /* more is not made up for by resting */

enum {
	OVERWRITE = 0x01,
	BLOCK_ERASE = 0x02,
};

struct overwrite_list {
	uint8_t flags; /* INVERT, TEST, OVERWRITE COUNT */
	uint8_t reserved;
	struct be16 length;
	uint8_t pattern[];
};
static_assert(sizeof(struct overwrite_list) == 4, "SBC-4 5.30.2.2");

#define INVERT 0x80u
#define TEST   0x60u
#define COUNT  0x1fu

/* ---- what others see of it ---- */

static uint16_t
progress(const struct lun *lun)
{
	const struct lun_sanitize *s = &lun->sanitize;
	double whole = (double)lun->bs->size * s->passes;
	double done = (double)lun->bs->size * s->pass + (double)s->cursor;
	double part = whole > 0 ? 65536 * done / whole : 0;

	return part < UINT16_MAX ? (uint16_t)part : UINT16_MAX;
}

/* That the unit is given up, or the end of a SANITIZE, is being kept in mind:
 * until then nothing else of the kind begins. */
static bool
is_ending(const struct lun *lun, const struct scsi_op *op,
    struct scsi_sense *ret_sense)
{
	if (!lun->sanitize.keeping || !(op->flags & OP_SANITIZES))
		return false;
	*ret_sense = SENSE_SANITIZE_IN_PROGRESS;
	return true;
}

/* op NULL: REQUEST SENSE asks. */
bool
sanitize_refuses(const struct lun *lun, const struct scsi_op *op,
    struct scsi_sense *ret_sense)
{
	switch (lun->sanitize.state) {
	case SANITIZE_NONE: return false;
	case SANITIZE_RUNNING:
		if (op != NULL && op->flags & OP_SANITIZE)
			return false;
		*ret_sense = SENSE_SANITIZE_IN_PROGRESS;
		ret_sense->progress_valid = true;
		ret_sense->progress = progress(lun);
		return true;
	case SANITIZE_FAILED:
		if (op != NULL && op->flags & (OP_SANITIZE | OP_SANITIZES))
			return is_ending(lun, op, ret_sense);
		*ret_sense = SENSE_SANITIZE_COMMAND_FAILED;
		return true;
	}
	return false;
}

bool
sanitize_is_busy(const struct lun *lun)
{
	return lun->sanitize.keeping || lun->sanitize.io.in_flight ||
	       loop_timer_armed(&lun->sanitize.rest);
}

void
sanitize_forget(struct scsi_task *task)
{
	assert(task->resting);
	assert(task->lun->sanitize.task == task);
	task->resting = false;
	task->lun->sanitize.task = NULL;
}

/* ---- the end ---- */

static void
task_answer(struct lun *lun, const struct scsi_sense *sense)
{
	struct scsi_task *task = lun->sanitize.task;

	if (task == NULL)
		return;
	sanitize_forget(task);
	scsi_task_end(task, sense);
}

static void
keeper_ask(struct lun *lun, bool on, void (*done)(void *arg, int result))
{
	assert(!lun->sanitize.keeping);
	lun->sanitize.keeping = true;
	lun->keeper->sanitizing(
	    lun->keeper_arg, on, lun->sanitize.exits, done, lun);
}

static void
set_state(struct lun *lun, enum sanitize_state state)
{
	struct lun_sanitize *s = &lun->sanitize;

	s->state = state;
	if (state == SANITIZE_RUNNING)
		return;
	free(s->pattern);
	s->pattern = NULL;
}

static void
sanitize_fail(struct lun *lun, int error)
{
	if (error < 0)
		log_debug("%s: SANITIZE: %s", lun->label, strerror(-error));
	set_state(lun, SANITIZE_FAILED);
	task_answer(lun, &SENSE_SANITIZE_COMMAND_FAILED);
	lun_close_check(lun);
}

static void
ended(void *arg, int result)
{
	struct lun *lun = arg;

	lun->sanitize.keeping = false;
	if (result < 0) {
		sanitize_fail(lun, result);
		return;
	}
	set_state(lun, SANITIZE_NONE);
	task_answer(lun, NULL);
	lun_close_check(lun);
}

/* ---- the work ---- */

static void sanitize_step(struct lun *lun);

static void
rest_over(struct loop_timer *timer)
{
	struct lun *lun = container_of(timer, struct lun, sanitize.rest);

	ASSERT_MAGIC(lun, LUN_MAGIC);
	sanitize_step(lun);
}

/* Others of the pool want its disks, too: what a step took decides how long it
 * rests. */
static void
step_rest(struct lun *lun)
{
	struct lun_sanitize *s = &lun->sanitize;
	uint64_t took = loop_now(lun->loop) - s->began_ns;

	if (took > STEP_LONGEST)
		took = STEP_LONGEST;
	s->rest.expire = rest_over;
	loop_timer_arm(
	    lun->loop, &s->rest, took * (100 - s->percent) / s->percent);
}

static void
step_complete(struct bs_io *io, int result)
{
	struct lun *lun = container_of(io, struct lun, sanitize.io);

	ASSERT_MAGIC(lun, LUN_MAGIC);
	if (result < 0 || lun->closing)
		sanitize_fail(lun, result);
	else if (lun->sanitize.percent == 0)
		sanitize_step(lun);
	else
		step_rest(lun);
}

void
sanitize_stop(struct lun *lun)
{
	if (!loop_timer_armed(&lun->sanitize.rest))
		return;
	loop_timer_disarm(lun->loop, &lun->sanitize.rest);
	sanitize_fail(lun, 0);
}

static struct bs_io *
step_io(struct lun *lun, enum bs_op op, uint64_t length)
{
	struct bs_io *io = &lun->sanitize.io;

	bs_io_init(io);
	io->op = op;
	io->complete = step_complete;
	if (op != BS_FLUSH) {
		io->offset = lun->sanitize.cursor;
		io->length = length;
	}
	return io;
}

/* The second pass of BLOCK ERASE is the one that unmaps. */
static void
erase_submit(struct lun *lun, uint64_t rest)
{
	struct lun_sanitize *s = &lun->sanitize;
	uint64_t most = s->pass == 0 ? ERASE_STEP : SBC_STEP_MAX;
	uint64_t length = rest < most ? rest : most;
	struct bs_io *io = step_io(lun, BS_ZERO, length);

	io->may_unmap = s->pass == 1 && lun->bs->thin;
	s->cursor += length;
	lun_submit(lun, io);
}

static void
overwrite_submit(struct lun *lun, uint64_t length)
{
	struct lun_sanitize *s = &lun->sanitize;
	uint64_t most = (uint64_t)PATTERN * SCSI_TASK_IOV_MAX;
	struct bs_io *io;

	if (length > most)
		length = most;
	io = step_io(lun, BS_WRITE, length);
	io->iov = s->iov;
	s->cursor += length;
	while (length > 0) {
		size_t part = length < PATTERN ? length : PATTERN;
		s->iov[io->iov_count++] =
		    (struct iovec){.iov_base = s->pattern, .iov_len = part};
		length -= part;
	}
	lun_submit(lun, io);
}

static void
extent_complete(struct bs_io *io, int result)
{
	struct lun *lun = container_of(io, struct lun, sanitize.io);
	struct lun_sanitize *s = &lun->sanitize;

	if (result < 0 || lun->closing) {
		sanitize_fail(lun, result);
	} else if (s->extent.kind == BS_EXTENT_HOLE) {
		s->cursor += s->extent.length;
		sanitize_step(lun);
	} else {
		overwrite_submit(lun, s->extent.length);
	}
}

/* What is not mapped holds nothing. */
static void
extent_submit(struct lun *lun, uint64_t rest)
{
	struct bs_io *io;

	if (!lun->bs->thin) {
		overwrite_submit(lun, rest);
		return;
	}
	io = step_io(lun, BS_EXTENTS, rest);
	io->extents = &lun->sanitize.extent;
	io->extent_max = 1;
	io->complete = extent_complete;
	lun_submit(lun, io);
}

static void
pass_end(struct lun *lun)
{
	struct lun_sanitize *s = &lun->sanitize;

	s->pass++;
	s->cursor = 0;
	for (unsigned i = 0; s->invert && i < PATTERN; i++)
		s->pattern[i] = (uint8_t)~s->pattern[i];
	lun_submit(lun, step_io(lun, BS_FLUSH, 0));
}

static void
sanitize_step(struct lun *lun)
{
	struct lun_sanitize *s = &lun->sanitize;
	uint64_t size = lun->bs->size;

	s->began_ns = loop_now(lun->loop);
	if (s->pass == s->passes)
		keeper_ask(lun, false, ended);
	else if (s->cursor >= size)
		pass_end(lun);
	else if (s->action == BLOCK_ERASE)
		erase_submit(lun, size - s->cursor);
	else
		extent_submit(lun, size - s->cursor);
}

/* ---- the beginning ---- */

static void
begun(void *arg, int result)
{
	struct lun *lun = arg;
	struct lun_sanitize *s = &lun->sanitize;

	s->keeping = false;
	if (result < 0) {
		/* nothing was touched: what was before still is */
		set_state(lun, s->before);
		s->exits = s->exits_before;
		task_answer(lun, result == -EBUSY
				     ? &SENSE_COMMAND_SEQUENCE_ERROR
				     : &SENSE_INTERNAL_TARGET_FAILURE);
		lun_close_check(lun);
		return;
	}
	if (s->immediate)
		task_answer(lun, NULL);
	if (lun->closing)
		sanitize_fail(lun, 0);
	else
		sanitize_step(lun);
}

/* SBC-4 4.11.3: after a failure that may not be given up, none that may be is
 * begun. */
static void
sanitize_begin(struct scsi_task *task, uint8_t action, unsigned passes)
{
	struct lun *lun = task->lun;
	struct lun_sanitize *s = &lun->sanitize;
	bool exits = task->cdb[1] & AUSE;

	if (s->state == SANITIZE_FAILED && !s->exits && exits) {
		struct scsi_sense sense = scsi_invalid_cdb(1, 5);
		set_state(lun, SANITIZE_FAILED);
		scsi_task_end(task, &sense);
		return;
	}
	s->before = s->state;
	s->exits_before = s->exits;
	set_state(lun, SANITIZE_RUNNING);
	s->exits = exits;
	s->action = action;
	s->immediate = task->cdb[1] & IMMED;
	s->pass = 0;
	s->passes = passes;
	s->cursor = 0;
	s->task = task;
	task->resting = true;
	task_set_yield(task);
	keeper_ask(lun, true, begun);
}

void
sanitize_block_erase(struct scsi_task *task)
{
	task->lun->sanitize.invert = false;
	sanitize_begin(task, BLOCK_ERASE, 2);
}

struct scsi_sense
sanitize_overwrite_check(struct scsi_task *task)
{
	size_t header = sizeof(struct overwrite_list);
	uint16_t length = load_be16(&task->cdb[7]);

	if (length <= header || length > header + task->lun->bs->block_size)
		return scsi_invalid_cdb(7, -1);
	return scsi_task_want_list(task, length);
}

static struct scsi_sense
check_list(const struct scsi_task *task, const struct overwrite_list *list)
{
	uint16_t length = be16_get(&list->length);

	if (list->flags & TEST)
		return scsi_invalid_parameter(0, 6);
	if ((list->flags & COUNT) == 0)
		return scsi_invalid_parameter(0, 4);
	if (list->reserved != 0)
		return scsi_invalid_parameter(1, -1);
	if (length == 0 || length > task->data_length - sizeof(*list))
		return scsi_invalid_parameter(2, -1);
	return SENSE_NONE;
}

/* In each block from its first byte on, over and over. */
static uint8_t *
pattern_new(const struct lun *lun, const struct overwrite_list *list)
{
	uint8_t *pattern = aligned_alloc(4096, PATTERN);
	unsigned length = be16_get(&list->length);

	for (unsigned i = 0; pattern != NULL && i < PATTERN; i++)
		pattern[i] = list->pattern[i % lun->bs->block_size % length];
	return pattern;
}

void
sanitize_overwrite(struct scsi_task *task)
{
	const struct overwrite_list *list =
	    (const struct overwrite_list *)scsi_task_parameters(task);
	struct lun_sanitize *s = &task->lun->sanitize;
	struct scsi_sense sense = check_list(task, list);

	if (!sense_is_good(&sense)) {
		scsi_task_end(task, &sense);
		return;
	}
	s->pattern = pattern_new(task->lun, list);
	if (s->pattern == NULL) {
		scsi_task_end_status(task, SCSI_BUSY);
		return;
	}
	s->invert = list->flags & INVERT;
	sanitize_begin(task, OVERWRITE, list->flags & COUNT);
}

/* ---- EXIT FAILURE MODE ---- */

/* SBC-4 5.30.2.5 */
void
sanitize_exit_failure_mode(struct scsi_task *task)
{
	struct lun *lun = task->lun;
	struct scsi_sense sense = scsi_invalid_cdb(1, 4);

	if (lun->sanitize.state == SANITIZE_NONE) {
		scsi_task_end_good(task);
	} else if (!lun->sanitize.exits) {
		scsi_task_end(task, &sense);
	} else {
		lun->sanitize.task = task;
		task->resting = true;
		task_set_yield(task);
		keeper_ask(lun, false, ended);
	}
}
