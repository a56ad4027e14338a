/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After a restart: are the volumes those that were promised, and does each
 * hold what its oracle allows?
 */
#include "tests/sim/sim.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- which volumes there are ---- */

static struct sim_volume *
volume_by_uuid(struct world *world, const uuid_t uuid)
{
	for (unsigned i = 0; i < VOLUMES_MAX; i++) {
		struct sim_volume *volume = &world->volume[i];
		if (volume->state != ABSENT &&
		    uuid_compare(volume->uuid, uuid) == 0)
			return volume;
	}
	return NULL;
}

static void
verify_name_and_size(struct world *world, struct sim_volume *mine,
    const struct volume_stat *stat)
{
	if (strcmp(stat->name, mine->new_name) == 0)
		strcpy(mine->name, mine->new_name);
	if (strcmp(stat->name, mine->name) != 0)
		sim_fail(world, "volume %" PRIu64 " is called %s, not %s",
		    mine->serial, stat->name, mine->name);
	if (stat->size != mine->size && stat->size != mine->new_size)
		sim_fail(world,
		    "volume %" PRIu64 " has %" PRIu64 " bytes, not %" PRIu64,
		    mine->serial, stat->size, mine->size);
	if (stat->size < mine->size)
		oracle_cut_off(mine->oracle, stat->size);
	mine->size = stat->size;
	mine->new_name[0] = '\0';
	mine->new_size = 0;
}

/* In the trash only if it is on its way there or out of it. */
static bool
may_be_listed(const struct world *world, const struct sim_volume *volume)
{
	return volume->state != TRASHED || (world->control == CONTROL_RESTORE &&
					       world->control_volume == volume);
}

static void
verify_missing(struct world *world, struct sim_volume *mine)
{
	mine->quiet = false;
	if (mine->volume != NULL || mine->state == ABSENT ||
	    mine->state == TRASHED || mine->state == TRASHING)
		return;
	if (mine->state == PRESENT)
		sim_fail(world, "volume %" PRIu64 " (%s) is lost", mine->serial,
		    mine->name);
	mine->state = ABSENT;
	family_volume_gone(world, mine);
}

static void
verify_list(struct world *world)
{
	struct volume *v;

	for (v = volume_next(world->pool, NULL); v != NULL;
	     v = volume_next(world->pool, v)) {
		struct volume_stat stat;
		volume_stat_get(v, &stat);
		struct sim_volume *mine = volume_by_uuid(world, stat.uuid);
		if (mine == NULL || !may_be_listed(world, mine))
			sim_fail(world, "volume %s should not be", stat.name);
		family_verify_volume(world, mine, v);
		verify_name_and_size(world, mine, &stat);
		if (mine->state == TRASHED)
			family_out_of_trash(world, mine);
		mine->state = PRESENT;
		quota_verify(world, mine);
		reserve_verify(world, mine);
	}
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		verify_missing(world, &world->volume[i]);
	family_verify(world);
}

/* ---- what they hold ---- */

static bool
verify_cell(struct world *world, struct sim_volume *volume, uint64_t offset,
    uint64_t length)
{
	static _Alignas(4096) uint8_t buf[ORACLE_CELL_BYTES];
	char text[400];

	if (!work_read(world, volume, offset, length, buf))
		return false;
	if (!oracle_check_recovered(
		volume->oracle, offset, length, buf, text, sizeof(text)))
		sim_fail(world, "%s after the cut: %s", volume->name, text);
	world->tally->verified_bytes += length;
	return true;
}

/* Cells of which the map holds something.  What nobody has ever written must
 * not be among them. */
static void
mark_cells(struct world *world, struct sim_volume *volume,
    const struct bs_extent *extent, uint8_t *mapped)
{
	uint64_t first = extent->offset / ORACLE_CELL_BYTES;
	uint64_t last =
	    (extent->offset + extent->length - 1) / ORACLE_CELL_BYTES;

	if (extent->kind == BS_EXTENT_HOLE)
		return;
	for (uint64_t cell = first; cell <= last; cell++) {
		if (!oracle_knows_cell(
			volume->oracle, cell * ORACLE_CELL_BYTES))
			sim_fail(world,
			    "volume %" PRIu64 " has data at %" PRIu64
			    " where nobody wrote",
			    volume->serial, cell * ORACLE_CELL_BYTES);
		mapped[cell] = 1;
	}
}

static bool
verify_extents(struct world *world, struct sim_volume *volume, uint8_t *mapped)
{
	struct bs_extent extents[16];
	unsigned count;

	for (uint64_t at = 0; at < volume->size;) {
		if (!work_extents(world, volume, at, extents, 16, &count))
			return false;
		for (unsigned i = 0; i < count; i++)
			mark_cells(world, volume, &extents[i], mapped);
		at = extents[count - 1].offset + extents[count - 1].length;
	}
	return true;
}

/* Reads what is mapped, and what may not be a hole. */
static bool
verify_cells(
    struct world *world, struct sim_volume *volume, const uint8_t *mapped)
{
	for (uint64_t at = 0; at < volume->size; at += ORACLE_CELL_BYTES) {
		uint64_t length = volume->size - at;
		if (length > ORACLE_CELL_BYTES)
			length = ORACLE_CELL_BYTES;
		if (!mapped[at / ORACLE_CELL_BYTES] &&
		    oracle_is_zero(volume->oracle, at, length))
			continue;
		if (!verify_cell(world, volume, at, length))
			return false;
	}
	return true;
}

static bool
verify_volume(struct world *world, struct sim_volume *volume)
{
	uint8_t *mapped = calloc(volume->size / ORACLE_CELL_BYTES + 1, 1);

	assert(mapped != NULL);
	bool up = volume_bring_up(world, volume) &&
		  verify_extents(world, volume, mapped) &&
		  verify_cells(world, volume, mapped);
	free(mapped);
	oracle_recovered(volume->oracle);
	return up;
}

/* ---- all of it ---- */

/* Killed, not cut: every acknowledged write is there. */
static void
world_all_durable(struct world *world)
{
	for (unsigned i = 0; i < VOLUMES_MAX; i++)
		if (world->volume[i].state == PRESENT)
			oracle_flushed(world->volume[i].oracle, world->clock);
}

bool
world_verify(struct world *world)
{
	struct sim_volume *v = NULL;

	verify_list(world);
	devices_verify(world);
	control_settle(world);
	order_restarted(world);
	if (world->only_kills)
		world_all_durable(world);
	world->only_kills = true;
	while ((v = version_next(world, v)) != NULL)
		if (v->state == PRESENT && !v->ballast &&
		    !verify_volume(world, v))
			return false;
	return order_verify(world);
}
