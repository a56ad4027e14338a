/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The few things one does with configfs, so that a test can put a tree in
 * memory below them.  Each returns 0 or -errno.
 */
#ifndef TARGET_TCMU_LIO_FILES_H
#define TARGET_TCMU_LIO_FILES_H

#include "target/tcmu/lio.h"
#include <stddef.h>

/* Longest is an iqn, or lun_ and a number of 64 bits. */
#define LIO_ENTRY_MAX 256

struct lio_entry {
	char name[LIO_ENTRY_MAX];
	bool link; /* or a directory; attributes are not listed */
};

struct lio_list {
	struct lio_entry *entries;
	unsigned count;
};

void lio_list_done(struct lio_list *list);
int lio_list_add(struct lio_list *list, const char *name, bool link);

struct lio_files {
	int (*make_dir)(void *arg, const char *path);
	int (*remove_dir)(void *arg, const char *path);
	int (*make_link)(void *arg, const char *target, const char *path);
	int (*remove_link)(void *arg, const char *path);
	int (*read_link)(void *arg, const char *path, char *ret, size_t size);
	/* with a NUL behind what was read */
	int (*read)(void *arg, const char *path, char *ret, size_t size);
	/* in one write(2), as each is a store */
	int (*write)(void *arg, const char *path, const char *text);
	int (*list)(void *arg, const char *path, struct lio_list *ret);
	/* Can a device be opened?  -EBUSY: somebody has it. */
	int (*try_open)(void *arg, const char *path);
};

extern const struct lio_files lio_files_kernel; /* arg: NULL */

/* lio_new(), on other files. */
struct lio *lio_new_on(
    const struct lio_paths *paths, const struct lio_files *files, void *arg);

#endif
