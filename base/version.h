/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#define VARVE_VERSION "0.1.0"

#endif
