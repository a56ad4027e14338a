/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits of a logical unit: how many commands and bytes a second.  A command
 * that may not go yet waits here before it asks the task set (ordering.c)
 * whether it may run: it is in the set, so what is ordered behind it waits for
 * it, and task management finds it.  Whoever waits goes in the order of
 * execution, HEAD OF QUEUE before the others.
 *
 * Only what reads, writes or frees the medium is limited, so that a host still
 * finds the unit and flushes what it wrote.
 *
 * A command is charged as it begins if it can be, before its Data-Out is asked
 * for.  If not it owes: it will hold buffers and wait.  When those that owe
 * have enough buffers the next such command is refused with TASK SET FULL
 * (SAM-5 5.3.1).
 *
 * A third-party copy is charged for each piece, at the unit that is read and at
 * the one that is written, as a host that copied by itself would be.
 */
#include "target/scsi/throttle.h"
#include "target/scsi/internal.h"
#include <string.h>

/* ---- the bucket ---- */

#define PSEC_PER_SEC  1000000000000ull
#define PSEC_PER_NSEC 1000

static int64_t
time_of(const struct token_bucket *bucket, uint64_t tokens)
{
	assert(tokens <= TOKENS_MAX);
	return (int64_t)(tokens * PSEC_PER_SEC / bucket->rate);
}

void
token_bucket_init(struct token_bucket *bucket, uint64_t rate, uint64_t burst)
{
	uint64_t full = burst == 0 ? rate : burst;

	*bucket = (struct token_bucket){.rate = rate};
	if (rate == 0)
		return;
	assert(full / rate <= 3600);
	bucket->full_ps =
	    (int64_t)((unsigned __int128)full * PSEC_PER_SEC / rate);
	bucket->level_ps = bucket->full_ps;
}

void
token_bucket_fill(struct token_bucket *bucket, uint64_t ns)
{
	int64_t room = bucket->full_ps - bucket->level_ps;

	assert(room >= 0);
	if (ns > (uint64_t)room / PSEC_PER_NSEC)
		bucket->level_ps = bucket->full_ps;
	else
		bucket->level_ps += (int64_t)ns * PSEC_PER_NSEC;
}

/* What has to be there for tokens to be taken. */
static int64_t
needed(const struct token_bucket *bucket, uint64_t tokens)
{
	int64_t ps = time_of(bucket, tokens);

	return ps < bucket->full_ps ? ps : bucket->full_ps;
}

bool
token_bucket_has(const struct token_bucket *bucket, uint64_t tokens)
{
	return bucket->rate == 0 || bucket->level_ps >= needed(bucket, tokens);
}

void
token_bucket_take(struct token_bucket *bucket, uint64_t tokens)
{
	assert(token_bucket_has(bucket, tokens));
	if (bucket->rate != 0)
		bucket->level_ps -= time_of(bucket, tokens);
}

uint64_t
token_bucket_wait_ns(const struct token_bucket *bucket, uint64_t tokens)
{
	if (token_bucket_has(bucket, tokens))
		return 0;
	return (uint64_t)(needed(bucket, tokens) - bucket->level_ps) /
		   PSEC_PER_NSEC +
	       1;
}

/* ---- the unit's ---- */

static bool
is_limited(const struct scsi_task *task)
{
	return (task->op->flags & (OP_BLOCKS | OP_WRITE | OP_COPY)) != 0;
}

/* What it moves between initiator and unit. */
static uint64_t
bytes_of(const struct scsi_task *task)
{
	uint64_t bytes = task->data_length;

	if (latency_class_of(task->cdb) == LATENCY_READ)
		bytes = task_offset(task, task->block_count);
	return bytes < TOKENS_MAX ? bytes : TOKENS_MAX;
}

static bool
has_tokens(const struct throttle *throttle, uint64_t bytes)
{
	return token_bucket_has(&throttle->commands, 1) &&
	       token_bucket_has(&throttle->bytes, bytes);
}

static bool
take_tokens(struct throttle *throttle, uint64_t bytes)
{
	if (!has_tokens(throttle, bytes))
		return false;
	token_bucket_take(&throttle->commands, 1);
	token_bucket_take(&throttle->bytes, bytes);
	return true;
}

static void
fill(struct lun *lun)
{
	struct throttle *throttle = &lun->throttle;
	uint64_t now_ns = loop_now(lun->loop);
	uint64_t ns = now_ns - throttle->filled_ns;

	throttle->filled_ns = now_ns;
	token_bucket_fill(&throttle->commands, ns);
	token_bucket_fill(&throttle->bytes, ns);
}

static struct scsi_task *
first_of(const struct throttle *throttle)
{
	return list_first(&throttle->waiting, struct scsi_task, turn.link);
}

/* For the first one that waits. */
static void
arm(struct lun *lun)
{
	struct throttle *throttle = &lun->throttle;
	const struct scsi_task *first = first_of(throttle);

	fill(lun);
	if (first == NULL) {
		loop_timer_disarm(lun->loop, &throttle->timer);
		return;
	}
	uint64_t commands = token_bucket_wait_ns(&throttle->commands, 1);
	uint64_t bytes =
	    token_bucket_wait_ns(&throttle->bytes, first->turn.bytes);
	loop_timer_arm(
	    lun->loop, &throttle->timer, commands > bytes ? commands : bytes);
}

static void
enter(struct lun *lun, struct scsi_task *task, uint64_t bytes, bool head)
{
	struct throttle *throttle = &lun->throttle;
	bool first = head || list_empty(&throttle->waiting);

	assert(task->turn.lun == NULL);
	task->turn.lun = lun;
	task->turn.bytes = bytes;
	lun->stat.throttled++;
	if (head)
		list_add_head(&throttle->waiting, &task->turn.link);
	else
		list_add_tail(&throttle->waiting, &task->turn.link);
	if (first)
		arm(lun);
}

static void
leave(struct scsi_task *task)
{
	assert(task->turn.lun != NULL);
	list_del(&task->turn.link);
	task->turn.lun = NULL;
}

static void
let_go(struct lun *lun)
{
	struct throttle *throttle = &lun->throttle;
	struct scsi_task *first;

	fill(lun);
	while ((first = first_of(throttle)) != NULL &&
	       take_tokens(throttle, first->turn.bytes)) {
		leave(first);
		if (first->throttled) {
			throttle_release(first);
			scsi_task_enable(first);
		} else {
			copy_move_paid(first, true);
		}
	}
	arm(lun);
}

static void
tokens_came(struct loop_timer *timer)
{
	let_go(container_of(timer, struct lun, throttle.timer));
}

/* ---- commands ---- */

/* The loop's buffers are those of every unit on it: what waits here may have
 * this part of them, so that the others go on. */
#define HELD_PART 8

bool
throttle_admits(struct scsi_task *task)
{
	struct throttle *throttle = &task->lun->throttle;
	uint64_t most = buf_pool_arena(task->loop->bufs).iov_len / HELD_PART;

	if (!is_limited(task))
		return true;
	fill(task->lun);
	if ((task->attribute == SCSI_HEAD_OF_QUEUE ||
		list_empty(&throttle->waiting)) &&
	    take_tokens(throttle, bytes_of(task))) {
		task->turn.paid = true;
		return true;
	}
	if (throttle->held_bytes > 0 && task->data_length > 0 &&
	    throttle->held_bytes + task->data_length > most)
		return false;
	throttle->held_bytes += task->data_length;
	task->turn.held = task->data_length;
	return true;
}

void
throttle_release(struct scsi_task *task)
{
	struct throttle *throttle = &task->lun->throttle;

	assert(throttle->held_bytes >= task->turn.held);
	throttle->held_bytes -= task->turn.held;
	task->turn.held = 0;
	task->throttled = false;
}

bool
throttle_holds(struct scsi_task *task)
{
	struct lun *lun = task->lun;
	uint64_t bytes = bytes_of(task);
	bool head = task->attribute == SCSI_HEAD_OF_QUEUE;

	if (task->turn.paid || !is_limited(task))
		return false;
	fill(lun);
	if ((head || list_empty(&lun->throttle.waiting)) &&
	    take_tokens(&lun->throttle, bytes)) {
		throttle_release(task);
		return false;
	}
	task->throttled = true;
	enter(lun, task, bytes, head);
	return true;
}

void
throttle_forget(struct scsi_task *task)
{
	struct lun *lun = task->turn.lun;

	leave(task);
	arm(lun);
	if (task->throttled)
		throttle_release(task);
	else
		copy_move_paid(task, false);
}

/* ---- copies ---- */

bool
throttle_holds_piece(struct lun *lun, struct scsi_task *task, uint64_t bytes)
{
	if (!lun->throttle.on)
		return false;
	fill(lun);
	if (list_empty(&lun->throttle.waiting) &&
	    take_tokens(&lun->throttle, bytes))
		return false;
	enter(lun, task, bytes, false);
	return true;
}

void
throttle_wake_copies(struct lun *lun)
{
	struct scsi_task *task, *tmp;

	list_for_each_safe (task, tmp, &lun->throttle.waiting, turn.link) {
		if (!task->throttled)
			throttle_forget(task);
	}
}

void
throttle_init(struct lun *lun)
{
	list_init(&lun->throttle.waiting);
	lun->throttle.timer.expire = tokens_came;
}

void
lun_limits_set(struct lun *lun, const struct lun_limits *limits)
{
	struct throttle *throttle = &lun->throttle;

	ASSERT_MAGIC(lun, LUN_MAGIC);
	if (memcmp(limits, &throttle->limits, sizeof(*limits)) == 0)
		return;
	throttle->limits = *limits;
	throttle->on = limits->iops != 0 || limits->bps != 0;
	throttle->filled_ns = loop_now(lun->loop);
	token_bucket_init(
	    &throttle->commands, limits->iops, limits->iops_burst);
	token_bucket_init(&throttle->bytes, limits->bps, limits->bps_burst);
	let_go(lun);
}
