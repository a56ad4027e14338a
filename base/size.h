/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes as people write them.  K M G T P (also KiB ...) are binary, KB MB GB
 * TB PB decimal, B is bytes; a bare number is refused, except 0.
 */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stdint.h>

/* 0; -EINVAL not a size; -ENOMSG a bare number ("did you mean 100G?");
 * -ERANGE does not fit 63 bits or is negative. */
int size_parse(const char *text, uint64_t *ret_bytes);

/* IEC with one decimal, "100 GiB", "1.5 TiB"; returns buf. */
#define SIZE_TEXT_MAX 24
char *size_format(uint64_t bytes, char buf[SIZE_TEXT_MAX]);

#endif
