/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * varve.conf: what must be known before the state database opens.  An INI
 * file; an unknown key or a bad value is an error that names its line.
 */
#ifndef TARGET_CONFIG_H
#define TARGET_CONFIG_H

#include "snapshot/pool.h"
#include "target/iscsi/server.h"
#include "target/tcmu/ring.h"
#include <limits.h>

#define CONFIG_PORTAL_MAX   16
#define CONFIG_PROBLEM_MAX  512
#define CONFIG_REACTORS_MAX 64

struct config {
	char state_dir[PATH_MAX];   /* database, lock */
	char socket_path[PATH_MAX]; /* control socket */
	char run_dir[PATH_MAX];     /* what a restart of varved finds again */
	char log_file[PATH_MAX];    /* "": stderr or journal only */
	char quiesce_dir[PATH_MAX]; /* hooks of policies */
	int log_level;
	unsigned reactors;     /* 0: one per CPU, at most 8 */
	uint64_t buffer_bytes; /* of each reactor */
	unsigned stop_seconds; /* that sessions get to log out */
	char group_write[64], group_read[64];
	struct pool_limits pool;
	unsigned background_percent; /* of a pool's loop; 0: the default */
	unsigned trash_seconds;      /* what is in it is kept; 0: for ever */
	struct iscsi_limits iscsi;
	/* where the kernel's target listens for iSCSI (carrier tcmu) */
	unsigned lio_portal_count;
	char lio_portals[CONFIG_PORTAL_MAX][64];
	enum tcmu_driver lio_ring;     /* of its devices' rings */
	char policy_program[PATH_MAX]; /* beside ours; "": none */
	/* of the command line */
	bool private_dir; /* --dir: nothing of the system's */
	unsigned portal_count;
	char portals[CONFIG_PORTAL_MAX][64];
};

void config_defaults(struct config *ret_config);
/* --dir: everything below dir. */
int config_private(struct config *config, const char *dir);

/* Reads path over config.  -ENOENT none there; -EINVAL with
 * problem "FILE:LINE: what, and what it could be"; others of open(2). */
int config_load(
    struct config *config, const char *path, char problem[CONFIG_PROBLEM_MAX]);

/* "info" and the like; -EINVAL. */
int config_level(const char *word, int *ret_level);

#endif
