/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Scope-bound release for the control path:  _cleanup_(freep) char *s = ...;
 * Not used on the data path, where objects in flight have one owner.
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void
freep(void *p)
{
	free(*(void **)p);
}

static inline void
closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void
fclosep(FILE **f)
{
	if (*f != NULL)
		fclose(*f);
}

#endif
