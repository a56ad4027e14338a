/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A tree in memory that behaves as the kernel's target does in configfs, as
 * far as order matters: a directory brings attributes with it, and cannot go
 * while something that was made is in it or links to it; what may be written
 * depends on what is enabled and exported.
 *
 * Not in it: sessions, commands, and anything that takes time.
 */
#ifndef FAKE_CONFIGFS_H
#define FAKE_CONFIGFS_H

#include "target/tcmu/lio_files.h"

#define FAKE_LOG_MAX 65536

struct fake_node;

struct fake {
	struct fake_node *nodes;
	unsigned count;
	/* what changed the tree, a line each, paths from target/ on */
	char log[FAKE_LOG_MAX];
	unsigned changes;
	/* the change (from 1) that fails with EIO; and all after it, as when
	 * the process is killed there */
	unsigned fail_at;
	bool killed;
	int uio_next;
	const char *open_uio; /* that another process has open */
	bool no_modules, no_listener;
};

extern const struct lio_files fake_files;

struct fake *fake_new(void);
void fake_free(struct fake *fake);
void fake_forget(struct fake *fake); /* the log; fails no more */
/* By hand, as an administrator: not in the log. */
void fake_make_dir(struct fake *fake, const char *path);
void fake_make_link(struct fake *fake, const char *target, const char *path);
void fake_write(struct fake *fake, const char *path, const char *text);
void fake_drop(struct fake *fake, const char *path); /* no such attribute */
const char *fake_read(struct fake *fake, const char *path); /* NULL */
/* All of it, sorted; the caller frees. */
char *fake_dump(struct fake *fake);

#endif
