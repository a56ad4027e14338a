/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/freeze_record.h"
#include "base/assert.h"
#include "base/cleanup.h"
#include "policy/quiesce_problem.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define VERSION  1
#define END_WAIT 100 /* times 10 ms, for what is killed to be gone */

static char *
path_of(
    const struct freeze_record *record, const char *before, const char *after)
{
	char *path;

	if (asprintf(&path, "%s/%s%s%s", record->directory, before, record->id,
		after) < 0)
		abort();
	return path;
}

char *
freeze_record_state(const struct freeze_record *record)
{
	return path_of(record, ".", ".state");
}

static json_t *
trouble(const struct freeze_record *record, int error)
{
	return problem_why(
	    quiesce_problem(QUIESCE_RECORD,
		"no record of a freeze can be made in %s", record->directory),
	    "%s", strerror(error));
}

/* ---- making one ---- */

static int
directory_sync(const struct freeze_record *record)
{
	int fd = open(record->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int ret = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return ret;
}

static int
text_write(int fd, const char *text)
{
	size_t length = strlen(text);
	ssize_t written = write(fd, text, length);

	if (written < 0)
		return -errno;
	return written == (ssize_t)length ? 0 : -ENOSPC;
}

/* The lock goes with the file when it gets its name. */
static int
write_locked(struct freeze_record *record, const char *temporary)
{
	_cleanup_(freep) char *text = json_dumps(record->json, JSON_INDENT(2));
	int ret;

	assert(text != NULL);
	record->fd = open(temporary,
	    O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (record->fd < 0 || flock(record->fd, LOCK_EX | LOCK_NB) < 0)
		return -errno;
	ret = text_write(record->fd, text);
	return ret == 0 && fsync(record->fd) < 0 ? -errno : ret;
}

json_t *
freeze_record_new(struct freeze_record *ret_record, const char *directory,
    const char *id, json_t *json)
{
	_cleanup_(freep) char *temporary = NULL, *path = NULL;
	int ret = 0;

	*ret_record = (struct freeze_record){.fd = -1, .json = json};
	assert(json != NULL);
	json_object_set_new(json, "varve_quiesce", json_integer(VERSION));
	snprintf(ret_record->directory, PATH_MAX, "%s", directory);
	snprintf(ret_record->id, FREEZE_ID_MAX, "%s", id);
	temporary = path_of(ret_record, ".", ".new");
	path = path_of(ret_record, "", ".json");
	if (mkdir(directory, 0700) < 0 && errno != EEXIST)
		ret = -errno;
	if (ret == 0)
		ret = write_locked(ret_record, temporary);
	if (ret == 0 && rename(temporary, path) < 0)
		ret = -errno;
	if (ret == 0)
		ret = directory_sync(ret_record);
	if (ret == 0)
		return NULL;
	unlink(temporary);
	unlink(path);
	freeze_record_done(ret_record);
	return trouble(ret_record, -ret);
}

/* ---- finding one ---- */

/* Not one that was removed while its lock was waited for. */
static bool
has_its_name(int fd, const char *path)
{
	struct stat open_file, named;

	return fstat(fd, &open_file) == 0 && stat(path, &named) == 0 &&
	       open_file.st_ino == named.st_ino &&
	       open_file.st_dev == named.st_dev;
}

static int
lock(int fd, bool waits)
{
	while (flock(fd, waits ? LOCK_EX : LOCK_EX | LOCK_NB) < 0) {
		if (errno != EINTR)
			return errno == EWOULDBLOCK ? -EAGAIN : -errno;
	}
	return 0;
}

static bool
is_record(const json_t *json)
{
	return json_integer_value(json_object_get(json, "varve_quiesce")) ==
		   VERSION &&
	       json_is_string(json_object_get(json, "hook")) &&
	       json_is_object(json_object_get(json, "about"));
}

int
freeze_record_take(struct freeze_record *ret_record, const char *directory,
    const char *id, bool waits)
{
	_cleanup_(freep) char *path = NULL;
	int ret;

	*ret_record = (struct freeze_record){.fd = -1};
	snprintf(ret_record->directory, PATH_MAX, "%s", directory);
	snprintf(ret_record->id, FREEZE_ID_MAX, "%s", id);
	path = path_of(ret_record, "", ".json");
	ret_record->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	if (ret_record->fd < 0)
		return errno == ENOENT ? -ENOENT : -EBADMSG;
	ret = lock(ret_record->fd, waits);
	if (ret == 0 && !has_its_name(ret_record->fd, path))
		ret = -ENOENT;
	if (ret == 0) {
		ret_record->json =
		    json_loadfd(ret_record->fd, JSON_REJECT_DUPLICATES, NULL);
		ret = is_record(ret_record->json) ? 0 : -EBADMSG;
	}
	if (ret < 0)
		freeze_record_done(ret_record);
	return ret;
}

/* ---- the hook's session ---- */

/* When it began, in ticks since the boot: with its number that is one process.
 * 0: there is none that lives. */
static unsigned long long
began(pid_t pid)
{
	unsigned long long ticks = 0;
	char path[32], line[1024], state = 'Z';
	const char *at;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return 0;
	/* proc(5): the name, in parentheses, may hold anything; the time is
	 * field 22, the 20th behind it */
	if (fgets(line, sizeof(line), file) != NULL &&
	    (at = strrchr(line, ')')) != NULL)
		sscanf(at + 1,
		    " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d"
		    " %*d %*d %*d %*d %*d %llu",
		    &state, &ticks);
	fclose(file);
	return state == 'Z' ? 0 : ticks;
}

/* Of this boot; "" if the kernel does not say. */
static void
boot_id(char ret_id[FREEZE_ID_MAX])
{
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	ret_id[0] = '\0';
	if (file != NULL && fscanf(file, "%36s", ret_id) != 1)
		ret_id[0] = '\0';
	if (file != NULL)
		fclose(file);
}

/* At once or not at all; it need not outlast the machine.  Without it (the disk
 * is full) what a killed keeper's hook goes on with is not ended. */
void
freeze_record_group(const struct freeze_record *record, pid_t session)
{
	_cleanup_(freep) char *temporary = path_of(record, ".", ".group-new");
	_cleanup_(freep) char *path = path_of(record, ".", ".group");
	char boot[FREEZE_ID_MAX], text[128];
	int fd = open(temporary,
	    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);

	boot_id(boot);
	snprintf(text, sizeof(text), "%d %llu %s\n", (int)session,
	    began(session), boot);
	if (fd < 0)
		return;
	if (text_write(fd, text) == 0)
		rename(temporary, path);
	close(fd);
}

/* Its number cannot be another's while any of it is left; when nothing is left
 * of it the number may be. */
static bool
group_is_it(pid_t session, unsigned long long ticks)
{
	unsigned long long now = began(session);

	return now == 0 || now == ticks;
}

static void
group_kill(pid_t session)
{
	const struct timespec pause = {.tv_nsec = 10000000};

	kill(-session, SIGKILL);
	for (unsigned i = 0; began(session) != 0 && i < END_WAIT; i++)
		nanosleep(&pause, NULL);
}

void
freeze_record_group_end(const struct freeze_record *record)
{
	_cleanup_(freep) char *path = path_of(record, ".", ".group");
	char boot[FREEZE_ID_MAX] = "", this_boot[FREEZE_ID_MAX];
	unsigned long long ticks = 0;
	FILE *file = fopen(path, "re");
	int session = 0;

	if (file == NULL)
		return;
	if (fscanf(file, "%d %llu %36s", &session, &ticks, boot) < 2)
		session = 0;
	fclose(file);
	boot_id(this_boot);
	if (session > 1 && strcmp(boot, this_boot) == 0 &&
	    group_is_it(session, ticks))
		group_kill(session);
}

/* ---- its end ---- */

void
freeze_record_remove(const struct freeze_record *record)
{
	static const char *const files[][2] = {{".", ".group-new"},
	    {".", ".group"}, {".", ".state"}, {"", ".json"}};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		_cleanup_(freep) char *path =
		    path_of(record, files[i][0], files[i][1]);
		unlink(path);
	}
	directory_sync(record);
}

void
freeze_record_done(struct freeze_record *record)
{
	if (record->fd >= 0)
		close(record->fd);
	record->fd = -1;
	json_decref(record->json);
	record->json = NULL;
}
