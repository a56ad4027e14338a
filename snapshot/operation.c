/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What changes the pool on request, one after the other.  An operation is a
 * chain of stages; each returns 0 (go on with op->run), -EAGAIN (op->waiter is
 * queued), OP_DONE, or an error.
 */
#include "snapshot/engine.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void
operation_ready(struct waiter *waiter, int error)
{
	struct operation *op = container_of(waiter, struct operation, waiter);

	if (error < 0)
		operation_end(op, error);
	else
		operation_run(op);
}

struct operation *
operation_new(struct pool_request *request, int (*run)(struct operation *op))
{
	struct operation *op = calloc(1, sizeof(*op));

	assert(op != NULL);
	op->request = request;
	op->run = run;
	waiter_init(&op->waiter, operation_ready);
	list_init(&request->link);
	request->state = op;
	request->problem[0] = 0;
	return op;
}

static void
name_take(char to[FMT_NAME], const char *name)
{
	memset(to, 0, FMT_NAME);
	if (strlen(name) <= POOL_NAME_MAX)
		memcpy(to, name, strlen(name)); /* else it is not valid */
}

struct operation *
operation_on(struct pool_request *request, int (*run)(struct operation *op),
    struct volume *volume, const char *name)
{
	struct operation *op = operation_new(request, run);

	op->volume = volume;
	if (name != NULL)
		name_take(op->name, name);
	return op;
}

void
operation_problem(struct operation *op, const char *format, ...)
{
	va_list args;

	if (op->request->problem[0] != 0)
		return; /* the first says most */
	va_start(args, format);
	vsnprintf(
	    op->request->problem, sizeof(op->request->problem), format, args);
	va_end(args);
}

static void
operation_end_again(struct loop_timer *timer)
{
	struct operation *op = container_of(timer, struct operation, timer);

	op->makes_pool = !pool_idle(op->pool);
	operation_end(op, op->result);
}

void
operation_end(struct operation *op, int result)
{
	struct pool_request *request = op->request;
	struct pool *pool = op->pool;

	/* What failed to make a pool frees it: not from a callback of its own,
	 * and not while pages are read ahead. */
	if (result < 0 && op->makes_pool) {
		op->result = result;
		op->timer.expire = operation_end_again;
		loop_timer_arm(pool->loop, &op->timer, NSEC_PER_MSEC);
		return;
	}
	if (op->cleanup != NULL) {
		op->cleanup(op, result);
		pool = op->pool;
	}
	if (result < 0)
		operation_problem(op, "%s",
		    pool != NULL && pool->problem[0] != 0 ? pool->problem
							  : strerror(-result));
	if (pool != NULL && pool->operation == op)
		pool->operation = NULL;
	free(op);
	request->state = NULL;
	if (pool != NULL)
		operation_next(pool);
	request->done(request, result);
}

void
operation_run(struct operation *op)
{
	int result;

	do
		result = op->run(op);
	while (result == 0);
	if (result == -EAGAIN)
		return;
	operation_end(op, result == OP_DONE ? 0 : result);
}

static void
operation_begin(struct loop_task *task)
{
	struct pool_request *request =
	    container_of(task, struct pool_request, task);

	operation_run(request->state);
}

void
operation_next(struct pool *pool)
{
	struct list *node;

	if (pool->operation != NULL)
		return;
	node = list_pop(&pool->requests);
	if (node == NULL)
		return;
	struct pool_request *request =
	    list_entry(node, struct pool_request, link);
	pool->operation = request->state;
	request->task.run = operation_begin;
	loop_defer(pool->loop, &request->task);
}

void
operation_queue(struct pool *pool, struct operation *op)
{
	op->pool = pool;
	list_add_tail(&pool->requests, &op->request->link);
	operation_next(pool);
}

void
operation_start(struct loop *loop, struct operation *op)
{
	op->request->task.run = operation_begin;
	loop_defer(loop, &op->request->task);
}

int
operation_done(struct operation *op)
{
	(void)op;
	return OP_DONE;
}

void
operation_free_detail(struct operation *op, int result)
{
	(void)result;
	free(op->detail);
}

int
operation_checkpoint(struct operation *op, int (*then)(struct operation *op))
{
	op->run = then;
	checkpoint_wait(op->pool, &op->waiter);
	return -EAGAIN;
}

int
operation_commit(struct operation *op, int (*then)(struct operation *op))
{
	op->run = then;
	redo_flush(op->pool, &op->waiter);
	return -EAGAIN;
}

int
operation_check(struct operation *op)
{
	if (op->pool->state == POOL_ONLINE)
		return 0;
	if (op->pool->state == POOL_READ_ONLY) {
		operation_problem(op, "the pool is open for reading only");
		return -EROFS;
	}
	return -EIO;
}

int
operation_check_device(struct operation *op)
{
	const struct pool *pool = op->pool;
	int result = operation_check(op);

	if (result < 0 || (op->slot < pool->device_count &&
			      !device_is_removed(&pool->device[op->slot])))
		return result;
	operation_problem(op, "the pool has no device %" PRIu32, op->slot);
	return -ENOENT;
}

int
operation_check_name(struct operation *op)
{
	int result = operation_check(op);

	if (result == 0 && !pool_name_valid(op->name)) {
		operation_problem(op, "the name is not valid");
		result = -EINVAL;
	}
	return result;
}
