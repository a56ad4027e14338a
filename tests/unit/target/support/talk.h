/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The talk with a house: one client that may write asks, and what the last
 * call gave stays until the next.
 */
#ifndef TESTS_UNIT_TARGET_SUPPORT_TALK_H
#define TESTS_UNIT_TARGET_SUPPORT_TALK_H

#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/target/support/served.h"

extern struct served served;
extern int writer;
extern char code[64]; /* the error's; "": none */
extern json_t *result;

/* False: the machine cannot. */
bool talk_start(void);
void talk_stop(void);
/* Over the same state; change may be NULL. */
void talk_restart(void (*change)(struct config *config));

const json_t *call(const char *method, const char *params);
/* ... and it has to be done, or refused with that code. */
const json_t *done(const char *method, const char *params);
void refused(const char *method, const char *params, const char *expected);

/* Members: "(none)" and 0 if they are not there. */
const char *text_in(const json_t *item, const char *member);
const char *text(const char *member);
json_int_t number(const char *member);

/* Does health say that? */
bool has_finding(const char *expected);

/* For cmocka: a talk; one about vms/a and vms/b, of 1 MiB each; its end. */
int talk_setup(void **unused);
int talk_setup_luns(void **unused);
int talk_teardown(void **unused);

/* A pool of 128 MiB in a file of its name. */
void pool(const char *name);

#define LUN(name, size)                                                        \
	done("lun.create", "{\"name\":\"" name "\",\"size\":" #size "}")
#define EXPORT(lun, host)                                                      \
	done("export.add", "{\"name\":\"" lun "\",\"host\":\"" host "\"}")
#define HOST(name)                                                             \
	done("host.add",                                                       \
	    "{\"name\":\"" name "\",\"iqn\":\"iqn.2026-01.x:" name             \
	    "\",\"no_chap\":true}")

#endif
