/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening a pool: labels, newest superblock, tables, log, and a checkpoint
 * before anything is appended; and closing it.
 */
#include "snapshot/engine.h"
#include "snapshot/label.h"
#include "snapshot/quota.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct device_id {
	bool blank; /* it has no label */
	uint32_t index;
	uint8_t uuid[16];
};

struct opening {
	struct labels *labels;
	struct device_id id[POOL_DEVICE_MAX]; /* of bs[], as the labels say */
	struct replay *replay;
	struct pool_limits limits;
	struct backstore *bs[POOL_DEVICE_MAX];
	unsigned count;
	struct backstore *extra[POOL_DEVICE_MAX]; /* no members */
	unsigned extra_count;
	bool read_only, missing;
	uint32_t next_slot;
	uint64_t began;
};

/* The others stay the caller's. */
static void
missing_free(struct pool *pool)
{
	for (unsigned i = 0; i < pool->device_count; i++)
		if (pool->device[i].missing)
			free(pool->device[i].bs);
}

static void
open_cleanup(struct operation *op, int result)
{
	struct opening *o = op->detail;

	if (o->replay != NULL)
		replay_free(o->replay);
	labels_free(o->labels);
	free(o);
	if (result < 0 && op->pool != NULL) {
		missing_free(op->pool);
		if (op->pool->problem[0] != 0)
			operation_problem(op, "%s", op->pool->problem);
		pool_free(op->pool);
		op->pool = NULL;
	}
	op->request->pool = op->pool;
}

/* ---- labels ---- */

static int
blank_problem(struct operation *op)
{
	struct opening *o = op->detail;

	for (unsigned i = 0; i < o->count; i++)
		if (o->id[i].blank)
			operation_problem(
			    op, "%s holds no pool", o->bs[i]->name);
	return -ENOENT;
}

/* All must be of one pool. */
static int
labels_check(struct operation *op, uint8_t uuid[16])
{
	struct opening *o = op->detail;
	bool any = false;

	for (unsigned i = 0; i < o->count; i++) {
		const struct fmt_label *label = labels_best(o->labels, i);
		o->id[i].blank = label == NULL;
		if (label == NULL)
			continue;
		if (any && memcmp(uuid, label->pool_uuid, 16) != 0) {
			operation_problem(op, "%s belongs to another pool, %s",
			    o->bs[i]->name, label->pool_name);
			return -EINVAL;
		}
		memcpy(uuid, label->pool_uuid, 16);
		any = true;
		o->id[i].index = le32_get(&label->index);
		memcpy(o->id[i].uuid, label->device_uuid, 16);
	}
	return any ? 0 : blank_problem(op);
}

static bool
is_member(const struct device_id *id, const struct fmt_super *super)
{
	const struct fmt_device *device = &super->device[id->index];

	return !id->blank && id->index < le32_get(&super->device_count) &&
	       le32_get(&device->state) != FMT_DEVICE_REMOVED &&
	       memcmp(id->uuid, device->uuid, 16) == 0;
}

/* Those without a label may be devices that were removed: whoever names them
 * has not heard of it.  More of them are a mistake. */
static int
blanks_check(struct operation *op, const struct fmt_super *super)
{
	struct opening *o = op->detail;
	unsigned blank = 0, removed = 0;

	for (unsigned i = 0; i < o->count; i++)
		blank += o->id[i].blank;
	for (unsigned i = 0; i < le32_get(&super->device_count); i++)
		removed +=
		    le32_get(&super->device[i].state) == FMT_DEVICE_REMOVED;
	return blank <= removed ? 0 : blank_problem(op);
}

/* By number, with gaps.  What the superblock does not know is no member: its
 * addition was cut short, or its removal before its label was wiped. */
static int
devices_sort(struct operation *op, const struct fmt_super *super)
{
	struct opening *o = op->detail;
	struct backstore *sorted[POOL_DEVICE_MAX] = {NULL};

	for (unsigned i = 0; i < o->count; i++) {
		uint32_t index = o->id[i].index;
		if (!is_member(&o->id[i], super)) {
			o->extra[o->extra_count++] = o->bs[i];
			continue;
		}
		if (sorted[index] != NULL) {
			operation_problem(op, "%s and %s are the same device",
			    sorted[index]->name, o->bs[i]->name);
			return -EINVAL;
		}
		sorted[index] = o->bs[i];
	}
	memcpy(o->bs, sorted, sizeof(o->bs));
	return 0;
}

/* ---- superblock ---- */

static const struct fmt_super *
super_newest(struct opening *o, const uint8_t uuid[16])
{
	const struct fmt_super *best = NULL;

	for (unsigned i = 0; i < o->labels->count; i++)
		for (unsigned n = 0; n < FMT_SUPER_SLOTS; n++) {
			const struct fmt_super *super =
			    labels_slot(o->labels, i, n);
			if (fmt_super_check(super) != NULL ||
			    memcmp(super->uuid, uuid, 16) != 0)
				continue;
			if (best == NULL ||
			    le64_get(&super->gen) > le64_get(&best->gen))
				best = super;
		}
	return best;
}

static int
features_check(struct operation *op, const struct fmt_super *super)
{
	struct opening *o = op->detail;
	uint64_t incompat = le64_get(&super->incompat) & ~FMT_INCOMPAT_KNOWN;
	uint64_t ro_compat = le64_get(&super->ro_compat) & ~FMT_RO_COMPAT_KNOWN;

	if (le32_get(&super->version) != FMT_VERSION) {
		operation_problem(op,
		    "its format has version %" PRIu32 ", this program knows %d",
		    le32_get(&super->version), FMT_VERSION);
		return -EPROTO;
	}
	if (incompat != 0) {
		operation_problem(op,
		    "it uses features this program does not know (%#" PRIx64
		    ")",
		    incompat);
		return -EPROTO;
	}
	if (ro_compat != 0 && !o->read_only) {
		operation_problem(op,
		    "it may only be read by this program (features %#" PRIx64
		    ")",
		    ro_compat);
		return -EROFS;
	}
	return 0;
}

/* With mirrors the pool can still be read. */
static int
device_is_missing(
    struct operation *op, const struct fmt_super *super, unsigned i)
{
	struct opening *o = op->detail;
	struct pool *pool = op->pool;
	struct device *device = &pool->device[i];

	operation_problem(op, "device %u of the pool is missing", i);
	if (!(pool->incompat & FMT_INCOMPAT_MIRRORS))
		return -ENODEV;
	device->bs =
	    missing_new(pool->loop, i, le64_get(&super->device[i].size));
	if (device->bs == NULL)
		return -ENODEV;
	device->missing = true;
	snprintf(pool->problem, sizeof(pool->problem),
	    "device %u is missing: what is on it cannot be read", i);
	o->read_only = o->missing = true;
	pool->may_mend = false;
	return 0;
}

/* Has the device that is missing the only copy of any metadata? */
static int
missing_check(struct operation *op)
{
	struct pool *pool = op->pool;
	const struct space *space = &pool->space;

	for (uint64_t i = 0; i < space->count; i++) {
		const struct region *region = &space->regions[i];
		if (!region_may_have_mirror(region) ||
		    !pool->device[region->device].missing)
			continue;
		if (region->mirror == NO_REGION ||
		    region->mirror_state != MIRROR_WHOLE ||
		    pool->device[space->regions[region->mirror].device].missing)
			return -ENODEV;
	}
	return 0;
}

/* Its number stays taken. */
static int
device_was_removed(
    struct operation *op, const struct fmt_super *super, unsigned i)
{
	struct pool *pool = op->pool;
	struct device *device = &pool->device[i];

	device->bs =
	    missing_new(pool->loop, i, le64_get(&super->device[i].size));
	device->missing = device->bs != NULL;
	return device->bs == NULL ? -ENOMEM : 0;
}

static int
device_get(struct operation *op, const struct fmt_super *super, unsigned i)
{
	struct opening *o = op->detail;
	struct device *device = &op->pool->device[i];
	uint32_t state = le32_get(&super->device[i].state);

	if (state >= FMT_DEVICE_STATE_COUNT) {
		operation_problem(op, "the superblock is damaged");
		return -EBADMSG;
	}
	device->state = (uint8_t)state;
	if (device_is_removed(device))
		return device_was_removed(op, super, i);
	device->bs = o->bs[i];
	return device->bs == NULL ? device_is_missing(op, super, i) : 0;
}

static int
device_take(struct operation *op, const struct fmt_super *super, unsigned i)
{
	struct device *device = &op->pool->device[i];
	const struct fmt_device *from = &super->device[i];
	uint64_t region_bytes =
	    (uint64_t)le32_get(&super->region_blocks) * FMT_BLOCK;

	int result = device_get(op, super, i);

	if (result < 0)
		return result;
	device->size = le64_get(&from->size);
	device->regions = le64_get(&from->regions);
	memcpy(device->uuid, from->uuid, sizeof(device->uuid));
	if (device->bs->size < device->size) {
		operation_problem(
		    op, "%s is smaller than it was", device->bs->name);
		return -EBADMSG;
	}
	if (device_unfit(device->bs) != NULL ||
	    device->size % device->bs->block_size != 0 ||
	    device->regions > device_regions(device->size, region_bytes)) {
		operation_problem(
		    op, "%s does not fit the superblock", device->bs->name);
		return -EBADMSG;
	}
	device->label_gen = le64_get(&super->gen);
	/* the last process may have left unflushed data that the ack ring
	 * maps: the first flush must not be left out */
	device->written_seq = device->data_seq = 1;
	return device_map_init(device, 0);
}

static void
tree_from_root(struct pool *pool, struct tree *tree, enum fmt_page_type type,
    const struct fmt_root *root)
{
	tree_init(tree, pool, type, root->levels);
	tree->root = root->ptr;
}

static bool
root_sane(const struct fmt_root *root)
{
	return root->levels >= 1 && root->levels <= FMT_LEVELS_MAX;
}

static void
pool_from_super(struct pool *pool, const struct fmt_super *super)
{
	pool->super = *super;
	memcpy(pool->name, super->name, sizeof(pool->name));
	memcpy(pool->uuid, super->uuid, sizeof(pool->uuid));
	pool->tag = fmt_pool_tag(pool->uuid);
	pool->gen = le64_get(&super->gen) + 1;
	pool->epoch = le32_get(&super->epoch);
	pool->ro_compat = le64_get(&super->ro_compat);
	pool->incompat = le64_get(&super->incompat);
	pool->space.mirrored = pool->incompat & FMT_INCOMPAT_MIRRORS;
	pool->next_version = le64_get(&super->next_version);
	pool->next_group = le64_get(&super->next_group);
	pool->soft_percent = super->soft_percent;
	pool->hard_percent = super->hard_percent;
	pool->device_count = le32_get(&super->device_count);
	pool->redo.start = le64_get(&super->log_start);
	pool->redo.blocks = le64_get(&super->log_blocks);
	pool->redo.closed = true;
	tree_from_root(pool, &pool->regions, FMT_PAGE_REGIONS, &super->regions);
	tree_from_root(
	    pool, &pool->versions, FMT_PAGE_VERSIONS, &super->versions);
	tree_from_root(pool, &pool->bitmap, FMT_PAGE_BITMAP, &super->bitmap);
	tables_init(pool, super);
}

/* ---- stages ---- */

static void
background_start(struct pool *pool)
{
	delete_jobs_start(pool);
	mirror_fill_start(pool);
	evacuate_start(pool);
}

static void
open_finish(struct operation *op)
{
	struct opening *o = op->detail;
	struct pool *pool = op->pool;

	pool->counters.open_ns = loop_now(pool->loop) - o->began;
	if (pool->read_only)
		pool->state = POOL_READ_ONLY;
	else
		background_start(pool);
	limits_look(pool);
	space_level(pool);
}

static int
open_checkpointed(struct operation *op)
{
	open_finish(op);
	return OP_DONE;
}

static int
open_replayed(struct operation *op)
{
	struct opening *o = op->detail;

	if (o->read_only) {
		op->pool->read_only = true;
		open_finish(op);
		return OP_DONE;
	}
	return operation_checkpoint(op, open_checkpointed);
}

static int
open_replay(struct operation *op)
{
	struct opening *o = op->detail;
	int result = replay_step(o->replay, &op->waiter);

	if (result == -EAGAIN)
		return result;
	if (result < 0) {
		operation_problem(op, "%s", replay_problem(o->replay));
		return result;
	}
	op->pool->counters.replayed_records = replay_records(o->replay);
	op->run = open_replayed;
	return 0;
}

/* Recovery changes maps, and a page that is changed needs a new place. */
static int
open_leases(struct operation *op)
{
	struct opening *o = op->detail;
	int result = space_meta_lease_all(op->pool, &op->waiter);

	if (result < 0) {
		if (result == -EBADMSG)
			operation_problem(op, "the bitmap is damaged");
		return result;
	}
	o->replay = replay_new(op->pool);
	if (o->replay == NULL)
		return -ENOMEM;
	op->run = open_replay;
	return 0;
}

static int
open_tables(struct operation *op)
{
	int result = tables_load(op->pool, &op->waiter);

	if (result == 0)
		result = marks_check(op->pool);
	if (result == 0)
		result = losses_load(op->pool);
	if (result == -EBADMSG)
		operation_problem(
		    op, "the table of bookmarks, groups or losses is damaged");
	if (result == 0)
		op->run = open_leases;
	return result;
}

static int
open_versions(struct operation *op)
{
	struct opening *o = op->detail;
	int result = versions_load(op->pool, &o->next_slot, &op->waiter);

	if (result < 0) {
		if (result == -EBADMSG)
			operation_problem(
			    op, "the table of volumes is damaged");
		return result;
	}
	op->run = open_tables;
	return 0;
}

static int
open_regions(struct operation *op)
{
	struct opening *o = op->detail;
	struct pool *pool = op->pool;
	int result = regions_load(pool, &op->waiter);

	if (result < 0) {
		if (result == -EAGAIN)
			return result;
		if (result == -EBADMSG)
			operation_problem(op, "the region table is damaged");
		return o->missing ? -ENODEV : result;
	}
	if (missing_check(op) < 0)
		return -ENODEV;
	space_count(pool, 0);
	space_count_leaving(pool);
	space_set_reserve(pool);
	op->run = open_versions;
	return 0;
}

/* Memory is taken by these counts: no more than the devices can hold. */
static int
counts_check(struct operation *op, const struct fmt_super *super)
{
	uint64_t regions = 0, slots = le64_get(&super->versions.count);
	uint64_t blocks =
	    le64_get(&super->region_count) * le32_get(&super->region_blocks);

	for (unsigned i = 0; i < op->pool->device_count; i++)
		regions += op->pool->device[i].regions;
	if (le64_get(&super->region_count) <= regions &&
	    slots <= blocks * FMT_PAGE_VERSIONS_COUNT &&
	    slots <= FMT_VERSIONS_MAX)
		return 0;
	operation_problem(op, "the superblock does not fit the devices");
	return -EBADMSG;
}

static int
open_pool(struct operation *op, const struct fmt_super *super)
{
	struct opening *o = op->detail;
	struct pool *pool = pool_new(o->labels->bs[0]->loop, &o->limits);
	uint64_t slots = le64_get(&super->versions.count);
	int result;

	if (pool == NULL)
		return -ENOMEM;
	op->pool = pool;
	op->makes_pool = true;
	pool->operation = op;
	if (!root_sane(&super->regions) || !root_sane(&super->versions) ||
	    !root_sane(&super->bitmap)) {
		operation_problem(op, "the superblock is damaged");
		return -EBADMSG;
	}
	pool_from_super(pool, super);
	pool->may_mend = !o->read_only;
	memcpy(pool->extra, o->extra, sizeof(pool->extra));
	pool->extra_count = o->extra_count;
	for (unsigned i = 0; i < pool->device_count; i++) {
		result = device_take(op, super, i);
		if (result < 0)
			return result;
	}
	result = counts_check(op, super);
	if (result == 0)
		result = version_slots_grow(pool, (uint32_t)slots);
	if (result == 0)
		result = space_init(pool, le64_get(&super->region_count),
		    le32_get(&super->region_blocks));
	op->run = open_regions;
	return result;
}

static int
open_supers(struct operation *op)
{
	struct opening *o = op->detail;
	const struct fmt_super *super;
	int result;

	if (o->labels->error < 0)
		return o->labels->error;
	super = super_newest(o, op->params.uuid);
	if (super == NULL) {
		operation_problem(op, "no superblock of the pool is right");
		return -EBADMSG;
	}
	result = features_check(op, super);
	if (result == 0)
		result = blanks_check(op, super);
	if (result == 0)
		result = devices_sort(op, super);
	return result < 0 ? result : open_pool(op, super);
}

static int
open_labels(struct operation *op)
{
	struct opening *o = op->detail;
	int result = o->labels->error;

	if (result == 0)
		result = labels_check(op, op->params.uuid);
	if (result < 0)
		return result;
	op->run = open_supers;
	labels_read_supers(o->labels, &op->waiter);
	return -EAGAIN;
}

static int
open_run(struct operation *op)
{
	struct opening *o = op->detail;

	if (o->count == 0 || o->count > POOL_DEVICE_MAX) {
		operation_problem(op, "a pool has 1 to 64 devices");
		return -EINVAL;
	}
	for (unsigned i = 0; i < o->count; i++)
		if (device_unfit(o->bs[i]) != NULL) {
			operation_problem(
			    op, "%s holds no pool", o->bs[i]->name);
			return -ENOENT;
		}
	o->labels = labels_new(o->bs, o->count);
	if (o->labels == NULL)
		return -ENOMEM;
	op->run = open_labels;
	labels_read(o->labels, &op->waiter);
	return -EAGAIN;
}

void
pool_open(struct loop *loop, struct backstore **bs, unsigned count,
    const struct pool_limits *limits, bool read_only,
    struct pool_request *request)
{
	struct operation *op = operation_new(request, open_run);
	struct opening *o = calloc(1, sizeof(*o));

	assert(o != NULL);
	op->detail = o;
	op->cleanup = open_cleanup;
	if (limits != NULL)
		o->limits = *limits;
	o->count = count;
	o->read_only = read_only;
	o->began = loop_now(loop);
	for (unsigned i = 0; i < count && i < POOL_DEVICE_MAX; i++)
		o->bs[i] = bs[i];
	operation_start(loop, op);
}

/* ---- closing ---- */

struct closing {
	struct backstore *bs[2 * POOL_DEVICE_MAX];
	unsigned count, left;
	int result;
	struct operation *op;
};

static void
close_end(struct operation *op)
{
	struct closing *c = op->detail;
	struct pool_request *request = op->request;
	int result = c->result;

	if (result < 0)
		operation_problem(op, "the last checkpoint failed");
	free(c);
	free(op);
	request->state = NULL;
	request->pool = NULL;
	request->done(request, result);
}

static void
device_closed(void *arg)
{
	struct operation *op = arg;
	struct closing *c = op->detail;

	if (--c->left == 0)
		close_end(op);
}

/* The pool goes first: nothing of it is in flight any more. */
static void
close_devices(struct operation *op, int result)
{
	struct closing *c = op->detail;
	struct pool *pool = op->pool;

	c->result = result;
	for (unsigned i = 0; i < pool->device_count; i++)
		c->bs[c->count++] = pool->device[i].bs;
	for (unsigned i = 0; i < pool->extra_count; i++)
		c->bs[c->count++] = pool->extra[i];
	c->left = c->count;
	pool_free(pool);
	op->pool = NULL;
	for (unsigned i = 0; i < c->count; i++)
		bs_close(c->bs[i], device_closed, op);
}

bool
pool_idle(const struct pool *pool)
{
	if (pool->delete_job.volume != NULL || !rewriter_idle(pool) ||
	    pool->fill.running || pool->scrub.running ||
	    pool->evacuate.running || pool->redo.task.queued ||
	    pool->suspect_task.queued || pool->redo.write.pending > 0 ||
	    pool->mends > 0 || pool->redo.batch.running ||
	    pool->checkpoint.batch.running || pool->checkpoint.task.queued ||
	    pool->space.task.queued || !list_empty(&pool->cache.loads_waiting))
		return false;
	for (unsigned i = 0; i < pool->device_count; i++)
		if (pool->device[i].bs != NULL &&
		    pool->device[i].bs->in_flight > 0)
			return false;
	return true;
}

/* Waits until what runs in the background has ended: rarely anything, and
 * then one I/O. */
static void
close_poll(struct loop_timer *timer)
{
	struct operation *op = container_of(timer, struct operation, timer);

	if (!pool_idle(op->pool)) {
		loop_timer_arm(op->pool->loop, timer, NSEC_PER_MSEC);
		return;
	}
	close_devices(op, op->pool->state == POOL_SUSPECT ? -EIO : 0);
}

static int
close_wait(struct operation *op)
{
	op->timer.expire = close_poll;
	loop_timer_arm(op->pool->loop, &op->timer, 0);
	return -EAGAIN;
}

static void
close_ready(struct waiter *waiter, int error)
{
	struct operation *op = container_of(waiter, struct operation, waiter);

	(void)error; /* the state says it */
	close_wait(op);
}

static int
close_run(struct operation *op)
{
	struct pool *pool = op->pool;

	if (pool->vio.active > 0 || pool->diffs > 0) {
		operation_problem(op, pool->diffs > 0
					  ? "a difference is being read"
					  : "I/O is in flight");
		return -EBUSY;
	}
	delete_jobs_stop(pool);
	mirror_fill_stop(pool);
	evacuate_stop(pool);
	rewriter_stop(pool);
	scrub_stop(pool);
	pin_lose(pool, -ECANCELED);
	op->detail = calloc(1, sizeof(struct closing));
	assert(op->detail != NULL);
	op->waiter.ready = close_ready;
	if (pool->state == POOL_ONLINE) {
		checkpoint_wait(pool, &op->waiter);
		return -EAGAIN;
	}
	return close_wait(op);
}

void
pool_close(struct pool *pool, struct pool_request *request)
{
	operation_queue(pool, operation_new(request, close_run));
}
