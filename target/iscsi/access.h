/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Look-ups in struct iscsi_access.  What they return lives as long as the
 * caller's reference to the access.
 */
#ifndef TARGET_ISCSI_ACCESS_H
#define TARGET_ISCSI_ACCESS_H

#include "target/iscsi/server.h"

/* NULL: unknown. */
const struct iscsi_host *iscsi_access_host(
    const struct iscsi_access *access, const char *iqn);
const struct iscsi_target *iscsi_access_target(
    const struct iscsi_access *access, const char *iqn);

/* Has host an export on target? */
bool iscsi_access_sees(const struct iscsi_access *access,
    const struct iscsi_host *host, const struct iscsi_target *target);

bool iscsi_credentials_equal(
    const struct iscsi_credentials *a, const struct iscsi_credentials *b);

#endif
