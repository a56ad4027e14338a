/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What takes a pool's reactor and its devices: making, opening, growing and
 * closing a pool.  It runs on the pool's loop and is done at home.
 */
#ifndef TARGET_POOL_WORK_H
#define TARGET_POOL_WORK_H

#include "snapshot/pool.h"
#include "target/ack_file.h"
#include "target/call.h"
#include "target/fault.h"

enum pool_work_kind {
	POOL_WORK_CREATE,
	POOL_WORK_OPEN,
	POOL_WORK_GROW,   /* takes paths in as devices */
	POOL_WORK_EXTEND, /* makes its devices as large as opened_size says */
	POOL_WORK_CLOSE,
};

struct pool_work {
	struct call call;
	enum pool_work_kind kind;
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
	void (*done)(struct pool_work *work);
	void *arg;

	int result;              /* 0 or -errno */
	const char *failed_path; /* the device that could not be opened */
	/* pool_work.c's */
	struct backstore *stores[POOL_DEVICE_MAX];
	unsigned store_count, extended;
	struct pool_request request;
};

struct pool_work *pool_work_new(enum pool_work_kind kind);
/* Copies path.  -ENOMEM */
int pool_work_add_path(struct pool_work *work, const char *path);
void pool_work_free(struct pool_work *work);

/* CREATE, OPEN: gives the pool an ack ring in dir/name.acks.  Without one, as
 * the log then says, the pool works too. */
void pool_work_add_acks(
    struct pool_work *work, const char *dir, const char *name);
/* A CLOSE of what opened has opened. */
struct pool_work *pool_work_new_close(struct pool_work *opened);

void pool_work_start(
    struct pool_work *work, struct loop *home, struct loop *loop);

/* Why it failed, for people: "cannot WHAT" and more. */
json_t *pool_work_fault(const struct pool_work *work, const char *what);

/* ---- files to put a pool on: looked at, and made, on a helper thread ---- */

struct pool_files {
	struct loop_work offload;
	struct pool_work *work; /* its paths; stays the caller's */
	uint64_t size;          /* 0: the paths have to exist */
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
