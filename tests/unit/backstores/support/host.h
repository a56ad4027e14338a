/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What tests of files and devices need from the host: a private directory, a
 * small file system, a loop device.  The last two need rights that not every
 * place gives.
 */
#ifndef TESTS_UNIT_BACKSTORES_SUPPORT_HOST_H
#define TESTS_UNIT_BACKSTORES_SUPPORT_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A path in this process's private directory, which is made at the first call
 * and removed, with what is in it, when the process ends.  Static. */
const char *host_path(const char *name);

/* A file of zeros. */
void host_make_file(const char *path, uint64_t size);

/* Bytes on disk. */
uint64_t host_allocated(const char *path);

/* A tmpfs of so many bytes on a directory of that name; false: not allowed. */
bool host_mount_small(const char *name, uint64_t size);
void host_umount_small(const char *name);

/* A loop device over the file, which detaches itself when its last user goes;
 * the descriptor returned is one.  -1: not allowed, or none is there. */
int host_loop_attach(
    const char *file, uint32_t block_size, char *ret_device, size_t size);

#endif
