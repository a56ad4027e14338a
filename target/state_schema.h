/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TARGET_STATE_SCHEMA_H
#define TARGET_STATE_SCHEMA_H

struct state;

/* From version (0: an empty database) to STATE_VERSION, each step one
 * transaction with its row in the table migrations. */
int schema_migrate(struct state *state, unsigned version);

#endif
