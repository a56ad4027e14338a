/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reserving.  fallocate() alone makes space certain but leaves it "unwritten":
 * each first write then has to mark its blocks as written in the file system's
 * journal, and the next FLUSH commits that journal.  On ext4 such writes reach
 * about two thirds of the speed of overwrites (and writes into holes a half),
 * with FLUSH or FUA between them far less.  So zeros are written once, here,
 * away from the command path and in pieces that the disk likes, and made
 * durable: what comes later are pure overwrites.  Where disk and file system
 * can write zeros without transferring any (FALLOC_FL_WRITE_ZEROES, Linux
 * 6.17), they do.
 */
#include "backstores/space.h"
#include "base/buf.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES 0x80
#endif

struct run {
	uint64_t offset, end;
	bool hole;
};

/* The run that starts at `at`, not beyond end; both are multiples of block.
 * lseek(2) tells what was allocated but never written as a hole. */
static int
run_at(int fd, uint32_t block, uint64_t at, uint64_t end, struct run *ret_run)
{
	off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;
	uint64_t until;

	if (data < 0 && errno != ENXIO)
		return -errno;
	/* ENXIO: no data from here on */
	until = data < 0 || (uint64_t)data > end ? end : (uint64_t)data;
	until -= until % block;
	*ret_run = (struct run){.offset = at, .end = until, .hole = true};
	if (until > at)
		return 0;
	hole = lseek(fd, data, SEEK_HOLE);
	if (hole < 0)
		return -errno;
	until = ((uint64_t)hole + block - 1) / block * block;
	*ret_run = (struct run){
	    .offset = at, .end = until < end ? until : end, .hole = false};
	return 0;
}

int
file_space_extents(int fd, uint32_t block_size, struct bs_io *io)
{
	uint64_t at = io->offset, end = io->offset + io->length;
	struct run run;

	io->extent_count = 0;
	while (at < end && io->extent_count < io->extent_max) {
		int error = run_at(fd, block_size, at, end, &run);
		if (error < 0)
			return error;
		assert(run.end > at);
		io->extents[io->extent_count++] = (struct bs_extent){
		    .offset = at,
		    .length = run.end - at,
		    .kind = run.hole ? BS_EXTENT_HOLE : BS_EXTENT_DATA,
		};
		at = run.end;
	}
	return 0;
}

static int
write_zeros(int fd, uint64_t offset, uint64_t end)
{
	while (offset < end) {
		size_t length = end - offset < BUF_MAX ? end - offset : BUF_MAX;
		ssize_t done = pwrite(fd, buf_zeros(), length, (off_t)offset);
		if (done == 0)
			return -EIO;
		if (done > 0)
			offset += (uint64_t)done;
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int
fill_hole(int fd, const struct run *hole)
{
	if (fallocate(fd, FALLOC_FL_WRITE_ZEROES | FALLOC_FL_KEEP_SIZE,
		(off_t)hole->offset, (off_t)(hole->end - hole->offset)) == 0)
		return 0;
	/* not known, or not possible here: whatever it is, writing tells */
	return write_zeros(fd, hole->offset, hole->end);
}

/* All or -ENOSPC before anything is written. */
static int
allocate(int fd, uint64_t offset, uint64_t length)
{
	int ret;

	do
		ret = fallocate(
		    fd, FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length);
	while (ret < 0 && errno == EINTR);
	if (ret < 0 && errno != EOPNOTSUPP)
		return -errno;
	return 0;
}

int
file_space_reserve(
    int fd, uint32_t block_size, uint64_t offset, uint64_t length)
{
	uint64_t end = offset + length;
	struct run run;
	int error = allocate(fd, offset, length);

	for (uint64_t at = offset; error == 0 && at < end; at = run.end) {
		error = run_at(fd, block_size, at, end, &run);
		if (error == 0 && run.hole)
			error = fill_hole(fd, &run);
	}
	if (error == 0 && fdatasync(fd) < 0)
		error = -errno;
	return error;
}
