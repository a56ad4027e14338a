/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How the files of the state speak to SQLite.
 */
#ifndef TARGET_STATE_SQL_H
#define TARGET_STATE_SQL_H

#include "target/state.h"
#include <sqlite3.h>

struct state {
	sqlite3 *db;
	int64_t generation;
	bool is_new;
	bool changing; /* between begin and commit */
};

/* Runs one statement with the arguments that types names: 's' const char *,
 * 'n' the same but "" is NULL, 'i' int64_t, 'u' unsigned, 'b' bool (as int).
 * row, which may be NULL, is called for each row; what it returns ends it when
 * not 0.  0, or -errno as in state.h. */
int sql_run(struct state *state, const char *sql,
    int (*row)(sqlite3_stmt *stmt, void *arg), void *arg, const char *types,
    ...);

/* The same, for rows gathered in an array that grows: read fills one element.
 */
struct sql_rows {
	void *array;
	unsigned count;
	size_t size; /* of an element */
	void (*read)(sqlite3_stmt *stmt, void *element);
};
int sql_collect(sqlite3_stmt *stmt, void *rows);

/* Ends the transaction without counting it as a change. */
int sql_commit(struct state *state);

/* The rows of one step, or none of them: in the open transaction, which is then
 * the caller's to end, or in one that does not count as a change. */
int sql_in_one(struct state *state, int (*step)(struct state *state, void *arg),
    void *arg);

/* What was said of groups that no portal is in. */
int state_port_groups_forget(struct state *state);

int64_t sql_inserted(const struct state *state);
int sql_changed(const struct state *state); /* rows of the last statement */

/* Column text into a buffer; NULL becomes "". */
void sql_text(sqlite3_stmt *stmt, int column, char *buf, size_t size);

#endif
