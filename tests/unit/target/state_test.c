/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Does not cover: power cuts, which SQLite's own tests do. */
#include "base/cleanup.h"
#include "base/log.h"
#include "target/state.h"
#include "target/state_sql.h"
#include "tests/unit/base/support/cmocka.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char directory[] = "/tmp/varve-state-XXXXXX";
static char path[64];
static char problem[STATE_PROBLEM_MAX];
static struct state *state;

static int
setup(void **unused)
{
	(void)unused;
	unlink(path);
	return state_open(path, &state, problem);
}

static int
teardown(void **unused)
{
	(void)unused;
	state_close(state);
	state = NULL;
	return 0;
}

static void
reopen(void)
{
	state_close(state);
	assert_int_equal(state_open(path, &state, problem), 0);
}

static void
execute(const char *sql)
{
	assert_int_equal(sqlite3_exec(state->db, sql, NULL, NULL, NULL), 0);
}

static struct state_host
host_of(const char *name, const char *iqn)
{
	struct state_host host = {.id = 0};

	snprintf(host.name, sizeof(host.name), "%s", name);
	snprintf(host.iqn, sizeof(host.iqn), "%s", iqn);
	return host;
}

static int
add_host(const char *name, const char *iqn, int64_t *ret_id)
{
	struct state_host host = host_of(name, iqn);
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

#define UUID_1 "11111111-1111-4111-8111-111111111111"
#define UUID_2 "22222222-2222-4222-8222-222222222222"

static int64_t
add_pool(const char *name, const char *uuid, char *device, int64_t *ret_target)
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

static int
add_export(int64_t target, int64_t host, const char *uuid, unsigned number)
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

static void
a_new_database_is_private(void **unused)
{
	struct stat st;

	(void)unused;
	assert_true(state_is_new(state));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	reopen();
	assert_false(state_is_new(state));
}

static void
what_was_committed_is_there_again(void **unused)
{
	struct state_host host;
	int64_t id, generation;

	(void)unused;
	assert_int_equal(add_host("kvm1", "iqn.2026-01.x:1", &id), 0);
	generation = state_generation(state);
	reopen();
	assert_int_equal(state_generation(state), generation);
	assert_int_equal(state_host_find(state, "kvm1", &host), 0);
	assert_int_equal(host.id, id);
	assert_string_equal(host.iqn, "iqn.2026-01.x:1");
	assert_int_equal(state_host_find(state, "kvm2", &host), -ENOENT);
}

static void
what_was_rolled_back_never_was(void **unused)
{
	struct state_host host = host_of("kvm1", "iqn.2026-01.x:1");
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
	assert_int_equal(add_host("kvm1", "iqn.2026-01.x:1", &id), 0);
	assert_int_equal(add_host("kvm1", "iqn.2026-01.x:2", &id), -EEXIST);
	assert_int_equal(add_host("kvm2", "IQN.2026-01.X:1", &id), -EADDRINUSE);
	assert_int_equal(add_host("kvm2", "iqn.2026-01.x:2", &id), 0);
}

static void
secrets_come_and_go_with_their_host(void **unused)
{
	struct state_host host = host_of("kvm1", "iqn.2026-01.x:1");

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
	add_pool("vms", UUID_1, device, &target);
	add_host("kvm1", "iqn.2026-01.x:1", &host);
	assert_int_equal(add_export(target, host, UUID_1, 0), 0);
	assert_int_equal(add_export(target, host, UUID_1, 1), -EEXIST);
	assert_int_equal(add_export(target, host, UUID_2, 0), -EEXIST);
	assert_int_equal(add_export(target, host, UUID_2, 1), 0);
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
	add_pool("vms", UUID_1, device, &target);
	add_host("kvm1", "iqn.2026-01.x:1", &host);
	assert_int_equal(add_export(target, host, UUID_1, 0), 0);
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
	pool = add_pool("vms", UUID_1, device, &target);
	add_host("kvm1", "iqn.2026-01.x:1", &host);
	add_export(target, host, UUID_1, 0);
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
	pool = add_pool("vms", UUID_1, first, &target);
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
	pool = add_pool("vms", UUID_1, device, &target);
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
	reopen();
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
	execute("PRAGMA user_version = 99");
	state_close(state);
	state = NULL;
	assert_int_equal(state_open(path, &newer, problem), -EPROTO);
	assert_non_null(strstr(problem, "newer varve"));
	assert_int_equal(state_open(path, &newer, problem), -EPROTO);
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
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	for (int page = 2; page < 12; page++)
		assert_int_equal(
		    pwrite(fd, zeros, sizeof(zeros), page * 4096L), 4096);
	close(fd);
	assert_int_equal(state_open(path, &damaged, problem), -EBADMSG);
	assert_non_null(strstr(problem, "damaged"));
	assert_non_null(strstr(problem, "pool import"));
}

static void
what_is_no_database_is_refused(void **unused)
{
	struct state *none = NULL;
	FILE *file;

	(void)unused;
	state_close(state);
	state = NULL;
	file = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("this is a letter, not a database\n", file);
	fclose(file);
	assert_int_equal(state_open(path, &none, problem), -EBADMSG);
	assert_non_null(strstr(problem, "damaged"));
}

static int
make_directory(void **unused)
{
	(void)unused;
	log_set_level(LOG_CRIT); /* SQLite's errors are expected here */
	if (mkdtemp(directory) == NULL)
		return -1;
	snprintf(path, sizeof(path), "%s/varve.db", directory);
	return 0;
}

static int
remove_directory(void **unused)
{
	(void)unused;
	unlink(path);
	return rmdir(directory);
}

#define claim(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* A database of version 1 that holds an export. */
static void
an_older_database_is_taken_along(void **unused)
{
	struct state_export *rows;
	int64_t target, host;
	char device[] = "/a";
	unsigned count;

	(void)unused;
	add_pool("vms", UUID_1, device, &target);
	add_host("kvm1", "iqn.2026-01.x:1", &host);
	assert_int_equal(add_export(target, host, UUID_1, 0), 0);
	execute("ALTER TABLE exports DROP COLUMN expires; DROP TABLE flattens;"
		"DROP TABLE samples; DROP TABLE registrations;"
		"DROP TABLE lun_settings; DROP TABLE lun_saved;"
		"DROP TABLE port_groups; ALTER TABLE portals DROP COLUMN tag;"
		"ALTER TABLE portals DROP COLUMN redirect;"
		"ALTER TABLE portals DROP COLUMN permanent;"
		"DELETE FROM migrations WHERE version > 1;"
		"PRAGMA user_version = 1");
	reopen();
	assert_int_equal(state_exports(state, &rows, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(rows[0].expires_unix, 0);
	free(rows);
}

/* ---- settings ---- */

static void
settings_are_a_luns_of_a_pool_and_go_with_it(void **unused)
{
	json_t *settings = json_pack("{s:s, s:i}", "vendor", "ACME", "iops", 5);
	json_t *found;
	int64_t target;
	char device[] = "/a";
	struct state_pool *pools;
	unsigned count;

	(void)unused;
	add_pool("vms", UUID_1, device, &target);
	assert_int_equal(state_pools(state, &pools, &count), 0);
	int64_t pool = pools[0].id;
	state_pools_free(pools, count);
	state_begin(state);
	assert_int_equal(state_settings_put(state, pool, UUID_1, settings), 0);
	assert_int_equal(state_settings_put(state, pool, UUID_2, settings), 0);
	state_commit(state);
	reopen();
	assert_int_equal(state_settings(state, pool, &found), 0);
	assert_int_equal(json_object_size(found), 2);
	json_decref(found);
	assert_int_equal(state_settings_of(state, pool, UUID_2, &found), 0);
	assert_int_equal(json_object_size(found), 1);
	assert_true(json_equal(json_object_get(found, UUID_2), settings));
	json_decref(found);
	/* nothing set is no row */
	json_object_clear(settings);
	state_begin(state);
	assert_int_equal(state_settings_put(state, pool, UUID_1, settings), 0);
	state_commit(state);
	assert_int_equal(state_settings(state, pool, &found), 0);
	assert_int_equal(json_object_size(found), 1);
	json_decref(found);
	state_begin(state);
	assert_int_equal(state_pool_remove(state, pool), 0);
	state_commit(state);
	assert_int_equal(state_settings(state, pool, &found), 0);
	assert_int_equal(json_object_size(found), 0);
	json_decref(found);
	json_decref(settings);
}

static void
settings_that_cannot_be_are_told(void **unused)
{
	static const char *const wrong[] = {
	    "[]", "{", "{\"iops\":-1}", "{\"vendor\":\"far too long\"}"};
	char device[] = "/a", sql[256];
	int64_t target;
	json_t *found;

	(void)unused;
	add_pool("vms", UUID_1, device, &target);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(sql, sizeof(sql),
		    "INSERT OR REPLACE INTO lun_settings SELECT id, '" UUID_1
		    "', '%s' FROM pools",
		    wrong[i]);
		execute(sql);
		assert_int_equal(state_settings(state, 1, &found), -EBADMSG);
	}
}

/* ---- what initiators saved ---- */

static void
put_saved(int64_t pool, const char *uuid, const char *name, int64_t value)
{
	struct lun_saved saved = {.count = 0};

	lun_saved_add(&saved, name, value);
	lun_saved_add(&saved, "both", value);
	assert_int_equal(state_saved_put(state, pool, uuid, &saved), 0);
}

static int64_t
saved_of(int64_t pool, const char *uuid, const char *name)
{
	struct lun_saved saved;
	int64_t value = -77;

	assert_int_equal(state_saved_get(state, pool, uuid, &saved), 0);
	lun_saved_get(&saved, name, &value);
	return value;
}

static void
what_is_saved_is_there_again_and_leaves_others_alone(void **unused)
{
	char device[] = "/a";
	int64_t target, pool = add_pool("vms", UUID_1, device, &target);
	int64_t generation = state_generation(state);

	(void)unused;
	put_saved(pool, UUID_2, "wce", 1ll << 40);
	put_saved(pool, UUID_2, "swp", -1);
	put_saved(pool, UUID_1, "wce", 3);
	reopen();
	assert_int_equal(saved_of(pool, UUID_2, "wce"), 1ll << 40);
	assert_int_equal(saved_of(pool, UUID_2, "swp"), -1);
	assert_int_equal(saved_of(pool, UUID_2, "both"), -1);
	assert_int_equal(saved_of(pool, UUID_1, "wce"), 3);
	assert_int_equal(saved_of(pool, UUID_1, "swp"), -77);
	/* an initiator's change is not an administrator's */
	assert_int_equal(state_generation(state), generation);
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_pool_remove(state, pool), 0);
	assert_int_equal(state_commit(state), 0);
	assert_int_equal(saved_of(pool, UUID_2, "wce"), -77);
}

static void
add_portal(const char *address, uint16_t tag, struct state_portal *portal)
{
	*portal = (struct state_portal){.tag = tag};
	snprintf(portal->asked, sizeof(portal->asked), "%s", address);
	snprintf(portal->address, sizeof(portal->address), "%s", address);
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_portal_add(state, portal), 0);
	assert_int_equal(state_commit(state), 0);
}

static void
group_is(unsigned index, uint16_t tag, enum port_access access)
{
	struct port_groups groups;

	assert_int_equal(state_port_groups(state, &groups), 0);
	assert_true(index < groups.count);
	assert_int_equal(groups.list[index].tag, tag);
	assert_int_equal(groups.list[index].access, access);
}

static void
group_set(uint16_t tag, enum port_access access)
{
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_port_group_set(state, tag, access), 0);
	assert_int_equal(state_commit(state), 0);
}

static void
groups_are_those_of_portals_and_go_with_the_last(void **unused)
{
	struct state_portal a, b, c;
	struct port_groups groups;
	char device[] = "/a";
	int64_t target, pool = add_pool("vms", UUID_1, device, &target);

	(void)unused;
	assert_int_equal(state_port_groups(state, &groups), 0);
	assert_int_equal(groups.count, 0);
	add_portal("10.0.0.1:3260", 7, &a);
	add_portal("10.0.0.2:3260", 7, &b);
	add_portal("10.0.0.3:3260", 1, &c);
	group_set(7, ACCESS_STANDBY);
	put_saved(pool, UUID_2, "access.7", ACCESS_OPTIMIZED);
	put_saved(pool, UUID_2, "access.1", ACCESS_OPTIMIZED);
	reopen();
	group_is(0, 1, ACCESS_OPTIMIZED);
	group_is(1, 7, ACCESS_STANDBY);
	assert_int_equal(saved_of(pool, UUID_2, "access.7"), ACCESS_OPTIMIZED);
	group_set(7, ACCESS_STANDBY); /* said again: what hosts said is void */
	assert_int_equal(saved_of(pool, UUID_2, "access.7"), -77);
	assert_int_equal(saved_of(pool, UUID_2, "access.1"), ACCESS_OPTIMIZED);
	put_saved(pool, UUID_2, "access.7", ACCESS_OPTIMIZED);
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_portal_remove(state, a.id), 0);
	assert_int_equal(state_commit(state), 0);
	group_is(1, 7, ACCESS_STANDBY);
	assert_int_equal(state_begin(state), 0);
	assert_int_equal(state_portal_remove(state, b.id), 0);
	assert_int_equal(state_commit(state), 0);
	assert_int_equal(state_port_groups(state, &groups), 0);
	assert_int_equal(groups.count, 1);
	assert_int_equal(saved_of(pool, UUID_2, "access.7"), -77);
	assert_int_equal(saved_of(pool, UUID_2, "access.1"), ACCESS_OPTIMIZED);
	assert_int_equal(saved_of(pool, UUID_2, "both"), ACCESS_OPTIMIZED);
	add_portal("10.0.0.1:3260", 7, &a);
	group_is(1, 7, ACCESS_OPTIMIZED);
}

/* ---- persistent reservations ---- */

static struct registration
registration_of(const char *initiator, uint64_t key)
{
	struct registration r = {.key = key, .port = 1};

	snprintf(r.initiator, sizeof(r.initiator), "%s", initiator);
	snprintf(r.target, sizeof(r.target), "iqn.2026-01.local:vms");
	return r;
}

#define PORT_1 "iqn.2026-01.x:1,i,0x000000000001"
#define PORT_2 "iqn.2026-01.x:1,i,0x000000000002"
#define PORT_3 "iqn.2026-01.x:10,i,0x000000000001"

/* Three registrations, the second of which holds. */
static void
put_registry(int64_t pool, const char *uuid, enum registry_type type)
{
	const char *const ports[] = {PORT_1, PORT_3, PORT_2};
	struct registry *registry = registry_new();

	for (unsigned i = 0; i < 3; i++) {
		struct registration r =
		    registration_of(ports[i], UINT64_MAX - i);
		r.all_ports = i == 2;
		assert_int_equal(registry_register(registry, &r), i);
	}
	registry->aptpl = true;
	registry->generation = 7;
	registry->type = type;
	registry->holder = registry_type_is_held_by_all(type) ? 0 : 1;
	assert_int_equal(state_registry_put(state, pool, uuid, registry), 0);
	registry_free(registry);
}

static void
a_registry_is_there_again(void **unused)
{
	const enum registry_type types[] = {REGISTRY_NONE,
	    REGISTRY_EXCLUSIVE_ACCESS,
	    REGISTRY_WRITE_EXCLUSIVE_ALL_REGISTRANTS};
	struct registry *registry;
	char device[] = "/a";
	int64_t target, pool = add_pool("vms", UUID_1, device, &target);
	int64_t generation = state_generation(state);

	(void)unused;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		put_registry(pool, UUID_2, types[i]);
		reopen();
		assert_int_equal(
		    state_registry_get(state, pool, UUID_2, &registry), 0);
		assert_true(registry->aptpl);
		assert_int_equal(registry->generation, 0);
		assert_int_equal(registry->count, 3);
		assert_int_equal(registry->type, types[i]);
		assert_int_equal(registry->holder, i == 1);
		assert_string_equal(registry->list[1].initiator, PORT_3);
		assert_true(registry->list[0].key == UINT64_MAX);
		assert_true(registry->list[2].all_ports);
		registry_free(registry);
	}
	/* an initiator's change is not an administrator's */
	assert_int_equal(state_generation(state), generation);
	assert_int_equal(
	    state_registry_get(state, pool, UUID_1, &registry), -ENOENT);
}

static void
one_without_aptpl_is_not_kept(void **unused)
{
	struct registry *registry = registry_new(), *read;
	struct registration r = registration_of(PORT_1, 1);
	char device[] = "/a";
	int64_t target, pool = add_pool("vms", UUID_1, device, &target);

	(void)unused;
	put_registry(pool, UUID_2, REGISTRY_WRITE_EXCLUSIVE);
	registry_register(registry, &r);
	assert_int_equal(state_registry_put(state, pool, UUID_2, registry), 0);
	assert_int_equal(
	    state_registry_get(state, pool, UUID_2, &read), -ENOENT);
	registry_free(registry);
}

static void
an_initiator_is_forgotten_with_what_it_held(void **unused)
{
	struct registry *registry;
	char device[] = "/a";
	int64_t target, pool = add_pool("vms", UUID_1, device, &target);

	(void)unused;
	put_registry(pool, UUID_1, REGISTRY_WRITE_EXCLUSIVE);
	put_registry(pool, UUID_2, REGISTRY_EXCLUSIVE_ACCESS_ALL_REGISTRANTS);
	state_begin(state);
	assert_int_equal(
	    state_registry_forget(state, UUID_1, "IQN.2026-01.x:10"), 0);
	assert_int_equal(
	    state_registry_forget(state, NULL, "iqn.2026-01.x:1"), 0);
	state_commit(state);
	assert_int_equal(
	    state_registry_get(state, pool, UUID_1, &registry), -ENOENT);
	assert_int_equal(state_registry_get(state, pool, UUID_2, &registry), 0);
	assert_int_equal(registry->count, 1);
	assert_int_equal(
	    registry->type, REGISTRY_EXCLUSIVE_ACCESS_ALL_REGISTRANTS);
	registry_free(registry);
	state_begin(state);
	assert_int_equal(state_registry_forget(state, UUID_2, NULL), 0);
	state_commit(state);
	assert_int_equal(
	    state_registry_get(state, pool, UUID_2, &registry), -ENOENT);
}

static void
registries_go_with_their_pool(void **unused)
{
	struct registry *registry;
	char device[] = "/a";
	int64_t target, pool = add_pool("vms", UUID_1, device, &target);

	(void)unused;
	put_registry(pool, UUID_2, REGISTRY_WRITE_EXCLUSIVE);
	state_begin(state);
	assert_int_equal(state_pool_remove(state, pool), 0);
	state_commit(state);
	assert_int_equal(
	    state_registry_get(state, pool, UUID_2, &registry), -ENOENT);
}

/* The names of a LUN's snapshots begin with its own. */
static void
a_renamed_lun_takes_the_names_of_its_snapshots_along(void **unused)
{
	static const char *const uuids[] = {
	    UUID_1, UUID_2, "33333333-3333-4333-8333-333333333333"};
	static const char *const names[] = {"web01@mon", "web01", "web011@mon"};
	static const char *const after[] = {"web02@mon", "web01", "web011@mon"};
	struct state_export *rows;
	int64_t pool, target, host;
	char device[] = "/a";
	unsigned count;

	(void)unused;
	pool = add_pool("vms", UUID_1, device, &target);
	add_host("kvm1", "iqn.2026-01.x:1", &host);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(add_export(target, host, uuids[i], i), 0);
		state_begin(state);
		assert_int_equal(
		    state_lun_renamed(state, uuids[i], names[i]), 0);
		state_commit(state);
	}
	state_begin(state);
	assert_int_equal(
	    state_lun_snaps_renamed(state, pool, "web01", "web02"), 0);
	state_commit(state);
	assert_int_equal(state_exports(state, &rows, &count), 0);
	for (unsigned i = 0; i < count; i++) {
		unsigned number = rows[i].number;
		assert_string_equal(rows[i].lun_name, after[number]);
	}
	free(rows);
}

static void
what_is_to_be_flattened_is_known_again(void **unused)
{
	uuid_t uuid, *uuids;
	int64_t pool, target;
	char device[] = "/a";
	unsigned count;

	(void)unused;
	pool = add_pool("vms", UUID_1, device, &target);
	uuid_parse(UUID_2, uuid);
	state_begin(state);
	assert_int_equal(state_flatten_add(state, pool, uuid), 0);
	assert_int_equal(state_flatten_add(state, pool, uuid), 0);
	state_commit(state);
	reopen();
	assert_int_equal(state_flattens(state, pool, &uuids, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(uuid_compare(uuids[0], uuid), 0);
	free(uuids);
	state_begin(state);
	assert_int_equal(state_flatten_remove(state, pool, uuid), 0);
	assert_int_equal(state_flatten_remove(state, pool, uuid), 0);
	state_commit(state);
	assert_int_equal(state_flattens(state, pool, &uuids, &count), 0);
	assert_int_equal(count, 0);
	free(uuids);
}

static void
samples_of_the_last_30_days_are_kept(void **unused)
{
	static struct forecast forecast;
	const int64_t hour = FORECAST_INTERVAL_SECONDS, start = 1800000000;
	int64_t pool, target, generation;
	char device[] = "/a";

	(void)unused;
	pool = add_pool("vms", UUID_1, device, &target);
	generation = state_generation(state);
	for (int i = 0; i < 5; i++)
		assert_int_equal(state_sample_add(state, pool, start + i * hour,
				     (uint64_t)i * 4096),
		    0);
	/* samples are no change that anybody made */
	assert_int_equal(state_generation(state), generation);
	reopen();
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
	    claim(an_older_database_is_taken_along),
	    claim(settings_are_a_luns_of_a_pool_and_go_with_it),
	    claim(settings_that_cannot_be_are_told),
	    claim(what_is_saved_is_there_again_and_leaves_others_alone),
	    claim(groups_are_those_of_portals_and_go_with_the_last),
	    claim(a_registry_is_there_again),
	    claim(one_without_aptpl_is_not_kept),
	    claim(an_initiator_is_forgotten_with_what_it_held),
	    claim(registries_go_with_their_pool),
	    claim(a_renamed_lun_takes_the_names_of_its_snapshots_along),
	    claim(what_is_to_be_flattened_is_known_again),
	    claim(samples_of_the_last_30_days_are_kept),
	    claim(a_newer_database_is_refused_and_left_alone),
	    claim(a_damaged_database_is_refused),
	    claim(what_is_no_database_is_refused),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
