/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes on in pools: LUNs to be flattened, samples of used space.
 */
#include "target/state_sql.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- flattening ---- */

static void
read_uuid(sqlite3_stmt *stmt, void *element)
{
	char text[STATE_UUID_TEXT];
	uuid_t *uuid = element;

	sql_text(stmt, 0, text, sizeof(text));
	if (uuid_parse(text, *uuid) < 0)
		uuid_clear(*uuid); /* no LUN has that */
}

int
state_flattens(struct state *state, int64_t pool_id, uuid_t **ret_uuids,
    unsigned *ret_count)
{
	struct sql_rows rows = {.size = sizeof(uuid_t), .read = read_uuid};
	int ret = sql_run(state,
	    "SELECT lun_uuid FROM flattens WHERE pool = ? ORDER BY rowid",
	    sql_collect, &rows, "i", pool_id);

	if (ret < 0) {
		free(rows.array);
		return ret;
	}
	*ret_uuids = rows.array;
	*ret_count = rows.count;
	return 0;
}

int
state_flatten_add(struct state *state, int64_t pool_id, const uuid_t uuid)
{
	char text[STATE_UUID_TEXT];

	assert(state->changing);
	uuid_unparse_lower(uuid, text);
	return sql_run(state,
	    "INSERT OR IGNORE INTO flattens (pool, lun_uuid) VALUES (?, ?)",
	    NULL, NULL, "is", pool_id, text);
}

int
state_flatten_remove(struct state *state, int64_t pool_id, const uuid_t uuid)
{
	char text[STATE_UUID_TEXT];

	assert(state->changing);
	uuid_unparse_lower(uuid, text);
	return sql_run(state,
	    "DELETE FROM flattens WHERE pool = ? AND lun_uuid = ?", NULL, NULL,
	    "is", pool_id, text);
}

/* ---- samples ---- */

int
state_sample_add(
    struct state *state, int64_t pool_id, int64_t at, uint64_t used)
{
	int64_t bytes = used < INT64_MAX ? (int64_t)used : INT64_MAX;
	int ret = sql_run(state,
	    "INSERT OR REPLACE INTO samples (pool, at, used) VALUES (?, ?, ?)",
	    NULL, NULL, "iii", pool_id, at, bytes);

	if (ret < 0)
		return ret;
	/* those of a time that is not yet are of a wrong clock */
	return sql_run(state,
	    "DELETE FROM samples WHERE pool = ?1 AND (at <= ?2 OR at > ?3)",
	    NULL, NULL, "iii", pool_id,
	    at - (int64_t)FORECAST_SAMPLES * FORECAST_INTERVAL_SECONDS, at);
}

static int
read_sample(sqlite3_stmt *stmt, void *arg)
{
	forecast_add(arg, sqlite3_column_int64(stmt, 0),
	    (uint64_t)sqlite3_column_int64(stmt, 1));
	return 0;
}

int
state_samples(
    struct state *state, int64_t pool_id, struct forecast *ret_forecast)
{
	ret_forecast->count = 0;
	return sql_run(state,
	    "SELECT at, used FROM samples WHERE pool = ? ORDER BY at",
	    read_sample, ret_forecast, "i", pool_id);
}
