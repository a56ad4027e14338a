/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/assert.h"
#include "base/ring.h"
#include "tools/doctor.h"
#include <errno.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef CONFIGFS_MAGIC /* linux/magic.h does not have it everywhere */
#define CONFIGFS_MAGIC 0x62656570
#endif

#define CONFIGFS "/sys/kernel/config"
#define DROP_IN                                                                \
	"install -D -m 644 /usr/local/share/varve/varved-tcmu.conf "           \
	"/etc/systemd/system/varved.service.d/tcmu.conf && systemctl "         \
	"daemon-reload && systemctl restart varved"

/* ---- io_uring ---- */

static void
io_uring_fails(struct doctor *doctor, int error)
{
	if (error == -ENOSYS)
		doctor_say(doctor, DOCTOR_ERROR, "kernel.io-uring",
		    "run Linux 5.13 or newer, with io_uring",
		    "this kernel has no io_uring, or too old a one");
	else if (error == -EPERM || error == -EACCES)
		doctor_say(doctor, DOCTOR_ERROR, "kernel.io-uring",
		    "sysctl kernel.io_uring_disabled=0   (in a container: let "
		    "its seccomp profile allow io_uring)",
		    "io_uring may not be used here: %s", strerror(-error));
	else
		doctor_say(doctor, DOCTOR_ERROR, "kernel.io-uring", "",
		    "io_uring cannot be used: %s", strerror(-error));
}

static void
check_io_uring(struct doctor *doctor)
{
	struct ring ring = {.file_slots = 0};
	int ret = ring_open(&ring, 4);

	if (ret < 0) {
		io_uring_fails(doctor, ret);
		return;
	}
	ring_close(&ring);
	doctor_say(
	    doctor, DOCTOR_NOTE, "kernel.io-uring", "", "io_uring can be used");
}

void
doctor_kernel(struct doctor *doctor)
{
	struct utsname name;

	if (uname(&name) == 0)
		doctor_say(doctor, DOCTOR_NOTE, "kernel.version", "",
		    "the kernel is %s %s", name.sysname, name.release);
	check_io_uring(doctor);
}

/* ---- locked memory ---- */

/* As the daemon makes them (target/daemon.c, base/loop.h). */
#define REACTORS_DEFAULT_MAX 8u
#define BUFFERS_DEFAULT      (64ull << 20)

static uint64_t
buffers_wanted(const struct config *config)
{
	unsigned reactors = config->reactors;
	cpu_set_t set;

	if (reactors == 0 && sched_getaffinity(0, sizeof(set), &set) == 0)
		reactors = (unsigned)CPU_COUNT(&set);
	if (config->reactors == 0 && reactors > REACTORS_DEFAULT_MAX)
		reactors = REACTORS_DEFAULT_MAX;
	return reactors * (config->buffer_bytes > 0 ? config->buffer_bytes
						    : BUFFERS_DEFAULT);
}

/* varved's own limit; of ours, as one started from here would have it, if it
 * does not run. */
static uint64_t
locked_limit(const struct doctor *doctor)
{
	struct rlimit limit;
	char text[128];

	if (doctor_proc(
		doctor, "limits", "Max locked memory", text, sizeof(text)))
		return text[strspn(text, " ")] == 'u'
			   ? UINT64_MAX
			   : strtoull(text, NULL, 10);
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0 ||
	    limit.rlim_cur == RLIM_INFINITY)
		return UINT64_MAX;
	return limit.rlim_cur;
}

void
doctor_memory(struct doctor *doctor)
{
	const char *of =
	    doctor->pid != 0 ? "varved" : "a program of this shell";
	uint64_t limit = locked_limit(doctor);
	uint64_t wanted = buffers_wanted(&doctor->config);
	char fix[160];

	if (limit >= wanted) {
		doctor_say(doctor, DOCTOR_NOTE, "memory.locked", "",
		    "%s may lock the %" PRIu64 " MiB of its buffers", of,
		    wanted >> 20);
		return;
	}
	snprintf(fix, sizeof(fix),
	    "LimitMEMLOCK=%" PRIu64 "M in the unit of varved; in a shell: "
	    "ulimit -l %" PRIu64,
	    (wanted >> 20) + 16, (wanted >> 10) + (16 << 10));
	/* The unit has a limit of its own: what a shell has is of use to who
	 * starts varved from it. */
	doctor_say(doctor, doctor->pid != 0 ? DOCTOR_WARNING : DOCTOR_NOTE,
	    "memory.locked", fix,
	    "%s may lock %" PRIu64 " KiB (RLIMIT_MEMLOCK), and buffers are "
	    "%" PRIu64 " MiB: they work unlocked, a little slower",
	    of, limit >> 10, wanted >> 20);
}

/* ---- modules ---- */

enum module_state { MODULE_LOADED, MODULE_THERE, MODULE_MISSING };

/* "kernel/drivers/target/target_core_mod.ko.xz: ..." */
static bool
line_has_module(const char *line, const char *module)
{
	size_t length = strcspn(line, ":\n"), name = strlen(module);
	const char *slash = memrchr(line, '/', length);
	const char *base = slash != NULL ? slash + 1 : line;

	for (size_t i = 0; i < name; i++) /* - and _ are one */
		if ((base[i] == '-' ? '_' : base[i]) != module[i])
			return false;
	return strncmp(base + name, ".ko", 3) == 0;
}

static bool
list_has_module(const char *list, const char *module)
{
	struct utsname name;
	char path[512], *line = NULL;
	size_t size = 0;
	bool found = false;
	FILE *file;

	if (uname(&name) < 0)
		return false;
	snprintf(path, sizeof(path), "/lib/modules/%s/%s", name.release, list);
	file = fopen(path, "re");
	while (file != NULL && !found && getline(&line, &size, file) > 0)
		found = line_has_module(line, module);
	if (file != NULL)
		fclose(file);
	free(line);
	return found;
}

static enum module_state
module_state(const char *module)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/module/%s", module);
	if (access(path, F_OK) == 0 ||
	    list_has_module("modules.builtin", module))
		return MODULE_LOADED;
	return list_has_module("modules.dep", module) ? MODULE_THERE
						      : MODULE_MISSING;
}

/* by_itself: the kernel loads it when it is asked for. */
static void
check_module(
    struct doctor *doctor, const char *module, bool wanted, bool by_itself)
{
	enum doctor_severity severity = wanted ? DOCTOR_ERROR : DOCTOR_NOTE;
	char fix[128];

	switch (module_state(module)) {
	case MODULE_LOADED:
		doctor_say(doctor, DOCTOR_NOTE, "kernel.module", "",
		    "module %s is loaded", module);
		return;
	case MODULE_THERE:
		snprintf(fix, sizeof(fix),
		    "modprobe %s; for each start: echo %s >> "
		    "/etc/modules-load.d/varve-tcmu.conf",
		    module, module);
		doctor_say(doctor, by_itself ? DOCTOR_NOTE : severity,
		    "kernel.module", fix,
		    "module %s is not loaded, but it is there", module);
		return;
	case MODULE_MISSING:
		doctor_say(doctor, severity, "kernel.module",
		    "run a kernel that has it: Debian's linux-image-amd64 does",
		    "module %s is not there: not loaded, and not in "
		    "/lib/modules",
		    module);
	}
}

/* ---- configfs ---- */

static bool
configfs_mounted(void)
{
	struct statfs fs;

	return statfs(CONFIGFS, &fs) == 0 &&
	       (unsigned long)fs.f_type == CONFIGFS_MAGIC;
}

/* Where varved does not run we ourselves are asked: that is of use to root. */
static bool
may_write(const struct doctor *doctor)
{
	/* linux/capability.h: CAP_DAC_OVERRIDE, CAP_SYS_ADMIN */
	const uint64_t needed = 1ull << 1 | 1ull << 21;
	char text[64];

	if (doctor_proc(doctor, "status", "CapEff:", text, sizeof(text)))
		return (strtoull(text, NULL, 16) & needed) == needed;
	return access(CONFIGFS "/target/core", W_OK) == 0 ||
	       (access(CONFIGFS "/target", F_OK) < 0 && geteuid() == 0);
}

static void
check_rights(struct doctor *doctor, enum doctor_severity severity)
{
	const char *who = doctor->pid != 0 ? "varved" : "you";

	if (may_write(doctor))
		doctor_say(doctor, DOCTOR_NOTE, "kernel.rights", "",
		    "%s may set up the kernel's target", who);
	else
		doctor_say(doctor, severity, "kernel.rights",
		    doctor->pid != 0 ? DROP_IN : "sudo varve doctor",
		    "%s may not set up the kernel's target: CAP_SYS_ADMIN and "
		    "CAP_DAC_OVERRIDE are missing",
		    who);
}

void
doctor_target(struct doctor *doctor)
{
	bool any = doctor->wants_tcmu || doctor->wants_loop;
	enum doctor_severity severity = any ? DOCTOR_ERROR : DOCTOR_NOTE;

	check_module(doctor, "target_core_mod", any, false);
	check_module(doctor, "target_core_user", any, false);
	check_module(doctor, "tcm_loop", doctor->wants_loop, true);
	check_module(doctor, "iscsi_target_mod", doctor->wants_tcmu, true);
	if (configfs_mounted())
		doctor_say(doctor, DOCTOR_NOTE, "kernel.configfs", "",
		    "configfs is mounted on " CONFIGFS);
	else
		doctor_say(doctor, severity, "kernel.configfs",
		    "mount -t configfs none " CONFIGFS,
		    "configfs is not mounted on " CONFIGFS);
	if (doctor->pid != 0 || configfs_mounted())
		check_rights(doctor, severity);
}
