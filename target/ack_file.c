/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "target/ack_file.h"
#include "base/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

/* 32 thousand records; a commit is due every three thousand. */
#define ACK_FILE_BYTES (1u << 20)
#define FILE_BYTES     (ACK_FILE_BYTES + COMPARE_MEMORY_BYTES)
#define BOOT_ID        "/proc/sys/kernel/random/boot_id"

int
boot_id_read(uint8_t ret_id[16])
{
	_cleanup_(fclosep) FILE *f = fopen(BOOT_ID, "re");
	char text[40] = "";

	if (f == NULL)
		return -errno;
	if (fgets(text, sizeof(text), f) == NULL)
		return -EIO;
	text[strcspn(text, "\n")] = '\0';
	return uuid_parse(text, ret_id) == 0 ? 0 : -EBADMSG;
}

static int
path_set(char path[PATH_MAX], const char *dir, const char *name)
{
	int length = snprintf(path, PATH_MAX, "%s/%s.acks", dir, name);

	return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Its space is taken now: a write to shared memory that finds the file system
 * full later is a SIGBUS. */
static int
memory_map(struct ack_file *file)
{
	_cleanup_(closep) int fd =
	    open(file->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	void *memory;
	int ret;

	if (fd < 0)
		return -errno;
	ret = posix_fallocate(fd, 0, FILE_BYTES);
	if (ret != 0)
		return -ret;
	memory =
	    mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return -errno;
	file->memory = memory;
	file->bytes = ACK_FILE_BYTES;
	return 0;
}

static void *
compares(const struct ack_file *file)
{
	return (uint8_t *)file->memory + ACK_FILE_BYTES;
}

int
ack_file_open(struct ack_file *file, const char *dir, const char *name)
{
	int ret;

	*file = (struct ack_file){.memory = NULL};
	ret = path_set(file->path, dir, name);
	if (ret == 0)
		ret = boot_id_read(file->boot_id);
	if (ret == 0)
		ret = memory_map(file);
	return ret;
}

int
ack_file_rename(struct ack_file *file, const char *dir, const char *name)
{
	char path[PATH_MAX];
	int ret;

	if (file->memory == NULL)
		return 0;
	ret = path_set(path, dir, name);
	if (ret < 0)
		return ret;
	if (rename(file->path, path) < 0)
		return -errno;
	memcpy(file->path, path, sizeof(path));
	return 0;
}

void
ack_file_close(struct ack_file *file, bool forget)
{
	if (file->memory == NULL)
		return;
	forget = forget && compare_memory_is_idle(compares(file));
	munmap(file->memory, FILE_BYTES);
	file->memory = NULL;
	if (forget)
		unlink(file->path);
}

struct compare_memory *
ack_file_compares(const struct ack_file *file, uint64_t now_ns)
{
	if (file->memory == NULL)
		return NULL;
	return compare_memory_open(compares(file), file->boot_id, now_ns);
}

void
ack_file_give(const struct ack_file *file, struct pool_limits *limits)
{
	limits->ack_ring = file->memory;
	limits->ack_ring_bytes = file->bytes;
	memcpy(limits->boot_id, file->boot_id, sizeof(limits->boot_id));
}
