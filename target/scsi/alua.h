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
    const struct lun_settings *settings);

#endif
