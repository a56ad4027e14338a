/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Target portal groups: which there are is what portals are in; how good they
 * are, the administrator said, or initiators for one LUN (it is saved with it).
 */
#include "target/state_sql.h"
#include <errno.h>

static int
read_group(sqlite3_stmt *stmt, void *arg)
{
	struct port_groups *groups = arg;
	int access = sqlite3_column_int(stmt, 1);

	if (groups->count == PORT_GROUPS_MAX)
		return 0;
	if (access < ACCESS_OPTIMIZED || access > ACCESS_UNAVAILABLE)
		return -EBADMSG;
	groups->list[groups->count++] = (struct port_group){
	    .tag = (uint16_t)sqlite3_column_int(stmt, 0),
	    .access = (enum port_access)access,
	};
	return 0;
}

int
state_port_groups(struct state *state, struct port_groups *ret_groups)
{
	ret_groups->count = 0;
	return sql_run(state,
	    "SELECT DISTINCT p.tag, coalesce(g.access, 0) FROM portals p "
	    "LEFT JOIN port_groups g ON g.tag = p.tag ORDER BY p.tag",
	    read_group, ret_groups, "");
}

int
state_port_group_set(struct state *state, uint16_t tag, enum port_access access)
{
	char name[LUN_SAVED_NAME_MAX];
	int ret;

	assert(state->changing);
	lun_access_name(tag, name);
	ret = sql_run(state, "DELETE FROM lun_saved WHERE name = ?", NULL, NULL,
	    "s", name);
	if (ret < 0)
		return ret;
	return sql_run(state,
	    "INSERT OR REPLACE INTO port_groups (tag, access) VALUES (?, ?)",
	    NULL, NULL, "uu", (unsigned)tag, (unsigned)access);
}

int
state_port_groups_forget(struct state *state)
{
	int ret = sql_run(state,
	    "DELETE FROM port_groups WHERE tag NOT IN "
	    "(SELECT tag FROM portals)",
	    NULL, NULL, "");

	if (ret < 0)
		return ret;
	return sql_run(state,
	    "DELETE FROM lun_saved "
	    "WHERE name LIKE '" LUN_ACCESS_SETTING "%' AND name NOT IN "
	    "(SELECT '" LUN_ACCESS_SETTING "' || tag FROM portals)",
	    NULL, NULL, "");
}
