/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring by libtcmu (Debian's libtcmu2), for who wants the library that other
 * programs use to be the one that moves it.  ring_native.c is the default and
 * does more: what libtcmu 1.5.4 gets wrong is in docs/tcmu.md, and the tests
 * expect it to fail there (tcmu-runner's issues 704 and 709).
 *
 * The library is loaded, not linked: it brings glib and libnl, and who does not
 * ask for it need not have them.  Its header, of Debian's source package, gives
 * the types of what is looked up; without the header there is no such driver in
 * the build.
 *
 * Two of its functions are used, the one that takes a command and the one that
 * answers it.  Its context (tcmulib_initialize) is not.  A process has one, as
 * libnl knows its family but once; that opens the devices there are when it is
 * made, and later only those that the kernel makes then: not that of a pool
 * which is opened later, nor one again whose ring was reset.  What it opens it
 * has reset and unblocked by itself; when it closes, it waits without an end
 * for answers to whatever is in the ring.  And it has the kernel wait for a
 * listener's word about every new device of anybody, as long as the module is
 * loaded, and says "no such device" of those of others.
 *
 * So the device they work on is made here, and that is the private part:
 * struct tcmu_device of libtcmu_priv.h.  Before anything relies on it, the
 * library's own accessors have to find in it what was put there.
 */
#include "target/tcmu/ring.h"
#include <errno.h>

/* It has no memory barriers (tcmu-runner's issue 688), so it is only for
 * processors that keep the order of loads and of stores by themselves. */
#if __has_include(<libtcmu.h>) && (defined(__x86_64__) || defined(__i386__))

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <libtcmu.h> /* wants pthread.h before it */

/* the header would define struct iovec once more */
#define __LINUX_UIO_H
#include <linux/target_core_user.h>

#define LIBRARY "libtcmu.so.2"

const bool tcmu_libtcmu_is_built = true;

/* What struct tcmu_device begins with.  The rest is for the library's context:
 * zeroes. */
struct library_device {
	int fd;
	void *map;
	size_t map_length;
	uint32_t taken; /* cmd_tail: up to here entries have been read */
	uint64_t block_count;
	uint8_t rest[2 * PATH_MAX];
};

struct library_ring {
	struct tcmu_ring ring;
	struct library_device device;
	unsigned unanswered;
	/* What the library knows of each command under way.  The kernel gives
	 * the lowest ids first, so little of this is ever touched. */
	struct tcmulib_cmd *commands[UINT16_MAX + 1];
};

static struct {
	bool loaded;
	typeof(tcmulib_get_next_command) *next;
	typeof(tcmulib_command_complete) *complete;
	typeof(tcmu_cdb_get_length) *cdb_length;
	/* for layout_is_known */
	typeof(tcmu_dev_get_fd) *fd;
	typeof(tcmu_dev_get_memory_info) *memory;
	typeof(tcmu_dev_get_num_lbas) *block_count;
	typeof(tcmu_dev_get_uio_name) *uio_name;
	typeof(tcmu_dev_get_cfgstring) *configuration;
} library;

static struct library_ring *
library_ring_of(struct tcmu_ring *ring)
{
	return container_of(ring, struct library_ring, ring);
}

static struct tcmu_device *
as_library(struct library_device *device)
{
	return (struct tcmu_device *)device;
}

/* ---- loading ---- */

static int
functions_find(void *handle, const char **ret_problem)
{
	const struct {
		const char *name;
		void *at;
	} functions[] = {
	    {"tcmulib_get_next_command", &library.next},
	    {"tcmulib_command_complete", &library.complete},
	    {"tcmu_cdb_get_length", &library.cdb_length},
	    {"tcmu_dev_get_fd", &library.fd},
	    {"tcmu_dev_get_memory_info", &library.memory},
	    {"tcmu_dev_get_num_lbas", &library.block_count},
	    {"tcmu_dev_get_uio_name", &library.uio_name},
	    {"tcmu_dev_get_cfgstring", &library.configuration},
	};

	for (size_t i = 0; i < ARRAY_SIZE(functions); i++) {
		void *function = dlsym(handle, functions[i].name);
		if (function == NULL) {
			*ret_problem = dlerror();
			return -ELIBBAD;
		}
		memcpy(functions[i].at, &function, sizeof(function));
	}
	return 0;
}

static bool
is_within(const struct library_device *device, const char *at, size_t length)
{
	const char *begin = (const char *)device;

	return at >= begin + offsetof(struct library_device, rest) &&
	       at + length <= begin + sizeof(*device);
}

/* taken has no accessor; it is what lies between two members that have. */
static bool
layout_is_known(void)
{
	static struct library_device probe;
	void *map;
	size_t length;

	probe = (struct library_device){.fd = 0x1234,
	    .map = &probe,
	    .map_length = 0x2345,
	    .block_count = 0x3456};
	free(library.memory(as_library(&probe), &map, &length, NULL));
	return library.fd(as_library(&probe)) == probe.fd && map == probe.map &&
	       length == probe.map_length &&
	       library.block_count(as_library(&probe)) == probe.block_count &&
	       is_within(&probe, library.uio_name(as_library(&probe)), 16) &&
	       is_within(
		   &probe, library.configuration(as_library(&probe)), PATH_MAX);
}

int
tcmu_libtcmu_load(const char **ret_problem)
{
	void *handle;
	int ret;

	if (library.loaded)
		return 0;
	handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (handle == NULL) {
		*ret_problem = dlerror();
		return -ELIBACC;
	}
	ret = functions_find(handle, ret_problem);
	if (ret < 0)
		return ret;
	if (!layout_is_known()) {
		*ret_problem = LIBRARY ": not of a version that varve knows";
		return -ELIBBAD;
	}
	library.loaded = true;
	return 0;
}

/* ---- commands ---- */

static int
command_from(struct tcmu_ring *ring, const struct tcmulib_cmd *from,
    struct tcmu_command *command)
{
	int length = library.cdb_length(from->cdb);

	*command = (struct tcmu_command){.id = from->cmd_id};
	command->cdb_length =
	    (uint8_t)(length < SCSI_CDB_MAX ? length : SCSI_CDB_MAX);
	memcpy(command->cdb, from->cdb, command->cdb_length);
	for (size_t i = 0; i < from->iov_cnt; i++) {
		const struct iovec *iov = &from->iovec[i];
		if (!tcmu_command_add(ring, command,
			(uint64_t)((uintptr_t)iov->iov_base -
				   (uintptr_t)ring->map),
			iov->iov_len))
			return -EIO;
	}
	return 1;
}

/* Of what is no ring the library says nothing; that it reads the same entry
 * for ever, or a command twice, can be seen. */
static int
library_next(struct tcmu_ring *ring, struct tcmu_event *ret_event)
{
	struct library_ring *l = library_ring_of(ring);
	uint32_t before = l->device.taken;
	struct tcmulib_cmd *cmd = library.next(as_library(&l->device), 0);
	int ret = -EIO;

	if (cmd == NULL)
		return 0;
	ret_event->kind = TCMU_COMMAND;
	if (l->device.taken != before && l->commands[cmd->cmd_id] == NULL)
		ret = command_from(ring, cmd, &ret_event->command);
	if (ret < 0) {
		free(cmd);
		return ret;
	}
	l->commands[cmd->cmd_id] = cmd;
	l->unanswered++;
	return ret;
}

/* It has no words for the others.  BUSY is sent again, which is what is wanted
 * of a command that was aborted; nothing here reserves, or has an ACA. */
static int
status_of(enum scsi_status status)
{
	switch (status) {
	case SCSI_GOOD: return TCMU_STS_OK;
	case SCSI_CHECK_CONDITION: return TCMU_STS_PASSTHROUGH_ERR;
	case SCSI_TASK_SET_FULL: return TCMU_STS_NO_RESOURCE;
	default: return TCMU_STS_BUSY;
	}
}

static void
library_complete(struct tcmu_ring *ring, const struct tcmu_answer *answer)
{
	struct library_ring *l = library_ring_of(ring);
	struct tcmulib_cmd *cmd = l->commands[answer->id];

	assert(cmd != NULL);
	assert(!answer->is_short);
	assert(answer->sense_length <= sizeof(cmd->sense_buf));
	memset(cmd->sense_buf, 0, sizeof(cmd->sense_buf));
	if (answer->sense_length > 0)
		memcpy(cmd->sense_buf, answer->sense, answer->sense_length);
	l->commands[answer->id] = NULL;
	l->unanswered--;
	library.complete(
	    as_library(&l->device), cmd, status_of(answer->status));
}

/* ---- life ---- */

static void
library_free(struct tcmu_ring *ring)
{
	struct library_ring *l = library_ring_of(ring);

	assert(l->unanswered == 0);
	free(l);
}

static const struct tcmu_ring_ops library_ops = {
    .next = library_next,
    .complete = library_complete,
    .free = library_free,
};

int
tcmu_libtcmu_new(int fd, void *map, size_t size, struct tcmu_ring **ret_ring)
{
	const struct tcmu_mailbox *mailbox = map;
	struct library_ring *l;

	if (!library.loaded)
		return -ELIBACC;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	/* Not heritable: a command that it passed over leaves the tail for good
	 * at one that was answered, and who began there would do that again. */
	l->ring.ops = &library_ops;
	l->device.fd = fd;
	l->device.map = map;
	l->device.map_length = size;
	l->device.taken = mailbox->cmd_tail;
	*ret_ring = &l->ring;
	return 0;
}

#else

const bool tcmu_libtcmu_is_built = false;

int
tcmu_libtcmu_load(const char **ret_problem)
{
	*ret_problem = "varve was built without it";
	return -ENOSYS;
}

int
tcmu_libtcmu_new(int fd, void *map, size_t size, struct tcmu_ring **ret_ring)
{
	(void)fd;
	(void)map;
	(void)size;
	(void)ret_ring;
	return -ENOSYS;
}

#endif
