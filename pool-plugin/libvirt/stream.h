/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A volume's data through a stream of libvirt's.  A thread of its own moves it
 * between the disk and a socket, and libvirt's own stream has the other end;
 * but what a socket can only say as its end, or as a broken pipe, the stream
 * says as the error that it was.
 */
#ifndef POOL_PLUGIN_LIBVIRT_STREAM_H
#define POOL_PLUGIN_LIBVIRT_STREAM_H

#include "pool-plugin/disk.h"
#include "pool-plugin/libvirt/internal.h"

/* Starts to move length bytes (0: all that there are, or come) from offset on.
 * disk is the callee's.  0, or -1 and libvirt's error. */
int stream_download(virStreamPtr stream, struct disk *disk,
    unsigned long long offset, unsigned long long length);
int stream_upload(virStreamPtr stream, struct disk *disk,
    unsigned long long offset, unsigned long long length);

#endif
