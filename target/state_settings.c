/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Settings of LUNs (settings.h); and what else is of a LUN goes with them.
 */
#include "base/log.h"
#include "target/settings.h"
#include "target/state_sql.h"
#include <errno.h>
#include <stdlib.h>

/* What is there was checked when it came; but another may have written it. */
static int
settings_parse(const char *text, json_t **ret_settings)
{
	json_t *found = json_loads(text, JSON_REJECT_DUPLICATES, NULL), *fault;

	if (!json_is_object(found)) {
		json_decref(found);
		return -EBADMSG;
	}
	fault = settings_change(NULL, found, ret_settings);
	json_decref(found);
	if (fault == NULL)
		return 0;
	json_decref(fault);
	return -EBADMSG;
}

static int
read_settings(sqlite3_stmt *stmt, void *arg)
{
	const char *uuid = (const char *)sqlite3_column_text(stmt, 0);
	const char *text = (const char *)sqlite3_column_text(stmt, 1);
	json_t *settings;
	int ret;

	if (uuid == NULL || text == NULL)
		return -ENOMEM; /* neither is NULL in a row */
	ret = settings_parse(text, &settings);
	if (ret < 0)
		return ret;
	return json_object_set_new(arg, uuid, settings) == 0 ? 0 : -ENOMEM;
}

static int
read_if_good(sqlite3_stmt *stmt, void *arg)
{
	int ret = read_settings(stmt, arg);

	if (ret != -EBADMSG)
		return ret;
	return json_object_set_new(arg,
		   (const char *)sqlite3_column_text(stmt, 0), json_null()) == 0
		   ? 0
		   : -ENOMEM;
}

static int
settings_found(int ret, json_t *found, json_t **ret_settings)
{
	if (ret < 0)
		json_decref(found);
	else
		*ret_settings = found;
	return ret;
}

int
state_settings(struct state *state, int64_t pool_id, json_t **ret_settings)
{
	json_t *all = json_object();

	if (all == NULL)
		return -ENOMEM;
	return settings_found(
	    sql_run(state,
		"SELECT lun_uuid, settings FROM lun_settings WHERE pool = ?",
		read_if_good, all, "i", pool_id),
	    all, ret_settings);
}

int
state_settings_of(struct state *state, int64_t pool_id, const char *lun_uuid,
    json_t **ret_settings)
{
	json_t *one = json_object();

	if (one == NULL)
		return -ENOMEM;
	return settings_found(
	    sql_run(state,
		"SELECT lun_uuid, settings FROM lun_settings WHERE pool = ? "
		"AND lun_uuid = ?",
		read_settings, one, "is", pool_id, lun_uuid),
	    one, ret_settings);
}

static int
settings_forget(struct state *state, int64_t pool_id, const char *lun_uuid)
{
	return sql_run(state,
	    "DELETE FROM lun_settings WHERE pool = ? AND lun_uuid = ?", NULL,
	    NULL, "is", pool_id, lun_uuid);
}

int
state_settings_put(struct state *state, int64_t pool_id, const char *lun_uuid,
    const json_t *settings)
{
	char *text;
	int ret;

	assert(state->changing);
	if (json_object_size(settings) == 0)
		return settings_forget(state, pool_id, lun_uuid);
	text = json_dumps(settings, JSON_COMPACT | JSON_SORT_KEYS);
	if (text == NULL)
		return -ENOMEM;
	ret = sql_run(state,
	    "INSERT OR REPLACE INTO lun_settings (pool, lun_uuid, settings) "
	    "VALUES (?, ?, ?)",
	    NULL, NULL, "iss", pool_id, lun_uuid, text);
	free(text);
	return ret;
}

int
state_lun_forget(struct state *state, int64_t pool_id, const char *lun_uuid)
{
	static const char *const rest[] = {
	    "DELETE FROM lun_saved WHERE pool = ? AND lun_uuid = ?",
	    "DELETE FROM registrations WHERE pool = ? AND lun_uuid = ?",
	    "DELETE FROM policy_members WHERE pool = ? AND kind = 'lun' "
	    "AND what = ?",
	};
	int ret;

	assert(state->changing);
	ret = settings_forget(state, pool_id, lun_uuid);
	for (size_t i = 0; i < ARRAY_SIZE(rest) && ret == 0; i++)
		ret = sql_run(
		    state, rest[i], NULL, NULL, "is", pool_id, lun_uuid);
	return ret;
}
