/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads of varve.  Signals belong to the main thread: every other thread
 * starts with all of them blocked, except those that report its own faults.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/* name: at most 15 characters, or NULL.  0 or -EAGAIN (thread limit). */
int thread_start(pthread_t *ret_thread, const char *name, void *(*main)(void *),
    void *argument);

void thread_set_name(const char *name);

#endif
