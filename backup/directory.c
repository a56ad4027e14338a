/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "backup/directory.h"
#include "backup/problem.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#define LOCK_FILE       ".lock"
#define MANIFEST_SUFFIX ".json"
#define STREAM_SUFFIX   ".rbd-diff.zst"
#define NEW_SUFFIX      ".new"

/* ---- findings ---- */

void
finding_add(json_t *findings, const char *severity, const char *code,
    const char *what, ...)
{
	_cleanup_(freep) char *text = NULL;
	va_list args;
	int length;

	va_start(args, what);
	length = vasprintf(&text, what, args);
	va_end(args);
	assert(length >= 0);
	json_array_append_new(
	    findings, json_pack("{s:s, s:s, s:o}", "severity", severity, "code",
			  code, "what", json_string_lossy(text)));
}

/* ---- locks ---- */

/* Bytes of the lock file.  Locks of an open file description: they end with
 * it, also when the process is killed. */
enum { BYTE_ADD, BYTE_REMOVE };

static const struct {
	short add, remove;
} locks[] = {
    [DIRECTORY_LOOK] = {F_UNLCK, F_UNLCK},
    [DIRECTORY_READ] = {F_UNLCK, F_RDLCK},
    [DIRECTORY_ADD] = {F_WRLCK, F_RDLCK},
    [DIRECTORY_REMOVE] = {F_WRLCK, F_WRLCK},
};

static int
lock_byte(int fd, off_t byte, short type)
{
	struct flock lock = {
	    .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

	if (type == F_UNLCK || fcntl(fd, F_OFD_SETLK, &lock) == 0)
		return 0;
	return -errno;
}

static json_t *
lock_take(struct directory *directory, enum directory_use use)
{
	bool writes = use >= DIRECTORY_ADD;
	int ret;

	if (use == DIRECTORY_LOOK)
		return NULL;
	directory->lock_fd = openat(directory->fd, LOCK_FILE,
	    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (directory->lock_fd < 0 && !writes)
		directory->lock_fd =
		    openat(directory->fd, LOCK_FILE, O_RDONLY | O_CLOEXEC);
	/* from a medium that nobody writes it is read without one */
	if (directory->lock_fd < 0)
		return writes ? backup_write_problem(directory->path, errno)
			      : NULL;
	ret = lock_byte(directory->lock_fd, BYTE_ADD, locks[use].add);
	if (ret == 0)
		ret = lock_byte(
		    directory->lock_fd, BYTE_REMOVE, locks[use].remove);
	if (ret == 0)
		return NULL;
	return problem_fix(
	    backup_problem(BACKUP_BUSY,
		"another varve works on the backups in %s", directory->path),
	    "wait until it has ended");
}

/* ---- open and close ---- */

json_t *
directory_open(const char *path, enum directory_use use, bool create,
    struct directory **ret_directory)
{
	struct directory *directory = calloc(1, sizeof(*directory));
	json_t *problem = NULL;

	assert(directory != NULL);
	*directory = (struct directory){
	    .path = path, .lock_fd = -1, .findings = json_array()};
	if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
		problem = problem_why(
		    backup_problem(BACKUP_DIRECTORY, "%s cannot be made", path),
		    "%s", strerror(errno));
	directory->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (problem == NULL && directory->fd < 0)
		problem = problem_why(backup_problem(BACKUP_DIRECTORY,
					  "%s cannot be opened", path),
		    "%s", strerror(errno));
	if (problem == NULL)
		problem = lock_take(directory, use);
	if (problem == NULL)
		problem = directory_scan(directory);
	if (problem == NULL)
		*ret_directory = directory;
	else
		directory_close(directory);
	return problem;
}

void
directory_close(struct directory *directory)
{
	if (directory == NULL)
		return;
	closep(&directory->fd);
	closep(&directory->lock_fd);
	backup_points_free(&directory->points);
	json_decref(directory->findings);
	free(directory);
}

/* ---- what is in it ---- */

static bool
ends_with(const char *name, const char *suffix)
{
	size_t length = strlen(name), tail = strlen(suffix);

	return length > tail && strcmp(&name[length - tail], suffix) == 0;
}

char *
directory_read(
    const struct directory *directory, const char *name, size_t *ret_length)
{
	_cleanup_(closep) int fd =
	    openat(directory->fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char *text = calloc(1, MANIFEST_MAX);
	size_t length = 0;
	ssize_t got = 1;

	assert(text != NULL);
	while (fd >= 0 && got > 0 && length < MANIFEST_MAX - 1) {
		got = read(fd, &text[length], MANIFEST_MAX - 1 - length);
		length += got > 0 ? (size_t)got : 0;
	}
	if (fd >= 0 && got == 0) {
		*ret_length = length;
		return text;
	}
	free(text);
	return NULL;
}

static void
manifest_take(struct directory *directory, const char *file)
{
	_cleanup_(freep) char *text = NULL;
	char name[POINT_FILE_MAX];
	struct backup_point point;
	const char *wrong = "it cannot be read";
	size_t length = 0;

	text = directory_read(directory, file, &length);
	if (text != NULL)
		wrong = manifest_read(text, length, &point);
	if (wrong == NULL) {
		directory_manifest_name(&point, name);
		if (strcmp(name, file) != 0)
			wrong = "it has another's name";
		else if (backup_points_clash(&directory->points, &point))
			wrong = "another has its number, or is of its snapshot";
	}
	if (wrong == NULL)
		backup_points_add(&directory->points, &point);
	else
		finding_add(directory->findings, "damage", "backup.manifest",
		    "%s: %s", file, wrong);
}

static bool
is_named(const struct backup_points *points, const char *file)
{
	for (unsigned i = 0; i < points->count; i++) {
		if (strcmp(points->list[i].file, file) == 0)
			return true;
	}
	return false;
}

/* visit(directory, name) of each file but those that begin with a dot. */
static json_t *
each_file(struct directory *directory,
    void (*visit)(struct directory *directory, const char *name))
{
	int fd = openat(directory->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	const struct dirent *entry;

	if (dir == NULL) {
		json_t *problem = backup_read_problem(directory->path, errno);
		closep(&fd);
		return problem;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			visit(directory, entry->d_name);
	}
	closedir(dir);
	return NULL;
}

static void
visit_manifest(struct directory *directory, const char *name)
{
	if (ends_with(name, MANIFEST_SUFFIX) &&
	    strcmp(name, PARTIAL_MANIFEST) != 0)
		manifest_take(directory, name);
}

static void
visit_stream(struct directory *directory, const char *name)
{
	if (ends_with(name, STREAM_SUFFIX) &&
	    strcmp(name, PARTIAL_STREAM) != 0 &&
	    !is_named(&directory->points, name))
		finding_add(directory->findings, "note", "backup.stray",
		    "%s: no manifest names it", name);
}

static void
visit_sweep(struct directory *directory, const char *name)
{
	if ((ends_with(name, STREAM_SUFFIX) &&
		strcmp(name, PARTIAL_STREAM) != 0 &&
		!is_named(&directory->points, name)) ||
	    ends_with(name, MANIFEST_SUFFIX NEW_SUFFIX))
		directory_unlink(directory, name);
}

json_t *
directory_sweep(struct directory *directory)
{
	json_t *problem = directory_scan(directory);

	if (problem == NULL)
		problem = each_file(directory, visit_sweep);
	return problem == NULL ? directory_scan(directory) : problem;
}

json_t *
directory_scan(struct directory *directory)
{
	json_t *problem;

	backup_points_free(&directory->points);
	json_array_clear(directory->findings);
	problem = each_file(directory, visit_manifest);
	if (problem == NULL)
		problem = each_file(directory, visit_stream);
	return problem;
}

/* ---- changes ---- */

static json_t *
write_all(int fd, const char *name, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t ret = write(fd, text, left);
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return backup_write_problem(name, errno);
		text += ret;
		left -= (size_t)ret;
	}
	return fsync(fd) == 0 ? NULL : backup_write_problem(name, errno);
}

/* Gets its name, durably. */
static json_t *
put_in_place(struct directory *directory, const char *from, const char *to)
{
	if (renameat(directory->fd, from, directory->fd, to) < 0 ||
	    fsync(directory->fd) < 0)
		return backup_write_problem(to, errno);
	return NULL;
}

json_t *
directory_write(struct directory *directory, const char *name, const char *text)
{
	char temporary[POINT_FILE_MAX + sizeof(NEW_SUFFIX)];
	json_t *problem;
	int fd;

	snprintf(temporary, sizeof(temporary), "%s" NEW_SUFFIX, name);
	fd = openat(directory->fd, temporary,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return backup_write_problem(name, errno);
	problem = write_all(fd, name, text);
	if (close(fd) < 0 && problem == NULL)
		problem = backup_write_problem(name, errno);
	if (problem == NULL)
		problem = put_in_place(directory, temporary, name);
	if (problem != NULL)
		unlinkat(directory->fd, temporary, 0);
	return problem;
}

void
directory_unlink(struct directory *directory, const char *name)
{
	unlinkat(directory->fd, name, 0);
}

void
directory_manifest_name(
    const struct backup_point *point, char ret_name[POINT_FILE_MAX])
{
	snprintf(ret_name, POINT_FILE_MAX, "%06" PRIu64 "-%s" MANIFEST_SUFFIX,
	    point->number, point->name);
}

void
directory_stream_name(const struct backup_point *point, uint64_t base_number,
    char ret_name[POINT_FILE_MAX])
{
	int length = snprintf(ret_name, POINT_FILE_MAX, "%06" PRIu64 "-%s.",
	    point->number, point->name);

	if (base_number == 0)
		snprintf(&ret_name[length], POINT_FILE_MAX - (size_t)length,
		    "full" STREAM_SUFFIX);
	else
		snprintf(&ret_name[length], POINT_FILE_MAX - (size_t)length,
		    "since-%06" PRIu64 STREAM_SUFFIX, base_number);
}

json_t *
directory_commit(struct directory *directory, int fd, const char *from,
    const struct backup_point *point)
{
	_cleanup_(freep) char *text = manifest_write(point);
	char name[POINT_FILE_MAX];
	json_t *problem = NULL;

	if (fsync(fd) < 0)
		problem = backup_write_problem(from, errno);
	if (problem == NULL)
		problem = put_in_place(directory, from, point->file);
	directory_manifest_name(point, name);
	if (problem == NULL)
		problem = directory_write(directory, name, text);
	return problem;
}

void
directory_remove(struct directory *directory, const struct backup_point *point)
{
	char name[POINT_FILE_MAX];

	directory_manifest_name(point, name);
	directory_unlink(directory, name);
	fsync(directory->fd);
	directory_unlink(directory, point->file);
}
