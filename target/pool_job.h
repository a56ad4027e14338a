/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What takes a pool's reactor and its devices: making, opening, growing and
 * closing a pool.  A job runs on the pool's loop and is done at home.
 */
#ifndef TARGET_POOL_JOB_H
#define TARGET_POOL_JOB_H

#include "snapshot/pool.h"
#include "target/ack_file.h"
#include "target/call.h"
#include "target/fault.h"

enum pool_job_kind {
	POOL_JOB_CREATE,
	POOL_JOB_OPEN,
	POOL_JOB_GROW,   /* takes paths in as devices */
	POOL_JOB_EXTEND, /* makes its devices as large as opened_size says */
	POOL_JOB_CLOSE,
};

struct pool_job {
	struct call call;
	enum pool_job_kind kind;
	char **paths; /* own copies */
	unsigned path_count;
	struct pool_params params; /* CREATE; params.name is name */
	char name[POOL_NAME_MAX + 1];
	bool force;
	struct pool_limits limits;
	struct ack_file
	    acks;          /* the pool's; of a CLOSE: to be closed after it */
	struct pool *pool; /* CREATE, OPEN: the result; else: of */
	struct pool_stat stat; /* as it is then, but CLOSE */
	/* the stores of paths, once they are the pool's; EXTEND: those of the
	 * pool, and how large they are to be */
	struct backstore *opened[POOL_DEVICE_MAX];
	uint64_t opened_size[POOL_DEVICE_MAX];
	unsigned opened_count;
	void (*done)(struct pool_job *job);
	void *arg;

	int result;              /* 0 or -errno */
	const char *failed_path; /* the device that could not be opened */
	/* pool_job.c's */
	struct backstore *stores[POOL_DEVICE_MAX];
	unsigned store_count, extended;
	struct pool_request request;
};

struct pool_job *pool_job_new(enum pool_job_kind kind);
/* Copies path.  -ENOMEM */
int pool_job_add_path(struct pool_job *job, const char *path);
void pool_job_free(struct pool_job *job);

/* CREATE, OPEN: gives the pool an ack ring in dir/name.acks.  Without one, as
 * the log then says, the pool works too. */
void pool_job_add_acks(struct pool_job *job, const char *dir, const char *name);
/* A CLOSE of what opened has opened. */
struct pool_job *pool_job_new_close(struct pool_job *opened);

void pool_job_start(struct pool_job *job, struct loop *home, struct loop *loop);

/* Why it failed, for people: "cannot WHAT" and more. */
json_t *pool_job_fault(const struct pool_job *job, const char *what);

/* ---- files to put a pool on: looked at, and made, on a helper thread ---- */

struct pool_files {
	struct loop_work work;
	struct pool_job *job; /* its paths; stays the caller's */
	uint64_t size;        /* 0: the paths have to exist */
	bool preallocate, dry_run;
	void (*done)(struct pool_files *files);
	void *arg;
	int result;
	const char *failed_path;
	uint64_t bytes; /* of all paths */
	uint64_t sizes[POOL_DEVICE_MAX];
	unsigned made; /* the first so many paths were made by us */
};

void pool_files_prepare(struct pool_files *files, struct loop *home);
/* Takes the made ones away again. */
void pool_files_undo(struct pool_files *files);
json_t *pool_files_fault(const struct pool_files *files, const char *what);

#endif
