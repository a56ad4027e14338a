/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the state database keeps of LUNs: settings, what initiators saved and
 * registered, names, what is to be flattened; and of portals and their groups.
 */
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/target/support/db.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
	db_add_pool("vms", UUID_1, device, &target);
	assert_int_equal(state_pools(state, &pools, &count), 0);
	int64_t pool = pools[0].id;
	state_pools_free(pools, count);
	state_begin(state);
	assert_int_equal(state_settings_put(state, pool, UUID_1, settings), 0);
	assert_int_equal(state_settings_put(state, pool, UUID_2, settings), 0);
	state_commit(state);
	db_reopen();
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
settings_that_cannot_be_keep_no_others_away(void **unused)
{
	static const char *const wrong[] = {
	    "[]", "{", "{\"iops\":-1}", "{\"vendor\":\"far too long\"}"};
	char device[] = "/a", sql[256];
	int64_t target;
	json_t *found;

	(void)unused;
	db_add_pool("vms", UUID_1, device, &target);
	db_execute("INSERT INTO lun_settings SELECT id, '" UUID_2
		   "', '{\"iops\":5}' FROM pools");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(sql, sizeof(sql),
		    "INSERT OR REPLACE INTO lun_settings SELECT id, '" UUID_1
		    "', '%s' FROM pools",
		    wrong[i]);
		db_execute(sql);
		assert_int_equal(
		    state_settings_of(state, 1, UUID_1, &found), -EBADMSG);
		assert_int_equal(state_settings(state, 1, &found), 0);
		assert_int_equal(json_object_size(found), 2);
		assert_true(json_is_null(json_object_get(found, UUID_1)));
		assert_true(json_is_object(json_object_get(found, UUID_2)));
		json_decref(found);
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
	int64_t target, pool = db_add_pool("vms", UUID_1, device, &target);
	int64_t generation = state_generation(state);

	(void)unused;
	put_saved(pool, UUID_2, "wce", 1ll << 40);
	put_saved(pool, UUID_2, "swp", -1);
	put_saved(pool, UUID_1, "wce", 3);
	db_reopen();
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
	int64_t target, pool = db_add_pool("vms", UUID_1, device, &target);

	(void)unused;
	assert_int_equal(state_port_groups(state, &groups), 0);
	assert_int_equal(groups.count, 0);
	add_portal("10.0.0.1:3260", 7, &a);
	add_portal("10.0.0.2:3260", 7, &b);
	add_portal("10.0.0.3:3260", 1, &c);
	group_set(7, ACCESS_STANDBY);
	put_saved(pool, UUID_2, "access.7", ACCESS_OPTIMIZED);
	put_saved(pool, UUID_2, "access.1", ACCESS_OPTIMIZED);
	db_reopen();
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
	int64_t target, pool = db_add_pool("vms", UUID_1, device, &target);
	int64_t generation = state_generation(state);

	(void)unused;
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		put_registry(pool, UUID_2, types[i]);
		db_reopen();
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
	int64_t target, pool = db_add_pool("vms", UUID_1, device, &target);

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
	int64_t target, pool = db_add_pool("vms", UUID_1, device, &target);

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
a_lun_that_is_gone_is_forgotten_and_no_other(void **unused)
{
	json_t *settings = json_pack("{s:s}", "vendor", "ACME"), *found;
	struct registry *registry;
	char device[] = "/a";
	int64_t target, pool = db_add_pool("vms", UUID_1, device, &target);

	(void)unused;
	for (unsigned i = 0; i < 2; i++) {
		const char *uuid = i == 0 ? UUID_1 : UUID_2;
		state_begin(state);
		state_settings_put(state, pool, uuid, settings);
		state_commit(state);
		put_saved(pool, uuid, "wce", 1);
		put_registry(pool, uuid, REGISTRY_WRITE_EXCLUSIVE);
	}
	state_begin(state);
	assert_int_equal(state_lun_forget(state, pool, UUID_1), 0);
	state_commit(state);
	assert_int_equal(saved_of(pool, UUID_1, "wce"), -77);
	assert_int_equal(saved_of(pool, UUID_2, "wce"), 1);
	assert_int_equal(
	    state_registry_get(state, pool, UUID_1, &registry), -ENOENT);
	assert_int_equal(state_registry_get(state, pool, UUID_2, &registry), 0);
	registry_free(registry);
	assert_int_equal(state_settings(state, pool, &found), 0);
	assert_int_equal(json_object_size(found), 1);
	assert_non_null(json_object_get(found, UUID_2));
	json_decref(found);
	json_decref(settings);
}

static void
registries_go_with_their_pool(void **unused)
{
	struct registry *registry;
	char device[] = "/a";
	int64_t target, pool = db_add_pool("vms", UUID_1, device, &target);

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
	pool = db_add_pool("vms", UUID_1, device, &target);
	db_add_host("kvm1", "iqn.2026-01.x:1", &host);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(db_add_export(target, host, uuids[i], i), 0);
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
	pool = db_add_pool("vms", UUID_1, device, &target);
	uuid_parse(UUID_2, uuid);
	state_begin(state);
	assert_int_equal(state_flatten_add(state, pool, uuid), 0);
	assert_int_equal(state_flatten_add(state, pool, uuid), 0);
	state_commit(state);
	db_reopen();
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

#define claim(test) cmocka_unit_test_setup_teardown(test, db_setup, db_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    claim(settings_are_a_luns_of_a_pool_and_go_with_it),
	    claim(settings_that_cannot_be_keep_no_others_away),
	    claim(what_is_saved_is_there_again_and_leaves_others_alone),
	    claim(groups_are_those_of_portals_and_go_with_the_last),
	    claim(a_registry_is_there_again),
	    claim(one_without_aptpl_is_not_kept),
	    claim(an_initiator_is_forgotten_with_what_it_held),
	    claim(a_lun_that_is_gone_is_forgotten_and_no_other),
	    claim(registries_go_with_their_pool),
	    claim(a_renamed_lun_takes_the_names_of_its_snapshots_along),
	    claim(what_is_to_be_flattened_is_known_again),
	};

	return cmocka_run_group_tests(
	    tests, db_make_directory, db_remove_directory);
}
