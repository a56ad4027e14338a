/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is used of libvirt's inside, of the one version this is built for. */
#ifndef POOL_PLUGIN_LIBVIRT_INTERNAL_H
#define POOL_PLUGIN_LIBVIRT_INTERNAL_H

/* theirs, for theirs */
#undef container_of
#include <config.h>

#include <datatypes.h>
#include <storage/storage_backend.h>
#include <virerror.h>
#include <virfdstream.h>
#include <viridentity.h>
#include <virlog.h>
#include <virsecret.h>
#include <virsecureerase.h>
#include <virstorageobj.h>

#endif
