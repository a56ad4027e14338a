/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A test links the support files of its own layer only: borrow this one. */
#include "tests/unit/base/support/dies.c"
