/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is, at one moment: pools and LUNs from their reactors, sessions from
 * the iSCSI server.  Plain copies, which stay true to that moment only.
 */
#ifndef TARGET_SURVEY_H
#define TARGET_SURVEY_H

#include "target/house.h"

struct survey_lun {
	struct volume_stat volume;
	bool served;
	struct lun_stat lun; /* if served */
};

struct survey_pool {
	struct call call;
	struct survey *survey;
	char name[POOL_NAME_MAX + 1];
	int64_t id;
	bool open;
	char problem[POOL_PROBLEM_MAX];
	struct pool_stat stat; /* if open */
	struct survey_lun *luns;
	unsigned lun_count;
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

#endif
