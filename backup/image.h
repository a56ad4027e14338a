/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Raw images as sinks: a new file, a block device, a pipe.
 */
#ifndef BACKUP_IMAGE_H
#define BACKUP_IMAGE_H

#include "backup/piece.h"

struct image;

/* path "-": standard output: a file gets holes, anything else every byte.  A
 * file that is not there yet is written beside its name and gets it at the end.
 * overwrite: a file that is there is replaced at the end; a block device is
 * written in place, zeros too.
 *   backup.target-exists, backup.target-small, backup.target-busy,
 *   backup.unwritable */
json_t *image_new(
    const char *path, uint64_t size, bool overwrite, struct image **ret_image);
/* What was not finished goes.  NULL is nothing. */
void image_free(struct image *image);
/* What no piece says becomes zeros. */
struct sink *image_sink(struct image *image);
/* All is there, durably. */
json_t *image_finish(struct image *image);

#endif
