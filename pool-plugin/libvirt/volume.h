/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A share's volumes as libvirt's definitions. */
#ifndef POOL_PLUGIN_LIBVIRT_VOLUME_H
#define POOL_PLUGIN_LIBVIRT_VOLUME_H

#include "pool-plugin/libvirt/pool.h"

/* Name, key, path, type, sizes and parent; what def had of them before is
 * freed.  prefix: pool_path_prefix's; view: among which the parent is. */
void volume_fill(virStorageVolDef *def, virStoragePoolObj *pool,
    const char *prefix, const struct share_view *view,
    const struct share_volume *volume);

/* As it is now: sizes and parent only. */
void volume_update(virStorageVolDef *def, const char *prefix,
    const struct share_view *view, const struct share_volume *volume);

/* The share's name and number of it.  0, or -1 and libvirt's error. */
int volume_of(const virStorageVolDef *def, struct share_volume *ret_volume);

/* The share's name of the volume that has path; false: none has, in this pool.
 */
bool volume_by_path(const char *prefix, const char *path,
    const struct share_view *view, char name[SHARE_VOLUME_MAX]);

#endif
