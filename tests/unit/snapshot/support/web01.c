/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/snapshot/support/web01.h"
#include "snapshot/breaks.h"
#include "tests/unit/base/support/cmocka.h"
#include <string.h>

struct rig rig;
struct volume *volume, *the_clone;
struct backstore *bs, *copy;
static bool eager;

static void
background_set(void)
{
	if (eager)
		pool_set_background(rig.pool, 100);
}

void
web01_make(uint32_t block_size)
{
	rig_init(&rig, 128 * MiB, block_size, true);
	assert_int_equal(rig_create(&rig, NULL, false), 0);
	assert_int_equal(rig_volume(&rig, "web01", 64 * MiB, 512, &volume), 0);
	background_set();
	bs = volume_open(volume);
	assert_non_null(bs);
	the_clone = NULL;
	copy = NULL;
}

static int
setup(bool is_eager, uint32_t block_size)
{
	eager = is_eager;
	web01_make(block_size);
	return 0;
}

int
web01_setup(void **state)
{
	(void)state;
	return setup(false, 512);
}

int
web01_setup_eager(void **state)
{
	(void)state;
	return setup(true, 512);
}

int
web01_setup_eager_4k(void **state)
{
	(void)state;
	return setup(true, 4096);
}

int
web01_teardown(void **state)
{
	(void)state;
	memset(&engine_breaks, 0, sizeof(engine_breaks));
	rig_done(&rig);
	return 0;
}

void
web01_reopen(bool power_cut)
{
	if (power_cut)
		rig_cut(&rig);
	else
		assert_int_equal(rig_close(&rig), 0);
	assert_int_equal(rig_open(&rig, false), 0);
	background_set();
	volume = volume_find(rig.pool, "web01");
	assert_non_null(volume);
	bs = volume_open(volume);
	assert_non_null(bs);
	if (the_clone == NULL)
		return;
	the_clone = volume_find(rig.pool, "copy");
	assert_non_null(the_clone);
	copy = volume_open(the_clone);
	assert_non_null(copy);
}

struct volume *
snapshot(struct volume *of, const char *name)
{
	struct volume *made;

	assert_int_equal(rig_snapshot(&rig, of, name, &made), 0);
	return made;
}

void
clone_of(struct volume *s, const char *name)
{
	assert_int_equal(rig_clone(&rig, s, name, &the_clone), 0);
	copy = volume_open(the_clone);
	assert_non_null(copy);
}

struct volume *
volume_with_unit(
    uint32_t unit, struct backstore **ret_store, struct volume **ret_snapshot)
{
	struct volume *made = NULL;

	assert_int_equal(
	    rig_volume_unit(&rig, "unit", 8 * MiB, unit, &made), 0);
	*ret_store = volume_open(made);
	assert_non_null(*ret_store);
	fill(*ret_store, 0, MiB, 1);
	*ret_snapshot = snapshot(made, "one");
	return made;
}

void
drop(struct volume *of, struct backstore *store)
{
	rig_close_bs(&rig, store);
	assert_int_equal(rig_delete(&rig, of), 0);
	rig_settle_jobs(&rig);
}

void
fill(struct backstore *store, uint64_t offset, uint64_t length, int byte)
{
	assert_int_equal(rig_fill(&rig, store, offset, length, byte), 0);
}

bool
holds(struct backstore *store, uint64_t offset, uint64_t length, int byte)
{
	return rig_holds(&rig, store, offset, length, byte);
}

struct family_stat
stat_of(struct volume *of)
{
	struct family_stat stat;

	family_stat_get(of, &stat);
	return stat;
}

uint64_t
allocated(void)
{
	return rig_stat(&rig).allocated;
}

struct backstore *
ballast(void)
{
	struct backstore *store;
	struct volume *made;

	assert_int_equal(rig_volume(&rig, "ballast", 512 * MiB, 512, &made), 0);
	store = volume_open(made);
	for (uint64_t at = 0; rig_stat(&rig).level < 2; at += 256 * KiB)
		fill(store, at, 256 * KiB, 9);
	return store;
}
