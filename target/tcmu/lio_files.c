/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Configfs as the kernel has it.
 */
#include "target/tcmu/lio_files.h"
#include "base/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void
lio_list_done(struct lio_list *list)
{
	free(list->entries);
	*list = (struct lio_list){NULL, 0};
}

int
lio_list_add(struct lio_list *list, const char *name, bool link)
{
	struct lio_entry *more;

	if (strlen(name) >= LIO_ENTRY_MAX)
		return -ENAMETOOLONG;
	more = realloc(list->entries, (list->count + 1) * sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	list->entries = more;
	more += list->count++;
	snprintf(more->name, sizeof(more->name), "%s", name);
	more->link = link;
	return 0;
}

static int
make_dir(void *arg, const char *path)
{
	(void)arg;
	return mkdir(path, 0755) < 0 ? -errno : 0;
}

static int
remove_dir(void *arg, const char *path)
{
	(void)arg;
	return rmdir(path) < 0 ? -errno : 0;
}

static int
make_link(void *arg, const char *target, const char *path)
{
	(void)arg;
	return symlink(target, path) < 0 ? -errno : 0;
}

static int
remove_link(void *arg, const char *path)
{
	(void)arg;
	return unlink(path) < 0 ? -errno : 0;
}

static int
read_link(void *arg, const char *path, char *ret, size_t size)
{
	ssize_t length = readlink(path, ret, size - 1);

	(void)arg;
	if (length < 0)
		return -errno;
	ret[length] = '\0';
	return 0;
}

static int
read_text(void *arg, const char *path, char *ret, size_t size)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length;

	(void)arg;
	if (fd < 0)
		return -errno;
	length = read(fd, ret, size - 1);
	if (length < 0)
		return -errno;
	ret[length] = '\0';
	return 0;
}

static int
write_text(void *arg, const char *path, const char *text)
{
	_cleanup_(closep) int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = (ssize_t)strlen(text), ret;

	(void)arg;
	if (fd < 0)
		return -errno;
	ret = write(fd, text, (size_t)length);
	if (ret < 0)
		return -errno;
	return ret == length ? 0 : -EIO;
}

static int
list_dir(void *arg, const char *path, struct lio_list *ret)
{
	const struct dirent *entry;
	DIR *dir = opendir(path);
	int error = 0;

	(void)arg;
	*ret = (struct lio_list){NULL, 0};
	if (dir == NULL)
		return -errno;
	while (error == 0 && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (entry->d_type == DT_LNK || entry->d_type == DT_DIR)
			error = lio_list_add(
			    ret, entry->d_name, entry->d_type == DT_LNK);
	}
	closedir(dir);
	if (error < 0)
		lio_list_done(ret);
	return error;
}

static int
try_open(void *arg, const char *path)
{
	/* O_EXCL: of a disk, also whether it is mounted */
	const int flags = O_EXCL | O_NONBLOCK | O_CLOEXEC;
	_cleanup_(closep) int fd = open(path, O_RDWR | flags);

	(void)arg;
	if (fd < 0 && errno == EROFS)
		fd = open(path, O_RDONLY | flags);
	return fd < 0 ? -errno : 0;
}

const struct lio_files lio_files_kernel = {
    .make_dir = make_dir,
    .remove_dir = remove_dir,
    .make_link = make_link,
    .remove_link = remove_link,
    .read_link = read_link,
    .read = read_text,
    .write = write_text,
    .list = list_dir,
    .try_open = try_open,
};
