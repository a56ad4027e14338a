/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A loop's helper threads, for calls that block and that io_uring would not
 * do better: fallocate, punch hole, open.  Threads start when work waits and
 * nobody is idle, up to OFFLOAD_THREADS_MAX, and end in offload_free().
 */
#ifndef BASE_OFFLOAD_H
#define BASE_OFFLOAD_H

#include "base/loop.h"

/* Enough to keep a device's queue of discards busy; they only wait. */
#define OFFLOAD_THREADS_MAX 4

struct offload;

struct offload *offload_new(void); /* NULL: no memory */

/* Joins the threads.  Asserts that no work waits. */
void offload_free(struct offload *offload);

/* work->run() on a helper thread, which then posts work->task to work->loop:
 * both are set by the caller.  0, or -EAGAIN: not one thread could be had. */
int offload_submit(struct offload *offload, struct loop_work *work);

#endif
