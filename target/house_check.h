/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Checking a pool that is served: a job, one per pool, on a thread of its own
 * with a loop of its own, while the pool's reactor goes on.
 *
 *	asked     the pool pins a checkpoint (snapshot/pin.h) on its reactor
 *	checking  the thread reads it through the reactor, one READ at a time,
 *	          and rests in between as all background work does
 *	letting   the thread is gone; the reactor lets the checkpoint go
 *	ended     kept until the pool is checked again or forgotten
 *
 * All is called at home.
 */
#ifndef TARGET_HOUSE_CHECK_H
#define TARGET_HOUSE_CHECK_H

#include "target/house.h"

struct house_check;

/* Begins; hp->check is NULL, and is the check until that has ended.  started
 * once, later: when the checkpoint is pinned, or when that has failed: then job
 * has ended. */
void house_check(struct house_pool *hp,
    void (*started)(void *arg, const struct house_job *job), void *arg);

/* The job that house_check() would begin. */
void house_check_describe(
    const struct house_pool *hp, struct house_job *ret_job);

/* Gives hp->check up; gone once, later, when it has ended and nothing of it
 * uses the pool any more. */
void house_check_stop(
    struct house_pool *hp, void (*gone)(void *arg), void *arg);

/* As it is now. */
const struct house_job *house_check_job(struct house_check *check);
/* {item, items} as varve rescue check prints them; NULL: it has not ended well.
 * Not a new reference. */
json_t *house_check_report(const struct house_check *check);
/* Of one that has ended, or NULL. */
void house_check_free(struct house_check *check);

#endif
