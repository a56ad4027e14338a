/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What can be done with backups: each function is a verb of `varve backup`.
 *
 * All return NULL or a problem; an answer (*ret_item, *ret_items: JSON, the
 * caller's) is made when there is no problem.  They block until they have
 * ended.
 */
#ifndef BACKUP_BACKUP_H
#define BACKUP_BACKUP_H

#include "backup/problem.h"
#include <stdbool.h>
#include <stdint.h>

/* How far it is: called often.  A problem (of the watcher's) ends the work;
 * what can be gone on with is left so. */
struct backup_watch {
	json_t *(*progress)(
	    struct backup_watch *watch, uint64_t done, uint64_t total);
};

/* Levels of zstd are from 1 to 19.  This one follows what the processors have
 * left while the LUN is read as fast as it can be. */
#define BACKUP_LEVEL_AUTO 0
/* Of what is made anew of backups: nobody waits for it. */
#define BACKUP_LEVEL_MERGE  1
#define BACKUP_MARK_DEFAULT (256u << 20)

struct backup_create_params {
	struct varve *varve;
	const char *snap;    /* POOL/LUN@SNAP */
	const char *path;    /* the directory; made if need be */
	const char *since;   /* NULL, "auto", "full", or the name of a backup */
	const char *portal;  /* NULL: what varved says */
	int level;           /* of zstd, or BACKUP_LEVEL_AUTO */
	uint64_t mark_bytes; /* so much, and a little more, may be read again
			      * after a kill */
	bool dry_run;
	struct backup_watch *watch; /* NULL: none */
};
/* A repeated call for the same snapshot finds the backup there, and is done.
 * One that was cut short is gone on with. */
json_t *backup_create(
    const struct backup_create_params *params, json_t **ret_item);

json_t *backup_list(const char *path, json_t **ret_items);

/* at: NULL: the newest. */
struct backup_restore_params {
	struct varve *varve; /* NULL: no LUN can be restored to */
	const char *path, *at;
	const char *to; /* POOL/LUN, a path with a / before all else, or - */
	const char *portal; /* as above */
	bool overwrite, dry_run;
	struct backup_watch *watch;
};
json_t *backup_restore(
    const struct backup_restore_params *params, json_t **ret_item);

struct backup_verify_params {
	struct varve *varve; /* of deep */
	const char *path, *at, *portal;
	bool deep; /* against the snapshots, where they are there still */
	struct backup_watch *watch;
};
/* ret_items: findings {severity, code, what}; none of severity "damage": all is
 * well. */
json_t *backup_verify(
    const struct backup_verify_params *params, json_t **ret_items);

struct backup_merge_params {
	const char *path, *from, *to; /* names of backups; from NULL: the full
				       * one that `to` stands on */
	int level;
	bool dry_run;
	struct backup_watch *watch;
};
/* The backups from `from` to `to` become one, `to`, on the base of `from`. */
json_t *backup_merge(
    const struct backup_merge_params *params, json_t **ret_item);

struct backup_prune_params {
	const char *path, *keep; /* a rule (keep.h) */
	int level;
	bool dry_run;
	struct backup_watch *watch;
};
/* ret_items: each backup with what keeps it ("keeps"; empty: it goes). */
json_t *backup_prune(
    const struct backup_prune_params *params, json_t **ret_items);

/* A snapshot to a LUN of another pool, maybe of another varved. */
struct backup_send_params {
	struct varve *varve;
	const char *snap;  /* POOL/LUN@SNAP */
	const char *to;    /* POOL/LUN; made if it is not there */
	const char *since; /* of a pipe that nobody answers by: a snapshot's
			    * name; NULL: nothing */
	const char *portal;
	uint64_t mark_bytes; /* so much may be sent again after a kill */
	int level;           /* of zstd, through a pipe */
	bool dry_run;
	struct backup_watch *watch;
	/* one of these */
	struct varve *to_varve; /* with a portal that is reached from here */
	const char *to_portal;  /* of to_varve; NULL: what it says */
	const struct ssh_params *ssh; /* varve backup receive is run there */
	bool to_pipe; /* to one at the other end of out */
	int out;
};
/* What has changed since the newest snapshot that both have; the copy gets a
 * snapshot of the same name.  One that was cut short is gone on with. */
json_t *backup_send(const struct backup_send_params *params, json_t **ret_item);

/* What comes through a pipe. */
struct backup_receive_params {
	struct varve *varve;
	const char *to; /* POOL/LUN, as above */
	const char *portal;
	int in, out; /* out -1: nothing is answered */
	struct backup_watch *watch;
};
json_t *backup_receive(
    const struct backup_receive_params *params, json_t **ret_item);

/* A snapshot, all of it, to a raw image as restore writes it. */
struct backup_read_params {
	struct varve *varve;
	const char *snap, *to, *portal;
	bool overwrite;
	struct backup_watch *watch;
};
json_t *backup_read(const struct backup_read_params *params, json_t **ret_item);

#endif
