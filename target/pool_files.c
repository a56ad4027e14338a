/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files to put a pool on.  What a file system takes its time for runs on a
 * helper thread, so that no reactor and no other request waits for it.
 */
#include "base/cleanup.h"
#include "target/pool_work.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

/* So that the new name survives a power cut. */
static int
directory_sync(const char *path)
{
	_cleanup_(freep) char *copy = strdup(path);
	_cleanup_(closep) int fd = -1;

	if (copy == NULL)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

static int
file_size_set(int fd, uint64_t size, bool preallocate)
{
	if (ftruncate(fd, (off_t)size) < 0)
		return -errno;
	if (preallocate)
		return -posix_fallocate(fd, 0, (off_t)size);
	return 0;
}

static int
file_make(const char *path, uint64_t size, bool preallocate)
{
	_cleanup_(closep) int fd =
	    open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int ret;

	if (fd < 0)
		return -errno;
	ret = file_size_set(fd, size, preallocate);
	if (ret == 0 && fsync(fd) < 0)
		ret = -errno;
	if (ret == 0)
		ret = directory_sync(path);
	if (ret < 0)
		unlink(path);
	return ret;
}

/* Could it be made?  What is to be made must not be there yet. */
static int
file_would_make(const char *path)
{
	_cleanup_(freep) char *copy = strdup(path);
	struct stat st;

	if (copy == NULL)
		return -ENOMEM;
	if (lstat(path, &st) == 0)
		return -EEXIST;
	return access(dirname(copy), W_OK | X_OK) < 0 ? -errno : 0;
}

static int
device_size(const char *path, uint64_t *ret_size)
{
	_cleanup_(closep) int fd = -1;
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	*ret_size = (uint64_t)st.st_size;
	if (S_ISREG(st.st_mode))
		return 0;
	if (!S_ISBLK(st.st_mode))
		return -EINVAL;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, ret_size) < 0)
		return -errno;
	return 0;
}

static int
file_prepare(struct pool_files *files, const char *path, uint64_t *ret_size)
{
	int ret;

	*ret_size = files->size;
	if (files->size == 0)
		ret = device_size(path, ret_size);
	else if (files->dry_run)
		ret = file_would_make(path);
	else
		ret = file_make(path, files->size, files->preallocate);
	if (ret == 0)
		files->bytes += *ret_size;
	return ret;
}

static void
files_run(struct loop_work *offload)
{
	struct pool_files *files =
	    container_of(offload, struct pool_files, offload);
	const struct pool_work *work = files->work;

	for (unsigned i = 0; i < work->path_count; i++) {
		files->result =
		    i < POOL_DEVICE_MAX
			? file_prepare(files, work->paths[i], &files->sizes[i])
			: -E2BIG;
		if (files->result < 0) {
			files->failed_path = work->paths[i];
			return;
		}
		if (files->size > 0 && !files->dry_run)
			files->made++;
	}
}

static void
files_done(struct loop_work *offload)
{
	struct pool_files *files =
	    container_of(offload, struct pool_files, offload);

	if (files->result < 0)
		pool_files_undo(files);
	files->done(files);
}

void
pool_files_prepare(struct pool_files *files, struct loop *home)
{
	files->offload =
	    (struct loop_work){.run = files_run, .done = files_done};
	loop_offload(home, &files->offload);
}

void
pool_files_undo(struct pool_files *files)
{
	while (files->made > 0)
		unlink(files->work->paths[--files->made]);
}
