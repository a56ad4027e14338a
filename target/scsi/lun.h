/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logical units and the I_T nexuses that see them.  A LUN has one backstore and
 * lives, with every nexus that maps it, on that backstore's loop.  scsi knows
 * neither the transport nor the storage format.
 */
#ifndef TARGET_SCSI_LUN_H
#define TARGET_SCSI_LUN_H

#include "target/scsi/compare_memory.h"
#include "target/scsi/latency.h"
#include "target/scsi/registry.h"
#include "target/scsi/task.h"

#define LUN_NUMBER_MAX 16383 /* flat space addressing, SAM-5 4.7.7.4 */

/* SPC-4 table 307, ASYMMETRIC ACCESS STATE */
enum port_access {
	ACCESS_OPTIMIZED = 0x0, /* active */
	ACCESS_NON_OPTIMIZED = 0x1,
	ACCESS_STANDBY = 0x2,
	ACCESS_UNAVAILABLE = 0x3,
	ACCESS_TRANSITIONING = 0xf, /* alua.c's */
};
/* May a host use a path in that state? */
bool port_access_is_active(enum port_access access);

/* Target port groups; the tag is also the relative target port identifier of
 * the one port in it. */
#define PORT_GROUPS_MAX 8
struct port_group {
	uint16_t tag;
	enum port_access access;
};
struct port_groups {
	unsigned count;
	struct port_group list[PORT_GROUPS_MAX];
};

/* What an initiator has set and saved, as names and numbers. */
#define LUN_SAVED_NAME_MAX 24
#define LUN_SAVED_MAX      32
struct lun_saved_value {
	char name[LUN_SAVED_NAME_MAX]; /* with the NUL */
	int64_t value;
};
#define LUN_ACCESS_SETTING "access." /* and a group's tag: alua.c */
void lun_access_name(uint16_t tag, char ret_name[LUN_SAVED_NAME_MAX]);
/* of the mode parameters: mode_page.c */
#define LUN_CACHE_SAVED   "wce"
#define LUN_PROTECT_SAVED "swp"
struct lun_saved {
	unsigned count;
	struct lun_saved_value list[LUN_SAVED_MAX];
};
/* There is room for it. */
void lun_saved_add(struct lun_saved *saved, const char *name, int64_t value);
/* false: it is not there, and *ret_value as it was. */
bool lun_saved_get(
    const struct lun_saved *saved, const char *name, int64_t *ret_value);

/* A registry, or what is saved, on the way to where they outlive a loss of
 * power. */
struct lun_keep {
	const struct lun_saved *saved;   /* in place of those of the same
					  names; NULL: it is the registry */
	const struct registry *registry; /* without aptpl, or empty: what was
					    kept before is to be forgotten */
	/* On the LUN's loop, exactly once, not from inside keep(): it is
	 * durable, or -errno and what was kept before still is. */
	void (*done)(struct lun_keep *keep, int result);
	/* the keeper's */
	void *arg;
	int result;
	struct loop_task task;
};

/* Keeps in mind what has to outlive a restart.  All calls on the unit's loop;
 * done follows, once and not from inside the call. */
struct lun_keeper {
	/* Persistent reservations; NULL: nobody keeps them, APTPL is
	 * refused. */
	void (*registry)(void *arg, struct lun_keep *keep);
	/* What was saved; NULL: nothing can be. */
	void (*saved)(void *arg, struct lun_keep *keep);
	/* That it is being sanitized; NULL: no SANITIZE.  on: -EBUSY: what the
	 * unit holds is not its alone, and would stay.  exits: the initiator
	 * may give up if it fails. */
	void (*sanitizing)(void *arg, bool on, bool exits,
	    void (*done)(void *done_arg, int result), void *done_arg);
};

/* Keeps the tokens of third-party copies (token.c) of units that may be copied
 * to each other: all on one loop.  Freed after the last of them.  NULL: no
 * memory. */
struct copy_manager;
struct copy_manager *copy_manager_new(void);
void copy_manager_free(struct copy_manager *manager); /* or NULL */

/* What hosts together may take of a unit in a second, reading and writing; 0:
 * no limit.  Burst: how much at once after a pause, 0: that of a second; at
 * most that of an hour. */
struct lun_limits {
	uint64_t iops, iops_burst; /* commands */
	uint64_t bps, bps_burst;   /* bytes */
};

#define LUN_BPS_MIN 4096u

#define LUN_VENDOR   "VARVE"
#define LUN_PRODUCT  "varve LUN"
#define LUN_REVISION "0001"

#define LUN_SERIAL_MAX 36u

struct lun_params {
	struct backstore *bs; /* stays the caller's; closed after
				 lun_free's done */
	uint8_t naa[8];       /* NAA 3 (locally assigned), stable for the
				 life of the LUN; see lun_naa_from_uuid */
	const char *serial;   /* unit serial number, at most 36 characters */
	const char *vendor;   /* 8 characters, NULL: LUN_VENDOR */
	const char *product;  /* 16 characters, NULL: LUN_PRODUCT */
	const char *revision; /* 4 characters, NULL: LUN_REVISION */
	const char *label;    /* for logs and VPD 83h: "vms/web01" */
	uint16_t rotation;    /* MEDIUM ROTATION RATE of VPD B1h: 1, or turns
				 a minute; 0: by the store */
	bool read_only;
	bool write_cache; /* WCE as it starts; true is normal */
	struct lun_limits limits;

	const struct registry *registry; /* as it was kept, or NULL */
	const struct lun_saved *saved;   /* as they were kept, or NULL */
	const struct port_groups *ports; /* NULL: one, optimized */
	const struct lun_keeper *keeper; /* NULL: nobody */
	void *keeper_arg;
	bool sanitizing,
	    sanitize_exits;           /* as kept: it did not come to an end */
	struct copy_manager *manager; /* NULL: no token commands */
	struct compare_memory *compares; /* of the loop; NULL: none */
	unsigned background_percent;     /* of the time that SANITIZE may work;
					    0: all */
};

void lun_naa_from_uuid(const uint8_t uuid[16], uint8_t ret_naa[8]);

int lun_new(const struct lun_params *params, struct lun **ret_lun);

/* No nexus maps it any more (scsi_nexus_unmap); done when its last task is. */
void lun_free(struct lun *lun, void (*done)(void *arg), void *arg);

/* The backstore changed size, and maybe what it holds: unit attention to all
 * nexuses. */
void lun_capacity_changed(struct lun *lun);
/* What it holds becomes something else, and not by a command: in between no
 * token is good and none is made.  Changed follows, also if nothing did. */
void lun_data_changing(struct lun *lun);
void lun_data_changed(struct lun *lun);

/* A change of a unit that is there. */
struct lun_setting {
	void (*done)(struct lun_setting *setting, int result);
	bool cache_said;   /* write_cache is meant, whatever a host has set */
	bool protect_said; /* read_only too: what a host protects it does not
			      any more */
	/* scsi's */
	struct lun *lun;
	struct bs_io io;
	struct loop_task later;
};

/* Identification, read_only, limits, and write_cache where it is said, are from
 * now on what params say; the rest of params is not looked at.  Hosts hear of
 * it by unit attention. -EINVAL: an identification that does not fit its field,
 * and nothing changed; else done follows, once, not from inside.  Where the
 * cache was switched off that is when what had been written is on the medium;
 * negative: it may not be. */
int lun_set(struct lun *lun, const struct lun_params *params,
    struct lun_setting *setting);

/* From now on, for commands that wait as well; begins with full bursts. */
void lun_limits_set(struct lun *lun, const struct lun_limits *limits);

/* The pool crossed a threshold: unit attention 38h/07h, unless an initiator has
 * set another for this unit.  threshold.c */
void lun_threshold_reached(struct lun *lun);

/* All groups there are now, and what the administrator wants them to be; a unit
 * for which an initiator has set another state keeps that, but for the group
 * that was just set (0: none).  Unit attention to all nexuses. */
void lun_set_port_groups(
    struct lun *lun, const struct port_groups *groups, uint16_t set);

struct lun_stat {
#define STAT(field, metric, unit, help) uint64_t field;
#include "target/scsi/stats.def"
#undef STAT
	struct latency_figures latency; /* of all commands */
	unsigned tasks, nexuses;
	bool stopped;
};
void lun_stat_get(const struct lun *lun, struct lun_stat *ret_stat);
/* Since lun_new; no reset of the unit clears it. */
const struct latency *lun_latency(const struct lun *lun);
const char *lun_label(const struct lun *lun);

/* Who has registered, and what is held: a copy for the caller to free, or NULL:
 * no memory.  *ret_reserved_by: the initiator port that has the unit by
 * RESERVE (SPC-2), or NULL; valid until the loop goes on. */
struct registry *lun_registry_get(
    const struct lun *lun, const char **ret_reserved_by);
/* Takes from an initiator device, or with NULL from all, what it has registered
 * and reserved, as if preempted.  done on the LUN's loop, maybe from inside:
 * how many registrations went, or -errno: it could not be made durable, and
 * nothing has changed. */
void lun_registry_take(struct lun *lun, const char *initiator,
    void (*done)(void *arg, int result), void *arg);

/* ---- nexus ---- */

struct scsi_nexus_params {
	struct loop *loop;
	const char *initiator_port; /* iSCSI: "iqn...,i,0x<isid>" */
	const char *target_port;    /* iSCSI: "iqn...,t,0x<tpgt>" */
	uint16_t relative_port;     /* relative target port identifier */
	const char *target_name;    /* SCSI target device name, VPD 83h */
	/* It stands for hosts that come and go behind it, and who carries them
	 * tells each of them when it is new. */
	bool is_shared;
};
/* A new nexus reports POWER ON on each LUN it maps, but a shared one. */
int scsi_nexus_new(
    const struct scsi_nexus_params *params, struct scsi_nexus **ret_nexus);
/* Aborts its tasks (complete() comes with aborted set) and unmaps; done when
 * no task is left. */
void scsi_nexus_free(
    struct scsi_nexus *nexus, void (*done)(void *arg), void *arg);

/* -EEXIST number taken, -ENOMEM.  With announce, the nexus' other LUNs report
 * REPORTED LUNS DATA HAS CHANGED. */
int scsi_nexus_map(struct scsi_nexus *nexus, unsigned number, struct lun *lun,
    bool read_only, bool announce);
/* Aborts the tasks in it; done when they are gone.  -ENOENT */
int scsi_nexus_unmap(struct scsi_nexus *nexus, unsigned number, bool announce,
    void (*done)(void *arg), void *arg);
struct lun *scsi_nexus_lun(const struct scsi_nexus *nexus, unsigned number);
/* Of its commands to all units, since scsi_nexus_new. */
const struct latency *scsi_nexus_latency(const struct scsi_nexus *nexus);

/* ---- task management, SAM-5 7 ---- */

enum scsi_tmf {
	SCSI_ABORT_TASK,
	SCSI_ABORT_TASK_SET,
	SCSI_CLEAR_TASK_SET,
	SCSI_LOGICAL_UNIT_RESET,
	SCSI_TARGET_WARM_RESET,
	SCSI_TARGET_COLD_RESET,
	SCSI_I_T_NEXUS_RESET,
	SCSI_QUERY_TASK,
	SCSI_QUERY_TASK_SET,
	SCSI_QUERY_ASYNC_EVENT,
};

enum scsi_tmf_response {
	SCSI_TMF_COMPLETE,
	SCSI_TMF_SUCCEEDED, /* of the query functions */
	SCSI_TMF_TASK_NOT_FOUND,
	SCSI_TMF_LUN_NOT_FOUND,
	SCSI_TMF_REJECTED,
	SCSI_TMF_NOT_SUPPORTED,
};

/* done comes when every affected task has stopped for good: nothing of it
 * touches the medium or a buffer afterwards.  Tasks of other nexuses complete
 * with TASK ABORTED status when TAS is set, else with a unit attention. */
struct scsi_tmf_request {
	struct scsi_nexus *nexus;
	enum scsi_tmf function;
	uint8_t lun_field[8];
	uint64_t tag; /* ABORT TASK, QUERY TASK */
	void (*done)(struct scsi_tmf_request *request);
	enum scsi_tmf_response response;
	uint32_t additional; /* QUERY ASYNC EVENT */
	/* scsi's */
	unsigned waiting;
	uint64_t ticket;
	struct list link;
	struct loop_task later;
};
void scsi_tmf(struct scsi_tmf_request *request);

#endif
