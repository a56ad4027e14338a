/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Labels and superblocks.  Copies that are missing or old are notes: power may
 * have gone while they were written, and one good copy is enough.
 */
#include "snapshot/check_priv.h"
#include <errno.h>
#include <string.h>

/* ---- labels ---- */

/* The label of the device that counts, if it has one. */
static void
label_read(struct check *check, unsigned n)
{
	struct backstore *bs = check->bs[n];
	const uint8_t *buf = check->buffer[0];
	struct fmt_label *best = &check->label[n];
	unsigned good = 0;

	for (unsigned i = 0; i < FMT_LABELS; i++) {
		struct fmt_label label;
		if (bs->size < FMT_DEVICE_HEAD + FMT_DEVICE_TAIL ||
		    check_read(check, bs, fmt_label_offset(i, bs->size),
			check->buffer[0], FMT_BLOCK) < 0)
			continue;
		memcpy(&label, buf, sizeof(label));
		if (fmt_label_check(&label) != NULL)
			continue;
		if (good == 0 || le64_get(&label.gen) > le64_get(&best->gen))
			*best = label;
		good++;
	}
	check->labelled[n] = good > 0;
	if (good < FMT_LABELS)
		check_find(check, CHECK_NOTE, "label.copy",
		    "%s: %u of %u labels are good", bs->name, good, FMT_LABELS);
}

static bool
label_is_of(const struct check *check, unsigned n, const uint8_t uuid[16])
{
	return check->labelled[n] &&
	       memcmp(check->label[n].pool_uuid, uuid, 16) == 0;
}

/* ---- superblocks ---- */

/* A superblock that is right in itself and of this pool, or false. */
static bool
super_read(struct check *check, struct backstore *bs, unsigned slot,
    const uint8_t uuid[16], struct fmt_super *ret_super)
{
	if (check_read(check, bs, fmt_super_offset(slot), check->buffer[0],
		FMT_BLOCK) < 0)
		return false;
	memcpy(ret_super, check->buffer[0], sizeof(*ret_super));
	if (fmt_super_check(ret_super) != NULL)
		return false;
	return memcmp(ret_super->uuid, uuid, 16) == 0;
}

struct super_search {
	uint8_t uuid[16];
	struct fmt_super newest;
	unsigned good, bad;
	bool found;
};

static void
super_consider(struct check *check, struct backstore *bs, unsigned slot,
    bool expected, struct super_search *search)
{
	struct fmt_super super;
	uint64_t gen, newest;

	if (!super_read(check, bs, slot, search->uuid, &super)) {
		search->bad += expected;
		return;
	}
	if (check->gen_max != 0 && le64_get(&super.gen) > check->gen_max)
		return;
	search->good++;
	gen = le64_get(&super.gen);
	newest = le64_get(&search->newest.gen);
	if (gen % FMT_SUPER_SLOTS != slot)
		check_find(check, CHECK_DAMAGE, "super.slot",
		    "%s: superblock %llu lies in slot %u", bs->name,
		    (unsigned long long)gen, slot);
	if (search->found && gen == newest &&
	    memcmp(&super, &search->newest, sizeof(super)) != 0)
		check_find(check, CHECK_DAMAGE, "super.twins",
		    "%s: two superblocks %llu differ", bs->name,
		    (unsigned long long)gen);
	if (!search->found || gen > newest)
		search->newest = super;
	search->found = true;
}

/* ---- devices ---- */

bool
check_device_removed(const struct check *check, unsigned device)
{
	return le32_get(&check->super.device[device].state) ==
	       FMT_DEVICE_REMOVED;
}

static void
device_assign(struct check *check, unsigned n)
{
	const struct fmt_label *label = &check->label[n];
	struct backstore *bs = check->bs[n];
	uint32_t index = le32_get(&label->index);
	const struct fmt_device *device = &check->super.device[index];

	if (index >= le32_get(&check->super.device_count) ||
	    check_device_removed(check, index) ||
	    memcmp(device->uuid, label->device_uuid, 16) != 0) {
		check_find(check, CHECK_NOTE, "device.stranger",
		    "%s has a label of this pool but is not part of it",
		    bs->name);
		return;
	}
	if (check->device[index] != NULL) {
		check_find(check, CHECK_DAMAGE, "device.twins",
		    "%s and %s are both device %u", bs->name,
		    check->device[index]->name, index);
		return;
	}
	check->device[index] = bs;
}

/* Do the regions of each device fit on it, and add up? */
static int
devices_verify(struct check *check)
{
	const struct fmt_super *super = &check->super;
	uint64_t bytes = (uint64_t)le32_get(&super->region_blocks) * FMT_BLOCK;
	uint64_t regions = 0;

	for (uint32_t i = 0; i < le32_get(&super->device_count); i++) {
		const struct fmt_device *device = &super->device[i];
		if (le32_get(&device->state) >= FMT_DEVICE_STATE_COUNT) {
			check_find(check, CHECK_DAMAGE, "device.state",
			    "device %u has an impossible state", i);
			return -EBADMSG;
		}
		if (check_device_removed(check, i)) {
			regions += le64_get(&device->regions);
			continue;
		}
		if (check->device[i] == NULL)
			return -ENODEV;
		if (check->device[i]->size < le64_get(&device->size)) {
			check_find(check, CHECK_DAMAGE, "device.size",
			    "%s is smaller than the pool knows it",
			    check->device[i]->name);
			return -EBADMSG;
		}
		uint64_t size = le64_get(&device->size);
		uint64_t ends = FMT_DEVICE_HEAD + FMT_DEVICE_TAIL;
		if (size < ends || size % check->device[i]->block_size != 0 ||
		    le64_get(&device->regions) > (size - ends) / bytes) {
			check_find(check, CHECK_DAMAGE, "device.regions",
			    "%s has no room for its regions",
			    check->device[i]->name);
			return -EBADMSG;
		}
		regions += le64_get(&device->regions);
	}
	if (le64_get(&super->region_count) > regions) {
		check_find(check, CHECK_DAMAGE, "super.regions",
		    "%llu regions on devices that hold %llu",
		    (unsigned long long)le64_get(&super->region_count),
		    (unsigned long long)regions);
		return -EBADMSG;
	}
	return 0;
}

/* ---- all of it ---- */

/* The pinned one, if it is of this pool. */
static void
super_take_pinned(struct check *check, struct super_search *search)
{
	search->newest = *check->pinned;
	search->found = fmt_super_check(check->pinned) == NULL &&
			memcmp(check->pinned->uuid, search->uuid, 16) == 0;
}

static void
super_search(struct check *check, struct super_search *search)
{
	/* those with higher numbers may have one, if others were removed */
	for (unsigned i = 0; i < check->bs_count; i++) {
		bool expected =
		    le32_get(&check->label[i].index) < FMT_SUPER_DEVICES;
		if (!label_is_of(check, i, search->uuid))
			continue;
		for (unsigned slot = 0; slot < FMT_SUPER_SLOTS; slot++)
			super_consider(
			    check, check->bs[i], slot, expected, search);
	}
	if (search->bad > 0 && search->found)
		check_find(check, CHECK_NOTE, "super.copy",
		    "%u of %u superblocks are good", search->good,
		    search->good + search->bad);
}

static int
features_verify(const struct fmt_super *super)
{
	if (le32_get(&super->version) != FMT_VERSION)
		return -EPROTO;
	if (le64_get(&super->incompat) & ~FMT_INCOMPAT_KNOWN)
		return -EPROTO;
	return 0;
}

/* Which pool is it, and how many of the devices have a label? */
static unsigned
labels_read(struct check *check, uint8_t uuid[16])
{
	unsigned labelled = 0;

	for (unsigned i = 0; i < check->bs_count; i++) {
		label_read(check, i);
		if (!check->labelled[i])
			continue;
		if (labelled++ == 0)
			memcpy(uuid, check->label[i].pool_uuid, 16);
		else if (!label_is_of(check, i, uuid))
			check_find(check, CHECK_DAMAGE, "label.pool",
			    "%s belongs to another pool", check->bs[i]->name);
	}
	return labelled;
}

int
check_find_super(struct check *check)
{
	struct super_search search = {.found = false};
	int r;

	if (labels_read(check, search.uuid) == 0)
		return -ENOENT;
	if (check->pinned != NULL)
		super_take_pinned(check, &search);
	else
		super_search(check, &search);
	if (!search.found)
		return -EBADMSG;
	check->super = search.newest;
	check->pool_tag = fmt_pool_tag(check->super.uuid);
	r = features_verify(&check->super);
	if (r < 0)
		return r;
	for (unsigned i = 0; i < check->bs_count; i++)
		if (label_is_of(check, i, search.uuid))
			device_assign(check, i);
	return devices_verify(check);
}
