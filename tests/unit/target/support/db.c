/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/target/support/db.h"
#include "base/log.h"
#include "target/state_sql.h"
#include "tests/unit/base/support/cmocka.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char db_directory[] = "/tmp/varve-state-XXXXXX";
char db_path[64];
char db_problem[STATE_PROBLEM_MAX];
struct state *state;

int
db_setup(void **unused)
{
	(void)unused;
	unlink(db_path);
	return state_open(db_path, &state, db_problem);
}

int
db_teardown(void **unused)
{
	(void)unused;
	state_close(state);
	state = NULL;
	return 0;
}

void
db_reopen(void)
{
	state_close(state);
	assert_int_equal(state_open(db_path, &state, db_problem), 0);
}

void
db_execute(const char *sql)
{
	assert_int_equal(sqlite3_exec(state->db, sql, NULL, NULL, NULL), 0);
}

struct state_host
db_host_of(const char *name, const char *iqn)
{
	struct state_host host = {.id = 0};

	snprintf(host.name, sizeof(host.name), "%s", name);
	snprintf(host.iqn, sizeof(host.iqn), "%s", iqn);
	return host;
}

int
db_add_host(const char *name, const char *iqn, int64_t *ret_id)
{
	struct state_host host = db_host_of(name, iqn);
	int ret;

	assert_int_equal(state_begin(state), 0);
	ret = state_host_add(state, &host);
	if (ret < 0)
		state_rollback(state);
	else
		ret = state_commit(state);
	*ret_id = host.id;
	return ret;
}

int64_t
db_add_pool(
    const char *name, const char *uuid, char *device, int64_t *ret_target)
{
	struct state_pool pool = {.device_count = 1, .devices = {device}};
	struct state_target target = {.id = 0};

	snprintf(pool.name, sizeof(pool.name), "%s", name);
	snprintf(pool.uuid, sizeof(pool.uuid), "%s", uuid);
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_pool_add(state, &pool), 0);
	target.pool_id = pool.id;
	snprintf(target.iqn, sizeof(target.iqn), "iqn.2026-01.local:%s", name);
	assert_int_equal(state_target_add(state, &target), 0);
	assert_int_equal(state_commit(state), 0);
	*ret_target = target.id;
	return pool.id;
}

int
db_add_export(int64_t target, int64_t host, const char *uuid, unsigned number)
{
	struct state_export row = {
	    .target_id = target, .host_id = host, .number = number};
	int ret;

	snprintf(row.lun_uuid, sizeof(row.lun_uuid), "%s", uuid);
	snprintf(row.lun_name, sizeof(row.lun_name), "web01");
	assert_int_equal(state_begin(state), 0);
	ret = state_export_add(state, &row);
	if (ret < 0)
		state_rollback(state);
	else
		ret = state_commit(state);
	return ret;
}

int
db_make_directory(void **unused)
{
	(void)unused;
	log_set_level(LOG_CRIT); /* SQLite's errors are expected here */
	if (mkdtemp(db_directory) == NULL)
		return -1;
	snprintf(db_path, sizeof(db_path), "%s/varve.db", db_directory);
	return 0;
}

int
db_remove_directory(void **unused)
{
	(void)unused;
	unlink(db_path);
	return rmdir(db_directory);
}
