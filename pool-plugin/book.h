/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the plugin remembers of libvirt's pools that are varve's, by their uuid:
 * where varved is, what it said last, and which names and numbers are promised
 * to volumes that are being made.
 *
 * Life of a promise:
 *
 *	book_promise    in createVol, under the pool's lock: nobody else gets
 *the number or the name book_keep       in buildVol or buildVolFrom, when the
 *LUN is there book_break      when it could not be made: nothing of it is there
 *	(forgotten)     BOOK_PROMISE_MS after it was made
 *
 * All functions may be called from any thread, and none waits for anything.
 */
#ifndef POOL_PLUGIN_BOOK_H
#define POOL_PLUGIN_BOOK_H

#include "pool-plugin/share.h"

#define BOOK_UUID_BYTES 16
#define BOOK_URL_MAX    256
#define BOOK_PROMISE_MS 120000u

/* Of a pool that is known to be varve's. */
struct book_page {
	char url[BOOK_URL_MAX];
	struct share share;
};

/* False: not known. */
bool book_read(const unsigned char *uuid, struct book_page *ret_page);
void book_write(const unsigned char *uuid, const struct book_page *page);
/* The pool was stopped or is no more varve's. */
void book_tear(const unsigned char *uuid);

/* Keeps a copy of what was seen; and gives one: an empty one if nothing was. */
void book_set_view(const unsigned char *uuid, const struct share_view *view);
void book_view(const unsigned char *uuid, struct share_view *ret_view);

/* The volume was deleted. */
void book_drop(const unsigned char *uuid, const char *name);

/* Is name a volume's in another pool?  libvirt's keys are global. */
bool book_is_elsewhere(const unsigned char *uuid, const char *name);

/* Promises name a number: the one given, or (-1) the lowest that is not taken
 * (SHARE_NUMBER_MAX + 1 of them), nor a volume's of the view.  The number;
 * -EEXIST: the name is promised or the number is not free, -ENOSPC. */
int book_promise(
    const unsigned char *uuid, const char *name, int number, const bool *taken);
/* It is among the volumes of the view then. */
void book_keep(const unsigned char *uuid, const struct share_volume *volume);
void book_break(const unsigned char *uuid, const char *name);
void book_forget(const unsigned char *uuid, const char *name);
/* Was it broken, and not kept?  Forgets it then: it is asked once. */
bool book_was_broken(const unsigned char *uuid, const char *name);

#endif
