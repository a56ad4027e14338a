/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel's target, LIO, set up by its configfs (Linux:
 * Documentation/target, drivers/target).  Devices of ours are those of one HBA,
 * core/user_86, named by the uuid of their LUN; what exports them is ours as
 * well.  What somebody else has made is left alone, and where it is in the way
 * that is a problem that says so.
 *
 * The order, when a LUN comes: lio_device_make, its ring is served
 * (target/tcmu/ring.h), lio_apply with it.  When it goes: lio_apply without it,
 * the ring is closed, lio_device_remove.  In between the kernel waits for
 * commands that we have to answer, so every call here blocks: on a helper
 * thread (base/offload.h), never on a reactor.  One call at a time.
 */
#ifndef TARGET_TCMU_LIO_H
#define TARGET_TCMU_LIO_H

#include <stdbool.h>
#include <stdint.h>

#define LIO_HBA         86 /* core/user_86 */
#define LIO_DEVICE_MAX  37 /* a uuid as text, lower case, with the NUL */
#define LIO_IQN_MAX     224
#define LIO_PROBLEM_MAX 256
#define LIO_UIO_MAX     32 /* "/dev/uio7" */

struct lio_device {
	char name[LIO_DEVICE_MAX];
	uint64_t size; /* bytes */
	uint32_t block_size;
	bool is_open; /* by us, and nothing of its ring is in doubt */
	/* Of one that is made: who drives its ring hears of commands that are
	 * aborted, if the kernel can tell. */
	bool tells_aborts;
};

struct lio_lun {
	unsigned number;
	const char *device; /* lio_device.name */
	bool read_only;
};

/* A disk of this machine (tcm_loop). */
struct lio_loop {
	const char *device;
	uint8_t naa[8]; /* of the SAS address that the kernel wants; ours */
	/* Somebody answers its commands.  If not one that is there stays, but
	 * none is made: the kernel would wait for answers to its first ones. */
	bool served;
};

struct lio_credentials {
	const char *user, *secret; /* NULL: none */
};

struct lio_acl {
	const char *iqn; /* the initiator's */
	struct lio_credentials chap, mutual;
	const struct lio_lun *luns;
	unsigned lun_count;
};

struct lio_target {
	const char *iqn;
	const char *const *portals; /* "127.0.0.1:3261", "[::1]:3261" */
	unsigned portal_count;
	const struct lio_acl *acls;
	unsigned acl_count;
};

/* All that is to be exported, by whatever fabric. */
struct lio_config {
	const struct lio_loop *loops;
	unsigned loop_count;
	const struct lio_target *targets;
	unsigned target_count;
};

/* The root of configfs, "/sys/kernel/config" if NULL, and of sysfs and /dev for
 * tests; kept by the caller. */
struct lio_paths {
	const char *configfs, *sysfs, *dev;
};

struct lio;
struct lio *lio_new(const struct lio_paths *paths); /* NULL: no memory */
void lio_free(struct lio *lio);

/* What every call says when it fails: a sentence for the administrator, e.g.
 * "module target_core_user is not loaded"; valid until the next call. */
const char *lio_problem(const struct lio *lio);

/* Can it be used at all: configfs is mounted, the modules are there (or can be
 * loaded by the kernel), we may write.  0, or -errno and a problem. */
int lio_check(struct lio *lio);

/* The device is there and enabled afterwards; one that is there already (we
 * were killed, or run anew) is blocked, its ring reset, and *ret_resumed set:
 * lio_device_resume once the ring is served, and before lio_apply: the disk of
 * a loop that is made on a blocked device is asked for minutes what it is.  One
 * that is open goes on as it is.
 * ret_uio: what to open.  0; -EBUSY: another program has it open, for more than
 * a second; -errno. */
int lio_device_make(struct lio *lio, const struct lio_device *device,
    char ret_uio[LIO_UIO_MAX], bool *ret_resumed);
int lio_device_resume(struct lio *lio, const char *name);
/* One that nobody serves, whatever it is like, blocked and its ring reset: to
 * be opened, and resumed.  -ENOENT: it is not there, or was never enabled. */
int lio_device_seize(
    struct lio *lio, const char *name, char ret_uio[LIO_UIO_MAX]);
/* Nothing exports it any more.  0 also if it is not there.  If it cannot go it
 * is blocked. */
int lio_device_remove(struct lio *lio, const char *name);
/* Calls found for each device of ours that there is. */
int lio_devices(
    struct lio *lio, void (*found)(void *arg, const char *name), void *arg);

/* Is the disk of this machine that the loop is mounted, or part of another
 * device?  1: it is, 0: no, or there is none.  ret_disk: "/dev/sdb", or "". */
int lio_loop_in_use(
    struct lio *lio, const uint8_t naa[8], char ret_disk[LIO_UIO_MAX]);

/* Is the initiator logged in to the target?  Each TPG knows one session of an
 * ACL. */
bool lio_has_session(struct lio *lio, const char *iqn, const char *initiator);

/* Makes what is missing, mends what somebody removed or changed, and takes away
 * what is ours and no longer wanted.  Everything that can be done is done, also
 * after a failure; the first one is the result. */
int lio_apply(struct lio *lio, const struct lio_config *config);

/* Who was killed holds up every command: blocks each device of ours and ends
 * what its ring holds with BUSY, which initiators send again.  For the program
 * that systemd runs after varved has ended (ExecStopPost=).  One whose ring is
 * open, as varved runs, is left alone: -EBUSY. */
int lio_guard(struct lio *lio);

#endif
