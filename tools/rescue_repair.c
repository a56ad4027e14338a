/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * rescue check --repair.  The repair is made in memory and checked; then it is
 * written into copies of the devices, or into the devices themselves after all
 * that will be overwritten has been saved.
 *
 * The undo file: "VRVUNDO1", the number of devices (le32), 0 (le32), and the
 * uuid of each; then for each block of 4 KiB the index of its device in that
 * list (le32), 0 (le32), its offset (le64), what it held, and a CRC32C of these
 * (le32) and 0 (le32).
 */
#include "backstores/backstore.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/crc32c.h"
#include "base/endian.h"
#include "base/zero.h"
#include "snapshot/repair.h"
#include "tools/problem.h"
#include "tools/rescue_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNDO_MAGIC "VRVUNDO1"

struct undo_head {
	char magic[8];
	struct le32 count, zero;
	uint8_t uuid[POOL_DEVICE_MAX][16]; /* count of them are written */
};
_Static_assert(sizeof(struct undo_head) == 16 + 16 * 64, "undo head");

struct undo_block {
	struct le32 device, zero;
	struct le64 offset;
	uint8_t data[FMT_BLOCK];
	struct le32 crc, zero2;
};
_Static_assert(sizeof(struct undo_block) == FMT_BLOCK + 24, "undo block");

struct repairing {
	struct rescue rescue; /* first */
	struct repair repair;
	const struct rescue_repair_params *params;
	struct check_report before;
	unsigned findings; /* before, without notes */
	int fd;
	uint64_t changed;
	bool heads; /* which blocks are written now */
	int error;
	const char *path; /* that could not be written */
};

/* ---- writing ---- */

static int
file_write(struct repairing *r, const void *data, size_t length, off_t offset)
{
	const uint8_t *bytes = data;

	while (length > 0) {
		ssize_t done = offset < 0
				   ? write(r->fd, bytes, length)
				   : pwrite(r->fd, bytes, length, offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0) {
			r->error = done < 0 ? -errno : -EIO;
			return r->error;
		}
		bytes += done;
		length -= (size_t)done;
		offset += offset < 0 ? 0 : done;
	}
	return 0;
}

static int
file_open(struct repairing *r, const char *path)
{
	r->path = path;
	r->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (r->fd < 0)
		r->error = -errno;
	return r->error;
}

static int
file_close(struct repairing *r)
{
	if (r->error == 0 && fsync(r->fd) < 0)
		r->error = -errno;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
	return r->error;
}

struct store_io {
	struct bs_io io; /* first */
	bool done;
};

static void
store_io_done(struct bs_io *io, int result)
{
	(void)result; /* io->result has it */
	container_of(io, struct store_io, io)->done = true;
}

static int
store_io(struct repairing *r, unsigned n, enum bs_op op, uint64_t offset,
    void *data, uint64_t length)
{
	struct iovec iov = {data, length};
	struct store_io one = {.done = false};

	bs_io_init(&one.io);
	one.io.op = op;
	one.io.offset = offset;
	one.io.length = length;
	one.io.iov = data != NULL ? &iov : NULL;
	one.io.iov_count = data != NULL;
	one.io.complete = store_io_done;
	bs_submit(r->rescue.stores[n], &one.io);
	while (!one.done)
		rescue_step(&r->rescue);
	if (one.io.result < 0) {
		r->path = r->rescue.stores[n]->name;
		r->error = one.io.result;
	}
	return one.io.result;
}

/* ---- which device is which ---- */

static int
device_uuid(struct repairing *r, unsigned n, uint8_t uuid[16])
{
	uint64_t size = r->rescue.stores[n]->size;
	uint8_t *block = aligned_alloc(FMT_BLOCK, FMT_BLOCK);
	int ret = -ENOENT;

	assert(block != NULL);
	for (unsigned i = 0; i < FMT_LABELS && ret != 0; i++) {
		const struct fmt_label *label = (const void *)block;
		if (size < FMT_DEVICE_HEAD + FMT_DEVICE_TAIL ||
		    store_io(r, n, BS_READ, fmt_label_offset(i, size), block,
			FMT_BLOCK) < 0 ||
		    fmt_label_check(label) != NULL)
			continue;
		memcpy(uuid, label->device_uuid, 16);
		ret = 0;
	}
	r->error = 0; /* another label served */
	free(block);
	return ret;
}

static size_t
head_size(unsigned count)
{
	return offsetof(struct undo_head, uuid) + 16 * (size_t)count;
}

/* ---- in place, with an undo file ---- */

static int
count_block(void *arg, unsigned n, uint64_t offset, const uint8_t *old,
    const uint8_t *new)
{
	struct repairing *r = arg;

	(void)n, (void)offset, (void)old, (void)new;
	r->changed++;
	return 0;
}

static int
undo_block(void *arg, unsigned n, uint64_t offset, const uint8_t *old,
    const uint8_t *new)
{
	struct undo_block block = {.zero = {{0}}};

	(void)new;
	le32_set(&block.device, n);
	le64_set(&block.offset, offset);
	memcpy(block.data, old, FMT_BLOCK);
	le32_set(&block.crc, crc32c(&block, offsetof(struct undo_block, crc)));
	return file_write(arg, &block, sizeof(block), -1);
}

/* What superblocks name comes before them. */
static int
write_block(void *arg, unsigned n, uint64_t offset, const uint8_t *old,
    const uint8_t *new)
{
	struct repairing *r = arg;
	uint64_t left = r->rescue.stores[n]->size - offset;
	uint8_t *copy;
	int ret;

	(void)old;
	if ((offset < FMT_DEVICE_HEAD) != r->heads)
		return 0;
	copy = aligned_alloc(FMT_BLOCK, FMT_BLOCK);
	assert(copy != NULL);
	memcpy(copy, new, FMT_BLOCK);
	ret = store_io(
	    r, n, BS_WRITE, offset, copy, left < FMT_BLOCK ? left : FMT_BLOCK);
	free(copy);
	return ret;
}

static int
undo_begin(struct repairing *r)
{
	struct undo_head head = {.magic = {0}};
	unsigned count = r->rescue.count;
	int ret = 0;

	memcpy(head.magic, UNDO_MAGIC, sizeof(head.magic));
	le32_set(&head.count, count);
	for (unsigned n = 0; n < count && ret == 0; n++)
		ret = device_uuid(r, n, head.uuid[n]);
	return ret < 0 ? ret : file_write(r, &head, head_size(count), -1);
}

static int
write_in_place(struct repairing *r)
{
	int ret = file_open(r, r->params->undo);

	if (ret == 0)
		ret = undo_begin(r);
	if (ret == 0)
		ret = repair_each(&r->repair, undo_block, r);
	if (file_close(r) < 0)
		ret = r->error;
	for (int heads = 0; heads < 2 && ret == 0; heads++) {
		r->heads = heads;
		ret = repair_each(&r->repair, write_block, r);
		for (unsigned n = 0; n < r->rescue.count && ret == 0; n++)
			ret = store_io(r, n, BS_FLUSH, 0, NULL, 0);
	}
	return ret;
}

/* ---- into copies ---- */

#define PIECE (1u << 20)

/* The repaired device as a sparse file. */
static int
copy_device(struct repairing *r, unsigned n, uint8_t *piece)
{
	struct backstore *of = r->repair.bs[n], *own = r->rescue.stores[n];
	uint64_t size = of->size;
	int ret = ftruncate(r->fd, (off_t)size) < 0 ? -errno : 0;

	r->rescue.stores[n] = of; /* what store_io() reads */
	for (uint64_t at = 0; at < size && ret == 0; at += PIECE) {
		uint64_t part = size - at < PIECE ? size - at : PIECE;
		ret = store_io(r, n, BS_READ, at, piece, part);
		if (ret == 0 && !is_zero(piece, part))
			ret = file_write(r, piece, part, (off_t)at);
	}
	r->rescue.stores[n] = own;
	return ret;
}

static int
write_copies(struct repairing *r)
{
	uint8_t *piece = aligned_alloc(FMT_BLOCK, PIECE);
	char path[PATH_MAX];
	int ret = 0;

	assert(piece != NULL);
	for (unsigned n = 0; n < r->rescue.count && ret == 0; n++) {
		snprintf(path, sizeof(path), "%s.%u", r->params->to, n);
		ret = file_open(r, r->rescue.count > 1 ? path : r->params->to);
		if (ret == 0)
			ret = copy_device(r, n, piece);
		if (r->error == 0)
			r->error = ret;
		if (file_close(r) < 0)
			ret = r->error;
	}
	free(piece);
	r->path = r->params->to;
	return ret;
}

/* ---- the run ---- */

static void
count_finding(
    void *arg, enum check_severity severity, const char *code, const char *text)
{
	struct repairing *r = arg;

	(void)code, (void)text;
	r->findings += severity != CHECK_NOTE;
}

static json_t *
write_problem(const struct repairing *r)
{
	if (r->error == -EEXIST)
		return problem_new(API_CONFLICT, "rescue.file-exists",
		    "%s is there already", r->path);
	return problem_new(API_FAILED, "rescue.unwritable",
	    "cannot write %s: %s", r->path, strerror(-r->error));
}

static json_t *
beyond_repair(bool scan)
{
	json_t *problem =
	    problem_why(problem_new(API_FINDINGS, "rescue.beyond-repair",
			    "the pool cannot be repaired"),
		"a superblock or table is damaged, so that there is "
		"nothing to build on; extract may still find data");

	return scan ? problem
		    : problem_fix(problem,
			  "varve rescue check DEVICE... --repair --scan");
}

static json_t *
repair_problem(int error, bool scan)
{
	if (error == -EBADMSG)
		return beyond_repair(scan);
	if (error == -ENOSPC)
		return problem_new(API_NO_SPACE, "rescue.beyond-repair",
		    "the pool has no room for the pages of a repair");
	return NULL; /* as for a check */
}

/* The repair has been made, in memory. */
static int
conclude(struct repairing *r)
{
	int ret = pool_check(r->repair.bs, r->repair.count, rescue_step,
	    &r->rescue, &r->rescue.report);

	if (ret == 0)
		ret = repair_each(&r->repair, count_block, r);
	if (ret == 0 && r->changed > 0 && r->params->undo != NULL)
		ret = write_in_place(r);
	else if (ret == 0 && r->params->to != NULL)
		ret = write_copies(r);
	if (r->error < 0)
		r->rescue.problem = write_problem(r);
	return ret;
}

static int
repair_make(struct repairing *r)
{
	struct rescue *rescue = &r->rescue;
	struct check_report scan = {.finding = rescue_finding, .arg = rescue};

	rescue->scan_named = r->params->scan;
	return r->params->scan ? pool_repair_scan(rescue->stores, rescue->count,
				     rescue_step, rescue, &scan, &r->repair)
			       : pool_repair(rescue->stores, rescue->count,
				     rescue_step, rescue, &r->repair);
}

static int
work(struct rescue *rescue)
{
	struct repairing *r = container_of(rescue, struct repairing, rescue);
	int ret;

	r->before = (struct check_report){.finding = count_finding, .arg = r};
	ret = pool_check(
	    rescue->stores, rescue->count, rescue_step, rescue, &r->before);
	if (ret < 0 && ret != -EBADMSG)
		return ret;
	ret = repair_make(r);
	if (ret < 0)
		rescue->problem = repair_problem(ret, r->params->scan);
	else
		ret = conclude(r);
	repair_done(&r->repair);
	return ret;
}

static json_t *
answer(const struct repairing *r)
{
	bool written = r->params->to != NULL ||
		       (r->params->undo != NULL && r->changed > 0);
	json_t *item = json_pack("{s:o, s:i, s:I, s:b, s:b, s:I, s:b}", "pool",
	    json_string_lossy(r->rescue.report.pool), "findings_before",
	    (int)r->findings, "changed_blocks", (json_int_t)r->changed,
	    "older_superblock", r->repair.older, "log_dropped",
	    r->repair.log_dropped, "log_records",
	    (json_int_t)r->repair.log_records, "written", written);

	assert(item != NULL);
	return json_pack("{s:i, s:s, s:o, s:O}", "varve", 1, "kind",
	    "rescue.check", "item", item, "items", r->rescue.findings);
}

json_t *
rescue_repair(const struct rescue_repair_params *params, json_t **ret_result)
{
	struct repairing r = {
	    .rescue = {.paths = params->paths,
		.work = work,
		.write = params->undo != NULL,
		.progress = params->progress},
	    .params = params,
	    .fd = -1,
	};
	json_t *problem = NULL;

	if (params->undo != NULL && params->to != NULL)
		return problem_new(API_USAGE, "usage.option",
		    "--undo and --to exclude each other");
	problem = rescue_run(&r.rescue);
	if (problem == NULL)
		*ret_result = answer(&r);
	rescue_done(&r.rescue);
	return problem;
}

/* ---- undoing it ---- */

struct undoing {
	struct repairing r; /* first: stores, errors */
	FILE *file;
	const char *from;
	unsigned count, store[POOL_DEVICE_MAX]; /* of the file's devices */
	uint64_t blocks;
};

/* The store whose uuid is at that place of the head. */
static int
undo_store(struct undoing *u, const uint8_t uuid[16], unsigned *ret_n)
{
	uint8_t mine[16];

	for (unsigned n = 0; n < u->r.rescue.count; n++)
		if (device_uuid(&u->r, n, mine) == 0 &&
		    memcmp(mine, uuid, 16) == 0) {
			*ret_n = n;
			return 0;
		}
	return -EBADMSG;
}

static int
undo_head(struct undoing *u)
{
	struct undo_head head;
	size_t fixed = offsetof(struct undo_head, uuid);
	int ret = 0;

	rewind(u->file);
	if (fread(&head, fixed, 1, u->file) != 1 ||
	    memcmp(head.magic, UNDO_MAGIC, sizeof(head.magic)) != 0 ||
	    le32_get(&head.count) > POOL_DEVICE_MAX)
		return -EBADMSG;
	u->count = le32_get(&head.count);
	if (fread(head.uuid, 16, u->count, u->file) != u->count)
		return -EBADMSG;
	for (unsigned i = 0; i < u->count && ret == 0; i++)
		ret = undo_store(u, head.uuid[i], &u->store[i]);
	return ret;
}

/* False: the end. */
static bool
undo_read(struct undoing *u, struct undo_block *block, int *ret_error)
{
	size_t got = fread(block, 1, sizeof(*block), u->file);
	uint32_t device = le32_get(&block->device);
	uint64_t offset = le64_get(&block->offset);

	*ret_error = 0;
	if (got == 0)
		return false;
	if (got != sizeof(*block) ||
	    crc32c(block, offsetof(struct undo_block, crc)) !=
		le32_get(&block->crc) ||
	    device >= u->count || offset % FMT_BLOCK != 0 ||
	    offset >= u->r.rescue.stores[u->store[device]]->size)
		*ret_error = -EBADMSG;
	return true;
}

/* All of it is read before the first block is written. */
static int
undo_walk(struct undoing *u, bool write)
{
	struct undo_block block;
	int ret = undo_head(u);

	while (ret == 0 && undo_read(u, &block, &ret)) {
		if (ret < 0 || !write)
			continue;
		u->r.heads = le64_get(&block.offset) < FMT_DEVICE_HEAD;
		ret = write_block(&u->r, u->store[le32_get(&block.device)],
		    le64_get(&block.offset), NULL, block.data);
		u->blocks++;
	}
	return ret;
}

static int
undo_work(struct rescue *rescue)
{
	struct undoing *u = container_of(rescue, struct undoing, r.rescue);
	int ret = undo_walk(u, false);

	if (ret == 0)
		ret = undo_walk(u, true);
	for (unsigned n = 0; n < rescue->count && ret == 0; n++)
		ret = store_io(&u->r, n, BS_FLUSH, 0, NULL, 0);
	if (u->r.error < 0)
		rescue->problem = write_problem(&u->r);
	else if (ret < 0)
		rescue->problem = problem_new(API_FAILED, "rescue.undo-file",
		    "%s is no whole undo file for these devices", u->from);
	return ret;
}

json_t *
rescue_undo(const json_t *paths, const char *from, json_t **ret_result)
{
	struct undoing u = {
	    .r = {.rescue = {.paths = paths, .work = undo_work, .write = true},
		.fd = -1},
	    .file = fopen(from, "re"),
	    .from = from,
	};
	json_t *problem;

	if (u.file == NULL)
		return problem_new(API_FAILED, "rescue.undo-file",
		    "cannot read %s: %s", from, strerror(errno));
	problem = rescue_run(&u.r.rescue);
	if (problem == NULL)
		*ret_result = json_pack("{s:i, s:s, s:{s:I}, s:[]}", "varve", 1,
		    "kind", "rescue.undo", "item", "blocks",
		    (json_int_t)u.blocks, "items");
	rescue_done(&u.r.rescue);
	fclose(u.file);
	return problem;
}
