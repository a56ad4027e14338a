/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a regular file has space, and giving it some.  These functions block:
 * they run on helper threads, or at start-up.
 *
 * Private to backstores/.
 */
#ifndef BACKSTORES_SPACE_H
#define BACKSTORES_SPACE_H

#include "backstores/backstore.h"

/* Fills io->extents of an EXTENTS request; 0 or -errno of lseek(2).  Extents
 * are whole blocks of block_size: a block is a hole if all of it is. */
int file_space_extents(int fd, uint32_t block_size, struct bs_io *io);

/* Makes space certain for the range, and written: what was a hole or allocated
 * but never written holds zeros afterwards, durably; the rest is untouched.
 * 0 or -errno. */
int file_space_reserve(
    int fd, uint32_t block_size, uint64_t offset, uint64_t length);

#endif
