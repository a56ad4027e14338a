/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "points.h"
#include "base/cleanup.h"
#include "tests/unit/base/support/cmocka.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct backup_point
point_of(uint64_t number, const char *name)
{
	struct backup_point point = {.number = number,
	    .set = "00000000-0000-4000-8000-000000000000",
	    .lun = "vms/a",
	    .lun_uuid = "00000000-0000-4000-8000-000000000001",
	    .consistency = "crash",
	    .block_size = 512,
	    .size = 4096,
	    .covers = 4096};

	snprintf(point.name, sizeof(point.name), "%s", name);
	snprintf(point.uuid, sizeof(point.uuid),
	    "00000000-0000-4000-8000-00000000%04x", (unsigned)number);
	memset(point.sha256, '0', sizeof(point.sha256) - 1);
	directory_stream_name(&point, 0, point.file);
	return point;
}

void
point_on(struct backup_point *point, const struct backup_point *base)
{
	memcpy(point->base, base->name, sizeof(point->base));
	memcpy(point->base_uuid, base->uuid, sizeof(point->base_uuid));
	directory_stream_name(point, base->number, point->file);
}

int
file_make(const struct directory *directory, const char *name)
{
	int fd =
	    openat(directory->fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

void
point_commit(struct directory *directory, const struct backup_point *point)
{
	_cleanup_(closep) int fd = file_make(directory, PARTIAL_STREAM);

	assert_null(directory_commit(directory, fd, PARTIAL_STREAM, point));
	assert_null(directory_scan(directory));
}
