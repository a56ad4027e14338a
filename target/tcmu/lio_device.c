/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices: core/user_86/UUID, each with a ring behind /dev/uioN.
 *
 * Without replies by netlink (nl_reply_supported=-1) making one cannot hang on
 * a daemon that is not there, nor be refused by one that is (tcmu-runner).
 * Without a timeout of commands (cmd_time_out=0) an outage of ours is a delay
 * to initiators and not an error.
 */
#include "target/scsi/task.h"
#include "target/tcmu/lio_step.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* What one device may hold of data, as addresses: pages are taken by need, and
 * given back above the kernel's limit for all (global_max_data_area_mb, 2048).
 * A command has a block or more to itself, and the largest transfer no more of
 * them than a task has elements: then each is one. */
#define DATA_AREA_MB     256
#define RING_MB          1 /* of kernel memory; 8 if not said */
#define PAGES_PER_BLOCK  128u
#define TRANSFER_BYTES   SCSI_TRANSFER_MAX
#define FREE_TRIES       20
#define FREE_INTERVAL_NS 50000000

static_assert(
    SCSI_TRANSFER_MAX / (PAGES_PER_BLOCK * 4096u) <= SCSI_TASK_IOV_MAX,
    "the largest transfer fits a task");

static struct lio_path
hba_dir(const struct lio *lio)
{
	return lio_path("%s/target/core/user_%u", lio->configfs, LIO_HBA);
}

static struct lio_path
device_dir(const struct lio *lio, const char *name)
{
	return lio_path("%s/%s", hba_dir(lio).text, name);
}

static struct lio_path
device_at(const struct lio *lio, const char *name, const char *entry)
{
	return lio_path("%s/%s/%s", hba_dir(lio).text, name, entry);
}

static int
device_get(struct lio *lio, const char *name, const char *entry,
    char ret[LIO_TEXT_MAX])
{
	return lio_get(
	    lio, device_at(lio, name, entry).text, ret, LIO_TEXT_MAX);
}

static int
device_set(
    struct lio *lio, const char *name, const char *entry, const char *value)
{
	return lio_set(lio, device_at(lio, name, entry).text, value);
}

/* An action reads as nothing of use: always written. */
static int
device_act(
    struct lio *lio, const char *name, const char *entry, const char *value)
{
	return lio_write(lio, device_at(lio, name, entry).text, value);
}

static bool
device_is_enabled(struct lio *lio, const char *name)
{
	char text[LIO_TEXT_MAX];

	return device_get(lio, name, "enable", text) == 0 &&
	       strcmp(text, "1") == 0;
}

int
lio_device_name_check(struct lio *lio, const char *name)
{
	size_t length = strlen(name);

	if (length > 0 && length < LIO_DEVICE_MAX &&
	    strspn(name, "0123456789abcdef-") == length)
		return 0;
	return lio_fail(lio, -EINVAL, "%.40s is no device of varve", name);
}

/* ---- the uio device ---- */

static bool
uio_is_of(struct lio *lio, const char *uio, const char *name)
{
	struct lio_path path =
	    lio_path("%s/class/uio/%s/name", lio->sysfs, uio);
	struct lio_path wanted =
	    lio_path("tcm-user/%u/%s/varve/%s", LIO_HBA, name, name);
	char text[LIO_TEXT_MAX];

	return lio_get(lio, path.text, text, sizeof(text)) == 0 &&
	       strcmp(text, wanted.text) == 0;
}

static int
uio_find(struct lio *lio, const char *name, char ret_uio[LIO_UIO_MAX])
{
	struct lio_path dir = lio_path("%s/class/uio", lio->sysfs);
	struct lio_list list;
	int ret = lio_read_dir(lio, dir.text, &list), length = -1;

	if (ret < 0)
		return ret;
	for (unsigned i = 0; i < list.count && length < 0; i++)
		if (uio_is_of(lio, list.entries[i].name, name))
			length = snprintf(ret_uio, LIO_UIO_MAX, "%s/%s",
			    lio->dev, list.entries[i].name);
	lio_list_done(&list);
	if (length > 0 && length < LIO_UIO_MAX)
		return 0;
	return lio_fail(lio, -ENODEV,
	    "the kernel has no uio device for %s in %s", name, dir.text);
}

/* Nobody has its ring.  Who was killed a moment ago may still: the kernel lets
 * go of what an io_uring held after the process has gone. */
static int
uio_check_free(struct lio *lio, const char *name, const char *uio)
{
	const struct timespec interval = {.tv_nsec = FREE_INTERVAL_NS};
	int ret;

	for (;;) {
		ret = lio->files->try_open(lio->arg, uio);
		if (ret != -EBUSY || lio->waited >= FREE_TRIES)
			break;
		lio->waited++;
		nanosleep(&interval, NULL);
	}
	if (ret == -EBUSY)
		return lio_fail(lio, ret,
		    "device %s is served by another program (%s)", name, uio);
	return ret < 0 ? lio_fail(lio, ret, "cannot open %s: %s", uio,
			     strerror(-ret))
		       : 0;
}

/* ---- make ---- */

static int
serial_set(struct lio *lio, const char *name)
{
	char now[LIO_TEXT_MAX];
	const char *last;

	/* "T10 VPD Unit Serial Number: UUID" */
	if (device_get(lio, name, "wwn/vpd_unit_serial", now) == 0) {
		last = strrchr(now, ' ');
		if (last != NULL && strcmp(last + 1, name) == 0)
			return 0;
	}
	return device_act(lio, name, "wwn/vpd_unit_serial", name);
}

/* Both can be changed for as long as nothing exports the device. */
static int
timeouts_set(struct lio *lio, const char *name)
{
	int ret = device_set(lio, name, "attrib/cmd_time_out", "0");

	return ret < 0 ? ret
		       : device_set(lio, name, "attrib/qfull_time_out", "-1");
}

/* Not there before Linux 5.10. */
static int
aborts_tell(struct lio *lio, const char *name)
{
	char now[LIO_TEXT_MAX];

	return device_get(lio, name, "attrib/tmr_notification", now) < 0
		   ? 0
		   : device_set(lio, name, "attrib/tmr_notification", "1");
}

static int
device_enable(struct lio *lio, const struct lio_device *device)
{
	struct lio_path control = lio_path(
	    "dev_config=varve/%s,"
	    "dev_size=%" PRIu64 ",hw_block_size=%u,hw_max_sectors=%u,"
	    "nl_reply_supported=-1,cmd_ring_size_mb=%u,max_data_area_mb=%u,"
	    "data_pages_per_blk=%u",
	    device->name, device->size, device->block_size,
	    TRANSFER_BYTES / device->block_size, RING_MB, DATA_AREA_MB,
	    PAGES_PER_BLOCK);
	int ret = device_act(lio, device->name, "control", control.text);

	if (ret == 0)
		ret = serial_set(lio, device->name);
	if (ret == 0)
		ret = timeouts_set(lio, device->name);
	if (ret == 0 && device->tells_aborts)
		ret = aborts_tell(lio, device->name);
	if (ret == 0)
		ret = device_act(lio, device->name, "enable", "1");
	return ret;
}

/* An enabled device of that name: is it the one that we would have made? */
static int
device_compare(struct lio *lio, const struct lio_device *device)
{
	struct lio_path config = lio_path("varve/%s", device->name);
	char text[LIO_TEXT_MAX], block[16];

	device_get(lio, device->name, "attrib/dev_config", text);
	if (strcmp(text, config.text) != 0)
		return lio_fail(lio, -EEXIST,
		    "device %s is not varve's: its dev_config is \"%.80s\"",
		    device->name, text);
	snprintf(block, sizeof(block), "%u", device->block_size);
	device_get(lio, device->name, "attrib/hw_block_size", text);
	if (strcmp(text, block) != 0)
		return lio_fail(lio, -EINVAL,
		    "device %s has blocks of %.20s bytes and not of %s",
		    device->name, text, block);
	return 0;
}

/* The kernel tells its listeners of the new size and keeps it only if there
 * was one (ESRCH).  It does nothing with it: READ CAPACITY is answered by us,
 * so that is no failure. */
static int
size_set(struct lio *lio, const char *name, uint64_t size)
{
	struct lio_path path = device_at(lio, name, "attrib/dev_size");
	char text[24], now[LIO_TEXT_MAX];
	int ret;

	snprintf(text, sizeof(text), "%" PRIu64, size);
	if (lio_get(lio, path.text, now, sizeof(now)) == 0 &&
	    strcmp(now, text) == 0)
		return 0;
	ret = lio->files->write(lio->arg, path.text, text);
	if (ret == 0 || ret == -ESRCH)
		return 0;
	return lio_fail(
	    lio, ret, "cannot write %s: %s", path.text, strerror(-ret));
}

/* Nothing new comes, and what came ends with BUSY, which is sent again. */
static int
device_block(struct lio *lio, const char *name)
{
	int ret = device_act(lio, name, "action/block_dev", "1");

	return ret < 0 ? ret : device_act(lio, name, "action/reset_ring", "1");
}

static int
device_resume(
    struct lio *lio, const struct lio_device *device, char ret_uio[LIO_UIO_MAX])
{
	int ret = device_compare(lio, device);

	if (ret == 0)
		ret = uio_find(lio, device->name, ret_uio);
	if (ret == 0 && !device->is_open)
		ret = uio_check_free(lio, device->name, ret_uio);
	if (ret == 0 && !device->is_open)
		ret = device_block(lio, device->name);
	if (ret == 0)
		ret = timeouts_set(lio, device->name);
	return ret < 0 ? ret : size_set(lio, device->name, device->size);
}

static int
device_check(struct lio *lio, const struct lio_device *device)
{
	int ret = lio_device_name_check(lio, device->name);

	if (ret == 0 &&
	    (device->block_size == 0 || TRANSFER_BYTES % device->block_size))
		ret = lio_fail(lio, -EINVAL, "device %s: blocks of %u bytes",
		    device->name, device->block_size);
	return ret;
}

int
lio_device_make(struct lio *lio, const struct lio_device *device,
    char ret_uio[LIO_UIO_MAX], bool *ret_resumed)
{
	int ret;

	lio_begin(lio);
	*ret_resumed = false;
	ret = device_check(lio, device);
	if (ret == 0)
		ret = lio_hba_make(lio);
	if (ret < 0)
		return ret;
	if (device_is_enabled(lio, device->name)) {
		ret = device_resume(lio, device, ret_uio);
		*ret_resumed = ret == 0 && !device->is_open;
		return ret;
	}
	ret = lio_make_dir(lio, device_dir(lio, device->name).text);
	if (ret == 0)
		ret = device_enable(lio, device);
	return ret < 0 ? ret : uio_find(lio, device->name, ret_uio);
}

int
lio_hba_make(struct lio *lio)
{
	return lio_make_with_module(lio, hba_dir(lio).text, "target_core_user");
}

int
lio_device_resume(struct lio *lio, const char *name)
{
	int ret;

	lio_begin(lio);
	ret = lio_device_name_check(lio, name);
	return ret < 0 ? ret : device_act(lio, name, "action/block_dev", "0");
}

int
lio_device_seize(struct lio *lio, const char *name, char ret_uio[LIO_UIO_MAX])
{
	int ret;

	lio_begin(lio);
	ret = lio_device_name_check(lio, name);
	if (ret < 0 || !device_is_enabled(lio, name))
		return ret < 0 ? ret : -ENOENT;
	ret = uio_find(lio, name, ret_uio);
	if (ret == 0)
		ret = uio_check_free(lio, name, ret_uio);
	return ret < 0 ? ret : device_block(lio, name);
}

int
lio_device_remove(struct lio *lio, const char *name)
{
	int ret;

	lio_begin(lio);
	ret = lio_device_name_check(lio, name);
	if (ret == 0)
		ret = lio_remove_dir(lio, device_dir(lio, name).text);
	if (ret < 0 && device_is_enabled(lio, name))
		device_block(lio, name); /* nobody answers for it */
	return ret;
}

/* One that has not got so far as to have a configuration is ours, too. */
static bool
device_is_ours(struct lio *lio, const char *name)
{
	struct lio_path config = lio_path("varve/%s", name);
	char text[LIO_TEXT_MAX];

	return strlen(name) < LIO_DEVICE_MAX &&
	       (device_get(lio, name, "attrib/dev_config", text) < 0 ||
		   text[0] == '\0' || strcmp(text, config.text) == 0);
}

int
lio_devices(
    struct lio *lio, void (*found)(void *arg, const char *name), void *arg)
{
	struct lio_list list;
	int ret;

	lio_begin(lio);
	ret = lio_read_dir(lio, hba_dir(lio).text, &list);
	for (unsigned i = 0; i < list.count; i++)
		if (device_is_ours(lio, list.entries[i].name))
			found(arg, list.entries[i].name);
	lio_list_done(&list);
	return ret;
}

/* ---- guard ---- */

/* One that is served, as varved runs, must not be disturbed. */
static void
guard_device(void *arg, const char *name)
{
	struct lio *lio = arg;
	char uio[LIO_UIO_MAX];

	if (device_is_enabled(lio, name) && uio_find(lio, name, uio) == 0 &&
	    uio_check_free(lio, name, uio) == 0)
		device_block(lio, name);
}

int
lio_guard(struct lio *lio)
{
	lio_devices(lio, guard_device, lio);
	return lio->result;
}
