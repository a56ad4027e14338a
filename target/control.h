/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The control socket: many clients, each one request at a time, each bounded in
 * memory and in the time it may take to send a line or to read an answer.
 */
#ifndef TARGET_CONTROL_H
#define TARGET_CONTROL_H

#include "target/request.h"

#define CONTROL_CLIENTS_MAX    128
#define CONTROL_LINE_SECONDS   30 /* to send a line that was begun */
#define CONTROL_ANSWER_SECONDS 30 /* to read some more of an answer */

struct control;

/* On the home loop.  Replaces a stale socket file; -EADDRINUSE when one is
 * answered by another process. */
int control_new(struct house *house, const char *path, struct control **ret);

/* A client that is connected already; takes fd. */
int control_adopt(struct control *control, int fd, const struct caller *caller);

/* No new clients; those that wait for an answer get it.  done when none is
 * left. */
void control_stop(struct control *control, void (*done)(void *arg), void *arg);
void control_free(struct control *control);

#endif
