/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A regular file.  Reads and writes pass the page cache by (O_DIRECT) where
 * the file system allows it: the engine above has its own cache, and a second
 * copy of the data would only cost memory and a memcpy.
 *
 * What blocks for long (allocating, finding holes, changing the size) runs on
 * the loop's helper threads.
 */
#include "backstores/leaf.h"
#include "backstores/space.h"
#include "backstores/stores.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/falloc.h>
#include <linux/magic.h>
#include <linux/stat.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define BLOCK_MIN 512u
#define BLOCK_MAX 4096u

/* ---- work for the helper threads ---- */

struct file_work {
	struct loop_work work; /* first */
	struct leaf *leaf;
	struct bs_io *io;        /* EXTENTS */
	uint64_t offset, length; /* reserve; resize: length is the size */
	void (*done)(void *arg, int result);
	void *arg;
	int result;
};

static inline struct file_work *
file_work_of(struct loop_work *work)
{
	return container_of(work, struct file_work, work);
}

static void
extents_run(struct loop_work *work)
{
	struct file_work *w = file_work_of(work);

	w->result =
	    file_space_extents(w->leaf->fd, w->leaf->bs.block_size, w->io);
}

static void
extents_done(struct loop_work *work)
{
	struct file_work *w = file_work_of(work);
	struct bs_io *io = w->io;
	int result = w->result;

	free(w);
	bs_complete(io, result < 0 ? leaf_error(BS_EXTENTS, result) : 0);
}

static void
extents_submit(struct leaf *leaf, struct bs_io *io)
{
	struct file_work *w = calloc(1, sizeof(*w));

	if (w == NULL) {
		bs_complete_later(io, -ENOMEM);
		return;
	}
	w->work.run = extents_run;
	w->work.done = extents_done;
	w->leaf = leaf;
	w->io = io;
	loop_offload(leaf->bs.loop, &w->work);
}

static void
file_offload(struct leaf *leaf, const struct file_work *what)
{
	struct file_work *w = malloc(sizeof(*w));

	if (w == NULL) {
		what->done(what->arg, -ENOMEM);
		return;
	}
	*w = *what;
	w->leaf = leaf;
	loop_offload(leaf->bs.loop, &w->work);
}

static void
reserve_run(struct loop_work *work)
{
	struct file_work *w = file_work_of(work);

	w->result = file_space_reserve(
	    w->leaf->fd, w->leaf->bs.block_size, w->offset, w->length);
}

static void
reserve_done(struct loop_work *work)
{
	struct file_work *w = file_work_of(work);
	void (*done)(void *, int) = w->done;
	void *arg = w->arg;
	int result = w->result;

	w->leaf->unflushed = true;
	/* The kernel tells a failed write-back to one fdatasync only, and that
	 * may have been ours. */
	if (result < 0 && leaf_error(BS_WRITE, result) != -ENOSPC)
		w->leaf->bs.suspect = true;
	free(w);
	done(arg, result < 0 ? leaf_error(BS_WRITE, result) : 0);
}

static void
file_reserve(struct backstore *bs, uint64_t offset, uint64_t length,
    void (*done)(void *arg, int result), void *arg)
{
	const struct file_work what = {
	    .work = {.run = reserve_run, .done = reserve_done},
	    .offset = offset,
	    .length = length,
	    .done = done,
	    .arg = arg,
	};

	file_offload(leaf_of(bs), &what);
}

static void
resize_run(struct loop_work *work)
{
	struct file_work *w = file_work_of(work);

	w->result = 0;
	if (ftruncate(w->leaf->fd, (off_t)w->length) < 0)
		w->result = -errno;
}

static void
resize_done(struct loop_work *work)
{
	struct file_work *w = file_work_of(work);
	void (*done)(void *, int) = w->done;
	void *arg = w->arg;
	int result = w->result;

	if (result == 0) {
		w->leaf->bs.size = w->length;
		w->leaf->unflushed = true;
	}
	free(w);
	done(arg, result < 0 ? leaf_error(BS_WRITE, result) : 0);
}

static void
file_resize(struct backstore *bs, uint64_t size,
    void (*done)(void *arg, int result), void *arg)
{
	const struct file_work what = {
	    .work = {.run = resize_run, .done = resize_done},
	    .length = size,
	    .done = done,
	    .arg = arg,
	};

	file_offload(leaf_of(bs), &what);
}

/* ---- operations ---- */

static void
file_submit(struct backstore *bs, struct bs_io *io)
{
	if (io->op == BS_EXTENTS)
		extents_submit(leaf_of(bs), io);
	else
		leaf_submit(leaf_of(bs), io);
}

static void
file_close(struct backstore *bs, void (*done)(void *arg), void *arg)
{
	leaf_done(leaf_of(bs)); /* closing ends the lock */
	free(leaf_of(bs));
	done(arg);
}

static const struct backstore_ops file_ops = {
    .name = "file",
    .submit = file_submit,
    .resize = file_resize,
    .reserve = file_reserve,
    .close = file_close,
};

/* ---- direct I/O ---- */

/* What the file system says: the alignment, 0: not possible, -1: no word
 * (before Linux 6.1, or not every file system). */
static int
direct_alignment_told(int fd)
{
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) < 0 ||
	    (stx.stx_mask & STATX_DIOALIGN) == 0)
		return -1;
	if (stx.stx_dio_mem_align == 0 || stx.stx_dio_offset_align > BLOCK_MAX)
		return 0;
	/* one number for both: the kernel wants each element of an array to be
	 * a multiple of the block, and memory rarely needs more than that */
	if (stx.stx_dio_mem_align > stx.stx_dio_offset_align)
		return (int)stx.stx_dio_mem_align;
	return (int)stx.stx_dio_offset_align;
}

/* Reads the first bytes of the file with each alignment. */
static int
direct_alignment_tried(int fd)
{
	_cleanup_(freep) char *buffer = NULL;

	if (posix_memalign((void **)&buffer, BLOCK_MAX, 2 * BLOCK_MAX) != 0)
		return 0;
	for (unsigned align = BLOCK_MIN; align <= BLOCK_MAX; align *= 2)
		if (pread(fd, buffer + align, align, 0) >= 0)
			return (int)align;
	return 0;
}

/* Turns direct I/O on if it is possible; returns the alignment, or 0. */
static unsigned
direct_start(int fd)
{
	int align, flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
		return 0;
	align = direct_alignment_told(fd);
	if (align < 0)
		align = direct_alignment_tried(fd);
	if (align >= (int)BLOCK_MIN && align <= (int)BLOCK_MAX)
		return (unsigned)align;
	fcntl(fd, F_SETFL, flags);
	return 0;
}

/* ---- opening ---- */

static int
file_lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

static int
file_open_fd(const struct bs_file_params *params)
{
	int flags = O_CLOEXEC | O_NOCTTY, fd;

	flags |= params->read_only ? O_RDONLY : O_RDWR;
	if (params->create)
		flags |= O_CREAT | O_EXCL;
	/* NONBLOCK: do not wait in the open of a FIFO.  It goes at once: the
	 * ring would answer EAGAIN for file systems that cannot but wait. */
	fd = open(params->path, flags | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_SETFL, flags) < 0) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

/* A name is durable when its directory is. */
static int
parent_sync(const char *path)
{
	_cleanup_(freep) char *copy = strdup(path);
	_cleanup_(closep) int fd = -1;

	if (copy == NULL)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int
file_make(const struct leaf *leaf, const struct bs_file_params *params)
{
	uint64_t size = params->create_size;
	int error = 0;

	if (size == 0 || size % leaf->bs.block_size != 0)
		return -EINVAL;
	if (ftruncate(leaf->fd, (off_t)size) < 0)
		return -errno;
	if (params->preallocate)
		error =
		    file_space_reserve(leaf->fd, leaf->bs.block_size, 0, size);
	if (error < 0)
		return error;
	if (fsync(leaf->fd) < 0)
		return -errno;
	return parent_sync(params->path);
}

static int
file_measure(struct leaf *leaf)
{
	struct stat st;

	if (fstat(leaf->fd, &st) < 0)
		return -errno;
	if (st.st_size == 0 || st.st_size % leaf->bs.block_size != 0)
		return -EINVAL;
	leaf->bs.size = (uint64_t)st.st_size;
	leaf->bs.rotational = device_queue_is(st.st_dev, "rotational", "1");
	return 0;
}

static void
file_set_blocks(struct leaf *leaf, const struct bs_file_params *params)
{
	unsigned align = params->page_cache ? 0 : direct_start(leaf->fd);

	leaf->bs.block_size = align != 0 ? align : BLOCK_MIN;
	leaf->bs.mem_align = align != 0 ? align : 1;
	leaf->bs.physical_block_size = BLOCK_MAX;
}

/* Is there no device behind it?  Then FLUSH has nothing to make durable. */
static bool
file_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int
file_claim(int fd, const struct bs_file_params *params)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (params->read_only || params->no_lock)
		return 0;
	return file_lock(fd);
}

/* On failure the caller closes fd. */
static int
file_prepare(struct leaf *leaf, const struct bs_file_params *params)
{
	int error = file_claim(leaf->fd, params);

	if (error < 0)
		return error;
	leaf->bs.read_only = params->read_only;
	leaf->bs.volatile_cache = true;
	leaf->bs.thin = true;
	leaf->in_memory = file_in_memory(leaf->fd);
	leaf->unmap_mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	leaf->discard_mode = leaf->unmap_mode;
	/* zero_mode stays 0: FALLOC_FL_ZERO_RANGE makes unwritten space, whose
	 * first writes are slow (see space.c) */
	file_set_blocks(leaf, params);
	if (params->create)
		error = file_make(leaf, params);
	if (error < 0)
		return error;
	return file_measure(leaf);
}

int
bs_file_open(struct loop *loop, const struct bs_file_params *params,
    struct backstore **ret_bs)
{
	struct leaf *leaf;
	int fd, error;

	if (params->create)
		assert(!params->read_only);
	fd = file_open_fd(params);
	if (fd < 0)
		return fd;
	leaf = calloc(1, sizeof(*leaf));
	error = -ENOMEM;
	if (leaf == NULL)
		goto failed;
	leaf_init(leaf, loop, fd, &file_ops, params->path);
	error = file_prepare(leaf, params);
	if (error < 0)
		goto failed;
	*ret_bs = &leaf->bs;
	return 0;

failed:
	free(leaf);
	close(fd);
	if (params->create)
		unlink(params->path);
	return error;
}
