/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block device, or a partition.  Always O_DIRECT, and exclusive: O_EXCL on a
 * device keeps mounts and other exclusive openers out as long as it is open.
 */
#include "backstores/leaf.h"
#include "backstores/stores.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_MAX 4096u

/* ---- DISCARD: an ioctl, which blocks ---- */

struct block_work {
	struct loop_work work; /* first */
	struct leaf *leaf;
	struct bs_io *io;
	int result;
};

static void
discard_run(struct loop_work *work)
{
	struct block_work *w = container_of(work, struct block_work, work);
	uint64_t range[2] = {w->io->offset, w->io->length};

	w->result = 0;
	if (ioctl(w->leaf->fd, BLKDISCARD, range) < 0)
		w->result = -errno;
}

static void
discard_done(struct loop_work *work)
{
	struct block_work *w = container_of(work, struct block_work, work);
	struct leaf *leaf = w->leaf;
	struct bs_io *io = w->io;
	int result = w->result;

	free(w);
	if (result == -EOPNOTSUPP) { /* a hint */
		leaf->discard_mode = 0;
		result = 0;
	}
	if (result < 0)
		result = leaf_error(BS_DISCARD, result);
	leaf_finish_change(leaf, io, result);
}

static void
discard_submit(struct leaf *leaf, struct bs_io *io)
{
	struct block_work *w;

	if (leaf->discard_mode == 0) {
		bs_complete_later(io, 0);
		return;
	}
	w = calloc(1, sizeof(*w));
	if (w == NULL) {
		bs_complete_later(io, -ENOMEM);
		return;
	}
	w->work.run = discard_run;
	w->work.done = discard_done;
	w->leaf = leaf;
	w->io = io;
	loop_offload(leaf->bs.loop, &w->work);
}

/* ---- operations ---- */

static void
extents_submit(struct bs_io *io)
{
	io->extents[0] = (struct bs_extent){
	    .offset = io->offset, .length = io->length, .kind = BS_EXTENT_DATA};
	io->extent_count = 1;
	bs_complete_later(io, 0);
}

static void
block_submit(struct backstore *bs, struct bs_io *io)
{
	if (io->op == BS_EXTENTS)
		extents_submit(io);
	else if (io->op == BS_DISCARD)
		discard_submit(leaf_of(bs), io);
	else
		leaf_submit(leaf_of(bs), io);
}

static int
device_size(int fd, uint64_t *ret_size)
{
	return ioctl(fd, BLKGETSIZE64, ret_size) < 0 ? -errno : 0;
}

/* We cannot change a device; we can take up that somebody did. */
static void
block_resize(struct backstore *bs, uint64_t size,
    void (*done)(void *arg, int result), void *arg)
{
	uint64_t there;
	int error = device_size(leaf_of(bs)->fd, &there);

	if (error == 0 && size > there)
		error = -ENOSPC;
	if (error == 0)
		bs->size = size;
	done(arg, error);
}

static void
block_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	leaf_done(leaf_of(bs));
	free(leaf_of(bs));
	done(arg);
}

static const struct backstore_ops block_ops = {
    .name = "block",
    .submit = block_submit,
    .resize = block_resize,
    .close = block_close,
};

/* ---- opening ---- */

static int
block_geometry(struct leaf *leaf)
{
	unsigned physical, optimal;
	int logical;

	if (ioctl(leaf->fd, BLKSSZGET, &logical) < 0 ||
	    ioctl(leaf->fd, BLKPBSZGET, &physical) < 0 ||
	    ioctl(leaf->fd, BLKIOOPT, &optimal) < 0)
		return -errno;
	if (logical < 512 || logical > (int)BLOCK_MAX)
		return -EINVAL;
	leaf->bs.block_size = (uint32_t)logical;
	leaf->bs.mem_align = (uint32_t)logical;
	leaf->bs.physical_block_size = physical;
	leaf->bs.optimal_io = optimal;
	return device_size(leaf->fd, &leaf->bs.size);
}

static int
block_prepare(struct leaf *leaf, bool read_only)
{
	struct stat st;
	int error;

	if (fstat(leaf->fd, &st) < 0)
		return -errno;
	if (!S_ISBLK(st.st_mode))
		return -ENOTBLK;
	error = block_geometry(leaf);
	if (error < 0)
		return error;
	if (leaf->bs.size == 0 || leaf->bs.size % leaf->bs.block_size != 0)
		return -EINVAL;
	leaf->bs.read_only = read_only;
	leaf->bs.rotational = device_queue_is(st.st_rdev, "rotational", "1");
	/* no word: better one flush too many */
	leaf->bs.volatile_cache =
	    !device_queue_is(st.st_rdev, "write_cache", "write through");
	leaf->unmap_mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	leaf->zero_mode = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;
	leaf->discard_mode =
	    !device_queue_is(st.st_rdev, "discard_max_bytes", "0");
	return 0;
}

int
bs_block_open(struct loop *loop, const char *path, bool read_only,
    struct backstore **ret_bs)
{
	int flags = O_CLOEXEC | O_EXCL | O_DIRECT, fd, error = -ENOMEM;
	struct leaf *leaf;

	fd = open(path, flags | (read_only ? O_RDONLY : O_RDWR));
	if (fd < 0)
		return -errno;
	leaf = calloc(1, sizeof(*leaf));
	if (leaf == NULL)
		goto failed;
	leaf_init(leaf, loop, fd, &block_ops, path);
	error = block_prepare(leaf, read_only);
	if (error < 0)
		goto failed;
	*ret_bs = &leaf->bs;
	return 0;

failed:
	free(leaf);
	close(fd);
	return error;
}

int
bs_path_open(struct loop *loop, const char *path, bool read_only,
    struct backstore **ret_bs)
{
	struct bs_file_params params = {.path = path, .read_only = read_only};
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISBLK(st.st_mode))
		return bs_block_open(loop, path, read_only, ret_bs);
	return bs_file_open(loop, &params, ret_bs);
}
