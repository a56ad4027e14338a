/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Do two sources make the same image, where what neither says is zeros?
 */
#ifndef BACKUP_COMPARE_H
#define BACKUP_COMPARE_H

#include "backup/piece.h"

/* *ret_offset: the first piece that differs is there or close behind;
 * IMAGE_MAX: they are the same. */
json_t *compare_images(
    struct source *a, struct source *b, uint64_t *ret_offset);

#endif
