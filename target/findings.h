/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a check has found, as JSON: the same from varved, of a pool in use, and
 * from varve rescue check.  Each returns a new reference, never NULL.
 */
#ifndef TARGET_FINDINGS_H
#define TARGET_FINDINGS_H

#include "snapshot/check.h"
#include <jansson.h>

json_t *finding_json(
    enum check_severity severity, const char *code, const char *text);
json_t *findings_family(const struct check_family *family);
/* What the pool came to.  Takes a reference to families, an array. */
json_t *findings_item(const struct check_report *report, json_t *families);

#endif
