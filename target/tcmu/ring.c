/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What all drivers of a ring need: the device is opened and mapped, and data
 * are looked at before anybody relies on where they lie.
 */
#include "target/tcmu/ring.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* the header would define struct iovec once more */
#define __LINUX_UIO_H
#include <linux/target_core_user.h>

static const struct {
	const char *word;
	const bool *is_built;                  /* NULL: always */
	int (*load)(const char **ret_problem); /* may be NULL */
	int (*ring_new)(
	    int fd, void *map, size_t size, struct tcmu_ring **ret_ring);
} drivers[] = {
    [TCMU_NATIVE] = {"native", NULL, NULL, tcmu_native_new},
    [TCMU_LIBTCMU] = {"libtcmu", &tcmu_libtcmu_is_built, tcmu_libtcmu_load,
	tcmu_libtcmu_new},
};

int
tcmu_driver_parse(const char *word, enum tcmu_driver *ret_driver)
{
	for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
		if (strcmp(drivers[i].word, word) != 0)
			continue;
		*ret_driver = (enum tcmu_driver)i;
		return drivers[i].is_built == NULL || *drivers[i].is_built
			   ? 0
			   : -ENOSYS;
	}
	return -EINVAL;
}

int
tcmu_driver_load(enum tcmu_driver driver, const char **ret_problem)
{
	return drivers[driver].load != NULL ? drivers[driver].load(ret_problem)
					    : 0;
}

/* ---- open, close ---- */

static bool
is_ring(const struct tcmu_mailbox *mailbox, size_t size)
{
	return size >= sizeof(*mailbox) &&
	       mailbox->version == TCMU_MAILBOX_VERSION &&
	       (mailbox->flags & TCMU_MAILBOX_FLAG_CAP_OOOC) &&
	       mailbox->cmdr_off <= size &&
	       mailbox->cmdr_size <= size - mailbox->cmdr_off &&
	       mailbox->cmdr_size > 0 && mailbox->cmd_tail < mailbox->cmdr_size;
}

int
tcmu_ring_from(enum tcmu_driver driver, int fd, void *map, size_t size,
    struct tcmu_ring **ret_ring)
{
	int ret;

	if (!is_ring(map, size))
		return -ENODEV;
	ret = drivers[driver].ring_new(fd, map, size, ret_ring);
	if (ret < 0)
		return ret;
	(*ret_ring)->fd = fd;
	(*ret_ring)->map = map;
	(*ret_ring)->size = size;
	return 0;
}

/* uio says how much there is to map, in sysfs only. */
static int
map_size(int fd, size_t *ret_size)
{
	char path[96], text[32] = "";
	struct stat st;
	ssize_t n;
	int size_fd;

	if (fstat(fd, &st) < 0)
		return -errno;
	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/maps/map0/size",
	    major(st.st_rdev), minor(st.st_rdev));
	size_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (size_fd < 0)
		return -ENODEV;
	n = read(size_fd, text, sizeof(text) - 1);
	close(size_fd);
	*ret_size = n > 0 ? strtoull(text, NULL, 0) : 0;
	return *ret_size > 0 ? 0 : -ENODEV;
}

int
tcmu_ring_open(
    enum tcmu_driver driver, const char *uio, struct tcmu_ring **ret_ring)
{
	int fd = open(uio, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	return fd < 0 ? -errno : tcmu_ring_inherit(driver, fd, ret_ring);
}

int
tcmu_ring_inherit(enum tcmu_driver driver, int fd, struct tcmu_ring **ret_ring)
{
	size_t size = 0;
	void *map;
	int ret = map_size(fd, &size);

	if (ret < 0) {
		close(fd);
		return ret;
	}
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ret = map == MAP_FAILED
		  ? -errno
		  : tcmu_ring_from(driver, fd, map, size, ret_ring);
	if (ret < 0) {
		if (map != MAP_FAILED)
			munmap(map, size);
		close(fd);
	}
	return ret;
}

void
tcmu_ring_close(struct tcmu_ring *ring)
{
	struct tcmu_ring last = *ring;

	ring->ops->free(ring);
	munmap(last.map, last.size);
	close(last.fd);
}

int
tcmu_ring_kick(struct tcmu_ring *ring)
{
	const uint32_t on = 1;
	ssize_t n;

	do
		n = write(ring->fd, &on, sizeof(on));
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

/* ---- for drivers ---- */

/* An element that goes on where the one before ends is one with it. */
bool
tcmu_command_add(const struct tcmu_ring *ring, struct tcmu_command *command,
    uint64_t offset, uint64_t length)
{
	struct iovec *last = command->iov_count > 0
				 ? &command->iov[command->iov_count - 1]
				 : NULL;
	uint8_t *base;

	if (offset > ring->size || length > ring->size - offset)
		return false;
	base = (uint8_t *)ring->map + offset;
	command->length += length;
	if (last != NULL && (uint8_t *)last->iov_base + last->iov_len == base &&
	    command->length - length ==
		bs_iov_length(command->iov, command->iov_count))
		last->iov_len += length;
	else if (command->iov_count < SCSI_TASK_IOV_MAX)
		command->iov[command->iov_count++] =
		    (struct iovec){.iov_base = base, .iov_len = length};
	return true;
}
