/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/breaks.h"

struct engine_breaks engine_breaks;
