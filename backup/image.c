/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/image.h"
#include "backup/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "base/zero.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define PART_SUFFIX ".part"
/* What a file has no block for reads as zeros. */
#define HOLE_UNIT 4096u

/* How zeros are made. */
enum image_kind {
	IMAGE_FILE,   /* by leaving them out */
	IMAGE_DEVICE, /* by telling the device, or writing them */
	IMAGE_STREAM, /* by writing them */
};

struct image {
	struct sink sink;
	const char *path;
	char *part; /* the name that a file has until it is whole; NULL */
	int fd;
	enum image_kind kind;
	uint64_t size, at; /* all before `at` is there */
};

static const uint8_t zeros[PIECE_MAX];

static json_t *
write_all(struct image *image, const uint8_t *data, uint64_t length)
{
	while (length > 0) {
		ssize_t ret =
		    image->kind == IMAGE_STREAM
			? write(image->fd, data, length)
			: pwrite(image->fd, data, length, (off_t)image->at);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return backup_write_problem(image->path, errno);
		data += ret;
		length -= (uint64_t)ret;
		image->at += (uint64_t)ret;
	}
	return NULL;
}

static json_t *
zeros_until(struct image *image, uint64_t end)
{
	uint64_t range[2] = {image->at, end - image->at};
	json_t *problem = NULL;

	if (image->kind == IMAGE_FILE ||
	    (image->kind == IMAGE_DEVICE && range[1] > 0 &&
		ioctl(image->fd, BLKZEROOUT, range) == 0))
		image->at = end;
	while (problem == NULL && image->at < end) {
		uint64_t length = end - image->at;
		problem = write_all(
		    image, zeros, length < PIECE_MAX ? length : PIECE_MAX);
	}
	return problem;
}

/* Of a file: blocks that are all zeros are left out. */
static json_t *
data_to_file(struct image *image, const struct piece *piece)
{
	uint64_t done = 0;
	json_t *problem = NULL;

	while (problem == NULL && done < piece->length) {
		uint64_t run = 0, unit;
		do {
			unit = piece->length - done - run;
			if (unit > HOLE_UNIT)
				unit = HOLE_UNIT;
			if (is_zero(piece->data + done + run, unit))
				break;
			run += unit;
		} while (done + run < piece->length);
		problem = write_all(image, piece->data + done, run);
		done += run;
		if (done < piece->length) {
			image->at += unit;
			done += unit;
		}
	}
	return problem;
}

static json_t *
image_put(struct sink *sink, const struct piece *piece)
{
	struct image *image = container_of(sink, struct image, sink);
	json_t *problem = zeros_until(image, piece->offset);

	assert(piece->offset >= image->at || problem != NULL);
	if (problem != NULL)
		return problem;
	if (piece->data == NULL)
		return zeros_until(image, piece_end(piece));
	if (image->kind == IMAGE_FILE)
		return data_to_file(image, piece);
	return write_all(image, piece->data, piece->length);
}

/* ---- where ---- */

static json_t *
exists(const char *path)
{
	return problem_fix(
	    backup_problem(BACKUP_TARGET_EXISTS, "%s is there already", path),
	    "if what it holds is to be lost: --overwrite");
}

static json_t *
device_open(struct image *image, bool overwrite)
{
	uint64_t size = 0;

	if (!overwrite)
		return exists(image->path);
	image->kind = IMAGE_DEVICE;
	/* of a block device O_EXCL means: nothing else may use it */
	image->fd = open(image->path, O_WRONLY | O_EXCL | O_CLOEXEC);
	if (image->fd < 0 && errno == EBUSY)
		return backup_problem(
		    BACKUP_TARGET_BUSY, "%s is in use", image->path);
	if (image->fd < 0 || ioctl(image->fd, BLKGETSIZE64, &size) < 0)
		return backup_write_problem(image->path, errno);
	if (size < image->size)
		return problem_why(backup_problem(BACKUP_TARGET_SMALL,
				       "%s is too small", image->path),
		    "it has %llu bytes, the image %llu",
		    (unsigned long long)size, (unsigned long long)image->size);
	return NULL;
}

static json_t *
part_open(struct image *image)
{
	if (asprintf(&image->part, "%s" PART_SUFFIX, image->path) < 0)
		abort();
	image->fd = open(image->part,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (image->fd < 0 || ftruncate(image->fd, (off_t)image->size) < 0)
		return backup_write_problem(image->path, errno);
	return NULL;
}

static json_t *
output_open(struct image *image)
{
	struct stat st;

	image->fd = dup(STDOUT_FILENO);
	if (image->fd < 0)
		return backup_write_problem("standard output", errno);
	/* `>> file` would put what is written elsewhere than it is meant */
	if (fstat(image->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    lseek(image->fd, 0, SEEK_CUR) != 0 || st.st_size != 0 ||
	    (fcntl(image->fd, F_GETFL) & O_APPEND)) {
		image->kind = IMAGE_STREAM;
		return NULL;
	}
	return ftruncate(image->fd, (off_t)image->size) == 0
		   ? NULL
		   : backup_write_problem("standard output", errno);
}

static json_t *
target_open(struct image *image, bool overwrite)
{
	struct stat st;

	if (strcmp(image->path, "-") == 0)
		return output_open(image);
	if (stat(image->path, &st) < 0 && errno != ENOENT)
		return backup_write_problem(image->path, errno);
	if (stat(image->path, &st) < 0)
		return part_open(image);
	if (S_ISBLK(st.st_mode))
		return device_open(image, overwrite);
	if (!S_ISREG(st.st_mode) || !overwrite)
		return exists(image->path);
	return part_open(image);
}

json_t *
image_new(
    const char *path, uint64_t size, bool overwrite, struct image **ret_image)
{
	struct image *image = calloc(1, sizeof(*image));
	json_t *problem;

	assert(image != NULL);
	*image = (struct image){
	    .sink.put = image_put, .path = path, .fd = -1, .size = size};
	problem = target_open(image, overwrite);
	if (problem == NULL)
		*ret_image = image;
	else
		image_free(image);
	return problem;
}

void
image_free(struct image *image)
{
	if (image == NULL)
		return;
	closep(&image->fd);
	if (image->part != NULL)
		unlink(image->part);
	free(image->part);
	free(image);
}

struct sink *
image_sink(struct image *image)
{
	return &image->sink;
}

json_t *
image_finish(struct image *image)
{
	json_t *problem = zeros_until(image, image->size);

	if (problem != NULL)
		return problem;
	/* a pipe cannot be, and need not */
	if (image->kind != IMAGE_STREAM && fsync(image->fd) < 0 &&
	    errno != EINVAL)
		return backup_write_problem(image->path, errno);
	if (image->part == NULL)
		return NULL;
	if (rename(image->part, image->path) < 0)
		return backup_write_problem(image->path, errno);
	free(image->part);
	image->part = NULL;
	return NULL;
}
