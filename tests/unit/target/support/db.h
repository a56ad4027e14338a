/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A state of its own for each test, in a directory of the process; and rows to
 * put into it, each in a transaction.
 */
#ifndef TESTS_UNIT_TARGET_SUPPORT_DB_H
#define TESTS_UNIT_TARGET_SUPPORT_DB_H

#include "target/state.h"

extern struct state *state;
extern char db_path[64];
extern char db_problem[STATE_PROBLEM_MAX];

/* For cmocka: of a test, and of the group. */
int db_setup(void **unused);
int db_teardown(void **unused);
int db_make_directory(void **unused);
int db_remove_directory(void **unused);

void db_reopen(void);
void db_execute(const char *sql);

#define UUID_1 "11111111-1111-4111-8111-111111111111"
#define UUID_2 "22222222-2222-4222-8222-222222222222"

struct state_host db_host_of(const char *name, const char *iqn);
/* 0 or what state_host_add says. */
int db_add_host(const char *name, const char *iqn, int64_t *ret_id);
/* Its id; it has a target and one device. */
int64_t db_add_pool(
    const char *name, const char *uuid, char *device, int64_t *ret_target);
int db_add_export(
    int64_t target, int64_t host, const char *uuid, unsigned number);

#endif
