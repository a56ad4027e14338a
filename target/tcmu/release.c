/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread answers for the devices while they are taken down.
 */
#include "target/tcmu/release.h"
#include "base/cleanup.h"
#include "target/scsi/sense.h"
#include "target/tcmu/lio_step.h"
#include "target/tcmu/ring.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>

struct release {
	struct lio *lio;
	char (*names)[LIO_DEVICE_MAX];
	unsigned count;
	struct tcmu_ring **rings; /* NULL: not open */
	struct pollfd *polls;     /* the rings', and the end */
	int stop_fd;
	struct tcmu_event event; /* too large for a stack */
};

int
tcmu_lock(int *ret_fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	int fd = open(TCMU_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0600), ret;

	if (fd < 0)
		return -errno;
	if (fcntl(fd, F_OFD_SETLK, &lock) == 0) {
		*ret_fd = fd;
		return 0;
	}
	ret = errno == EACCES ? -EAGAIN : -errno;
	close(fd);
	return ret;
}

/* ---- answers ---- */

static void
refuse(struct tcmu_ring *ring, const struct tcmu_command *command)
{
	uint8_t sense[SENSE_DATA_MAX];
	const struct tcmu_answer gone = {.id = command->id,
	    .status = SCSI_CHECK_CONDITION,
	    .sense = sense,
	    .sense_length = (unsigned)sense_encode(
		&SENSE_MEDIUM_NOT_PRESENT, false, sense)};

	tcmu_ring_complete(ring, &gone);
}

/* uio counts what has come, and is quiet again when that has been read.  False:
 * the device has gone, of which it would never be quiet. */
static bool
refuse_all(struct release *release, struct tcmu_ring *ring)
{
	struct tcmu_event *event = &release->event;
	uint32_t count;

	if (read(ring->fd, &count, sizeof(count)) < 0 && errno == EIO)
		return false;
	while (tcmu_ring_next(ring, event) > 0)
		if (event->kind == TCMU_COMMAND)
			refuse(ring, &event->command);
	return tcmu_ring_kick(ring) == 0;
}

static void *
answer(void *arg)
{
	struct release *release = arg;
	struct pollfd *stop = &release->polls[release->count];

	do {
		for (unsigned i = 0; i < release->count; i++) {
			struct pollfd *p = &release->polls[i];
			if (p->fd >= 0 &&
			    !refuse_all(release, release->rings[i]))
				p->fd = -1;
		}
		while (poll(release->polls, release->count + 1, -1) < 0)
			assert(errno == EINTR);
	} while (stop->revents == 0);
	return NULL;
}

/* ---- devices ---- */

static void
found(void *arg, const char *name)
{
	struct release *release = arg;
	void *more = realloc(
	    release->names, (release->count + 1) * sizeof(*release->names));

	assert(more != NULL);
	release->names = more;
	snprintf(release->names[release->count++], sizeof(*release->names),
	    "%s", name);
}

/* One that never was enabled needs nobody to answer for it. */
static int
device_open(struct release *release, unsigned i)
{
	char uio[LIO_UIO_MAX];
	int ret = lio_device_seize(release->lio, release->names[i], uio);

	release->polls[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	if (ret < 0)
		return ret == -ENOENT ? 0 : ret;
	ret = tcmu_ring_open(TCMU_NATIVE, uio, &release->rings[i]);
	if (ret < 0)
		return lio_fail(release->lio, ret, "cannot open %s: %s", uio,
		    strerror(-ret));
	release->polls[i].fd = release->rings[i]->fd;
	return 0;
}

static int
devices_open(struct release *release)
{
	int ret = lio_devices(release->lio, found, release);

	release->rings = calloc(release->count + 1, sizeof(*release->rings));
	release->polls = calloc(release->count + 1, sizeof(*release->polls));
	assert(release->rings != NULL && release->polls != NULL);
	for (unsigned i = 0; i < release->count && ret == 0; i++)
		ret = device_open(release, i);
	release->polls[release->count] =
	    (struct pollfd){.fd = release->stop_fd, .events = POLLIN};
	return ret;
}

/* The first problem is the one that is told. */
static int
take_down(struct release *release)
{
	struct lio *lio = release->lio;
	int ret = 0;

	for (unsigned i = 0; i < release->count && ret == 0; i++)
		if (release->rings[i] != NULL)
			ret = lio_device_resume(lio, release->names[i]);
	return ret < 0 ? ret : lio_apply(lio, &(struct lio_config){0});
}

static int
devices_remove(struct release *release, int ret)
{
	for (unsigned i = 0; i < release->count; i++) {
		if (release->rings[i] != NULL)
			tcmu_ring_close(release->rings[i]);
		if (ret == 0)
			ret =
			    lio_device_remove(release->lio, release->names[i]);
	}
	return ret;
}

static int
release_run(struct release *release)
{
	const uint64_t one = 1;
	pthread_t thread;
	int ret = devices_open(release);

	if (ret == 0) {
		ret = pthread_create(&thread, NULL, answer, release);
		assert(ret == 0);
		ret = take_down(release);
		if (write(release->stop_fd, &one, sizeof(one)) < 0)
			assert(false);
		pthread_join(thread, NULL);
	}
	ret = devices_remove(release, ret);
	free(release->names);
	free(release->rings);
	free(release->polls);
	return ret;
}

int
tcmu_release(struct lio *lio)
{
	_cleanup_(closep) int lock = -1, stop = -1;
	struct release release = {.lio = lio};
	int ret = tcmu_lock(&lock);

	lio_begin(lio);
	if (ret == -EAGAIN)
		return lio_fail(lio, ret, "varved runs: varve export remove");
	if (ret < 0)
		return lio_fail(
		    lio, ret, "cannot open " TCMU_LOCK ": %s", strerror(-ret));
	stop = release.stop_fd = eventfd(0, EFD_CLOEXEC);
	if (stop < 0)
		return lio_fail(lio, -errno, "eventfd: %s", strerror(errno));
	return release_run(&release);
}
