/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What hosts are to see by the kernel's target: from rows of the state to a
 * struct lio_config.
 */
#ifndef TARGET_KERNEL_VIEW_H
#define TARGET_KERNEL_VIEW_H

#include "target/config.h"
#include "target/state.h"
#include "target/tcmu/lio.h"

/* Zeroed at first. */
struct kernel_view {
	struct state_export *exports; /* of all carriers */
	unsigned export_count;
	/* points into what follows, once it is built */
	struct lio_config config;
	/* kernel_view.c's, each with room for every export */
	struct state_host *hosts;
	unsigned host_count;
	char (*iqns)[LIO_IQN_MAX + 8];
	struct lio_loop *loops;
	struct lio_target *targets;
	struct lio_acl *acls;
	struct lio_lun *luns;
	const char *portals[CONFIG_PORTAL_MAX];
};

/* The address of a LUN's own port, where it is a disk of this machine.  It is
 * not the LUN's: that is NAA 3, and with one such port in the kernel targetcli
 * does nothing at all ("WWN not valid as: naa").  So NAA 1, IEEE 48-bit
 * (FC-FS-3), around 46 bits of the uuid in a locally administered EUI-48. */
void loop_naa_from_uuid(const uuid_t uuid, uint8_t ret_naa[8]);

enum kernel_device {
	KERNEL_DEVICE_ABSENT, /* nothing can lead to it */
	KERNEL_DEVICE_WAITS, /* nobody answers for it: what leads to it stays */
	KERNEL_DEVICE_SERVED,
};

/* What was read before is freed.  0; -ENOMEM or why the state cannot be read.
 */
int kernel_view_read(struct kernel_view *view, struct state *state);
/* look: what the kernel has of a LUN, by its uuid. */
void kernel_view_build(struct kernel_view *view, const struct config *config,
    enum kernel_device (*look)(void *arg, const char *uuid), void *arg);
void kernel_view_free(struct kernel_view *view);

#endif
