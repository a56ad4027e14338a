/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is memory all zeros?  By ISA-L.
 */
#ifndef BASE_ZERO_H
#define BASE_ZERO_H

#include <stdbool.h>
#include <stddef.h>

/* Of no bytes: yes. */
bool is_zero(const void *data, size_t length);

#endif
