/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state database: hosts, pools, exports, answers, samples; what is no
 * database, or another's.  Not here: what is kept of single LUNs and of portals
 * (state_lun_test.c), and power cuts, which SQLite's own tests do.
 */
#include "base/cleanup.h"
#include "base/log.h"
#include "target/state_sql.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/target/support/db.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void
a_new_database_is_private(void **unused)
{
	struct stat st;

	(void)unused;
	assert_true(state_is_new(state));
	assert_int_equal(stat(db_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	db_reopen();
	assert_false(state_is_new(state));
}

static void
what_was_committed_is_there_again(void **unused)
{
	struct state_host host;
	int64_t id, generation;

	(void)unused;
	assert_int_equal(db_add_host("kvm1", "iqn.2026-01.x:1", &id), 0);
	generation = state_generation(state);
	db_reopen();
	assert_int_equal(state_generation(state), generation);
	assert_int_equal(state_host_find(state, "kvm1", &host), 0);
	assert_int_equal(host.id, id);
	assert_string_equal(host.iqn, "iqn.2026-01.x:1");
	assert_int_equal(state_host_find(state, "kvm2", &host), -ENOENT);
}

static void
what_was_rolled_back_never_was(void **unused)
{
	struct state_host host = db_host_of("kvm1", "iqn.2026-01.x:1");
	int64_t generation = state_generation(state);

	(void)unused;
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_host_add(state, &host), 0);
	state_rollback(state);
	assert_int_equal(state_generation(state), generation);
	assert_int_equal(state_host_find(state, "kvm1", &host), -ENOENT);
}

static void
a_name_and_an_initiator_name_are_told_apart(void **unused)
{
	int64_t id;

	(void)unused;
	assert_int_equal(db_add_host("kvm1", "iqn.2026-01.x:1", &id), 0);
	assert_int_equal(db_add_host("kvm1", "iqn.2026-01.x:2", &id), -EEXIST);
	assert_int_equal(
	    db_add_host("kvm2", "IQN.2026-01.X:1", &id), -EADDRINUSE);
	assert_int_equal(db_add_host("kvm2", "iqn.2026-01.x:2", &id), 0);
}

static void
secrets_come_and_go_with_their_host(void **unused)
{
	struct state_host host = db_host_of("kvm1", "iqn.2026-01.x:1");

	(void)unused;
	strcpy(host.chap.user, "kvm1");
	strcpy(host.chap.secret, "in-secret-in");
	strcpy(host.mutual.user, "varve");
	strcpy(host.mutual.secret, "out-secret-out");
	state_begin(state);
	assert_int_equal(state_host_add(state, &host), 0);
	state_commit(state);
	assert_int_equal(state_host_find(state, "kvm1", &host), 0);
	assert_string_equal(host.chap.secret, "in-secret-in");
	assert_string_equal(host.mutual.secret, "out-secret-out");
	memset(&host.mutual, 0, sizeof(host.mutual));
	state_begin(state);
	assert_int_equal(state_host_update(state, &host), 0);
	state_commit(state);
	assert_int_equal(state_host_find(state, "kvm1", &host), 0);
	assert_string_equal(host.chap.user, "kvm1");
	assert_string_equal(host.mutual.user, "");
}

static void
a_host_has_a_lun_and_a_number_once(void **unused)
{
	struct state_export *rows;
	char device[] = "/a";
	int64_t target, host;
	unsigned count;

	(void)unused;
	db_add_pool("vms", UUID_1, device, &target);
	db_add_host("kvm1", "iqn.2026-01.x:1", &host);
	assert_int_equal(db_add_export(target, host, UUID_1, 0), 0);
	assert_int_equal(db_add_export(target, host, UUID_1, 1), -EEXIST);
	assert_int_equal(db_add_export(target, host, UUID_2, 0), -EEXIST);
	assert_int_equal(db_add_export(target, host, UUID_2, 1), 0);
	assert_int_equal(state_exports(state, &rows, &count), 0);
	assert_int_equal(count, 2);
	assert_string_equal(rows[0].host, "kvm1");
	assert_string_equal(rows[0].pool, "vms");
	assert_string_equal(rows[0].iqn, "iqn.2026-01.local:vms");
	assert_false(rows[0].own_target);
	free(rows);
}

static void
a_host_with_exports_is_not_removed(void **unused)
{
	int64_t target, host;
	char device[] = "/a";

	(void)unused;
	db_add_pool("vms", UUID_1, device, &target);
	db_add_host("kvm1", "iqn.2026-01.x:1", &host);
	assert_int_equal(db_add_export(target, host, UUID_1, 0), 0);
	state_begin(state);
	assert_int_equal(state_host_remove(state, host), -EBUSY);
	state_rollback(state);
}

static void
a_pool_goes_with_its_targets_and_exports(void **unused)
{
	int64_t pool, target, host;
	struct state_export *exports;
	struct state_target *targets;
	struct state_pool *pools;
	char device[] = "/a";
	unsigned count;

	(void)unused;
	pool = db_add_pool("vms", UUID_1, device, &target);
	db_add_host("kvm1", "iqn.2026-01.x:1", &host);
	db_add_export(target, host, UUID_1, 0);
	state_begin(state);
	assert_int_equal(state_pool_remove(state, pool), 0);
	assert_int_equal(state_pool_remove(state, pool), -ENOENT);
	state_commit(state);
	state_exports(state, &exports, &count);
	assert_int_equal(count, 0);
	free(exports);
	state_targets(state, &targets, &count);
	assert_int_equal(count, 0);
	free(targets);
	state_pools(state, &pools, &count);
	assert_int_equal(count, 0);
	state_pools_free(pools, count);
}

static void
devices_keep_their_order(void **unused)
{
	char first[] = "/z";
	struct state_pool *pools;
	int64_t pool, target;
	unsigned count;

	(void)unused;
	pool = db_add_pool("vms", UUID_1, first, &target);
	state_begin(state);
	assert_int_equal(state_pool_add_device(state, pool, "/a"), 0);
	assert_int_equal(state_pool_add_device(state, pool, "/z"), -EEXIST);
	state_commit(state);
	assert_int_equal(state_pools(state, &pools, &count), 0);
	assert_int_equal(pools[0].device_count, 2);
	assert_string_equal(pools[0].devices[0], "/z");
	assert_string_equal(pools[0].devices[1], "/a");
	state_pools_free(pools, count);
}

static void
a_pool_target_and_a_lun_target_are_found(void **unused)
{
	struct state_target own = {.id = 0}, found;
	int64_t pool, target;
	char device[] = "/a";

	(void)unused;
	pool = db_add_pool("vms", UUID_1, device, &target);
	own.pool_id = pool;
	strcpy(own.iqn, "iqn.2026-01.local:vms:web01");
	strcpy(own.lun_uuid, UUID_2);
	state_begin(state);
	assert_int_equal(state_target_add(state, &own), 0);
	state_commit(state);
	assert_int_equal(state_target_find(state, pool, "", &found), 0);
	assert_int_equal(found.id, target);
	assert_int_equal(state_target_find(state, pool, UUID_2, &found), 0);
	assert_int_equal(found.id, own.id);
	assert_int_equal(
	    state_target_find(state, pool, UUID_1, &found), -ENOENT);
}

static void
an_answer_is_remembered_by_its_request(void **unused)
{
	json_t *answer = json_pack("{s:s}", "name", "vms"), *again;

	(void)unused;
	state_begin(state);
	assert_int_equal(state_request_add(state, "id-1", "d1", answer), 0);
	state_commit(state);
	db_reopen();
	assert_int_equal(state_request_find(state, "id-1", "d1", &again), 0);
	assert_true(json_equal(answer, again));
	json_decref(again);
	assert_int_equal(
	    state_request_find(state, "id-1", "d2", &again), -ESTALE);
	assert_int_equal(
	    state_request_find(state, "id-2", "d1", &again), -ENOENT);
	json_decref(answer);
}

static int
count_row(sqlite3_stmt *stmt, void *arg)
{
	*(int *)arg = sqlite3_column_int(stmt, 0);
	return 0;
}

static void
only_the_newest_answers_are_kept(void **unused)
{
	json_t *answer = json_object();
	char id[32];
	int count = 0;

	(void)unused;
	state_begin(state);
	for (int i = 0; i < STATE_REQUESTS_KEPT + 10; i++) {
		snprintf(id, sizeof(id), "id-%d", i);
		assert_int_equal(state_request_add(state, id, "d", answer), 0);
	}
	state_commit(state);
	json_decref(answer);
	sql_run(state, "SELECT count(*) FROM requests", count_row, &count, "");
	assert_int_equal(count, STATE_REQUESTS_KEPT);
	assert_int_equal(
	    state_request_find(state, "id-9", "d", &answer), -ENOENT);
}

static void
a_newer_database_is_refused_and_left_alone(void **unused)
{
	struct state *newer = NULL;

	(void)unused;
	db_execute("PRAGMA user_version = 99");
	state_close(state);
	state = NULL;
	assert_int_equal(state_open(db_path, &newer, db_problem), -EPROTO);
	assert_non_null(strstr(db_problem, "newer varve"));
	assert_int_equal(state_open(db_path, &newer, db_problem), -EPROTO);
}

static void
a_damaged_database_is_refused(void **unused)
{
	struct state *damaged = NULL;
	char zeros[4096];
	int fd;

	(void)unused;
	state_close(state); /* checkpoints the log into the file */
	state = NULL;
	memset(zeros, 0x5a, sizeof(zeros));
	fd = open(db_path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (int page = 2; page < 12; page++)
		assert_int_equal(
		    pwrite(fd, zeros, sizeof(zeros), page * 4096L), 4096);
	close(fd);
	assert_int_equal(state_open(db_path, &damaged, db_problem), -EBADMSG);
	assert_non_null(strstr(db_problem, "damaged"));
	assert_non_null(strstr(db_problem, "pool import"));
}

static void
what_is_no_database_is_refused(void **unused)
{
	struct state *none = NULL;
	FILE *file;

	(void)unused;
	state_close(state);
	state = NULL;
	file = fopen(db_path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is a letter, not a database\n", file);
	fclose(file);
	assert_int_equal(state_open(db_path, &none, db_problem), -EBADMSG);
	assert_non_null(strstr(db_problem, "damaged"));
}

/* A database of version 1 that holds an export. */
static void
an_older_database_is_taken_along(void **unused)
{
	struct state_export *rows;
	int64_t target, host;
	char device[] = "/a";
	unsigned count;

	(void)unused;
	db_add_pool("vms", UUID_1, device, &target);
	db_add_host("kvm1", "iqn.2026-01.x:1", &host);
	assert_int_equal(db_add_export(target, host, UUID_1, 0), 0);
	db_execute(
	    "ALTER TABLE exports DROP COLUMN carrier;"
	    "ALTER TABLE exports DROP COLUMN expires; DROP TABLE flattens;"
	    "ALTER TABLE hosts DROP COLUMN expires;"
	    "DROP TABLE samples; DROP TABLE registrations;"
	    "DROP TABLE lun_settings; DROP TABLE lun_saved;"
	    "DROP TABLE events; DROP TABLE backups;"
	    "DROP TABLE policy_tallies; DROP TABLE policy_runs;"
	    "DROP TABLE policy_members; DROP TABLE policies;"
	    "DROP TABLE port_groups; ALTER TABLE portals DROP COLUMN tag;"
	    "ALTER TABLE portals DROP COLUMN redirect;"
	    "ALTER TABLE portals DROP COLUMN permanent;"
	    "DELETE FROM migrations WHERE version > 1;"
	    "PRAGMA user_version = 1");
	db_reopen();
	assert_int_equal(state_exports(state, &rows, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(rows[0].expires_unix, 0);
	assert_int_equal(rows[0].carrier, CARRIER_ISCSI);
	free(rows);
}

static void
samples_of_the_last_30_days_are_kept(void **unused)
{
	static struct forecast forecast;
	const int64_t hour = FORECAST_INTERVAL_SECONDS, start = 1800000000;
	int64_t pool, target, generation;
	char device[] = "/a";

	(void)unused;
	pool = db_add_pool("vms", UUID_1, device, &target);
	generation = state_generation(state);
	for (int i = 0; i < 5; i++)
		assert_int_equal(state_sample_add(state, pool, start + i * hour,
				     (uint64_t)i * 4096),
		    0);
	/* samples are no change that anybody made */
	assert_int_equal(state_generation(state), generation);
	db_reopen();
	assert_int_equal(state_samples(state, pool, &forecast), 0);
	assert_int_equal(forecast.count, 5);
	assert_int_equal(forecast.samples[4].used, 4 * 4096);
	/* 30 days on, what is older is gone; as is what a wrong clock said */
	assert_int_equal(state_sample_add(state, pool,
			     start + FORECAST_SAMPLES * hour + 2 * hour, 1),
	    0);
	assert_int_equal(state_samples(state, pool, &forecast), 0);
	assert_int_equal(forecast.count, 3);
	assert_int_equal(state_sample_add(state, pool, start, 2), 0);
	assert_int_equal(state_samples(state, pool, &forecast), 0);
	assert_int_equal(forecast.count, 1);
}

#define claim(test) cmocka_unit_test_setup_teardown(test, db_setup, db_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    claim(a_new_database_is_private),
	    claim(what_was_committed_is_there_again),
	    claim(what_was_rolled_back_never_was),
	    claim(a_name_and_an_initiator_name_are_told_apart),
	    claim(secrets_come_and_go_with_their_host),
	    claim(a_host_has_a_lun_and_a_number_once),
	    claim(a_host_with_exports_is_not_removed),
	    claim(a_pool_goes_with_its_targets_and_exports),
	    claim(devices_keep_their_order),
	    claim(a_pool_target_and_a_lun_target_are_found),
	    claim(an_answer_is_remembered_by_its_request),
	    claim(only_the_newest_answers_are_kept),
	    claim(a_newer_database_is_refused_and_left_alone),
	    claim(a_damaged_database_is_refused),
	    claim(what_is_no_database_is_refused),
	    claim(an_older_database_is_taken_along),
	    claim(samples_of_the_last_30_days_are_kept),
	};

	return cmocka_run_group_tests(
	    tests, db_make_directory, db_remove_directory);
}
