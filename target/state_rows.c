/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tables that say what is where: pools, targets, exports, portals.
 */
#include "base/cleanup.h"
#include "target/state_event.h"
#include "target/state_sql.h"
#include <errno.h>
#include <string.h>
#include <time.h>

static int64_t
now(void)
{
	return (int64_t)time(NULL);
}

/* Runs a statement that has to hit a row. */
static int
must_change(const struct state *state, int ret)
{
	if (ret < 0)
		return ret;
	return sql_changed(state) > 0 ? 0 : -ENOENT;
}

static int
rows_done(int ret, struct sql_rows *rows, void *ret_array, unsigned *ret_count)
{
	if (ret < 0) {
		free(rows->array);
		rows->array = NULL;
		rows->count = 0;
	}
	*(void **)ret_array = rows->array;
	*ret_count = rows->count;
	return ret;
}

/* ---- meta ---- */

struct text {
	char *buf;
	size_t size;
	bool found;
};

static int
read_meta(sqlite3_stmt *stmt, void *arg)
{
	struct text *text = arg;

	sql_text(stmt, 0, text->buf, text->size);
	text->found = true;
	return 0;
}

int
state_meta_get(struct state *state, const char *key, char *buf, size_t size)
{
	struct text text = {buf, size, false};
	int ret = sql_run(state, "SELECT value FROM meta WHERE key = ?",
	    read_meta, &text, "s", key);

	if (ret < 0)
		return ret;
	return text.found ? 0 : -ENOENT;
}

int
state_meta_set(struct state *state, const char *key, const char *value)
{
	assert(state->changing);
	return sql_run(state,
	    "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", NULL,
	    NULL, "ss", key, value);
}

/* ---- pools ---- */

static void
read_pool(sqlite3_stmt *stmt, void *element)
{
	struct state_pool *pool = element;

	pool->id = sqlite3_column_int64(stmt, 0);
	sql_text(stmt, 1, pool->name, sizeof(pool->name));
	sql_text(stmt, 2, pool->uuid, sizeof(pool->uuid));
	pool->created_unix = sqlite3_column_int64(stmt, 3);
}

static int
read_device(sqlite3_stmt *stmt, void *arg)
{
	struct state_pool *pool = arg;
	const unsigned char *path = sqlite3_column_text(stmt, 0);

	if (pool->device_count == POOL_DEVICE_MAX || path == NULL)
		return -EIO;
	char *copy = strdup((const char *)path);
	if (copy == NULL)
		return -ENOMEM;
	pool->devices[pool->device_count++] = copy;
	return 0;
}

void
state_pools_free(struct state_pool *pools, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		for (unsigned d = 0; d < pools[i].device_count; d++)
			free(pools[i].devices[d]);
	}
	free(pools);
}

int
state_pools(
    struct state *state, struct state_pool **ret_pools, unsigned *ret_count)
{
	struct sql_rows rows = {
	    .size = sizeof(struct state_pool), .read = read_pool};
	struct state_pool *pools;
	int ret = sql_run(state,
	    "SELECT id, name, uuid, created FROM pools ORDER BY name",
	    sql_collect, &rows, "");

	ret = rows_done(ret, &rows, ret_pools, ret_count);
	pools = *ret_pools;
	for (unsigned i = 0; i < *ret_count && ret == 0; i++)
		ret = sql_run(state,
		    "SELECT path FROM pool_devices WHERE pool = ? "
		    "ORDER BY position",
		    read_device, &pools[i], "i", pools[i].id);
	if (ret < 0) {
		state_pools_free(pools, *ret_count);
		*ret_pools = NULL;
		*ret_count = 0;
	}
	return ret;
}

int
state_pool_add_device(struct state *state, int64_t pool_id, const char *path)
{
	assert(state->changing);
	return sql_run(state,
	    "INSERT INTO pool_devices (pool, position, path) SELECT ?1, "
	    "coalesce(max(position) + 1, 0), ?2 FROM pool_devices "
	    "WHERE pool = ?1",
	    NULL, NULL, "is", pool_id, path);
}

int
state_pool_remove_device(struct state *state, int64_t pool_id, const char *path)
{
	assert(state->changing);
	return must_change(
	    state, sql_run(state,
		       "DELETE FROM pool_devices WHERE pool = ? AND path = ?",
		       NULL, NULL, "is", pool_id, path));
}

int
state_pool_add(struct state *state, struct state_pool *pool)
{
	int ret;

	assert(state->changing);
	pool->created_unix = now();
	ret = sql_run(state,
	    "INSERT INTO pools (name, uuid, created) VALUES (?, ?, ?)", NULL,
	    NULL, "ssi", pool->name, pool->uuid, pool->created_unix);
	if (ret < 0)
		return ret;
	pool->id = sql_inserted(state);
	for (unsigned i = 0; i < pool->device_count && ret == 0; i++)
		ret = state_pool_add_device(state, pool->id, pool->devices[i]);
	return ret;
}

int
state_pool_remove(struct state *state, int64_t pool_id)
{
	assert(state->changing);
	return must_change(
	    state, sql_run(state, "DELETE FROM pools WHERE id = ?", NULL, NULL,
		       "i", pool_id));
}

/* ---- targets ---- */

#define TARGET_COLUMNS "id, pool, iqn, lun_uuid, alias"

static void
read_target(sqlite3_stmt *stmt, void *element)
{
	struct state_target *target = element;

	target->id = sqlite3_column_int64(stmt, 0);
	target->pool_id = sqlite3_column_int64(stmt, 1);
	sql_text(stmt, 2, target->iqn, sizeof(target->iqn));
	sql_text(stmt, 3, target->lun_uuid, sizeof(target->lun_uuid));
	sql_text(stmt, 4, target->alias, sizeof(target->alias));
}

int
state_targets(
    struct state *state, struct state_target **ret_targets, unsigned *ret_count)
{
	struct sql_rows rows = {
	    .size = sizeof(struct state_target), .read = read_target};
	int ret = sql_run(state,
	    "SELECT " TARGET_COLUMNS " FROM targets ORDER BY iqn", sql_collect,
	    &rows, "");

	return rows_done(ret, &rows, ret_targets, ret_count);
}

int
state_target_find(struct state *state, int64_t pool_id, const char *lun_uuid,
    struct state_target *ret_target)
{
	struct sql_rows rows = {
	    .size = sizeof(*ret_target), .read = read_target};
	struct state_target *found;
	unsigned count;
	int ret = sql_run(state,
	    "SELECT " TARGET_COLUMNS
	    " FROM targets WHERE pool = ? AND lun_uuid IS ?",
	    sql_collect, &rows, "in", pool_id, lun_uuid);

	ret = rows_done(ret, &rows, &found, &count);
	if (ret == 0 && count == 0)
		ret = -ENOENT;
	if (ret == 0)
		*ret_target = found[0];
	free(found);
	return ret;
}

int
state_target_add(struct state *state, struct state_target *target)
{
	int ret;

	assert(state->changing);
	ret = sql_run(state,
	    "INSERT INTO targets (pool, iqn, lun_uuid, alias) "
	    "VALUES (?, ?, ?, ?)",
	    NULL, NULL, "isns", target->pool_id, target->iqn, target->lun_uuid,
	    target->alias);
	target->id = sql_inserted(state);
	return ret;
}

int
state_target_remove(struct state *state, int64_t id)
{
	assert(state->changing);
	return must_change(
	    state, sql_run(state, "DELETE FROM targets WHERE id = ?", NULL,
		       NULL, "i", id));
}

/* ---- exports ---- */

const char *const state_carriers[CARRIER_COUNT] = {
    [CARRIER_ISCSI] = "iscsi",
    [CARRIER_TCMU] = "tcmu",
    [CARRIER_TCMU_LOOP] = "tcmu-loop",
};

static enum state_carrier
carrier_of(const char *word)
{
	for (unsigned i = 0; i < CARRIER_COUNT; i++)
		if (word != NULL && strcmp(word, state_carriers[i]) == 0)
			return i;
	return CARRIER_ISCSI;
}

static void
read_export(sqlite3_stmt *stmt, void *element)
{
	struct state_export *e = element;

	e->id = sqlite3_column_int64(stmt, 0);
	e->target_id = sqlite3_column_int64(stmt, 1);
	e->host_id = sqlite3_column_int64(stmt, 2);
	e->pool_id = sqlite3_column_int64(stmt, 3);
	sql_text(stmt, 4, e->lun_uuid, sizeof(e->lun_uuid));
	sql_text(stmt, 5, e->lun_name, sizeof(e->lun_name));
	e->number = (unsigned)sqlite3_column_int(stmt, 6);
	e->read_only = sqlite3_column_int(stmt, 7) != 0;
	e->created_unix = sqlite3_column_int64(stmt, 8);
	sql_text(stmt, 9, e->host, sizeof(e->host));
	sql_text(stmt, 10, e->pool, sizeof(e->pool));
	sql_text(stmt, 11, e->iqn, sizeof(e->iqn));
	e->own_target = sqlite3_column_int(stmt, 12) != 0;
	e->expires_unix = sqlite3_column_int64(stmt, 13);
	e->carrier = carrier_of((const char *)sqlite3_column_text(stmt, 14));
}

int
state_exports(
    struct state *state, struct state_export **ret_exports, unsigned *ret_count)
{
	struct sql_rows rows = {
	    .size = sizeof(struct state_export), .read = read_export};
	int ret = sql_run(state,
	    "SELECT e.id, e.target, e.host, t.pool, e.lun_uuid, e.lun_name, "
	    "e.number, e.read_only, e.created, h.name, p.name, t.iqn, "
	    "t.lun_uuid IS NOT NULL, e.expires, e.carrier FROM exports e "
	    "JOIN targets t ON t.id = e.target JOIN hosts h ON h.id = e.host "
	    "JOIN pools p ON p.id = t.pool "
	    "ORDER BY p.name, e.lun_name, h.name",
	    sql_collect, &rows, "");

	return rows_done(ret, &rows, ret_exports, ret_count);
}

int
state_export_add(struct state *state, struct state_export *export)
{
	int ret;

	assert(state->changing);
	export->created_unix = now();
	ret = sql_run(state,
	    "INSERT INTO exports (target, host, lun_uuid, lun_name, number, "
	    "read_only, created, expires, carrier) "
	    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    NULL, NULL, "iissubiis", export->target_id, export->host_id,
	    export->lun_uuid, export->lun_name, export->number,
	    (int)export->read_only, export->created_unix, export->expires_unix,
	    state_carriers[export->carrier]);
	export->id = sql_inserted(state);
	return ret;
}

int
state_export_remove(struct state *state, int64_t id)
{
	assert(state->changing);
	return must_change(
	    state, sql_run(state, "DELETE FROM exports WHERE id = ?", NULL,
		       NULL, "i", id));
}

int
state_export_expires(struct state *state, int64_t id, int64_t unix_seconds)
{
	assert(state->changing);
	return must_change(
	    state, sql_run(state, "UPDATE exports SET expires = ? WHERE id = ?",
		       NULL, NULL, "ii", unix_seconds, id));
}

int
state_lun_renamed(
    struct state *state, const char *lun_uuid, const char *lun_name)
{
	int ret;

	assert(state->changing);
	ret =
	    sql_run(state, "UPDATE exports SET lun_name = ? WHERE lun_uuid = ?",
		NULL, NULL, "ss", lun_name, lun_uuid);
	if (ret < 0)
		return ret;
	return sql_run(state,
	    "UPDATE policy_members SET lun_name = ? "
	    "WHERE kind = 'lun' AND what = ?",
	    NULL, NULL, "ss", lun_name, lun_uuid);
}

int
state_lun_snaps_renamed(
    struct state *state, int64_t pool_id, const char *before, const char *after)
{
	int ret;

	assert(state->changing);
	ret = state_backups_renamed(state, pool_id, before, after);
	if (ret < 0)
		return ret;
	return sql_run(state,
	    "UPDATE exports SET lun_name = ?3 || substr(lun_name, "
	    "length(?2) + 1) WHERE substr(lun_name, 1, length(?2) + 1) = "
	    "?2 || '@' AND target IN (SELECT id FROM targets WHERE pool = ?1)",
	    NULL, NULL, "iss", pool_id, before, after);
}

/* ---- portals ---- */

static void
read_portal(sqlite3_stmt *stmt, void *element)
{
	struct state_portal *portal = element;

	portal->id = sqlite3_column_int64(stmt, 0);
	sql_text(stmt, 1, portal->asked, sizeof(portal->asked));
	sql_text(stmt, 2, portal->address, sizeof(portal->address));
	portal->tag = (uint16_t)sqlite3_column_int(stmt, 3);
	sql_text(stmt, 4, portal->redirect, sizeof(portal->redirect));
	portal->permanent = sqlite3_column_int(stmt, 5) != 0;
}

int
state_portals(
    struct state *state, struct state_portal **ret_portals, unsigned *ret_count)
{
	struct sql_rows rows = {
	    .size = sizeof(struct state_portal), .read = read_portal};
	int ret = sql_run(state,
	    "SELECT id, asked, address, tag, redirect, permanent FROM portals "
	    "ORDER BY id",
	    sql_collect, &rows, "");

	return rows_done(ret, &rows, ret_portals, ret_count);
}

int
state_portal_add(struct state *state, struct state_portal *portal)
{
	int ret;

	assert(state->changing);
	assert(portal->tag != 0);
	ret = sql_run(state,
	    "INSERT INTO portals (asked, address, tag) VALUES (?, ?, ?)", NULL,
	    NULL, "ssu", portal->asked, portal->address, (unsigned)portal->tag);
	portal->id = sql_inserted(state);
	return ret;
}

int
state_portal_move(struct state *state, int64_t id, const char *address)
{
	assert(state->changing);
	return must_change(
	    state, sql_run(state, "UPDATE portals SET address = ? WHERE id = ?",
		       NULL, NULL, "si", address, id));
}

int
state_portal_redirect(
    struct state *state, int64_t id, const char *redirect, bool permanent)
{
	assert(state->changing);
	return must_change(state,
	    sql_run(state,
		"UPDATE portals SET redirect = ?, permanent = ? WHERE id = ?",
		NULL, NULL, "sii", redirect, (int64_t)permanent, id));
}

int
state_portal_remove(struct state *state, int64_t id)
{
	int ret;

	assert(state->changing);
	ret = must_change(
	    state, sql_run(state, "DELETE FROM portals WHERE id = ?", NULL,
		       NULL, "i", id));
	return ret < 0 ? ret : state_port_groups_forget(state);
}
