/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is done to configfs, in which order, and what is left alone; on a tree
 * in memory (support/fake_configfs.h).  That the kernel agrees is not shown
 * here but in a guest.
 */
#include "base/assert.h"
#include "target/tcmu/lio.h"
#include "tests/unit/base/support/cmocka.h"
#include "tests/unit/target/tcmu/support/fake_configfs.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A      "aaaaaaaa-0000-4000-8000-000000000001"
#define B      "bbbbbbbb-0000-4000-8000-000000000002"
#define C      "/cfg/target"
#define HBA    C "/core/user_86"
#define IQN    "iqn.2020-01.example:t"
#define TPG    C "/iscsi/" IQN "/tpgt_1"
#define LOOP   C "/loopback/naa.5001405a00000001"
#define HOST   "iqn.2020-01.host:one"
#define OTHER  "iqn.2020-01.host:two"
#define SECRET "a secret of hosts"

struct world {
	struct fake *fake;
	struct lio *lio;
};

/* ---- what is wanted ---- */

static const struct lio_device device_a = {A, 1 << 20, 512, false, false};
static const struct lio_device device_b = {B, 2 << 20, 4096, false, true};
static const struct lio_lun luns_one[] = {{0, A, false}, {7, B, true}};
static const struct lio_lun luns_two[] = {{0, B, false}};
static const char *const portals[] = {"127.0.0.1:3261", "[::1]:3261"};
static const struct lio_acl acls[] = {
    {HOST, {"one", SECRET}, {"mutual", "another secret"}, luns_one, 2},
    {OTHER, {NULL, NULL}, {NULL, NULL}, luns_two, 1},
};
static const struct lio_target target = {IQN, portals, 2, acls, 2};
static const struct lio_loop loop = {
    A, {0x50, 0x01, 0x40, 0x5a, 0, 0, 0, 1}, .served = true};
static const struct lio_config everything = {&loop, 1, &target, 1};
static const struct lio_config nothing = {NULL, 0, NULL, 0};

/* One host, one LUN, one portal, no CHAP. */
static const struct lio_acl plain_acl = {
    HOST, {NULL, NULL}, {NULL, NULL}, luns_two, 1};
static const struct lio_target plain_target = {IQN, portals, 1, &plain_acl, 1};
static const struct lio_config plain = {NULL, 0, &plain_target, 1};
static const struct lio_config plain_and_loop = {&loop, 1, &plain_target, 1};
static const struct lio_config only_loop = {&loop, 1, NULL, 0};

static int
make_world(void **state)
{
	static const struct lio_paths paths = {"/cfg", "/sys", "/dev"};
	struct world *world = calloc(1, sizeof(*world));

	world->fake = fake_new();
	world->lio = lio_new_on(&paths, &fake_files, world->fake);
	*state = world;
	return 0;
}

static int
end_world(void **state)
{
	struct world *world = *state;

	lio_free(world->lio);
	fake_free(world->fake);
	free(world);
	return 0;
}

static int
make_device(struct world *world, const struct lio_device *device)
{
	char uio[LIO_UIO_MAX];
	bool resumed;

	return lio_device_make(world->lio, device, uio, &resumed);
}

static void
make_devices(struct world *world)
{
	assert_int_equal(make_device(world, &device_a), 0);
	assert_int_equal(make_device(world, &device_b), 0);
	fake_forget(world->fake);
}

static void
apply(struct world *world, const struct lio_config *config)
{
	int ret = lio_apply(world->lio, config);

	if (ret < 0)
		print_message("%s\n", lio_problem(world->lio));
	assert_int_equal(ret, 0);
}

static void
applied(struct world *world, const struct lio_config *config)
{
	make_devices(world);
	apply(world, config);
	fake_forget(world->fake);
}

static void
assert_problem(struct world *world, const char *part)
{
	if (strstr(lio_problem(world->lio), part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", lio_problem(world->lio),
		    part);
}

static void
assert_reads(struct world *world, const char *path, const char *value)
{
	const char *text = fake_read(world->fake, path);

	if (text == NULL)
		fail_msg("no %s", path);
	assert_string_equal(text, value);
}

/* Frees now; the first line that differs says more than two trees. */
static void
assert_same_tree(char *now, const char *right)
{
	size_t at = 0;

	while (now[at] != '\0' && now[at] == right[at])
		at++;
	if (now[at] != right[at]) {
		while (at > 0 && now[at - 1] != '\n')
			at--;
		fail_msg("is %.*s, should be %.*s",
		    (int)strcspn(now + at, "\n"), now + at,
		    (int)strcspn(right + at, "\n"), right + at);
	}
	free(now);
}

/* ---- devices ---- */

static void
a_device_is_set_before_it_is_enabled(void **state)
{
	struct world *world = *state;
	char uio[LIO_UIO_MAX];
	bool resumed = true;

	assert_int_equal(
	    lio_device_make(world->lio, &device_b, uio, &resumed), 0);
	assert_string_equal(uio, "/dev/uio0");
	assert_false(resumed);
	assert_string_equal(world->fake->log,
	    "mkdir core/user_86\n"
	    "mkdir core/user_86/" B "\n"
	    "write core/user_86/" B "/control dev_config=varve/" B
	    ",dev_size=2097152,hw_block_size=4096,hw_max_sectors=2048,"
	    "nl_reply_supported=-1,cmd_ring_size_mb=1,max_data_area_mb=256,"
	    "data_pages_per_blk=128\n"
	    "write core/user_86/" B "/wwn/vpd_unit_serial " B "\n"
	    "write core/user_86/" B "/attrib/cmd_time_out 0\n"
	    "write core/user_86/" B "/attrib/tmr_notification 1\n"
	    "write core/user_86/" B "/enable 1\n");
}

static void
a_device_found_is_blocked_and_reset_before_it_is_served(void **state)
{
	struct world *world = *state;
	char uio[LIO_UIO_MAX];
	bool resumed;

	applied(world, &everything);
	assert_int_equal(
	    lio_device_make(world->lio, &device_a, uio, &resumed), 0);
	assert_true(resumed);
	assert_string_equal(uio, "/dev/uio0");
	assert_int_equal(lio_device_resume(world->lio, A), 0);
	assert_string_equal(world->fake->log,
	    "write core/user_86/" A "/action/block_dev 1\n"
	    "write core/user_86/" A "/action/reset_ring 1\n"
	    "write core/user_86/" A "/action/block_dev 0\n");
}

static void
a_device_that_we_have_open_goes_on(void **state)
{
	struct world *world = *state;
	struct lio_device open = device_a;
	char uio[LIO_UIO_MAX];
	bool resumed;

	applied(world, &everything);
	world->fake->open_uio = "/dev/uio0";
	open.is_open = true;
	assert_int_equal(lio_device_make(world->lio, &open, uio, &resumed), 0);
	assert_false(resumed);
	assert_string_equal(uio, "/dev/uio0");
	assert_string_equal(world->fake->log, "");
}

static void
a_device_that_nobody_serves_can_be_seized(void **state)
{
	struct world *world = *state;
	char uio[LIO_UIO_MAX];

	assert_int_equal(lio_device_seize(world->lio, A, uio), -ENOENT);
	assert_int_equal(lio_device_seize(world->lio, "../x", uio), -EINVAL);
	applied(world, &everything);
	assert_int_equal(lio_device_seize(world->lio, A, uio), 0);
	assert_string_equal(uio, "/dev/uio0");
	assert_string_equal(world->fake->log,
	    "write core/user_86/" A "/action/block_dev 1\n"
	    "write core/user_86/" A "/action/reset_ring 1\n");
	world->fake->log[0] = '\0';
	world->fake->open_uio = "/dev/uio0";
	assert_int_equal(lio_device_seize(world->lio, A, uio), -EBUSY);
	assert_string_equal(world->fake->log, "");
}

static void
a_device_that_is_served_is_not_disturbed(void **state)
{
	struct world *world = *state;

	make_devices(world);
	world->fake->open_uio = "/dev/uio0";
	assert_int_equal(make_device(world, &device_a), -EBUSY);
	assert_problem(world, "is served by another program (/dev/uio0)");
	assert_string_equal(world->fake->log, "");
}

static void
a_device_of_another_kind_is_refused(void **state)
{
	struct world *world = *state;
	struct lio_device other = device_a;

	make_devices(world);
	other.block_size = 4096;
	assert_int_equal(make_device(world, &other), -EINVAL);
	assert_problem(world, "has blocks of 512 bytes and not of 4096");
	fake_write(world->fake, HBA "/" A "/attrib/dev_config", "rbd/x");
	assert_int_equal(make_device(world, &device_a), -EEXIST);
	assert_problem(world, "its dev_config is \"rbd/x\"");
	assert_string_equal(world->fake->log, "");
}

static void
a_size_that_nobody_listens_to_is_no_failure(void **state)
{
	struct world *world = *state;

	struct lio_device grown = device_a;

	make_devices(world);
	grown.size = 3 << 20;
	assert_int_equal(make_device(world, &grown), 0);
	assert_reads(world, HBA "/" A "/attrib/dev_size", "3145728");
	world->fake->no_listener = true;
	grown.size = 4 << 20;
	assert_int_equal(make_device(world, &grown), 0);
}

static void
a_device_goes_and_may_be_gone(void **state)
{
	struct world *world = *state;

	applied(world, &plain);
	assert_int_equal(lio_device_remove(world->lio, B), -EBUSY);
	assert_int_equal(lio_device_remove(world->lio, A), 0);
	assert_int_equal(lio_device_remove(world->lio, A), 0);
	/* hosts of the one that stays hear BUSY, as nobody answers for it */
	assert_string_equal(world->fake->log,
	    "write core/user_86/" B "/action/block_dev 1\n"
	    "write core/user_86/" B "/action/reset_ring 1\n"
	    "rmdir core/user_86/" A "\n");
}

static void
a_device_half_made_is_completed(void **state)
{
	struct world *world = *state;
	char *whole;

	assert_int_equal(make_device(world, &device_a), 0);
	whole = fake_dump(world->fake);
	for (unsigned at = 1;; at++) {
		assert_int_equal(lio_device_remove(world->lio, A), 0);
		fake_forget(world->fake);
		world->fake->uio_next = 0;
		world->fake->fail_at = at;
		world->fake->killed = true;
		if (make_device(world, &device_a) == 0)
			break;
		assert_problem(world, "Input/output error");
		fake_forget(world->fake);
		assert_int_equal(make_device(world, &device_a), 0);
		assert_same_tree(fake_dump(world->fake), whole);
	}
	free(whole);
}

/* ---- order ---- */

static void
a_disk_has_a_nexus_before_its_link(void **state)
{
	struct world *world = *state;

	make_devices(world);
	apply(world, &only_loop);
	assert_string_equal(world->fake->log,
	    "mkdir /var/target\n"
	    "mkdir /var/target/pr\n"
	    "mkdir loopback\n"
	    "mkdir loopback/naa.5001405a00000001\n"
	    "mkdir loopback/naa.5001405a00000001/tpgt_1\n"
	    "write loopback/naa.5001405a00000001/tpgt_1/nexus "
	    "naa.5001405a00000081\n"
	    "mkdir loopback/naa.5001405a00000001/tpgt_1/lun/lun_0\n"
	    "link loopback/naa.5001405a00000001/tpgt_1/lun/lun_0/lnk "
	    "core/user_86/" A "\n");
	fake_forget(world->fake);
	apply(world, &nothing);
	assert_string_equal(world->fake->log,
	    "unlink loopback/naa.5001405a00000001/tpgt_1/lun/lun_0/lnk\n"
	    "rmdir loopback/naa.5001405a00000001/tpgt_1/lun/lun_0\n"
	    "rmdir loopback/naa.5001405a00000001/tpgt_1\n"
	    "rmdir loopback/naa.5001405a00000001\n");
}

/* targetcli restoreconfig: our address with a nexus of its own making, and no
 * device, as nobody could make that. */
static void
an_address_that_somebody_restored_is_ours_again(void **state)
{
	struct world *world = *state;

	make_devices(world);
	fake_make_dir(world->fake, LOOP "/tpgt_1");
	fake_write(world->fake, LOOP "/tpgt_1/nexus", "naa.5001405236b3fafc");
	apply(world, &only_loop);
	assert_string_equal(fake_read(world->fake, LOOP "/tpgt_1/nexus"),
	    "naa.5001405a00000081");
	apply(world, &nothing);
	assert_null(fake_read(world->fake, LOOP));
}

/* Its first commands would wait for nobody. */
static void
a_disk_that_nobody_serves_is_kept_and_not_made(void **state)
{
	struct world *world = *state;
	struct lio_loop waits = loop;
	const struct lio_config config = {&waits, 1, NULL, 0};

	waits.served = false;
	make_devices(world);
	apply(world, &config);
	assert_null(strstr(world->fake->log, "link "));
	apply(world, &only_loop);
	fake_forget(world->fake);
	apply(world, &config);
	assert_string_equal(world->fake->log, "");
}

#define T "iscsi/" IQN
#define P T "/tpgt_1"

static void
a_target_is_enabled_last(void **state)
{
	struct world *world = *state;

	applied(world, &only_loop);
	apply(world, &plain_and_loop);
	assert_string_equal(world->fake->log,
	    "mkdir iscsi\n"
	    "mkdir " T "\n"
	    "mkdir " P "\n"
	    "write " P "/param/TargetAlias varve\n\n"
	    "write " P "/attrib/demo_mode_write_protect 0\n"
	    "write " P "/attrib/demo_mode_discovery 0\n"
	    "mkdir " P "/lun/lun_0\n"
	    "link " P "/lun/lun_0/lnk core/user_86/" B "\n"
	    "mkdir " P "/acls/" HOST "\n"
	    "write " P "/acls/" HOST "/attrib/authentication 0\n"
	    "mkdir " P "/acls/" HOST "/lun_0\n"
	    "link " P "/acls/" HOST "/lun_0/lnk " P "/lun/lun_0\n"
	    "mkdir " P "/np/127.0.0.1:3261\n"
	    "write " P "/enable 1\n");
}

static void
a_target_is_disabled_first(void **state)
{
	struct world *world = *state;

	applied(world, &plain);
	apply(world, &nothing);
	assert_string_equal(world->fake->log,
	    "write " P "/enable 0\n"
	    "unlink " P "/acls/" HOST "/lun_0/lnk\n"
	    "rmdir " P "/acls/" HOST "/lun_0\n"
	    "rmdir " P "/acls/" HOST "\n"
	    "unlink " P "/lun/lun_0/lnk\n"
	    "rmdir " P "/lun/lun_0\n"
	    "rmdir " P "/np/127.0.0.1:3261\n"
	    "rmdir " P "\n"
	    "rmdir " T "\n");
}

static void
a_part_goes_without_the_rest(void **state)
{
	struct world *world = *state;
	struct lio_target less = target;

	applied(world, &everything);
	less.portal_count = 1;
	apply(world, &(struct lio_config){&loop, 1, &less, 1});
	assert_string_equal(world->fake->log, "rmdir " P "/np/[::1]:3261\n");
	fake_forget(world->fake);
	less.acl_count = 1;
	apply(world, &(struct lio_config){&loop, 1, &less, 1});
	assert_string_equal(world->fake->log,
	    "unlink " P "/acls/" OTHER "/lun_0/lnk\n"
	    "rmdir " P "/acls/" OTHER "/lun_0\n"
	    "rmdir " P "/acls/" OTHER "\n");
}

/* ---- again ---- */

static void
a_second_apply_writes_nothing(void **state)
{
	struct world *world = *state;

	applied(world, &everything);
	apply(world, &everything);
	assert_string_equal(world->fake->log, "");
}

static void
what_somebody_changed_is_mended(void **state)
{
	struct world *world = *state;
	char *right;

	applied(world, &everything);
	right = fake_dump(world->fake);
	fake_write(world->fake, TPG "/attrib/generate_node_acls", "1");
	fake_write(world->fake, TPG "/enable", "0");
	fake_write(world->fake, TPG "/acls/" HOST "/auth/password", "x");
	fake_write(world->fake, TPG "/acls/" HOST "/lun_7/write_protect", "0");
	fake_make_dir(world->fake, TPG "/np/0.0.0.0:3260");
	fake_make_dir(world->fake, TPG "/acls/iqn.2020-01.by:hand/lun_3");
	fake_make_dir(world->fake, LOOP "/tpgt_1/lun/lun_4");
	fake_drop(world->fake, TPG "/acls/" OTHER "/lun_0/lnk");
	apply(world, &everything);
	assert_same_tree(fake_dump(world->fake), right);
	free(right);
}

static void
a_number_may_lead_to_another_device(void **state)
{
	static const struct lio_lun swapped[] = {{0, B, false}, {7, A, true}};
	struct world *world = *state;
	struct lio_acl acl = acls[0];
	struct lio_target other = {IQN, portals, 2, &acl, 1};

	applied(world, &everything);
	acl.luns = swapped;
	apply(world, &(struct lio_config){&loop, 1, &other, 1});
	fake_forget(world->fake);
	apply(world, &(struct lio_config){&loop, 1, &other, 1});
	assert_string_equal(world->fake->log, "");
	assert_reads(world, TPG "/acls/" HOST "/lun_0/lnk", TPG "/lun/lun_1");
	assert_reads(world, TPG "/acls/" HOST "/lun_7/lnk", TPG "/lun/lun_0");
}

/* From a tree with what from wants to one of to: whatever fails in between,
 * or wherever we are killed, the next apply ends at the same. */
static void
assert_completes(void **state, const struct lio_config *from,
    const struct lio_config *to, bool killed)
{
	struct world *world = *state;
	char *right;
	unsigned at = 0;
	int ret;

	make_devices(world);
	apply(world, &nothing);
	apply(world, from);
	apply(world, to);
	right = fake_dump(world->fake);
	do {
		apply(world, &nothing);
		apply(world, from);
		fake_forget(world->fake);
		world->fake->fail_at = ++at;
		world->fake->killed = killed;
		ret = lio_apply(world->lio, to);
		assert_int_equal(ret, world->fake->changes < at ? 0 : -EIO);
		assert_int_equal(ret == 0, lio_problem(world->lio)[0] == '\0');
		fake_forget(world->fake);
		apply(world, to);
		assert_same_tree(fake_dump(world->fake), right);
		fake_forget(world->fake);
		apply(world, to);
		assert_string_equal(world->fake->log, "");
	} while (ret < 0);
	assert_true(at > 10);
	free(right);
}

static void
a_failing_step_is_made_up_for(void **state)
{
	assert_completes(state, &nothing, &everything, false);
	assert_completes(state, &plain, &everything, false);
}

static void
a_making_that_was_killed_is_completed(void **state)
{
	assert_completes(state, &nothing, &everything, true);
	assert_completes(state, &everything, &plain_and_loop, true);
}

/* But for the directory of an iqn or naa that had lost its TPG: it exports
 * nothing, and nothing tells whose it was. */
static void
a_removing_that_was_killed_is_completed(void **state)
{
	struct world *world = *state;

	make_devices(world);
	for (unsigned at = 1;; at++) {
		apply(world, &everything);
		fake_forget(world->fake);
		world->fake->fail_at = at;
		world->fake->killed = true;
		if (lio_apply(world->lio, &nothing) == 0)
			break;
		fake_forget(world->fake);
		apply(world, &nothing);
		assert_null(fake_read(world->fake, TPG));
		assert_null(fake_read(world->fake, LOOP "/tpgt_1"));
		assert_int_equal(lio_device_remove(world->lio, A), 0);
		assert_int_equal(lio_device_remove(world->lio, B), 0);
		make_devices(world);
	}
}

/* ---- whose ---- */

#define DISK C "/core/fileio_0/disk"

static void
make_foreign(struct world *world, const char *tpg)
{
	char path[128], link[256];

	fake_make_dir(world->fake, DISK);
	snprintf(path, sizeof(path), "%s/lun/lun_0", tpg);
	snprintf(link, sizeof(link), "%s/by_hand", path);
	fake_make_dir(world->fake, path);
	fake_make_link(world->fake, DISK, link);
}

static void
what_somebody_else_exports_is_named_and_left(void **state)
{
	struct world *world = *state;

	make_foreign(world, TPG);
	make_foreign(world, LOOP "/tpgt_1");
	fake_make_dir(world->fake, TPG "/acls/iqn.2020-01.by:hand");
	make_devices(world);
	assert_int_equal(lio_apply(world->lio, &plain), -EEXIST);
	assert_problem(world,
	    "target " IQN " exports core/fileio_0/disk, which is not varve's");
	assert_int_equal(lio_apply(world->lio, &only_loop), -EEXIST);
	assert_problem(
	    world, "disk naa.5001405a00000001 exports core/fileio_0/disk");
	apply(world, &nothing);
	assert_string_equal(world->fake->log, "mkdir /var/target\n"
					      "mkdir /var/target/pr\n");
}

static void
what_is_ours_in_part_is_left(void **state)
{
	struct world *world = *state;

	applied(world, &plain);
	fake_make_dir(world->fake, DISK);
	fake_make_dir(world->fake, TPG "/lun/lun_9");
	fake_make_link(world->fake, DISK, TPG "/lun/lun_9/by_hand");
	apply(world, &nothing);
	assert_string_equal(world->fake->log, "");
}

static void
an_empty_target_goes_if_we_marked_it(void **state)
{
	const struct lio_target empty = {IQN, portals, 1, NULL, 0};
	struct world *world = *state;

	apply(world, &(struct lio_config){NULL, 0, &empty, 1});
	fake_make_dir(world->fake, C "/iscsi/iqn.2020-01.by:hand/tpgt_1");
	fake_make_dir(world->fake, C "/loopback/naa.5001405a00000099/tpgt_1");
	apply(world, &nothing);
	assert_null(fake_read(world->fake, C "/iscsi/" IQN));
	assert_non_null(
	    fake_read(world->fake, C "/iscsi/iqn.2020-01.by:hand/tpgt_1"));
	assert_non_null(
	    fake_read(world->fake, C "/loopback/naa.5001405a00000099/tpgt_1"));
}

static void
note_device(void *arg, const char *name)
{
	strcat(arg, name);
}

static void
guard_blocks_what_is_ours_and_not_served(void **state)
{
	struct world *world = *state;
	char found[256] = "";

	make_devices(world);
	fake_make_dir(world->fake, C "/core/user_0/other");
	fake_make_dir(world->fake, HBA "/dddddddd");
	fake_write(world->fake, HBA "/dddddddd/attrib/dev_config", "other/x");
	fake_make_dir(world->fake, HBA "/cccccccc-half");
	assert_int_equal(lio_devices(world->lio, note_device, found), 0);
	assert_string_equal(found, A B "cccccccc-half");
	world->fake->open_uio = "/dev/uio1";
	assert_int_equal(lio_guard(world->lio), -EBUSY);
	assert_string_equal(world->fake->log,
	    "write core/user_86/" A "/action/block_dev 1\n"
	    "write core/user_86/" A "/action/reset_ring 1\n");
	world->fake->open_uio = NULL;
	assert_int_equal(lio_guard(world->lio), 0);
}

static void
guard_has_nothing_to_do_where_nothing_is(void **state)
{
	struct world *world = *state;

	fake_drop(world->fake, C);
	assert_int_equal(lio_guard(world->lio), 0);
}

/* ---- who may ---- */

static void
a_secret_is_asked_for_per_host(void **state)
{
	struct world *world = *state;

	applied(world, &everything);
	assert_reads(world, TPG "/attrib/authentication", "1");
	assert_reads(world, TPG "/acls/" HOST "/attrib/authentication", "1");
	assert_reads(world, TPG "/acls/" OTHER "/attrib/authentication", "0");
	assert_reads(world, TPG "/acls/" HOST "/auth/password", SECRET);
	assert_reads(world, TPG "/acls/" HOST "/auth/userid_mutual", "mutual");
	apply(world, &plain);
	assert_reads(world, TPG "/attrib/authentication", "0");
	assert_reads(world, TPG "/acls/" HOST "/attrib/authentication", "0");
	assert_reads(world, TPG "/acls/" HOST "/auth/password", "NULL");
	assert_reads(world, TPG "/acls/" HOST "/auth/password_mutual", "NULL");
}

/* The ACL's directory lets its host in: the TPG asks for a secret before. */
static void
nobody_comes_in_before_the_secret_is_asked_for(void **state)
{
	struct world *world = *state;
	const char *asks, *comes;

	applied(world, &plain);
	fake_drop(world->fake, TPG "/acls/" HOST);
	apply(world, &everything);
	asks = strstr(world->fake->log, P "/attrib/authentication 1");
	comes = strstr(world->fake->log, "mkdir " P "/acls/" HOST);
	assert_non_null(asks);
	assert_true(asks < comes);
}

static void
an_old_kernel_lets_in_nobody_without_a_secret(void **state)
{
	struct world *world = *state;

	make_devices(world);
	fake_make_dir(world->fake, TPG "/acls/" HOST);
	fake_make_dir(world->fake, TPG "/acls/" OTHER);
	fake_drop(world->fake, TPG "/acls/" HOST "/attrib");
	fake_drop(world->fake, TPG "/acls/" OTHER "/attrib");
	assert_int_equal(lio_apply(world->lio, &everything), -EOPNOTSUPP);
	assert_problem(world, "host " OTHER " needs a CHAP secret");
	assert_non_null(fake_read(world->fake, TPG "/acls/" HOST "/lun_0"));
	assert_null(fake_read(world->fake, TPG "/acls/" OTHER "/lun_0"));
	apply(world, &plain);
}

static void
a_secret_is_in_no_problem(void **state)
{
	struct world *world = *state;
	const struct lio_acl *acl = &acls[0];

	make_devices(world);
	for (unsigned at = 1;; at++) {
		fake_forget(world->fake);
		world->fake->fail_at = at;
		if (lio_apply(world->lio, &everything) == 0)
			break;
		assert_null(strstr(lio_problem(world->lio), SECRET));
		assert_null(
		    strstr(lio_problem(world->lio), acl->mutual.secret));
		fake_forget(world->fake);
		apply(world, &nothing);
	}
}

static void
what_may_be_read_is_never_to_be_written(void **state)
{
	struct world *world = *state;
	const char *begins, *link;

	make_devices(world);
	apply(world, &everything);
	begins = strstr(world->fake->log, "prod_mode_write_protect 1");
	link = strstr(world->fake->log, "link " P "/acls/" HOST "/lun_7/lnk");
	assert_non_null(begins);
	assert_true(begins < link);
	assert_reads(world, TPG "/acls/" HOST "/lun_7/write_protect", "1");
	assert_reads(world, TPG "/acls/" HOST "/lun_0/write_protect", "0");
}

/* ---- what is missing ---- */

static void
a_missing_module_is_named(void **state)
{
	struct world *world = *state;

	assert_int_equal(lio_check(world->lio), 0);
	world->fake->no_modules = true;
	assert_int_equal(lio_apply(world->lio, &only_loop), -EINVAL);
	fake_make_dir(world->fake, "/var/target/pr");
	assert_int_equal(lio_apply(world->lio, &only_loop), -EINVAL);
	assert_problem(
	    world, "module tcm_loop is not loaded (modprobe tcm_loop)");
	assert_int_equal(lio_apply(world->lio, &plain), -EINVAL);
	assert_problem(world, "modprobe iscsi_target_mod");
	fake_drop(world->fake, HBA);
	assert_int_equal(lio_check(world->lio), -EINVAL);
	assert_problem(world, "modprobe target_core_user");
	fake_drop(world->fake, C);
	assert_int_equal(lio_check(world->lio), -ENODEV);
	assert_problem(world, "modprobe target_core_mod");
}

static void
a_device_that_is_missing_fails_its_lun_alone(void **state)
{
	struct world *world = *state;

	assert_int_equal(make_device(world, &device_b), 0);
	assert_int_equal(lio_apply(world->lio, &everything), -ENOENT);
	assert_problem(world, "lun_0/lnk: No such file or directory");
	assert_reads(world, TPG "/enable", "1");
	assert_non_null(fake_read(world->fake, TPG "/acls/" HOST "/lun_7/lnk"));
	assert_null(fake_read(world->fake, TPG "/acls/" HOST "/lun_0"));
	assert_int_equal(make_device(world, &device_a), 0);
	apply(world, &everything);
}

static void
a_name_stays_in_its_directory(void **state)
{
	struct world *world = *state;
	struct lio_target bad = plain_target;
	const struct lio_device up = {"../x", 1 << 20, 512, false, true};

	bad.iqn = "../core";
	assert_int_equal(
	    lio_apply(world->lio, &(struct lio_config){NULL, 0, &bad, 1}),
	    -EINVAL);
	assert_problem(world, "\"../core\" cannot be a name");
	assert_int_equal(make_device(world, &up), -EINVAL);
	assert_int_equal(lio_device_remove(world->lio, ""), -EINVAL);
	assert_string_equal(world->fake->log, "");
}

#define TEST(claim)                                                            \
	cmocka_unit_test_setup_teardown(claim, make_world, end_world)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_device_is_set_before_it_is_enabled),
	    TEST(a_device_found_is_blocked_and_reset_before_it_is_served),
	    TEST(a_device_that_we_have_open_goes_on),
	    TEST(a_device_that_nobody_serves_can_be_seized),
	    TEST(a_device_that_is_served_is_not_disturbed),
	    TEST(a_device_of_another_kind_is_refused),
	    TEST(a_size_that_nobody_listens_to_is_no_failure),
	    TEST(a_device_goes_and_may_be_gone),
	    TEST(a_device_half_made_is_completed),
	    TEST(a_disk_has_a_nexus_before_its_link),
	    TEST(an_address_that_somebody_restored_is_ours_again),
	    TEST(a_disk_that_nobody_serves_is_kept_and_not_made),
	    TEST(a_target_is_enabled_last),
	    TEST(a_target_is_disabled_first),
	    TEST(a_part_goes_without_the_rest),
	    TEST(a_second_apply_writes_nothing),
	    TEST(what_somebody_changed_is_mended),
	    TEST(a_number_may_lead_to_another_device),
	    TEST(a_failing_step_is_made_up_for),
	    TEST(a_making_that_was_killed_is_completed),
	    TEST(a_removing_that_was_killed_is_completed),
	    TEST(what_somebody_else_exports_is_named_and_left),
	    TEST(what_is_ours_in_part_is_left),
	    TEST(an_empty_target_goes_if_we_marked_it),
	    TEST(guard_blocks_what_is_ours_and_not_served),
	    TEST(guard_has_nothing_to_do_where_nothing_is),
	    TEST(a_secret_is_asked_for_per_host),
	    TEST(nobody_comes_in_before_the_secret_is_asked_for),
	    TEST(an_old_kernel_lets_in_nobody_without_a_secret),
	    TEST(a_secret_is_in_no_problem),
	    TEST(what_may_be_read_is_never_to_be_written),
	    TEST(a_missing_module_is_named),
	    TEST(a_device_that_is_missing_fails_its_lun_alone),
	    TEST(a_name_stays_in_its_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
