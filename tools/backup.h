/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verbs of varve backup, snap read and snap serve: backup/backup.h with the
 * command line's parameters, progress and answers.
 */
#ifndef TOOLS_BACKUP_H
#define TOOLS_BACKUP_H

#include "tools/cli.h"

json_t *run_backup_create(struct cli *cli, enum api_exit *ret_exit);
json_t *run_backup_send(struct cli *cli, enum api_exit *ret_exit);
json_t *run_backup_receive(struct cli *cli, enum api_exit *ret_exit);
json_t *run_backup_list(struct cli *cli, enum api_exit *ret_exit);
json_t *run_backup_verify(struct cli *cli, enum api_exit *ret_exit);
json_t *run_backup_restore(struct cli *cli, enum api_exit *ret_exit);
json_t *run_backup_merge(struct cli *cli, enum api_exit *ret_exit);
json_t *run_backup_prune(struct cli *cli, enum api_exit *ret_exit);
json_t *run_snap_read(struct cli *cli, enum api_exit *ret_exit);
json_t *run_snap_serve(struct cli *cli, enum api_exit *ret_exit);

#endif
