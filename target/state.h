/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The state of this server in SQLite: pools (where they are), hosts and their
 * secrets, targets, exports, portals, the audit log, answers by request_id.
 * What is in a pool is not here: the pool itself knows.
 *
 * WAL with synchronous=FULL: what state_commit returned 0 for survives a power
 * cut.  Mode 0600, for the CHAP secrets.  Blocks; used on the control loop
 * only.  Functions return 0 or -errno: -ENOENT no such row, -EEXIST a unique
 * name is taken, -EIO for what SQLite could not do (it was logged).
 */
#ifndef TARGET_STATE_H
#define TARGET_STATE_H

#include "snapshot/pool.h"
#include "target/forecast.h"
#include "target/naming.h"
#include "target/scsi/lun.h"
#include <jansson.h>
#include <limits.h>

#define STATE_VERSION       7
#define STATE_PROBLEM_MAX   512
#define STATE_ADDRESS_MAX   NAMING_ADDRESS_MAX
#define STATE_UUID_TEXT     37
#define STATE_LUN_NAME_MAX  (2 * POOL_NAME_MAX + 2) /* "web01@mon" */
#define STATE_REQUEST_MAX   128                     /* bytes of a request_id */
#define STATE_REQUESTS_KEPT 1000 /* answers kept, the newest */
#define STATE_AUDIT_KEPT    100000

struct state;

/* Makes it if there is none.  path ":memory:" for tests.  -EBADMSG damaged,
 * -EPROTO written by a newer varve; problem says what to do. */
int state_open(const char *path, struct state **ret_state,
    char problem[STATE_PROBLEM_MAX]);
void state_close(struct state *state);

/* Was it made by this state_open? */
bool state_is_new(const struct state *state);

/* One change at a time.  state_commit counts it: the generation. */
int state_begin(struct state *state);
int state_commit(struct state *state);
void state_rollback(struct state *state);
int64_t state_generation(const struct state *state);

/* ---- what is where ---- */

int state_meta_get(
    struct state *state, const char *key, char *buf, size_t size);
int state_meta_set(struct state *state, const char *key, const char *value);

struct state_pool {
	int64_t id;
	char name[POOL_NAME_MAX + 1];
	char uuid[STATE_UUID_TEXT];
	int64_t created_unix;
	unsigned device_count;
	char *devices[POOL_DEVICE_MAX]; /* state_pools_free */
};
int state_pools(
    struct state *state, struct state_pool **ret_pools, unsigned *ret_count);
void state_pools_free(struct state_pool *pools, unsigned count);
/* pool->id is set. */
int state_pool_add(struct state *state, struct state_pool *pool);
int state_pool_add_device(
    struct state *state, int64_t pool_id, const char *path);
/* -ENOENT: it has none of that path. */
int state_pool_remove_device(
    struct state *state, int64_t pool_id, const char *path);
/* With its targets and exports. */
int state_pool_remove(struct state *state, int64_t pool_id);

struct state_target {
	int64_t id, pool_id;
	char iqn[NAMING_IQN_MAX + 1];
	char lun_uuid[STATE_UUID_TEXT]; /* "": the pool's */
	char alias[64];
};
int state_targets(struct state *state, struct state_target **ret_targets,
    unsigned *ret_count);
/* lun_uuid "": the pool's. */
int state_target_find(struct state *state, int64_t pool_id,
    const char *lun_uuid, struct state_target *ret_target);
/* -EEXIST: the iqn is taken.  target->id is set. */
int state_target_add(struct state *state, struct state_target *target);
int state_target_remove(struct state *state, int64_t id);

struct state_credentials {
	char user[NAMING_IQN_MAX + 1]; /* "": none */
	char secret[NAMING_SECRET_MAX + 1];
};
struct state_host {
	int64_t id;
	char name[POOL_NAME_MAX + 1];
	char iqn[NAMING_IQN_MAX + 1];
	struct state_credentials chap, mutual;
	int64_t created_unix;
	int64_t expires_unix; /* goes then, or later with its last LUN; 0:
			       * never */
};
int state_hosts(
    struct state *state, struct state_host **ret_hosts, unsigned *ret_count);
/* Wipes the secrets. */
void state_hosts_free(struct state_host *hosts, unsigned count);
int state_host_find(
    struct state *state, const char *name, struct state_host *ret_host);
/* -EEXIST: the name is taken; -EADDRINUSE: the initiator name is. */
int state_host_add(struct state *state, struct state_host *host);
int state_host_update(struct state *state, const struct state_host *host);
int state_host_remove(struct state *state, int64_t id);

/* What carries SCSI to the host. */
enum state_carrier {
	CARRIER_ISCSI,     /* our own target */
	CARRIER_TCMU,      /* the kernel's, by iSCSI */
	CARRIER_TCMU_LOOP, /* the kernel's: a disk of this machine */
	CARRIER_COUNT,
};
extern const char *const state_carriers[CARRIER_COUNT];

struct state_export {
	int64_t id, target_id, host_id, pool_id;
	char lun_uuid[STATE_UUID_TEXT];
	char lun_name[STATE_LUN_NAME_MAX]; /* as last known */
	unsigned number;
	bool read_only;
	enum state_carrier carrier;
	int64_t created_unix;
	int64_t expires_unix; /* 0: never */
	/* of the rows it refers to */
	char host[POOL_NAME_MAX + 1], pool[POOL_NAME_MAX + 1];
	char iqn[NAMING_IQN_MAX + 1];
	bool own_target;
};
/* In the order of pool, LUN, host. */
int state_exports(struct state *state, struct state_export **ret_exports,
    unsigned *ret_count);
/* -EEXIST: that host has that LUN, or that number there. */
int state_export_add(struct state *state, struct state_export *export);
int state_export_remove(struct state *state, int64_t id);
/* It ends at unix_seconds. */
int state_export_expires(struct state *state, int64_t id, int64_t unix_seconds);
int state_lun_renamed(
    struct state *state, const char *lun_uuid, const char *lun_name);

/* LUN before is called after: its snapshots' exports, "before@snap". */
int state_lun_snaps_renamed(struct state *state, int64_t pool_id,
    const char *before, const char *after);

struct state_portal {
	int64_t id;
	char asked[STATE_ADDRESS_MAX];   /* port 0 may be asked */
	char address[STATE_ADDRESS_MAX]; /* what it became */
	uint16_t tag;                    /* target portal group */
	char
	    redirect[STATE_ADDRESS_MAX]; /* where it sends hosts; "": nowhere */
	bool permanent;
};
int state_portals(struct state *state, struct state_portal **ret_portals,
    unsigned *ret_count);
int state_portal_add(struct state *state, struct state_portal *portal);
int state_portal_move(struct state *state, int64_t id, const char *address);
int state_portal_redirect(
    struct state *state, int64_t id, const char *redirect, bool permanent);
/* With the last portal of its group, what was said of the group. */
int state_portal_remove(struct state *state, int64_t id);

/* The groups that portals are in, by tag, at most PORT_GROUPS_MAX. */
int state_port_groups(struct state *state, struct port_groups *ret_groups);
/* In the open transaction; what initiators said of it is forgotten. */
int state_port_group_set(
    struct state *state, uint16_t tag, enum port_access access);

/* ---- what goes on ---- */

/* LUNs of the pool that are to be flattened; free them. */
int state_flattens(struct state *state, int64_t pool_id, uuid_t **ret_uuids,
    unsigned *ret_count);
int state_flatten_add(struct state *state, int64_t pool_id, const uuid_t uuid);
/* Also when there is none. */
int state_flatten_remove(
    struct state *state, int64_t pool_id, const uuid_t uuid);

/* Its own transaction; does not count as a change. */
int state_sample_add(
    struct state *state, int64_t pool_id, int64_t at, uint64_t used);
int state_samples(
    struct state *state, int64_t pool_id, struct forecast *ret_forecast);

/* ---- settings of LUNs (settings.h) ---- */

/* Of all LUNs of the pool that have some, by uuid: a new object.  null: they
 * are not what they can be. */
int state_settings(struct state *state, int64_t pool_id, json_t **ret_settings);
/* The same with that LUN alone; -EBADMSG: they are not what they can be. */
int state_settings_of(struct state *state, int64_t pool_id,
    const char *lun_uuid, json_t **ret_settings);
/* In place of what was there. */
int state_settings_put(struct state *state, int64_t pool_id,
    const char *lun_uuid, const json_t *settings);

/* A LUN or snapshot that is gone for good: its settings, and what initiators
 * saved and registered.  Also when there is nothing. */
int state_lun_forget(
    struct state *state, int64_t pool_id, const char *lun_uuid);

/* ---- persistent reservations ---- */

/* What was put; -ENOENT: nothing is.  Its generation is 0. */
int state_registry_get(struct state *state, int64_t pool_id,
    const char *lun_uuid, struct registry **ret_registry);
/* In place of what was there; one without APTPL is not kept.  Its own
 * transaction; does not count as a change: no administrator made it. */
int state_registry_put(struct state *state, int64_t pool_id,
    const char *lun_uuid, const struct registry *registry);
/* What an initiator, or with NULL all, have registered with a LUN, or with NULL
 * with all; in the open transaction.  What that one held is released. */
int state_registry_forget(
    struct state *state, const char *lun_uuid, const char *initiator);

/* ---- what initiators saved ---- */

/* None: count 0. */
int state_saved_get(struct state *state, int64_t pool_id, const char *lun_uuid,
    struct lun_saved *ret_saved);
/* The one of that name, in the open transaction; also when it is not there. */
int state_saved_forget(struct state *state, int64_t pool_id,
    const char *lun_uuid, const char *name);
/* In place of those of the same names, beside the others.  Its own
 * transaction; does not count as a change. */
int state_saved_put(struct state *state, int64_t pool_id, const char *lun_uuid,
    const struct lun_saved *saved);

/* One thing that was saved of a LUN that is exported. */
struct state_saved {
	int64_t pool_id;
	char lun_uuid[STATE_UUID_TEXT];
	char lun_name[STATE_LUN_NAME_MAX]; /* as last known */
	char name[LUN_SAVED_NAME_MAX];
	int64_t value;
};
/* By pool, LUN, name. */
int state_saved_exported(
    struct state *state, struct state_saved **ret_saved, unsigned *ret_count);

/* ---- what was done ---- */

struct state_audit {
	const char *who; /* "uid 0" */
	const char *method;
	const char *params; /* without secrets */
	const char *result; /* "ok", or the code of the error */
};
/* Its own transaction when none is open. */
int state_audit_add(struct state *state, const struct state_audit *audit);

/* The answer that was given to request id: a new reference.  digest says that
 * it is the same request again: -ESTALE when it is another. */
int state_request_find(struct state *state, const char *id, const char *digest,
    json_t **ret_answer);
int state_request_add(struct state *state, const char *id, const char *digest,
    const json_t *answer);

#endif
