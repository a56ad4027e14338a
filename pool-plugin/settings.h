/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /etc/varve/libvirt.conf: which varved has a target.  A line is
 *
 *	IQN = URL
 *
 * and an IQN that ends in * stands for all that begin so.  The first line that
 * fits counts; '#' begins a comment.
 */
#ifndef POOL_PLUGIN_SETTINGS_H
#define POOL_PLUGIN_SETTINGS_H

#include "client/problem.h"

/* *ret_url: malloc'ed, or NULL: no line fits, or there is no such file.
 *   plugin.settings   the file cannot be read, or a line is not of that form */
json_t *settings_find(const char *path, const char *iqn, char **ret_url);

#endif
