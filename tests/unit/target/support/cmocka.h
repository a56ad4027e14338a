/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmocka.h with the headers that it wants to be included before it. */
#ifndef TESTS_UNIT_TARGET_SUPPORT_CMOCKA_H
#define TESTS_UNIT_TARGET_SUPPORT_CMOCKA_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#endif
