/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/backstores/support/host.h"
#include "base/assert.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];
static pid_t owner;

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type, (void)where;
	return remove(path);
}

static void
remove_directory(void)
{
	if (getpid() == owner) /* not a child of ours */
		nftw(directory, remove_one, 16,
		    FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

/* Below /var/tmp: /tmp may be a tmpfs, which has no direct I/O. */
static void
make_directory(void)
{
	snprintf(directory, sizeof(directory), "/var/tmp/varve-test.XXXXXX");
	if (mkdtemp(directory) == NULL) {
		perror(directory);
		exit(1);
	}
	owner = getpid();
	atexit(remove_directory);
}

const char *
host_path(const char *name)
{
	static char path[256];

	if (owner == 0)
		make_directory();
	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

void
host_make_file(const char *path, uint64_t size)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int error = ftruncate(fd, (off_t)size);

	assert(fd >= 0);
	assert(error == 0);
	close(fd);
}

uint64_t
host_allocated(const char *path)
{
	struct stat st;
	int error = stat(path, &st);

	assert(error == 0);
	return (uint64_t)st.st_blocks * 512;
}

bool
host_mount_small(const char *name, uint64_t size)
{
	char options[64];

	snprintf(options, sizeof(options), "size=%llu,mode=700",
	    (unsigned long long)size);
	mkdir(host_path(name), 0700);
	return mount("varve-test", host_path(name), "tmpfs", 0, options) == 0;
}

void
host_umount_small(const char *name)
{
	int error = umount2(host_path(name), MNT_DETACH);

	assert(error == 0);
}

static int
loop_configure(int device, int file, uint32_t block_size)
{
	struct loop_config config = {
	    .fd = (uint32_t)file,
	    .block_size = block_size,
	    .info = {.lo_flags = LO_FLAGS_AUTOCLEAR},
	};

	return ioctl(device, LOOP_CONFIGURE, &config);
}

/* Somebody else may take the free device first: a few tries. */
int
host_loop_attach(
    const char *file, uint32_t block_size, char *ret_device, size_t size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int backing = open(file, O_RDWR | O_CLOEXEC), device = -1;

	for (int tries = 0; control >= 0 && device < 0 && tries < 8; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE);
		snprintf(ret_device, size, "/dev/loop%d", number);
		device = open(ret_device, O_RDWR | O_CLOEXEC);
		if (device < 0 ||
		    loop_configure(device, backing, block_size) == 0)
			break;
		close(device);
		device = -1;
	}
	close(backing);
	close(control);
	return device;
}
