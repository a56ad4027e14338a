/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The house: what varved keeps alive.  Pools on their reactors, a LUN object
 * for each volume that is exported, the iSCSI server, the state database.  All
 * of it is the control loop's ("home"); pools and LUNs are reached by calls to
 * their reactor (target/call.h).
 *
 * A house_pool is
 *
 *	known    in the state; pool is NULL, problem says why
 *	open     pool is set; its luns may be served
 *	closing  pool is NULL again, luns are empty
 *
 * A house_lun is made with the first export of its volume, and gone when the
 * access without its last one is everywhere.
 */
#ifndef TARGET_HOUSE_H
#define TARGET_HOUSE_H

#include "snapshot/family.h"
#include "target/ack_file.h"
#include "target/call.h"
#include "target/config.h"
#include "target/forecast.h"
#include "target/handover.h"
#include "target/iscsi/server.h"
#include "target/state.h"
#include <jansson.h>

#define HOUSE_LUN_BUCKETS 1024

struct house_pool {
	struct list link; /* house.pools, by name */
	struct house *house;
	int64_t id; /* state_pool.id */
	char name[POOL_NAME_MAX + 1];
	uuid_t uuid;
	char **devices;
	struct backstore *stores[POOL_DEVICE_MAX]; /* of devices, the
						      open pool's */
	unsigned device_count;
	struct loop *loop;
	struct pool *pool;               /* NULL: not open */
	struct ack_file acks;            /* the open pool's */
	struct compare_memory *compares; /* in it, or NULL */
	bool opening;
	char problem[POOL_PROBLEM_MAX]; /* why it is not */
	struct copy_manager *copies;    /* the reactor's */
	struct list luns;
	int level; /* as last told by the pool */
	struct forecast forecast;
	unsigned diffs; /* pages of differences that are being found */
	struct house_check *check;   /* the one that runs (house_check.h) */
	struct house_check *checked; /* the last one that ended */
};

struct house_lun {
	struct list link;    /* house_pool.luns */
	struct list by_uuid; /* house.luns */
	struct house_pool *pool;
	uuid_t uuid;
	char label[3 * POOL_NAME_MAX + 3]; /* "vms/web01", "vms/web01@mon" */
	char serial[STATE_UUID_TEXT];
	struct lun *lun;
	struct backstore *bs;
	struct house_keeping {
		struct pool *pool;
		struct volume *volume;
		struct pool_request request;
		void (*done)(void *arg, int result);
		void *arg;
	} keeping; /* the reactor's: SANITIZE is kept in mind by the volume */
	struct lun_stat sample; /* top's, of sample_ns */
	uint64_t sample_ns;
};

struct house_portal {
	struct list link;
	struct state_portal row;
	bool listening;
	char problem[128];
	struct loop_timer retry;
	uint64_t first_try_ns;
	struct house *house;
};

/* Work of a pool in the background, as the pool tells it, or as it ended. */
struct house_job {
	const char *kind; /* NULL: by stat.kind */
	struct pool_job_stat stat;
	char pool[POOL_NAME_MAX + 1];
	bool ended;
	int64_t ended_unix;
	int result;
	char problem[POOL_PROBLEM_MAX];
};

/* Someone who waits until what the state says now is what every reactor
 * serves. */
struct publish_wait {
	struct list link;
	void (*done)(struct publish_wait *wait);
	/* negative: it could not be read or built, and what was served before
	 * still is: no LUN may be freed */
	int result;
};

struct request;

struct house {
	struct loop *home;
	struct loop **reactors;
	unsigned reactor_count, reactor_next;
	const struct config *config;
	struct state *state;
	struct iscsi_server *server;
	struct house_tcmu *tcmu;
	int64_t started_unix;
	struct handover inherited, *bequest; /* bequest: at the end; or NULL */

	struct list pools, portals;
	struct port_groups ports;
	struct list luns[HOUSE_LUN_BUCKETS];

	/* flattening (house_job.c): those that run, those that ended */
	struct list flattens, flattened;
	unsigned flattened_count;

	/* what falls due (house_keeping.c) */
	struct keeping *keeping;

	/* what is due by policies (house_policy.h) */
	struct policies *policies;

	/* publishing (house_access.c) */
	bool publishing;
	int publish_result;
	struct list publish_now, publish_next;
	struct loop_task publish_task;

	/* requests (request.c) */
	struct request *change; /* the one that runs */
	struct list waiting;    /* changes in their order */
	struct list held;       /* all, until the start is over */
	unsigned requests;      /* in all */

	/* start and stop (house.c) */
	bool started, stopping;
	unsigned pending; /* steps under way */
	struct loop_timer patience;
	struct publish_wait start_publish;
	void (*stage_done)(void *arg);
	void *stage_arg;
};

int house_new(struct loop *home, struct loop **reactors, unsigned count,
    const struct config *config, struct state *state, struct house **ret_house);
/* Opens what the state knows, then serves it: done when it does.  A pool that
 * does not open is told by health and stops nothing. */
void house_start(struct house *house, void (*done)(void *arg), void *arg);
/* Logs sessions out, drains, checkpoints, closes.  What can be left open for
 * the varved that comes in our place goes to bequest, the caller's; NULL: none
 * comes. */
void house_stop(struct house *house, struct handover *bequest,
    void (*done)(void *arg), void *arg);
void house_free(struct house *house);

/* ---- pools (house_pool.c) ---- */

struct house_pool *house_pool_find(struct house *house, const char *name);
struct house_pool *house_pool_by_id(struct house *house, int64_t id);
struct house_pool *house_pool_by_uuid(struct house *house, const uuid_t uuid);
unsigned house_pool_reactor(const struct house_pool *hp);
/* pool_stat.level as a word. */
const char *house_level_word(int level);
struct loop *house_next_reactor(struct house *house);

/* Into the house, not open. */
struct house_pool *house_pool_add(
    struct house *house, const struct state_pool *row, struct loop *loop);
int house_pool_add_device(struct house_pool *hp, const char *path);
/* Its store is closed already. */
void house_pool_remove_device(struct house_pool *hp, unsigned index);
struct pool_work;
/* Takes over the pool that work has opened or made on hp->loop. */
void house_pool_opened(struct house_pool *hp, struct pool_work *work);
/* Opens it by its devices and makes LUNs of its exported volumes; done even
 * when it failed: hp->pool and hp->problem tell. */
void house_pool_open(struct house_pool *hp, void (*done)(void *arg), void *arg);
/* Frees its LUNs, which nobody is served any more, and closes it.  It stays
 * known. */
void house_pool_close(
    struct house_pool *hp, void (*done)(void *arg), void *arg);
void house_pool_forget(struct house_pool *hp);

/* ---- LUNs (house_lun.c) ---- */

struct house_lun *house_lun_find(struct house *house, const uuid_t uuid);
/* Opens the volume and makes a LUN of it.  0, -ENOENT no such volume, -EBUSY
 * open by another, -ENOMEM. */
void house_lun_open(struct house_pool *hp, const uuid_t uuid,
    void (*done)(void *arg, int result), void *arg);
/* Nobody is served it any more. */
void house_lun_close(struct house_lun *hl, void (*done)(void *arg), void *arg);
/* For all exports of hp in the state. */
void house_luns_open(struct house_pool *hp, void (*done)(void *arg), void *arg);

/* ---- persistent reservations (house_reserve.c) ---- */

/* struct lun_keeper.registry and .saved: writes them into the state; the
 * keeper is a struct house_lun. */
void house_lun_keep(void *arg, struct lun_keep *keep);
/* What the initiator, or with NULL everyone, has registered and reserved is
 * taken away; done gets how many registrations went, or -errno. */
void house_lun_take(struct house_lun *hl, const char *initiator,
    void (*done)(void *arg, int result), void *arg);
/* The same of one initiator with every LUN that is served. */
void house_take(struct house *house, const char *initiator,
    void (*done)(void *arg), void *arg);

/* By its uuid, on the pool's loop: a LUN, a snapshot, or what is in the trash;
 * NULL: none. */
struct volume *house_volume_find(struct pool *pool, const uuid_t uuid);

/* ---- jobs (house_job.c) ---- */

/* Flattens the LUN, until it is done or the pool is closed; started once it
 * runs or waits, or has failed at once. */
void house_flatten(struct house_pool *hp, const uuid_t uuid,
    void (*started)(void *arg, const struct house_job *job), void *arg);
/* Those that the state has of hp, which was just opened. */
void house_flattens_resume(struct house_pool *hp);
bool house_is_flattening(struct house *house, const uuid_t uuid);
/* Those that were asked for and go on; NULL: no more. */
const struct house_job *house_job_asked(struct house *house, unsigned index);
/* From the newest of those that ended; NULL: no more. */
const struct house_job *house_job_ended(struct house *house, unsigned index);
void house_jobs_free(struct house *house);

/* ---- what falls due (house_keeping.c) ---- */

/* Every minute: the trash whose time is over, exports whose time is over, and a
 * sample of each pool's space once an hour. */
void house_keeping_start(struct house *house);
/* Something falls due at that time, which may be sooner. */
void house_keeping_at(struct house *house, int64_t unix_seconds);
void house_keeping_stop(struct house *house);

/* ---- access (house_access.c) ---- */

/* done when what the state says at this call is served. */
void house_publish(struct house *house, struct publish_wait *wait);

/* ---- portals (house_portal.c) ---- */

/* Listens; *ret_portal is in the house, not yet in the state.  0 or what
 * iscsi_portal_add returns. */
int house_portal_add(struct house *house, const char *asked, uint16_t tag,
    struct house_portal **ret_portal);
struct house_portal *house_portal_find(
    struct house *house, const char *address);
/* The one that who connects to address comes to, by name or because it listens
 * at all addresses of this machine; NULL: none of ours. */
struct house_portal *house_portal_at(struct house *house, const char *address);
void house_portal_remove(struct house_portal *portal);
/* Where hosts find what it serves: there, or where it sends them for good. */
const char *house_portal_where(const struct house_portal *portal);
/* What its row says of where it sends hosts takes effect. */
void house_portal_redirect(struct house_portal *portal);
/* All of the state's, then those of the command line that are not there. */
int house_portals_start(struct house *house);
void house_portals_free(struct house *house);
/* Addresses that listen: a JSON array of strings. */
json_t *house_portals_json(struct house *house);

/* ---- portal groups (house_ports.c) ---- */

#define PORT_GROUP_FIRST 1 /* the one of a portal that is in no other */

const char *house_access_word(enum port_access access);
bool house_access_parse(const char *word, enum port_access *ret_access);
/* house->ports, from the state. */
void house_ports_read(struct house *house);
enum port_access house_ports_access(const struct house *house, uint16_t tag);
/* Reads them, and tells every LUN; set: the group the administrator has just
 * set, 0: none.  done when all know; may be NULL. */
void house_ports_tell(
    struct house *house, uint16_t set, void (*done)(void *arg), void *arg);

#endif
