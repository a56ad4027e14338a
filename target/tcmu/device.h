/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tcmu carrier: a LUN served to the kernel's target through its device's
 * ring.  On the LUN's loop.
 *
 * The ring says neither who sent a command nor its task attribute, and the
 * kernel answers REPORT LUNS and reservations by itself: so there is one I_T
 * nexus, the kernel's, and every command is SIMPLE.
 */
#ifndef TARGET_TCMU_DEVICE_H
#define TARGET_TCMU_DEVICE_H

#include "target/scsi/lun.h"
#include "target/tcmu/ring.h"

struct tcmu_device;

struct tcmu_device_params {
	struct loop *loop;
	struct lun *lun;
	struct tcmu_ring *ring;  /* the device's from now on */
	const char *target_name; /* SCSI target device name, VPD 83h */
	/* The kernel's device went away, or its ring is broken: nothing is
	 * served any more; tcmu_device_close follows.  Once at most; why: a
	 * constant. */
	void (*lost)(void *arg, const char *why);
	void *arg;
};

/* Serves.  0; -ENOMEM, and the ring is closed. */
int tcmu_device_new(
    const struct tcmu_device_params *params, struct tcmu_device **ret_device);

/* Nothing more is taken: it stays in the ring.  What has not been done within
 * patience is aborted and answered with BUSY, which initiators send again; done
 * when nothing of it touches medium or data any more and the ring is closed. */
void tcmu_device_close(struct tcmu_device *device, uint64_t patience_ns,
    void (*done)(void *arg), void *arg);

/* What tcmu_ring_inherit takes: the device's, until it is closed.  -1: its ring
 * is only for who resets it. */
int tcmu_device_fd(const struct tcmu_device *device);

#endif
