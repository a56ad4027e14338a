/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Findings, of health, of a repair and of a check, for people.
 */
#ifndef TOOLS_FINDINGS_H
#define TOOLS_FINDINGS_H

#include "tools/cli.h"

/* Shown as the table that was asked for, or in the form of their command? */
bool findings_are_table(const struct cli *cli);
/* Is there more than notes? */
bool findings_any(const json_t *items);
/* A line or two for each of result's items; none: if there are not any. */
void findings_show(struct cli *cli, const json_t *result, const char *none);
/* {item, items} of a check, whoever made it: what the pool came to, too. */
void findings_show_checked(
    struct cli *cli, const json_t *result, enum api_exit *ret_exit);
/* A member of an item that is a number, or 0. */
long long findings_number(const json_t *item, const char *name);

#endif
