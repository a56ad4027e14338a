/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A house in this process, with its home loop on a thread of its own and one
 * reactor, spoken to over socketpairs as clients do.
 */
#ifndef TESTS_UNIT_TARGET_SUPPORT_SERVED_H
#define TESTS_UNIT_TARGET_SUPPORT_SERVED_H

#include "target/control.h"
#include <jansson.h>

struct served {
	char directory[64];
	struct config config;
	struct state *state;
	struct loop *home, *reactor;
	struct house *house;
	struct control *control;
};

/* In a new directory; false: the machine cannot. */
bool served_start(struct served *served);
/* Stops as varved does, and removes the directory. */
void served_stop(struct served *served);
/* Stops and starts again over the same state, after change, which may be NULL,
 * has changed the configuration. */
void served_restart(
    struct served *served, void (*change)(struct config *config));

/* A connected client of that role; close() it. */
int served_client(struct served *served, enum role role);

/* Writes text, then a newline. */
void client_write(int fd, const char *text);
/* The next line as JSON; NULL: the other side closed. */
json_t *client_read(int fd);

/* Calls method with params, given as JSON text: the whole answer. */
json_t *client_call(int fd, const char *method, const char *params);
/* ... its result's item, items or NULL; *ret_code the error's code or "". */
json_t *client_result(
    int fd, const char *method, const char *params, char ret_code[64]);

#endif
