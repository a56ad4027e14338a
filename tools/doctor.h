/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * varve doctor: what this machine has of what varved needs.  Nothing is
 * changed, and varved need not run; what it tells is used where it does.
 *
 *	doctor.c         the run; varved, its state, its ports
 *	doctor_kernel.c  the kernel, io_uring, locked memory, its target
 *
 * What is as it should be is a note; so is what nobody wants (modules, where
 * the kernel exports nothing).  An error keeps something wanted from working.
 */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include "target/api.h"
#include "target/config.h"
#include <jansson.h>
#include <sys/types.h>

struct doctor {
	struct config config;
	const char *socket; /* where varved should listen */
	json_t *items;      /* findings, as those of varve health */
	pid_t pid;          /* varved's; 0: it does not answer */
	json_t *portals;    /* rows of portal list; NULL */
	/* what the kernel is to export by */
	bool wants_tcmu, wants_loop;
};

enum doctor_severity { DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_ERROR };

/* fix: the line that mends it, "" for none. */
void doctor_say(struct doctor *doctor, enum doctor_severity severity,
    const char *code, const char *fix, const char *what, ...)
    __attribute__((format(printf, 5, 6)));

/* A line of /proc/PID/name of varved that begins with key: what stands behind
 * it.  False: there is none, or varved does not answer. */
bool doctor_proc(const struct doctor *doctor, const char *name, const char *key,
    char *ret, size_t size);

/* A local command (tools/cli.h). */
struct cli;
json_t *run_doctor(struct cli *cli, enum api_exit *ret_exit);

/* ---- the parts ---- */

void doctor_kernel(struct doctor *doctor);
void doctor_memory(struct doctor *doctor);
void doctor_target(struct doctor *doctor);

#endif
