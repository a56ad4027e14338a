/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef TESTS_UNIT_BASE_SUPPORT_DIES_H
#define TESTS_UNIT_BASE_SUPPORT_DIES_H

#include <stdbool.h>

/* Calls f(argument) in a child process: did an assertion end it? */
bool dies(void (*f)(void *argument), void *argument);

#endif
