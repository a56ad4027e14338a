/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/names.h"
#include "base/assert.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

void
policy_stamp(int64_t unix_seconds, char ret_stamp[POLICY_STAMP_MAX])
{
	time_t seconds = (time_t)unix_seconds;
	struct tm tm;

	/* only a wrong clock shows a year with more than four digits */
	if (gmtime_r(&seconds, &tm) == NULL ||
	    strftime(ret_stamp, POLICY_STAMP_MAX, "%Y%m%dT%H%M%SZ", &tm) == 0)
		snprintf(ret_stamp, POLICY_STAMP_MAX, "99991231T235959Z");
}

bool
policy_stamp_is(const char *text)
{
	static const char form[] = "ddddddddTddddddZ";

	if (strlen(text) != strlen(form))
		return false;
	for (size_t i = 0; form[i] != '\0'; i++) {
		if (form[i] == 'd' ? !isdigit((unsigned char)text[i])
				   : text[i] != form[i])
			return false;
	}
	return true;
}

bool
policy_snap_is_of(const char *policy, const char *snap)
{
	size_t length = strlen(policy);

	return strncmp(snap, policy, length) == 0 && snap[length] == '-' &&
	       policy_stamp_is(snap + length + 1);
}

/* ---- directories ---- */

struct path {
	char *text;
	size_t length, size;
};

static void
path_add(struct path *path, const char *part, size_t length)
{
	if (path->length + length < path->size)
		memcpy(path->text + path->length, part, length);
	path->length += length;
}

bool
policy_directory(const char *form, const char *lun, char *ret_path, size_t size)
{
	const char *slash = strchr(lun, '/');
	struct path path = {ret_path, 0, size};

	assert(slash != NULL && size > 0);
	while (*form != '\0') {
		if (strncmp(form, "{pool}", 6) == 0) {
			path_add(&path, lun, (size_t)(slash - lun));
			form += 6;
		} else if (strncmp(form, "{lun}", 5) == 0) {
			path_add(&path, slash + 1, strlen(slash + 1));
			form += 5;
		} else {
			path_add(&path, form++, 1);
		}
	}
	ret_path[path.length < size ? path.length : 0] = '\0';
	return path.length < size;
}

size_t
policy_directory_fixed(const char *form)
{
	size_t end = strcspn(form, "{");

	/* not the slashes that a path may end in */
	if (form[end] == '\0')
		while (end > 1 && form[end - 1] == '/')
			end--;
	while (end > 1 && form[end - 1] != '/')
		end--;
	return end;
}
