/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a text of a file or of a pipe may be, before anything is made of it.
 */
#ifndef BACKUP_WORDS_H
#define BACKUP_WORDS_H

#include <stdbool.h>

/* As varve's own names: nothing that is a path or an option. */
bool word_is_name(const char *text);
/* In lower case. */
bool word_is_uuid(const char *text);

#endif
