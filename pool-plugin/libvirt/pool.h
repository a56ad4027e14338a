/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Between libvirt's pools and varve's shares: what libvirt's definitions say,
 * whose a pool is, and varved's problems as libvirt's errors.
 */
#ifndef POOL_PLUGIN_LIBVIRT_POOL_H
#define POOL_PLUGIN_LIBVIRT_POOL_H

#include "pool-plugin/book.h"
#include "pool-plugin/disk.h"
#include "pool-plugin/libvirt/internal.h"

/* Makes problem libvirt's error of this thread and frees it; -1. */
int pool_report(json_t *problem);
/* Warns once in libvirt's log and frees it. */
void pool_warn(virStoragePoolObj *pool, const char *doing, json_t *problem);

/* Is it varve's, as far as is known?  Asks nobody. */
bool pool_known(virStoragePoolObj *pool, struct book_page *ret_page);
/* Is it varve's, by the settings, or because the local varved says so?  May
 * take TALK_SHORT_MS. */
bool pool_decide(virStoragePoolObj *pool, struct book_page *ret_page);

const unsigned char *pool_uuid(virStoragePoolObj *pool);

/* "ip-HOST:PORT-iscsi-IQN/": what stands before the LUN in a volume's path.
 * g_free; NULL, and libvirt's error: the pool has not one host. */
char *pool_path_prefix(virStoragePoolObj *pool);

/* Logs in to the LUN, by libvirt's secret.  The pool is not locked. */
json_t *pool_disk(
    virStoragePoolObj *pool, unsigned number, struct disk **ret_disk);

#endif
