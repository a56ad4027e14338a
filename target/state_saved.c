/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What initiators set and saved in logical units: mode parameters, and how good
 * paths are (alua.c).
 */
#include "target/state_sql.h"
#include <stdlib.h>

static int
read_row(sqlite3_stmt *stmt, void *arg)
{
	struct lun_saved *saved = arg;
	char name[LUN_SAVED_NAME_MAX];

	/* what a later varve knows besides, this one does not need */
	if (saved->count == LUN_SAVED_MAX)
		return 0;
	sql_text(stmt, 0, name, sizeof(name));
	lun_saved_add(saved, name, sqlite3_column_int64(stmt, 1));
	return 0;
}

int
state_saved_get(struct state *state, int64_t pool_id, const char *lun_uuid,
    struct lun_saved *ret_saved)
{
	ret_saved->count = 0;
	return sql_run(state,
	    "SELECT name, value FROM lun_saved "
	    "WHERE pool = ? AND lun_uuid = ? ORDER BY name",
	    read_row, ret_saved, "is", pool_id, lun_uuid);
}

static int
put_rows(struct state *state, int64_t pool_id, const char *lun_uuid,
    const struct lun_saved *saved)
{
	int ret = 0;

	for (unsigned i = 0; i < saved->count && ret == 0; i++) {
		const struct lun_saved_value *setting = &saved->list[i];
		ret = sql_run(state,
		    "INSERT OR REPLACE INTO lun_saved "
		    "(pool, lun_uuid, name, value) VALUES (?, ?, ?, ?)",
		    NULL, NULL, "issi", pool_id, lun_uuid, setting->name,
		    setting->value);
	}
	return ret;
}

int
state_saved_put(struct state *state, int64_t pool_id, const char *lun_uuid,
    const struct lun_saved *saved)
{
	int ret = state_begin(state);

	if (ret < 0)
		return ret;
	ret = put_rows(state, pool_id, lun_uuid, saved);
	if (ret < 0) {
		state_rollback(state);
		return ret;
	}
	return sql_commit(state);
}

int
state_saved_forget(struct state *state, int64_t pool_id, const char *lun_uuid,
    const char *name)
{
	assert(state->changing);
	return sql_run(state,
	    "DELETE FROM lun_saved WHERE pool = ? AND lun_uuid = ? AND name = "
	    "?",
	    NULL, NULL, "iss", pool_id, lun_uuid, name);
}

/* ---- of all LUNs ---- */

static void
read_exported(sqlite3_stmt *stmt, void *element)
{
	struct state_saved *saved = element;

	saved->pool_id = sqlite3_column_int64(stmt, 0);
	sql_text(stmt, 1, saved->lun_uuid, sizeof(saved->lun_uuid));
	sql_text(stmt, 2, saved->lun_name, sizeof(saved->lun_name));
	sql_text(stmt, 3, saved->name, sizeof(saved->name));
	saved->value = sqlite3_column_int64(stmt, 4);
}

int
state_saved_exported(
    struct state *state, struct state_saved **ret_saved, unsigned *ret_count)
{
	struct sql_rows rows = {
	    .size = sizeof(struct state_saved), .read = read_exported};
	int ret = sql_run(state,
	    "SELECT DISTINCT s.pool, s.lun_uuid, e.lun_name, s.name, s.value "
	    "FROM lun_saved s JOIN exports e ON e.lun_uuid = s.lun_uuid "
	    "JOIN targets t ON t.id = e.target AND t.pool = s.pool "
	    "ORDER BY s.pool, e.lun_name, s.name",
	    sql_collect, &rows, "");

	if (ret < 0) {
		free(rows.array);
		return ret;
	}
	*ret_saved = rows.array;
	*ret_count = rows.count;
	return 0;
}
