/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/zero.h"
#include <isa-l/mem_routines.h>
#include <stdint.h>

bool
is_zero(const void *data, size_t length)
{
	/* its prototype lacks the const that its code keeps */
	return isal_zero_detect((void *)(uintptr_t)data, length) == 0;
}
