/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Registrations of persistent reservations that outlive a loss of power.
 */
#include "target/state_sql.h"
#include <errno.h>
#include <string.h>

/* ---- reading ---- */

static int
read_row(sqlite3_stmt *stmt, void *arg)
{
	struct registry *registry = arg;
	struct registration r = {
	    .key = (uint64_t)sqlite3_column_int64(stmt, 0),
	    .port = (uint16_t)sqlite3_column_int(stmt, 3),
	    .all_ports = sqlite3_column_int(stmt, 4) != 0,
	};
	unsigned holds = (unsigned)sqlite3_column_int(stmt, 5);
	int index;

	sql_text(stmt, 1, r.initiator, sizeof(r.initiator));
	sql_text(stmt, 2, r.target, sizeof(r.target));
	if (r.key == 0)
		return -EBADMSG;
	index = registry_register(registry, &r);
	if (index < 0)
		return index;
	if (registry->type == REGISTRY_NONE && registry_type_is_known(holds)) {
		registry->type = (enum registry_type)holds;
		if (!registry_type_is_held_by_all(registry->type))
			registry->holder = (unsigned)index;
	}
	return 0;
}

int
state_registry_get(struct state *state, int64_t pool_id, const char *lun_uuid,
    struct registry **ret_registry)
{
	struct registry *registry = registry_new();
	int ret;

	if (registry == NULL)
		return -ENOMEM;
	registry->aptpl = true;
	ret = sql_run(state,
	    "SELECT key, initiator, target, port, all_ports, holds "
	    "FROM registrations WHERE pool = ? AND lun_uuid = ? "
	    "ORDER BY position",
	    read_row, registry, "is", pool_id, lun_uuid);
	if (ret == 0 && registry->count == 0)
		ret = -ENOENT;
	if (ret < 0)
		registry_free(registry);
	else
		*ret_registry = registry;
	return ret;
}

/* ---- writing ---- */

static int
put_row(struct state *state, int64_t pool_id, const char *lun_uuid,
    const struct registry *registry, unsigned index)
{
	const struct registration *r = &registry->list[index];
	unsigned holds = registry_is_holder(registry, (int)index)
			     ? (unsigned)registry->type
			     : 0;

	return sql_run(state,
	    "INSERT INTO registrations (pool, lun_uuid, position, key, "
	    "initiator, target, port, all_ports, holds) "
	    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
	    NULL, NULL, "isuissubu", pool_id, lun_uuid, index, (int64_t)r->key,
	    r->initiator, r->target, (unsigned)r->port, (int)r->all_ports,
	    holds);
}

static int
put_rows(struct state *state, int64_t pool_id, const char *lun_uuid,
    const struct registry *registry)
{
	int ret = sql_run(state,
	    "DELETE FROM registrations WHERE pool = ? AND lun_uuid = ?", NULL,
	    NULL, "is", pool_id, lun_uuid);

	for (unsigned i = 0; registry->aptpl && i < registry->count && ret == 0;
	     i++)
		ret = put_row(state, pool_id, lun_uuid, registry, i);
	return ret;
}

int
state_registry_put(struct state *state, int64_t pool_id, const char *lun_uuid,
    const struct registry *registry)
{
	int ret = state_begin(state);

	if (ret < 0)
		return ret;
	ret = put_rows(state, pool_id, lun_uuid, registry);
	if (ret < 0) {
		state_rollback(state);
		return ret;
	}
	return sql_commit(state);
}

/* A port's name is the device's, a comma, and the ISID. */
int
state_registry_forget(
    struct state *state, const char *lun_uuid, const char *initiator)
{
	assert(state->changing);
	return sql_run(state,
	    "DELETE FROM registrations WHERE (?1 IS NULL OR lun_uuid = ?1) "
	    "AND (?2 IS NULL OR initiator = ?2 OR "
	    "substr(initiator, 1, length(?2) + 1) = ?2 || ',' COLLATE NOCASE)",
	    NULL, NULL, "nn", lun_uuid != NULL ? lun_uuid : "",
	    initiator != NULL ? initiator : "");
}
