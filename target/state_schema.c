/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The schema, as the steps that lead to it.  A step that was released is never
 * changed: the next version adds one.
 */
#include "target/state_schema.h"
#include "base/log.h"
#include "target/state_sql.h"
#include <errno.h>
#include <string.h>
#include <time.h>

/* clang-format off */
static const char step_1[] =
"CREATE TABLE migrations (version INTEGER PRIMARY KEY, at INTEGER NOT NULL) STRICT;"
"CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT;"
/* where pools are; what is in them they know themselves */
"CREATE TABLE pools (id INTEGER PRIMARY KEY AUTOINCREMENT,"
"  name TEXT NOT NULL UNIQUE, uuid TEXT NOT NULL UNIQUE,"
"  created INTEGER NOT NULL) STRICT;"
"CREATE TABLE pool_devices (pool INTEGER NOT NULL"
"  REFERENCES pools(id) ON DELETE CASCADE, position INTEGER NOT NULL,"
"  path TEXT NOT NULL UNIQUE, PRIMARY KEY (pool, position)) STRICT;"
/* a target's name never changes, whatever the machine is called later */
"CREATE TABLE targets (id INTEGER PRIMARY KEY AUTOINCREMENT,"
"  pool INTEGER NOT NULL REFERENCES pools(id) ON DELETE CASCADE,"
"  iqn TEXT NOT NULL UNIQUE COLLATE NOCASE, lun_uuid TEXT,"
"  alias TEXT NOT NULL, UNIQUE (pool, lun_uuid)) STRICT;"
"CREATE TABLE hosts (id INTEGER PRIMARY KEY AUTOINCREMENT,"
"  name TEXT NOT NULL UNIQUE, iqn TEXT NOT NULL UNIQUE COLLATE NOCASE,"
"  created INTEGER NOT NULL) STRICT;"
/* direction: 'in' the host proves itself, 'out' we do */
"CREATE TABLE credentials (host INTEGER NOT NULL"
"  REFERENCES hosts(id) ON DELETE CASCADE,"
"  direction TEXT NOT NULL CHECK (direction IN ('in', 'out')),"
"  user TEXT NOT NULL, secret TEXT NOT NULL,"
"  PRIMARY KEY (host, direction)) STRICT;"
/* LUNs by their identity: the name is what they were called last */
"CREATE TABLE exports (id INTEGER PRIMARY KEY AUTOINCREMENT,"
"  target INTEGER NOT NULL REFERENCES targets(id) ON DELETE CASCADE,"
"  host INTEGER NOT NULL REFERENCES hosts(id),"
"  lun_uuid TEXT NOT NULL, lun_name TEXT NOT NULL,"
"  number INTEGER NOT NULL CHECK (number BETWEEN 0 AND 16383),"
"  read_only INTEGER NOT NULL, created INTEGER NOT NULL,"
"  UNIQUE (host, lun_uuid), UNIQUE (target, host, number)) STRICT;"
"CREATE TABLE portals (id INTEGER PRIMARY KEY AUTOINCREMENT,"
"  asked TEXT NOT NULL, address TEXT NOT NULL UNIQUE) STRICT;"
"CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT,"
"  at INTEGER NOT NULL, who TEXT NOT NULL, method TEXT NOT NULL,"
"  params TEXT NOT NULL, result TEXT NOT NULL) STRICT;"
"CREATE TABLE requests (number INTEGER PRIMARY KEY AUTOINCREMENT,"
"  id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL, answer TEXT NOT NULL,"
"  at INTEGER NOT NULL) STRICT;";

static const char step_2[] =
/* exports that end by themselves */
"ALTER TABLE exports ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;"
/* what is to go on after a restart */
"CREATE TABLE flattens (pool INTEGER NOT NULL"
"  REFERENCES pools(id) ON DELETE CASCADE, lun_uuid TEXT NOT NULL,"
"  PRIMARY KEY (pool, lun_uuid)) STRICT;"
/* used space, for the forecast */
"CREATE TABLE samples (pool INTEGER NOT NULL"
"  REFERENCES pools(id) ON DELETE CASCADE, at INTEGER NOT NULL,"
"  used INTEGER NOT NULL, PRIMARY KEY (pool, at)) STRICT;";

static const char step_3[] =
/* Persistent reservations with APTPL.  holds: the type of the reservation that
 * it holds, alone or with all others; 0: none */
"CREATE TABLE registrations (pool INTEGER NOT NULL"
"  REFERENCES pools(id) ON DELETE CASCADE, lun_uuid TEXT NOT NULL,"
"  position INTEGER NOT NULL, key INTEGER NOT NULL,"
"  initiator TEXT NOT NULL COLLATE NOCASE, target TEXT NOT NULL,"
"  port INTEGER NOT NULL, all_ports INTEGER NOT NULL,"
"  holds INTEGER NOT NULL, PRIMARY KEY (pool, lun_uuid, position)) STRICT;";

static const char step_4[] =
/* what was set of a LUN, as a JSON object */
"CREATE TABLE lun_settings (pool INTEGER NOT NULL"
"  REFERENCES pools(id) ON DELETE CASCADE, lun_uuid TEXT NOT NULL,"
"  settings TEXT NOT NULL, PRIMARY KEY (pool, lun_uuid)) STRICT;"
/* what an initiator has saved: mode parameters (MODE SELECT with SP), and how
 * good a path is, "access." and its group (SET TARGET PORT GROUPS) */
"CREATE TABLE lun_saved (pool INTEGER NOT NULL"
"  REFERENCES pools(id) ON DELETE CASCADE, lun_uuid TEXT NOT NULL,"
"  name TEXT NOT NULL, value INTEGER NOT NULL,"
"  PRIMARY KEY (pool, lun_uuid, name)) STRICT;"
/* Portals in target portal groups, and what the administrator said of a group:
 * enum port_access */
"ALTER TABLE portals ADD COLUMN tag INTEGER NOT NULL DEFAULT 1;"
"CREATE TABLE port_groups (tag INTEGER PRIMARY KEY,"
"  access INTEGER NOT NULL) STRICT;"
/* where a portal sends hosts: "" nowhere; permanent: 0102h, not 0101h */
"ALTER TABLE portals ADD COLUMN redirect TEXT NOT NULL DEFAULT '';"
"ALTER TABLE portals ADD COLUMN permanent INTEGER NOT NULL DEFAULT 0;";

static const char step_5[] =
/* our own target, or the kernel's */
"ALTER TABLE exports ADD COLUMN carrier TEXT NOT NULL DEFAULT 'iscsi';";

static const char step_6[] =
/* what is done at which time; definition: a JSON object */
"CREATE TABLE policies (id INTEGER PRIMARY KEY AUTOINCREMENT,"
"  name TEXT NOT NULL UNIQUE, definition TEXT NOT NULL,"
"  created INTEGER NOT NULL, since INTEGER NOT NULL,"
"  scheduled INTEGER NOT NULL, paused INTEGER NOT NULL) STRICT;"
/* what: a LUN's uuid, a group's name, '' of a pool */
"CREATE TABLE policy_members (policy INTEGER NOT NULL"
"  REFERENCES policies(id) ON DELETE CASCADE, pool INTEGER NOT NULL"
"  REFERENCES pools(id) ON DELETE CASCADE, kind TEXT NOT NULL,"
"  what TEXT NOT NULL, lun_name TEXT NOT NULL,"
"  UNIQUE (policy, pool, kind, what)) STRICT;"
/* report: the worker's, JSON */
"CREATE TABLE policy_runs (id INTEGER PRIMARY KEY AUTOINCREMENT,"
"  policy INTEGER NOT NULL REFERENCES policies(id) ON DELETE CASCADE,"
"  scheduled INTEGER NOT NULL, stamp INTEGER NOT NULL,"
"  attempt INTEGER NOT NULL, missed INTEGER NOT NULL,"
"  begun INTEGER NOT NULL, ended INTEGER NOT NULL, outcome TEXT NOT NULL,"
"  pid INTEGER NOT NULL, report TEXT) STRICT;"
"CREATE INDEX policy_runs_of ON policy_runs (policy, id);"
"CREATE TABLE policy_tallies (policy INTEGER NOT NULL"
"  REFERENCES policies(id) ON DELETE CASCADE, outcome TEXT NOT NULL,"
"  runs INTEGER NOT NULL, last INTEGER NOT NULL,"
"  PRIMARY KEY (policy, outcome)) STRICT;"
/* hosts that go by themselves, when they have no LUN then */
"ALTER TABLE hosts ADD COLUMN expires INTEGER NOT NULL DEFAULT 0;";

static const char step_7[] =
/* what has happened; level: of syslog(3); data: a JSON object */
"CREATE TABLE events (number INTEGER PRIMARY KEY AUTOINCREMENT,"
"  at INTEGER NOT NULL, level INTEGER NOT NULL, kind TEXT NOT NULL,"
"  subject TEXT NOT NULL, text TEXT NOT NULL, data TEXT NOT NULL) STRICT;"
/* The newest good backup of a LUN that a policy has made.  By name, as the
 * backup is; stamp: of its snapshot */
"CREATE TABLE backups (pool INTEGER NOT NULL"
"  REFERENCES pools(id) ON DELETE CASCADE, lun_name TEXT NOT NULL,"
"  policy TEXT NOT NULL, stamp INTEGER NOT NULL, at INTEGER NOT NULL,"
"  bytes INTEGER NOT NULL, PRIMARY KEY (pool, lun_name)) STRICT;";

static const char *const steps[] = {
	step_1, step_2, step_3, step_4, step_5, step_6, step_7
};
/* clang-format on */
static_assert(ARRAY_SIZE(steps) == STATE_VERSION, "a step for each version");

static int
step_run(struct state *state, unsigned version)
{
	char pragma[64], *problem = NULL;

	if (sqlite3_exec(state->db, steps[version - 1], NULL, NULL, &problem) !=
	    SQLITE_OK) {
		log_error("state: to version %u: %s", version, problem);
		sqlite3_free(problem);
		return -EIO;
	}
	snprintf(pragma, sizeof(pragma), "PRAGMA user_version = %u", version);
	int ret = sql_run(state, pragma, NULL, NULL, "");
	if (ret < 0)
		return ret;
	return sql_run(state,
	    "INSERT INTO migrations (version, at) VALUES (?, ?)", NULL, NULL,
	    "ui", version, (int64_t)time(NULL));
}

int
schema_migrate(struct state *state, unsigned version)
{
	while (version < STATE_VERSION) {
		int ret = state_begin(state);
		if (ret < 0)
			return ret;
		ret = step_run(state, version + 1);
		if (ret < 0) {
			state_rollback(state);
			return ret;
		}
		ret = state_commit(state);
		if (ret < 0)
			return ret;
		version++;
	}
	return 0;
}
