/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What libvirt's pools and volumes are to varved: a share is what one host sees
 * of one pool's target; its volumes are LUNs, and snapshots, that are exported
 * to the host there.  Knows nothing of libvirt.
 */
#ifndef POOL_PLUGIN_SHARE_H
#define POOL_PLUGIN_SHARE_H

#include "pool-plugin/talk.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* As varved's: POOL and HOST 63 bytes, LUN@SNAP twice that, RFC 7143 4.2.7.1:
 * an iSCSI name 223. */
#define SHARE_NAME_MAX   64
#define SHARE_VOLUME_MAX 128
#define SHARE_IQN_MAX    224
/* API_ALL of the reservation of a LUN: whatever size it has (target/api.h). */
#define SHARE_RESERVE_ALL (1ll << 60)
/* Of a LUN on a target. */
#define SHARE_NUMBER_MAX 16383

struct share {
	char iqn[SHARE_IQN_MAX];       /* the target's */
	char initiator[SHARE_IQN_MAX]; /* the host's */
	char pool[SHARE_NAME_MAX];     /* varve's names of both, "" until */
	char host[SHARE_NAME_MAX];     /* share_find has found them */
};

struct share_volume {
	char name[SHARE_VOLUME_MAX];   /* LUN or LUN@SNAP, without its pool */
	char parent[SHARE_VOLUME_MAX]; /* ... that it is a clone of; "": none */
	unsigned number;
	uint64_t size, live; /* bytes */
	bool read_only;
};

/* Bytes. */
struct share_space {
	uint64_t size, allocated, free;
};

struct share_view {
	struct share_space space;
	struct share_volume *volumes; /* by number */
	size_t count;
};

/* Looks for the pool that has share->iqn.  False, and no problem: varved has
 * none. */
json_t *share_find_pool(struct talk *talk, struct share *share,
    struct share_space *ret_space, bool *ret_found);
/* The host with share->initiator.
 *   plugin.host   there is none */
json_t *share_find_host(struct talk *talk, struct share *share);

/* Pool, host and all volumes; *ret_view: share_view_done.
 *   plugin.pool   varved has no pool with that target */
json_t *share_look(
    struct talk *talk, struct share *share, struct share_view *ret_view);
void share_view_done(struct share_view *view);

/* Numbers that are taken on the target, by whichever host, so that a LUN can
 * have the same everywhere: ret_taken[SHARE_NUMBER_MAX + 1]. */
json_t *share_numbers(
    struct talk *talk, const struct share *share, bool *ret_taken);

/* size, live and parent of one volume; the rest stays as it is. */
json_t *share_look_volume(
    struct talk *talk, const struct share *share, struct share_volume *volume);

json_t *share_count_snapshots(struct talk *talk, const struct share *share,
    const char *name, unsigned *ret_count);

/* Could a LUN of that name and size be made?  Nothing is. */
json_t *share_could_create(struct talk *talk, const struct share *share,
    const char *name, uint64_t size);

/* Makes a LUN, thin or with all of its space reserved, and exports it by
 * number.  What fails half-way is taken back. */
json_t *share_create(struct talk *talk, const struct share *share,
    const char *name, unsigned number, uint64_t size, bool reserve);

/* The same of a clone of parent, LUN or LUN@SNAP; of a LUN a snapshot for-NAME
 * is made, which stays as long as the clone.  size: at least the parent's. */
json_t *share_clone(struct talk *talk, const struct share *share,
    const char *parent, const char *name, unsigned number, uint64_t size);

/* shrink: may it be smaller?  reserve: all of the new size. */
json_t *share_resize(struct talk *talk, const struct share *share,
    const char *name, uint64_t size, bool shrink, bool reserve);

/* Takes the LUN away from the host and puts it into the trash.
 *   plugin.snapshot     name is a snapshot
 *   plugin.snapshots    it has some, and with_snapshots is false
 *   plugin.other-hosts  others have it too */
json_t *share_delete(struct talk *talk, const struct share *share,
    const char *name, unsigned number, bool with_snapshots);

/* ---- the names of volumes ---- */

/* "web01:0:0:7" */
#define SHARE_LONG_NAME_MAX (SHARE_VOLUME_MAX + 16)
void share_long_name(
    const struct share_volume *volume, char name[SHARE_LONG_NAME_MAX]);
/* "web01:0:0:7", or "web01": *ret_number is -1.  False: it is neither. */
bool share_parse_name(
    const char *text, char name[SHARE_VOLUME_MAX], int *ret_number);

#endif
