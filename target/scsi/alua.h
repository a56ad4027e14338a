/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Target port groups of a logical unit, as alua.c keeps them.
 */
#ifndef TARGET_SCSI_ALUA_H
#define TARGET_SCSI_ALUA_H

#include "target/scsi/internal.h"

/* Of a new unit: what the administrator says, NULL: one group; and what
 * initiators have set. */
void ports_init(struct lun *lun, const struct port_groups *groups,
    const struct lun_saved *saved);

/* Of all groups, and of the one a nexus came in by, if that has no portal any
 * more; how many. */
unsigned ports_tags(const struct lun *lun, uint16_t own,
    uint16_t ret_tags[PORT_GROUPS_MAX + 1]);

#endif
