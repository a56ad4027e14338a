/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is, at one moment: pools and LUNs from their reactors, sessions from
 * the iSCSI server.  Plain copies, which stay true to that moment only.
 */
#ifndef TARGET_SURVEY_H
#define TARGET_SURVEY_H

#include "snapshot/family.h"
#include "target/house.h"
#include "target/ref.h"

/* A LUN, a snapshot, or what is in the trash. */
struct survey_lun {
	struct volume_stat volume;
	struct family_stat family;
	bool is_snapshot;
	char of[REF_NAME_MAX];    /* of a snapshot: its LUN; "": gone */
	char group[REF_NAME_MAX]; /* "": in none */
	/* the snapshot it was cloned from, "POOL/LUN@SNAP"; "": it was not */
	char parent[REF_TEXT_MAX];
	uuid_t parent_uuid;
	bool served;
	struct lun_stat lun;     /* if served */
	struct latency *latency; /* with SURVEY_LATENCY, if it is served */
};

struct survey_bookmark {
	struct bookmark bookmark;
	char lun[REF_NAME_MAX];
};

struct survey_totals {
	uint64_t snap_held, trashed; /* bytes */
	unsigned luns, snaps;
};

/* What a survey looks at, beside pools, LUNs and sessions. */
enum {
	SURVEY_SNAPS = 1 << 0, /* and all LUNs, so that clones are known */
	SURVEY_TRASH = 1 << 1,
	SURVEY_GROUPS = 1 << 2,
	SURVEY_BOOKMARKS = 1 << 3,
	SURVEY_JOBS = 1 << 4,
	SURVEY_TOTALS = 1 << 5,
	SURVEY_DEVICES = 1 << 6,
	SURVEY_LATENCY = 1 << 7, /* of LUNs */
};

struct survey_pool {
	struct call call;
	struct survey *survey;
	char name[POOL_NAME_MAX + 1];
	int64_t id;
	bool open;
	char problem[POOL_PROBLEM_MAX];
	struct pool_stat stat;                   /* if open */
	struct survey_lun *luns, *snaps, *trash; /* luns by name, the others
						    from the oldest */
	unsigned lun_count, snap_count, trash_count;
	char (*groups)[REF_NAME_MAX];
	struct survey_bookmark *bookmarks;
	struct pool_job_stat *jobs;
	struct pool_device_stat *devices; /* by their numbers */
	unsigned group_count, bookmark_count, job_count, device_count;
	struct survey_totals totals;
	json_t *settings; /* of its LUNs, by uuid; NULL without them */
	bool serial_taken;
	struct survey_lun serial_owner; /* if taken */
	/* survey.c's */
	struct pool *pool;
	struct survey_served *served;
	unsigned served_count;
	int error;
};

struct survey {
	struct house *house;
	/* what to look at */
	char only_pool[POOL_NAME_MAX + 1]; /* "": all */
	char only_lun[POOL_NAME_MAX + 1];  /* "": all */
	char only_snap[POOL_NAME_MAX + 1]; /* "": all */
	unsigned also;                     /* SURVEY_... */
	/* Which other one than only_lun has that serial number, as what was set
	 * or as its usual one?  The request's; NULL: nobody asks. */
	const char *serial;
	bool without_luns;
	bool without_sessions;
	/* what was found */
	struct survey_pool *pools;
	unsigned pool_count;
	struct iscsi_session_info *sessions;
	unsigned session_count;
	int error; /* -ENOMEM: incomplete */
	/* survey.c's */
	unsigned pending;
	void (*done)(struct survey *survey);
	void *arg;
};

struct survey *survey_new(struct house *house);
void survey_free(struct survey *survey);
/* done is never called from inside. */
void survey_run(
    struct survey *survey, void (*done)(struct survey *survey), void *arg);

/* Sessions of the host that are logged in to the target: at most one is
 * returned, *ret_count says how many there are. */
const struct iscsi_session_info *survey_sessions_of(const struct survey *survey,
    const char *host, const char *iqn, unsigned *ret_count);
const struct survey_lun *survey_lun_find(
    const struct survey *survey, const char *pool, const char *lun);

/* What was set of it; NULL: nothing. */
json_t *survey_settings(
    const struct survey_pool *sp, const struct survey_lun *sl);

/* About what would be free if it went, with its snapshots. */
uint64_t survey_freed(const struct survey_lun *sl);

/* ---- for survey_family.c and survey.c, on a reactor ---- */

/* All that is known of one volume. */
void survey_look(const struct survey_pool *sp, struct volume *volume,
    struct survey_lun *ret_lun);
int survey_look_family(struct survey_pool *sp);

#endif
