/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cmocka.h does not include what it needs. */
#ifndef TESTS_UNIT_TARGET_ISCSI_SUPPORT_CMOCKA_H
#define TESTS_UNIT_TARGET_ISCSI_SUPPORT_CMOCKA_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after them */
#include <cmocka.h>

#endif
