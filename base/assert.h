/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Always-on assertions.  An assertion states what this program guarantees
 * about itself; bytes from a socket, a disk or a control client are validated
 * and refused, never asserted on.
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

#ifdef NDEBUG
#error "varve is not built without its assertions"
#endif

#include <assert.h>
#include <stddef.h>

#define container_of(ptr, type, member)                                        \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Take back an object that crossed a void pointer: its magic must match. */
#define ASSERT_MAGIC(obj, value)                                               \
	do {                                                                   \
		assert((obj) != NULL);                                         \
		assert((obj)->magic == (value));                               \
	} while (0)

#endif
